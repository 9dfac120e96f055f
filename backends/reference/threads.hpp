// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How the reference shares its rows out.

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#include "kq/request.hpp"

namespace kqbench::reference_detail {

/// Of at most `most` threads, as many as have work for longer than it takes to start one.
inline int useful_threads(int most, const kq::Request& request) {
  constexpr std::int64_t elements_each = 2048;
  return static_cast<int>(std::min<std::int64_t>(most, 1 + request.num_tokens * request.hidden_size / elements_each));
}

/// work(row) for every row, shared out to at most `most_threads` threads.
template <class Work>
void for_each_row(int most_threads, std::int64_t rows, const Work& work) {
  const auto threads = std::clamp<std::int64_t>(most_threads, 1, rows);
  const auto run = [&](std::int64_t first) {
    for (std::int64_t row = first; row < rows; row += threads) {
      work(row);
    }
  };
  std::vector<std::jthread> others;
  for (std::int64_t thread = 1; thread < threads; ++thread) {
    others.emplace_back(run, thread);
  }
  run(0);
}

}  // namespace kqbench::reference_detail
