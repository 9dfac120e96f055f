// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The cases that engines were recorded at (tests/golden/engines/index.txt), as problems.

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "bench/measure/problem.hpp"

namespace kqbench::test {

struct RecordedCase {
  std::string name;       ///< "vllm-0.33.0/bfloat16_15x384/group128_fp8", and the scales' layout
  Problem problem;        ///< `expected` is what was recorded, scales and zero points converted to this project's types
  int differ = 0;         ///< codes that an approximate instruction of the engine's makes other than its dialect
  int scales_differ = 0;  ///< and scales
};

/// All of them. Throws where a file is missing or not as the index says. A case whose rows have a scale of the tensor
/// each is as many cases of one row.
std::vector<RecordedCase> recorded_cases();

/// What an engine's producer alone made of its sources.
struct RecordedOutput {
  std::string name;
  kq::Request request;  ///< has the producer; the quantizer is any
  HostTensors sources;
  std::vector<std::byte> output;        ///< of the request's element type
  std::vector<std::byte> residual_out;  ///< empty unless the producer has one
};
std::vector<RecordedOutput> recorded_outputs();

/// Every case that was recorded, and the names of the files of its outputs.
struct CaseFiles {
  std::string name;
  std::vector<std::string> files;
};
std::vector<CaseFiles> all_recorded();

/// The names of files that recorded_cases() and recorded_outputs() read.
std::set<std::string> files_that_tests_read();

/// How many codes and scales differ. Two NaN are equal: their signs and payloads are the processor's.
struct Differences {
  int codes = 0;
  int scales = 0;
  int zero_points = 0;
  int sums = 0;  ///< elements of residual_out
};
Differences count_differences(const kq::Request& request, const HostTensors& a, const HostTensors& b);

}  // namespace kqbench::test
