// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

namespace kq::python {

/// quantize, dequantize, error_report and what goes with them: the tensors of a call checked and, where not given,
/// made; then libkq's call, without Python's lock.
void bind_calls(nanobind::module_& m);

/// stored: a tensor's bytes, for files.
void bind_stored(nanobind::module_& m);

}  // namespace kq::python
