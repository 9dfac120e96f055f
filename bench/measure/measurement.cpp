// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/measurement.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "bench/measure/settling.hpp"

namespace kqbench {
namespace {

// Fillings of the outputs before the trial, before timing, and before the replay after it: different ones, so that a
// code which happens to look like one of them is told from one that was never written.
constexpr std::byte trial_poison{0xa5};
constexpr std::byte timing_poison{0x5a};
constexpr std::byte replay_poison{0xc3};

/// Launches of each implementation that are checked one by one before any is timed, so that one which is right only
/// now and then is found out though later launches write over earlier ones.
constexpr std::int64_t trial_launches = 8;

/// One implementation on its way through a measurement.
class Candidate {
 public:
  Candidate(Implementation& implementation, std::size_t index, const kq::Request& request, RotatingBuffers& buffers,
            Rotation& rotation, ReuseAudit& audit)
      : implementation_(implementation),
        index_(index),
        request_(request),
        buffers_(buffers),
        rotation_(rotation),
        audit_(audit) {}

  Work work() {
    return {[this] {
              const std::int64_t copy = rotation_.next();
              implementation_.enqueue(request_, buffers_.operands(index_, copy));
              return copy;
            },
            [this](std::int64_t copy) {
              audit_.launched(copy);
              buffers_.launched(index_, copy);
            }};
  }

  void launch(std::int64_t times) {
    const Work doing = work();
    for (std::int64_t i = 0; i < times; ++i) {
      doing.launched(doing.enqueue_next());
    }
  }

  /// Seconds of a launch, roughly, launches one after the other.
  double estimate(Device& device, const Clock& clock, double enough_seconds) {
    for (std::int64_t times = 1;; times *= 2) {
      device.synchronize();
      const double begin = clock();
      launch(times);
      device.synchronize();
      const double seconds = clock() - begin;
      if (seconds >= enough_seconds || times >= 4096) return seconds / static_cast<double>(times);
    }
  }

  /// Of two recorded graphs one must take up where the other ends, so nothing may be launched between recordings: the
  /// estimate is made beforehand.
  void make_sampler(const MeasureOptions& options, Device& device, const Clock& clock, double seconds) {
    const StoppingLimits& limits = options.limits;
    std::int64_t launches = (limits.min_launches + limits.min_samples - 1) / limits.min_samples;
    if (seconds > 0.0) {
      launches = std::max(launches, static_cast<std::int64_t>(std::ceil(options.sample_seconds / seconds)));
    }
    switch (options.timing) {
      case Timing::graph:  // whole rotations, so that one replay takes up where the last one ended
        launches = (launches + rotation_.copies() - 1) / rotation_.copies() * rotation_.copies();
        break;
      case Timing::wall:  // where launches queue up, a sample is the whole loop that vLLM's script times
        if (has_queue(device)) launches = std::max(launches, limits.min_launches);
        break;
      case Timing::stream:
        break;
    }
    sampler_ = kqbench::make_sampler(options.timing, device, work(), launches, clock);
  }

  Sampler& sampler() { return *sampler_; }
  std::size_t index() const { return index_; }

 private:
  Implementation& implementation_;
  std::size_t index_;
  const kq::Request& request_;
  RotatingBuffers& buffers_;
  Rotation& rotation_;
  ReuseAudit& audit_;
  std::unique_ptr<Sampler> sampler_;
};

/// Rounds whose times are thrown away, until enough launches are done and the clock has settled, or a quarter of the
/// time for sampling is spent.
void warm_up(std::span<Candidate* const> candidates, const Device& device, const MeasureOptions& options,
             const Clock& clock, const Interrupted& interrupted) {
  const double begin = clock();
  Settling settling;
  std::int64_t launches = 0;
  while (!interrupted()) {
    double microseconds = 0.0;
    std::int64_t least = INT64_MAX;
    for (Candidate* candidate : candidates) {
      microseconds += candidate->sampler().sample();
      least = std::min(least, candidate->sampler().launches());
    }
    launches += least;
    settling.observe(device.read_clocks().core_mhz, microseconds);
    const double limit = 0.25 * options.limits.max_seconds * static_cast<double>(candidates.size());
    if (launches >= options.warmup_launches && (settling.settled() || clock() - begin >= limit)) return;
  }
}

/// Takes samples in turns until the stopping rule has had enough. One vector a candidate.
StopReason take_samples(std::span<Candidate* const> candidates, std::vector<std::vector<double>>& samples,
                        ClockWatch& clocks, const Device& device, const MeasureOptions& options, const Clock& clock,
                        const Interrupted& interrupted) {
  StoppingRule rule(options.limits);
  const double begin = clock();
  std::int64_t launches = 0;
  for (std::int64_t round = 1;; ++round) {
    std::int64_t least = INT64_MAX;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (interrupted()) {
        for (std::size_t done = 0; done < i; ++done)
          samples[done].pop_back();  // keep the pairs
        return StopReason::interrupted;
      }
      samples[i].push_back(candidates[i]->sampler().sample());
      least = std::min(least, candidates[i]->sampler().launches());
    }
    launches += least;
    if (round % 10 == 0) clocks.add(device.read_clocks());
    if (const std::optional<StopReason> stop = rule.after_round(samples, launches, clock() - begin)) return *stop;
  }
}

/// Some launches, each on poisoned outputs and each compared with what it must leave behind.
std::optional<Mismatch> try_out(Candidate& candidate, RotatingBuffers& buffers, std::int64_t copies) {
  for (std::int64_t done = 0; done < trial_launches;) {
    const std::int64_t launches = std::min(trial_launches - done, copies);
    buffers.poison(candidate.index(), trial_poison);
    candidate.launch(launches);
    if (std::optional<Mismatch> mismatch = buffers.check(candidate.index())) return mismatch;
    done += launches;
  }
  return std::nullopt;
}

/// What the timed launches left behind; and, as they might have left alone what was right already, what one more sample
/// of the same kind makes of outputs that are poisoned again.
std::optional<Mismatch> check_timed(Candidate& candidate, RotatingBuffers& buffers) {
  if (std::optional<Mismatch> mismatch = buffers.check(candidate.index())) return mismatch;
  buffers.poison(candidate.index(), replay_poison);
  candidate.sampler().sample();
  return buffers.check(candidate.index());
}

void summarize(Measurement& measurement) {
  measurement.median = median(measurement.samples);
  measurement.interval = median_interval(measurement.samples);
  measurement.drifted = halves_differ(measurement.samples);
}

}  // namespace

