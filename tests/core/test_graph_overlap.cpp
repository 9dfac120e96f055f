// SPDX-License-Identifier: Apache-2.0

// Which edges of a graph become programmatic. The graph's driver is tested on a device (tests/capi).

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kq/graph_overlap.hpp"

namespace kq {
namespace {

/// Nodes are the characters of a text; capital letters are kernels that wait. "Ab" is an edge from A to b, "Ab!" one
/// that is programmatic already.
std::vector<std::size_t> chosen(const std::vector<std::string>& texts) {
  static constexpr char nodes[128] = {};
  const auto node = [](char name) { return static_cast<const void*>(nodes + name); };
  std::vector<GraphEdge> edges;
  for (const std::string& text : texts) {
    edges.push_back({node(text[0]), node(text[1]), text.size() == 2});
  }
  return edges_to_overlap(edges, [](const void* of) {
    const auto name = static_cast<const char*>(of) - nodes;
    return name >= 'A' && name <= 'Z';
  });
}

using Indices = std::vector<std::size_t>;

TEST(GraphOverlap, takes_every_edge_of_a_chain_of_kernels_that_wait) {
  EXPECT_EQ(chosen({"AB", "BC", "CD"}), (Indices{0, 1, 2}));
  EXPECT_EQ(chosen({"CD", "AB", "BC"}), (Indices{0, 1, 2})) << "in any order";
  EXPECT_EQ(chosen({}), Indices{});
}

TEST(GraphOverlap, leaves_edges_from_and_to_other_nodes) {
  EXPECT_EQ(chosen({"Ab", "bC", "CD"}), Indices{2});
  EXPECT_EQ(chosen({"ab", "bc"}), Indices{});
}

TEST(GraphOverlap, leaves_forks_and_joins) {
  EXPECT_EQ(chosen({"AB", "AC"}), Indices{});
  EXPECT_EQ(chosen({"AC", "BC", "CD"}), Indices{2});
  EXPECT_EQ(chosen({"AB", "Ac"}), Indices{}) << "a copy beside the second kernel";
  EXPECT_EQ(chosen({"AB", "cB"}), Indices{}) << "a copy beside the first one";
}

TEST(GraphOverlap, leaves_edges_that_are_programmatic_already) {
  EXPECT_EQ(chosen({"AB!", "BC"}), Indices{1});
  EXPECT_EQ(chosen({"AC!", "BC"}), Indices{}) << "but counts them";
}

}  // namespace
}  // namespace kq
