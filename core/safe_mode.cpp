#include "core/safe_mode.h"

#include <algorithm>

namespace hf {

void SafeMode::open(const LastEnd& last) {
  crashes_ = std::clamp<int64_t>(turn_.store.meta("crashes", 0), 0, kTimeMax);
  since_ms_ = std::clamp<int64_t>(turn_.store.meta("crashes_since", turn_.now_ms), 0, turn_.now_ms);
  if (last.reopened) return;
  const int64_t before = crashes_;
  const bool soon = turn_.now_ms - std::max(since_ms_, until_ms()) < kCrashSoonMs;
  if (last.clean || !soon) crashes_ = 0;
  if (!last.clean && last.ran) ++crashes_;
  since_ms_ = turn_.now_ms;
  if (before != 0 || crashes_ != 0) save();
}

void SafeMode::save() {
  turn_.store.set_meta("crashes", crashes_);
  turn_.store.set_meta("crashes_since", since_ms_);
}

int64_t SafeMode::until_ms() const {
  const int64_t limit = turn_.limits.crash_loop;
  if (limit < 0 || crashes_ < limit) return 0;
  const int64_t doubled = std::min<int64_t>(crashes_ - limit, 10);  // 2^10 min are more than the longest
  return since_ms_ + std::min(kSafeFirstMs << doubled, kSafeMaxMs);
}

void SafeMode::act(bool dispatching) {
  if (dispatching && on() != told_) {
    told_ = on();
    Transition& t = turn_.tell(told_ ? Change::safe_mode : Change::safe_mode_over, 0, nullptr);
    if (told_) {
      t.wait_ms = until_ms() - turn_.now_ms;
      t.detail = "the process ended " + std::to_string(crashes_) + " times in a row while jobs ran, and none was completed: nothing runs for a while";
    }
  }
  const bool gets_on = turn_.gets_on || turn_.now_ms - std::max(since_ms_, until_ms()) >= kCrashSoonMs;
  if (crashes_ != 0 && gets_on && !on()) end();
}

void SafeMode::end() {
  crashes_ = 0;
  save();
}

}  // namespace hf
