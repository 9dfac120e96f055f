// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "bench/support/errors.hpp"
#include "bench/support/output_file.hpp"
#include "bench/tensors/given_scales.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/safetensors.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"

namespace kqbench {
namespace {

template <class Number>
std::vector<std::byte> as_vector(const std::vector<Number>& numbers) {
  const auto bytes = std::as_bytes(std::span(numbers));
  return {bytes.begin(), bytes.end()};
}

kq::Request request_of(kq::Granularity granularity, bool asymmetric = false) {
  kq::Request request;
  request.static_scale = true;
  request.granularity = granularity;
  request.asymmetric = asymmetric;
  request.num_tokens = 3;
  request.hidden_size = 4;
  return request;
}

class GivenScalesTest : public testing::Test {
 protected:
  /// Reads scales from a .npy file with these in it, or says why not.
  std::string read_npy_of(const std::vector<float>& scales, const std::vector<std::int64_t>& shape,
                          kq::Granularity granularity) {
    write_npy(folder_ / "s.npy", {DType::float32, shape, as_vector(scales)});
    return read("s.npy", request_of(granularity), "");
  }

  std::string read(const char* name, const kq::Request& request, const char* tensor) {
    try {
      given_ = ScalesFile(folder_ / name).read(request, tensor);
      return "read";
    } catch (const UsageError& error) {
      return error.what();
    }
  }

  void write_safetensors(const char* name, std::vector<std::pair<std::string, float>> scales,
                         std::vector<std::pair<std::string, std::int32_t>> zero_points) {
    std::vector<StoredTensor> tensors;
    for (const auto& one : scales) {
      tensors.push_back({one.first, DType::float32, {}, 0, 0});
    }
    for (const auto& one : zero_points) {
      tensors.push_back({one.first, DType::int32, {1}, 0, 0});
    }
    const std::string head = place_safetensors(tensors, {});
    OutputFile file(folder_ / name);
    file.write_at(0, std::as_bytes(std::span(head)));
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const bool is_scale = i < scales.size();
      file.write_at(tensors[i].offset, is_scale ? as_vector(std::vector{scales[i].second})
                                                : as_vector(std::vector{zero_points[i - scales.size()].second}));
    }
    file.commit();
  }

  ScratchFolder folder_;
  GivenScale given_;
};

TEST_F(GivenScalesTest, ShapesAreThoseOfTheSpans) {
  using kq::Granularity;
  using Shape = std::vector<std::int64_t>;
  for (const Shape& shape : {Shape{}, {1}, {1, 1}}) {
    EXPECT_EQ(read_npy_of({2}, shape, Granularity::tensor), "read");
  }
  for (const Shape& shape : {Shape{3}, {3, 1}, {1, 3, 1}, {3, 1, 1}}) {
    EXPECT_EQ(read_npy_of({1, 2, 3}, shape, Granularity::token), "read") << shape_text(shape);
    EXPECT_EQ(given_.scales, (std::vector<float>{1, 2, 3}));
  }
  for (const Shape& shape : {Shape{4}, {1, 4}, {1, 1, 4}}) {
    EXPECT_EQ(read_npy_of({1, 2, 3, 4}, shape, Granularity::channel), "read");
  }
  const auto refused = [&](const std::vector<float>& scales, const Shape& shape, Granularity granularity,
                           const char* says) {
    const std::string message = read_npy_of(scales, shape, granularity);
    EXPECT_TRUE(message.starts_with("--scales: '")) << message;
    EXPECT_NE(message.find(says), std::string::npos) << message;
  };
  refused({1, 2, 3}, {1, 3}, Granularity::token, "has shape [1, 3], static token int8 from half, 3 x 4 needs [3, 1]");
  refused({1, 2, 3, 4}, {4, 1}, Granularity::channel, "needs [1, 4]");
  refused({1, 2, 3}, {3}, Granularity::channel, "needs [1, 4]");
  refused({1}, {1}, Granularity::token, "needs [3, 1]");
  refused({1, 2}, {2}, Granularity::tensor, "needs [1]");
}

TEST_F(GivenScalesTest, TheFirstThatIsNoScaleIsNamed) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::pair<float, const char*> bad[] = {{0.0f, "scale 1 is 0"},
                                               {-0.0f, "scale 1 is -0"},
                                               {-1.5f, "scale 1 is -1.5"},
                                               {infinity, "scale 1 is inf"},
                                               {std::numeric_limits<float>::quiet_NaN(), "scale 1 is nan"}};
  for (const auto& [scale, says] : bad) {
    const std::string message = read_npy_of({1, scale, scale}, {3}, kq::Granularity::token);
    EXPECT_NE(message.find(says), std::string::npos) << message;
  }
}

