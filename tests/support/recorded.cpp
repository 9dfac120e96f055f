// SPDX-License-Identifier: Apache-2.0
#include "tests/support/recorded.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "kq/dialect.hpp"
#include "kq/element.hpp"
#include "kq/scale_layout.hpp"
#include "tests/support/golden.hpp"

namespace kqbench::test {
namespace {

NpyArray engine_array(const std::string& name) {
  return golden_array("engines/" + name + ".npy");
}

template <class T>
void append(std::vector<std::byte>& bytes, T value) {
  const auto* const begin = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof value);
}

/// Scales as float32: some were recorded as the element's type.
std::vector<std::byte> float_scales(const NpyArray& array, kq::Element element) {
  if (size_of(array.dtype) != 2) return array.bytes;
  std::vector<std::byte> floats;
  for (std::size_t i = 0; i < array.bytes.size(); i += 2) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, array.bytes.data() + i, sizeof bits);
    append(floats, element == kq::Element::half ? kq::to_float(kq::half{bits}) : kq::to_float(kq::bfloat16{bits}));
  }
  return floats;
}

/// Scales as bytes: some were recorded as the numbers that these stand for.
std::vector<std::byte> byte_scales(const kq::Request& r, const NpyArray& array) {
  if (array.dtype == DType::uint8 || array.dtype == DType::int32) return array.bytes;
  const std::vector<std::byte> floats = float_scales(array, r.element);
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < floats.size(); i += sizeof(float)) {
    float value = 0.0f;
    std::memcpy(&value, floats.data() + i, sizeof value);
    const bool exponents = r.scale_format == kq::ScaleFormat::ue8m0;
    bytes.push_back(std::byte{exponents ? kq::ue8m0_code(value) : kq::Fp8E4M3Fn::encode(value, 0.0f)});
  }
  return bytes;
}

/// Codes of four bits, two per byte: some were recorded one per byte, NaN as 255.
std::vector<std::byte> half_byte_codes(const kq::Request& r, const NpyArray& array) {
  const std::vector<std::byte>& codes = array.bytes;
  if (static_cast<std::int64_t>(codes.size()) < r.num_tokens * r.hidden_size) return codes;
  std::vector<std::byte> packed;
  for (std::size_t i = 0; i < codes.size(); i += 2) {
    packed.push_back((codes[i] & std::byte{15}) | codes[i + 1] << 4);
  }
  return packed;
}

/// A number of a recorded file, or the number that is written in its place.
float number_of(const std::string& text, std::size_t index = 0) {
  if (text.find('/') == std::string::npos) return std::stof(text);
  float number = 0.0f;
  std::memcpy(&number, engine_array(text).bytes.data() + index * sizeof number, sizeof number);
  return number;
}

/// Bytes of scales that were recorded for each row of a block: the first row's of each, which the others must equal.
std::vector<std::byte> scales_of_blocks(const kq::Request& r, const std::vector<std::byte>& scales) {
  const auto columns = static_cast<std::size_t>(kq::groups_per_row(r));
  if (r.granularity != kq::Granularity::block || scales.size() == kq::scales_bytes(r)) return scales;
  std::vector<std::byte> of_blocks;
  for (std::size_t row = 0; row < static_cast<std::size_t>(r.num_tokens); ++row) {
    const auto begin = scales.begin() + static_cast<std::ptrdiff_t>(row * columns);
    const auto first = row % static_cast<std::size_t>(r.block_rows);
    if (first == 0) {
      of_blocks.insert(of_blocks.end(), begin, begin + static_cast<std::ptrdiff_t>(columns));
    } else if (!std::equal(begin, begin + static_cast<std::ptrdiff_t>(columns),
                           of_blocks.end() - static_cast<std::ptrdiff_t>(columns))) {
      throw std::runtime_error("a block's rows have different scales");
    }
  }
  return of_blocks;
}

