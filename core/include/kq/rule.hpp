// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What every scale rule has (kq/scale_rules.hpp).

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

}  // namespace kq::detail
