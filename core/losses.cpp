#include "core/losses.h"

#include <algorithm>
#include <charconv>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr const char* kMetaLosses = "losses";  // a line each: cause, queue, total, unreported, first, last
constexpr const char* kNames[] = {"expired", "dropped", "salvage", "log", "displaced", "too_fast"};

// 0 for what does not read.
int64_t number(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::clamp<int64_t>(value, 0, kTimeMax);
}

}  // namespace

const char* loss_cause_name(LossCause cause) { return kNames[static_cast<size_t>(cause)]; }

void Losses::load() {
  const std::string lines = store_.meta_text(kMetaLosses);
  for (std::string_view rest = lines; !rest.empty() && counts_.size() < kLossesMax + std::size(kNames);) {
    std::string_view line = take_until(&rest, '\n');
    const auto name = std::find(std::begin(kNames), std::end(kNames), take_until(&line, ' '));
    if (name == std::end(kNames)) continue;
    Count& count = counts_[{static_cast<LossCause>(name - std::begin(kNames)), std::string(take_until(&line, ' '))}];
    for (int64_t* field : {&count.total, &count.unreported, &count.first_ms, &count.last_ms}) *field = number(take_until(&line, ' '));
    if (count.unreported > 0) first_ms_ = std::min(first_ms_, count.first_ms);
  }
}

void Losses::add(LossCause cause, std::string_view queue, int64_t now_ms, int64_t count) {
  std::pair<LossCause, std::string> key{cause, queue};
  if (!counts_.contains(key) && counts_.size() >= kLossesMax) key.second = "*";
  Count& to = counts_[key];
  if (to.unreported == 0) to.first_ms = now_ms;
  to.total += count;
  to.unreported += count;
  to.last_ms = now_ms;
  first_ms_ = std::min(first_ms_, to.first_ms);
  changed_ = true;
}

void Losses::raise_to(LossCause cause, int64_t total, int64_t now_ms) {
  const auto there = counts_.find({cause, "*"});
  const int64_t counted = there == counts_.end() ? 0 : there->second.total;
  if (total > counted) add(cause, "*", now_ms, total - counted);
}

void Losses::save() {
  if (!changed_) return;
  changed_ = false;
  std::string lines;
  for (const auto& [key, count] : counts_) {
    lines += std::string(loss_cause_name(key.first)) + " " + key.second;
    for (const int64_t field : {count.total, count.unreported, count.first_ms, count.last_ms}) lines += " " + std::to_string(field);
    lines += "\n";
  }
  store_.set_meta_text(kMetaLosses, lines);
}

std::vector<Loss> Losses::list(int64_t wall_ms, int64_t now_ms) const {
  std::vector<Loss> list;
  for (const auto& [key, count] : counts_) {
    list.push_back({key.first, key.second, count.total, count.unreported, wall_ms - (now_ms - count.first_ms), wall_ms - (now_ms - count.last_ms)});
  }
  return list;
}

void Losses::reported() {
  for (auto& [key, count] : counts_) count.unreported = 0;
  first_ms_ = kNever;
  changed_ = true;
}

std::string loss_record(const std::vector<Loss>& losses) {
  std::string items;
  for (const Loss& loss : losses) {
    if (loss.unreported == 0) continue;
    // A name has no character that JSON would want escaped (core/names.h).
    items += std::string(items.empty() ? "" : ",") + "{\"cause\":\"" + loss_cause_name(loss.cause) + "\",\"queue\":\"" + loss.queue +
             "\",\"count\":" + std::to_string(loss.unreported) + ",\"total\":" + std::to_string(loss.total) + ",\"first\":\"" +
             format_time(loss.first_wall_ms) + "\",\"last\":\"" + format_time(loss.last_wall_ms) + "\"}";
  }
  return "{\"losses\":[" + items + "]}";
}

}  // namespace hf
