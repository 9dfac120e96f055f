// SPDX-License-Identifier: Apache-2.0

// The public interface on Views: what it takes from them, what it refuses, and that it does as the reference does.

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "backends/backend.hpp"
#include "backends/reference/reference.hpp"
#include "kq/quantize.hpp"
#include "kq/tile.hpp"
#include "tests/support/coded_tensors.hpp"
#include "tests/support/host_tensors.hpp"

namespace {

using Space = Kokkos::DefaultHostExecutionSpace;
using Memory = Space::memory_space;
template <class T>
using Matrix = Kokkos::View<T**, Kokkos::LayoutRight, Memory>;
template <class T>
using Vector = Kokkos::View<T*, Memory>;

/// Kokkos runs for as long as the tests do.
struct KokkosEnvironment : testing::Environment {
  void SetUp() override { Kokkos::initialize(); }
  void TearDown() override { Kokkos::finalize(); }
};
const auto* const environment = testing::AddGlobalTestEnvironment(new KokkosEnvironment);

Matrix<kq::half> ramp(std::int64_t tokens, std::int64_t hidden) {
  Matrix<kq::half> input("input", static_cast<std::size_t>(tokens), static_cast<std::size_t>(hidden));
  for (std::size_t i = 0; i < input.size(); ++i) {
    input.data()[i] = kq::to_half(static_cast<float>(static_cast<int>(i * 37 % 101) - 50) * 0.125f);
  }
  return input;
}

kq::Request token_fp8() {
  kq::Request request;
  request.format = kq::Format::fp8_e4m3fn;
  request.granularity = kq::Granularity::token;
  return request;
}

/// What the call said no to, or an empty string if it did not.
template <class Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

TEST(Quantize, TakesElementShapeAndStridesFromTheViews) {
  // The middle columns of a wider tensor, into the middle columns of wider codes.
  const auto whole = ramp(5, 40);
  const auto input = Kokkos::subview(whole, Kokkos::ALL(), std::make_pair(3, 30));
  Matrix<std::uint8_t> all_codes("codes", 5, 32);
  Kokkos::deep_copy(all_codes, std::uint8_t{0xa5});
  const auto codes = Kokkos::subview(all_codes, Kokkos::ALL(), std::make_pair(2, 29));
  Vector<float> scales("scales", 5);
  const Space space;
  kq::quantize(space, token_fp8(), input, codes, scales);
  space.fence();

  kq::Request request = token_fp8();
  request.num_tokens = 5;
  request.hidden_size = 27;
  request.input_stride = 40;
  request.codes_stride = 32;
  const auto expected = kqbench::reference(kq::resolved(request), kqbench::test::given(input.data()));
  EXPECT_EQ(std::memcmp(scales.data(), expected.scales.data(), expected.scales.size()), 0);
  for (std::size_t token = 0; token < 5; ++token) {
    for (std::size_t column = 0; column < 32; ++column) {
      const bool inside = column >= 2 && column < 29;
      const auto code = inside ? std::to_integer<std::uint8_t>(expected.codes[token * 32 + column - 2]) : 0xa5;
      ASSERT_EQ(all_codes(token, column), code) << "token " << token << ", column " << column;
    }
  }
}

TEST(Quantize, TakesWhatAProducerReadsAndWrites) {
  kq::Request request = token_fp8();
  request.producer = kq::Producer::add_rms_norm;
  const auto input = ramp(3, 40);
  const auto residual = ramp(3, 40);
  Matrix<kq::half> sum("sum", 3, 40);
  Vector<kq::half> weight("weight", 40);
  for (std::size_t i = 0; i < 40; ++i) {
    weight(i) = kq::to_half(1.0f + static_cast<float>(i) / 64.0f);
  }
  Matrix<std::uint8_t> codes("codes", 3, 40);
  Vector<float> scales("scales", 3);
  const Space space;
  kq::Request sized = request;
  sized.num_tokens = 3;
  sized.hidden_size = 40;
  Vector<unsigned char> workspace("workspace", kq::workspace_bytes(space, kq::resolved(sized)));
  const auto quantize = [&](const auto& producer) {
    kq::quantize(space, request, input, codes, scales, kq::NoView{}, workspace, producer);
  };
  EXPECT_NE(refusal([&] { quantize(kq::ProducerViews<>{}); }).find("weight: "), std::string::npos);
  EXPECT_NE(refusal([&] {
              quantize(kq::ProducerViews{weight, kq::NoView{}, kq::NoView{}});
            }).find("residual: "),
            std::string::npos);
  quantize(kq::ProducerViews{weight, residual, sum});
  space.fence();

  kqbench::Operands given = kqbench::test::given(input.data());
  given.weight = weight.data();
  given.residual = residual.data();
  const auto expected = kqbench::reference(kq::resolved(sized), given);
  EXPECT_EQ(std::memcmp(codes.data(), expected.codes.data(), expected.codes.size()), 0);
  EXPECT_EQ(std::memcmp(scales.data(), expected.scales.data(), expected.scales.size()), 0);
  EXPECT_EQ(std::memcmp(sum.data(), expected.residual_out.data(), expected.residual_out.size()), 0);

  request.producer = kq::Producer::silu_mul;
  EXPECT_NE(refusal([&] { quantize(kq::ProducerViews<>{}); }).find("half its columns"), std::string::npos);
  const auto gate_and_up = ramp(3, 80);
  kq::quantize(space, request, gate_and_up, codes, scales, kq::NoView{}, workspace);
  space.fence();
  sized.producer = kq::Producer::silu_mul;
  const auto silu = kqbench::reference(kq::resolved(sized), kqbench::test::given(gate_and_up.data()));
  EXPECT_EQ(std::memcmp(codes.data(), silu.codes.data(), silu.codes.size()), 0);
}

TEST(Quantize, DynamicTensorUsesTheCallersWorkspace) {
  kq::Request request;
  request.format = kq::Format::int8;
  const auto input = ramp(3, 1000);
  Matrix<std::int8_t> codes("codes", 3, 1000);
  Vector<float> scale("scale", 1);
  const Space space;
  EXPECT_NE(refusal([&] { kq::quantize(space, request, input, codes, scale); }).find("workspace: "), std::string::npos);

  Vector<unsigned char> workspace("workspace", kq::workspace_bytes(space, request));
  kq::quantize(space, request, input, codes, scale, kq::NoView{}, workspace);
  space.fence();
  EXPECT_EQ(scale(0), 6.25f / 127.0f);  // the ramp ends at 50 / 8
  EXPECT_EQ(codes(0, 0), -127);
}

TEST(Quantize, AsymmetricGivesZeroPoints) {
  kq::Request request;
  request.format = kq::Format::int8;
  request.granularity = kq::Granularity::token;
  request.asymmetric = true;
  const auto input = ramp(2, 101);
  Matrix<std::int8_t> codes("codes", 2, 101);
  Vector<float> scales("scales", 2);
  const Space space;
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, scales); }),
            "zero_points: an asymmetric scheme needs a View of them");
  Vector<std::int32_t> zero_points("zero_points", 2);
  kq::quantize(space, request, input, codes, scales, zero_points);
  space.fence();
  EXPECT_EQ(scales(0), 12.5f / 255.0f);
  EXPECT_EQ(zero_points(0), 0);  // rne(-128 + 127.5), ties to even
  EXPECT_EQ(codes(0, 0), -128);  // rne(-127.5) + 0
}

