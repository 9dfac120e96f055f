// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/safetensors_index.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_index(const std::string& file, const std::string& what) {
  throw UsageError(fmt::format("{}: broken index of .safetensors files: {}; write or download it again", file, what));
}

/// Takes the weight map out of the index, piece by piece, so that nothing else builds up in memory.
class IndexReader final : public nlohmann::json_sax<json> {
 public:
  explicit IndexReader(const std::string& file) : file_(file) {}

  std::map<std::string, std::string> take() && {
    if (!found_) {
      throw UsageError(file_ + ": has no weight_map; name a .npy or .safetensors file, or a model" +
                       std::string(safetensors_index_suffix));
    }
    return std::move(files_);
  }

  bool start_object(std::size_t) override {
    if (in_map_) unexpected("an object");
    ++depth_;
    if (depth_ == 2 && is_map_) in_map_ = found_ = true;
    return true;
  }

  bool key(std::string& text) override {
    if (in_map_) {
      tensor_ = text;
    } else if (depth_ == 1) {
      is_map_ = text == "weight_map";
      if (is_map_ && found_) refuse_index(file_, "'weight_map' appears twice");
    }
    return true;
  }

  bool string(std::string& text) override {
    if (!in_map_) return other("a string");
    if (text.empty() || text == "." || text == ".." || text.find_first_of(std::string_view("/\0", 2)) != text.npos) {
      refuse_index(file_, fmt::format("{} is said to be in {}, which is no name of a file beside it",
                                      in_quotes(tensor_), in_quotes(text)));
    }
    if (!files_.emplace(tensor_, text).second) refuse_index(file_, fmt::format("{} appears twice", in_quotes(tensor_)));
    return true;
  }

  bool end_object() override {
    --depth_;
    in_map_ = false;
    if (depth_ == 1) is_map_ = false;
    return true;
  }

  bool start_array(std::size_t) override {
    other("an array");
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool null() override { return other("null"); }
  bool boolean(bool) override { return other("a truth value"); }
  bool number_integer(std::int64_t) override { return other("a number"); }
  bool number_unsigned(std::uint64_t) override { return other("a number"); }
  bool number_float(double, const std::string&) override { return other("a number"); }
  bool binary(json::binary_t&) override { return other("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    refuse_index(file_, fmt::format("no JSON at byte {}", position));
  }

 private:
  [[noreturn]] void unexpected(const char* what) const {
    refuse_index(file_, in_map_ ? fmt::format("{} where {}'s file belongs", what, in_quotes(tensor_))
                                : fmt::format("{} where an object belongs", what));
  }

  /// A value that is neither an object nor a file's name: in its place only where nothing is looked at.
  bool other(const char* what) const {
    if (in_map_ || depth_ == 0 || (depth_ == 1 && is_map_)) unexpected(what);
    return true;
  }

  const std::string& file_;
  std::size_t depth_ = 0;
  bool is_map_ = false;  ///< the last key of the outermost object was weight_map
  bool in_map_ = false;
  bool found_ = false;
  std::string tensor_;
  std::map<std::string, std::string> files_;
};

}  // namespace

SafetensorsIndex parse_safetensors_index(std::string_view text, const std::string& name) {
  // The parser would take it for the end and believe what came before.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    refuse_index(name, fmt::format("no JSON at byte {}", zero));
  }
  IndexReader reader(name);
  json::sax_parse(text.begin(), text.end(), &reader);
  SafetensorsIndex index;
  std::map<std::string, std::size_t> shards;
  const std::map<std::string, std::string> files = std::move(reader).take();
  for (const auto& [tensor, file] : files) {
    shards.emplace(file, 0);
  }
  for (auto& [file, number] : shards) {
    number = index.shards.size();
    index.shards.push_back(file);
  }
  for (const auto& [tensor, file] : files) {
    index.tensors.emplace_back(tensor, shards.at(file));
  }
  if (index.tensors.empty()) throw UsageError(name + ": its weight_map names no tensor; choose another file");
  return index;
}

std::string safetensors_index_text(const std::map<std::string, std::string>& files, std::uint64_t total_size) {
  const json index = {{"metadata", {{"total_size", total_size}}}, {"weight_map", files}};
  return index.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace kqbench
