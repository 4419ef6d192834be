// An idle house makes no system call: its threads are not even switched to.
#include <doctest/doctest.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <map>
#include <string>

#include "platform/clock.h"
#include "platform/code_pages.h"
#include "platform/http_server.h"
#include "platform/loop.h"
#include "platform/workers.h"
#include "tests/temp_folder.h"
#include "unix_client.h"

using namespace hf;

namespace {

// Context switches of each thread of ours, by thread number. (A sanitizer or an emulator has threads of its own.)
std::map<std::string, long> switches() {
  std::map<std::string, long> all;
  DIR* tasks = opendir("/proc/self/task");
  REQUIRE(tasks != nullptr);
  while (const dirent* task = readdir(tasks)) {
    std::ifstream status(std::string("/proc/self/task/") + task->d_name + "/status");
    bool ours = false;
    long sum = 0;
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("Name:\thf-", 0) == 0) ours = true;
      if (line.find("voluntary_ctxt_switches:") != std::string::npos) sum += std::stol(line.substr(line.find('\t')));
    }
    if (ours) all[task->d_name] = sum;
  }
  closedir(tasks);
  return all;
}

// A stretch of time to look at, not a wait for something.
void let_pass(int ms) { poll(nullptr, 0, ms); }

}  // namespace

TEST_CASE("idle: loop, server, timers, signals and workers do not run") {
  const TempFolder folder;
  auto loop = Loop::create();
  REQUIRE(loop.ok());
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<BootTimer> timer;
  std::unique_ptr<SignalWatch> signals;
  std::promise<void> ready, gone, worked;
  (*loop)->post([&] {
    HttpServerOptions options;
    options.socket_path = folder / "s";
    server = *HttpServer::create(**loop, options, [](ServerRequest, Responder responder) { responder.reply({}); });
    timer = *BootTimer::create((*loop)->uv(), [] { FAIL("a month is not over"); });
    timer->set(boot_ms() + 30LL * 24 * 3600 * 1000);
    signals = *SignalWatch::create((*loop)->uv(), {SIGHUP}, [](int) {});
    ready.set_value();
  });
  REQUIRE((*loop)->start().ok());
  ready.get_future().get();
  Workers workers(4);
  Workers::Tasks task = workers.make(1);
  task.front().run = [&] { worked.set_value(); };
  REQUIRE(workers.submit(task).ok());
  worked.get_future().get();
  UnixClient client(folder / "s");  // stays connected
  CHECK(client.get("/").status == 200);

  // The threads are going to rest for a moment after their last work; once at rest they stay so.
  auto before = switches();
  REQUIRE(before.size() == 2);
  bool rested = false;
  for (int round = 0; round < 100 && !rested; ++round) {
    let_pass(100);
    auto after = switches();
    rested = after == before;
    before = std::move(after);
  }
  CHECK(rested);
  let_pass(1000);
  CHECK(switches() == before);

  (*loop)->post([&] {
    signals.reset();
    timer.reset();
    server.reset();
    gone.set_value();
  });
  gone.get_future().get();
  (*loop)->stop();
}

TEST_CASE("idle: code that only the start needed is let go of, and what is needed comes back") {
  const char* emulator = std::getenv("HOLDFAST_EMULATOR");
  const auto mapped_kib = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("RssFile:", 0) == 0) return std::stol(line.substr(8));
    }
    return 0L;
  };
  const long before = mapped_kib();
  let_go_of_code();
  if (emulator == nullptr || *emulator == '\0') CHECK(mapped_kib() < before);  // an emulator's own memory is seen there
}
