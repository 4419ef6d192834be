// A virtual disk: a SQLite VFS in memory that knows what is safe and what a power cut may still take.
//
// A file has its present bytes, which a process sees (the system's cache: they outlive a kill), its safe bytes, which
// a power cut leaves, and between them the changes that were not synced. A cut keeps, drops, tears or spoils each of
// them by itself, per sector of 512 bytes. Folder entries (create, delete) become safe by the sync of the folder, in
// the order in which they were made, as on a journalling file system.
//
// What it takes for granted, as SQLite does: a write spoils no byte beside those that it writes (power-safe overwrite).
//
// Every call asks `on_call` first, which may make it fail, or end the process there. Thread: one.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"

namespace hf::sim {

enum class Call { open, remove, read, write, truncate, sync, size };
inline bool changes(Call c) { return c != Call::read && c != Call::size; }

enum class Verdict {
  ok,
  fail,      // an I/O error; nothing happened
  full,      // no space
  die,       // the process ends before this call
  lose,      // sync: an error, and the bytes will never reach the disk though they can still be read
  land,      // sync, write: an error, but it happened
  lie,       // sync: success, and nothing is safe
};

// How a cut treats what was not synced.
enum class Cut {
  drop,     // all of it
  keep,     // all kept
  prefix,   // kept up to a point in time; the change at the point is torn
  scatter,  // each sector by itself: kept, dropped, or rubbish
  newest,   // the later half is there and the earlier is not
};
inline constexpr Cut kCuts[] = {Cut::drop, Cut::keep, Cut::prefix, Cut::scatter, Cut::newest};

class Disk {
 public:
  Disk();
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  const std::string& vfs() const { return name_; }
  std::function<Verdict(Call)> on_call;  // empty: all is well

  // The files that are open now belong to a process that is no more: nothing of it reaches the disk.
  void process_dies();
  // What a failed sync lost, and nobody wrote again, counts as not synced from now on.
  void forgive();
  bool process_died() const { return dead_; }
  // The power goes and comes back. `into` another disk: it is as this one would be, which goes on undisturbed.
  void cut(Cut how, Random& random) { cut_into(*this, how, random); }
  void cut_into(Disk& into, Cut how, Random& random) const;

  uint64_t calls = 0, changes_made = 0, syncs = 0;

 private:
  struct Change {
    int64_t at;         // of a truncation: the new size
    std::string bytes;
    bool truncation;
  };
  struct Inode {
    std::string present, safe;
    std::vector<Change> unsynced;
    std::vector<Change> lost;  // by a failed sync, and not written again
  };
  using Folder = std::map<std::string, std::shared_ptr<Inode>>;
  struct Entry {
    std::string name;
    std::shared_ptr<Inode> inode;  // null: deleted
  };
  struct File {
    sqlite3_file base;
    Disk* disk;
    std::shared_ptr<Inode>* inode;
    uint32_t process;
    bool sync_folder;
  };
  static File& file(sqlite3_file* f) { return *reinterpret_cast<File*>(f); }
  static const sqlite3_io_methods* methods();
  static void apply(std::string& bytes, const Change& change);
  static std::string after_cut(const Inode& inode, Cut how, Random& random);
  static void spoil(std::string& bytes, const Change& change, Cut how, Random& random);

  bool may_go_on(const File& f) const { return f.process == process_ && !dead_; }
  Verdict ask(Call call);
  void sync_folder();
  int open(const char* path, File& f, int flags, int* out_flags);
  int remove(const char* path, bool sync);
  int write(File& f, const void* from, int n, int64_t at);
  int truncate(File& f, int64_t size);
  int sync(File& f);

  sqlite3_vfs vfs_{};
  std::string name_;
  Folder present_, safe_;
  std::vector<Entry> unsynced_entries_;
  uint32_t process_ = 1;
  bool dead_ = false;
  uint64_t random_state_ = 1;
};

}  // namespace hf::sim
