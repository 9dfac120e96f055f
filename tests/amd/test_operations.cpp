// SPDX-License-Identifier: Apache-2.0

// What instructions do, by AMD's documents: each test has a point on which an interpreter can be wrong, and one was.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "tests/amd/machine.hpp"

namespace kqbench::amd {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST(AmdFloats, FmaRoundsOnce) {
  Machine machine;
  machine.set(1, 0x1.000002p0F);
  machine.set(2, 0x1.000002p0F);
  machine.set(3, -0x1.000004p0F);
  machine.run("v_fma_f32 v0, v1, v2, v3");
  EXPECT_EQ(machine.number(0), 0x1p-46F);
  machine.run("v_mul_f32_e32 v4, v1, v2\nv_add_f32_e32 v4, v4, v3");
  EXPECT_EQ(machine.number(4), 0.0F);
  machine.set(5, -0x1.000004p0F);
  machine.run("v_fmac_f32_e32 v5, v1, v2");
  EXPECT_EQ(machine.number(5), 0x1p-46F);
}

TEST(AmdFloats, SubnormalNumbersAreKept) {
  Machine machine;
  machine.set(1, 0x1p-127F);
  machine.run("v_add_f32_e32 v0, v1, v1\nv_mul_f32_e32 v2, 0.5, v1\nv_max_f32_e32 v3, v1, v1");
  EXPECT_EQ(machine.number(0), 0x1p-126F);
  EXPECT_EQ(machine.number(2), 0x1p-128F);
  EXPECT_EQ(machine.number(3), 0x1p-127F);
  machine.run("v_cvt_f16_f32_e32 v4, 0x33800000\nv_cvt_f32_f16_e32 v5, v4");
  EXPECT_EQ(machine.bits(4), 1U);
  EXPECT_EQ(machine.number(5), 0x1p-24F);
}

TEST(AmdFloats, ExtremesPreferNumbersAndPositiveZero) {
  Machine machine;
  machine.set(1, nan);
  machine.set(2, 3.0F);
  machine.run("v_max_f32_e32 v0, v1, v2\nv_min_f32_e32 v3, v2, v1");
  EXPECT_EQ(machine.number(0), 3.0F);
  EXPECT_EQ(machine.number(3), 3.0F);
  machine.set(1, 0.0F);
  machine.set(2, -0.0F);
  machine.run("v_max_f32_e32 v0, v2, v1\nv_min_f32_e32 v3, v1, v2");
  EXPECT_EQ(machine.bits(0), 0U);
  EXPECT_EQ(machine.bits(3), 0x80000000U);
}

TEST(AmdFloats, NanThatSignalsIsNoNumberBeforeRdna4) {
  Machine machine;
  machine.set(1, 0x7f800001U);
  machine.set(2, 3.0F);
  machine.run(
      "v_max_f32_e32 v0, v1, v2\nv_min3_f32 v3, v2, v2, v1\nv_max_f32_e32 v4, v1, v1\nv_max_f32_e32 v4, v4, v2");
  EXPECT_EQ(machine.bits(0), 0x7fc00001U);
  EXPECT_EQ(machine.bits(3), 0x7fc00001U);
  EXPECT_EQ(machine.number(4), 3.0F) << "made quiet first, as compilers do";
  machine.set(5, 0x7c014200U);  // two halves
  machine.set(6, 0x42004200U);
  machine.run("v_pk_max_f16 v0, v5, v6\nv_cvt_f32_f16_sdwa v3, v5 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:WORD_1");
  EXPECT_EQ(machine.bits(0), 0x7e014200U);
  EXPECT_EQ(machine.bits(3), 0x7fc02000U);
}

TEST(AmdFloats, NanThatSignalsIsLeftOutWithoutTheModeNamedIeee) {
  for (const char* const target : {"gfx90a", "gfx942", "gfx950", "gfx1100"}) {
    Machine machine(target);
    machine.set(1, 0x7f800001U);
    machine.set(2, 3.0F);
    machine.run("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 9, 1), 0\nv_max_f32_e32 v0, v1, v2\nv_min3_f32 v3, v2, v2, v1");
    EXPECT_EQ(machine.number(0), 3.0F);
    EXPECT_EQ(machine.number(3), 3.0F);
    machine.run("v_max3_f32 v0, v2, |v1|, 0\nv_med3_f32 v3, v1, v2, 1.0\nv_max_f32_e32 v4, v1, v1");
    EXPECT_EQ(machine.number(0), 3.0F);
    EXPECT_EQ(machine.number(3), 1.0F);
    EXPECT_EQ(machine.bits(4), 0x7f800001U) << "none is made quiet";
    machine.set(5, 0x7c014200U);  // two halves
    machine.set(6, 0x42004200U);
    machine.run("v_pk_max_f16 v0, v5, v6\nv_pk_min_f16 v3, v6, v5");
    EXPECT_EQ(machine.bits(0), 0x42004200U);
    EXPECT_EQ(machine.bits(3), 0x42004200U);
    machine.run("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 9, 1), 1\nv_max_f32_e32 v0, v1, v2");
    EXPECT_EQ(machine.bits(0), 0x7fc00001U);
  }
}

TEST(AmdFloats, NanThatSignalsIsLeftOutByRdna4) {
  Machine rdna4("gfx1201");
  rdna4.set(1, 0x7f800001U);
  rdna4.set(2, 3.0F);
  rdna4.run("v_max_num_f32_e32 v0, v1, v2");
  EXPECT_EQ(rdna4.number(0), 3.0F);
  EXPECT_THROW(rdna4.run("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 9, 1), 0"), ExecutionError) << "it has no such mode";
}

TEST(AmdFloats, OtherModesAreRefused) {
  Machine machine;
  EXPECT_THROW(machine.run("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 4), 0"), ExecutionError);
  EXPECT_THROW(machine.run("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 9, 1), 2"), ExecutionError);
  machine.run("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 2, 2), 0");  // rounding to nearest
  EXPECT_THROW(machine.run("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 2, 2), 3"), ExecutionError);
}

TEST(AmdFloats, TheModeNamedIeeeIsRefusedWhereThatIsAskedFor) {
  Options options;
  options.refuses_ieee_mode = true;
  Machine machine("gfx942", options);
  machine.set(1, 2.0F);
  machine.set(2, 3.0F);
  EXPECT_THROW(machine.run("v_max_f32_e32 v0, v1, v2"), ExecutionError);
  EXPECT_THROW(machine.run("v_pk_max_f16 v0, v1, v2"), ExecutionError);
  machine.run("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 9, 1), 0\nv_max_f32_e32 v0, v1, v2");
  EXPECT_EQ(machine.number(0), 3.0F);
}

TEST(AmdFloats, MedianTakesTheLeastOfNumbersWhereOneIsNan) {
  Machine machine;
  machine.set(1, 5.0F);
  machine.set(2, -1.0F);
  machine.set(3, 2.0F);
  machine.run("v_med3_f32 v0, v1, v2, v3");
  EXPECT_EQ(machine.number(0), 2.0F);
  machine.set(1, nan);
  machine.run("v_med3_f32 v0, v1, v2, v3");
  EXPECT_EQ(machine.number(0), -1.0F);
}

TEST(AmdFloats, NegatedComparisonsAreTrueForNan) {
  Machine machine;
  machine.set(1, nan);
  machine.run("v_cmp_ngt_f32_e64 s[0:1], v1, 0\nv_cmp_gt_f32_e64 s[2:3], v1, 0\nv_cmp_u_f32_e64 s[4:5], v1, v1");
  EXPECT_EQ(machine.scalar(0), ~0U);
  EXPECT_EQ(machine.scalar(2), 0U);
  EXPECT_EQ(machine.scalar(5), ~0U);
}

TEST(AmdFloats, ModifiersOfOperandsAndResults) {
  Machine machine;
  machine.set(1, -3.0F);
  machine.run(
      "v_add_f32_e64 v0, |v1|, 0.5\nv_add_f32_e64 v2, -|v1|, 0.5\nv_mul_f32_e64 v3, v1, 2.0 clamp\nv_add_f32_e64 v4, "
      "v1, 1.0 mul:2");
  EXPECT_EQ(machine.number(0), 3.5F);
  EXPECT_EQ(machine.number(2), -2.5F);
  EXPECT_EQ(machine.number(3), 0.0F);
  EXPECT_EQ(machine.number(4), -4.0F);
}

/// a / b as compilers write it.
float divide(Machine& machine, float a, float b) {
  machine.set(1, a);
  machine.set(2, b);
  machine.run(
      "v_div_scale_f32 v3, s[0:1], v2, v2, v1\nv_rcp_f32_e32 v4, v3\nv_div_scale_f32 v5, vcc, v1, v2, v1\n"
      "v_fma_f32 v6, -v3, v4, 1.0\nv_fmac_f32_e32 v4, v6, v4\nv_mul_f32_e32 v6, v5, v4\nv_fma_f32 v7, -v3, v6, v5\n"
      "v_fmac_f32_e32 v6, v7, v4\nv_fma_f32 v3, -v3, v6, v5\nv_div_fmas_f32 v3, v3, v4, v6\nv_div_fixup_f32 v0, v3, "
      "v2, v1");
  return machine.number(0);
}

TEST(AmdFloats, DivisionIsRightHoweverTheReciprocalIsRounded) {
  for (const int perturbation : {-1, 0, 1}) {
    Options options;
    options.perturbation = perturbation;
    Machine machine("gfx942", options);
    for (const float a : {1.0F, 3.0F, 448.0F, 1e38F, 0x1p-126F, 1e-30F, 7.7F, 0x1p-149F, 0x1.fffffep127F}) {
      for (const float b : {3.0F, 127.0F, 1.9F, 1e30F, 1e-30F, -5.0F, 0x1p-100F, 0x1.fep127F, 1e-39F, 0x1p-149F}) {
        EXPECT_EQ(divide(machine, a, b), a / b) << a << " / " << b << ", " << perturbation;
      }
    }
    // Quotients that are subnormal, and ties if they are rounded twice.
    EXPECT_EQ(divide(machine, 0x1.fffffcp-127F, 0x1.fffffep-1F), 0x1.fffffcp-127F);
    EXPECT_EQ(divide(machine, 0x1p-125F, 3.0F), 0x1.555554p-127F);
  }
  Machine machine;
  EXPECT_EQ(divide(machine, 1.0F, 0.0F), infinity);
  EXPECT_EQ(divide(machine, -1.0F, infinity), -0.0F);
  EXPECT_TRUE(std::isnan(divide(machine, 0.0F, 0.0F)));
}

/// Those steps in double, as compilers write them.
double divide(Machine& machine, double a, double b) {
  machine.set_double(2, a);
  machine.set_double(4, b);
  machine.run(
      "v_div_scale_f64 v[6:7], s[0:1], v[4:5], v[4:5], v[2:3]\nv_rcp_f64_e32 v[8:9], v[6:7]\n"
      "v_fma_f64 v[10:11], -v[6:7], v[8:9], 1.0\nv_fma_f64 v[8:9], v[8:9], v[10:11], v[8:9]\n"
      "v_fma_f64 v[10:11], -v[6:7], v[8:9], 1.0\nv_fma_f64 v[8:9], v[8:9], v[10:11], v[8:9]\n"
      "v_div_scale_f64 v[10:11], vcc, v[2:3], v[4:5], v[2:3]\nv_mul_f64 v[12:13], v[10:11], v[8:9]\n"
      "v_fma_f64 v[6:7], -v[6:7], v[12:13], v[10:11]\nv_div_fmas_f64 v[6:7], v[6:7], v[8:9], v[12:13]\n"
      "v_div_fixup_f64 v[0:1], v[6:7], v[4:5], v[2:3]");
  return machine.number64(0);
}

TEST(AmdDoubles, DivisionIsRightHoweverTheReciprocalIsRounded) {
  for (const int perturbation : {-1, 0, 1}) {
    Options options;
    options.perturbation = perturbation;
    Machine machine("gfx942", options);
    for (const double a : {1.0, 3.0, 448.0, 1e308, 0x1p-1022, 1e-300, 7.7, -2.5}) {
      for (const double b : {3.0, 127.0, 1.9, 1e300, 1e-300, -5.0, 0x1p-1000, 0x1.fep1023, 1e-310}) {
        EXPECT_EQ(divide(machine, a, b), a / b) << a << " / " << b << ", " << perturbation;
      }
    }
  }
  Machine machine;
  EXPECT_EQ(divide(machine, -1.0, 0.0), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(divide(machine, 0.0, 0.0)));
}

TEST(AmdDoubles, ClassesOfNumbers) {
  const std::pair<double, std::uint32_t> classes[] = {{std::numeric_limits<double>::quiet_NaN(), 1U << 1},
                                                      {-std::numeric_limits<double>::infinity(), 1U << 2},
                                                      {-1.0, 1U << 3},
                                                      {-0x1p-1030, 1U << 4},
                                                      {-0.0, 1U << 5},
                                                      {0.0, 1U << 6},
                                                      {0x1p-1030, 1U << 7},
                                                      {2.5, 1U << 8},
                                                      {std::numeric_limits<double>::infinity(), 1U << 9}};
  Machine machine;
  for (const auto& [value, one] : classes) {
    machine.set_double(0, value);
    machine.set(2, one);
    machine.set(3, ~one);
    machine.run("v_cmp_class_f64_e64 s[0:1], v[0:1], v2\nv_cmp_class_f64_e64 s[2:3], v[0:1], v3");
    EXPECT_EQ(machine.scalar(0), ~0U) << value;
    EXPECT_EQ(machine.scalar(2), 0U) << value;
  }
}

TEST(AmdIntegers, ProductsOf24Bits) {
  Machine machine;
  machine.set(1, 0xaa800001U);  // -2^23 + 1, whatever is above
  machine.set(2, 0x557fffffU);  // 2^23 - 1
  machine.run(
      "v_mul_i32_i24_e32 v0, v1, v2\nv_mul_hi_i32_i24_e32 v3, v1, v2\nv_mul_hi_u32_u24_e32 v4, v1, v2\n"
      "v_mul_u32_u24_e32 v5, v1, v2");
  EXPECT_EQ(machine.bits(0), 0x00ffffffU);  // -(2^23 - 1)^2 = -2^46 + 2^24 - 1
  EXPECT_EQ(machine.bits(3), 0xffffc000U);
  EXPECT_EQ(machine.bits(4), 0x00003fffU);  // (2^23 + 1)(2^23 - 1) = 2^46 - 1
  EXPECT_EQ(machine.bits(5), 0xffffffffU);
}

TEST(AmdIntegers, LeadingBitsLikeTheSign) {
  Machine machine;
  for (const auto& [value, count] :
       {std::pair{0U, ~0U}, {~0U, ~0U}, {1U, 31U}, {0x40000000U, 1U}, {0x80000000U, 1U}, {0xfff00000U, 12U}}) {
    machine.set_scalar(1, value);
    machine.run("s_flbit_i32 s0, s1");
    EXPECT_EQ(machine.scalar(0), count) << value;
  }
}

/// Perturbed by -1 and 1, an approximation gives the floats just below and above the exact value; where that is a
/// float, itself.
TEST(AmdFloats, ApproximationsArePerturbedByLessThanAUnit) {
  const struct {
    const char* mnemonic;
    double (*exact)(double);
  } approximations[] = {{"v_rcp_f32_e32", [](double a) { return 1 / a; }},
                        {"v_rsq_f32_e32", [](double a) { return 1 / std::sqrt(a); }},
                        {"v_sqrt_f32_e32", [](double a) { return std::sqrt(a); }}};
  for (const auto& one : approximations) {
    for (const float a : {4.0F, 3.0F, 0.7F, 448.0F, 1e-20F, 1e30F}) {
      float result[3];
      for (const int perturbation : {-1, 0, 1}) {
        Options options;
        options.perturbation = perturbation;
        Machine machine("gfx942", options);
        machine.set(1, a);
        machine.run(std::string(one.mnemonic) + " v0, v1");
        result[perturbation + 1] = machine.number(0);
      }
      const double exact = one.exact(static_cast<double>(a));
      EXPECT_LE(static_cast<double>(result[0]), exact) << one.mnemonic << ' ' << a;
      EXPECT_GE(static_cast<double>(result[2]), exact) << one.mnemonic << ' ' << a;
      EXPECT_EQ(result[1], static_cast<float>(exact)) << one.mnemonic << ' ' << a;
      const bool is_float = static_cast<double>(static_cast<float>(exact)) == exact;
      EXPECT_EQ(std::nextafter(result[0], is_float ? result[0] : infinity), result[2]) << one.mnemonic << ' ' << a;
    }
  }
}

TEST(AmdFloats, HalvesRoundOnce) {
  // A product of halves whose sum with a tiny one is just above a tie.
  const Half a{0x3c01};    // 1 + 2^-10
  const Half tie{0x1000};  // 2^-11
  const Half tiny{0x0001};
  EXPECT_EQ(fused_multiply_add(a, Half{0x3c00}, tie).bits, 0x3c02);  // tie to even
  EXPECT_EQ(fused_multiply_add(Half{0x3c00}, Half{0x3c00}, tie).bits, 0x3c00);
  EXPECT_EQ(fused_multiply_add(tiny, tiny, Half{0x3c00}).bits, 0x3c00);
  EXPECT_EQ(to_half(65520.0).bits, 0x7c00);
  EXPECT_EQ(to_half(65519.0).bits, 0x7bff);
  EXPECT_EQ(to_half(0x1p-25).bits, 0);
  EXPECT_EQ(to_half(0x1.8p-25).bits, 1);
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Half half{static_cast<std::uint16_t>(bits)};
    if (!is_nan(half)) {
      ASSERT_EQ(to_half(static_cast<double>(to_float(half))).bits, bits);
    }
  }
}

