// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench run`, the default: times the implementations of each request of a sweep side by side.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>

#include "apps/kqbench/devices.hpp"
#include "apps/kqbench/run_arguments.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "bench/measure/ceiling.hpp"
#include "bench/measure/memory_need.hpp"
#include "bench/measure/profile.hpp"
#include "bench/measure/setting.hpp"
#include "bench/results/csv.hpp"
#include "bench/results/json_writer.hpp"
#include "bench/results/rows.hpp"
#include "bench/results/table.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/interrupt.hpp"
#include "bench/support/notice.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/terminal.hpp"

namespace kqbench {
namespace {

constexpr const char* how_to_read_the_output =
    "In the table: ± is half the 95 % interval of the median, with * where sampling ended before it was within 1 %;\n"
    "`ceiling` is the part of what the memory can do at most, `vs native` the ratio of times (below 1 is faster).\n"
    "`verified` says\n"
    "  ok      every output that was timed is right, bit for bit\n"
    "  ok?     right, but faster than the memory can be: the cache was not cold\n"
    "  ok~     right, but unsteady: a clock dropped, or the times of the first and second half differ\n"
    "  FAILED  wrong, so there is no time\n"
    "A run of one row ends as vLLM's script does, `Kernel running time: N us`: the median of kokkos or, if that was "
    "not\n"
    "run, of native, else of reference.\n\n";

/// One run, from an open device to the exit status.
class Run {
 public:
  Run(const RunArguments& arguments, RunPlan plan, const DeviceOpener& open)
      : arguments_(arguments),
        plan_(std::move(plan)),
        device_(open(arguments.device.backend(), {arguments.device.device(), arguments.device.host_threads()})),
        implementations_(choose_implementations(*device_, arguments.device.implementations(), {"kokkos", "native"})),
        arena_(*device_) {
    plan_.options.timing = plan_.timing.value_or(has_queue(*device_) ? Timing::graph : Timing::wall);
    if (const auto reason = why_not(plan_.options.timing, *device_)) throw UsageError("--timing: " + *reason);
    for (const kq::Request& request : plan_.sweep.requests) {
      require_memory(*device_, request, implementations_);
    }
  }

  int execute() {
    std::vector<std::string> inputs = arguments_.input.files();
    for (const std::string& file : arguments_.sweep.files()) {
      inputs.push_back(file);
    }
    ResultOutputs outputs(arguments_.outputs, inputs);
    result_.setting = read_setting(*device_, arguments_.command_line);
    std::exception_ptr failure;
    try {
      if (!arguments_.profile) {
        reserve();
        if (!arguments_.no_ceiling) measure_ceiling();
      }
      serve_sweep();
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception&) {  // of the device, of memory, of the system: what was measured so far is not lost
      failure = std::current_exception();
      result_.complete = false;
    }
    finish_setting(*device_, result_);
    write(outputs);
    if (failure) std::rethrow_exception(failure);
    return exit_status();
  }

 private:
  /// Takes once what the largest part of the run needs: memory that is given back and taken anew costs more time than
  /// many a row.
  void reserve() {
    std::uint64_t most = arguments_.no_ceiling ? 0 : ceiling_bytes(*device_, arena_);
    for (const kq::Request& request : plan_.sweep.requests) {
      const kq::Request full = kq::resolved(request);
      most = std::max(most, planned_bytes(*device_, arena_, full, implementations_, plan_.options.hot));
    }
    arena_.take(most);
  }

  /// The mixes that the requests are held against first, then the others.
  void measure_ceiling() {
    std::vector<StreamMix> mixes;
    const auto add = [&mixes](StreamMix mix) {
      if (std::find(mixes.begin(), mixes.end(), mix) == mixes.end()) mixes.push_back(mix);
    };
    for (const kq::Request& request : plan_.sweep.requests) {
      add(nearest_mix(kq::minimal_traffic(request)));
    }
    for (const StreamMix mix : all_stream_mixes) {
      add(mix);
    }
    ceilings_ = measure_ceilings(*device_, arena_, mixes, steady_clock());
    for (const StreamMix mix : all_stream_mixes) {
      if (const auto gbps = ceilings_.gbps(mix)) result_.setting.ceilings_gbps[std::string(to_string(mix))] = *gbps;
    }
  }

