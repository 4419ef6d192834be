// A SQLite VFS over the system's that passes everything on: a test replaces what is to be otherwise.
#pragma once

#include <sqlite3.h>

namespace hf::test {

// File: a standard-layout struct that begins with `sqlite3_file base`; the system's file lies behind it.
template <class File>
struct ShimVfs {
  static sqlite3_vfs* real() {
    static sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
    return vfs;
  }
  static File* self(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static sqlite3_file* inner(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(self(file) + 1); }

  // Once; more often does no harm. `open` replaces xOpen.
  static void install(const char* name, decltype(sqlite3_vfs::xOpen) open) {
    static sqlite3_vfs vfs = *real();
    vfs.zName = name;
    vfs.szOsFile = static_cast<int>(sizeof(File)) + real()->szOsFile;
    vfs.xOpen = open;
    if (sqlite3_vfs_find(name) == nullptr) sqlite3_vfs_register(&vfs, 0);
  }
  static int open(const char* name, sqlite3_file* file, int flags, int* out, const sqlite3_io_methods* methods) {
    file->pMethods = nullptr;
    const int rc = real()->xOpen(real(), name, inner(file), flags, out);
    if (inner(file)->pMethods != nullptr) file->pMethods = methods;
    return rc;
  }

  static sqlite3_io_methods methods() {
    sqlite3_io_methods f{};
    f.iVersion = 1;  // no shared memory: the library asks for none
    f.xClose = [](sqlite3_file* p) { return inner(p)->pMethods->xClose(inner(p)); };
    f.xRead = [](sqlite3_file* p, void* to, int n, sqlite3_int64 at) { return inner(p)->pMethods->xRead(inner(p), to, n, at); };
    f.xWrite = [](sqlite3_file* p, const void* from, int n, sqlite3_int64 at) { return inner(p)->pMethods->xWrite(inner(p), from, n, at); };
    f.xTruncate = [](sqlite3_file* p, sqlite3_int64 size) { return inner(p)->pMethods->xTruncate(inner(p), size); };
    f.xSync = [](sqlite3_file* p, int flags) { return inner(p)->pMethods->xSync(inner(p), flags); };
    f.xFileSize = [](sqlite3_file* p, sqlite3_int64* size) { return inner(p)->pMethods->xFileSize(inner(p), size); };
    f.xLock = [](sqlite3_file* p, int level) { return inner(p)->pMethods->xLock(inner(p), level); };
    f.xUnlock = [](sqlite3_file* p, int level) { return inner(p)->pMethods->xUnlock(inner(p), level); };
    f.xCheckReservedLock = [](sqlite3_file* p, int* out) { return inner(p)->pMethods->xCheckReservedLock(inner(p), out); };
    f.xFileControl = [](sqlite3_file* p, int op, void* arg) { return inner(p)->pMethods->xFileControl(inner(p), op, arg); };
    f.xSectorSize = [](sqlite3_file* p) { return inner(p)->pMethods->xSectorSize(inner(p)); };
    f.xDeviceCharacteristics = [](sqlite3_file* p) { return inner(p)->pMethods->xDeviceCharacteristics(inner(p)); };
    return f;
  }
};

}  // namespace hf::test
