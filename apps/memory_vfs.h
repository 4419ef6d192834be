// A SQLite VFS whose files are strings: a database is bytes, and opening it costs no system call. What is written is
// there at once, whether it was synced or not.
//
// Its files live as long as it does; it outlives the databases on it. Thread: one at a time.
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

namespace hf {

class MemoryVfs {
 public:
  explicit MemoryVfs(size_t file_max) : file_max_(file_max) {  // more is SQLITE_FULL
    std::snprintf(name_, sizeof name_, "memory-%p", static_cast<void*>(this));  // several at a time
    vfs_.iVersion = 1;
    vfs_.szOsFile = sizeof(File);
    vfs_.mxPathname = 64;
    vfs_.zName = name_;
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    vfs_.xDelete = [](sqlite3_vfs* vfs, const char* path, int) { return self(vfs).files.erase(path) ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT; };
    vfs_.xAccess = [](sqlite3_vfs* vfs, const char* path, int, int* out) { return *out = self(vfs).files.contains(path), SQLITE_OK; };
    vfs_.xFullPathname = [](sqlite3_vfs*, const char* path, int size, char* out) { return sqlite3_snprintf(size, out, "%s", path), SQLITE_OK; };
    vfs_.xRandomness = [](sqlite3_vfs*, int size, char* out) { return std::memset(out, 7, static_cast<size_t>(size)), size; };
    vfs_.xSleep = [](sqlite3_vfs*, int us) { return us; };
    vfs_.xCurrentTime = [](sqlite3_vfs*, double* day) { return *day = 2461000.5, SQLITE_OK; };
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~MemoryVfs() { sqlite3_vfs_unregister(&vfs_); }
  MemoryVfs(const MemoryVfs&) = delete;
  MemoryVfs& operator=(const MemoryVfs&) = delete;

  const char* name() const { return name_; }
  std::map<std::string, std::string> files;

 private:
  struct File {
    sqlite3_file base;
    std::string* bytes;
    size_t max;
  };
  static MemoryVfs& self(sqlite3_vfs* vfs) { return *static_cast<MemoryVfs*>(vfs->pAppData); }
  static std::string& bytes(sqlite3_file* file) { return *reinterpret_cast<File*>(file)->bytes; }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    static const sqlite3_io_methods methods = make_methods();
    file->pMethods = nullptr;
    auto& files = self(vfs).files;
    if (path == nullptr) path = "temporary";
    if (!files.contains(path) && (flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
    auto* opened = reinterpret_cast<File*>(file);
    opened->bytes = &files[path];  // a map: it stays where it is
    opened->max = self(vfs).file_max_;
    file->pMethods = &methods;
    if (out_flags != nullptr) *out_flags = flags;
    return SQLITE_OK;
  }

  static sqlite3_io_methods make_methods() {
    sqlite3_io_methods m{};
    m.iVersion = 1;  // no shared memory: the engine needs none
    m.xClose = [](sqlite3_file*) { return SQLITE_OK; };
    m.xRead = [](sqlite3_file* file, void* to, int count, sqlite3_int64 at) {
      const std::string& from = bytes(file);
      const size_t want = static_cast<size_t>(count);
      const size_t start = std::min(static_cast<size_t>(at), from.size());
      const size_t got = std::min(want, from.size() - start);
      std::memcpy(to, from.data() + start, got);
      std::memset(static_cast<char*>(to) + got, 0, want - got);
      return got == want ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
    };
    m.xWrite = [](sqlite3_file* file, const void* from, int count, sqlite3_int64 at) {
      const size_t start = static_cast<size_t>(at), size = static_cast<size_t>(count), max = reinterpret_cast<File*>(file)->max;
      if (start > max || size > max - start) return SQLITE_FULL;
      std::string& to = bytes(file);
      if (to.size() < start + size) to.resize(start + size);
      std::memcpy(to.data() + start, from, size);
      return SQLITE_OK;
    };
    m.xTruncate = [](sqlite3_file* file, sqlite3_int64 size) {
      if (static_cast<size_t>(size) > reinterpret_cast<File*>(file)->max) return SQLITE_FULL;
      return bytes(file).resize(static_cast<size_t>(size)), SQLITE_OK;
    };
    m.xSync = [](sqlite3_file*, int) { return SQLITE_OK; };
    m.xFileSize = [](sqlite3_file* file, sqlite3_int64* size) { return *size = static_cast<sqlite3_int64>(bytes(file).size()), SQLITE_OK; };
    m.xLock = m.xUnlock = [](sqlite3_file*, int) { return SQLITE_OK; };
    m.xCheckReservedLock = [](sqlite3_file*, int* out) { return *out = 0, SQLITE_OK; };
    m.xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; };
    m.xSectorSize = [](sqlite3_file*) { return 512; };
    m.xDeviceCharacteristics = [](sqlite3_file*) { return 0; };
    return m;
  }

  const size_t file_max_;
  char name_[32];
  sqlite3_vfs vfs_{};
};

}  // namespace hf
