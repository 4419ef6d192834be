// hf_register_batch: one call for many jobs, each with an end of its own.
#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "api_fixture.h"

using hf::test::ApiFixture;
using hf::test::bytes;
using hf::test::Count;
using hf::test::Signal;

namespace {

using Jobs = std::vector<hf_job*>;

class BatchFixture : public ApiFixture {
 public:
  static hf_handler_options limits(int max_jobs, int64_t max_wait_ms = 0) {
    hf_handler_options opts = HF_HANDLER_OPTIONS_INIT;
    opts.batch_max_jobs = max_jobs;
    opts.batch_max_wait_ms = max_wait_ms;
    opts.backoff.kind = HF_BACKOFF_FIXED;
    opts.backoff.base_ms = 1;
    opts.backoff.jitter = HF_JITTER_NONE;
    return opts;
  }
  void on_batch(const std::string& type, std::function<int(const Jobs&)> body, const hf_handler_options& opts) {
    batch_bodies[type] = std::move(body);
    int code = hf_register_batch(engine, type.c_str(), [](hf_job* const* jobs, size_t n, void* user) {
      return (*static_cast<std::function<int(const Jobs&)>*>(user))(Jobs(jobs, jobs + n));
    }, &batch_bodies[type], &opts);
    INFO(hf_errmsg(engine));
    REQUIRE(code == HF_OK);
  }
  std::vector<hf_job_id> add_many(const char* type, int n) {
    std::vector<hf_job_spec> specs;
    for (int i = 0; i < n; ++i) {
      hf_job_spec spec = HF_JOB_SPEC_INIT;
      spec.type = type;
      specs.push_back(spec);
    }
    std::vector<hf_job_id> ids(specs.size());
    REQUIRE(hf_enqueue_many(engine, specs.data(), specs.size(), ids.data()) == HF_OK);
    return ids;
  }
  // Keeps the one worker thread, so that what comes meanwhile waits for it.
  void block() {
    on("block", [this](hf_job*) {
      blocked.set();
      go_on.wait();
      return int{HF_OK};
    });
  }

  std::map<std::string, std::function<int(const Jobs&)>> batch_bodies;
  Signal blocked, go_on;
};

int nothing(hf_job* const*, size_t, void*) { return HF_OK; }

}  // namespace

TEST_CASE_FIXTURE(BatchFixture, "many jobs are one call, and each has its payload, its result and its own outcome") {
  std::atomic<int> calls{0};
  on_batch("x", [&](const Jobs& jobs) {
    ++calls;
    for (hf_job* job : jobs) {
      size_t len = 0;
      const void* data = hf_job_payload(job, &len);
      const std::string result = bytes(data, len) + "!";
      CHECK(hf_job_result(job, result.data(), result.size()) == HF_OK);
      CHECK(std::string(hf_job_type(job)) == "x");
      CHECK(std::string(hf_job_key(job)).ends_with("-" + std::to_string(hf_job_get_id(job))));
    }
    CHECK(hf_job_error(jobs[1], "too dark") == HF_OK);
    CHECK(hf_job_finish(jobs[1], HF_DEAD) == HF_OK);
    return int{HF_OK};
  }, limits(3));
  hf_job_id a = add("x", "a"), b = add("x", "b"), c = add("x", "c");
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(wait_final(a).result == "a!");
  CHECK(wait_final(c).result == "c!");
  const Seen dead = wait_final(b);
  CHECK(dead.state == HF_STATE_DEAD);
  CHECK(dead.error == "too dark");
  CHECK(dead.result == "");
  CHECK(calls == 1);
}

TEST_CASE_FIXTURE(BatchFixture, "no more than batch_max_jobs come at once, and what is not full waits for batch_max_wait_ms") {
  std::vector<size_t> sizes;
  on_batch("x", [&](const Jobs& jobs) { return sizes.push_back(jobs.size()), int{HF_OK}; }, [] {
    hf_handler_options opts = limits(4, 300);
    opts.concurrency = 1;
    return opts;
  }());
  const auto ids = add_many("x", 10);
  const auto before = std::chrono::steady_clock::now();
  REQUIRE(hf_start(engine) == HF_OK);
  for (hf_job_id id : ids) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  close();
  CHECK(sizes == std::vector<size_t>{4, 4, 2});
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::minutes(1));
}

