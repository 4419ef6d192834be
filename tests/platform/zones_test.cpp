#include "platform/zones.h"

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "core/random.h"
#include "tests/core/table_zone.h"
#include "tests/temp_folder.h"

using namespace hf;
using namespace hf::test;

namespace {

std::shared_ptr<const Zone> zone(std::string_view name) {
  auto found = SystemZones().find(name);
  REQUIRE_MESSAGE(found.ok(), found.error().message);
  return *found;
}
std::string refusal(std::string_view name, int code) {
  const auto found = SystemZones().find(name);
  REQUIRE_FALSE(found.ok());
  CHECK(found.error().code == code);
  return found.error().message;
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

void write(const TempFolder& folder, const std::string& name, const std::string& bytes) {
  const std::filesystem::path path = folder / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

void check_against_table(const TableZone& table) {
  const auto found = zone(table.name());
  for (const TableZone::Change& change : table.changes()) {
    CAPTURE(change.at_s);
    CHECK(found->next_transition(change.at_s - 1) == change.at_s);
    CHECK(found->local(change.at_s).offset_s == change.offset_s);
    CHECK(found->local(change.at_s - 1).offset_s == table.local(change.at_s - 1).offset_s);
    CHECK(found->period_at(change.at_s).begin_s == change.at_s);
    CHECK(found->period_at(change.at_s - 1).end_s == change.at_s);
  }
}

}  // namespace

TEST_CASE("zones: offset and abbreviation in summer and winter") {
  const auto berlin = zone("Europe/Berlin");
  CHECK(berlin->name() == "Europe/Berlin");
  const LocalTime summer = berlin->local(s("2026-07-01T10:00:00Z"));
  CHECK(summer.civil == CivilTime{{2026, 7, 1}, 12, 0, 0});
  CHECK(summer.offset_s == 7200);
  CHECK(summer.dst);
  CHECK(summer.abbreviation == "CEST");
  const LocalTime winter = berlin->local(s("2026-12-01T10:00:00Z"));
  CHECK(winter.offset_s == 3600);
  CHECK_FALSE(winter.dst);
  CHECK(winter.abbreviation == "CET");
}

TEST_CASE("zones: the tables of the core's tests are true") {
  check_against_table(test::berlin());
  check_against_table(test::lord_howe());
  check_against_table(test::sao_paulo());
  check_against_table(test::apia());
}

TEST_CASE("zones: a local time to UTC agrees with cctz's own answer") {
  Random random(200);
  for (const char* name :
       {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
        "Africa/Casablanca", "America/St_Johns", "Asia/Tehran", "Europe/Dublin"}) {
    CAPTURE(name);
    const auto ours = zone(name);
    cctz::time_zone theirs;
    REQUIRE(cctz::load_time_zone(name, &theirs));
    int64_t at_s = 0;
    int checked = 0;
    // Around every change until 2040, at random distances of up to three hours.
    while (const auto change = ours->next_transition(at_s)) {
      at_s = *change;
      if (at_s > s("2040-01-01T00:00:00Z")) break;
      for (int i = 0; i < 20; ++i, ++checked) {
        const int64_t civil_s = at_s + ours->local(at_s).offset_s + random.between(-10800, 10800);
        const CivilTime civil = civil_from_seconds(civil_s);
        const auto expected = theirs.lookup(cctz::civil_second() + civil_s);
        const LocalInstants found = ours->instants(civil);
        REQUIRE(static_cast<int>(found.kind) == static_cast<int>(expected.kind));
        REQUIRE(found.pre_s == expected.pre.time_since_epoch().count());
        REQUIRE(found.post_s == expected.post.time_since_epoch().count());
        REQUIRE(found.trans_s == expected.trans.time_since_epoch().count());
      }
    }
    CHECK(checked > 100);
  }
}

TEST_CASE("zones: periods follow each other without a hole, to the end of the calendar") {
  for (const char* name :
       {"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Casablanca"}) {
    CAPTURE(name);
    const auto found = zone(name);
    ZonePeriod period = found->period_at(0);
    CHECK(period.begin_s <= 0);
    int periods = 0;
    while (period.end_s < kMaxUnixMs / 1000) {
      const ZonePeriod next = found->period_at(period.end_s);
      REQUIRE(next.begin_s == period.end_s);
      REQUIRE(next.end_s > next.begin_s);
      REQUIRE(found->period_at(next.begin_s - 1).end_s == next.begin_s);
      period = next;
      ++periods;
    }
    CAPTURE(periods);
    CHECK(periods < 20000);
  }
}

TEST_CASE("zones: the rules of today hold in the far future") {
  const auto berlin = zone("Europe/Berlin");
  for (const char* year : {"2100", "2399", "2400", "2437", "2438", "2900", "9998"}) {
    CAPTURE(year);
    const int64_t july = s(std::string(year) + "-07-01T00:00:00Z");
    const int64_t january = s(std::string(year) + "-01-15T00:00:00Z");
    CHECK(berlin->local(july).offset_s == 7200);
    CHECK(berlin->local(january).offset_s == 3600);
    const CivilTime autumn = berlin->local(*berlin->next_transition(july)).civil;
    CHECK(autumn.date.month == 10);
    CHECK(autumn.date.day >= 25);
    CHECK(autumn.hour == 2);
    const CivilTime spring = berlin->local(*berlin->next_transition(january)).civil;
    CHECK(spring.date.month == 3);
    CHECK(spring.hour == 3);
    CHECK(berlin->period_at(july).begin_s == *berlin->next_transition(january));
  }
}

TEST_CASE("zones: UTC is there without a database") {
  const SystemZones none("/nonexistent");
  CHECK(none.names().empty());
  CHECK((*none.find("UTC"))->name() == "UTC");
  CHECK((*none.find("Etc/UTC"))->name() == "UTC");
  const auto missing = none.find("Europe/Berlin");
  REQUIRE_FALSE(missing.ok());
  CHECK(has(missing.error().message, "holds no zones (is the package tzdata installed?)"));
}

TEST_CASE("zones: an unknown name gives the nearest") {
  CHECK(has(refusal("Europe/Berln", HF_E_NOT_FOUND), "did you mean Europe/Berlin?"));
  CHECK(has(refusal("europe/berlin", HF_E_NOT_FOUND), "did you mean Europe/Berlin?"));
  CHECK(has(refusal("Berlin", HF_E_NOT_FOUND), "did you mean Europe/Berlin"));
  CHECK(has(refusal("Middle_Earth/Shire", HF_E_NOT_FOUND), "expected an IANA name"));
}

TEST_CASE("zones: a name cannot lead out of the folder") {
  for (const char* name : {"../../../etc/passwd", "/etc/passwd", "Europe/../Europe/Berlin", ""}) {
    CAPTURE(name);
    CHECK(has(refusal(name, HF_E_INVALID), "is not a time zone name"));
  }
}

TEST_CASE("zones: cctz's own names are not zones here") {
  refusal("Fixed/UTC+01:00:00", HF_E_INVALID);
  refusal("libc:UTC", HF_E_INVALID);
  refusal("Fixed", HF_E_NOT_FOUND);
}

TEST_CASE("zones: a folder, a text file and a damaged file are not zones") {
  const TempFolder folder;
  write(folder, "Here/Notes", "no zone");
  write(folder, "Here/Damaged", "TZif2 and then nothing of use");
  write(folder, "Here/Empty", "");
  const SystemZones zones(folder.path());
  CHECK(zones.find("Here").error().code == HF_E_NOT_FOUND);
  CHECK(zones.find("Here/Notes").error().code == HF_E_NOT_FOUND);
  CHECK(zones.find("Here/Empty").error().code == HF_E_NOT_FOUND);
  const auto damaged = zones.find("Here/Damaged");
  REQUIRE_FALSE(damaged.ok());
  CHECK(damaged.error().code == HF_E_CORRUPT);
}

TEST_CASE("zones: names lists zones once, sorted, without copies and tables") {
  const std::vector<std::string> names = SystemZones().names();
  CHECK(names.size() > 300);
  CHECK(std::is_sorted(names.begin(), names.end()));
  const auto listed = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  CHECK(listed("Europe/Berlin"));
  CHECK(listed("America/Argentina/Ushuaia"));
  CHECK_FALSE(listed("posix/Europe/Berlin"));
  CHECK_FALSE(listed("right/Europe/Berlin"));
  CHECK_FALSE(listed("zone.tab"));
}

// ---- zones that change ------------------------------------------------------------------------------------

namespace {

std::string database(const std::string& name) {
  std::ifstream file("/usr/share/zoneinfo/" + name, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}
// As packages do it.
void replace(const TempFolder& folder, const std::string& name, const std::string& bytes) {
  write(folder, name + ".new", bytes);
  std::filesystem::rename(folder / (name + ".new"), folder / name);
}
bool readable(int fd, int wait_ms) {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, wait_ms) == 1;
}

}  // namespace

TEST_CASE("zones: a file that was changed is read again, and those who have the old zone keep it") {
  const TempFolder folder;
  const SystemZones zones(folder.path());
  replace(folder, "Here/Town", database("Europe/Berlin"));
  const auto before = zones.find("Here/Town").value();
  CHECK(zones.find("Here/Town").value() == before);
  CHECK(before->local(s("2026-07-01T10:00:00Z")).offset_s == 7200);
  const char* const others[] = {"America/New_York", "Asia/Kolkata", "Europe/Berlin"};
  const int offsets[] = {-4 * 3600, 19800, 7200};
  for (int i = 0; i < 3; ++i) {
    replace(folder, "Here/Town", database(others[i]));
    CHECK(zones.find("Here/Town").value()->local(s("2026-07-01T10:00:00Z")).offset_s == offsets[i]);
    CHECK(SystemZones(folder.path()).find("Here/Town").value()->local(s("2026-07-01T10:00:00Z")).offset_s == offsets[i]);
  }
  CHECK(before->local(s("2026-07-01T10:00:00Z")).offset_s == 7200);
  // Damaged, gone, and there again.
  replace(folder, "Here/Town", "TZif2 and then nothing of use");
  CHECK(zones.find("Here/Town").error().code == HF_E_CORRUPT);
  CHECK(zones.find("Here/Town").error().code == HF_E_CORRUPT);
  std::filesystem::remove(folder / "Here/Town");
  CHECK(zones.find("Here/Town").error().code == HF_E_NOT_FOUND);
  replace(folder, "Here/Town", database("America/New_York"));
  CHECK(zones.find("Here/Town").value()->local(s("2026-07-01T10:00:00Z")).offset_s == -4 * 3600);
}

TEST_CASE("zones: changes are noticed, of folders that come and go too, and nothing is heard meanwhile") {
  const TempFolder folder;
  SystemZones zones(folder / "zoneinfo", true);
  REQUIRE(zones.watch_fd() >= 0);
  CHECK_FALSE(zones.find("Here/Town").ok());  // there is no folder at all
  uint64_t version = zones.version();
  const auto noticed = [&] {
    if (!readable(zones.watch_fd(), 2000)) return false;
    while (readable(zones.watch_fd(), 0)) zones.look();
    return zones.version() != std::exchange(version, zones.version());
  };
  replace(folder, "zoneinfo/Here/Town", database("Europe/Berlin"));
  CHECK(noticed());
  CHECK(zones.find("Here/Town").ok());
  CHECK_FALSE(readable(zones.watch_fd(), 0));
  replace(folder, "zoneinfo/Here/Town", database("Asia/Kolkata"));
  CHECK(noticed());
  std::filesystem::rename(folder / "zoneinfo", folder / "old");
  CHECK(noticed());
  write(folder, "old/Here/Other", "");  // that is elsewhere now
  CHECK_FALSE(readable(zones.watch_fd(), 0));
  std::filesystem::create_directories(folder / "zoneinfo");
  CHECK(noticed());
  replace(folder, "zoneinfo/Here/Town", database("Europe/Berlin"));
  CHECK(noticed());
  write(folder, "zoneinfo/Here/Town", database("Asia/Kolkata"));  // in place
  CHECK(noticed());
  CHECK(zones.find("Here/Town").value()->local(s("2026-07-01T10:00:00Z")).offset_s == 19800);
  CHECK(SystemZones(folder.path()).watch_fd() == -1);
}
