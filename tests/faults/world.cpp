#include "world.h"

#include <doctest/doctest.h>
#include <execinfo.h>
#include <fcntl.h>
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
#include <iterator>
#include <thread>
#include <utility>

#include "fault.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

using fault::library;
using fault::Spare;

namespace hf::test {
namespace {

// ctest's limit would not say where it hangs.
constexpr unsigned kHangSeconds = 60;
constexpr int64_t kPatienceMs = 20'000;
constexpr const char* kClip = "what a file holds";
char place[96];
void tell_place() { (void)!write(STDERR_FILENO, place, strlen(place)); }
void hangs(int) { abort(); }
void ends(int) {
  tell_place();
  void* frames[64];  // of what was thrown where nobody catches it, too: nothing was unwound
  backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
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

int run(hf_job* job, void*) {
  Spare mine;
  size_t size = 0;
  const void* payload = hf_job_payload(job, &size);
  const int code = library([&] { return hf_job_result(job, payload, size); });
  return code == HF_OK ? 0 : int{HF_DEFER};
}

size_t descriptors_now() {
  using Folder = std::filesystem::directory_iterator;
  return static_cast<size_t>(std::distance(Folder("/proc/self/fd"), Folder()));
}

}  // namespace

World::World() {
  const std::string soon = R"("defer":"20ms","max_attempts":20,"backoff":{"base":"10ms","max":"20ms"})";
  const std::string tls = R"("allow_private":true,"tls":{"ca":")" + ca_.file() + R"("})";
  const std::string outbox = dir_ / "outbox";
  std::filesystem::create_directory(outbox);
  std::ofstream(outbox + "/clip.bin") << kClip;
  std::ofstream(dir_ / "config.json")
      << R"({"handlers":{"prog":{"exec":["/bin/cat"],)" << soon << R"(,"sink":"cloud","callback":"hooks"},)"
      << R"("call":{"http":{"url":"http://localhost:)" << plain_.port() << R"(/","allow_private":true},)" << soon << "},"
      << R"("trusting":{"http":{"url":"https://localhost:)" << stranger_.port() << R"(/",)" << tls << "}," << soon << "}},"
      << R"("sinks":{"cloud":{"url":"https://localhost:)" << cloud_.port() << R"(/",)" << tls << "," << soon << "},"
      << R"("far":{"url":"https://localhost/","proxy":"http://localhost:)" << far_.port() << R"(",)" << tls << "," << soon << "},"
      << R"("bus":{"url":"nats://localhost:)" << bus_.port() << R"(","nats":{"subject":"gw"},"allow_private":true,)" << soon << "},"
      << R"("hooks":{"url":"http://localhost:)" << plain_.port() << R"(/","allow_private":true,"format":"raw","batch":{"max_jobs":1},)" << soon << "},"
      << R"("videos":{"url":"http://localhost:)" << plain_.port() << R"(/","allow_private":true,"files":{"root":")" << outbox << R"(","protocol":"put"},)" << soon << "}}}";
}

uint64_t World::live(int64_t n, int64_t for_ms) {
  CAPTURE(n);
  CAPTURE(for_ms);
  std::snprintf(place, sizeof place, "HOLDFAST_FAULT=%lld:%lld\n", static_cast<long long>(n), static_cast<long long>(for_ms));
  alarm(kHangSeconds);
  Spare mine;
  for (const char* suffix : {"", "-wal", "-shm", ".ballast"}) std::filesystem::remove(dir_ / "queue.db" + suffix);
  acknowledged_.clear();
  for (RememberingPeer* peer : {&plain_, &cloud_, &far_, &bus_}) peer->forget();
  fault::set(n, for_ms);
  open();
  work(n);
  wait_for_all();
  CHECK(library([&] { return hf_close(engine_); }) == HF_OK);
  const uint64_t counted = fault::counted;
  if (fault::refused == 0 && n > 0) ++missed;
  fault::set(0, 0);
  open();
  check();
  CHECK(hf_close(engine_) == HF_OK);
  if (n == 0) descriptors_ = std::min(descriptors_, descriptors_now());
  // The peers may still be closing theirs.
  for (const int64_t until = fault::now_ms() + 3000; descriptors_now() > descriptors_ && fault::now_ms() < until;) std::this_thread::yield();
  CHECK(descriptors_now() <= descriptors_);
  descriptors_ = std::max(descriptors_, descriptors_now());  // each is told once
  alarm(0);
  return counted;
}

// Until it is done: what fails can be tried again.
template <class F>
void World::must(const char* what, F call) {
  for (const int64_t until = fault::now_ms() + kPatienceMs;;) {
    const int code = library(call);
    if (code == HF_OK) return;
    const std::string why = std::string(hf_errname(code)) + " " + hf_errmsg(engine_);
    REQUIRE_MESSAGE(fault::now_ms() < until, what << ": " << why);
    REQUIRE_MESSAGE((code == HF_E_NO_MEMORY || code == HF_E_IO || code == HF_E_INVALID), what << ": " << why);
  }
}

void World::open() {
  hf_options options = HF_OPTIONS_INIT;
  options.device = "gw";
  options.crash_loop = -1;
  options.ballast = -1;
  options.workers = 2;
  const std::string file = dir_ / "queue.db", config = dir_ / "config.json";
  must("hf_open", [&] { return hf_open(file.c_str(), &options, &engine_); });
  hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
  handler.defer_ms = 20;
  handler.max_attempts = 20;
  must("hf_register", [&] { return hf_register(engine_, "fn", run, nullptr, &handler); });
  for (const auto& [type, sink] : {std::pair("send", "cloud"), std::pair("tunnel", "far"), std::pair("publish", "bus"), std::pair("clip", "videos")}) {
    handler.sink = sink;
    must("hf_register", [&] { return hf_register(engine_, type, run, nullptr, &handler); });
  }
  must("hf_load_config", [&] { return hf_load_config(engine_, config.c_str()); });
  must("hf_start", [&] { return hf_start(engine_); });
}

void World::add(const char* type, const std::string& payload, const std::string& token) {
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = type;
  spec.payload = payload.data();
  spec.payload_len = payload.size();
  hf_job_id id = 0;
  // What was refused was not taken. Asked for again it is another job.
  must("hf_enqueue", [&] { return hf_enqueue(engine_, &spec, &id); });
  acknowledged_[id] = {type, token};
  ++acknowledged;
}

void World::add_async(const std::string& token) {
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

void World::work(int64_t n) {
  const std::string name = std::to_string(n) + "-";
  add("fn", "fn" + name + "1;");
  const std::string socket = dir_ / "admin";
  must("hf_serve", [&] { return hf_serve(engine_, socket.c_str(), nullptr); });
  add_async("async" + name + "2;");
  add("send", "send" + name + "3;");
  add("prog", "prog" + name + "4;");
  add("call", "call" + name + "5;");
  add("trusting", "trusting" + name + "6;");
  add("tunnel", "tunnel" + name + "7;");
  add("publish", "publish" + name + "8;");
  add("clip", R"({"file":"clip.bin"})", kClip);
  const std::string job = "/v1/jobs/" + std::to_string(acknowledged_.begin()->first);
  for (const std::string& path : {job, job + "/why", std::string("/v1/jobs"), std::string("/v1/stats"), std::string("/metrics"), std::string("/healthz"),
                                  job + "/wait?timeout=1s", std::string("/v1/nothing")})
    (void)admin(socket, get(path));
  (void)admin(socket, post("/v1/jobs", R"({"type":"fn","payload":"by socket"})"));
  (void)admin(socket, post("/v1/jobs", R"({"type":)"));
}

void World::wait_for_all() {
  const int64_t until = fault::now_ms() + kPatienceMs;
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
      REQUIRE_MESSAGE(fault::now_ms() < until, "never ends: " << job.token << " state " << state << " attempts " << info.attempts);
    }
  }
}

void World::wait_for_callback(hf_job_id id) {
  const std::string told = R"({"type":"job.completed",)", of = "\"id\":" + std::to_string(id) + ",";
  for (const int64_t until = fault::now_ms() + kPatienceMs; !(plain_.has(told) && plain_.has(of)); std::this_thread::yield()) {
    REQUIRE_MESSAGE(fault::now_ms() < until, "nobody was told that job " << id << " has completed");
  }
}

// When nothing fails.
void World::check() {
  for (const auto& [id, job] : acknowledged_) {
    hf_job_info info = HF_JOB_INFO_INIT;
    REQUIRE_MESSAGE(hf_get(engine_, id, &info) == HF_OK, "lost: " << job.token);
    CHECK_MESSAGE((info.state == HF_STATE_COMPLETED) == (job.type != "trusting"), job.token << ": " << std::string(info.error != nullptr ? info.error : ""));
    if (job.type == "send" || job.type == "prog") CHECK_MESSAGE(cloud_.has(job.token), "completed, and the peer has it not: " << job.token);
    if (job.type == "call" || job.type == "clip") CHECK_MESSAGE(plain_.has(job.token), "completed, and the peer has it not: " << job.token);
    if (job.type == "tunnel") CHECK_MESSAGE(far_.has(job.token), "completed, and the peer has it not: " << job.token);
    if (job.type == "publish") CHECK_MESSAGE(bus_.has(job.token), "completed, and the broker has it not: " << job.token);
    hf_job_info_free(&info);
    if (job.type == "prog") wait_for_callback(id);
  }
  CHECK_MESSAGE(!stranger_.has_something(), "a server that is not to be trusted was");
}

void fail_each(uint64_t at_least, uint64_t share, uint64_t share_if_slow) {
  void* frame;
  backtrace(&frame, 1);  // the first one loads a library
  signal(SIGALRM, hangs);
  signal(SIGABRT, ends);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(tell_place);
  const char* asked = std::getenv("HOLDFAST_FAULTS");
  const char* only = std::getenv("HOLDFAST_FAULT");
  World world;
  uint64_t places = UINT64_MAX;  // that each life has: on a busy machine some have many more
  for (int i = 0; i < 3; ++i) places = std::min(places, world.live(0, 0));
  REQUIRE(places > at_least);
  if (only != nullptr) {
    const char* ms = strchr(only, ':');
    world.live(std::atoll(only), ms != nullptr ? std::atoll(ms + 1) : 0);
    return;
  }
  const char* emulator = std::getenv("HOLDFAST_EMULATOR");
  const bool slow = emulator != nullptr && *emulator != '\0';
  const uint64_t tries = asked != nullptr ? std::strtoull(asked, nullptr, 10) : slow ? share_if_slow : share;
  const uint64_t step = std::max<uint64_t>(1, places / std::max<uint64_t>(tries, 1));
  uint64_t tried = 0;
  for (int64_t for_ms : {0, 15}) {
    for (uint64_t n = 1 + static_cast<uint64_t>(for_ms) % step; n <= places; n += step, ++tried) {
      const uint64_t missed = world.missed;
      const uint64_t counted = world.live(static_cast<int64_t>(n), for_ms);
      if (world.missed != missed) places = std::min(places, counted);
    }
  }
  std::printf("%llu places, %llu lives, %llu jobs acknowledged, %llu lives without a failure\n", static_cast<unsigned long long>(places),
              static_cast<unsigned long long>(tried), static_cast<unsigned long long>(world.acknowledged), static_cast<unsigned long long>(world.missed));
  CHECK(world.missed <= tried / 4);
}

}  // namespace hf::test
