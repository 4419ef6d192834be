#include "core/breaker.h"

#include <algorithm>

#include "core/names.h"

namespace hf {

bool Breaker::trip(int64_t now_ms, int64_t asked_ms, std::string_view why, Random& random) {
  const bool waits = open_ && now_ms < until_ms_;
  if (asked_ms > 0) {
    const int64_t until = now_ms + std::min(asked_ms, kBreakerAskedMaxMs);
    if (waits && asked_ && until <= until_ms_) return false;
    until_ms_ = until;
  } else {
    if (waits) return false;
    wait_ms_ = wait_ms_ == 0 ? kBreakerFirstMs : std::min(wait_ms_ * 2, kBreakerMaxMs);
    until_ms_ = now_ms + random.between(wait_ms_ / 2, wait_ms_);
  }
  open_ = true;
  probing_ = hurried_ = false;
  asked_ = asked_ms > 0;
  why_ = cut_utf8(why, HF_ERROR_TEXT_MAX);
  return true;
}

void Breaker::ended(int64_t started_ms, bool ready) {
  if (!open_) {
    if (ready && ramp_ != 0) ramp_ = ramp_ < kRampMax ? ramp_ + 1 : 0;
    return;
  }
  if (started_ms < until_ms_) return;
  if (ready) {
    reset();
    ramp_ = kRampFirst;
  } else {
    probing_ = false;
  }
}

void Breaker::hurry(int64_t now_ms, int64_t splay_ms, Random& random) {
  if (!can_hurry()) return;
  hurried_ = true;
  until_ms_ = std::min(until_ms_, now_ms + random.between(0, splay_ms));
}

}  // namespace hf
