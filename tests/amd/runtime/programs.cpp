// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/runtime/programs.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace kqbench::amd {
namespace {

std::string setting(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

/// A file that is there as long as this is.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::vector<std::byte>& contents) {
    const int descriptor = mkstemp(name_);
    if (descriptor < 0) throw std::runtime_error("cannot make a temporary file");
    std::size_t written = 0;
    while (written < contents.size()) {
      const auto count = ::write(descriptor, contents.data() + written, contents.size() - written);
      if (count <= 0) break;
      written += static_cast<std::size_t>(count);
    }
    ::close(descriptor);
    if (written < contents.size()) throw std::runtime_error("cannot write a temporary file");
  }
  ~TemporaryFile() { ::unlink(name_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const char* name() const { return name_; }

 private:
  char name_[32] = "/tmp/kqbench-code-XXXXXX";
};

std::string disassemble(const CodeObject& object) {
  const TemporaryFile file(object.elf());
  const std::string command =
      setting("KQ_AMD_OBJDUMP", "llvm-objdump") + " -d --mcpu=" + object.target() + ' ' + file.name();
  std::FILE* const output = popen(command.c_str(), "r");
  if (output == nullptr) throw std::runtime_error("cannot run " + command);
  std::string text;
  std::vector<char> buffer(1 << 20);
  for (std::size_t count = 0; (count = std::fread(buffer.data(), 1, buffer.size(), output)) > 0;) {
    text.append(buffer.data(), count);
  }
  if (pclose(output) != 0) throw std::runtime_error("failed: " + command);
  return text;
}

}  // namespace

Programs::Programs() : target_(setting("KQ_AMD_TARGET", "gfx942")), files_(setting("KQ_AMD_CODE", "")) {
  const std::string fault = setting("KQ_AMD_FAULT", "");
  if (const auto arrow = fault.find("=>"); arrow != std::string::npos) {
    fault_ = {fault.substr(0, arrow), fault.substr(arrow + 2)};
  }
}

int Programs::faults() const {
  int count = 0;
  for (const auto& program : all_) {
    count += program->faults();
  }
  return count;
}

Program& Programs::add(std::vector<std::byte> elf, Memory& memory) {
  auto object = std::make_unique<CodeObject>(std::move(elf));
  const std::string text = disassemble(*object);
  const auto image = object->image();
  memory.add(image.data(), image.size(), true, "the code object");
  all_.push_back(std::make_unique<Program>(std::move(object), text, fault_));
  return *all_.back();
}

void Programs::read_files(Memory& memory) {
  while (!files_.empty()) {
    const auto colon = files_.find(':');
    add(read_code_object(files_.substr(0, colon), target_), memory);
    files_ = colon == std::string::npos ? "" : files_.substr(colon + 1);
    from_files_ = all_.size();
  }
}

Program& Programs::of_bundle(const void* bundle, Memory& memory) {
  Program*& program = by_bundle_[bundle];
  if (program == nullptr) {
    std::string targets;
    auto elf = unbundle(static_cast<const std::byte*>(bundle), target_, targets);
    if (elf.empty()) throw std::runtime_error("the program has no code for " + target_ + ", but for: " + targets);
    program = &add(std::move(elf), memory);
  }
  return *program;
}

Program& Programs::find(const void* bundle, const std::string& kernel, Memory& memory) {
  read_files(memory);
  for (std::size_t i = 0; i < from_files_; ++i) {
    if (all_[i]->object().kernels().contains(kernel)) return *all_[i];
  }
  if (bundle == nullptr) throw std::runtime_error("no file in KQ_AMD_CODE has the kernel " + kernel);
  return of_bundle(bundle, memory);
}

std::vector<std::byte*> Programs::variables(const void* bundle, const std::string& name, Memory& memory) {
  read_files(memory);
  std::vector<std::byte*> found;
  const auto look = [&](CodeObject& object) {
    if (const CodeObject::Symbol* const symbol = object.symbol(name)) found.push_back(object.at(symbol->address));
  };
  for (std::size_t i = 0; i < from_files_; ++i) {
    look(all_[i]->object());
  }
  if (bundle != nullptr) look(of_bundle(bundle, memory).object());
  if (found.empty()) throw std::runtime_error("no code object has the variable " + name);
  return found;
}

}  // namespace kqbench::amd
