// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/input_source.hpp"

#include <CLI/CLI.hpp>

#include "bench/support/errors.hpp"

namespace kqbench {

std::vector<std::byte> InputSource::make(const kq::Request& request, Fill fill) const {
  return tensor_ ? tensor_->bytes : make_input(request, seed_, fill);
}

void InputArguments::add_to(CLI::App& command) {
  const char* const group = "What is quantized";
  const auto add = [&](const char* name, std::optional<std::string>& value, const char* help, const char* type) {
    command.add_option(name, value, help)->type_name(type)->group(group);
  };
  add("--input", input_,
      "A tensor from a .npy or .safetensors file, or a model's .index.json, not random numbers; bfloat16 in uint16 "
      "with "
      "--dtype bfloat16",
      "FILE");
  add("--tensor", tensor_, "Which tensor of a .safetensors file [the only one]", "NAME");
}

InputSource InputArguments::load(Sweep& sweep, std::uint64_t seed) const {
  if (!input_) {
    if (tensor_) throw UsageError("--tensor: names a tensor of a file; add --input FILE");
    return {seed, std::nullopt};
  }
  const auto fixed_by_file = [](bool given, const char* option) {
    if (given)
      throw UsageError(std::string(option) + ": the file of --input has a shape of its own; leave one of them out");
  };
  fixed_by_file(!sweep.num_tokens.empty(), "--num-tokens");
  fixed_by_file(!sweep.hidden_sizes.empty(), "--hidden-size");
  fixed_by_file(sweep.input_stride != 0, "--input-stride");

  InputTensor tensor = load_input(*input_, tensor_.value_or(""), single_element(sweep));
  sweep.elements = {tensor.element};
  sweep.num_tokens = {tensor.num_tokens};
  sweep.hidden_sizes = {tensor.hidden_size};
  return {seed, std::move(tensor)};
}

std::vector<std::string> InputArguments::files() const {
  return input_ ? std::vector<std::string>{*input_} : std::vector<std::string>();
}

}  // namespace kqbench
