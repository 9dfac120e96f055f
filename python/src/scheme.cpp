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

/// Takes one word in; false if it is none of a scheme's.
bool take_word(Request& r, std::string_view word, bool& has_format, bool& has_granularity) {
  if (word == "static" || word == "dynamic") {
    r.static_scale = word == "static";
  } else if (word == "asymmetric" || word == "symmetric") {
    r.asymmetric = word == "asymmetric";
  } else if (const auto format = parse_format(word)) {
    if (has_format) throw Invalid("scheme", "names two formats");
    r.format = *format;
    has_format = true;
  } else if (const auto choice = parse_granularity(word)) {
    if (has_granularity) throw Invalid("scheme", "names two granularities");
    r.granularity = choice->granularity;
    r.group_size = choice->group_size;
    r.block_rows = choice->block_rows;
    has_granularity = true;
  } else if (const auto scale_format = parse_scale_format(word)) {
    r.scale_format = *scale_format;
  } else if (const auto scale_layout = parse_scale_layout(word)) {
    r.scale_layout = *scale_layout;
  } else if (const auto rounding = parse_scale_rounding(word)) {
    r.scale_rounding = *rounding;
  } else if (const auto dialect = parse_dialect(word)) {
    r.dialect = *dialect;
  } else if (word.starts_with("qmax=")) {
    r.qmax = parse_number(word, word.substr(5));
  } else if (word.starts_with("scale_ub=")) {
    r.scale_ub = parse_number(word, word.substr(9));
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
  if (code_bits(r.format) == 4) {
    throw Invalid("format", std::string(to_string(r.format)) +
                                ": Python has codes of one byte only; take the command line or the C interface");
  }
  if (r.scale_layout == ScaleLayout::swizzled_128x4 || r.scale_layout == ScaleLayout::swizzled_8x4) {
    throw Invalid("scale_layout", std::string(to_string(r.scale_layout)) +
                                      ": Python has no swizzled scales; take the command line or the C interface");
  }
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
                    std::optional<float> qmax, std::optional<float> scale_ub,
                    const std::optional<std::string>& dialect) {
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
  require_valid(r);
  return {r};
}

nb::object formats_of(bool int8, bool fp8) {
  nb::list names;
  if (int8) names.append("int8");
  if (fp8) {
    for (const Format format : {Format::fp8_e4m3fn, Format::fp8_e5m2, Format::fp8_e4m3fnuz, Format::fp8_e5m2fnuz}) {
      names.append(std::string(to_string(format)));
    }
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
      rows.append(nb::make_tuple(std::string(s.name), plain_granularity(s.granularity), s.static_scale, s.asymmetric,
                                 formats_of(s.int8, s.fp8), nb::tuple(scale_formats), std::string(s.scale_formula),
                                 std::string(s.code_formula), ""));
    }
    return rows;
  }
  for (const DialectScheme& s : dialect_schemes(dialect)) {
    nb::list formats;
    for (const Format format :
         {Format::int8, Format::fp8_e4m3fn, Format::fp8_e5m2, Format::fp8_e4m3fnuz, Format::fp8_e5m2fnuz}) {
      if (has_format(s, format)) formats.append(std::string(to_string(format)));
    }
    if (formats.size() == 0) continue;  // codes of four bits
    nb::list scale_formats;
    for (const ScaleFormat format : {ScaleFormat::float32, ScaleFormat::ue8m0_float32, ScaleFormat::ue8m0}) {
      if (has_scale_format(s, format)) scale_formats.append(std::string(to_string(format)));
    }
    const std::string granularity = plain_granularity(s.granularity);
    rows.append(
        nb::make_tuple((s.static_scale ? "static " : "dynamic ") + granularity + (s.asymmetric ? " asymmetric" : ""),
                       granularity, s.static_scale, s.asymmetric, nb::tuple(formats), nb::tuple(scale_formats),
                       std::string(s.scale_formula), std::string(s.code_formula), std::string(s.differs)));
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

}  // namespace

namespace {

/// Schemes by their texts, which belongs to the module.
PyObject* known_schemes = nullptr;

constexpr const char* scheme_help = R"(What becomes of a tensor: everything but its shape and element type.

A text has these words in any order; format and granularity are needed:

    format        int8, fp8 (= fp8_e4m3fn), fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz, fp8_e5m2fnuz
    granularity   tensor, token, channel, group:128, block:128x128: the elements that share a scale
    scales        dynamic (computed from the input, the default) or static (given)
    zero points   asymmetric (int8) or symmetric, the default
    scale format  of groups and blocks: float, ue8m0_float (raised to a power of two), ue8m0 (its exponent, a byte)
    scale rounding  of ue8m0 groups: quotient (the default), or rceil, floor, even, ceil on amax's bits, as MX has them
    scale layout  of groups and blocks: row, column, column_aligned, packed (four exponents to an int32)
    bounds        qmax=100 (of a code's magnitude), scale_ub=0.5 (of a token's largest magnitude, fp8)
    dialect       whose arithmetic: kqbench, vllm, sglang-0.5.23, ...: kq.dialects()

Keywords name the same parts, and win over the text. str() gives all of it again; equal schemes have equal hashes. Raises
kq.InvalidArgument, whose `field` names the part that is wrong.)";

}  // namespace

