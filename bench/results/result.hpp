// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A result file in memory: the context of a run, and one row for each request and implementation. Members have the
/// names of the file's JSON (json_writer.hpp), schema "kqbench/1". Text is empty and optional numbers are absent where
/// nothing told them; no number is NaN or infinite.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kq/request.hpp"

namespace kqbench {

/// Readings before and after a row, or a run.
struct RowClocks {
  std::optional<double> core_mhz_before, core_mhz_after;
  std::optional<double> memory_mhz_before, memory_mhz_after;
  std::optional<double> power_watts, temperature_celsius;  ///< after
  bool dropped = false;  ///< a clock fell by more than 5 % while the row, or a row of the run, was measured
};

/// A call of kqbench's own library, timed by another program in the process in which it times the peers: where it takes
/// as long as in kqbench, the two programs' times can be compared. Seen on an H200: a PyTorch process in which every
/// launch of every graph costs 0.3 to 0.4 µs more than in kqbench. Times are microseconds per launch.
struct Canary {
  std::string peer;       ///< in whose process it was timed: "torch.compile"; empty: that of all peers
  std::string impl;       ///< "kokkos"
  std::string operation;  ///< "static tensor"
  kq::Request request;    ///< valid and resolved, as far as the file tells: shape, types, static_scale, granularity
  std::string timing;
  std::string cache;
  double median_us_before = 0.0;            ///< before the first peer was timed
  double median_us_after = 0.0;             ///< after the last
  std::optional<double> kqbench_median_us;  ///< of kqbench's own row of this work; absent where there was none
  std::int64_t launches_per_sample = 0;
};

/// A process of a job and its device, in a file that was gathered from several. Its rows have its rank.
struct RankContext {
  int rank = 0;
  std::string host;       ///< as the system names itself
  std::string node;       ///< as the job names it
  std::string device;     ///< "NVIDIA H200"
  std::string device_id;  ///< as Context::device_id
  std::optional<double> power_cap_watts;
  RowClocks clocks;      ///< of the rank's run
  bool complete = true;  ///< false if rows, or rounds of them, are missing
  std::string failure;   ///< what went wrong there, in one line
};

/// Under what circumstances a run was made.
struct Context {
  std::string program = "kqbench";                     ///< that measured; the peers' program writes the same files
  std::string version;                                 ///< of that program
  std::string commit;                                  ///< of its source, "unknown" where it was built outside git
  std::string build_type;                              ///< "Release"
  std::string compiler;                                ///< of the host code: "g++ 12.2.0"
  std::string device_compiler;                         ///< "nvcc 13.0.48"; empty where nothing was built for a device
  std::string device_architectures;                    ///< that it compiled for: "sm_90"
  std::string host_architecture;                       ///< that the host code was compiled for: "x86-64-v3"
  std::map<std::string, std::string> libraries;        ///< name to version
  std::map<std::string, std::string> implementations;  ///< name to description
  std::string backend;                                 ///< cuda, hip, host
  std::string device;                                  ///< "NVIDIA H200", or the processor's name
  std::string device_id;                               ///< of this one: its UUID or PCI address; the host has none
  std::string architecture;                            ///< "sm_90", "gfx942", "x86-64-v3"
  std::string driver;
  std::string runtime;  ///< "CUDA 13.0"
  std::uint64_t memory_bytes = 0;
  std::uint64_t cache_bytes = 0;  ///< last level
  int compute_units = 0;
  std::optional<double> power_cap_watts;
  RowClocks clocks;                             ///< before the first row and after the last
  std::map<std::string, double> ceilings_gbps;  ///< by mix: read, write, copy, 2:1, 4:1
  std::string host_cpu;
  int host_threads = 0;       ///< that may run at once: by the affinity mask and the control groups
  int host_threads_used = 0;  ///< that worked: one where a device does the work
  std::string operating_system;
  std::string time;  ///< of the start, UTC, ISO 8601
  std::string command_line;
  std::string host;                   ///< as the system names itself
  std::string node;                   ///< as the job names it; without a job as `host`
  std::string launcher;               ///< that started the job: "SLURM"; empty: none
  int rank = 0;                       ///< of this process in its job
  int size = 1;                       ///< processes of the job
  std::string measured;               ///< together, alone; empty: ranks, if any, knew nothing of each other
  std::vector<RankContext> ranks;     ///< that this file was gathered from; empty: it is of one process
  std::optional<std::uint64_t> seed;  ///< of the random input; absent where a file was quantized
  std::vector<Canary> canary;         ///< of the peers' program; empty in kqbench's own files
};

/// Microseconds a launch.
struct TimeStatistics {
  double median = 0.0;
  double ci95_low = 0.0;  ///< of the median
  double ci95_high = 0.0;
  double min = 0.0;
  double max = 0.0;
  std::vector<double> samples;  ///< in the order taken
  std::vector<double> rounds;   ///< the median of each of several rounds that lie apart in time; may be empty
  /// Another run of this program on this machine is expected, with 95 % confidence, to have its median within this
  /// fraction of this one: 0.03 is 3 %. Absent where it is not known.
  std::optional<double> repeatability;
};

/// Codes of another project's implementation, held against kqbench's own for the same input.
struct CodesCheck {
  std::uint64_t differ = 0;
  std::uint64_t compared = 0;
};

/// `timing` of a row of --profile.
inline constexpr const char* not_timed = "none";

/// One implementation at one request.
struct Row {
  kq::Request request;         ///< valid and resolved; in the file its fields stand beside the others
  std::string impl;            ///< kokkos, native, reference, or a peer's name: "torch.compile"
  std::string backend;         ///< cuda, hip, host
  std::optional<int> rank;     ///< of Context::ranks, in a file that was gathered from several processes
  std::optional<int> threads;  ///< of the host that this implementation works with; absent where a device works

  std::string timing;                    ///< graph, stream, wall, or not_timed
  std::string launch = "plain";          ///< plain, or overlapped: programmatic dependent launch
  std::string cache;                     ///< cold, warm, hot
  std::int64_t copies = 1;               ///< of the tensors, used in turn
  std::uint64_t bytes_between_uses = 0;  ///< of the same bytes, at the least

  bool verified = false;                    ///< every output byte that was timed is right
  std::string failure;                      ///< what was wrong, if not verified
  std::optional<CodesCheck> codes_checked;  ///< peers only: not verified if any differ, but timed nevertheless

  std::optional<TimeStatistics> time_us;  ///< absent for kqbench's own implementations if not verified
  std::int64_t launches_per_sample = 0;
  std::string stop;         ///< why sampling ended: interval, max_time, interrupted
  std::uint64_t bytes = 0;  ///< the least that must move: kq::minimal_traffic(request)
  double gbps = 0.0;        ///< bytes / median, 10^9 bytes a second; 0 without time_us
  std::string ceiling_mix;  ///< read, write, copy, 2:1, 4:1: the mix that ceiling_gbps is of
  std::optional<double> ceiling_gbps;
  std::optional<double> ceiling_fraction;      ///< gbps / ceiling_gbps
  std::optional<double> time_ratio_to_native;  ///< this row's time to native's, paired; 1 for native itself
  std::optional<double> time_ratio_ci95_low, time_ratio_ci95_high;
  bool suspect = false;  ///< cold, and faster than the memory can be
  bool drifted = false;  ///< the first and the second half of the samples differ
  RowClocks clocks;
};

struct ResultFile {
  bool complete = true;  ///< false if the run was interrupted
  Context context;
  std::vector<Row> rows;
};

}  // namespace kqbench
