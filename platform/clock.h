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

// The kernel's name for this boot, 36 characters; "" if it cannot be read.
std::string boot_id();

// True if the kernel's clock is disciplined (NTP, PTP): adjtimex without STA_UNSYNC.
bool clock_synchronised();

// From the kernel's random source. The seed of jitter and ids; not for keys.
std::uint64_t random_seed();

// No device that runs this version has a right clock that shows less: 2026-11-01T00:00:00Z. Raised at
// a release.
inline constexpr std::int64_t kReleaseFloorMs = 1'793'491'200'000;
// A wall clock further than this beyond the floor is wrong: 20 years.
inline constexpr std::int64_t kTrustSpanMs = 20LL * 365 * 24 * 3600 * 1000 + 5LL * 24 * 3600 * 1000;

// When wall time may be believed. A pure function of its inputs.
struct ClockTrust {
  // The later of kReleaseFloorMs and the last wall time that was confirmed (kept in the queue file).
  std::int64_t floor_ms = kReleaseFloorMs;
  // false: only a synchronised clock is believed.
  bool accept_plausible = true;

  // The rule with a last-confirmed time, 0 if there is none.
  static ClockTrust from_confirmed(std::int64_t confirmed_ms, bool accept_plausible = true);

  std::int64_t ceiling_ms() const { return floor_ms + kTrustSpanMs; }
  // Synchronised, or floor <= wall <= ceiling (if plausible is enough).
  bool trusts(std::int64_t wall_ms, bool synchronised) const;
};

}  // namespace hf
