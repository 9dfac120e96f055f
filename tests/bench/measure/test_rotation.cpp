// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "bench/measure/rotation.hpp"

namespace kqbench {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

RotationLimits limits(std::uint64_t bytes_per_launch, std::uint64_t cache) {
  return {.bytes_per_launch = bytes_per_launch,
          .cache_bytes = cache,
          .memory_per_copy = bytes_per_launch,
          .memory_for_copies = std::uint64_t{1} << 40};
}

TEST(CopiesForCold, TheOthersExceedTwiceTheCache) {
  for (const std::uint64_t bytes : {12 * 1024ul, 1000000ul, 96 * mebibyte, 100 * mebibyte, 4096 * mebibyte}) {
    const std::int64_t copies = copies_for_cold(limits(bytes, 50 * mebibyte));
    EXPECT_GT(static_cast<std::uint64_t>(copies - 1) * bytes, 100 * mebibyte);
    EXPECT_LE(static_cast<std::uint64_t>(copies - 2) * bytes, 100 * mebibyte);
  }
}

TEST(CopiesForCold, AreLimitedByMemoryAndNumber) {
  RotationLimits little = limits(mebibyte, 50 * mebibyte);
  little.memory_for_copies = 10 * mebibyte;
  EXPECT_EQ(copies_for_cold(little), 10);
  little.memory_for_copies = 1;
  EXPECT_EQ(copies_for_cold(little), 1);
  EXPECT_EQ(copies_for_cold(limits(48, 50 * mebibyte)), 1 << 15);
  // A token of 2048 halves on an H200 is still cold.
  EXPECT_LT(copies_for_cold(limits(2048 * 3 + 4, 60 * mebibyte)), 1 << 15);
}

TEST(CopiesForCold, AnUnknownCacheIsTakenToBeLarge) {
  EXPECT_EQ(copies_for_cold(limits(96 * mebibyte, 0)),
            static_cast<std::int64_t>(2 * assumed_cache_bytes / (96 * mebibyte)) + 2);
}

TEST(Rotation, GoesRound) {
  Rotation rotation(3);
  for (const std::int64_t expected : {0, 1, 2, 0, 1, 2, 0}) {
    EXPECT_EQ(rotation.next(), expected);
  }
  Rotation one(1);
  EXPECT_EQ(one.next(), 0);
  EXPECT_EQ(one.next(), 0);
}

TEST(ReuseAudit, AFullRotationIsCold) {
  constexpr std::int64_t copies = 6;
  ReuseAudit audit(copies, 25);
  Rotation rotation(copies);
  for (int i = 0; i < 100; ++i)
    audit.launched(rotation.next());
  EXPECT_EQ(audit.least_bytes_between_uses(), 125u);
  EXPECT_EQ(audit.label(62), Cache::cold);  // 125 > 2 * 62
  EXPECT_EQ(audit.label(63), Cache::warm);  // 125 < 2 * 63
}

TEST(ReuseAudit, OneEarlyRevisitIsNotForgotten) {
  ReuseAudit audit(6, 25);
  Rotation rotation(6);
  for (int i = 0; i < 50; ++i)
    audit.launched(rotation.next());
  audit.launched(0);  // last used two launches ago
  for (int i = 0; i < 50; ++i)
    audit.launched(rotation.next());
  EXPECT_EQ(audit.least_bytes_between_uses(), 25u);
  EXPECT_EQ(audit.label(62), Cache::warm);
}

TEST(ReuseAudit, CopiesAllocatedButNotUsedDoNotCount) {
  ReuseAudit audit(1000, 25);
  for (int i = 0; i < 50; ++i)
    audit.launched(i % 2);
  EXPECT_EQ(audit.least_bytes_between_uses(), 25u);
  EXPECT_EQ(audit.label(1000), Cache::warm);
}

TEST(ReuseAudit, BeforeASecondUseThePreparationCounts) {
  ReuseAudit audit(10, 25);
  audit.launched(0);  // nine others were written since it was
  EXPECT_EQ(audit.least_bytes_between_uses(), 225u);
  ReuseAudit backwards(10, 25);
  backwards.launched(9);  // it was the last to be written
  EXPECT_EQ(backwards.least_bytes_between_uses(), 0u);
}

TEST(ReuseAudit, OneCopyIsHot) {
  ReuseAudit audit(1, 1000000);
  audit.launched(0);
  EXPECT_EQ(audit.label(50), Cache::hot);
}

TEST(Cache, NamesAreThoseOfTheResultFile) {
  EXPECT_EQ(to_string(Cache::cold), "cold");
  EXPECT_EQ(to_string(Cache::warm), "warm");
  EXPECT_EQ(to_string(Cache::hot), "hot");
}

}  // namespace
}  // namespace kqbench
