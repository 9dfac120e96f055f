// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "apps/kqbench/devices.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

JobPlace local_rank(int rank) {
  JobPlace place;
  place.local_rank = rank;
  place.local_rank_name = "SLURM_LOCALID";
  return place;
}

TEST(DeviceOfRank, IsThatOfItsLocalRank) {
  EXPECT_EQ(device_of_rank({}, "cuda", 4), 0) << "no launcher";
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(device_of_rank(local_rank(rank), "cuda", 4), rank);
  }
}

TEST(DeviceOfRank, IsTheOnlyOneThatTheLauncherShows) {
  EXPECT_EQ(device_of_rank(local_rank(3), "cuda", 1), 0);
  EXPECT_EQ(device_of_rank(local_rank(3), "cuda", 0), 0) << "that there is none is said by who opens it";
}

TEST(DeviceOfRank, IsNoneWhereRanksAreMoreThanDevices) {
  try {
    device_of_rank(local_rank(4), "cuda", 4);
    FAIL() << "got one";
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()),
              "--device: local rank 4 (SLURM_LOCALID) has no device of its own, cuda has 4; start no more ranks on a "
              "node, or give --device");
  }
}

}  // namespace
}  // namespace kqbench