TEST(Quantize, DequantizeIsTheWayBack) {
  kq::Request request;
  request.format = kq::Format::fp8_e4m3fn;
  request.granularity = kq::Granularity::group;
  request.group_size = 16;
  request.scale_format = kq::ScaleFormat::ue8m0;
  request.scale_layout = kq::ScaleLayout::column;
  const auto input = ramp(3, 50);
  Matrix<std::uint8_t> codes("codes", 3, 50);
  Vector<std::uint8_t> scales("scales", 3 * 4);
  const Space space;
  kq::quantize(space, request, input, codes, scales);
  Matrix<float> output("output", 3, 50);
  kq::dequantize(space, request, codes, scales, output);
  space.fence();
  for (std::size_t token = 0; token < 3; ++token) {
    for (std::size_t column = 0; column < 50; ++column) {
      const float x = kq::to_float(input(token, column));
      EXPECT_NEAR(output(token, column), x, 0.0626f * std::abs(x) + 1e-3f);  // half a step of E4M3
    }
  }
}

/// A View of no rows has no memory. Nothing is read, and the one scale of a tensor is left as it is.
TEST(Quantize, HasNothingToDoWithoutTokens) {
  const Matrix<kq::half> input("input", 0, 64);
  const Matrix<std::uint8_t> codes("codes", 0, 64);
  const Matrix<float> output("output", 0, 64);
  const Space space;
  kq::Request request = token_fp8();
  kq::quantize(space, request, input, codes, Vector<float>("scales", 0));
  kq::quantize(space, request, input, codes, Matrix<float>("scales", 0, 1));
  kq::dequantize(space, request, codes, Matrix<float>("scales", 0, 1), output);

  request.granularity = kq::Granularity::tensor;
  Vector<float> scale("scale", 1);
  scale(0) = 5.0f;
  kq::quantize(space, request, input, codes, scale);  // which needs no workspace
  kq::dequantize(space, request, codes, scale, output);
  space.fence();
  EXPECT_EQ(scale(0), 5.0f);

  request.granularity = kq::Granularity::group;
  request.group_size = 16;
  kq::quantize(space, request, input, codes, Matrix<float>("scales", 0, 4));
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, Matrix<kq::half>("input", 3, 0), codes, scale); }),
            "codes: must have the shape of the input");
  EXPECT_EQ(refusal([&] {
              kq::quantize(space, request, Matrix<kq::half>("input", 3, 0), Matrix<std::uint8_t>("codes", 3, 0), scale);
            }),
            "hidden_size: must be 1 or more, not 0");
}

