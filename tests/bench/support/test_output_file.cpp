// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

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

using Files = std::vector<std::unique_ptr<OutputFile>>;

Files files_with(const ScratchFolder& folder, const std::vector<std::string>& names, const std::string& text) {
  Files files;
  for (const std::string& name : names) {
    files.push_back(std::make_unique<OutputFile>(folder / name));
    files.back()->write_at(0, bytes_of(text));
  }
  return files;
}

TEST(OutputFile, SeveralAppearTogether) {
  const ScratchFolder folder;
  std::ofstream(folder / "b") << "before";
  const Files files = files_with(folder, {"a", "b", "c"}, "after");
  EXPECT_EQ(files_in(folder), 1);
  OutputFile::commit_all(files);
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(contents(folder / name), "after");
  }
  EXPECT_EQ(files_in(folder), 3);
}

/// The last of them finds its name taken by a folder: the others, the new one and the one that replaced a file, go
/// back.
TEST(OutputFile, OfSeveralAllAppearOrNone) {
  const ScratchFolder folder;
  std::ofstream(folder / "old") << "before";
  {
    const Files files = files_with(folder, {"new", "old", "last", "never"}, "after");
    std::filesystem::create_directory(folder / "last");
    EXPECT_THROW(OutputFile::commit_all(files), SystemError);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));
  EXPECT_EQ(contents(folder / "old"), "before");
  EXPECT_EQ(files_in(folder), 2);
}

/// Until it has its name a file has none: nothing is left of a program that is killed.
TEST(OutputFile, HasNoNameBefore) {
  const ScratchFolder folder;
  const int unnamed = ::open(folder.path().c_str(), O_TMPFILE | O_RDWR, 0600);
  if (unnamed < 0) GTEST_SKIP() << "this file system has no files without a name";
  ::close(unnamed);
  std::ofstream(folder / "old") << "before";
  const Files files = files_with(folder, {"new", "old"}, "after");
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
