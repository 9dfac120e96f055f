// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench run`, the default: times the implementations of each request of a sweep side by side.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>

#include "apps/kqbench/devices.hpp"
#include "apps/kqbench/rank_report.hpp"
#include "apps/kqbench/run_arguments.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "backends/host/memory.hpp"
#include "bench/fleet/figures_of_merit.hpp"
#include "bench/fleet/fleet_text.hpp"
#include "bench/fleet/job.hpp"
#include "bench/measure/ceiling.hpp"
#include "bench/measure/context.hpp"
#include "bench/measure/memory_need.hpp"
#include "bench/measure/profile.hpp"
#include "bench/plugins/plugins.hpp"
#include "bench/plugins/trial.hpp"
#include "bench/results/csv.hpp"
#include "bench/results/json_writer.hpp"
#include "bench/results/rows.hpp"
#include "bench/results/table.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/support/interrupt.hpp"
#include "bench/support/notice.hpp"
#include "bench/support/place.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/terminal.hpp"

namespace kqbench {
namespace {

constexpr const char* how_to_read_the_output =
    "In the table: ± is half the 95 % interval of the median, with * where sampling ended before it was within 1 %;\n"
    "`ceiling` is the part of what the memory can do at most, `vs native` the ratio of times (below 1 is faster).\n"
    "`verified` says\n"
    "  ok      every output that was timed is right, bit for bit\n"
    "  ok?     right, but faster than the memory can be: the cache was not cold, or the ceiling is too low\n"
    "  ok~     right, but unsteady: a clock dropped, or the times of the first and second half differ\n"
    "  FAILED  wrong, so there is no time\n"
    "A run of one row ends as vLLM's script does, `Kernel running time: N us`: the median of kokkos or, if that was "
    "not\n"
    "run, of native, else of reference or a plug-in's kernel.\n\n";

/// What came out of a run.
struct Measured {
  ResultFile result;
  std::exception_ptr failure;  ///< what ended it early; null if nothing did
  bool is_one_row = false;     ///< of each implementation
};

/// One run on an open device.
class Run {
 public:
  /// `trials`: what plug-ins' first launches came to. `job`: whose ranks measure in step; may be null.
  Run(const RunArguments& arguments, RunPlan plan, const Trials& trials, std::unique_ptr<Device> device,
      const JobPlace& place, Job* job)
      : arguments_(arguments),
        plan_(std::move(plan)),
        place_(place),
        job_(job),
        device_(std::move(device)),
        implementations_(choose_implementations(*device_, arguments.device.implementations(),
                                                with_plugins({"kokkos", "native"}, plan_.plugins))),
        arena_(*device_) {
    plan_.options.timing = plan_.timing.value_or(has_queue(*device_) ? Timing::graph : Timing::wall);
    // On a host a sample must often fit between two of the scheduler's interruptions, which are milliseconds apart; on
    // a device with a queue it must hide a launch from the host.
    if (!has_queue(*device_)) plan_.options.sample_seconds = 2e-4;
    if (const auto reason = why_not(plan_.options.timing, *device_)) throw UsageError("--timing: " + *reason);
    if (const auto reason = why_not(plan_.options.launch, plan_.options.timing, *device_)) {
      throw UsageError("--launch: " + *reason);
    }
    plan_work(trials);
    for (const Work& work : work_) {
      require_memory(*device_, work.request, work.serving);
    }
    if (!arguments.profile && !arguments.allow_unequal_threads) require_equal_threads();
  }

  /// All rows. What fails on the way, of the device, of memory or of the system, comes with them, so that what was
  /// measured so far is not lost. Throws UsageError.
  Measured measure() {
    result_.context = read_context(*device_, arguments_.command_line, place_);
    if (job_ != nullptr) {
      result_.context.measured = arguments_.alone ? "alone" : "together";
      result_.context.libraries["MPI"] = mpi_version();
    }
    if (!plan_.input.is_file()) result_.context.seed = arguments_.sweep.seed();
    std::exception_ptr failure;
    try {
      if (!plan_.sweep.requests.empty()) {
        if (!arguments_.profile) {
          reserve();
          if (!arguments_.no_ceiling) in_step([this] { measure_ceiling(); });
        }
        serve_sweep();
      }
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception&) {
      failure = std::current_exception();
      result_.complete = false;
    }
    add_rows();
    finish_context(*device_, result_);
    return {std::move(result_), failure, false};
  }

