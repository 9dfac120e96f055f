// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The tile layer: kernels in Triton's manner on Kokkos.
///
/// A kernel is a functor called once for each *program*. A program works on whole spans of memory, with no thread index
/// in sight:
///
///     const auto x = program.load(input.row(program.id()));            // a tile
///     const float amax = program.max_magnitude(x);                     // a reduction over it
///     program.store(codes.row(program.id()), x, quantizer);            // a map over it, stored
///
/// On a GPU a program is a team, or a part of a wave, and a tile lies in registers as 16-byte vectors; a span that is
/// longer than its shape's registers is read again from memory instead. On a host a program is one thread and a tile is
/// a loop that the compiler vectorizes. `launch` in kokkos_kernels/src/launch.hpp chooses.

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kq/config.hpp"
#include "kq/device.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/host.hpp"
#include "kq/numerics.hpp"

namespace kq {

/// `size` consecutive elements in memory.
template <class T>
struct Span {
  T* data;
  std::int64_t size;
};

/// The rows of a tensor: [num_rows, size], `stride` elements from one to the next.
template <class T>
struct Rows {
  T* data;
  std::int64_t size;
  std::int64_t stride;

  KQ_FUNCTION Span<T> row(std::int64_t index) const { return {data + index * stride, size}; }

  /// Elements [begin, begin + length) of a row, cut at the row's end.
  KQ_FUNCTION Span<T> slice(std::int64_t row, std::int64_t begin, std::int64_t length) const {
    return {data + row * stride + begin, length < size - begin ? length : size - begin};
  }
};

/// Least and greatest element of a span.
struct Range {
  float min;
  float max;
};

// --- on a device -----------------------------------------------------------------------------------------------------

/// How a device program is laid out: `Lanes` threads, each holding `Vectors` 16-byte vectors of a tile, or none where
/// the tile stays in memory and is read again each time it is used. A program of more lanes than `sub_wave` is a team
/// of its own; smaller ones share a team.
template <int Lanes, int Vectors>
struct Shape {
  static constexpr int sub_wave = 32;
  static constexpr int shared_team = 256;
  static constexpr int lanes = Lanes;
  static constexpr int vectors = Vectors;
  static constexpr bool in_registers = Vectors > 0;
  static constexpr int team_size = Lanes > sub_wave ? Lanes : shared_team;
  static constexpr int programs_per_team = team_size / Lanes;
  /// Teams a multiprocessor should hold at once, which bounds a thread's registers: 64 of them for most shapes, 128
  /// where the tile alone takes 32.
  static constexpr int min_teams = (Vectors >= 8 ? 512 : 1024) / team_size;

  /// Elements that fit whatever their alignment: an unaligned span has a vector less, the rest at its edges.
  template <class Element>
  static constexpr std::int64_t capacity = std::int64_t{Lanes} * Vectors* device::width<Element>;
};

/// A span as vectors: those wholly inside it and aligned to 16 bytes are its body, what is left at both ends its edges.
/// `Index` counts elements: 32 bits where the span is known to fit in registers.
template <class Element, class Index>
struct VectorLayout {
  Index head;  ///< elements before the body
  Index body;  ///< vectors
  Index tail;  ///< elements after it

  KQ_FUNCTION explicit VectorLayout(Span<const Element> span) {
    constexpr Index width = device::width<Element>;
    const auto size = static_cast<Index>(span.size);
    const auto begin = static_cast<Index>(reinterpret_cast<std::uintptr_t>(span.data) / sizeof(Element) % width);
    head = begin == 0 ? 0 : width - begin;
    head = head < size ? head : size;
    body = static_cast<Index>(static_cast<std::make_unsigned_t<Index>>(size - head) / width);
    tail = size - head - body * width;
  }

  KQ_FUNCTION Index vector_begin(Index vector) const { return head + vector * Index{device::width<Element>}; }
  KQ_FUNCTION Index edges() const { return head + tail; }
  KQ_FUNCTION Index edge_index(Index edge) const {
    return edge < head ? edge : edge + body * Index{device::width<Element>};
  }
};

/// A span as a device program sees it. `for_each` hands over this lane's share of it: `vector(v, i)` for a vector of
/// the body that begins at element i, `edge(x, i)` for a single element at the ends.
template <class Element, class Shape>
class DeviceTile {
 public:
  KQ_FUNCTION DeviceTile(Span<const Element> span, int lane) : span_(span), layout_(span), lane_(lane) {
    if constexpr (Shape::in_registers) {
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        const int vector = lane_ + n * Shape::lanes;
        if (vector < layout_.body) vectors_[n] = load(vector);
      }
      KQ_UNROLL
      for (int n = 0; n < held_edges; ++n) {
        const int edge = lane_ + n * Shape::lanes;
        if (edge < layout_.edges()) edges_[n] = span_.data[layout_.edge_index(edge)];
      }
    }
  }

