// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// From a kernel and a number of programs to a Kokkos launch.

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdint>

#include "kq/quantize.hpp"
#include "kq/request.hpp"
#include "kq/tile.hpp"

namespace kq::detail {

template <class ExecutionSpace>
inline constexpr bool on_host = Kokkos::SpaceAccessibility<ExecutionSpace, Kokkos::HostSpace>::accessible;

/// The threads that run at once.
template <class ExecutionSpace>
std::int64_t concurrency([[maybe_unused]] const ExecutionSpace& space) {
#if KOKKOS_VERSION >= 40000
  return std::max(1, space.concurrency());
#else
  return std::max(1, ExecutionSpace::concurrency());
#endif
}

/// A team of device threads that runs one program.
template <class Kernel, class Config, class Policy>
struct DeviceTeam {
  Kernel kernel;
  std::int64_t num_programs;

  // Inlined in any case: hipcc would call a large one as a function, which saves registers in memory.
  KQ_HOST_DEVICE void operator()(const typename Policy::member_type& team) const {
    kernel(DeviceProgram<typename Policy::member_type, Config>(team, static_cast<unsigned>(team.league_rank()),
                                                               num_programs));
  }
};

/// A part of a wave that runs one program: what is left of a team where there is nothing to wait for.
class SubWarp {
 public:
  KQ_HOST_DEVICE explicit SubWarp(int rank) : rank_(rank) {}
  KQ_HOST_DEVICE int team_rank() const { return rank_; }

 private:
  int rank_;
};

/// A team of device threads whose waves, or parts of them, run a program each.
template <class Kernel, class Config, class Policy>
struct SubWarpPrograms {
  static constexpr unsigned programs_per_team = unsigned{Config::team_size} / unsigned{Config::lanes};

  Kernel kernel;
  std::int64_t num_programs;

  static int teams(std::int64_t programs) {
    return static_cast<int>((programs + programs_per_team - 1) / programs_per_team);
  }

  KQ_HOST_DEVICE void operator()(const typename Policy::member_type& team) const {
    // Lanes to spare in the last team repeat the last program, so that none is missing when lanes exchange values; they
    // write what the others write.
    const auto thread = static_cast<unsigned>(team.team_rank());
    const std::int64_t id =
        std::int64_t{static_cast<unsigned>(team.league_rank())} * programs_per_team + thread / Config::lanes;
    const SubWarp lanes(static_cast<int>(thread % Config::lanes));
    kernel(DeviceProgram<SubWarp, Config>(lanes, id < num_programs ? id : num_programs - 1, num_programs));
  }
};

/// A host thread that runs consecutive programs.
template <class Kernel, class Policy>
struct HostTeam {
  Kernel kernel;
  std::int64_t num_programs;
  std::int64_t programs_per_team;