TEST(Quantize, RefusesWhatDoesNotFit) {
  const auto input = ramp(4, 64);
  Matrix<std::uint8_t> codes("codes", 4, 64);
  Matrix<std::uint8_t> short_codes("codes", 4, 63);
  Matrix<std::int8_t> signed_codes("codes", 4, 64);
  Vector<float> scales("scales", 4);
  Vector<float> few_scales("scales", 3);
  Vector<std::uint8_t> exponents("exponents", 4);
  const Space space;
  const auto request = token_fp8();
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, scales); }), "");
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, short_codes, scales); }),
            "codes: must have the shape of the input");
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, signed_codes, scales); }),
            "codes: must be std::int8_t for int8 and std::uint8_t for fp8 formats");
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, few_scales); }),
            "scales: must be contiguous with 4 entries");
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, exponents); }),
            "scales: must be std::uint8_t for scale format ue8m0 and float otherwise");

  auto bad = request;
  bad.asymmetric = true;
  EXPECT_NE(refusal([&] { kq::quantize(space, bad, input, codes, scales); }).find("asymmetric: "), std::string::npos);

  const Kokkos::View<kq::half**, Kokkos::LayoutLeft, Memory> columns("columns", 4, 64);
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, columns, codes, scales); }),
            "input: the elements of a row must be consecutive (a stride of 1 in the last dimension)");
}

