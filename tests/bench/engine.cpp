#include "tests/bench/engine.h"

#include <holdfast.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "tests/bench/meter.h"

namespace hf::bench {
namespace {

void check(int code, const char* what, hf_engine* engine = nullptr) {
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
  explicit Engine(const std::string& path, bool keep = false) : payload_(kPayloadBytes, 'p') {
    hf_options options = HF_OPTIONS_INIT;
    options.device = "bench";
    if (!keep) options.keep_completed_ms = -1;
    check(hf_open(path.c_str(), &options, &engine), "hf_open");
    spec_.type = "job";
    spec_.payload = payload_.data();
    spec_.payload_len = payload_.size();
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

  hf_engine* engine = nullptr;

 private:
  std::string payload_;
  hf_job_spec spec_ = HF_JOB_SPEC_INIT;
};

// `depth` jobs circulate: each run, on its end, puts the next job in.
struct Pipeline {
  Engine& engine;
  const int jobs;
  std::atomic<int> submitted{0}, ended{0};
  Semaphore all_ended{};

  void submit() {
    if (submitted.fetch_add(1) >= jobs) return;
    engine.enqueue_async([](int code, hf_job_id, void*) { check(code, "enqueue"); }, nullptr);
  }
  static int run(hf_job*, void* user) {
    auto* self = static_cast<Pipeline*>(user);
    self->submit();
    if (self->ended.fetch_add(1) + 1 == self->jobs) self->all_ended.add();
    return HF_OK;
  }
};

}  // namespace

void engine_insert(const std::string& path, int jobs) {
  Engine engine(path);
  std::vector<int64_t> took;
  (void)engine.figures();
  Meter meter;
  for (int i = 0; i < jobs; ++i) {
    int64_t begin = now_ns();
    engine.enqueue();
    took.push_back(now_ns() - begin);
  }
  Line().add(meter.cost(), jobs).add("p50_us", median(took) / 1000).print();
}

void engine_sequential(const std::string& path, int jobs, bool keep) {
  Semaphore ran;
  Engine engine(path, keep);
  engine.start([](hf_job*, void* user) -> int { return static_cast<Semaphore*>(user)->add(), HF_OK; }, &ran);
  std::vector<int64_t> took;
  Meter meter;
  for (int i = 0; i < jobs; ++i) {
    int64_t begin = now_ns();
    hf_job_id id = engine.enqueue();
    took.push_back(now_ns() - begin);
    ran.take();
    while (!engine.final(id)) {  // each look is a turn of the engine
    }
  }
  Line().add(meter.cost(), jobs).add("p50_us", median(took) / 1000).print();
}

void engine_pipeline(const std::string& path, int jobs, int depth) {
  Engine engine(path);
  Pipeline pipeline{engine, jobs};
  engine.start(&Pipeline::run, &pipeline);
  hf_stats_info before = engine.figures();
  Meter meter;
  for (int i = 0; i < depth; ++i) pipeline.submit();
  pipeline.all_ended.take();
  while (engine.figures().running != 0) {
  }
  Cost cost = meter.cost();
  hf_stats_info after = engine.figures();
  Line().add(cost, jobs).add("commits", static_cast<double>(after.commits_total - before.commits_total) / jobs).print();
}

void engine_fill(const std::string& path, int jobs, bool close) {
  Engine engine(path);
  constexpr int kBatch = 1000;
  std::vector<hf_job_spec> specs(kBatch, engine.spec());
  Meter meter;
  for (int left = jobs; left > 0; left -= kBatch) {
    size_t n = static_cast<size_t>(std::min(left, kBatch));
    check(hf_enqueue_many(engine.engine, specs.data(), n, nullptr), "hf_enqueue_many", engine.engine);
  }
  Line()
      .add(meter.cost(), jobs)
      .add("rss_kib", static_cast<double>(status_kib("VmRSS")))
      .add("file_bytes_a_job", static_cast<double>(engine.figures().file_bytes) / jobs)
      .print();
  std::fflush(stdout);
  if (!close) raise(SIGKILL);
}

void engine_first_claim(const std::string& path) {
  struct First {
    std::atomic<int64_t> at_ns{0};
    std::atomic<int> runs{0};
    Semaphore some_ran;
  } first;
  constexpr int kRuns = 1000;
  int64_t begin = now_ns();
  Engine engine(path);
  double opened = static_cast<double>(now_ns() - begin) / 1e6;
  engine.start(
      [](hf_job*, void* user) -> int {
        auto* f = static_cast<First*>(user);
        int64_t none = 0;
        f->at_ns.compare_exchange_strong(none, now_ns());
        if (f->runs.fetch_add(1) + 1 == kRuns) f->some_ran.add();
        return HF_OK;
      },
      &first);
  first.some_ran.take();
  Line()
      .add("open_ms", opened)
      .add("first_claim_ms", static_cast<double>(first.at_ns.load() - begin) / 1e6)
      .add("rss_kib", static_cast<double>(status_kib("VmRSS")))
      .add("rss_anon_kib", static_cast<double>(status_kib("RssAnon")))
      .print();
  std::fflush(stdout);
  _exit(0);  // not all of the million: the file is thrown away
}

void engine_crowd(const std::string& path, int jobs, int queues) {
  Engine engine(path);
  constexpr int kBatch = 1000, kKeys = 10;
  std::vector<std::string> names;
  for (int i = 0; i < std::max(queues, kKeys); ++i) names.push_back("n" + std::to_string(i));
  std::vector<hf_job_spec> specs(kBatch, engine.spec());
  for (int made = 0; made < jobs; made += kBatch) {
    for (int i = 0; i < kBatch; ++i) {
      hf_job_spec& spec = specs[static_cast<size_t>(i)];
      spec.type = "held";
      if (queues == 0) continue;
      spec.queue = names[static_cast<size_t>((made + i) % queues)].c_str();
      spec.concurrency_key = names[static_cast<size_t>((made + i) / queues % kKeys)].c_str();
    }
    check(hf_enqueue_many(engine.engine, specs.data(), kBatch, nullptr), "hf_enqueue_many", engine.engine);
  }
  Line().add("jobs", jobs).print();
}

void engine_beside(const std::string& path, int jobs) {
  Semaphore held, ran;
  Engine engine(path);
  hf_handler_options one = HF_HANDLER_OPTIONS_INIT;
  one.concurrency = 1;
  const auto hold = [](hf_job*, void* user) -> int {
    static_cast<Semaphore*>(user)->add();
    for (;;) pause();
  };
  check(hf_register(engine.engine, "held", hold, &held, &one), "hf_register", engine.engine);
  engine.start([](hf_job*, void* user) -> int { return static_cast<Semaphore*>(user)->add(), HF_OK; }, &ran);
  if (engine.figures().pending > 0) held.take();
  for (int i = 0; i < jobs; ++i) {
    engine.enqueue();
    ran.take();
  }
  Line().add("jobs", jobs).print();
  std::fflush(stdout);
  _exit(0);  // one runs for ever
}

void engine_drain(const std::string& path, int jobs) {
  struct Left {
    std::atomic<int> jobs;
    Semaphore none{};
  } left{jobs};
  Engine engine(path);
  const auto run = [](hf_job*, void* user) -> int {
    auto* l = static_cast<Left*>(user);
    if (l->jobs.fetch_sub(1) == 1) l->none.add();
    return HF_OK;
  };
  check(hf_register(engine.engine, "held", run, &left, nullptr), "hf_register", engine.engine);
  check(hf_start(engine.engine), "hf_start", engine.engine);
  left.none.take();
  Line().add("jobs", jobs).print();
  std::fflush(stdout);
  _exit(0);
}

}  // namespace hf::bench
