// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The processor's widest vector of plain bits, and stores of it that go round the cache where there are such.

#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace kqbench {

/// The widest vector this file is compiled for.
#if defined(__AVX512F__)
using Vector = __m512i;
#elif defined(__AVX__)
using Vector = __m256i;
#elif defined(__SSE2__)
using Vector = __m128i;
#else
using Vector = std::uint64_t __attribute__((vector_size(16), may_alias));
#endif

/// Writes a vector without reading its cache line first. Ordered with other stores by fence_non_temporal only.
inline void store_non_temporal(Vector* to, const Vector& vector) {
#if defined(__AVX512F__)
  _mm512_stream_si512(to, vector);
#elif defined(__AVX__)
  _mm256_stream_si256(to, vector);
#elif defined(__SSE2__)
  _mm_stream_si128(to, vector);
#else
  *to = vector;
#endif
}

/// After a thread's last store_non_temporal: makes them visible before anything that follows.
inline void fence_non_temporal() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace kqbench
