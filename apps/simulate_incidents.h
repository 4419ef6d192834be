// What is to befall a simulated device, as it is written on the command line: START/END.
//
//   2026-12-24T22:00:00+01:00/8h    2d/8h    2d12h/2026-12-01T00:00:00Z
//
// START is a time, or a duration after the beginning; END a time, or a duration after START. Of a clock that is set:
// START/+1h, START/-90s, START/TIME. All times are those of a right clock, but for the last one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apps/virtual_device.h"
#include "core/result.h"

namespace hf {

// The option that says it, "--outage".
const char* option_of(Incident::Kind kind);

// HF_E_INVALID names the option, what was found and what is allowed. `from_ms`, `to_ms`: of the whole simulation.
Result<Incident> parse_incident(Incident::Kind kind, std::string_view text, int64_t from_ms, int64_t to_ms);

// Those that exclude each other do not overlap.
Status check_incidents(const std::vector<Incident>& all);

}  // namespace hf
