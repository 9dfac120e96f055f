// SPDX-License-Identifier: Apache-2.0

// A thousand short runs in one process, and one long sweep, on every backend that is present: no memory of the host or
// of the device is lost on the way. With KQ_EXHAUSTIVE=1 ten times as many.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "apps/kqbench/program.hpp"
#include "backends/backend.hpp"
#include "bench/tensors/npy.hpp"
#include "tests/apps/kqbench/faulty_device.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/exhaustive.hpp"

namespace kqbench::test {
namespace {

using Arguments = std::vector<std::string>;

// --- memory ----------------------------------------------------------------------------------------------------------

/// Bytes in use at a moment.
struct Reading {
  std::uint64_t heap = 0;
  std::uint64_t resident = 0;
  std::uint64_t device = 0;  ///< 0 where the device's memory is the host's
};

std::uint64_t resident_bytes() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;  // the second number
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

Reading read_memory(const Device& device) {
  const struct mallinfo2 heap = mallinfo2();
  const DeviceInfo& info = device.info();
  return {heap.uordblks + heap.hblkhd, resident_bytes(),
          info.host_memory ? 0 : info.memory_bytes - device.free_memory_bytes()};
}

/// How much growth is none: what two moments may differ by at which the program holds the same.
struct Allowed {
  std::uint64_t heap = 16384;  ///< the allocator keeps small blocks for each thread
  std::uint64_t resident = std::uint64_t{1} << 20;
  std::uint64_t device = 0;
};

/// By how much more is in use at the least in the second half of the readings than in the first.
std::uint64_t growth(std::span<const Reading> readings, std::uint64_t Reading::*kind) {
  const auto least = [kind](std::span<const Reading> part) { return std::ranges::min(part, {}, kind).*kind; };
  const std::uint64_t before = least(readings.first(readings.size() / 2));
  const std::uint64_t after = least(readings.subspan(readings.size() / 2));
  return after - std::min(after, before);
}

/// Which kinds of memory grew by more than is allowed; empty if none did.
std::string grown(std::span<const Reading> readings, const Allowed& allowed = {}) {
  std::string text;
  const auto add = [&](const char* what, std::uint64_t Reading::*kind, std::uint64_t limit) {
    const std::uint64_t bytes = growth(readings, kind);
    if (bytes > limit) text += fmt::format("{} grew by {} bytes. ", what, bytes);
  };
  add("The heap", &Reading::heap, allowed.heap);
  add("Resident memory", &Reading::resident, allowed.resident);
  add("Device memory", &Reading::device, allowed.device);
  return text;
}

// --- a backend under watch -------------------------------------------------------------------------------------------

using Observer = std::function<void(const Device&)>;

/// Tells whenever something is copied to the device, which is once a row at least.
class WatchedDevice : public FaultyDevice {
 public:
  WatchedDevice(std::unique_ptr<Device> real, FaultPlan& plan, const Observer& copied)
      : FaultyDevice(std::move(real), plan), copied_(copied) {}

  void copy_to_device(void* to, const void* from, std::size_t bytes) override {
    FaultyDevice::copy_to_device(to, from, bytes);
    copied_(*this);
  }

