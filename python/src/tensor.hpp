// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Tensors of any framework: where their elements are, and new ones of the framework that an input is of.

#include <nanobind/nanobind.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dlpack.hpp"

namespace kq::python {

namespace nb = nanobind;

/// What an element is.
enum class Type : std::uint8_t {
  float16,
  bfloat16,
  float32,
  int8,
  uint8,
  int32,
  float8_e4m3fn,
  float8_e5m2,
  float8_e4m3fnuz,
  float8_e5m2fnuz,
  float8_e8m0fnu,
  float4_e2m1fn_x2,  ///< two codes in each
  other,
};

const char* name_of(Type type);
std::int64_t size_of(Type type);  ///< bytes; 0 for other

/// What a tensor's elements are, where they lie, and until it is destroyed, a hold on them. Read through the first of
/// these that the object has: DLPack's table of C functions, the buffer protocol, `__dlpack__`.
class Tensor {
 public:
  static constexpr int most_dimensions = 16;

  /// Throws Invalid with `field`, or TypeError if the object is no tensor.
  Tensor(nb::handle object, const char* field, bool written);
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  void* data() const { return data_; }
  dlpack::Device device() const { return device_; }
  Type type() const { return type_; }
  std::string type_name() const;  ///< "float64", for messages
  std::span<const std::int64_t> shape() const { return {shape_.data(), static_cast<std::size_t>(ndim_)}; }
  std::span<const std::int64_t> strides() const { return {strides_.data(), static_cast<std::size_t>(ndim_)}; }
  std::int64_t elements() const;
  bool is_on_host() const;

  /// Whether the framework has DLPack's table of C functions.
  bool has_exchange_api() const { return api_ != nullptr; }
  const dlpack::ExchangeApi* exchange_api() const { return api_; }

  /// The stream that the framework works on now; null where it does not tell, and on a host.
  void* current_stream() const;

 private:
  void take(const dlpack::Tensor& tensor, const char* field);
  bool take_exchanged(nb::handle object, const char* field, bool written);
  bool take_buffer(nb::handle object, const char* field, bool written);
  bool take_exported(nb::handle object, const char* field, bool written);

  void* data_ = nullptr;
  dlpack::Device device_{dlpack::cpu, 0};
  dlpack::DataType dtype_{};
  Type type_ = Type::other;
  int ndim_ = 0;
  std::array<std::int64_t, most_dimensions> shape_{};
  std::array<std::int64_t, most_dimensions> strides_{};
  const dlpack::ExchangeApi* api_ = nullptr;

  struct Release {
    template <class Exported>
    void operator()(Exported* tensor) const {
      if (tensor->deleter != nullptr) tensor->deleter(tensor);
    }
    void operator()(Py_buffer* buffer) const {
      PyBuffer_Release(buffer);
      delete buffer;
    }
  };
  std::unique_ptr<Py_buffer, Release> buffer_;
  std::unique_ptr<dlpack::VersionedTensor, Release> versioned_;
  std::unique_ptr<dlpack::ManagedTensor, Release> managed_;
};

/// Shape and strides of a tensor; `stored` elements from the first to the last, padding included.
struct Layout {
  std::array<std::int64_t, Tensor::most_dimensions> shape{};
  std::array<std::int64_t, Tensor::most_dimensions> strides{};
  int ndim = 0;
  std::int64_t stored = 0;
  bool consecutive = true;  ///< the strides are those of rows one behind the other

  void add(std::int64_t size) { shape[static_cast<std::size_t>(ndim++)] = size; }
  /// Sets strides and `stored` for rows one behind the other.
  void make_consecutive();
};

/// A new tensor of the framework and on the device that `like`, read as `read`, is of. Its elements are not set.
nb::object make_tensor(nb::handle like, const Tensor& read, Type type, const Layout& layout);

/// Bytes from a tensor's first element to the end of the memory that it is a part of; 0 where its framework does not
/// tell.
std::int64_t room_of(nb::handle tensor);

/// The object that the caller gets for one that `make_tensor` made, once it is written.
nb::object finished(nb::handle like, const Tensor& read, nb::object made);

}  // namespace kq::python
