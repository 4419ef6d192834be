// The IANA time zones on the disk, read by cctz.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/zone.h"
#include "platform/zone_watch.h"

namespace hf {

inline constexpr int kZoneChangesMax = 1000;

// Any thread. Each zone that was read is kept for the life of the process, and each change of it, up to kZoneChangesMax of
// one zone; only files that are zones get so far, so wrong names cost no memory.
class SystemZones final : public ZoneSource {
 public:
  // The folder of compiled zones (TZif, RFC 8536); "": $TZDIR, else /usr/share/zoneinfo.
  // `watched`: whether what was asked for changes is noticed; then one thread alone may call find().
  explicit SystemZones(std::string directory = "", bool watched = false);
  ~SystemZones() override;

  // UTC is found without a database. Reads a file, if it is another one than at the last time.
  Result<std::shared_ptr<const Zone>> find(std::string_view name) const override;
  uint64_t version() const override { return version_; }

  int watch_fd() const;  // readable: look(); -1: none
  void look();           // on the thread of find(), as version()

  // The zones that are there, sorted; empty without a database. Walks the folder: 2 levels, at most
  // 4096 entries. For hints and completion.
  std::vector<std::string> names() const;

 private:
  const std::string directory_;
  const std::unique_ptr<ZoneWatch> watch_;
  uint64_t version_ = 0;
};

}  // namespace hf
