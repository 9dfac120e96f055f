// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The one table of what a request can be told. The command line's options and their help, the members of a result
/// file's rows, the columns of a CSV file, and the sweeps of `run` and `verify` all follow from its rows: a new member
/// of kq::Request is named here, and nowhere else above this library.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kq/request.hpp"

namespace kq {

/// A parameter's value as files and options have it. std::monostate is no value: a bound that is not there.
using ParameterValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

enum class ParameterKind : std::uint8_t {
  name,    ///< std::string, one of those that `set` knows
  flag,    ///< bool
  count,   ///< std::int64_t, 0 or more
  number,  ///< double above 0, or std::monostate for none
};

struct Parameter {
  std::string_view name;   ///< member of a row and column: "scale_ub"; the option is --scale-ub
  std::string_view field;  ///< of kq::Request and kq_request, if that is another: "element" for dtype
  ParameterKind kind;
  bool is_list;             ///< the command line takes several values, and a sweep goes through them
  bool is_of_shape;         ///< it describes the tensor, not what is done with it: a file brings its own
  bool is_required;         ///< result files have had it from the beginning; otherwise a row may lack it
  std::string_view help;    ///< what it is, and for a name "What: a, b (why), c:G", which completion reads
  std::string_view usual;   ///< what `run` takes where the option is not given
  std::string_view choice;  ///< name: what choice_of() gives, if that is not the names
  std::int64_t least;       ///< count: the least that can be asked for
  ParameterValue (*get)(const Request& request);
  /// False if the value is none of this parameter's names. The value is of the parameter's kind.
  bool (*set)(Request& request, const ParameterValue& value);
  /// name: all that it can be, but for granularities that have sizes; null otherwise.
  std::vector<std::string> (*names)();
  bool is_of_producer = false;  ///< it says how values are made, which a file of them does not ask for
};

/// In the order in which result files have them.
std::span<const Parameter> parameters();

/// The parameter with this name. Throws std::out_of_range: names are written in code, not by users.
const Parameter& parameter(std::string_view name);

/// "--scale-ub" for "scale_ub".
std::string option_name(const Parameter& parameter);

/// The option that sets what kq::validate() names: "--granularity" for "group_size".
std::string option_of_field(std::string_view field);

/// The name in kq::Request and kq_request of what kq::validate() names: "element" for "dtype".
std::string_view request_field(std::string_view field);

/// Of a name: what to give instead of a name that is not known, "half, bfloat16 or float".
std::string choice_of(const Parameter& parameter);

/// As text: "half", "true", "4096", "0.5"; empty for none.
std::string to_text(const ParameterValue& value);

}  // namespace kq
