// SPDX-License-Identifier: Apache-2.0
#include "bench/plugins/trial.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <exception>
#include <limits>
#include <memory>
#include <sstream>
#include <string_view>

#include "bench/measure/device_memory.hpp"
#include "bench/measure/memory_need.hpp"
#include "bench/measure/problem.hpp"
#include "bench/measure/rotating_buffers.hpp"
#include "bench/measure/timer.hpp"
#include "bench/plugins/child_process.hpp"
#include "bench/plugins/crash_report.hpp"
#include "bench/plugins/guarded_tensors.hpp"
#include "bench/support/interrupt.hpp"

namespace kqbench {
namespace {

constexpr int most_crashes = 10;
constexpr int guest_launches = 2;  ///< of each case: the second finds the workspace as the first left it
constexpr std::byte guest_poison{0xa5};

/// What a kernel has changed of the processor's arithmetic, which all others use after it; nothing where it is as it
/// was.
std::optional<std::string> changed_arithmetic() {
  if (std::fegetround() != FE_TONEAREST) return "it leaves another rounding mode behind than to nearest";
  const volatile float least = std::numeric_limits<float>::min();
  const volatile float half = least * 0.5f;
  if (half == 0.0f) return "it leaves subnormal numbers flushed to zero behind";
  return std::nullopt;
}

/// A kernel in the process that is there for it. Says "begin I", and "failed I <why>" or "end I", for each case.
class Guest {
 public:
  Guest(const ChildProcess::Lines& lines, Device& device, Implementation& kernel, const TrialCases& cases)
      : lines_(lines), device_(device), arena_(device), kernel_(kernel), cases_(cases) {}

  void try_from(std::size_t first) {
    for (std::size_t index = first; index < cases_.cases.size(); ++index) {
      lines_.say(fmt::format("begin {}", index));
      std::optional<std::string> failure;
      try {
        failure = try_case(index);
        if (!failure) failure = changed_arithmetic();
      } catch (const std::exception& error) {
        const std::string_view text = error.what();
        failure = text.substr(0, text.find('\n'));
      } catch (...) {
        failure = "it threw an exception";
      }
      lines_.say(failure ? fmt::format("failed {} {}", index, *failure) : fmt::format("end {}", index));
      if (failure) device_.synchronize();  // a device that is lost throws, which ends this process
    }
  }

 private:
  std::optional<std::string> try_case(std::size_t index) {
    const TrialCase& one = cases_.cases[index];
    const kq::Request request = kq::resolved(one.request);
    describe_crashes_by({});
    const bool misplaced = one.misaligned && kernel_.alignment() > kq::element_size(request.element);
    if (request.num_tokens == 0 || misplaced || kernel_.unsupported_reason(request)) return std::nullopt;
    const std::array<Implementation*, 1> alone{&kernel_};
    try {
      require_memory(device_, request, alone);
    } catch (const DeviceError&) {
      return std::nullopt;  // which the run is refused for, or other implementations too
    }
    const HostTensors given = cases_.given(index);
    if (has_queue(device_)) return try_on_device({request, given, {}}, one.misaligned);
    const GuardedTensors tensors(request, given, kernel_.alignment(), kernel_.workspace_bytes(request));
    describe_crashes_by(tensors.memory());
    for (int launch = 0; launch < guest_launches; ++launch) {
      kernel_.enqueue(request, tensors.operands());
    }
    return std::nullopt;
  }

  std::optional<std::string> try_on_device(const Problem& problem, bool misaligned) {
    Misalignment misalignment;
    if (misaligned) misalignment = {1, 1};
    const std::array<Implementation*, 1> alone{&kernel_};
    RotatingBuffers buffers(device_, arena_, problem, alone, 1, misalignment);
    const auto enqueue = [&] { kernel_.enqueue(problem.request, buffers.operands(0, 0)); };
    for (int launch = 0; launch < guest_launches; ++launch) {
      enqueue();
      device_.synchronize();
    }
    std::unique_ptr<Graph> graph;
    try {
      graph = device_.record(enqueue);
    } catch (const std::exception& error) {
      return fmt::format(
          "its launch cannot be recorded: it synchronizes, allocates, or works on another stream than its own ({})",
          error.what());
    }
    device_.synchronize_all();  // what it has put on another stream must not write after the poison
    buffers.poison(0, guest_poison);
    graph->launch();
    const std::vector<std::byte> left = buffers.fetch(0, 0);
    if (std::all_of(left.begin(), left.end(), [](std::byte byte) { return byte == guest_poison; })) {
      return "it put nothing on the stream that it was given: a launch that was recorded there wrote nothing";
    }
    return cases_.launch ? try_in_a_row(problem.request, buffers, left) : std::nullopt;
  }

