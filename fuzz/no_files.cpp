// SPDX-License-Identifier: Apache-2.0

// In place of input_file.cpp, output_file.cpp, text_output.cpp, the host backend and the reference: no file is there,
// none can be made, and the host cannot be opened. So a command line may say what it likes.

#include <cstddef>
#include <cstdlib>
#include <vector>

#include "backends/host/host.hpp"
#include "bench/results/text_output.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/support/output_file.hpp"
#include "bench/tensors/input_file.hpp"

namespace kqbench {

InputFile::InputFile(const std::filesystem::path& path) {
  throw UsageError(in_quotes(path.native()) + ": cannot be opened");
}
InputFile::~InputFile() = default;
InputFile::InputFile(InputFile&& /*other*/) noexcept {
  std::abort();
}
void InputFile::read_at(std::uint64_t /*offset*/, std::span<std::byte> /*bytes*/) const {
  std::abort();
}

void refuse_to_replace(const std::filesystem::path& /*input*/, const std::filesystem::path& /*output*/) {}
std::filesystem::path target_of(const std::filesystem::path& path) {
  return path;
}

OutputFile::OutputFile(const std::filesystem::path& path) {
  throw UsageError(in_quotes(path.native()) + ": cannot be created");
}
OutputFile::~OutputFile() = default;
void OutputFile::write_at(std::uint64_t /*offset*/, std::span<const std::byte> /*bytes*/) {
  std::abort();
}
void OutputFile::commit() {
  std::abort();
}
void OutputFile::commit_all(std::span<const std::unique_ptr<OutputFile>> /*files*/) {
  std::abort();
}

TextOutput::TextOutput(const std::string& path, std::span<const std::string> /*inputs*/) : stdout_(path == "-") {
  if (!stdout_) throw UsageError(in_quotes(path) + ": cannot be created");
}
TextOutput::~TextOutput() = default;
TextOutput::TextOutput(TextOutput&& other) noexcept : stdout_(other.stdout_) {}
void TextOutput::write(std::string_view /*text*/) {
  std::abort();
}

HostTensors reference(const kq::Request& /*request*/, const Operands& /*given*/, std::byte /*padding*/) {
  std::abort();
}

std::vector<std::byte> reference_values(const kq::Request& /*request*/, const HostTensors& /*sources*/) {
  std::abort();
}

Backend host_backend() {
  Backend backend;
  backend.name = "host";
  backend.built = true;
  backend.device_count = [] { return 1; };
  backend.device_name = [](int) { return std::string("nothing"); };
  backend.open = [](const DeviceOptions&) -> std::unique_ptr<Device> { throw DeviceError("the host: is not opened"); };
  return backend;
}

}  // namespace kqbench
