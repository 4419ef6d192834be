#include "tests/bench/engine.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "tests/bench/host.h"

namespace hf::bench {
namespace {

// `depth` jobs circulate: each run, on its end, puts the next job in.
class Pipeline {
 public:
  explicit Pipeline(const std::string& path) : engine_(path) { engine_.start(&Pipeline::run, this); }
  // Returns when so many more have run and are recorded.
  void go(int jobs, int depth) {
    jobs_ = jobs;
    submitted_ = ended_ = 0;
    for (int i = 0; i < depth; ++i) submit();
    all_ended_.take();
    while (figures().running != 0) {
    }
  }
  hf_stats_info figures() const { return engine_.figures(); }

 private:
  void submit() {
    if (submitted_.fetch_add(1) >= jobs_) return;
    engine_.enqueue_async([](int code, hf_job_id, void*) { check(code, "enqueue"); }, nullptr);
  }
  static int run(hf_job*, void* user) {
    auto* self = static_cast<Pipeline*>(user);
    self->submit();
    if (self->ended_.fetch_add(1) + 1 == self->jobs_) self->all_ended_.add();
    return HF_OK;
  }

  Engine engine_;
  int jobs_ = 0;
  std::atomic<int> submitted_{0}, ended_{0};
  Semaphore all_ended_;
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

void engine_sequential(const std::string& path, int jobs, bool keep, hf_durability durability) {
  Semaphore ran;
  Engine engine(path, keep, durability);
  engine.start([](hf_job*, void* user) -> int { return static_cast<Semaphore*>(user)->add(), HF_OK; }, &ran);
  Meter meter;
  for (int i = 0; i < jobs; ++i) {
    hf_job_id id = engine.enqueue();
    ran.take();
    while (!engine.final(id)) {  // each look is a turn of the engine
    }
  }
  Line().add(meter.cost(), jobs).print();
}

void engine_own_thread(const std::string& path, int jobs, hf_durability durability) {
  int ran = 0;
  Engine engine(path, false, durability, HF_NO_WORKERS);
  engine.start([](hf_job*, void* user) -> int { return ++*static_cast<int*>(user), HF_OK; }, &ran);
  Meter meter;
  for (int i = 0; i < jobs; ++i) {
    engine.enqueue();
    engine.work();
  }
  Line().add(meter.cost(), jobs).print();
  if (ran != jobs || engine.figures().running != 0) std::exit(1);
}

void engine_pipeline(const std::string& path, int jobs, int depth) {
  Pipeline pipeline(path);
  hf_stats_info before = pipeline.figures();
  Meter meter;
  pipeline.go(jobs, depth);
  Cost cost = meter.cost();
  hf_stats_info after = pipeline.figures();
  Line().add(cost, jobs).add("commits", static_cast<double>(after.commits_total - before.commits_total) / jobs).print();
}

void engine_soak(const std::string& path, int jobs, int warm) {
  constexpr int kDepth = 50;
  Pipeline pipeline(path);
  pipeline.go(warm, kDepth);
  const auto before = static_cast<double>(status_kib("VmRSS"));
  pipeline.go(jobs, kDepth);
  Line().add("before_kib", before).add("after_kib", static_cast<double>(status_kib("VmRSS"))).print();
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

}  // namespace hf::bench
