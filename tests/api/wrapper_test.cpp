// holdfast.hpp: the C API with RAII, lambdas and std::chrono.
#include <holdfast.hpp>

#include <array>
#include <atomic>
#include <future>
#include <stdexcept>

#include "api_fixture.h"

using namespace std::chrono_literals;
using holdfast::Engine;
using holdfast::Job;
using holdfast::Outcome;
using holdfast::State;

namespace {

// A folder, and an engine of the wrapper in it.
class WrapperFixture {
 public:
  WrapperFixture() { engine.emplace(path(), holdfast::Options{.device = "gw"}); }
  std::string path() const { return dir / "queue.db"; }
  holdfast::JobInfo wait_final(holdfast::JobId id) {
    while (true) {
      holdfast::JobInfo info = engine->job(id);
      if (info.state != State::pending && info.state != State::running) return info;
    }
  }
  const hf::TempFolder dir;
  std::optional<Engine> engine;
};

template <class F>
int code_of(F call) {
  try {
    call();
  } catch (const holdfast::Error& e) {
    return e.code();
  }
  return HF_OK;
}

}  // namespace

TEST_CASE_FIXTURE(WrapperFixture, "a lambda runs a job; the result is read back") {
  engine->on("greet", [](Job job) { job.result("hello " + std::string(job.payload())); });
  engine->start();
  holdfast::JobInfo info = wait_final(engine->enqueue({.type = "greet", .payload = "world", .priority = 3, .tags = "a b"}));
  CHECK(info.state == State::completed);
  CHECK(info.result == "hello world");
  CHECK(info.payload == "world");
  CHECK(info.priority == 3);
  CHECK(info.tags == "a b");
  CHECK(info.key.rfind("gw-", 0) == 0);
  CHECK(info.finished.has_value());
  CHECK(info.created > holdfast::Time(std::chrono::hours(24 * 365 * 50)));
}

TEST_CASE_FIXTURE(WrapperFixture, "a run makes parts, and the job that waits for them") {
  engine->on("whole", [](Job& job) {
    const holdfast::JobId a = job.enqueue({.type = "part", .payload = "a"}), b = job.enqueue({.type = "part", .payload = "b"});
    job.enqueue({.type = "join", .payload = std::to_string(a) + " " + std::to_string(b), .after = {a, b}});
  });
  std::atomic<int> parts = 0;
  std::atomic<int> parts_at_join = -1;
  engine->on("part", [&](Job&) { ++parts; });
  engine->on("join", [&](Job&) { parts_at_join = parts.load(); });
  engine->start();
  const holdfast::JobId id = engine->enqueue({.type = "whole"});
  CHECK(wait_final(id).state == State::completed);
  CHECK(wait_final(id + 3).state == State::completed);
  CHECK(parts_at_join == 2);

  const holdfast::JobId nobody = engine->enqueue({.type = "nobody"});
  const holdfast::JobId with_it = engine->enqueue({.type = "join", .after = {nobody}});
  const holdfast::JobId all_the_same = engine->enqueue({.type = "join", .after = {nobody}, .after_failure = HF_AFTER_RUN});
  engine->cancel(nobody);
  CHECK(wait_final(with_it).state == State::dead);
  CHECK(wait_final(all_the_same).state == State::completed);
}

TEST_CASE_FIXTURE(WrapperFixture, "a function says how long a failed job waits, and calls nothing from there") {
  std::vector<std::string> asked;  // on the engine's thread; read when the job is final
  int code = HF_OK;
  engine->on("x", [](Job& job) -> Outcome {
    job.error("attempt " + std::to_string(job.attempt()));
    return Outcome::retry;
  }, {.max_attempts = 3, .backoff_fn = [&](holdfast::JobId id, int attempt, std::string_view error) -> std::optional<holdfast::Milliseconds> {
    asked.push_back(std::to_string(id) + ": " + std::to_string(attempt) + ": " + std::string(error));
    code = code_of([&] { (void)engine->job(id); });
    if (attempt == 2) throw std::runtime_error("as the policy says");
    return 1ms;
  }, });
  engine->start();
  const holdfast::JobId id = engine->enqueue({.type = "x", .backoff = {.kind = HF_BACKOFF_FIXED, .base = 2ms, .jitter = HF_JITTER_NONE}});
  CHECK(wait_final(id).attempts == 3);
  CHECK(asked == std::vector<std::string>{std::to_string(id) + ": 1: attempt 1", std::to_string(id) + ": 2: attempt 2"});
  CHECK(code == HF_E_THREAD);
}