  void serve_sweep() {
    Progress progress(plan_.sweep.requests.size(), !arguments_.quiet && !arguments_.no_progress);
    std::set<std::string> refusals;
    for (const kq::Request& request : plan_.sweep.requests) {
      cut_short_ = cut_short_ || interrupted();
      if (cut_short_) break;
      progress.step(describe(request));
      const std::vector<Implementation*> serving = supported(request, refusals);
      if (serving.empty()) continue;
      const Problem problem =
          make_problem(request, plan_.input.make(request), plan_.given.of(request, plan_.input.name()));
      for (Row& row : serve(problem, serving)) {
        result_.rows.push_back(std::move(row));
      }
    }
    progress.clear();
    result_.complete = !cut_short_;  // a signal that came after the last row cost nothing
    if (result_.rows.empty() && result_.complete) throw UsageError(*refusals.begin());
    if (!arguments_.quiet) {
      for (const std::string& refusal : refusals) {
        notice(refusal);
      }
    }
  }

  /// Times or profiles it. A row an implementation.
  std::vector<Row> serve(const Problem& problem, const std::vector<Implementation*>& implementations) {
    if (arguments_.profile) {
      return profile(*device_, arena_, problem, implementations, plan_.options);
    }
    const GroupMeasurement group =
        measure(*device_, arena_, problem, implementations, plan_.options, steady_clock(), interrupted);
    cut_short_ = group.stop == StopReason::interrupted;
    return rows_of(group, problem.request, device_->info().backend, plan_.options.timing, ceilings_);
  }

  /// Those implementations that serve the request. Why others do not is added to `refusals`.
  std::vector<Implementation*> supported(const kq::Request& request, std::set<std::string>& refusals) const {
    std::vector<Implementation*> chosen;
    for (Implementation* implementation : implementations_) {
      if (const auto refusal = implementation->unsupported_reason(kq::resolved(request))) {
        refusals.insert(fmt::format("{} does not serve {}: {}", implementation->name(), describe(request), *refusal));
      } else {
        chosen.push_back(implementation);
      }
    }
    return chosen;
  }

  void write(ResultOutputs& outputs) const {
    outputs.write([this] { return to_json(result_); }, [this] { return to_csv(result_); },
                  [this] {
                    std::ostringstream text;
                    write_markdown(text, result_);
                    return text.str();
                  });
    if (outputs.use_stdout()) return;
    write_table(std::cout, result_, use_color(arguments_.no_color));
    if (plan_.sweep.requests.size() == 1) {
      if (const auto microseconds = headline_time()) {
        std::cout << fmt::format("Kernel running time: {:.3f} us\n", *microseconds);
      }
    }
    std::cout.flush();
  }

  /// What vLLM's script prints last.
  std::optional<double> headline_time() const {
    for (const char* name : {"kokkos", "native", "reference"}) {
      for (const Row& row : result_.rows) {
        if (row.impl != name) continue;
        if (!row.time_us) return std::nullopt;
        return row.time_us->median;
      }
    }
    return std::nullopt;
  }

  int exit_status() const {
    const bool wrong =
        std::any_of(result_.rows.begin(), result_.rows.end(), [](const Row& row) { return !row.verified; });
    if (wrong) return exit_wrong;
    return result_.complete ? exit_done : exit_interrupted;
  }

  const RunArguments& arguments_;
  RunPlan plan_;
  std::unique_ptr<Device> device_;
  std::vector<Implementation*> implementations_;
  DeviceArena arena_;
  Ceilings ceilings_;
  bool cut_short_ = false;  ///< by a signal: rows or samples are missing
  ResultFile result_;
};

int run(const RunArguments& arguments, const DeviceOpener& open) {
  catch_interrupts();
  RunPlan plan = understand(arguments);
  if (!arguments.quiet) {
    for (const std::string& line : plan.sweep.left_out) {
      notice(line);
    }
  }
  return Run(arguments, std::move(plan), open).execute();
}

}  // namespace

void add_run(CLI::App& program, const std::string& command_line, const DeviceOpener& open, Action& chosen) {
  CLI::App* command = program.add_subcommand("run", "Time the implementations side by side (the default)");
  auto arguments = std::make_shared<RunArguments>();
  arguments->command_line = command_line;
  arguments->add_to(*command);
  command->footer(how_to_write_a_list + std::string(how_to_read_the_output) + program.get_footer());
  command->callback([arguments, open, &chosen] { chosen = [arguments, open] { return run(*arguments, open); }; });
}

}  // namespace kqbench
