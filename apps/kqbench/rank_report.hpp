// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the ranks of a job tell rank 0 of their runs, and what it makes of that.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/fleet/fleet.hpp"
#include "bench/fleet/job.hpp"
#include "bench/results/outputs.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

/// How a rank's run ended.
struct Ended {
  int status = 0;       ///< ExitStatus
  std::string failure;  ///< in one line; empty if nothing was thrown
};

/// Does the work, which returns an exit status, and takes what it throws.
Ended ended_by(const std::function<int()>& work);

/// For Job::gather.
std::string report_text(const Ended& ended, const ResultFile& result);

/// All ranks' results.
struct JobResult {
  ResultFile result;                  ///< gathered; ranks that died are in its context
  std::optional<FleetSummary> fleet;  ///< nothing where no two devices did the same
  std::vector<std::string> notices;   ///< what went wrong, with the rank and its host
  int status = 0;                     ///< the gravest of all: 3, 2, 1, 130
};

JobResult job_result(const std::vector<Job::Report>& reports);

/// A rank's own results where rank 0, which would have written them, is gone: in "run.json.rank2", of which it says so.
void keep_own(const OutputArguments& outputs, const JobPlace& place, const ResultFile& result);

}  // namespace kqbench
