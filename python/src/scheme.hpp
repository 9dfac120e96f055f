// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A scheme in Python: a request without its element type and shape.

#include <nanobind/nanobind.h>

#include <string>
#include <string_view>

#include "kq/request.hpp"

namespace kq::python {

namespace nb = nanobind;

struct Scheme {
  Request request;  ///< element and shape are not set

  /// "static", "dynamic", "asymmetric", a format, a granularity, a scale format, a scale layout, a dialect, "qmax=…",
  /// "scale_ub=…" and "global_scale=…" in any order; format and granularity are needed, or the name of a named scheme.
  /// Throws Invalid with "scheme".
  static Scheme parse(std::string_view text);

  /// All of it in one text that parse() takes, defaults left out.
  std::string text() const;

  bool operator==(const Scheme& other) const { return request == other.request; }
};

/// The Scheme that an argument is or names. Texts are parsed once.
const Scheme& scheme_from(nb::handle given);

void bind_schemes(nb::module_& m);

}  // namespace kq::python
