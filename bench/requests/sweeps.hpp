// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Sweeps by name: what `--sweep NAME` stands for. Options given beside it take the place of its lists.

#include <optional>
#include <span>
#include <string_view>

#include "bench/requests/sweep.hpp"

namespace kqbench {

struct NamedSweep {
  std::string_view name;
  std::string_view description;  ///< for the help
  Sweep::Values num_tokens;
  Sweep::Values hidden_sizes;
  Sweep::Values formats;              ///< empty: as without a sweep
  std::optional<double> max_seconds;  ///< --max-time; nothing: as without a sweep
};

std::span<const NamedSweep> named_sweeps();

/// The sweep of that name. Throws UsageError, naming those there are.
const NamedSweep& find_sweep(std::string_view name);

}  // namespace kqbench
