// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The binary interface of DLPack 1.3 as far as it is used here: a tensor in memory, who owns it, and the table of C
/// functions that a framework's tensor type offers as `__dlpack_c_exchange_api__`. Names and order are the standard's.

#include <cstdint>

namespace kq::python::dlpack {

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

enum DeviceType : std::int32_t { cpu = 1, cuda = 2, cuda_host = 3, rocm = 10, rocm_host = 11, cuda_managed = 13 };

struct Device {
  DeviceType type;
  std::int32_t id;
};

enum TypeCode : std::uint8_t {
  signed_integer = 0,
  unsigned_integer = 1,
  floating = 2,
  opaque = 3,
  bfloat = 4,
  float8_e4m3fn = 10,
  float8_e4m3fnuz = 11,
  float8_e5m2 = 12,
  float8_e5m2fnuz = 13,
  float8_e8m0fnu = 14,
  float4_e2m1fn = 17,
};

struct DataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;

  bool operator==(const DataType&) const = default;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  ///< counted in elements; null: rows lie one behind the other
  std::uint64_t byte_offset;
};

/// A tensor and its owner, as exporters older than DLPack 1.0 give it.
struct ManagedTensor {
  Tensor tensor;
  void* context;
  void (*deleter)(ManagedTensor*);
};

inline constexpr std::uint64_t read_only = 1;

struct VersionedTensor {
  Version version;
  void* context;
  void (*deleter)(VersionedTensor*);
  std::uint64_t flags;
  Tensor tensor;
};

struct ExchangeApi {
  Version version;
  ExchangeApi* previous;
  // Each returns 0, or -1 with a Python error set.
  int (*allocate)(Tensor* prototype, VersionedTensor** made, void* error_context,
                  void (*set_error)(void* error_context, const char* kind, const char* message));
  int (*from_object)(void* object, VersionedTensor** tensor);
  int (*to_object)(VersionedTensor* tensor, void** object);
  int (*borrow)(void* object, Tensor* tensor);  ///< null where a framework cannot
  int (*current_stream)(DeviceType type, std::int32_t id, void** stream);
};

}  // namespace kq::python::dlpack
