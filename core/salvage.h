// Saves what reads of a damaged queue file into a new one. The damaged file is not written to.
//
// What is saved is what can be told to be right: a row whose record holds together and whose values are in their
// ranges. A job that is there but cannot do its work any more (its payload or its lane is gone) is kept where a person
// sees it, as a dead letter that says why, or in the queue "lost". Indexes are made anew. Bits that flipped inside a
// payload or a text cannot be seen: the format has no checksums.
#pragma once

#include <cstdint>
#include <string>

#include "core/page_image.h"
#include "core/result.h"

namespace hf {

struct SalvageOptions {
  std::string path;      // the damaged file; its log beside it
  std::string to;        // the new file; must not exist
  std::string vfs;
  int page_size = 1024;  // if the old one cannot be told
  uint32_t new_file_id = 0;
};

struct Salvaged {
  int64_t saved = 0, lost = 0;
  bool lost_unknown = false;
  int64_t schedules = 0, queues = 0;
};

// REQUIRES: image is of options.path, and stays so (its lock is held).
Result<Salvaged> salvage(PageImage& image, const SalvageOptions& options);

}  // namespace hf