  void operator()(const typename Policy::member_type& team) const {
    const std::int64_t begin = team.league_rank() * programs_per_team;
    const std::int64_t end = std::min(begin + programs_per_team, num_programs);
    for (std::int64_t id = begin; id < end; ++id) {
      kernel(HostProgram(id, num_programs));
    }
  }
};

/// Elements a host thread works on before it comes back for more: small enough to stay in its own caches.
inline constexpr std::int64_t host_grain = 16384;

/// Runs `kernel` for programs 0 to num_programs - 1 of about `program_size` elements each. `Config` is what one program
/// is on a device, where it has `share_bytes` of scratch memory for its share.
template <class Config, class ExecutionSpace, class Kernel>
void launch(const ExecutionSpace& space, const char* name, const Kernel& kernel, std::int64_t num_programs,
            [[maybe_unused]] std::int64_t program_size, [[maybe_unused]] int share_bytes = 0) {
  if constexpr (on_host<ExecutionSpace>) {
    using Policy = Kokkos::TeamPolicy<ExecutionSpace>;
    const std::int64_t per_team = std::max<std::int64_t>(1, host_grain / std::max<std::int64_t>(1, program_size));
    const std::int64_t league = (num_programs + per_team - 1) / per_team;
    Kokkos::parallel_for(name, Policy(space, static_cast<int>(league), 1),
                         HostTeam<Kernel, Policy>{kernel, num_programs, per_team});
  } else {
    // Teams also where a program is less than one: on an H200 they start 0.1 to 0.2 µs sooner than a RangePolicy, which
    // loops over its range.
    using Policy = Kokkos::TeamPolicy<ExecutionSpace, Kokkos::LaunchBounds<Config::team_size, Config::min_resident>>;
    if constexpr (Config::is_team) {
      using Team = DeviceTeam<Kernel, Config, Policy>;
      const int scratch = DeviceProgram<typename Policy::member_type, Config>::scratch_bytes + share_bytes;
      Policy policy(space, static_cast<int>(num_programs), Config::team_size);
      policy.set_scratch_size(0, Kokkos::PerTeam(scratch));
      Kokkos::parallel_for(name, policy, Team{kernel, num_programs});
    } else {
      using Waves = SubWarpPrograms<Kernel, Config, Policy>;
      Kokkos::parallel_for(name, Policy(space, Waves::teams(num_programs), Config::team_size),
                           Waves{kernel, num_programs});
    }
  }
}

/// Multiprocessors (compute units) of a device. Kokkos counts the threads that they can hold, 2048 each or fewer.
template <class ExecutionSpace>
std::int64_t multiprocessors(const ExecutionSpace& space) {
  return std::max<std::int64_t>(1, concurrency(space) / 2048);
}

/// Calls function(Config{}) with the config for `rows` rows of `size` elements that one program each reduces as a
/// whole. The row is in registers, by as many lanes as leave each with four vectors, so that their loads overlap; where
/// there are too few rows for that to fill the device, by more lanes with less each. Aligned rows of usual sizes have
/// kernels that take that for granted. With eight vectors a lane a multiprocessor runs a single team, and no row's work
/// overlaps with another's: only where six are not enough (a row of 5137 floats took 1.4 times as long for an element
/// as one of 5120 with six, 2.2 with eight, on an H200). On a host every config is the same.
template <class Element, class ExecutionSpace, class Function>
void with_row_config([[maybe_unused]] const ExecutionSpace& space, [[maybe_unused]] std::int64_t size,
                     [[maybe_unused]] std::int64_t rows, [[maybe_unused]] bool aligned, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{});
  } else {
    const std::int64_t vectors = (size + device::width<Element> - 1) / device::width<Element>;
    if (aligned) {
      if (vectors <= 128) return function(TileConfig<32, 4, true>{});
      const bool few = rows <= multiprocessors(space);
      if (few && vectors <= 512) return function(TileConfig<512, 1, true>{});
      if (vectors <= 256) return function(TileConfig<64, 4, true>{});
      if (vectors <= 512) return function(TileConfig<128, 4, true>{});
      if (vectors <= 1024) return function(TileConfig<256, 4, true>{});
      if (vectors <= 2048) return function(TileConfig<512, 4, true>{});
    }
    if (vectors <= 128) return function(TileConfig<32, 4>{});
    if (vectors <= 1024) return function(TileConfig<256, 4>{});
    if (vectors <= 3072) return function(TileConfig<512, 6>{});
    if (vectors <= 4096) return function(TileConfig<512, 8>{});
    function(TileConfig<1024, 0>{});
  }
}

/// Whether programs should have one vector a lane. Several would leave too few lanes to fill the device; and a launch
/// this short is little more than the first reading of its instructions, of which several vectors take more.
template <class Element, class ExecutionSpace>
bool is_small(const ExecutionSpace& space, std::int64_t size) {
  return size <= concurrency(space) / 2 * device::width<Element>;
}

