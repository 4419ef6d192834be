// Answers that arrive later: hf_enqueue_async's callbacks, and runs that are finished by another thread.
#include <atomic>
#include <thread>
#include <vector>

#include "api_fixture.h"

using namespace hf::test;

namespace {

// Keeps the handle of a run that goes on after its handler returned.
class AsyncRuns : public ApiFixture {
 public:
  hf_job* hold(hf_job_id* id = nullptr) {
    on("later", [this](hf_job* job) {
      held = job;
      running.set();
      return HF_ASYNC;
    });
    REQUIRE(hf_start(engine) == HF_OK);
    hf_job_id added = add("later", std::string("a\0b", 3));
    if (id != nullptr) *id = added;
    running.wait();
    return held;
  }
  std::atomic<hf_job*> held{nullptr};
  Signal running;
};

}  // namespace

TEST_CASE_FIXTURE(ApiFixture, "hf_enqueue_async calls back exactly once a job, also over hf_close") {
  struct Answers { std::atomic<int> taken{0}, refused{0}; } answers;
  std::atomic<int> handed{0}, other{0};
  std::vector<std::thread> threads;
  Count going;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      hf_job_spec spec = HF_JOB_SPEC_INIT;
      spec.type = "x";
      for (int n = 0;; ++n) {
        int code = hf_enqueue_async(engine, &spec, [](int result, hf_job_id id, void* user) {
          auto* a = static_cast<Answers*>(user);
          (result == HF_OK) == (id > 0) && result == HF_OK ? ++a->taken : ++a->refused;
        }, &answers);
        if (code == HF_E_STATE) return;
        code == HF_OK ? ++handed : ++other;
        if (code == HF_E_BUSY) std::this_thread::yield();
        if (n == 20) going.add();
      }
    });
  }
  going.wait(4);
  CHECK(hf_close(engine) == HF_OK);
  int at_close = answers.taken + answers.refused;
  for (std::thread& t : threads) t.join();
  CHECK(at_close == handed);  // none comes after hf_close has returned
  CHECK(answers.refused == 0);
  open();
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == answers.taken);
}

TEST_CASE_FIXTURE(ApiFixture, "hf_enqueue_async from what ends last of a thread, after what the library kept for it") {
  static Count taken;  // the callbacks'
  struct EnqueuesLast {
    hf_engine* engine = nullptr;
    int enqueue() const {
      hf_job_spec spec = HF_JOB_SPEC_INIT;
      spec.type = "x";
      return hf_enqueue_async(engine, &spec, [](int code, hf_job_id id, void*) { if (code == HF_OK && id > 0) taken.add(); }, nullptr);
    }
    ~EnqueuesLast() { CHECK(enqueue() == HF_OK); }
  };
  for (int round = 0; round < 3; ++round) {
    std::thread([&] {
      thread_local EnqueuesLast last;  // made first, so that it ends last
      last.engine = engine;
      CHECK(last.enqueue() == HF_OK);
      taken.wait(round * 3 + 1);
      CHECK(last.enqueue() == HF_OK);
    }).join();
    taken.wait(round * 3 + 3);
  }
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == 9);
}

TEST_CASE_FIXTURE(ApiFixture, "a job that is not allowed is told by the callback, or by the call itself") {
  struct Answer { std::atomic<int> code{1}; Signal signal; } seen;
  auto done = [](int code, hf_job_id id, void* user) {
    auto* s = static_cast<Answer*>(user);
    CHECK(id == 0);
    s->code = code;
    s->signal.set();
  };
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  spec.priority = HF_PRIORITY_MAX + 1;
  int code = hf_enqueue_async(engine, &spec, done, &seen);
  if (code == HF_OK) {
    seen.signal.wait();
    code = seen.code;
  }
  CHECK(code == HF_E_INVALID);
  spec.type = nullptr;
  CHECK(hf_enqueue_async(engine, &spec, done, &seen) == HF_E_INVALID);
}

TEST_CASE_FIXTURE(AsyncRuns, "a run that is never finished does not hold up hf_close, and comes back") {
  hf_job_id id = 0;
  hf_job* job = hold(&id);
  close();
  CHECK(hf_job_canceled(job) == 1);  // the handle lives until it is finished
  size_t len = 0;
  const void* payload = hf_job_payload(job, &len);
  CHECK(bytes(payload, len) == std::string("a\0b", 3));
  CHECK(hf_job_result(job, "x", 1) == HF_OK);
  CHECK(hf_job_progress(job, 5, nullptr) == HF_E_STATE);
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  CHECK(hf_job_enqueue(job, &spec, nullptr) == HF_E_STATE);
  CHECK(hf_job_finish(job, HF_OK) == HF_E_STALE);
  open();
  Seen seen = get(id);
  CHECK(seen.state == HF_STATE_PENDING);
  CHECK(seen.attempts == 0);  // handed back by hf_close
}

