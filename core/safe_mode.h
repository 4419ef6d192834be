// Safe mode: several times in a row the process ended while jobs ran, soon after it began and before one job was
// completed. Then nothing runs for a while: the admin socket is up, jobs are taken, and whoever looks after the device
// can read, cancel and mend. It ends by itself, since nobody may be able to visit: after 1 min, and after twice as long
// at each further such end, at most 1 h.
//
// A job that ends the process is quarantined before (core/suspects.h); this is for what no single job can be blamed
// for: too little memory, an upload, a supply that gives way as soon as the work begins. An end with nothing under way
// does not count, and one completed job forgets all: what gets on, however slowly, is left alone.
#pragma once

#include "core/turn.h"

namespace hf {

inline constexpr int64_t kCrashSoonMs = 300000;  // from one opening, or the end of safe mode, to the next: else it is another story
inline constexpr int64_t kSafeFirstMs = 60000;
inline constexpr int64_t kSafeMaxMs = 3600000;

class SafeMode {
 public:
  explicit SafeMode(Turn& turn) : turn_(turn) {}

  struct LastEnd {
    bool reopened = false;  // this process opens again after an error: nothing ended
    bool clean = false;     // it closed the file
    bool ran = false;       // jobs were running
  };
  void open(const LastEnd& last);  // in the opening's transaction
  // In each turn: tells when it begins and ends for the jobs, and forgets the crashes once work gets on.
  void act(bool dispatching);
  void end();  // by a person: the crashes count no more

  bool on() const { return turn_.now_ms < until_ms(); }
  int64_t until_ms() const;  // elapsed; 0: it was not entered
  int64_t crashes() const { return crashes_; }
  int64_t next_wake_ms() const { return on() ? until_ms() : kNever; }

 private:
  void save();

  Turn& turn_;
  int64_t crashes_ = 0;   // in a row
  int64_t since_ms_ = 0;  // when this process opened the file
  bool told_ = false;     // that it is on
};

}  // namespace hf
