// SPDX-License-Identifier: Apache-2.0

// The checks themselves: each kind of mistake an implementation can make is found and named, and failing random cases
// are made small.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

/// The reference, and a mistake afterwards.
class Mistaken final : public Implementation {
 public:
  using Mistake = std::function<void(const kq::Request&, const Operands&)>;
  Mistaken(Implementation& reference, Mistake mistake) : reference_(reference), mistake_(std::move(mistake)) {}

  std::string_view name() const override { return "mistaken"; }
  std::string description() const override { return ""; }
  std::optional<std::string> unsupported_reason(const kq::Request&) const override { return std::nullopt; }
  std::size_t workspace_bytes(const kq::Request&) const override { return 24; }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    reference_.enqueue(request, operands);
    mistake_(request, operands);
  }

 private:
  Implementation& reference_;
  Mistake mistake_;
};

/// What is said of a mistake in a request of 3 rows of 20, asymmetric int8, the rows of codes 4 apart.
std::string complaint_about(Mistaken::Mistake mistake) {
  const auto device = find_backend("host")->open({});
  for (const auto& implementation : device->implementations()) {
    if (implementation->name() != "reference") continue;
    Mistaken mistaken(*implementation, std::move(mistake));
    kq::Request request;
    request.granularity = kq::Granularity::token;
    request.asymmetric = true;
    request.num_tokens = 3;
    request.hidden_size = 20;
    request.codes_stride = 24;
    return run({"host mistaken", device.get(), &mistaken}, problem_of(request, 7), {1, 3, 1}).value_or("nothing");
  }
  return "no reference";
}

std::uint8_t* codes(const Operands& operands) {
  return static_cast<std::uint8_t*>(operands.codes);
}

TEST(Run, HasNothingToSayAboutTheReference) {
  EXPECT_EQ(complaint_about([](const kq::Request&, const Operands&) {}), "nothing");
}

TEST(Run, NamesTheWrongCode) {
  const std::string text = complaint_about([](const kq::Request&, const Operands& o) { codes(o)[2 * 24 + 19] ^= 1; });
  EXPECT_EQ(text.find("host mistaken: half to int8, dynamic token asymmetric, 3 x 20, rows 20 and 24 apart, shifted by "
                      "1, 3 and 1 elements: codes[token 2, channel 19] is 0x"),
            0u)
      << text;
  EXPECT_NE(text.find("; 1 of 68 bytes are wrong"), std::string::npos) << text;
}

TEST(Run, NamesWrongScalesAndZeroPoints) {
  const std::string scale =
      complaint_about([](const kq::Request&, const Operands& o) { static_cast<float*>(o.scales)[1] *= 1.0000002f; });
  EXPECT_NE(scale.find("scales[1] is 0x"), std::string::npos) << scale;
  const std::string zero_point = complaint_about([](const kq::Request&, const Operands& o) { ++o.zero_points[2]; });
  EXPECT_NE(zero_point.find("zero_points[2] is "), std::string::npos) << zero_point;
}

TEST(Run, SeesWritesOutsideOfEverything) {
  const auto expect = [](Mistaken::Mistake mistake, const char* part) {
    const std::string text = complaint_about(std::move(mistake));
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  using kq::Request;
  expect([](const Request&, const Operands& o) { codes(o)[20] = 0; },
         "wrote between rows: code 0 behind the end of token 0; 1 bytes are wrong");
  expect([](const Request&, const Operands& o) { codes(o)[68] = 0; }, "wrote 1 byte(s) after the codes");
  expect([](const Request&, const Operands& o) { codes(o)[-2] = 0; }, "wrote 2 byte(s) before the codes");
  expect([](const Request&, const Operands& o) { static_cast<float*>(o.scales)[3] = 0; },
         "wrote 1 byte(s) after the scales");
  expect([](const Request&, const Operands& o) { o.zero_points[-1] = 0; }, "wrote 1 byte(s) before the zero_points");
  expect([](const Request&, const Operands& o) { static_cast<char*>(o.workspace)[24] = 0; },
         "wrote 1 byte(s) after the workspace");
}

TEST(FindFailure, LeavesOutWhatDoesNotMatter) {
  RandomCase random = random_case(1);
  random.request.num_tokens = 150;
  random.request.hidden_size = 3000;
  random.request.input_stride = 3011;
  random.request.codes_stride = 3002;
  random.placement = {1, 2, 3};
  const auto verdict = [](const RandomCase& c) -> std::optional<std::string> {
    const kq::Request& r = c.request;
    if (r.num_tokens >= 3 && r.hidden_size >= 17 && r.input_stride > r.hidden_size) return "wrong";
    return std::nullopt;
  };
  const auto failure = find_failure(random, verdict);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->complaint, "wrong");
  const RandomCase& smallest = failure->smallest;
  EXPECT_EQ(smallest.request.num_tokens, 3);
  EXPECT_EQ(smallest.request.hidden_size, 17);
  EXPECT_EQ(smallest.request.input_stride, 17 + 11);
  EXPECT_EQ(smallest.request.codes_stride, 17);
  EXPECT_EQ(smallest.placement, Placement{});
  EXPECT_EQ(smallest.fill, Fill::normal);

  random.request.num_tokens = 2;
  EXPECT_FALSE(find_failure(random, verdict));
}

}  // namespace
}  // namespace kqbench::test
