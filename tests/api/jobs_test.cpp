// Jobs through the C API: enqueue, run, read back, on real threads.
#include "api_fixture.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace hf::test;

TEST_CASE_FIXTURE(ApiFixture, "a job is enqueued, run and read back") {
  on("greet", [](hf_job* job) {
    size_t len;
    const void* payload = hf_job_payload(job, &len);
    std::string text = "hello " + bytes(payload, len);
    hf_job_result(job, text.data(), text.size());
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  Seen seen = wait_final(add("greet", "world"));
  CHECK(seen.state == HF_STATE_COMPLETED);
  CHECK(seen.result == "hello world");
  CHECK(seen.payload == "world");
}

TEST_CASE_FIXTURE(ApiFixture, "without hf_start a job can be enqueued and read, and does not run") {
  hf_job_id id = add("x", "p");
  CHECK(get(id).state == HF_STATE_PENDING);
  close();
  open();
  CHECK(get(id).payload == "p");
}

TEST_CASE_FIXTURE(ApiFixture, "the key is the same on every attempt") {
  std::vector<std::string> keys;
  on("x", [&](hf_job* job) {
    keys.push_back(hf_job_key(job));
    hf_job_retry_after(job, 0);
    return hf_job_attempt(job) < 3 ? int{HF_RETRY} : int{HF_OK};
  });
  REQUIRE(hf_start(engine) == HF_OK);
  Seen seen = wait_final(add("x"));
  CHECK(seen.attempts == 3);
  REQUIRE(keys.size() == 3);
  CHECK(keys[0] == keys[1]);
  CHECK(keys[1] == keys[2]);
  CHECK(keys[0] == seen.key);
  CHECK(keys[0].rfind("gw-", 0) == 0);
}

TEST_CASE_FIXTURE(ApiFixture, "a permanent failure is a dead letter with its error") {
  on("x", [](hf_job* job) {
    hf_job_error(job, "no such sensor");
    return HF_DEAD;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  Seen seen = wait_final(add("x"));
  CHECK(seen.state == HF_STATE_DEAD);
  CHECK(seen.error == "no such sensor");
  CHECK(seen.attempts == 1);
}

TEST_CASE_FIXTURE(ApiFixture, "a run may be finished later, by another thread") {
  std::vector<std::thread> threads;
  on("x", [&](hf_job* job) {
    threads.emplace_back([job] {
      hf_job_result(job, "later", 5);
      hf_job_finish(job, HF_OK);
    });
    return HF_ASYNC;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(wait_final(add("x")).result == "later");
  close();  // the handler has returned
  for (std::thread& t : threads) t.join();
}

TEST_CASE_FIXTURE(ApiFixture, "jobs of a job come in with its success, and only then") {
  std::atomic<hf_job_id> child{0}, lost{0};
  on("parent", [&](hf_job* job) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = "child";
    hf_job_id id = 0;
    CHECK(hf_job_enqueue(job, &spec, &id) == HF_OK);
    hf_job_retry_after(job, 0);
    if (hf_job_attempt(job) == 1) {
      lost = id;
      return int{HF_RETRY};
    }
    child = id;
    return int{HF_OK};
  });
  on("child", [](hf_job*) { return HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  wait_final(add("parent"));
  CHECK(wait_final(child).state == HF_STATE_COMPLETED);
  hf_job_info info = HF_JOB_INFO_INIT;
  CHECK(hf_get(engine, lost, &info) == HF_E_NOT_FOUND);
}

TEST_CASE_FIXTURE(ApiFixture, "hf_stop hands a running job back with no attempt spent") {
  Signal running, release;
  on("slow", [&](hf_job* job) {
    running.set();
    while (!hf_job_canceled(job)) std::this_thread::yield();
    release.wait();
    return HF_OK;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("slow");
  running.wait();
  CHECK(hf_stop(engine, 0) == HF_OK);
  Seen seen = get(id);
  CHECK(seen.state == HF_STATE_PENDING);
  CHECK(seen.attempts == 0);
  release.set();
  close();  // waits for the handler, which uses what lives here
}

TEST_CASE_FIXTURE(ApiFixture, "a cancelled job's handler is told, and the job ends cancelled") {
  Signal running;
  on("slow", [&](hf_job* job) {
    running.set();
    while (!hf_job_canceled(job)) std::this_thread::yield();
    return HF_RETRY;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  hf_job_id id = add("slow");
  running.wait();
  CHECK(hf_cancel(engine, id) == HF_OK);
  CHECK(wait_final(id).state == HF_STATE_CANCELLED);
  close();
}

TEST_CASE_FIXTURE(ApiFixture, "a handler that outlives its timeout has failed, and its late result is refused") {
  Signal late;
  std::atomic<int> finish_code{0};
  hf_handler_options opts = HF_HANDLER_OPTIONS_INIT;
  opts.timeout_ms = 20;
  opts.max_attempts = 1;
  on("stuck", [&](hf_job* job) {
    while (!hf_job_canceled(job)) std::this_thread::yield();
    late.wait();
    finish_code = hf_job_finish(job, HF_OK);
    return HF_ASYNC;
  }, &opts);
  REQUIRE(hf_start(engine) == HF_OK);
  Seen seen = wait_final(add("stuck"));
  CHECK(seen.state == HF_STATE_DEAD);
  CHECK(seen.error.find("timed out after 20ms") != std::string::npos);
  late.set();
  close();
  CHECK(finish_code == HF_E_STALE);
}

TEST_CASE_FIXTURE(ApiFixture, "hf_enqueue_async calls back once a job, with its id") {
  struct Answer { std::atomic<int> calls{0}; std::atomic<hf_job_id> id{0}; Signal signal; } seen;
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  REQUIRE(hf_enqueue_async(engine, &spec, [](int code, hf_job_id id, void* user) {
            auto* s = static_cast<Answer*>(user);
            CHECK(code == HF_OK);
            s->id = id;
            ++s->calls;
            s->signal.set();
          }, &seen) == HF_OK);
  seen.signal.wait();
  CHECK(get(seen.id).state == HF_STATE_PENDING);
  close();
  CHECK(seen.calls == 1);
}

TEST_CASE_FIXTURE(ApiFixture, "many threads enqueue at once and every job runs exactly once") {
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) { return ++runs, HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  std::mutex mutex;
  std::vector<hf_job_id> ids;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        hf_job_id id = add("x");
        std::lock_guard lock(mutex);
        ids.push_back(id);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (hf_job_id id : ids) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  CHECK(runs == 200);
}

TEST_CASE_FIXTURE(ApiFixture, "hf_list pages newest first") {
  std::vector<hf_job_id> added, listed;
  for (int i = 0; i < 5; ++i) added.push_back(add("x"));
  hf_list_query query = HF_LIST_QUERY_INIT;
  query.limit = 2;
  hf_job_id next = 0;
  do {
    query.after = next;
    REQUIRE(hf_list(engine, &query, [](const hf_job_info* info, void* user) {
              static_cast<std::vector<hf_job_id>*>(user)->push_back(info->id);
              return 0;
            }, &listed, &next) == HF_OK);
  } while (next != 0);
  CHECK(listed == std::vector<hf_job_id>(added.rbegin(), added.rend()));
}

TEST_CASE_FIXTURE(ApiFixture, "a schedule of every second makes a job that knows its time") {
  Signal fired;
  std::atomic<int64_t> occurrence{0};
  on("tick", [&](hf_job* job) {
    occurrence = hf_job_occurrence(job);
    fired.set();
    return HF_OK;
  });
  hf_schedule_spec schedule = HF_SCHEDULE_SPEC_INIT;
  schedule.name = "s";
  schedule.cron = "@every 1s";
  schedule.job.type = "tick";
  REQUIRE(hf_schedule_put(engine, &schedule) == HF_OK);
  REQUIRE(hf_start(engine) == HF_OK);
  int64_t wake = -1;
  CHECK(hf_next_wake(engine, &wake) == HF_OK);
  CHECK(wake > 0);
  fired.wait();
  CHECK(occurrence > 1700000000000);
}

TEST_CASE_FIXTURE(ApiFixture, "a checkpoint is there for the next attempt, also of another process; its limits are told") {
  auto left = [](hf_job* job) {
    size_t len = 99;
    const void* data = hf_job_last_checkpoint(job, &len);
    CHECK((data == nullptr) == (len == 0));
    return bytes(data != nullptr ? data : "", len);
  };
  on("count", [&](hf_job* job) {
    const std::string before = left(job);
    if (hf_job_attempt(job) == 1) {
      CHECK(before == "");
      CHECK(hf_job_checkpoint(job, "one", 3) == HF_OK);
      CHECK(left(job) == "one");
      const std::string most(HF_CHECKPOINT_MAX, 'm');
      CHECK(hf_job_checkpoint(job, (most + "m").data(), most.size() + 1) == HF_E_TOO_LARGE);
      CHECK(std::string(hf_errmsg(nullptr)) == "the checkpoint has 2049 bytes; the limit is 2048 (HF_CHECKPOINT_MAX)");
      CHECK(hf_job_checkpoint(job, most.data(), most.size()) == HF_OK);
      CHECK(hf_job_checkpoint(job, nullptr, 1) == HF_E_INVALID);
      CHECK(hf_job_checkpoint(job, "a\0b", 3) == HF_OK);
      CHECK(hf_job_heartbeat(job) == HF_OK);
      hf_job_retry_after(job, 0);
      return int{HF_RETRY};
    }
    hf_job_result(job, before.data(), before.size());
    return int{HF_OK};
  });
  const hf_job_id id = add("count");
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(wait_final(id).result == std::string("a\0b", 3));
  CHECK(hf_job_checkpoint(nullptr, "", 0) == HF_E_INVALID);
  CHECK(hf_job_heartbeat(nullptr) == HF_E_INVALID);
  size_t len = 99;
  CHECK(hf_job_last_checkpoint(nullptr, &len) == nullptr);
  CHECK(len == 0);
}

TEST_CASE_FIXTURE(ApiFixture, "a C handler that is silent is ended, one that gives signs of life is not") {
  hf_handler_options opts = HF_HANDLER_OPTIONS_INIT;
  opts.heartbeat_ms = 2000;
  opts.max_attempts = 1;
  on("silent", [&](hf_job* job) {
    while (hf_job_canceled(job) == 0) std::this_thread::yield();
    return int{HF_OK};
  }, &opts);
  on("lively", [&](hf_job* job) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(3000);
    while (std::chrono::steady_clock::now() < end) {
      if (hf_job_checkpoint(job, "still here", 10) != HF_OK) return int{HF_DEAD};  // each waits for a turn of the engine
    }
    return int{HF_OK};
  }, &opts);
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id silent = add("silent"), lively = add("lively");
  CHECK(wait_final(lively).state == HF_STATE_COMPLETED);
  const Seen seen = wait_final(silent);
  CHECK(seen.state == HF_STATE_DEAD);
  CHECK(seen.error == "no sign of life for 2s (heartbeat) (attempt 1 of 1)");
  opts.timeout_ms = 2000;
  CHECK(hf_register(engine, "bad", [](hf_job*, void*) { return int{HF_OK}; }, nullptr, &opts) == HF_E_INVALID);
  CHECK(std::string(hf_errmsg(engine)) == "heartbeat is 2s and timeout 2s; heartbeat has to be shorter");
}