TEST_CASE_FIXTURE(WrapperFixture, "a dead job starts another one") {
  std::atomic<bool> cleaned = false;
  std::string why;
  engine->on("clean", [&](Job& job) {
    why = std::string(job.payload());
    cleaned = true;
  });
  engine->on("x", [](Job&) { return Outcome::dead; }, {.failure_callback = "job:clean"});
  engine->start();
  const holdfast::JobId id = engine->enqueue({.type = "x", .payload = "what it worked on"});
  CHECK(wait_final(id).state == State::dead);
  CHECK(wait_final(id + 1).state == State::completed);
  CHECK(cleaned);
  CHECK(why.find("\"type\":\"job.failed\"") != std::string::npos);
  CHECK(why.find("\"payload\":\"what it worked on\"") != std::string::npos);
}

TEST_CASE_FIXTURE(WrapperFixture, "what a handler throws is a failed attempt with its text") {
  engine->on("x", [](Job& job) -> Outcome {
    job.retry_after(0ms);
    if (job.attempt() == 1) throw std::runtime_error("no sensor");
    throw 42;
  }, {.max_attempts = 2});
  engine->start();
  holdfast::JobInfo info = wait_final(engine->enqueue({.type = "x"}));
  CHECK(info.state == State::dead);
  CHECK(info.attempts == 2);
  CHECK(info.error.find("no std::exception") != std::string::npos);
}

TEST_CASE_FIXTURE(WrapperFixture, "a handler may own what cannot be copied, and is owned until the engine closes") {
  auto value = std::make_shared<int>(7);
  std::weak_ptr<int> alive = value;
  engine->on("x", [owned = std::make_unique<std::shared_ptr<int>>(std::move(value))](Job job) {
    job.result(std::to_string(**owned));
    return Outcome::done;
  });
  engine->start();
  CHECK(wait_final(engine->enqueue({.type = "x"})).result == "7");
  engine->on("x", [](Job) {});
  CHECK_FALSE(alive.expired());
  engine->close();
  CHECK(alive.expired());
}

TEST_CASE_FIXTURE(WrapperFixture, "a run is finished by another thread") {
  std::vector<std::thread> threads;
  engine->on("x", [&](Job job) {
    threads.emplace_back([job]() mutable {
      job.result("later");
      CHECK(job.finish(Outcome::done));
    });
    return Outcome::async;
  });
  engine->start();
  CHECK(wait_final(engine->enqueue({.type = "x"})).result == "later");
  engine->close();  // the handler has returned
  for (std::thread& t : threads) t.join();
}

