// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/rank_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <new>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>

#include "bench/fleet/gathered.hpp"
#include "bench/results/json_reader.hpp"
#include "bench/results/json_writer.hpp"
#include "bench/results/text_output.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/support/notice.hpp"

namespace kqbench {
namespace {

std::string rank_name(const JobPlace& place) {
  return fmt::format("rank {} on {}", place.rank, place.host);
}

/// Position in the order of gravity.
std::size_t gravity(int status) {
  constexpr std::array order = {int{exit_done}, int{exit_interrupted}, int{exit_wrong}, int{exit_usage},
                                int{exit_system}};
  return static_cast<std::size_t>(std::find(order.begin(), order.end(), status) - order.begin());
}

/// The result and how it ended, from a report that has come.
std::pair<Ended, ResultFile> read_report(const Job::Report& report) {
  const std::size_t first = report.text.find('\n');
  const std::size_t second = report.text.find('\n', first + 1);
  Ended ended{std::stoi(report.text.substr(0, first)), report.text.substr(first + 1, second - first - 1)};
  return {std::move(ended), parse_result(std::string_view(report.text).substr(second + 1), rank_name(report.place))};
}

/// Ranks that share a device, in words; empty if each has its own.
std::string shared_device(const ResultFile& result) {
  std::map<std::pair<std::string, std::string>, int> seen;
  for (const RankContext& rank : result.context.ranks) {
    if (rank.device_id.empty()) continue;
    const auto [found, is_new] = seen.try_emplace({rank.host, rank.device_id}, rank.rank);
    if (!is_new) {
      return fmt::format(
          "ranks {} and {} share {} on {}, so that their times are of no device; start one rank a device",
          found->second, rank.rank, rank.device_id, rank.host);
    }
  }
  return {};
}

std::optional<FleetSummary> fleet_of(ResultFile result) {
  Fleet fleet;
  for (const NamedResult& part : by_rank({"job", std::move(result)})) {
    fleet.add(part);
  }
  FleetSummary summary = fleet.summary(standard_fleet_limit);
  if (summary.operations.empty()) return std::nullopt;
  return summary;
}

}  // namespace

Ended ended_by(const std::function<int()>& work) {
  try {
    return {work(), ""};
  } catch (const UsageError& error) {
    return {exit_usage, error.what()};
  } catch (const std::bad_alloc&) {
    return {exit_system, "out of host memory; take a smaller shape"};
  } catch (const std::exception& error) {
    return {exit_system, error.what()};
  }
}

std::string report_text(const Ended& ended, const ResultFile& result) {
  std::string failure = ended.failure;
  std::replace(failure.begin(), failure.end(), '\n', ' ');
  return fmt::format("{}\n{}\n{}", ended.status, failure, to_json(result));
}

JobResult job_result(const std::vector<Job::Report>& reports) {
  JobResult all;
  std::vector<RankResult> ranks;
  const auto take_status = [&](int status) {
    if (gravity(status) > gravity(all.status)) all.status = status;
  };
  for (const Job::Report& report : reports) {
    RankResult rank;
    if (report.arrived) {
      Ended ended;
      std::tie(ended, rank.result) = read_report(report);
      rank.failure = std::move(ended.failure);
      take_status(ended.status);
    } else {
      rank.failure = "ended without a word: it was killed or crashed, or its node is gone";
      take_status(exit_system);
    }
    rank.result.context.rank = report.place.rank;
    rank.result.context.host = report.place.host;
    rank.result.context.node = report.place.node;
    rank.result.context.size = report.place.size;
    ranks.push_back(std::move(rank));
  }
  // What all say is no matter of ranks: a wrong option.
  const bool alike = std::all_of(ranks.begin(), ranks.end(),
                                 [&](const RankResult& rank) { return rank.failure == ranks.front().failure; });
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i].failure.empty() || (alike && i > 0)) continue;
    all.notices.push_back(alike ? ranks[i].failure : rank_name(reports[i].place) + ": " + ranks[i].failure);
  }
  all.result = gathered(std::move(ranks));
  const std::string shared = shared_device(all.result);
  if (!shared.empty()) {
    all.notices.push_back(shared);
  } else {
    all.fleet = fleet_of(all.result);
  }
  return all;
}

void keep_own(const OutputArguments& outputs, const JobPlace& place, const ResultFile& result) {
  if (!outputs.json || *outputs.json == "-") return;
  const std::string name = fmt::format("{}.rank{}", *outputs.json, place.rank);
  TextOutput(name).write(to_json(result));
  notice(fmt::format("rank 0 is gone; what {} measured is in {}", rank_name(place), in_quotes(name)));
  // Once a rank has ended without MPI_Finalize, mpirun kills the others, which may still be writing.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
}

}  // namespace kqbench
