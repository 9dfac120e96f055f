// SPDX-License-Identifier: Apache-2.0

// Random calls of the C interface, on a host build, against rules written here from kq.h and numerics.md alone: a call
// is refused exactly where the rules say so, a refusal names a field and writes nothing, and a call that succeeds
// writes nothing but its outputs.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "kq.h"

namespace {

constexpr std::int64_t least64 = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t most64 = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t half_of_memory = std::int64_t{1}
                                        << 62;  // elements of two bytes or more: more than an address counts

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  std::int64_t between(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random_);
  }
  bool one_in(int n) { return between(1, n) == 1; }
  template <class T>
  T of(std::initializer_list<T> values) {
    return values.begin()[between(0, static_cast<std::int64_t>(values.size()) - 1)];
  }
  void fill(void* memory, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; i += sizeof(std::uint64_t)) {
      const std::uint64_t word = random_();
      std::memcpy(static_cast<unsigned char*>(memory) + i, &word, std::min(sizeof word, bytes - i));
    }
  }

 private:
  std::mt19937_64 random_;
};

// --- the rules ------------------------------------------------------------------------------------------------------

std::int64_t stride_of(std::int64_t stride, const kq_request& r) {
  return stride == 0 ? r.hidden_size : stride;
}

/// Bytes of so many codes of a row.
std::int64_t code_bytes(std::int64_t codes, const kq_request& r) {
  return r.format == KQ_FP4_E2M1 ? (codes + 1) / 2 : codes;
}

bool is_valid(const kq_request& r) {
  const auto within = [](std::int32_t value, std::int32_t last) { return value >= 0 && value <= last; };
  if (r.struct_size != sizeof r || r.reserved != 0 || r.reserved2 != 0 || r.dialect != 0) return false;
  if (r.producer != 0 || r.eps != 0.0f || r.residual_stride != 0) return false;
  if (!within(r.element, KQ_FLOAT32) || !within(r.format, KQ_FP4_E2M1) || !within(r.granularity, KQ_BLOCK) ||
      !within(r.static_scale, 1) || !within(r.asymmetric, 1) || !within(r.scale_format, KQ_SCALE_E4M3) ||
      !within(r.scale_layout, KQ_LAYOUT_SHUFFLED_32X8) || !within(r.scale_rounding, KQ_ROUNDING_CEIL)) {
    return false;  // (KQ_ROUNDING_4OVER6_*: not of dialect 0)
  }
  const bool block = r.granularity == KQ_BLOCK;
  const bool group = r.granularity == KQ_GROUP || block;
  if (group && r.asymmetric == 1) return false;
  if (block ? r.block_rows < 1 : r.block_rows != 0) return false;
  if (r.scale_layout == KQ_LAYOUT_PACKED && r.scale_format != KQ_SCALE_UE8M0) return false;
  if (r.asymmetric == 1 && r.format != KQ_INT8) return false;
  if (group ? r.group_size < 16 : r.group_size != 0) return false;
  const bool four_bits = r.format == KQ_FP4_E2M1;
  const bool one_byte = r.scale_format == KQ_SCALE_UE8M0 || r.scale_format == KQ_SCALE_E4M3;
  const bool rounded = r.scale_rounding != KQ_ROUNDING_QUOTIENT;
  if (four_bits && (!group || !one_byte || r.group_size % 16 != 0 || r.codes_stride % 2 != 0)) return false;
  if (four_bits && block && (r.static_scale == 1 || r.scale_format != KQ_SCALE_E4M3)) return false;
  if (r.scale_format == KQ_SCALE_E4M3 && !four_bits) return false;
  if (r.scale_layout >= KQ_LAYOUT_SWIZZLED_128X4 && !one_byte) return false;
  if (rounded && (r.granularity != KQ_GROUP || r.scale_format != KQ_SCALE_UE8M0 || r.static_scale == 1)) return false;
  if (rounded && r.format != KQ_FP8_E4M3FN && r.format != KQ_FP8_E5M2 && !four_bits) return false;
  if (four_bits && r.scale_format == KQ_SCALE_UE8M0 && !rounded && r.static_scale == 0) return false;
  if (std::isnan(r.global_scale) || std::isinf(r.global_scale) || r.global_scale < 0.0f) return false;
  if (r.global_scale > 0.0f && (r.scale_format != KQ_SCALE_E4M3 || r.static_scale == 1)) return false;
  if (!group && (r.scale_format != KQ_SCALE_FLOAT || r.scale_layout != KQ_LAYOUT_ROW)) return false;

  constexpr std::array largest{127.0f, 448.0f, 57344.0f, 240.0f, 57344.0f, 6.0f};
  if (std::isnan(r.qmax) || r.qmax < 0.0f || r.qmax > largest[static_cast<std::size_t>(r.format)]) return false;
  if ((four_bits || rounded) && r.qmax != 0.0f && r.qmax != largest[static_cast<std::size_t>(r.format)]) return false;
  if (r.format == KQ_INT8 && r.qmax != std::floor(r.qmax)) return false;
  if (std::isnan(r.scale_ub) || r.scale_ub < 0.0f) return false;
  const bool bounded = r.scale_ub > 0.0f && !std::isinf(r.scale_ub);
  if (bounded && (r.granularity != KQ_TOKEN || r.static_scale == 1 || r.format == KQ_INT8 || four_bits)) return false;

  if (r.num_tokens < 1 || r.num_tokens >= half_of_memory) return false;
  if (r.hidden_size < 1 || r.hidden_size >= half_of_memory) return false;
  if (r.scale_stride != 0) {
    if (r.scale_layout != KQ_LAYOUT_COLUMN) return false;
    const std::int64_t rows = block ? (r.num_tokens - 1) / r.block_rows + 1 : r.num_tokens;
    const std::int64_t columns = (r.hidden_size - 1) / r.group_size + 1;
    __extension__ using Wide = __int128;
    const Wide bytes = (static_cast<Wide>(columns - 1) * r.scale_stride + rows) * 4;
    if (r.scale_stride < rows || bytes > PTRDIFF_MAX) return false;
  }
  for (const std::int64_t stride : {stride_of(r.input_stride, r), stride_of(r.codes_stride, r)}) {
    if (stride < r.hidden_size || (stride >= half_of_memory && r.num_tokens > 1)) return false;
  }
  return true;
}

