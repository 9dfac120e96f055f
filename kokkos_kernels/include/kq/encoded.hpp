// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The map from a tile to its codes, as an expression: nothing is computed before it is stored.

#include "kq/arch/config.hpp"

namespace kq {

/// The codes of a tile by one quantizer. A reference to the tile, whose lifetime must be longer.
template <class Tile, class Quantizer>
struct Encoded {
  Tile& tile;
  Quantizer quantizer;
};

/// The codes of a tile, element i by quantizer_of(i).
template <class Tile, class QuantizerOf>
struct EncodedEach {
  const Tile& tile;
  QuantizerOf quantizer_of;
};

/// encode(x, scale): the codes of tile `x` under a span's scale, as a rule gave it (kq/scale_rules.hpp).
template <class Tile, class Scale>
KQ_HOST_DEVICE auto encode(Tile& tile, const Scale& scale) {
  return Encoded<Tile, decltype(scale.quantizer())>{tile, scale.quantizer()};
}

/// encode_each(x, f): the codes of tile `x`, element i under the scale f(i).
template <class Tile, class ScaleOf>
KQ_HOST_DEVICE auto encode_each(const Tile& tile, const ScaleOf& scale_of) {
  const auto quantizer_of = [scale_of](auto i) { return scale_of(i).quantizer(); };
  return EncodedEach<Tile, decltype(quantizer_of)>{tile, quantizer_of};
}

}  // namespace kq
