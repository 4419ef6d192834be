// A cron line, in a zone, at a time: what parses says what it means, next and previous are each
// other's way back, and both agree with the oracle of tests/core, which reads the line on its own.
//
//   ZONE POLICY   two letters: U B L S A (UTC, Berlin, Lord Howe, Sao Paulo, Apia), v s b
//   TIME          RFC 3339
//   LINE          the rest
#include "core/cron.h"
#include "core/units.h"
#include "tests/core/cron_oracle.h"
#include "tests/core/table_zone.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

// Counts what a search costs.
class CountingZone final : public Zone {
 public:
  explicit CountingZone(const Zone& zone) : zone_(zone) {}
  const std::string& name() const override { return zone_.name(); }
  ZonePeriod period_at(int64_t unix_s) const override {
    must(unix_s >= kZoneBegin && unix_s < kZoneEnd);
    ++looked;
    return zone_.period_at(unix_s);
  }
  mutable int looked = 0;

 private:
  const Zone& zone_;
};

const Zone& zone_of(char letter) {
  static const test::TableZone kBerlin = test::berlin(), kLordHowe = test::lord_howe(),
                               kSaoPaulo = test::sao_paulo(), kApia = test::apia();
  switch (letter) {
    case 'B': return kBerlin;
    case 'L': return kLordHowe;
    case 'S': return kSaoPaulo;
    case 'A': return kApia;
    default: return utc_zone();
  }
}

// Any bytes are a time: most mutations of a good one are not, and a line is still wanted.
int64_t time_of(std::string_view text) {
  if (const auto time = parse_time(text)) return *time;
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return kMinUnixMs + static_cast<int64_t>(hash % static_cast<uint64_t>(kMaxUnixMs - kMinUnixMs));
}

void check_searches(const CronExpr& cron, const Zone& table, int64_t time, DstPolicy policy) {
  const CountingZone zone(table);
  const auto first = cron.next(time, zone, policy);
  must(zone.looked < 1000);
  if (!first) {
    must(time > kMaxUnixMs - 400 * 366 * kSecondsPerDay * 1000);  // parse refuses what never fires
    return;
  }
  must(*first > time && *first <= kMaxUnixMs);
  if (cron.kind() == CronLine::Kind::every) {
    must(*first - time == cron.every_ms());
    return;
  }
  must(*first % 1000 == 0);
  must(cron.next(*first - 1, zone, policy) == first);
  must(cron.previous(*first + 1, zone, policy) == first);
  const auto before = cron.previous(*first, zone, policy);
  must(!before || *before <= time);  // nothing fires between the two
  if (before) must(cron.next(*before, zone, policy) == first);
  if (const auto second = cron.next(*first, zone, policy)) {
    must(*second > *first && cron.previous(*second, zone, policy) == first);
  }
  must(zone.looked < 10000);
}

// The fields against the oracle's reading of the text: every second, minute and hour, and the days
// of two months.
void check_fields(std::string text, const CronFields& fields, int64_t time) {
  for (char& c : text) c = static_cast<char>(c == '\t' ? ' ' : std::toupper(static_cast<unsigned char>(c)));
  const test::OracleLine oracle(text);
  const CivilTime now = civil_from_seconds(floor_div(time, 1000));
  for (int i = 0; i < 60; ++i) {
    const CivilTime at{now.date, i % 24, i, i};
    const bool fits = (fields.seconds >> i & 1) && (fields.minutes >> i & 1) && (fields.hours >> (i % 24) & 1);
    must(oracle.matches_time(at) == fits);
  }
  const int64_t today = days_from_civil(now.date);
  for (int64_t day = today; day < today + 62; ++day) {
    const CivilDate date = civil_from_days(day);
    must(oracle.matches_day(date) == ((fields.matching_days(date.year, date.month) >> date.day & 1) != 0));
  }
}

}  // namespace

HF_FUZZ(input) {
  const std::string_view where = input.line();
  const int64_t time = time_of(input.line());
  const std::string text(input.rest());
  const Zone& zone = zone_of(where.empty() ? 'U' : where[0]);
  const char letter = where.size() > 1 ? where[1] : 'v';
  const DstPolicy policy = letter == 's' ? DstPolicy::skip : letter == 'b' ? DstPolicy::both : DstPolicy::vixie;
  const uint64_t seed = cron_seed("gateway", where);

  const auto line = parse_cron_line(text, seed);
  const auto cron = CronExpr::parse(text, seed);
  must(line.ok() == cron.ok());
  if (!line) return must_be_told(line.error());
  must(text.size() <= kCronLineMax);
  must(line->zone_name.empty() || check_zone_name(line->zone_name));
  const std::string words = cron->describe();
  must(!words.empty() && valid_utf8(words) && words.find('\n') == std::string::npos);
  if (line->kind == CronLine::Kind::every) must(line->every_ms >= kEveryMinMs && line->every_ms <= kEveryMaxMs);
  check_searches(*cron, zone, time, policy);
  const bool macro = text.find('@') != std::string::npos || text.find('=') != std::string::npos;
  const bool hash = text.find('H') != std::string::npos || text.find('h') != std::string::npos;
  if (line->kind == CronLine::Kind::calendar && !macro && !hash) check_fields(text, line->fields, time);
}
