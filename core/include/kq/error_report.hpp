// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How far a quantized tensor is from the one it was made of.

#include <cstdint>

#include "kq/dequantize.hpp"
#include "kq/request.hpp"

namespace kq {

/// With x an input and y what its code and scale stand for (kq/dequantize.hpp), over all inputs that are finite:
struct ErrorReport {
  double max_error = 0.0;  ///< largest |x - y|
  double rmse = 0.0;       ///< sqrt(mean((x - y)^2)); 0 if there was no finite input
  double sqnr_db = 0.0;    ///< 10 log10(sum(x^2) / sum((x - y)^2)); infinity if every y is its x
  std::int64_t elements = 0;
  std::int64_t not_finite = 0;  ///< inputs left out: NaN and infinities
  /// Finite inputs whose y is not finite, as under the infinite scale that an infinite neighbour makes. If there is
  /// one, max_error and rmse are infinity and sqnr_db is minus infinity.
  std::int64_t lost = 0;

  bool operator==(const ErrorReport&) const = default;
};

/// Adds up the errors of a tensor, in one piece or block of rows by block of rows.
class ErrorMeter {
 public:
  /// Takes in a block: `request` describes it alone, being valid and resolved; `input` is its strided input on the
  /// host.
  void add(const Request& request, const void* input, const Quantized& quantized);

  ErrorReport report() const;

 private:
  double max_error_ = 0.0;
  double signal_ = 0.0;  ///< sum of x^2
  double noise_ = 0.0;   ///< sum of (x - y)^2
  std::int64_t elements_ = 0;
  std::int64_t not_finite_ = 0;
  std::int64_t lost_ = 0;
};

}  // namespace kq