Scheme Scheme::parse(std::string_view text) {
  Request r;
  bool has_format = false;
  bool has_granularity = false;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    if (!word.empty() && !take_word(r, word, has_format, has_granularity)) {
      throw Invalid("scheme", "has a word that is not known: " + in_quotes(word) + "; see kq.Scheme's help");
    }
    begin = end + 1;
  }
  if (!has_format) throw Invalid("scheme", in_quotes(text) + " names no format; add int8 or fp8, or another");
  if (!has_granularity) {
    throw Invalid("scheme",
                  in_quotes(text) + " names no granularity; add tensor, token, channel, group:128 or another");
  }
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
  if (is_mx(request)) add(to_string(request.scale_rounding));
  if (request.scale_layout != ScaleLayout::row) add(to_string(request.scale_layout));
  if (request.qmax != 0.0f) add(number_text("qmax=", request.qmax));
  if (!std::isinf(request.scale_ub)) add(number_text("scale_ub=", request.scale_ub));
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
             std::optional<float> qmax, std::optional<float> scale_ub, const std::optional<std::string>& dialect) {
            std::string all = text;
            if (format) all.append(" ").append(to_string(parsed(parse_format(*format), "format", *format)));
            if (granularity) {
              parsed(parse_granularity(*granularity), "granularity", *granularity);
              all.append(" ").append(*granularity);
            }
            new (self) Scheme(with_changes(Scheme::parse(all), std::nullopt, std::nullopt, static_scale, asymmetric,
                                           scale_format, scale_rounding, scale_layout, qmax, scale_ub, dialect));
          },
          "text"_a = "", nb::kw_only(), "format"_a = nb::none(), "granularity"_a = nb::none(),
          "static_scale"_a = nb::none(), "asymmetric"_a = nb::none(), "scale_format"_a = nb::none(),
          "scale_rounding"_a = nb::none(), "scale_layout"_a = nb::none(), "qmax"_a = nb::none(),
          "scale_ub"_a = nb::none(), "dialect"_a = nb::none())
      .def("replace", &with_changes, nb::kw_only(), "format"_a = nb::none(), "granularity"_a = nb::none(),
           "static_scale"_a = nb::none(), "asymmetric"_a = nb::none(), "scale_format"_a = nb::none(),
           "scale_rounding"_a = nb::none(), "scale_layout"_a = nb::none(), "qmax"_a = nb::none(),
           "scale_ub"_a = nb::none(), "dialect"_a = nb::none(), "This scheme with some parts changed.")
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
