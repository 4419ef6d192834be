// A disk that can be broken and healed: a SQLite VFS over the system's whose writes, syncs and opens fail while it is
// broken or read-only, and whose syncs wait while it is stalled. The library gets it by name (hf_options.vfs).
#pragma once

#include <errno.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "tests/shim_vfs.h"

namespace hf::test {

class BrokenDisk {
 public:
  static constexpr const char* kName = "hf-broken";

  static std::atomic<bool>& broken() {
    static std::atomic<bool> flag{false};
    return flag;
  }

  static std::atomic<bool>& read_only() {
    static std::atomic<bool> flag{false};
    return flag;
  }

  static void stall(bool on) {
    std::lock_guard lock(gate().mutex);
    gate().closed = on;
    gate().changed.notify_all();
  }
  // Until somebody waits for the disk.
  static void wait_stalled() {
    std::unique_lock lock(gate().mutex);
    gate().changed.wait(lock, [] { return gate().waiting; });
  }

  static void install() {
    Shim::install(kName, [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      file->pMethods = nullptr;
      return fails() ? SQLITE_CANTOPEN : Shim::open(name, file, flags, out, methods());
    });
  }

 private:
  static bool fails() {
    if (broken()) errno = EIO;
    if (read_only()) errno = EROFS;
    return broken() || read_only();
  }
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool closed = false, waiting = false;
    void pass() {
      std::unique_lock lock(mutex);
      waiting = closed;
      if (closed) changed.notify_all();
      changed.wait(lock, [this] { return !closed; });
      waiting = false;
    }
  };
  static Gate& gate() {
    static Gate g;
    return g;
  }
  struct File { sqlite3_file base; };
  using Shim = ShimVfs<File>;

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods m = [] {
      sqlite3_io_methods f = Shim::methods();
      f.xWrite = [](sqlite3_file* p, const void* from, int n, sqlite3_int64 at) {
        sqlite3_file* file = Shim::inner(p);
        return fails() ? SQLITE_IOERR_WRITE : file->pMethods->xWrite(file, from, n, at);
      };
      f.xTruncate = [](sqlite3_file* p, sqlite3_int64 size) {
        sqlite3_file* file = Shim::inner(p);
        return fails() ? SQLITE_IOERR_TRUNCATE : file->pMethods->xTruncate(file, size);
      };
      f.xSync = [](sqlite3_file* p, int flags) {
        gate().pass();
        sqlite3_file* file = Shim::inner(p);
        return fails() ? SQLITE_IOERR_FSYNC : file->pMethods->xSync(file, flags);
      };
      return f;
    }();
    return &m;
  }
};

}  // namespace hf::test
