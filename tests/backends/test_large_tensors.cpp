// SPDX-License-Identifier: Apache-2.0

// More than 2^31 elements, and rows more than 2^31 elements apart: every offset must be 64 bits wide. The reference
// would take minutes for such a tensor, so it is made of one block of data again and again, with a tail that is there
// once and holds the extremes: what the reference makes of block and tail is what the whole must give.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/measure/device_memory.hpp"
#include "kq/element.hpp"
#include "tests/support/implementations.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

constexpr std::int64_t two_to_31 = std::int64_t{1} << 31;

/// Rows of a block: those that the tensors below repeat.
constexpr std::int64_t block_rows = 61;

/// Every scheme once, groups and blocks in three layouts; fp8 codes where the scheme serves them.
std::vector<kq::Request> every_scheme(std::int64_t num_tokens, std::int64_t hidden_size) {
  std::vector<kq::Request> requests;
  for (const kq::Scheme& scheme : kq::schemes()) {
    const kq::Format format = scheme.fp8 ? kq::Format::fp8_e4m3fn : kq::Format::int8;
    kq::Request request = request_of(scheme, kq::Element::half, format, num_tokens, hidden_size);
    if (scheme.granularity == kq::Granularity::block) request.block_rows = block_rows;
    requests.push_back(kq::resolved(request));
    if (!kq::has_groups(scheme.granularity)) continue;
    for (const kq::ScaleLayout layout : {kq::ScaleLayout::column, kq::ScaleLayout::column_aligned}) {
      requests.push_back(requests.back());
      requests.back().scale_layout = layout;
    }
  }
  return requests;
}

/// Random numbers of which the last `tail` are sixteen times as large, so that a maximum is found only where the tail
/// is looked at.
std::vector<std::byte> make_block_and_tail(const kq::Request& request, std::int64_t tail) {
  std::vector<std::byte> input = make_input(request, 31, Fill::normal);
  const auto count = static_cast<std::int64_t>(input.size() / sizeof(std::uint16_t));
  for (std::int64_t i = count - tail; i < count; ++i) {
    std::byte* const place = input.data() + static_cast<std::size_t>(i) * sizeof(std::uint16_t);
    std::uint16_t bits = 0;
    std::memcpy(&bits, place, sizeof bits);
    bits = kq::to_half(16.0f * kq::to_float(kq::half{bits})).bits;
    std::memcpy(place, &bits, sizeof bits);
  }
  return input;
}

/// The tensor that is a block `repeats` times and then a tail: along the tokens, or along the channels of a single row.
struct Large {
  std::int64_t block_tokens, tail_tokens;      ///< tail_tokens 0: along the channels
  std::int64_t block_channels, tail_channels;  ///< tail_channels 0: along the tokens
  std::int64_t repeats;

  std::int64_t small_tokens() const { return block_tokens + tail_tokens; }
  std::int64_t small_channels() const { return block_channels + tail_channels; }
  std::int64_t tokens() const { return tail_tokens == 0 ? block_tokens : repeats * block_tokens + tail_tokens; }
  std::int64_t channels() const {
    return tail_channels == 0 ? block_channels : repeats * block_channels + tail_channels;
  }
  std::int64_t block() const { return block_tokens * block_channels; }
  std::int64_t tail() const { return small_tokens() * small_channels() - block(); }

  /// Which token of the small tensor is like that of the large one.
  std::int64_t small_token(std::int64_t t) const {
    if (tail_tokens == 0) return t;
    return t < repeats * block_tokens ? t % block_tokens : block_tokens + t - repeats * block_tokens;
  }
  /// Which channel is.
  std::int64_t small_channel(std::int64_t c) const {
    if (tail_channels == 0) return c;
    return c < repeats * block_channels ? c % block_channels : block_channels + c - repeats * block_channels;
  }
};

kq::Request enlarged(kq::Request small, const Large& large) {
  small.num_tokens = large.tokens();
  small.hidden_size = small.input_stride = small.codes_stride = large.channels();
  return small;
}

