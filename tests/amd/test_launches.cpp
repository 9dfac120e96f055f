// SPDX-License-Identifier: Apache-2.0

// Groups of waves: who waits for whom, who takes turns, who jumps where, and what is an error.

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "tests/amd/assembled.hpp"

namespace kqbench::amd {
namespace {

Grid grid_of(std::uint32_t groups, std::uint32_t threads, bool together = false) {
  Grid grid;
  grid.groups[0] = groups;
  grid.threads[0] = threads;
  grid.together = together;
  return grid;
}

Options in_order(bool backward) {
  Options options;
  options.backward = backward;
  return options;
}

/// The message of the error that a launch ends with; empty if it does not.
std::string error_of(const Assembled& kernel, const Grid& grid, std::vector<std::uint32_t>& words, bool backward) {
  try {
    launch(kernel, grid, words, in_order(backward));
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Each thread tells that of the other wave its number through LDS.
Assembled exchange_between_waves(const std::string& target, bool with_barrier) {
  Assembled kernel;
  kernel.target = target;
  kernel.shared_bytes = 512;
  if (target == "gfx942") {
    kernel.lines = {"s_load_dwordx2 s[4:5], s[0:1], 0x0", "v_lshlrev_b32_e32 v1, 2, v0", "ds_write_b32 v1, v0",
                    "s_waitcnt lgkmcnt(0)"};
    if (with_barrier) kernel.lines.emplace_back("s_barrier");
    kernel.lines.insert(kernel.lines.end(), {"v_xor_b32_e32 v2, 0x100, v1", "ds_read_b32 v3, v2",
                                             "global_store_dword v1, v3, s[4:5]", "s_endpgm"});
  } else {
    kernel.lines = {"s_load_b64 s[4:5], s[0:1], 0x0", "v_lshlrev_b32_e32 v1, 2, v0", "ds_store_b32 v1, v0",
                    "s_wait_dscnt 0x0"};
    if (with_barrier) kernel.lines.insert(kernel.lines.end(), {"s_barrier_signal -1", "s_barrier_wait -1"});
    kernel.lines.insert(kernel.lines.end(), {"v_xor_b32_e32 v2, 0x80, v1", "ds_load_b32 v3, v2",
                                             "global_store_b32 v1, v3, s[4:5]", "s_endpgm"});
  }
  return kernel;
}

TEST(AmdLaunches, WavesOf64And32WaitAtBarriers) {
  for (const bool backward : {false, true}) {
    std::vector<std::uint32_t> words(128);
    const Counts counts = launch(exchange_between_waves("gfx942", true), grid_of(1, 128), words, in_order(backward));
    EXPECT_EQ(words[3], 67U);
    EXPECT_EQ(words[127], 63U);
    EXPECT_EQ(counts.waves, 2);
    EXPECT_EQ(counts.instructions, 18);
    words.assign(64, 0);
    EXPECT_EQ(launch(exchange_between_waves("gfx1201", true), grid_of(1, 64), words, in_order(backward)).waves, 2);
    EXPECT_EQ(words[3], 35U);
    EXPECT_EQ(words[63], 31U);
  }
}

TEST(AmdLaunches, ABarrierThatIsMissingIsSeenInEitherOrder) {
  for (const bool backward : {false, true}) {
    std::vector<std::uint32_t> words(128);
    EXPECT_TRUE(
        contains(error_of(exchange_between_waves("gfx942", false), grid_of(1, 128), words, backward), "never written"));
    EXPECT_TRUE(
        contains(error_of(exchange_between_waves("gfx1201", false), grid_of(1, 64), words, backward), "never written"));
  }
}

TEST(AmdLaunches, ABarrierThatNotAllWavesComeToIsAnError) {
  Assembled kernel;
  kernel.lines = {
      "v_readfirstlane_b32 s4, v0", "s_cmp_eq_u32 s4, 0", "s_cbranch_scc1 end", "s_barrier", "end:", "s_endpgm"};
  std::vector<std::uint32_t> words(1);
  for (const bool backward : {false, true}) {
    EXPECT_EQ(error_of(kernel, grid_of(1, 64), words, backward), "");
    EXPECT_TRUE(contains(error_of(kernel, grid_of(1, 128), words, backward), "a barrier that not all waves come to"));
  }
}

TEST(AmdLaunches, LanesLeaveALoopOneAfterTheOther) {
  Assembled kernel;
  kernel.lines = {"s_load_dwordx2 s[4:5], s[0:1], 0x0",
                  "v_mov_b32_e32 v1, 0",
                  "s_mov_b64 s[6:7], 0",
                  "loop:",
                  "v_add_u32_e32 v1, 1, v1",
                  "v_cmp_ge_u32_e32 vcc, v1, v0",
                  "s_or_b64 s[6:7], vcc, s[6:7]",
                  "s_andn2_b64 exec, exec, s[6:7]",
                  "s_cbranch_execnz loop",
                  "s_or_b64 exec, exec, s[6:7]",
                  "v_cmp_lt_u32_e32 vcc, 99, v0",  // in no lane
                  "s_and_saveexec_b64 s[8:9], vcc",
                  "s_cbranch_execz end",
                  "v_mov_b32_e32 v1, 0",
                  "end:",
                  "s_or_b64 exec, exec, s[8:9]",
                  "v_lshlrev_b32_e32 v2, 2, v0",
                  "global_store_dword v2, v1, s[4:5]",
                  "s_endpgm"};
  std::vector<std::uint32_t> words(64);
  launch(kernel, grid_of(1, 64), words);
  std::vector<std::uint32_t> expected(64);
  std::iota(expected.begin(), expected.end(), 0U);
  expected[0] = 1;
  EXPECT_EQ(words, expected);
}

/// Each of two groups says that it has come, and waits for the other.
TEST(AmdLaunches, GroupsThatWaitForEachOtherTakeTurns) {
  Assembled kernel;
  kernel.lines = {"s_load_dwordx2 s[4:5], s[0:1], 0x0",
                  "s_lshl_b32 s6, s2, 2",
                  "v_mov_b32_e32 v1, s6",
                  "v_xor_b32_e32 v2, 4, v1",
                  "v_mov_b32_e32 v3, 1",
                  "global_store_dword v1, v3, s[4:5]",
                  "loop:",
                  "global_load_dword v4, v2, s[4:5]",
                  "v_readfirstlane_b32 s7, v4",
                  "s_cmp_eq_u32 s7, 0",
                  "s_cbranch_scc1 loop",
                  "global_store_dword v1, v3, s[4:5] offset:8",
                  "s_endpgm"};
  for (const bool backward : {false, true}) {
    std::vector<std::uint32_t> words(4);
    EXPECT_EQ(error_of(kernel, grid_of(2, 64, true), words, backward), "");
    EXPECT_EQ(words, (std::vector<std::uint32_t>{1, 1, 1, 1}));
    words.assign(4, 0);
    EXPECT_TRUE(contains(error_of(kernel, grid_of(2, 64, false), words, backward), "it does not end"));
  }
}

TEST(AmdLaunches, ConstantsBesideTheCodeAreFoundByItsAddress) {
  Assembled kernel;
  kernel.data = {0xc0ffee};
  // The program counter is behind s_getpc_b64, which is the first instruction.
  kernel.lines = {"s_getpc_b64 s[6:7]",
                  "s_sub_u32 s6, s6, " + std::to_string(assembled_entry + 4 - assembled_data),
                  "s_subb_u32 s7, s7, 0",
                  "s_load_dword s8, s[6:7], 0x0",
                  "s_load_dwordx2 s[4:5], s[0:1], 0x0",
                  "v_mov_b32_e32 v1, s8",
                  "v_mov_b32_e32 v2, 0",
                  "global_store_dword v2, v1, s[4:5]",
                  "s_endpgm"};
  std::vector<std::uint32_t> words(1);
  launch(kernel, grid_of(1, 1), words);
  EXPECT_EQ(words[0], 0xc0ffeeU);
}

TEST(AmdLaunches, WhatIsBehindAnAllocationIsNotTouched) {
  Assembled kernel;
  kernel.lines = {"s_load_dwordx2 s[4:5], s[0:1], 0x0", "v_lshlrev_b32_e32 v1, 2, v0",
                  "global_store_dword v1, v0, s[4:5]", "s_endpgm"};
  std::vector<std::uint32_t> words(63);
  EXPECT_EQ(error_of(kernel, grid_of(1, 63), words, false), "");
  EXPECT_TRUE(contains(error_of(kernel, grid_of(1, 64), words, false), "behind"));
}

TEST(AmdLaunches, EachWaveBeginsInTheModeNamedIeee) {
  Assembled kernel;
  kernel.lines = {"s_load_dwordx2 s[4:5], s[0:1], 0x0",
                  "s_lshl_b32 s6, s2, 2",
                  "v_mov_b32_e32 v1, s6",
                  "global_load_dword v2, v1, s[4:5]",
                  "v_max_f32_e32 v2, 2.0, v2",
                  "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 9, 1), 0",
                  "global_store_dword v1, v2, s[4:5]",
                  "s_endpgm"};
  std::vector<std::uint32_t> words(2, 0x7f800001U);
  launch(kernel, grid_of(2, 1), words);
  EXPECT_EQ(words, (std::vector<std::uint32_t>{0x7fc00001U, 0x7fc00001U}));
}

TEST(AmdLaunches, AnotherTreatmentOfSubnormalNumbersIsRefused) {
  Assembled kernel;
  kernel.lines = {"s_endpgm"};
  EXPECT_NO_THROW(program_of(kernel));
  kernel.float_mode = 0xc0;  // flushes those of float
  EXPECT_THROW(program_of(kernel), std::runtime_error);
  kernel.float_mode = 0xf1;  // rounds upwards
  EXPECT_THROW(program_of(kernel), std::runtime_error);
}

}  // namespace
}  // namespace kqbench::amd
