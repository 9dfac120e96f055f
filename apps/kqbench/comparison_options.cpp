// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/comparison_options.hpp"

#include <fmt/format.h>

#include "bench/requests/numbers.hpp"
#include "bench/results/comparison.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {

void add_margin(CLI::App& command, std::optional<std::string>& margin) {
  command
      .add_option(
          "--margin", margin,
          fmt::format(
              "How many percent two times may differ and be the same; a row whose interval ends on both sides of "
              "that is ambiguous [{:g}]",
              100.0 * standard_margin))
      ->type_name("PERCENT");
}

double parse_margin(std::string_view percent) {
  const double margin = parse_double("--margin", percent);
  if (!(margin >= 0.0 && margin <= 1000.0)) {
    throw UsageError(fmt::format("--margin: {} is not from 0 to 1000; 2 takes what is within 2 % for the same",
                                 in_quotes(std::string(percent))));
  }
  return margin / 100.0;
}

void add_use_anyway(CLI::App& command, bool& ignore_canary, bool& allow_unequal_threads) {
  command.add_flag(
      "--ignore-canary", ignore_canary,
      "Use another program's times even if its canary (a call of libkq that kqbench times, too) is missing or differs "
      "from kqbench's by more than 2 %");
  command.add_flag("--allow-unequal-threads", allow_unequal_threads,
                   "Compare rows even if they used different numbers of host threads");
}

}  // namespace kqbench
