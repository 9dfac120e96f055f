// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/input_file.hpp"

namespace kqbench {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t max_dimensions = 64;  // NumPy's own limit

struct TypeName {
  DType dtype;
  std::string_view descr;
};
constexpr std::array<TypeName, 8> type_names{{{DType::float16, "<f2"},
                                              {DType::float32, "<f4"},
                                              {DType::uint16, "<u2"},
                                              {DType::uint8, "|u1"},
                                              {DType::int8, "|i1"},
                                              {DType::int32, "<i4"},
                                              {DType::bfloat16, "<V2"},
                                              {DType::bfloat16, "|V2"}}};

/// Reads the header, a Python dict of three literals, from left to right; it knows no more of Python than that.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : rest_(text), file_(file) {}

  struct Header {
    std::string descr;
    bool fortran_order = false;
    std::vector<std::int64_t> shape;
  };

  Header parse() {
    std::optional<std::string> descr;
    std::optional<bool> fortran_order;
    std::optional<std::vector<std::int64_t>> shape;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !descr) {
        descr = type();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = boolean();
      } else if (key == "shape" && !shape) {
        shape = dimensions();
      } else {
        fail(fmt::format("unexpected or repeated key {}", in_quotes(key)));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (rest_.find_first_not_of(" \n") != std::string_view::npos) fail("text after its dict");
    if (!descr || !fortran_order || !shape) fail("one of the keys descr, fortran_order, shape is missing");
    return {*descr, *fortran_order, *shape};
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw UsageError(fmt::format("{}: broken .npy header: {}; write the file again with numpy.save", file_, what));
  }

  void skip_spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size())); }

  bool accept(char wanted) {
    skip_spaces();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) fail(fmt::format("'{}' expected before {}", wanted, in_quotes(rest_.substr(0, 20))));
  }

  bool accept_word(std::string_view word) {
    skip_spaces();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::string string() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') expect('\'');
    const std::size_t end = rest_.find(quote);
    if (end == std::string_view::npos) fail("a string without end");
    std::string text(rest_.substr(0, end));
    if (text.find('\\') != std::string::npos) fail("a string with an escape");
    rest_.remove_prefix(end + 1);
    return text;
  }

  std::string type() {
    skip_spaces();
    if (rest_.starts_with('[')) {
      throw UsageError(file_ + ": holds records, not numbers; save one field of it");
    }
    return string();
  }

  bool boolean() {
    if (accept_word("True")) return true;
    if (!accept_word("False")) fail("fortran_order is neither True nor False");
    return false;
  }

  std::vector<std::int64_t> dimensions() {
    std::vector<std::int64_t> shape;
    bool comma = true;
    expect('(');
    while (!accept(')')) {
      if (!comma) fail("shape is not a tuple of numbers");
      if (shape.size() == max_dimensions) fail(fmt::format("more than {} dimensions", max_dimensions));
      shape.push_back(number());
      comma = accept(',');
    }
    if (shape.size() == 1 && !comma) fail("shape is a number, not a tuple");
    return shape;
  }

  std::int64_t number() {
    skip_spaces();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc() || value < 0) {
      fail(fmt::format("{} is no dimension", in_quotes(rest_.substr(0, rest_.find_first_of(",)")))));
    }
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  std::string_view rest_;
  const std::string& file_;
};

std::uint32_t little_endian(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    value |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * i);
  }
  return value;
}

DType type_of(const std::string& descr, const std::string& name) {
  for (const TypeName& type : type_names) {
    if (descr == type.descr) return type.dtype;
  }
  if (descr.starts_with('>')) {
    throw UsageError(
        fmt::format("{}: element type {} is big-endian; convert it with a.astype(a.dtype.newbyteorder('<'))", name,
                    in_quotes(descr)));
  }
  if (descr == "<f1" || descr == "|f1" || descr == "<V1" || descr == "|V1") {
    throw UsageError(
        fmt::format("{}: element type {} is that of fp8 codes, which are quantized already; take what they "
                    "were made from",
                    name, in_quotes(descr)));
  }
  throw UsageError(fmt::format(
      "{}: element type {} is not supported; convert to float16 or float32, or to bfloat16 stored as uint16", name,
      in_quotes(descr)));
}

}  // namespace

