// What a run says while it goes on, and how it hears that it should end: lines of its log, soft timeouts.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "api_fixture.h"

using namespace hf::test;

namespace {

class Runs : public ApiFixture {
 public:
  // The job as the admin API shows it: the C API has no history.
  std::string shown(hf_job_id id) {
    const std::string at = dir + "/h.sock";
    if (!served_) REQUIRE(hf_serve(engine, at.c_str(), nullptr) == HF_OK);
    served_ = true;
    sockaddr_un to = {};
    to.sun_family = AF_UNIX;
    REQUIRE(at.size() < sizeof to.sun_path);
    std::memcpy(to.sun_path, at.c_str(), at.size() + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    const std::string request = "GET /v1/jobs/" + std::to_string(id) + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    REQUIRE(write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) answer.append(buffer, static_cast<size_t>(n));
    ::close(fd);
    return answer;
  }
  static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
  static hf_handler_options soft(int64_t ms) {
    hf_handler_options opts = HF_HANDLER_OPTIONS_INIT;
    opts.soft_timeout_ms = ms;
    return opts;
  }
  static int until_told(hf_job* job) {
    int told = 0;
    while ((told = hf_job_canceled(job)) == 0) std::this_thread::yield();
    return told;
  }

 private:
  bool served_ = false;
};

}  // namespace

TEST_CASE_FIXTURE(Runs, "what a handler logs is shown while it runs, and with its attempt afterwards") {
  Signal said, go;
  on("x", [&](hf_job* job) {
    CHECK(hf_job_log(job, "begin") == HF_OK);
    CHECK(hf_job_log(job, "two\nlines\n") == HF_OK);
    CHECK(hf_job_log(job, "") == HF_OK);
    CHECK(hf_job_log(job, nullptr) == HF_E_INVALID);
    CHECK(std::string(hf_errmsg(nullptr)) == "text is null");
    said.set();
    go.wait();
    CHECK(hf_job_log(job, (std::string(HF_LOG_LINE_MAX, 'l') + "?").c_str()) == HF_OK);
    return int{HF_OK};
  });
  CHECK(hf_job_log(nullptr, "x") == HF_E_INVALID);
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("x");
  said.wait();
  const std::string running = shown(id);
  CHECK(has(running, R"("log":"begin\ntwo\nlines")"));
  CHECK_FALSE(has(running, "\"history\""));
  go.set();
  wait_final(id);
  const std::string ended = shown(id);
  CHECK(has(ended, R"("outcome":"done","log":"begin\ntwo\nlines\n)" + std::string(HF_LOG_LINE_MAX, 'l') + "\"}]"));
}

TEST_CASE_FIXTURE(Runs, "a run that no longer counts is told so when it logs") {
  Signal begun, stopped;
  std::atomic<int> code{-1};
  on("x", [&](hf_job* job) {
    begun.set();
    until_told(job);
    stopped.wait();
    code = hf_job_log(job, "late");
    return int{HF_OK};
  });
  REQUIRE(hf_start(engine) == HF_OK);
  add("x");
  begun.wait();
  REQUIRE(hf_stop(engine, 0) == HF_OK);
  stopped.set();
  close();
  CHECK(code == HF_E_STALE);
}

TEST_CASE_FIXTURE(Runs, "at its soft timeout a handler reads 2, and what it returns counts") {
  const hf_handler_options opts = soft(100);
  std::atomic<int> told{0};
  on("x", [&](hf_job* job) {
    told = until_told(job);
    hf_job_result(job, "half of it", 10);
    return int{HF_OK};
  }, &opts);
  REQUIRE(hf_start(engine) == HF_OK);
  const Seen seen = wait_final(add("x"));
  CHECK(told == 2);
  CHECK(seen.state == HF_STATE_COMPLETED);
  CHECK(seen.result == "half of it");
}