TEST(AmdFp8, FnuzOnGfx942AndOcpElsewhere) {
  const struct {
    const char* target;
    std::uint32_t one, least, minus_zero;
  } expected[] = {{"gfx942", 0x40, 0x01, 0x00}, {"gfx950", 0x38, 0x02, 0x80}, {"gfx1201", 0x38, 0x02, 0x80}};
  for (const auto& target : expected) {
    Machine machine(target.target);
    machine.set(0, 0U);
    machine.set(1, 1.0F);
    machine.set(2, -0.0F);
    machine.set(3, 0x1p-10F);  // FNUZ's least number, a tie between 0 and the least of OCP's
    machine.run("v_cvt_pk_fp8_f32 v0, v1, v2\nv_cvt_pk_fp8_f32 v0, v3, v1 op_sel:[0,0,1]");
    EXPECT_EQ(machine.bits(0) & 0xff, target.one) << target.target;
    EXPECT_EQ(machine.bits(0) >> 8 & 0xff, target.minus_zero) << target.target;
    EXPECT_EQ(machine.bits(0) >> 24, target.one) << target.target;
    machine.set(3, 0x1p-8F);
    machine.run("v_cvt_pk_fp8_f32 v0, v3, v3");
    EXPECT_EQ(machine.bits(0) & 0xff, target.least * (target.least == 1 ? 4 : 1)) << target.target << ": subnormal";
    machine.set(0, 0U);
    EXPECT_TRUE(machine.known(0));
    machine.set(3, 500.0F);
    machine.run("v_cvt_pk_fp8_f32 v0, v3, v2");
    EXPECT_FALSE(machine.known(0)) << target.target << ": beyond the format";
  }
}

