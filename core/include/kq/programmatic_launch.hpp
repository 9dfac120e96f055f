// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Kernels that may start before the one in front of them has ended (programmatic dependent launch, NVIDIA's devices of
/// compute capability 9.0 and above).
///
/// The contract of such a kernel: each of its threads calls arch::wait_for_prerequisite_grids() before it first reads
/// or writes global memory, or is behind a barrier that a thread which has called it is behind too. The call returns
/// when the launch in front has ended and all that it wrote is visible. So
///
/// - no read comes before the write it depends on, and no write before a read or a write of the launch in front;
/// - a launch ends only after the one in front of it, since at least one of its threads has waited for that. By
///   induction it ends after all that came before, and so does whatever waits for its end.
///
/// arch::launch_dependent_grids() is a hint of when the next launch's blocks may take the room that is free: after this
/// block's loads, so that they do not compete with those.

#include <string_view>

namespace kq {

/// A template argument of every kernel that keeps the contract, so that its name tells.
struct WaitsForPrerequisites {};

/// What the name of such a kernel contains, mangled or not.
inline constexpr std::string_view waiting_kernel_mark = "WaitsForPrerequisites";

}  // namespace kq
