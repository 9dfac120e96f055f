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
#include <vector>

#include "apps/kqbench/devices.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "bench/measure/memory_need.hpp"
#include "bench/measure/rotating_buffers.hpp"
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

class Verification {
 public:
  Verification(const VerifyArguments& arguments, Device& device, std::vector<Implementation*> implementations,
               const InputSource& input, const GivenScales& given, std::FILE* mismatches)
      : arguments_(arguments),
        device_(device),
        arena_(device),
        implementations_(std::move(implementations)),
        input_(input),
        given_(given),
        mismatches_(mismatches),
        conformance_(names_of(implementations_)) {}

  void verify_all(const std::vector<kq::Request>& requests) {
    Progress progress(requests.size(), !arguments_.quiet && !arguments_.no_progress);
    for (std::size_t index = 0; index < requests.size() && !interrupted(); ++index) {
      progress.step(describe(requests[index]));
      if (input_.is_file()) {
        verify({requests[index], Fill::normal, Placement::packed}, progress);
        continue;
      }
      for (const VerifyCase& one : verify_cases(requests[index], index)) {
        verify(one, progress);
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
  void verify(const VerifyCase& one, Progress& progress) {
    const std::vector<Implementation*> serving = supported(kq::resolved(one.request));
    if (serving.empty()) return;
    const Problem problem =
        make_problem(one.request, input_.make(one.request, one.fill), given_.of(one.request, input_.name()));
    Misalignment misalignment;
    if (one.placement == Placement::misaligned) misalignment = {1, 1};
    RotatingBuffers buffers(device_, arena_, problem, serving, 1, misalignment);
    for (std::size_t i = 0; i < serving.size(); ++i) {
      buffers.poison(i, unwritten);
      serving[i]->enqueue(problem.request, buffers.operands(i, 0));
      buffers.launched(i, 0);
      Tally& tally = tallies_[std::string(serving[i]->name())];
      ++tally.cases;
      const std::int64_t codes = problem.request.num_tokens * problem.request.hidden_size;
      tally.codes += codes;
      const std::optional<Mismatch> mismatch = buffers.check(i);
      conformance_.add(problem.request, std::string(serving[i]->name()), codes, !mismatch);
      if (mismatch) {
        ++tally.wrong;
        show(one, *serving[i], *mismatch, progress);
      }
    }
  }

  std::vector<Implementation*> supported(const kq::Request& request) {
    std::vector<Implementation*> serving;
    for (Implementation* implementation : implementations_) {
      if (const auto refusal = implementation->unsupported_reason(request)) {
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

  void show(const VerifyCase& one, const Implementation& implementation, const Mismatch& mismatch, Progress& progress) {
    if (shown_ == shown_mismatches) return;
    progress.clear();
    fmt::print(mismatches_, "FAILED {}: {}, filled with {}, {}: {}\n", implementation.name(), describe(one.request),
               to_string(one.fill), to_string(one.placement), mismatch.message());
    if (++shown_ == shown_mismatches) fmt::print(mismatches_, "Further mismatches are counted, not shown.\n");
  }

  const VerifyArguments& arguments_;
  Device& device_;
  DeviceArena arena_;
  std::vector<Implementation*> implementations_;
  const InputSource& input_;
  const GivenScales& given_;
  std::FILE* mismatches_;  ///< where they are shown
  std::map<std::string, Tally> tallies_;
  Conformance conformance_;
  int shown_ = 0;
};

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
  const std::unique_ptr<Device> device = open_by(open, arguments.device, read_place());
  const std::vector<kq::Request> requests = verify_requests(sweep);
  for (const kq::Request& request : requests) {
    given.of(request, input.name());  // what does not fit is refused before anything is compared
  }
  const std::vector<Implementation*> implementations =
      choose_implementations(*device, arguments.device.implementations(), {"kokkos", "native"});
  for (const kq::Request& request : requests) {
    require_memory(*device, request, implementations);
  }
  catch_interrupts();
  const bool takes_stdout = (markdown && markdown->is_stdout()) || (json && json->is_stdout());
  Verification verification(arguments, *device, implementations, input, given, takes_stdout ? stderr : stdout);
  verification.verify_all(requests);
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
  command->add_option("--markdown", arguments->markdown, "Write a table of dialects, schemes and formats as Markdown")
      ->type_name("FILE")
      ->group(output);
  command->add_option("--json", arguments->json, "Write that table as JSON, for report --conformance")
      ->type_name("FILE")
      ->group(output);
  command->add_flag("--quiet", arguments->quiet, "Results and errors only")->group(output);
  command->add_flag("--no-progress", arguments->no_progress, "No progress bar")->group(output);
  command->footer(how_to_write_a_list + program.get_footer());
  command->callback([arguments, open, &chosen] { chosen = [arguments, open] { return run(*arguments, open); }; });
}

}  // namespace kqbench
