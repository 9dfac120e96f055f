// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <string>

#include "bench/support/errors.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/safetensors.hpp"
#include "bench/tensors/safetensors_index.hpp"
#include "bench/tensors/tensor_file.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/text.hpp"

namespace kqbench {
namespace {

using test::bytes_of;

std::string safetensors(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + std::string(data_bytes, '\x01');
}

SafetensorsHeader parse_header(const std::string& header, std::size_t data_bytes) {
  return parse_safetensors(bytes_of(header), 8 + header.size() + data_bytes, "'in.safetensors'");
}

std::vector<StoredTensor> parse(const std::string& header, std::size_t data_bytes) {
  return parse_header(header, data_bytes).tensors;
}

/// The message with which a whole file is refused; empty if it is not.
std::string refusal_of_file(const std::string& file) {
  try {
    const auto all = bytes_of(file);
    const std::uint64_t length =
        safetensors_header_length(all.subspan(0, std::min<std::size_t>(8, all.size())), all.size(), "'in.safetensors'");
    parse_safetensors(all.subspan(8, length), all.size(), "'in.safetensors'");
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

const char* const two_tensors = R"({"__metadata__":{"format":"pt"},)"
                                R"("b":{"dtype":"F16","shape":[2,3],"data_offsets":[8,20]},)"
                                R"("a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}   )";

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const auto tensors = parse(two_tensors, 12 + 8);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].dtype, DType::other);
  EXPECT_EQ(tensors[1].name, "b");
  EXPECT_EQ(tensors[1].dtype, DType::float16);
  EXPECT_EQ(tensors[1].shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(tensors[1].offset, 8 + std::strlen(two_tensors) + 8);
  EXPECT_EQ(tensors[1].bytes, 12u);
}

TEST(Safetensors, TakesEmptyTensorsAndScalars) {
  const auto tensors = parse(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                             R"("e":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},)"
                             R"("f":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                             4);
  EXPECT_EQ(tensors.size(), 3u);
  EXPECT_TRUE(parse("{}", 0).empty());
}

TEST(Safetensors, RefusesAFileCutAnywhere) {
  const std::string whole = safetensors(two_tensors, 20);
  ASSERT_EQ(refusal_of_file(whole), "");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string message = refusal_of_file(whole.substr(0, length));
    EXPECT_TRUE(message.starts_with("'in.safetensors': ")) << length << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  EXPECT_NE(refusal_of_file(whole + "x"), "");
}

TEST(Safetensors, BelievesNoHeaderLength) {
  for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    std::string file = safetensors("{}", 0);
    std::memcpy(file.data(), &length, sizeof length);
    EXPECT_NE(refusal_of_file(file).find("2 are there"), std::string::npos) << refusal_of_file(file);
  }
  const std::uint64_t length = max_safetensors_header + 1;
  std::string head(8, '\0');
  std::memcpy(head.data(), &length, sizeof length);
  EXPECT_THROW(safetensors_header_length(bytes_of(head), 8 + length, "x"), UsageError);
}

struct BadJsonHeader {
  std::string json;
  std::size_t data_bytes;
  const char* says;
};

