// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The line that harnesses of clusters (ReFrame, Ramble) read with regular expressions.

#include <string>

#include "bench/results/result.hpp"

namespace kqbench {

/// One line without its line feed, of one implementation's rows: of kokkos or, if there is none, native or else the
/// first there is. Members keep their names and order; new ones come at the end. A figure that is not known is nan.
///
///     FOM impl=kokkos rows=8 verified=8 ranks=4 time_us=26.181 gbps=3845.5 ceiling_fraction=0.8850
///     time_ratio_to_native=1.0110 spread=0.0120
///
/// rows: of all ranks; time_us, gbps, ceiling_fraction and time_ratio_to_native: geometric means over those that have
/// one; spread: the largest of an operation's over the ranks, slowest / fastest - 1.
std::string figures_of_merit(const ResultFile& result);

}  // namespace kqbench
