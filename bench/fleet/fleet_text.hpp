// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A fleet's summary as text, Markdown, HTML, CSV and JSON.

#include <iosfwd>
#include <string>

#include "bench/fleet/fleet.hpp"

namespace kqbench {

/// A line for each operation, one for each device outside the limit with what its readings say, and one for each
/// operation that was measured in both ways.
void write_fleet_text(std::ostream& out, const FleetSummary& summary, bool color);
void write_fleet_markdown(std::ostream& out, const FleetSummary& summary);
void write_fleet_html(std::ostream& out, const FleetSummary& summary);  ///< for a section of the report

/// A line for each operation and device, those without a time among them.
std::string fleet_csv(const FleetSummary& summary);

/// Schema "kqbench-fleet/1": docs/clusters.md has its members.
std::string fleet_json(const FleetSummary& summary);

/// Why the fleet is not in order, in one line; empty if it is: ratios outside the limit, wrong outputs, what is missing
/// or incomplete.
std::string why_outside(const FleetSummary& summary);

}  // namespace kqbench