/// The same for groups of `size` elements, many of which share a team. Few lanes a group pay for unaligned ones too:
/// what is done for each, besides its elements, is done by fewer (4096 rows of 5137 halfs in groups of 128 took 23.8 µs
/// with four lanes of four vectors, 26.2 with eight of two, 41 with sixteen of one on an H200).
template <class Element, class ExecutionSpace, class Function>
void with_group_config(std::int64_t size, [[maybe_unused]] bool aligned, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{});
  } else {
    const std::int64_t vectors = (size + device::width<Element> - 1) / device::width<Element>;
    if (aligned) {
      if (vectors <= 4) return function(TileConfig<4, 1, true>{});
      if (vectors <= 8) return function(TileConfig<4, 2, true>{});
      if (vectors <= 16) return function(TileConfig<4, 4, true>{});
      if (vectors <= 32) return function(TileConfig<8, 4, true>{});
    }
    if (vectors <= 16) return function(TileConfig<4, 4>{});
    if (vectors <= 32) return function(TileConfig<8, 4>{});
    if (vectors <= 128) return function(TileConfig<32, 4>{});
    return function(TileConfig<32, 0>{});
  }
}

/// The same for `groups` groups that follow each other in memory; false for sizes that have no kernel for that. Group
/// 128 of half is 4 lanes of four vectors, so that what a lane does once a group is spread over many elements; in a
/// small tensor, 16 of one.
template <class Element, class ExecutionSpace, class Function>
bool with_flat_group_config([[maybe_unused]] const ExecutionSpace& space, [[maybe_unused]] std::int64_t size,
                            [[maybe_unused]] std::int64_t groups, [[maybe_unused]] bool aligned,
                            const Function& function) {
  const auto run = [&](auto config) { return function(config), true; };
  if constexpr (on_host<ExecutionSpace>) {
    return run(TileConfig<1, 0>{});
  } else {
    const std::int64_t vectors = aligned ? size / device::width<Element> : 0;
    const bool small = is_small<Element>(space, groups * size);
    if (vectors == 8) return run(TileConfig<4, 2, true>{});
    if (vectors == 16) return small ? run(TileConfig<16, 1, true>{}) : run(TileConfig<4, 4, true>{});
    if (vectors == 32) return small ? run(TileConfig<32, 1, true>{}) : run(TileConfig<8, 4, true>{});
    return false;
  }
}

/// A tensor that programs stream through: rows of what belongs together, each cut into slices.
template <class Element_, class Code_>
struct RowSlices {
  using Element = Element_;
  using Code = Code_;
  static constexpr bool is_flat = false;

  Rows<const Element> input;
  Rows<Code> codes;
  std::int64_t num_rows;
  std::int64_t slices_per_row;
  std::int64_t slice_size;

  KQ_HOST_DEVICE std::int64_t num_slices() const { return num_rows * slices_per_row; }
  KQ_HOST_DEVICE std::int64_t row(std::int64_t slice) const {
    return slices_per_row == 1 ? slice : device::divide(slice, slices_per_row);
  }
  KQ_HOST_DEVICE std::int64_t begin(std::int64_t slice) const {
    return (slice - row(slice) * slices_per_row) * slice_size;
  }
  KQ_HOST_DEVICE Span<const Element> input_slice(std::int64_t slice) const {
    return input.slice(row(slice), begin(slice), slice_size);
  }
  KQ_HOST_DEVICE Span<Code> codes_slice(std::int64_t slice) const {
    return codes.slice(row(slice), begin(slice), slice_size);
  }
};

/// The same for one piece of memory, the size of a slice known to the compiler.
template <class Element_, class Code_, int SliceSize>
struct FlatSlices {
  using Element = Element_;
  using Code = Code_;
  static constexpr bool is_flat = true;
  static constexpr std::int64_t slice_size = SliceSize;

  Span<const Element> input;
  Span<Code> codes;

  KQ_HOST_DEVICE std::int64_t num_slices() const { return (input.size + slice_size - 1) / slice_size; }
  KQ_HOST_DEVICE static std::int64_t row(std::int64_t) { return 0; }
  KQ_HOST_DEVICE std::int64_t begin(std::int64_t slice) const { return slice * slice_size; }
  KQ_HOST_DEVICE Span<const Element> input_slice(std::int64_t slice) const { return cut(input, slice); }
  KQ_HOST_DEVICE Span<Code> codes_slice(std::int64_t slice) const { return cut(codes, slice); }

