// Pending jobs beside those that run.
#include <unistd.h>

#include <atomic>

#include "tests/bench/engine.h"
#include "tests/bench/host.h"

namespace hf::bench {

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
  struct Ran {
    Semaphore ran;
    std::atomic<int64_t> at_ns{0};
  } next;
  Semaphore held;
  Engine engine(path);
  hf_handler_options one = HF_HANDLER_OPTIONS_INIT;
  one.concurrency = 1;
  const auto hold = [](hf_job*, void* user) -> int {
    static_cast<Semaphore*>(user)->add();
    for (;;) pause();
  };
  const auto run = [](hf_job*, void* user) -> int {
    auto* n = static_cast<Ran*>(user);
    n->at_ns = now_ns();
    n->ran.add();
    return HF_OK;
  };
  check(hf_register(engine.engine, "held", hold, &held, &one), "hf_register", engine.engine);
  engine.start(run, &next);
  if (engine.figures().pending > 0) held.take();
  std::vector<int64_t> took;
  int64_t looks = 0;
  hf_job_spec more = engine.spec();
  more.type = "held";
  for (int i = 0; i < jobs; ++i) {
    // What a cycle costs depends on how full the last page is, to a quarter: one more that waits moves it on.
    if (i % 20 == 0) check(hf_enqueue(engine.engine, &more, nullptr), "hf_enqueue", engine.engine);
    const int64_t begin = now_ns();
    const hf_job_id id = engine.enqueue();
    next.ran.take();
    took.push_back(next.at_ns - begin);
    do ++looks;
    while (!engine.final(id));
  }
  Line().add("jobs", jobs).add("looks", static_cast<double>(looks) / jobs).add("to_run_p50_us", median(took) / 1000).print();
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
  hf_handler_options one = HF_HANDLER_OPTIONS_INIT;
  one.concurrency = 1;  // each end is a turn: else it depends on the threads how many share one
  check(hf_register(engine.engine, "held", run, &left, &one), "hf_register", engine.engine);
  check(hf_start(engine.engine), "hf_start", engine.engine);
  left.none.take();
  Line().add("jobs", jobs).print();
  std::fflush(stdout);
  _exit(0);
}

}  // namespace hf::bench
