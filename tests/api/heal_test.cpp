// A damaged file is set aside and what reads of it goes on; every half-done state is finished; what is not ours is
// left alone.
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include <fstream>
#include <vector>

#include "api_fixture.h"
#include "broken_disk.h"

using namespace hf::test;
namespace fs = std::filesystem;

namespace {

class Healing : public ApiFixture {
 public:
  Healing() {
    for (int i = 0; i < 30; ++i) ids.push_back(add("x", std::string(300, 'p')));
    kept = dir + "/kept.db";
    fs::copy_file(path, kept);  // as a kill leaves it
    fs::copy_file(path + "-wal", kept + "-wal");
    close();
  }
  ~Healing() { BrokenDisk::broken() = false; }

  static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }
  // The last page of the cleanly closed file that holds jobs; damaged so that no SQLite reads it.
  void damage() {
    std::string bytes = read(path);
    const size_t at = bytes.rfind(std::string(300, 'p')) / 1024 * 1024;
    bytes.replace(at, 1024, std::string(1024, '\xff'));
    // Not closed cleanly: the file is checked.
    write(path, bytes);
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    sqlite3_exec(db, "UPDATE meta SET value=0 WHERE key='clean'", nullptr, nullptr, nullptr);
    sqlite3_close(db);
  }
  int try_open(const char* vfs = nullptr) {
    hf_options options = HF_OPTIONS_INIT;
    options.device = "gw";
    options.vfs = vfs;
    options.log_user = this;
    options.log = [](int level, const char* line, void* user) {
      auto* self = static_cast<Healing*>(user);
      std::lock_guard lock(self->mutex);
      self->lines.push_back(std::to_string(level) + " " + line);
    };
    return hf_open(path.c_str(), &options, &engine);
  }
  std::string line(const std::string& event) {
    std::lock_guard lock(mutex);
    for (const std::string& l : lines) {
      if (l.substr(2, event.size()) == event) return l;
    }
    return "";
  }
  int count() {
    hf_stats_info stats = HF_STATS_INFO_INIT;
    REQUIRE(hf_stats(engine, &stats) == HF_OK);
    return static_cast<int>(stats.pending);
  }
  // Opens what is there, and is quiet the next time.
  void heals(size_t at_least) {
    lines.clear();
    REQUIRE_MESSAGE(try_open() == HF_OK, hf_errmsg(nullptr));
    CHECK(line("database_salvaged").substr(0, 2) == "0 ");
    CHECK(count() >= static_cast<int>(at_least));
    CHECK(add("x") > ids.back() + 100000);
    close();
    lines.clear();
    REQUIRE(try_open() == HF_OK);
    CHECK(line("database_salvaged").empty());
    CHECK_FALSE(fs::exists(path + ".salvaged"));
    CHECK_FALSE(fs::exists(path + ".salvaging"));
    close();
  }

  std::vector<hf_job_id> ids;
  std::string kept;
  std::mutex mutex;
  std::vector<std::string> lines;
};

}  // namespace

