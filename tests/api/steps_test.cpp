// A job of several steps: docs/reference.md, "A job of several steps".
#include <chrono>
#include <vector>

#include "api_fixture.h"

using namespace hf::test;

namespace {

class Steps : public ApiFixture {
 public:
  static constexpr int64_t kWaitMs = 2000;

  void on_order() {
    on("order", [this](hf_job* job) {
      ++runs;
      size_t len = 0;
      if (hf_job_payload(job, &len); len > 0) return other.add(), int{HF_OK};
      size_t done = 0;
      hf_job_last_checkpoint(job, &done);
      switch (done) {
        case 0:
          left = std::chrono::steady_clock::now();
          step("charge");
          if (hf_job_checkpoint(job, "1", 1) != HF_OK) return int{HF_DEAD};
          hf_job_retry_after(job, kWaitMs);
          charged.set();
          return int{HF_DEFER};
        case 1:
          waited = std::chrono::steady_clock::now() - left;
          step("ship");
          if (hf_job_checkpoint(job, "12", 2) != HF_OK) return int{HF_DEAD};
          [[fallthrough]];
        default:
          step("thank");
          hf_job_result(job, "all", 3);
          return hf_job_attempt(job) == 1 ? int{HF_OK} : int{HF_DEAD};
      }
    });
    REQUIRE(hf_start(engine) == HF_OK);
  }
  // One run at a time: an engine that is closed has ended them all, and wait_final() comes after the last one.
  void step(const char* name) { steps.push_back(name); }

  int runs = 0;
  std::vector<std::string> steps;
  std::chrono::steady_clock::time_point left;
  std::chrono::steady_clock::duration waited{};
  Signal charged;
  Count other;
};

}  // namespace

TEST_CASE_FIXTURE(Steps, "steps with a wait between them, over a restart: each runs once, the wait holds no slot and spends no attempt") {
  on_order();
  const hf_job_id id = add("order");
  charged.wait();
  while (get(id).state != HF_STATE_PENDING) {  // each waits for a turn of the engine
  }
  CHECK(get(id).attempts == 0);
  CHECK(wait_final(add("order", "without steps")).state == HF_STATE_COMPLETED);
  CHECK(other.count() == 1);
  close();
  CHECK(steps == std::vector<std::string>{"charge"});
  open();
  on_order();
  const Seen seen = wait_final(id);
  CHECK(seen.state == HF_STATE_COMPLETED);
  CHECK(seen.result == "all");
  CHECK(seen.attempts == 1);
  CHECK(steps == std::vector<std::string>{"charge", "ship", "thank"});
  CHECK(runs == 3);
  CHECK(waited >= std::chrono::milliseconds(kWaitMs - 100));  // two clocks
}

TEST_CASE_FIXTURE(Steps, "what waits for an event is a job of its own, that a subscription starts") {
  hf_job_spec ship = HF_JOB_SPEC_INIT;
  ship.type = "ship";
  hf_subscription_spec spec = HF_SUBSCRIPTION_SPEC_INIT;
  spec.name = "ship-what-is-paid";
  spec.event = "paid";
  spec.filter = R"({"order": 7})";
  spec.job = &ship;
  REQUIRE(hf_subscribe(engine, &spec) == HF_OK);
  on("order", [&](hf_job*) {
    step("order");
    return int{HF_OK};
  });
  on("ship", [&](hf_job* job) {
    step("ship");
    size_t len = 0;
    const void* payload = hf_job_payload(job, &len);
    hf_job_result(job, payload, len);
    return int{HF_OK};
  });
  REQUIRE(hf_start(engine) == HF_OK);
  CHECK(wait_final(add("order")).state == HF_STATE_COMPLETED);
  const auto emit = [&](const std::string& payload) {
    hf_job_id id = 0;
    size_t n = 1;
    REQUIRE(hf_emit(engine, "paid", payload.data(), payload.size(), nullptr, &id, &n) == HF_OK);
    return n == 0 ? 0 : id;
  };
  CHECK(emit(R"({"order": 6})") == 0);
  const std::string paid = R"({"order": 7, "euros": 20})";
  const Seen seen = wait_final(emit(paid));
  CHECK(seen.state == HF_STATE_COMPLETED);
  CHECK(seen.result == paid);
  CHECK(steps == std::vector<std::string>{"order", "ship"});
}
