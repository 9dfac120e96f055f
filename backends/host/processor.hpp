// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What Linux tells about the processors. `root` is where /proc and /sys are looked for; tests have one of their own.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace kqbench {

/// "AMD EPYC 9654 96-Core Processor"; "unknown processor" where the system does not say.
std::string processor_name(const std::filesystem::path& root = "/");

/// What the processor can run, in the words of kq::compiled_architecture.
std::string processor_architecture();

/// Why code compiled for `compiled` would crash on a processor that is `present`, with what to do about it; nothing if
/// it would not.
std::optional<std::string> architecture_mismatch(const std::string& compiled, const std::string& present);

/// Bytes of last-level cache, all of its instances together; 0 where the system does not say.
std::uint64_t last_level_cache_bytes(const std::filesystem::path& root = "/");

/// Processors' worth of time that this process's control groups allow (cpu.max of version 2, cpu.cfs_quota_us of
/// version 1), the tightest of its group and all groups above; nothing where they set no limit.
std::optional<double> control_group_processors(const std::filesystem::path& root = "/");

/// Threads that can run at once: the processors of the affinity mask, or the control groups' limit, rounded up, if that
/// is less. At least one.
int available_threads(const std::filesystem::path& root = "/");

/// The processors' clock, averaged, where it is told.
std::optional<double> processor_mhz(const std::filesystem::path& root = "/");

}  // namespace kqbench
