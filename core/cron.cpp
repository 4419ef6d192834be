#include "core/cron.h"

#include <algorithm>

#include "core/random.h"
#include "core/zone_rules.h"

namespace hf {
namespace {

// What a zone period is to a line: where its local clock starts, and how far it had come before.
struct LocalStart {
  int64_t first_s;    // the first civil second of the period
  int64_t reached_s;  // the civil time up to which (excluded) the local clock had come before the
                      // period

  bool gap() const { return reached_s < first_s; }
};

LocalStart local_start(const Zone& zone, const ZonePeriod& period) {
  const int64_t first_s = period.begin_s + period.offset_s;
  if (period.begin_s <= kZoneBegin) return {first_s, first_s};
  // Usually the period before decides; when changes follow within hours of each other, one before
  // it may.
  ZonePeriod before = zone.period_at(period.begin_s - 1);
  int64_t reached_s = before.end_s + before.offset_s;
  while (before.begin_s > std::max(kZoneBegin, period.begin_s - kZoneMaxOffset)) {
    before = zone.period_at(before.begin_s - 1);
    reached_s = std::max(reached_s, before.end_s + before.offset_s);
  }
  return {first_s, reached_s};
}

// A fixed-time line in a zone, and what the policy makes of its changes.
class DstRule {
 public:
  DstRule(const CronLine& line, DstPolicy policy)
      : fields_(line.fields),
        makes_up_(line.fixed_time && policy != DstPolicy::skip),
        once_(line.fixed_time && policy != DstPolicy::both) {}

  bool makes_up() const { return makes_up_; }
  bool once() const { return once_; }
  // True if a firing was skipped by the jump that begins the period: it is made up for at begin_s.
  bool fires_at_begin(const LocalStart& start) const {
    if (!makes_up_ || !start.gap()) return false;
    const auto skipped = fields_.at_or_after(start.reached_s);
    return skipped && *skipped < start.first_s;
  }
  // The first civil time of the period that counts: what was shown before does not count again.
  int64_t first_counted(const LocalStart& start) const {
    return once_ ? std::max(start.first_s, start.reached_s) : start.first_s;
  }

