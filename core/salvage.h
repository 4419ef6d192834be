// Saves what reads of a damaged queue file into a new one. The damaged file is not written to.
//
// What is saved is what can be told to be right: a row whose record holds together and whose values are in their
// ranges. A job that is there but cannot do its work any more (its payload or its lane is gone) is kept where a person
// sees it, as a dead letter that says why, or in the queue "lost". Indexes are made anew. Bits that flipped inside a
// payload or a text cannot be seen: the format has no checksums.
//
// Tables of the program that lie in the file are made anew by what the schema says of them, with the rows that read.
// Nothing that is wrong with them makes a salvage fail.
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
  // Of the program's own tables.
  int64_t host_rows = 0, host_lost = 0;
  bool host_lost_unknown = false;
  std::string host_not_made;  // names of their tables, indexes, views and triggers that could not be made
};

inline constexpr int kRowsACommit = 1000;

// REQUIRES: image is of options.path, and stays so (its lock is held).
Result<Salvaged> salvage(PageImage& image, const SalvageOptions& options);

// Of a file that a salvage made, which is only read: what it says of the program's tables, all salvages together.
void read_host_counts(const std::string& path, const std::string& vfs, Salvaged& into);

}  // namespace hf
