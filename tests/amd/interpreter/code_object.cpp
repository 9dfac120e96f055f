// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/interpreter/code_object.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "tests/amd/interpreter/message_pack.hpp"

namespace kqbench::amd {
namespace {

constexpr std::size_t page = 4096;
constexpr std::uint32_t metadata_note = 32;     // NT_AMDGPU_METADATA
constexpr std::uint32_t relative_address = 13;  // R_AMDGPU_RELATIVE64
constexpr std::uint32_t float_mode = 0xf0;      // rounds to nearest, keeps subnormal numbers, of every type
constexpr char bundle_magic[] = "__CLANG_OFFLOAD_BUNDLE__";

template <class T>
T read_at(const std::byte* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

std::uint32_t member(const MessageValue& kernel, const std::string& name) {
  return static_cast<std::uint32_t>(kernel.at(name).number);
}

}  // namespace

template <class T>
T CodeObject::read(std::size_t offset) const {
  if (offset > elf_.size() || elf_.size() - offset < sizeof(T)) throw std::runtime_error("code object: ends early");
  return read_at<T>(elf_.data() + offset);
}

CodeObject::CodeObject(std::vector<std::byte> elf) : elf_(std::move(elf)) {
  const auto header = read<Elf64_Ehdr>(0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != 224 /* EM_AMDGPU */) {
    throw std::runtime_error("code object: not an ELF file for an AMD GPU");
  }
  load_segments();
  read_sections();
}

void CodeObject::load_segments() {
  const auto header = read<Elf64_Ehdr>(0);
  std::vector<Elf64_Phdr> segments;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = read<Elf64_Phdr>(header.e_phoff + i * header.e_phentsize);
    if (segment.p_type == PT_LOAD) segments.push_back(segment);
  }
  for (const Elf64_Phdr& segment : segments) {
    size_ = std::max(size_, segment.p_vaddr + segment.p_memsz);
  }
  image_.resize(size_ + page);
  padding_ = (page - reinterpret_cast<std::uintptr_t>(image_.data()) % page) % page;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_filesz > 0) read<std::byte>(segment.p_offset + segment.p_filesz - 1);
    std::memcpy(at(segment.p_vaddr), elf_.data() + segment.p_offset, segment.p_filesz);
  }
}

void CodeObject::read_sections() {
  const auto header = read<Elf64_Ehdr>(0);
  std::vector<Elf64_Shdr> sections;
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    sections.push_back(read<Elf64_Shdr>(header.e_shoff + i * header.e_shentsize));
  }
  std::vector<std::byte> metadata;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type == SHT_DYNSYM) {
      const std::size_t names = sections.at(section.sh_link).sh_offset;
      for (std::size_t i = 0; i < section.sh_size / sizeof(Elf64_Sym); ++i) {
        const auto symbol = read<Elf64_Sym>(section.sh_offset + i * sizeof(Elf64_Sym));
        const auto* const name = reinterpret_cast<const char*>(elf_.data() + names + symbol.st_name);
        symbols_[name] = {symbol.st_value, symbol.st_size};
      }
    } else if (section.sh_type == SHT_RELA) {
      relocate(section.sh_offset, section.sh_size);
    } else if (section.sh_type == SHT_NOTE) {
      for (std::size_t at = section.sh_offset; at < section.sh_offset + section.sh_size;) {
        const auto note = read<Elf64_Nhdr>(at);
        const std::size_t begin = at + sizeof note + (note.n_namesz + 3) / 4 * 4;
        if (note.n_type == metadata_note) {
          read<std::byte>(begin + note.n_descsz - 1);
          metadata.assign(elf_.data() + begin, elf_.data() + begin + note.n_descsz);
        }
        at = begin + (note.n_descsz + 3) / 4 * 4;
      }
    }
  }
  read_kernels(metadata);
}

void CodeObject::relocate(std::size_t offset, std::size_t size) {
  for (std::size_t at_entry = offset; at_entry < offset + size; at_entry += sizeof(Elf64_Rela)) {
    const auto entry = read<Elf64_Rela>(at_entry);
    if (ELF64_R_TYPE(entry.r_info) != relative_address) {
      throw std::runtime_error("code object: unknown relocation " + std::to_string(ELF64_R_TYPE(entry.r_info)));
    }
    const auto address = reinterpret_cast<std::uintptr_t>(at(static_cast<std::uint64_t>(entry.r_addend)));
    std::memcpy(at(entry.r_offset), &address, sizeof address);
  }
}