/// A case of a row of another, with a scale of the tensor that is made of this amax.
RecordedCase row_of(const RecordedCase& whole, std::int64_t row, float amax) {
  const auto part = [row](const std::vector<std::byte>& bytes, std::size_t size) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(row) * size);
    return std::vector<std::byte>(begin, begin + static_cast<std::ptrdiff_t>(size));
  };
  RecordedCase c = whole;
  kq::Request& r = c.problem.request;
  r.num_tokens = 1;
  r.global_scale = kq::global_scale_of(r, amax);
  c.name += " row " + std::to_string(row);
  c.problem.given.input = part(whole.problem.given.input, kq::input_bytes(r));
  c.problem.expected.codes = part(whole.problem.expected.codes, kq::codes_bytes(r));
  c.problem.expected.scales = part(whole.problem.expected.scales, kq::scales_bytes(r));
  return c;
}

/// The lines of a file of engines/, but those that are empty or comments.
std::vector<std::string> lines_of(const std::string& name) {
  std::ifstream file(golden_folder() + "/engines/" + name);
  if (!file) throw std::runtime_error("tests/golden/engines/" + name + " cannot be read");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.front() != '#') lines.push_back(line);
  }
  return lines;
}

/// What no span has a scale for: 0, as dynamic schemes write it.
void clear_padding(const kq::Request& r, std::vector<std::byte>& scales) {
  std::vector<bool> used(static_cast<std::size_t>(kq::stored_scales(r)));
  for (std::int64_t row = 0; row < r.num_tokens; row += kq::rows_per_scale(r)) {
    for (std::int64_t column = 0; column < r.hidden_size; column += kq::columns_per_scale(r)) {
      used[static_cast<std::size_t>(kq::scale_index(r, row, column))] = true;
    }
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) std::memset(scales.data() + i * kq::scale_size(r), 0, kq::scale_size(r));
  }
}

template <class Value>
Value or_throw(const std::optional<Value>& value, const std::string& text) {
  if (!value) throw std::runtime_error("tests/golden/engines/index.txt: " + text);
  return *value;
}

void set_granularity(kq::Request& r, const std::string& text) {
  long long rows = 0;
  long long columns = 0;
  if (std::sscanf(text.c_str(), "group:%lld", &columns) == 1) {
    r.granularity = kq::Granularity::group;
    r.group_size = columns;
  } else if (std::sscanf(text.c_str(), "block:%lldx%lld", &rows, &columns) == 2) {
    r.granularity = kq::Granularity::block;
    r.block_rows = rows;
    r.group_size = columns;
  } else {
    r.granularity = text == "tensor"  ? kq::Granularity::tensor
                    : text == "token" ? kq::Granularity::token
                                      : kq::Granularity::channel;
  }
}

