// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "bench/support/errors.hpp"
#include "bench/tensors/npy.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/text.hpp"

namespace kqbench {
namespace {

using test::bytes_of;

/// A file of format version 1.0 with that dict and that many bytes of data.
std::string npy(const std::string& dict, std::size_t data_bytes, char major = 1) {
  std::string text = "\x93NUMPY";
  text += major;
  text += '\0';
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  if (major > 1) text.append(2, '\0');
  return text + dict + std::string(data_bytes, '\x01');
}

StoredTensor parse(const std::string& file) {
  return parse_npy(bytes_of(file), file.size(), "'in.npy'");
}

/// The message with which a file is refused; empty if it is not.
std::string refusal(const std::string& file) {
  try {
    parse(file);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Npy, ReadsWhatNumpyWrites) {
  const std::string file = npy("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3, 4), }     \n", 48);
  const StoredTensor tensor = parse(file);
  EXPECT_EQ(tensor.dtype, DType::float16);
  EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{2, 3, 4}));
  EXPECT_EQ(tensor.num_tokens(), 6);
  EXPECT_EQ(tensor.hidden_size(), 4);
  EXPECT_EQ(tensor.bytes, 48u);
  EXPECT_EQ(tensor.offset, file.size() - 48);
}

TEST(Npy, ReadsEveryVersionTypeAndRank) {
  const std::string ten = "{'descr': '|i1', 'fortran_order': False, 'shape': (10,), }\n";
  for (const char major : {'\x01', '\x02', '\x03'}) {
    EXPECT_EQ(parse(npy(ten, 10, major)).hidden_size(), 10) << int{major};
  }
  const std::pair<const char*, DType> types[] = {{"<f2", DType::float16}, {"<f4", DType::float32},
                                                 {"<u2", DType::uint16},  {"|u1", DType::uint8},
                                                 {"|i1", DType::int8},    {"<i4", DType::int32}};
  for (const auto& [descr, dtype] : types) {
    const std::string dict = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (3,), }\n";
    EXPECT_EQ(parse(npy(dict, 3 * size_of(dtype))).dtype, dtype) << descr;
  }
  const StoredTensor scalar = parse(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", 4));
  EXPECT_EQ(scalar.num_tokens() * scalar.hidden_size(), 1);
  EXPECT_EQ(parse(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1073741824), }", 0)).bytes, 0u);
}

TEST(Npy, TakesTwoBytesWithoutATypeForBfloat16) {
  for (const char* descr : {"<V2", "|V2"}) {
    const std::string dict = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (3, 2), }\n";
    EXPECT_EQ(parse(npy(dict, 12)).dtype, DType::bfloat16);
  }
}

TEST(Npy, TellsFortranOrderWhereItMatters) {
  const auto order_of = [](const std::string& shape) {
    return parse(npy("{'descr': '|u1', 'fortran_order': True, 'shape': " + shape + "}", 6)).fortran_order;
  };
  EXPECT_TRUE(order_of("(2, 3)"));
  EXPECT_FALSE(order_of("(6,)"));
  EXPECT_FALSE(parse(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}", 6)).fortran_order);
}

TEST(Npy, TakesKeysInAnyOrderAndEitherQuote) {
  EXPECT_EQ(parse(npy(R"({"shape": (2, 5) , "descr":"|u1",'fortran_order': False})", 10)).num_tokens(), 2);
}

TEST(Npy, RefusesAFileCutAnywhere) {
  const std::string whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24);
  ASSERT_EQ(refusal(whole), "");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string message = refusal(whole.substr(0, length));
    EXPECT_NE(message, "") << length;
    EXPECT_TRUE(message.starts_with("'in.npy': ")) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  EXPECT_NE(refusal(whole + "x"), "");
}

struct BadHeader {
  const char* dict;
  std::size_t data_bytes;
  const char* says;  ///< part of the message
};

