// Retention of queues that have one of their own: an age instead of the file's, a count within it.
//
// The index of finished jobs is by state and time, and knows no queues. So each queue has a place in it for each state, up to
// which its jobs have left, and goes on from there, some rows a turn; those of others are passed once. How many of its jobs lie
// behind is counted at the opening by one walk for all queues, and then by what comes and goes (Turn::final_rows).
// Jobs of queues without an age have such a place, too, while another queue has an age: what that keeps is not looked at again.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <unordered_map>
#include <vector>

#include "core/turn.h"

namespace hf {

// Of a row among those of its state, in the order of the index.
struct FinalPlace {
  int64_t finished_ms = 0;
  JobId id = 0;
  auto operator<=>(const FinalPlace&) const = default;
  FinalPlace just_before() const { return {finished_ms, id - 1}; }
};

// Those of a minute leave together, unless the age itself is short: so long after they may.
inline int64_t leave_together_ms(int64_t age_ms) { return std::clamp<int64_t>(age_ms / 10, 1000, 60000); }

class QueueRetention {
 public:
  explicit QueueRetention(Turn& turn) : turn_(turn) {}

  // What was set, and what came and went since the last time. First of all in each turn. True: others have an age now.
  bool follow();
  void limits_changed() { version_ = 0; }
  bool has_age(State state) const;                 // some queue has one: the file's is kept here, too

  // `all`: what could wait for others, too. Rows that left; goes_on(): it has not looked at all there is.
  int64_t sweep(int limit, bool all);
  bool goes_on() const { return goes_on_; }
  int64_t next_wake_ms() const { return next_ms_; }

  int64_t held_until_ms(const Store::Finished& row) const;  // its unique key; 0: it is free
  // Of any queue, whose key is free.
  void remove(State state, const Store::Finished& row);

 private:
  static constexpr int64_t kUnknown = -1;
  static constexpr FinalPlace kAll = {kNever, kNever};
  struct Rule {
    State state = State::completed;
    const Queue* queue = nullptr;  // null: those that have no age of their own
    int64_t age_ms = -1;           // -1: none
    int64_t count = kNever;
    bool operator==(const Rule&) const = default;
  };
  struct Track {
    Rule rule;
    FinalPlace left = {};         // its jobs up to here have left; of some the key is held
    FinalPlace seen = {};         // between `left` and here there is none of it
    int64_t first_ms = kUnknown;  // when the first one behind `seen` ended; kNever: there is none
    int64_t kept = 0;             // those behind `left` that are counted
    // Of those whose key is held: the first of them is free then, and lies behind this place.
    int64_t held_until_ms = kNever;
    FinalPlace held_from = {};
    FinalPlace again = {};  // where the look at them goes on
    bool looks_again = false;
  };
  enum class Walk { end, stopped, tired };

  std::vector<Rule> plan();
  void begin(const std::vector<Rule>& rules);
  Track* track_of(const Queue& queue, State state);
  Track* rest_of(const Queue& queue, State state);
  void came(Track& track, const FinalPlace& at);
  void left(State state, const Lane& lane, const FinalPlace& at);
  Walk walk(State state, FinalPlace from, const std::function<bool(const Store::Finished& row)>& each);
  void count_on(State state);
  bool is_of(const Track& track, const Store::Finished& row) const;
  bool wants(const Track& track) const;
  int64_t due_ms(const Track& track) const;
  int64_t sweep(Track& track, int64_t limit);
  int64_t look_again(Track& track, int64_t limit, int64_t wait_ms);
  int64_t remove_free(Track& track, const std::vector<Store::Finished>& rows);

  Turn& turn_;
  std::vector<Track> tracks_;
  std::unordered_map<const Queue*, std::array<int, 3>> of_queue_;  // by state, in tracks_; -1: none
  std::array<int, 3> rest_ = {-1, -1, -1};
  std::array<FinalPlace, 3> counted_ = {};  // up to here; kAll: what comes is counted as it comes
  std::array<bool, 3> counts_ = {};
  uint64_t version_ = 0;  // Lanes::keeps_version()
  bool goes_on_ = false;
  int looks_ = 0;      // rows that may still be looked at in this turn
  size_t begin_at_ = 0;  // the track that is first in the next sweep
  int64_t next_ms_ = kNever;
};

}  // namespace hf
