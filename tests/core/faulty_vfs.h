// A SQLite VFS over the system's that counts calls and fails on command.
//
// The power-loss disk is the simulator's; this one knows how often a file was written and synced, and that from some call on
// every write or sync fails. It does not really sync: what a killed process wrote is in the system's cache.
#pragma once

#include <errno.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace hf::test {

class FaultyVfs {
 public:
  FaultyVfs() : real_(sqlite3_vfs_find(nullptr)) {
    vfs_ = *real_;
    name_ = "faulty-" + std::to_string(reinterpret_cast<uintptr_t>(this));
    vfs_.zName = name_.c_str();
    vfs_.pNext = nullptr;
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultyVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  const std::string& name() const { return name_; }

  int syncs = 0, writes = 0;
  int64_t bytes = 0;  // that were written
  bool fail_writes = false;  // SQLITE_FULL: as on a full disk
  bool fail_pages = false;   // SQLITE_IOERR_WRITE, but not of the log's headers: a frame without its page is left
  int64_t room = INT64_MAX / 2;  // bytes by which files can still grow; what a truncation gives back is added
  bool fail_syncs = false;   // SQLITE_IOERR_FSYNC
  bool read_only = false;    // EROFS: as when the kernel met an error in the file system
  bool writes_land = false;  // ... and writes reach the system's cache still

 private:
  // The real file's object lies behind ours.
  struct File {
    sqlite3_file base;
    FaultyVfs* vfs;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File& file(sqlite3_file* f) { return *reinterpret_cast<File*>(f); }
  static const sqlite3_io_methods* real_methods(sqlite3_file* f) { return file(f).real()->pMethods; }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* f, int flags, int* out_flags) {
    auto* self = static_cast<FaultyVfs*>(vfs->pAppData);
    File& mine = file(f);
    mine.base.pMethods = nullptr;
    mine.vfs = self;
    std::memset(static_cast<void*>(mine.real()), 0, static_cast<size_t>(self->real_->szOsFile));
    int rc = self->real_->xOpen(self->real_, path, mine.real(), flags, out_flags);
    if (mine.real()->pMethods == nullptr) return rc;
    static const sqlite3_io_methods methods = make_methods();
    mine.base.pMethods = &methods;
    return rc;
  }
  bool refuses(bool this_call) const {
    if (!read_only || !this_call) return false;
    errno = EROFS;
    return true;
  }
  static int64_t size_of(sqlite3_file* f) {
    sqlite3_int64 size = 0;
    real_methods(f)->xFileSize(file(f).real(), &size);
    return size;
  }
  static sqlite3_io_methods make_methods() {
    sqlite3_io_methods m{};
    m.iVersion = 1;  // no shared memory: the engine needs none
    m.xClose = [](sqlite3_file* f) { return real_methods(f)->xClose(file(f).real()); };
    m.xRead = [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) { return real_methods(f)->xRead(file(f).real(), to, n, at); };
    m.xWrite = [](sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
      ++file(f).vfs->writes;
      if (file(f).vfs->fail_writes) return SQLITE_FULL;
      if (file(f).vfs->refuses(!file(f).vfs->writes_land)) return SQLITE_IOERR_WRITE;
      if (file(f).vfs->fail_pages && n > 32) return errno = EIO, SQLITE_IOERR_WRITE;
      const int64_t more = at + n - size_of(f);
      if (more > file(f).vfs->room) return SQLITE_FULL;
      if (more > 0) file(f).vfs->room -= more;
      const int rc = real_methods(f)->xWrite(file(f).real(), from, n, at);
      if (rc == SQLITE_OK) file(f).vfs->bytes += n;
      return rc;
    };
    m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
      if (file(f).vfs->refuses(true)) return SQLITE_IOERR_TRUNCATE;
      file(f).vfs->room += std::max<int64_t>(size_of(f) - size, 0);
      return real_methods(f)->xTruncate(file(f).real(), size);
    };
    m.xSync = [](sqlite3_file* f, int) {
      ++file(f).vfs->syncs;
      if (file(f).vfs->refuses(true)) return SQLITE_IOERR_FSYNC;
      if (file(f).vfs->fail_syncs) errno = EIO;
      return file(f).vfs->fail_syncs ? SQLITE_IOERR_FSYNC : SQLITE_OK;
    };
    m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return real_methods(f)->xFileSize(file(f).real(), size); };
    m.xLock = [](sqlite3_file* f, int level) { return real_methods(f)->xLock(file(f).real(), level); };
    m.xUnlock = [](sqlite3_file* f, int level) { return real_methods(f)->xUnlock(file(f).real(), level); };
    m.xCheckReservedLock = [](sqlite3_file* f, int* out) { return real_methods(f)->xCheckReservedLock(file(f).real(), out); };
    m.xFileControl = [](sqlite3_file* f, int op, void* arg) { return real_methods(f)->xFileControl(file(f).real(), op, arg); };
    m.xSectorSize = [](sqlite3_file* f) { return real_methods(f)->xSectorSize(file(f).real()); };
    m.xDeviceCharacteristics = [](sqlite3_file* f) { return real_methods(f)->xDeviceCharacteristics(file(f).real()); };
    return m;
  }

  sqlite3_vfs* real_;
  sqlite3_vfs vfs_;
  std::string name_;
};

}  // namespace hf::test
