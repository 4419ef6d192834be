// The cron lines that passes and figures are made of: the same ones everywhere, all valid, each there once. No H, which
// is a device's own.
#pragma once

#include <string>
#include <vector>

namespace hf::test {

// 5 fields or a macro: those written by hand, then random ones; kCronLines in all.
inline constexpr size_t kCronLines = 560;
const std::vector<std::string>& cron_lines();

// With seconds.
const std::vector<std::string>& cron_lines_with_seconds();

// Those that fire as rarely as a valid line can, or nearly so.
const std::vector<std::string>& rare_cron_lines();

}  // namespace hf::test
