// SPDX-License-Identifier: Apache-2.0
#include "bench/fleet/sharded.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "bench/measure/device_memory.hpp"
#include "bench/measure/measurement.hpp"
#include "bench/measure/rotating_buffers.hpp"
#include "bench/measure/rotation.hpp"
#include "bench/measure/statistics.hpp"

namespace kqbench {
namespace {

/// A sample of the local kernel lasts about as long.
constexpr double sample_seconds = 2e-3;
constexpr std::int64_t most_launches = 2000;
constexpr int warmup_samples = 3;
/// Every copy is exchanged for and checked, and a graph has a node for each: small tensors are not cold then, and
/// ShardedResult::cache says so.
constexpr std::int64_t most_copies = 512;

/// Columns of a matrix of the whole, row by row.
std::vector<std::byte> cut(const kq::TensorSpec& tensor, const std::vector<std::byte>& from, const Columns& columns) {
  const auto width = static_cast<std::size_t>(columns.end - columns.begin) * tensor.element_bytes;
  const std::size_t offset = static_cast<std::size_t>(columns.begin) * tensor.element_bytes;
  std::vector<std::byte> part;
  part.reserve(width * static_cast<std::size_t>(tensor.rows));
  for (std::int64_t row = 0; row < tensor.rows; ++row) {
    const auto begin =
        from.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(row) * tensor.row_stride + offset);
    part.insert(part.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  return part;
}

/// Numbers that every rank finds out for itself, and then knows of all.
class Agreement {
 public:
  Agreement(Device& device, Exchange& exchange, const Ranks& ranks)
      : device_(device), exchange_(exchange), ranks_(ranks), memory_(device, sizeof(float) * room(ranks)) {}

  /// By rank: `count` numbers of each, none below 0.
  template <std::size_t Count>
  std::vector<std::array<float, Count>> of_all(const std::array<float, Count>& mine) {
    static_assert(Count <= most);
    std::vector<std::array<float, Count>> all(static_cast<std::size_t>(ranks_.size));  // zeros
    all[static_cast<std::size_t>(ranks_.rank)] = mine;
    auto* const there = reinterpret_cast<float*>(memory_.data());
    const std::size_t bytes = sizeof(mine) * all.size();
    device_.copy_to_device(there, all.data(), bytes);
    exchange_.enqueue_max(there, Count * all.size());
    device_.copy_to_host(all.data(), there, bytes);
    return all;
  }

  /// The greatest of all ranks.
  double max(double mine) {
    double greatest = 0.0;
    for (const auto& of_rank : of_all(std::array{static_cast<float>(mine)})) {
      greatest = std::max(greatest, double{of_rank[0]});
    }
    return greatest;
  }

 private:
  static constexpr std::size_t most = 8;
  static std::size_t room(const Ranks& ranks) { return most * static_cast<std::size_t>(ranks.size); }

  Device& device_;
  Exchange& exchange_;
  Ranks ranks_;
  DeviceMemory memory_;
};

/// One way of quantizing the part, on copies in turn.
class Way {
 public:
  using Enqueue = std::function<void(const Operands& operands)>;

  Way(Device& device, const Problem& problem, Implementation& implementation, std::int64_t copies, Enqueue enqueue)
      : arena_(device),
        implementations_{&implementation},
        buffers_(device, arena_, problem, implementations_, copies),
        rotation_(copies),
        audit_(copies, kq::minimal_traffic(problem.request).total()),
        enqueue_(std::move(enqueue)) {}

  Work work() {
    return {[this] {
              const std::int64_t copy = rotation_.next();
              enqueue_(buffers_.operands(0, copy));
              return copy;
            },
            [this](std::int64_t copy) {
              audit_.launched(copy);
              buffers_.launched(0, copy);
            }};
  }

  void launch(std::int64_t times) { kqbench::launch(work(), times); }

  Cache cache(const Device& device) const { return audit_.label(device.info().cache_bytes); }
  void poison(std::byte value) { buffers_.poison(0, value); }
  std::optional<Mismatch> check() const { return buffers_.check(0); }

  void make_sampler(Timing timing, Device& device, std::int64_t launches, const Clock& clock) {
    sampler_ = kqbench::make_sampler(timing, device, work(), launches, clock);
  }
  void sample() { samples_.push_back(sampler_->sample()); }
  void forget_samples() { samples_.clear(); }
  const std::vector<double>& samples() const { return samples_; }

 private:
  DeviceArena arena_;
  std::array<Implementation*, 1> implementations_;
  RotatingBuffers buffers_;
  Rotation rotation_;
  ReuseAudit audit_;
  Enqueue enqueue_;
  std::unique_ptr<Sampler> sampler_;
  std::vector<double> samples_;
};

/// Seconds of a launch, roughly.
double estimate(Device& device, Way& way, const Clock& clock) {
  constexpr std::int64_t times = 10;
  double least = std::numeric_limits<double>::infinity();
  for (int attempt = 0; attempt < 3; ++attempt) {
    device.synchronize();
    const double begin = clock();
    way.launch(times);
    device.synchronize();
    least = std::min(least, (clock() - begin) / static_cast<double>(times));
  }
  return std::max(least, 1e-7);
}

/// Launches of a sample, alike on all ranks: as many as fill sample_seconds with the local kernel, but not ten times
/// that with the exchange. Whole rotations where a graph of them is replayed.
std::int64_t choose_launches(Device& device, Way& local, Way& sharded, std::int64_t copies, Timing timing,
                             const Clock& clock, Agreement& agreement) {
  const double wanted = std::min(sample_seconds / estimate(device, local, clock),
                                 10.0 * sample_seconds / estimate(device, sharded, clock));
  const double mine = std::clamp(std::ceil(wanted), 1.0, static_cast<double>(most_launches));
  const auto launches = static_cast<std::int64_t>(agreement.max(mine));
  return timing == Timing::graph ? (launches + copies - 1) / copies * copies : launches;
}

ShardedTimes times_of(const Way& local, const Way& halves, const Way& sharded) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < sharded.samples().size(); ++i) {
    differences.push_back(sharded.samples()[i] - halves.samples()[i]);
  }
  const double exchange = median(differences);
  const Interval interval = median_interval(differences);
  return {median(local.samples()), median(halves.samples()), median(sharded.samples()), exchange,
          std::max(interval.high - exchange, exchange - interval.low)};
}

}  // namespace

