#include "core/flash.h"

#include <algorithm>
#include <charconv>

#include "core/names.h"

namespace hf {

namespace {
constexpr const char* kMetaFlash = "flash";  // "TOTAL;HOUR:BYTES,HOUR:BYTES..."
constexpr int64_t kHourMs = 3600'000;
}  // namespace

void Flash::load() {
  const std::string kept = store_.meta_text(kMetaFlash);
  std::string_view rest = kept;
  const std::string_view total = take_until(&rest, ';');
  std::from_chars(total.data(), total.data() + total.size(), total_);
  total_ = saved_total_ = std::clamp<int64_t>(total_, 0, kTimeMax);
  day_.restore(rest);
}

void Flash::count(int64_t now_ms) {
  const int64_t bytes = store_.take_written();
  if (bytes == 0) return;
  total_ = std::min(total_ + bytes, kTimeMax);
  day_.add(now_ms, bytes);
}

void Flash::save_if_due(int64_t now_ms) {
  const bool due = now_ms / kHourMs != saved_hour_ || total_ - saved_total_ >= kFlashSaveBytes;
  if (due && total_ != saved_total_ && store_.wrote()) save(now_ms);
}

void Flash::save(int64_t now_ms) {
  store_.set_meta_text(kMetaFlash, std::to_string(total_) + ";" + day_.text());
  saved_total_ = total_;
  saved_hour_ = now_ms / kHourMs;
}

int64_t Flash::gather_ms(int64_t now_ms, int64_t budget) const {
  if (budget <= 0) return 0;
  const int64_t over = day_bytes(now_ms) - budget / kFlashParts * kFlashFreeParts;
  if (over < 0) return 0;
  const int64_t steps = std::min(over / (budget / kFlashParts), kFlashParts - kFlashFreeParts);
  return std::min(kGatherMs << steps, kGatherMaxMs);
}

}  // namespace hf