TEST_CASE_FIXTURE(AsyncRuns, "a run finished after hf_stop handed it back is stale") {
  hf_job_id id = 0;
  hf_job* job = hold(&id);
  REQUIRE(hf_stop(engine, 0) == HF_OK);
  CHECK(hf_job_canceled(job) == 1);
  hf_job_result(job, "late", 4);
  hf_job_finish(job, HF_OK);  // HF_E_STALE here or, if it is on its way, in the engine: it does not count
  Seen seen = get(id);
  CHECK(seen.state == HF_STATE_PENDING);
  CHECK(seen.result.empty());
}

TEST_CASE_FIXTURE(ApiFixture, "a run may be finished before its handler returns") {
  std::atomic<int> again{0};
  on("x", [&](hf_job* job) {
    hf_job_result(job, "early", 5);
    std::thread other([&] { CHECK(hf_job_finish(job, HF_OK) == HF_OK); });
    other.join();
    return HF_ASYNC;
  });
  on("y", [&](hf_job* job) {
    CHECK(hf_job_finish(job, HF_DEAD) == HF_OK);
    ++again;
    return HF_OK;  // has been said already: this is not looked at
  });
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(wait_final(add("x")).result == "early");
  CHECK(wait_final(add("y")).state == HF_STATE_DEAD);
  close();
  CHECK(again == 1);
}

TEST_CASE_FIXTURE(ApiFixture, "runs that end on other threads, many at once, each once") {
  std::atomic<int> ends{0};
  std::mutex mutex;
  std::vector<hf_job*> waiting;
  std::atomic<bool> over{false};
  std::vector<std::thread> finishers;
  for (int t = 0; t < 3; ++t) {
    finishers.emplace_back([&] {
      while (!over) {
        hf_job* job = nullptr;
        {
          std::lock_guard lock(mutex);
          if (!waiting.empty()) {
            job = waiting.back();
            waiting.pop_back();
          }
        }
        if (job == nullptr) {
          std::this_thread::yield();
        } else if (hf_job_finish(job, HF_OK) == HF_OK) {
          ++ends;
        }
      }
    });
  }
  on("x", [&](hf_job* job) {
    std::lock_guard lock(mutex);
    waiting.push_back(job);
    return HF_ASYNC;
  });
  REQUIRE(hf_start(engine) == HF_OK);
  std::vector<hf_job_id> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(add("x"));
  for (hf_job_id id : ids) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  over = true;
  for (std::thread& t : finishers) t.join();
  CHECK(ends == 100);
}

TEST_CASE_FIXTURE(AsyncRuns, "hf_close while another thread adds jobs to a run of its own") {
  hf_job* job = hold();
  Signal going;
  std::atomic<int> other{0};
  std::thread adder([&] {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = "child";
    int code = HF_OK;
    for (int i = 0; code != HF_E_STATE && code != HF_E_FULL; ++i) {
      code = hf_job_enqueue(job, &spec, nullptr);
      if (code != HF_OK && code != HF_E_STATE && code != HF_E_FULL) ++other;
      if (i == 3) going.set();
    }
    // A run that was full before the engine closed may still end well; after that it is over.
    int finished = hf_job_finish(job, HF_OK);
    CHECK((finished == HF_E_STALE || (code == HF_E_FULL && finished == HF_OK)));
  });
  going.wait();
  close();
  adder.join();
  CHECK(other == 0);
}

TEST_CASE_FIXTURE(AsyncRuns, "an outcome that is none, and finishing with HF_ASYNC") {
  hf_job_id id = 0;
  hf_job* job = hold(&id);
  CHECK(hf_job_finish(job, HF_ASYNC) == HF_E_INVALID);  // the run goes on
  CHECK(get(id).state == HF_STATE_RUNNING);
  hf_job_retry_after(job, 3600000);
  CHECK(hf_job_finish(job, 4711) == HF_OK);  // counts as HF_RETRY
  Seen seen = get(id);
  CHECK(seen.state == HF_STATE_PENDING);
  CHECK(seen.attempts == 1);
}
