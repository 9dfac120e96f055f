// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <string>

#include "bench/support/errors.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/safetensors.hpp"
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

std::vector<StoredTensor> parse(const std::string& header, std::size_t data_bytes) {
  return parse_safetensors(bytes_of(header), 8 + header.size() + data_bytes, "'in.safetensors'");
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
  const auto again = parse_safetensors(bytes_of(head).subspan(8), head.size() + 15 + 24, "x");
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
