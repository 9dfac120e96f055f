// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the stand-in HIP runtime has besides HIP's functions.
///
/// Environment:
///   KQ_AMD_TARGET    the device: gfx942 unless set
///   KQ_AMD_CODE      files with code objects, separated by colons, whose kernels run instead of those in the program
///   KQ_AMD_OBJDUMP   LLVM's disassembler; llvm-objdump unless set
///   KQ_AMD_FAULT     "from=>to": a fault to plant in the instructions' text

#include <cstdint>
#include <map>
#include <string>

#include "tests/amd/interpreter/launch.hpp"

namespace kqbench::amd {

/// For what is launched from now on.
void set_options(const Options& options);

/// By kernel's name, what was launched since the last call.
std::map<std::string, Counts> take_counts();

/// "gfx942"
std::string emulated_target();

/// Instructions that KQ_AMD_FAULT has changed so far.
int planted_faults();

}  // namespace kqbench::amd