const BadJsonHeader bad_json_headers[] = {
    {"", 4, "does not begin with {"},
    {" {}", 0, "does not begin with {"},
    {"[]", 0, "does not begin with {"},
    {"{", 0, "no JSON"},
    {"{}x", 0, "no JSON"},
    {std::string("{}\0", 3), 0, "no JSON at byte 2"},
    {std::string("{\"a\0\":1}", 8), 0, "no JSON at byte 3"},
    {"{\"\xff\":{}}", 0, "no JSON"},
    {R"({"a":1})", 0, "a number where none belongs"},
    {R"({"a":null})", 0, "null where none belongs"},
    {R"({"a":[]})", 0, "an array where none belongs"},
    {R"({"a":{}})", 0, "lacks one of"},
    {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "lacks one of"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "no range"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "no range"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4, "a number where none belongs"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}})", 4, "negative"},
    {R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, "fraction"},
    {R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4, "a string where none belongs"},
    {R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", 4, "an array where none belongs"},
    {R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "a number where none belongs"},
    {R"({"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", 4, "a number where none belongs"},
    {R"({"a":{"dtype":{"x":1},"shape":[1],"data_offsets":[0,4]}})", 4, "an object where none belongs"},
    {R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, "repeated key 'dtype'"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4, "unexpected or repeated key 'x'"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
     8, "'a' appears twice"},
    {R"({"a\n":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
     "'a\\x0a': [2] elements of float32 need 8 bytes"},
    {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, "ends beyond the file"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "does not begin where"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8, "last 4 bytes belong to no tensor"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     4, "does not begin where"},
    {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}})",
     6, "does not begin where"},
    {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", 4, "too large"},
    {R"({"a":{"dtype":"X9","shape":[1],"data_offsets":[9223372036854775807,9223372036854775807]}})", 4,
     "does not begin where"},
    {R"({"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}})", 4, "over 2^63"},
    {R"({"a":{"dtype":"F32","shape":[99999999999999999999999],"data_offsets":[0,4]}})", 4, "fraction"},
    {R"({"__metadata__":{"a":{"b":"c"}}})", 0, "an object where none belongs"},
    {R"({"__metadata__":{"a":1}})", 0, "a number where none belongs"},
    {R"({"__metadata__":"a"})", 0, "a string where none belongs"},
    {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,)"
     R"(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})",
     4, "more than 64 dimensions"},
};

TEST(Safetensors, RefusesABadHeaderInOneLine) {
  for (const BadJsonHeader& bad : bad_json_headers) {
    const std::string message = refusal_of_file(safetensors(bad.json, bad.data_bytes));
    EXPECT_NE(message.find(bad.says), std::string::npos) << bad.json << "\n" << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Safetensors, StopsAtTheFirstLevelTooDeep) {
  const std::string deep = R"({"a":)" + std::string(1'000'000, '[');
  EXPECT_NE(refusal_of_file(safetensors(deep, 0)).find("an array where none belongs"), std::string::npos);
}

TEST(Safetensors, WritesWhatItReads) {
  std::vector<StoredTensor> tensors;
  tensors.push_back({"w", DType::fp8_e4m3fn, {3, 5}, 0, 0});
  tensors.push_back({"w.scale", DType::float32, {3, 1}, 0, 0});
  tensors.push_back({"w.zero_point", DType::int32, {3, 1}, 0, 0});
  const std::string head = place_safetensors(tensors, {{"kqbench.operation", "a \"quoted\" text"}});
  EXPECT_EQ(head.size() % 8, 0u);
  EXPECT_EQ(tensors[1].offset % 4, 0u);
  EXPECT_EQ(tensors[2].offset % 4, 0u);
  const auto again = parse_safetensors(bytes_of(head).subspan(8), head.size() + 15 + 24, "x").tensors;
  ASSERT_EQ(again.size(), 3u);
  for (const StoredTensor& tensor : again) {
    bool found = false;
    for (const StoredTensor& written : tensors) {
      if (written.name != tensor.name) continue;
      found = true;
      EXPECT_EQ(written.dtype, tensor.dtype);
      EXPECT_EQ(written.shape, tensor.shape);
      EXPECT_EQ(written.offset, tensor.offset);
      EXPECT_EQ(written.bytes, tensor.bytes);
    }
    EXPECT_TRUE(found) << tensor.name;
  }
  tensors.push_back({"w", DType::int8, {1}, 0, 0});
  EXPECT_THROW(place_safetensors(tensors, {}), UsageError);
}

// --- TensorFile ---------------------------------------------------------------------------------------------------

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Safetensors, KeepsMetadata) {
  using Metadata = std::map<std::string, std::string>;
  EXPECT_EQ(parse_header(two_tensors, 20).metadata, (Metadata{{"format", "pt"}}));
  EXPECT_EQ(parse_header(R"({"__metadata__":{"a":"1","b":""}})", 0).metadata, (Metadata{{"a", "1"}, {"b", ""}}));
  EXPECT_TRUE(parse_header(R"({"__metadata__":null})", 0).metadata.empty());
  EXPECT_EQ(parse(R"({"__metadata__":null,"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2).size(), 1u);
}

