// SPDX-License-Identifier: Apache-2.0

// A GPU that is lost, as after an illegal address: a DeviceError, and then the process ends with the status that it
// wants. What Kokkos would do to a lost device at the process's end is to abort.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "backends/backend.hpp"
#include "kq/request.hpp"

namespace kqbench::test {
namespace {

/// Lets the native implementation work on addresses that nothing is at; with Kokkos's an error that is found at once
/// would be Kokkos's to report, which aborts.
[[noreturn]] void lose_device() {
  kq::Request request;
  request.granularity = kq::Granularity::token;
  request.num_tokens = 16;
  request.hidden_size = 4096;
  request = kq::resolved(request);
  constexpr std::uintptr_t nowhere = 4096;
  Operands operands;
  operands.input = reinterpret_cast<const void*>(nowhere);
  operands.codes = reinterpret_cast<void*>(nowhere);
  operands.scales = operands.codes;
  try {
    const auto device = best_backend().open({});
    for (const auto& implementation : device->implementations()) {
      if (implementation->name() == "native") implementation->enqueue(request, operands);
    }
    device->synchronize();
  } catch (const DeviceError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::exit(3);
  }
  std::exit(0);
}

TEST(DeviceLossDeathTest, LeavesTheStatusToTheProgram) {
  if (best_backend().name != "cuda") GTEST_SKIP() << "CUDA's runtime alone reports an illegal address as an error";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(lose_device(), testing::ExitedWithCode(3), "CUDA: ");
}

}  // namespace
}  // namespace kqbench::test
