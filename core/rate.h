// How fast runs may begin, of a queue or of a handler. Two gates, which may both be there:
//
//   rate_limit  10/1m          a token bucket: ten at once, and from then on one each 6 s as the tokens come back
//   rate_limit  10/1m burst 3  ... that holds three
//   throttle    10/1m          spread: one each 6 s
//
// Over any stretch of time t at most burst + t * rate runs begin (of a throttle: 1 + t * rate), also over the ends of
// processes. A power cut may take back what began in the last moments, but not where a token takes a second or longer to come
// back: that is on the disk before the run begins. A batch is one run. A retry counts as any run, since whatever is at the
// other end sees it; so does what is handed back.
//
// Kept as the generic cell rate algorithm keeps it (ITU-T I.371, the virtual scheduling algorithm): one number, the time at
// which the bucket is full again. All on the elapsed axis, so that no clock that steps makes a rate another one.
//
// Thread: the engine's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/store.h"
#include "core/types.h"

namespace hf {

// "10/1m", "10/m", "10/1m burst 3", "off" (no limit). HF_E_INVALID says what was found and what is allowed.
Result<Rate> parse_rate_limit(std::string_view text);
Result<Rate> parse_throttle(std::string_view text);  // without a burst: it is 1
// The text that reads as the same; of a throttle without its burst.
std::string format_rate_limit(const Rate& rate);
std::string format_throttle(const Rate& rate);

class RateGate {
 public:
  const Rate& rate() const { return rate_; }
  // When the next `runs` (1..burst) may begin together; now_ms: at once.
  int64_t opens_ms(int64_t now_ms, int runs = 1) const;
  void began(int64_t now_ms);

  // From now on it is this rate. What has begun counts as far as the new one remembers.
  void set(const Rate& rate, int64_t now_ms);
  int64_t full_ms() const { return full_ms_ + (part_ > 0 ? 1 : 0); }
  void restore(int64_t full_ms, int64_t now_ms);
  int64_t span_ms() const;  // from empty to full
  bool slow() const { return !rate_.none() && rate_.per_ms >= int64_t{1000} * rate_.runs; }

 private:
  Rate rate_;
  int64_t full_ms_ = 0, part_ = 0;  // the bucket is full again at full_ms_ + part_ / rate_.runs
};

// Of a queue or a handler.
struct RateGates {
  RateGate rate_limit, throttle;
  int64_t opens_ms(int64_t now_ms) const { return std::max(rate_limit.opens_ms(now_ms), throttle.opens_ms(now_ms)); }
  bool none() const { return rate_limit.rate().none() && throttle.rate().none(); }
  int64_t ahead_ms = 0;  // what begins is booked so far ahead at most: it may be empty for so long
  std::string key;  // of the file; "": it was not asked for yet
  bool changed = false;
};

inline constexpr int64_t kRateKeptMs = 1000;  // a bucket that fills in less is not kept in the file: it is empty at an opening

class Rates {
 public:
  explicit Rates(Store& store) : store_(store) {}
  void open(int64_t now_ms) { opened_ms_ = now_ms; }

  // Puts these rates in force, if they are not. `kind` and `name` say where the file keeps what has begun.
  void follow(RateGates& gates, const RateLimits& limits, const char* kind, const std::string& name, int64_t now_ms);
  // True if that has to be on the disk before the run begins.
  bool began(RateGates& gates, int64_t now_ms);
  void save();  // at the end of a turn

 private:
  Store& store_;
  int64_t opened_ms_ = 0;
  bool pruned_ = false;
  std::vector<RateGates*> changed_;  // in this turn
};

}  // namespace hf