/// The C interface's test has every pair of tensors.
TEST(Quantize, DoesNothingInPlace) {
  Vector<std::uint8_t> memory("memory", 4 * 64 * sizeof(float));
  const Kokkos::LayoutStride rows(4, 64 * sizeof(float), 64, 1);  // of codes, where the floats of a row begin
  const Matrix<float> numbers(reinterpret_cast<float*>(memory.data()), 4, 64);
  const Kokkos::View<std::uint8_t**, Kokkos::LayoutStride, Memory> codes(memory.data(), rows);
  const Matrix<std::uint8_t> other_codes("codes", 4, 64);
  const Matrix<float> output("output", 4, 64);
  const Vector<float> scales("scales", 4);
  const Space space;
  EXPECT_EQ(refusal([&] { kq::quantize(space, token_fp8(), numbers, codes, scales); }),
            "codes: shares memory with input; nothing is done in place, give it memory of its own");
  EXPECT_EQ(refusal([&] { kq::dequantize(space, token_fp8(), codes, scales, numbers); }),
            "output: shares memory with codes; nothing is done in place, give it memory of its own");
  const Vector<float> in_codes(reinterpret_cast<float*>(other_codes.data()), 4);
  EXPECT_EQ(refusal([&] { kq::quantize(space, token_fp8(), numbers, other_codes, in_codes); }),
            "scales: shares memory with codes; nothing is done in place, give it memory of its own");

  // Codes between the rows of the input.
  const Kokkos::LayoutStride apart(4, 64, 32, 1);
  const Kokkos::View<float**, Kokkos::LayoutStride, Memory> left(numbers.data(), apart);
  const Kokkos::LayoutStride codes_apart(4, 64 * sizeof(float), 32, 1);
  const Kokkos::View<std::uint8_t**, Kokkos::LayoutStride, Memory> right(memory.data() + 32 * sizeof(float),
                                                                         codes_apart);
  EXPECT_EQ(refusal([&] { kq::quantize(space, token_fp8(), left, right, scales); }), "");
}

TEST(Quantize, RefusesRowsThatOverlap) {
  const Kokkos::View<kq::half*, Memory> elements("elements", 1000);
  const Kokkos::View<std::uint8_t*, Memory> bytes("bytes", 1000);
  const auto rows = [](const auto& memory, std::size_t tokens, std::size_t stride) {
    using Value = typename std::decay_t<decltype(memory)>::value_type;
    return Kokkos::View<Value**, Kokkos::LayoutStride, Memory>(memory.data(),
                                                               Kokkos::LayoutStride(tokens, stride, 64, 1));
  };
  Vector<float> scales("scales", 4);
  const Space space;
  const auto refused = [&](const auto& input, const auto& codes) {
    return refusal([&] { kq::quantize(space, token_fp8(), input, codes, scales); });
  };
  EXPECT_EQ(refused(rows(elements, 4, 64), rows(bytes, 4, 64)), "");
  EXPECT_EQ(refused(rows(elements, 4, 0), rows(bytes, 4, 64)),
            "input: rows must not overlap: they begin 0 elements apart and have 64");
  EXPECT_EQ(refused(rows(elements, 4, 63), rows(bytes, 4, 64)),
            "input: rows must not overlap: they begin 63 elements apart and have 64");
  EXPECT_EQ(refused(rows(elements, 4, 64), rows(bytes, 4, 0)),
            "codes: rows must not overlap: they begin 0 elements apart and have 64");
  EXPECT_EQ(refused(rows(elements, 1, 0), rows(bytes, 1, 1)), "");  // one row overlaps nothing
}

TEST(Quantize, WritesNothingThatIsConst) {
  const auto input = ramp(2, 101);
  Matrix<std::int8_t> codes("codes", 2, 101);
  Vector<float> scales("scales", 2);
  Vector<std::int32_t> zero_points("zero_points", 2);
  Kokkos::deep_copy(scales, 0.125f);
  Kokkos::deep_copy(zero_points, 3);
  const Kokkos::View<const float*, Memory> given_scales = scales;
  const Kokkos::View<const std::int32_t*, Memory> given_zero_points = zero_points;
  kq::Request request;
  request.format = kq::Format::int8;
  request.granularity = kq::Granularity::token;
  request.asymmetric = true;
  const Space space;
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, given_scales, zero_points); }),
            "scales: a dynamic scheme writes them; give a View whose value type is not const");
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, scales, given_zero_points); }),
            "zero_points: a dynamic scheme writes them; give a View whose value type is not const");

  request.static_scale = true;
  kq::quantize(space, request, input, codes, given_scales, given_zero_points);
  space.fence();
  EXPECT_EQ(codes(0, 0), -50 + 3);  // the ramp starts at -50 / 8
}