constexpr std::size_t arena_size = 1 << 14;
alignas(64) std::array<unsigned char, arena_size> arena;

/// The bytes of the arena that belong to a tensor.
using Bytes = std::bitset<arena_size>;

/// The bytes of `rows` rows, `stride` bytes apart. None for an address of NULL.
Bytes bytes_of(const void* address, std::int64_t rows, std::int64_t row_bytes, std::int64_t stride) {
  Bytes bytes;
  if (address == nullptr) return bytes;
  const std::int64_t begin = static_cast<const unsigned char*>(address) - arena.data();
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < row_bytes; ++i) {
      bytes.set(static_cast<std::size_t>(begin + row * stride + i));
    }
  }
  return bytes;
}

bool misplaced(const void* address, std::size_t alignment) {
  return address == nullptr || (static_cast<const unsigned char*>(address) - arena.data()) % alignment != 0;
}

// --- random calls
// -----------------------------------------------------------------------------------------------------

/// Mostly a request that is served, one field or a few of it changed.
kq_request random_request(Draw& draw) {
  kq_request r = KQ_REQUEST_INIT;
  if (draw.one_in(20)) {
    draw.fill(&r, sizeof r);
    if (draw.one_in(2)) r.struct_size = sizeof r;
    return r;
  }
  r.element = static_cast<std::int32_t>(draw.between(0, 2));
  r.format = static_cast<std::int32_t>(draw.between(0, 5));
  r.granularity = static_cast<std::int32_t>(draw.between(0, 4));
  const bool grouped = r.granularity == KQ_GROUP || r.granularity == KQ_BLOCK;
  r.static_scale = draw.one_in(3) ? 1 : 0;
  r.asymmetric = r.format == KQ_INT8 && !grouped && draw.one_in(2) ? 1 : 0;
  r.num_tokens = draw.between(1, 6);
  r.hidden_size = draw.between(1, 40);
  if (draw.one_in(3)) r.input_stride = r.hidden_size + draw.between(0, 40);
  if (draw.one_in(3)) r.codes_stride = r.hidden_size + draw.between(0, 80);
  if (grouped) {
    r.group_size = draw.between(16, 48);
    if (r.granularity == KQ_BLOCK) r.block_rows = draw.between(1, 7);
    r.scale_format = static_cast<std::int32_t>(draw.between(0, 2));
    r.scale_layout = static_cast<std::int32_t>(draw.between(0, r.scale_format == KQ_SCALE_UE8M0 ? 6 : 2));
    const bool block = r.granularity == KQ_BLOCK;
    if (r.format == KQ_FP4_E2M1 || (!block && r.format <= KQ_FP8_E5M2 && draw.one_in(4))) {
      r.scale_format = r.format == KQ_FP4_E2M1 && (block || draw.one_in(2)) ? KQ_SCALE_E4M3 : KQ_SCALE_UE8M0;
      if (block) r.static_scale = 0;
      const bool rounded = r.scale_format == KQ_SCALE_UE8M0 && r.static_scale == 0 && r.format != KQ_INT8;
      if (rounded) r.scale_rounding = static_cast<std::int32_t>(draw.between(1, 4));
      if (r.format == KQ_FP4_E2M1) r.group_size = 16 * draw.between(1, 3);
      r.codes_stride += r.format == KQ_FP4_E2M1 ? r.codes_stride % 2 : 0;
      r.scale_layout = draw.of<std::int32_t>({0, 1, 2, 4, 5, 6});
      if (r.scale_format == KQ_SCALE_E4M3 && r.static_scale == 0 && draw.one_in(2)) r.global_scale = 3.5f;
    }
    if (r.scale_layout == KQ_LAYOUT_COLUMN && draw.one_in(2)) r.scale_stride = r.num_tokens + draw.between(0, 9);
  }
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
  while (draw.one_in(2)) {
    const auto odd =
        static_cast<std::int32_t>(draw.one_in(3) ? draw.between(INT32_MIN, INT32_MAX) : draw.between(-1, 7));
    switch (draw.between(0, 19)) {
      case 0:
        r.struct_size = static_cast<std::size_t>(
            draw.of<std::int64_t>({0, 8, offsetof(kq_request, block_rows) - 1, 4097, draw.between(least64, most64)}));
        break;
      case 1:
        r.element = odd;
        break;
      case 2:
        r.format = odd;
        break;
      case 3:
        r.granularity = odd;
        break;
      case 4:
        r.static_scale = odd;
        break;
      case 5:
        r.asymmetric = odd;
        break;
      case 6:
        r.scale_format = odd;
        break;
      case 7:
        r.scale_layout = odd;
        break;
      case 8:
        r.reserved = odd;
        break;
      case 9:
        r.num_tokens = draw.of<std::int64_t>({-1, least64, half_of_memory, most64, 1});
        break;
      case 10:
        r.hidden_size = draw.of<std::int64_t>({-1, 0, least64, half_of_memory, most64, 1});
        break;
      case 11:
        (draw.one_in(2) ? r.input_stride : r.codes_stride) =
            draw.of<std::int64_t>({-1, 1, r.hidden_size, 2, least64, most64});
        break;
      case 12:
        r.group_size = draw.of<std::int64_t>({-1, 0, 15, 16, least64, most64, half_of_memory});
        break;
      case 13:
        r.block_rows = draw.of<std::int64_t>({-1, 0, 1, 2, least64, most64});
        break;
      case 14:
        r.scale_stride = draw.of<std::int64_t>({-1, 0, 1, 6, 1000, least64, most64, half_of_memory});
        break;
      case 15:
        r.qmax = draw.of({1.0f, 127.0f, 127.5f, 128.0f, 240.0f, 448.0f, 449.0f, 57344.0f, -1.0f, -0.0f, infinity,
                          not_a_number, 1e-45f});
        break;
      case 16:
        (draw.one_in(2) ? r.dialect : r.reserved2) =
            draw.of<std::int32_t>({-1, 1000, std::numeric_limits<std::int32_t>::max()});
        break;
      case 17:
        r.scale_rounding = odd;
        break;
      case 18:
        r.global_scale = draw.of({1.0f, -1.0f, -0.0f, infinity, not_a_number, 1e-45f});
        break;
      default:
        r.scale_ub = draw.of({1.0f, -1.0f, -0.0f, infinity, -infinity, not_a_number, 1e-45f});
    }
  }
  return r;
}