bool is_npy(std::span<const std::byte> head) {
  return head.size() >= magic.size() && std::equal(magic.begin(), magic.end(), head.begin(), [](char a, std::byte b) {
           return static_cast<unsigned char>(a) == std::to_integer<unsigned>(b);
         });
}

StoredTensor parse_npy(std::span<const std::byte> head, std::uint64_t file_size, const std::string& name) {
  if (!is_npy(head)) throw UsageError(name + ": is not a .npy file; write it with numpy.save");
  const std::string cut_short = name + ": ends within its .npy header; write the file again";
  if (head.size() < 10) throw UsageError(cut_short);

  const auto major = std::to_integer<unsigned>(head[6]);
  const auto minor = std::to_integer<unsigned>(head[7]);
  if (major < 1 || major > 3 || minor != 0) {
    throw UsageError(fmt::format("{}: .npy format version {}.{} is unknown; write it as 1.0", name, major, minor));
  }
  const std::size_t begin = major == 1 ? 10 : 12;
  if (head.size() < begin) throw UsageError(cut_short);
  const std::size_t length = little_endian(head.subspan(8, begin - 8));
  if (length > max_npy_head - 12) {
    throw UsageError(fmt::format("{}: .npy header of {} bytes; that of a plain array has a hundred", name, length));
  }
  if (head.size() < begin + length) throw UsageError(cut_short);

  const std::string text(reinterpret_cast<const char*>(head.data()) + begin, length);
  const HeaderParser::Header header = HeaderParser(text, name).parse();
  const DType dtype = type_of(header.descr, name);
  const std::optional<std::uint64_t> bytes = byte_count(header.shape, size_of(dtype));
  const std::uint64_t present = file_size - begin - length;
  if (!bytes || *bytes != present) {
    throw UsageError(fmt::format("{}: {} elements of {} need {} bytes, {} are there; write the file again", name,
                                 shape_text(header.shape), name_of(dtype),
                                 bytes ? fmt::to_string(*bytes) : "more than 2^63", present));
  }
  StoredTensor tensor{"", dtype, header.shape, begin + length, *bytes};
  tensor.fortran_order = header.fortran_order && header.shape.size() > 1;
  return tensor;
}

std::string npy_header(DType dtype, const std::vector<std::int64_t>& shape) {
  if (dtype == DType::bfloat16) dtype = DType::uint16;
  if (is_fp8(dtype) || dtype == DType::ue8m0) dtype = DType::uint8;
  const auto type =
      std::find_if(type_names.begin(), type_names.end(), [&](const TypeName& t) { return t.dtype == dtype; });
  std::string dimensions;
  for (const std::int64_t dimension : shape) {
    dimensions += fmt::format("{}{}", dimensions.empty() ? "" : ", ", dimension);
  }
  if (shape.size() == 1) dimensions += ',';
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type->descr, dimensions);
  text.append((64 - (10 + text.size() + 1) % 64) % 64, ' ');
  text += '\n';

  std::string header(magic);
  header += '\x01';
  header += '\x00';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

NpyArray read_npy(const std::filesystem::path& path) {
  const InputFile file(path);
  std::vector<std::byte> head(std::min<std::uint64_t>(file.size(), max_npy_head));
  file.read_at(0, head);
  StoredTensor tensor = parse_npy(head, file.size(), file.name());
  if (tensor.fortran_order) throw UsageError(file.name() + ": is in Fortran order; read it as a TensorFile");
  NpyArray array{tensor.dtype, std::move(tensor.shape), std::vector<std::byte>(tensor.bytes)};
  file.read_at(tensor.offset, array.bytes);
  return array;
}

void write_npy(const std::filesystem::path& path, const NpyArray& array) {
  const std::string header = npy_header(array.dtype, array.shape);
  OutputFile file(path);
  file.write_at(0, std::as_bytes(std::span(header)));
  file.write_at(header.size(), array.bytes);
  file.commit();
}

}  // namespace kqbench
