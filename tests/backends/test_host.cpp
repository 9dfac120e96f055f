// SPDX-License-Identifier: Apache-2.0

// The host as a device: what it tells of itself, its memory, clock and streams, and the list of backends.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "backends/backend.hpp"
#include "backends/host/memory.hpp"
#include "backends/host/processor.hpp"
#include "backends/host/stream.hpp"
#include "backends/host/threads.hpp"
#include "kq/architecture.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"

namespace kqbench {
namespace {

namespace fs = std::filesystem;

/// A root folder with /proc and /sys of a machine that is not this one.
class Machine {
 public:
  void file(const std::string& path, const std::string& text) const {
    fs::create_directories((root() / path).parent_path());
    std::ofstream(root() / path) << text;
  }
  void cache(int cpu, int index, int level, const char* type, const char* size, const char* shared) const {
    const std::string folder =
        "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cache/index" + std::to_string(index) + '/';
    file(folder + "level", std::to_string(level) + '\n');
    file(folder + "type", std::string(type) + '\n');
    file(folder + "size", std::string(size) + '\n');
    file(folder + "shared_cpu_list", std::string(shared) + '\n');
  }
  const fs::path& root() const { return folder_.path(); }

 private:
  ScratchFolder folder_;
};

// --- processor -------------------------------------------------------------------------------------------------------

TEST(Processor, IsNamedByCpuinfo) {
  const Machine machine;
  EXPECT_EQ(processor_name(machine.root()), "unknown processor");
  machine.file("proc/cpuinfo",
               "processor\t: 0\nmodel\t\t: 207\nmodel name\t: Some Processor @ 2.30GHz\nflags\t\t: a b\n");
  EXPECT_EQ(processor_name(machine.root()), "Some Processor @ 2.30GHz");
}

TEST(Processor, OfArmIsNamedByItsBoard) {
  const Machine machine;
  machine.file("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 50.00\n");
  machine.file("sys/firmware/devicetree/base/model", std::string("Board Model 4\0", 14));
  EXPECT_EQ(processor_name(machine.root()), "Board Model 4");
}

TEST(Processor, ClockIsTheFrequencyDriversOrCpuinfos) {
  const Machine machine;
  EXPECT_FALSE(processor_mhz(machine.root()));
  machine.file("proc/cpuinfo", "cpu MHz\t\t: 2000.000\n\ncpu MHz\t\t: 3000.500\n");
  EXPECT_DOUBLE_EQ(processor_mhz(machine.root()).value(), 2500.25);
  machine.file("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "3600000\n");
  machine.file("sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "3500000\n");
  machine.file("sys/devices/system/cpu/cpufreq/scaling_cur_freq", "1\n");
  EXPECT_DOUBLE_EQ(processor_mhz(machine.root()).value(), 3550.0);
}

TEST(Processor, CacheIsTheLastLevelsAndEachInstanceCounts) {
  const Machine machine;
  EXPECT_EQ(last_level_cache_bytes(machine.root()), 0u);
  for (const int cpu : {0, 1, 2, 3}) {
    machine.cache(cpu, 0, 1, "Data", "48K", std::to_string(cpu).c_str());
    machine.cache(cpu, 1, 1, "Instruction", "64K", std::to_string(cpu).c_str());
    machine.cache(cpu, 2, 2, "Unified", "2M", std::to_string(cpu).c_str());
  }
  EXPECT_EQ(last_level_cache_bytes(machine.root()), 4u * 2 * 1024 * 1024);
  for (const int cpu : {0, 1, 2, 3}) {
    machine.cache(cpu, 3, 3, "Unified", "32768K", cpu < 2 ? "0-1" : "2-3");
  }
  EXPECT_EQ(last_level_cache_bytes(machine.root()), 2u * 32 * 1024 * 1024);
}

TEST(Processor, RefusesCodeForABetterOne) {
#if defined(__x86_64__)
  EXPECT_FALSE(architecture_mismatch("x86-64", "x86-64"));
  EXPECT_FALSE(architecture_mismatch("x86-64-v3", "x86-64-v4"));
  ASSERT_TRUE(architecture_mismatch("x86-64-v3", "x86-64-v2"));
  EXPECT_NE(architecture_mismatch("x86-64-v4", "x86-64-v3")->find("x86-64-v4, the processor is x86-64-v3"),
            std::string::npos);
#endif
  EXPECT_FALSE(architecture_mismatch(kq::compiled_architecture(), processor_architecture())) << "and yet this runs";
}

TEST(Processor, TimeIsLimitedByTheTightestGroupOfVersion2) {
  const Machine machine;
  EXPECT_FALSE(control_group_processors(machine.root()));
  machine.file("proc/self/cgroup", "0::/outer/inner\n");
  machine.file("sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  EXPECT_FALSE(control_group_processors(machine.root()));
  machine.file("sys/fs/cgroup/outer/cpu.max", "250000 100000\n");
  EXPECT_DOUBLE_EQ(control_group_processors(machine.root()).value(), 2.5);
  machine.file("sys/fs/cgroup/cpu.max", "100000 200000\n");
  EXPECT_DOUBLE_EQ(control_group_processors(machine.root()).value(), 0.5);
  EXPECT_EQ(available_threads(machine.root()), 1);
  machine.file("sys/fs/cgroup/cpu.max", "nonsense\n");
  EXPECT_DOUBLE_EQ(control_group_processors(machine.root()).value(), 2.5);
}

// A container sees the host's name of its group, and under /sys/fs/cgroup its own group alone.
TEST(Processor, TimeIsLimitedByTheGroupThatAContainerSees) {
  const Machine machine;
  machine.file("proc/self/cgroup", "0::/not/there\n");
  machine.file("sys/fs/cgroup/cpu.max", "300000 100000\n");
  EXPECT_DOUBLE_EQ(control_group_processors(machine.root()).value(), 3.0);
}

TEST(Processor, TimeIsLimitedByTheGroupOfVersion1) {
  for (const char* folder : {"cpu", "cpu,cpuacct"}) {
    const Machine machine;
    machine.file("proc/self/cgroup", "9:cpuset:/mine\n4:cpu,cpuacct:/mine\n0::/\n");
    const std::string group = std::string("sys/fs/cgroup/") + folder + "/mine/";
    machine.file(group + "cpu.cfs_quota_us", "-1\n");
    machine.file(group + "cpu.cfs_period_us", "100000\n");
    EXPECT_FALSE(control_group_processors(machine.root())) << folder;
    machine.file(group + "cpu.cfs_quota_us", "150000\n");
    EXPECT_DOUBLE_EQ(control_group_processors(machine.root()).value(), 1.5) << folder;
    EXPECT_LE(available_threads(machine.root()), 2) << folder;
  }
}

TEST(Processor, ThreadsOfThisMachine) {
  EXPECT_GE(available_threads(), 1);
}

// --- memory ----------------------------------------------------------------------------------------------------------

constexpr char meminfo[] = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    9000 kB\n";

TEST(Memory, IsWhatMeminfoSays) {
  const Machine machine;
  machine.file("proc/meminfo", meminfo);
  EXPECT_EQ(memory_total_bytes(machine.root()), 16000u * 1024);
  EXPECT_EQ(memory_available_bytes(machine.root()), 9000u * 1024);
}

TEST(Memory, IsLimitedByTheTightestGroupOfVersion2) {
  const Machine machine;
  machine.file("proc/meminfo", meminfo);
  machine.file("proc/self/cgroup", "0::/outer/inner\n");
  machine.file("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  machine.file("sys/fs/cgroup/outer/inner/memory.current", "100000\n");
  EXPECT_EQ(memory_available_bytes(machine.root()), 9000u * 1024);
  machine.file("sys/fs/cgroup/outer/memory.max", "5000000\n");
  machine.file("sys/fs/cgroup/outer/memory.current", "3000000\n");
  EXPECT_EQ(memory_total_bytes(machine.root()), 5000000u);
  EXPECT_EQ(memory_available_bytes(machine.root()), 2000000u);
  machine.file("sys/fs/cgroup/outer/memory.stat", "anon 7\ninactive_file 1000000\n");
  EXPECT_EQ(memory_available_bytes(machine.root()), 3000000u);
  machine.file("sys/fs/cgroup/outer/memory.current", "9000000\n");
  EXPECT_EQ(memory_available_bytes(machine.root()), 0u);
}

TEST(Memory, IsLimitedByAGroupOfVersion1) {
  const Machine machine;
  machine.file("proc/meminfo", meminfo);
  machine.file("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/mine\n0::/\n");
  machine.file("sys/fs/cgroup/memory/mine/memory.limit_in_bytes", "4000000\n");
  machine.file("sys/fs/cgroup/memory/mine/memory.usage_in_bytes", "1500000\n");
  EXPECT_EQ(memory_total_bytes(machine.root()), 4000000u);
  EXPECT_EQ(memory_available_bytes(machine.root()), 2500000u);
  machine.file("sys/fs/cgroup/memory/mine/memory.limit_in_bytes", "9223372036854771712\n");  // how "none" looks here
  EXPECT_EQ(memory_available_bytes(machine.root()), 9000u * 1024);
}

TEST(Memory, OfThisMachineIsTold) {
  EXPECT_GT(memory_total_bytes(), std::uint64_t{1} << 20);
  EXPECT_GT(memory_available_bytes(), 0u);
  EXPECT_LE(memory_available_bytes(), memory_total_bytes());
}

TEST(Memory, IsAlignedAndRefusedWithTheNumbers) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{257}, std::size_t{5} << 20}) {
    void* const address = allocate_host_memory(bytes);
    ASSERT_NE(address, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(address) % 256, 0u);
    std::memset(address, 1, bytes);
    release_host_memory(address);
  }
  for (const std::size_t bytes : {std::size_t{1} << 60, SIZE_MAX, SIZE_MAX - 100}) {
    try {
      release_host_memory(allocate_host_memory(bytes));
      ADD_FAILURE() << bytes << " bytes were given";
    } catch (const DeviceError& error) {
      EXPECT_NE(std::string(error.what()).find(std::to_string(bytes) + " bytes wanted"), std::string::npos);
      EXPECT_NE(std::string(error.what()).find("available"), std::string::npos);
    }
  }
}

// --- threads ---------------------------------------------------------------------------------------------------------

TEST(Threads, SlicesCoverEverythingOnce) {
  for (const std::int64_t count : {0, 1, 63, 64, 65, 1000, 4096}) {
    for (const std::int64_t parts : {1, 2, 3, 7, 100}) {
      for (const std::int64_t unit : {1, 64}) {
        std::int64_t next = 0;
        std::int64_t longest = 0;
        for (std::int64_t part = 0; part < parts; ++part) {
          const Slice slice = slice_of(count, part, parts, unit);
          EXPECT_EQ(slice.begin, next);
          EXPECT_TRUE(slice.end == count || slice.end % unit == 0);
          EXPECT_LE(slice.begin, slice.end);
          longest = std::max(longest, slice.end - slice.begin);
          next = slice.end;
        }
        EXPECT_EQ(next, count);
        EXPECT_LE(longest, (count / parts / unit + 1) * unit);
      }
    }
  }
}

TEST(Threads, EveryPartIsWorkedOnOnce) {
  for (const int parts : {1, 2, 9}) {
    std::vector<int> done(static_cast<std::size_t>(parts), 0);
    in_parallel(parts, [&](int part) { ++done[static_cast<std::size_t>(part)]; });
    EXPECT_EQ(done, std::vector<int>(static_cast<std::size_t>(parts), 1));
  }
}

// --- streams ---------------------------------------------------------------------------------------------------------

TEST(HostStream, ReadsAndWritesInTheMixesRatio) {
  constexpr std::size_t lines = 2048 * 3;
  struct alignas(64) Line {
    std::uint64_t word[8];
  };
  std::vector<Line> read(lines);
  for (std::size_t i = 0; i < lines; ++i) {
    for (std::size_t w = 0; w < 8; ++w) {
      read[i].word[w] = (i * 8 + w) * 0x9e3779b97f4a7c15u;
    }
  }
  struct Mix {
    StreamMix mix;
    std::size_t reads;
    std::size_t writes;
  };
  for (const Mix m : {Mix{StreamMix::read_only, 1, 0}, Mix{StreamMix::write_only, 0, 1}, Mix{StreamMix::copy, 1, 1},
                      Mix{StreamMix::read2_write1, 2, 1}, Mix{StreamMix::read4_write1, 4, 1}}) {
    for (int variant = 0; variant < host_stream_variants(); ++variant) {
      for (const int threads : {1, 3}) {
        constexpr std::uint64_t untouched = 0x5555555555555555u;
        std::vector<Line> written(lines);
        std::memset(static_cast<void*>(written.data()), 0x55, lines * sizeof(Line));
        host_stream(m.mix, variant, threads, read.data(), written.data(), lines * sizeof(Line));
        const std::size_t steps = lines / (m.reads + m.writes);
        for (std::size_t i = 0; i < lines; ++i) {
          for (std::size_t w = 0; w < 8; ++w) {
            std::uint64_t wanted = 0;
            for (std::size_t n = 0; n < m.reads && i < steps; ++n) {
              wanted ^= read[i * m.reads + n].word[w];
            }
            if (i >= steps * m.writes) wanted = untouched;
            ASSERT_EQ(written[i].word[w], wanted)
                << "mix " << static_cast<int>(m.mix) << " variant " << variant << " line " << i;
          }
        }
      }
    }
  }
}

// --- device ----------------------------------------------------------------------------------------------------------

std::unique_ptr<Device> open_host(int threads = 0) {
  DeviceOptions options;
  options.host_threads = threads;
  return find_backend("host")->open(options);
}

TEST(HostDevice, TellsWhatItIs) {
  const auto device = open_host(2);
  EXPECT_EQ(device->info().backend, "host");
  EXPECT_FALSE(device->info().name.empty());
  EXPECT_EQ(device->info().architecture, processor_architecture());
  EXPECT_GT(device->info().memory_bytes, 0u);
  EXPECT_EQ(device->info().compute_units, 2);
  std::set<std::string> names;
  for (const auto& implementation : device->implementations()) {
    names.insert(std::string(implementation->name()));
    EXPECT_FALSE(implementation->description().empty());
    EXPECT_FALSE(device->why_missing(implementation->name()));
  }
  EXPECT_TRUE(names.count("native") == 1 && names.count("reference") == 1);
  EXPECT_EQ(names.count("kokkos") == 0, device->why_missing("kokkos").has_value());
  EXPECT_TRUE(device->why_missing("other"));
}

TEST(HostDevice, MovesMemory) {
  const auto device = open_host(3);
  constexpr std::size_t size = 300001;
  std::vector<unsigned char> from(size), to(size);
  std::iota(from.begin(), from.end(), static_cast<unsigned char>(1));
  auto* const a = static_cast<unsigned char*>(device->allocate(size));
  auto* const b = static_cast<unsigned char*>(device->allocate(size));
  device->copy_to_device(a, from.data(), size);
  device->copy_on_device(b, a, size);
  device->copy_to_host(to.data(), b, size);
  device->synchronize();
  EXPECT_EQ(to, from);
  device->fill(b + 1, 0xee, size - 2);
  device->copy_to_host(to.data(), b, size);
  EXPECT_EQ(to.front(), from.front());
  EXPECT_EQ(to.back(), from.back());
  EXPECT_EQ(std::vector<unsigned char>(to.begin() + 1, to.end() - 1), std::vector<unsigned char>(size - 2, 0xee));
  device->release(a);
  device->release(b);
  EXPECT_THROW(device->allocate(std::size_t{1} << 60), DeviceError);
}

TEST(HostDevice, ClockGoesForward) {
  const auto device = open_host(1);
  ASSERT_TRUE(device->has_events());
  const auto before = device->make_event();
  const auto after = device->make_event();
  before->record();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  after->record();
  EXPECT_GE(after->microseconds_since(*before), 2000.0);
  EXPECT_LE(before->microseconds_since(*after), -2000.0);
}

TEST(HostDevice, HasNoGraphs) {
  const auto device = open_host(1);
  EXPECT_FALSE(device->has_graphs());
  EXPECT_THROW(device->record([] {}), DeviceError);
}

TEST(HostDevice, RefusesWhatItHasNot) {
  DeviceOptions options;
  options.index = 1;
  EXPECT_THROW(find_backend("host")->open(options), DeviceError);
  options.index = 0;
  options.host_threads = -1;
  EXPECT_THROW(find_backend("host")->open(options), DeviceError);
}

// --- registry --------------------------------------------------------------------------------------------------------

TEST(Registry, KnowsEveryBackendBestFirst) {
  std::vector<std::string> names;
  for (const Backend& backend : backends()) {
    names.push_back(std::string(backend.name));
    EXPECT_EQ(find_backend(backend.name), &backend);
    EXPECT_GE(backend.device_count(), 0);
    if (backend.built) continue;
    EXPECT_EQ(backend.device_count(), 0);
    try {
      backend.open({});
      ADD_FAILURE() << backend.name << " opened";
    } catch (const DeviceError& error) {
      EXPECT_NE(std::string(error.what()).find("not built in"), std::string::npos);
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"cuda", "hip", "host"}));
  EXPECT_EQ(find_backend("vulkan"), nullptr);
  EXPECT_TRUE(best_backend().built);
  EXPECT_GT(best_backend().device_count(), 0);
}

}  // namespace
}  // namespace kqbench