std::vector<RecordedCase> cases_of(const std::string& line) {
  std::string dialect, element, format, when, granularity, zero_point, scale_format, layout, upper_bound, scale, input,
      scales, codes, zero_points;
  RecordedCase c;
  std::istringstream words(line);
  words >> dialect >> element >> format >> when >> granularity >> zero_point >> scale_format >> layout >> upper_bound >>
      scale >> input >> scales >> codes >> zero_points >> c.differ;
  if (!words) throw std::runtime_error("tests/golden/engines/index.txt: a line is short: " + line);

  // What only some cases have: "name=value".
  std::map<std::string, std::string> more;
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error("tests/golden/engines/index.txt: " + word + ": no '='");
    more[word.substr(0, equals)] = word.substr(equals + 1);
  }

  kq::Request& r = c.problem.request;
  r.dialect = or_throw(kq::parse_dialect(dialect), dialect);
  r.element = or_throw(kq::parse_element(element), element);
  r.format = or_throw(kq::parse_format(format), format);
  r.static_scale = when == "static";
  r.asymmetric = zero_point == "asymmetric";
  r.scale_format = or_throw(kq::parse_scale_format(scale_format), scale_format);
  r.scale_layout = or_throw(kq::parse_scale_layout(layout), layout);
  if (upper_bound != "-") r.scale_ub = std::stof(upper_bound);
  set_granularity(r, granularity);
  const NpyArray x = engine_array(input);
  r.num_tokens = x.shape.at(0);
  r.hidden_size = x.shape.at(1);
  if (more.count("producer") != 0) r.producer = or_throw(kq::parse_producer(more["producer"]), more["producer"]);
  r.hidden_size /= kq::input_parts(r.producer);
  if (more.count("scales") != 0) c.scales_differ = std::stoi(more["scales"]);
  if (more.count("rounding") != 0) {
    r.scale_rounding = or_throw(kq::parse_scale_rounding(more["rounding"]), more["rounding"]);
  }
  if (more.count("global_scale") != 0) r.global_scale = number_of(more["global_scale"]);
  if (more.count("global_amax") != 0) r.global_scale = kq::global_scale_of(r, number_of(more["global_amax"]));
  r = kq::resolved(r);
  c.name = codes + ' ' + layout;
  if (const auto invalid = kq::validate(r)) throw std::runtime_error(c.name + ": " + invalid->reason);

  c.problem.given.input = x.bytes;
  if (more.count("weight") != 0) c.problem.given.weight = engine_array(more["weight"]).bytes;
  if (more.count("residual") != 0) {
    c.problem.given.residual = engine_array(more["residual"]).bytes;
    c.problem.expected.residual_out = engine_array(more["residual_out"]).bytes;
  }
  const auto resize = [&](std::vector<std::byte>& bytes, std::size_t size, const char* what) {
    if (bytes.size() < size) throw std::runtime_error(c.name + ": " + what + " are too few");
    bytes.resize(size);
  };
  HostTensors& expected = c.problem.expected;
  if (scale != "-") {
    append(expected.scales, std::stof(scale));
  } else if (kq::scale_size(r) == 1) {
    expected.scales = scales_of_blocks(r, byte_scales(r, engine_array(scales)));
  } else {
    expected.scales = float_scales(engine_array(scales), r.element);
  }
  resize(expected.scales, kq::scales_bytes(r), "scales");
  clear_padding(r, expected.scales);
  if (r.static_scale) c.problem.given.scales = expected.scales;
  // An engine may have rows of padding behind its codes.
  expected.codes = kq::code_bits(r.format) == 4 ? half_byte_codes(r, engine_array(codes)) : engine_array(codes).bytes;
  resize(expected.codes, kq::codes_bytes(r), "codes");
  if (r.asymmetric) {
    for (const std::byte zero : engine_array(zero_points).bytes) {
      append(expected.zero_points, std::int32_t{static_cast<std::int8_t>(zero)});
    }
  }
  if (more.count("row_amax") == 0) return {c};
  std::vector<RecordedCase> rows;
  for (std::int64_t row = 0; row < r.num_tokens; ++row) {
    rows.push_back(row_of(c, row, number_of(more["row_amax"], static_cast<std::size_t>(row))));
  }
  return rows;
}

bool same_code(kq::Format format, std::byte a, std::byte b) {
  if (a == b) return true;
  if (!kq::is_fp8(format)) return false;
  const auto is_nan = [&](std::byte code) {
    const auto magnitude = std::to_integer<unsigned>(code) & 0x7fu;
    return format == kq::Format::fp8_e5m2 ? magnitude > 0x7cu : magnitude == 0x7fu;
  };
  return is_nan(a) && is_nan(b);
}

/// Whether the scale of a code is NaN, under which a 4-bit code is whatever a processor makes of NaN.
bool has_nan_scale(const kq::Request& r, const HostTensors& tensors, std::size_t byte) {
  const auto row_bytes = static_cast<std::size_t>(kq::codes_row_bytes(r.format, r.codes_stride));
  const std::int64_t scale =
      kq::scale_index(r, static_cast<std::int64_t>(byte / row_bytes), static_cast<std::int64_t>(byte % row_bytes) * 2);
  return std::isnan(kq::group_scale_at(tensors.scales.data(), r.scale_format, scale));
}

}  // namespace

std::vector<RecordedCase> recorded_cases() {
  std::vector<RecordedCase> cases;
  for (const std::string& line : lines_of("index.txt")) {
    for (RecordedCase& c : cases_of(line)) {
      cases.push_back(std::move(c));
    }
  }
  return cases;
}

