// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/measurement.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "bench/measure/settling.hpp"
#include "bench/tensors/random.hpp"

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

  void launch(std::int64_t times) { kqbench::launch(work(), times); }

  /// Of two recorded graphs one must take up where the other ends, so nothing may be launched between recordings.
  void make_sampler(const MeasureOptions& options, Device& device, std::int64_t launches, const Clock& clock) {
    sampler_ = kqbench::make_sampler(options.timing, device, work(), launches, clock, options.launch);
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

/// The seconds of a row, as far as launches took them.
class Spending {
 public:
  Spending(const Clock& clock, double seconds) : clock_(clock), seconds_(seconds) {}

  template <class Work>
  double on(const Work& work) {
    const double begin = clock_();
    work();
    const double spent = clock_() - begin;
    seconds_ += spent;
    return spent;
  }
  double seconds() const { return seconds_; }

 private:
  const Clock& clock_;
  double seconds_;
};

/// One round on its way: everything that its steps need.
struct Round {
  Device& device;
  const MeasureOptions& options;
  const Clock& clock;
  const Interrupted& interrupted;
  Spending& spending;
  int number;  ///< from 0

  /// Seconds of the whole row, for so many implementations.
  double row_seconds(std::size_t implementations) const {
    return options.limits.max_seconds * static_cast<double>(implementations);
  }
};

/// Some launches, each on poisoned outputs and each compared with what it must leave behind: `trial_launches`, or two
/// where more would take longer than a tenth of an implementation's time.
std::optional<Mismatch> try_out(Candidate& candidate, RotatingBuffers& buffers, std::int64_t copies,
                                const Round& round) {
  std::int64_t launches = trial_launches;
  for (std::int64_t done = 0; done < launches;) {
    buffers.poison(candidate.index(), trial_poison);
    for (const std::int64_t batch_end = done + copies; done < std::min(launches, batch_end); ++done) {
      if (done >= 2) {
        candidate.launch(1);
        continue;
      }
      round.device.synchronize();
      const double seconds = round.spending.on([&] {
        candidate.launch(1);
        round.device.synchronize();
      });
      // The first launch also loads code.
      const double rest = seconds * static_cast<double>(trial_launches - 2);
      if (done == 1 && rest > 0.1 * round.options.limits.max_seconds) launches = 2;
    }
    round.spending.on([&] { round.device.synchronize(); });
    if (std::optional<Mismatch> mismatch = buffers.check(candidate.index())) return mismatch;
  }
  return std::nullopt;
}

/// Seconds of a launch, roughly: the least that a growing number of launches, one after the other, took each. Whatever
/// else the processor does makes it longer, never shorter.
double estimate(Candidate& candidate, const Round& round) {
  double least = std::numeric_limits<double>::infinity();
  for (std::int64_t times = 1;; times *= 2) {
    round.device.synchronize();
    const double seconds = round.spending.on([&] {
      candidate.launch(times);
      round.device.synchronize();
    });
    least = std::min(least, seconds / static_cast<double>(times));
    const bool enough = least * static_cast<double>(times) >= round.options.sample_seconds / 4.0;
    if (enough || times >= 4096) return least;
  }
}

/// Launches in a sample of every implementation: as many as fill options.sample_seconds with the fastest, but no more
/// than leave time for limits.min_samples of all.
std::int64_t choose_launches(std::span<Candidate* const> candidates, std::int64_t copies, const Round& round) {
  constexpr int attempts = 5;
  std::vector<double> estimates(candidates.size(), std::numeric_limits<double>::infinity());
  const double row_seconds = round.row_seconds(candidates.size());
  const double begin = round.spending.seconds();
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (attempt > 0 && round.spending.seconds() - begin >= 0.1 * row_seconds) break;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      estimates[i] = std::min(estimates[i], estimate(*candidates[i], round));
    }
  }
  const StoppingLimits& limits = round.options.limits;
  std::int64_t launches = (limits.min_launches + limits.min_samples - 1) / limits.min_samples;
  const double fastest = *std::min_element(estimates.begin(), estimates.end());
  if (fastest > 0.0) {
    launches = std::max(launches, static_cast<std::int64_t>(std::ceil(round.options.sample_seconds / fastest)));
    const double replays = round.options.timing == Timing::graph ? 2.0 : 1.0;
    const double pass = replays * std::accumulate(estimates.begin(), estimates.end(), 0.0);
    const double affordable = 0.75 * row_seconds / (static_cast<double>(limits.min_samples) * pass);
    if (affordable < static_cast<double>(launches)) {
      launches = std::max<std::int64_t>(1, static_cast<std::int64_t>(affordable));
    }
  }
  switch (round.options.timing) {
    case Timing::graph:  // whole rotations, so that one replay takes up where the last one ended
      launches = (launches + copies - 1) / copies * copies;
      break;
    case Timing::wall:  // where launches queue up, a sample is the whole loop that vLLM's script times
      if (has_queue(round.device)) launches = std::max(launches, limits.min_launches);
      break;
    case Timing::stream:
      break;
  }
  return launches;
}

