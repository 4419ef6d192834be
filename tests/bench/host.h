// A program that has an engine, as the scenarios have it.
#pragma once

#include <holdfast.h>

#include <condition_variable>
#include <mutex>
#include <string>

#include "tests/bench/meter.h"

namespace hf::bench {

inline void check(int code, const char* what, hf_engine* engine = nullptr) {
  if (code == HF_OK) return;
  std::fprintf(stderr, "%s: %s: %s\n", what, hf_strerror(code), hf_errmsg(engine));
  std::exit(1);
}

class Semaphore {
 public:
  void add() {
    std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_one();
  }
  void take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return count_ > 0; });
    --count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

class Engine {
 public:
  explicit Engine(const std::string& path, bool keep = false, hf_durability durability = HF_DURABLE_SYNC, int workers = 0)
      : payload_(kPayloadBytes + kVary, 'p') {
    hf_options options = HF_OPTIONS_INIT;
    options.device = "bench";
    options.workers = workers;
    if (!keep) options.keep_completed_ms = -1;
    check(hf_open(path.c_str(), &options, &engine), "hf_open");
    spec_.type = "job";
    spec_.payload = payload_.data();
    spec_.payload_len = kPayloadBytes;
    spec_.durability = durability;
  }
  ~Engine() { check(hf_close(engine), "hf_close"); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void start(hf_handler_fn handler, void* user) const {
    check(hf_register(engine, "job", handler, user, nullptr), "hf_register", engine);
    check(hf_start(engine), "hf_start", engine);
    (void)figures();  // whatever starting does is done
  }
  hf_job_id enqueue() const {
    hf_job_id id = 0;
    check(hf_enqueue(engine, &spec_, &id), "hf_enqueue", engine);
    return id;
  }
  void work() const { check(hf_work(engine, 60000), "hf_work", engine); }  // one run, on this thread
  void enqueue_async(hf_enqueued_fn done, void* user) const {
    check(hf_enqueue_async(engine, &spec_, done, user), "hf_enqueue_async", engine);
  }
  hf_stats_info figures() const {
    hf_stats_info stats = HF_STATS_INFO_INIT;
    check(hf_stats(engine, &stats), "hf_stats", engine);
    return stats;
  }
  bool final(hf_job_id id) const {
    hf_job_info info = HF_JOB_INFO_INIT;
    int code = hf_get(engine, id, &info);
    if (code == HF_E_NOT_FOUND) return true;
    check(code, "hf_get", engine);
    bool is_final = info.state >= HF_STATE_COMPLETED;
    hf_job_info_free(&info);
    return is_final;
  }
  const hf_job_spec& spec() const { return spec_; }
  // The payload of the i-th job has between 92 and 108 bytes, 100 in the mean: with one size a byte more or less a row may decide
  // how many fill a page, and with it what a cycle costs.
  static void vary(hf_job_spec& spec, int i) { spec.payload_len = static_cast<size_t>(kPayloadBytes - kVary + i * 7 % (2 * kVary + 1)); }

  hf_engine* engine = nullptr;

 private:
  static constexpr int kVary = 8;
  std::string payload_;
  hf_job_spec spec_ = HF_JOB_SPEC_INIT;
};

}  // namespace hf::bench
