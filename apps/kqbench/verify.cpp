// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench verify`: every implementation against the reference, on shapes and numbers made to find mistakes.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apps/kqbench/devices.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "bench/measure/memory_need.hpp"
#include "bench/measure/rotating_buffers.hpp"
#include "bench/plugins/plugins.hpp"
#include "bench/plugins/trial.hpp"
#include "bench/requests/arguments.hpp"
#include "bench/requests/verify_cases.hpp"
#include "bench/results/conformance.hpp"
#include "bench/results/text_output.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/interrupt.hpp"
#include "bench/support/notice.hpp"
#include "bench/support/progress.hpp"
#include "bench/tensors/input_source.hpp"

namespace kqbench {
namespace {

struct VerifyArguments {
  RequestArguments sweep;
  InputArguments input;
  DeviceArguments device;
  std::optional<std::string> markdown, json;
  bool quiet = false;
  bool no_progress = false;
};

/// The requests, each with the implementations whose workspaces there is no room for.
using Requests = std::vector<std::pair<kq::Request, std::vector<TooLarge>>>;

/// What one implementation got right and wrong.
struct Tally {
  std::int64_t cases = 0;
  std::int64_t codes = 0;
  std::int64_t wrong = 0;
  std::int64_t refused = 0;
  std::set<std::string> refusals;
};

constexpr int shown_mismatches = 10;
constexpr std::byte unwritten{0xa5};

std::vector<std::string> names_of(const std::vector<Implementation*>& implementations) {
  std::vector<std::string> names;
  for (const Implementation* implementation : implementations) {
    names.emplace_back(implementation->name());
  }
  return names;
}

/// The cases of one request, the `index`-th of all; of a file's tensors there is one.
std::vector<VerifyCase> cases_of(const kq::Request& request, std::size_t index, const InputSource& input) {
  if (input.is_file()) return {{request, Fill::normal, Placement::packed}};
  return verify_cases(request, index);
}

bool is_misaligned(const VerifyCase& one) {
  return one.placement == Placement::misaligned;
}

class Verification {
 public:
  Verification(const VerifyArguments& arguments, Device& device, std::vector<Implementation*> implementations,
               const InputSource& input, const GivenScales& given, const Trials& trials, std::FILE* mismatches)
      : arguments_(arguments),
        device_(device),
        arena_(device),
        implementations_(std::move(implementations)),
        input_(input),
        given_(given),
        trials_(trials),
        mismatches_(mismatches),
        conformance_(names_of(implementations_)) {}

  void verify_all(const Requests& requests) {
    Progress progress(requests.size(), !arguments_.quiet && !arguments_.no_progress);
    for (std::size_t index = 0; index < requests.size() && !interrupted(); ++index) {
      const auto& [request, too_large] = requests[index];
      progress.step(describe(request));
      for (const VerifyCase& one : cases_of(request, index, input_)) {
        verify(one, too_large, progress);
        ++case_;
      }
    }
  }

  /// The table of --markdown and --json.
  ConformanceTable table() const {
    const DeviceInfo& info = device_.info();
    return conformance_.table(fmt::format("{} ({}), {}", info.name, info.architecture, info.runtime), !interrupted());
  }

  void report() const {
    for (const auto& [name, tally] : tallies_) {
      fmt::print("{:<10} {} cases, {} codes compared with the reference: {}{}\n", name, tally.cases, tally.codes,
                 tally.wrong == 0 ? "no mismatch" : fmt::format("{} cases wrong", tally.wrong),
                 tally.refused == 0 ? "" : fmt::format("; {} cases not served", tally.refused));
      for (const std::string& refusal : tally.refusals) {
        fmt::print("{:<10} not served: {}\n", "", refusal);
      }
    }
  }

  int exit_status() const {
    for (const auto& [name, tally] : tallies_) {
      if (tally.wrong != 0) return exit_wrong;
    }
    return interrupted() ? exit_interrupted : exit_done;
  }

