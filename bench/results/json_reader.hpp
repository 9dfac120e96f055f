// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Result files read back, strictly: they come from other machines, other programs and broken disks.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "bench/results/result.hpp"

namespace kqbench {

/// Larger files are refused unread. A row with a thousand samples takes about 20 kB.
inline constexpr std::uint64_t max_result_file_bytes = std::uint64_t{256} << 20;

/// The result file in `text`. Throws UsageError, in one line that begins with `name`, if it is no JSON, cut short, not
/// a result file, of a newer schema, lacks a member, or has one of the wrong type or with a value that cannot be.
/// Members it does not know are skipped. Takes no more memory than a small multiple of the text's.
ResultFile parse_result(std::string_view text, const std::string& name);

/// Reads a file; also throws UsageError where it is missing, unreadable, no regular file or too large.
ResultFile read_result_file(const std::filesystem::path& path);

}  // namespace kqbench
