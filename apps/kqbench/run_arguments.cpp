// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/run_arguments.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "bench/plugins/plugins.hpp"
#include "bench/requests/numbers.hpp"
#include "bench/requests/sweeps.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

/// Lists and limits of a named sweep, where the user gave none.
void apply_named_sweep(const std::string& name, Sweep& sweep, MeasureOptions& options) {
  const NamedSweep& named = find_sweep(name);
  sweep.set_default("num_tokens", named.num_tokens);
  sweep.set_default("hidden_size", named.hidden_sizes);
  sweep.set_default("quant_dtype", named.formats);
  if (named.max_seconds) options.limits.max_seconds = *named.max_seconds;
}

std::string sweep_names() {
  std::string names;
  for (const NamedSweep& sweep : named_sweeps()) {
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", sweep.name, sweep.description);
  }
  return names;
}

void understand_measurement(const RunArguments& arguments, RunPlan& plan) {
  if (arguments.together && arguments.alone) throw UsageError("--together: contradicts --alone; leave one of them out");
  if (arguments.fom && arguments.profile) throw UsageError("--fom: --profile times nothing; leave one of them out");
  StoppingLimits& limits = plan.options.limits;
  constexpr std::int64_t most = std::int64_t{1} << 32;
  if (arguments.num_warmup_iters) {
    plan.options.warmup_launches = parse_integer("--num-warmup-iters", *arguments.num_warmup_iters, 1, most);
  }
  if (arguments.num_iters) limits.min_launches = parse_integer("--num-iters", *arguments.num_iters, 1, most);
  if (arguments.max_time) {
    limits.max_seconds = parse_double("--max-time", *arguments.max_time);
    if (!(limits.max_seconds > 0.0)) {
      throw UsageError("--max-time: must be above 0, not " + in_quotes(*arguments.max_time));
    }
  }
  if (arguments.rounds) plan.options.rounds = static_cast<int>(parse_integer("--rounds", *arguments.rounds, 1, 100));
  if (arguments.timing) {
    plan.timing = parse_timing(*arguments.timing);
    if (!plan.timing) {
      throw UsageError("--timing: " + in_quotes(*arguments.timing) + " is not known; give graph, stream or wall");
    }
  }
  if (arguments.launch) {
    const auto launch = parse_launch(*arguments.launch);
    if (!launch) {
      throw UsageError("--launch: " + in_quotes(*arguments.launch) + " is not known; give plain or overlapped");
    }
    if (*launch == Launch::overlapped && arguments.profile) {
      throw UsageError("--launch: --profile launches each kernel alone; leave --launch out");
    }
    plan.options.launch = *launch;
  }
  if (arguments.cache && *arguments.cache != "cold" && *arguments.cache != "hot") {
    throw UsageError("--cache: " + in_quotes(*arguments.cache) + " is not known; give cold or hot");
  }
  plan.options.hot = arguments.cache == "hot";
}

}  // namespace

void RunArguments::add_to(CLI::App& command) {
  sweep.add_to(command, Use::run);
  input.add_to(command);
  device.add_to(command, Use::run, "kokkos,native");

  const auto add = [&command](const char* group, const char* name, std::optional<std::string>& value,
                              const std::string& help, const char* type) {
    command.add_option(name, value, help)->type_name(type)->group(group);
  };
  add("What is quantized", "--sweep", named_sweep, "Shapes and formats by name: " + sweep_names(), "NAME");

  const char* const measurement = "Measurement";
  add(measurement, "--num-warmup-iters", num_warmup_iters,
      "Launches before timing, at least; fewer if --max-time is over first [5]", "N");
  add(measurement, "--num-iters", num_iters,
      "Launches that are timed, at least; fewer if --max-time is over first [100]", "N");
  add(measurement, "--max-time", max_time,
      "Most seconds for each implementation of a row; a row ends earlier once all its times are known within 1 % [1; "
      "0.5 with --sweep quick]",
      "SECONDS");
  add(measurement, "--rounds", rounds,
      "How often to go through all rows; each round takes a part of a row's samples, and what differs between rounds "
      "can differ between runs [3]",
      "N");
  add(measurement, "--timing", timing,
      "What is timed: graph (the device alone), stream (launches, too), wall (by the host's clock) [graph on a GPU, "
      "else wall]",
      "NAME");
  add(measurement, "--launch", launch,
      "When a kernel may start: plain (once the one before has ended), overlapped (earlier, by programmatic dependent "
      "launch: CUDA, graph timing) [plain]",
      "NAME");
  add(measurement, "--cache", cache,
      "What the cache has before a launch: cold (nothing of its tensors; launches take turns over copies), hot (its "
      "tensors, as far as they fit) [cold]",
      "NAME");
  command
      .add_flag("--allow-unequal-threads", allow_unequal_threads,
                "Time implementations on the host even if they use different numbers of threads")
      ->group(measurement);
  command.add_flag("--no-ceiling", no_ceiling, "Do not measure the memory's own limit, the ceiling")
      ->group(measurement);
  command
      .add_flag("--profile", profile,
                "For a profiler: launch each implementation once, between the profiler's start and stop, and time "
                "nothing; --cache applies")
      ->group(measurement);

  const char* const job = "Ranks of a job (docs/clusters.md)";
  command
      .add_flag("--together", together,
                "Under mpirun: all ranks time the same row at the same time, which is the default there")
      ->group(job);
  command.add_flag("--alone", alone, "Under mpirun: the ranks time one after the other")->group(job);

  const char* const output = "Output";
  outputs.add_to(command);
  command.add_flag("--fom", fom, "Print a last line with figures of merit, for other programs to read")->group(output);
  command.add_flag("--quiet", quiet, "Print results and errors only")->group(output);
  command.add_flag("--no-progress", no_progress, "Show no progress bar")->group(output);
  command.add_flag("--no-color", no_color, "Print without colours")->group(output);
}

RunPlan understand(const RunArguments& arguments) {
  Sweep sweep = arguments.sweep.sweep();
  MeasureOptions options;
  InputSource input = arguments.input.load(sweep, arguments.sweep.seed());
  if (arguments.named_sweep) {
    if (input.is_file()) throw UsageError("--sweep: the file of --input has a shape of its own; leave one of them out");
    apply_named_sweep(*arguments.named_sweep, sweep, options);
  }
  set_usual(sweep, Use::run);  // as vLLM's script
  std::vector<PluginKernel> plugins = load_plugins(arguments.device.plugins());
  const bool asks_dialect = choose_dialects(sweep, plugins);
  RunPlan plan{plan_sweep(sweep),  std::move(input), arguments.sweep.given_scales(sweep), std::nullopt, options,
               std::move(plugins), asks_dialect};
  for (const kq::Request& request : plan.sweep.requests) {
    plan.given.of(request, plan.input.name());  // what does not fit is refused before anything is measured
  }
  // No tokens are no work, and that succeeds; but it has no time.
  if (std::erase_if(plan.sweep.requests, [](const kq::Request& request) { return request.num_tokens == 0; }) > 0) {
    plan.sweep.left_out.emplace_back("left out what has 0 tokens: there is nothing to time");
  }
  understand_measurement(arguments, plan);
  return plan;
}

}  // namespace kqbench
