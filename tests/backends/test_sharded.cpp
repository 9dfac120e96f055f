// SPDX-License-Identifier: Apache-2.0

// A tensor in parts: extremes of each, combined, give the bytes of the whole, and the measurement of it notices when
// they do not.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/fleet/sharded.hpp"
#include "bench/measure/device_memory.hpp"
#include "bench/measure/rotating_buffers.hpp"
#include "tests/support/implementations.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

/// A rank's part on a device, and its extremes.
struct Shard {
  Shard(const Candidate& candidate, const Problem& problem)
      : part(problem),
        arena(*candidate.device),
        implementations{candidate.implementation},
        buffers(*candidate.device, arena, part, implementations, 1),
        extremes(*candidate.device, candidate.implementation->extremes_bytes(part.request).value_or(0)) {
    buffers.poison(0, std::byte{0xa5});
  }
  float* address() const { return reinterpret_cast<float*>(extremes.data()); }

  Problem part;
  DeviceArena arena;
  std::vector<Implementation*> implementations;
  RotatingBuffers buffers;
  DeviceMemory extremes;
};

/// What is wrong with the parts of a problem, quantized by as many ranks one after the other.
std::optional<std::string> run_sharded(const Candidate& candidate, const Problem& whole, int ranks) {
  std::vector<std::unique_ptr<Shard>> shards;
  std::vector<float> greatest;
  for (int rank = 0; rank < ranks; ++rank) {
    shards.push_back(std::make_unique<Shard>(candidate, shard_of(whole, {rank, ranks})));
    Shard& shard = *shards.back();
    const kq::Operands operands = shard.buffers.operands(0, 0);
    candidate.implementation->enqueue_find_extremes(shard.part.request, operands, shard.address());
    std::vector<float> found(shard.extremes.size() / sizeof(float));
    candidate.device->copy_to_host(found.data(), shard.address(), shard.extremes.size());
    if (rank == 0) greatest = found;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!(found[i] == found[i]))
        return "extreme " + std::to_string(i) + " of rank " + std::to_string(rank) + " is NaN";
      greatest[i] = std::max(greatest[i], found[i]);
    }
  }
  for (const auto& shard : shards) {
    candidate.device->copy_to_device(shard->address(), greatest.data(), shard->extremes.size());
    candidate.implementation->enqueue_by_extremes(shard->part.request, shard->buffers.operands(0, 0), shard->address());
    shard->buffers.launched(0, 0);
    if (const auto mismatch = shard->buffers.check(0)) {
      return candidate.name + ", " + describe(whole.request) + ", columns of " +
             std::to_string(shard->part.request.hidden_size) + ": " + mismatch->message();
    }
  }
  return std::nullopt;
}

void expect_right_in_parts(const Problem& whole, int& served) {
  for (const Candidate& candidate : candidates()) {
    if (!candidate.implementation->extremes_bytes(whole.request)) continue;
    ++served;
    for (const int ranks : {1, 3}) {
      if (const auto complaint = run_sharded(candidate, whole, ranks)) ADD_FAILURE() << *complaint;
    }
  }
}

TEST(Sharded, PartsGiveTheBytesOfTheWhole) {
  std::uint64_t seed = 0;
  int served = 0;
  for (const kq::Element element : all_elements) {
    for (const kq::Scheme& scheme : kq::schemes()) {
      for (const std::int64_t hidden_size : {3, 130, 1027}) {
        for (const kq::Request& request : requests_of(scheme, element, 7, hidden_size)) {
          if (kq::why_not_sharded(request)) continue;
          for (const Fill fill : all_fills) {
            expect_right_in_parts(problem_of(request, ++seed, fill), served);
          }
        }
      }
    }
  }
  EXPECT_GT(served, 0);
}

TEST(Sharded, PartsGiveTheBytesOfTheWholeInEveryDialect) {
  std::uint64_t seed = 0;
  int served = 0;
  for (const kq::Element element : all_elements) {
    for (const kq::Request& request : dialect_requests(element, 5, 259)) {
      if (kq::why_not_sharded(request)) continue;
      for (const Fill fill : {Fill::normal, Fill::nans, Fill::specials, Fill::zeros}) {
        expect_right_in_parts(problem_of(request, ++seed, fill), served);
      }
    }
  }
  EXPECT_GT(served, 0);
}

TEST(Sharded, LargeTensorsHaveManyPartialResults) {
  int served = 0;
  for (const kq::Granularity granularity : {kq::Granularity::tensor, kq::Granularity::token}) {
    kq::Request request;
    request.format = kq::Format::fp8_e4m3fn;
    request.granularity = granularity;
    request.num_tokens = 513;
    request.hidden_size = 4099;
    expect_right_in_parts(problem_of(request, 1), served);
  }
  EXPECT_GT(served, 0);
}

