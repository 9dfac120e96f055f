// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// From a kernel and a number of programs to a Kokkos launch.

#include <algorithm>
#include <cstdint>

#include "kq/execution_space.hpp"
#include "kq/programmatic_launch.hpp"
#include "kq/tile.hpp"

namespace kq::detail {

/// A team of device threads that runs one program.
template <class Kernel, class Config, class Policy, class = WaitsForPrerequisites>
struct DeviceTeam {
  Kernel kernel;
  std::int64_t num_programs;

  // Always inlined: hipcc would call a large kernel as a function, which saves registers in memory.
  KQ_HOST_DEVICE void operator()(const typename Policy::member_type& team) const {
    arch::begin_kernel();
    kernel(DeviceProgram<typename Policy::member_type, Config>(team, static_cast<unsigned>(team.league_rank()),
                                                               num_programs));
  }
};

/// A functor with padding behind it, so that one line of the constant cache holds what Kokkos reads of a launch's
/// arguments before it calls the functor: the size of the league and, 48 bytes further on, that of scratch memory. A
/// line is 64 bytes, and a warp waits for each that it reads from (0.1 µs, H200). Arguments begin 16 bytes into a line
/// on sm_90: first the functor, then the policy, then what Kokkos reads.
template <class Functor, class Policy>
constexpr int bytes_to_line() {
  constexpr auto begin = (16 + sizeof(Functor) + sizeof(Policy)) % 64;
  return begin <= 8 ? 0 : static_cast<int>(64 - begin);
}
template <class Functor, class Policy, int Bytes = bytes_to_line<Functor, Policy>()>
struct AtLine : Functor {
  char room[Bytes] = {};
};
template <class Functor, class Policy>
struct AtLine<Functor, Policy, 0> : Functor {};

/// What stands for a team where a program's lanes need no barrier: those of a part of a wave, and those of a span of
/// which each lane works by itself.
class SubWarp {
 public:
  KQ_HOST_DEVICE explicit SubWarp(int rank) : rank_(rank) {}
  KQ_HOST_DEVICE int team_rank() const { return rank_; }

 private:
  int rank_;
};

/// A team of device threads whose waves, or parts of them, run a program each.
template <class Kernel, class Config, class Policy, class = WaitsForPrerequisites>
struct SubWarpPrograms {
  static constexpr unsigned programs_per_team = unsigned{Config::team_size} / unsigned{Config::lanes};

  Kernel kernel;
  std::int64_t num_programs;

  static int teams(std::int64_t programs) {
    return static_cast<int>((programs + programs_per_team - 1) / programs_per_team);
  }

  KQ_HOST_DEVICE void operator()(const typename Policy::member_type& team) const {
    arch::begin_kernel();
    // Spare lanes of the last team repeat the last program, so that none is missing when lanes exchange values. They
    // write the same bytes, but for a program that writes where it reads: such a one must not have spare lanes.
    const auto thread = static_cast<unsigned>(team.team_rank());
    const std::int64_t id =
        std::int64_t{static_cast<unsigned>(team.league_rank())} * programs_per_team + thread / Config::lanes;
    const SubWarp lanes(static_cast<int>(thread % Config::lanes));
    kernel(DeviceProgram<SubWarp, Config>(lanes, id < num_programs ? id : num_programs - 1, num_programs));
  }
};

/// A device thread that is a lane of a program whose lanes are parts of a wave, or know nothing of each other. There
/// are whole waves of them. A program does not know here how many there are: that would be one argument more, and
/// kernels whose arguments are 24 bytes share a line of the constant cache with Kokkos's own (AtLine says what that
/// saves).
template <class Kernel, class Config, class = WaitsForPrerequisites>
struct DeviceLane {
  Kernel kernel;

  KQ_HOST_DEVICE void operator()(int index) const {
    arch::begin_kernel();
    const auto thread = static_cast<unsigned>(index);
    const SubWarp lanes(static_cast<int>(thread % unsigned{Config::lanes}));
    kernel(DeviceProgram<SubWarp, Config>(lanes, thread / unsigned{Config::lanes}, 0));
  }
};

/// Whether DeviceLane can run so many programs of `lanes` lanes: they are whole waves of every device, and an int
/// counts the lanes.
constexpr bool are_whole_waves(std::int64_t programs, int lanes) {
  return programs * lanes % 64 == 0 && programs * lanes <= INT32_MAX;
}

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

/// Runs `kernel` for programs 0 to num_programs - 1 of about `program_size` elements each. On a device `Config` lays a
/// program out, and it has `scratch_bytes` of scratch memory for its part of a cooperative tensor.
template <class Config, class ExecutionSpace, class Kernel>
void launch(const ExecutionSpace& space, const char* name, const Kernel& kernel, std::int64_t num_programs,
            [[maybe_unused]] std::int64_t program_size, [[maybe_unused]] int scratch_bytes = 0) {
  if constexpr (on_host<ExecutionSpace>) {
    using Policy = Kokkos::TeamPolicy<ExecutionSpace>;
    const std::int64_t per_team = std::max<std::int64_t>(1, host_grain / std::max<std::int64_t>(1, program_size));
    const std::int64_t league = (num_programs + per_team - 1) / per_team;
    Kokkos::parallel_for(name, Policy(space, static_cast<int>(league), 1),
                         HostTeam<Kernel, Policy>{kernel, num_programs, per_team});
  } else {
    using Bounds = Kokkos::LaunchBounds<Config::team_size, Config::min_resident>;
    using Policy = Kokkos::TeamPolicy<ExecutionSpace, Bounds>;
    if constexpr (Config::whole && !Config::is_team) {
      // Such a program has no code for teams: where launches overlap, static fp8 at 1x4096 took 0.96 µs, and 1.08 with
      // a TeamPolicy, on an H200. The range has an index for each lane, so that each thread goes once through Kokkos's
      // loop.
      using Range = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<int>, Bounds>;
      Kokkos::parallel_for(name, Range(space, 0, static_cast<int>(num_programs * Config::lanes)),
                           DeviceLane<Kernel, Config>{kernel});
    } else if constexpr (Config::is_team) {
      using Team = DeviceTeam<Kernel, Config, Policy>;
      const int scratch = DeviceProgram<typename Policy::member_type, Config>::scratch_bytes +
                          (scratch_bytes > 0 ? scratch_bytes + room_to_align_scratch : 0);
      Policy policy(space, static_cast<int>(num_programs), Config::team_size);
      policy.set_scratch_size(0, Kokkos::PerTeam(scratch));
      Kokkos::parallel_for(name, policy, AtLine<Team, Policy>{{kernel, num_programs}});
    } else {
      using Waves = SubWarpPrograms<Kernel, Config, Policy>;
      Kokkos::parallel_for(name, Policy(space, Waves::teams(num_programs), Config::team_size),
                           AtLine<Waves, Policy>{{kernel, num_programs}});
    }
  }
}

}  // namespace kq::detail
