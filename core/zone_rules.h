// How far the tables of the zones go.
#pragma once

#include <cstdint>

namespace hf {

// From here on, in unix seconds, the changes of a zone repeat with the calendar: no file lists one by one any so late.
inline constexpr int64_t kZoneRulesOnly = 7258118400;  // 2200-01-01

}  // namespace hf