TEST_CASE_FIXTURE(BatchFixture, "only those that failed come again") {
  std::vector<std::set<hf_job_id>> calls;
  hf_handler_options opts = limits(5);
  opts.concurrency = 1;
  on_batch("x", [&](const Jobs& jobs) {
    std::set<hf_job_id> ids;
    for (hf_job* job : jobs) ids.insert(hf_job_get_id(job));
    calls.push_back(ids);
    for (hf_job* job : jobs) {
      if (hf_job_attempt(job) > 1 || hf_job_get_id(job) % 2 == 0) hf_job_finish(job, HF_OK);
    }
    return int{HF_RETRY};
  }, opts);
  const auto ids = add_many("x", 5);
  REQUIRE(hf_start(engine) == HF_OK);
  for (hf_job_id id : ids) {
    const Seen seen = wait_final(id);
    CHECK(seen.state == HF_STATE_COMPLETED);
    CHECK(seen.attempts == (id % 2 == 0 ? 1 : 2));
  }
  close();
  REQUIRE(calls.size() >= 2);
  CHECK(calls[0] == std::set<hf_job_id>{1, 2, 3, 4, 5});
  size_t again = 0;
  for (size_t i = 1; i < calls.size(); ++i) again += calls[i].size();
  CHECK(again == 3);
}

TEST_CASE_FIXTURE(BatchFixture, "HF_ASYNC: each is finished later, from any thread, in any order; the array is gone by then") {
  std::mutex mutex;
  Jobs kept;
  Signal there;
  on_batch("x", [&](const Jobs& jobs) {
    std::lock_guard lock(mutex);
    hf_job_finish(jobs[0], HF_OK);  // one at once
    kept.assign(jobs.begin() + 1, jobs.end());
    there.set();
    return int{HF_ASYNC};
  }, limits(4));
  const auto ids = add_many("x", 4);
  REQUIRE(hf_start(engine) == HF_OK);
  there.wait();
  CHECK(wait_final(ids[0]).state == HF_STATE_COMPLETED);
  CHECK(get(ids[1]).state == HF_STATE_RUNNING);
  std::thread other([&] {
    std::lock_guard lock(mutex);
    CHECK(hf_job_result(kept[2], "3", 1) == HF_OK);
    CHECK(hf_job_finish(kept[2], HF_OK) == HF_OK);
    CHECK(hf_job_finish(kept[0], HF_DEAD) == HF_OK);
  });
  other.join();
  CHECK(wait_final(ids[3]).result == "3");
  CHECK(wait_final(ids[1]).state == HF_STATE_DEAD);
  CHECK(get(ids[2]).state == HF_STATE_RUNNING);
  CHECK(hf_job_finish(kept[1], HF_ASYNC) == HF_E_INVALID);
  close();
  CHECK(hf_job_finish(kept[1], HF_OK) == HF_E_STALE);  // the engine is closed; the handle is released all the same
}

TEST_CASE_FIXTURE(BatchFixture, "a cancel tells that job's handle alone; the others go on, and a done one is done") {
  Signal running, go;
  std::atomic<int> flags{0};
  on_batch("x", [&](const Jobs& jobs) {
    running.set();
    while (hf_job_canceled(jobs[1]) == 0) std::this_thread::yield();
    flags = hf_job_canceled(jobs[0]) + 10 * hf_job_canceled(jobs[1]) + 100 * hf_job_canceled(jobs[2]);
    hf_job_finish(jobs[0], HF_OK);
    hf_job_finish(jobs[2], HF_OK);
    return int{HF_RETRY};
  }, limits(3));
  const auto ids = add_many("x", 3);
  REQUIRE(hf_start(engine) == HF_OK);
  running.wait();
  CHECK(hf_cancel(engine, ids[1]) == HF_OK);
  CHECK(wait_final(ids[1]).state == HF_STATE_CANCELLED);
  CHECK(wait_final(ids[0]).state == HF_STATE_COMPLETED);
  CHECK(wait_final(ids[2]).state == HF_STATE_COMPLETED);
  CHECK(flags == 10);
}