void CodeObject::read_kernels(const std::vector<std::byte>& metadata) {
  const MessageValue all = read_message_pack(metadata);
  target_ = all.at("amdhsa.target").text;  // "amdgcn-amd-amdhsa--gfx942:sramecc+"
  target_ = target_.substr(target_.rfind('-') + 1);
  target_ = target_.substr(0, target_.find(':'));
  const bool has_ieee_mode = !target_.starts_with("gfx12");
  for (const MessageValue& given : all.at("amdhsa.kernels").list) {
    Kernel kernel;
    kernel.name = given.at(".name").text;
    for (const MessageValue& argument : given.at(".args").list) {
      kernel.arguments.push_back(
          {member(argument, ".offset"), member(argument, ".size"), argument.at(".value_kind").text});
    }
    kernel.shared_bytes = member(given, ".group_segment_fixed_size");
    kernel.private_bytes = member(given, ".private_segment_fixed_size");
    kernel.argument_bytes = member(given, ".kernarg_segment_size");
    kernel.registers = member(given, ".vgpr_count");
    if (given.members.contains(".agpr_count")) kernel.accumulators = member(given, ".agpr_count");
    kernel.max_threads = member(given, ".max_flat_workgroup_size");
    const Symbol* const descriptor = symbol(given.at(".symbol").text);
    if (descriptor == nullptr) throw std::runtime_error("code object: no descriptor of kernel " + kernel.name);
    const std::byte* const d = at(descriptor->address);
    kernel.entry = descriptor->address + static_cast<std::uint64_t>(read_at<std::int64_t>(d + 16));
    kernel.resources1 = read_at<std::uint32_t>(d + 48);
    if ((kernel.resources1 >> 12 & 0xff) != float_mode || (has_ieee_mode && (kernel.resources1 >> 23 & 1) == 0)) {
      throw std::runtime_error("code object: kernel " + kernel.name + " treats numbers in another way than HIP's do");
    }
    kernel.resources2 = read_at<std::uint32_t>(d + 52);
    kernel.properties = read_at<std::uint16_t>(d + 56);
    kernel.preload = read_at<std::uint16_t>(d + 58);
    kernels_[kernel.name] = std::move(kernel);
  }
}

const CodeObject::Symbol* CodeObject::symbol(const std::string& name) const {
  const auto found = symbols_.find(name);
  return found == symbols_.end() ? nullptr : &found->second;
}

std::vector<std::byte> unbundle(const std::byte* bundle, const std::string& target, std::string& targets) {
  constexpr std::size_t magic_size = sizeof bundle_magic - 1;
  if (std::memcmp(bundle, bundle_magic, magic_size) != 0) {
    throw std::runtime_error("not a bundle of code objects, or a compressed one");
  }
  const auto count = read_at<std::uint64_t>(bundle + magic_size);
  const std::byte* entry = bundle + magic_size + 8;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto offset = read_at<std::uint64_t>(entry);
    const auto size = read_at<std::uint64_t>(entry + 8);
    const auto length = read_at<std::uint64_t>(entry + 16);
    std::string_view name(reinterpret_cast<const char*>(entry + 24), length);  // "hipv4-amdgcn-amd-amdhsa--gfx942"
    entry += 24 + length;
    if (name.find("amdgcn") == std::string_view::npos) continue;
    name.remove_prefix(name.rfind('-') + 1);
    name = name.substr(0, name.find(':'));
    targets += (targets.empty() ? "" : " ") + std::string(name);
    if (name == target && size > 0) return {bundle + offset, bundle + offset + size};
  }
  return {};
}

std::vector<std::byte> read_code_object(const std::string& path, const std::string& target) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
  if (!file || text.size() < 64) throw std::runtime_error("cannot read the code objects in " + path);
  const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
  if (std::memcmp(bytes, ELFMAG, SELFMAG) == 0) return {bytes, bytes + text.size()};
  std::string targets;
  auto elf = unbundle(bytes, target, targets);
  if (elf.empty()) throw std::runtime_error(path + ": no code object for " + target + ", but for: " + targets);
  return elf;
}

}  // namespace kqbench::amd
