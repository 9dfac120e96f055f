// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A span as the lanes of a device program hold it: 16-byte vectors in registers, single elements at its ends.

#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"
#include "kq/numerics.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kq {

/// A span as vectors: those wholly inside it and aligned to 16 bytes are its body; what is left at both ends, its head
/// and tail, are single elements, its edges. `Index` counts elements: 32 bits where the span is known to fit in
/// registers.
template <class Element, class Index, bool Aligned = false>
struct VectorLayout {
  Index head;  ///< elements before the body
  Index body;  ///< vectors
  Index tail;  ///< elements after it

  KQ_HOST_DEVICE explicit VectorLayout(Span<const Element> span) {
    constexpr Index width = vector_width<Element>;
    using Unsigned = std::make_unsigned_t<Index>;
    const auto size = static_cast<Index>(span.size);
    head = 0;
    if constexpr (!Aligned) {
      const auto begin = static_cast<Index>(reinterpret_cast<std::uintptr_t>(span.data) / sizeof(Element) % width);
      head = begin == 0 ? 0 : width - begin;
      head = head < size ? head : size;
    }
    body = static_cast<Index>(static_cast<Unsigned>(size - head) / Unsigned{width});
    tail = Aligned ? 0 : size - head - body * width;
  }

  KQ_HOST_DEVICE Index vector_begin(Index vector) const { return head + vector * Index{vector_width<Element>}; }
  KQ_HOST_DEVICE Index edges() const { return head + tail; }
  KQ_HOST_DEVICE Index edge_index(Index edge) const {
    return edge < head ? edge : edge + body * Index{vector_width<Element>};
  }
};

/// Where a lane's vectors of codes go, which all are as aligned as the first.
template <class Element, class Code, class Config, bool EvictFirst = false>
struct CodeVectors {
  static constexpr int width = vector_width<Element>;
  Code* first;
  bool wide;

  KQ_HOST_DEVICE explicit CodeVectors(Code* address)
      : first(address), wide(Config::aligned || takes_packs<Code, width>(address)) {}
  KQ_HOST_DEVICE void store(std::int64_t offset, const CodePack<Code, width>& pack) const {
    store_codes<EvictFirst>(element_address(first, offset), wide, pack);
  }
};

/// One lane's part of a span. `for_each` hands it over: `on_vector(v, i)` for a vector of the body that begins i
/// elements behind this lane's first one, which begins at begin(); `on_edge(x, i)` for element i, a single one at the
/// ends. (The offsets i are constants to the compiler, and begin() is none. Kept apart, begin() becomes one address
/// register, and the offsets become parts of instructions.)
template <class Element, class Config>
class DeviceTile {
 public:
  static constexpr bool reads_again = false;

  KQ_HOST_DEVICE DeviceTile(Span<const Element> span, int lane)
      : data_(span.data), layout_(span), lane_(lane), mine_(span.data + begin()) {
    arch::wait_for_prerequisite_grids(mine_, Config::whole ? 0 : static_cast<std::int32_t>(layout_.body));
    if constexpr (Config::in_registers) {
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (has(n)) vectors_[n] = arch::load16(mine_ + n * row_size);
      }
      KQ_UNROLL
      for (int n = 0; n < held_edges; ++n) {
        const int edge = lane_ + n * Config::lanes;
        if (edge < layout_.edges()) edges_[n] = data_[layout_.edge_index(edge)];
      }
      arch::launch_dependent_grids();
    }
  }

  KQ_HOST_DEVICE auto begin() const { return layout_.vector_begin(lane_); }

  template <class VectorFunction, class EdgeFunction>
  KQ_HOST_DEVICE void for_each(const VectorFunction& on_vector, const EdgeFunction& on_edge) const {
    if constexpr (Config::in_registers) {
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (has(n)) on_vector(vectors_[n], Index{n * row_size});
      }
    } else {
      Index offset = 0;
      for (Index vector = lane_; vector < layout_.body; vector += Config::lanes) {
        on_vector(arch::load16(mine_ + offset), offset);
        offset += row_size;
      }
    }
    KQ_UNROLL
    for (int n = 0; n < held_edges; ++n) {
      const int edge = lane_ + n * Config::lanes;
      if (edge < layout_.edges()) {
        const auto index = layout_.edge_index(edge);
        on_edge(Config::in_registers ? edges_[n] : data_[index], index);
      }
    }
  }

  /// This tile with function(v, i, n) in the place of its n-th vector v, which begins i elements behind this lane's
  /// first one. Aligned and in registers.
  template <class Function>
  KQ_HOST_DEVICE DeviceTile mapped(const Function& function) const {
    static_assert(Config::in_registers && Config::aligned);
    DeviceTile result = *this;
    KQ_UNROLL
    for (int n = 0; n < held_vectors; ++n) {
      if (has(n)) result.vectors_[n] = function(vectors_[n], Index{n * row_size}, n);
    }
    return result;
  }

  /// Whether this lane has its n-th vector.
  KQ_HOST_DEVICE bool has(int n) const { return Config::whole || lane_ + n * Config::lanes < layout_.body; }

  /// The n-th of this lane's vectors, which it has.
  KQ_HOST_DEVICE const Vector16& held(int n) const { return vectors_[n]; }

  /// function(v, i, n, here) for the n-th of the vectors that a lane has room for; `here` is whether it has one. Lanes
  /// that have none are called too, so that they can exchange values. Aligned and in registers.
  template <class Function>
  KQ_HOST_DEVICE void for_each_held(const Function& function) const {
    static_assert(Config::in_registers && Config::aligned);
    KQ_UNROLL
    for (int n = 0; n < held_vectors; ++n) {
      function(vectors_[n], Index{n * row_size}, n, has(n));
    }
  }

  static constexpr int room = Config::in_registers ? Config::vectors : 1;  ///< vectors of a lane
  static constexpr int row_size = Config::lanes * vector_width<Element>;   ///< elements from one of them to the next

  /// codes[i] = the code of element i, each by a quantizer of its own: quantizer_of(i).
  template <class Code, class QuantizerOf>
  KQ_HOST_DEVICE void store_each(Span<Code> codes, const QuantizerOf& of) const {
    constexpr int width = vector_width<Element>;
    const CodeVectors<Element, Code, Config> mine(element_address(codes.data, begin()));
    for_each(
        [&](const Vector16& v, std::int64_t offset) {
          CodePack<Code, width> pack;
          KQ_UNROLL
          for (int quarter = 0; quarter < width / 4; ++quarter) {
            const std::int64_t i = begin() + offset + 4 * quarter;
            const decltype(of(i)) quantizers[4] = {of(i), of(i + 1), of(i + 2), of(i + 3)};
            float x[4];
            unpack4<Element>(v, quarter, x);
            pack.put4(quarter, codes4_each(quantizers, x, signs4<Element>(v, quarter)));
          }
          mine.store(offset, pack);
        },
        [&](Element x, std::int64_t index) { codes.data[index] = of(index).code(to_float(x)); });
  }

 private:
  using Index = std::conditional_t<Config::in_registers, std::int32_t, std::int64_t>;
  static constexpr int held_vectors = Config::in_registers ? Config::vectors : 1;
  static constexpr int held_edges =
      Config::aligned ? 0 : (2 * vector_width<Element> - 2 + Config::lanes - 1) / Config::lanes;

  const Element* data_;
  VectorLayout<Element, Index, Config::aligned> layout_;
  int lane_;
  const Element* mine_;  ///< this lane's first vector
  Vector16 vectors_[held_vectors];
  Element edges_[Config::aligned ? 1 : held_edges];
};

}  // namespace kq