 private:
  const CronFields& fields_;
  const bool makes_up_;
  const bool once_;
};

}  // namespace

Result<CronExpr> CronExpr::parse(std::string_view text, uint64_t seed) {
  auto line = parse_cron_line(text, seed);
  if (!line) return line.error();
  return CronExpr(std::move(line).value());
}

std::string CronExpr::describe() const {
  return describe_cron_line(line_);
}

namespace {
// A valid line may never fire in a zone: "* 2 * 3 SUNL" in Europe/Berlin, where that hour of that day is skipped each
// year, nor does "30 2 * 3 SUNL" under DstPolicy::skip. Once a zone goes by rules alone, what a year brings depends on its length and its first
// weekday, and each of these 14 kinds of year comes within 40 years: what did not fire in so many never will.
constexpr int64_t kYears_s = 50LL * 366 * kSecondsPerDay;

int64_t search_until(int64_t from_s) {
  return std::min(std::max(from_s, kZoneRulesOnly) + kYears_s, kMaxUnixMs / 1000);
}
int64_t search_back_to(int64_t from_s) {
  return from_s - kYears_s >= kZoneRulesOnly ? from_s - kYears_s : kMinUnixMs / 1000;
}
}  // namespace

// Within a period local time is UTC plus a constant, so the search is one in civil time, and from
// period to period. Periods without a match are leapt over: as no offset exceeds kZoneMaxOffset,
// the instants from `a` to `b` show civil times of [a - max, b + max) only; if the first match from
// a - max on is m, nothing fires before m - max. So a line that fires once in 40 years costs a few
// steps, not 80 periods.
std::optional<int64_t> CronExpr::next(int64_t after_unix_ms, const Zone& zone,
                                      DstPolicy policy) const {
  if (after_unix_ms >= kMaxUnixMs || line_.kind == CronLine::Kind::reboot) return std::nullopt;
  after_unix_ms = std::max(after_unix_ms, kMinUnixMs - 1);
  if (line_.kind == CronLine::Kind::every) {
    const int64_t at_ms = after_unix_ms + line_.every_ms;
    return at_ms <= kMaxUnixMs ? std::optional(at_ms) : std::nullopt;
  }
  const DstRule rule(line_, policy);
  int64_t from_s = floor_div(after_unix_ms, 1000) + 1;
  const int64_t until_s = search_until(from_s);
  while (from_s <= until_s) {
    const ZonePeriod period = zone.period_at(from_s);
    const auto inside = [&](const std::optional<int64_t>& civil_s) {
      return civil_s && *civil_s - period.offset_s < period.end_s;
    };
    auto match = line_.fields.at_or_after(from_s + period.offset_s);
    const bool may_make_up = rule.makes_up() && from_s == period.begin_s;
    if (may_make_up || (rule.once() && inside(match))) {
      const LocalStart start = local_start(zone, period);
      if (may_make_up && rule.fires_at_begin(start)) return from_s * 1000;
      const int64_t first_s = rule.first_counted(start);
      if (match && *match < first_s) match = line_.fields.at_or_after(first_s);
    }
    if (inside(match)) {
      const int64_t at_ms = (*match - period.offset_s) * 1000;
      return at_ms <= kMaxUnixMs ? std::optional(at_ms) : std::nullopt;
    }
    const auto earliest = line_.fields.at_or_after(from_s - kZoneMaxOffset);
    if (!earliest) return std::nullopt;
    from_s = std::max(period.end_s, *earliest - kZoneMaxOffset);
  }
  return std::nullopt;
}

std::optional<int64_t> CronExpr::previous(int64_t before_unix_ms, const Zone& zone,
                                          DstPolicy policy) const {
  if (before_unix_ms <= kMinUnixMs || line_.kind == CronLine::Kind::reboot) return std::nullopt;
  before_unix_ms = std::min(before_unix_ms, kMaxUnixMs + 1);
  if (line_.kind == CronLine::Kind::every) {
    const int64_t at_ms = before_unix_ms - line_.every_ms;
    return at_ms >= kMinUnixMs ? std::optional(at_ms) : std::nullopt;
  }
  const DstRule rule(line_, policy);
  int64_t to_s = floor_div(before_unix_ms - 1, 1000) + 1;  // excluded
  const int64_t back_to_s = search_back_to(to_s);
  while (to_s > back_to_s) {
    const ZonePeriod period = zone.period_at(to_s - 1);
    int64_t first_s = period.begin_s + period.offset_s;
    bool fires_at_begin = false;
    const auto match = line_.fields.at_or_before(to_s - 1 + period.offset_s);
    if (rule.makes_up() || (rule.once() && match && *match >= first_s)) {
      const LocalStart start = local_start(zone, period);
      first_s = rule.first_counted(start);
      fires_at_begin = rule.fires_at_begin(start);
    }
    int64_t at_s = kZoneBegin;
    if (match && *match >= first_s) {
      at_s = *match - period.offset_s;
    } else if (fires_at_begin) {
      at_s = period.begin_s;
    }
    if (at_s > kZoneBegin) {
      return at_s * 1000 >= kMinUnixMs ? std::optional(at_s * 1000) : std::nullopt;
    }
    const auto latest = line_.fields.at_or_before(to_s - 1 + kZoneMaxOffset);
    if (!latest) return std::nullopt;
    to_s = std::min(period.begin_s, *latest + kZoneMaxOffset + 1);
  }
  return std::nullopt;
}

uint64_t cron_seed(std::string_view device, std::string_view schedule) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&hash](char c) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  };
  for (const char c : device) add(c);
  add('\0');
  for (const char c : schedule) add(c);
  return splitmix64(hash);
}

}  // namespace hf
