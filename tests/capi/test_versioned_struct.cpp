// SPDX-License-Identifier: Apache-2.0

// Structs of callers that were compiled with an older or a newer version of the C interface.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "capi/versioned_struct.hpp"

namespace {

struct First {
  std::size_t struct_size = sizeof(First);
  std::int64_t old = 0;
};
struct Second {  // the library's
  std::size_t struct_size = sizeof(Second);
  std::int64_t old = 0;
  std::int32_t added = 0;
  std::int32_t reserved = 0;
};
struct Third {
  std::size_t struct_size = sizeof(Third);
  std::int64_t old = 0;
  std::int32_t added = 0;
  std::int32_t reserved = 0;
  std::int64_t newest = 0;
};

/// Memory of a caller: its struct, then what is none of the library's business.
template <class Struct>
struct Caller {
  Struct own;
  std::int64_t behind[4] = {-1, -1, -1, -1};

  Second* as_second() { return reinterpret_cast<Second*>(&own); }
};

Second known(const Second* given) {
  return kq::c::from_caller(given, "thing", sizeof(First), "THING_INIT");
}

std::string refusal(const Second* given) {
  try {
    known(given);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

TEST(VersionedStruct, OfAnOlderCallerHasZeroForWhatCameLater) {
  Caller<First> caller;
  caller.own.old = 7;
  Second second = known(caller.as_second());
  EXPECT_EQ(second.struct_size, sizeof(First));
  EXPECT_EQ(second.old, 7);
  EXPECT_EQ(second.added, 0);
  EXPECT_EQ(second.reserved, 0);

  second.old = 8;
  second.added = 9;  // the caller has no place for it
  kq::c::to_caller(second, caller.as_second());
  EXPECT_EQ(caller.own.struct_size, sizeof(First));
  EXPECT_EQ(caller.own.old, 8);
  EXPECT_EQ(caller.behind[0], -1);
}

TEST(VersionedStruct, OfTheSameVersionIsTakenWhole) {
  Caller<Second> caller;
  caller.own.old = 7;
  caller.own.added = 8;
  Second second = known(caller.as_second());
  EXPECT_EQ(second.old, 7);
  EXPECT_EQ(second.added, 8);
  second.added = 9;
  kq::c::to_caller(second, caller.as_second());
  EXPECT_EQ(caller.own.added, 9);
  EXPECT_EQ(caller.behind[0], -1);
}

TEST(VersionedStruct, OfANewerCallerIsTakenUnlessItAsksForMore) {
  Caller<Third> caller;
  caller.own.added = 8;
  Second second = known(caller.as_second());
  EXPECT_EQ(second.struct_size, sizeof(Third));
  EXPECT_EQ(second.added, 8);
  second.added = 9;
  kq::c::to_caller(second, caller.as_second());
  EXPECT_EQ(caller.own.struct_size, sizeof(Third));
  EXPECT_EQ(caller.own.added, 9);
  EXPECT_EQ(caller.own.newest, 0);

  caller.own.newest = std::int64_t{1} << 56;
  EXPECT_EQ(
      refusal(caller.as_second()),
      "thing: the field at byte 31 is newer than this library, which knows 24 bytes; leave it 0 or install a newer "
      "library");
}

TEST(VersionedStruct, OfASizeThatNoVersionHasIsRefused) {
  EXPECT_EQ(refusal(nullptr), "thing: must not be NULL");
  Caller<Second> caller;
  const auto with_size = [&](std::size_t size) {
    caller.own.struct_size = size;
    return refusal(caller.as_second());
  };
  for (const std::size_t size : {std::size_t{0}, std::size_t{8}, sizeof(First) - 1, kq::c::largest_struct + 1,
                                 std::size_t{0xcdcdcdcdcdcdcdcd}}) {
    EXPECT_EQ(with_size(size), "thing: struct_size is " + std::to_string(size) +
                                   ", which no version has (the first: 16); begin with THING_INIT");
  }
  EXPECT_EQ(with_size(sizeof(First)), "");
}

}  // namespace
