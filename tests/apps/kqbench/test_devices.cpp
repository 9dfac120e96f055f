// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

/// The backend that is opened for plug-ins of these backends, where the options are `options`; "best" without a name.
std::string opened(const std::vector<std::string>& backends, const std::string& options = "") {
  CLI::App app;
  DeviceArguments arguments;
  arguments.add_to(app, Use::run, "kokkos");
  app.parse(options);
  std::vector<PluginKernel> plugins;
  for (const std::string& backend : backends) {
    plugins.push_back({{}, "libmine.so", "mine", "", backend, std::nullopt});
  }
  std::string name;
  const DeviceOpener open = [&](const std::optional<std::string>& backend, const DeviceOptions&) {
    name = backend.value_or("best");
    return std::unique_ptr<Device>();
  };
  open_by(open, arguments, {}, plugins);
  return name;
}

TEST(OpenBy, TakesTheBackendOfPluginsUnlessOneIsChosen) {
  EXPECT_EQ(opened({}), "best");
  EXPECT_EQ(opened({"host"}), "host");
  EXPECT_EQ(opened({"host", "host"}), "host");
  EXPECT_EQ(opened({"host", "cuda"}), "best") << "which one is meant is not known";
  EXPECT_EQ(opened({"host"}, "--backend cuda"), "cuda");
}

}  // namespace
}  // namespace kqbench
