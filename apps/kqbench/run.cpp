// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench run`, the default: times the implementations of each request of a sweep side by side.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <set>

#include "apps/kqbench/arguments.hpp"
#include "apps/kqbench/devices.hpp"
#include "apps/kqbench/errors.hpp"
#include "apps/kqbench/in_quotes.hpp"
#include "apps/kqbench/interrupt.hpp"
#include "apps/kqbench/measure/ceiling.hpp"
#include "apps/kqbench/measure/measurement.hpp"
#include "apps/kqbench/measure/memory_need.hpp"
#include "apps/kqbench/measure/setting.hpp"
#include "apps/kqbench/notice.hpp"
#include "apps/kqbench/numbers.hpp"
#include "apps/kqbench/progress.hpp"
#include "apps/kqbench/results/table.hpp"
#include "apps/kqbench/rows.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "apps/kqbench/tensors/random.hpp"

namespace kqbench {
namespace {

/// The options of `run`, as written.
struct RunArguments {
  SweepArguments sweep;
  DeviceArguments device;
  std::optional<std::string> num_warmup_iters, num_iters, max_time, timing, cache;
  bool no_ceiling = false;
  bool quiet = false;
  bool no_progress = false;
  bool no_color = false;
  std::string command_line;
};

/// The same, understood.
struct RunPlan {
  SweepPlan sweep;
  GivenScale given;
  std::uint64_t seed = 0;
  std::optional<Timing> timing;
  MeasureOptions options;
};

void add_measurement_options(CLI::App& command, RunArguments& arguments) {
  const char* const group = "Measurement";
  const auto add = [&](const char* name, std::optional<std::string>& value, const char* help, const char* type) {
    command.add_option(name, value, help)->type_name(type)->group(group);
  };
  add("--num-warmup-iters", arguments.num_warmup_iters, "Launches before timing, at least [5]", "N");
  add("--num-iters", arguments.num_iters, "Launches timed, at least [100]", "N");
  add("--max-time", arguments.max_time,
      "Seconds a row after which sampling ends though the interval is wider than 1 % [1]", "SECONDS");
  add("--timing", arguments.timing,
      "graph (device time), stream (with launch overhead), wall (host clock) [graph on a GPU, wall on a host]", "NAME");
  add("--cache", arguments.cache, "cold (rotating copies), hot (one copy) [cold]", "NAME");
  command.add_flag("--no-ceiling", arguments.no_ceiling, "Do not measure what the memory can do")->group(group);
}

void add_output_options(CLI::App& command, RunArguments& arguments) {
  const char* const group = "Output";
  command.add_flag("--quiet", arguments.quiet, "No notices and no progress, only results")->group(group);
  command.add_flag("--no-progress", arguments.no_progress, "No progress bar")->group(group);
  command.add_flag("--no-color", arguments.no_color, "No colours")->group(group);
}

RunPlan understand(const RunArguments& arguments) {
  RunPlan plan;
  Sweep sweep = arguments.sweep.sweep();
  if (sweep.num_tokens.empty()) sweep.num_tokens = {4096};
  if (sweep.hidden_sizes.empty()) sweep.hidden_sizes = {8192};
  if (sweep.formats.empty()) sweep.formats = {kq::Format::int8};
  if (sweep.elements.empty()) sweep.elements = {kq::Element::half};
  plan.sweep = plan_sweep(sweep);
  plan.given = arguments.sweep.given_scale(sweep);
  plan.seed = arguments.sweep.seed();

  StoppingLimits& limits = plan.options.limits;
  constexpr std::int64_t most = std::int64_t{1} << 32;
  if (arguments.num_warmup_iters) {
    plan.options.warmup_launches = parse_integer("--num-warmup-iters", *arguments.num_warmup_iters, 1, most);
  }
  if (arguments.num_iters) limits.min_launches = parse_integer("--num-iters", *arguments.num_iters, 1, most);
  if (arguments.max_time) {
    limits.max_seconds = parse_double("--max-time", *arguments.max_time);
    if (!(limits.max_seconds > 0.0))
      throw UsageError("--max-time: must be above 0, not " + in_quotes(*arguments.max_time));
  }
  if (arguments.timing) {
    plan.timing = parse_timing(*arguments.timing);
    if (!plan.timing) {
      throw UsageError(
          fmt::format("--timing: {} is not known; give graph, stream or wall", in_quotes(*arguments.timing)));
    }
  }
  if (arguments.cache && *arguments.cache != "cold" && *arguments.cache != "hot") {
    throw UsageError(fmt::format("--cache: {} is not known; give cold or hot", in_quotes(*arguments.cache)));
  }
  plan.options.hot = arguments.cache == "hot";
  return plan;
}

/// Those implementations that serve the request. Why others do not is added to `refusals`.
std::vector<Implementation*> willing(const std::vector<Implementation*>& implementations, const kq::Request& request,
                                     std::set<std::string>& refusals) {
  std::vector<Implementation*> chosen;
  for (Implementation* implementation : implementations) {
    if (const auto refusal = implementation->refusal(kq::resolved(request))) {
      refusals.insert(fmt::format("{} does not serve {}: {}", implementation->name(), describe(request), *refusal));
    } else {
      chosen.push_back(implementation);
    }
  }
  return chosen;
}

/// The mixes that the requests are held against first, then the others.
std::vector<StreamMix> mixes_for(const std::vector<kq::Request>& requests) {
  std::vector<StreamMix> mixes;
  const auto add = [&mixes](StreamMix mix) {
    if (std::find(mixes.begin(), mixes.end(), mix) == mixes.end()) mixes.push_back(mix);
  };
  for (const kq::Request& request : requests) {
    add(nearest_mix(kq::minimal_traffic(request)));
  }
  for (const StreamMix mix : all_stream_mixes) {
    add(mix);
  }
  return mixes;
}

/// What vLLM's script prints last: the time of the portable kernel, or of the one that was asked for.
std::optional<double> headline_time(const std::vector<Row>& rows) {
  for (const char* name : {"kokkos", "native", "reference"}) {
    for (const Row& row : rows) {
      if (row.impl != name) continue;
      if (!row.time_us) return std::nullopt;
      return row.time_us->median;
    }
  }
  return std::nullopt;
}

int exit_status(const ResultFile& result) {
  const bool wrong = std::any_of(result.rows.begin(), result.rows.end(), [](const Row& row) { return !row.verified; });
  if (wrong) return exit_wrong;
  return result.complete ? exit_done : exit_interrupted;
}

/// Takes once what the largest part of the run needs: memory that is given back and taken anew costs more time than
/// many a row.
void reserve(DeviceArena& arena, const Device& device, const RunPlan& plan,
             const std::vector<Implementation*>& implementations, bool ceilings) {
  std::uint64_t most = ceilings ? ceiling_bytes(device, arena) : 0;
  for (const kq::Request& request : plan.sweep.requests) {
    most = std::max(most, planned_bytes(device, arena, kq::resolved(request), implementations, plan.options.hot));
  }
  arena.take(most);
}

void measure_sweep(Device& device, DeviceArena& arena, const std::vector<Implementation*>& implementations,
                   const RunPlan& plan, const Ceilings& ceilings, const RunArguments& arguments, ResultFile& result) {
  const Clock clock = steady_clock();
  std::set<std::string> refusals;
  Progress progress(plan.sweep.requests.size(), !arguments.quiet && !arguments.no_progress);
  for (const kq::Request& request : plan.sweep.requests) {
    if (interrupted()) break;
    progress.step(describe(request));
    const std::vector<Implementation*> serving = willing(implementations, request, refusals);
    if (serving.empty()) continue;
    const Problem problem = make_problem(request, make_input(request, plan.seed), plan.given);
    const GroupMeasurement group = measure(device, arena, problem, serving, plan.options, clock, interrupted);
    for (Row& row : rows_of(group, problem.request, device.info().backend, plan.options.timing, ceilings)) {
      result.rows.push_back(std::move(row));
    }
  }
  progress.clear();
  result.complete = !interrupted();
  for (const std::string& refusal : refusals) {
    notice(refusal);
  }
}

int run(const RunArguments& arguments) {
  RunPlan plan = understand(arguments);
  if (!arguments.quiet) {
    for (const std::string& line : plan.sweep.left_out) {
      notice(line);
    }
  }
  const std::unique_ptr<Device> device =
      open_device(arguments.device.backend(), {arguments.device.device(), arguments.device.host_threads()});
  const std::vector<Implementation*> implementations =
      choose_implementations(*device, arguments.device.implementations(), {"kokkos", "native"});
  plan.options.timing = plan.timing.value_or(device->has_graphs() ? Timing::graph : Timing::wall);
  if (const auto reason = why_not(plan.options.timing, *device)) throw UsageError("--timing: " + *reason);
  for (const kq::Request& request : plan.sweep.requests) {
    require_memory(*device, request, implementations);
  }

  catch_interrupts();
  ResultFile result;
  result.setting = read_setting(*device, arguments.command_line);
  DeviceArena arena(*device);
  reserve(arena, *device, plan, implementations, !arguments.no_ceiling);
  Ceilings ceilings;
  if (!arguments.no_ceiling) {
    ceilings = measure_ceilings(*device, arena, mixes_for(plan.sweep.requests), steady_clock());
  }
  for (const StreamMix mix : all_stream_mixes) {
    if (const auto gbps = ceilings.gbps(mix)) result.setting.ceilings_gbps[std::string(to_string(mix))] = *gbps;
  }
  measure_sweep(*device, arena, implementations, plan, ceilings, arguments, result);

  write_table(std::cout, result);
  if (plan.sweep.requests.size() == 1) {
    if (const auto microseconds = headline_time(result.rows)) {
      fmt::print("Kernel running time: {:.3f} us\n", *microseconds);
    }
  }
  return exit_status(result);
}

}  // namespace

void add_run(CLI::App& program, const std::string& command_line, Action& chosen) {
  CLI::App* command = program.add_subcommand("run", "Time the implementations side by side (the default)");
  auto arguments = std::make_shared<RunArguments>();
  arguments->command_line = command_line;
  arguments->sweep.add_to(*command, false);
  arguments->device.add_to(*command, "kokkos,native");
  add_measurement_options(*command, *arguments);
  add_output_options(*command, *arguments);
  command->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace kqbench
