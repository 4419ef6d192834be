// Every allocation of the library and of the libraries under it fails, on whichever thread, once and for a while: through
// opening, the admin socket, enqueues, functions, programs, uploads and the close. The process lives on, nobody waits for
// ever, and what was acknowledged is there and comes to its end; completed means that the peer has it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <holdfast.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "failing_new.h"
#include "peer.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

using failing_new::library;
using failing_new::Spare;

namespace hf::test {
namespace {

// ctest's limit would not say where it hangs.
constexpr unsigned kHangSeconds = 60;
constexpr int64_t kPatienceMs = 20'000;
char place[96];
void tell_place() { (void)!write(STDERR_FILENO, place, strlen(place)); }
void hangs(int) { abort(); }
void ends(int) {
  tell_place();
  signal(SIGABRT, SIG_DFL);
}

// What a client of the admin socket gets to read until it is cut off or has one answer; "" is an answer too, but no end
// within two seconds is none.
std::string admin(const std::string& path, const std::string& request) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  std::string got;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const timeval limit{5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)!send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    char data[4096];
    ssize_t n;
    while ((n = recv(fd, data, sizeof data, 0)) > 0 || (n < 0 && errno == EINTR)) {
      if (n > 0) got.append(data, static_cast<size_t>(n));
    }
    const int error = n == 0 ? 0 : errno;
    CHECK_MESSAGE((error == 0 || error == ECONNRESET), "no answer and no end (" << error << "): " << request << got);
  }
  close(fd);
  return got;
}
std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"; }
std::string post(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class World {
 public:
  World() {
    char name[] = "/tmp/hf-faults-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    dir_ = name;
    const std::string soon = R"("defer":"20ms","max_attempts":20,"backoff":{"base":"10ms","max":"20ms"})";
    const std::string tls = R"("allow_private":true,"tls":{"ca":")" + ca_.file() + R"("})";
    std::ofstream(dir_ + "/config.json")
        << R"({"handlers":{"prog":{"exec":["/bin/cat"],)" << soon << R"(,"sink":"cloud"},)"
        << R"("call":{"http":{"url":"http://localhost:)" << plain_.port() << R"(/","allow_private":true},)" << soon << "},"
        << R"("trusting":{"http":{"url":"https://localhost:)" << stranger_.port() << R"(/",)" << tls << "}," << soon << "}},"
        << R"("sinks":{"cloud":{"url":"https://localhost:)" << cloud_.port() << R"(/",)" << tls << "," << soon << "}}}";
  }
  ~World() {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }

  // A life of the program in which the n-th allocation fails; 0: none. How many there were.
  uint64_t live(int64_t n, int64_t for_ms) {
    CAPTURE(n);
    CAPTURE(for_ms);
    std::snprintf(place, sizeof place, "HOLDFAST_FAULT=%lld:%lld\n", static_cast<long long>(n), static_cast<long long>(for_ms));
    alarm(kHangSeconds);
    Spare mine;
    for (const char* suffix : {"", "-wal", "-shm", ".ballast"}) std::filesystem::remove(dir_ + "/queue.db" + suffix);
    acknowledged_.clear();
    for (RememberingPeer* peer : {&plain_, &cloud_}) peer->forget();
    failing_new::set(n, for_ms);
    open();
    work(n);
    const uint64_t counted = failing_new::counted;
    wait_for_all();
    CHECK(library([&] { return hf_close(engine_); }) == HF_OK);
    if (failing_new::refused == 0 && n > 0) ++missed;
    failing_new::set(0, 0);
    open();
    check();
    CHECK(hf_close(engine_) == HF_OK);
    alarm(0);
    return counted;
  }
  uint64_t missed = 0;  // lives in which no allocation failed: there were fewer than thought
  uint64_t acknowledged = 0;

 private:
  // Until it is done: without memory it fails and can be tried again.
  template <class F>
  void must(const char* what, F call) {
    for (const int64_t until = failing_new::now_ms() + kPatienceMs;;) {
      const int code = library(call);
      if (code == HF_OK) return;
      const std::string why = std::string(hf_errname(code)) + " " + hf_errmsg(engine_);
      REQUIRE_MESSAGE(failing_new::now_ms() < until, what << ": " << why);
      REQUIRE_MESSAGE((code == HF_E_NO_MEMORY || code == HF_E_IO || code == HF_E_INVALID), what << ": " << why);
    }
  }
  static int run(hf_job* job, void*) {
    Spare mine;
    size_t size = 0;
    const void* payload = hf_job_payload(job, &size);
    const int code = library([&] { return hf_job_result(job, payload, size); });
    return code == HF_OK ? 0 : int{HF_DEFER};
  }
  void open() {
    hf_options options = HF_OPTIONS_INIT;
    options.device = "gw";
    options.crash_loop = -1;
    options.ballast = -1;
    options.workers = 2;
    const std::string file = dir_ + "/queue.db", config = dir_ + "/config.json";
    must("hf_open", [&] { return hf_open(file.c_str(), &options, &engine_); });
    hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
    handler.defer_ms = 20;
    handler.max_attempts = 20;
    must("hf_register", [&] { return hf_register(engine_, "fn", run, nullptr, &handler); });
    handler.sink = "cloud";
    must("hf_register", [&] { return hf_register(engine_, "send", run, nullptr, &handler); });
    must("hf_load_config", [&] { return hf_load_config(engine_, config.c_str()); });
    must("hf_start", [&] { return hf_start(engine_); });
  }
  void add(const char* type, const std::string& token) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = type;
    spec.payload = token.data();
    spec.payload_len = token.size();
    hf_job_id id = 0;
    // What was refused was not taken. Asked for again it is another job.
    must("hf_enqueue", [&] { return hf_enqueue(engine_, &spec, &id); });
    acknowledged_[id] = {type, token};
    ++acknowledged;
  }
  struct Told {  // outlives the call
    std::atomic<int> code{0};
    std::atomic<hf_job_id> id{0};
  } told_;
  void add_async(const std::string& token) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = "fn";
    spec.payload = token.data();
    spec.payload_len = token.size();
    for (int code = HF_E_NO_MEMORY; code != HF_OK;) {
      told_.code = 1;
      must("hf_enqueue_async", [&] {
        return hf_enqueue_async(engine_, &spec, [](int c, hf_job_id id, void* user) {
          static_cast<Told*>(user)->id = id;
          static_cast<Told*>(user)->code = c;
          static_cast<Told*>(user)->code.notify_one();
        }, &told_);
      });
      told_.code.wait(1);  // each is told, once
      code = told_.code;
      if (code == HF_OK) acknowledged_[told_.id] = {"fn", token};
    }
  }
  void work(int64_t n) {
    const std::string name = std::to_string(n) + "-";
    add("fn", "fn" + name + "1;");
    const std::string socket = dir_ + "/admin";
    must("hf_serve", [&] { return hf_serve(engine_, socket.c_str(), nullptr); });
    add_async("async" + name + "2;");
    add("send", "send" + name + "3;");
    add("prog", "prog" + name + "4;");
    add("call", "call" + name + "5;");
    add("trusting", "trusting" + name + "6;");
    const std::string job = "/v1/jobs/" + std::to_string(acknowledged_.begin()->first);
    for (const std::string& path : {job, job + "/why", std::string("/v1/jobs"), std::string("/v1/stats"), std::string("/metrics"), std::string("/healthz"),
                                    job + "/wait?timeout=1s", std::string("/v1/nothing")})
      (void)admin(socket, get(path));
    (void)admin(socket, post("/v1/jobs", R"({"type":"fn","payload":"by socket"})"));
    (void)admin(socket, post("/v1/jobs", R"({"type":)"));
  }
  // Each hf_get waits for a turn of the engine, so this does not spin.
  void wait_for_all() {
    const int64_t until = failing_new::now_ms() + kPatienceMs;
    for (const auto& [id, job] : acknowledged_) {
      if (job.type == "trusting") continue;  // waits for ever
      int state = -1;
      while (state < HF_STATE_COMPLETED) {
        hf_job_info info = HF_JOB_INFO_INIT;
        const int code = library([&, want = id] { return hf_get(engine_, want, &info); });
        if (code == HF_OK) {
          state = info.state;
          hf_job_info_free(&info);
        } else {
          REQUIRE_MESSAGE((code == HF_E_NO_MEMORY || code == HF_E_IO), hf_errname(code) << " " << hf_errmsg(engine_));
        }
        REQUIRE_MESSAGE(failing_new::now_ms() < until, "never ends: " << job.token << " state " << state << " attempts " << info.attempts);
      }
    }
  }
  // With memory.
  void check() {
    for (const auto& [id, job] : acknowledged_) {
      hf_job_info info = HF_JOB_INFO_INIT;
      REQUIRE_MESSAGE(hf_get(engine_, id, &info) == HF_OK, "lost: " << job.token);
      CHECK_MESSAGE((info.state == HF_STATE_COMPLETED) == (job.type != "trusting"), job.token << ": " << std::string(info.error != nullptr ? info.error : ""));
      if (job.type == "send" || job.type == "prog") CHECK_MESSAGE(cloud_.has(job.token), "completed, and the peer has it not: " << job.token);
      if (job.type == "call") CHECK_MESSAGE(plain_.has(job.token), "completed, and the peer has it not: " << job.token);
      hf_job_info_free(&info);
    }
    CHECK_MESSAGE(!stranger_.has_something(), "a server that is not to be trusted was");
  }

  struct Job {
    std::string type, token;
  };
  std::string dir_;
  TestCa ca_{"Test Root"}, others_{"Stranger"};
  RememberingPeer plain_, cloud_{ca_.issue("localhost", "DNS:localhost")}, stranger_{others_.issue("localhost", "DNS:localhost")};
  hf_engine* engine_ = nullptr;
  std::map<hf_job_id, Job> acknowledged_;
};

}  // namespace

