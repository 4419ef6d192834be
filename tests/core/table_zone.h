// Zones from a table, for tests that must not depend on the zone data of the machine.
// tests/platform/zones_test.cpp holds the named ones against the IANA database.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/units.h"
#include "core/zone.h"

namespace hf::test {

class TableZone final : public Zone {
 public:
  struct Change {
    int64_t at_s;  // unix seconds, ascending
    int32_t offset_s;
  };

  TableZone(std::string name, int32_t first_offset_s, std::vector<Change> changes)
      : name_(std::move(name)), first_offset_s_(first_offset_s), changes_(std::move(changes)) {}

  const std::string& name() const override { return name_; }
  ZonePeriod period_at(int64_t unix_s) const override {
    size_t after = 0;  // the first change after unix_s
    while (after < changes_.size() && changes_[after].at_s <= unix_s) ++after;
    ZonePeriod period;
    period.abbreviation = "";
    period.offset_s = after == 0 ? first_offset_s_ : changes_[after - 1].offset_s;
    if (after > 0) period.begin_s = changes_[after - 1].at_s;
    if (after < changes_.size()) period.end_s = changes_[after].at_s;
    return period;
  }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  const std::string name_;
  const int32_t first_offset_s_;
  const std::vector<Change> changes_;
};

inline int64_t ms(std::string_view time) {
  return parse_time(time).value();
}
inline int64_t s(std::string_view time) {
  return ms(time) / 1000;
}

inline TableZone berlin() {
  return {"Europe/Berlin",
          3600,
          {{s("2026-03-29T01:00:00Z"), 7200},
           {s("2026-10-25T01:00:00Z"), 3600},
           {s("2027-03-28T01:00:00Z"), 7200},
           {s("2027-10-31T01:00:00Z"), 3600}}};
}
// DST of half an hour.
inline TableZone lord_howe() {
  return {"Australia/Lord_Howe",
          39600,
          {{s("2026-04-04T15:00:00Z"), 37800}, {s("2026-10-03T15:30:00Z"), 39600}}};
}
// Changes at midnight: a day that begins at 01:00, a day that has 23:00 twice.
inline TableZone sao_paulo() {
  return {"America/Sao_Paulo",
          -10800,
          {{s("2017-10-15T03:00:00Z"), -7200},
           {s("2018-02-18T02:00:00Z"), -10800},
           {s("2018-11-04T03:00:00Z"), -7200},
           {s("2019-02-17T02:00:00Z"), -10800}}};
}
// Moved over the date line: there was no 2011-12-30.
inline TableZone apia() {
  return {"Pacific/Apia",
          -39600,
          {{s("2011-09-24T14:00:00Z"), -36000},
           {s("2011-12-30T10:00:00Z"), 50400},
           {s("2012-03-31T14:00:00Z"), 46800}}};
}

}  // namespace hf::test
