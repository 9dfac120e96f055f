// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What `kqbench verify` goes through.

#include <cstdint>
#include <string_view>
#include <vector>

#include "bench/requests/sweep.hpp"
#include "bench/tensors/random.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// How the tensors lie in memory.
enum class Placement : std::uint8_t {
  packed,     ///< rows one after the other, tensors aligned to 256 bytes
  strided,    ///< gaps between the rows of input and codes, odd ones, so that no two rows are aligned alike
  misaligned  ///< packed, but the input begins one element and the codes one byte after an aligned address
};

std::string_view to_string(Placement placement);

struct VerifyCase {
  kq::Request request;
  Fill fill = Fill::normal;
  Placement placement = Placement::packed;
};

/// Every request that the sweep stands for; a list that it leaves empty stands for all there is: all formats, elements
/// and granularities (groups of 16, 64 and 128), token counts 1, 3 and 83, hidden sizes 1, 7, 17, 1023, 1025 and 5137,
/// static and dynamic, with and without zero points, every scale format and layout, a smaller qmax, a scale_ub; and,
/// where it gives no sizes, the schemes that language models run, at rows of 4096 and 8192. An option that it has
/// restricts the requests: to group scales, where only those can be as it says. Throws UsageError if nothing is valid.
std::vector<kq::Request> verify_requests(const Sweep& sweep);

/// The cases of one request, the `index`-th of all. A small one is filled in every way and placed in every way; a large
/// one in a few, chosen by `index` so that over all requests every way comes up.
std::vector<VerifyCase> verify_cases(const kq::Request& request, std::size_t index);

}  // namespace kqbench
