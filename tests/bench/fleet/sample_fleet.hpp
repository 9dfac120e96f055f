// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Devices of a fleet for tests, made up.

#include <string>
#include <vector>

#include "tests/bench/results/sample_results.hpp"

namespace kqbench {

/// What rank `rank` of `size` measured: two operations whose kokkos rows take 20 and 40 µs times `factor`.
inline ResultFile rank_result(int rank, int size, double factor, const std::string& measured = "together") {
  ResultFile result;
  result.context.backend = "cuda";
  result.context.device = "Some GPU";
  result.context.device_id = "GPU-" + std::to_string(rank);
  result.context.host = rank < 2 ? "left" : "right";
  result.context.node = result.context.host;
  result.context.rank = rank;
  result.context.size = size;
  result.context.measured = measured;
  result.context.power_cap_watts = 700.0;
  for (const double microseconds : {20.0, 40.0}) {
    Row row = sample_row("kokkos", token_request(microseconds == 20.0 ? 64 : 128, 4096), microseconds * factor);
    row.time_us->rounds = {row.time_us->median, row.time_us->median};
    row.time_us->repeatability = 0.02;
    row.clocks.core_mhz_after = 1980.0;
    row.clocks.power_watts = 500.0;
    row.clocks.temperature_celsius = 50.0;
    result.rows.push_back(row);
  }
  return result;
}

}  // namespace kqbench
