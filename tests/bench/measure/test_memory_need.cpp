// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "bench/measure/memory_need.hpp"
#include "tests/bench/measure/fake_device.hpp"

namespace kqbench {
namespace {

using fake::FakeDevice;
using fake::FakeImplementation;

kq::Request request_of(std::int64_t num_tokens, std::int64_t hidden_size) {
  kq::Request request;
  request.granularity = kq::Granularity::token;
  request.num_tokens = num_tokens;
  request.hidden_size = hidden_size;
  return request;
}

class MemoryNeedTest : public testing::Test {
 protected:
  std::string refusal(const kq::Request& request) {
    try {
      require_memory(device, request, implementations);
    } catch (const DeviceError& error) {
      return error.what();
    }
    return {};
  }

  FakeDevice device;
  FakeImplementation one{device, "one", fake::quantize_rightly};
  FakeImplementation two{device, "two", fake::quantize_rightly};
  std::vector<Implementation*> implementations = {&one, &two};
};

TEST_F(MemoryNeedTest, CountsInputsAndEveryImplementationsOutputs) {
  const MemoryNeed need = memory_need(request_of(1024, 1024), implementations);
  const std::uint64_t elements = 1 << 20;
  EXPECT_GE(need.device, 2 * elements + 2 * elements);
  EXPECT_LE(need.device, 4 * elements + 65536);
  EXPECT_GE(need.host, 2 * elements + elements);
}

TEST_F(MemoryNeedTest, WhatFitsIsLetThrough) {
  EXPECT_EQ(refusal(request_of(1024, 1024)), "");
}

TEST_F(MemoryNeedTest, ARefusalNamesTheBytesNeededAndThereAre) {
  const std::string message = refusal(request_of(1 << 14, 1 << 13));
  const MemoryNeed need = memory_need(request_of(1 << 14, 1 << 13), implementations);
  EXPECT_NE(message.find(std::to_string(need.device)), std::string::npos) << message;
  EXPECT_NE(message.find(std::to_string(FakeDevice::memory_bytes)), std::string::npos) << message;
  EXPECT_NE(message.find("16384 x 8192"), std::string::npos) << message;
  EXPECT_EQ(device.allocations, 0);
}

TEST_F(MemoryNeedTest, SizesThatDoNotFitIn64BitsDoNotWrapRound) {
  // Input and codes of nearly 2^63 bytes each, and two implementations.
  EXPECT_NE(refusal(request_of(std::int64_t{1} << 31, (std::int64_t{1} << 31) - 1)), "");
}

}  // namespace
}  // namespace kqbench
