// In place of zones.cpp and zone_watch.cpp: UTC alone.
#include "core/left_out.h"
#include "core/names.h"
#include "platform/zones.h"

namespace hf {

ZoneWatch::~ZoneWatch() = default;  // there is none

SystemZones::SystemZones(std::string, bool) {}
SystemZones::~SystemZones() = default;
int SystemZones::watch_fd() const { return -1; }
void SystemZones::look() {}
Result<std::shared_ptr<const Zone>> SystemZones::find(std::string_view name) const {
  HF_TRY(check_zone_name(name));
  if (is_utc_name(name)) return utc_only().find(name);
  return left_out(("time zone " + quoted(name) + ": zones other than UTC are").c_str(), "ZONES");
}
std::vector<std::string> SystemZones::names() const { return {}; }

}  // namespace hf
