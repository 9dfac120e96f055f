// SPDX-License-Identifier: Apache-2.0
#include "kq/error_report.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kq/element.hpp"

namespace kq {
namespace {

template <class T>
void widen(const void* row, std::int64_t count, float* output) {
  const auto* const elements = static_cast<const T*>(row);
  for (std::int64_t i = 0; i < count; ++i) {
    output[i] = to_float(elements[i]);
  }
}

void widen_row(const Request& request, const void* input, std::int64_t token, float* output) {
  const auto offset = static_cast<std::size_t>(token * request.input_stride) * element_size(request.element);
  const void* const row = static_cast<const std::byte*>(input) + offset;
  switch (request.element) {
    case Element::half:
      return widen<half>(row, request.hidden_size, output);
    case Element::bfloat16:
      return widen<bfloat16>(row, request.hidden_size, output);
    case Element::float32:
      return widen<float>(row, request.hidden_size, output);
  }
}

}  // namespace

void ErrorMeter::add(const Request& request, const void* input, const Quantized& quantized) {
  const auto width = static_cast<std::size_t>(request.hidden_size);
  std::vector<float> x(width);
  std::vector<float> y(width);
  for (std::int64_t token = 0; token < request.num_tokens; ++token) {
    widen_row(request, input, token, x.data());
    dequantize_row(request, quantized, token, y.data());
    // Summed row by row, then over the rows: long sums lose digits.
    double signal = 0.0;
    double noise = 0.0;
    for (std::size_t i = 0; i < width; ++i) {
      if (!std::isfinite(x[i])) {
        ++not_finite_;
      } else if (!std::isfinite(y[i])) {
        ++lost_;
      } else {
        const double error = static_cast<double>(x[i]) - static_cast<double>(y[i]);
        max_error_ = std::max(max_error_, std::abs(error));
        signal += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        noise += error * error;
      }
    }
    signal_ += signal;
    noise_ += noise;
  }
  elements_ += request.num_tokens * request.hidden_size;
}

ErrorReport ErrorMeter::report() const {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  ErrorReport report;
  report.elements = elements_;
  report.not_finite = not_finite_;
  report.lost = lost_;
  if (lost_ > 0) {
    report.max_error = infinity;
    report.rmse = infinity;
    report.sqnr_db = -infinity;
    return report;
  }
  const std::int64_t counted = elements_ - not_finite_;
  report.max_error = max_error_;
  report.rmse = counted > 0 ? std::sqrt(noise_ / static_cast<double>(counted)) : 0.0;
  report.sqnr_db = noise_ > 0.0 ? 10.0 * std::log10(signal_ / noise_) : infinity;
  return report;
}

}  // namespace kq
