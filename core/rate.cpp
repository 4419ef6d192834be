#include "core/rate.h"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr std::string_view kOff = "off", kBurst = " burst ";

Error bad(std::string_view text, const std::string& why) {
  return Error{HF_E_INVALID, quoted(text) + " " + why + ": expected NUMBER/TIME, such as 10/1m (1 to " + std::to_string(kRateRunsMax) + " in 1ms to " +
                                 format_duration(kRatePerMaxMs) + "), or off"};
}

// One of 1..kRateRunsMax.
bool count(std::string_view text, int* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && *out >= 1 && *out <= kRateRunsMax;
}

std::string text_of(const Rate& rate) {
  if (rate.none()) return std::string(kOff);
  std::string per = format_duration(rate.per_ms);
  return std::to_string(rate.runs) + "/" + per;
}

}  // namespace

Result<Rate> parse_rate_limit(std::string_view text) {
  if (text == kOff) return Rate{};
  const std::string_view whole = text;
  std::string_view burst;
  if (const size_t at = text.find(kBurst); at != text.npos) {
    burst = text.substr(at + kBurst.size());
    text = text.substr(0, at);
  }
  const size_t slash = text.find('/');
  Rate rate;
  if (slash == text.npos) return bad(whole, "is no rate");
  if (!count(text.substr(0, slash), &rate.runs)) return bad(whole, "begins with " + quoted(text.substr(0, slash)));
  std::string per(text.substr(slash + 1));
  if (!per.empty() && per[0] >= 'a' && per[0] <= 'z') per.insert(per.begin(), '1');  // "10/m"
  const Result<int64_t> ms = parse_duration(per);
  if (!ms || *ms < 1 || *ms > kRatePerMaxMs) return bad(whole, "has " + quoted(text.substr(slash + 1)) + " after its slash");
  rate.per_ms = *ms;
  rate.burst = rate.runs;
  if (!burst.empty() && (!count(burst, &rate.burst) || rate.burst > rate.runs)) {
    return Error{HF_E_INVALID, quoted(whole) + " has the burst " + quoted(burst) + "; allowed is 1 to its " + std::to_string(rate.runs)};
  }
  if (burst.empty() && whole.size() != text.size()) return bad(whole, "ends after \"burst\"");
  return rate;
}

Result<Rate> parse_throttle(std::string_view text) {
  if (text.find(kBurst) != text.npos) return Error{HF_E_INVALID, quoted(text) + " has a burst, and a throttle has none: that is a rate_limit"};
  Result<Rate> rate = parse_rate_limit(text);
  if (!rate || rate->none()) return rate;
  if (rate->runs > rate->per_ms) return Error{HF_E_INVALID, quoted(text) + " is more than one each millisecond, which cannot be spread"};
  rate->burst = 1;
  return rate;
}

std::string format_rate_limit(const Rate& rate) {
  std::string text = text_of(rate);
  if (!rate.none() && rate.burst != rate.runs) text += std::string(kBurst) + std::to_string(rate.burst);
  return text;
}
std::string format_throttle(const Rate& rate) { return text_of(rate); }

// ---- the gate

int64_t RateGate::span_ms() const { return rate_.none() ? 0 : (rate_.burst * rate_.per_ms + rate_.runs - 1) / rate_.runs; }

int64_t RateGate::opens_ms(int64_t now_ms, int runs) const {
  if (rate_.none()) return now_ms;
  const int64_t before = (rate_.burst - runs) * rate_.per_ms;  // that the bucket is full, as a fraction of `runs`
  return std::max(now_ms, full_ms_ - before / rate_.runs + (part_ > before % rate_.runs ? 1 : 0));
}

void RateGate::began(int64_t now_ms) {
  if (rate_.none()) return;
  if (full_ms_ < now_ms) full_ms_ = now_ms, part_ = 0;
  full_ms_ += rate_.per_ms / rate_.runs;
  part_ += rate_.per_ms % rate_.runs;
  if (part_ < rate_.runs) return;
  part_ -= rate_.runs;
  ++full_ms_;
}

void RateGate::set(const Rate& rate, int64_t now_ms) {
  const int64_t full = full_ms();
  rate_ = rate;
  full_ms_ = std::min(full, now_ms + span_ms());
  part_ = 0;
}

void RateGate::restore(int64_t full_ms, int64_t now_ms) {
  full_ms_ = std::min(full_ms, now_ms + span_ms());
  part_ = 0;
}

// ---- all of them

void Rates::follow(RateGates& gates, const RateLimits& limits, const char* kind, const std::string& name, int64_t now_ms) {
  if (gates.rate_limit.rate() == limits.rate_limit && gates.throttle.rate() == limits.throttle) return;
  const bool first = gates.key.empty();
  if (first) gates.key = std::string("rate:") + kind + ":" + name;
  for (auto [gate, rate, what] : {std::tuple(&gates.rate_limit, &limits.rate_limit, ":rate_limit"), std::tuple(&gates.throttle, &limits.throttle, ":throttle")}) {
    const bool unused = gate->rate().none();
    gate->set(*rate, now_ms + gates.ahead_ms);
    if (!unused || rate->none()) continue;
    const int64_t span = gate->span_ms();
    gate->restore(span < kRateKeptMs ? opened_ms_ + span : store_.meta((gates.key + what).c_str(), 0), now_ms + gates.ahead_ms);
  }
}

bool Rates::began(RateGates& gates, int64_t now_ms) {
  if (gates.none()) return false;
  gates.rate_limit.began(now_ms);
  gates.throttle.began(now_ms);
  if (!std::exchange(gates.changed, true)) changed_.push_back(&gates);
  return gates.rate_limit.slow() || gates.throttle.slow();
}

void Rates::save() {
  // Buckets that were full at the opening are as if they were new.
  if (!changed_.empty() && !std::exchange(pruned_, true)) store_.drop_meta("rate:", "rate;", opened_ms_);
  for (RateGates* gates : changed_) {
    gates->changed = false;
    for (auto [gate, what] : {std::pair(&gates->rate_limit, ":rate_limit"), std::pair(&gates->throttle, ":throttle")}) {
      if (gate->span_ms() >= kRateKeptMs) store_.set_meta((gates->key + what).c_str(), gate->full_ms());
    }
  }
  changed_.clear();
}

}  // namespace hf