 private:
  /// Takes once what the largest part of the run needs: memory that is given back and taken anew costs more time than
  /// many a row.
  void reserve() {
    std::uint64_t most = arguments_.no_ceiling ? 0 : ceiling_bytes(*device_, arena_);
    for (const Work& work : work_) {
      const kq::Request full = kq::resolved(work.request);
      most = std::max(most, planned_bytes(*device_, arena_, full, work.serving, plan_.options.hot));
    }
    arena_.take(most);
  }

  /// Does it once all ranks have come here, or, where they measure alone, have done it one after the other. Not at all
  /// if the job has come to its end.
  void in_step(const std::function<void()>& work) {
    const int turns = job_ != nullptr && arguments_.alone ? place_.size : 1;
    for (int turn = 0; turn < turns && !cut_short_; ++turn) {
      if (job_ != nullptr && !job_->meet(step_++)) {
        cut_short_ = true;
      } else if (turns == 1 || turn == place_.rank) {
        work();
      }
    }
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
      if (const auto gbps = ceilings_.gbps(mix)) result_.context.ceilings_gbps[std::string(to_string(mix))] = *gbps;
    }
  }

  /// An implementation that may not be launched here, and why.
  struct Failed {
    std::string name;
    std::string failure;
  };

  /// A request on its way through the rounds.
  struct Work {
    kq::Request request;
    std::vector<Implementation*> serving;
    std::vector<Failed> failed;  ///< in their trials
    std::optional<Problem> problem;
    bool keeps_problem = false;  ///< from one round to the next, as there is room
    GroupMeasurement group;
  };

  /// All requests once in each round, so that a row's rounds are as far apart in time as the sweep is long.
  void serve_sweep() {
    if (work_.empty()) throw UsageError(*refusals_.begin());
    const int rounds = arguments_.profile ? 1 : plan_.options.rounds;
    room_for_problems_ = memory_available_bytes() / 4;
    const std::size_t steps = work_.size() == 1 ? 1 : work_.size() * static_cast<std::size_t>(rounds);
    Progress progress(steps, !arguments_.quiet && !arguments_.no_progress);
    for (int round = 0; round < rounds && !cut_short_; ++round) {
      if (round > 0) {
        arena_.release();
        reserve();
      }
      for (Work& work : work_) {
        cut_short_ = cut_short_ || interrupted();
        if (cut_short_) break;
        progress.step(describe(work.request));
        const bool last = round + 1 == rounds;
        if (job_ != nullptr && !arguments_.alone) {
          // Those that are done with the uploads and trials wait for the others, and then all are timed at once.
          plan_.options.before_timing = [this, step = step_++] { cut_short_ = cut_short_ || !job_->meet(step); };
          serve(work, last);
        } else {
          in_step([&] { serve(work, last); });
        }
      }
    }
    progress.clear();
    result_.complete = !cut_short_;  // a signal that came after the last row cost nothing
    if (!arguments_.quiet) {
      for (const std::string& refusal : refusals_) {
        notice(refusal);
      }
    }
  }

  /// Of each request who serves it, who failed it already, and who refuses it.
  void plan_work(const Trials& trials) {
    for (std::size_t index = 0; index < plan_.sweep.requests.size(); ++index) {
      const kq::Request& request = plan_.sweep.requests[index];
      Work work{request, {}, {}, std::nullopt, false, {}};
      for (Implementation* implementation : implementations_) {
        if (const auto failure = trials.failure(implementation->name(), index)) {
          work.failed.push_back({std::string(implementation->name()), *failure});
        } else if (const auto refusal = why_not_serving(*implementation, request)) {
          refuse(*implementation, request, *refusal);
        } else {
          work.serving.push_back(implementation);
        }
      }
      for (const TooLarge& large : take_out_too_large(*device_, request, work.serving)) {
        refuse(*large.implementation, request, large.reason);
      }
      if (!work.serving.empty() || !work.failed.empty()) work_.push_back(std::move(work));
    }
  }

