// SPDX-License-Identifier: Apache-2.0
//
// Counts what the readers allocate, by replacing the operators of this whole program.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "bench/results/json_reader.hpp"
#include "bench/results/json_writer.hpp"
#include "bench/support/errors.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/safetensors.hpp"
#include "bench/tensors/safetensors_index.hpp"
#include "tests/bench/results/sample_results.hpp"

namespace {

std::atomic<std::size_t> held{0};
std::atomic<std::size_t> most_held{0};

}  // namespace

void* operator new(std::size_t size) {
  void* const address = std::malloc(size);
  if (address == nullptr) throw std::bad_alloc();
  const std::size_t now = held += malloc_usable_size(address);
  most_held = std::max(most_held.load(), now);
  return address;
}

void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept try {
  return operator new(size);
} catch (const std::bad_alloc&) {
  return nullptr;
}

void operator delete(void* address) noexcept {
  if (address != nullptr) held -= malloc_usable_size(address);
  std::free(address);
}

void operator delete(void* address, std::size_t /*size*/) noexcept {
  operator delete(address);
}

namespace kqbench {
namespace {

/// Bytes allocated at the most while `read` reads something, or refuses it.
template <class Read>
std::size_t bytes_while(const Read& read) {
  const std::size_t before = held;
  most_held = before;
  try {
    read();
  } catch (const UsageError&) {
  }
  return most_held - before;
}

std::size_t bytes_for(const std::string& text) {
  return bytes_while([&] { parse_result(text, "it"); });
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) {
    all += text;
  }
  return all;
}

constexpr std::size_t times = 100000;
constexpr std::size_t small_multiple = 16;
constexpr std::size_t small_change = 65536;  // whatever the text's length

TEST(ResultReaderMemory, IsASmallMultipleOfTheText) {
  const std::string head = R"({"schema": "kqbench/1", )";
  const std::string sample = to_json(sample_result());
  const std::string row =
      sample.substr(sample.find("{\"impl\""), sample.find("\n", sample.find("{\"impl\"")) - sample.find("{\"impl\""));
  const std::string texts[] = {
      sample,
      head + R"("rows": [)" + repeated(row, 1000),
      head + R"("rows": [{"time_us": {"samples": [)" + repeated("1,", times),
      head + R"("rows": [)" + repeated("{},", times),
      head + R"("x": [)" + repeated("0,", times) + "0",
      head + R"("x": [)" + repeated("[],", times) + "0",
      head + R"("x": [)" + repeated("{},", times) + "0",
      head + R"("x": )" + repeated("[", times),
      head + R"("x": ")" + repeated("a", times),
      head + R"("x": {)" + repeated(R"("":0,)", times),
      head + R"("setting": {"device": ")" + repeated("\\u0041", times) + "\"",
      head + R"("setting": {"libraries": {)" + repeated(R"("a":"b",)", times),
      head + "\"" + repeated("k", times),
      head + R"("complete": )" + repeated("1", times),
  };
  for (const std::string& text : texts) {
    EXPECT_LE(bytes_for(text), small_multiple * text.size() + small_change) << text.substr(0, 80);
  }
}

TEST(TensorReaderMemory, IsASmallMultipleOfTheHeader) {
  std::string empty_tensors = "{";
  for (int i = 0; i < 20000; ++i) {
    empty_tensors += fmt::format(R"("{}":{{"dtype":"F16","shape":[0],"data_offsets":[0,0]}},)", i);
  }
  empty_tensors.back() = '}';
  const std::string texts[] = {
      empty_tensors,
      R"({"__metadata__":{)" + repeated(R"("":"",)", times),
      R"({"__metadata__":{"":")" + repeated("a", times),
      R"({"a":{"dtype":"F16","shape":[)" + repeated("1,", times),
      R"({"a":{"dtype":"F16","shape":)" + repeated("[", times),
      R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[)" + repeated("0,", times),
      R"({"a":)" + repeated("{\"b\":", times),
      "{\"" + repeated("k", times),
  };
  for (const std::string& text : texts) {
    const auto header = std::as_bytes(std::span(text));
    EXPECT_LE(bytes_while([&] { parse_safetensors(header, 8 + header.size(), "it"); }),
              small_multiple * text.size() + small_change)
        << text.substr(0, 80);
  }
  // An index is the same kind of text; what it has beside its weight map is skipped.
  const std::string indices[] = {
      R"({"metadata":)" + repeated("[", times),   R"({"metadata":)" + repeated("{\"a\":", times),
      R"({"weight_map":)" + repeated("[", times), R"({"weight_map":{"a":)" + repeated("{\"b\":", times),
      R"({"metadata":[)" + repeated("0,", times),
  };
  for (const std::string& text : indices) {
    EXPECT_LE(bytes_while([&] { parse_safetensors_index(text, "it"); }), small_multiple * text.size() + small_change)
        << text.substr(0, 80);
  }
  const auto read_all = [&] {
    EXPECT_EQ(parse_safetensors(std::as_bytes(std::span(empty_tensors)), 8 + empty_tensors.size(), "it").tensors.size(),
              20000u);
  };
  EXPECT_GT(bytes_while(read_all), empty_tensors.size() / 4) << "is not counted";

  const std::string npy = npy_header(DType::float32, std::vector<std::int64_t>(64, 1 << 20));
  EXPECT_LE(bytes_while([&] { parse_npy(std::as_bytes(std::span(npy)), npy.size(), "it"); }),
            small_multiple * npy.size() + small_change);
}

TEST(ResultReaderMemory, IsCounted) {
  // Else the test above could not fail.
  const std::string text = to_json(sample_result());
  EXPECT_GT(bytes_for(text), text.size() / 4);
}

}  // namespace
}  // namespace kqbench