/// Places tensors in the arena: one after the other, or anywhere.
class Placer {
 public:
  explicit Placer(Draw& draw) : draw_(draw), anywhere_(draw.one_in(2)) {}

  void* place(std::size_t bytes) {
    if (draw_.one_in(60)) return nullptr;
    if (anywhere_) return arena.data() + draw_.between(0, 300) * draw_.of<std::int64_t>({1, 4, 16});
    unsigned char* const address = arena.data() + next_;
    next_ += (bytes + 15) / 16 * 16;
    return address;
  }

 private:
  Draw& draw_;
  bool anywhere_;
  std::size_t next_ = 0;
};

/// Whether the message begins with one of the names, and is one line.
testing::AssertionResult names_one_of(const std::vector<std::string_view>& names) {
  const std::string_view message = kq_last_error();
  const std::string_view field = message.substr(0, message.find(": "));
  if (message.find('\n') == std::string_view::npos && std::ranges::count(names, field) == 1 &&
      message.size() > field.size() + 2) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "the message is '" << message << "'";
}

const std::vector<std::string_view> request_names{
    "request",      "element",         "format",         "granularity",  "static_scale", "asymmetric",   "scale_format",
    "scale_layout", "reserved",        "num_tokens",     "hidden_size",  "input_stride", "codes_stride", "group_size",
    "qmax",         "scale_ub",        "block_rows",     "scale_stride", "dialect",      "reserved2",    "producer",
    "eps",          "residual_stride", "scale_rounding", "global_scale"};
