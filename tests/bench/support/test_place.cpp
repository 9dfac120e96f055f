// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "bench/support/errors.hpp"
#include "bench/support/place.hpp"

namespace kqbench {
namespace {

JobPlace place_in(const std::map<std::string, std::string>& variables) {
  return read_place([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

void expect_place(const JobPlace& place, const char* launcher, int rank, int size, int local_rank) {
  EXPECT_EQ(place.launcher, launcher);
  EXPECT_EQ(place.rank, rank);
  EXPECT_EQ(place.size, size);
  EXPECT_EQ(place.local_rank, local_rank);
}

TEST(JobPlace, IsAloneWithoutALauncher) {
  const JobPlace place = place_in({});
  EXPECT_EQ(place.launcher, "");
  EXPECT_EQ(place.rank, 0);
  EXPECT_EQ(place.size, 1);
  EXPECT_FALSE(place.local_rank);
  EXPECT_FALSE(place.host.empty());
  EXPECT_EQ(place.node, place.host);
}

TEST(JobPlace, IsWhatEachLauncherSays) {
  expect_place(place_in({{"RANK", "9"}, {"WORLD_SIZE", "16"}, {"LOCAL_RANK", "1"}}), "torchrun", 9, 16, 1);
  expect_place(
      place_in({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "2"}}),
      "Open MPI", 3, 4, 2);
  expect_place(place_in({{"PMI_RANK", "7"}, {"PMI_SIZE", "8"}, {"MPI_LOCALRANKID", "3"}}), "MPICH", 7, 8, 3);
  expect_place(place_in({{"FLUX_TASK_RANK", "5"}, {"FLUX_JOB_SIZE", "6"}, {"FLUX_TASK_LOCAL_ID", "0"}}), "Flux", 5, 6,
               0);
  const JobPlace slurm = place_in(
      {{"SLURM_PROCID", "12"}, {"SLURM_STEP_NUM_TASKS", "32"}, {"SLURM_LOCALID", "4"}, {"SLURMD_NODENAME", "gpu017"}});
  expect_place(slurm, "SLURM", 12, 32, 4);
  EXPECT_EQ(slurm.node, "gpu017");
  EXPECT_EQ(slurm.local_rank_name, "SLURM_LOCALID");
}

TEST(JobPlace, IsThatOfTheNearestLauncher) {
  expect_place(place_in({{"SLURM_PROCID", "0"},
                         {"SLURM_STEP_NUM_TASKS", "1"},
                         {"SLURM_LOCALID", "0"},
                         {"OMPI_COMM_WORLD_RANK", "3"},
                         {"OMPI_COMM_WORLD_SIZE", "4"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "3"}}),
               "Open MPI", 3, 4, 3);
}

TEST(JobPlace, TakesTheLocalRankFromWhoeverTellsIt) {
  expect_place(place_in({{"PMI_RANK", "5"},  // as SLURM sets them for MPICH
                         {"PMI_SIZE", "8"},
                         {"SLURM_PROCID", "5"},
                         {"SLURM_STEP_NUM_TASKS", "8"},
                         {"SLURM_LOCALID", "1"}}),
               "SLURM", 5, 8, 1);
  const JobPlace untold = place_in({{"PMI_RANK", "5"}, {"PMI_SIZE", "8"}});
  EXPECT_EQ(untold.rank, 5);
  EXPECT_FALSE(untold.local_rank);
}

TEST(JobPlace, OfABatchScriptIsAlone) {
  const JobPlace place = place_in({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}});
  EXPECT_EQ(place.launcher, "");
  EXPECT_EQ(place.size, 1);
}

TEST(JobPlace, IsNotTakenFromAVariableAlone) {
  EXPECT_EQ(place_in({{"RANK", "gold"}}).launcher, "");
  EXPECT_EQ(place_in({{"LOCAL_RANK", "none"}, {"WORLD_SIZE", "large"}}).launcher, "");
}

TEST(JobPlace, RefusesWhatIsNoRank) {
  EXPECT_THROW(place_in({{"PMI_RANK", "x"}, {"PMI_SIZE", "2"}}), UsageError);
  EXPECT_THROW(place_in({{"PMI_RANK", "-1"}, {"PMI_SIZE", "2"}}), UsageError);
  EXPECT_THROW(place_in({{"PMI_RANK", "2"}, {"PMI_SIZE", "2"}}), UsageError);
  EXPECT_THROW(place_in({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "one"}}), UsageError);
}

TEST(JobPlace, IsPutIntoNames) {
  JobPlace place;
  place.rank = 7;
  place.host = "gpu017";
  EXPECT_EQ(with_place("run-%h-%r.json", place), "run-gpu017-7.json");
  EXPECT_EQ(with_place("50%.json", place), "50%.json");
  EXPECT_EQ(with_place("%%r%", place), "%r%");
  EXPECT_EQ(with_place("%x%r%r", place), "%x77");
  EXPECT_TRUE(names_each_rank("run-%r.json"));
  EXPECT_FALSE(names_each_rank("run-%%r.json"));
  EXPECT_FALSE(names_each_rank("run-%h.json"));
}

}  // namespace
}  // namespace kqbench