TEST(Quantize, TakesScalesOfRankTwoInTheOrderOfTheirLayout) {
  kq::Request request = token_fp8();
  request.granularity = kq::Granularity::group;
  request.group_size = 16;
  const auto input = ramp(3, 50);
  Matrix<std::uint8_t> codes("codes", 3, 50);
  Vector<float> flat("scales", 3 * 4);
  const Kokkos::View<float**, Kokkos::LayoutRight, Memory> by_row("by row", 3, 4);
  const Kokkos::View<float**, Kokkos::LayoutLeft, Memory> by_column("by column", 3, 4);
  const Space space;
  kq::quantize(space, request, input, codes, flat);
  kq::quantize(space, request, input, codes, by_row);
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, by_column); }),
            "scales: must be row by row (LayoutRight) for scale layout row");
  request.scale_layout = kq::ScaleLayout::column;
  kq::quantize(space, request, input, codes, by_column);
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, by_row); }),
            "scales: must be column by column (LayoutLeft) for scale layout column");
  space.fence();
  for (std::size_t token = 0; token < 3; ++token) {
    for (std::size_t group = 0; group < 4; ++group) {
      EXPECT_GT(flat(token * 4 + group), 0.0f);
      EXPECT_EQ(by_row(token, group), flat(token * 4 + group));
      EXPECT_EQ(by_column(token, group), flat(token * 4 + group));
    }
  }
  const Matrix<float> other_shape("scales", 4, 3);
  EXPECT_EQ(refusal([&] { kq::quantize(space, request, input, codes, other_shape); }),
            "scales: of rank 2 must be [3, 4]");
}

TEST(Quantize, TakesATensorsScaleOfAnyRank) {
  kq::Request request = token_fp8();
  request.granularity = kq::Granularity::tensor;
  request.static_scale = true;
  const auto input = ramp(3, 50);
  Matrix<std::uint8_t> codes("codes", 3, 50);
  const Kokkos::View<float, Memory> one("scale");
  const Matrix<float> one_by_one("scale", 1, 1);
  one() = one_by_one(0, 0) = 6.25f / 448.0f;
  const Space space;
  kq::quantize(space, request, input, codes, one);
  space.fence();
  EXPECT_EQ(codes(0, 0), 0xfe);  // -448
  Kokkos::deep_copy(codes, std::uint8_t{0});
  kq::quantize(space, request, input, codes, one_by_one);
  space.fence();
  EXPECT_EQ(codes(0, 0), 0xfe);
}

TEST(Quantize, ChecksTheWorkspace) {
  kq::Request request;
  request.format = kq::Format::int8;
  const auto input = ramp(3, 1000);
  Matrix<std::int8_t> codes("codes", 3, 1000);
  Vector<float> scale("scale", 1);
  const Space space;
  const std::size_t bytes = kq::workspace_bytes(space, request);
  Vector<unsigned char> memory("workspace", bytes + 16);
  const auto refused = [&](std::size_t begin, std::size_t end) {
    const auto workspace = Kokkos::subview(memory, std::make_pair(begin, end));
    return refusal([&] { kq::quantize(space, request, input, codes, scale, kq::NoView{}, workspace); });
  };
  EXPECT_EQ(refused(16, bytes + 16), "");
  EXPECT_EQ(refused(8, bytes + 8), "workspace: must be aligned to 16 bytes");
  EXPECT_EQ(refused(0, bytes - 1), "workspace: must be contiguous with " + std::to_string(bytes) + " bytes");
}

