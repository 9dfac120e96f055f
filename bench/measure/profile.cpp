// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/profile.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "bench/measure/rotating_buffers.hpp"
#include "bench/measure/rotation.hpp"
#include "bench/requests/sweep.hpp"

namespace kqbench {
namespace {

constexpr std::byte poison{0xa5};

/// Copies of the tensors: enough that each implementation has one to itself, and that a whole cold rotation lies before
/// it.
std::int64_t copies_for(const Device& device, const DeviceArena& arena, const kq::Request& request,
                        std::span<Implementation* const> implementations, bool hot) {
  const std::int64_t rotation = plan_copies(device, arena, request, implementations, hot);
  return rotation == 1 ? 1 : rotation + std::ssize(implementations);
}

}  // namespace

std::vector<Row> profile(Device& device, DeviceArena& arena, const Problem& problem,
                         const std::vector<Implementation*>& implementations, const MeasureOptions& options) {
  const kq::Request& request = problem.request;
  const kq::Traffic traffic = kq::minimal_traffic(request);
  const auto count = std::ssize(implementations);
  const std::int64_t copies = copies_for(device, arena, request, implementations, options.hot);
  RotatingBuffers buffers(device, arena, problem, implementations, copies);
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    for (std::int64_t done = 0; done < options.warmup_launches; ++done) {
      implementations[i]->enqueue(request, buffers.operands(i, copies - 1));
    }
  }
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    buffers.poison(i, poison);
  }

  ReuseAudit audit(copies, traffic.total());
  const auto launch = [&](std::ptrdiff_t which, std::int64_t copy) {
    const auto i = static_cast<std::size_t>(which);
    implementations[i]->enqueue(request, buffers.operands(i, copy));
    audit.launched(copy);
    buffers.launched(i, copy);
  };
  for (std::int64_t copy = count; copy < copies; ++copy) {
    launch(copy % count, copy);
  }
  device.synchronize();

  device.profiler_start();
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::string range =
        std::string(implementations[static_cast<std::size_t>(i)]->name()) + ": " + describe(request);
    device.push_range(range.c_str());
    launch(i, std::min<std::int64_t>(i, copies - 1));
    device.synchronize();
    device.pop_range();
  }
  device.profiler_stop();

  std::vector<Row> rows;
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    const std::optional<Mismatch> mismatch = buffers.check(i);
    Row row;
    row.request = request;
    row.impl = implementations[i]->name();
    row.backend = device.info().backend;
    row.timing = not_timed;
    row.cache = to_string(audit.label(device.info().cache_bytes));
    row.copies = copies;
    row.bytes_between_uses = audit.least_bytes_between_uses();
    row.bytes = traffic.total();
    row.verified = !mismatch;
    if (mismatch) row.failure = mismatch->message();
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace kqbench
