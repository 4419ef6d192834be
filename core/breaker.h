// A circuit breaker (Nygard, "Release It!", 2007): while a runner's world is not ready (no link, no name, a server that is
// away or wants to be left alone) its jobs wait, and spend no attempt. Open, then half-open: one run alone finds out. Closed
// again, the others follow it gradually, so that a server which has just come back is not run over.
//
// Thread: the engine's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/random.h"
#include "core/types.h"

namespace hf {

inline constexpr int64_t kBreakerFirstMs = 1000;   // the first wait; it doubles with each run that fails to find it ready
inline constexpr int64_t kBreakerMaxMs = 60000;
inline constexpr int64_t kBreakerAskedMaxMs = int64_t{24} * 3600 * 1000;  // of a wait that the peer asked for
inline constexpr int64_t kSplayMaxMs = 3600 * 1000;  // of RunnerSpec::splay_ms
// Runs at once after the first that went well; each further one that goes well adds one, so that they double in the time of a
// run, as TCP's slow start (RFC 5681, 3.1). Beyond the last there is no limit.
inline constexpr int kRampFirst = 2, kRampMax = 64;

class Breaker {
 public:
  // A run found that the world is not ready. `asked_ms` > 0: the peer said for how long: exactly so long then, and at least
  // as long as what it said before; else, also if it said "at once", for a growing while, from half of it to all of it at
  // random.
  // False: it is open already for as long, as when many runs of one moment fail.
  bool trip(int64_t now_ms, int64_t asked_ms, std::string_view why, Random& random);

  // A run begins. REQUIRES: lets()
  void began() { probing_ = open_; }
  // It has ended. `ready`: as a run of a ready world does; else it says nothing (handed back, cancelled, deferred), or trip() was
  // called. What began before the wait does not tell.
  void ended(int64_t started_ms, bool ready);

  // What was in the way may be gone: the next run is within `splay_ms`, at random. Once a wait, and not one that the peer
  // asked for.
  void hurry(int64_t now_ms, int64_t splay_ms, Random& random);
  bool can_hurry() const { return open_ && !asked_ && !hurried_; }
  void reset() { *this = {}; }

  // Whether one more run may begin, beside `running`.
  bool lets(int64_t now_ms, int running) const {
    return open_ ? now_ms >= until_ms_ && !probing_ : ramp_ == 0 || running < ramp_;
  }
  bool open() const { return open_; }
  bool probing() const { return probing_; }
  int ramp() const { return open_ ? 0 : ramp_; }   // 0: no limit
  int64_t until_ms() const { return until_ms_; }   // REQUIRES: open()
  // When lets() turns true by itself; kNever if it does not.
  int64_t wake_ms(int64_t now_ms) const { return open_ && !probing_ && until_ms_ > now_ms ? until_ms_ : kNever; }
  const std::string& why() const { return why_; }  // REQUIRES: open()

 private:
  bool open_ = false, probing_ = false;
  bool asked_ = false;      // the wait is the peer's
  bool hurried_ = false;
  int64_t wait_ms_ = 0;     // the last one of our own; 0: none yet
  int64_t until_ms_ = 0;
  int ramp_ = 0;
  std::string why_;
};

}  // namespace hf
