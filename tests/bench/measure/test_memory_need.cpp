// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/measure/device_memory.hpp"
#include "bench/measure/measurement.hpp"
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

/// Asks for as much workspace as it is told to.
class Demanding : public FakeImplementation {
 public:
  Demanding(FakeDevice& device, std::string name, std::size_t bytes)
      : FakeImplementation(device, std::move(name), fake::quantize_rightly), bytes_(bytes) {}
  std::size_t workspace_bytes(const kq::Request&) const override { return bytes_; }

 private:
  std::size_t bytes_;
};

TEST_F(MemoryNeedTest, WorkspacesWithoutRoomAreTakenOutTheLargestFirst) {
  Demanding half(device, "half", FakeDevice::memory_bytes / 2);
  Demanding most(device, "most", FakeDevice::memory_bytes / 4 * 3);
  Demanding everything(device, "everything", SIZE_MAX);
  implementations = {&one, &everything, &half, &most, &two};
  const std::vector<TooLarge> taken_out = take_out_too_large(device, request_of(64, 1024), implementations);
  ASSERT_EQ(taken_out.size(), 2u);
  EXPECT_EQ(taken_out[0].implementation, &everything);
  EXPECT_EQ(taken_out[1].implementation, &most);
  EXPECT_EQ(taken_out[1].reason.find("it asks for a workspace of 50331648 bytes (0.0 GiB), and "), 0u)
      << taken_out[1].reason;
  EXPECT_EQ(implementations, (std::vector<Implementation*>{&one, &half, &two}));
  EXPECT_EQ(refusal(request_of(64, 1024)), "");
}

TEST_F(MemoryNeedTest, NobodyIsTakenOutOfWhatIsTooLargeByItself) {
  EXPECT_TRUE(take_out_too_large(device, request_of(1 << 14, 1 << 13), implementations).empty());
  EXPECT_EQ(implementations.size(), 2u);
  EXPECT_NE(refusal(request_of(1 << 14, 1 << 13)), "");
}

TEST_F(MemoryNeedTest, CopiesLeaveRoomForTheWorkspaces) {
  device.set_cache_bytes(std::uint64_t{1} << 30);  // so that memory alone limits the copies
  Demanding most(device, "most", FakeDevice::memory_bytes / 4 * 3);
  implementations = {&one, &most};
  const DeviceArena arena(device);
  const kq::Request full = kq::resolved(request_of(64, 1024));
  EXPECT_LE(planned_bytes(device, arena, full, implementations, false), FakeDevice::memory_bytes);
  EXPECT_GT(plan_copies(device, arena, full, implementations, false), 1);
}

}  // namespace
}  // namespace kqbench