  template <class VectorFunction, class EdgeFunction>
  KQ_FUNCTION void for_each(const VectorFunction& on_vector, const EdgeFunction& on_edge) const {
    if constexpr (Shape::in_registers) {
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        const int vector = lane_ + n * Shape::lanes;
        if (vector < layout_.body) on_vector(vectors_[n], layout_.vector_begin(vector));
      }
    } else {
      for (Index vector = lane_; vector < layout_.body; vector += Shape::lanes) {
        on_vector(load(vector), layout_.vector_begin(vector));
      }
    }
    KQ_UNROLL
    for (int n = 0; n < held_edges; ++n) {
      const int edge = lane_ + n * Shape::lanes;
      if (edge < layout_.edges()) {
        const auto index = layout_.edge_index(edge);
        on_edge(Shape::in_registers ? edges_[n] : span_.data[index], index);
      }
    }
  }

 private:
  using Index = std::conditional_t<Shape::in_registers, std::int32_t, std::int64_t>;
  static constexpr int held_vectors = Shape::in_registers ? Shape::vectors : 1;
  static constexpr int held_edges = (2 * device::width<Element> - 2 + Shape::lanes - 1) / Shape::lanes;

  KQ_FUNCTION device::Vector16 load(Index vector) const {
    return device::load16(span_.data + layout_.vector_begin(vector));
  }

  Span<const Element> span_;
  VectorLayout<Element, Index> layout_;
  int lane_;
  device::Vector16 vectors_[held_vectors];
  Element edges_[held_edges];
};

/// One program on a device.
template <class Team, class Shape>
class DeviceProgram {
 public:
  KQ_FUNCTION DeviceProgram(const Team& team, std::int64_t id, std::int64_t count)
      : team_(team),
        id_(id),
        count_(count),
        lane_(static_cast<int>(static_cast<unsigned>(team.team_rank()) % Shape::lanes)) {
    if constexpr (scratch_bytes > 0) slots_ = static_cast<float*>(team.team_scratch(0).get_shmem(int{scratch_bytes}));
  }

  /// Team scratch memory that a program needs.
  static constexpr int scratch_bytes = Shape::programs_per_team > 1 ? 0 : 2 * Shape::lanes / 32 * int{sizeof(float)};

  KQ_FUNCTION std::int64_t id() const { return id_; }        ///< which program this is
  KQ_FUNCTION std::int64_t count() const { return count_; }  ///< of how many

  template <class Element>
  KQ_FUNCTION auto load(Span<const Element> span) const {
    return DeviceTile<Element, Shape>(span, lane_);
  }

  /// max |x| over a tile; NaN is left out, 0 where nothing is left.
  template <class Element>
  KQ_FUNCTION float max_magnitude(const DeviceTile<Element, Shape>& tile) const {
    return max(partial_magnitude(tile));
  }

  /// min and max over a tile; NaN is left out, min > max where nothing is left.
  template <class Element>
  KQ_FUNCTION Range range(const DeviceTile<Element, Shape>& tile) const {
    const Range partial = partial_range(tile);
    return {-max(-partial.min), max(partial.max)};
  }

  // For a reduction over several tiles: partial values, which are combined tile after tile and then once by max().

  /// A partial max |x|.
  template <class Element>
  KQ_FUNCTION float partial_magnitude(const DeviceTile<Element, Shape>& tile) const {
    device::MagnitudeFold<Element> fold;
    tile.for_each([&](const device::Vector16& v, std::int64_t) { fold.add(v); },
                  [&](Element x, std::int64_t) { fold.add(x); });
    return fold.max_magnitude();
  }

  /// A partial min and max.
  template <class Element>
  KQ_FUNCTION Range partial_range(const DeviceTile<Element, Shape>& tile) const {
    device::RangeFold<Element> fold;
    tile.for_each([&](const device::Vector16& v, std::int64_t) { fold.add(v); },
                  [&](Element x, std::int64_t) { fold.add(x); });
    return {fold.min(), fold.max()};
  }

  /// The greatest of a partial value over the whole program.
  KQ_FUNCTION float max(float partial) const {
    if constexpr (Shape::programs_per_team > 1) {
      return device::max_over_lanes<Shape::lanes>(partial);
    } else {
      // The waves of a team meet in scratch memory, where two slots take turns, so that one barrier is enough.
      constexpr int wave = device::wave_size;
      constexpr int waves = Shape::lanes / wave;
      float* const slot = slots_ + (reductions_++ % 2) * (Shape::lanes / 32);
      const float of_wave = device::max_over_lanes<wave>(partial);
      if (lane_ % wave == 0) slot[lane_ / wave] = of_wave;
      team_.team_barrier();
      return device::max_over_lanes<waves>(slot[lane_ % waves]);
    }
  }

  /// codes[i] = quantizer.code(x[i]) over a tile.
  template <class Element, class Code, class Quantizer>
  KQ_FUNCTION void store(Span<Code> codes, const DeviceTile<Element, Shape>& tile, const Quantizer& quantizer) const {
    quantizer.with_fastest([&](const auto& fastest) { store_by(codes, tile, fastest); });
  }

