// The same rows on bare SQLite with the same levers, as what Holdfast is measured against: one exclusive WAL
// connection, 1 KiB pages, prepared statements, claims in memory, no wait for the disk unless a job is
// acknowledged.
#pragma once

#include <string>

namespace hf::bench {

// Each prints its line. `path` must not exist.
void bare_insert(const std::string& path, int jobs);  // one durable insert after the other
void bare_sequential(const std::string& path, int jobs, bool durable);  // insert, wait for the disk if durable; delete, do not
void bare_pipeline(const std::string& path, int jobs, int depth);  // each commit: `depth` deletes and inserts

}  // namespace hf::bench
