// SPDX-License-Identifier: Apache-2.0
#include "bench/fleet/gathered.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace kqbench {

ResultFile gathered(std::vector<RankResult> ranks) {
  std::sort(ranks.begin(), ranks.end(),
            [](const RankResult& a, const RankResult& b) { return a.result.context.rank < b.result.context.rank; });
  ResultFile file;
  file.context = ranks.front().result.context;
  for (RankResult& rank : ranks) {
    const Context& context = rank.result.context;
    const bool complete = rank.result.complete && rank.failure.empty();
    file.complete = file.complete && complete;
    file.context.ranks.push_back({context.rank, context.host, context.node, context.device, context.device_id,
                                  context.power_cap_watts, context.clocks, complete, rank.failure});
    for (Row& row : rank.result.rows) {
      row.rank = context.rank;
      file.rows.push_back(std::move(row));
    }
  }
  return file;
}

std::vector<NamedResult> by_rank(NamedResult file) {
  std::vector<NamedResult> parts;
  if (file.result.context.ranks.empty()) {
    parts.push_back(std::move(file));
    return parts;
  }
  for (const RankContext& rank : file.result.context.ranks) {
    NamedResult part{fmt::format("{}, rank {}", file.name, rank.rank), {}};
    part.result.complete = rank.complete;
    Context& context = part.result.context;
    context = file.result.context;
    context.ranks.clear();
    if (rank.rank != context.rank) context.ceilings_gbps.clear();  // they are the first one's
    context.rank = rank.rank;
    context.host = rank.host;
    context.node = rank.node;
    context.device = rank.device;
    context.device_id = rank.device_id;
    context.power_cap_watts = rank.power_cap_watts;
    context.clocks = rank.clocks;
    for (Row& row : file.result.rows) {
      if (row.rank != rank.rank) continue;
      row.rank.reset();
      part.result.rows.push_back(std::move(row));
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace kqbench