TEST(Safetensors, KnowsAmdsFormats) {
  std::vector<StoredTensor> tensors{{"a", DType::fp8_e4m3fnuz, {3}, 0, 0}, {"b", DType::fp8_e5m2fnuz, {5}, 0, 0}};
  const std::string head = place_safetensors(tensors, {});
  EXPECT_NE(head.find(R"("dtype":"F8_E4M3FNUZ")"), std::string::npos) << head;
  EXPECT_NE(head.find(R"("dtype":"F8_E5M2FNUZ")"), std::string::npos) << head;
  const auto again = parse_safetensors(bytes_of(head).subspan(8), head.size() + 8, "x").tensors;
  EXPECT_EQ(again[0].dtype, DType::fp8_e4m3fnuz);
  EXPECT_EQ(again[1].dtype, DType::fp8_e5m2fnuz);
}

SafetensorsIndex parse_index(const std::string& text) {
  return parse_safetensors_index(text, "'i.json'");
}

std::string refusal_of_index(const std::string& text) {
  try {
    parse_index(text);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

TEST(SafetensorsIndex, ReadsTheWeightMapAndNothingElse) {
  const SafetensorsIndex index = parse_index(
      R"({"metadata": {"total_size": 3, "x": [{"weight_map": {"no": 1}}, null, true, -1, 1.5]}, "weight_map":)"
      R"( {"b": "2.safetensors", "a": "2.safetensors", "c": "1.safetensors"}, "more": {"weight_map": 1}})");
  EXPECT_EQ(index.shards, (std::vector<std::string>{"1.safetensors", "2.safetensors"}));
  EXPECT_EQ(index.tensors, (std::vector<std::pair<std::string, std::size_t>>{{"a", 1}, {"b", 1}, {"c", 0}}));
}

TEST(SafetensorsIndex, RefusesWhatIsNone) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "no JSON"},
      {"{", "no JSON"},
      {"3", "a number where an object belongs"},
      {"[]", "an array where an object belongs"},
      {"{}", "has no weight_map"},
      {R"({"rows": {"weight_map": {}}})", "has no weight_map"},
      {R"({"weight_map": []})", "an array where an object belongs"},
      {R"({"weight_map": "a"})", "a string where an object belongs"},
      {R"({"weight_map": {}})", "names no tensor"},
      {R"({"weight_map": {"a": 1}})", "a number where 'a''s file belongs"},
      {R"({"weight_map": {"a": {}}})", "an object where 'a''s file belongs"},
      {R"({"weight_map": {"a": null}})", "null where 'a''s file belongs"},
      {R"({"weight_map": {"a": "../b"}})", "'../b', which is no name of a file beside it"},
      {R"({"weight_map": {"a": "/etc/passwd"}})", "which is no name"},
      {R"({"weight_map": {"a": ".."}})", "which is no name"},
      {R"({"weight_map": {"a": ""}})", "which is no name"},
      {R"({"weight_map": {"a": "x", "a": "x"}})", "'a' appears twice"},
      {R"({"weight_map": {"a": "x"}, "weight_map": {"b": "x"}})", "'weight_map' appears twice"},
      {R"({"weight_map": {"a": "x"}} more)", "no JSON"},
  };
  for (const auto& [text, says] : bad) {
    const std::string message = refusal_of_index(text);
    EXPECT_TRUE(message.starts_with("'i.json': ")) << message;
    EXPECT_NE(message.find(says), std::string::npos) << text << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  EXPECT_NE(refusal_of_index(std::string("{\"weight_map\":{\"a\":\"x\"}}\0{", 26)).find("no JSON at byte"),
            std::string::npos);
}

/// A model of two shards in a folder, and its index.
std::filesystem::path write_shards(const ScratchFolder& folder, const std::string& weight_map) {
  std::ofstream(folder / "1.safetensors", std::ios::binary)
      << safetensors(R"({"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}})", 12);
  std::ofstream(folder / "2.safetensors", std::ios::binary)
      << safetensors(R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                     R"("c":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                     12);
  std::ofstream(folder / "m.safetensors.index.json") << R"({"weight_map": )" + weight_map + "}";
  return folder / "m.safetensors.index.json";
}

std::string message_of(const std::function<void()>& action);

TEST(TensorFile, ReadsAModelInShards) {
  const ScratchFolder folder;
  const TensorFile file(write_shards(folder, R"({"b": "2.safetensors", "a": "1.safetensors"})"));
  EXPECT_EQ(file.kind(), TensorFile::Kind::index);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.find("a").shard, 0u);
  EXPECT_EQ(file.find("b").shard, 1u);
  EXPECT_EQ(file.unlisted(), std::vector<std::string>{"c"});
  std::vector<std::byte> row(6);
  file.read_rows(file.find("a"), 1, row);
  EXPECT_EQ(row, std::vector<std::byte>(6, std::byte{1}));
}