TEST(Quantize, NamesFieldsAsThisInterfaceDoes) {
  const auto input = ramp(4, 64);
  Matrix<std::uint8_t> codes("codes", 4, 64);
  Vector<float> scales("scales", 4);
  const Space space;
  auto bad = token_fp8();
  bad.format = static_cast<kq::Format>(9);
  EXPECT_EQ(refusal([&] { kq::quantize(space, bad, input, codes, scales); }), "format: no such format");
}

// What validate() takes for granted where it bounds the teams of a launch: 8 parts of a row in each, a slice being 512
// elements or more.
using Slice = kq::TileConfig<32, 4>;
using FlatSlice = kq::TileConfig<256, 4, true>;
static_assert(Slice::team_size / Slice::lanes >= 8 && Slice::capacity<float> >= 512);
static_assert(FlatSlice::capacity<float> >= 8 * 512);

// What quantize() says of other types is said by the compiler.
struct OtherSpace {};
static_assert(kq::detail::is_built_for<Space>);
static_assert(kq::detail::is_built_for<Kokkos::DefaultExecutionSpace>);
static_assert(!kq::detail::is_built_for<OtherSpace>);
static_assert(kq::detail::HasElement<kq::bfloat16>);
static_assert(!kq::detail::HasElement<double>);

/// In a build for a device, on the device as well as on the host.
template <class ExecutionSpace>
class DequantizeOn : public testing::Test {
 protected:
  using DeviceMemory = typename ExecutionSpace::memory_space;
  template <class T>
  using Values = Kokkos::View<T*, DeviceMemory>;

  template <class T>
  static Values<T> on_device(const void* from, std::size_t count) {
    const Values<T> values("values", count);
    Kokkos::deep_copy(
        values, Kokkos::View<const T*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(static_cast<const T*>(from), count));
    return values;
  }

  template <class Code, class Scale>
  static std::vector<float> dequantized(const kqbench::test::CodedTensor& tensor) {
    const kq::Request& r = tensor.request;
    const auto tokens = static_cast<std::size_t>(r.num_tokens);
    const auto hidden = static_cast<std::size_t>(r.hidden_size);
    const auto code_values = on_device<Code>(tensor.codes.data(), tensor.codes.size());
    const Kokkos::LayoutStride rows(tokens, static_cast<std::size_t>(r.codes_stride), hidden, 1);
    const Kokkos::View<const Code**, Kokkos::LayoutStride, DeviceMemory> codes(code_values.data(), rows);
    const Kokkos::View<const Scale*, DeviceMemory> scales =
        on_device<Scale>(tensor.scales.data(), tensor.scales.size() / sizeof(Scale));
    const Kokkos::View<float**, Kokkos::LayoutRight, DeviceMemory> output("output", tokens, hidden);
    kq::Request options = r;  // what the Views tell is not needed
    options.num_tokens = options.hidden_size = options.codes_stride = 0;
    const ExecutionSpace space;
    if (r.asymmetric) {
      const Kokkos::View<const std::int32_t*, DeviceMemory> zero_points =
          on_device<std::int32_t>(tensor.zero_points.data(), tensor.zero_points.size());
      kq::dequantize(space, options, codes, scales, output, zero_points);
    } else {
      kq::dequantize(space, options, codes, scales, output);
    }
    space.fence();
    std::vector<float> values(tokens * hidden);
    Kokkos::deep_copy(Kokkos::View<float**, Kokkos::LayoutRight, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(
                          values.data(), tokens, hidden),
                      output);
    return values;
  }
};

using Host = Kokkos::DefaultHostExecutionSpace;
using Device = Kokkos::DefaultExecutionSpace;
using Spaces = std::conditional_t<std::is_same_v<Host, Device>, testing::Types<Host>, testing::Types<Host, Device>>;

struct SpaceName {
  template <class ExecutionSpace>
  static std::string GetName(int) {
    return ExecutionSpace::name();
  }
};
TYPED_TEST_SUITE(DequantizeOn, Spaces, SpaceName);

