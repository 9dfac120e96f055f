// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the user asked for in lists, and the requests that come of it: the cross product, less what makes no sense.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kq/parameters.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// For each parameter of a request, by its name (kq/parameters.hpp), the values to go through.
class Sweep {
 public:
  using Values = std::vector<kq::ParameterValue>;

  /// Empty where none were chosen: then a request keeps what kq::Request has, and for a granularity what vLLM's script
  /// takes: token for dynamic int8, else tensor.
  const Values& values(std::string_view name) const { return values_[index_of(name)]; }
  bool has(std::string_view name) const { return !values(name).empty(); }

  void set(std::string_view name, Values values) { values_[index_of(name)] = std::move(values); }

  /// set(), where nothing was chosen yet, a named scheme included.
  void set_default(std::string_view name, Values values) {
    if (!has(name) && !(has_schemes() && is_of_scheme(name))) set(name, std::move(values));
  }

  /// Named schemes to go through (kq::named_schemes), each with what it sets that is not chosen by name.
  void set_schemes(std::vector<kq::NamedScheme> schemes) { schemes_ = std::move(schemes); }
  const std::vector<kq::NamedScheme>& schemes() const { return schemes_; }
  bool has_schemes() const { return !schemes_.empty(); }

  /// True if true is what a flag was set to, and nothing else.
  bool flag(std::string_view name) const { return values(name) == Values{true}; }

 private:
  /// Whether a named scheme sets that parameter.
  static bool is_of_scheme(std::string_view name) {
    return name == "quant_dtype" || name == "granularity" || name == "scale_format" || name == "scale_rounding" ||
           name == "scale_layout";
  }
  static std::size_t index_of(std::string_view name) {
    return static_cast<std::size_t>(&kq::parameter(name) - kq::parameters().data());
  }

  std::vector<kq::NamedScheme> schemes_;
  std::vector<Values> values_ = std::vector<Values>(kq::parameters().size());
};

/// Where a file brings the shape with it, the lists have one item or none: the scheme that they describe, a request
/// without element and shape; and the element type, if there is one. Each throws UsageError for a list of several.
kq::Request single_scheme(const Sweep& sweep);
std::optional<kq::Element> single_element(const Sweep& sweep);

struct SweepPlan {
  std::vector<kq::Request> requests;  ///< valid, in the order of the lists, shapes innermost
  std::vector<std::string> left_out;  ///< one line for each reason why combinations are not among them
};

/// A request that two named schemes give is there once. Throws UsageError, saying why, if no combination is left.
SweepPlan plan_sweep(const Sweep& sweep);

/// The requests of plan_sweep(); none if no combination is left.
std::vector<kq::Request> valid_requests(const Sweep& sweep);

/// "dynamic token int8 from half, 4096 x 8192": a request in a message.
std::string describe(const kq::Request& request);

}  // namespace kqbench