TEST(AmdIntegers, LowerHalfOfAProductNeedsTheLowerHalfOfWhatIsAdded) {
  Machine machine;
  machine.set(2, 3U);
  machine.set(3, 5U);
  machine.set(4, 7U);  // and nothing in the register behind it
  machine.run("v_mad_u64_u32 v[0:1], vcc, v2, v3, v[4:5]");
  EXPECT_EQ(machine.bits(0), 22U);
  EXPECT_TRUE(machine.known(0));
  EXPECT_FALSE(machine.known(1));
}

TEST(AmdFp4, EachByteByItself) {
  // By code: the number, the ties that go to it, and what lies beyond the format.
  const std::pair<float, std::uint32_t> expected[] = {
      {0.0F, 0},  {0.25F, 0}, {0.2501F, 1}, {0.5F, 1},  {0.75F, 2},  {1.25F, 2}, {1.5F, 3},
      {1.75F, 4}, {2.5F, 4},  {2.51F, 5},   {3.0F, 5},  {3.5F, 6},   {5.0F, 6},  {5.01F, 7},
      {6.0F, 7},  {99.0F, 7}, {-0.0F, 8},   {-0.5F, 9}, {-6.0F, 15}, {1e30F, 7}, {-1e30F, 15}};
  Machine machine("gfx950");
  for (const auto& [number, code] : expected) {
    machine.set(0, 0x87654321U);
    machine.set(1, number);
    machine.set(2, 1.0F);
    machine.run("v_cvt_scalef32_pk_fp4_f32 v0, v1, v2, 1.0");
    EXPECT_EQ(machine.bits(0), 0x87654320U | code) << number;
    machine.run("v_cvt_scalef32_pk_fp4_f32 v0, v2, v1, 1.0 op_sel:[0,0,1,0]");
    EXPECT_EQ(machine.bits(0), 0x87650220U | code << 12 | code) << number;
    machine.run("v_cvt_scalef32_pk_fp4_f32 v0, v2, v2, 1.0 op_sel:[0,0,0,1]");
    machine.run("v_cvt_scalef32_pk_fp4_f32 v0, v1, v1, 1.0 op_sel:[0,0,1,1]");
    EXPECT_EQ(machine.bits(0), 0x00220220U | code << 28 | code << 24 | code << 12 | code) << number;
  }
  machine.set(1, 12.0F);
  machine.set(3, 5.9F);  // of a scale its power of two counts
  machine.run("v_cvt_scalef32_pk_fp4_f32 v0, v1, v1, v3");
  EXPECT_EQ(machine.bits(0) & 0xff, 0x55U);
  EXPECT_TRUE(machine.known(0));
  machine.set(1, std::numeric_limits<float>::quiet_NaN());
  machine.run("v_cvt_scalef32_pk_fp4_f32 v0, v2, v1, 1.0");
  EXPECT_FALSE(machine.known(0));
}

