// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The results of several processes in one file, and each of them out of it.

#include <string>
#include <vector>

#include "bench/results/canary.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

/// What a process of a job measured: `result` is of one process, and knows its rank.
struct RankResult {
  ResultFile result;
  std::string failure;  ///< why it could not go on, in one line; empty if nothing was wrong
};

/// One file of them all, ordered by rank: the context is that of the first and tells of each in `ranks`; each row has
/// its rank. It is complete if all of them are and failed nowhere. Not empty.
ResultFile gathered(std::vector<RankResult> ranks);

/// A file that was gathered, as the files of its processes: "run.json, rank 2". Any other file as it is.
std::vector<NamedResult> by_rank(NamedResult file);

}  // namespace kqbench
