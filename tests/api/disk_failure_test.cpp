// The disk fails under a running engine: errors are answers, no result is lost, and it goes on by itself.
#include <time.h>

#include <atomic>
#include <thread>

#include "api_fixture.h"
#include "broken_disk.h"

using namespace hf::test;

namespace {

class OnBrokenDisk : public ApiFixture {
 public:
  OnBrokenDisk() {
    close();
    BrokenDisk::install();
    open_there();
  }
  ~OnBrokenDisk() { BrokenDisk::broken() = BrokenDisk::read_only() = false; }

  void open_there() {
    hf_options options = HF_OPTIONS_INIT;
    options.device = "gw";
    options.vfs = BrokenDisk::kName;
    options.log_user = this;
    options.log = [](int, const char* line, void* user) {
      auto* self = static_cast<OnBrokenDisk*>(user);
      std::string text = line;
      if (text.rfind("engine_failed", 0) == 0) self->failed.add();
      if (text.rfind("engine_reopen_failed", 0) == 0) self->away.add();
      if (text.rfind("engine_reopened", 0) == 0) self->back.add();
    };
    open(&options);
  }
  int try_add(const char* type) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = type;
    return hf_enqueue(engine, &spec, nullptr);
  }

  Count failed, away, back;  // engine_failed, engine_reopen_failed, engine_reopened
};

int64_t cpu_ms() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

}  // namespace

TEST_CASE_FIXTURE(OnBrokenDisk, "a job that cannot be stored is refused, and the engine comes back") {
  hf_job_id before = add("x", "kept");
  BrokenDisk::broken() = true;
  CHECK(try_add("x") == HF_E_IO);
  CHECK(std::string(hf_errmsg(engine)).find("queue.db") != std::string::npos);
  away.wait(1);
  hf_stats_info stats = HF_STATS_INFO_INIT;
  CHECK(hf_stats(engine, &stats) == HF_E_IO);
  BrokenDisk::broken() = false;
  back.wait(1);
  CHECK(get(before).payload == "kept");
  CHECK(add("x") > before);
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == 2);
}

