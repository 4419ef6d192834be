// A disk that can be broken and healed: a SQLite VFS over the system's whose writes, syncs and opens fail while it is
// broken, and whose syncs wait while it is stalled. The library gets it by name (hf_options.vfs).
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace hf::test {

class BrokenDisk {
 public:
  static constexpr const char* kName = "hf-broken";

  static std::atomic<bool>& broken() {
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

  // Once; more often does no harm.
  static void install() {
    static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
    vfs.zName = kName;
    vfs.szOsFile = static_cast<int>(sizeof(File)) + real()->szOsFile;
    vfs.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      file->pMethods = nullptr;
      if (broken()) return SQLITE_CANTOPEN;
      int rc = real()->xOpen(real(), name, inner(file), flags, out);
      if (inner(file)->pMethods != nullptr) file->pMethods = methods();
      return rc;
    };
    if (sqlite3_vfs_find(kName) == nullptr) sqlite3_vfs_register(&vfs, 0);
  }

 private:
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
  struct File { sqlite3_file base; };  // the system's file lies behind it

  static sqlite3_vfs* real() { return sqlite3_vfs_find(nullptr); }
  static sqlite3_file* inner(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1); }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods m = [] {
      sqlite3_io_methods f{};
      f.iVersion = 1;  // no shared memory: the library asks for none
      f.xClose = [](sqlite3_file* p) { return inner(p)->pMethods->xClose(inner(p)); };
      f.xRead = [](sqlite3_file* p, void* to, int n, sqlite3_int64 at) { return inner(p)->pMethods->xRead(inner(p), to, n, at); };
      f.xWrite = [](sqlite3_file* p, const void* from, int n, sqlite3_int64 at) {
        return broken() ? SQLITE_IOERR_WRITE : inner(p)->pMethods->xWrite(inner(p), from, n, at);
      };
      f.xTruncate = [](sqlite3_file* p, sqlite3_int64 size) { return broken() ? SQLITE_IOERR_TRUNCATE : inner(p)->pMethods->xTruncate(inner(p), size); };
      f.xSync = [](sqlite3_file* p, int flags) {
        gate().pass();
        return broken() ? SQLITE_IOERR_FSYNC : inner(p)->pMethods->xSync(inner(p), flags);
      };
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

}  // namespace hf::test
