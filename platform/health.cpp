#include "platform/health.h"

#include <algorithm>

#include "core/units.h"
#include "platform/json_text.h"

namespace hf {
namespace {

constexpr int64_t kNearlyFullPercent = 90;
constexpr int64_t kSalvageShownMs = 7LL * 86400 * 1000;  // so long a salvage is a warning

// Some of what there is, and how many more.
class Shown {
 public:
  void add(const std::string& one) {
    if (++count_ <= kMost) text_ += (text_.empty() ? "" : "; ") + one;
  }
  std::string text() const { return count_ <= kMost ? text_ : text_ + "; and " + std::to_string(count_ - kMost) + " more"; }

 private:
  static constexpr int kMost = 5;
  int count_ = 0;
  std::string text_;
};

// "damage": the file was damaged a short while ago, and healed.
HealthCheck damage(const Stats& stats) {
  HealthCheck check{"damage", true, false, ""};
  if (stats.salvage_age_ms < 0 || stats.salvage_age_ms >= kSalvageShownMs) return check;
  check.ok = false;
  if (stats.salvages == 0) {
    check.why = "the log beside the file was lost or cut short " + format_duration_human(stats.salvage_age_ms) + " ago: what was recorded last is gone. See to the storage";
    return check;
  }
  check.why = "the file was damaged and healed " + format_duration_human(stats.salvage_age_ms) + " ago: " + std::to_string(stats.salvaged_jobs) +
              " jobs saved, " + std::to_string(stats.salvage_lost_jobs) + (stats.salvage_lost_unknown ? " or more" : "") +
              " lost; the damaged file lies beside it as .bad-<n>. See to the storage";
  return check;
}

// "runs": nothing runs after repeated crashes.
HealthCheck runs(const Stats& stats) {
  HealthCheck check{"runs", stats.safe_mode_left_ms == 0, false, ""};  // not fatal: whoever restarts what fails would end it
  if (check.ok) return check;
  check.why = "safe mode: the process ended " + std::to_string(stats.crashes) + " times in a row while jobs ran, and none was completed; nothing runs for " +
              format_duration_human(stats.safe_mode_left_ms) + ". The log says what ran; `holdfast end-safe-mode` goes on";
  return check;
}

// "disk": full, or not to be written.
HealthCheck disk(const Stats& stats) {
  HealthCheck check{"disk", stats.room == Room::enough, true, ""};
  if (stats.room == Room::little) check.why = "the disk is full, new jobs are refused and nothing but deliveries runs: make room; it goes on by itself, within 10 s";
  if (stats.room == Room::none) check.why = "the disk is full, nothing can be written, and jobs can only be read: make room; it goes on by itself, within 20 s";
  if (stats.room == Room::read_only) check.why = "the file system is read-only, nothing can be recorded, and jobs can only be read: the kernel does that after an error of the medium, see dmesg; it goes on by itself, within 10 s, when it can be written";
  return check;
}

// "jobs" or "file": how near it is to its limit.
HealthCheck room(std::string name, int64_t used, int64_t limit, const std::string& text) {
  HealthCheck check{std::move(name), true, false, ""};
  if (limit <= 0) return check;
  const int64_t percent = used / std::max<int64_t>(1, limit / 100);
  if (percent < kNearlyFullPercent) return check;
  check.ok = false;
  check.fatal = used >= limit;
  check.why = (check.fatal ? "full, new jobs are refused: " : "nearly full: ") + text;
  return check;
}

// "tls": whose server is not verified.
HealthCheck verification(const PeerReport& report) {
  HealthCheck check{"tls", true, false, ""};
  Shown shown;
  for (const PeerTls& peer : report.peers) {
    if (!peer.verified) shown.add(peer.name);
  }
  check.ok = shown.text().empty();
  if (!check.ok) check.why = "dangerously_skip_verification is set, so that anyone on the way can read and change what is sent: " + shown.text();
  return check;
}

// "certificates": which end soon. Without a trusted clock nobody knows.
HealthCheck certificates(const PeerReport& report) {
  HealthCheck check{"certificates", true, false, ""};
  Shown shown;
  for (const PeerTls& peer : report.peers) {
    for (size_t i = 0; report.clock.trusted && i < kCertsOf.size(); ++i) {
      if (peer.ends[i] == 0) continue;
      const int64_t days = days_until(peer.ends[i], report.clock.wall_ms);
      if (days > kCertEndSoonDays) continue;
      shown.add(peer.name + " (" + std::string(kCertsOf[i]) + ") " + (days < 0 ? "is over since " : "in " + std::to_string(days) + " days, ") + format_time(peer.ends[i]));
    }
  }
  check.ok = shown.text().empty();
  if (!check.ok) check.why = "certificates end soon: " + shown.text();
  return check;
}

// "handlers": functions of the program that do not return.
HealthCheck functions(const StuckReport& report) {
  HealthCheck check{"handlers", report.held == 0, report.held >= report.threads, ""};
  if (check.ok) return check;
  Shown shown;
  for (const StuckReport::Run& run : report.runs) shown.add("job " + std::to_string(run.id) + " (" + run.type + ") for " + format_duration_human(run.for_ms));
  check.why = "functions do not return though their runs are over or were cancelled, and hold " + std::to_string(report.held) + " of " + std::to_string(report.threads) +
              " worker threads: " + shown.text();
  return check;
}

}  // namespace

bool Health::failing() const {
  return std::any_of(checks.begin(), checks.end(),
                     [](const HealthCheck& check) { return !check.ok && check.fatal; });
}

const char* Health::word() const {
  if (failing()) return "failing";
  const bool ok =
      std::all_of(checks.begin(), checks.end(), [](const HealthCheck& check) { return check.ok; });
  return ok ? "ok" : "degraded";
}

Health health_of(const Stats& stats, const PeerReport& peers, const StuckReport& stuck) {
  Health health;
  health.checks.push_back({"engine", true, false, ""});
  health.checks.push_back(
      {"clock", stats.clock.trusted, false,
       stats.clock.trusted ? "" : "not trusted: cron and --at wait, the rest goes on; " + stats.clock.why});
  health.checks.push_back(
      room("file", stats.file_bytes, stats.max_bytes,
           format_size_human(stats.file_bytes) + " of " + format_size_human(stats.max_bytes)));
  health.checks.push_back(disk(stats));
  health.checks.push_back(runs(stats));
  health.checks.push_back(damage(stats));
  health.checks.push_back(verification(peers));
  health.checks.push_back(certificates(peers));
  if (stuck.threads > 0) health.checks.push_back(functions(stuck));
  int64_t jobs = 0;
  for (const int64_t count : stats.by_state) jobs += count;
  health.checks.push_back(room("jobs", jobs, stats.max_jobs,
                               std::to_string(jobs) + " of " + std::to_string(stats.max_jobs)));
  return health;
}

Health stuck_health(int64_t silent_ms) {
  return {{{"engine", false, true, "it has not answered for " + format_duration_human(silent_ms)}}};
}

std::string health_json(const Health& health) {
  JsonObject json;
  json["status"] = health.word();
  JsonArray checks;
  for (const HealthCheck& check : health.checks) {
    JsonObject entry;
    entry["name"] = check.name;
    entry["ok"] = check.ok;
    if (!check.why.empty()) entry["why"] = check.why;
    checks.push_back(entry);
  }
  if (!checks.empty()) json["checks"] = checks;
  return json.text();
}

}  // namespace hf