  /// codes[i] = quantizer_of(i).code(x[i]): every element with a quantizer of its own.
  template <class Element, class Code, class QuantizerOf>
  KQ_FUNCTION void store_each(Span<Code> codes, const DeviceTile<Element, Shape>& tile,
                              const QuantizerOf& quantizer_of) const {
    constexpr int width = device::width<Element>;
    tile.for_each(
        [&](const device::Vector16& v, std::int64_t begin) {
          std::uint32_t words[width / 4];
          KQ_UNROLL
          for (int quarter = 0; quarter < width / 4; ++quarter) {
            const std::int64_t i = begin + 4 * quarter;
            const decltype(quantizer_of(i)) quantizers[4] = {quantizer_of(i), quantizer_of(i + 1), quantizer_of(i + 2),
                                                             quantizer_of(i + 3)};
            float x[4];
            device::unpack4<Element>(v, quarter, x);
            words[quarter] = codes4_each(quantizers, x, device::signs4<Element>(v, quarter));
          }
          store_vector(codes.data + begin, words);
        },
        [&](Element x, std::int64_t index) { codes.data[index] = quantizer_of(index).code(to_float(x)); });
  }

  /// One value of the whole program to memory.
  template <class T>
  KQ_FUNCTION void store(T* address, T value) const {
    if (lane_ == 0) *address = value;
  }

  /// The largest of `size` floats in memory, none of them NaN and one at least.
  KQ_FUNCTION float max_of(const float* values, std::int64_t size) const {
    float partial = -__builtin_huge_valf();
    for (std::int64_t i = lane_; i < size; i += Shape::lanes) {
      partial = device::max_number(partial, values[i]);
    }
    return max(partial);
  }

 private:
  template <class Element, class Code, class Quantizer>
  KQ_FUNCTION void store_by(Span<Code> codes, const DeviceTile<Element, Shape>& tile,
                            const Quantizer& quantizer) const {
    tile.for_each(
        [&](const device::Vector16& v, std::int64_t begin) {
          std::uint32_t words[device::width<Element> / 4];
          device::quantize_vector<Element>(v, quantizer, words);
          store_vector(codes.data + begin, words);
        },
        [&](Element x, std::int64_t index) { codes.data[index] = quantizer.code(to_float(x)); });
  }

  template <class Code, int Words>
  KQ_FUNCTION static void store_vector(Code* codes, const std::uint32_t (&words)[Words]) {
    device::store_codes(codes, reinterpret_cast<std::uintptr_t>(codes) % (4 * Words) == 0, words);
  }

  const Team& team_;
  std::int64_t id_;
  std::int64_t count_;
  int lane_;
  float* slots_ = nullptr;
  mutable int reductions_ = 0;
};

// --- on a host -------------------------------------------------------------------------------------------------------

/// A span as a host program sees it.
template <class Element>
struct HostTile {
  Span<const Element> span;
};

/// One program on a host: a single thread. Every loop is over consecutive elements without a branch in its body.
/// (Marked for devices too, because kernels are, but never called there.)
class HostProgram {
 public:
  KQ_FUNCTION HostProgram(std::int64_t id, std::int64_t count) : id_(id), count_(count) {}

  KQ_FUNCTION std::int64_t id() const { return id_; }
  KQ_FUNCTION std::int64_t count() const { return count_; }

  template <class Element>
  KQ_FUNCTION HostTile<Element> load(Span<const Element> span) const {
    return {span};
  }

  template <class Element>
  KQ_FUNCTION float max_magnitude(const HostTile<Element>& tile) const {
    return host::max_magnitude(tile.span.data, tile.span.size);
  }

  template <class Element>
  KQ_FUNCTION Range range(const HostTile<Element>& tile) const {
    const auto [min, max] = host::range(tile.span.data, tile.span.size);
    return {min, max};
  }

  template <class Element>
  KQ_FUNCTION float partial_magnitude(const HostTile<Element>& tile) const {
    return max_magnitude(tile);
  }
  template <class Element>
  KQ_FUNCTION Range partial_range(const HostTile<Element>& tile) const {
    return range(tile);
  }
  KQ_FUNCTION float max(float partial) const { return partial; }

  template <class Element, class Code, class Quantizer>
  KQ_FUNCTION void store(Span<Code> codes, const HostTile<Element>& tile, const Quantizer& quantizer) const {
    quantizer.with_fastest([&](const auto& fastest) {
      host::map(tile.span.data, codes.data, tile.span.size,
                [fastest](float x, std::int64_t) { return fastest.code(x); });
    });
  }

  template <class Element, class Code, class QuantizerOf>
  KQ_FUNCTION void store_each(Span<Code> codes, const HostTile<Element>& tile, const QuantizerOf& quantizer_of) const {
    host::map(tile.span.data, codes.data, tile.span.size,
              [quantizer_of](float x, std::int64_t i) { return quantizer_of(i).code(x); });
  }

  template <class T>
  KQ_FUNCTION void store(T* address, T value) const {
    *address = value;
  }

  KQ_FUNCTION float max_of(const float* values, std::int64_t size) const {
    return *std::max_element(values, values + size);
  }

 private:
  std::int64_t id_;
  std::int64_t count_;
};

}  // namespace kq
