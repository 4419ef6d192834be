// Counts the bytes that SQLite writes to its open files, as the files are told: the log, its frames that a spill or a new checksum writes
// again, the pages of a checkpoint, what is filled to keep room. A few instructions a write.
//
// Thread: whoever owns the Db.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

struct sqlite3_file;

namespace hf {

class WriteCount {
 public:
  WriteCount();
  ~WriteCount();
  WriteCount(const WriteCount&) = delete;
  WriteCount& operator=(const WriteCount&) = delete;

  enum Which { database, log };
  // From now on what is written to it counts, and no more what is written to the one before it. Null: there is none. REQUIRES: it is closed
  // or let go before this ends.
  void watch(Which which, sqlite3_file* file);
  void let_go(Which which, sqlite3_file* file);
  int64_t take();  // bytes, since the last time

 private:
  struct Watched;
  std::array<std::unique_ptr<Watched>, 2> watched_;
};

}  // namespace hf