  void refuse(const Implementation& implementation, const kq::Request& request, const std::string& reason) {
    refusals_.insert(fmt::format("{} does not serve {}: {}", implementation.name(), describe(request), reason));
  }

  std::optional<std::string> why_not_serving(const Implementation& implementation, const kq::Request& request) const {
    if (auto refusal = implementation.unsupported_reason(kq::resolved(request))) return refusal;
    return plan_.options.launch == Launch::overlapped ? implementation.why_no_overlap() : std::nullopt;
  }

  /// Times it for a round, or profiles it.
  void serve(Work& work, bool last_round) {
    if (work.serving.empty()) {
      if (arguments_.profile) add_failed_rows(work);
      return;
    }
    if (!work.problem) {
      work.problem =
          make_problem(work.request, plan_.input.make(work.request), plan_.given.of(work.request, plan_.input.name()));
      std::uint64_t bytes = 0;
      for (const kq::TensorSpec& tensor : kq::tensors(work.problem->request)) {
        bytes += tensor.bytes();
      }
      work.keeps_problem = !last_round && bytes <= room_for_problems_;
      if (work.keeps_problem) room_for_problems_ -= bytes;
    }
    if (arguments_.profile) {
      for (Row& row : profile(*device_, arena_, *work.problem, work.serving, plan_.options)) {
        result_.rows.push_back(std::move(row));
      }
      add_failed_rows(work);
    } else {
      const auto ends = [this] { return cut_short_ || interrupted(); };
      const bool whole =
          measure_round(*device_, arena_, *work.problem, work.serving, plan_.options, steady_clock(), ends, work.group);
      cut_short_ = cut_short_ || !whole;
    }
    if (last_round || !work.keeps_problem) work.problem.reset();
  }

  /// The rows of all that was measured, however many rounds there were of it.
  void add_rows() {
    if (arguments_.profile) return;
    for (Work& work : work_) {
      add_measured_rows(work);
      add_failed_rows(work);
    }
  }

  void add_measured_rows(Work& work) {
    if (work.group.rounds == 0) return;
    if (work.group.rounds < plan_.options.rounds) work.group.stop = StopReason::interrupted;
    summarize(work.group);
    const std::string& backend = device_->info().backend;
    for (Row& row : rows_of(work.group, work.request, backend, plan_.options.timing, plan_.options.launch, ceilings_)) {
      result_.rows.push_back(std::move(row));
    }
  }

  void add_failed_rows(const Work& work) {
    for (const Failed& failed : work.failed) {
      Row row = failed_row(work.request, failed.name, failed.failure);
      row.backend = device_->info().backend;
      row.timing = arguments_.profile ? not_timed : to_string(plan_.options.timing);
      row.launch = to_string(plan_.options.launch);
      row.cache = to_string(plan_.options.hot ? Cache::hot : Cache::cold);
      result_.rows.push_back(std::move(row));
    }
  }

  /// Refuses requests whose implementations would work with unlike numbers of threads: their ratio would say nothing of
  /// the kernels.
  void require_equal_threads() const {
    for (const Work& work : work_) {
      const Implementation* first = nullptr;
      for (const Implementation* implementation : work.serving) {
        if (!implementation->host_threads()) continue;
        if (first == nullptr) first = implementation;
        if (implementation->host_threads() == first->host_threads()) continue;
        throw UsageError(fmt::format(
            "--host-threads: {} would work with {} and {} with {}, so that their times are no comparison; give another "
            "number, or --allow-unequal-threads",
            first->name(), threads_text(*first->host_threads()), implementation->name(),
            threads_text(*implementation->host_threads())));
      }
    }
  }

