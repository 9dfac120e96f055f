// SPDX-License-Identifier: Apache-2.0

#include "scheme.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "errors.hpp"
#include "kq/dialect.hpp"
#include "kq/parameters.hpp"

namespace kq::python {
namespace {

using namespace nb::literals;

constexpr float no_bound = std::numeric_limits<float>::infinity();

std::string in_quotes(std::string_view text) {
  std::string quoted = "'";
  quoted += text;
  quoted += '\'';
  return quoted;
}

float parse_number(std::string_view word, std::string_view text) {
  float value = 0.0f;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Invalid("scheme", in_quotes(word) + " has no number behind =");
  }
  return value;
}

/// The name and as short a number as gives the same float again.
std::string number_text(std::string name, float value) {
  char text[64];
  return name.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

/// What a text names that may be named once, or has a default of its own.
struct Given {
  bool format = false;
  bool granularity = false;
  bool scale_rounding = false;
};

/// Takes one word in; false if it is none of a scheme's.
bool take_word(Request& r, std::string_view word, Given& given) {
  if (word == "static" || word == "dynamic") {
    r.static_scale = word == "static";
  } else if (word == "asymmetric" || word == "symmetric") {
    r.asymmetric = word == "asymmetric";
  } else if (const auto format = parse_format(word)) {
    if (given.format) throw Invalid("scheme", "names two formats");
    r.format = *format;
    given.format = true;
  } else if (const auto choice = parse_granularity(word)) {
    if (given.granularity) throw Invalid("scheme", "names two granularities");
    r.granularity = choice->granularity;
    r.group_size = choice->group_size;
    r.block_rows = choice->block_rows;
    given.granularity = true;
  } else if (const auto scale_format = parse_scale_format(word)) {
    r.scale_format = *scale_format;
  } else if (const auto scale_layout = parse_scale_layout(word)) {
    r.scale_layout = *scale_layout;
  } else if (const auto rounding = parse_scale_rounding(word)) {
    r.scale_rounding = *rounding;
    given.scale_rounding = true;
  } else if (const auto dialect = parse_dialect(word)) {
    r.dialect = *dialect;
  } else if (word.starts_with("qmax=")) {
    r.qmax = parse_number(word, word.substr(5));
  } else if (word.starts_with("scale_ub=")) {
    r.scale_ub = parse_number(word, word.substr(9));
  } else if (word.starts_with("global_scale=")) {
    r.global_scale = parse_number(word, word.substr(13));
  } else {
    return false;
  }
  return true;
}

/// Throws Invalid for what is wrong whatever the shape.
void require_valid(const Request& request) {
  Request r = request;
  r.num_tokens = 1;
  r.hidden_size = 1;
  // flashinfer's kernels have no float: the element is not part of a scheme.
  r.element = Element::half;
  if (const auto invalid = validate(r)) {
    const std::string field = invalid->field == "quant_dtype" ? "format" : invalid->field;
    throw Invalid(field, invalid->reason);
  }
}

/// A scheme by its name; deepgemm is a dialect's here.
const NamedScheme* named_scheme(std::string_view name) {
  if (parse_dialect(name)) return nullptr;
  for (const NamedScheme& scheme : named_schemes()) {
    if (scheme.name == name) return &scheme;
  }
  return nullptr;
}

/// Calls function(word) for the words of a text, in order.
template <class Function>
void for_each_word(std::string_view text, const Function& function) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (end > begin) function(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

/// A named scheme's rounding where the text names none: given scales are not rounded, and a dialect may have another
/// way of its own, which is called a quotient.
void set_usual_rounding(Request& r) {
  Request shaped = r;
  shaped.num_tokens = 1;
  shaped.hidden_size = 1;
  const bool other_way = r.dialect != Dialect::kqbench && validate(shaped).has_value();
  if (r.static_scale || other_way) r.scale_rounding = ScaleRounding::quotient;
}

template <class Value>
Value parsed(const std::optional<Value>& value, const char* field, const std::string& text) {
  if (!value) throw Invalid(field, "no such name: " + in_quotes(text) + "; see kq.Scheme's help");
  return *value;
}

Scheme with_changes(const Scheme& scheme, const std::optional<std::string>& format,
                    const std::optional<std::string>& granularity, std::optional<bool> static_scale,
                    std::optional<bool> asymmetric, const std::optional<std::string>& scale_format,
                    const std::optional<std::string>& scale_rounding, const std::optional<std::string>& scale_layout,
                    std::optional<float> qmax, std::optional<float> scale_ub, const std::optional<std::string>& dialect,
                    std::optional<float> global_scale) {
  Request r = scheme.request;
  if (format) r.format = parsed(parse_format(*format), "format", *format);
  if (granularity) {
    const GranularityChoice choice = parsed(parse_granularity(*granularity), "granularity", *granularity);
    r.granularity = choice.granularity;
    r.group_size = choice.group_size;
    r.block_rows = choice.block_rows;
  }
  if (static_scale) r.static_scale = *static_scale;
  if (asymmetric) r.asymmetric = *asymmetric;
  if (scale_format) r.scale_format = parsed(parse_scale_format(*scale_format), "scale_format", *scale_format);
  if (scale_rounding) {
    r.scale_rounding = parsed(parse_scale_rounding(*scale_rounding), "scale_rounding", *scale_rounding);
  }
  if (scale_layout) r.scale_layout = parsed(parse_scale_layout(*scale_layout), "scale_layout", *scale_layout);
  if (qmax) r.qmax = *qmax;
  if (scale_ub) r.scale_ub = *scale_ub;
  if (dialect) r.dialect = parsed(parse_dialect(*dialect), "dialect", *dialect);
  if (global_scale) r.global_scale = *global_scale;
  require_valid(r);
  return {r};
}

/// The names of a parameter of which `has` is true.
template <class Has>
nb::tuple names_of(std::string_view parameter_name, const Has& has) {
  nb::list names;
  for (const std::string& name : parameter(parameter_name).names()) {
    if (has(name)) names.append(name);
  }
  return nb::tuple(names);
}

std::string plain_granularity(Granularity granularity) {
  std::string name = to_string(granularity, 0, 0);
  return name.substr(0, name.find(':'));
}

/// Rows for kq.schemes(), which makes named tuples of them.
nb::list scheme_rows(const std::string& name) {
  const Dialect dialect = parsed(parse_dialect(name), "dialect", name);
  nb::list rows;
  if (dialect == Dialect::kqbench) {
    for (const kq::Scheme& s : schemes()) {
      nb::list scale_formats;
      scale_formats.append("float");
      if (has_groups(s.granularity)) {
        scale_formats.append("ue8m0_float");
        scale_formats.append("ue8m0");
      }
      if (s.fp4) scale_formats.append("e4m3");
      const nb::tuple formats =
          names_of("quant_dtype", [&](const std::string& format) { return serves(s, *parse_format(format)); });
      rows.append(nb::make_tuple(std::string(s.name), plain_granularity(s.granularity), s.static_scale, s.asymmetric,
                                 formats, nb::tuple(scale_formats), std::string(s.scale_formula),
                                 std::string(s.code_formula), ""));
    }
    return rows;
  }
  for (const DialectScheme& s : dialect_schemes(dialect)) {
    const nb::tuple formats =
        names_of("quant_dtype", [&](const std::string& format) { return has_format(s, *parse_format(format)); });
    const nb::tuple scale_formats = names_of(
        "scale_format", [&](const std::string& format) { return has_scale_format(s, *parse_scale_format(format)); });
    const std::string granularity = plain_granularity(s.granularity);
    rows.append(
        nb::make_tuple((s.static_scale ? "static " : "dynamic ") + granularity + (s.asymmetric ? " asymmetric" : ""),
                       granularity, s.static_scale, s.asymmetric, formats, scale_formats, std::string(s.scale_formula),
                       std::string(s.code_formula), std::string(s.differs)));
  }
  return rows;
}

nb::list dialect_rows() {
  nb::list rows;
  for (const DialectFacts& facts : dialects()) {
    nb::list short_names;
    for (const std::string_view name : facts.short_names) {
      if (!name.empty()) short_names.append(std::string(name));
    }
    rows.append(nb::make_tuple(std::string(facts.name), nb::tuple(short_names), std::string(facts.version),
                               std::string(facts.source)));
  }
  return rows;
}

/// Schemes by their texts, which belongs to the module.
PyObject* known_schemes = nullptr;

constexpr const char* scheme_help = R"(What becomes of a tensor: everything but its shape and element type.

A text has these words in any order; format and granularity are needed, or a name for several of them, mxfp8, mxfp4 or
nvfp4, which others may change:

    format        int8, fp8 (= fp8_e4m3fn), fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz, fp8_e5m2fnuz, fp4_e2m1 (two to a byte)
    granularity   tensor, token, channel, group:128, block:128x128: the elements that share a scale
    scales        dynamic (computed from the input, the default) or static (given)
    zero points   asymmetric (int8) or symmetric, the default
    scale format  of groups and blocks: float, ue8m0_float (raised to a power of two), ue8m0 (its exponent, a byte), e4m3 (a
                  byte, under a scale of the tensor: NVFP4)
    scale rounding  of ue8m0 groups: quotient (the default), or rceil, floor, even, ceil on amax's bits, as MX has them; of
                  e4m3 groups of 16 in dialect te: 4over6_mae_448, 4over6_mse_256
    scale layout  of groups and blocks: row, column, column_aligned, packed (four exponents to an int32), swizzled_128x4,
                  swizzled_8x4, shuffled_32x8 (bytes, in tiles)
    tensor scale  of e4m3: global_scale=700, what its groups' scales are multiplied by; otherwise found from the tensor
    bounds        qmax=100 (of a code's magnitude), scale_ub=0.5 (of a token's largest magnitude, fp8)
    dialect       whose arithmetic: kqbench, vllm, sglang-0.5.23, ...: kq.dialects()

Keywords name the same parts, and win over the text. str() gives all of it again; equal schemes have equal hashes. Raises
kq.InvalidArgument, whose `field` names the part that is wrong.)";

/// What a text names, which keywords may complete: not validated.
Request parse_request(std::string_view text) {
  Request r;
  const NamedScheme* named = nullptr;
  for_each_word(text, [&](std::string_view word) {
    const NamedScheme* const found = named_scheme(word);
    if (found == nullptr) return;
    if (named != nullptr) throw Invalid("scheme", "names two schemes");
    named = found;
    r = with_scheme(r, *found);
  });
  Given given;
  for_each_word(text, [&](std::string_view word) {
    if (named_scheme(word) != nullptr || take_word(r, word, given)) return;
    throw Invalid("scheme", "has a word that is not known: " + in_quotes(word) + "; see kq.Scheme's help");
  });
  if (named != nullptr && !given.scale_rounding) set_usual_rounding(r);
  if (!given.format && named == nullptr) {
    throw Invalid("scheme", in_quotes(text) + " names no format; add int8 or fp8, or another");
  }
  if (!given.granularity && named == nullptr) {
    throw Invalid("scheme",
                  in_quotes(text) + " names no granularity; add tensor, token, channel, group:128 or another");
  }
  return r;
}

}  // namespace

Scheme Scheme::parse(std::string_view text) {
  const Request r = parse_request(text);
  require_valid(r);
  return {r};
}

std::string Scheme::text() const {
  std::string text = request.static_scale ? "static" : "dynamic";
  const auto add = [&](std::string_view word) {
    text += ' ';
    text += word;
  };
  add(to_string(request.format));
  add(to_string(request.granularity, request.group_size, request.block_rows));
  if (request.asymmetric) add("asymmetric");
  if (request.scale_format != ScaleFormat::float32) add(to_string(request.scale_format));
  if (request.scale_rounding != ScaleRounding::quotient) add(to_string(request.scale_rounding));
  if (request.scale_layout != ScaleLayout::row) add(to_string(request.scale_layout));
  if (request.qmax != 0.0f) add(number_text("qmax=", request.qmax));
  if (!std::isinf(request.scale_ub)) add(number_text("scale_ub=", request.scale_ub));
  if (request.global_scale != 0.0f) add(number_text("global_scale=", request.global_scale));
  if (request.dialect != Dialect::kqbench) add(to_string(request.dialect));
  return text;
}

const Scheme& scheme_from(nb::handle given) {
  if (nb::inst_check(given) && nb::isinstance<Scheme>(given)) return *nb::inst_ptr<Scheme>(given);
  if (PyUnicode_Check(given.ptr()) == 0) throw nb::type_error("scheme: must be a kq.Scheme or a text that names one");
  PyObject* const known = known_schemes;
  if (PyObject* const found = PyDict_GetItem(known, given.ptr())) return *nb::inst_ptr<Scheme>(found);
  constexpr Py_ssize_t most_known = 4096;  // texts made in a loop must not fill memory
  const nb::object made = nb::cast(Scheme::parse(nb::cast<std::string>(given)));
  if (PyDict_Size(known) >= most_known) PyDict_Clear(known);
  if (PyDict_SetItem(known, given.ptr(), made.ptr()) != 0) throw nb::python_error();
  return *nb::inst_ptr<Scheme>(PyDict_GetItem(known, given.ptr()));
}

void bind_schemes(nb::module_& m) {
  const nb::dict known;
  m.attr("known_schemes") = known;
  known_schemes = known.ptr();
  nb::class_<Scheme>(m, "Scheme", scheme_help)
      .def(
          "__init__",
          [](Scheme* self, const std::string& text, const std::optional<std::string>& format,
             const std::optional<std::string>& granularity, std::optional<bool> static_scale,
             std::optional<bool> asymmetric, const std::optional<std::string>& scale_format,
             const std::optional<std::string>& scale_rounding, const std::optional<std::string>& scale_layout,
             std::optional<float> qmax, std::optional<float> scale_ub, const std::optional<std::string>& dialect,
             std::optional<float> global_scale) {
            std::string all = text;
            if (format) all.append(" ").append(to_string(parsed(parse_format(*format), "format", *format)));
            if (granularity) {
              parsed(parse_granularity(*granularity), "granularity", *granularity);
              all.append(" ").append(*granularity);
            }
            if (static_scale) all.append(*static_scale ? " static" : " dynamic");
            if (dialect) all.append(" ").append(to_string(parsed(parse_dialect(*dialect), "dialect", *dialect)));
            new (self) Scheme(with_changes(Scheme{parse_request(all)}, std::nullopt, std::nullopt, std::nullopt,
                                           asymmetric, scale_format, scale_rounding, scale_layout, qmax, scale_ub,
                                           std::nullopt, global_scale));
          },
          "text"_a = "", nb::kw_only(), "format"_a = nb::none(), "granularity"_a = nb::none(),
          "static_scale"_a = nb::none(), "asymmetric"_a = nb::none(), "scale_format"_a = nb::none(),
          "scale_rounding"_a = nb::none(), "scale_layout"_a = nb::none(), "qmax"_a = nb::none(),
          "scale_ub"_a = nb::none(), "dialect"_a = nb::none(), "global_scale"_a = nb::none())
      .def("replace", &with_changes, nb::kw_only(), "format"_a = nb::none(), "granularity"_a = nb::none(),
           "static_scale"_a = nb::none(), "asymmetric"_a = nb::none(), "scale_format"_a = nb::none(),
           "scale_rounding"_a = nb::none(), "scale_layout"_a = nb::none(), "qmax"_a = nb::none(),
           "scale_ub"_a = nb::none(), "dialect"_a = nb::none(), "global_scale"_a = nb::none(),
           "This scheme with some parts changed.")
      .def_prop_ro("format", [](const Scheme& s) { return std::string(to_string(s.request.format)); })
      .def_prop_ro(
          "granularity",
          [](const Scheme& s) { return to_string(s.request.granularity, s.request.group_size, s.request.block_rows); })
      .def_prop_ro("shares", [](const Scheme& s) { return plain_granularity(s.request.granularity); })
      .def_prop_ro("group_size", [](const Scheme& s) { return s.request.group_size; })
      .def_prop_ro("block_rows", [](const Scheme& s) { return s.request.block_rows; })
      .def_prop_ro("static_scale", [](const Scheme& s) { return s.request.static_scale; })
      .def_prop_ro("asymmetric", [](const Scheme& s) { return s.request.asymmetric; })
      .def_prop_ro("scale_format", [](const Scheme& s) { return std::string(to_string(s.request.scale_format)); })
      .def_prop_ro("scale_rounding", [](const Scheme& s) { return std::string(to_string(s.request.scale_rounding)); })
      .def_prop_ro("scale_layout", [](const Scheme& s) { return std::string(to_string(s.request.scale_layout)); })
      .def_prop_ro(
          "qmax",
          [](const Scheme& s) { return s.request.qmax == 0.0f ? format_max(s.request.format) : s.request.qmax; })
      .def_prop_ro("scale_ub",
                   [](const Scheme& s) {
                     return s.request.scale_ub == no_bound ? std::nullopt : std::optional(s.request.scale_ub);
                   })
      .def_prop_ro("global_scale",
                   [](const Scheme& s) {
                     return s.request.global_scale == 0.0f ? std::nullopt : std::optional(s.request.global_scale);
                   })
      .def_prop_ro("code_bits", [](const Scheme& s) { return code_bits(s.request.format); })
      .def_prop_ro("has_global_scale", [](const Scheme& s) { return has_global_scale(s.request); })
      .def_prop_ro("dialect", [](const Scheme& s) { return std::string(to_string(s.request.dialect)); })
      .def("__str__", &Scheme::text)
      .def("__repr__", [](const Scheme& s) { return "kq.Scheme('" + s.text() + "')"; })
      .def(
          "__eq__", [](const Scheme& s, const Scheme& other) { return s == other; }, nb::is_operator())
      .def("__hash__", [](const Scheme& s) { return std::hash<std::string>()(s.text()); })
      .def("__reduce__", [](const Scheme& s) { return nb::make_tuple(nb::type<Scheme>(), nb::make_tuple(s.text())); });
  m.def("scheme_rows", &scheme_rows, "dialect"_a);
  m.def("dialect_rows", &dialect_rows);
}

}  // namespace kq::python
