#include "apps/simulate_tally.h"

namespace hf {

Tally::Tally(const std::vector<ScheduleSpec>& schedules) {
  for (const ScheduleSpec& schedule : schedules) counts_[schedule.name];
}

void Tally::add(const Happening& happening) {
  if (wake_ms_ >= 0 && happening.at_ms != wake_ms_) end_wake();
  if (happening.kind == Happening::Kind::woken) {
    ++total.woken;
    wake_ms_ = happening.at_ms;
  }
  if (happening.change == nullptr || happening.change->change != Change::fired || happening.schedule == nullptr) return;
  Count& count = counts_[happening.schedule->name];
  if (wake_ms_ >= 0 && count.last_ms != wake_ms_) {
    count.last_ms = wake_ms_;
    of_wake_.push_back(&count);
  }
  if (happening.change->id == 0) {
    ++count.skipped;
    ++total.skipped;
    return;
  }
  for (Count* of : {&count, &total}) {
    ++of->fired;
    if (happening.made_up) ++of->made_up;
  }
  const int64_t minute = floor_div(happening.at_ms, 60000);
  if (minute != minute_) end_minute();
  minute_ = minute;
  ++of_minute_;
}

void Tally::end_wake() {
  for (Count* count : of_wake_) ++count->woken;
  if (of_wake_.size() == 1) ++of_wake_.front()->alone;
  if (of_wake_.empty()) ++woken_for_none;
  of_wake_.clear();
  wake_ms_ = -1;
}

void Tally::end_minute() {
  if (of_minute_ > busiest) {
    busiest = of_minute_;
    busiest_minute_ms = minute_ * 60000;
  }
  of_minute_ = 0;
}

void Tally::finish() {
  if (wake_ms_ >= 0) end_wake();
  end_minute();
}

}  // namespace hf