TEST(TensorFile, SaysWhatAModelInShardsLacks) {
  const ScratchFolder folder;
  const auto message = [&](const char* weight_map) {
    return message_of([&] { TensorFile(write_shards(folder, weight_map)); });
  };
  EXPECT_NE(message(R"({"a": "1.safetensors", "z": "3.safetensors"})").find("its shard '"), std::string::npos);
  const std::string lacking = message(R"({"a": "2.safetensors", "b": "2.safetensors"})");
  EXPECT_NE(lacking.find("says that 'a' is in '"), std::string::npos) << lacking;
  EXPECT_NE(lacking.find("2.safetensors', which has no such tensor"), std::string::npos) << lacking;
  EXPECT_EQ(lacking.find('\n'), std::string::npos);
}

TEST(TensorFile, NamesWhatStandsInForAFile) {
  const ScratchFolder folder;
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
  const auto message = [&](const char* name, const std::string& text) {
    std::ofstream(folder / name, std::ios::binary) << text;
    return message_of([&] { TensorFile(folder / name); });
  };
  for (const char* name : {"a.npy", "a.safetensors", "a.safetensors.index.json", "a"}) {
    EXPECT_NE(message(name, pointer).find("is a Git LFS pointer"), std::string::npos) << name;
    for (const char* page : {"<!DOCTYPE html>\n<html>", "<html lang=en>", "\xef\xbb\xbf \n<!doctype HTML PUBLIC"}) {
      EXPECT_NE(message(name, page).find("is an HTML page"), std::string::npos) << name << ": " << page;
    }
  }
  const std::filesystem::path index = write_shards(folder, R"({"a": "1.safetensors", "b": "2.safetensors"})");
  std::ofstream(folder / "2.safetensors") << pointer;
  EXPECT_NE(message_of([&] { TensorFile{index}; }).find("2.safetensors': is a Git LFS pointer"), std::string::npos);
}

/// Every element where its indices say, by all ways to cut the rows.
TEST(TensorFile, ReadsFortranOrder) {
  const ScratchFolder folder;
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{5, 7}, {1, 4}, {4, 1}, {2, 3, 4}, {3, 2, 2, 5}, {2, 1, 3}}) {
    SCOPED_TRACE(shape_text(shape));
    std::int64_t elements = 1;
    for (const std::int64_t dimension : shape) {
      elements *= dimension;
    }
    // In C order the element at place i is i. Its place in Fortran order follows from its indices.
    std::vector<std::uint16_t> stored(static_cast<std::size_t>(elements));
    for (std::int64_t i = 0; i < elements; ++i) {
      std::int64_t rest = i, place = 0, stride = elements;
      for (std::size_t d = shape.size(); d-- > 0;) {
        stride /= shape[d];
        place += rest % shape[d] * stride;
        rest /= shape[d];
      }
      stored[static_cast<std::size_t>(place)] = static_cast<std::uint16_t>(i);
    }
    std::string head = npy_header(DType::uint16, shape);
    head.replace(head.find("False"), 5, "True ");
    std::ofstream(folder / "f.npy", std::ios::binary)
        << head << std::string(reinterpret_cast<const char*>(stored.data()), stored.size() * 2);
    const TensorFile file(folder / "f.npy");
    const StoredTensor& tensor = file.find("");
    for (std::int64_t first = 0; first < tensor.num_tokens(); ++first) {
      for (std::int64_t count = 1; first + count <= tensor.num_tokens(); ++count) {
        std::vector<std::uint16_t> rows(static_cast<std::size_t>(count * tensor.hidden_size()));
        file.read_rows(tensor, first, std::as_writable_bytes(std::span(rows)));
        for (std::size_t i = 0; i < rows.size(); ++i) {
          ASSERT_EQ(rows[i], first * tensor.hidden_size() + static_cast<std::int64_t>(i));
        }
      }
    }
  }
}

