// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench quantize`: a file of tensors in, a file of codes and scales out, and how far one is from the other.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "apps/kqbench/devices.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "bench/requests/arguments.hpp"
#include "bench/requests/numbers.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/support/interrupt.hpp"
#include "bench/support/notice.hpp"
#include "bench/tensors/quantize_file.hpp"

namespace kqbench {
namespace {

struct QuantizeArguments {
  std::vector<std::string> inputs;
  std::string output;
  std::optional<std::string> tensor;
  RequestArguments scheme;
  DeviceArguments device;
  std::optional<std::string> names;
  bool dequantize = false;
  bool quiet = false;
};

QuantizeJob understand(const QuantizeArguments& arguments) {
  const Sweep sweep = arguments.scheme.sweep();
  QuantizeJob job;
  job.inputs.assign(arguments.inputs.begin(), arguments.inputs.end());
  job.output = arguments.output;
  job.tensor = arguments.tensor.value_or("");
  job.element = single_element(sweep);
  job.scheme = single_scheme(sweep);
  job.given = arguments.scheme.given_scales(sweep);
  job.read_back = arguments.dequantize;
  if (arguments.names) {
    const auto names = parse_tensor_names(*arguments.names);
    if (!names) {
      throw UsageError("--names: " + in_quotes(*arguments.names) +
                       " is not known; give kqbench, compressed-tensors or modelopt");
    }
    job.names = *names;
  }
  require_one_at_most("--impl", arguments.device.implementations().size());
  return job;
}

bool reads_back_the_same(const QuantizedTensor& tensor) {
  return !tensor.error_again || *tensor.error_again == tensor.error;
}

/// One line: what was made of what, how well, and how long the kernels took, without copies and files.
std::string line_about(const QuantizedTensor& tensor) {
  const kq::ErrorReport& error = tensor.error;
  std::string line = tensor.name.empty() ? "" : in_quotes(tensor.name) + ": ";
  line += fmt::format("[{}] {} to {} {}: max error {:.6g}, RMSE {:.6g}, SQNR {:.6g} dB", fmt::join(tensor.shape, ", "),
                      kq::to_string(tensor.request.element), kq::operation_name(tensor.request),
                      kq::to_string(tensor.request.format), error.max_error, error.rmse, error.sqnr_db);
  if (error.not_finite > 0)
    line += fmt::format(", {} input{} not finite", error.not_finite, error.not_finite == 1 ? "" : "s");
  if (error.lost > 0) line += fmt::format(", {} finite input{} lost", error.lost, error.lost == 1 ? "" : "s");
  if (tensor.error_again && reads_back_the_same(tensor)) line += ", the same read back";
  return line + fmt::format("; {:.3f} us in kernels", tensor.microseconds);
}

/// "3 tensors left out, not being floats in two dimensions: 'a', 'b', ..."
std::string line_about_skipped(const std::vector<std::string>& skipped, std::string_view reason) {
  constexpr std::size_t shown = 5;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(shown, skipped.size()); ++i) {
    names.push_back(in_quotes(skipped[i]));
  }
  if (skipped.size() > shown) names.push_back("...");
  return fmt::format("{} tensor{} left out, {}: {}", skipped.size(), skipped.size() == 1 ? "" : "s", reason,
                     fmt::join(names, ", "));
}

void print(const QuantizeResult& result) {
  for (const QuantizedTensor& tensor : result.tensors) {
    fmt::print("{}\n", line_about(tensor));
  }
  std::map<std::string_view, std::vector<std::string>> skipped;
  for (const SkippedTensor& tensor : result.skipped) {
    skipped[tensor.reason].push_back(tensor.name);
  }
  for (const auto& [reason, names] : skipped) {
    fmt::print("{}\n", line_about_skipped(names, reason));
  }
  for (const std::filesystem::path& file : result.files) {
    fmt::print("written: {}\n", in_quotes(file.native()));
  }
}

int run(const QuantizeArguments& arguments, const DeviceOpener& open) {
  const QuantizeJob job = understand(arguments);
  const std::unique_ptr<Device> device = open_by(open, arguments.device, read_place());
  const std::vector<Implementation*> implementations =
      choose_implementations(*device, arguments.device.implementations(), {"kokkos", "native"});
  catch_interrupts();
  const QuantizeResult result = quantize_file(job, *device, *implementations.front(), interrupted);
  if (!arguments.quiet) print(result);
  int status = exit_done;
  for (const QuantizedTensor& tensor : result.tensors) {
    if (reads_back_the_same(tensor)) continue;
    notice(fmt::format("{}: read back, {} has another error than before it was written; check the disk",
                       in_quotes(arguments.output), tensor.name.empty() ? "the tensor" : in_quotes(tensor.name)));
    status = exit_wrong;
  }
  if (!result.interrupted) return status;
  notice(result.files.empty() ? "interrupted; nothing was written" : "interrupted before all was read back");
  return exit_interrupted;
}

}  // namespace

void add_quantize(CLI::App& program, const DeviceOpener& open, Action& chosen) {
  CLI::App* command = program.add_subcommand("quantize", "Quantize the tensors of a file");
  auto arguments = std::make_shared<QuantizeArguments>();
  command
      ->add_option("IN", arguments->inputs,
                   ".npy or .safetensors files, or the .safetensors.index.json of a model in shards")
      ->required()
      ->type_name("");
  command
      ->add_option(
          "-o,--output", arguments->output,
          "Where the codes and scales go: NAME.npy, with the scales in NAME.scale.npy; NAME.safetensors, for all "
          "tensors; NAME.safetensors.index.json, with a shard for each file of the input; or a folder that exists, for "
          "outputs with the names of their inputs")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--tensor", arguments->tensor, "Name of the tensor in a .safetensors file [all in two dimensions]")
      ->type_name("NAME")
      ->group("What is quantized");
  arguments->scheme.add_to(*command, Use::quantize);
  arguments->device.add_to(*command, Use::quantize, "kokkos, else native");
  const char* const output = "Output";
  command
      ->add_flag("--dequantize", arguments->dequantize,
                 "Read the output back, dequantize it, and check that its error is the one printed")
      ->group(output);
  command
      ->add_option(
          "--names", arguments->names,
          "Names in a .safetensors file for the parts of a tensor NAME: kqbench (NAME, NAME.scale, NAME.global_scale), "
          "compressed-tensors (NAME_packed, NAME_scale, NAME_global_scale), modelopt (NAME, NAME_scale, "
          "NAME_scale_2) [kqbench]")
      ->type_name("NAME")
      ->group(output);
  command->add_flag("--quiet", arguments->quiet, "Print errors only")->group(output);
  command->callback([arguments, open, &chosen] { chosen = [arguments, open] { return run(*arguments, open); }; });
}

}  // namespace kqbench
