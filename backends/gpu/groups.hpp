// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Tensors as kernels of groups take them: cut into pieces of rows, each of which has one scale, of its own or that of
/// its block.

#include <algorithm>
#include <cstdint>

#include "backends/backend.hpp"
#include "backends/gpu/choose.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/tile.hpp"
#include "kq/request.hpp"
#include "kq/scale_layout.hpp"

namespace kqbench::gpu {

/// A group in memory. `Size` counts elements.
template <class Size, class ScalePlace>
struct GroupPlace {
  std::int64_t input;  ///< elements from the tensor's first one
  std::int64_t codes;
  Size size;
  ScalePlace scale;
};

/// Groups of `Size` elements that follow each other in memory, as do their scales.
template <class Element, class Code, int Size>
struct FlatGroups {
  const Element* input;
  Code* codes;
  std::int64_t count;

  template <class Scales>
  KQ_HOST_DEVICE GroupPlace<int, typename Scales::Place> place(const Scales&, std::int64_t number) const {
    return {number * Size, number * Size, Size, number};
  }
  KQ_HOST_DEVICE const Element* first_input() const { return input; }
  KQ_HOST_DEVICE Code* first_code() const { return codes; }
};

/// Groups of separate rows, those of a row one after the other.
template <class Element, class Code>
struct RowGroups {
  Rows<Element, Code> rows;
  std::int64_t count;
  std::int64_t size;
  std::int64_t per_row;
  std::int64_t rows_per_scale;  ///< more than 1: groups of so many consecutive rows share a scale

  template <class Scales>
  KQ_HOST_DEVICE GroupPlace<std::int64_t, typename Scales::Place> place(const Scales& scales,
                                                                        std::int64_t number) const {
    const std::int64_t row = divide(number, per_row);
    const std::int64_t group = number - row * per_row;
    const std::int64_t begin = group * size;
    const std::int64_t left = rows.size - begin;
    const std::int64_t scale_row = rows_per_scale == 1 ? row : divide(row, rows_per_scale);
    return {row * rows.input_stride + begin, row * rows.codes_stride + begin, left < size ? left : size,
            scales.place(scale_row, group)};
  }
  KQ_HOST_DEVICE const Element* first_input() const { return rows.input; }
  KQ_HOST_DEVICE Code* first_code() const { return rows.codes; }
};

/// Calls function(Config{}, whether groups are known to begin and end at whole vectors, groups) for a request's groups.
/// With `MayBeFlat`, they are FlatGroups where they and their scales follow each other in memory.
template <class Element, class Code, bool MayBeFlat, class Function>
void with_groups(const kq::Request& r, const Operands& o, int multiprocessors, const Function& function) {
  const std::int64_t per_row = kq::groups_per_row(r);
  const std::int64_t count = r.num_tokens * per_row;
  const std::int64_t size = std::min(r.group_size, r.hidden_size);
  const std::int64_t vectors = size / vector_width<Element>;
  const std::int64_t rows_per_scale = kq::rows_per_scale(r);
  const auto rows = rows_of<Element, Code>(r, o);
  const bool aligned = is_aligned(rows) && size % vector_width<Element> == 0;
  const bool flat = aligned && r.scale_layout == kq::ScaleLayout::row && rows_per_scale == 1 && is_contiguous(r) &&
                    r.hidden_size % size == 0;
  if constexpr (MayBeFlat) {
    if (flat && with_flat_group_config(vectors, count, multiprocessors, [&](auto config) {
          constexpr int known_size = config.capacity * vector_width<Element>;
          function(config, Aligned(), FlatGroups<Element, Code, known_size>{rows.input, rows.codes, count});
        })) {
      return;
    }
  }
  with_group_config(vectors, aligned, [&](auto config, auto is_known_aligned) {
    const RowGroups<Element, Code> groups{rows, count, size, per_row, rows_per_scale};
    function(config, is_known_aligned, groups);
  });
}

}  // namespace kqbench::gpu