TYPED_TEST(DequantizeOn, EveryCodeOfEverySchemeIsAsTheReferenceHasIt) {
  for (const auto& tensor : kqbench::test::coded_tensors()) {
    std::vector<float> found;
    if (tensor.request.format == kq::Format::int8) {
      found = kq::scale_size(tensor.request) == 1 ? this->template dequantized<std::int8_t, std::uint8_t>(tensor)
                                                  : this->template dequantized<std::int8_t, float>(tensor);
    } else {
      found = kq::scale_size(tensor.request) == 1 ? this->template dequantized<std::uint8_t, std::uint8_t>(tensor)
                                                  : this->template dequantized<std::uint8_t, float>(tensor);
    }
    const auto expected = kqbench::reference_dequantized(tensor.request, tensor.codes.data(), tensor.scales.data(),
                                                         tensor.zero_points.data());
    EXPECT_EQ(kqbench::test::difference(tensor, found, expected), "");
  }
}

TEST(Dequantize, RefusesWhatDoesNotFit) {
  const Matrix<std::uint8_t> codes("codes", 4, 64);
  const Matrix<std::int8_t> signed_codes("codes", 4, 64);
  const Matrix<float> output("output", 4, 64);
  const Matrix<float> short_output("output", 4, 63);
  const Matrix<float> wide_output("output", 4, 65);
  const auto apart = Kokkos::subview(wide_output, Kokkos::ALL(), std::make_pair(0, 64));
  const Vector<float> scales("scales", 4);
  const Vector<float> few_scales("scales", 3);
  const Vector<std::uint8_t> exponents("exponents", 4);
  const Vector<std::int32_t> few_zero_points("zero_points", 3);
  const Space space;
  const auto request = token_fp8();
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, codes, scales, output); }), "");
  auto any_element = request;
  any_element.element = static_cast<kq::Element>(99);  // there is no input
  EXPECT_EQ(refusal([&] { kq::dequantize(space, any_element, codes, scales, output); }), "");
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, codes, scales, short_output); }),
            "output: must have the shape of the codes");
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, codes, scales, apart); }),
            "output: must be contiguous, row by row");
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, signed_codes, scales, output); }),
            "codes: must be std::int8_t for int8 and std::uint8_t for fp8 formats");
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, codes, few_scales, output); }),
            "scales: must be contiguous with 4 entries");
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, codes, exponents, output); }),
            "scales: must be std::uint8_t for scale format ue8m0 and float otherwise");

  auto asymmetric = request;
  asymmetric.asymmetric = true;
  EXPECT_NE(refusal([&] { kq::dequantize(space, asymmetric, codes, scales, output); }).find("asymmetric: "),
            std::string::npos);
  asymmetric.format = kq::Format::int8;
  EXPECT_EQ(refusal([&] { kq::dequantize(space, asymmetric, signed_codes, scales, output); }),
            "zero_points: an asymmetric scheme needs a View of them");
  EXPECT_EQ(refusal([&] { kq::dequantize(space, asymmetric, signed_codes, scales, output, few_zero_points); }),
            "zero_points: must be contiguous with 4 entries");

  const Kokkos::View<std::uint8_t**, Kokkos::LayoutLeft, Memory> columns("columns", 4, 64);
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, columns, scales, output); }),
            "codes: the elements of a row must be consecutive (a stride of 1 in the last dimension)");
  const Kokkos::View<std::uint8_t**, Kokkos::LayoutStride, Memory> broadcast(codes.data(),
                                                                             Kokkos::LayoutStride(4, 0, 64, 1));
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, broadcast, scales, output); }),
            "codes: rows must not overlap: they begin 0 elements apart and have 64");
  const Matrix<float> scales_of_groups("scales", 2, 2);
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, codes, scales_of_groups, output); }),
            "scales: of rank 2 must be [4, 1]");
  const Kokkos::View<float**, Kokkos::LayoutLeft, Memory> output_columns("output", 4, 64);
  EXPECT_EQ(refusal([&] { kq::dequantize(space, request, codes, scales, output_columns); }),
            "output: the elements of a row must be consecutive (a stride of 1 in the last dimension)");
}

}  // namespace
