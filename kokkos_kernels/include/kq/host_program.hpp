// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A program on a host: a single thread. A tile is a span in memory, and every operation on it a loop over consecutive
/// elements (kq/host.hpp). Functions are marked for devices too, because kernels are, but never called
/// there.

#include <algorithm>
#include <cstdint>

#include "kq/arch/config.hpp"
#include "kq/block_tile.hpp"
#include "kq/column_maxima.hpp"
#include "kq/encoded.hpp"
#include "kq/grid_reduce.hpp"
#include "kq/host.hpp"
#include "kq/reduce.hpp"
#include "kq/span.hpp"

namespace kq {

template <class Element>
struct HostTile {
  Span<const Element> span;
};

/// Members are those of DeviceProgram (kq/device_program.hpp), which documents them.
class HostProgram {
 public:
  KQ_HOST_DEVICE HostProgram(std::int64_t id, std::int64_t count) : id_(id), count_(count) {}

  KQ_HOST_DEVICE std::int64_t id() const { return id_; }
  KQ_HOST_DEVICE std::int64_t count() const { return count_; }

  template <class Element>
  KQ_HOST_DEVICE HostTile<Element> load(Span<const Element> span) const {
    return {span};
  }

  template <class Element>
  KQ_HOST_DEVICE HostBlockTile<Element> load(const Block<const Element>& block) const {
    return {block};
  }

  /// The launch has one program, which holds the whole tensor.
  template <class Element>
  KQ_HOST_DEVICE HostTile<Element> load_partition(Span<const Element> tensor, const GridReduceWorkspace&, int) const {
    return {tensor};
  }

  template <class Reduction, class Element>
  KQ_HOST_DEVICE auto reduce(Reduction, const HostTile<Element>& tile) const {
    return Reduction::value(host::maxima(Reduction{}, tile.span.data, tile.span.size).value);
  }
  template <class Reduction, class Element>
  KQ_HOST_DEVICE auto reduce(Reduction, const HostBlockTile<Element>& tile) const {
    return Reduction::value(tile.template partial<Reduction>().value);
  }
  template <class Reduction, class Element>
  KQ_HOST_DEVICE auto reduce_columns(Reduction, const Block<const Element>& block) const {
    return HostColumnMaxima<Reduction, Element>(block);
  }
  template <class Reduction, class Element>
  KQ_HOST_DEVICE Maxima<Reduction> partial(Reduction, const HostTile<Element>& tile) const {
    return host::maxima(Reduction{}, tile.span.data, tile.span.size);
  }
  template <class Reduction>
  KQ_HOST_DEVICE Maxima<Reduction> reduce(const Maxima<Reduction>& maxima) const {
    return maxima;
  }
  template <class Reduction>
  KQ_HOST_DEVICE Maxima<Reduction> reduce_maxima(Reduction, const float* values, std::int64_t count) const {
    Maxima<Reduction> maxima;
    for (int k = 0; k < Reduction::count; ++k) {
      maxima.value[k] = *std::max_element(values + k * count, values + (k + 1) * count);
    }
    return maxima;
  }
  template <class Reduction>
  KQ_HOST_DEVICE auto reduce_stored(Reduction reduction, const float* values, std::int64_t count) const {
    return Reduction::value(reduce_maxima(reduction, values, count).value);
  }

  template <class Function>
  KQ_HOST_DEVICE double sum_vectors(std::int64_t count, const Function& p) const {
    return host::sum_vectors(count, p);
  }

  template <class Element, class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Span<Code> codes, const Encoded<HostTile<Element>, Quantizer>& encoded) const {
    store_codes(codes, encoded.tile.span, encoded.quantizer);
  }
  template <class Element, class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Span<Code> codes, const Encoded<const HostTile<Element>, Quantizer>& encoded) const {
    store_codes(codes, encoded.tile.span, encoded.quantizer);
  }
  template <class Code, class Element, class Quantizer>
  KQ_HOST_DEVICE void store(const Block<Code>& codes,
                            const Encoded<const HostBlockTile<Element>, Quantizer>& encoded) const {
    encoded.tile.store(codes, encoded.quantizer);
  }
  template <class Element, class Code, class QuantizerOf>
  KQ_HOST_DEVICE void store(Span<Code> codes, const EncodedEach<HostTile<Element>, QuantizerOf>& encoded) const {
    host::map(encoded.tile.span.data, codes.data, encoded.tile.span.size,
              [of = encoded.quantizer_of](float x, std::int64_t i) { return of(i).code(x); });
  }
  /// Codes and scales of a tile's groups, of `group_size` elements but for the last, which may be shorter. scale_at(i)
  /// is where the scale of group i goes.
  template <class Code, class Element, class Rule, class ScaleAt>
  KQ_HOST_DEVICE void store_groups(Span<Code> codes, const HostTile<Element>& tile, std::int64_t group_size,
                                   const Rule& rule, const ScaleAt& scale_at) const {
    host::quantize_groups(tile.span.data, codes.data, tile.span.size, group_size, rule, scale_at);
  }
  template <class Slot, class Scale>
  KQ_HOST_DEVICE void store(const Slot& slot, const Scale& scale) const requires requires {
    slot.write(scale);
  }
  { slot.write(scale); }
  template <class Reduction, class Element>
  KQ_HOST_DEVICE void store(const ColumnMaximaSlots& slots, const HostColumnMaxima<Reduction, Element>& maxima) const {
    maxima.store(slots);
  }
  template <class Function>
  KQ_HOST_DEVICE void for_each_index(std::int64_t count, const Function& function) const {
    for (std::int64_t i = 0; i < count; ++i) {
      function(i);
    }
  }
  KQ_HOST_DEVICE void store(float* address, float value) const { *address = value; }

 private:
  template <class Element, class Code, class Quantizer>
  KQ_HOST_DEVICE static void store_codes(Span<Code> codes, Span<const Element> x, const Quantizer& quantizer) {
    host::quantize(x.data, codes.data, x.size, quantizer, host::prefetch_distance<Element>(x.size));
  }

  std::int64_t id_;
  std::int64_t count_;
};

}  // namespace kq
