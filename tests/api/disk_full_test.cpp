// A disk that is full, from each write on: what still works, and that all goes on when there is room again.
#include <sqlite3.h>
#include <time.h>

#include <fstream>
#include <thread>
#include <vector>

#include "api_fixture.h"
#include "small_disk.h"

using namespace hf::test;
namespace fs = std::filesystem;

namespace {

class Full : public ApiFixture {
 public:
  Full() {
    close();
    fs::remove(path);
    SmallDisk::install();
  }
  ~Full() {
    SmallDisk::fills(-1);
    SmallDisk::away() = false;
  }

  int reopen() {
    hf_options options = HF_OPTIONS_INIT;
    options.device = "gw";
    options.vfs = SmallDisk::kName;
    options.ballast = 256 << 10;
    return hf_open(path.c_str(), &options, &engine);
  }
  int try_add(const std::string& payload, hf_job_id* id) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = "waits";
    spec.payload = payload.data();
    spec.payload_len = payload.size();
    return hf_enqueue(engine, &spec, id);
  }
  int disk_full() {
    hf_stats_info stats = HF_STATS_INFO_INIT;
    REQUIRE(hf_stats(engine, &stats) == HF_OK);
    return stats.disk_full;
  }
  // Each hf_stats is a turn; the library looks for room after 1 s, 2 s, ...
  void wait_for_room() {
    while (disk_full() != 0) {
    }
  }
  void there(const std::vector<hf_job_id>& acknowledged) {
    for (hf_job_id id : acknowledged) {
      CAPTURE(id);
      CHECK(get(id).payload.size() > 0);
    }
  }
};

}  // namespace

TEST_CASE_FIXTURE(Full, "full at each write: what was acknowledged is there, the rest can be cancelled, and it goes on") {
  // Writes that find room, from the opening on. Each n is another place where the disk is full.
  int refused = 0, opened_full = 0;
  for (int n = 0; n < 120; n += n < 30 ? 1 : 7) {
    CAPTURE(n);
    for (const char* end : {"", "-wal", ".ballast"}) fs::remove(path + end);
    SmallDisk::fills(n);
    std::vector<hf_job_id> acknowledged;
    int opened = reopen();
    if (opened == HF_OK) {
      opened_full += disk_full() != 0;
      for (int i = 0; i < 30; ++i) {
        hf_job_id id = 0;
        const int code = try_add(std::string(static_cast<size_t>(1 + i * 37 % 900), 'p'), &id);
        CHECK((code == HF_OK || code == HF_E_FULL));
        if (code == HF_OK) acknowledged.push_back(id);
        refused += code == HF_E_FULL;
      }
      there(acknowledged);
      if (!acknowledged.empty()) {
        const int code = hf_cancel(engine, acknowledged[0]);
        CHECK((code == HF_OK || (code == HF_E_FULL && disk_full() == 2)));
      }
      SmallDisk::fills(-1);
      wait_for_room();
    } else {
      CHECK(opened == HF_E_FULL);  // a file that is being made
      SmallDisk::fills(-1);
      REQUIRE(reopen() == HF_OK);
    }
    hf_job_id id = 0;
    CHECK(try_add("again", &id) == HF_OK);
    acknowledged.push_back(id);
    there(acknowledged);
    CHECK(fs::file_size(path + ".ballast") == 256 << 10);
    close();
    REQUIRE(reopen() == HF_OK);
    there(acknowledged);
    close();
  }
  CHECK(refused > 100);
}

