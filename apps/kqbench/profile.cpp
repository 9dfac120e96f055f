// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/profile.hpp"

#include <string>

#include "apps/kqbench/measure/rotating_buffers.hpp"

namespace kqbench {
namespace {

constexpr std::byte poison{0xa5};

/// One request, by all who serve it.
void profile_request(Device& device, DeviceArena& arena, const std::vector<Implementation*>& implementations,
                     const Problem& problem, std::int64_t warmup_launches, std::vector<Row>& rows) {
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
  for (std::size_t i = 0; i < implementations.size(); ++i) {
    const std::optional<Mismatch> mismatch = buffers.check(i);
    Row row;
    row.request = request;
    row.impl = implementations[i]->name();
    row.backend = device.info().backend;
    row.bytes = traffic.read + traffic.written;
    row.verified = !mismatch;
    if (mismatch) row.failure = mismatch->message();
    rows.push_back(std::move(row));
  }
}

}  // namespace

std::vector<Row> profile(Device& device, DeviceArena& arena, const std::vector<Implementation*>& implementations,
                         const RunPlan& plan) {
  std::vector<Row> rows;
  for (const kq::Request& request : plan.sweep.requests) {
    std::vector<Implementation*> serving;
    for (Implementation* implementation : implementations) {
      if (!implementation->refusal(kq::resolved(request))) serving.push_back(implementation);
    }
    if (serving.empty()) continue;
    const Problem problem = make_problem(request, plan.input.make(request), plan.given);
    profile_request(device, arena, serving, problem, plan.options.warmup_launches, rows);
  }
  return rows;
}

}  // namespace kqbench