const BadHeader bad_headers[] = {
    {"", 8, "'{' expected"},
    {"{", 8, "expected"},
    {"{}", 8, "missing"},
    {"{'descr': '<f4', 'fortran_order': False, }", 8, "missing"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", 8, "unexpected or repeated key 'x'"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8, "repeated key 'descr'"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", 8, "neither True nor False"},
    {"{'descr': '<V1', 'fortran_order': False, 'shape': (8,)}", 8, "is that of fp8 codes, which are quantized already"},
    {"{'descr': '<f1', 'fortran_order': False, 'shape': (8,)}", 8, "is that of fp8 codes, which are quantized already"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", 8, "'<f8' is not supported"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 8, "'|O' is not supported"},
    {"{'descr': 'a\nb', 'fortran_order': False, 'shape': (1,)}", 8, "'a\\x0ab' is not supported"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", 8, "big-endian"},
    {"{'descr': '>', 'fortran_order': False, 'shape': (2,)}", 8, "big-endian"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", 8, "records"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': 2}", 8, "'(' expected"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2)}", 8, "not a tuple"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 1)}", 8, "not a tuple"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,,1)}", 8, "no dimension"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", 8, "no dimension"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8, "no dimension"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}", 8, "not a tuple"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,)}", 8, "not a tuple"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", 8, "no dimension"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807,)}", 8, "more than 2^63"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 8, "more than 2^63"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296)}", 0, "more than 2^63"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 8, "need 12 bytes, 8 are there"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 8, "need 4 bytes, 8 are there"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", 8, "text after"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", 8, "'}' expected"},
    {"{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}", 8, "expected"},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}", 8, "'}' expected"},
    {"{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (2,)}", 8, "escape"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': "
     "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
     "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2)}",
     8, "more than 64 dimensions"},
};

TEST(Npy, RefusesABadHeaderInOneLine) {
  for (const BadHeader& bad : bad_headers) {
    const std::string message = refusal(npy(bad.dict, bad.data_bytes));
    EXPECT_NE(message.find(bad.says), std::string::npos) << bad.dict << "\n" << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Npy, RefusesWhatIsNoNpyOfAKnownVersion) {
  EXPECT_NE(refusal("PK\x03\x04 an archive").find("is not a .npy file"), std::string::npos);
  const std::string dict = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}";
  EXPECT_NE(refusal(npy(dict, 1, 4)).find("version 4.0 is unknown"), std::string::npos);
  EXPECT_NE(refusal(npy(dict, 1, 0)).find("version 0.0 is unknown"), std::string::npos);
  std::string long_header = npy(dict, 1, 2);
  long_header[11] = '\x7f';  // two thousand million bytes of header
  EXPECT_NE(refusal(long_header).find("header of 2130706"), std::string::npos) << refusal(long_header);
}

TEST(Npy, WritesWhatItReads) {
  const ScratchFolder folder;
  const NpyArray array{DType::int32, {2, 2}, std::vector<std::byte>(16, std::byte{7})};
  write_npy(folder / "a.npy", array);
  const NpyArray again = read_npy(folder / "a.npy");
  EXPECT_EQ(again.dtype, array.dtype);
  EXPECT_EQ(again.shape, array.shape);
  EXPECT_EQ(again.bytes, array.bytes);
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{{}, {5}, {1, 2, 3}}) {
    const std::string header = npy_header(DType::uint8, shape);
    EXPECT_EQ(header.size() % 64, 0u);
    const std::uint64_t bytes = byte_count(shape, 1).value();
    EXPECT_EQ(parse_npy(bytes_of(header), header.size() + bytes, "x").shape, shape);
  }
}

TEST(Npy, RefusesPathsThatAreNoRegularFile) {
  const ScratchFolder folder;
  std::ofstream(folder / "empty.npy");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const std::pair<std::filesystem::path, const char*> cases[] = {
      {folder.path(), "is a folder"},          {folder / "missing.npy", "No such file"},
      {folder / "empty.npy", "is empty"},      {folder / "pipe", "not a regular file"},
      {"/dev/zero", "not a regular file"},     {"/dev/null", "not a regular file"},
      {folder / "empty.npy/x", "Not a direc"},
  };
  for (const auto& [path, says] : cases) {
    try {
      read_npy(path);
      ADD_FAILURE() << path << " was read";
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace kqbench
