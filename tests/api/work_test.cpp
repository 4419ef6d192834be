// Handlers on the program's own threads (hf_work), and what the engine does on them.
#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <climits>
#include <cstring>
#include <thread>

#include "tests/api/api_fixture.h"

using namespace hf::test;

namespace {

class WorkFixture : public ApiFixture {
 public:
  WorkFixture() { reopen(HF_NO_WORKERS); }
  void reopen(int workers) {
    close();
    hf_options options = HF_OPTIONS_INIT;
    options.device = "gw";
    options.workers = workers;
    open(&options);
  }
  int work(int64_t timeout_ms = 60000) { return hf_work(engine, timeout_ms); }
  bool readable(int within_ms) {
    int fd = -1;
    REQUIRE(hf_work_fd(engine, &fd) == HF_OK);
    pollfd one = {fd, POLLIN, 0};
    return poll(&one, 1, within_ms) == 1;
  }
};

bool done(int code) { return code == HF_OK; }

}  // namespace

TEST_CASE_FIXTURE(WorkFixture, "hf_work: handlers run where it is called, one a call, and their ends are recorded when it returns") {
  std::vector<std::thread::id> where;
  on("x", [&](hf_job* job) {
    where.push_back(std::this_thread::get_id());
    hf_job_result(job, "ok", 2);
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(work(0) == HF_E_TIMEOUT);
  CHECK(std::string(hf_errmsg(engine)).find("nothing came to run in 0 ms") != std::string::npos);
  std::vector<hf_job_id> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(add("x"));
  CHECK(where.empty());
  for (size_t i = 0; i < 3; ++i) {
    CHECK(done(work()));
    REQUIRE(where.size() == i + 1);
    CHECK(get(ids[i]).state == HF_STATE_COMPLETED);
    CHECK(get(ids[i]).result == "ok");
  }
  CHECK(work(0) == HF_E_TIMEOUT);
  for (const auto& thread : where) CHECK(thread == std::this_thread::get_id());
}

TEST_CASE_FIXTURE(WorkFixture, "hf_work: it waits for a job that comes, that becomes due, or that is tried again") {
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) { return ++runs == 2 ? int{HF_RETRY} : int{HF_OK}; });
  REQUIRE(hf_start(engine) == HF_OK);
  std::thread other([&] { add("x"); });
  CHECK(done(work()));
  other.join();
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  spec.delay_ms = 30;
  spec.backoff.kind = HF_BACKOFF_FIXED;
  spec.backoff.base_ms = 100;
  spec.backoff.jitter = HF_JITTER_NONE;
  hf_job_id id = 0;
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(hf_enqueue(engine, &spec, &id) == HF_OK);  // on this thread; the one that sleeps has to learn of the delay
  CHECK(done(work()));
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(29));
  CHECK(get(id).state == HF_STATE_PENDING);
  CHECK(done(work()));
  CHECK(get(id).state == HF_STATE_COMPLETED);
  CHECK(get(id).attempts == 2);
}

