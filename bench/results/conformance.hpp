// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What `kqbench verify --markdown` writes: which implementation gives the reference's bytes, dialect by dialect and
/// scheme by scheme.

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kq/request.hpp"

namespace kqbench {

class Conformance {
 public:
  /// The columns, left to right.
  explicit Conformance(std::vector<std::string> implementations) : implementations_(std::move(implementations)) {}

  /// A case that an implementation of the columns was given. `codes` is how many were compared.
  void add(const kq::Request& request, const std::string& implementation, std::int64_t codes, bool right);
  /// One that it does not serve.
  void add_refused(const kq::Request& request, const std::string& implementation);

  /// A table: a row for each dialect, scheme, format and scale format that was met.
  std::string markdown() const;

 private:
  struct Row {
    kq::Dialect dialect;
    bool dynamic;
    kq::Granularity granularity;
    bool asymmetric;
    kq::Format format;
    kq::ScaleFormat scale_format;
    auto operator<=>(const Row&) const = default;
  };
  struct Cell {
    std::int64_t cases = 0;
    std::int64_t codes = 0;
    std::int64_t wrong = 0;
    std::int64_t refused = 0;
  };

  Cell& cell(const kq::Request& request, const std::string& implementation);

  std::vector<std::string> implementations_;
  std::map<Row, std::map<std::string, Cell>> rows_;
};

}  // namespace kqbench