 private:
  template <class T>
  KQ_HOST_DEVICE Span<T> cut(const Span<T>& span, std::int64_t slice) const {
    const std::int64_t left = span.size - begin(slice);
    return {span.data + begin(slice), left < slice_size ? left : slice_size};
  }
};

/// Whether input and codes are each one piece of memory.
inline bool is_flat(const Request& r) {
  return r.num_tokens == 1 || (r.input_stride == r.hidden_size && r.codes_stride == r.hidden_size);
}

/// Whether every row begins and ends at whole vectors, and its codes where one store can put a vector's.
template <class Element>
bool is_aligned(const Request& r, const Buffers& b) {
  constexpr int width = device::width<Element>;
  return reinterpret_cast<std::uintptr_t>(b.input) % sizeof(device::Vector16) == 0 &&
         reinterpret_cast<std::uintptr_t>(b.codes) % width == 0 && r.hidden_size % width == 0 &&
         r.input_stride % width == 0 && r.codes_stride % width == 0;
}

/// Whether one launch quantizes a tensor by its own scale: on a device where it is one aligned piece; on a host where
/// it is so small that several threads are not worth it.
template <class ExecutionSpace, class Element>
bool fits_one_launch(const Request& r, const Buffers& b) {
  if (!is_flat(r)) return false;
  return on_host<ExecutionSpace> ? r.num_tokens * r.hidden_size <= host_grain : is_aligned<Element>(r, b);
}

/// Programs of such a launch, and the scratch memory of each for its share of the tensor.
struct CooperativePlan {
  std::int64_t programs = 1;
  int scratch_vectors = 0;  ///< of each lane
  int scratch_bytes = 0;

  static constexpr int teams_per_multiprocessor = 4;  ///< of 128 lanes that a multiprocessor runs, or two of 512
};

/// Scratch memory of a multiprocessor (compute unit) in bytes, which Kokkos has no name for.
template <class ExecutionSpace>
std::int64_t scratch_of_multiprocessor([[maybe_unused]] const ExecutionSpace& space) {
#if defined(KOKKOS_ENABLE_CUDA)
  return static_cast<std::int64_t>(space.cuda_device_prop().sharedMemPerMultiprocessor);
#elif defined(KOKKOS_ENABLE_HIP)
  return static_cast<std::int64_t>(space.hip_device_prop().maxSharedMemoryPerMultiProcessor);
#else
  return std::int64_t{64} << 10;
#endif
}

/// Scratch memory in bytes for the share of each program, so that `teams_per_multiprocessor` of them run on a
/// multiprocessor. A team can have 48 KiB with Kokkos.
template <class ExecutionSpace>
std::int64_t scratch_per_program(const ExecutionSpace& space) {
  constexpr std::int64_t most_of_team = std::int64_t{48} << 10;
  constexpr std::int64_t taken = std::int64_t{3} << 9;                // by Kokkos and the program
  constexpr std::int64_t reserved_by_device = std::int64_t{1} << 10;  // beside that
  const std::int64_t of_team =
      scratch_of_multiprocessor(space) / CooperativePlan::teams_per_multiprocessor - reserved_by_device;
  return std::max<std::int64_t>(0, std::min(most_of_team, of_team) - taken);
}

