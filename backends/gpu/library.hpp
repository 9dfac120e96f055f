// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A shared library that is looked for when the program runs, so that it is needed neither to build nor to start.

#include <initializer_list>

namespace kqbench::gpu {

class Library {
 public:
  /// The first of `names` that the system's loader finds; none is no error.
  explicit Library(std::initializer_list<const char*> names);

  /// The function of that name, or null if there is no library or it has none.
  template <class Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name));
  }

 private:
  void* symbol(const char* name) const;

  void* handle_ = nullptr;  // never closed: such libraries start threads and register handlers for the exit
};

}  // namespace kqbench::gpu
