// The engine's two clocks: elapsed time, which no step of the wall clock moves and which goes on over reboots, and wall
// time with the question whether it can be trusted. What the file keeps of both is here too.
//
// Elapsed time goes on where it was: exactly within one boot (its id is the same, and its clock no earlier); over a reboot with the time
// in between, if the wall clock was trusted on both sides. Progress is saved while work goes on, and now and then while
// something only waits, so that a delay ends also on a device that is switched off every day.
//
// The wall clock is trusted
//   - while somebody says that it is right: the kernel, a file, a command, an operator (Now::synced);
//   - for `holdover_ms` after that, as long as it was not set since: the oscillator goes on where NTP left it;
//   - if the rule is content with that: while it lies between the floor and the ceiling. The floor is the latest
//     time that was ever confirmed; no right clock shows less.
#pragma once

#include <optional>
#include <string>

#include "core/turn.h"

namespace hf {

class Timekeeper {
 public:
  explicit Timekeeper(Turn& turn) : turn_(turn) {}

  // In the transaction of the opening: sets the turn's time, changes nothing in the file.
  void open(const Now& now, const std::string& boot_id, const ClockRule& rule);
  bool same_boot() const { return same_boot_; }  // as the last opening of the file

  // At the beginning of a turn: sets its time, tells of steps and of trust that came or went. True if what waits for
  // wall time is to be looked at anew: the clock was set back, trust changed, or it is the first turn.
  bool observe(const Now& now);
  void set_time(const Now& now);  // the first part of it, which writes nothing
  // After what changes the rule or the floor; the same.
  bool judge_anew();

  // Saves the progress if it is time to: `wrote` when the turn writes anyway.
  void save_if_due(bool wrote);
  void save();

  void set_rule(const ClockRule& rule) { rule_ = rule; }
  // The operator's word that the clock is right now, until it is set: the floor is where it stands.
  Status confirm();
  // The operator's word that the floor is wrong: it is the rule's again.
  void forget_floor();

  // When it wants a turn: to save the progress that something waits for which is due at `next_due_ms` (kNever: nothing),
  // and to see whether the clock is right by now, if work waits for that.
  int64_t next_wake_ms(int64_t next_due_ms, bool wall_work_waits) const;
  int64_t boot_of(int64_t elapsed_ms) const { return elapsed_ms - base_ms_; }
  int64_t wall_of_boot(int64_t boot_ms) const { return turn_.wall_ms - now_.boot_ms + boot_ms; }
  int64_t floor_ms() const;
  ClockInfo info() const;

 private:
  int64_t offset() const { return now_.wall_ms - now_.boot_ms; }
  int64_t ceiling_ms() const;
  bool plausible() const;
  bool held() const;  // right at some time in this boot, and neither set nor too long ago since
  void judge();
  bool tell_trust();  // true if it came or went
  bool note_step(int64_t by_ms);
  int64_t idle_ms() const;  // how old the saved progress may be while something only waits

  Turn& turn_;
  ClockRule rule_;
  std::string boot_id_;
  bool same_boot_ = false;
  Now now_;
  int64_t base_ms_ = 0;      // elapsed = base + boot
  int64_t opened_ms_ = 0, saved_ms_ = 0;
  int64_t confirmed_floor_ms_ = 0;
  struct Confirmed {
    int64_t offset_ms, boot_ms;
  };
  std::optional<Confirmed> confirmed_;  // the last time in this boot
  std::optional<int64_t> last_offset_ms_;
  bool was_trusted_ = false, first_turn_ = true;
  int64_t step_by_ms_ = 0, step_to_wall_ms_ = 0, step_at_ms_ = 0;
};

}  // namespace hf
