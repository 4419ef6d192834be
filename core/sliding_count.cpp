// SlidingCount of core/budget.h: apart, as what is written to the flash (core/flash.h) is counted by it in every build.
#include <algorithm>
#include <charconv>

#include "core/budget.h"
#include "core/names.h"

namespace hf {
namespace {

bool read(std::string_view text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && *out >= 0 && *out <= kTimeMax;
}

}  // namespace

template <int64_t kSlotMs, size_t kSlots>
void SlidingCount<kSlotMs, kSlots>::add(int64_t at_ms, int64_t bytes) {
  const int64_t number = number_of(at_ms);
  Slot& slot = slots_[static_cast<size_t>(number) % kSlots];
  if (slot.number > number) return;  // of a time that counts no more
  if (slot.number < number) slot = {number, 0};
  slot.bytes = std::clamp<int64_t>(slot.bytes + bytes, 0, kBudgetBytesMax);
}

template <int64_t kSlotMs, size_t kSlots>
int64_t SlidingCount<kSlotMs, kSlots>::sum(int64_t now_ms) const {
  int64_t sum = 0;
  for (const Slot& slot : slots_) sum += counts(slot, number_of(now_ms)) ? slot.bytes : 0;
  return sum;
}

template <int64_t kSlotMs, size_t kSlots>
int64_t SlidingCount<kSlotMs, kSlots>::below_ms(int64_t now_ms, int64_t limit) const {
  int64_t left = sum(now_ms);
  if (left < limit) return now_ms;
  const int64_t now = number_of(now_ms);
  int64_t last = now;  // the slot that must go
  for (size_t i = 0; i < kSlots && left >= limit; ++i) {
    last = now - static_cast<int64_t>(kSlots) + 1 + static_cast<int64_t>(i);
    if (last < 0) continue;
    const Slot& slot = slots_[static_cast<size_t>(last) % kSlots];
    if (slot.number == last) left -= slot.bytes;
  }
  return (last + static_cast<int64_t>(kSlots)) * kSlotMs;
}

template <int64_t kSlotMs, size_t kSlots>
std::string SlidingCount<kSlotMs, kSlots>::text() const {
  std::vector<Slot> used;
  for (const Slot& slot : slots_) {
    if (slot.bytes > 0) used.push_back(slot);
  }
  std::sort(used.begin(), used.end(), [](const Slot& a, const Slot& b) { return a.number < b.number; });
  std::string text;
  for (const Slot& slot : used) text += (text.empty() ? "" : ",") + std::to_string(slot.number) + ":" + std::to_string(slot.bytes);
  return text;
}

template <int64_t kSlotMs, size_t kSlots>
void SlidingCount<kSlotMs, kSlots>::restore(std::string_view text) {
  while (!text.empty()) {
    std::string_view slot = take_until(&text, ',');
    int64_t number = 0, bytes = 0;
    if (read(take_until(&slot, ':'), &number) && read(slot, &bytes) && number <= kTimeMax / kSlotMs) add(number * kSlotMs, bytes);
  }
}

template class SlidingCount<3600'000, 25>;
template class SlidingCount<86400'000, 32>;

}  // namespace hf