TEST(AmdIntegers, CarriesAndBorrows) {
  Machine machine;
  machine.set(1, ~0U);
  machine.set(2, 5U);
  machine.run("v_add_co_u32_e32 v0, vcc, 2, v1\nv_addc_co_u32_e32 v3, vcc, 0, v2, vcc");
  EXPECT_EQ(machine.bits(0), 1U);
  EXPECT_EQ(machine.bits(3), 6U);
  machine.run("v_sub_co_u32_e32 v0, vcc, 2, v1\nv_subb_co_u32_e32 v3, vcc, v2, v2, vcc");
  EXPECT_EQ(machine.bits(0), 3U);
  EXPECT_EQ(machine.bits(3), ~0U);
  machine.set_scalar(0, ~0U);
  machine.run("s_add_u32 s1, s0, 1\ns_addc_u32 s2, 7, 0\ns_sub_u32 s3, 0, 1\ns_subb_u32 s4, 7, 0");
  EXPECT_EQ(machine.scalar(1), 0U);
  EXPECT_EQ(machine.scalar(2), 8U);
  EXPECT_EQ(machine.scalar(4), 6U);
  machine.set(6, 0U);
  machine.set(7, 0U);
  machine.run("v_mad_i64_i32 v[4:5], vcc, v2, v1, v[6:7]\nv_mad_u64_u32 v[4:5], s[0:1], v1, v1, v[6:7]");
  EXPECT_EQ(machine.bits(5), ~0U - 1);
  EXPECT_EQ(machine.scalar(vcc_register), ~0U) << "the sign of -5";
  EXPECT_EQ(machine.scalar(0), 0U);
}

