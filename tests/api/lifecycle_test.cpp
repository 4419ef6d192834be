// Opening, starting, stopping and closing, while other threads are at work.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "api_fixture.h"

using namespace hf::test;

namespace {

int try_add(hf_engine* engine, const char* type = "x") {
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = type;
  return hf_enqueue(engine, &spec, nullptr);
}

int64_t pending(hf_engine* engine) {
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  return stats.pending;
}

std::chrono::milliseconds took(const std::function<void()>& call) {
  auto from = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - from);
}

}  // namespace

TEST_CASE_FIXTURE(ApiFixture, "hf_close while others enqueue: taken or refused, and what was taken is there") {
  std::atomic<int> taken{0}, other{0};
  std::vector<std::thread> threads;
  Count going;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int n = 0;; ++n) {
        int code = try_add(engine);
        if (code == HF_E_STATE) return;
        code == HF_OK ? ++taken : ++other;
        if (n == 5) going.add();
      }
    });
  }
  going.wait(4);
  CHECK(hf_close(engine) == HF_OK);
  for (std::thread& t : threads) t.join();
  CHECK(other == 0);
  open();
  CHECK(pending(engine) == taken);
}

TEST_CASE_FIXTURE(ApiFixture, "hf_close while others ask for anything: an answer or HF_E_STATE") {
  hf_job_id id = add("x");
  std::atomic<int> other{0};
  std::vector<std::thread> threads;
  Count going;
  auto repeat = [&](std::function<int()> call) {
    threads.emplace_back([&, call = std::move(call)] {
      for (int n = 0;; ++n) {
        int code = call();
        if (code == HF_E_STATE) return;
        if (code != HF_OK) ++other;
        if (n == 5) going.add();
      }
    });
  };
  repeat([&] {
    hf_job_info info = HF_JOB_INFO_INIT;
    int code = hf_get(engine, id, &info);
    hf_job_info_free(&info);
    return code;
  });
  repeat([&] {
    int64_t wake;
    return hf_next_wake(engine, &wake);
  });
  repeat([&] { return hf_list(engine, nullptr, [](const hf_job_info*, void*) { return 0; }, nullptr, nullptr); });
  repeat([&] { return hf_register(engine, "y", [](hf_job*, void*) { return int{HF_OK}; }, nullptr, nullptr); });
  going.wait(4);
  CHECK(hf_close(engine) == HF_OK);
  for (std::thread& t : threads) t.join();
  CHECK(other == 0);
  engine = nullptr;
}

TEST_CASE_FIXTURE(ApiFixture, "two threads close: one of them does it") {
  std::atomic<int> done{0}, refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] { hf_close(engine) == HF_OK ? ++done : ++refused; });
  }
  for (std::thread& t : threads) t.join();
  CHECK(done == 1);
  CHECK(refused == 3);
  engine = nullptr;
}

TEST_CASE_FIXTURE(ApiFixture, "stop and start, again and again, and every job is done") {
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) { return ++runs, HF_OK; });
  std::vector<hf_job_id> ids;
  for (int i = 0; i < 20; ++i) {
    REQUIRE(hf_start(engine) == HF_OK);
    for (int k = 0; k < 5; ++k) ids.push_back(add("x"));
    REQUIRE(hf_stop(engine, i % 2 == 0 ? 0 : 1000) == HF_OK);
  }
  REQUIRE(hf_start(engine) == HF_OK);
  for (hf_job_id id : ids) {
    Seen seen = wait_final(id);
    CHECK(seen.state == HF_STATE_COMPLETED);
    CHECK(seen.attempts == 1);  // what was handed back spent none
  }
}

