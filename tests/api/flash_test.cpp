// A budget of the flash that is used up: jobs that need not be on the disk at once come together in few commits, and nothing else waits.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "api_fixture.h"

using namespace hf::test;

namespace {

constexpr int kThreads = 4, kEach = 50, kJobs = kThreads * kEach;

class FlashApi : public ApiFixture {
 public:
  FlashApi() {
    REQUIRE(hf_open((dir + "/pace.db").c_str(), nullptr, &pace) == HF_OK);
    open_with(0);
  }
  ~FlashApi() {
    close();  // who is still told counts in `answered`
    hf_close(pace);
  }
  void open_with(int64_t budget) {
    close();
    hf_options options = HF_OPTIONS_INIT;
    options.device = "gw";
    options.flash_budget = budget;
    open(&options);
  }
  // As long as it is gathered that the day's budget is used up.
  void use_up() {
    open_with(1 << 20);
    while (figures().flash_gather_ms == 0) add("fill", std::string(100000, 'p'));
    for (int i = 0; i < 5; ++i) add("fill", std::string(100000, 'p'));
    CHECK(figures().flash_gather_ms == 1000);
    CHECK(figures().flash_day_bytes >= figures().flash_budget);
  }
  hf_stats_info figures() {
    hf_stats_info stats = HF_STATS_INFO_INIT;
    REQUIRE(hf_stats(engine, &stats) == HF_OK);
    return stats;
  }
  static hf_job_spec grouped() {
    hf_job_spec spec = HF_JOB_SPEC_INIT;
    spec.type = "x";
    spec.durability = HF_DURABLE_GROUPED;
    return spec;
  }
  // By some threads, whose answers are not awaited. Between two jobs each of them waits for the disk with another file: long enough for
  // an engine that does not gather to commit the first.
  void hand_over() {
    began = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        const hf_job_spec spec = grouped();
        hf_job_spec durable = HF_JOB_SPEC_INIT;
        durable.type = "x";
        for (int i = 0; i < kEach; ++i) {
          const int code = hf_enqueue_async(engine, &spec, [](int result, hf_job_id, void* user) {
            if (result == HF_OK) static_cast<Count*>(user)->add();
          }, &answered);
          if (code == HF_OK && hf_enqueue(pace, &durable, nullptr) == HF_OK) ++handed;
        }
      });
    }
    for (std::thread& t : threads) t.join();
    CHECK(handed == kJobs);
  }
  // Commits since hand_over() at most: one a second, those of the looks, and of what goes at once.
  int64_t gathered() const { return 5 + std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began).count(); }
  std::chrono::steady_clock::time_point began;
  hf_engine* pace = nullptr;
  Count answered;
  std::atomic<int> handed{0};
};

}  // namespace

TEST_CASE_FIXTURE(FlashApi, "without a budget nothing is gathered") {
  const hf_stats_info before = figures();
  hand_over();
  answered.wait(kJobs);
  CHECK(figures().flash_gather_ms == 0);
  CHECK(figures().flash_total_bytes > before.flash_total_bytes);
}

TEST_CASE_FIXTURE(FlashApi, "with a budget that is used up many threads' grouped jobs share few commits, and a sync one takes them along") {
  use_up();
  const hf_stats_info before = figures();
  hand_over();
  add("x");  // waits for the disk: at once, with all that is there
  const hf_stats_info after = figures();
  CHECK(after.pending - before.pending == kJobs + 1);
  CHECK(after.commits_total - before.commits_total <= gathered());
  answered.wait(kJobs);
}

TEST_CASE_FIXTURE(FlashApi, "what is gathered is answered when its time is over, though nothing else comes") {
  use_up();
  const hf_stats_info before = figures();
  hand_over();
  answered.wait(kJobs);
  const hf_stats_info after = figures();
  CHECK(after.pending - before.pending == kJobs);
  CHECK(after.commits_total - before.commits_total <= gathered());
}

TEST_CASE_FIXTURE(FlashApi, "a query takes along what waits, and sync jobs and queries do not wait for one another's time") {
  use_up();
  hand_over();
  CHECK(figures().pending >= kJobs);
  // A second each, if they did: more than the test may take.
  for (int i = 0; i < 400; ++i) get(add("x"));
}

TEST_CASE_FIXTURE(FlashApi, "a close takes along what waits") {
  use_up();
  hand_over();
  close();
  CHECK(answered.count() == kJobs);
  open();
  CHECK(figures().pending >= kJobs);
}

TEST_CASE_FIXTURE(FlashApi, "runs end, one after the other, with the budget used up, and a stop does not wait for more") {
  use_up();
  on("x", [](hf_job*) { return HF_OK; });
  REQUIRE(hf_start(engine) == HF_OK);
  const hf_job_id first = add("x"), second = add("x");
  CHECK(wait_final(first).state == HF_STATE_COMPLETED);
  CHECK(wait_final(second).state == HF_STATE_COMPLETED);
  for (int i = 0; i < 100; ++i) add("x");
  CHECK(hf_stop(engine, 60000) == HF_OK);
  CHECK(figures().running == 0);
}
