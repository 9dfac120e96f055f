// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether the times of another program may be held against kqbench's: only where a call of kqbench's library takes as
/// long in that program as in kqbench.

#include <cstddef>
#include <string>
#include <vector>

#include "bench/results/result.hpp"

namespace kqbench {

/// A result file and its name as the user gave it.
struct NamedResult {
  std::string name;
  ResultFile result;
};

/// True for implementations that are not kqbench's own: other projects' and plug-ins'.
bool is_peer(const std::string& impl);

/// "A" for the first file.
std::string file_letter(std::size_t file);

/// The most by which a canary's time may differ from kqbench's, either way: 0.02 is 2 %.
inline constexpr double canary_tolerance = 0.02;

/// Why the times of files[file] are not to be used, in words that follow the file's name; empty if they may be. A file
/// of kqbench alone, plug-ins included, needs no canary. One of another program, or with rows of peers, needs one, or
/// one for each peer, whose times before and after agree with kqbench_median_us and, where another file on the line is
/// kqbench's, of the same device, and has a row of that work, with the median of that row.
std::string canary_objection(const std::vector<NamedResult>& files, std::size_t file);

/// Throws UsageError, in one line with the way out, for the first file whose times are used though there is a
/// canary_objection. With `ignore`, returns a line about each such file instead. `used`: one for each file.
std::vector<std::string> check_canaries(const std::vector<NamedResult>& files, const std::vector<bool>& used,
                                        bool ignore);

}  // namespace kqbench