/// How many scales the block has, which the large tensor has again and again, and then the tail's. (Scales of groups
/// and blocks are looked up one by one.)
std::int64_t block_scales(const kq::Request& small, const Large& large) {
  switch (small.granularity) {
    case kq::Granularity::tensor:
      return 0;
    case kq::Granularity::token:
      return large.tail_tokens == 0 ? 0 : large.block_tokens;
    case kq::Granularity::channel:
      return large.tail_channels == 0 ? 0 : large.block_channels;
    case kq::Granularity::group:
    case kq::Granularity::block:
      break;
  }
  return 0;
}

/// The scales (zero points) of the large tensor, from those of the small one.
template <class T>
std::vector<T> enlarge_scales(const kq::Request& request, const kq::Request& small, std::span<const T> scales,
                              const Large& large) {
  std::vector<T> all(static_cast<std::size_t>(kq::stored_scales(request)));
  if (kq::has_groups(request.granularity)) {
    for (std::int64_t t = 0; t < request.num_tokens; t += kq::rows_per_scale(request)) {
      for (std::int64_t c = 0; c < request.hidden_size; c += request.group_size) {
        all[static_cast<std::size_t>(kq::scale_index(request, t, c))] =
            scales[static_cast<std::size_t>(kq::scale_index(small, large.small_token(t), large.small_channel(c)))];
      }
    }
    return all;
  }
  const auto block = static_cast<std::size_t>(block_scales(small, large));
  for (std::size_t i = 0; i < all.size(); i += block) {
    const auto whole = static_cast<std::size_t>(large.repeats) * block;
    const auto from = i < whole ? scales.first(block) : scales.subspan(block);
    std::copy(from.begin(), from.end(), all.begin() + static_cast<std::ptrdiff_t>(i));
    if (i >= whole) break;
  }
  return all;
}

