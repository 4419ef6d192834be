#include "platform/heal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>

#include "core/salvage.h"
#include "platform/folder.h"

namespace hf {
namespace {

bool exists(const std::string& path) { return size_of(path) >= 0; }
ino_t inode_of(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

Error failed(const std::string& what) {
  const int error = errno;
  const int code = error == ENOSPC || error == EDQUOT ? HF_E_FULL : error == EROFS || error == EACCES || error == EPERM ? HF_E_READ_ONLY : HF_E_IO;
  return Error{code, what + ": " + strerror(error)};
}

Status sync(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed(path);
  const bool synced = fsync(fd) == 0 || errno == EINVAL;  // EINVAL: a file system that cannot sync a folder
  const Error error = failed("sync of " + path);
  close(fd);
  return synced ? ok_status() : Status(error);
}

Status move(const std::string& from, const std::string& to) {
  return rename(from.c_str(), to.c_str()) == 0 ? ok_status() : Status(failed(from + " to " + to));
}

// One healer at a time: two programs that start together must not both set the file aside. No file is left by it.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder) : fd_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
  ~FolderLock() {
    if (fd_ >= 0) close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  Status take(const std::string& path) const {
    if (fd_ >= 0 && flock(fd_, LOCK_EX | LOCK_NB) == 0) return ok_status();
    if (errno == EWOULDBLOCK) return Error{HF_E_LOCKED, path + " is being healed by another process"};
    return failed("the folder of " + path);
  }

 private:
  const int fd_;
};

struct Aside {
  bool file = false, log = false;
};
// PATH.bad-<n> and PATH.bad-<n>-wal, by n.
std::map<int64_t, Aside> list_aside(const std::string& path) {
  std::map<int64_t, Aside> found;
  const std::string prefix = name_of(path) + ".bad-";
  DIR* folder = opendir(folder_of(path).c_str());
  if (folder == nullptr) return found;
  while (const dirent* entry = readdir(folder)) {
    if (strncmp(entry->d_name, prefix.c_str(), prefix.size()) != 0) continue;
    char* end = nullptr;
    const int64_t n = std::strtoll(entry->d_name + prefix.size(), &end, 10);
    if (n <= 0) continue;
    if (*end == 0) found[n].file = true;
    if (strcmp(end, "-wal") == 0) found[n].log = true;
  }
  closedir(folder);
  return found;
}
std::string aside_name(const std::string& path, int64_t n) { return path + ".bad-" + std::to_string(n); }

void remove_oldest(const std::string& path, const Logger& log) {
  std::map<int64_t, Aside> all = list_aside(path);
  while (all.size() > kDamagedKept) {
    const std::string name = aside_name(path, all.begin()->first);
    unlink(name.c_str());
    unlink((name + "-wal").c_str());
    log.warn("damaged_file_removed", {{"file", name}, {"kept", kDamagedKept}});
    all.erase(all.begin());
  }
}

void remove_half_written(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-journal"}) unlink((path + ".salvaging" + suffix).c_str());
}

// From PATH.salvaged on. Idempotent: each step is done if it has not been. Returns where the damaged file is.
Result<std::string> finish(const std::string& path) {
  const std::map<int64_t, Aside> there = list_aside(path);
  int64_t n = there.empty() ? 1 : there.rbegin()->first + 1;
  // The log was moved before a cut, or it and the file: it is the same number still.
  if (!there.empty() && size_of(path + "-wal") <= 0 && !(there.rbegin()->second.file && exists(path))) n = there.rbegin()->first;
  const std::string aside = aside_name(path, n);
  if (size_of(path + "-wal") == 0) unlink((path + "-wal").c_str());
  // The log first: the file without it is never opened, as PATH.salvaged is there.
  if (exists(path + "-wal")) HF_TRY(move(path + "-wal", aside + "-wal"));
  if (exists(path)) HF_TRY(move(path, aside));
  HF_TRY(sync(folder_of(path)));
  HF_TRY(move(path + ".salvaged", path));
  HF_TRY(sync(folder_of(path)));
  return aside;
}

// The rights of the file that it replaces.
void copy_rights(const std::string& from, const std::string& to) {
  struct stat info;
  if (stat(from.c_str(), &info) != 0) return;
  if (chown(to.c_str(), info.st_uid, info.st_gid) != 0) {
    // not root: it stays this user's
  }
  (void)chmod(to.c_str(), info.st_mode & 07777);
}

class Healer {
 public:
  Healer(const EngineOptions& options, const Logger& log) : options_(options), log_(log), path_(options.path) {}

  Result<std::unique_ptr<Engine>> open(int met) {
    if (exists(path_ + ".salvaged") || exists(path_ + ".salvaging")) HF_TRY(resume());
    const ino_t inode = inode_of(path_);
    was_there_ = exists(path_);
    Error why{HF_E_CORRUPT, "damage was met while it was open"};
    const bool damaged = met == HF_E_CORRUPT || (met == HF_E_IO && has_bad_sectors(why));
    if (!damaged && !look_first(why)) {
      Result<std::unique_ptr<Engine>> engine = open_engine();
      if (engine) return told(std::move(engine));
      why = engine.error();
    }
    if (!may_be_damage(why.code)) return why;
    FolderLock folder(folder_of(path_));
    HF_TRY(folder.take(path_));
    // Another process has healed it meanwhile.
    if (inode_of(path_) != inode) return open_engine();
    if (!exists(path_) && !exists(path_ + "-wal")) return why;  // of a VFS whose files are no files of the system
    HF_TRY(heal(why, damaged));
    log_lost_ = was_there_ = false;  // told with the rest
    return told(open_engine());
  }

 private:
  static bool may_be_damage(int code) { return code == HF_E_CORRUPT || code == HF_E_FOREIGN || code == HF_E_READ_ONLY || code == HF_E_IO || code == HF_E_INTERNAL; }

  Result<std::unique_ptr<Engine>> open_engine() const {
    EngineOptions options = options_;
    const int64_t log_bytes = size_of(path_ + "-wal");
    if (exists(path_)) options.log = log_bytes > 0 ? Store::LogFile::present : log_bytes < 0 ? Store::LogFile::absent : Store::LogFile::unknown;
    options.log_lost = log_lost_;
    return Engine::open(options);
  }

  bool has_bad_sectors(Error& why) const {
    Result<std::unique_ptr<PageImage>> image = PageImage::open(path_, options_.vfs);
    return image && has_bad_sectors(**image, why);
  }
  static bool has_bad_sectors(const PageImage& image, Error& why) {
    const int64_t bad = image.unreadable_sectors();
    if (bad <= 0) return false;
    why.message = std::to_string(bad) + " sectors cannot be read";
    return true;
  }

  Status resume() {
    FolderLock folder(folder_of(path_));
    HF_TRY(folder.take(path_));
    remove_half_written(path_);
    if (!exists(path_ + ".salvaged")) return ok_status();
    read_host_counts(path_ + ".salvaged", options_.vfs, of_before_);
    Result<std::string> aside = finish(path_);
    if (!aside) return aside.error();
    aside_ = *aside;
    why_ = "a salvage that was cut off is finished";
    remove_oldest(path_, log_);
    return ok_status();
  }

  // What SQLite does not say. True if the file must be healed without being opened: SQLite throws the log of an
  // empty file away, and takes one with a damaged header for none.
  bool look_first(Error& why) {
    if (size_of(path_ + "-wal") <= 0) return false;
    Result<std::unique_ptr<PageImage>> image = PageImage::open(path_, options_.vfs);
    if (!image) return false;  // the opening says why
    if ((*image)->is_foreign()) {
      // SQLite would lay the log over it, whoever's it is.
      why = Error{HF_E_FOREIGN, "the file is a database of another application; it was left untouched"};
      return true;
    }
    const LogState& log = (*image)->log();
    if ((*image)->is_blank() && (*image)->is_ours() && log.transactions > 0) {
      why.message = "the file is empty and its log is not";
      return true;
    }
    if (log.foreign && (*image)->is_ours()) {
      why.message = "the log beside the file is of another database";
      return true;
    }
    if (log.headless && (*image)->is_ours()) {
      why.message = "the header of the log is damaged";
      return true;
    }
    if (log.cut_off > 0 && (*image)->is_ours()) keep_log(log.cut_off);
    return false;
  }

  // A power cut that wrote a later part of an unsynced log before an earlier one leaves this; so does damage. SQLite
  // goes on from what is whole up to the gap, and so does the engine; the bytes are kept.
  void keep_log(int cut_off) {
    log_lost_ = true;
    const std::string copy = path_ + ".cut-wal";
    Result<std::unique_ptr<RawFile>> wal = RawFile::open(path_, options_.vfs, true);
    std::FILE* out = wal && *wal ? std::fopen(copy.c_str(), "wbe") : nullptr;
    bool kept = out != nullptr;
    for (int64_t at = 0; kept && at < (*wal)->size(); at += 65536) {
      const std::string part = (*wal)->read(at, static_cast<size_t>(std::min<int64_t>(65536, (*wal)->size() - at)));
      kept = std::fwrite(part.data(), 1, part.size(), out) == part.size();
    }
    if (out != nullptr) kept = std::fclose(out) == 0 && kept;
    log_.error("log_cut_short", {{"file", path_ + "-wal"}, {"transactions_not_read", cut_off}, {"kept_as", kept ? copy : ""},
                                 {"why", "a gap in the log: a power cut, or damage; what was recorded behind it is not read"}});
  }

  Status heal(Error why, bool damaged) {
    Result<std::unique_ptr<PageImage>> opened = PageImage::open(path_, options_.vfs);
    if (!opened) return why.code == HF_E_CORRUPT ? opened.error() : why;
    PageImage& image = **opened;
    // What is not ours is left alone; what is ours and only cannot be written is no damage.
    if (image.is_foreign()) return Error{HF_E_FOREIGN, "the file is a database of another application; it was left untouched"};
    if (!damaged && !image.is_ours() && !(image.holds_nothing() && image.bytes() > 0)) {
      if (why.code != HF_E_CORRUPT) return why;
      return Error{HF_E_FOREIGN, "nothing in the file says that it is a queue; it was left untouched (" + why.message + ")"};
    }
    const bool damage = image.header_damaged() || (why.code == HF_E_IO && has_bad_sectors(image, why));
    if ((why.code == HF_E_READ_ONLY || why.code == HF_E_IO || why.code == HF_E_INTERNAL) && !damage) return why;
    remove_half_written(path_);
    const std::string part = path_ + ".salvaging";
    Result<Salvaged> saved = salvage(image, {path_, part, options_.vfs, options_.page_size, options_.new_file_id});
    if (!saved) {
      remove_half_written(path_);
      return Error{saved.error().code, "the file is damaged (" + why.message + "), and what reads cannot be saved: " + saved.error().message};
    }
    copy_rights(path_, part);
    HF_TRY(sync(part));
    HF_TRY(move(part, path_ + ".salvaged"));
    HF_TRY(sync(folder_of(path_)));
    Result<std::string> aside = finish(path_);
    if (!aside) return aside.error();
    aside_ = *aside;
    why_ = why.message;
    saved_ = *saved;
    remove_oldest(path_, log_);
    return ok_status();
  }

  Result<std::unique_ptr<Engine>> told(Result<std::unique_ptr<Engine>> engine) {
    if (engine && (*engine)->made() && was_there_) {
      log_.warn("database_empty", {{"file", path_}, {"why", "the file was there and held no queue: it was being made when the power went, or what was in it is lost; it is made anew"}});
    }
    if (engine && (*engine)->log_lost() && !log_lost_) {
      log_.error("log_missing", {{"file", path_ + "-wal"}, {"why", "the file was in use when its process ended, and the log that goes with it is not there: what was recorded last is lost"}});
    }
    if (aside_.empty() || !engine) return engine;
    const Stats& stats = (*engine)->opening_stats();
    Salvaged of_file = of_before_;
    of_file.saved = stats.salvaged_jobs, of_file.lost = stats.salvage_lost_jobs, of_file.lost_unknown = stats.salvage_lost_unknown;
    const Salvaged& s = saved_ ? *saved_ : of_file;
    log_.error("database_salvaged", {{"file", path_}, {"damaged_file", aside_}, {"jobs_saved", s.saved}, {"jobs_lost", s.lost},
                                     {"more_may_be_lost", s.lost_unknown}, {"salvages", stats.salvages}, {"why", why_}});
    if (s.host_rows > 0 || s.host_lost > 0 || s.host_lost_unknown || !s.host_not_made.empty()) {
      log_.error("tables_salvaged", {{"file", path_}, {"rows_saved", s.host_rows}, {"rows_lost", s.host_lost}, {"more_may_be_lost", s.host_lost_unknown},
                                     {"not_made", s.host_not_made}, {"why", "the program's own tables in the file"}});
    }
    return engine;
  }

  const EngineOptions& options_;
  const Logger& log_;
  const std::string& path_;
  std::string aside_, why_;
  bool was_there_ = false, log_lost_ = false;
  std::optional<Salvaged> saved_;  // unless an earlier process did it
  Salvaged of_before_;             // then: of the program's tables
};

}  // namespace

Result<std::unique_ptr<Engine>> open_healing(const EngineOptions& options, const Logger& log, int met) {
  return Healer(options, log).open(met);
}

std::vector<std::string> damaged_files(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& [n, aside] : list_aside(path)) names.push_back(aside_name(path, n) + (aside.file ? "" : "-wal"));
  return names;
}

}  // namespace hf