/// Calls function(Config{}, share) for a launch of at most `max_programs`. A tensor that one program can hold in
/// registers needs no other. More programs hold one vector a lane; where that would take more than one program a
/// multiprocessor, up to `MostVectors`, for few programs meet sooner. Of a larger tensor scratch memory and registers
/// hold a part: with 128 lanes a program and 128 registers a lane, 45 MB of it on an H200.
template <class Element, int MostVectors, class ExecutionSpace, class Function>
void with_cooperative_plan([[maybe_unused]] const ExecutionSpace& space, std::int64_t size,
                           [[maybe_unused]] std::int64_t max_programs, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{}, CooperativePlan{});
  } else {
    using Small = TileConfig<512, 1, true, 1024>;
    using Middle = TileConfig<512, 4, true, 1024>;
    using Big = TileConfig<512, MostVectors, true, 1024>;
    using Large = TileConfig<128, 0, true, 512>;
    const auto rows = [&](int lanes) { return (size / device::width<Element> + lanes - 1) / lanes; };
    const std::int64_t held = rows(Small::lanes);
    const std::int64_t one_each = std::max<std::int64_t>(1, max_programs / CooperativePlan::teams_per_multiprocessor);
    const std::int64_t most = std::max<std::int64_t>(1, max_programs / 2);
    if (held <= 1) return function(Small{}, CooperativePlan{});
    if (held <= Middle::vectors) return function(Middle{}, CooperativePlan{});
    if (held <= one_each) return function(Small{}, CooperativePlan{held});
    if (held <= one_each * Middle::vectors) return function(Middle{}, CooperativePlan{one_each});
    if (held <= one_each * Big::vectors) return function(Big{}, CooperativePlan{one_each});
    if (held <= most * Big::vectors) return function(Big{}, CooperativePlan{most});
    constexpr int vector_row = Large::lanes * int{sizeof(device::Vector16)};
    const std::int64_t programs = std::min(max_programs, rows(Large::lanes));
    const std::int64_t vectors_a_lane = (rows(Large::lanes) + programs - 1) / programs;
    const auto scratch_vectors = static_cast<int>(std::min(vectors_a_lane, scratch_per_program(space) / vector_row));
    function(Large{}, CooperativePlan{programs, scratch_vectors, scratch_vectors * vector_row});
  }
}

/// Calls function(Config{}, stream) for a request whose tensor is streamed. Where `whole` says that nothing depends on
/// the row, a contiguous tensor is one long row. A device program holds four vectors a lane, so that as many loads are
/// in flight; a small tensor is cut finer, so that every multiprocessor has a part.
template <class Element, class Code, bool Reduces, class ExecutionSpace, class Function>
void with_slices(const ExecutionSpace& space, const Request& r, const Buffers& b, bool whole,
                 const Function& function) {
  const bool flat = whole && is_flat(r);
  const std::int64_t rows = flat ? 1 : r.num_tokens;
  const std::int64_t size = flat ? r.num_tokens * r.hidden_size : r.hidden_size;
  const Rows<const Element> input{static_cast<const Element*>(b.input), size, r.input_stride};
  const Rows<Code> codes{static_cast<Code*>(b.codes), size, r.codes_stride};
  const auto cut_rows = [&](std::int64_t slice) {
    return RowSlices<Element, Code>{input, codes, rows, (size + slice - 1) / slice, slice};
  };
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{}, cut_rows(host_grain));
  } else {
    const bool small = is_small<Element>(space, rows * size);
    if constexpr (Reduces) {
      if (small) return function(TileConfig<256, 1>{}, cut_rows(TileConfig<256, 1>::capacity<Element>));
      function(TileConfig<256, 4>{}, cut_rows(TileConfig<256, 4>::capacity<Element>));
    } else {
      if (!flat || !is_aligned<Element>(r, b)) {
        return function(TileConfig<32, 4>{}, cut_rows(TileConfig<32, 4>::capacity<Element>));
      }
      const auto cut_flat = [&](auto config) {
        constexpr int slice = decltype(config)::template capacity<Element>;
        function(config, FlatSlices<Element, Code, slice>{input.row(0), codes.row(0)});
      };
      if (small) return cut_flat(TileConfig<256, 1, true>{});
      cut_flat(TileConfig<256, 4, true>{});
    }
  }
}

/// Calls function(Format{}) with the type of a format.
template <class Function>
void with_format(Format format, const Function& function) {
  switch (format) {
    case Format::int8:
      return function(Int8{});
    case Format::fp8_e4m3fn:
      return function(Fp8E4M3Fn{});
    case Format::fp8_e5m2:
      return function(Fp8E5M2{});
    case Format::fp8_e4m3fnuz:
      return function(Fp8E4M3Fnuz{});
    case Format::fp8_e5m2fnuz:
      return function(Fp8E5M2Fnuz{});
  }
}

}  // namespace kq::detail