 private:
  void verify(const VerifyCase& one, const std::vector<TooLarge>& too_large, Progress& progress) {
    const std::vector<Implementation*> serving = supported(one, too_large, progress);
    if (serving.empty()) return;
    const Problem problem =
        make_problem(one.request, input_.make(one.request, one.fill), given_.of(one.request, input_.name()));
    Misalignment misalignment;
    if (is_misaligned(one)) misalignment = {1, 1};
    RotatingBuffers buffers(device_, arena_, problem, serving, 1, misalignment);
    std::vector<std::optional<Mismatch>> mismatches(serving.size());
    std::vector<std::optional<Mismatch>*> all;
    for (std::size_t i = 0; i < serving.size(); ++i) {
      buffers.poison(i, unwritten);
      serving[i]->enqueue(problem.request, buffers.operands(i, 0));
      buffers.launched(i, 0);
      mismatches[i] = buffers.check(i);
      all.push_back(&mismatches[i]);
    }
    buffers.note_agreement(all);
    for (std::size_t i = 0; i < serving.size(); ++i) {
      const std::optional<Mismatch>& mismatch = mismatches[i];
      count(one, *serving[i], mismatch ? std::optional(mismatch->message()) : std::nullopt, progress);
    }
  }

  /// Counts a case, and shows what was wrong with it, if anything was.
  void count(const VerifyCase& one, const Implementation& implementation, const std::optional<std::string>& failure,
             Progress& progress) {
    const std::string name(implementation.name());
    const std::int64_t codes = one.request.num_tokens * one.request.hidden_size;
    Tally& tally = tallies_[name];
    ++tally.cases;
    tally.codes += codes;
    conformance_.add(one.request, name, codes, !failure);
    if (!failure) return;
    ++tally.wrong;
    show(one, implementation, *failure, progress);
  }

  /// Those that are to be launched: neither refuse the case nor have failed it in their trial, which is counted.
  std::vector<Implementation*> supported(const VerifyCase& one, const std::vector<TooLarge>& too_large,
                                         Progress& progress) {
    const kq::Request request = kq::resolved(one.request);
    std::vector<Implementation*> serving;
    for (Implementation* implementation : implementations_) {
      if (const auto failure = trials_.failure(implementation->name(), case_)) {
        count(one, *implementation, failure, progress);
      } else if (const auto refusal = why_not_serving(*implementation, one, request, too_large)) {
        Tally& tally = tallies_[std::string(implementation->name())];
        ++tally.refused;
        conformance_.add_refused(request, std::string(implementation->name()));
        tally.refusals.insert(*refusal);
      } else {
        serving.push_back(implementation);
      }
    }
    return serving;
  }

  static std::optional<std::string> why_not_serving(const Implementation& implementation, const VerifyCase& one,
                                                    const kq::Request& request,
                                                    const std::vector<TooLarge>& too_large) {
    if (is_misaligned(one) && implementation.alignment() > kq::element_size(request.element)) {
      return fmt::format("input and codes must be aligned to {} bytes", implementation.alignment());
    }
    for (const TooLarge& large : too_large) {
      if (large.implementation == &implementation) return large.reason;
    }
    return implementation.unsupported_reason(request);
  }

  void show(const VerifyCase& one, const Implementation& implementation, const std::string& failure,
            Progress& progress) {
    if (shown_ == shown_mismatches) return;
    progress.clear();
    fmt::print(mismatches_, "FAILED {}: {}, filled with {}, {}: {}\n", implementation.name(), describe(one.request),
               to_string(one.fill), to_string(one.placement), failure);
    if (++shown_ == shown_mismatches) fmt::print(mismatches_, "Further mismatches are counted, not shown.\n");
  }

