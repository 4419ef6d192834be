// How long finished jobs are kept, and the bounded inbox.
#include <atomic>
#include <thread>
#include <vector>

#include "api_fixture.h"
#include "broken_disk.h"

using namespace hf::test;

namespace {

class Retention : public ApiFixture {
 public:
  void reopen(const std::function<void(hf_options&)>& set) {
    close();
    hf_options options = HF_OPTIONS_INIT;
    set(options);
    open(&options);
    on("x", [](hf_job*) { return HF_OK; });
    on("bad", [](hf_job*) { return HF_DEAD; });
    REQUIRE(hf_start(engine) == HF_OK);
  }
  int code_of(hf_job_id id) {
    hf_job_info info = HF_JOB_INFO_INIT;
    int code = hf_get(engine, id, &info);
    hf_job_info_free(&info);
    return code;
  }
  // Each hf_get waits for a turn of the engine.
  void wait_gone(hf_job_id id) {
    while (code_of(id) == HF_OK) {
    }
    CHECK(code_of(id) == HF_E_NOT_FOUND);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Retention, "-1: a completed job is gone at once, a dead one is not") {
  reopen([](hf_options& o) { o.keep_completed_ms = -1; });
  wait_gone(add("x"));
  CHECK(wait_final(add("bad")).state == HF_STATE_DEAD);
}

TEST_CASE_FIXTURE(Retention, "by age, without anything else happening") {
  reopen([](hf_options& o) { o.keep_completed_ms = 50, o.keep_dead_ms = 50; });
  hf_job_id good = add("x"), bad = add("bad");
  wait_gone(good);
  wait_gone(bad);
}

TEST_CASE_FIXTURE(Retention, "by count, the oldest first") {
  reopen([](hf_options& o) { o.keep_completed_count = 2, o.keep_dead_count = 1; });
  hf_job_id first = add("x");
  wait_final(first);
  std::vector<hf_job_spec> specs(250, hf_job_spec HF_JOB_SPEC_INIT);
  for (hf_job_spec& spec : specs) spec.type = "x";
  std::vector<hf_job_id> ids(specs.size());
  REQUIRE(hf_enqueue_many(engine, specs.data(), specs.size(), ids.data()) == HF_OK);
  wait_gone(first);
  hf_job_id last = add("x");
  wait_final(last);
  CHECK(code_of(last) == HF_OK);
}

TEST_CASE_FIXTURE(ApiFixture, "while the disk takes its time, 65536 requests may wait, then HF_E_BUSY") {
  close();
  BrokenDisk::install();
  hf_options options = HF_OPTIONS_INIT;
  options.vfs = BrokenDisk::kName;
  open(&options);
  BrokenDisk::stall(true);
  std::thread first([&] { add("x"); });
  BrokenDisk::wait_stalled();  // the engine is in its commit now
  std::atomic<int> answers{0};
  hf_job_spec spec = HF_JOB_SPEC_INIT;
  spec.type = "x";
  auto count = [](int code, hf_job_id, void* user) {
    if (code == HF_OK) ++*static_cast<std::atomic<int>*>(user);
  };
  int handed = 0;
  int code = HF_OK;
  while ((code = hf_enqueue_async(engine, &spec, count, &answers)) == HF_OK) ++handed;
  CHECK(code == HF_E_BUSY);
  CHECK(handed == 65536);
  CHECK(hf_enqueue(engine, &spec, nullptr) == HF_E_BUSY);
  // What is said to the engine itself still comes through.
  CHECK(hf_start(engine) == HF_OK);
  CHECK(hf_register(engine, "x", [](hf_job*, void*) { return int{HF_OK}; }, nullptr, nullptr) == HF_OK);
  BrokenDisk::stall(false);
  first.join();
  close();
  CHECK(answers == handed);
}