template <class T>
std::span<const T> as_numbers(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

/// A tensor of the device as numbers on the host.
template <class T>
std::vector<T> read(Device& device, const DeviceMemory& memory, std::size_t count) {
  std::vector<T> numbers(count);
  device.copy_to_host(numbers.data(), memory.data(), count * sizeof(T));
  return numbers;
}

/// Fills device memory with a block of bytes again and again, and then the tail.
void repeat(Device& device, std::byte* to, std::span<const std::byte> block_and_tail, std::size_t block,
            std::int64_t repeats) {
  if (block > 0) device.copy_to_device(to, block_and_tail.data(), block);
  for (std::int64_t i = 1; block > 0 && i < repeats; ++i) {
    device.copy_on_device(to + static_cast<std::size_t>(i) * block, to, block);
  }
  device.copy_to_device(to + static_cast<std::size_t>(repeats) * block, block_and_tail.data() + block,
                        block_and_tail.size() - block);
}

/// The first code of the device that is not the block's or the tail's. Many blocks are fetched at once.
std::string first_wrong_code(Device& device, const std::byte* codes, std::span<const std::byte> block_and_tail,
                             std::size_t block, std::int64_t repeats) {
  const auto size = static_cast<std::size_t>(repeats) * block + (block_and_tail.size() - block);
  std::vector<std::byte> fetched(std::min(((std::size_t{1} << 26) / block + 1) * block, size));
  for (std::size_t begin = 0; begin < size; begin += fetched.size()) {
    const std::size_t count = std::min(fetched.size(), size - begin);
    device.copy_to_host(fetched.data(), codes + begin, count);
    for (std::size_t i = 0; i < count; i += block) {
      const bool whole = begin + i < static_cast<std::size_t>(repeats) * block;
      const std::span<const std::byte> expected = whole ? block_and_tail.first(block) : block_and_tail.subspan(block);
      const std::byte* const found = fetched.data() + i;
      if (std::memcmp(found, expected.data(), expected.size()) == 0) continue;
      const auto wrong = std::mismatch(expected.begin(), expected.end(), found).second - found;
      return "code " + std::to_string(begin + i + static_cast<std::size_t>(wrong)) + " is wrong";
    }
  }
  return {};
}

/// Block and tail alone, and what the reference makes of them.
std::vector<Problem> small_problems(const Large& large) {
  std::vector<Problem> problems;
  for (const kq::Request& request : every_scheme(large.small_tokens(), large.small_channels())) {
    problems.push_back(kqbench::make_problem(request, make_block_and_tail(request, large.tail()), {}));
  }
  return problems;
}

/// Runs every implementation of every GPU on the large tensor.
void expect_right(const Large& large) {
  ASSERT_GT(large.tokens() * large.channels(), two_to_31);
  ASSERT_EQ(large.tail_tokens == 0 || large.tail_channels == 0, true);
  std::vector<Problem> problems;
  int runs = 0;
  for (const Candidate& candidate : candidates()) {
    Device& device = *candidate.device;
    if (device.info().host_memory) continue;
    const auto elements = static_cast<std::size_t>(large.tokens() * large.channels());
    const auto block = static_cast<std::size_t>(large.block());
    const DeviceMemory input(device, elements * sizeof(std::uint16_t));
    const DeviceMemory codes(device, elements);
    bool filled = false;
    if (problems.empty()) problems = small_problems(large);
    for (const Problem& small : problems) {
      const kq::Request& small_request = small.request;
      if (!std::exchange(filled, true)) {
        repeat(device, input.data(), small.given.input, block * sizeof(std::uint16_t), large.repeats);
      }
      const kq::Request request = enlarged(small_request, large);
      ASSERT_EQ(kq::validate(request), std::nullopt);
      const std::string where = candidate.name + ": " + describe(request);

      const DeviceMemory scales(device, kq::scales_bytes(request));
      const DeviceMemory zero_points(device, kq::zero_points_bytes(request));
      const DeviceMemory workspace(device, candidate.implementation->workspace_bytes(request));
      device.fill(codes.data(), 0xa5, elements);
      device.fill(workspace.data(), 0, workspace.size());
      if (request.static_scale && kq::has_groups(request.granularity)) {
        const auto given = enlarge_scales(request, small_request, as_numbers<float>(small.expected.scales), large);
        device.copy_to_device(scales.data(), given.data(), scales.size());
      } else if (request.static_scale) {
        const std::size_t block_bytes = static_cast<std::size_t>(block_scales(small_request, large)) * sizeof(float);
        repeat(device, scales.data(), small.expected.scales, block_bytes, large.repeats);
        if (request.asymmetric) {
          repeat(device, zero_points.data(), small.expected.zero_points, block_bytes, large.repeats);
        }
      }
      Operands operands;
      operands.input = input.data();
      operands.codes = codes.data();
      operands.scales = scales.data();
      operands.zero_points = reinterpret_cast<std::int32_t*>(zero_points.data());
      operands.workspace = workspace.data();
      candidate.implementation->enqueue(request, operands);
      device.synchronize();

      if (!request.static_scale) {
        const auto expected = enlarge_scales(request, small_request, as_numbers<float>(small.expected.scales), large);
        EXPECT_TRUE(read<float>(device, scales, expected.size()) == expected) << where;
      }
      if (!request.static_scale && request.asymmetric) {
        const auto expected =
            enlarge_scales(request, small_request, as_numbers<std::int32_t>(small.expected.zero_points), large);
        EXPECT_TRUE(read<std::int32_t>(device, zero_points, expected.size()) == expected) << where;
      }
      EXPECT_EQ(first_wrong_code(device, codes.data(), small.expected.codes, block, large.repeats), "") << where;
      ++runs;
    }
  }
  if (runs == 0) GTEST_SKIP() << "no GPU here; on the host the same offsets are tried by rows that lie far apart";
}

TEST(LargeTensors, OfManyTokens) {
  expect_right({.block_tokens = block_rows,
                .tail_tokens = 2,
                .block_channels = 4096,
                .tail_channels = 0,
                .repeats = two_to_31 / (block_rows * 4096) + 1});
}

TEST(LargeTensors, OfOneLongToken) {
  expect_right({.block_tokens = 1,
                .tail_tokens = 0,
                .block_channels = 128 * 509,
                .tail_channels = 77,
                .repeats = two_to_31 / (128 * 509) + 1});
}

/// Memory for a few rows far apart. The host's is taken past the device, which would touch every page of it: what lies
/// between the rows then takes no room.
class Sparse {
 public:
  Sparse(Device& device, std::size_t bytes) {
    if (device.info().host_memory) {
      host_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    } else {
      device_ = DeviceMemory(device, bytes);
    }
  }
  std::byte* data() const { return host_ ? host_.get() : device_.data(); }

 private:
  std::unique_ptr<std::byte[]> host_;
  DeviceMemory device_;
};

TEST(LargeTensors, OfRowsFarApart) {
  constexpr std::int64_t num_tokens = 2;
  constexpr std::int64_t hidden_size = 1500;
  constexpr std::int64_t input_stride = two_to_31 + 8;
  constexpr std::int64_t codes_stride = two_to_31 + 16;
  for (const Candidate& candidate : candidates()) {
    Device& device = *candidate.device;
    const Sparse input(device, static_cast<std::size_t>(input_stride + hidden_size) * sizeof(std::uint16_t));
    const Sparse codes(device, static_cast<std::size_t>(codes_stride + hidden_size));
    for (const kq::Request& near : every_scheme(num_tokens, hidden_size)) {
      const Problem problem = kqbench::make_problem(near, make_block_and_tail(near, hidden_size), {});
      kq::Request far = near;
      far.input_stride = input_stride;
      far.codes_stride = codes_stride;
      ASSERT_EQ(kq::validate(far), std::nullopt);
      const std::string where = candidate.name + ": " + describe(far);
      const DeviceMemory scales(device, kq::scales_bytes(far));
      const DeviceMemory zero_points(device, kq::zero_points_bytes(far));
      const DeviceMemory workspace(device, candidate.implementation->workspace_bytes(far));
      device.fill(workspace.data(), 0, workspace.size());
      const std::size_t row_bytes = static_cast<std::size_t>(hidden_size) * sizeof(std::uint16_t);
      for (std::int64_t t = 0; t < num_tokens; ++t) {
        device.copy_to_device(input.data() + static_cast<std::size_t>(t * far.input_stride) * sizeof(std::uint16_t),
                              problem.given.input.data() + static_cast<std::size_t>(t) * row_bytes, row_bytes);
      }
      if (far.static_scale) {
        device.copy_to_device(scales.data(), problem.expected.scales.data(), scales.size());
        device.copy_to_device(zero_points.data(), problem.expected.zero_points.data(), zero_points.size());
      }
      Operands operands;
      operands.input = input.data();
      operands.codes = codes.data();
      operands.scales = scales.data();
      operands.zero_points = reinterpret_cast<std::int32_t*>(zero_points.data());
      operands.workspace = workspace.data();
      candidate.implementation->enqueue(far, operands);
      device.synchronize();

      EXPECT_TRUE(read<std::byte>(device, scales, scales.size()) == problem.expected.scales) << where;
      EXPECT_TRUE(read<std::byte>(device, zero_points, problem.expected.zero_points.size()) ==
                  problem.expected.zero_points)
          << where;
      for (std::int64_t t = 0; t < num_tokens; ++t) {
        std::vector<std::byte> found(static_cast<std::size_t>(hidden_size));
        device.copy_to_host(found.data(), codes.data() + t * far.codes_stride, found.size());
        EXPECT_TRUE(std::equal(found.begin(), found.end(), problem.expected.codes.begin() + t * hidden_size))
            << where << ", token " << t;
      }
    }
  }
}

}  // namespace
}  // namespace kqbench::test
