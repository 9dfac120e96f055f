// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What kq::validate() says, in the words of the command line.

#include <string>

#include "kq/request.hpp"

namespace kqbench {

/// "--granularity: ...; add --static-scale": the reason, with the fields that it names as options.
std::string option_message(const kq::InvalidField& invalid);

}  // namespace kqbench
