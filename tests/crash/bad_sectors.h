// A SQLite VFS over the system's on which some sectors of a file can no longer be read, as of a worn flash card; what is
// written to one makes it good again, as the card's controller puts another in its place. Any number of files.
#pragma once

#include <sqlite3.h>
#include <sys/stat.h>

#include <map>
#include <mutex>
#include <set>
#include <string>

namespace hf::crash {

class BadSectors {
 public:
  static constexpr const char* kName = "hf-bad-sectors";
  static constexpr int64_t kSector = 512;

  // Once; more often does no harm.
  static void install() {
    static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
    vfs.zName = kName;
    vfs.szOsFile = static_cast<int>(sizeof(File)) + real()->szOsFile;
    vfs.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      file->pMethods = nullptr;
      const int rc = real()->xOpen(real(), name, inner(file), flags, out);
      if (inner(file)->pMethods == nullptr) return rc;
      file->pMethods = methods();
      struct stat info;
      std::lock_guard lock(mutex());
      self(file)->bad = name != nullptr && stat(name, &info) == 0 ? &files()[info.st_ino] : nullptr;
      return rc;
    };
    if (sqlite3_vfs_find(kName) == nullptr) sqlite3_vfs_register(&vfs, 0);
  }

  // REQUIRES: the file is there.
  static void spoil(const std::string& file, int64_t sector) {
    struct stat info;
    if (stat(file.c_str(), &info) != 0) return;
    std::lock_guard lock(mutex());
    files()[info.st_ino].insert(sector);
  }

 private:
  using Set = std::set<int64_t>;
  struct File {
    sqlite3_file base;
    Set* bad;
  };  // the system's file lies behind it
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
  static std::map<ino_t, Set>& files() {
    static std::map<ino_t, Set> f;
    return f;
  }
  static sqlite3_vfs* real() { return sqlite3_vfs_find(nullptr); }
  static File* self(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static sqlite3_file* inner(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(self(file) + 1); }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods m = [] {
      sqlite3_io_methods f{};
      f.iVersion = 1;  // no shared memory: the library asks for none
      f.xClose = [](sqlite3_file* p) { return inner(p)->pMethods->xClose(inner(p)); };
      f.xRead = [](sqlite3_file* p, void* to, int n, sqlite3_int64 at) {
        if (self(p)->bad != nullptr) {
          std::lock_guard lock(mutex());
          auto it = self(p)->bad->lower_bound(at / kSector);
          if (it != self(p)->bad->end() && *it * kSector < at + n) return SQLITE_IOERR_READ;
        }
        return inner(p)->pMethods->xRead(inner(p), to, n, at);
      };
      f.xWrite = [](sqlite3_file* p, const void* from, int n, sqlite3_int64 at) {
        if (self(p)->bad != nullptr) {
          std::lock_guard lock(mutex());
          for (int64_t s = (at + kSector - 1) / kSector; (s + 1) * kSector <= at + n; ++s) self(p)->bad->erase(s);
        }
        return inner(p)->pMethods->xWrite(inner(p), from, n, at);
      };
      f.xTruncate = [](sqlite3_file* p, sqlite3_int64 size) { return inner(p)->pMethods->xTruncate(inner(p), size); };
      f.xSync = [](sqlite3_file*, int) { return SQLITE_OK; };  // no power is cut here, and a thousand files are opened
      f.xFileSize = [](sqlite3_file* p, sqlite3_int64* size) { return inner(p)->pMethods->xFileSize(inner(p), size); };
      f.xLock = [](sqlite3_file* p, int level) { return inner(p)->pMethods->xLock(inner(p), level); };
      f.xUnlock = [](sqlite3_file* p, int level) { return inner(p)->pMethods->xUnlock(inner(p), level); };
      f.xCheckReservedLock = [](sqlite3_file* p, int* out) { return inner(p)->pMethods->xCheckReservedLock(inner(p), out); };
      f.xFileControl = [](sqlite3_file* p, int op, void* arg) { return inner(p)->pMethods->xFileControl(inner(p), op, arg); };
      f.xSectorSize = [](sqlite3_file* p) { return inner(p)->pMethods->xSectorSize(inner(p)); };
      f.xDeviceCharacteristics = [](sqlite3_file* p) { return inner(p)->pMethods->xDeviceCharacteristics(inner(p)); };
      return f;
    }();
    return &m;
  }
};

}  // namespace hf::crash
