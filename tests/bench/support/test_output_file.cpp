// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "bench/support/errors.hpp"
#include "bench/support/output_file.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/text.hpp"

namespace kqbench {
namespace {

using test::bytes_of;
using test::contents;

std::ptrdiff_t files_in(const ScratchFolder& folder) {
  return std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator());
}

TEST(OutputFile, AppearsWithCommitAndNotBefore) {
  const ScratchFolder folder;
  {
    OutputFile file(folder / "out");
    file.write_at(3, bytes_of("def"));
    file.write_at(0, bytes_of("abc"));
    EXPECT_FALSE(std::filesystem::exists(folder / "out"));
    file.commit();
    EXPECT_EQ(contents(folder / "out"), "abcdef");
  }
  EXPECT_EQ(files_in(folder), 1);
}

TEST(OutputFile, WithoutCommitLeavesEverythingAsItWas) {
  const ScratchFolder folder;
  std::ofstream(folder / "out") << "before";
  {
    OutputFile file(folder / "out");
    file.write_at(0, bytes_of("after"));
  }
  EXPECT_EQ(contents(folder / "out"), "before");
  EXPECT_EQ(files_in(folder), 1);
}

TEST(OutputFile, StoredIsNotYetThere) {
  const ScratchFolder folder;
  {
    OutputFile given_up(folder / "out");
    given_up.write_at(0, bytes_of("abc"));
    given_up.store();
    EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  }
  EXPECT_EQ(files_in(folder), 0);
  OutputFile file(folder / "out");
  file.write_at(0, bytes_of("abc"));
  file.store();
  file.commit();
  EXPECT_EQ(contents(folder / "out"), "abc");
  EXPECT_EQ(files_in(folder), 1);
}

TEST(OutputFile, WhatCannotGetItsNameLeavesNothing) {
  const ScratchFolder folder;
  {
    OutputFile file(folder / "out");
    file.write_at(0, bytes_of("abc"));
    std::filesystem::create_directory(folder / "out");
    EXPECT_THROW(file.commit(), SystemError);
  }
  EXPECT_EQ(files_in(folder), 1);
}

TEST(OutputFile, TakesTheLongestNameThereIs) {
  const ScratchFolder folder;
  const std::string name(255, 'n');
  OutputFile file(folder / name);
  file.commit();
  EXPECT_TRUE(std::filesystem::exists(folder / name));
  EXPECT_THROW(OutputFile(folder / (name + 'n')), UsageError);
}

TEST(OutputFile, ReplacesWhatALinkPointsToAndKeepsItsPermissions) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "data");
  std::ofstream(folder / "data/real") << "before";
  std::filesystem::permissions(folder / "data/real", std::filesystem::perms{0640});
  std::filesystem::create_symlink(folder / "data/real", folder / "link");
  OutputFile file(folder / "link");
  file.write_at(0, bytes_of("after"));
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(contents(folder / "data/real"), "after");
  EXPECT_EQ(std::filesystem::status(folder / "data/real").permissions(), std::filesystem::perms{0640});
}

TEST(OutputFile, ANewFileHasThePermissionsOfTheUsersMask) {
  const ScratchFolder folder;
  const mode_t before = ::umask(027);
  OutputFile file(folder / "out");
  ::umask(before);
  file.commit();
  EXPECT_EQ(std::filesystem::status(folder / "out").permissions(), std::filesystem::perms{0640});
}

TEST(OutputFile, RefusesPlacesWhereNoFileCanBe) {
  const ScratchFolder folder;
  EXPECT_THROW(OutputFile(folder.path()), UsageError);
  EXPECT_THROW(OutputFile(folder / "missing/out"), UsageError);
  EXPECT_THROW(OutputFile("/dev/full"), UsageError);
  EXPECT_THROW(OutputFile(""), UsageError);
  EXPECT_EQ(files_in(folder), 0);
}

TEST(OutputFile, SaysWhenItCannotBeWrittenAndLeavesNothing) {
  const ScratchFolder folder;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{16, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  {
    OutputFile file(folder / "out");
    EXPECT_THROW(file.write_at(0, bytes_of(std::string(100, 'x'))), SystemError);
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(files_in(folder), 0);
}

}  // namespace
}  // namespace kqbench
