// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/profile.hpp"

#include <string>

#include "apps/kqbench/measure/rotating_buffers.hpp"
#include "apps/kqbench/measure/rotation.hpp"
#include "apps/kqbench/sweep.hpp"

namespace kqbench {
namespace {

constexpr std::byte poison{0xa5};

}  // namespace

std::vector<Row> profile(Device& device, DeviceArena& arena, const Problem& problem,
                         const std::vector<Implementation*>& implementations, std::int64_t warmup_launches) {
  const kq::Request& request = problem.request;
  RotatingBuffers buffers(device, arena, problem, implementations, 1);
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    for (std::int64_t launch = 0; launch < warmup_launches; ++launch) {
      implementations[i]->enqueue(request, buffers.operands(i, 0));
    }
    buffers.poison(i, poison);
  }
  device.synchronize();

  device.profiler_start();
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    const std::string range = std::string(implementations[i]->name()) + ": " + describe(request);
    device.push_range(range.c_str());
    implementations[i]->enqueue(request, buffers.operands(i, 0));
    device.synchronize();
    device.pop_range();
    buffers.launched(i, 0);
  }
  device.profiler_stop();

  const kq::Traffic traffic = kq::minimal_traffic(request);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    const std::optional<Mismatch> mismatch = buffers.check(i);
    Row row;
    row.request = request;
    row.impl = implementations[i]->name();
    row.backend = device.info().backend;
    row.timing = not_timed;
    row.cache = to_string(Cache::hot);
    row.bytes = traffic.read + traffic.written;
    row.verified = !mismatch;
    if (mismatch) row.failure = mismatch->message();
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace kqbench