TEST_CASE_FIXTURE(Runs, "a function that goes on past its timeout is told of") {
  close();
  struct Log {
    std::mutex mutex;
    std::string text;
  } log;
  hf_options options = HF_OPTIONS_INIT;
  options.device = "gw";
  options.log_user = &log;
  options.log = [](int, const char* line, void* user) {
    std::lock_guard lock(static_cast<Log*>(user)->mutex);
    static_cast<Log*>(user)->text += std::string(line) + "\n";
  };
  open(&options);
  Signal go;
  hf_handler_options opts = HF_HANDLER_OPTIONS_INIT;
  opts.timeout_ms = 100;
  opts.max_attempts = 1;
  on("x", [&](hf_job*) {
    go.wait();
    return int{HF_OK};
  }, &opts);
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("x");
  CHECK(wait_final(id).state == HF_STATE_DEAD);
  {
    std::lock_guard lock(log.mutex);
    CHECK(log.text.find("handler_goes_on id=" + std::to_string(id) + " type=x") != std::string::npos);
  }
  go.set();
  close();
}

TEST_CASE_FIXTURE(Runs, "who asks later that it ends goes before the soft timeout") {
  const hf_handler_options opts = soft(100);
  Signal softly;
  std::atomic<int> then{0};
  on("x", [&](hf_job* job) {
    CHECK(until_told(job) == 2);
    softly.set();
    while ((then = hf_job_canceled(job)) == 2) std::this_thread::yield();
    return int{HF_RETRY};
  }, &opts);
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("x");
  softly.wait();
  REQUIRE(hf_cancel(engine, id) == HF_OK);
  CHECK(wait_final(id).state == HF_STATE_CANCELLED);
  CHECK(then == 1);
}

TEST_CASE_FIXTURE(Runs, "a run that returned HF_ASYNC hears of its soft timeout too") {
  const hf_handler_options opts = soft(100);
  Signal held;
  hf_job* run = nullptr;
  on("x", [&](hf_job* job) {
    run = job;
    held.set();
    return int{HF_ASYNC};
  }, &opts);
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id id = add("x");
  held.wait();
  CHECK(until_told(run) == 2);
  CHECK(hf_job_finish(run, HF_OK) == HF_OK);
  CHECK(wait_final(id).state == HF_STATE_COMPLETED);
}

TEST_CASE_FIXTURE(Runs, "a run that waits for a thread when its soft timeout comes begins all the same, and knows it") {
  reopen_with_one_worker();
  const hf_handler_options opts = soft(100);
  Signal softly, go;
  std::atomic<int> first{0}, second{0}, n{0};
  on("x", [&](hf_job* job) {
    if (n.fetch_add(1) != 0) return second = hf_job_canceled(job), int{HF_OK};
    first = until_told(job);
    softly.set();
    go.wait();
    return int{HF_OK};
  }, &opts);
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  const hf_job_spec both[] = {spec, spec};
  hf_job_id ids[2] = {};
  REQUIRE(hf_enqueue_many(engine, both, 2, ids) == HF_OK);
  REQUIRE(hf_start(engine) == HF_OK);
  softly.wait();
  get(ids[0]);  // a turn, so that what the one before asked for is done
  go.set();
  for (const hf_job_id id : ids) CHECK(wait_final(id).state == HF_STATE_COMPLETED);
  CHECK(first == 2);
  CHECK(second == 2);
}

TEST_CASE_FIXTURE(Runs, "a soft timeout that is none is refused") {
  const auto refusal = [&](int64_t soft_ms, int64_t timeout_ms) {
    hf_handler_options opts = soft(soft_ms);
    opts.timeout_ms = timeout_ms;
    CHECK(hf_register(engine, "bad", [](hf_job*, void*) { return int{HF_OK}; }, nullptr, &opts) == HF_E_INVALID);
    return std::string(hf_errmsg(engine));
  };
  CHECK(refusal(2000, 2000) == "soft_timeout is 2s and timeout 2s; soft_timeout has to be shorter");
  CHECK(refusal(99, 0) == "soft_timeout is 99ms; allowed is 100ms to 30d");
}
