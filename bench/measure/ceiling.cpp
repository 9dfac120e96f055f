// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/ceiling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bench/measure/rotation.hpp"

namespace kqbench {
namespace {

/// Reads as a fraction of all bytes.
double share_of_reads(StreamMix mix) {
  switch (mix) {
    case StreamMix::read_only:
      return 1.0;
    case StreamMix::write_only:
      return 0.0;
    case StreamMix::copy:
      return 1.0 / 2.0;
    case StreamMix::read2_write1:
      return 2.0 / 3.0;
    case StreamMix::read4_write1:
      return 4.0 / 5.0;
  }
  return 0.0;
}

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

/// Bytes of one pass: enough that a pass leaves nothing in the cache that the next one could find, and on a device with
/// a queue that the time between two launches does not count; 0 if there is no room for that.
std::uint64_t pass_bytes(const Device& device, const DeviceArena& arena) {
  const std::uint64_t cache = device.info().cache_bytes == 0 ? assumed_cache_bytes : device.info().cache_bytes;
  const std::uint64_t least = 2 * cache + mebibyte;
  const std::uint64_t wanted = has_queue(device) ? std::max(least, 1024 * mebibyte) : least;
  const std::uint64_t room = arena.room() / 4;
  return room < least ? 0 : std::min(wanted, room) / mebibyte * mebibyte;
}

/// Times some passes in one go.
class PassTimer {
 public:
  PassTimer(Device& device, const Clock& clock) : device_(device), clock_(clock) {
    if (device.has_events()) {
      begin_ = device.make_event();
      end_ = device.make_event();
    }
  }

  template <class EnqueuePass>
  double microseconds_per_pass(int passes, EnqueuePass enqueue) {
    const auto all = [&] {
      for (int pass = 0; pass < passes; ++pass) {
        enqueue();
      }
    };
    if (begin_) {
      begin_->record();
      all();
      end_->record();
      return end_->microseconds_since(*begin_) / passes;
    }
    device_.synchronize();
    const double begin = clock_();
    all();
    device_.synchronize();
    return (clock_() - begin) * 1e6 / passes;
  }

 private:
  Device& device_;
  const Clock& clock_;
  std::unique_ptr<Event> begin_;
  std::unique_ptr<Event> end_;
};

}  // namespace

std::string_view to_string(StreamMix mix) {
  switch (mix) {
    case StreamMix::read_only:
      return "read";
    case StreamMix::write_only:
      return "write";
    case StreamMix::copy:
      return "copy";
    case StreamMix::read2_write1:
      return "2:1";
    case StreamMix::read4_write1:
      return "4:1";
  }
  return "";
}

StreamMix nearest_mix(const kq::Traffic& traffic) {
  const double share = static_cast<double>(traffic.read) / static_cast<double>(traffic.total());
  return *std::min_element(all_stream_mixes.begin(), all_stream_mixes.end(), [share](StreamMix a, StreamMix b) {
    return std::abs(share_of_reads(a) - share) < std::abs(share_of_reads(b) - share);
  });
}

std::uint64_t ceiling_bytes(const Device& device, const DeviceArena& arena) {
  return 2 * pass_bytes(device, arena);
}

Ceilings measure_ceilings(Device& device, DeviceArena& arena, std::span<const StreamMix> mixes, const Clock& clock,
                          double budget_seconds) {
  Ceilings ceilings;
  const std::uint64_t bytes = pass_bytes(device, arena);
  if (bytes == 0) return ceilings;
  std::byte* const read = arena.take(ceiling_bytes(device, arena));
  std::byte* const write = read + bytes;
  device.fill(read, 0x5a, bytes);
  device.synchronize();
  PassTimer timer(device, clock);
  const double begin = clock();
  const auto out_of_time = [&] { return clock() - begin >= budget_seconds; };
  // A device with a queue of its own is timed over several passes, which hides its launches.
  const int passes = has_queue(device) ? 4 : 1;
  for (const StreamMix mix : mixes) {
    if (mix != mixes.front() && out_of_time()) break;
    double best = std::numeric_limits<double>::infinity();
    for (int round = 0; round < 3 && (round == 0 || !out_of_time()); ++round) {
      for (int variant = 0; variant < device.stream_variants(); ++variant) {
        const double microseconds =
            timer.microseconds_per_pass(passes, [&] { device.enqueue_stream(mix, variant, read, write, bytes); });
        if (microseconds > 0.0) best = std::min(best, microseconds);
      }
    }
    if (std::isfinite(best)) ceilings.set(mix, static_cast<double>(bytes) / best * 1e-3);
  }
  return ceilings;
}

}  // namespace kqbench
