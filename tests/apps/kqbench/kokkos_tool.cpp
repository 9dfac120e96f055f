// SPDX-License-Identifier: Apache-2.0

/// \file
/// A tool for Kokkos to load (KOKKOS_TOOLS_LIBS): writes what it is told, a line each, to the file that KQ_TOOL_JOURNAL
/// names.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

void note(const char* what, const char* name) {
  const char* const path = std::getenv("KQ_TOOL_JOURNAL");
  std::FILE* const file = path != nullptr ? std::fopen(path, "a") : nullptr;
  if (file == nullptr) std::abort();
  std::fprintf(file, "%s %s\n", what, name);
  std::fclose(file);
}

}  // namespace

// What Kokkos calls, where a tool has it: the names and arguments are those of its interface.
extern "C" {

void kokkosp_init_library(int, std::uint64_t, std::uint32_t, void*) {
  note("loaded", "");
}
void kokkosp_push_profile_region(const char* name) {
  note("push", name);
}
void kokkosp_pop_profile_region() {
  note("pop", "");
}
void kokkosp_begin_parallel_for(const char*, std::uint32_t, std::uint64_t*) {
  note("kernel", "");
}
}