TEST_CASE_FIXTURE(OnBrokenDisk, "a result that cannot be stored waits for the disk and is not lost") {
  Signal running, release;
  std::atomic<int> runs{0};
  on("x", [&](hf_job* job) {
    ++runs;
    running.set();
    release.wait();
    hf_job_result(job, "21.5", 4);
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("x");
  running.wait();
  BrokenDisk::broken() = true;
  release.set();
  away.wait(1);
  BrokenDisk::broken() = false;
  back.wait(1);
  Seen seen = wait_final(id);
  CHECK(seen.state == HF_STATE_COMPLETED);
  CHECK(seen.result == "21.5");
  CHECK(seen.attempts == 1);
  CHECK(runs == 1);
}

TEST_CASE_FIXTURE(OnBrokenDisk, "a run goes on over a reopening, with its attempt") {
  Signal running, release;
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) {
    ++runs;
    running.set();
    release.wait();
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("x");
  running.wait();
  BrokenDisk::broken() = true;
  CHECK(try_add("y") == HF_E_IO);
  away.wait(1);
  BrokenDisk::broken() = false;
  back.wait(1);
  CHECK(get(id).state == HF_STATE_RUNNING);
  release.set();
  Seen seen = wait_final(id);
  CHECK(seen.state == HF_STATE_COMPLETED);
  CHECK(seen.attempts == 1);
  CHECK(runs == 1);
}

TEST_CASE_FIXTURE(OnBrokenDisk, "while a result waits for the disk the engine does not spin") {
  on("x", [&](hf_job*) {
    BrokenDisk::broken() = true;
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("x");
  away.wait(1);
  int64_t from = cpu_ms();
  away.wait(2);  // a second later, by itself
  CHECK(cpu_ms() - from < 300);
  BrokenDisk::broken() = false;
  back.wait(1);
  CHECK(wait_final(id).state == HF_STATE_COMPLETED);
}

TEST_CASE_FIXTURE(OnBrokenDisk, "hf_close does not wait for a disk that stays broken") {
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) {
    if (++runs == 1) BrokenDisk::broken() = true;
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("x");
  away.wait(1);
  close();
  BrokenDisk::broken() = false;
  open_there();
  on("x", bodies["x"]);
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  CHECK(runs == 2);  // once more: its result had no place to be
}

TEST_CASE_FIXTURE(OnBrokenDisk, "hf_close ends the handlers also if the disk lets the engine stop none, and hf_stop says so") {
  for (bool read_only : {false, true}) {
    CAPTURE(read_only);
    Signal running;
    on("x", [&](hf_job* job) {
      running.set();
      while (hf_job_canceled(job) == 0) std::this_thread::yield();
      return HF_RETRY;
    });
    REQUIRE(hf_start(engine) == HF_OK);
    const hf_job_id id = add("x");
    running.wait();
    (read_only ? BrokenDisk::read_only() : BrokenDisk::broken()) = true;
    const int refused = read_only ? HF_E_READ_ONLY : HF_E_IO;
    CHECK(try_add("y") == refused);
    if (!read_only) away.wait(1);
    CHECK(hf_stop(engine, 0) == refused);
    close();
    BrokenDisk::read_only() = BrokenDisk::broken() = false;
    open_there();
    CHECK(get(id).state == HF_STATE_PENDING);
    REQUIRE(hf_cancel(engine, id) == HF_OK);
  }
}

TEST_CASE_FIXTURE(OnBrokenDisk, "what hf_stop could not hand back is handed back once the disk can be written") {
  Signal running, ended;
  on("x", [&](hf_job* job) {
    running.set();
    while (hf_job_canceled(job) == 0) std::this_thread::yield();
    ended.set();
    return HF_RETRY;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("x");
  running.wait();
  BrokenDisk::read_only() = true;
  CHECK(try_add("y") == HF_E_READ_ONLY);
  CHECK(hf_stop(engine, 0) == HF_E_READ_ONLY);
  CHECK(get(id).state == HF_STATE_RUNNING);
  BrokenDisk::read_only() = false;
  ended.wait();
  const Seen seen = get(id);
  CHECK(seen.state == HF_STATE_PENDING);
  CHECK(seen.attempts == 0);
}

TEST_CASE_FIXTURE(OnBrokenDisk, "a disk that heals just before hf_close gets the results") {
  on("x", [&](hf_job*) {
    BrokenDisk::broken() = true;
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("x");
  away.wait(2);  // the next try would be in two seconds
  BrokenDisk::broken() = false;
  close();
  open_there();
  CHECK(get(id).state == HF_STATE_COMPLETED);
}

TEST_CASE_FIXTURE(OnBrokenDisk, "when time alone meets the broken disk, the engine comes back by itself") {
  Signal fired;
  std::atomic<bool> healed{false};
  on("tick", [&](hf_job*) {
    if (healed) fired.set();
    return HF_OK;
  });
  hf_schedule_spec schedule = HF_SCHEDULE_SPEC_INIT;
  schedule.name = "s";
  schedule.cron = "@every 1s";
  schedule.job.type = "tick";
  REQUIRE(hf_schedule_put(engine, &schedule) == HF_OK);
  REQUIRE(hf_start(engine) == HF_OK);
  BrokenDisk::broken() = true;
  failed.wait(1);
  BrokenDisk::broken() = false;
  healed = true;
  fired.wait();
  CHECK(back.count() >= 1);
}

TEST_CASE_FIXTURE(OnBrokenDisk, "what is said to the engine meanwhile holds when it is back") {
  BrokenDisk::broken() = true;
  CHECK(try_add("x") == HF_E_IO);
  away.wait(1);
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) { return ++runs, HF_OK; });
  CHECK(hf_start(engine) == HF_OK);
  CHECK(hf_stop(engine, 1000) == HF_OK);
  CHECK(hf_start(engine) == HF_OK);
  BrokenDisk::broken() = false;
  back.wait(1);
  wait_final(add("x"));
  CHECK(runs == 1);
}

TEST_CASE_FIXTURE(OnBrokenDisk, "a file system that becomes read-only: jobs are read, nothing is taken or lost, and it goes on by itself") {
  auto disk_full = [&] {
    hf_stats_info stats = HF_STATS_INFO_INIT;
    REQUIRE(hf_stats(engine, &stats) == HF_OK);
    return stats.disk_full;
  };
  Signal begun, go;
  on("slow", [&](hf_job* job) {
    begun.set();
    go.wait();
    CHECK(hf_job_result(job, "r", 1) == HF_OK);
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id kept = add("x", "kept"), slow = add("slow");
  begun.wait();
  for (bool ends : {false, true}) {
    CAPTURE(ends);
    BrokenDisk::read_only() = true;
    CHECK(try_add("x") == HF_E_READ_ONLY);
    CHECK(std::string(hf_errmsg(engine)).find("read-only") != std::string::npos);
    CHECK(disk_full() == 3);
    CHECK(get(kept).payload == "kept");
    CHECK(hf_cancel(engine, kept) == HF_E_READ_ONLY);
    CHECK(hf_pause(engine, "default") == HF_E_READ_ONLY);
    CHECK(get(kept).state == HF_STATE_PENDING);
    if (ends) {
      go.set();
      CHECK(get(slow).state == HF_STATE_RUNNING);
    }
    BrokenDisk::read_only() = false;
    while (disk_full() != 0) {  // a turn each; it looks after 1 s, 2 s, ...
    }
    CHECK(try_add("x") == HF_OK);
    CHECK(away.count() == 0);
  }
  CHECK(wait_final(slow).result == "r");
  CHECK(get(slow).attempts == 1);
  CHECK(hf_cancel(engine, kept) == HF_OK);
  close();
  open_there();
  CHECK(get(kept).state == HF_STATE_CANCELLED);
}