TEST_CASE_FIXTURE(BatchFixture, "at its timeout a job has failed, what is said of it later is refused, and the others go on") {
  std::atomic<int> late{0};
  on_batch("x", [&](const Jobs& jobs) {
    if (jobs.size() != 2) return int{HF_DEFER};  // it waited so long for its thread that one was handed back
    while (hf_job_canceled(jobs[0]) == 0) std::this_thread::yield();
    CHECK(hf_job_canceled(jobs[1]) == 0);
    late = hf_job_finish(jobs[0], HF_OK);
    return int{HF_OK};
  }, limits(2));
  hf_job_spec specs[2] = {HF_JOB_SPEC_INIT, HF_JOB_SPEC_INIT};
  specs[0].type = specs[1].type = "x";
  specs[0].timeout_ms = 500;
  specs[0].max_attempts = 1;
  hf_job_id ids[2];
  REQUIRE(hf_enqueue_many(engine, specs, 2, ids) == HF_OK);
  REQUIRE(hf_start(engine) == HF_OK);
  const Seen seen = wait_final(ids[0]);
  CHECK(seen.state == HF_STATE_DEAD);
  CHECK(seen.error.starts_with("timed out after 500ms"));
  CHECK(wait_final(ids[1]).state == HF_STATE_COMPLETED);
  CHECK(late == HF_E_STALE);
}

TEST_CASE_FIXTURE(BatchFixture, "what is given up while it waits for a thread is left out; if all is, the function is not called") {
  reopen_with_one_worker();
  block();
  std::vector<size_t> sizes;
  std::vector<hf_job_id> seen;
  on_batch("x", [&](const Jobs& jobs) {
    sizes.push_back(jobs.size());
    for (hf_job* job : jobs) seen.push_back(hf_job_get_id(job));
    return int{HF_OK};
  }, limits(3));
  REQUIRE(hf_start(engine) == HF_OK);
  add("block");
  blocked.wait();
  const auto first = add_many("x", 3), second = add_many("x", 2);
  REQUIRE(get(second[1]).state == HF_STATE_RUNNING);
  for (hf_job_id id : {first[0], first[2], second[0], second[1]}) {
    CHECK(hf_cancel(engine, id) == HF_OK);
    CHECK(wait_final(id).state == HF_STATE_CANCELLED);
  }
  go_on.set();
  CHECK(wait_final(first[1]).state == HF_STATE_COMPLETED);
  close();
  CHECK(sizes == std::vector<size_t>{1});
  CHECK(seen == std::vector<hf_job_id>{first[1]});
}

TEST_CASE_FIXTURE(BatchFixture, "a batch that waits for a thread when the engine stops is handed back whole, and never begins") {
  reopen_with_one_worker();
  block();
  std::atomic<int> calls{0};
  on_batch("x", [&](const Jobs&) { return ++calls, int{HF_OK}; }, limits(3));
  REQUIRE(hf_start(engine) == HF_OK);
  add("block");
  blocked.wait();
  const auto ids = add_many("x", 3);
  REQUIRE(get(ids[2]).state == HF_STATE_RUNNING);
  std::thread stopper([&] { CHECK(hf_stop(engine, 0) == HF_OK); });
  for (hf_job_id id : ids) {
    while (get(id).state != HF_STATE_PENDING) {
    }
    CHECK(get(id).attempts == 0);
  }
  go_on.set();
  stopper.join();
  close();
  CHECK(calls == 0);
}

TEST_CASE_FIXTURE(BatchFixture, "children, checkpoints, signs of life and errors are each job's own") {
  on_batch("x", [&](const Jobs& jobs) {
    for (hf_job* job : jobs) {
      const std::string id = std::to_string(hf_job_get_id(job));
      size_t len = 0;
      const void* left = hf_job_last_checkpoint(job, &len);
      if (hf_job_attempt(job) == 1) {
        CHECK(hf_job_heartbeat(job) == HF_OK);
        CHECK(hf_job_progress(job, 50, "half") == HF_OK);
        CHECK(hf_job_checkpoint(job, id.data(), id.size()) == HF_OK);
        CHECK(hf_job_retry_after(job, 0) == HF_OK);
        hf_job_finish(job, HF_RETRY);
      } else {
        CHECK(bytes(left, len) == id);
        hf_job_spec child = HF_JOB_SPEC_INIT;
        child.type = "child";
        child.tags = id.c_str();
        hf_job_id made = 0;
        CHECK(hf_job_enqueue(job, &child, &made) == HF_OK);
        const std::string result = std::to_string(made);
        hf_job_result(job, result.data(), result.size());
      }
    }
    return int{HF_OK};
  }, limits(2));
  const auto ids = add_many("x", 2);
  REQUIRE(hf_start(engine) == HF_OK);
  for (hf_job_id id : ids) {
    const Seen seen = wait_final(id);
    CHECK(seen.attempts == 2);
    hf_job_info child = HF_JOB_INFO_INIT;
    REQUIRE(hf_get(engine, std::stoll(seen.result), &child) == HF_OK);
    CHECK(std::string(child.tags) == std::to_string(id));
    hf_job_info_free(&child);
  }
}

