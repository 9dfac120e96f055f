// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A span as the lanes of a device program hold it: 16-byte vectors in registers, single elements at its ends.

#include <cstdint>
#include <type_traits>

#include "kq/config.hpp"
#include "kq/device.hpp"
#include "kq/span.hpp"

namespace kq {

/// How a device program is laid out: `Lanes` threads, each holding `Vectors` 16-byte vectors of a tile, or none where
/// the tile stays in memory and is read again each time it is used. A program of more lanes than `sub_wave` is a team
/// of its own; smaller ones share a team. With `Aligned`, spans begin and end at whole vectors, of input and codes.
template <int Lanes, int Vectors, bool Aligned = false,
          int Resident = (Vectors >= 8             ? 512
                          : Aligned && Vectors > 0 ? 1280
                                                   : 1024)>
struct TileConfig {
  static constexpr int sub_wave = 32;
  static constexpr int shared_team = 256;
  static constexpr int lanes = Lanes;
  static constexpr int vectors = Vectors;
  static constexpr bool in_registers = Vectors > 0;
  static constexpr bool aligned = Aligned;
  static constexpr int team_size = Lanes > sub_wave ? Lanes : shared_team;
  static constexpr bool is_team = Lanes > sub_wave;
  /// What LaunchBounds takes beside a team's threads, so that a multiprocessor can hold `Resident` threads at once,
  /// which bounds the registers of each: 48 of them for 1280 threads, 64 for 1024, 128 for the 512 that suit a tile
  /// which takes 32 itself. CUDA counts teams, HIP waves of 64 on each of a compute unit's four SIMDs.
#if defined(__HIPCC__)
  static constexpr int min_resident = (Resident > team_size ? Resident : team_size) / 256;
#else
  static constexpr int min_resident = (Resident + team_size - 1) / team_size;
#endif

  /// Elements that fit whatever their alignment: an unaligned span has a vector less, the rest at its edges.
  template <class Element>
  static constexpr std::int64_t capacity = std::int64_t{Lanes} * Vectors* device::width<Element>;
};

/// The same with 128 registers a thread, for kernels that hold more than a tile.
template <class S>
using LowOccupancy = TileConfig<S::lanes, S::vectors, S::aligned, 512>;

/// A span as vectors: those wholly inside it and aligned to 16 bytes are its body, what is left at both ends its edges.
/// `Index` counts elements: 32 bits where the span is known to fit in registers.
template <class Element, class Index, bool Aligned = false>
struct VectorLayout {
  Index head;  ///< elements before the body
  Index body;  ///< vectors
  Index tail;  ///< elements after it

  KQ_HOST_DEVICE explicit VectorLayout(Span<const Element> span) {
    constexpr Index width = device::width<Element>;
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

  KQ_HOST_DEVICE Index vector_begin(Index vector) const { return head + vector * Index{device::width<Element>}; }
  KQ_HOST_DEVICE Index edges() const { return head + tail; }
  KQ_HOST_DEVICE Index edge_index(Index edge) const {
    return edge < head ? edge : edge + body * Index{device::width<Element>};
  }
};

/// A span as a device program sees it. `for_each` hands over this lane's share of it: `vector(v, i)` for a vector of
/// the body that begins i elements behind this lane's first one, which begins at begin(); `edge(x, i)` for element i, a
/// single one at the ends. (What is the same for all vectors of a lane is apart from what the compiler knows, so that
/// it ends up in an address and in an instruction's offset.)
template <class Element, class Config>
class DeviceTile {
 public:
  static constexpr bool reads_again = false;

  KQ_HOST_DEVICE DeviceTile(Span<const Element> span, int lane)
      : data_(span.data), layout_(span), lane_(lane), mine_(span.data + begin()) {
    if constexpr (Config::in_registers) {
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (lane_ + n * Config::lanes < layout_.body) vectors_[n] = device::load16(mine_ + n * row_size);
      }
      KQ_UNROLL
      for (int n = 0; n < held_edges; ++n) {
        const int edge = lane_ + n * Config::lanes;
        if (edge < layout_.edges()) edges_[n] = data_[layout_.edge_index(edge)];
      }
    }
  }

  KQ_HOST_DEVICE auto begin() const { return layout_.vector_begin(lane_); }

  template <class VectorFunction, class EdgeFunction>
  KQ_HOST_DEVICE void for_each(const VectorFunction& on_vector, const EdgeFunction& on_edge) const {
    if constexpr (Config::in_registers) {
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (lane_ + n * Config::lanes < layout_.body) on_vector(vectors_[n], Index{n * row_size});
      }
    } else {
      Index offset = 0;
      for (Index vector = lane_; vector < layout_.body; vector += Config::lanes) {
        on_vector(device::load16(mine_ + offset), offset);
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

 private:
  using Index = std::conditional_t<Config::in_registers, std::int32_t, std::int64_t>;
  static constexpr int row_size = Config::lanes * device::width<Element>;
  static constexpr int held_vectors = Config::in_registers ? Config::vectors : 1;
  static constexpr int held_edges =
      Config::aligned ? 0 : (2 * device::width<Element> - 2 + Config::lanes - 1) / Config::lanes;

  const Element* data_;
  VectorLayout<Element, Index, Config::aligned> layout_;
  int lane_;
  const Element* mine_;  ///< this lane's first vector
  device::Vector16 vectors_[held_vectors];
  Element edges_[Config::aligned ? 1 : held_edges];
};

}  // namespace kq
