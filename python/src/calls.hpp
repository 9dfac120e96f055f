// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

namespace kq::python {

/// quantize, dequantize and error_report: the tensors of a call checked and, where not given, made; then libkq's call,
/// without Python's lock.
void bind_calls(nanobind::module_& m);

}  // namespace kq::python
