#include "core/queue_retention.h"

#include <algorithm>

#include "core/retention.h"

namespace hf {
namespace {

constexpr std::array<State, 3> kFinal = {State::completed, State::dead, State::cancelled};
size_t index_of(State state) { return static_cast<size_t>(state) - static_cast<size_t>(State::completed); }

FinalPlace place_of(const Store::Finished& row) { return {row.finished_ms, row.id}; }

const std::optional<int64_t>& age_of(const Queue& queue, State state) {
  return state == State::dead ? queue.settings.keep_dead_ms : queue.settings.keep_completed_ms;
}
const std::optional<int64_t>& count_of(const Queue& queue, State state) {
  return state == State::dead ? queue.settings.keep_dead_count : queue.settings.keep_completed_count;
}

int64_t wait_of(int64_t age_ms) { return age_ms < 0 ? 60000 : leave_together_ms(age_ms); }

}  // namespace

// ---- what is set ----------------------------------------------------------------------------------------

std::vector<QueueRetention::Rule> QueueRetention::plan() {
  std::vector<Rule> rules;
  for (State state : kFinal) {
    bool ages = false;
    for (const auto& [name, queue] : turn_.lanes.queues()) {
      if (queue->sink) continue;
      const auto& age = age_of(*queue, state);
      const auto& count = count_of(*queue, state);
      if (!age && !count) continue;
      if (age) ages = true;
      rules.push_back({state, queue.get(), age.value_or(-1), count.value_or(kNever)});
    }
    const int64_t file_ms = state == State::dead ? turn_.limits.keep_dead_ms : turn_.limits.keep_completed_ms;
    if (ages) rules.push_back({state, nullptr, std::max<int64_t>(file_ms, 0), kNever});
  }
  return rules;
}

void QueueRetention::begin(const std::vector<Rule>& rules) {
  tracks_.clear();
  of_queue_.clear();
  rest_ = {-1, -1, -1};
  counted_ = {};
  counts_ = {};
  for (const Rule& rule : rules) {
    const size_t i = index_of(rule.state);
    const int number = static_cast<int>(tracks_.size());
    tracks_.push_back({.rule = rule});
    if (rule.queue == nullptr) rest_[i] = number;
    else of_queue_.try_emplace(rule.queue, std::array<int, 3>{-1, -1, -1}).first->second[i] = number;
    if (rule.count != kNever) counts_[i] = true;
  }
  begin_at_ = 0;
  goes_on_ = false;
  next_ms_ = tracks_.empty() ? kNever : 0;
}

bool QueueRetention::follow() {
  bool other_ages = false;
  if (version_ != turn_.lanes.keeps_version()) {
    version_ = turn_.lanes.keeps_version();
    const std::vector<Rule> rules = plan();
    if (!std::equal(rules.begin(), rules.end(), tracks_.begin(), tracks_.end(), [](const Rule& rule, const Track& t) { return rule == t.rule; })) {
      begin(rules);
      turn_.final_rows.clear();  // they are in the file, or have left it, and the walks begin now
      turn_.follows_final = !tracks_.empty();
      other_ages = true;
    }
  }
  for (const Turn::FinalRow& row : turn_.final_rows) {
    const FinalPlace at = {row.finished_ms, row.id};
    if (!row.came) {
      left(row.state, *row.lane, at);
      continue;
    }
    if (Track* t = track_of(row.lane->home(), row.state)) came(*t, at);
    if (Track* t = rest_of(row.lane->home(), row.state)) came(*t, at);
  }
  turn_.final_rows.clear();
  return other_ages;
}

bool QueueRetention::has_age(State state) const { return rest_[index_of(state)] >= 0; }

QueueRetention::Track* QueueRetention::track_of(const Queue& queue, State state) {
  const auto found = of_queue_.find(&queue);
  if (found == of_queue_.end()) return nullptr;
  const int number = found->second[index_of(state)];
  return number < 0 ? nullptr : &tracks_[static_cast<size_t>(number)];
}

QueueRetention::Track* QueueRetention::rest_of(const Queue& queue, State state) {
  const int number = rest_[index_of(state)];
  return number < 0 || age_of(queue, state) ? nullptr : &tracks_[static_cast<size_t>(number)];
}

// ---- what comes and goes --------------------------------------------------------------------------------

void QueueRetention::came(Track& track, const FinalPlace& at) {
  if (at <= track.left) {
    // It ended in the millisecond of one that has left: it goes, too, as one whose key is free by now.
    if (track.held_until_ms == kNever || at <= track.held_from) track.held_from = at.just_before();
    track.held_until_ms = std::min(track.held_until_ms, turn_.now_ms);
  } else {
    if (track.rule.count != kNever && at <= counted_[index_of(track.rule.state)]) ++track.kept;
    if (at <= track.seen) {
      track.seen = at.just_before();
      track.first_ms = at.finished_ms;
    } else if (track.first_ms == kNever) {
      track.first_ms = at.finished_ms;
    }
  }
  next_ms_ = std::min(next_ms_, due_ms(track));
}

void QueueRetention::left(State state, const Lane& lane, const FinalPlace& at) {
  Track* track = track_of(lane.home(), state);
  if (track == nullptr || track->rule.count == kNever) return;
  if (at > track->left && at <= counted_[index_of(state)]) --track->kept;
}

void QueueRetention::remove(State state, const Store::Finished& row) {
  const Lane& lane = *turn_.lanes.by_id(row.lane);
  turn_.store.remove(row.id);
  if (state == State::dead) turn_.losses.add(LossCause::dropped, lane.queue->name, turn_.now_ms);
  --turn_.stats.by_state[static_cast<int>(state)];
  left(state, lane, place_of(row));
}

// ---- walks ------------------------------------------------------------------------------------------------

QueueRetention::Walk QueueRetention::walk(State state, FinalPlace from, const std::function<bool(const Store::Finished&)>& each) {
  Walk how = Walk::end;
  turn_.store.each_finished(state, from.finished_ms, from.id, [&](const Store::Finished& row) {
    if (looks_ == 0) return how = Walk::tired, false;
    --looks_;
    if (each(row)) return true;
    how = Walk::stopped;
    return false;
  });
  return how;
}

// One walk for all queues.
void QueueRetention::count_on(State state) {
  FinalPlace& counted = counted_[index_of(state)];
  if (!counts_[index_of(state)] || counted == kAll) return;
  const Walk how = walk(state, counted, [&](const Store::Finished& row) {
    const FinalPlace at = place_of(row);
    Track* track = track_of(turn_.lanes.by_id(row.lane)->home(), state);
    if (track != nullptr && at > track->left) ++track->kept;
    counted = at;
    return true;
  });
  if (how == Walk::end) counted = kAll;
  else goes_on_ = true;
}

bool QueueRetention::is_of(const Track& track, const Store::Finished& row) const {
  const Queue& home = turn_.lanes.by_id(row.lane)->home();
  return track.rule.queue != nullptr ? track.rule.queue == &home : !age_of(home, track.rule.state);
}

bool QueueRetention::wants(const Track& track) const {
  if (track.kept > track.rule.count) return true;
  if (track.rule.age_ms < 0 || track.first_ms == kNever) return false;
  return track.first_ms == kUnknown || track.first_ms <= turn_.now_ms - track.rule.age_ms;
}

int64_t QueueRetention::due_ms(const Track& track) const {
  const int64_t age_ms = track.rule.age_ms;
  if (track.kept > track.rule.count || track.looks_again) return turn_.now_ms;
  int64_t at = track.held_until_ms == kNever ? kNever : track.held_until_ms + wait_of(age_ms);
  if (age_ms < 0 || track.first_ms == kNever) return at;
  return track.first_ms == kUnknown ? turn_.now_ms : std::min(at, track.first_ms + age_ms + wait_of(age_ms));
}

int64_t QueueRetention::held_until_ms(const Store::Finished& row) const {
  return row.has_key ? decode_opts(turn_.store.read(row.id, false).job.opts).unique_until_ms : 0;
}

// Those whose key is held stay, and are looked at again when the first one is free.
int64_t QueueRetention::remove_free(Track& track, const std::vector<Store::Finished>& rows) {
  int64_t removed = 0;
  for (const Store::Finished& row : rows) {
    const int64_t until_ms = held_until_ms(row);
    if (until_ms <= turn_.now_ms) {
      remove(track.rule.state, row);
      ++removed;
      continue;
    }
    const FinalPlace at = place_of(row);
    if (track.held_until_ms == kNever || at <= track.held_from) track.held_from = at.just_before();
    track.held_until_ms = std::min(track.held_until_ms, until_ms);
  }
  return removed;
}

int64_t QueueRetention::look_again(Track& track, int64_t limit, int64_t wait_ms) {
  if (!track.looks_again) {
    if (track.held_until_ms == kNever || track.held_until_ms + wait_ms > turn_.now_ms) return 0;
    track.looks_again = true;
    track.again = track.held_from;
    track.held_until_ms = kNever;
  }
  std::vector<Store::Finished> rows;
  bool full = false;
  const Walk how = walk(track.rule.state, track.again, [&](const Store::Finished& row) {
    const FinalPlace at = place_of(row);
    if (at > track.left) return false;
    if (is_of(track, row)) {
      full = static_cast<int64_t>(rows.size()) == limit;
      if (full) return false;
      rows.push_back(row);
    }
    track.again = at;
    return true;
  });
  track.looks_again = full || how == Walk::tired;
  if (track.looks_again) goes_on_ = true;
  return remove_free(track, rows);
}

int64_t QueueRetention::sweep(Track& track, int64_t limit) {
  if (!wants(track)) return 0;
  const int64_t old_ms = track.rule.age_ms < 0 ? -1 : turn_.now_ms - track.rule.age_ms;
  std::vector<Store::Finished> rows;
  const Walk how = walk(track.rule.state, track.seen, [&](const Store::Finished& row) {
    const FinalPlace at = place_of(row);
    if (is_of(track, row)) {
      track.first_ms = row.finished_ms;
      if (row.finished_ms > old_ms && track.kept <= track.rule.count) return false;
      if (static_cast<int64_t>(rows.size()) == limit) {
        goes_on_ = true;
        return false;
      }
      rows.push_back(row);
      track.left = at;
      if (track.rule.count != kNever && at <= counted_[index_of(track.rule.state)]) --track.kept;
    }
    track.seen = at;
    return true;
  });
  if (how == Walk::end) {
    track.first_ms = kNever;
    track.kept = 0;
  } else if (how == Walk::tired) {
    track.first_ms = kUnknown;
    goes_on_ = true;
  }
  return remove_free(track, rows);
}

int64_t QueueRetention::sweep(int limit, bool all) {
  goes_on_ = false;
  int64_t removed = 0;
  looks_ = kRetentionLookMax / 2;
  for (State state : kFinal) count_on(state);
  looks_ += kRetentionLookMax / 2;
  const size_t n = tracks_.size();
  for (size_t i = 0; i < n && turn_.store.ok(); ++i) {
    Track& track = tracks_[(begin_at_ + i) % n];
    removed += look_again(track, limit - removed, all ? 0 : wait_of(track.rule.age_ms));
    removed += sweep(track, limit - removed);
  }
  if (n != 0) begin_at_ = (begin_at_ + 1) % n;
  next_ms_ = kNever;
  for (const Track& track : tracks_) next_ms_ = std::min(next_ms_, due_ms(track));
  // There is more: soon, but not now, so that it does not hold up the work.
  next_ms_ = goes_on_ ? turn_.now_ms + 10 : std::max(next_ms_, turn_.now_ms + 10);
  return removed;
}

}  // namespace hf
