// A disk that is full after so many writes: a SQLite VFS over the system's. What a file has already can be written again.
#pragma once

#include <atomic>
#include <limits>

#include "tests/shim_vfs.h"

namespace hf::test {

class SmallDisk {
 public:
  static constexpr const char* kName = "hf-small";

  // Room for so many writes more that make a file longer; -1: for all.
  static void fills(int writes) { left() = writes < 0 ? std::numeric_limits<int>::max() : writes; }
  // The next such write finds no room, those after it do: as if something had been given up for them.
  static void fills_once() {
    refills() = true;
    fills(0);
  }

  // Nothing can be written or opened.
  static std::atomic<bool>& away() {
    static std::atomic<bool> flag{false};
    return flag;
  }

  static void install() {
    Shim::install(kName, [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      file->pMethods = nullptr;
      return away() ? SQLITE_CANTOPEN : Shim::open(name, file, flags, out, methods());
    });
    fills(-1);
    away() = false;
  }

 private:
  struct File { sqlite3_file base; };
  using Shim = ShimVfs<File>;
  static std::atomic<bool>& refills() {
    static std::atomic<bool> flag{false};
    return flag;
  }
  static std::atomic<int>& left() {
    static std::atomic<int> n{0};
    return n;
  }
  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods m = [] {
      sqlite3_io_methods f = Shim::methods();
      f.xWrite = [](sqlite3_file* p, const void* from, int n, sqlite3_int64 at) {
        sqlite3_file* file = Shim::inner(p);
        if (away()) return SQLITE_IOERR_WRITE;
        sqlite3_int64 size = 0;
        file->pMethods->xFileSize(file, &size);
        if (at + n > size && left().fetch_sub(1) <= 0) {
          fills(refills().exchange(false) ? -1 : 0);
          return SQLITE_FULL;
        }
        return file->pMethods->xWrite(file, from, n, at);
      };
      return f;
    }();
    return &m;
  }
};

}  // namespace hf::test
