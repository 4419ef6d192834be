#include "core/retention.h"

#include <algorithm>

namespace hf {

int64_t Retention::sweep_state(State state, int64_t keep_ms, int64_t keep_count, int limit) {
  int64_t over = turn_.stats.by_state[static_cast<int>(state)] - keep_count;
  std::vector<JobId> ids;
  if (over > 0) {
    ids = turn_.store.oldest_finished(state, static_cast<int>(std::min<int64_t>(over, limit)));
  } else {
    ids = turn_.store.finished_before(state, turn_.now_ms - keep_ms, limit);
  }
  int64_t removed = 0;
  for (JobId id : ids) {
    // A unique key that is still held keeps its row.
    FullRow row = turn_.store.read(id, false);
    if (!row.job.unique_key.empty() && decode_opts(row.job.opts).unique_until_ms > turn_.now_ms) continue;
    turn_.store.remove(id);
    --turn_.stats.by_state[static_cast<int>(state)];
    ++removed;
  }
  return removed;
}

int64_t Retention::sweep_once(int limit) {
  const Limits& l = turn_.limits;
  int64_t completed_ms = std::max<int64_t>(l.keep_completed_ms, 0);
  int64_t removed = sweep_state(State::completed, completed_ms, l.keep_completed_count, limit);
  removed += sweep_state(State::cancelled, completed_ms, l.keep_completed_count, limit);
  removed += sweep_state(State::dead, std::max<int64_t>(l.keep_dead_ms, 0), l.keep_dead_count, limit);
  return removed;
}

void Retention::sweep() {
  const Limits& l = turn_.limits;
  auto count = [&](State s) { return turn_.stats.by_state[static_cast<int>(s)]; };
  bool over_count = count(State::completed) > l.keep_completed_count + kRetentionBatch ||
                    count(State::cancelled) > l.keep_completed_count + kRetentionBatch ||
                    count(State::dead) > l.keep_dead_count + kRetentionBatch;
  // What finishes later is over its age later, so the time of the oldest holds until a state gets its first job.
  int filled = (count(State::completed) > 0 ? 1 : 0) | (count(State::cancelled) > 0 ? 2 : 0) | (count(State::dead) > 0 ? 4 : 0);
  bool first_of_state = (filled & ~filled_) != 0;
  filled_ = filled;
  if (turn_.now_ms < next_ms_ && !over_count && !first_of_state) return;
  if (turn_.now_ms >= next_ms_ || over_count) {
    if (sweep_once(kRetentionBatch) >= kRetentionBatch) {
      next_ms_ = turn_.now_ms + 10;  // there is more: soon, but not now, so that it does not hold up the work
      return;
    }
  }
  next_ms_ = kNever;
  auto look = [&](State state, int64_t keep_ms) {
    int64_t oldest = turn_.store.oldest_finish_time(state);
    // Those of a minute leave together, unless the age itself is short.
    if (oldest != kNever) next_ms_ = std::min(next_ms_, oldest + keep_ms + std::clamp<int64_t>(keep_ms / 10, 1000, 60000));
  };
  int64_t completed_ms = std::max<int64_t>(l.keep_completed_ms, 0);
  look(State::completed, completed_ms);
  look(State::cancelled, completed_ms);
  look(State::dead, std::max<int64_t>(l.keep_dead_ms, 0));
}

int64_t Retention::prune_all() {
  int64_t removed = 0;
  while (turn_.store.ok()) {
    int64_t n = sweep_once(kRetentionBatch);
    removed += n;
    if (n < kRetentionBatch) break;
  }
  turn_.store.vacuum_some(1000000);
  next_ms_ = 0;
  return removed;
}

}  // namespace hf
