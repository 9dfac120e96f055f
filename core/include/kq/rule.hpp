// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What every scale rule has (kq/scale_rules.hpp).

#include "kq/arch/config.hpp"
#include "kq/code_pack.hpp"

namespace kq::detail {

template <class Element_, class Format_, class Reduction_, bool HasZeroPoint>
struct Rule {
  using Element = Element_;
  using Format = Format_;
  using Code = StoredCode<Format>;  ///< as codes lie in memory
  using Reduction = Reduction_;
  static constexpr Reduction reduction{};
  static constexpr bool has_zero_point = HasZeroPoint;
  static constexpr bool reads_span = false;  ///< whether scale() reads the span's elements once more
};

/// The bound of a code's magnitude, as a request gives it.
struct GivenQmax {
  float qmax;
  KQ_HOST_DEVICE constexpr GivenQmax(float bound) : qmax(bound) {}
};

/// The bound where it is the format's own. It is no argument of a kernel, and takes no branch in its code.
template <class Format>
struct FormatQmax {
  static constexpr float qmax = Format::max;
};

}  // namespace kq::detail