/// Samples whose times are thrown away, until enough launches are done and the clock has settled, or a quarter of the
/// round's time is spent; the launches asked for may take half of it.
void warm_up(std::span<Candidate* const> candidates, const Round& round) {
  const double round_seconds = round.row_seconds(candidates.size()) / round.options.rounds;
  const double begin = round.spending.seconds();
  Settling settling;
  std::int64_t launches = 0;
  while (!round.interrupted()) {
    double microseconds = 0.0;
    round.spending.on([&] {
      for (Candidate* candidate : candidates) {
        microseconds += candidate->sampler().sample();
      }
    });
    launches += candidates.front()->sampler().launches();
    settling.observe(round.device.read_clocks().core_mhz, microseconds);
    const double spent = round.spending.seconds() - begin;
    if (spent >= 0.5 * round_seconds) return;
    const bool ready = settling.settled() || spent >= 0.25 * round_seconds;
    if (launches >= round.options.warmup_launches && ready) return;
  }
}

/// Puts the candidates in a random order, another one for each pass: whatever has a rhythm of its own, as a scheduler's
/// time slices have, would else fall on the same one again and again.
void shuffle(std::span<std::size_t> order, std::uint64_t pass) {
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[random_bits(pass, i) % i]);
  }
}

/// Takes samples in turns until the stopping rule has had enough. One vector for each candidate, to which they are
/// added.
StopReason take_samples(std::span<Candidate* const> candidates, std::vector<std::vector<double>>& samples,
                        ClockWatch& clocks, const Round& round) {
  const std::size_t before = samples.front().size();
  StoppingRule rule(limits_of_round(round.options.limits, round.number, round.options.rounds),
                    static_cast<std::int64_t>(before));
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::int64_t launches = 0;
  for (std::size_t taken = before;; ++taken) {
    shuffle(order, taken);
    for (const std::size_t i : order) {
      if (round.interrupted()) {
        for (std::vector<double>& times : samples) {
          times.resize(taken);  // keep the pairs
        }
        return StopReason::interrupted;
      }
      round.spending.on([&] { samples[i].push_back(candidates[i]->sampler().sample()); });
    }
    launches += candidates.front()->sampler().launches();
    if ((taken - before) % 10 == 9) clocks.add(round.device.read_clocks());
    if (const std::optional<StopReason> stop = rule.after_pass(samples, launches, round.spending.seconds())) {
      return *stop;
    }
  }
}

/// What the timed launches left behind; and, as they might have left alone what was right already, what one more sample
/// of the same kind makes of outputs that are poisoned again.
std::optional<Mismatch> check_timed(Candidate& candidate, RotatingBuffers& buffers) {
  if (std::optional<Mismatch> mismatch = buffers.check(candidate.index())) return mismatch;
  buffers.poison(candidate.index(), replay_poison);
  candidate.sampler().sample();
  return buffers.check(candidate.index());
}

/// `a` or `b`, whichever says less of a cold cache.
Cache warmer(Cache a, Cache b) {
  return std::max(a, b);
}

}  // namespace

std::int64_t plan_copies(const Device& device, const DeviceArena& arena, const kq::Request& request,
                         std::span<Implementation* const> implementations, bool hot) {
  if (hot) return 1;
  const BufferSizes sizes = buffer_sizes(request, implementations);
  const kq::Traffic traffic = kq::minimal_traffic(request);
  RotationLimits limits;
  limits.bytes_per_launch = traffic.total();
  limits.cache_bytes = device.info().cache_bytes;
  limits.memory_per_copy = sizes.per_copy;
  const std::uint64_t room = arena.room();
  limits.memory_for_copies = (room - std::min(room, sizes.fixed)) / 2;
  return copies_for_cold(limits);
}

std::uint64_t planned_bytes(const Device& device, const DeviceArena& arena, const kq::Request& request,
                            std::span<Implementation* const> implementations, bool hot) {
  const BufferSizes sizes = buffer_sizes(request, implementations);
  const std::int64_t copies = plan_copies(device, arena, request, implementations, hot);
  return static_cast<std::uint64_t>(copies) * sizes.per_copy + sizes.fixed;
}

