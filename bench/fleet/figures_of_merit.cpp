// SPDX-License-Identifier: Apache-2.0
#include "bench/fleet/figures_of_merit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

namespace kqbench {
namespace {

/// Of numbers above 0; nan of none.
class GeometricMean {
 public:
  void add(double value) {
    if (!(value > 0.0)) return;
    sum_ += std::log(value);
    ++count_;
  }
  double value() const {
    return count_ == 0 ? std::numeric_limits<double>::quiet_NaN() : std::exp(sum_ / static_cast<double>(count_));
  }

 private:
  double sum_ = 0.0;
  std::size_t count_ = 0;
};

std::string implementation_of(const ResultFile& result) {
  for (const char* name : {"kokkos", "native"}) {
    if (std::any_of(result.rows.begin(), result.rows.end(), [&](const Row& row) { return row.impl == name; }))
      return name;
  }
  return result.rows.empty() ? "none" : result.rows.front().impl;
}

}  // namespace

std::string figures_of_merit(const ResultFile& result) {
  const std::string impl = implementation_of(result);
  std::size_t rows = 0;
  std::size_t verified = 0;
  GeometricMean time, gbps, fraction, to_native;
  std::map<std::tuple<kq::Request, std::string, std::string, std::string>, std::pair<double, double>> extremes;
  for (const Row& row : result.rows) {
    if (row.impl != impl) continue;
    ++rows;
    if (row.verified) ++verified;
    if (!row.time_us) continue;
    const double median = row.time_us->median;
    time.add(median);
    gbps.add(row.gbps);
    if (row.ceiling_fraction) fraction.add(*row.ceiling_fraction);
    if (row.time_ratio_to_native) to_native.add(*row.time_ratio_to_native);
    if (!row.rank) continue;
    const auto [found, is_new] =
        extremes.try_emplace({row.request, row.timing, row.launch, row.cache}, std::pair(median, median));
    found->second = {std::min(found->second.first, median), std::max(found->second.second, median)};
  }
  double spread = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [work, times] : extremes) {
    spread = std::fmax(spread, times.second / times.first - 1.0);
  }
  return fmt::format(
      "FOM impl={} rows={} verified={} ranks={} time_us={:.3f} gbps={:.1f} ceiling_fraction={:.4f} "
      "time_ratio_to_native={:.4f} spread={:.4f}",
      impl, rows, verified, std::max<std::size_t>(1, result.context.ranks.size()), time.value(), gbps.value(),
      fraction.value(), to_native.value(), spread);
}

}  // namespace kqbench
