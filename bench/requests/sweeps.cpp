// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/sweeps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {

std::span<const NamedSweep> named_sweeps() {
  static const std::vector<NamedSweep> sweeps = {
      {"llm",
       "hidden sizes and token counts of common language models",
       {1, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384},
       {2048, 2880, 4096, 5120, 7168, 8192, 14336, 16384},
       {},
       std::nullopt},
      {"quick",
       "a few of them, int8 and fp8, within 20 s on a GPU",
       {1, 64, 1024, 8192},
       {4096},
       {"int8", "fp8_e4m3fn"},
       0.5},
  };
  return sweeps;
}

const NamedSweep& find_sweep(std::string_view name) {
  const std::span<const NamedSweep> sweeps = named_sweeps();
  const auto sweep = std::find_if(sweeps.begin(), sweeps.end(), [&](const NamedSweep& s) { return s.name == name; });
  if (sweep != sweeps.end()) return *sweep;
  std::string known;
  for (const NamedSweep& s : sweeps) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", s.name);
  }
  throw UsageError(fmt::format("--sweep: {} is not known; give one of {}", in_quotes(name), known));
}

}  // namespace kqbench
