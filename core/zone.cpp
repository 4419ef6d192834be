#include "core/zone.h"

#include "core/names.h"

namespace hf {
namespace {


class UtcZone final : public Zone {
 public:
  const std::string& name() const override { return name_; }
  ZonePeriod period_at(int64_t) const override { return {}; }

 private:
  std::string name_ = "UTC";
};

class UtcOnly final : public ZoneSource {
 public:
  Result<std::shared_ptr<const Zone>> find(std::string_view name) const override {
    HF_TRY(check_zone_name(name));
    // Not owned: utc_zone() lives as long as the program.
    if (is_utc_name(name)) return std::shared_ptr<const Zone>(std::shared_ptr<void>(), &utc_zone());
    return Error{HF_E_NOT_FOUND,
                 "there is no time zone " + quoted(name) + ": only UTC is known here"};
  }
};

}  // namespace

LocalTime Zone::local(int64_t unix_s) const {
  const ZonePeriod period = period_at(unix_s);
  return {civil_from_seconds(unix_s + period.offset_s), period.offset_s, period.dst,
          period.abbreviation};
}

LocalInstants Zone::instants(const CivilTime& civil) const {
  using Kind = LocalInstants::Kind;
  const int64_t civil_s = civil_seconds(civil);
  ZonePeriod before;
  // From the earliest period that may show this time: on the left of it the clock had not come so
  // far.
  ZonePeriod period = period_at(civil_s - kZoneMaxOffset);
  for (bool first = true;; first = false) {
    const int64_t instant = civil_s - period.offset_s;
    if (!first && instant < period.begin_s) {
      return {Kind::skipped, civil_s - before.offset_s, period.begin_s, instant};
    }
    if (period.end_s >= kZoneEnd) return {Kind::unique, instant, instant, instant};
    const ZonePeriod next = period_at(period.end_s);
    if (instant < period.end_s) {
      const int64_t again = civil_s - next.offset_s;
      if (again >= next.begin_s) return {Kind::repeated, instant, next.begin_s, again};
      return {Kind::unique, instant, instant, instant};
    }
    before = period;
    period = next;
  }
}

std::optional<int64_t> Zone::next_transition(int64_t unix_s) const {
  const int64_t end_s = period_at(unix_s).end_s;
  if (end_s >= kZoneEnd) return std::nullopt;
  return end_s;
}

const Zone& utc_zone() {
  static const UtcZone zone;
  return zone;
}

const ZoneSource& utc_only() {
  static const UtcOnly source;
  return source;
}

Status check_zone_name(std::string_view name) {
  constexpr std::string_view kAllowed = ": expected an IANA name such as Europe/Berlin or UTC";
  const auto refuse = [&](const std::string& why) {
    return Error{HF_E_INVALID, quoted(name) + " is not a time zone name" + std::string(kAllowed) +
                                   " (" + why + ")"};
  };
  if (name.empty()) return refuse("found nothing");
  if (name.size() > kZoneNameMax)
    return refuse("longer than " + std::to_string(kZoneNameMax) + " bytes");
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool at_end = i == 0 || i + 1 == name.size() || name[i - 1] == '/';
    if (c == '/' ? at_end : !is_letter(c) && !is_digit(c) && c != '_' && c != '+' && c != '-') {
      return refuse("found " + quoted(name.substr(i, 1)) + " at position " + std::to_string(i + 1));
    }
  }
  return ok_status();
}

bool is_utc_name(std::string_view name) {
  return name == "UTC" || name == "Etc/UTC";
}

}  // namespace hf
