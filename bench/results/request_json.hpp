// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A request in JSON: one member for each of its parameters (kq/parameters.hpp).

#include <nlohmann/json.hpp>

#include "kq/request.hpp"

namespace kqbench {

/// Adds the members to an object. A number that a float holds is written as the double that it is; no value is null.
void add_request(nlohmann::ordered_json& json, const kq::Request& request);

}  // namespace kqbench
