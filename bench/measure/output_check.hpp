// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Truth: the bytes an implementation left behind, held against those it had to leave, the ones around them included.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/tensor_layout.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// Where the outputs of one launch lie in a block of memory, and how they are filled beforehand: each tensor that is
/// written is followed by at least 64 bytes that nothing may write.
class OutputLayout : public TensorLayout {
 public:
  /// The request is resolved. Matrices begin `shift` bytes after an aligned address.
  explicit OutputLayout(const kq::Request& request, std::size_t shift = 0);

  /// The block as it must be after a launch if every byte was `poison` before: the expected outputs, and poison in
  /// between (gaps between rows, guards).
  std::vector<std::byte> image(const HostTensors& expected, std::byte poison) const;

  /// What a byte of the block is: "codes[token 3, channel 17]", "scales[5]", "the guard after the scales".
  std::string describe(std::size_t offset) const;

  /// The number that a byte belongs to, as the offset of its first byte and its bytes; a byte by itself in a guard.
  struct Number {
    std::size_t offset;
    std::size_t bytes;
  };
  Number number_at(std::size_t offset) const;

 private:
  const Part& part_at(std::size_t offset) const;  ///< the last that begins there or before, else the first
};

/// The first wrong byte, and how many there are.
struct Mismatch {
  std::int64_t copy = 0;  ///< of those an implementation works on in turn
  std::string where;      ///< OutputLayout::describe
  std::string expected;   ///< hexadecimal: a code, a scale, a zero point
  std::string found;
  bool untouched = false;       ///< still poison: never written
  std::size_t wrong_bytes = 0;  ///< in that copy
  std::size_t bytes = 0;        ///< compared in that copy
  std::size_t agreeing = 0;     ///< implementations that left the same bytes, if those are all that were compared

  /// "codes[token 3, channel 17] is 0x7f and must be 0x7e; 12 of 8192 bytes of copy 0 are wrong", and where all
  /// implementations agree, that the reference may be what is wrong.
  std::string message() const;
};

/// Nothing if `found` equals `image`.
std::optional<Mismatch> compare(const OutputLayout& layout, std::span<const std::byte> image,
                                std::span<const std::byte> found, std::byte poison);

}  // namespace kqbench
