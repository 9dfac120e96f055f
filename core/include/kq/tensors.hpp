// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The tensors of a request, as a list. Whatever allocates, uploads, poisons, checks, names or measures tensors goes
/// through `tensors(request)`; kernels know them by name. A new tensor is a member of Operands and of HostTensors, and
/// a row in tensors.cpp.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kq/request.hpp"

namespace kq {

/// Where a request's tensors lie, all in memory that the device of the work can reach. Each address is aligned to its
/// element at least. What a request does not have is not looked at.
struct Operands {
  const void* input = nullptr;
  void* codes = nullptr;                ///< bytes; of fp4 two codes each, the even column in the low half
  void* scales = nullptr;               ///< float, or uint8 for UE8M0 and E4M3; read for a static scheme
  std::int32_t* zero_points = nullptr;  ///< as many as scales, asymmetric only; read for a static scheme
  float* global_scale = nullptr;        ///< one, of scale format e4m3 only: 1 / g; read for a static scheme
  /// As many bytes as the implementation needs for the request, aligned to 16: zero before the first launch, then left
  /// as launches leave them. Launches that may overlap in time need one each.
  void* workspace = nullptr;
  const void* weight = nullptr;    ///< [hidden_size] elements, producers that norm
  const void* residual = nullptr;  ///< [num_tokens, hidden_size] elements, producer add_rms_norm
  void* residual_out = nullptr;    ///< its sum with the input; may be the residual's own memory
  /// One number that kernels read in place of the request's scale_ub, above 0 or infinity; null: the request's counts.
  /// Looked at only where a request can have a scale_ub. It is no tensor of the request: `tensors` leaves it out.
  const float* scale_ub = nullptr;
};

/// The bytes of a request's tensors on the host, laid out as the request says; empty for those that it does not have.
struct HostTensors {
  std::vector<std::byte> input;
  std::vector<std::byte> codes;
  std::vector<std::byte> scales;
  std::vector<std::byte> zero_points;
  std::vector<std::byte> global_scale;
  std::vector<std::byte> weight;
  std::vector<std::byte> residual;
  std::vector<std::byte> residual_out;

  bool operator==(const HostTensors&) const = default;
};

/// Which of them. A name of its own, for nvcc writes a member of this type with parentheses that g++ warns of.
using HostTensor = std::vector<std::byte> HostTensors::*;

/// One tensor of a request: `rows` rows of `row_bytes` bytes, each `row_stride` bytes behind the one before. The bytes
/// between the rows are not part of it: quantizing neither reads nor writes them.
struct TensorSpec {
  std::string_view name;        ///< as in kq.h: "zero_points"
  std::string_view row_name;    ///< what a row is: "token", or "column" of scales
  bool is_matrix;               ///< [num_tokens, columns]; else a list of numbers, counted through
  bool is_source;               ///< values are made of it: input, weight, residual
  bool is_written;              ///< by quantizing; else it is given
  std::size_t element_bytes;    ///< of one number; 1 for codes
  int numbers_per_element = 1;  ///< 2 for codes of four bits
  std::int64_t rows;
  std::size_t row_bytes;
  std::size_t row_stride;
  HostTensor on_host;
  void (*set)(Operands& operands, void* address);
  void* (*get)(const Operands& operands);

  /// From the first byte of the first row to the last of the last.
  std::size_t bytes() const;

  /// What a byte is: "codes[token 3, channel 17]", "scales[5]", "the gap after token 3".
  std::string describe(std::size_t offset) const;
};

/// The tensors of a request, in the order of Operands. The request must be valid and resolved.
class TensorList {
 public:
  const TensorSpec* begin() const { return specs_.data(); }
  const TensorSpec* end() const { return specs_.data() + size_; }
  std::size_t size() const { return size_; }
  const TensorSpec& operator[](std::size_t i) const { return specs_[i]; }

  void add(const TensorSpec& spec) { specs_[size_++] = spec; }

 private:
  std::array<TensorSpec, 9> specs_{};
  std::size_t size_ = 0;
};

TensorList tensors(const Request& request);

/// The addresses of tensors on the host, and of no workspace. What is const is only read.
Operands addresses(HostTensors& tensors);
Operands addresses(const HostTensors& tensors);

}  // namespace kq