  /// How launches follow each other. `left`: the outputs of one.
  std::optional<std::string> try_in_a_row(const kq::Request& request, RotatingBuffers& buffers,
                                          const std::vector<std::byte>& left) {
    const bool overlapped = *cases_.launch == Launch::overlapped;
    if (overlapped && (device_.why_no_overlap() || kernel_.why_no_overlap())) return std::nullopt;  // which is refused
    const auto count = [&](int launches) {
      const auto enqueue = [&] {
        for (int launch = 0; launch < launches; ++launch) {
          kernel_.enqueue(request, buffers.operands(0, 0));
        }
      };
      return device_.count_overlapping(enqueue, overlapped);
    };
    const bool overlaps = count(2) > 2 * count(1);  // what overlaps within a launch is its own affair
    if (!overlapped && overlaps) {
      return "its launches start before the end of the one in front (programmatic dependent launch), which is for "
             "--launch overlapped";
    }
    if (!overlapped) return std::nullopt;
    if (!overlaps) {
      return "its launches do not overlap: there is no WaitsForPrerequisites in the names of its kernels, they were "
             "compiled for less than compute capability 9.0, or something else is between them";
    }
    return try_behind_a_late_one(request, buffers, left);
  }

  /// Whether it reads its input before the launch in front of it has written that.
  std::optional<std::string> try_behind_a_late_one(const kq::Request& request, RotatingBuffers& buffers,
                                                   const std::vector<std::byte>& left) {
    const Operands operands = buffers.operands(0, 0);
    void* const input = const_cast<void*>(operands.input);
    const std::size_t bytes = kq::input_bytes(request);
    if (bytes > device_.free_memory_bytes()) return std::nullopt;  // where no second input fits it is not tried
    const DeviceMemory kept(device_, bytes);
    device_.copy_on_device(kept.data(), input, bytes);
    device_.fill(input, 0, bytes);
    buffers.poison(0, guest_poison);
    const std::unique_ptr<Graph> graph = device_.record_overlapped([&] {
      device_.enqueue_late_copy(input, kept.data(), bytes);
      kernel_.enqueue(request, operands);
    });
    graph->launch();
    if (buffers.fetch(0, 0) == left) return std::nullopt;
    return "it does not wait: it reads its input before the launch in front of it has written that";
  }

  const ChildProcess::Lines& lines_;
  Device& device_;
  DeviceArena arena_;
  Implementation& kernel_;
  const TrialCases& cases_;
};

/// One kernel's trials, seen from here.
class Host {
 public:
  Host(const PluginKernel& kernel, const std::function<std::unique_ptr<Device>()>& open, const TrialCases& cases,
       bool asks_dialect, Trials& trials)
      : kernel_(kernel), open_(open), cases_(cases), asks_dialect_(asks_dialect), trials_(trials) {}

  void try_all() {
    std::size_t next = 0;
    int crashes = 0;
    while (next < cases_.cases.size() && !interrupted()) {
      const std::optional<std::size_t> stopped = try_from(next);
      if (!stopped) return;
      next = *stopped + 1;
      if (++crashes < most_crashes) continue;
      for (; next < cases_.cases.size(); ++next) {
        trials_.add(kernel_.name, next, fmt::format("not tried: it crashed in {} cases before", most_crashes));
      }
    }
  }

 private:
  /// The case in which the process ended before its time, if any.
  std::optional<std::size_t> try_from(std::size_t first) {
    ChildProcess child([&](const ChildProcess::Lines& lines) { be_guest(lines, first); });
    std::size_t current = first;
    std::string crash;
    while (const std::optional<std::string> line = child.next_line()) {
      std::istringstream words(*line);
      std::string what;
      words >> what;
      if (what == "finished") return std::nullopt;
      if (what == "crash") {
        crash = crash_text(*line);
        continue;
      }
      words >> current;
      if (what != "failed") continue;
      std::string text;
      std::getline(words >> std::ws, text);
      trials_.add(kernel_.name, current, text);
    }
    if (interrupted()) return std::nullopt;
    const std::optional<std::string> how = child.how_it_failed();
    if (trials_.failure(kernel_.name, current)) return current;  // what came after it, came of it
    trials_.add(kernel_.name, current,
                crash.empty() ? "it ended the process: " + how.value_or("exit status 0") : "it crashed: " + crash);
    return current;
  }

  void be_guest(const ChildProcess::Lines& lines, std::size_t first) const {
    report_crashes(lines.file());
    std::unique_ptr<Device> device;
    try {
      device = open_();
    } catch (const std::exception&) {  // whoever started this opens it too, and says why that failed
    }
    if (device && device->info().backend == kernel_.backend) {
      try {
        const std::unique_ptr<Implementation> guest = make_plugin_implementation(kernel_, *device, asks_dialect_);
        Guest(lines, *device, *guest, cases_).try_from(first);
      } catch (const std::exception&) {  // the device is lost, after a failure that was told
        return;
      }
    }
    lines.say("finished");
  }

  const PluginKernel& kernel_;
  const std::function<std::unique_ptr<Device>()>& open_;
  const TrialCases& cases_;
  bool asks_dialect_;
  Trials& trials_;
};

}  // namespace

std::optional<std::string> Trials::failure(std::string_view kernel, std::size_t index) const {
  const auto of_kernel = failures_.find(kernel);
  if (of_kernel == failures_.end()) return std::nullopt;
  const auto found = of_kernel->second.find(index);
  return found == of_kernel->second.end() ? std::nullopt : std::optional(found->second);
}

Trials try_out(const std::vector<PluginKernel>& kernels, const std::function<std::unique_ptr<Device>()>& open,
               const TrialCases& cases, bool asks_dialect) {
  Trials trials;
  for (const PluginKernel& kernel : kernels) {
    Host(kernel, open, cases, asks_dialect, trials).try_all();
  }
  return trials;
}

}  // namespace kqbench
