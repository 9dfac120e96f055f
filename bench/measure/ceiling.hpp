// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the device's memory can do at all, measured with plain streaming kernels: the scale that every row is held
/// against.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/device_memory.hpp"
#include "bench/measure/timer.hpp"
#include "kq/request.hpp"

namespace kqbench {

inline constexpr std::array all_stream_mixes = {StreamMix::read_only, StreamMix::write_only, StreamMix::copy,
                                                StreamMix::read2_write1, StreamMix::read4_write1};
std::string_view to_string(StreamMix mix);  ///< read, write, copy, 2:1, 4:1

/// The mix whose share of reads is nearest to that of the traffic.
StreamMix nearest_mix(const kq::Traffic& traffic);

/// GB/s (10^9 bytes, reads and writes together) by mix; nothing for a mix that was not measured.
class Ceilings {
 public:
  std::optional<double> gbps(StreamMix mix) const { return gbps_[static_cast<std::size_t>(mix)]; }
  void set(StreamMix mix, double gbps) { gbps_[static_cast<std::size_t>(mix)] = gbps; }

 private:
  std::array<std::optional<double>, all_stream_mixes.size()> gbps_;
};

/// Bytes of the arena that measure_ceilings takes; 0 if it would measure nothing.
std::uint64_t ceiling_bytes(const Device& device, const DeviceArena& arena);

/// The best of all launch shapes of the device for each mix, in the order given. A pass streams through more than twice
/// the last-level cache. When `budget_seconds` are spent, mixes not yet begun are left out, all but the first. Where
/// memory is short the passes shrink; if not even twice the cache fits, nothing is measured.
Ceilings measure_ceilings(Device& device, DeviceArena& arena, std::span<const StreamMix> mixes, const Clock& clock,
                          double budget_seconds = 0.8);

}  // namespace kqbench
