// SPDX-License-Identifier: Apache-2.0

// Trials on a device with a queue, a fake one: what a kernel there may not do, and what becomes of a device that is
// lost.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bench/measure/problem.hpp"
#include "bench/plugins/trial.hpp"
#include "bench/tensors/random.hpp"
#include "tests/bench/measure/fake_device.hpp"
#include "tests/plugin/program.hpp"

namespace kqbench::test {
namespace {

using fake::FakeDevice;

/// Fails for good once work that is not allowed has been put on it.
class FragileDevice : public FakeDevice {
 public:
  void synchronize() override {
    if (is_lost) throw DeviceError("an illegal address was encountered");
  }
  std::size_t count_overlapping(const std::function<void()>& enqueue_work, bool overlapped) override {
    recorded = 0;
    overlapped ? record_overlapped(enqueue_work) : record(enqueue_work);
    const std::size_t launches = recorded;
    return starts_early || (overlapped && is_marked) ? launches - 1 : 0;
  }
  void enqueue_late_copy(void* to, const void* from, std::size_t bytes) override {
    if (waits) copy_on_device(to, from, bytes);  // for one that does not wait it comes too late
  }

  bool is_lost = false;
  bool starts_early = false;  ///< its launches start early, however they are recorded
  bool is_marked = false;     ///< its launches start early where they are recorded so
  bool waits = false;
  std::size_t recorded = 0;  ///< launches
};

// A kernel is a C function and knows nothing of the test but this.
FragileDevice* device = nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
int calls = 0;                    // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void write(const kq_request& r, const kq_buffers& b) {
  std::memset(b.codes, 1, static_cast<std::size_t>(r.num_tokens * r.hidden_size));
}

const char* on_its_stream(const kq_request* r, const kq_buffers* b, void* /*stream*/) {
  device->enqueue([r = *r, b = *b] { write(r, b); });
  return nullptr;
}

const char* on_another_stream(const kq_request* r, const kq_buffers* b, void* /*stream*/) {
  write(*r, *b);
  return nullptr;
}

const char* synchronizing(const kq_request* r, const kq_buffers* b, void* stream) {
  if (++calls > 2) return "operation not permitted when stream is capturing";
  return on_its_stream(r, b, stream);
}

const char* faulting(const kq_request* r, const kq_buffers* b, void* stream) {
  device->is_lost = r->num_tokens == 1;
  return on_its_stream(r, b, stream);
}

const char* crashing(const kq_request* /*r*/, const kq_buffers* /*b*/, void* /*stream*/) {
  std::abort();
}

/// Of which the device knows how many there were, and whose outputs depend on the input.
const char* counted(const kq_request* r, const kq_buffers* b, void* /*stream*/) {
  ++device->recorded;
  device->enqueue([r = *r, b = *b] {
    const auto first = std::to_integer<int>(static_cast<const std::byte*>(b.input)[0]);
    std::memset(b.codes, first, static_cast<std::size_t>(r.num_tokens * r.hidden_size));
  });
  return nullptr;
}

constexpr std::size_t cases = 12;

/// What a device does with the launches of a kernel that are to follow each other.
struct InARow {
  std::optional<Launch> launch = std::nullopt;
  bool says_that_it_waits = false;
  bool starts_early = false;
  bool is_marked = false;
  bool waits = false;
};

/// Trials of twelve requests, of 1, 2, … tokens.
Trials tried(const char* (*enqueue)(const kq_request*, const kq_buffers*, void*), const InARow& in_a_row = {}) {
  PluginKernel kernel;
  kernel.c = KQ_PLUGIN_INIT;
  kernel.c.enqueue = enqueue;
  kernel.c.waits_for_prerequisites = in_a_row.says_that_it_waits ? 1 : 0;
  kernel.name = "mine";
  kernel.backend = "fake";
  TrialCases all;
  for (std::size_t i = 0; i < cases; ++i) {
    kq::Request request;
    request.granularity = kq::Granularity::token;
    request.num_tokens = static_cast<std::int64_t>(i) + 1;
    request.hidden_size = 64;
    all.cases.push_back({request, false});
  }
  all.given = [&](std::size_t i) {
    const kq::Request request = kq::resolved(all.cases[i].request);
    HostTensors sources;
    sources.input = make_input(request, 7);
    return make_given(request, std::move(sources), {});
  };
  all.launch = in_a_row.launch;
  calls = 0;
  const auto open = [&in_a_row] {
    auto opened = std::make_unique<FragileDevice>();
    device = opened.get();
    device->overlaps = true;
    device->starts_early = in_a_row.starts_early;
    device->is_marked = in_a_row.is_marked;
    device->waits = in_a_row.waits;
    return std::unique_ptr<Device>(std::move(opened));
  };
  return try_out({kernel}, open, all, false);
}

std::string failure(const Trials& trials, std::size_t index) {
  return trials.failure("mine", index).value_or("");
}

TEST(Trial, OfARightKernelFindsNothing) {
  const Trials trials = tried(on_its_stream);
  for (std::size_t i = 0; i < cases; ++i) {
    EXPECT_EQ(failure(trials, i), "");
  }
}

TEST(Trial, FindsWorkOnAnotherStream) {
  const Trials trials = tried(on_another_stream);
  EXPECT_TRUE(contains(failure(trials, 0), "it put nothing on the stream that it was given")) << failure(trials, 0);
  EXPECT_NE(failure(trials, cases - 1), "");
}

TEST(Trial, FindsWhatCannotBeRecorded) {
  const std::string said = failure(tried(synchronizing), 0);
  EXPECT_TRUE(contains(said, "its launch cannot be recorded: it synchronizes")) << said;
  EXPECT_TRUE(contains(said, "operation not permitted when stream is capturing")) << said;
}

TEST(Trial, GoesOnWithAnotherDeviceAfterOneIsLost) {
  const Trials trials = tried(faulting);
  EXPECT_EQ(failure(trials, 0), "an illegal address was encountered");
  for (std::size_t i = 1; i < cases; ++i) {
    EXPECT_EQ(failure(trials, i), "");
  }
}

TEST(Trial, EndsAfterTenCrashes) {
  const Trials trials = tried(crashing);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(failure(trials, i), "it crashed: SIGABRT");
  }
  EXPECT_EQ(failure(trials, 10), "not tried: it crashed in 10 cases before");
  EXPECT_EQ(failure(trials, cases - 1), "not tried: it crashed in 10 cases before");
}