std::vector<RecordedOutput> recorded_outputs() {
  std::vector<RecordedOutput> all;
  for (const std::string& line : lines_of("outputs.txt")) {
    std::string element, producer, input, weight, residual, output, residual_out;
    std::istringstream words(line);
    words >> element >> producer >> input >> weight >> residual >> output >> residual_out;
    if (!words) throw std::runtime_error("tests/golden/engines/outputs.txt: a line is short: " + line);
    RecordedOutput o;
    o.name = output;
    kq::Request& r = o.request;
    r.element = or_throw(kq::parse_element(element), element);
    r.producer = or_throw(kq::parse_producer(producer), producer);
    const NpyArray x = engine_array(input);
    r.num_tokens = x.shape.at(0);
    r.hidden_size = x.shape.at(1) / kq::input_parts(r.producer);
    r = kq::resolved(r);
    o.sources.input = x.bytes;
    if (weight != "-") o.sources.weight = engine_array(weight).bytes;
    if (residual != "-") o.sources.residual = engine_array(residual).bytes;
    o.output = engine_array(output).bytes;
    if (residual_out != "-") o.residual_out = engine_array(residual_out).bytes;
    all.push_back(std::move(o));
  }
  return all;
}

std::vector<CaseFiles> all_recorded() {
  std::vector<CaseFiles> all;
  for (const std::string& line : lines_of("cases.txt")) {
    CaseFiles c;
    std::istringstream words(line);
    words >> c.name;
    for (std::string word; words >> word;) {
      c.files.push_back(word);
    }
    all.push_back(std::move(c));
  }
  return all;
}

std::set<std::string> files_that_tests_read() {
  std::set<std::string> files;
  for (const char* const name : {"index.txt", "outputs.txt"}) {
    for (const std::string& line : lines_of(name)) {
      std::istringstream words(line);
      for (std::string word; words >> word;) {
        files.insert(word.substr(word.find('=') + 1));
      }
    }
  }
  return files;
}

Differences count_differences(const kq::Request& r, const HostTensors& a, const HostTensors& b) {
  Differences found;
  for (std::size_t i = 0; i < a.codes.size(); ++i) {
    if (kq::code_bits(r.format) == 4) {
      const std::byte differ = a.codes[i] ^ b.codes[i];
      if (differ == std::byte{0} || has_nan_scale(r, a, i)) continue;
      found.codes += ((differ & std::byte{15}) != std::byte{0} ? 1 : 0) + (differ >> 4 != std::byte{0} ? 1 : 0);
      continue;
    }
    found.codes += same_code(r.format, a.codes[i], b.codes[i]) ? 0 : 1;
  }
  for (std::size_t i = 0; i < a.scales.size(); i += kq::scale_size(r)) {
    if (std::memcmp(a.scales.data() + i, b.scales.data() + i, kq::scale_size(r)) == 0) continue;
    if (kq::scale_size(r) == sizeof(float)) {
      float values[2];
      std::memcpy(&values[0], a.scales.data() + i, sizeof(float));
      std::memcpy(&values[1], b.scales.data() + i, sizeof(float));
      if (std::isnan(values[0]) && std::isnan(values[1])) continue;
    }
    const bool is_e4m3 = r.scale_format == kq::ScaleFormat::e4m3;
    if (is_e4m3 && same_code(kq::Format::fp8_e4m3fn, a.scales[i], b.scales[i])) continue;
    ++found.scales;
  }
  for (std::size_t i = 0; i < a.residual_out.size(); i += kq::element_size(r.element)) {
    found.sums += std::memcmp(&a.residual_out[i], &b.residual_out[i], kq::element_size(r.element)) == 0 ? 0 : 1;
  }
  for (std::size_t i = 0; i < a.zero_points.size(); i += sizeof(std::int32_t)) {
    found.zero_points += std::memcmp(&a.zero_points[i], &b.zero_points[i], sizeof(std::int32_t)) == 0 ? 0 : 1;
  }
  return found;
}

}  // namespace kqbench::test
