// SPDX-License-Identifier: Apache-2.0
#include "bench/results/canary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "bench/results/row_text.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

constexpr std::array<std::string_view, 3> own_implementations = {"kokkos", "native", "reference"};
constexpr const char* own_program = "kqbench";

/// True for a row that was not timed in kqbench's process. A plug-in's kernels were: its file names them.
bool is_of_peer(const ResultFile& result, const Row& row) {
  return is_peer(row.impl) &&
         (result.context.program != own_program || !result.context.implementations.contains(row.impl));
}

bool needs_canary(const ResultFile& result) {
  return result.context.program != own_program ||
         std::any_of(result.rows.begin(), result.rows.end(), [&](const Row& row) { return is_of_peer(result, row); });
}

bool is_same_work(const Row& row, const Canary& canary) {
  return row.impl == canary.impl && row.timing == canary.timing && row.cache == canary.cache &&
         row.request == canary.request;
}

/// A time of kqbench's, and where it stands.
struct Known {
  double microseconds = 0.0;
  std::string where;
};

std::vector<Known> known_times(const std::vector<NamedResult>& files, std::size_t file, const Canary& canary) {
  std::vector<Known> known;
  if (canary.kqbench_median_us) known.push_back({*canary.kqbench_median_us, "in kqbench, as the file says"});
  for (std::size_t other = 0; other < files.size(); ++other) {
    const ResultFile& result = files[other].result;
    if (other == file || result.context.program != own_program ||
        result.context.device != files[file].result.context.device) {
      continue;
    }
    for (const Row& row : result.rows) {
      if (!row.time_us || !is_same_work(row, canary)) continue;
      known.push_back({row.time_us->median,
                       fmt::format("in {} ({} {})", in_quotes(files[other].name), file_letter(other), row.impl)});
    }
  }
  return known;
}

bool within_tolerance(double microseconds, double of_kqbench) {
  return std::abs(microseconds / of_kqbench - 1.0) <= canary_tolerance * (1.0 + 1e-9);
}

/// "its canary, static tensor fp8_e4m3fn from half, 1x4096,".
std::string canary_text(const Canary& canary) {
  return fmt::format("its canary{}, {} {} from {}, {},", canary.peer.empty() ? "" : " beside " + canary.peer,
                     canary.operation, kq::to_string(canary.request.format), kq::to_string(canary.request.element),
                     shape_text(canary.request));
}

/// The first peer in whose process no canary was timed; empty if there is none.
std::string peer_without_canary(const ResultFile& result) {
  const std::vector<Canary>& canaries = result.context.canary;
  for (const Row& row : result.rows) {
    const bool covered = std::any_of(canaries.begin(), canaries.end(), [&](const Canary& canary) {
      return canary.peer.empty() || canary.peer == row.impl;
    });
    if (is_of_peer(result, row) && !covered) return row.impl;
  }
  return "";
}

std::string disagreement(const Canary& canary, const Known& known) {
  for (const auto& [microseconds, when] :
       {std::pair(canary.median_us_before, "before the peers"), std::pair(canary.median_us_after, "after the peers")}) {
    if (within_tolerance(microseconds, known.microseconds)) continue;
    return fmt::format("{} took {:.3f} µs {} and {:.3f} µs {}: {:+.1f} %, where {:g} % is allowed", canary_text(canary),
                       microseconds, when, known.microseconds, known.where,
                       100.0 * (microseconds / known.microseconds - 1.0), 100.0 * canary_tolerance);
  }
  return "";
}

}  // namespace

bool is_peer(const std::string& impl) {
  return std::find(own_implementations.begin(), own_implementations.end(), impl) == own_implementations.end();
}

std::string file_letter(std::size_t file) {
  return std::string(1, static_cast<char>('A' + file));
}

std::string canary_objection(const std::vector<NamedResult>& files, std::size_t file) {
  const ResultFile& result = files[file].result;
  if (!needs_canary(result)) return "";
  if (result.context.canary.empty()) {
    return "it has other programs' times and no canary, a call of libkq that both programs time";
  }
  if (const std::string peer = peer_without_canary(result); !peer.empty()) {
    return fmt::format("it has times of {} and no canary beside them", in_quotes(peer));
  }
  for (const Canary& canary : result.context.canary) {
    const std::vector<Known> known = known_times(files, file, canary);
    if (known.empty()) {
      return canary_text(canary) + " has no time of kqbench's to be held against";
    }
    for (const Known& time : known) {
      if (std::string text = disagreement(canary, time); !text.empty()) return text;
    }
  }
  return "";
}

std::vector<std::string> check_canaries(const std::vector<NamedResult>& files, const std::vector<bool>& used,
                                        bool ignore) {
  std::vector<std::string> remarks;
  for (std::size_t file = 0; file < files.size(); ++file) {
    const std::string objection = used[file] ? canary_objection(files, file) : "";
    if (objection.empty()) continue;
    const std::string name = in_quotes(files[file].name);
    if (!ignore) {
      throw UsageError(fmt::format("{}: its times are not comparable: {}; measure it anew, or pass --ignore-canary",
                                   name, objection));
    }
    remarks.push_back(fmt::format("{}: its times are used though they may not be comparable (--ignore-canary): {}.",
                                  name, objection));
  }
  return remarks;
}

}  // namespace kqbench
