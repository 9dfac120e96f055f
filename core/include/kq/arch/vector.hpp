// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The unit in which kernels move memory.

#include <cstdint>

namespace kq::arch {

/// Sixteen bytes as one memory access moves them.
struct alignas(16) Vector16 {
  std::uint32_t word[4];
};

}  // namespace kq::arch
