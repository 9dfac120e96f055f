// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A code object: the ELF file that hipcc makes for one target, placed in memory, with its kernels.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kqbench::amd {

/// One argument of a kernel, as its metadata has it.
struct KernelArgument {
  std::uint32_t offset;  ///< in the kernel's argument segment
  std::uint32_t size;    ///< bytes
  std::string kind;      ///< "by_value", "global_buffer", "hidden_block_count_x", ...
};

struct Kernel {
  std::string name;  ///< mangled
  std::vector<KernelArgument> arguments;
  std::uint32_t shared_bytes = 0;   ///< of a group, without what the launch asks for
  std::uint32_t private_bytes = 0;  ///< of a lane
  std::uint32_t argument_bytes = 0;
  std::uint32_t registers = 0;     ///< of a lane
  std::uint32_t accumulators = 0;  ///< accumulation registers of a lane
  std::uint32_t max_threads = 0;
  std::uint64_t entry = 0;       ///< address of the first instruction
  std::uint32_t resources1 = 0;  ///< compute_pgm_rsrc1
  std::uint32_t resources2 = 0;  ///< compute_pgm_rsrc2
  std::uint16_t properties = 0;  ///< which user registers there are
  std::uint16_t preload = 0;     ///< arguments that are in registers when the kernel starts
};

class CodeObject {
 public:
  /// Loads and relocates it. Throws std::runtime_error if it is no code object, has what this loader does not know, or
  /// a kernel whose floating-point mode is not HIP's, the only one that is interpreted.
  explicit CodeObject(std::vector<std::byte> elf);

  const std::string& target() const { return target_; }  ///< "gfx942"
  const std::vector<std::byte>& elf() const { return elf_; }
  const std::map<std::string, Kernel>& kernels() const { return kernels_; }

  /// The address in this process of what the object has at an address of its own.
  std::byte* at(std::uint64_t address) { return image_.data() + padding_ + address; }
  std::span<std::byte> image() { return std::span(image_).subspan(padding_, size_); }

  struct Symbol {
    std::uint64_t address;
    std::uint64_t size;
  };
  /// Null if the object has none of that name.
  const Symbol* symbol(const std::string& name) const;

 private:
  void load_segments();
  void read_sections();
  void relocate(std::size_t offset, std::size_t size);
  void read_kernels(const std::vector<std::byte>& metadata);

  template <class T>
  T read(std::size_t offset) const;

  std::vector<std::byte> elf_;
  std::vector<std::byte> image_;
  std::size_t padding_ = 0;
  std::size_t size_ = 0;
  std::string target_;
  std::map<std::string, Symbol> symbols_;
  std::map<std::string, Kernel> kernels_;
};

/// The code object for a target in a bundle in memory, as hipcc embeds it in a program; empty if it has none. `targets`
/// gets the targets that there are.
std::vector<std::byte> unbundle(const std::byte* bundle, const std::string& target, std::string& targets);

/// Code objects of a file: a bundle, or a code object itself. Throws std::runtime_error.
std::vector<std::byte> read_code_object(const std::string& path, const std::string& target);

}  // namespace kqbench::amd
