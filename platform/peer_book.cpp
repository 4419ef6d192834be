#include "platform/peer_book.h"

#include "core/units.h"

namespace hf {
namespace {

constexpr int64_t kDayMs = 86400 * int64_t{1000};
constexpr int kTellDays[] = {0, 1, 3, 7, 14, 30};

}  // namespace

int64_t days_until(int64_t end_ms, int64_t wall_ms) {
  const int64_t left_ms = end_ms - wall_ms;
  return left_ms >= 0 ? left_ms / kDayMs : -((-left_ms + kDayMs - 1) / kDayMs);
}

// The least of kTellDays that it is within.
int PeerBook::stage_of(int64_t end_ms, int64_t wall_ms) {
  for (const int days : kTellDays)
    if (end_ms - wall_ms <= days * kDayMs) return days;
  return kNotTold;
}

void PeerBook::put(const std::string& name, bool verified) {
  Entry entry;
  entry.verified = verified;
  entry.told_days.fill(kNotTold);
  const std::lock_guard lock(mutex_);
  entries_[name] = entry;
}

void PeerBook::drop(const std::string& name) {
  const std::lock_guard lock(mutex_);
  entries_.erase(name);
}

void PeerBook::learn(const std::string& name, const CertEnds& ends, CertClock clock) {
  std::array<bool, kCertsOf.size()> tell = {};
  {
    const std::lock_guard lock(mutex_);
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    Entry& entry = it->second;
    for (size_t i = 0; i < kCertsOf.size(); ++i) {
      const int64_t end_ms = ends[i];
      if (end_ms == 0) continue;
      if (end_ms != entry.ends[i]) entry.told_days[i] = kNotTold;  // another one
      entry.ends[i] = end_ms;
      if (!clock.trusted) continue;
      const int stage = stage_of(end_ms, clock.wall_ms);
      tell[i] = stage < entry.told_days[i];
      if (tell[i]) entry.told_days[i] = stage;
    }
  }
  for (size_t i = 0; i < kCertsOf.size(); ++i) {
    if (!tell[i]) continue;
    log_.warn("cert_ends", {{"peer", name}, {"which", kCertsOf[i]}, {"days_left", days_until(ends[i], clock.wall_ms)}, {"ends", format_time(ends[i])}});
  }
}

PeerReport PeerBook::report(CertClock clock) const {
  PeerReport report{clock, {}};
  const std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : entries_) report.peers.push_back({name, entry.verified, entry.ends});
  return report;
}

}  // namespace hf
