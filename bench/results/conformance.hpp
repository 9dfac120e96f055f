// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What `kqbench verify --markdown` and `--json` write: which implementation gives the reference's bytes, dialect by
/// dialect and scheme by scheme. `kqbench report --conformance` reads it back.

#include <compare>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kq/request.hpp"

namespace kqbench {

/// What was tried of one implementation.
struct ConformanceCell {
  std::int64_t cases = 0;
  std::int64_t codes = 0;    ///< compared with the reference's
  std::int64_t wrong = 0;    ///< cases
  std::int64_t refused = 0;  ///< cases that it does not serve
};

struct ConformanceTable {
  struct Row {
    std::string dialect;  ///< "vllm-0.33.0"
    std::string scheme;   ///< "dynamic token asymmetric"
    std::string codes;    ///< their format
    std::string scales;   ///< theirs
    std::vector<ConformanceCell> cells;
  };

  std::string device;    ///< "NVIDIA H200 (sm_90), CUDA 13.0"
  bool complete = true;  ///< false: interrupted, not all cases were run
  std::vector<std::string> implementations;
  std::vector<Row> rows;  ///< each with a cell for every implementation

  std::string markdown() const;
  std::string json() const;
  /// A <table>, and a <p> before it that says where this was.
  void write_html(std::ostream& out) const;
};

/// The table in `text`. Throws UsageError, in one line that begins with `name`, if it is no JSON, none of these tables,
/// or not whole.
ConformanceTable parse_conformance(std::string_view text, const std::string& name);

/// Reads a file; also throws UsageError where it is missing, unreadable, no regular file or too large.
ConformanceTable read_conformance_file(const std::filesystem::path& path);

/// Collects a table: a row for each dialect, scheme, format and scale format that was met.
class Conformance {
 public:
  /// The columns, left to right.
  explicit Conformance(std::vector<std::string> implementations) : implementations_(std::move(implementations)) {}

  /// A case that an implementation of the columns was given. `codes` is how many were compared.
  void add(const kq::Request& request, const std::string& implementation, std::int64_t codes, bool right);
  /// One that it does not serve.
  void add_refused(const kq::Request& request, const std::string& implementation);

  ConformanceTable table(std::string device, bool complete) const;

 private:
  struct Key {
    kq::Dialect dialect;
    bool dynamic;
    kq::Granularity granularity;
    bool asymmetric;
    kq::Format format;
    kq::ScaleFormat scale_format;
    auto operator<=>(const Key&) const = default;
  };

  ConformanceCell& cell(const kq::Request& request, const std::string& implementation);

  std::vector<std::string> implementations_;
  std::map<Key, std::map<std::string, ConformanceCell>> rows_;
};

}  // namespace kqbench