const std::vector<std::string_view> buffer_names{"buffers",   "input",           "codes",  "scales",   "zero_points",
                                                 "workspace", "workspace_bytes", "output", "scale_ub", "global_scale"};

class RandomCalls : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string_view(kq_backend()) != "host") GTEST_SKIP() << "the library works on " << kq_backend();
  }
};

/// Whether a bound may be given in memory.
bool takes_bound(const kq_request& r) {
  const bool has_one = r.scale_ub > 0.0f && !std::isinf(r.scale_ub);
  const bool may_have_one =
      r.granularity == KQ_TOKEN && r.static_scale == 0 && r.format != KQ_INT8 && r.format != KQ_FP4_E2M1;
  const bool knows_one = r.dialect == KQ_DIALECT_KQBENCH || r.dialect == KQ_DIALECT_VLLM_0_33_0;
  return may_have_one && knows_one && !has_one;
}

struct Counts {
  int invalid = 0;
  int refused = 0;
  int done = 0;
};

/// Quantizes, or dequantizes, with the tensors at random places.
void call(Draw& draw, const kq_request& r, const kq_buffer_sizes& sizes, Counts& counts) {
  draw.fill(arena.data(), 4096);
  const bool quantizes = draw.one_in(2);
  const bool computes = quantizes && r.static_scale == 0;
  const std::int64_t element_bytes = r.element == KQ_FLOAT32 ? 4 : 2;
  const std::size_t scale_bytes = r.scale_format >= KQ_SCALE_UE8M0 ? 1 : 4;
  const auto output_bytes = static_cast<std::size_t>(r.num_tokens * r.hidden_size) * sizeof(float);
  Placer placer(draw);
  kq_buffers b = KQ_BUFFERS_INIT;
  b.input = placer.place(sizes.input_bytes);
  b.codes = placer.place(sizes.codes_bytes);
  b.scales = placer.place(sizes.scales_bytes);
  b.zero_points = static_cast<std::int32_t*>(placer.place(sizes.zero_points_bytes));
  b.global_scale = static_cast<float*>(placer.place(sizes.global_scale_bytes));
  b.workspace = placer.place(sizes.workspace_bytes);
  b.workspace_bytes = sizes.workspace_bytes - (sizes.workspace_bytes > 0 && draw.one_in(40) ? 1 : 0);
  auto* const output = static_cast<float*>(placer.place(output_bytes));
  if (draw.one_in(takes_bound(r) ? 2 : 20)) b.scale_ub = static_cast<const float*>(placer.place(sizeof(float)));

  // What the caller owes: a workspace of zeros, and scales above 0.
  if (b.workspace != nullptr) std::memset(b.workspace, 0, sizes.workspace_bytes);
  if (b.scales != nullptr && !computes) std::memset(b.scales, 0x3c, sizes.scales_bytes);
  if (b.global_scale != nullptr && !computes) std::memset(b.global_scale, 0x3c, sizes.global_scale_bytes);

  const auto bytes = [](const void* address, std::size_t size) {
    return bytes_of(address, 1, static_cast<std::int64_t>(size), 0);
  };
  const std::int64_t input_stride = r.num_tokens > 1 ? stride_of(r.input_stride, r) * element_bytes : 0;
  std::vector<Bytes> written;
  std::vector<Bytes> read;
  bool refused = misplaced(b.codes, 1) || misplaced(b.scales, scale_bytes);
  refused = refused || (r.asymmetric == 1 && misplaced(b.zero_points, 4));
  refused = refused || (r.scale_format == KQ_SCALE_E4M3 && misplaced(b.global_scale, 4));
  (quantizes ? written : read)
      .push_back(
          bytes_of(b.codes, r.num_tokens, code_bytes(r.hidden_size, r), code_bytes(stride_of(r.codes_stride, r), r)));
  (computes ? written : read).push_back(bytes(b.global_scale, sizes.global_scale_bytes));
  (computes ? written : read).push_back(bytes(b.scales, sizes.scales_bytes));
  (computes ? written : read).push_back(bytes(b.zero_points, sizes.zero_points_bytes));
  if (quantizes) {
    refused = refused || misplaced(b.input, static_cast<std::size_t>(element_bytes));
    read.push_back(bytes_of(b.input, r.num_tokens, r.hidden_size * element_bytes, input_stride));
    if (b.scale_ub != nullptr) {
      refused = refused || misplaced(b.scale_ub, alignof(float)) || !takes_bound(r);
      read.push_back(bytes(b.scale_ub, sizeof(float)));
    }
    if (sizes.workspace_bytes > 0) {
      refused = refused || misplaced(b.workspace, 16) || b.workspace_bytes < sizes.workspace_bytes;
      written.push_back(bytes(b.workspace, sizes.workspace_bytes));
    }
  } else {
    refused = refused || misplaced(output, alignof(float));
    written.push_back(bytes(output, output_bytes));
  }
  for (std::size_t i = 0; i < written.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      refused = refused || (written[i] & written[j]).any();
    }
    for (const Bytes& other : read) {
      refused = refused || (written[i] & other).any();
    }
  }

  kq_request asked = r;
  if (!quantizes) {  // not looked at
    asked.element = static_cast<std::int32_t>(draw.between(INT32_MIN, INT32_MAX));
    asked.input_stride = draw.between(least64, most64);
    b.input = reinterpret_cast<const void*>(1);
    b.workspace = reinterpret_cast<void*>(1);
    b.scale_ub = reinterpret_cast<const float*>(1);
  }
  const auto before = arena;
  const kq_status status = quantizes ? kq_quantize(&asked, &b, nullptr) : kq_dequantize(&asked, &b, output, nullptr);
  ASSERT_EQ(status, refused ? KQ_INVALID_ARGUMENT : KQ_SUCCESS) << kq_last_error();
  if (refused) {
    ASSERT_TRUE(names_one_of(buffer_names));
    ASSERT_EQ(arena, before);
  }
  Bytes outputs;
  for (const Bytes& tensor : written) {
    outputs |= tensor;
  }
  if (arena != before) {
    for (std::size_t i = 0; i < arena_size; ++i) {
      ASSERT_TRUE(outputs[i] || arena[i] == before[i]) << "byte " << i << " is no output and was written";
    }
  }
  ++(refused ? counts.refused : counts.done);
}

