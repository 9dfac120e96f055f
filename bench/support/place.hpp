// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where this process stands among those of its job: what its launcher (torchrun, Open MPI, MPICH's Hydra, Flux, SLURM)
/// says in the environment.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace kqbench {

/// A process of a job. One that no launcher started is rank 0 of 1.
struct JobPlace {
  std::string launcher;           ///< "SLURM"; empty where there is none
  int rank = 0;                   ///< in the job, from 0
  int size = 1;                   ///< processes of the job
  std::optional<int> local_rank;  ///< among the job's processes on this node; absent where no launcher tells
  std::string local_rank_name;    ///< the variable that tells: "SLURM_LOCALID"
  std::string host;               ///< as the system names itself
  std::string node;               ///< as the job names it: SLURMD_NODENAME; otherwise `host`
};

/// The value of a variable, or null: std::getenv, or a test's own.
using Environment = std::function<const char*(const char* name)>;

/// The launcher that is nearest to the process counts, of those that tell the local rank, if any does: mpirun may run
/// in a job of SLURM, and sets variables of its own beside SLURM's. Throws UsageError for a variable that is no number,
/// or a rank that is not below the size.
JobPlace read_place(const Environment& environment);
JobPlace read_place();  ///< of this process

/// `name` with %r replaced by the rank, %h by the host and %% by %.
std::string with_place(std::string_view name, const JobPlace& place);

/// True if each rank gets a name of its own: there is a %r in it.
bool names_each_rank(std::string_view name);

}  // namespace kqbench