TEST(AmdIntegers, LanesThatAreOffHaveNoCarry) {
  Machine machine;
  machine.set(1, ~0U);
  machine.run("s_mov_b64 exec, 0xf0\nv_add_co_u32_e32 v0, vcc, 2, v1\nv_cmp_eq_u32_e64 s[0:1], v0, 1");
  EXPECT_EQ(machine.scalar(vcc_register), 0xf0U);
  EXPECT_EQ(machine.wave().scalar_known[vcc_register], 0xf0U);
  EXPECT_EQ(machine.scalar(0), 0xf0U);
  EXPECT_EQ(machine.wave().scalar_known[0], ~0U);
}

TEST(AmdIntegers, SaturateWhereTheyClamp) {
  Machine machine;
  machine.set(1, 5U);
  machine.run("v_sub_u32_e64 v0, v1, 7 clamp\nv_sub_u32_e64 v2, v1, 7");
  EXPECT_EQ(machine.bits(0), 0U);
  EXPECT_EQ(machine.bits(2), ~0U - 1);
}

TEST(AmdIntegers, BytesPermuted) {
  Machine machine;
  machine.set(1, 0x07060504U);
  machine.set(2, 0x83020100U);
  machine.set(3, 0x090c0d04U);
  machine.run("v_perm_b32 v0, v1, v2, v3");
  EXPECT_EQ(machine.bits(0), 0xff00ff04U);
  machine.run("v_alignbit_b32 v0, v1, v2, 8");
  EXPECT_EQ(machine.bits(0), 0x04830201U);
}

