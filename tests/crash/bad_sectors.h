// A SQLite VFS over the system's on which some sectors of a file can no longer be read, as of a worn flash card; what is
// written to one makes it good again, as the card's controller puts another in its place. Any number of files.
#pragma once

#include <sys/stat.h>

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "tests/shim_vfs.h"

namespace hf::crash {

class BadSectors {
 public:
  static constexpr const char* kName = "hf-bad-sectors";
  static constexpr int64_t kSector = 512;

  static void install() {
    Shim::install(kName, [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      const int rc = Shim::open(name, file, flags, out, methods());
      struct stat info;
      std::lock_guard lock(mutex());
      Shim::self(file)->bad = file->pMethods != nullptr && name != nullptr && stat(name, &info) == 0 ? &files()[info.st_ino] : nullptr;
      return rc;
    });
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
  };
  using Shim = test::ShimVfs<File>;
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
  static std::map<ino_t, Set>& files() {
    static std::map<ino_t, Set> f;
    return f;
  }
  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods m = [] {
      sqlite3_io_methods f = Shim::methods();
      f.xRead = [](sqlite3_file* p, void* to, int n, sqlite3_int64 at) {
        if (const Set* bad = Shim::self(p)->bad; bad != nullptr) {
          std::lock_guard lock(mutex());
          auto it = bad->lower_bound(at / kSector);
          if (it != bad->end() && *it * kSector < at + n) return SQLITE_IOERR_READ;
        }
        sqlite3_file* file = Shim::inner(p);
        return file->pMethods->xRead(file, to, n, at);
      };
      f.xWrite = [](sqlite3_file* p, const void* from, int n, sqlite3_int64 at) {
        if (Set* bad = Shim::self(p)->bad; bad != nullptr) {
          std::lock_guard lock(mutex());
          for (int64_t s = (at + kSector - 1) / kSector; (s + 1) * kSector <= at + n; ++s) bad->erase(s);
        }
        sqlite3_file* file = Shim::inner(p);
        return file->pMethods->xWrite(file, from, n, at);
      };
      f.xSync = [](sqlite3_file*, int) { return SQLITE_OK; };  // no power is cut here, and a thousand files are opened
      return f;
    }();
    return &m;
  }
};

}  // namespace hf::crash