TEST(Sharded, APartWithoutTokensTakesNoPartInTheMaximum) {
  int served = 0;
  for (const Candidate& candidate : candidates()) {
    kq::Request request;
    request.granularity = kq::Granularity::tensor;
    request.hidden_size = 8;
    request.num_tokens = 0;
    for (const bool asymmetric : {false, true}) {
      request.asymmetric = asymmetric;
      const auto bytes = candidate.implementation->extremes_bytes(request);
      if (!bytes) continue;
      ++served;
      std::vector<float> extremes(*bytes / sizeof(float), 7.0f);
      ASSERT_EQ(extremes.size(), asymmetric ? 2u : 1u);
      const DeviceMemory memory(*candidate.device, *bytes);
      auto* const address = reinterpret_cast<float*>(memory.data());
      candidate.device->copy_to_device(address, extremes.data(), *bytes);
      candidate.implementation->enqueue_find_extremes(kq::resolved(request), {}, address);
      candidate.device->copy_to_host(extremes.data(), address, *bytes);
      for (const float extreme : extremes) {
        EXPECT_EQ(extreme, asymmetric ? -std::numeric_limits<float>::infinity() : 0.0f) << candidate.name;
      }
    }
  }
  EXPECT_GT(served, 0);
}

TEST(Sharded, RefusesWhatHasNoExtremesToExchange) {
  kq::Request request;
  request.num_tokens = 4;
  request.hidden_size = 128;
  request.format = kq::Format::fp8_e4m3fn;
  request.granularity = kq::Granularity::token;
  EXPECT_FALSE(kq::why_not_sharded(request));
  request.static_scale = true;
  EXPECT_EQ(kq::why_not_sharded(request)->field, "static_scale");
  request.static_scale = false;
  request.producer = kq::Producer::rms_norm;
  EXPECT_EQ(kq::why_not_sharded(request)->field, "producer");
  request.producer = kq::Producer::none;
  request.granularity = kq::Granularity::group;
  EXPECT_EQ(kq::why_not_sharded(request)->field, "granularity");
}

/// Stands for other ranks: all have the numbers that this one has, but as extremes they have `others`.
class FakeExchange final : public Exchange {
 public:
  FakeExchange(Device& device, float others) : device_(device), others_(others) {}
  std::string description() const override { return "fake"; }
  void enqueue_max(float* values, std::size_t count) override {
    if (count != 1) return;
    float value = 0.0f;
    device_.copy_to_host(&value, values, sizeof(value));
    value = std::max(value, others_);
    device_.copy_to_device(values, &value, sizeof(value));
  }

 private:
  Device& device_;
  float others_;
};

TEST(Sharded, IsMeasuredAndChecked) {
  kq::Request request;
  request.format = kq::Format::int8;
  request.granularity = kq::Granularity::tensor;
  request.num_tokens = 16;
  request.hidden_size = 64;
  const Problem whole = problem_of(request, 3);
  int served = 0;
  for (const Candidate& candidate : candidates()) {
    if (candidate.name != "host kokkos") continue;
    ++served;
    // Numbers that ranks agree on pass through the same exchange, so that 0 changes none.
    FakeExchange right(*candidate.device, 0.0f);
    const ShardedResult result =
        measure_sharded(*candidate.device, *candidate.implementation, right, {0, 1}, whole, 6, steady_clock());
    EXPECT_TRUE(result.all_verified()) << (result.mismatch ? result.mismatch->message() : "");
    ASSERT_EQ(result.ranks.size(), 1u);
    EXPECT_GT(result.slowest().local, 0.0);
    EXPECT_GT(result.slowest().sharded, 0.0);

    // Whoever takes the amax of others for the whole's must be found out.
    FakeExchange wrong(*candidate.device, 1e4f);
    EXPECT_FALSE(measure_sharded(*candidate.device, *candidate.implementation, wrong, {0, 1}, whole, 6, steady_clock())
                     .all_verified());
  }
  EXPECT_GT(served, 0);
}

TEST(Sharded, ColumnsAreSharedOutEvenly) {
  std::int64_t next = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const Columns columns = columns_of({rank, 3}, 100);
    EXPECT_EQ(columns.begin, next);
    EXPECT_NEAR(static_cast<double>(columns.end - columns.begin), 33.5, 0.6);
    next = columns.end;
  }
  EXPECT_EQ(next, 100);
}

}  // namespace
}  // namespace kqbench::test