TEST(AmdIntegers, FieldsOfBits) {
  Machine machine;
  machine.set(1, 0xf0f0U);
  machine.run(
      "v_bfe_u32 v0, v1, 4, 8\nv_bfe_i32 v2, v1, 4, 4\nv_bfi_b32 v3, 0xff, v1, -1\nv_and_or_b32 v4, v1, 0xff, 1");
  EXPECT_EQ(machine.bits(0), 0x0fU);
  EXPECT_EQ(machine.bits(2), ~0U);
  EXPECT_EQ(machine.bits(3), 0xfffffff0U);
  EXPECT_EQ(machine.bits(4), 0xf1U);
  machine.set_scalar(4, 0x80000000U);
  machine.set_scalar(5, 1U);
  machine.run("s_bfe_i64 s[0:1], s[4:5], 0x200000");
  EXPECT_EQ(machine.scalar(1), ~0U);
}

TEST(AmdIntegers, TablesOfThreeBits) {
  Machine machine("gfx950");
  machine.set(1, 0xf0U);
  machine.set(2, 0xccU);
  machine.set(3, 0xaaU);
  machine.run("v_bitop3_b32 v0, v1, v2, v3 bitop3:0xec");
  EXPECT_EQ(machine.bits(0) & 0xff, 0xecU);
}

TEST(AmdSdwa, PartsSignsAndAbsoluteValues) {
  Machine machine;
  machine.set(1, 0xc2004200U);  // halves -3 and 3
  machine.run("v_cvt_f32_f16_sdwa v0, |v1| dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:WORD_1");
  EXPECT_EQ(machine.number(0), 3.0F);
  machine.run("v_cvt_f32_f16_sdwa v0, -v1 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:WORD_0");
  EXPECT_EQ(machine.number(0), -3.0F);
  machine.set(2, 0x80ff0180U);
  machine.set(3, 0x11111111U);
  machine.run("v_or_b32_sdwa v3, v2, v2 dst_sel:BYTE_2 dst_unused:UNUSED_PRESERVE src0_sel:BYTE_0 src1_sel:BYTE_1");
  EXPECT_EQ(machine.bits(3), 0x11811111U);
  machine.run("v_mov_b32_sdwa v3, sext(v2) dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:BYTE_3");
  EXPECT_EQ(machine.bits(3), 0xffffff80U);
  machine.run("v_mov_b32_sdwa v3, v2 dst_sel:WORD_1 dst_unused:UNUSED_PAD src0_sel:WORD_0");
  EXPECT_EQ(machine.bits(3), 0x01800000U);
}

TEST(AmdPacked, HalvesAreChosenAndNegated) {
  Machine machine;
  machine.set(2, 2.0F);
  machine.set(3, 3.0F);
  machine.set(4, 5.0F);
  machine.set(5, 7.0F);
  machine.run("v_pk_mul_f32 v[0:1], v[2:3], v[4:5] op_sel_hi:[0,1] neg_lo:[1,0] neg_hi:[0,0]");
  EXPECT_EQ(machine.number(0), -10.0F);
  EXPECT_EQ(machine.number(1), 14.0F);
  machine.run("v_pk_mov_b32 v[0:1], v[2:3], v[4:5] op_sel:[1,0]");
  EXPECT_EQ(machine.number(0), 3.0F);
  EXPECT_EQ(machine.number(1), 5.0F);
  machine.set(6, 0x40003c00U);  // halves 2 and 1
  machine.run("v_fma_mix_f32 v0, -v6, v2, v3 op_sel:[1,0,0] op_sel_hi:[1,0,0]");
  EXPECT_EQ(machine.number(0), -1.0F);
  machine.run("v_pk_add_f16 v0, v6, v6 op_sel:[1,0] op_sel_hi:[0,1]");
  EXPECT_EQ(machine.bits(0), 0x42004200U);
}

TEST(AmdHalves, WhoKeepsTheOtherHalf) {
  Machine gfx9("gfx942");
  gfx9.set(0, 0xffff0000U);
  gfx9.set(1, 1.0F);
  gfx9.run("v_cvt_f16_f32_e32 v0, v1");
  EXPECT_EQ(gfx9.bits(0), 0x3c00U);
  Machine rdna("gfx1100");
  rdna.set(0, 0xffff0000U);
  rdna.set(1, 1.0F);
  rdna.run("v_cvt_f16_f32_e32 v0.l, v1");
  EXPECT_EQ(rdna.bits(0), 0xffff3c00U);
  rdna.run("v_mov_b16_e32 v0.h, 0");
  EXPECT_EQ(rdna.bits(0), 0x3c00U);
  rdna.run("v_and_b16 v2.l, 0xff00, v0.l op_sel:[0,0,0]");
  EXPECT_EQ(rdna.bits(2) & 0xffffU, 0x3c00U);
}

