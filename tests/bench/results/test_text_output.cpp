// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "bench/results/outputs.hpp"
#include "bench/results/text_output.hpp"
#include "bench/support/errors.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/text.hpp"

namespace kqbench {
namespace {

using test::contents;

TEST(TextOutput, AFileAppearsWhole) {
  const ScratchFolder folder;
  TextOutput output((folder / "out").native());
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  output.write("text\n");
  EXPECT_EQ(contents(folder / "out"), "text\n");
}

TEST(TextOutput, AFullDeviceIsASystemError) {
  TextOutput output("/dev/full");
  EXPECT_THROW(output.write("text"), SystemError);
}

TEST(TextOutput, PlacesThatCannotBeAreUsageErrorsAtOnce) {
  const ScratchFolder folder;
  EXPECT_THROW(TextOutput((folder / "missing/out").native()), UsageError);
  EXPECT_THROW(TextOutput(folder.path().native()), UsageError);
  EXPECT_THROW(TextOutput(""), UsageError);
}

TEST(TextOutput, APipeIsWrittenTo) {
  const ScratchFolder folder;
  const std::string path = (folder / "pipe").native();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  TextOutput(path).write("through");
  char text[16] = {};
  EXPECT_EQ(::read(reader, text, sizeof text), 7);
  EXPECT_STREQ(text, "through");
  ::close(reader);
}

TEST(ResultOutputs, WriteWhatWasAskedForAndNoMore) {
  const ScratchFolder folder;
  OutputArguments arguments;
  arguments.csv = (folder / "a.csv").native();
  ResultOutputs outputs(arguments);
  EXPECT_FALSE(outputs.use_stdout());
  bool called = false;
  const auto unwanted = [&] {
    called = true;
    return std::string();
  };
  outputs.write(
      unwanted, [] { return std::string("a,b\n"); }, unwanted);
  EXPECT_FALSE(called);
  EXPECT_EQ(contents(folder / "a.csv"), "a,b\n");
}

TEST(ResultOutputs, TwoFormatsInOnePlaceAreRefused) {
  OutputArguments arguments;
  arguments.json.emplace("-");
  EXPECT_TRUE(ResultOutputs(arguments).use_stdout());
  arguments.markdown.emplace("-");
  EXPECT_THROW(ResultOutputs{arguments}, UsageError);
}

TEST(ResultOutputs, ThatAreNotWrittenLeaveNothing) {
  const ScratchFolder folder;
  OutputArguments arguments;
  arguments.json = (folder / "a.json").native();
  { const ResultOutputs outputs(arguments); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace kqbench
