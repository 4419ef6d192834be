// What befalls a simulated device, as it is written, and what is no such thing.
#include <doctest/doctest.h>

#include <string>

#include "apps/simulate_incidents.h"
#include "core/units.h"

using namespace hf;

namespace {

using Kind = Incident::Kind;

const int64_t kFrom = *parse_time("2026-11-25T00:00:00Z");
const int64_t kTo = *parse_time("2026-12-25T00:00:00Z");

Incident parse(Kind kind, const std::string& text) {
  const auto incident = parse_incident(kind, text, kFrom, kTo);
  if (!incident) FAIL(incident.error().message);
  return *incident;
}
std::string refused(Kind kind, const std::string& text) {
  const auto incident = parse_incident(kind, text, kFrom, kTo);
  if (incident) return "it was taken";
  CHECK(incident.error().code == HF_E_INVALID);
  return incident.error().message;
}
bool has(const std::string& text, const std::string& part) {
  CHECK_MESSAGE(text.find(part) != std::string::npos, text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("simulate: START/END of an incident") {
  const int64_t day = 86400000, hour = 3600000;
  for (const char* text : {"1d/8h", "2026-11-26T00:00:00Z/8h", "2026-11-26T01:00:00+01:00/2026-11-26T08:00:00Z", "24h/480m"}) {
    const Incident incident = parse(Kind::off, text);
    CHECK(incident.at_ms == kFrom + day);
    CHECK(incident.end_ms == kFrom + day + 8 * hour);
  }
  CHECK(parse(Kind::suspended, "0s/60d").end_ms == kFrom + 60 * day);  // it may go on behind the end
  CHECK(parse(Kind::clock_set, "1d/+90s").by_ms == 90000);
  CHECK(parse(Kind::clock_set, "1d/-1h").by_ms == -hour);
  CHECK(parse(Kind::clock_set, "2026-11-26T00:00:00Z/-1h").at_ms == kFrom + day);
  CHECK(parse(Kind::clock_set, "1d/2030-01-01T00:00:00Z").to_ms == *parse_time("2030-01-01T00:00:00Z"));
}

TEST_CASE("simulate: what is no incident is refused, with what is meant") {
  CHECK(has(refused(Kind::off, "2d"), "--outage \"2d\": expected START/LENGTH, such as 2d/8h"));
  CHECK(has(refused(Kind::clock_set, "2d"), "--set-clock \"2d\": expected START/STEP"));
  CHECK(has(refused(Kind::off, "tomorrow/8h"), "\"tomorrow\" is neither a time, such as 2026-12-01T03:00:00Z, nor a duration after the beginning"));
  CHECK(has(refused(Kind::off, "2026-11-26T00:00:00/8h"), "not a time"));
  CHECK(has(refused(Kind::off, "1d/8"), "\"8\" is neither"));
  CHECK(has(refused(Kind::off, "/8h"), "\"\" is neither"));
  CHECK(has(refused(Kind::off, "1d/"), "\"\" is neither"));
  CHECK(has(refused(Kind::off, "1d/0s"), "is not after its start"));
  CHECK(has(refused(Kind::off, "1d/2026-11-25T12:00:00Z"), "is not after its start"));
  CHECK(has(refused(Kind::suspended, "30d/8h"), "is not in what is simulated: 2026-11-25T00:00:00Z to 2026-12-25T00:00:00Z"));
  CHECK(has(refused(Kind::suspended, "2026-11-24T00:00:00Z/8h"), "is not in what is simulated"));
  CHECK(has(refused(Kind::off, "9223372036854775807ms/8h"), "beyond the year 9999"));
  CHECK(has(refused(Kind::off, "1d/9223372036854775807ms"), "beyond the year 9999"));
  CHECK(has(refused(Kind::clock_set, "1d/1h"), "neither a step, such as +1h or -90s, nor a time"));
  CHECK(has(refused(Kind::clock_set, "1d/+1"), "not a duration"));
  CHECK(has(refused(Kind::clock_set, "1d/+9223372036854775807ms"), "beyond the year 9999"));
  CHECK(has(refused(Kind::clock_set, "1d/-25000d"), "1970 to 9999"));
}

TEST_CASE("simulate: incidents that exclude each other") {
  const auto of = [](Kind kind, const char* text) { return parse(kind, text); };
  CHECK(check_incidents({of(Kind::off, "1d/8h"), of(Kind::off, "32h/8h"), of(Kind::clock_lost, "1d/9h"), of(Kind::clock_set, "25h/+1h")}).ok());
  const Status overlap = check_incidents({of(Kind::suspended, "25h/1h"), of(Kind::off, "1d/8h")});
  REQUIRE_FALSE(overlap.ok());
  CHECK(has(overlap.error().message, "--suspend 2026-11-26T01:00:00Z/1h begins before --outage 2026-11-26T00:00:00Z/8h is over"));
  CHECK_FALSE(check_incidents({of(Kind::clock_lost, "1d/8h"), of(Kind::clock_lost, "25h/1h")}).ok());
}
