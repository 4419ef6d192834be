#include "disk.h"

#include <algorithm>
#include <cstring>

#include "alloc.h"

namespace hf::sim {

namespace {
constexpr size_t kSector = 512;
constexpr size_t kFirstRoom = 512 * 1024;  // in memory, so that a file which grows is not copied each time
}

Disk::Disk() {
  static uint64_t disks = 0;
  name_ = "sim-" + std::to_string(++disks);
  vfs_.iVersion = 1;
  vfs_.szOsFile = sizeof(File);
  vfs_.mxPathname = 512;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = [](sqlite3_vfs* v, const char* path, sqlite3_file* f, int flags, int* out) {
    std::memset(static_cast<void*>(f), 0, sizeof(File));
    return static_cast<Disk*>(v->pAppData)->open(path, file(f), flags, out);
  };
  vfs_.xDelete = [](sqlite3_vfs* v, const char* path, int sync) {
    return static_cast<Disk*>(v->pAppData)->remove(path, sync != 0);
  };
  vfs_.xAccess = [](sqlite3_vfs* v, const char* path, int flags, int* out) {
    Spared test;
    auto& self = *static_cast<Disk*>(v->pAppData);
    *out = self.present_.count(path) != 0 || (flags != SQLITE_ACCESS_EXISTS && *path == '/');
    return SQLITE_OK;
  };
  vfs_.xFullPathname = [](sqlite3_vfs*, const char* path, int n, char* out) {
    sqlite3_snprintf(n, out, "%s", path);
    return SQLITE_OK;
  };
  // Deterministic: the same script makes the same bytes.
  vfs_.xRandomness = [](sqlite3_vfs* v, int n, char* out) {
    auto& state = static_cast<Disk*>(v->pAppData)->random_state_;
    for (int i = 0; i < n; ++i) out[i] = static_cast<char>((state = state * 6364136223846793005ULL + 1442695040888963407ULL) >> 56);
    return n;
  };
  vfs_.xSleep = [](sqlite3_vfs*, int us) { return us; };
  vfs_.xCurrentTime = [](sqlite3_vfs*, double* out) {
    *out = 2461000.5;
    return SQLITE_OK;
  };
  vfs_.xGetLastError = [](sqlite3_vfs*, int, char*) { return 0; };
  sqlite3_vfs_register(&vfs_, 0);
}

Disk::~Disk() { sqlite3_vfs_unregister(&vfs_); }

Verdict Disk::ask(Call call) {
  Spared test;
  ++calls;
  if (changes(call)) ++changes_made;
  Verdict verdict = on_call ? on_call(call) : Verdict::ok;
  if (verdict == Verdict::die) dead_ = true;
  return dead_ ? Verdict::die : verdict;
}

void Disk::process_dies() {
  ++process_;
  dead_ = false;
}

void Disk::forgive() {
  for (auto& [name, inode] : present_) {
    for (const Change& change : inode->lost) {
      size_t at = static_cast<size_t>(change.at);
      if (change.truncation || at >= inode->present.size()) continue;
      std::string bytes = inode->present.substr(at, change.bytes.size());
      bool written_again = inode->safe.compare(std::min(at, inode->safe.size()), bytes.size(), bytes) == 0;
      if (!written_again) inode->unsynced.push_back({change.at, std::move(bytes), false});
    }
    inode->lost.clear();
  }
}

// ---- calls -------------------------------------------------------------------------------------------------

int Disk::open(const char* path, File& f, int flags, int* out_flags) {
  Spared test;
  switch (ask(Call::open)) {
    case Verdict::ok: break;
    case Verdict::full: return SQLITE_FULL;
    default: return SQLITE_CANTOPEN;
  }
  std::shared_ptr<Inode> inode;
  if (path == nullptr) {
    inode = std::make_shared<Inode>();
  } else if (auto it = present_.find(path); it != present_.end()) {
    inode = it->second;
  } else if ((flags & SQLITE_OPEN_CREATE) != 0) {
    inode = std::make_shared<Inode>();
    present_[path] = inode;
    unsynced_entries_.push_back({path, inode});
  } else {
    return SQLITE_CANTOPEN;
  }
  f.disk = this;
  f.inode = new std::shared_ptr<Inode>(std::move(inode));
  f.process = process_;
  // As SQLite's own VFS does: the first sync of a log that it may have made is one of the folder too.
  f.sync_folder = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
  f.base.pMethods = methods();
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int Disk::remove(const char* path, bool sync) {
  Spared test;
  switch (ask(Call::remove)) {
    case Verdict::ok: break;
    default: return SQLITE_IOERR_DELETE;
  }
  if (present_.erase(path) == 0) return SQLITE_IOERR_DELETE_NOENT;
  unsynced_entries_.push_back({path, nullptr});
  if (sync) sync_folder();
  return SQLITE_OK;
}

void Disk::sync_folder() {
  safe_ = present_;
  unsynced_entries_.clear();
}

void Disk::apply(std::string& bytes, const Change& change) {
  size_t at = static_cast<size_t>(change.at);
  if (change.truncation) return bytes.resize(at);
  const size_t end = at + change.bytes.size();
  if (bytes.capacity() < end) bytes.reserve(std::max(2 * end, kFirstRoom));
  if (bytes.size() < end) bytes.resize(end);
  std::memcpy(bytes.data() + at, change.bytes.data(), change.bytes.size());
}

int Disk::write(File& f, const void* from, int n, int64_t at) {
  Spared test;
  Verdict verdict = ask(Call::write);
  if (!may_go_on(f) || verdict == Verdict::fail) return SQLITE_IOERR_WRITE;
  if (verdict == Verdict::full) return SQLITE_FULL;
  Inode& inode = **f.inode;
  inode.unsynced.push_back({at, std::string(static_cast<const char*>(from), static_cast<size_t>(n)), false});
  apply(inode.present, inode.unsynced.back());
  return verdict == Verdict::land ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

int Disk::truncate(File& f, int64_t size) {
  Spared test;
  Verdict verdict = ask(Call::truncate);
  if (!may_go_on(f) || verdict != Verdict::ok) return SQLITE_IOERR_TRUNCATE;
  Inode& inode = **f.inode;
  inode.unsynced.push_back({size, {}, true});
  apply(inode.present, inode.unsynced.back());
  return SQLITE_OK;
}

int Disk::sync(File& f) {
  Spared test;
  Verdict verdict = ask(Call::sync);
  ++syncs;
  if (!may_go_on(f) || verdict == Verdict::fail || verdict == Verdict::full) return SQLITE_IOERR_FSYNC;
  if (verdict == Verdict::lie) return SQLITE_OK;
  Inode& inode = **f.inode;
  if (verdict == Verdict::lose) {
    // Linux marks such pages as clean: they can be read, and no later sync writes them.
    std::move(inode.unsynced.begin(), inode.unsynced.end(), std::back_inserter(inode.lost));
    inode.unsynced.clear();
    return SQLITE_IOERR_FSYNC;
  }
  // Not safe = present: what an earlier failed sync lost stays lost until it is written again.
  for (const Change& change : inode.unsynced) apply(inode.safe, change);
  inode.unsynced.clear();
  if (f.sync_folder) sync_folder();
  f.sync_folder = false;
  return verdict == Verdict::land ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

const sqlite3_io_methods* Disk::methods() {
  static const sqlite3_io_methods table = [] {
    sqlite3_io_methods m{};
    m.iVersion = 1;  // no shared memory: the engine needs none
    m.xClose = [](sqlite3_file* f) {
      delete file(f).inode;
      file(f).inode = nullptr;
      return SQLITE_OK;
    };
    m.xRead = [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
      Disk& disk = *file(f).disk;
      if (disk.ask(Call::read) != Verdict::ok || !disk.may_go_on(file(f))) return SQLITE_IOERR_READ;
      const std::string& bytes = (*file(f).inode)->present;
      size_t there = static_cast<size_t>(at) < bytes.size() ? std::min(bytes.size() - static_cast<size_t>(at), static_cast<size_t>(n)) : 0;
      if (there > 0) std::memcpy(to, bytes.data() + at, there);
      std::memset(static_cast<char*>(to) + there, 0, static_cast<size_t>(n) - there);
      return there == static_cast<size_t>(n) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
    };
    m.xWrite = [](sqlite3_file* f, const void* from, int n, sqlite3_int64 at) { return file(f).disk->write(file(f), from, n, at); };
    m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) { return file(f).disk->truncate(file(f), size); };
    m.xSync = [](sqlite3_file* f, int) { return file(f).disk->sync(file(f)); };
    m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      Disk& disk = *file(f).disk;
      if (disk.ask(Call::size) != Verdict::ok || !disk.may_go_on(file(f))) return SQLITE_IOERR_FSTAT;
      *size = static_cast<sqlite3_int64>((*file(f).inode)->present.size());
      return SQLITE_OK;
    };
    m.xLock = [](sqlite3_file*, int) { return SQLITE_OK; };
    m.xUnlock = [](sqlite3_file*, int) { return SQLITE_OK; };
    m.xCheckReservedLock = [](sqlite3_file*, int* out) {
      *out = 0;
      return SQLITE_OK;
    };
    m.xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; };
    m.xSectorSize = [](sqlite3_file*) { return static_cast<int>(kSector); };
    m.xDeviceCharacteristics = [](sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; };
    return m;
  }();
  return &table;
}

// ---- a power cut ---------------------------------------------------------------------------------------------

// A write of which each sector went its own way.
void Disk::spoil(std::string& bytes, const Change& change, Cut how, Random& random) {
  if (change.truncation) {
    if (random.below(2) == 0) apply(bytes, change);
    return;
  }
  bool rubbish_allowed = true;
  size_t torn_at = how == Cut::prefix ? random.below(change.bytes.size() / kSector + 2) : 0;
  size_t from = 0;
  for (size_t n = 0; from < change.bytes.size(); ++n) {
    size_t position = static_cast<size_t>(change.at) + from;
    size_t to = std::min(change.bytes.size(), from + kSector - position % kSector);
    Change part{static_cast<int64_t>(position), change.bytes.substr(from, to - from), false};
    from = to;
    bool keep = how == Cut::prefix ? n < torn_at : random.below(2) == 0;
    bool rubbish = rubbish_allowed && !keep && (how == Cut::prefix ? n == torn_at : random.below(4) == 0);
    if (rubbish) {
      for (char& c : part.bytes) c = static_cast<char>(random.below(256));
    }
    if (keep || rubbish) apply(bytes, part);
  }
}

std::string Disk::after_cut(const Inode& inode, Cut how, Random& random) {
  std::string bytes = inode.safe;
  const auto& changes = inode.unsynced;
  size_t point = changes.empty() ? 0 : random.below(changes.size() + 1);
  for (size_t i = 0; i < changes.size(); ++i) {
    switch (how) {
      case Cut::drop: break;
      case Cut::keep: apply(bytes, changes[i]); break;
      case Cut::prefix:
        if (i < point) apply(bytes, changes[i]);
        if (i == point) spoil(bytes, changes[i], how, random);
        break;
      case Cut::scatter: spoil(bytes, changes[i], how, random); break;
      case Cut::newest:
        if (i >= changes.size() / 2) apply(bytes, changes[i]);
        break;
    }
  }
  return bytes;
}

void Disk::cut_into(Disk& into, Cut how, Random& random) const {
  Folder folder = safe_;
  size_t entries = how == Cut::drop ? 0 : how == Cut::keep ? unsynced_entries_.size() : random.below(unsynced_entries_.size() + 1);
  for (size_t i = 0; i < entries; ++i) {
    const Entry& e = unsynced_entries_[i];
    if (e.inode) {
      folder[e.name] = e.inode;
    } else {
      folder.erase(e.name);
    }
  }
  Folder after;
  for (auto& [name, inode] : folder) {
    auto made = std::make_shared<Inode>();
    made->present = made->safe = after_cut(*inode, how, random);
    after[name] = std::move(made);
  }
  into.present_ = into.safe_ = std::move(after);
  into.unsynced_entries_.clear();
  into.process_dies();
}

}  // namespace hf::sim
