// The system's clocks, read here and nowhere else; core/ gets the values as arguments.
//
// Owner: nobody, there is no state. Thread: any.
#pragma once

#include <cstdint>
#include <string>

namespace hf {

// Elapsed time since boot, suspend counted (CLOCK_BOOTTIME). Never goes back, never steps.
std::int64_t boot_ms();
std::int64_t boot_us();

// Wall-clock time since 1970-01-01 UTC (CLOCK_REALTIME). 64 bits on every machine.
std::int64_t wall_ms();

// The name of this boot; "" if it cannot be read. The kernel's, and in a time namespace (of a container) with how far its
// boot clock is from the machine's: with another one, boot_ms() is the clock of another boot.
std::string boot_id();
std::string boot_offset(const std::string& timens_offsets);  // of /proc/self/timens_offsets; "": none

// True if the kernel's clock is disciplined (NTP, PTP): adjtimex without STA_UNSYNC.
bool clock_synchronised();

// From the kernel's random source. The seed of jitter and ids; not for keys.
std::uint64_t random_seed();

// No device that runs this version has a right clock that shows less: 2026-11-01T00:00:00Z. Raised at
// a release.
inline constexpr std::int64_t kReleaseFloorMs = 1'793'491'200'000;

}  // namespace hf