bool measure_round(Device& device, DeviceArena& arena, const Problem& problem,
                   std::span<Implementation* const> implementations, const MeasureOptions& options, const Clock& clock,
                   const Interrupted& interrupted, GroupMeasurement& group) {
  const kq::Request& request = problem.request;
  const kq::Traffic traffic = kq::minimal_traffic(request);
  const bool first = group.rounds == 0;
  GroupMeasurement after = group;  // takes the group's place at the end: what throws leaves nothing half done
  if (first) {
    after.copies = plan_copies(device, arena, request, implementations, options.hot);
    for (const Implementation* implementation : implementations) {
      Measurement& measurement = after.implementations.emplace_back();
      measurement.implementation = implementation->name();
      measurement.host_threads = implementation->host_threads();
    }
  }
  RotatingBuffers buffers(device, arena, problem, implementations, after.copies);
  device.before_measuring();  // after the copies were allocated, before anything is recorded
  Rotation rotation(after.copies);
  ReuseAudit audit(after.copies, traffic.total());
  Spending spending(clock, group.seconds);
  const Round round{device, options, clock, interrupted, spending, group.rounds};

  std::vector<std::unique_ptr<Candidate>> all;
  std::vector<Candidate*> timed;
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    all.push_back(std::make_unique<Candidate>(*implementations[i], i, request, buffers, rotation, audit));
    std::optional<Mismatch>& mismatch = after.implementations[i].mismatch;
    if (first) mismatch = try_out(*all.back(), buffers, after.copies, round);
    if (!mismatch) timed.push_back(all.back().get());
  }
  if (timed.empty()) {
    std::vector<std::optional<Mismatch>*> mismatches;
    for (Measurement& measurement : after.implementations) {
      mismatches.push_back(&measurement.mismatch);
    }
    if (first) buffers.note_agreement(mismatches);  // whose outputs are still there
    after.cache = audit.label(device.info().cache_bytes);
    after.bytes_between_uses = audit.least_bytes_between_uses();
    ++after.rounds;
    group = std::move(after);
    return true;
  }

  if (first) after.launches_per_sample = choose_launches(timed, after.copies, round);
  for (Candidate* candidate : timed) {
    candidate->make_sampler(options, device, after.launches_per_sample, clock);
  }
  if (options.before_timing) options.before_timing();
  warm_up(timed, round);
  std::vector<std::vector<double>> samples;
  for (const Candidate* candidate : timed) {
    buffers.poison(candidate->index(), timing_poison);
    samples.push_back(std::move(after.implementations[candidate->index()].samples));
  }
  const std::size_t before = samples.front().size();
  after.clocks.add(device.read_clocks());
  after.stop = take_samples(timed, samples, after.clocks, round);
  after.clocks.add(device.read_clocks());
  after.seconds = spending.seconds();

  const Cache cache = audit.label(device.info().cache_bytes);
  const std::uint64_t bytes = audit.least_bytes_between_uses();
  after.cache = first ? cache : warmer(group.cache, cache);
  after.bytes_between_uses = first ? bytes : std::min(group.bytes_between_uses, bytes);
  for (std::size_t i = 0; i < timed.size(); ++i) {
    Measurement& measurement = after.implementations[timed[i]->index()];
    measurement.mismatch = check_timed(*timed[i], buffers);
    if (measurement.mismatch) {
      measurement.rounds.clear();
      continue;
    }
    measurement.samples = std::move(samples[i]);
    const std::span<const double> taken = std::span(measurement.samples).subspan(before);
    if (after.stop != StopReason::interrupted) measurement.rounds.push_back(median(taken));
  }
  ++after.rounds;
  group = std::move(after);
  return group.stop != StopReason::interrupted;
}

void summarize(GroupMeasurement& group) {
  const std::vector<double>* native = nullptr;
  for (Measurement& measurement : group.implementations) {
    if (measurement.samples.empty()) continue;
    measurement.median = median(measurement.samples);
    measurement.interval = median_interval(measurement.samples);
    measurement.repeatability =
        repeatability(measurement.rounds, relative_half_width(measurement.interval, measurement.median));
    measurement.drifted = halves_differ(measurement.samples);
    if (measurement.implementation == "native") native = &measurement.samples;
  }
  for (Measurement& measurement : group.implementations) {
    if (native != nullptr && !measurement.samples.empty()) {
      measurement.ratio_to_native = paired_ratio(measurement.samples, *native);
    }
  }
}

GroupMeasurement measure(Device& device, DeviceArena& arena, const Problem& problem,
                         std::span<Implementation* const> implementations, const MeasureOptions& options,
                         const Clock& clock, const Interrupted& interrupted) {
  GroupMeasurement group;
  for (int round = 0; round < options.rounds; ++round) {
    if (!measure_round(device, arena, problem, implementations, options, clock, interrupted, group)) break;
  }
  summarize(group);
  return group;
}

}  // namespace kqbench
