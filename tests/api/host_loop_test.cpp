// hf_start_on: a host with a libuv loop of its own. Each test is the loop's thread.
#include <uv.h>

#include <atomic>
#include <thread>
#include <vector>

#include "api_fixture.h"

using namespace hf::test;

namespace {

class OnHostLoop : public ApiFixture {
 public:
  OnHostLoop() {
    REQUIRE(uv_loop_init(&loop) == 0);
    REQUIRE(uv_async_init(&loop, &busy, nullptr) == 0);
  }
  ~OnHostLoop() {
    if (engine != nullptr) close();
    let_go();
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);  // nothing of the library is left on it
  }
  // The loop returns when the library's handle is all there is.
  void let_go() {
    if (!uv_is_closing(reinterpret_cast<uv_handle_t*>(&busy))) uv_close(reinterpret_cast<uv_handle_t*>(&busy), nullptr);
  }

  struct Answers {
    OnHostLoop* host;
    std::thread::id thread = std::this_thread::get_id();
    int wanted = 0, taken = 0, elsewhere = 0;
  };
  static void answered(int code, hf_job_id id, void* user) {
    auto* a = static_cast<Answers*>(user);
    if (std::this_thread::get_id() != a->thread) ++a->elsewhere;
    if (code == HF_OK && id > 0) ++a->taken;
    if (a->taken == a->wanted) a->host->let_go();
  }
  int add_async(void* user, hf_enqueued_fn done = answered) { return add_async_to(engine, user, done); }
  static int add_async_to(hf_engine* handle, void* user, hf_enqueued_fn done = answered) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = "x";
    return hf_enqueue_async(handle, &spec, done, user);
  }

  uv_loop_t loop;
  uv_async_t busy;  // keeps the loop going
};

}  // namespace

TEST_CASE_FIXTURE(OnHostLoop, "callbacks arrive on the host's loop, each once") {
  REQUIRE(hf_start_on(engine, &loop) == HF_OK);
  Answers answers{this};
  answers.wanted = 100;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) CHECK(add_async(&answers) == HF_OK);
    });
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  for (std::thread& t : threads) t.join();
  CHECK(answers.taken == 100);
  CHECK(answers.elsewhere == 0);
}

TEST_CASE_FIXTURE(OnHostLoop, "hf_close calls what had not arrived yet, on the thread that closes") {
  REQUIRE(hf_start_on(engine, &loop) == HF_OK);
  Answers answers{this};
  for (int i = 0; i < 10; ++i) REQUIRE(add_async(&answers) == HF_OK);
  close();  // the loop has not run
  CHECK(answers.taken == 10);
  CHECK(answers.elsewhere == 0);
}

TEST_CASE_FIXTURE(OnHostLoop, "others enqueue while the loop's thread closes") {
  REQUIRE(hf_start_on(engine, &loop) == HF_OK);
  Answers answers{this};
  std::atomic<int> handed{0};
  std::vector<std::thread> threads;
  Count going;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, handle = engine] {
      for (int n = 0; add_async_to(handle, &answers) == HF_OK; ++n) {
        ++handed;
        if (n == 5) going.add();
      }
    });
  }
  going.wait(3);
  close();
  for (std::thread& t : threads) t.join();
  CHECK(answers.taken == handed);
  CHECK(answers.elsewhere == 0);
}

TEST_CASE_FIXTURE(OnHostLoop, "the library does not keep the host's loop going") {
  REQUIRE(hf_start_on(engine, &loop) == HF_OK);
  let_go();
  CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
}

TEST_CASE_FIXTURE(OnHostLoop, "handlers run, and hf_stop on the loop's thread drains") {
  std::atomic<int> runs{0};
  on("x", [&](hf_job*) { return ++runs, HF_OK; });
  REQUIRE(hf_start_on(engine, &loop) == HF_OK);
  hf_job_id id = add("x");
  CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  CHECK(hf_stop(engine, 1000) == HF_OK);
  CHECK(runs == 1);
}

TEST_CASE_FIXTURE(OnHostLoop, "one loop: another is refused, the same may be started on again") {
  uv_loop_t other;
  REQUIRE(uv_loop_init(&other) == 0);
  CHECK(hf_start_on(engine, nullptr) == HF_E_INVALID);
  REQUIRE(hf_start_on(engine, &loop) == HF_OK);
  CHECK(hf_start_on(engine, &loop) == HF_E_STATE);
  CHECK(hf_start(engine) == HF_E_STATE);
  REQUIRE(hf_stop(engine, 0) == HF_OK);
  CHECK(hf_start_on(engine, &other) == HF_E_STATE);
  CHECK(hf_start_on(engine, &loop) == HF_OK);
  CHECK(uv_loop_close(&other) == 0);
}

TEST_CASE_FIXTURE(OnHostLoop, "after hf_start the host's loop is refused and left alone") {
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(hf_start_on(engine, &loop) == HF_E_STATE);
  struct Elsewhere { std::thread::id thread; Signal signal; } seen;
  REQUIRE(add_async(&seen, [](int, hf_job_id, void* user) {
            auto* s = static_cast<Elsewhere*>(user);
            s->thread = std::this_thread::get_id();
            s->signal.set();
          }) == HF_OK);
  seen.signal.wait();
  CHECK(seen.thread != std::this_thread::get_id());
}

TEST_CASE_FIXTURE(OnHostLoop, "in a callback: calls that wait are the host's choice, hf_close is refused") {
  REQUIRE(hf_start_on(engine, &loop) == HF_OK);
  struct Codes { OnHostLoop* host; int enqueue = 1, close = 1, stop = 1; } codes{this};
  REQUIRE(add_async(&codes, [](int, hf_job_id, void* user) {
            auto* c = static_cast<Codes*>(user);
            hf_job_spec spec = HF_JOB_SPEC_INIT;
            spec.type = "x";
            c->enqueue = hf_enqueue(c->host->engine, &spec, nullptr);
            c->close = hf_close(c->host->engine);
            c->stop = hf_stop(c->host->engine, 0);
            c->host->let_go();
          }) == HF_OK);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(codes.enqueue == HF_OK);
  CHECK(codes.close == HF_E_THREAD);
  CHECK(codes.stop == HF_OK);
}