TEST_CASE("faults: each allocation fails, once and for a while") {
  signal(SIGALRM, hangs);
  signal(SIGABRT, ends);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(tell_place);
  const char* asked = std::getenv("HOLDFAST_FAULTS");
  const char* only = std::getenv("HOLDFAST_FAULT");  // one place, "N" or "N:MS", to look at
  World world;
  uint64_t places = 0;
  for (int i = 0; i < 3; ++i) places = std::max(places, world.live(0, 0));
  REQUIRE(places > 1000);
  if (only != nullptr) {
    const char* ms = strchr(only, ':');
    world.live(std::atoll(only), ms != nullptr ? std::atoll(ms + 1) : 0);
    return;
  }
  const char* emulator = std::getenv("HOLDFAST_EMULATOR");
  const bool slow = emulator != nullptr && *emulator != '\0';
  const uint64_t share = asked != nullptr ? std::strtoull(asked, nullptr, 10) : slow ? 8 : 60;
  const uint64_t step = std::max<uint64_t>(1, places / std::max<uint64_t>(share, 1));
  uint64_t tried = 0;
  for (int64_t for_ms : {0, 15}) {
    for (uint64_t n = 1 + static_cast<uint64_t>(for_ms) % step; n <= places; n += step, ++tried) world.live(static_cast<int64_t>(n), for_ms);
  }
  std::printf("%llu places, %llu lives, %llu jobs acknowledged, %llu lives without a failure\n", static_cast<unsigned long long>(places),
              static_cast<unsigned long long>(tried), static_cast<unsigned long long>(world.acknowledged), static_cast<unsigned long long>(world.missed));
  CHECK(world.missed < tried / 4);
}

}  // namespace hf::test
