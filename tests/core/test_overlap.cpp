// SPDX-License-Identifier: Apache-2.0

// Shared memory is found exactly: against the sets of bytes that two tensors have.

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "kq/overlap.hpp"

namespace kq {
namespace {

std::array<std::byte, 256> memory;

std::set<std::int64_t> bytes_of(const ByteRows& rows) {
  std::set<std::int64_t> bytes;
  const std::int64_t begin = static_cast<const std::byte*>(rows.address) - memory.data();
  for (std::int64_t row = 0; row < rows.rows; ++row) {
    for (std::int64_t byte = 0; byte < rows.row_bytes; ++byte) {
      bytes.insert(begin + row * rows.stride + byte);
    }
  }
  return bytes;
}

bool share(const ByteRows& a, const ByteRows& b) {
  const std::set<std::int64_t> of_a = bytes_of(a);
  for (const std::int64_t byte : bytes_of(b)) {
    if (of_a.contains(byte)) return true;
  }
  return false;
}

TEST(Overlap, IsExact) {
  std::mt19937 random(1);
  const auto draw = [&](int least, int most) { return std::uniform_int_distribution(least, most)(random); };
  const auto draw_rows = [&](std::int64_t stride) {
    const std::int64_t row_bytes = stride == 0 ? draw(0, 9) : draw(0, static_cast<int>(stride));
    return ByteRows{memory.data() + draw(0, 60), draw(0, 6), row_bytes, stride == 0 ? row_bytes + draw(0, 9) : stride};
  };
  int shared = 0;
  constexpr int cases = 50000;
  for (int i = 0; i < cases; ++i) {
    const std::int64_t stride = draw(0, 1) == 0 ? 0 : draw(1, 16);  // one stride for both, or one for each
    const ByteRows a = draw_rows(stride);
    const ByteRows b = draw_rows(stride);
    const bool expected = share(a, b);
    shared += expected ? 1 : 0;
    ASSERT_EQ(overlap(a, b), expected) << a.rows << " rows of " << a.row_bytes << " by " << a.stride << ", " << b.rows
                                       << " of " << b.row_bytes << " by " << b.stride;
    ASSERT_EQ(overlap(b, a), expected);
  }
  EXPECT_GT(shared, cases / 10);
  EXPECT_LT(shared, cases * 9 / 10);
}

/// The greatest sizes that validate() allows, at both ends of the addresses.
TEST(Overlap, CountsBeyondAnAddress) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const auto at = [](std::uintptr_t address) { return reinterpret_cast<const void*>(address); };
  const std::uintptr_t last = std::numeric_limits<std::uintptr_t>::max();
  EXPECT_TRUE(overlap({at(16), 1, most, most}, {at(static_cast<std::uintptr_t>(most)), 1, 1, 1}));
  EXPECT_FALSE(overlap({at(16), 1, most, most}, {at(last), 1, most, most}));
  EXPECT_TRUE(overlap({at(last), 1, most, most}, {at(last), 2, 1, most}));
  EXPECT_FALSE(overlap({at(16), 2, 8, most}, {at(24), 2, 8, most}));
  EXPECT_TRUE(overlap({at(16), 2, 9, most}, {at(24), 2, 8, most}));
}

TEST(Overlap, LeavesGapsToOthers) {
  Request r;
  r.element = Element::half;
  r.num_tokens = 4;
  r.hidden_size = 8;
  r.input_stride = 12;  // 24 bytes: 16 of input, 8 of codes
  r.codes_stride = 24;
  const TensorList list = tensors(r);
  const auto input_rows = [&](const void* address) { return tensor_rows(list[0], address); };
  const auto codes_rows = [&](const void* address) { return tensor_rows(list[1], address); };
  const std::byte* const begin = memory.data();
  EXPECT_FALSE(overlap(input_rows(begin), codes_rows(begin + 16)));
  EXPECT_TRUE(overlap(input_rows(begin), codes_rows(begin + 15)));
  EXPECT_TRUE(overlap(input_rows(begin), codes_rows(begin + 17)));
  EXPECT_FALSE(overlap(input_rows(begin), one_row(begin + 3 * 24 + 16, 100)));
  EXPECT_TRUE(overlap(input_rows(begin), one_row(begin + 3 * 24 + 15, 100)));
}

TEST(Overlap, NamesWhatIsWritten) {
  const TensorMemory read{"input", one_row(memory.data(), 8), false};
  const TensorMemory also_read{"scales", one_row(memory.data() + 4, 8), false};
  const TensorMemory written{"codes", one_row(memory.data() + 7, 8), true};
  EXPECT_FALSE(find_overlap(std::array{read, also_read}));
  for (const auto& tensors : {std::array{read, written}, std::array{written, read}}) {
    const auto found = find_overlap(tensors);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->field, "codes");
    EXPECT_EQ(found->reason, "shares memory with input; nothing is done in place, give it memory of its own");
  }
}

}  // namespace
}  // namespace kq
