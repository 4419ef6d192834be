#include "core/write_count.h"

#include <sqlite3.h>

#include <cstddef>
#include <cstring>
#include <utility>

#include "core/sqlite.h"

namespace hf {

namespace {
// What a VFS of an older SQLite has of the struct.
size_t size_of(const sqlite3_io_methods& methods) {
  if (methods.iVersion < 2) return offsetof(sqlite3_io_methods, xShmMap);
  return methods.iVersion < 3 ? offsetof(sqlite3_io_methods, xFetch) : sizeof methods;
}
}  // namespace

// The file's methods with another xWrite. They are all that the file shows of itself, and so lead back here.
struct WriteCount::Watched : sqlite3_io_methods {
  const sqlite3_io_methods* real = nullptr;
  int64_t bytes = 0;

  static int write(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
    auto* self = const_cast<Watched*>(static_cast<const Watched*>(file->pMethods));
    const int rc = self->real->xWrite(file, from, size, at);
    if (rc == SQLITE_OK) self->bytes += size;
    return rc;
  }
};

WriteCount::WriteCount() : watched_{std::make_unique<Watched>(), std::make_unique<Watched>()} {}
WriteCount::~WriteCount() = default;

void WriteCount::watch(Which which, sqlite3_file* file) {
  Watched& w = *watched_[which];
  if (file == nullptr || file->pMethods == &w) return;
  w.real = file->pMethods;
  std::memcpy(static_cast<sqlite3_io_methods*>(&w), w.real, size_of(*w.real));
  w.xWrite = Watched::write;
  file->pMethods = &w;
}

void WriteCount::let_go(Which which, sqlite3_file* file) {
  if (file != nullptr && file->pMethods == watched_[which].get()) file->pMethods = watched_[which]->real;
}

int64_t WriteCount::take() {
  int64_t bytes = 0;
  for (auto& w : watched_) bytes += std::exchange(w->bytes, 0);
  return bytes;
}

void Db::count_writes(bool on) {
  sqlite3_file *const database = file(SQLITE_FCNTL_FILE_POINTER), *const log = file(SQLITE_FCNTL_JOURNAL_POINTER);
  if (on) {
    written_.watch(WriteCount::database, database);
    written_.watch(WriteCount::log, log);
  } else {
    written_.let_go(WriteCount::database, database);
    written_.let_go(WriteCount::log, log);
  }
}

}  // namespace hf
