// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Tensors as kernels of groups take them: cut into pieces of rows, each of which has one scale, of its own or that of
/// its block. Where it is stored, scale_place() says.

#include <algorithm>
#include <cstdint>

#include "kq/quantize.hpp"
#include "kq/request.hpp"
#include "kq/scale_layout.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"
#include "slices.hpp"
#include "tuning.hpp"

namespace kq::detail {

/// Groups of `Size` elements that follow each other in memory, as do their scales. (The size is no member: host and
/// device compilers need not agree on where an empty one lies.)
template <class Element, class Code, std::int64_t Size>
struct FlatGroups : WholeSlices<Element, Code, Size> {
  KQ_HOST_DEVICE Span<const Element> input_group(std::int64_t id) const { return this->input_slice(id); }
  KQ_HOST_DEVICE Span<Code> codes_group(std::int64_t id) const { return this->codes_slice(id); }
  template <class Scales>
  KQ_HOST_DEVICE static typename Scales::Place scale_place(const Scales&, std::int64_t id) {
    return id;
  }
};

/// Groups of a size that is known at run time only: hosts take them so.
template <class Element, class Code>
struct FlatGroups<Element, Code, 0> {
  const Element* input;
  Code* codes;
  std::int64_t size;

  KQ_HOST_DEVICE Span<const Element> input_group(std::int64_t id) const { return {input + id * size, size}; }
  KQ_HOST_DEVICE Span<Code> codes_group(std::int64_t id) const { return {element_address(codes, id * size), size}; }
  template <class Scales>
  KQ_HOST_DEVICE static typename Scales::Place scale_place(const Scales&, std::int64_t id) {
    return id;
  }
};

/// Groups of separate tokens, those of a token one after the other.
template <class Element, class Code>
struct TokenGroups {
  Rows<const Element> input;
  Rows<Code> codes;
  std::int64_t size;
  std::int64_t per_token;
  std::int64_t rows_per_scale;  ///< more than 1: groups of so many consecutive tokens share a scale

  KQ_HOST_DEVICE std::int64_t token(std::int64_t id) const { return divide(id, per_token); }
  KQ_HOST_DEVICE std::int64_t group(std::int64_t id) const { return id - token(id) * per_token; }
  KQ_HOST_DEVICE Span<const Element> input_group(std::int64_t id) const {
    return input.slice(token(id), group(id) * size, size);
  }
  KQ_HOST_DEVICE Span<Code> codes_group(std::int64_t id) const {
    return codes.slice(token(id), group(id) * size, size);
  }
  template <class Scales>
  KQ_HOST_DEVICE typename Scales::Place scale_place(const Scales& scales, std::int64_t id) const {
    const std::int64_t row = rows_per_scale == 1 ? token(id) : divide(token(id), rows_per_scale);
    return scales.place(row, group(id));
  }
};

/// Calls function(Config{}, groups, number of groups, their size) for a request's groups. With `MayBeFlat`, they are
/// FlatGroups where they and their scales follow each other in memory.
template <class Element, class Code, bool MayBeFlat, class ExecutionSpace, class Function>
void with_groups(const ExecutionSpace& space, const Request& r, const Operands& b, const Function& function) {
  const std::int64_t per_token = groups_per_row(r);
  const std::int64_t count = r.num_tokens * per_token;
  const std::int64_t size = std::min(r.group_size, r.hidden_size);
  const bool flat =
      r.scale_layout == ScaleLayout::row && rows_per_scale(r) == 1 && is_flat(r) && r.hidden_size % size == 0;
  const bool aligned = is_aligned<Element>(r, b) && size % vector_width<Element> == 0;
  const auto input = input_rows<Element>(r, b);
  const auto codes = code_rows<Code>(r, b);
  if constexpr (MayBeFlat) {
    if (flat && with_flat_group_config<Element>(space, size, count, aligned, [&]<class Config>(Config config) {
          if constexpr (Config::whole) {
            using Groups = FlatGroups<Element, Code, Config::template capacity<Element>>;
            function(config, Groups{{input.data, codes.data}}, count, size);
          } else {
            function(config, FlatGroups<Element, Code, 0>{input.data, codes.data, size}, count, size);
          }
        })) {
      return;
    }
  }
  with_group_config<Element, ExecutionSpace>(size, aligned, [&](auto config) {
    function(config, TokenGroups<Element, Code>{input, codes, size, per_token, rows_per_scale(r)}, count, size);
  });
}

}  // namespace kq::detail
