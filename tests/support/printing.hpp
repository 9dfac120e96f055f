// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What GoogleTest prints of a test's parameters: their names in place of their bytes.

#include <ostream>

#include "bench/measure/timer.hpp"
#include "kq/request.hpp"

namespace kq {

inline void PrintTo(Element element, std::ostream* out) {
  *out << to_string(element);
}
inline void PrintTo(Format format, std::ostream* out) {
  *out << to_string(format);
}
inline void PrintTo(const Scheme& scheme, std::ostream* out) {
  *out << scheme.name;
}

}  // namespace kq

namespace kqbench {

inline void PrintTo(Timing timing, std::ostream* out) {
  *out << to_string(timing);
}

}  // namespace kqbench
