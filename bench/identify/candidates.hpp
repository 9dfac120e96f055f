// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The requests that can have given a sample, by its shapes alone.

#include <vector>

#include "bench/identify/sample.hpp"
#include "bench/requests/sweep.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// Valid, resolved requests of the whole sample whose scales take as many bytes as the sample's, of every dialect that
/// `restriction` allows; dynamic schemes before static ones. Those with a scale_ub or a qmax that the sample's scales
/// or codes tell, and `restriction` does not, come last of their kind. Throws UsageError where there is none.
std::vector<kq::Request> candidates(const Sample& sample, const Sweep& restriction);

}  // namespace kqbench
