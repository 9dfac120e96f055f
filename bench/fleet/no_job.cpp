// SPDX-License-Identifier: Apache-2.0

// Of a program that was built without MPI.

#include "bench/fleet/job.hpp"

namespace kqbench {

std::unique_ptr<Job> join_job(const JobPlace& /*place*/) {
  return nullptr;
}

std::string mpi_version() {
  return {};
}

}  // namespace kqbench
