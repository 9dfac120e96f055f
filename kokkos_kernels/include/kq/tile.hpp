// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The tile layer: kernels in Triton's manner on Kokkos.
///
/// A kernel is a functor that is called once for each *program*. A program works on whole spans of memory, and no
/// thread index is in sight. This is the kernel for one scale per token:
///
///     const auto token = program.id();
///     const auto x = program.load(input.row(token));                      // a tile
///     const auto scale = rule.scale(program.reduce(rule.reduction, x));   // a reduction over it, and a formula
///     program.store(codes.row(token), encode(x, scale));                  // a map over it
///     program.store(scales.at(token), scale);
///
/// On a GPU a program is a team, a part of a wave (NVIDIA: warp), or lanes that know nothing of each other. A tile lies
/// in registers as 16-byte vectors, or is read again from memory where the span is longer than its configuration's
/// registers. On a host a program is one thread and a tile is a loop. launch() in kokkos_kernels/src/launch.hpp
/// chooses, by a configuration from kokkos_kernels/src/tuning.hpp. Rules are in scale_rules.hpp, and where a scale goes
/// (`scales.at(token)`) is in scale_layout.hpp.
///
/// Where scales depend on the whole tensor, load_partition() and load_chunk_partition() give a program its part of it,
/// and a reduction goes over all programs.
///
///     span.hpp                   spans and rows of memory (this and the next two in core/)
///     vector.hpp, reduce.hpp     16-byte vectors; AbsMax, AbsMaxOrNan and MinMax, over lanes by lanes.hpp
///     tile_config.hpp            lanes and registers of a program
///     device_tile.hpp            a span in the registers of its lanes
///     device_chunk.hpp           a span whose groups are a few vectors long
///     block_tile.hpp             a block of rows and columns
///     column_maxima.hpp          a reduction of each column of a block
///     cooperative_partition.hpp  a tensor in the registers and scratch memory of all programs
///     chunk_partition.hpp        such a tensor of groups that are a few vectors long
///     grid_reduce.hpp            how programs of one launch tell each other what they found
///     encoded.hpp                encode(x, scale)
///     device_lanes.hpp           what the lanes of a program tell each other
///     vector_maxima.hpp          the greatest magnitudes of a lane's vectors
///     device_rows.hpp            maps and sums of rows, scales and codes of their groups
///     device_program.hpp, host_program.hpp   the program itself

#include "kq/device_program.hpp"
#include "kq/encoded.hpp"
#include "kq/host_program.hpp"
#include "kq/reduce.hpp"
#include "kq/span.hpp"
#include "kq/tile_config.hpp"
