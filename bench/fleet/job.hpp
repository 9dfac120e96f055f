// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The processes of a job that measure in step and gather what they found: over MPI, where this program was built with
/// it.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/support/place.hpp"

namespace kqbench {

/// One rank's view of the job. Rank 0 leads: it says when a step begins, and takes what the others report. Except
/// for broadcast() and max(), no call waits for a rank that has ended; a rank that says nothing for longer than
/// Job::patience_seconds is given up.
///
/// Whoever dies does not keep the others: mpirun then sends them SIGTERM, and kills them a second later. In that second
/// they report what they have, and rank 0 writes it.
class Job {
 public:
  virtual ~Job() = default;

  virtual int rank() const = 0;  ///< of this process, as MPI has it
  virtual int size() const = 0;

  /// Waits until every rank that still measures has come to this step or a later one; steps only grow. False: measure
  /// nothing more, because a rank failed or a signal came.
  virtual bool meet(std::int64_t step) = 0;

  /// What a rank had to report.
  struct Report {
    JobPlace place;        ///< of that rank: rank, size, host and node
    bool arrived = false;  ///< false: it died, or said nothing for too long
    std::string text;      ///< as it gave it
  };

  /// Ends this rank's measuring and hands over its report. On rank 0: waits for the others' and returns all, by rank.
  /// On another: returns nothing, at once.
  virtual std::vector<Report> gather(const std::string& report) = 0;

  /// After gather. On rank 0: lets the others end, once what they reported is safe. On another: waits for that; false
  /// if rank 0 died, or does not answer.
  virtual bool end() = 0;

  // Between all ranks, each of which must call them alike. A rank that is gone makes them wait until mpirun ends the
  // job. Not to be called between meet() and the end of a step, nor after gather(). Both throw SystemError.

  virtual void broadcast(void* bytes, std::size_t size) = 0;  ///< those of rank 0
  virtual void max(float* values, std::size_t count) = 0;     ///< each becomes the greatest of any rank

  /// This rank has failed: its end waits for no other rank, so that mpirun ends the job.
  virtual void abandon() = 0;

  /// A row of another rank takes no longer.
  static constexpr double patience_seconds = 600.0;
};

/// The job that MPI's launcher started this process in; null if none did, or this program was built without MPI. To be
/// called once. Throws SystemError if MPI fails.
std::unique_ptr<Job> join_job(const JobPlace& place);

/// "Open MPI v4.1.4"; empty if this program was built without MPI.
std::string mpi_version();

}  // namespace kqbench