TEST_F(GivenScalesTest, HalfAndBfloat16AreTakenAndIntegersAreNot) {
  const kq::Request tensor = request_of(kq::Granularity::tensor);
  write_npy(folder_ / "h.npy", {DType::float16, {1}, as_vector(std::vector<std::uint16_t>{0x3800})});
  ASSERT_EQ(read("h.npy", tensor, ""), "read");
  EXPECT_EQ(given_.scales, std::vector<float>{0.5f});
  write_npy(folder_ / "i.npy", {DType::int32, {1}, as_vector(std::vector<std::int32_t>{1})});
  EXPECT_NE(read("i.npy", tensor, "").find("is of int32; write scales as float32"), std::string::npos);
}

TEST_F(GivenScalesTest, AreFoundByName) {
  write_safetensors("s.safetensors", {{"a.scale", 1.0f}, {"b_scale", 2.0f}, {"c", 3.0f}, {"scale", 4.0f}},
                    {{"a.zero_point", 1}, {"b_zero_point", 2}, {"zero_point", 4}});
  const kq::Request tensor = request_of(kq::Granularity::tensor, true);
  const auto found = [&](const char* name) {
    EXPECT_EQ(read("s.safetensors", tensor, name), "read");
    return std::pair(given_.scales.front(), given_.zero_points.empty() ? -1 : given_.zero_points.front());
  };
  EXPECT_EQ(found("a"), (std::pair{1.0f, 1}));
  EXPECT_EQ(found("b"), (std::pair{2.0f, 2}));
  EXPECT_EQ(found("c"), (std::pair{3.0f, -1}));
  EXPECT_EQ(found("other"), (std::pair{4.0f, 4}));
  EXPECT_EQ(found(""), (std::pair{4.0f, 4}));

  write_safetensors("two.safetensors", {{"a.scale", 1.0f}, {"b.scale", 2.0f}}, {});
  EXPECT_NE(read("two.safetensors", tensor, "c").find("holds no scales of 'c'"), std::string::npos);
  EXPECT_NE(read("two.safetensors", tensor, "").find("scales of several tensors"), std::string::npos);
  write_safetensors("one.safetensors", {{"a.scale", 1.0f}}, {{"a.zero_point", 9}});
  EXPECT_EQ(read("one.safetensors", tensor, ""), "read");
  EXPECT_EQ(given_.zero_points, std::vector<std::int32_t>{9});
  EXPECT_NE(read("one.safetensors", tensor, "b").find("holds no scales of 'b'"), std::string::npos);
}

TEST_F(GivenScalesTest, AZeroPointIsGivenOnce) {
  write_safetensors("s.safetensors", {{"scale", 1.0f}}, {{"zero_point", 3}});
  GivenScale numbers;
  numbers.zero_point = 1;
  const GivenScales given(numbers, std::make_shared<ScalesFile>(folder_ / "s.safetensors"));
  EXPECT_THROW(given.of(request_of(kq::Granularity::tensor, true), ""), UsageError);
  kq::Request dynamic = request_of(kq::Granularity::token);
  dynamic.static_scale = false;
  EXPECT_FALSE(given.of(dynamic, "").has_scale());
}

}  // namespace
}  // namespace kqbench
