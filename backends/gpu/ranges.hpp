// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Named ranges on a profiler's time line, and where its collection starts and stops. Without a profiler they cost a
/// call and do nothing.

namespace kqbench::gpu {

void profiler_start();
void profiler_stop();
void push_range(const char* name);
void pop_range();

}  // namespace kqbench::gpu
