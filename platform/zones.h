// The IANA time zones on the disk, read by cctz.
#pragma once

#include <string>
#include <vector>

#include "core/zone.h"

namespace hf {

// Any thread. cctz keeps each zone that was read for the life of the process; only files that are
// zones get so far, so wrong names cost no memory.
class SystemZones final : public ZoneSource {
 public:
  // The folder of compiled zones (TZif, RFC 8536); "": $TZDIR, else /usr/share/zoneinfo.
  explicit SystemZones(std::string directory = "");

  // UTC is found without a database. Reads a file.
  Result<std::shared_ptr<const Zone>> find(std::string_view name) const override;

  // The zones that are there, sorted; empty without a database. Walks the folder: 2 levels, at most
  // 4096 entries. For hints and completion.
  std::vector<std::string> names() const;

 private:
  const std::string directory_;
};

}  // namespace hf