  static std::string threads_text(int threads) { return fmt::format("{} thread{}", threads, threads == 1 ? "" : "s"); }

  const RunArguments& arguments_;
  RunPlan plan_;
  JobPlace place_;
  Job* job_;
  std::int64_t step_ = 0;  ///< of the job
  std::unique_ptr<Device> device_;
  std::vector<Implementation*> implementations_;
  DeviceArena arena_;
  Ceilings ceilings_;
  std::vector<Work> work_;
  std::set<std::string> refusals_;       ///< who does not serve what, and why
  std::uint64_t room_for_problems_ = 0;  ///< bytes of memory that may still be kept from one round to the next
  bool cut_short_ = false;               ///< by a signal: rows, rounds or samples are missing
  ResultFile result_;
};

/// What vLLM's script prints last: of a plug-in's kernel where nothing else was run.
std::optional<double> headline_time(const ResultFile& result) {
  const auto time_of = [](const Row& row) { return row.time_us ? std::optional(row.time_us->median) : std::nullopt; };
  for (const char* name : {"kokkos", "native", "reference"}) {
    for (const Row& row : result.rows) {
      if (row.impl == name) return time_of(row);
    }
  }
  return result.rows.empty() ? std::nullopt : time_of(result.rows.front());
}

/// The plug-ins' first launches of every request of the run.
Trials try_plugins(const RunPlan& plan, const std::function<std::unique_ptr<Device>()>& open) {
  TrialCases cases;
  for (const kq::Request& request : plan.sweep.requests) {
    cases.cases.push_back({request});
  }
  cases.given = [&plan](std::size_t index) {
    const kq::Request& request = plan.sweep.requests[index];
    return make_given(kq::resolved(request), plan.input.make(request), plan.given.of(request, plan.input.name()));
  };
  cases.launch = plan.options.launch;
  return try_out(plan.plugins, open, cases, plan.asks_dialect);
}

/// From the arguments to what was measured. With a job, only rank 0 says more than results and errors.
Measured measure(const RunArguments& arguments, const DeviceOpener& open, const JobPlace& place, Job* job,
                 std::optional<ResultOutputs>& outputs, bool writes) {
  RunPlan plan = understand(arguments);
  if (!arguments.quiet) {
    for (const std::string& line : plan.sweep.left_out) {
      notice(line);
    }
  }
  std::vector<std::string> inputs = arguments.input.files();
  for (const std::string& file : arguments.sweep.files()) {
    inputs.push_back(file);
  }
  const bool is_one_row = plan.sweep.requests.size() == 1;
  const auto open_device = [&] { return open_by(open, arguments.device, place, plan.plugins); };
  const Trials trials = try_plugins(plan, open_device);  // before this process has threads, or the device
  std::unique_ptr<Device> device = open_device();
  add_plugins(*device, plan.plugins, plan.asks_dialect);
  Run run(arguments, std::move(plan), trials, std::move(device), place, job);
  if (writes) outputs.emplace(arguments.outputs, inputs);
  Measured measured = run.measure();
  measured.is_one_row = is_one_row;
  return measured;
}

void write_files(ResultOutputs& outputs, const ResultFile& result, const std::function<void(std::ostream&)>& markdown) {
  outputs.write([&] { return to_json(result); }, [&] { return to_csv(result); },
                [&] {
                  std::ostringstream text;
                  markdown(text);
                  return text.str();
                });
}

void print(const RunArguments& arguments, const Measured& measured) {
  write_table(std::cout, measured.result, use_color(arguments.no_color));
  if (!measured.is_one_row) return;
  if (const auto microseconds = headline_time(measured.result)) {
    std::cout << fmt::format("Kernel running time: {:.3f} us\n", *microseconds);
  }
}

int exit_status(const ResultFile& result) {
  const bool wrong = std::any_of(result.rows.begin(), result.rows.end(), [](const Row& row) { return !row.verified; });
  if (wrong) return exit_wrong;
  return result.complete ? exit_done : exit_interrupted;
}

/// A process on its own.
int run_single(const RunArguments& arguments, const DeviceOpener& open, const JobPlace& place) {
  std::optional<ResultOutputs> outputs;
  const Measured measured = measure(arguments, open, place, nullptr, outputs, true);
  write_files(*outputs, measured.result, [&](std::ostream& out) { write_markdown(out, measured.result); });
  if (!outputs->use_stdout()) {
    print(arguments, measured);
    if (arguments.fom) std::cout << figures_of_merit(measured.result) << '\n';
    std::cout.flush();
  }
  if (measured.failure) std::rethrow_exception(measured.failure);
  return exit_status(measured.result);
}

/// A rank of a job. Where the names of files have a %r, each rank writes its own; otherwise rank 0 writes those of all.
int run_rank(RunArguments arguments, const DeviceOpener& open, const JobPlace& place, Job& job, bool own_files) {
  if (place.rank != 0) arguments.quiet = true;
  std::optional<ResultOutputs> outputs;
  Measured measured;
  Ended ended = ended_by([&] {
    measured = measure(arguments, open, place, &job, outputs, own_files || place.rank == 0);
    if (own_files) {
      write_files(*outputs, measured.result, [&](std::ostream& out) { write_markdown(out, measured.result); });
    }
    if (measured.failure) std::rethrow_exception(measured.failure);
    return exit_status(measured.result);
  });
  measured.result.context.rank = place.rank;
  const std::vector<Job::Report> reports = job.gather(report_text(ended, measured.result));
  if (place.rank != 0) {
    if (job.end()) return exit_done;  // rank 0 says it all
    if (!own_files) keep_own(arguments.outputs, place, measured.result);
    return exit_interrupted;
  }
  const JobResult all = job_result(reports);
  try {
    const bool to_stdout = outputs && outputs->use_stdout();
    if (outputs && !own_files) {
      write_files(*outputs, all.result, [&](std::ostream& out) {
        write_markdown(out, measured.result);
        if (all.fleet) write_fleet_markdown(out, *all.fleet);
      });
    }
    if (!to_stdout && !all.result.rows.empty()) {
      print(arguments, measured);
      std::cout << '\n';
      if (all.fleet) write_fleet_text(std::cout, *all.fleet, use_color(arguments.no_color));
      if (arguments.fom) std::cout << figures_of_merit(all.result) << '\n';
    }
    std::cout.flush();
  } catch (...) {
    job.end();
    throw;
  }
  for (const std::string& line : all.notices) {
    notice(line);
  }
  job.end();
  return all.status;
}

int run(const RunArguments& given, const DeviceOpener& open) {
  JobPlace place = read_place();
  const std::unique_ptr<Job> job = given.profile ? nullptr : join_job(place);
  catch_interrupts();
  if (job) {
    place.rank = job->rank();
    place.size = job->size();
  }
  if (given.fom && ResultOutputs::use_stdout(given.outputs)) {
    throw UsageError("--fom: standard output is that of another format; give that a file name");
  }
  if (!job && (given.together || given.alone)) {
    throw UsageError(fmt::format("{}: {}", given.alone ? "--alone" : "--together",
                                 mpi_version().empty() ? "this kqbench was built without MPI; build it with "
                                                         "-DKQBENCH_MPI=ON"
                                                       : "MPI started no ranks; start kqbench by mpirun"));
  }
  const std::optional<std::string> shared = given.outputs.shared_name();
  if (!job && place.size > 1 && shared) {
    throw UsageError(fmt::format("{}: each of {} ranks would write it; put %r, the rank, in its name",
                                 in_quotes(*shared), place.size));
  }
  RunArguments arguments = given;
  arguments.outputs = given.outputs.at(place);
  if (!job) return run_single(arguments, open, place);
  return run_rank(std::move(arguments), open, place, *job, given.outputs.names_ranks());
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
