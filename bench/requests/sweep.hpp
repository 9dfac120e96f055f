// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the user asked for in lists, and the requests that come of it: the cross product, less what makes no sense.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kq/request.hpp"

namespace kqbench {

struct GranularityChoice {
  kq::Granularity granularity = kq::Granularity::tensor;
  std::int64_t group_size = 0;  ///< columns of a group or block
  std::int64_t block_rows = 0;  ///< rows of a block
  bool operator==(const GranularityChoice&) const = default;
};

/// "tensor", "token", "channel", "group:G" or "block:MxN". Throws UsageError.
GranularityChoice parse_granularity(std::string_view option, std::string_view text);

struct Sweep {
  std::vector<std::int64_t> num_tokens;
  std::vector<std::int64_t> hidden_sizes;
  std::vector<kq::Format> formats;
  std::vector<kq::Element> elements;
  std::vector<GranularityChoice> granularities;  ///< empty: token for dynamic int8, else tensor, as vLLM's script does
  bool static_scale = false;
  bool asymmetric = false;
  std::optional<float> qmax;
  std::optional<float> scale_ub;
  std::optional<kq::ScaleFormat> scale_format;  ///< none: float
  std::optional<kq::ScaleLayout> scale_layout;  ///< none: row
  std::int64_t input_stride = 0;
  std::int64_t scale_stride = 0;
};

/// Where a file brings the shape with it, the lists have one item or none: the scheme that they describe, a request
/// without element and shape; and the element type, if there is one. Each throws UsageError for a list of several.
kq::Request single_scheme(const Sweep& sweep);
std::optional<kq::Element> single_element(const Sweep& sweep);

struct SweepPlan {
  std::vector<kq::Request> requests;  ///< valid, in the order of the lists, shapes innermost
  std::vector<std::string> left_out;  ///< one line for each reason why combinations are not among them
};

/// Throws UsageError, saying why, if no combination is left.
SweepPlan plan_sweep(const Sweep& sweep);

/// A field of kq::Request as the option that sets it: "scale_ub" is "--scale-ub", "group_size" is "--granularity".
std::string option_of_field(std::string_view field);

/// "dynamic token int8 from half, 4096 x 8192": a request in a message.
std::string describe(const kq::Request& request);

}  // namespace kqbench
