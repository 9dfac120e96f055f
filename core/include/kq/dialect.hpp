// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Dialects: whose arithmetic a request follows. Engines agree on what a scheme is and differ in the last bits: in
/// how a scale is rounded, whether an element is divided by it or multiplied by a reciprocal, and in what becomes of
/// zeros, NaN and infinity. A dialect is one engine at one version, bit for bit as recorded (tests/golden/README.md);
/// docs/dialects.md has the formulas in full.

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kq/request.hpp"

namespace kq {

/// A scheme as a dialect has it. Where nothing is said otherwise, formulas are of binary32, to nearest even, one
/// rounding an operation.
struct DialectScheme {
  Dialect dialect;
  Granularity granularity;
  bool static_scale;
  bool asymmetric;
  unsigned formats;        ///< bit i: the format with number i
  unsigned scale_formats;  ///< bit i: the scale format with number i
  std::string_view scale_formula;
  std::string_view code_formula;
  std::string_view differs;  ///< from kqbench's own dialect, in words
  unsigned roundings = 1;    ///< bit i: the scale rounding with number i
  bool approximate = false;  ///< the engine makes a few codes otherwise: it has an approximate reciprocal
};

struct DialectFacts {
  Dialect dialect;
  std::string_view name;                        ///< "vllm-0.33.0"
  std::array<std::string_view, 2> short_names;  ///< parse_dialect knows these too; empty ones do not count
  std::string_view version;                     ///< of the engine: a release or a commit
  std::string_view source;                      ///< which of the engine's functions, and what ran them
  bool has_scale_ub = false;                    ///< its scales may have an upper bound
  bool has_float = true;                        ///< it quantizes float, not half and bfloat16 alone
};

/// All dialects, kqbench's own first.
std::span<const DialectFacts> dialects();

/// The schemes of a dialect; of kqbench none: those are `schemes()`.
std::span<const DialectScheme> dialect_schemes(Dialect dialect);

/// The scheme that the request is of in its dialect; null for kqbench, and where the dialect has no such scheme.
const DialectScheme* dialect_scheme(const Request& request);

bool has_element(Dialect dialect, Element element);

std::string scheme_name(const DialectScheme& scheme);  ///< "static tensor", "dynamic token asymmetric"

bool has_format(const DialectScheme& scheme, Format format);
bool has_scale_format(const DialectScheme& scheme, ScaleFormat format);
bool has_scale_rounding(const DialectScheme& scheme, ScaleRounding rounding);

/// The global_scale of a request with scale format e4m3 that gives none, made of its tensor's amax, which is finite.
float global_scale_of(const Request& request, float tensor_amax);

/// What stands in the way of a request's dialect, nothing else looked at: a scheme, format, scale format, element or
/// bound that the engine does not have. `validate` asks this of every request.
std::optional<InvalidField> validate_dialect(const Request& request);

}  // namespace kq
