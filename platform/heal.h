// Opens an engine on a file that may be damaged. Damage is no reason to refuse: the damaged file is set aside as
// PATH.bad-<n>, what reads of it goes on in a new one, and the log says so at level error.
//
//   PATH.salvaging   is being written; a cut leaves it, the next opening throws it away
//   PATH.salvaged    whole and on the disk; from here on every step is finished by the next opening:
//                    PATH-wal -> PATH.bad-<n>-wal, PATH -> PATH.bad-<n>, PATH.salvaged -> PATH
//
// A file that shows no sign of being ours is refused and left alone, as is one of a newer version. What is no damage
// (no room, no permission, a lock, an error of the device) heals nothing. See docs/disk-format.md, "Healing".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"
#include "platform/log.h"

namespace hf {

inline constexpr int kDamagedKept = 5;  // damaged files that are kept beside the queue; then the oldest goes

// `met`: the error for which an engine on this file was dropped, HF_OK if there was none. HF_E_CORRUPT is damage,
// whatever a look at the file says now; HF_E_IO is, if some of its sectors cannot be read and others can.
Result<std::unique_ptr<Engine>> open_healing(const EngineOptions& options, const Logger& log, int met);

// The damaged files beside `path`, oldest first, without their logs.
std::vector<std::string> damaged_files(const std::string& path);

}  // namespace hf