TEST_CASE_FIXTURE(BatchFixture, "a handler of single jobs becomes one of batches, and the other way round") {
  std::atomic<size_t> most{0};
  on("x", [&](hf_job*) { return int{HF_OK}; });
  on_batch("x", [&](const Jobs& jobs) { return most = std::max(most.load(), jobs.size()), int{HF_OK}; }, limits(10));
  const auto ids = add_many("x", 10);
  REQUIRE(hf_start(engine) == HF_OK);
  for (hf_job_id id : ids) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  CHECK(most == 10);
  Count singles;
  on("x", [&](hf_job*) { return singles.add(), int{HF_OK}; });
  for (hf_job_id id : add_many("x", 5)) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  CHECK(singles.count() == 5);
}

TEST_CASE_FIXTURE(BatchFixture, "each option of a batch has its range, and the error names it") {
  const auto refused = [&](auto set, const std::string& why) {
    hf_handler_options opts = HF_HANDLER_OPTIONS_INIT;
    set(opts);
    CHECK(hf_register_batch(engine, "x", nothing, nullptr, &opts) == HF_E_INVALID);
    CHECK(std::string(hf_errmsg(engine)) == why);
  };
  refused([](auto& o) { o.batch_max_jobs = -1; }, "batch_max_jobs is -1; allowed is 1 to 1000, or 0: 100");
  refused([](auto& o) { o.batch_max_jobs = 1001; }, "batch_max_jobs is 1001; allowed is 1 to 1000, or 0: 100");
  refused([](auto& o) { o.batch_max_bytes = -1; }, "batch_max_bytes is -1; allowed is 1 byte to 64 MiB, or 0: no limit of its own");
  refused([](auto& o) { o.batch_max_bytes = (64 << 20) + 1; }, "batch_max_bytes is 67108865; allowed is 1 byte to 64 MiB, or 0: no limit of its own");
  refused([](auto& o) { o.batch_max_wait_ms = -1; }, "batch_max_wait_ms is -1; allowed is 0 to 1 d");
  refused([](auto& o) { o.batch_max_wait_ms = 86400001; }, "batch_max_wait_ms is 86400001; allowed is 0 to 1 d");
  refused([](auto& o) { o.struct_size = 1; }, "struct_size of the handler options is not set; begin with HF_HANDLER_OPTIONS_INIT");
  hf_handler_options most = HF_HANDLER_OPTIONS_INIT;
  most.batch_max_jobs = 1000;
  most.batch_max_bytes = 64 << 20;
  most.batch_max_wait_ms = 86400000;
  CHECK(hf_register_batch(engine, "x", nothing, nullptr, &most) == HF_OK);
  CHECK(hf_register_batch(engine, "x", nothing, nullptr, nullptr) == HF_OK);
  CHECK(hf_register_batch(engine, nullptr, nothing, nullptr, nullptr) == HF_E_INVALID);
  CHECK(std::string(hf_errmsg(engine)) == "type is null");
  CHECK(hf_register_batch(engine, "x", nullptr, nullptr, nullptr) == HF_E_INVALID);
  CHECK(std::string(hf_errmsg(engine)) == "handler is null");
  CHECK(hf_register_batch(nullptr, "x", nothing, nullptr, nullptr) == HF_E_STATE);
}

TEST_CASE_FIXTURE(BatchFixture, "hf_register refuses what is for batches") {
  const auto refused = [&](auto set, const std::string& why) {
    hf_handler_options opts = HF_HANDLER_OPTIONS_INIT;
    set(opts);
    CHECK(hf_register(engine, "x", [](hf_job*, void*) { return int{HF_OK}; }, nullptr, &opts) == HF_E_INVALID);
    CHECK(std::string(hf_errmsg(engine)) == why);
  };
  refused([](auto& o) { o.batch_max_jobs = 1; }, "batch_max_jobs is 1; allowed is 0: it is for hf_register_batch");
  refused([](auto& o) { o.batch_max_bytes = 1; }, "batch_max_bytes is 1; allowed is 0: it is for hf_register_batch");
  refused([](auto& o) { o.batch_max_wait_ms = 1; }, "batch_max_wait_ms is 1; allowed is 0: it is for hf_register_batch");
}
