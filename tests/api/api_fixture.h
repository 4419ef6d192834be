// An engine opened through the C API, on a file of its own.
#pragma once

#include <doctest/doctest.h>
#include <holdfast.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "tests/temp_folder.h"

namespace hf::test {

inline std::string bytes(const void* data, size_t len) { return std::string(static_cast<const char*>(data), len); }

class ApiFixture {
 public:
  ApiFixture() {
    path = dir + "/queue.db";
    open();
  }
  ~ApiFixture() {
    if (engine != nullptr) hf_close(engine);
  }
  void open(const hf_options* opts = nullptr) {
    hf_options defaults = HF_OPTIONS_INIT;
    defaults.device = "gw";
    int code = hf_open(path.c_str(), opts != nullptr ? opts : &defaults, &engine);
    INFO(hf_errmsg(nullptr));
    REQUIRE(code == HF_OK);
  }
  // Closed, and opened again with one thread for handlers.
  void reopen_with_one_worker() {
    close();
    hf_options one = HF_OPTIONS_INIT;
    one.device = "gw";
    one.workers = 1;
    open(&one);
  }
  void close() {
    CHECK(hf_close(engine) == HF_OK);
    engine = nullptr;
  }

  // A handler in C++: `body` is called on a worker thread, one run at a time a type.
  void on(const std::string& type, std::function<int(hf_job*)> body, const hf_handler_options* opts = nullptr) {
    bodies[type] = std::move(body);
    REQUIRE(hf_register(engine, type.c_str(), [](hf_job* job, void* user) {
              return (*static_cast<std::function<int(hf_job*)>*>(user))(job);
            }, &bodies[type], opts) == HF_OK);
  }
  hf_job_id add(const char* type, const std::string& payload = "", hf_durability durability = HF_DURABLE_SYNC) {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.durability = durability;
    spec.type = type;
    spec.payload = payload.data();
    spec.payload_len = payload.size();
    hf_job_id id = 0;
    int code = hf_enqueue(engine, &spec, &id);
    INFO(hf_errmsg(engine));
    REQUIRE(code == HF_OK);
    return id;
  }
  struct Seen {
    int state, attempts;
    std::string result, error, key, payload;
  };
  Seen get(hf_job_id id) {
    hf_job_info info = HF_JOB_INFO_INIT;
    REQUIRE(hf_get(engine, id, &info) == HF_OK);
    Seen seen{info.state, info.attempts, bytes(info.result, info.result_len), info.error, info.key, bytes(info.payload, info.payload_len)};
    hf_job_info_free(&info);
    return seen;
  }
  // Each hf_get waits for a turn of the engine, so this does not spin; a job that never ends fails by ctest's limit.
  Seen wait_final(hf_job_id id) {
    while (true) {
      Seen seen = get(id);
      if (seen.state >= HF_STATE_COMPLETED) return seen;
    }
  }

  const TempFolder home;
  const std::string dir = home.path();
  std::string path;
  hf_engine* engine = nullptr;
  std::map<std::string, std::function<int(hf_job*)>> bodies;
};

// Something that a test waits for and a handler tells.
class Signal {
 public:
  void set() {
    std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

// How often something happened.
class Count {
 public:
  void add() {
    std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  void wait(int at_least) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count_ >= at_least; });
  }
  int count() {
    std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

}  // namespace hf::test
