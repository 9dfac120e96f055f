// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which processors the host's code is for. A package can have libraries for several; the loader takes one.

namespace kq {

/// What this library, and with it the host's kernels, was compiled for: "x86-64", "x86-64-v2", "x86-64-v3",
/// "x86-64-v4", or just "aarch64", "riscv", ...
const char* compiled_architecture();

}  // namespace kq
