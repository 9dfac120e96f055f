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

/// vLLM's defaults, where neither the user nor a file nor a named sweep says otherwise.
void apply_defaults(Sweep& sweep) {
  sweep.set_default("num_tokens", {4096});
  sweep.set_default("hidden_size", {8192});
  sweep.set_default("quant_dtype", {"int8"});
  sweep.set_default("dtype", {"half"});
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
  add("What is quantized", "--sweep", named_sweep, "Lists by name: " + sweep_names(), "NAME");

  const char* const measurement = "Measurement";
  add(measurement, "--num-warmup-iters", num_warmup_iters, "Launches before timing, at least, if --max-time allows [5]",
      "N");
  add(measurement, "--num-iters", num_iters, "Launches timed, at least, if --max-time allows [100]", "N");
  add(measurement, "--max-time", max_time,
      "Sampling ends when every interval is within 1 %, or after this for each implementation [1]", "SECONDS");
  add(measurement, "--rounds", rounds,
      "Times that the sweep is gone through, with a part of each row's samples: how their medians differ shows what "
      "another run would [3]",
      "N");
  add(measurement, "--timing", timing,
      "graph (device time), stream (with launch overhead), wall (host clock) [graph on a GPU, else wall]", "NAME");
  add(measurement, "--launch", launch,
      "plain (each after the end of the one before), overlapped (programmatic dependent launch: CUDA, graph timing) "
      "[plain]",
      "NAME");
  add(measurement, "--cache", cache, "cold (copies in turn), hot (one copy) [cold]", "NAME");
  command
      .add_flag("--allow-unequal-threads", allow_unequal_threads,
                "Time implementations on the host side by side though they work with unlike numbers of threads")
      ->group(measurement);
  command.add_flag("--no-ceiling", no_ceiling, "Do not measure what the memory can do")->group(measurement);
  command
      .add_flag("--profile", profile,
                "One launch of each implementation between profiler start and stop, nothing timed; as cold or hot as "
                "--cache says")
      ->group(measurement);

  const char* const job = "Ranks of a job (docs/clusters.md)";
  command.add_flag("--together", together, "Started by mpirun: all ranks time each row at once [so]")->group(job);
  command.add_flag("--alone", alone, "Started by mpirun: one rank after the other")->group(job);

  const char* const output = "Output";
  outputs.add_to(command);
  command.add_flag("--fom", fom, "A last line with figures of merit for other programs to read")->group(output);
  command.add_flag("--quiet", quiet, "Results and errors only")->group(output);
  command.add_flag("--no-progress", no_progress, "No progress bar")->group(output);
  command.add_flag("--no-color", no_color, "No colours")->group(output);
}

RunPlan understand(const RunArguments& arguments) {
  Sweep sweep = arguments.sweep.sweep();
  MeasureOptions options;
  InputSource input = arguments.input.load(sweep, arguments.sweep.seed());
  if (arguments.named_sweep) {
    if (input.is_file()) throw UsageError("--sweep: the file of --input has a shape of its own; leave one of them out");
    apply_named_sweep(*arguments.named_sweep, sweep, options);
  }
  apply_defaults(sweep);
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
