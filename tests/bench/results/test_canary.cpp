// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/results/canary.hpp"
#include "bench/results/comparison.hpp"
#include "bench/results/report_page.hpp"
#include "bench/support/errors.hpp"
#include "tests/bench/results/sample_results.hpp"

namespace kqbench {
namespace {

NamedResult kqbench_file(const std::string& name, double kokkos) {
  NamedResult named{name, {}};
  named.result.context.device = "Some GPU";
  named.result.rows = {sample_row("kokkos", token_request(16, 4096), 2.0),
                       sample_row("kokkos", sample_canary().request, kokkos)};
  return named;
}

NamedResult peers_file(const std::string& name, std::vector<Canary> canary) {
  NamedResult named{name, {}};
  named.result.context.program = "kqbench peers";
  named.result.context.device = "Some GPU";
  named.result.context.canary = std::move(canary);
  named.result.rows = {sample_row("torch.eager", token_request(16, 4096), 3.0)};
  return named;
}

std::string objection(const std::vector<NamedResult>& files, std::size_t file = 1) {
  return canary_objection(files, file);
}

TEST(Canary, IsNotAskedOfKqbenchItself) {
  EXPECT_EQ(objection({kqbench_file("ours", 1.54)}, 0), "");
}

TEST(Canary, IsNotAskedOfAPluginsKernel) {
  NamedResult with_plugin = kqbench_file("ours", 1.54);
  with_plugin.result.rows.push_back(sample_row("mine", token_request(16, 4096), 3.0));
  EXPECT_NE(objection({with_plugin}, 0), "") << "not known to have been in kqbench's process";
  with_plugin.result.context.implementations["mine"] = "from ./libmine.so";
  EXPECT_EQ(objection({with_plugin}, 0), "");
  with_plugin.result.context.program = "kqbench peers";
  EXPECT_NE(objection({with_plugin}, 0), "");
}

TEST(Canary, IsAskedOfOtherProgramsAndOfPeers) {
  EXPECT_EQ(objection({peers_file("peers", {})}, 0),
            "it has other programs' times and no canary, a call of libkq that both programs time");
  NamedResult mixed = kqbench_file("ours", 1.54);
  mixed.result.rows.push_back(sample_row("vllm", token_request(16, 4096), 3.0));
  EXPECT_NE(objection({mixed}, 0), "") << "kqbench wrote it, a peer is in it";
  NamedResult own = peers_file("peers", {});
  own.result.rows = kqbench_file("ours", 1.54).result.rows;
  EXPECT_NE(objection({own}, 0), "") << "another program timed kqbench's implementations";
}

TEST(Canary, MayDifferByTwoPercent) {
  const auto with = [](double before, double after) {
    Canary canary = sample_canary(1.0);
    canary.median_us_before = before;
    canary.median_us_after = after;
    return objection({peers_file("peers", {canary})}, 0);
  };
  EXPECT_EQ(with(1.02, 0.98), "");
  EXPECT_EQ(with(1.0, 1.26),
            "its canary, static tensor fp8_e4m3fn from half, 1x4096, took 1.260 µs after the peers and 1.000 µs in "
            "kqbench, as the file says: +26.0 %, where 2 % is allowed");
  EXPECT_NE(with(0.97, 1.0).find("took 0.970 µs before the peers"), std::string::npos);
  EXPECT_NE(with(1.021, 1.0), "");
}

TEST(Canary, IsHeldAgainstKqbenchsRowOfTheSameWork) {
  const NamedResult peers = peers_file("peers", {sample_canary()});
  EXPECT_EQ(objection({kqbench_file("ours", 1.54), peers}), "");
  const std::string why = objection({kqbench_file("ours", 1.94), peers});
  EXPECT_NE(why.find("1.940 µs in 'ours' (A kokkos)"), std::string::npos) << why;

  NamedResult elsewhere = kqbench_file("ours", 1.94);
  elsewhere.result.context.device = "Other GPU";
  EXPECT_EQ(objection({elsewhere, peers}), "") << "another device";
  NamedResult hot = kqbench_file("ours", 1.94);
  hot.result.rows[1].cache = "hot";
  EXPECT_EQ(objection({hot, peers}), "") << "not the same work";
  hot = kqbench_file("ours", 1.94);
  hot.result.rows[1].request.num_tokens = 2;
  EXPECT_EQ(objection({hot, peers}), "");
  EXPECT_EQ(objection({peers_file("more", {sample_canary(1.94)}), peers}), "") << "no file of kqbench's";
}

TEST(Canary, WithoutATimeOfKqbenchsSaysNothing) {
  Canary canary = sample_canary();
  canary.kqbench_median_us.reset();
  const NamedResult peers = peers_file("peers", {canary});
  EXPECT_EQ(objection({peers}, 0),
            "its canary, static tensor fp8_e4m3fn from half, 1x4096, has no time of kqbench's to be held against");
  EXPECT_EQ(objection({kqbench_file("ours", 1.54), peers}), "");
  EXPECT_NE(objection({kqbench_file("ours", 1.94), peers}), "");
}

TEST(Canary, IsOfEachPeersOwnProcess) {
  Canary canary = sample_canary();
  canary.peer = "torch.eager";
  NamedResult peers = peers_file("peers", {canary});
  EXPECT_EQ(objection({peers}, 0), "");
  peers.result.rows.push_back(sample_row("vllm", token_request(16, 4096), 3.0));
  EXPECT_EQ(objection({peers}, 0), "it has times of 'vllm' and no canary beside them");
  canary.peer = "vllm";
  canary.median_us_after *= 1.1;
  peers.result.context.canary.push_back(canary);
  EXPECT_NE(objection({peers}, 0).find("its canary beside vllm, "), std::string::npos);
}

TEST(Canary, ThatIsWrongKeepsTimesFromBeingCompared) {
  const std::vector<NamedResult> files = {kqbench_file("ours", 1.54), peers_file("peers", {})};
  const auto refusal = [&](const ComparisonOptions& options) -> std::string {
    try {
      compare(files, options);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal({}),
            "'peers': its times are not comparable: it has other programs' times and no canary, a call of libkq that "
            "both programs time; measure it anew, or pass --ignore-canary");
  ComparisonOptions options;
  options.ignore_canary = true;
  ASSERT_EQ(compare(files, options).remarks.size(), 1u);
  EXPECT_NE(compare(files, options).remarks[0].find("'peers': its times are used though they may not be comparable"),
            std::string::npos);

  const std::vector<NamedResult> own = {kqbench_file("ours", 1.54), kqbench_file("then", 1.54), files[1]};
  options = {};
  options.impls = {"kokkos"};
  EXPECT_EQ(compare(own, options).rows.size(), 2u) << "no time of the peers' is used";
}

TEST(Canary, ThatIsWrongIsNoReport) {
  const std::vector<NamedResult> files = {kqbench_file("ours", 1.54), peers_file("peers", {})};
  EXPECT_THROW(report_markdown(files), UsageError);
  ComparisonOptions options;
  options.ignore_canary = true;
  const std::string page = report_markdown(files, options);
  const std::string said = "its times are used though they may not be comparable";
  EXPECT_NE(page.find(said), std::string::npos) << page;
  EXPECT_EQ(page.find(said), page.rfind(said)) << "once";
  EXPECT_NE(page.find("| dynamic token int8 | B torch.eager | A kokkos | 1 |"), std::string::npos) << page;
}

}  // namespace
}  // namespace kqbench
