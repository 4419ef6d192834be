// The part of a salvage that is the program's: tables, indexes, views and triggers that lie in the file beside ours.
#pragma once

#include "core/salvage.h"

namespace hf {

// Makes them in the new file, which holds our rows already and is closed. An error is one of the new file (no room, for
// example), never one of what was found in the old one: that is counted in `result`.
// REQUIRES: image.weigh() was called.
Status salvage_host(const PageImage& image, const SalvageOptions& options, Salvaged& result);

}  // namespace hf
