// SPDX-License-Identifier: Apache-2.0

// What backends/gpu asks of Kokkos, where there is none.

#include "backends/kokkos/kokkos.hpp"

namespace kqbench {

std::optional<std::string> kokkos_missing(std::string_view) {
  return "built without Kokkos";
}
std::unique_ptr<Implementation> make_kokkos_implementation(std::string_view, const DeviceOptions&, void*) {
  return nullptr;
}
void push_kokkos_region(const char*) {}
void pop_kokkos_region() {}

}  // namespace kqbench
