// Pending jobs beside those that run.
#include <unistd.h>

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
      Engine::vary(spec, made + i);
      if (queues == 0) continue;
      spec.queue = names[static_cast<size_t>((made + i) % queues)].c_str();
      spec.concurrency_key = names[static_cast<size_t>((made + i) / queues % kKeys)].c_str();
    }
    check(hf_enqueue_many(engine.engine, specs.data(), kBatch, nullptr), "hf_enqueue_many", engine.engine);
  }
  Line().add("jobs", jobs).print();
}

void engine_beside(const std::string& path, int jobs) {
  Engine engine(path, false, HF_DURABLE_SYNC, HF_NO_WORKERS);
  hf_handler_options one = HF_HANDLER_OPTIONS_INIT;
  one.concurrency = 1;
  check(hf_register(engine.engine, "held", [](hf_job*, void*) -> int { return HF_ASYNC; }, nullptr, &one), "hf_register", engine.engine);
  int64_t ran_at_ns = 0;
  engine.start([](hf_job*, void* user) -> int { return *static_cast<int64_t*>(user) = now_ns(), HF_OK; }, &ran_at_ns);
  if (engine.figures().pending > 0) engine.work();  // it holds the slot of its kind from here on
  std::vector<int64_t> took;
  hf_job_spec job = engine.spec(), more = engine.spec();
  more.type = "held";
  for (int i = 0; i < jobs; ++i) {
    // What a cycle costs depends on how full the last page is: half as much again where it is full. One more that waits moves it on.
    Engine::vary(job, i);
    Engine::vary(more, i / 20);
    if (i % 20 == 0) check(hf_enqueue(engine.engine, &more, nullptr), "hf_enqueue", engine.engine);
    const int64_t begin = now_ns();
    check(hf_enqueue(engine.engine, &job, nullptr), "hf_enqueue", engine.engine);
    engine.work();
    took.push_back(ran_at_ns - begin);
  }
  Line().add("jobs", jobs).add("to_run_p50_us", median(took) / 1000).print();
  std::fflush(stdout);
  _exit(0);
}

void engine_drain(const std::string& path, int jobs) {
  Engine engine(path, false, HF_DURABLE_SYNC, HF_NO_WORKERS);
  hf_handler_options one = HF_HANDLER_OPTIONS_INIT;
  one.concurrency = 1;  // each end is a turn
  check(hf_register(engine.engine, "held", [](hf_job*, void*) -> int { return HF_OK; }, nullptr, &one), "hf_register", engine.engine);
  check(hf_start(engine.engine), "hf_start", engine.engine);
  for (int i = 0; i < jobs; ++i) engine.work();
  Line().add("jobs", jobs).print();
  std::fflush(stdout);
  _exit(0);
}

}  // namespace hf::bench