std::int64_t plan_copies(const Device& device, const DeviceArena& arena, const kq::Request& request,
                         std::span<Implementation* const> implementations, bool hot) {
  if (hot) return 1;
  const BufferSizes sizes = buffer_sizes(request, implementations);
  const kq::Traffic traffic = kq::minimal_traffic(request);
  RotationLimits limits;
  limits.bytes_per_launch = traffic.read + traffic.written;
  limits.cache_bytes = device.info().cache_bytes;
  limits.memory_per_copy = sizes.per_copy;
  limits.memory_for_copies = arena.room() / 2;
  return copies_for_cold(limits);
}

std::uint64_t planned_bytes(const Device& device, const DeviceArena& arena, const kq::Request& request,
                            std::span<Implementation* const> implementations, bool hot) {
  const BufferSizes sizes = buffer_sizes(request, implementations);
  const std::int64_t copies = plan_copies(device, arena, request, implementations, hot);
  return static_cast<std::uint64_t>(copies) * sizes.per_copy + sizes.fixed;
}

GroupMeasurement measure(Device& device, DeviceArena& arena, const Problem& problem,
                         std::span<Implementation* const> implementations, const MeasureOptions& options,
                         const Clock& clock, const Interrupted& interrupted) {
  const kq::Request& request = problem.request;
  const kq::Traffic traffic = kq::minimal_traffic(request);

  GroupMeasurement group;
  group.copies = plan_copies(device, arena, request, implementations, options.hot);
  RotatingBuffers buffers(device, arena, problem, implementations, group.copies);
  device.before_measuring();  // after the copies were allocated, before anything is recorded
  Rotation rotation(group.copies);
  ReuseAudit audit(group.copies, traffic.read + traffic.written);

  std::vector<std::unique_ptr<Candidate>> all;
  std::vector<Candidate*> timed;
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    all.push_back(std::make_unique<Candidate>(*implementations[i], i, request, buffers, rotation, audit));
    group.implementations.emplace_back().implementation = implementations[i]->name();
    group.implementations.back().mismatch = try_out(*all.back(), buffers, group.copies);
    if (!group.implementations.back().mismatch) timed.push_back(all.back().get());
  }

  std::vector<std::vector<double>> samples(timed.size());
  if (!timed.empty()) {
    std::vector<double> estimates;
    for (Candidate* candidate : timed) {
      estimates.push_back(candidate->estimate(device, clock, options.sample_seconds / 4.0));
    }
    for (std::size_t i = 0; i < timed.size(); ++i) {
      timed[i]->make_sampler(options, device, clock, estimates[i]);
    }
    warm_up(timed, device, options, clock, interrupted);
    for (const Candidate* candidate : timed) {
      buffers.poison(candidate->index(), timing_poison);
    }
    group.clocks.add(device.read_clocks());
    group.stop = take_samples(timed, samples, group.clocks, device, options, clock, interrupted);
    group.clocks.add(device.read_clocks());
  }
  group.cache = audit.label(device.info().cache_bytes);
  group.bytes_between_uses = audit.least_bytes_between_uses();

  const std::vector<double>* native = nullptr;
  for (std::size_t i = 0; i < timed.size(); ++i) {
    Measurement& measurement = group.implementations[timed[i]->index()];
    measurement.mismatch = check_timed(*timed[i], buffers);
    if (measurement.mismatch || samples[i].empty()) continue;
    measurement.samples = std::move(samples[i]);
    measurement.launches_per_sample = timed[i]->sampler().launches();
    summarize(measurement);
    if (measurement.implementation == "native") native = &measurement.samples;
  }
  for (Measurement& measurement : group.implementations) {
    if (native != nullptr && !measurement.samples.empty()) {
      measurement.ratio_to_native = paired_ratio(measurement.samples, *native);
    }
  }
  return group;
}

}  // namespace kqbench
