// SPDX-License-Identifier: Apache-2.0

// The scales of tiny spans where subnormal numbers are flushed to zero, as some programs and devices have it: a scale
// and its reciprocal stay finite and normal, so that no zero becomes NaN.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#if defined(__SSE2__)
#include <pmmintrin.h>
#endif

#include "kq/numerics.hpp"

namespace kq {
namespace {

/// Hides a number from the compiler, which would compute with it before the mode is set.
float hidden(float x) {
  volatile float copy = x;
  return copy;
}

class Flushed {
 public:
#if defined(__SSE2__)
  explicit Flushed(bool inputs_too) : saved_(_mm_getcsr()) {
    _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
    _MM_SET_DENORMALS_ZERO_MODE(inputs_too ? _MM_DENORMALS_ZERO_ON : _MM_DENORMALS_ZERO_OFF);
  }
  ~Flushed() {
    _mm_setcsr(saved_);
  }
  Flushed(const Flushed&) = delete;
  Flushed& operator=(const Flushed&) = delete;
  static constexpr bool possible = true;

 private:
  std::uint32_t saved_;
#else
  explicit Flushed(bool) {}
  static constexpr bool possible = false;
#endif
};

TEST(FlushedSubnormals, LeaveScalesNormal) {
  if (!Flushed::possible) GTEST_SKIP() << "this processor's mode cannot be set here";
  int wrong = 0;
  for (const bool inputs_too : {false, true}) {
    const Flushed flushed(inputs_too);
    ASSERT_EQ(hidden(0x1p-100f) * hidden(0x1p-40f), 0.0f);
    const auto check = [&](float scale) {
      wrong +=
          std::fpclassify(hidden(scale)) == FP_NORMAL && std::fpclassify(1.0f / hidden(scale)) == FP_NORMAL ? 0 : 1;
    };
    for (int exponent = -126; exponent < 0; ++exponent) {
      const float amax = hidden(bits_float(static_cast<std::uint32_t>(exponent + 127) << 23));
      for (const float qmax : {1.0f, 7.0f, 127.0f, 240.0f, 448.0f, 57344.0f}) {
        check(fp8_tensor_scale(amax, hidden(qmax)));
        check(int8_scale(amax, hidden(qmax)));
        check(int8_factor(amax, hidden(qmax)));
        check(affine_scale(-amax, amax, hidden(qmax)).scale);
        check(affine_scale(amax, amax, hidden(qmax)).scale);
        check(affine_scale(amax, hidden(1.000001f) * amax, hidden(qmax)).scale);  // a difference that is flushed
      }
    }
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace kq