TEST_F(RandomCalls, AreRefusedWhereTheRulesSaySo) {
  constexpr int cases = 4000;
  Counts counts;
  for (std::uint64_t seed = 0; seed < cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Draw draw(seed);
    const kq_request request = random_request(draw);
    kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
    const kq_buffer_sizes untouched = sizes;
    const bool valid = is_valid(request);
    ASSERT_EQ(kq_sizes(&request, &sizes), valid ? KQ_SUCCESS : KQ_INVALID_ARGUMENT) << kq_last_error();
    if (!valid) {
      ++counts.invalid;
      ASSERT_TRUE(names_one_of(request_names));
      ASSERT_EQ(std::memcmp(&sizes, &untouched, sizeof sizes), 0);
      const kq_buffers buffers = KQ_BUFFERS_INIT;
      ASSERT_EQ(kq_quantize(&request, &buffers, nullptr), KQ_INVALID_ARGUMENT);
      ASSERT_TRUE(names_one_of(request_names));
      continue;
    }
    ASSERT_LE(sizes.workspace_bytes, arena_size / 2) << "the arena is too small for this machine's threads";
    for (int i = 0; i < 3; ++i) {
      ASSERT_NO_FATAL_FAILURE(call(draw, request, sizes, counts));
    }
  }
  EXPECT_GT(counts.invalid, cases / 5);
  EXPECT_GT(counts.refused, cases / 5);
  EXPECT_GT(counts.done, cases / 5);
  std::printf("%d requests and %d buffers refused, %d calls done\n", counts.invalid, counts.refused, counts.done);
}

}  // namespace