 private:
  const Observer& copied_;
};

/// Runs a command line on a backend. Throws unless it ends as it should, every allocation on the device given back.
void run(const std::string& backend, const Arguments& arguments, int wanted, const Observer& copied) {
  FaultPlan plan{.moment = std::numeric_limits<int>::max()};
  const DeviceOpener open = [&](const std::optional<std::string>&, const DeviceOptions& options) {
    return std::make_unique<WatchedDevice>(find_backend(backend)->open(options), plan, copied);
  };
  const int status = run_program(arguments, open);
  if (status == wanted && plan.live_allocations == 0) return;
  throw std::runtime_error(
      fmt::format("status {}, {} allocations left: {}", status, plan.live_allocations, fmt::join(arguments, " ")));
}

/// What is printed goes to files while one of these is there: where it takes no memory.
class Unheard {
 public:
  Unheard() {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
  }
  ~Unheard() {
    testing::internal::GetCapturedStdout();
    testing::internal::GetCapturedStderr();
  }
  Unheard(const Unheard&) = delete;
  Unheard& operator=(const Unheard&) = delete;
};

/// A command line, and the status it ends with.
struct Command {
  Arguments arguments;
  int status;
};

Arguments words(const std::string& line) {
  Arguments arguments{"kqbench"};
  for (std::size_t begin = 0; begin < line.size();) {
    const std::size_t end = std::min(line.find(' ', begin), line.size());
    arguments.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return arguments;
}

/// Ten short runs: of every subcommand that uses a device, with every kind of output, and two that are refused.
std::vector<Command> short_runs(const ScratchFolder& folder) {
  const std::vector<std::byte> values(4 * 64 * sizeof(float), std::byte{0x3f});
  write_npy(folder / "in.npy", {DType::float32, {4, 64}, values});
  const std::string shape = " --num-tokens 4 --hidden-size 64";
  const std::string timed = shape + " --cache hot --no-ceiling --max-time 1e-9 --num-iters 5 --quiet";
  const std::string result = (folder / "result").native();
  return {
      {words("run --impl native" + timed + " --json " + result), 0},
      {words("run --impl kokkos,native --quant-dtype fp8 --granularity group:16" + timed + " --csv " + result + ".csv"),
       0},
      {words("run --profile --dtype bfloat16 --asymmetric" + timed + " --markdown " + result + ".md"), 0},
      {words("run --profile --quant-dtype fp8,fp8_e5m2 --static-scale" + timed + " --csv -"), 0},
      {words("verify --quiet --dtype half --quant-dtype int8 --granularity token" + shape), 0},
      {words("quantize --quiet --dequantize " + (folder / "in.npy").native() + " -o " + (folder / "out.npy").native()),
       0},
      {words("run --profile --cache hot --input " + (folder / "in.npy").native()), 0},
      {words("compare " + result + " " + result + ".json"), 2},
      {words("run --hidden-size 0"), 2},
      {words("run --quiet --num-tokens 1000000000"), 3},
  };
}

// --- the tests -------------------------------------------------------------------------------------------------------

/// Something that is lost with every run. Returns the bytes of device memory lost so far.
using Leak = std::function<std::uint64_t()>;

/// Runs the commands in turns and reads the memory after each round of them. The first fifth is left out: what is made
/// once is made then.
std::vector<Reading> soak(const std::string& backend, const std::vector<Command>& commands, std::size_t runs,
                          const Leak& leak) {
  const std::unique_ptr<Device> watcher = find_backend(backend)->open({});
  std::vector<Reading> readings;
  readings.reserve(runs);
  const Unheard unheard;
  for (std::size_t i = 0; i < runs; ++i) {
    const Command& command = commands[i % commands.size()];
    run(backend, command.arguments, command.status, [](const Device&) {});
    const std::uint64_t lost = leak();
    if ((i + 1) % commands.size() != 0 || i < runs / 5) continue;
    readings.push_back(read_memory(*watcher));
    readings.back().device += lost;
  }
  return readings;
}

std::uint64_t nothing() {
  return 0;
}

class Soak : public testing::TestWithParam<std::string> {
 protected:
  /// What two moments may differ by at which this program holds the same, where the host's memory may differ by `heap`
  /// and `resident`. A GPU's driver keeps its books in the heap too, and Kokkos a line for every stream it ever saw; on
  /// an H200 both together grew by up to 353 kB, in steps, and a trace of all allocations found nothing else left.
  Allowed allowed(std::uint64_t heap, std::uint64_t resident) const {
    const std::uint64_t books = GetParam() == "host" ? 0 : std::uint64_t{1} << 20;
    return {.heap = heap + books, .resident = resident + 2 * books};
  }

  const std::size_t times_ = exhaustive() ? 10 : 1;
  ScratchFolder folder_;
};

TEST_P(Soak, AThousandShortRunsLoseNothing) {
  const std::vector<Reading> readings = soak(GetParam(), short_runs(folder_), 1000 * times_, nothing);
  ASSERT_GE(readings.size(), 80u);
  EXPECT_EQ(grown(readings, allowed(16384, std::uint64_t{1} << 20)), "");
}

TEST_P(Soak, ALongSweepLosesNothing) {
  const std::unique_ptr<Device> watcher = find_backend(GetParam())->open({});
  std::vector<Reading> readings;
  readings.reserve(100000);
  const auto sweep = [&](std::size_t shapes) {
    std::string list = "1";
    for (std::size_t i = 2; i <= shapes; ++i) {
      list += fmt::format(",{}", i);
    }
    readings.clear();
    const Unheard unheard;
    run(GetParam(),
        // One round: with several, inputs and expected outputs are kept from one to the next.
        words("run --hidden-size 2048,4096 --quant-dtype int8,fp8 --cache hot --max-time 1e-9 --num-iters 5 --rounds 1 "
              "--num-tokens " +
              list),
        0, [&](const Device& device) {
          if (readings.size() < readings.capacity()) readings.push_back(read_memory(device));
        });
  };
  sweep(1);
  const Reading before = read_memory(*watcher);
  const std::size_t shapes = 20 * times_;
  sweep(shapes);
  const Reading after = read_memory(*watcher);
  ASSERT_GE(readings.size(), 4 * shapes);
  // Of each of two rows a request: its samples, and its names. Its tensors are larger.
  const std::uint64_t results = 4 * shapes * 2 * 2048;
  const std::uint64_t resident = results + (std::uint64_t{1} << 20);
  EXPECT_EQ(grown(readings, allowed(results, resident)), "");
  EXPECT_EQ(grown(std::array{before, after}, allowed(65536, resident)), "");
}

std::vector<std::string> present_backends() {
  std::vector<std::string> names;
  for (const Backend& backend : backends()) {
    if (backend.built && backend.device_count() > 0) names.emplace_back(backend.name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(On, Soak, testing::ValuesIn(present_backends()), [](const auto& test) { return test.param; });

// --- that a loss would be seen ---------------------------------------------------------------------------------------

std::string grown_with(const Leak& leak) {
  return grown(soak("host", {{words("run --hidden-size 0"), 2}}, 200, leak));
}

TEST(SoakOfLeaks, NoneIsNone) {
  EXPECT_EQ(grown_with(nothing), "");
}

TEST(SoakOfLeaks, BytesOfTheHeapAreSeen) {
  std::vector<std::unique_ptr<char[]>> lost;
  const std::string seen = grown_with([&lost] {
    lost.push_back(std::make_unique<char[]>(256));
    return 0;
  });
  EXPECT_TRUE(seen.starts_with("The heap grew by ")) << seen;
}

TEST(SoakOfLeaks, PagesAreSeen) {
  constexpr std::size_t size = 65536;
  std::vector<void*> lost;
  lost.reserve(200);
  const std::string seen = grown_with([&lost] {
    lost.push_back(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::memset(lost.back(), 1, size);
    return 0;
  });
  for (void* const address : lost) {
    ::munmap(address, size);
  }
  EXPECT_TRUE(seen.starts_with("Resident memory grew by ")) << seen;
}

TEST(SoakOfLeaks, MemoryOfTheDeviceIsSeen) {
  std::uint64_t lost = 0;
  const std::string seen = grown_with([&lost] { return lost += 256; });
  EXPECT_TRUE(seen.starts_with("Device memory grew by ")) << seen;
}

}  // namespace
}  // namespace kqbench::test
