// A program whose rows and jobs go in together (hf_transact), killed at any moment: crash_rows [--kills N] [--seed S]
//
// A child has three threads that insert a reading and enqueue its upload for ever; a third of the functions fail behind both, some take
// the whole transaction back. Each that was acknowledged it tells through a pipe. After so many of them, at random, it is
// killed; then the file is opened, and all rows are held against all jobs.
#include <holdfast_sqlite.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

SQLITE_EXTENSION_INIT1

namespace {

constexpr int kThreads = 3;
constexpr int kAcksMost = 60;  // of a life

using Ids = std::set<int64_t>;

void require(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "crash_rows: %s\n", what.c_str());
  _exit(1);
}

hf_engine* open_engine(const std::string& path) {
  hf_engine* engine = nullptr;
  hf_options options = HF_OPTIONS_INIT;
  options.device = "rows";
  require(hf_open(path.c_str(), &options, &engine) == HF_OK, hf_errmsg(nullptr));
  return engine;
}

int exec(sqlite3* db, const std::string& sql) { return sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr); }

struct Measurement {
  int64_t job = 0;
  unsigned chance = 0;
};

int measure(hf_transaction* transaction, sqlite3* db, void* user) {
  auto* m = static_cast<Measurement*>(user);
  hf_job_spec job = HF_JOB_SPEC_INIT;
  job.type = "upload";
  job.delay_ms = 86400000;
  if (hf_transaction_enqueue(transaction, &job, &m->job) != HF_OK) return 1;
  const std::string id = std::to_string(m->job);
  if (exec(db, "INSERT INTO reading(job) VALUES(" + id + ")") != SQLITE_OK) return 2;
  if (m->chance % 3 == 0) return 3;
  if (m->chance % 17 == 1) return exec(db, "INSERT OR ROLLBACK INTO reading(job) VALUES(" + id + ")");
  return 0;
}

int make_table(hf_transaction*, sqlite3* db, void*) { return exec(db, "CREATE TABLE IF NOT EXISTS reading(id INTEGER PRIMARY KEY, job INTEGER UNIQUE)"); }

int read_rows(hf_transaction*, sqlite3* db, void* user) {
  sqlite3_stmt* stmt = nullptr;
  if (sqlite3_prepare_v2(db, "SELECT job FROM reading", -1, &stmt, nullptr) != SQLITE_OK) return 1;
  while (sqlite3_step(stmt) == SQLITE_ROW) static_cast<Ids*>(user)->insert(sqlite3_column_int64(stmt, 0));
  return sqlite3_finalize(stmt);
}

[[noreturn]] void live(const std::string& path, int acks, unsigned seed) {
  hf_engine* engine = open_engine(path);
  require(hf_transact(engine, make_table, nullptr, nullptr) == HF_OK, hf_errmsg(engine));
  std::vector<std::thread> threads;
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([=] {
      std::mt19937 random(seed * kThreads + static_cast<unsigned>(n));
      while (true) {
        Measurement m;
        m.chance = random();
        const int code = hf_transact(engine, measure, &m, nullptr);
        if (code == HF_OK && write(acks, &m.job, sizeof m.job) != sizeof m.job) _exit(0);
        require(code == HF_OK || m.chance % 3 == 0 || m.chance % 17 == 1, hf_errmsg(engine));
      }
    });
  }
  threads.front().join();  // never
  _exit(1);
}

// Rows against jobs, and both against what was acknowledged.
size_t check(const std::string& path, const Ids& acknowledged) {
  hf_engine* engine = open_engine(path);
  Ids rows, jobs;
  hf_transact_options reading = HF_TRANSACT_OPTIONS_INIT;
  reading.read_only = 1;
  reading.timeout_ms = 10000;
  if (hf_transact(engine, read_rows, &rows, &reading) == 1) require(acknowledged.empty(), "the table is gone");
  hf_list_query query = HF_LIST_QUERY_INIT;
  query.type = "upload";
  query.limit = 1000;
  do {
    const auto each = [](const hf_job_info* info, void* user) { return static_cast<Ids*>(user)->insert(info->id), int{HF_OK}; };
    require(hf_list(engine, &query, each, &jobs, &query.after) == HF_OK, hf_errmsg(engine));
  } while (query.after != 0);
  for (int64_t id : rows) require(jobs.count(id) != 0, "a row without its job " + std::to_string(id));
  for (int64_t id : jobs) require(rows.count(id) != 0, "job " + std::to_string(id) + " without its row");
  for (int64_t id : acknowledged) require(rows.count(id) != 0, "job " + std::to_string(id) + " was acknowledged, and is gone with its row");
  require(hf_close(engine) == HF_OK, "close");
  return rows.size();
}

}  // namespace

int main(int argc, char** argv) {
  int kills = 20;
  unsigned seed = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--kills") == 0) kills = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--seed") == 0) seed = static_cast<unsigned>(std::strtoul(argv[i + 1], nullptr, 10));
  }
  SQLITE_EXTENSION_INIT2(hf_sqlite_api())
  const std::string folder = (std::filesystem::temp_directory_path() / ("holdfast-rows-" + std::to_string(getpid()))).string();
  std::filesystem::create_directory(folder);
  const std::string path = folder + "/queue.db";
  std::mt19937 random(seed);
  Ids acknowledged;
  size_t rows = 0;
  for (int n = 0; n < kills; ++n) {
    int acks[2];
    require(pipe(acks) == 0, "pipe");
    const unsigned life = random();
    const pid_t child = fork();
    if (child == 0) live(path, acks[1], life);
    close(acks[1]);
    int64_t id = 0;
    for (unsigned left = random() % kAcksMost; left > 0 && read(acks[0], &id, sizeof id) == sizeof id; --left) acknowledged.insert(id);
    kill(child, SIGKILL);
    while (read(acks[0], &id, sizeof id) == sizeof id) acknowledged.insert(id);
    close(acks[0]);
    int status = 0;
    waitpid(child, &status, 0);
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself");
    rows = check(path, acknowledged);
  }
  std::filesystem::remove_all(folder);
  std::printf("%d kills: %zu rows, each with its job; %zu of them acknowledged\n", kills, rows, acknowledged.size());
  return 0;
}