TEST_CASE_FIXTURE(Full, "a result waits for room, and is not lost; others need not wait for it") {
  REQUIRE(reopen() == HF_OK);
  Signal begun, go;
  on("big", [&](hf_job* job) {
    begun.set();
    go.wait();
    const std::string result(200000, 'r');
    CHECK(hf_job_result(job, result.data(), result.size()) == HF_OK);
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("big");
  hf_job_id other = 0;
  REQUIRE(try_add("p", &other) == HF_OK);
  begun.wait();
  SmallDisk::fills(20);
  go.set();
  while (disk_full() == 0) {
  }
  CHECK(get(id).state == HF_STATE_RUNNING);
  CHECK(get(other).state == HF_STATE_PENDING);
  SmallDisk::fills(-1);
  CHECK(wait_final(id).result.size() == 200000);
  wait_for_room();
  CHECK(hf_cancel(engine, other) == HF_OK);
}

TEST_CASE_FIXTURE(Full, "with little room, and a file that is away, many results wait and the engine does not spin") {
  constexpr int kRuns = 12;  // more than one turn takes on a full disk
  Count away, begun;
  hf_options options = HF_OPTIONS_INIT;
  options.vfs = SmallDisk::kName;
  options.ballast = 256 << 10;
  options.workers = options.concurrency = kRuns;
  options.log_user = &away;
  options.log = [](int, const char* line, void* user) {
    if (std::string(line).rfind("engine_reopen_failed", 0) == 0) static_cast<Count*>(user)->add();
  };
  REQUIRE(hf_open(path.c_str(), &options, &engine) == HF_OK);
  Signal go;
  hf_handler_options many = HF_HANDLER_OPTIONS_INIT;
  many.concurrency = kRuns;
  on("x", [&](hf_job*) {
    begun.add();
    go.wait();
    return HF_OK;
  }, &many);
  REQUIRE(hf_start(engine) == HF_OK);
  std::vector<hf_job_id> ids;
  for (int i = 0; i < kRuns; ++i) ids.push_back(add("x"));
  begun.wait(kRuns);
  // Nothing can be set aside, so that the room stays little.
  fs::remove(path + ".ballast");
  fs::create_directory(path + ".ballast");
  SmallDisk::fills_once();
  hf_job_id refused = 0;
  CHECK(try_add(std::string(2000, 'p'), &refused) == HF_E_FULL);
  CHECK(disk_full() == 1);
  SmallDisk::away() = true;
  go.set();
  away.wait(1);
  timespec from{}, to{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
  away.wait(2);  // a second later, by itself
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
  CHECK((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < 300);
  SmallDisk::away() = false;
  hf_job_info info = HF_JOB_INFO_INIT;
  while (hf_get(engine, ids[0], &info) == HF_E_IO) std::this_thread::yield();  // until it is opened again
  hf_job_info_free(&info);
  for (hf_job_id id : ids) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  close();  // while what the log is told to is there
}

TEST_CASE_FIXTURE(Full, "without a ballast the same, and the file is not there") {
  hf_options options = HF_OPTIONS_INIT;
  options.ballast = -1;
  options.vfs = SmallDisk::kName;
  REQUIRE(hf_open(path.c_str(), &options, &engine) == HF_OK);
  CHECK_FALSE(fs::exists(path + ".ballast"));
  SmallDisk::fills(0);
  hf_job_id id = 0;
  CHECK(try_add("p", &id) == HF_E_FULL);
  CHECK(disk_full() > 0);
  SmallDisk::fills(-1);
  wait_for_room();
  CHECK(try_add("p", &id) == HF_OK);
}

TEST_CASE_FIXTURE(Full, "a log that was emptied in use is not taken for a lost one") {
  REQUIRE(reopen() == HF_OK);
  hf_job_id id = 0;
  REQUIRE(try_add("p", &id) == HF_OK);
  // As a kill leaves it, moved into the file.
  const std::string copy = dir + "/copy.db";
  fs::copy_file(path, copy);
  fs::copy_file(path + "-wal", copy + "-wal");
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(copy.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr) == SQLITE_OK);
  fs::copy_file(copy, dir + "/emptied.db");
  sqlite3_close(db);
  close();
  for (bool there : {true, false}) {
    path = dir + (there ? "/there.db" : "/gone.db");
    fs::copy_file(dir + "/emptied.db", path);
    if (there) std::ofstream(path + "-wal").close();
    REQUIRE(reopen() == HF_OK);
    char* json = nullptr;
    REQUIRE(hf_stats_json(engine, &json) == HF_OK);
    CHECK((std::string(json).find("\"log_losses_total\":0") != std::string::npos) == there);
    hf_free(json);
    CHECK(get(id).payload == "p");
    close();
  }
}

TEST_CASE_FIXTURE(Full, "the ballast's limits") {
  hf_options options = HF_OPTIONS_INIT;
  for (auto [bytes, code] : std::vector<std::pair<int64_t, int>>{{-2, HF_E_INVALID}, {1, HF_E_INVALID}, {(256 << 10) - 1, HF_E_INVALID}, {256 << 10, HF_OK}, {(1 << 30) + 1, HF_E_INVALID}}) {
    options.ballast = bytes;
    CAPTURE(bytes);
    REQUIRE(hf_open(path.c_str(), &options, &engine) == code);
    if (code == HF_OK) close();
    else CHECK(std::string(hf_errmsg(nullptr)).find("ballast") != std::string::npos);
  }
}
