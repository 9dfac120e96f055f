// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace kqbench {

/// "8589934592 bytes (8.0 GiB)".
inline std::string bytes_text(std::uint64_t bytes) {
  return fmt::format("{} bytes ({:.1f} GiB)", bytes, static_cast<double>(bytes) / 0x1p30);
}

}  // namespace kqbench
