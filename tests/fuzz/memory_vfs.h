// A SQLite VFS whose files are strings: a database is bytes, and opening it costs no system call.
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

namespace hf::fuzz {

class MemoryVfs {
 public:
  static constexpr size_t kFileMax = size_t{16} << 20;  // more is SQLITE_FULL

  MemoryVfs() {
    vfs_.iVersion = 1;
    vfs_.szOsFile = sizeof(File);
    vfs_.mxPathname = 64;
    vfs_.zName = name();
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

  static const char* name() { return "memory"; }
  std::map<std::string, std::string> files;

 private:
  struct File {
    sqlite3_file base;
    std::string* bytes;
  };
  static MemoryVfs& self(sqlite3_vfs* vfs) { return *static_cast<MemoryVfs*>(vfs->pAppData); }
  static std::string& bytes(sqlite3_file* file) { return *reinterpret_cast<File*>(file)->bytes; }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    static const sqlite3_io_methods methods = make_methods();
    file->pMethods = nullptr;
    auto& files = self(vfs).files;
    if (path == nullptr) path = "temporary";
    if (!files.contains(path) && (flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
    reinterpret_cast<File*>(file)->bytes = &files[path];  // a map: it stays where it is
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
      const size_t start = static_cast<size_t>(at), size = static_cast<size_t>(count);
      if (start > kFileMax || size > kFileMax - start) return SQLITE_FULL;
      std::string& to = bytes(file);
      if (to.size() < start + size) to.resize(start + size);
      std::memcpy(to.data() + start, from, size);
      return SQLITE_OK;
    };
    m.xTruncate = [](sqlite3_file* file, sqlite3_int64 size) {
      if (static_cast<size_t>(size) > kFileMax) return SQLITE_FULL;
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

  sqlite3_vfs vfs_{};
};

}  // namespace hf::fuzz
