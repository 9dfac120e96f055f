// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/library.hpp"

#include <dlfcn.h>

namespace kqbench::gpu {

Library::Library(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
  }
}

void* Library::symbol(const char* name) const {
  return handle_ == nullptr ? nullptr : dlsym(handle_, name);
}

}  // namespace kqbench::gpu
