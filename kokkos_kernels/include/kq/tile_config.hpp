// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How a device program is laid out: a compile-time choice that kernels are instantiated for.

#include <cstdint>

#include "kq/arch/config.hpp"
#include "kq/vector.hpp"

namespace kq {

/// `Lanes` threads run a program, each holding `Vectors` 16-byte vectors of a tile in registers, or none where the tile
/// stays in memory and is read again each time it is used. A program of more than 32 lanes is a team of its own;
/// smaller ones share a team of 256. With `Aligned`, spans begin and end at whole vectors, of input and codes; with
/// `Whole` they also have as many elements as the registers hold, so that no lane need ask whether it has a vector.
/// Without `IsTeam` a program of any width is no team: right where it reduces nothing, and no lane waits for another.
///
/// `Resident` is how many threads must fit on a multiprocessor at once. It bounds the registers of a thread: 48 where
/// 1280 must fit, 64 where 1024 must, and 128 where 512 must, which is for tiles that take 32 registers themselves.
template <int Lanes, int Vectors, bool Aligned = false,
          int Resident = (Vectors >= 8             ? 512
                          : Aligned && Vectors > 0 ? 1280
                                                   : 1024),
          bool Whole = false, bool IsTeam = (Lanes > 32)>
struct TileConfig {
  static_assert(!Whole || (Aligned && Vectors > 0));
  static constexpr int lanes = Lanes;
  static constexpr int vectors = Vectors;
  static constexpr bool in_registers = Vectors > 0;
  static constexpr bool aligned = Aligned;
  static constexpr bool whole = Whole;
  static constexpr bool is_team = IsTeam;
  static constexpr int team_size = is_team ? Lanes : 256;
  static constexpr int min_resident = arch::launch_bound(team_size, Resident);  ///< for Kokkos::LaunchBounds

  /// Elements that fit whatever their alignment: an unaligned span has a vector less, the rest at its head and tail.
  template <class Element>
  static constexpr std::int64_t capacity = std::int64_t{Lanes} * Vectors* vector_width<Element>;
};

/// For spans that fill it.
template <int Lanes, int Vectors, int Resident = 1280>
using WholeTileConfig = TileConfig<Lanes, Vectors, true, Resident, true>;

/// For spans that fill it, of kernels that reduce nothing.
template <int Lanes, int Vectors, int Resident = 1280>
using WholeFlatConfig = TileConfig<Lanes, Vectors, true, Resident, true, false>;

/// The configuration with 128 registers per thread, for kernels that hold more than a tile.
template <class Config>
using LowOccupancy = TileConfig<Config::lanes, Config::vectors, Config::aligned, 512, Config::whole>;

}  // namespace kq
