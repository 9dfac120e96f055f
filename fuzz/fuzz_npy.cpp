// SPDX-License-Identifier: Apache-2.0

// A .npy file of any contents is refused with one line, or is an array whose bytes are all there.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "bench/support/errors.hpp"
#include "bench/tensors/npy.hpp"
#include "fuzz/require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kqbench;
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  StoredTensor tensor;
  try {
    tensor = parse_npy(file, size, "'f'");
  } catch (const UsageError& error) {
    const std::string message = error.what();
    fuzz::require(message.starts_with("'f': ") && message.find('\n') == std::string::npos, "a message of one line");
    return 0;
  }
  fuzz::require(tensor.offset + tensor.bytes == size, "the data end with the file");
  fuzz::require(tensor.num_tokens() >= 0 && tensor.hidden_size() >= 0, "no size is negative");
  fuzz::require(!tensor.fortran_order || tensor.shape.size() > 1, "an order only where there are several dimensions");
  fuzz::require(byte_count(tensor.shape, size_of(tensor.dtype)) == tensor.bytes, "shape and bytes agree");

  const std::string header = npy_header(tensor.dtype, tensor.shape);
  const StoredTensor again =
      parse_npy(std::as_bytes(std::span(header)), header.size() + tensor.bytes, "what we wrote ourselves");
  // bfloat16 is written as NumPy's own uint16.
  const DType written = tensor.dtype == DType::bfloat16 ? DType::uint16 : tensor.dtype;
  fuzz::require(again.shape == tensor.shape && again.dtype == written, "what is written is read back");
  return 0;
}