TEST_CASE_FIXTURE(Healing, "a damaged file is set aside as it was, and the rest goes on") {
  damage();
  const std::string damaged = read(path);
  chmod(path.c_str(), 0600);
  heals(25);
  CHECK(read(path + ".bad-1") == damaged);
  struct stat info;
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE_FIXTURE(Healing, "the figures stay in the file") {
  damage();
  REQUIRE(try_open() == HF_OK);
  close();
  REQUIRE(try_open() == HF_OK);
  char* text = nullptr;
  REQUIRE(hf_stats_json(engine, &text) == HF_OK);
  CHECK(std::string(text).find("\"salvages_total\":1,") != std::string::npos);
  std::free(text);
}

TEST_CASE_FIXTURE(Healing, "what became of the program's own tables is told, by the process that finishes a salvage too") {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, "CREATE TABLE mine(a CHECK(a<>'wrong')); INSERT INTO mine VALUES('good'), ('wrung')", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  std::string bytes = read(path);
  bytes.replace(bytes.find("wrung"), 5, "wrong");
  write(path, bytes);
  damage();
  const std::string damaged = read(path);
  REQUIRE(try_open() == HF_OK);
  const std::string told = line("tables_salvaged");
  CHECK(told.find("rows_saved=1 rows_lost=1 more_may_be_lost=false") != std::string::npos);
  close();
  fs::rename(path, path + ".salvaged");
  write(path, damaged);
  lines.clear();
  REQUIRE(try_open() == HF_OK);
  CHECK(line("tables_salvaged") == told);
}

TEST_CASE_FIXTURE(Healing, "damage that is met while it is open heals at the reopening") {
  std::string bytes = read(path);
  size_t at = 1024;  // the first leaf with jobs
  while (bytes[at] != 13 || bytes.find(std::string(300, 'p'), at) > at + 700) at += 1024;
  bytes.replace(at, 1024, std::string(1024, '\xff'));
  write(path, bytes);  // closed cleanly: nothing is looked at
  REQUIRE(try_open() == HF_OK);
  CHECK(line("database_salvaged").empty());
  hf_job_info info = HF_JOB_INFO_INIT;
  CHECK(hf_get(engine, ids.front(), &info) == HF_E_CORRUPT);
  hf_job_id id = add("x");
  CHECK(id > ids.back() + 100000);
  CHECK_FALSE(line("database_salvaged").empty());
  CHECK(get(ids.back()).payload.size() == 300);
  CHECK(fs::exists(path + ".bad-1"));
}

TEST_CASE_FIXTURE(Healing, "every state that a cut leaves is finished by the next opening") {
  damage();
  const std::string damaged = read(path);
  // What the salvage makes, to be laid where a cut would have left it.
  heals(25);
  const std::string saved = read(path);
  for (const char* suffix : {"", ".bad-1"}) fs::remove(path + suffix);
  auto lay = [&](std::vector<std::pair<std::string, std::string>> files) {
    for (const auto& entry : fs::directory_iterator(dir)) {
      if (entry.path().string().starts_with(path)) fs::remove(entry.path());
    }
    for (auto& [suffix, bytes] : files) write(path + suffix, bytes);
  };
  const std::string log = "a log";
  SUBCASE("being written") { lay({{"", damaged}, {".salvaging", saved.substr(0, 3000)}, {".salvaging-wal", log}}); }
  SUBCASE("written") { lay({{"", damaged}, {"-wal", log}, {".salvaged", saved}}); }
  SUBCASE("written, one that was set aside before") { lay({{"", damaged}, {"-wal", log}, {".bad-1", "old"}, {".bad-1-wal", "old"}, {".salvaged", saved}}); }
  SUBCASE("the log is moved") { lay({{"", damaged}, {".bad-1-wal", log}, {".salvaged", saved}}); }
  SUBCASE("the file is moved") { lay({{".bad-1", damaged}, {".bad-1-wal", log}, {".salvaged", saved}}); }
  heals(25);
  const bool second = fs::exists(path + ".bad-2");
  CHECK(read(path + (second ? ".bad-2" : ".bad-1")) == damaged);
  if (second) CHECK(read(path + ".bad-1") == "old");
  if (fs::exists(path + ".bad-1-wal") && !second) CHECK(read(path + ".bad-1-wal") == log);
  CHECK_FALSE(fs::exists(path + "-wal"));
}

TEST_CASE_FIXTURE(Healing, "five damaged files are kept, the oldest goes") {
  for (int i = 0; i < 6; ++i) {
    damage();
    REQUIRE(try_open() == HF_OK);
    add("x", std::string(300, 'p'));
    close();
  }
  CHECK_FALSE(fs::exists(path + ".bad-1"));
  for (int i = 2; i <= 6; ++i) CHECK(fs::exists(path + ".bad-" + std::to_string(i)));
  CHECK_FALSE(line("damaged_file_removed").empty());
}

TEST_CASE_FIXTURE(Healing, "cut anywhere, it opens") {
  const std::string whole = read(path);
  for (size_t size = whole.size() - 1; size > 0; size -= std::min<size_t>(size, 1500)) {
    for (const auto& entry : fs::directory_iterator(dir)) {
      if (entry.path().string().starts_with(path)) fs::remove(entry.path());
    }
    write(path, whole.substr(0, size));
    lines.clear();
    REQUIRE_MESSAGE(try_open() == HF_OK, size, ": ", hf_errmsg(nullptr));
    add("x");
    close();
  }
}

TEST_CASE_FIXTURE(Healing, "nothing but zeros, or nothing at all") {
  SUBCASE("zeros") {
    write(path, std::string(50000, '\0'));
    heals(0);
    CHECK(fs::file_size(path + ".bad-1") == 50000);
  }
  SUBCASE("an empty file is a new one, and a note") {
    write(path, "");
    REQUIRE(try_open() == HF_OK);
    CHECK(line("database_salvaged").empty());
    CHECK_FALSE(line("database_empty").empty());
    CHECK(count() == 0);
  }
  SUBCASE("the log is all that is there") {
    fs::copy_file(kept + "-wal", path + "-wal");
    SUBCASE("file empty") { write(path, ""); }
    SUBCASE("file zeros") { write(path, std::string(1024, '\0')); }
    SUBCASE("no file") { fs::remove(path); REQUIRE(fs::file_size(path + "-wal") > 10000); }
    heals(30);
    CHECK(fs::exists(path + ".bad-1-wal"));
  }
}

TEST_CASE_FIXTURE(Healing, "the log's header is damaged: SQLite would see no log") {
  fs::copy_file(kept, path, fs::copy_options::overwrite_existing);
  std::string log = read(kept + "-wal");
  log[3] = static_cast<char>(log[3] ^ 0x40);
  write(path + "-wal", log);
  heals(29);
}

TEST_CASE_FIXTURE(Healing, "a gap in the log is said, and the log is kept") {
  fs::copy_file(kept, path, fs::copy_options::overwrite_existing);
  std::string log = read(kept + "-wal");
  log[log.size() / 2] = static_cast<char>(log[log.size() / 2] ^ 0x40);
  write(path + "-wal", log);
  REQUIRE(try_open() == HF_OK);
  CHECK_FALSE(line("log_cut_short").empty());
  CHECK(line("database_salvaged").empty());
  CHECK(read(path + ".cut-wal") == log);
  CHECK(count() < 30);
  CHECK(count() > 0);
}

TEST_CASE_FIXTURE(Healing, "a log of another database beside a sound file") {
  const std::string mine = path;
  path = dir + "/other.db";
  open();
  add("y");
  fs::copy_file(path + "-wal", mine + "-wal");
  close();
  path = mine;
  heals(30);
}

TEST_CASE_FIXTURE(Healing, "what is not ours is not touched") {
  auto refused = [&](const std::string& bytes) {
    write(path, bytes);
    CHECK(try_open() == HF_E_FOREIGN);
    CHECK(read(path) == bytes);
    CHECK_FALSE(fs::exists(path + ".bad-1"));
  };
  refused("root:x:0:0:root:/root:/bin/sh\n");
  refused(std::string(5000, 'x'));
  fs::remove(path);
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  sqlite3_exec(db, "CREATE TABLE lane(id); INSERT INTO lane VALUES(1)", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  refused(read(path));
  fs::copy_file(kept + "-wal", path + "-wal");  // a log of ours says nothing of a file that is not
  const std::string bytes = read(path);
  CHECK(try_open() != HF_OK);
  CHECK(read(path) == bytes);
  fs::remove(path + "-wal");
}

TEST_CASE_FIXTURE(Healing, "an empty page with a damaged header, and no log that reads: a file that was being made") {
  std::string bytes = read(kept).substr(0, 100) + std::string("\x0d\0\0\0\0\x04\0\0", 8);
  bytes.resize(1024);
  bytes[4] ^= 0x05;
  for (size_t at = 30; at < 100; at += 3) bytes[at] ^= 0x41;
  write(path, bytes);
  write(path + "-wal", read(kept + "-wal").substr(0, 255));
  CHECK(try_open() == HF_OK);
  CHECK(read(path + ".bad-1") == bytes);
  CHECK_FALSE(line("database_salvaged").empty());
  CHECK(count() == 0);
  close();
  // A page that somebody may have written something to is not.
  fs::remove(path + "-wal");
  bytes[600] = 'x';
  write(path, bytes);
  CHECK(try_open() == HF_E_FOREIGN);
  CHECK(read(path) == bytes);
}

TEST_CASE_FIXTURE(Healing, "another healer at work") {
  damage();
  int folder = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY);
  REQUIRE(flock(folder, LOCK_EX) == 0);
  CHECK(try_open() == HF_E_LOCKED);
  CHECK(fs::exists(path));
  ::close(folder);
  heals(25);
}

TEST_CASE_FIXTURE(Healing, "on another vfs; an error of the disk is no damage") {
  BrokenDisk::install();
  damage();
  BrokenDisk::broken() = true;
  CHECK(try_open(BrokenDisk::kName) == HF_E_IO);
  CHECK_FALSE(fs::exists(path + ".bad-1"));
  BrokenDisk::broken() = false;
  REQUIRE(try_open(BrokenDisk::kName) == HF_OK);
  CHECK_FALSE(line("database_salvaged").empty());
  CHECK(fs::exists(path + ".bad-1"));
  CHECK(count() >= 25);
}