TEST_CASE_FIXTURE(WrapperFixture, "errors are thrown with their code and detail") {
  CHECK(code_of([&] { engine->enqueue({.type = ""}); }) == HF_E_INVALID);
  CHECK(code_of([&] { engine->enqueue({.type = "x", .delay = -1ms}); }) == HF_E_INVALID);
  CHECK(code_of([&] { engine->cancel(4711); }) == HF_E_NOT_FOUND);
  CHECK(code_of([&] { engine->job(4711); }) == HF_E_NOT_FOUND);
  CHECK_FALSE(engine->find(4711).has_value());
  CHECK(code_of([&] { Engine second(path()); }) == HF_E_LOCKED);
  CHECK(code_of([&] { engine->put_schedule({.name = "s", .cron = "61 * * * *", .job = {.type = "x"}}); }) == HF_E_INVALID);
  CHECK(code_of([&] { engine->remove_schedule("s"); }) == HF_E_NOT_FOUND);
  CHECK(code_of([&] { engine->stop(0s); }) == HF_E_STATE);
  try {
    engine->enqueue({.type = "x", .priority = 5000});
  } catch (const holdfast::Error& e) {
    CHECK(std::string(e.what()).find("priority is 5000") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(WrapperFixture, "bytes of any kind go in as they are") {
  const std::array<std::byte, 3> raw{std::byte{1}, std::byte{0}, std::byte{255}};
  CHECK(engine->job(engine->enqueue({.type = "x", .payload = std::span(raw)})).payload == std::string("\1\0\xff", 3));
  CHECK(engine->job(engine->enqueue({.type = "x", .payload = std::string("a\0b", 3)})).payload == std::string("a\0b", 3));
  CHECK(engine->job(engine->enqueue({.type = "x"})).payload.empty());
}

TEST_CASE_FIXTURE(WrapperFixture, "many at once, all or none, and lists in pages") {
  std::vector<holdfast::JobSpec> specs(5, {.type = "x", .backoff = {.kind = HF_BACKOFF_LIST, .list = {1s, 2s}}});
  std::vector<holdfast::JobId> ids = engine->enqueue_many(specs);
  REQUIRE(ids.size() == 5);
  specs[4].priority = 5000;
  CHECK(code_of([&] { engine->enqueue_many(specs); }) == HF_E_INVALID);
  CHECK(engine->stats().pending == 5);
  holdfast::JobPage page = engine->list({.state = State::pending, .limit = 3});
  CHECK(page.jobs.size() == 3);
  CHECK(page.jobs.front().id == ids.back());
  page = engine->list({.limit = 3, .after = page.next});
  CHECK(page.jobs.size() == 2);
  CHECK(page.next == 0);
  engine->cancel(ids[0]);
  CHECK(engine->job(ids[0]).state == State::cancelled);
  engine->retry(ids[0]);
  CHECK(engine->job(ids[0]).state == State::pending);
}

TEST_CASE_FIXTURE(WrapperFixture, "unique by payload, and dead letters that come back") {
  const holdfast::JobSpec by_payload{.type = "x", .payload = "1", .unique_by = HF_UNIQUE_BY_PAYLOAD};
  const holdfast::JobId id = engine->enqueue(by_payload);
  CHECK(engine->enqueue(by_payload) == id);
  CHECK(engine->enqueue({.type = "x", .payload = "2", .unique_by = HF_UNIQUE_BY_PAYLOAD}) != id);
  CHECK(code_of([&] { engine->enqueue({.type = "x", .unique_key = "k", .unique_by = HF_UNIQUE_BY_PAYLOAD}); }) == HF_E_INVALID);
  CHECK(engine->retry_dead() == 0);
  CHECK(engine->retry_dead({.queue = "q", .type = "x", .limit = 5, .over = 1h}) == 0);
}

TEST_CASE_FIXTURE(WrapperFixture, "times go in and out as std::chrono") {
  auto at = std::chrono::system_clock::now() + 48h;
  holdfast::JobInfo info = engine->job(engine->enqueue({.type = "x", .run_at = at}));
  REQUIRE(info.due.has_value());
  CHECK(std::chrono::abs(*info.due - at) < 1s);
  CHECK_FALSE(info.finished.has_value());
  engine->put_schedule({.name = "s", .cron = "@every 1h", .job = {.type = "x"}});
  engine->start();
  std::optional<holdfast::Time> wake = engine->next_wake();
  REQUIRE(wake.has_value());
  CHECK(*wake < std::chrono::system_clock::now() + 2h);
}

TEST_CASE_FIXTURE(WrapperFixture, "a program that says when its clock is right") {
  engine.reset();
  engine.emplace(path(), holdfast::Options{.clock = {.confirmed_only = true, .ignore_kernel = true}});
  std::promise<void> ran;
  engine->on("x", [&](Job) { ran.set_value(); });
  engine->start();
  engine->enqueue({.type = "x", .run_at = std::chrono::system_clock::now() - 1h});
  CHECK(engine->stats().clock_trusted == 0);
  CHECK(engine->stats().running + engine->stats().pending == 1);
  engine->link_up();
  engine->set_link("metered");
  CHECK(engine->stats_json().find("\"link\":\"metered\"") != std::string::npos);
  engine->confirm_clock();
  ran.get_future().wait();
  CHECK(engine->stats().clock_trusted == 1);
  engine.reset();
  engine.emplace(path() + ".other", holdfast::Options{.clock = {.floor = std::chrono::system_clock::now() + 24h}});
  CHECK(engine->stats().clock_trusted == 0);
  CHECK(code_of([&] { engine->confirm_clock(); }) == HF_E_CONFLICT);
}

TEST_CASE_FIXTURE(WrapperFixture, "the settings of a queue, and slack") {
  engine->set_queue("q", {.concurrency = 2, .slack = 30s, .windows = "0 0 29 2 * for 1s"});
  std::string figures = engine->stats_json();
  CHECK(figures.find(R"("open":false)") != std::string::npos);
  CHECK(figures.find(R"("set":{"concurrency":2,"slack":"30s","windows":"0 0 29 2 * for 1s"})") != std::string::npos);
  engine->set_queue("q", {.rate_limit = "10/m", .throttle = "off"});
  CHECK(engine->stats_json().find(R"("set":{"rate_limit":"10/1m","throttle":"off"})") != std::string::npos);
  // Each setting comes back as it was put, and is in force.
  engine->set_queue("q", {.key_concurrency = 3, .aging = 10s, .key_rate_limit = "5/1h burst 2", .key_throttle = "1/s", .order = HF_ORDER_LIFO, .fair = true});
  const std::string shared = R"("key_concurrency":3,"key_rate_limit":"5/1h burst 2","key_throttle":"1/1s","order":"lifo","aging":"10s","fair":true)";
  CHECK(engine->stats_json().find(R"("concurrency":null,)" + shared + R"(,"set":{)" + shared + "}") != std::string::npos);
  engine->set_queue("q", {.aging = 0s, .key_rate_limit = "off", .order = HF_ORDER_FIFO, .fair = false});
  CHECK(engine->stats_json().find(R"("set":{"key_rate_limit":"off","order":"fifo","aging":"0s","fair":false})") != std::string::npos);
  engine->set_queue("q", {.max_pending = 10, .when_full = HF_FULL_DROP_OLDEST, .enqueue_limit = "10/m", .key_enqueue_limit = "off", .retry_budget = "60/h"});
  CHECK(engine->stats_json().find(R"("set":{"max_pending":10,"when_full":"drop_oldest","enqueue_limit":"10/1m","key_enqueue_limit":"off","retry_budget":"60/1h"})") != std::string::npos);
  engine->set_queue("q", {.keep_completed = 0s, .keep_dead = 48h, .keep_completed_count = 10, .keep_dead_count = 5});
  CHECK(engine->stats_json().find(R"("set":{"retention_completed":"0s","retention_dead":"2d","retention_completed_count":10,"retention_dead_count":5})") != std::string::npos);
  engine->set_queue("q", {.max_pending = 0});
  CHECK(engine->stats_json().find(R"("set":{"max_pending":0,"when_full":"reject"})") != std::string::npos);
  CHECK(code_of([&] { engine->set_queue("q", {.aging = 367 * 24h}); }) == HF_E_INVALID);
  CHECK(code_of([&] { engine->set_queue("q", {.key_throttle = "fast"}); }) == HF_E_INVALID);
  engine->set_queue("q", {.slack = 0s, .windows = ""});
  CHECK(engine->stats_json().find(R"("set":{"slack":"0s","windows":""})") != std::string::npos);
  CHECK(code_of([&] { engine->set_queue("q", {.windows = "8-18"}); }) == HF_E_INVALID);
  CHECK(code_of([&] { engine->put_schedule({.name = "s", .cron = "@daily", .slack = 25h, .job = {.type = "x"}}); }) == HF_E_INVALID);
  engine->put_schedule({.name = "s", .cron = "@daily", .slack = 24h, .job = {.type = "x"}});
}

TEST_CASE_FIXTURE(WrapperFixture, "a callback owns what it captured, and is called once") {
  std::promise<holdfast::JobId> stored;
  engine->enqueue_async({.type = "x"}, [&](int code, holdfast::JobId id) {
    CHECK(code == HF_OK);
    stored.set_value(id);
  });
  CHECK(engine->job(stored.get_future().get()).type == "x");
  CHECK(code_of([&] { engine->enqueue_async({.type = "x", .timeout = -7ms}, [](int, holdfast::JobId) {}); }) == HF_E_INVALID);
}

TEST_CASE_FIXTURE(WrapperFixture, "an engine is moved, with its handlers and its log") {
  std::atomic<int> lines{0};
  engine.reset();
  engine.emplace(path(), holdfast::Options{.flash_budget = 1 << 20, .log = [&](holdfast::LogLevel, std::string_view) { ++lines; }});
  engine->on("x", [](Job job) { job.result("moved"); });
  Engine moved = std::move(*engine);
  moved.start();
  CHECK(moved.stats().flash_budget == 1 << 20);
  holdfast::JobId id = moved.enqueue({.type = "x"});
  while (moved.job(id).state != State::completed) {
  }
  CHECK(moved.job(id).result == "moved");
  CHECK(code_of([&] { engine->stats(); }) == HF_E_STATE);  // moved from
  moved = Engine(dir / "other.db");
  CHECK(moved.stats().completed == 0);
  CHECK(lines > 0);
}

TEST_CASE_FIXTURE(WrapperFixture, "queues are paused and resumed, and the figures are text too") {
  engine->on("x", [](Job) {});
  engine->pause("default");
  engine->start();
  holdfast::JobId id = engine->enqueue({.type = "x"});
  CHECK(engine->stats_json().find("\"pending\":1") != std::string::npos);
  engine->resume("default");
  CHECK(wait_final(id).state == State::completed);
}

TEST_CASE_FIXTURE(WrapperFixture, "a pause with a length ends by itself, and says why") {
  engine->on("x", [](Job) {});
  engine->start();
  engine->pause("default", "printer is broken", std::chrono::hours(1));
  holdfast::JobId id = engine->enqueue({.type = "x"});
  CHECK(engine->stats_json().find("\"pause_reason\":\"printer is broken\",\"resumes\":\"2") != std::string::npos);
  engine->pause("default", "", std::chrono::milliseconds(50));
  CHECK(wait_final(id).state == State::completed);
}

TEST_CASE_FIXTURE(WrapperFixture, "a checkpoint of an attempt is there for the next") {
  engine->on("count", [](Job job) {
    job.heartbeat();
    job.retry_after(0ms);
    if (job.last_checkpoint().empty()) return job.checkpoint("half"), Outcome::retry;
    return job.result(job.last_checkpoint()), Outcome::done;
  }, {.heartbeat = 30s});
  engine->start();
  CHECK(wait_final(engine->enqueue({.type = "count"})).result == "half");
  CHECK(code_of([&] { engine->on("bad", [](Job) {}, {.timeout = 1s, .heartbeat = 2s}); }) == HF_E_INVALID);
}

TEST_CASE_FIXTURE(WrapperFixture, "a run logs, and hears of its soft timeout") {
  engine->on("count", [](Job job) {
    job.log("begin");
    CHECK_FALSE(job.soft_timeout_over());
    while (!job.canceled()) std::this_thread::yield();
    job.result(job.soft_timeout_over() ? "softly" : "hard");
  }, {.timeout = 60s, .soft_timeout = 100ms});
  engine->start();
  CHECK(wait_final(engine->enqueue({.type = "count"})).result == "softly");
  CHECK(code_of([&] { engine->on("bad", [](Job) {}, {.timeout = 1s, .soft_timeout = 2s}); }) == HF_E_INVALID);
}

TEST_CASE_FIXTURE(WrapperFixture, "a batch is a span of jobs; what is thrown is of those that were not finished") {
  std::atomic<std::size_t> most{0};
  engine->on_batch("sum", [&](std::span<Job> jobs) {
    most = std::max(most.load(), jobs.size());
    for (Job& job : jobs) job.result(std::string(job.payload()) + "!");
  }, {.batch_max_jobs = 3});
  engine->on_batch("half", [](std::span<Job> jobs) -> Outcome {
    jobs[0].result("fine");
    jobs[0].finish(Outcome::done);
    throw std::runtime_error("the table is locked");
  }, {.max_attempts = 1, .batch_max_jobs = 2, .batch_max_bytes = 1000, .batch_max_wait = 1h});
  std::vector<holdfast::JobId> sums = engine->enqueue_many(std::array<holdfast::JobSpec, 3>{{{.type = "sum", .payload = "a"}, {.type = "sum", .payload = "b"}, {.type = "sum", .payload = "c"}}});
  std::vector<holdfast::JobId> halves = engine->enqueue_many(std::array<holdfast::JobSpec, 2>{{{.type = "half"}, {.type = "half"}}});
  engine->start();
  CHECK(wait_final(sums[2]).result == "c!");
  CHECK(wait_final(sums[0]).result == "a!");
  CHECK(most == 3);
  CHECK(wait_final(halves[0]).result == "fine");
  CHECK(wait_final(halves[1]).error.starts_with("the table is locked"));
  CHECK(code_of([&] { engine->on_batch("bad", [](std::span<Job>) {}, {.batch_max_jobs = 1001}); }) == HF_E_INVALID);
  CHECK(code_of([&] { engine->on("bad", [](Job) {}, {.batch_max_jobs = 2}); }) == HF_E_INVALID);
}

TEST_CASE_FIXTURE(WrapperFixture, "events start the jobs of those who subscribed") {
  engine->subscribe({.name = "all", .event = "door.opened", .job = {.type = "x"}});
  engine->subscribe({.name = "three", .event = "door.opened", .filter = R"({"door": 3})", .job = {.type = "y", .payload = "mine", .priority = 2}});
  const auto ids = engine->emit("door.opened", R"({"door": 3})", "key");
  REQUIRE(ids.size() == 2);
  CHECK(engine->job(ids[0]).payload == R"({"door": 3})");
  CHECK(engine->job(ids[1]).payload == "mine");
  CHECK(engine->job(ids[1]).priority == 2);
  CHECK(engine->emit("door.opened", R"({"door": 3})", "key") == ids);
  CHECK(engine->emit("door.opened").size() == 1);
  engine->unsubscribe("all");
  CHECK(engine->emit("door.opened").empty());
  CHECK(code_of([&] { engine->unsubscribe("all"); }) == HF_E_NOT_FOUND);
  CHECK(code_of([&] { engine->subscribe({.name = "bad", .event = "e", .filter = "[]", .job = {.type = "x"}}); }) == HF_E_INVALID);
}

TEST_CASE_FIXTURE(WrapperFixture, "a condition is a function, or is told") {
  std::atomic<int> open{0};
  engine->condition("cool", [&]() -> holdfast::ConditionAnswer {
    if (open == 0) throw std::runtime_error("no sensor");
    return {open == 2, "it is 41 C"};
  }, {.every = 1s});
  engine->told_condition("door", true);
  engine->on("x", [](Job) {}, {.when = "cool,door"});
  engine->start();
  const auto id = engine->enqueue({.type = "x"});
  open = 2;
  CHECK(wait_final(id).state == State::completed);
  engine->tell_condition("door", false, "it rains", 1h);
  engine->set_queue("default", {.when = "cool"});
  CHECK(code_of([&] { engine->tell_condition("cool", true); }) == HF_E_CONFLICT);
  engine->remove_condition("door");
  CHECK(code_of([&] { engine->remove_condition("door"); }) == HF_E_NOT_FOUND);
}
