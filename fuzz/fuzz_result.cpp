// SPDX-License-Identifier: Apache-2.0

// A result file of any contents is refused with one line, or is read, and then what is written of it reads the same.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "bench/results/json_reader.hpp"
#include "bench/results/json_writer.hpp"
#include "bench/support/errors.hpp"
#include "fuzz/require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kqbench;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ResultFile result;
  try {
    result = parse_result(text, "'f'");
  } catch (const UsageError& error) {
    const std::string message = error.what();
    fuzz::require(message.starts_with("'f': ") && message.find('\n') == std::string::npos, "a message of one line");
    return 0;
  }
  const std::string written = to_json(result);
  fuzz::require(to_json(parse_result(written, "what we wrote ourselves")) == written, "what is written is read back");
  return 0;
}