TEST(TensorFile, FindsATensorByName) {
  const ScratchFolder folder;
  std::ofstream(folder / "two.safetensors", std::ios::binary) << safetensors(two_tensors, 20);
  const TensorFile file(folder / "two.safetensors");
  EXPECT_EQ(file.find("b").bytes, 12u);
  EXPECT_NE(message_of([&] { file.find("c"); }).find("holds no tensor 'c'; it holds 'a', 'b'"), std::string::npos);
  EXPECT_NE(message_of([&] { file.find(""); }).find("holds 2 tensors; choose one with --tensor"), std::string::npos);
  EXPECT_EQ(element_of(file, file.find("b"), std::nullopt), kq::Element::half);
  EXPECT_NE(message_of([&] { element_of(file, file.find("a"), std::nullopt); }).find("only float16"),
            std::string::npos);
  EXPECT_NE(message_of([&] { element_of(file, file.find("b"), kq::Element::float32); }).find("leave --dtype out"),
            std::string::npos);
}

TEST(TensorFile, GoesByContentsWhereTheyTell) {
  const ScratchFolder folder;
  std::ofstream(folder / "a.npy") << "no numbers";
  std::ofstream(folder / "a.bin") << "no numbers";
  std::ofstream(folder / "none.safetensors") << safetensors("{}", 0);
  write_npy(folder / "array", {DType::float32, {2, 2}, std::vector<std::byte>(16)});
  EXPECT_EQ(TensorFile(folder / "array").tensors().size(), 1u);
  EXPECT_NE(message_of([&] { TensorFile(folder / "a.npy"); }).find("not a .npy file"), std::string::npos);
  EXPECT_NE(message_of([&] { TensorFile(folder / "a.bin"); }).find("neither"), std::string::npos);
  EXPECT_NE(message_of([&] { TensorFile(folder / "none.safetensors"); }).find("holds no tensor"), std::string::npos);
}

TEST(TensorFile, LoadsRowsInOrder) {
  const ScratchFolder folder;
  NpyArray array{DType::uint16, {2, 3, 4}, std::vector<std::byte>(48)};
  for (std::size_t i = 0; i < array.bytes.size(); ++i) {
    array.bytes[i] = static_cast<std::byte>(i);
  }
  write_npy(folder / "in.npy", array);
  EXPECT_NE(message_of([&] { load_input(folder / "in.npy", "", std::nullopt); }).find("--dtype bfloat16"),
            std::string::npos);
  EXPECT_NE(message_of([&] { load_input(folder / "in.npy", "x", kq::Element::bfloat16); }).find("leave --tensor out"),
            std::string::npos);
  const InputTensor input = load_input(folder / "in.npy", "", kq::Element::bfloat16);
  EXPECT_EQ(input.num_tokens, 6);
  EXPECT_EQ(input.hidden_size, 4);
  EXPECT_EQ(input.bytes, array.bytes);

  const TensorFile file(folder / "in.npy");
  std::vector<std::byte> rows(16);
  file.read_rows(file.find(""), 4, rows);
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), array.bytes.begin() + 32));
}

TEST(TensorFile, RefusesATensorWithoutElements) {
  const ScratchFolder folder;
  write_npy(folder / "in.npy", {DType::float32, {4, 0}, {}});
  EXPECT_NE(message_of([&] { load_input(folder / "in.npy", "", std::nullopt); }).find("has no elements"),
            std::string::npos);
}

TEST(TensorFile, TakesATensorWithoutRows) {
  const ScratchFolder folder;
  write_npy(folder / "in.npy", {DType::float32, {0, 4}, {}});
  const InputTensor input = load_input(folder / "in.npy", "", std::nullopt);
  EXPECT_EQ(input.num_tokens, 0);
  EXPECT_EQ(input.hidden_size, 4);
  EXPECT_TRUE(input.bytes.empty());
}

TEST(TensorFile, SaysWhenTheFileShrinksWhileItIsRead) {
  const ScratchFolder folder;
  write_npy(folder / "in.npy", {DType::float32, {4, 4}, std::vector<std::byte>(64)});
  const TensorFile file(folder / "in.npy");
  std::filesystem::resize_file(folder / "in.npy", 150);
  std::vector<std::byte> rows(64);
  EXPECT_NE(message_of([&] { file.read_rows(file.find(""), 0, rows); }).find("ends at byte 150"), std::string::npos);
}

}  // namespace
}  // namespace kqbench
