// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What differs from one kind of processor to the next, as functions of one name in namespace kq::arch. Each target is
/// one file: cuda.hpp, hip.hpp, and generic.hpp for hosts, whose bodies are portable. A new target is another file with
/// these members:
///
///   begin_kernel()               what each thread of a kernel calls before it uses max_number or min_number, for modes
///                                of the processor that those count on
///   load16(a)                    sixteen aligned bytes, one access
///   load16_evict_first(a)        the same access, with a hint that its cache lines go first
///   store_words(a, w)            one, two or four words, one access
///   store_words_evict_first(a, w)
///   read_slot(a), write_slot(a)  64 bits that other programs write meanwhile, whole, unordered with all else
///   unpack_half(bits)            a half as float; the sign of a NaN may be lost
///   half_to_float(bits)          a half as float, exact, the sign of a NaN kept
///   rounds_to_16_bits            whether a float is rounded to half and bfloat16 in one instruction, by
///   round_to_16_bits<E>(v)       the nearest element, ties to even, as float; a NaN stays NaN, its sign may be lost
///   round_pair<E>(a, b)          the bits of two elements in a word, the first in the low half; NaN: all bits set
///                                but the sign; only where rounds_to_16_bits
///   square_root(x)               of a float and of a double, correctly rounded
///   clamp(v, low, high)          v limited to a range; NaN stays NaN
///   limit_magnitude(v, bound)    v, or the bound with v's sign where |v| is above it; of NaN the bound with any sign,
///                                or NaN
///   reciprocal(x)                1 / x, rounded to nearest, for 2^-126 <= x <= 2^126
///   approximate_reciprocal(x)    1 / x within 1 ulp, for 2^-2 <= x <= 2^126; that or 0 for a greater finite x
///   max_number, min_number       IEEE 754-2019 maximumNumber and minimumNumber: a NaN operand is ignored, one that
///                                signals too
///   has_packed_extremes          whether two 16-bit elements are compared at once, by
///   max_number2<E>, min_number2<E>
///   magnitudes2<E>(w)            two 16-bit elements without their signs; a NaN may be another
///   max_up_to_nan2<E>            of magnitudes, the greater with NaN above all
///   unpacked_again(v)            v, as if it were new: the compiler unpacks it again rather than keep eight floats
///                                for four words
///   low_bytes(a, b, c, d)        the low bytes of four words in one, the first in the lowest
///   even_bytes(w)                bytes 0 and 2 of a word in the low half of one
///   sign_bytes<n>(a, b)          the sign bytes of 2n elements in two words, in the low bytes of one word
///   encode4<Format>(v, s, word)  four codes by the processor's own conversion; false where it has none for them
///   round_to_e4m3(v, code, value)
///                                the nearest E4M3 number to one not negative, or NaN; false where the processor has
///                                no such conversion
///   encodes_e2m1_in_eights       whether eight elements of 16 bits become E2M1 codes at once (e2m1.hpp), by
///   e2m1_codes8<E, Limited>(w, f)
///                                their codes times a power of two; each half of f has twice that power; products
///                                below 7 or, with Limited, 9
///   e2m1_codes8_of_products(x, w, f)
///                                their codes times a float, from the elements as floats; products below 7
///   wave_size                    lanes that exchange registers
///   exchange(v, mask)            the float or word of the lane whose number differs in mask's bits; all lanes call it
///   from_lane(v, lane, width)    the value of a lane, counted within each `width` lanes (a power of two) of a wave
///   has_wave_max, wave_max(key)  the greatest key of a wave in one instruction
///   wait_for_prerequisite_grids  returns once the launches before this one are done (kq/programmatic_launch.hpp);
///                                with an address and a count, these are computed while it waits
///   launch_dependent_grids       lets the launch after this one start once all blocks of this one have called it
///
/// tests/core/test_arch.cpp holds each function that a host can run against its definition.

#include "kq/arch/config.hpp"

#if KQ_DEVICE_CUDA
#include "kq/arch/cuda.hpp"
#elif KQ_DEVICE_HIP
#include "kq/arch/hip.hpp"
#else
#include "kq/arch/generic.hpp"
#endif