TEST_CASE_FIXTURE(WorkFixture, "hf_work: beside the library's threads it takes what they have no thread for") {
  reopen(1);
  Signal holds, release;
  on("slow", [&](hf_job*) {
    holds.set();
    release.wait();
    return HF_OK;
  });
  std::atomic<bool> here{false};
  const auto me = std::this_thread::get_id();
  on("quick", [&](hf_job*) {
    here = std::this_thread::get_id() == me;
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  add("slow");
  holds.wait();
  const hf_job_id id = add("quick");
  CHECK(done(work()));
  CHECK(here);
  CHECK(get(id).state == HF_STATE_COMPLETED);
  release.set();
  close();
}

TEST_CASE_FIXTURE(WorkFixture, "hf_work: several threads, each job once") {
  constexpr int kJobs = 300;
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) { return ++runs, HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kJobs / 3; ++i) {
        hf_job_spec spec = HF_JOB_SPEC_INIT;
        spec.type = "x";
        CHECK(hf_enqueue(engine, &spec, nullptr) == HF_OK);
        CHECK(done(work()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(runs == kJobs);
  hf_stats_info stats = HF_STATS_INFO_INIT;
  do REQUIRE(hf_stats(engine, &stats) == HF_OK);  // an end may be on its way: another thread was at work
  while (stats.completed < kJobs);
  CHECK(stats.completed == kJobs);
  CHECK(stats.completed_total == kJobs);
  CHECK(stats.running == 0);
}

TEST_CASE_FIXTURE(WorkFixture, "runs that begin together may wait for each other, with as many threads") {
  reopen(3);
  std::barrier together(3);
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) {
    together.arrive_and_wait();
    return ++runs, HF_OK;
  });
  for (int round = 0; round < 5; ++round) {
    hf_job_spec specs[3] = {HF_JOB_SPEC_INIT, HF_JOB_SPEC_INIT, HF_JOB_SPEC_INIT};
    for (hf_job_spec& spec : specs) spec.type = "x";
    hf_job_id ids[3] = {};
    REQUIRE(hf_enqueue_many(engine, specs, 3, ids) == HF_OK);
    if (round == 0) REQUIRE(hf_start(engine) == HF_OK);
    for (const hf_job_id id : ids) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  }
  close();
  CHECK(runs == 15);
}

TEST_CASE_FIXTURE(WorkFixture, "hf_work: where and how it may not be called") {
  int in_handler = HF_OK, in_callback = HF_OK;
  on("x", [&](hf_job*) { return in_handler = work(0), HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  add("x");
  CHECK(done(work()));
  CHECK(in_handler == HF_E_THREAD);
  struct Call {
    WorkFixture* fixture;
    int* code;
    Signal called;
  } call{this, &in_callback, {}};
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "y";
  REQUIRE(hf_enqueue_async(engine, &spec, [](int, hf_job_id, void* user) {
    auto* c = static_cast<Call*>(user);
    *c->code = c->fixture->work(0);
    c->called.set();
  }, &call) == HF_OK);
  call.called.wait();
  CHECK(in_callback == HF_E_THREAD);
  CHECK(work(-1) == HF_E_INVALID);
  CHECK(work(HF_WORK_MAX_MS + 1) == HF_E_INVALID);
  CHECK(std::string(hf_errmsg(engine)) == "timeout_ms is 86400001; allowed is 0 to 1 d (HF_WORK_MAX_MS)");
  CHECK(hf_work_fd(engine, nullptr) == HF_E_INVALID);
  CHECK(hf_work(nullptr, 0) == HF_E_STATE);
}

TEST_CASE_FIXTURE(WorkFixture, "hf_work_fd: readable while a run waits, and only then") {
  on("x", [](hf_job*) { return HF_OK; });
  CHECK_FALSE(readable(0));
  REQUIRE(hf_start(engine) == HF_OK);
  for (int round = 0; round < 3; ++round) {
    add("x");
    add("x");
    for (int i = 0; i < 2; ++i) {
      CHECK(readable(60000));
      CHECK(done(work(0)));
    }
    CHECK_FALSE(readable(0));
  }
}

TEST_CASE_FIXTURE(WorkFixture, "hf_work: a batch is one call, and a run may be finished later") {
  size_t batch = 0;
  hf_handler_options options = HF_HANDLER_OPTIONS_INIT;
  options.batch_max_jobs = 10;
  REQUIRE(hf_register_batch(engine, "many", [](hf_job* const*, size_t n, void* user) { return *static_cast<size_t*>(user) = n, int{HF_OK}; }, &batch, &options) == HF_OK);
  hf_job* kept = nullptr;
  on("later", [&](hf_job* job) { return kept = job, HF_ASYNC; });
  std::vector<hf_job_id> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(add("many"));
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(done(work()));
  CHECK(batch == 3);
  for (const hf_job_id id : ids) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  const hf_job_id later = add("later");
  CHECK(done(work()));
  CHECK(get(later).state == HF_STATE_RUNNING);
  REQUIRE(kept != nullptr);
  CHECK(hf_job_finish(kept, HF_OK) == HF_OK);
  CHECK(wait_final(later).state == HF_STATE_COMPLETED);
}

TEST_CASE_FIXTURE(WorkFixture, "hf_stop hands back at once what waits for hf_work, and it runs after the next hf_start") {
  int runs = 0;
  on("x", [&](hf_job*) { return ++runs, HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("x");
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(hf_stop(engine, 600'000) == HF_OK);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::minutes(1));
  CHECK(get(id).state == HF_STATE_PENDING);
  CHECK(get(id).attempts == 0);
  CHECK(work(0) == HF_E_TIMEOUT);
  CHECK(runs == 0);
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(done(work()));
  CHECK(get(id).attempts == 1);
  CHECK(get(id).state == HF_STATE_COMPLETED);
}

TEST_CASE_FIXTURE(WorkFixture, "jobs whose time is over while they wait for hf_work are not kept twice, and lose no attempt") {
  close();
  Count handed_back;
  hf_options options = HF_OPTIONS_INIT;
  options.workers = HF_NO_WORKERS;
  options.log_user = &handed_back;
  options.log = [](int, const char* line, void* user) {
    if (std::strncmp(line, "job_handed_back", 15) == 0) static_cast<Count*>(user)->add();
  };
  open(&options);
  int runs = 0;
  size_t batch = 0;
  hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
  handler.timeout_ms = 100;
  handler.max_attempts = 1;
  on("x", [&](hf_job*) { return ++runs, HF_OK; }, &handler);
  handler.batch_max_jobs = 3;
  REQUIRE(hf_register_batch(engine, "many", [](hf_job* const*, size_t n, void* user) { return *static_cast<size_t*>(user) += n, int{HF_OK}; }, &batch, &handler) == HF_OK);
  const hf_job_id id = add("x");
  std::vector<hf_job_id> ids = {add("many"), add("many"), add("many")};
  REQUIRE(hf_start(engine) == HF_OK);
  handed_back.wait(12);  // each three times
  // One call for each of both, and nothing of what is over.
  while (runs == 0 || batch < 3) CHECK(done(work()));
  CHECK(runs == 1);
  CHECK(batch == 3);
  CHECK(wait_final(id).attempts == 1);
  for (const hf_job_id one : ids) CHECK(wait_final(one).attempts == 1);
  CHECK(work(0) == HF_E_TIMEOUT);
  close();
}

TEST_CASE_FIXTURE(WorkFixture, "hf_close lets go of a thread in hf_work, and gives back what waits for one") {
  int runs = 0;
  on("x", [&](hf_job*) { return ++runs, HF_OK; });
  on("now", [&](hf_job*) { return HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  Signal works;
  int code = HF_OK;
  std::thread other([&] {
    works.set();
    code = work();
  });
  works.wait();
  CHECK(hf_close(engine) == HF_OK);
  other.join();
  CHECK(code == HF_E_STATE);
  ApiFixture::open();
  reopen(HF_NO_WORKERS);
  on("x", [&](hf_job*) { return ++runs, HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("x");
  reopen(HF_NO_WORKERS);
  CHECK(runs == 0);
  CHECK(get(id).state == HF_STATE_PENDING);
  CHECK(get(id).attempts == 0);
}

TEST_CASE_FIXTURE(ApiFixture, "a call out of the log function is refused, also when the engine logs on the caller's thread") {
  close();
  struct Log {
    std::atomic<hf_engine*> engine{nullptr};
    std::atomic<int> calls{0}, refused{0};
  } log;
  hf_options options = HF_OPTIONS_INIT;
  options.device = "gw";
  options.log_user = &log;
  options.log = [](int, const char*, void* user) {
    auto* l = static_cast<Log*>(user);
    hf_stats_info stats = HF_STATS_INFO_INIT;
    hf_engine* open = l->engine;
    if (open == nullptr) return;
    ++l->calls;
    if (hf_stats(open, &stats) == HF_E_THREAD) ++l->refused;
  };
  open(&options);
  log.engine = engine;
  on("x", [](hf_job*) { return HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("x");
  wait_final(id);
  log.engine = nullptr;
  CHECK(log.calls > 0);
  close();
  CHECK(log.refused == log.calls);
}

// What the header promises of stacks; sanitizers take several times as much.
TEST_CASE_FIXTURE(ApiFixture, "a thread with a small stack may call what waits for the disk") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr size_t kStack = 1 << 20;
#else
  const size_t kStack = std::max<size_t>(64 * 1024, PTHREAD_STACK_MIN);  // which arm64 says is 128 KiB
#endif
  on("x", [](hf_job* job) { return hf_job_attempt(job) < 3 ? int{HF_RETRY} : int{HF_OK}; });
  REQUIRE(hf_start(engine) == HF_OK);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, kStack) == 0);
  pthread_t thread;
  const auto body = [](void* self) -> void* {
    auto* fixture = static_cast<ApiFixture*>(self);
    for (int i = 0; i < 200; ++i) {
      hf_job_spec spec = HF_JOB_SPEC_INIT;
      spec.type = i % 2 == 0 ? "x" : "nobody";
      spec.payload = "payload";
      spec.payload_len = 7;
      const std::string key = "key" + std::to_string(i % 50);
      spec.unique_key = key.c_str();
      spec.on_conflict = HF_CONFLICT_REPLACE;
      spec.backoff.base_ms = 1;
      hf_job_id id = 0;
      CHECK(hf_enqueue(fixture->engine, &spec, &id) == HF_OK);
      hf_job_info info = HF_JOB_INFO_INIT;
      CHECK(hf_get(fixture->engine, id, &info) == HF_OK);
      hf_job_info_free(&info);
      if (i % 5 == 0) (void)hf_cancel(fixture->engine, id);
    }
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, body, this) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}