TEST(AmdLanes, PermutedWithinRowsAndQuads) {
  Machine machine;
  machine.count(1);
  machine.run("v_mov_b32_dpp v0, v1 quad_perm:[1,0,3,2] row_mask:0xf bank_mask:0xf");
  EXPECT_EQ(machine.bits(0, 6), 7U);
  machine.set(0, 99U);
  machine.run("v_mov_b32_dpp v0, v1 row_shr:1 row_mask:0xf bank_mask:0xf");
  EXPECT_EQ(machine.bits(0, 16), 99U);  // its source is in another row: not written
  EXPECT_EQ(machine.bits(0, 17), 16U);
  machine.run("v_mov_b32_dpp v0, v1 row_shr:1 row_mask:0xf bank_mask:0xf bound_ctrl:1");
  EXPECT_EQ(machine.bits(0, 16), 0U);
  machine.set(0, 99U);
  machine.run("v_mov_b32_dpp v0, v1 row_bcast:15 row_mask:0xa bank_mask:0xf");
  EXPECT_EQ(machine.bits(0, 20), 15U);
  EXPECT_EQ(machine.bits(0, 40), 99U);
  machine.run(
      "v_mov_b32_dpp v0, v1 row_ror:4 row_mask:0xf bank_mask:0xf\nv_mov_b32_dpp v2, v1 row_half_mirror row_mask:0xf "
      "bank_mask:0xf");
  EXPECT_EQ(machine.bits(0, 18), 30U);
  EXPECT_EQ(machine.bits(2, 9), 14U);
}

TEST(AmdLanes, ReadFromOthers) {
  Machine machine;
  machine.count(1);
  machine.run("v_xor_b32_e32 v2, 32, v1\nv_lshlrev_b32_e32 v2, 2, v2\nds_bpermute_b32 v0, v2, v1");
  EXPECT_EQ(machine.bits(0, 3), 35U);
  machine.run(
      "v_readlane_b32 s0, v1, 17\ns_mov_b64 exec, 0x30\nv_readfirstlane_b32 s1, v1\nds_bpermute_b32 v3, v2, v1");
  EXPECT_EQ(machine.scalar(0), 17U);
  EXPECT_EQ(machine.scalar(1), 4U);
  EXPECT_FALSE(machine.known(3, 4)) << "its source is off";
  machine.run("s_mov_b64 exec, -1\nv_mbcnt_lo_u32_b32 v4, -1, 0\nv_mbcnt_hi_u32_b32 v4, -1, v4");
  EXPECT_EQ(machine.bits(4, 63), 63U);
  machine.run("v_mov_b32_e32 v6, 0x114\nds_bpermute_b32 v7, v6, v1");
  EXPECT_EQ(machine.bits(7, 0), 5U) << "behind the last lane: modulo a wave's";
  machine.run("ds_swizzle_b32 v5, v1 offset:0x041f");
  EXPECT_EQ(machine.bits(5, 8), 9U);
}

TEST(AmdLanes, OnlyThoseThatAreOnAreWritten) {
  Machine machine;
  machine.count(1);
  machine.set(0, 7U);
  machine.run(
      "v_cmp_gt_u32_e32 vcc, 10, v1\ns_and_saveexec_b64 s[0:1], vcc\nv_mov_b32_e32 v0, 1\ns_or_b64 exec, exec, s[0:1]");
  EXPECT_EQ(machine.bits(0, 9), 1U);
  EXPECT_EQ(machine.bits(0, 10), 7U);
  EXPECT_EQ(machine.wave().exec(), ~std::uint64_t{0});
  machine.run("s_and_saveexec_b64 s[2:3], vcc\ns_andn2_saveexec_b64 s[2:3], s[2:3]");
  EXPECT_EQ(machine.wave().exec(), ~std::uint64_t{0x3ff});
}

TEST(AmdLanes, WavesOf32) {
  Machine machine("gfx1201");
  machine.count(1);
  machine.run("v_cmp_lt_u32_e64 s0, 3, v1\ns_and_saveexec_b32 s1, s0\nv_cmpx_gt_u32_e32 8, v1");
  EXPECT_EQ(machine.scalar(0), 0xfffffff0U);
  EXPECT_EQ(machine.scalar(1), 0xffffffffU);
  EXPECT_EQ(machine.wave().exec(), 0xf0U);
}

TEST(AmdMemory, LoadsAndStores) {
  Machine machine;
  alignas(16) std::uint32_t data[64];
  for (std::uint32_t i = 0; i < 64; ++i) {
    data[i] = i * 3;
  }
  machine.memory().add(data, sizeof data, true, "data");
  machine.set_address(2, data);
  machine.count(1);
  machine.run(
      "v_lshlrev_b32_e32 v2, 2, v1\nglobal_load_dword v0, v2, s[2:3]\nv_add_u32_e32 v0, 1, v0\nglobal_store_dword v2, "
      "v0, s[2:3]");
  EXPECT_EQ(data[63], 190U);
  machine.run("s_load_dwordx2 s[4:5], s[2:3], 0x8");
  EXPECT_EQ(machine.scalar(4), 7U);
  EXPECT_THROW(machine.run("global_load_dword v0, v2, s[2:3] offset:4"), ExecutionError);
  EXPECT_THROW(machine.run("s_load_dwordx2 s[4:5], s[2:3], 0xfc"), ExecutionError);
  machine.memory().remove(data);
  machine.memory().add(data, sizeof data, false, "data");
  EXPECT_THROW(machine.run("global_store_dword v2, v0, s[2:3]"), ExecutionError);
}

