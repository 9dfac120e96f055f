// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Kernels to try launches on: a code object around instructions that a test has written.

#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/amd/interpreter/launch.hpp"

namespace kqbench::amd {

/// A kernel named "kernel" with one argument, an address: s[0:1] has the argument segment's, s2 (from RDNA4 on ttmp9)
/// the group's number, v0 the thread's.
struct Assembled {
  std::string target = "gfx942";
  std::vector<std::string> lines;  ///< instructions of four bytes each; "name:" is where a branch to `name` goes
  std::uint32_t shared_bytes = 0;
  std::uint32_t float_mode = 0xf0;  ///< of the descriptor: rounding to nearest, subnormal numbers kept
  std::vector<std::uint32_t> data;  ///< at address 0x100 of the code object, before the instructions
};

class MessageWriter {
 public:
  std::string bytes;

  void map(std::size_t size) { bytes += static_cast<char>(0x80 | size); }
  void list(std::size_t size) { bytes += static_cast<char>(0x90 | size); }
  void text(std::string_view value) {
    bytes += {'\xd9', static_cast<char>(value.size())};
    bytes += value;
  }
  void number(std::uint32_t value) {
    bytes += '\xce';
    for (int shift = 24; shift >= 0; shift -= 8) {
      bytes += static_cast<char>(value >> shift);
    }
  }
  void member(std::string_view name, std::string_view value) {
    text(name);
    text(value);
  }
  void member(std::string_view name, std::uint32_t value) {
    text(name);
    number(value);
  }
};

inline constexpr std::uint64_t assembled_data = 0x100;
inline constexpr std::uint64_t assembled_entry = 0x200;

inline std::string metadata_of(const Assembled& kernel) {
  MessageWriter writer;
  writer.map(2);
  writer.member("amdhsa.target", "amdgcn-amd-amdhsa--" + kernel.target);
  writer.text("amdhsa.kernels");
  writer.list(1);
  writer.map(8);
  writer.member(".name", "kernel");
  writer.member(".symbol", "kernel.kd");
  writer.text(".args");
  writer.list(1);
  writer.map(3);
  writer.member(".offset", 0U);
  writer.member(".size", 8U);
  writer.member(".value_kind", "global_buffer");
  writer.member(".group_segment_fixed_size", kernel.shared_bytes);
  writer.member(".private_segment_fixed_size", 0U);
  writer.member(".kernarg_segment_size", 8U);
  writer.member(".vgpr_count", 16U);
  writer.member(".max_flat_workgroup_size", 1024U);
  return writer.bytes;
}

/// An ELF file with one segment, which has the kernel's descriptor and data, its symbol and its metadata.
inline std::vector<std::byte> elf_of(const Assembled& kernel) {
  std::vector<std::byte> image(assembled_entry + 4 * kernel.lines.size());
  const auto put = [](std::vector<std::byte>& bytes, std::size_t at, const auto& value) {
    bytes.resize(std::max(bytes.size(), at + sizeof value));
    std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  put(image, 16, std::int64_t{assembled_entry});
  const bool has_ieee_mode = !kernel.target.starts_with("gfx12");
  put(image, 48, std::uint32_t{kernel.float_mode << 12 | (has_ieee_mode ? 1U << 23 : 0U)});
  put(image, 52, std::uint32_t{2U << 1 | 1U << 7});  // two user registers, the group's number
  put(image, 56, std::uint16_t{1U << 3});            // the argument segment's address
  for (std::size_t i = 0; i < kernel.data.size(); ++i) {
    put(image, assembled_data + 4 * i, kernel.data[i]);
  }
  const std::string metadata = metadata_of(kernel);
  const std::string names = std::string(1, '\0') + "kernel.kd" + '\0';

  std::vector<std::byte> elf;
  const auto append = [&](const void* data, std::size_t size) {
    const std::size_t at = (elf.size() + 7) / 8 * 8;
    elf.resize(at + size);
    std::memcpy(elf.data() + at, data, size);
    return at;
  };
  Elf64_Ehdr header{};
  append(&header, sizeof header);
  Elf64_Phdr segment{};
  header.e_phoff = append(&segment, sizeof segment);
  segment.p_type = PT_LOAD;
  segment.p_filesz = segment.p_memsz = image.size();
  segment.p_offset = append(image.data(), image.size());
  Elf64_Shdr sections[3]{};
  Elf64_Sym symbols[2]{};
  symbols[1].st_name = 1;
  symbols[1].st_size = 64;
  sections[0].sh_type = SHT_DYNSYM;
  sections[0].sh_offset = append(symbols, sizeof symbols);
  sections[0].sh_size = sizeof symbols;
  sections[0].sh_link = 1;
  sections[1].sh_type = SHT_STRTAB;
  sections[1].sh_offset = append(names.data(), names.size());
  sections[1].sh_size = names.size();
  const Elf64_Nhdr note{8, static_cast<Elf64_Word>(metadata.size()), 32};
  sections[2].sh_type = SHT_NOTE;
  sections[2].sh_offset = append(&note, sizeof note);
  elf.resize(elf.size() + 8);  // its name, which nobody reads
  elf.insert(elf.end(), reinterpret_cast<const std::byte*>(metadata.data()),
             reinterpret_cast<const std::byte*>(metadata.data() + metadata.size()));
  sections[2].sh_size = sizeof note + 8 + metadata.size();
  header.e_shoff = append(sections, sizeof sections);
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_machine = 224;
  header.e_phnum = 1;
  header.e_phentsize = sizeof segment;
  header.e_shnum = 3;
  header.e_shentsize = sizeof sections[0];
  std::memcpy(elf.data(), &header, sizeof header);
  std::memcpy(elf.data() + header.e_phoff, &segment, sizeof segment);
  return elf;
}

/// What a disassembler would write of it.
inline std::string disassembly_of(const Assembled& kernel) {
  std::map<std::string, std::int64_t> labels;
  std::int64_t number = 0;
  for (const std::string& line : kernel.lines) {
    if (line.ends_with(':'))
      labels[line.substr(0, line.size() - 1)] = number;
    else
      ++number;
  }
  std::string text;
  number = 0;
  for (std::string line : kernel.lines) {
    if (line.ends_with(':')) continue;
    const auto space = line.rfind(' ');
    if (line.find("branch") != std::string::npos) {
      const std::int64_t words = labels.at(line.substr(space + 1)) - number - 1;
      line.replace(space + 1, std::string::npos, std::to_string(static_cast<std::uint16_t>(words)));
    }
    char note[64];
    std::snprintf(note, sizeof note, " // %012llX: 00000000\n",
                  static_cast<unsigned long long>(assembled_entry) + 4 * static_cast<unsigned long long>(number++));
    text += '\t' + line + note;
  }
  return text;
}

inline std::unique_ptr<Program> program_of(const Assembled& kernel) {
  return std::make_unique<Program>(std::make_unique<CodeObject>(elf_of(kernel)), disassembly_of(kernel));
}

/// Launches it with the address of `words`, which it may read and write.
inline Counts launch(const Assembled& kernel, const Grid& grid, std::vector<std::uint32_t>& words,
                     const Options& options = {}) {
  const auto program = program_of(kernel);
  Memory memory;
  memory.add(words.data(), words.size() * sizeof words[0], true, "the words");
  const auto image = program->object().image();
  memory.add(image.data(), image.size(), true, "the code object");
  const Kernel& facts = program->object().kernels().at("kernel");
  void* address = words.data();
  void* arguments[] = {&address};
  return run(*program, facts, grid, argument_segment(facts, grid, arguments), memory, options);
}

}  // namespace kqbench::amd
