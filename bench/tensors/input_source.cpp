// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/input_source.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {

namespace {

/// Values that a row of a file makes: half as many as its columns where they are gate and up.
std::int64_t hidden_size_of(const InputTensor& tensor, const Sweep& sweep, const std::string& file) {
  const Sweep::Values& producers = sweep.values("producer");
  for (const kq::ParameterValue& value : producers) {
    const std::string& name = std::get<std::string>(value);
    const int parts = kq::input_parts(kq::parse_producer(name).value_or(kq::Producer::none));
    if (parts == 1) continue;
    if (producers.size() > 1) {
      throw UsageError(fmt::format(
          "--producer: {} takes {} columns of the file of --input for a value; measure it alone", name, parts));
    }
    if (tensor.hidden_size % parts != 0) {
      throw UsageError(fmt::format("{}: {} takes rows of {} parts of the same length, not of {} columns",
                                   in_quotes(file), name, parts, tensor.hidden_size));
    }
    return tensor.hidden_size / parts;
  }
  return tensor.hidden_size;
}

}  // namespace

HostTensors InputSource::make(const kq::Request& request, Fill fill) const {
  if (!tensor_) return make_sources(request, seed_, fill);
  HostTensors sources;
  sources.input = tensor_->bytes;
  make_other_sources(request, seed_, fill, sources);
  return sources;
}

void InputArguments::add_to(CLI::App& command) {
  const char* const group = "What is quantized";
  const auto add = [&](const char* name, std::optional<std::string>& value, const char* help, const char* type) {
    command.add_option(name, value, help)->type_name(type)->group(group);
  };
  add("--input", input_,
      "Read the input from a .npy or .safetensors file or a model's .index.json; with --dtype bfloat16, uint16 is "
      "bfloat16 [random numbers]",
      "FILE");
  add("--tensor", tensor_, "Name of the tensor in a .safetensors file [the only one]", "NAME");
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
  sweep.set("hidden_size", {hidden_size_of(tensor, sweep, *input_)});
  // What its columns are depends on the producer: none, unless one is asked for.
  sweep.set_default("producer", {std::string(kq::to_string(kq::Producer::none))});
  return {seed, std::move(tensor)};
}

std::vector<std::string> InputArguments::files() const {
  return input_ ? std::vector<std::string>{*input_} : std::vector<std::string>();
}

}  // namespace kqbench