Columns columns_of(const Ranks& ranks, std::int64_t hidden_size) {
  return {hidden_size * ranks.rank / ranks.size, hidden_size * (ranks.rank + 1) / ranks.size};
}

Problem shard_of(const Problem& whole, const Ranks& ranks) {
  const Columns columns = columns_of(ranks, whole.request.hidden_size);
  kq::Request request = whole.request;
  request.hidden_size = columns.end - columns.begin;
  request.input_stride = 0;
  request.codes_stride = 0;
  Problem part{kq::resolved(request), whole.given, whole.expected};
  for (const kq::TensorSpec& tensor : kq::tensors(whole.request)) {
    if (!tensor.is_matrix) continue;  // scales and zero points are those of the whole
    HostTensors& tensors = tensor.is_written ? part.expected : part.given;
    const HostTensors& from = tensor.is_written ? whole.expected : whole.given;
    tensors.*tensor.on_host = cut(tensor, from.*tensor.on_host, columns);
  }
  return part;
}

bool ShardedResult::all_verified() const {
  return std::all_of(verified.begin(), verified.end(), [](bool is) { return is; });
}

ShardedTimes ShardedResult::slowest() const {
  ShardedTimes most = ranks.front();
  for (const ShardedTimes& times : ranks) {
    most.local = std::max(most.local, times.local);
    most.halves = std::max(most.halves, times.halves);
    most.sharded = std::max(most.sharded, times.sharded);
    if (times.exchange > most.exchange) {
      most.exchange = times.exchange;
      most.half_width = times.half_width;
    }
  }
  return most;
}

