// SPDX-License-Identifier: Apache-2.0

// The table of what is bit-exact.

#include <gtest/gtest.h>

#include "bench/results/conformance.hpp"

namespace kqbench {
namespace {

TEST(Conformance, IsATableOfSchemesAndImplementations) {
  kq::Request r;
  r.format = kq::Format::fp8_e4m3fn;
  r.granularity = kq::Granularity::group;
  r.group_size = 128;
  r.dialect = kq::Dialect::vllm_0_33_0;
  Conformance conformance({"kokkos", "native"});
  conformance.add(r, "kokkos", 100, true);
  conformance.add(r, "kokkos", 28, true);
  conformance.add(r, "native", 100, false);
  conformance.add(r, "native", 28, true);
  r.dialect = kq::Dialect::kqbench;
  r.group_size = 64;
  r.scale_format = kq::ScaleFormat::ue8m0;
  conformance.add(r, "kokkos", 7, true);
  conformance.add_refused(r, "kokkos");
  conformance.add_refused(r, "native");
  EXPECT_EQ(
      conformance.markdown(),
      "| dialect | scheme | codes | scales | kokkos | native |\n"
      "| --- | --- | --- | --- | --- | --- |\n"
      "| kqbench | dynamic group | fp8_e4m3fn | ue8m0 | exact: 1 cases, 7 codes, 1 not served | not served |\n"
      "| vllm-0.33.0 | dynamic group | fp8_e4m3fn | float | exact: 2 cases, 128 codes | **1 of 2 cases wrong** |\n");
}

}  // namespace
}  // namespace kqbench