TEST_CASE_FIXTURE(ApiFixture, "hf_stop with time to spare waits for the run, whose result counts") {
  Signal running, release;
  on("x", [&](hf_job* job) {
    running.set();
    release.wait();
    hf_job_result(job, "kept", 4);
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("x");
  running.wait();
  std::thread stopper([&] { CHECK(hf_stop(engine, 60000) == HF_OK); });
  release.set();
  stopper.join();
  CHECK(get(id).result == "kept");
}

TEST_CASE_FIXTURE(ApiFixture, "hf_close does not wait for the grace of a hf_stop on another thread") {
  Signal running;
  on("x", [&](hf_job* job) {
    running.set();
    while (!hf_job_canceled(job)) std::this_thread::yield();
    return HF_RETRY;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("x");
  running.wait();
  Signal stopping;
  std::thread stopper([&, handle = engine] {
    stopping.set();
    hf_stop(handle, 3600000);
  });
  stopping.wait();
  for (int i = 0; i < 20; ++i) get(id);  // lets it get into its waiting; the other order is allowed too
  CHECK(took([&] { close(); }) < std::chrono::seconds(30));
  stopper.join();
  open();
  CHECK(get(id).attempts == 0);
}

TEST_CASE_FIXTURE(ApiFixture, "what waits for a thread when the engine stops is handed back and not run") {
  reopen_with_one_worker();
  Signal running;
  std::atomic<int> runs{0};
  on("x", [&](hf_job* job) {
    ++runs;
    running.set();
    while (!hf_job_canceled(job)) std::this_thread::yield();
    return HF_RETRY;
  });
  std::vector<hf_job_id> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(add("x"));
  REQUIRE(hf_start(engine) == HF_OK);
  running.wait();
  REQUIRE(hf_stop(engine, 0) == HF_OK);
  for (hf_job_id id : ids) {
    CHECK(get(id).state == HF_STATE_PENDING);
    CHECK(get(id).attempts == 0);
  }
  close();
  CHECK(runs == 1);
}

TEST_CASE_FIXTURE(ApiFixture, "time spent waiting for a thread is no failed attempt") {
  close();
  Count handed_back;
  hf_options options = HF_OPTIONS_INIT;
  options.workers = 1;
  options.log_user = &handed_back;
  options.log = [](int, const char* line, void* user) {
    if (std::strncmp(line, "job_handed_back", 15) == 0) static_cast<Count*>(user)->add();
  };
  open(&options);
  Signal running, release;
  hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
  handler.timeout_ms = 30;
  handler.max_attempts = 1;
  on("fast", [&](hf_job*) { return HF_OK; }, &handler);
  on("slow", [&](hf_job*) {
    running.set();
    release.wait();
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  add("slow");
  running.wait();
  hf_job_id waits = add("fast");
  handed_back.wait(3);  // claimed, handed back at its timeout, claimed again, ...
  release.set();
  Seen seen = wait_final(waits);
  CHECK(seen.state == HF_STATE_COMPLETED);
  CHECK(seen.attempts == 1);
  close();
}

TEST_CASE_FIXTURE(ApiFixture, "a late result of a run that hf_stop handed back does not end the next run") {
  Signal first_runs, release_first, second_runs, release_second;
  std::atomic<int> runs{0};
  on("x", [&](hf_job* job) {
    bool first = ++runs == 1;
    (first ? first_runs : second_runs).set();
    (first ? release_first : release_second).wait();
    hf_job_result(job, first ? "late" : "good", 4);
    if (first) {
      CHECK(hf_job_finish(job, HF_OK) == HF_E_STALE);
      return int{HF_ASYNC};
    }
    return int{HF_OK};
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("x");
  first_runs.wait();
  REQUIRE(hf_stop(engine, 0) == HF_OK);
  REQUIRE(hf_start(engine) == HF_OK);
  second_runs.wait();
  release_first.set();
  for (int i = 0; i < 20; ++i) CHECK(get(id).state == HF_STATE_RUNNING);
  release_second.set();
  CHECK(wait_final(id).result == "good");
}

TEST_CASE_FIXTURE(ApiFixture, "a handler replaced while it runs ends its run; the next run is the new one's") {
  Signal running, release;
  on("x", [&](hf_job* job) {
    running.set();
    release.wait();
    hf_job_result(job, "old", 3);
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id first = add("x");
  running.wait();
  std::function<int(hf_job*)> next = [](hf_job* job) {
    hf_job_result(job, "new", 3);
    return int{HF_OK};
  };
  REQUIRE(hf_register(engine, "x", [](hf_job* job, void* user) { return (*static_cast<decltype(next)*>(user))(job); }, &next, nullptr) == HF_OK);
  CHECK(wait_final(add("x")).result == "new");
  release.set();
  CHECK(wait_final(first).result == "old");
  close();
}

TEST_CASE("64 engines are open at once, and the 65th is refused") {
  const hf::TempFolder dir;
  std::vector<hf_engine*> engines;
  for (int i = 0; i < HF_ENGINES_MAX; ++i) {
    hf_engine* engine = nullptr;
    REQUIRE(hf_open((dir / std::to_string(i)).c_str(), nullptr, &engine) == HF_OK);
    engines.push_back(engine);
  }
  hf_engine* one_more = nullptr;
  CHECK(hf_open((dir / "64").c_str(), nullptr, &one_more) == HF_E_FULL);
  CHECK(one_more == nullptr);
  CHECK_FALSE(std::filesystem::exists(dir / "64"));
  for (hf_engine* engine : engines) CHECK(try_add(engine) == HF_OK);
  CHECK(hf_close(engines[17]) == HF_OK);
  CHECK(hf_open((dir / "64").c_str(), nullptr, &one_more) == HF_OK);
  CHECK(one_more != engines[17]);
  engines[17] = one_more;
  for (hf_engine* engine : engines) CHECK(hf_close(engine) == HF_OK);
}

TEST_CASE_FIXTURE(ApiFixture, "the log tells one line at a time, without a newline") {
  struct Log {
    std::atomic<int> inside{0}, overlaps{0}, lines{0}, bad{0};
  } log;
  close();
  hf_options options = HF_OPTIONS_INIT;
  options.log_user = &log;
  options.log = [](int level, const char* line, void* user) {
    auto* l = static_cast<Log*>(user);
    if (++l->inside != 1) ++l->overlaps;
    ++l->lines;
    if (level < HF_LOG_ERROR || level > HF_LOG_DEBUG || std::strchr(line, '\n') != nullptr || *line == 0) ++l->bad;
    --l->inside;
  };
  open(&options);
  on("x", [](hf_job* job) {
    hf_job_error(job, "two\nlines");
    return HF_DEAD;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  for (int i = 0; i < 10; ++i) wait_final(add("x"));
  close();
  CHECK(log.lines > 10);
  CHECK(log.overlaps == 0);
  CHECK(log.bad == 0);
}
