#include "core/retention.h"

#include <algorithm>

namespace hf {
namespace {

constexpr int64_t kNoAge = kTimeMax;

}  // namespace

std::array<Retention::Rule, 3> Retention::rules() const {
  const Limits& l = turn_.limits;
  // Of a state for which a queue has an age the ages of all queues are kept there.
  const auto age = [&](State state, int64_t keep_ms) { return queues_.has_age(state) ? kNoAge : std::max<int64_t>(keep_ms, 0); };
  return {{{State::completed, age(State::completed, l.keep_completed_ms), l.keep_completed_count},
           {State::cancelled, age(State::cancelled, l.keep_completed_ms), l.keep_completed_count},
           {State::dead, age(State::dead, l.keep_dead_ms), l.keep_dead_count}}};
}

int64_t Retention::sweep_rule(const Rule& rule, Place& place, int limit) {
  const int64_t old_ms = turn_.now_ms - rule.keep_ms;
  // Over the count: a few more leave than must, so that not every end of a job sweeps.
  int64_t over = count(rule.state) - rule.keep_count;
  if (over > 0) over += std::min<int64_t>(kRetentionBatch / 2, rule.keep_count / 16);
  int64_t removed = 0;
  for (int looked = 0; looked < kRetentionLookMax && turn_.store.ok(); looked += kRetentionBatch) {
    auto rows = turn_.store.finished(rule.state, place.finished_ms, place.id, removed < over ? kNever : old_ms, kRetentionBatch);
    for (const Store::Finished& row : rows) {
      if (removed == limit) return removed;
      if (removed >= over && row.finished_ms > old_ms) {
        place = {};
        return removed;
      }
      place = {row.finished_ms, row.id};
      if (const int64_t until = queues_.held_until_ms(row); until > turn_.now_ms) {
        held_until_ms_ = std::min(held_until_ms_, until);
        continue;
      }
      queues_.remove(rule.state, row);
      ++removed;
    }
    if (rows.size() < kRetentionBatch) {
      place = {};
      break;
    }
  }
  return removed;
}

bool Retention::goes_on() const {
  return std::any_of(places_.begin(), places_.end(), [](const Place& place) { return place.id != 0; });
}

int64_t Retention::sweep_once(int limit) {
  if (!goes_on()) held_until_ms_ = kNever;
  int64_t removed = 0;
  const auto all = rules();
  for (size_t i = 0; i < all.size(); ++i) removed += sweep_rule(all[i], places_[i], limit);
  return removed;
}

bool Retention::over_count(const std::array<Rule, 3>& all) const {
  return std::any_of(all.begin(), all.end(), [&](const Rule& r) { return count(r.state) > r.keep_count; });
}

// When the first job of the state that finished later than that is over its age. Those of a minute leave together,
// unless the age itself is short.
int64_t Retention::look_at(const Rule& rule, int64_t after_ms) const {
  if (rule.keep_ms == kNoAge) return kNever;
  auto first = turn_.store.finished(rule.state, after_ms, kNever, kNever, 1);
  if (first.empty()) return kNever;
  return first.front().finished_ms + rule.keep_ms + leave_together_ms(rule.keep_ms);
}

void Retention::look(size_t i, const Rule& rule) {
  // What was over its age at the last sweep is gone, or its key is held.
  const int64_t at = look_at(rule, swept_ms_ - rule.keep_ms - 1);
  quiet_count_[i] = at == kNever ? count(rule.state) : -1;
  next_ms_ = std::min(next_ms_, at);
}

void Retention::sweep(bool dispatching) {
  if (dispatching) waits_ = false;
  if (waits_ && !turn_.follows_final) return;
  if (queues_.follow()) look_anew();
  if (waits_) return;
  if (turn_.now_ms >= queues_.next_wake_ms()) (void)queues_.sweep(turn_.rows(kRetentionBatch), false);
  const auto all = rules();
  const bool over = turn_.now_ms >= over_quiet_ms_ && over_count(all);
  if (turn_.now_ms < next_ms_ && !over) {
    // What finishes later is over its age later, so a time that is known holds.
    for (size_t i = 0; i < all.size(); ++i) {
      if (quiet_count_[i] >= 0 && count(all[i].state) != quiet_count_[i]) look(i, all[i]);
    }
    return;
  }
  const int limit = turn_.rows(kRetentionBatch);
  if (sweep_once(limit) >= limit || goes_on()) {
    next_ms_ = turn_.now_ms + 10;  // there is more: soon, but not now, so that it does not hold up the work
    return;
  }
  swept_ms_ = turn_.now_ms;
  const int64_t held_ms = held_until_ms_ == kNever ? kNever : held_until_ms_ + 1000;
  over_quiet_ms_ = over_count(all) ? held_ms : 0;
  next_ms_ = held_ms;
  for (size_t i = 0; i < all.size(); ++i) look(i, all[i]);
}

int64_t Retention::prune_all() {
  int64_t removed = 0;
  const int limit = turn_.rows(kRetentionBatch);
  if (queues_.follow()) look_anew();
  while (turn_.store.ok()) {
    int64_t n = queues_.sweep(limit, true);
    n += sweep_once(limit);
    removed += n;
    if ((n < limit && !goes_on() && !queues_.goes_on()) || turn_.room != Room::enough) break;  // full: the sweeps of the next turns go on with it
  }
  turn_.store.vacuum_some(turn_.rows(1000000));
  next_ms_ = 0;
  return removed;
}

}  // namespace hf