TEST(Trial, OfPlainLaunchesFindsThatTheyOverlap) {
  EXPECT_EQ(failure(tried(counted, {.launch = Launch::plain}), 0), "");
  EXPECT_EQ(failure(tried(counted, {.launch = Launch::plain, .is_marked = true}), 0), "");
  const InARow early{.launch = Launch::plain, .starts_early = true};
  const std::string said = failure(tried(counted, early), 0);
  EXPECT_TRUE(contains(said, "its launches start before the end of the one in front")) << said;
  EXPECT_EQ(failure(tried(counted, {.starts_early = true}), 0), "") << "where nobody asks how they follow each other";
}

TEST(Trial, OfOverlappedLaunchesFindsThatTheyDoNotOverlap) {
  InARow row{.launch = Launch::overlapped, .says_that_it_waits = true, .waits = true};
  const std::string said = failure(tried(counted, row), 0);
  EXPECT_TRUE(contains(said, "its launches do not overlap: there is no WaitsForPrerequisites in")) << said;
  row.is_marked = true;
  EXPECT_EQ(failure(tried(counted, row), 0), "");
  row.says_that_it_waits = row.is_marked = false;
  EXPECT_EQ(failure(tried(counted, row), 0), "") << "the run refuses it";
}

TEST(Trial, OfOverlappedLaunchesFindsThatTheyDoNotWait) {
  const InARow row{.launch = Launch::overlapped, .says_that_it_waits = true, .is_marked = true, .waits = false};
  const std::string said = failure(tried(counted, row), 0);
  EXPECT_TRUE(contains(said, "it does not wait: it reads its input before the launch in front of it")) << said;
}

TEST(Trial, TriesNothingWhereTheDeviceCannotBeOpened) {
  PluginKernel kernel;
  kernel.c = KQ_PLUGIN_INIT;
  kernel.c.enqueue = crashing;
  kernel.name = "mine";
  kernel.backend = "fake";
  const TrialCases one{{{{}, false}}, [](std::size_t) { return HostTensors(); }};
  const auto open = []() -> std::unique_ptr<Device> { throw DeviceError("no device"); };
  EXPECT_FALSE(try_out({kernel}, open, one, false).failure("mine", 0));
}

}  // namespace
}  // namespace kqbench::test
