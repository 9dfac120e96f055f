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
  for (const char* const name : {"num_tokens", "hidden_size", "input_stride"}) {
    if (!sweep.has(name)) continue;
    throw UsageError(kq::option_name(kq::parameter(name)) +
                     ": the file of --input has a shape of its own; leave one of them out");
  }
  InputTensor tensor = load_input(*input_, tensor_.value_or(""), single_element(sweep));
  sweep.set("dtype", {std::string(kq::to_string(tensor.element))});
  sweep.set("num_tokens", {tensor.num_tokens});
  sweep.set("hidden_size", {tensor.hidden_size});
  return {seed, std::move(tensor)};
}

std::vector<std::string> InputArguments::files() const {
  return input_ ? std::vector<std::string>{*input_} : std::vector<std::string>();
}

}  // namespace kqbench