  const VerifyArguments& arguments_;
  Device& device_;
  DeviceArena arena_;
  std::vector<Implementation*> implementations_;
  const InputSource& input_;
  const GivenScales& given_;
  const Trials& trials_;
  std::size_t case_ = 0;   ///< its index in the trials
  std::FILE* mismatches_;  ///< where they are shown
  std::map<std::string, Tally> tallies_;
  Conformance conformance_;
  int shown_ = 0;
};

/// The plug-ins' first launches of every case.
Trials try_plugins(const std::vector<PluginKernel>& plugins, const Sweep& sweep, const InputSource& input,
                   const GivenScales& given, const std::function<std::unique_ptr<Device>()>& open, bool asks_dialect) {
  if (plugins.empty()) return {};
  std::vector<VerifyCase> all;
  TrialCases cases;
  const std::vector<kq::Request> requests = verify_requests(sweep);
  for (std::size_t index = 0; index < requests.size(); ++index) {
    given.of(requests[index], input.name());
    for (const VerifyCase& one : cases_of(requests[index], index, input)) {
      all.push_back(one);
      cases.cases.push_back({one.request, is_misaligned(one)});
    }
  }
  cases.given = [&](std::size_t index) {
    const VerifyCase& one = all[index];
    return make_given(kq::resolved(one.request), input.make(one.request, one.fill),
                      given.of(one.request, input.name()));
  };
  return try_out(plugins, open, cases, asks_dialect);
}

/// Each request with who asks for too large a workspace. Throws DeviceError where the others have no room.
Requests require_room(const Device& device, const std::vector<kq::Request>& requests,
                      const std::vector<Implementation*>& implementations) {
  Requests all;
  for (const kq::Request& request : requests) {
    std::vector<Implementation*> serving;
    for (Implementation* implementation : implementations) {
      if (!implementation->unsupported_reason(kq::resolved(request))) serving.push_back(implementation);
    }
    all.emplace_back(request, take_out_too_large(device, request, serving));
    require_memory(device, request, serving);
  }
  return all;
}

int run(const VerifyArguments& arguments, const DeviceOpener& open) {
  if (arguments.markdown && arguments.markdown == arguments.json) {
    throw UsageError("--json: is the same place as --markdown; give another");
  }
  std::optional<TextOutput> markdown;
  if (arguments.markdown) markdown.emplace(*arguments.markdown);
  std::optional<TextOutput> json;
  if (arguments.json) json.emplace(*arguments.json);
  Sweep sweep = arguments.sweep.sweep();
  const InputSource input = arguments.input.load(sweep, arguments.sweep.seed());
  const GivenScales given = arguments.sweep.given_scales(sweep);
  const std::vector<PluginKernel> plugins = load_plugins(arguments.device.plugins());
  const bool asks_dialect = choose_dialects(sweep, plugins);
  const auto open_device = [&] { return open_by(open, arguments.device, read_place(), plugins); };
  // Before this process has threads, or the device.
  const Trials trials = try_plugins(plugins, sweep, input, given, open_device, asks_dialect);
  const std::unique_ptr<Device> device = open_device();
  add_plugins(*device, plugins, asks_dialect);
  const std::vector<kq::Request> requests = verify_requests(sweep);
  for (const kq::Request& request : requests) {
    given.of(request, input.name());  // what does not fit is refused before anything is compared
  }
  const std::vector<Implementation*> implementations =
      choose_implementations(*device, arguments.device.implementations(), with_plugins({"kokkos", "native"}, plugins));
  const Requests with_room = require_room(*device, requests, implementations);
  catch_interrupts();
  const bool takes_stdout = (markdown && markdown->is_stdout()) || (json && json->is_stdout());
  Verification verification(arguments, *device, implementations, input, given, trials, takes_stdout ? stderr : stdout);
  verification.verify_all(with_room);
  if (!takes_stdout) verification.report();
  if (markdown) markdown->write(verification.table().markdown());
  if (json) json->write(verification.table().json());
  return verification.exit_status();
}

}  // namespace

void add_verify(CLI::App& program, const DeviceOpener& open, Action& chosen) {
  CLI::App* command = program.add_subcommand("verify", "Compare every implementation with the reference, bit for bit");
  auto arguments = std::make_shared<VerifyArguments>();
  arguments->sweep.add_to(*command, Use::verify);
  arguments->input.add_to(*command);
  arguments->device.add_to(*command, Use::verify, "kokkos,native");
  const char* const output = "Output";
  command
      ->add_option(
          "--markdown", arguments->markdown,
          "Write a Markdown table that says which dialects, schemes and formats are exact; - is standard output")
      ->type_name("FILE")
      ->group(output);
  command
      ->add_option("--json", arguments->json,
                   "Write the same table as JSON, for kqbench report --conformance; - is standard output")
      ->type_name("FILE")
      ->group(output);
  command->add_flag("--quiet", arguments->quiet, "Print results and errors only")->group(output);
  command->add_flag("--no-progress", arguments->no_progress, "Show no progress bar")->group(output);
  command->footer(how_to_write_a_list + program.get_footer());
  command->callback([arguments, open, &chosen] { chosen = [arguments, open] { return run(*arguments, open); }; });
}

}  // namespace kqbench