TEST(AmdMemory, AtomicOperations) {
  Machine machine;
  std::uint32_t sum = 5;
  machine.memory().add(&sum, sizeof sum, true, "a sum");
  machine.set_address(2, &sum);
  machine.set(1, 0U);
  machine.set(2, 1U);
  machine.run("global_atomic_add v0, v1, v2, s[2:3] sc0");
  EXPECT_EQ(sum, 69U);
  EXPECT_EQ(machine.bits(0, 63), 68U);
  machine.set(2, 1000U);
  machine.run("global_atomic_umax v1, v2, s[2:3]");
  EXPECT_EQ(sum, 1000U);
}

TEST(AmdMemory, SharedBetweenLanes) {
  Machine machine;
  machine.count(1);
  machine.run(
      "v_lshlrev_b32_e32 v2, 3, v1\nds_write_b32 v2, v1\nds_write_b32 v2, v1 offset:4\nds_read2_b32 v[4:5], v2 "
      "offset1:1");
  EXPECT_EQ(machine.bits(5, 9), 9U);
  machine.run("v_mov_b32_e32 v3, 0\nds_read_b64 v[6:7], v3 offset:8");
  EXPECT_EQ(machine.bits(7, 50), 1U);
  EXPECT_THROW(machine.run("v_mov_b32_e32 v3, 0x1000\nds_read_b32 v6, v3"), ExecutionError) << "behind its end";
  machine.run("v_mov_b32_e32 v3, 0x800\nds_read_b32 v6, v3");
  EXPECT_FALSE(machine.known(6)) << "never written";
}

TEST(AmdUnwritten, IsFoundWhereItMatters) {
  Machine machine;
  std::uint32_t data[2] = {};
  machine.memory().add(data, sizeof data, true, "data");
  machine.set_address(2, data);
  machine.set(1, 0U);
  machine.run("v_mov_b32_e32 v3, v200");  // no error yet
  EXPECT_THROW(machine.run("global_store_dword v1, v3, s[2:3]"), ExecutionError);
  EXPECT_THROW(machine.run("global_load_dword v4, v3, s[2:3]"), ExecutionError);
  EXPECT_THROW(machine.run("v_cmp_eq_u32_e32 vcc, 0, v3\ns_cbranch_vccz 1"), std::exception);
  machine.run("v_and_b32_e32 v5, 0, v1\nglobal_store_dword v1, v5, s[2:3]");
  machine.run("v_pk_mul_f32 v[6:7], v[4:5], v[1:2] op_sel_hi:[0,0]");
  EXPECT_FALSE(machine.known(6));
}

TEST(AmdPairs, ReadBeforeEitherWrites) {
  // The text of a pair; that both are read first is the launch's part.
  const auto both = parse_instruction("v_dual_mov_b32 v1, v2 :: v_dual_add_f32 v2, v1, v3");
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0].mnemonic, "v_dual_mov_b32");
  EXPECT_EQ(both[1].mnemonic, "v_dual_add_f32");
  EXPECT_EQ(both[1].operands.size(), 3U);
}

TEST(AmdText, BranchesNopsAndGaps) {
  const auto all = parse_disassembly(
      "0000000000001900 <kernel>:\n"
      "\ts_cbranch_execz 65535                                      // 000000001900: BF88FFFF <kernel>\n"
      "\ts_waitcnt vmcnt(0) lgkmcnt(0)                              // 000000001904: BF8C0070\n"
      "\tv_mov_b32_e32 v1, 0x3f800000                               // 000000001908: 7E0202FF 3F800000\n"
      "\t\t...\n");
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].operands.back().number, 0x1900U);
  EXPECT_EQ(all[2].next, 0x1910U);
  Machine machine;
  for (const char* const text :
       {"s_waitcnt vmcnt(0) lgkmcnt(0)", "s_nop 0", "buffer_inv sc1", "buffer_wbl2 sc1", "s_sleep 1"}) {
    machine.run(text);
  }
  Machine("gfx1100").run("buffer_gl0_inv");
  Machine rdna("gfx1201");
  for (const char* const text : {"global_inv scope:SCOPE_DEV", "s_wait_loadcnt 0x0",
                                 "s_delay_alu instid0(VALU_DEP_1) | instskip(NEXT) | instid1(VALU_DEP_1)"}) {
    rdna.run(text);
  }
}

TEST(AmdText, WhatIsUnknownIsAnErrorByName) {
  Machine machine;
  try {
    machine.run("v_does_not_exist_f32 v0, v1");
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), "unknown instruction v_does_not_exist_f32: v_does_not_exist_f32 v0, v1");
  }
  EXPECT_THROW(machine.run("v_add_u16_e64 v0, v1, v2 clamp"), std::exception);
  EXPECT_THROW(machine.run("v_add_f32_e32 v0, v1"), std::exception);
  EXPECT_THROW(machine.run("v_add_f32_e32 v0, v1, v2, v3"), std::exception);
}

}  // namespace
}  // namespace kqbench::amd