ShardedResult measure_sharded(Device& device, Implementation& implementation, Exchange& exchange, const Ranks& ranks,
                              const Problem& whole, int samples, const Clock& clock) {
  const Problem part = shard_of(whole, ranks);
  const kq::Request& request = part.request;
  const Problem alone = make_problem(request, part.given.input, {});
  const std::size_t extremes_bytes = implementation.extremes_bytes(request).value_or(0);
  const DeviceMemory extremes_memory(device, extremes_bytes);
  auto* const extremes = reinterpret_cast<float*>(extremes_memory.data());
  const auto find = [&](const Operands& operands) {
    implementation.enqueue_find_extremes(request, operands, extremes);
  };
  const auto by_extremes = [&](const Operands& operands) {
    implementation.enqueue_by_extremes(request, operands, extremes);
  };

  Agreement agreement(device, exchange, ranks);
  const std::array<Implementation*, 1> implementations{&implementation};
  const DeviceArena room(device);
  const std::int64_t planned = plan_copies(device, room, request, implementations, false);
  const auto copies = static_cast<std::int64_t>(agreement.max(static_cast<double>(std::min(planned, most_copies))));
  Way local(device, alone, implementation, copies,
            [&](const Operands& operands) { implementation.enqueue(request, operands); });
  Way halves(device, alone, implementation, copies, [&](const Operands& operands) {
    find(operands);
    by_extremes(operands);
  });
  Way sharded(device, part, implementation, copies, [&](const Operands& operands) {
    find(operands);
    exchange.enqueue_max(extremes, extremes_bytes / sizeof(float));
    by_extremes(operands);
  });
  const std::array<Way*, 3> ways{&local, &halves, &sharded};

  ShardedResult result;
  result.copies = copies;
  const auto check = [&] {
    for (Way* way : ways) {
      if (auto mismatch = way->check(); mismatch && !result.mismatch) result.mismatch = std::move(mismatch);
    }
  };
  for (Way* way : ways) {
    way->poison(std::byte{0xa5});
    way->launch(copies);
  }
  check();

  const Timing timing = has_queue(device) ? Timing::graph : Timing::wall;
  result.launches_per_sample = choose_launches(device, local, sharded, copies, timing, clock, agreement);
  for (Way* way : ways) {
    way->poison(std::byte{0x5a});
    way->make_sampler(timing, device, result.launches_per_sample, clock);
  }
  device.before_measuring();
  // Every rank in the same order: an exchange waits for all of them.
  for (int i = -warmup_samples; i < samples; ++i) {
    if (i == 0) std::for_each(ways.begin(), ways.end(), [](Way* way) { way->forget_samples(); });
    for (std::size_t k = 0; k < ways.size(); ++k) {
      ways[(k + static_cast<std::size_t>(i + warmup_samples)) % ways.size()]->sample();
    }
  }
  result.samples = samples;
  result.cache = sharded.cache(device);
  check();

  const ShardedTimes mine = times_of(local, halves, sharded);
  // Differences may be negative, and what is agreed on may not.
  const auto positive = [](double value) { return static_cast<float>(std::max(value, 0.0)); };
  for (const auto& of_rank : agreement.of_all(
           std::array{positive(mine.local), positive(mine.halves), positive(mine.sharded), positive(mine.exchange),
                      positive(-mine.exchange), positive(mine.half_width), result.mismatch ? 1.0f : 0.0f})) {
    result.ranks.push_back({of_rank[0], of_rank[1], of_rank[2], double{of_rank[3]} - double{of_rank[4]}, of_rank[5]});
    result.verified.push_back(of_rank[6] == 0.0f);
  }
  return result;
}

}  // namespace kqbench
