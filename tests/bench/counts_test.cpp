// Guards the figures that do not depend on the machine: syncs, writes and bytes a job. A change that costs more than
// 5 % fails; one that saves more fails too, so that the numbers below are brought up to date.
#include <doctest/doctest.h>
#include <holdfast.h>

#include <cmath>

#include "tests/api/api_fixture.h"
#include "tests/bench/delaysync.h"

namespace {

struct PerJob {
  double syncs, writes, write_bytes;
};

constexpr int kJobs = 1000;
constexpr double kTolerance = 0.05;

class CountsFixture : public hf::test::ApiFixture {
 public:
  CountsFixture() { close(); }

  // `keep`: completed jobs stay, as by default.
  void open_with(bool keep) {
    hf_options options = HF_OPTIONS_INIT;
    options.device = "gw";
    if (!keep) options.keep_completed_ms = -1;
    open(&options);
  }
  bool final(hf_job_id id) {
    hf_job_info info = HF_JOB_INFO_INIT;
    int code = hf_get(engine, id, &info);
    if (code == HF_E_NOT_FOUND) return true;
    REQUIRE(code == HF_OK);
    bool is_final = info.state >= HF_STATE_COMPLETED;
    hf_job_info_free(&info);
    return is_final;
  }
  // Enqueue, run, completed; then the next. Each look at the job is a turn that writes nothing.
  PerJob sequential(hf_durability durability = HF_DURABLE_SYNC) {
    on("job", [](hf_job*) { return HF_OK; });
    REQUIRE(hf_start(engine) == HF_OK);
    return per_job([&] {
      for (int i = 0; i < kJobs; ++i) {
        hf_job_id id = add("job", std::string(100, 'p'), durability);
        while (!final(id)) {
        }
      }
    });
  }
  PerJob per_job(const std::function<void()>& work) {
    hf_stats_info stats = HF_STATS_INFO_INIT;
    REQUIRE(hf_stats(engine, &stats) == HF_OK);  // what starting writes is written
    delaysync_counts before, after;
    delaysync_read(&before);
    work();
    delaysync_read(&after);
    hf_stats_info then = HF_STATS_INFO_INIT;
    REQUIRE(hf_stats(engine, &then) == HF_OK);
    const auto written = static_cast<double>(after.write_bytes - before.write_bytes);
    CHECK(std::abs(static_cast<double>(then.flash_total_bytes - stats.flash_total_bytes) - written) <= 0.02 * written);  // it counts them itself
    auto each = [](uint64_t from, uint64_t to) { return static_cast<double>(to - from) / kJobs; };
    return {each(before.syncs, after.syncs), each(before.writes, after.writes), each(before.write_bytes, after.write_bytes)};
  }
};

void check_near(double value, double recorded) {
  CHECK(value <= recorded * (1 + kTolerance));
  CHECK(value >= recorded * (1 - kTolerance));
}
void check_near(const PerJob& counted, const PerJob& recorded) {
  check_near(counted.syncs, recorded.syncs);
  check_near(counted.writes, recorded.writes);
  check_near(counted.write_bytes, recorded.write_bytes);
}

}  // namespace

TEST_CASE_FIXTURE(CountsFixture, "a sequential durable cycle") {
  open_with(false);
  check_near(sequential(), {1.006, 4.015, 2105});
}

TEST_CASE_FIXTURE(CountsFixture, "a sequential durable cycle, whose end waits for the disk, too") {
  open_with(false);
  check_near(sequential(HF_DURABLE_RESULT), {2.012, 4.02, 2117});
}

TEST_CASE_FIXTURE(CountsFixture, "a sequential durable cycle, completed jobs kept") {
  open_with(true);
  check_near(sequential(), {1.012, 7.4, 3949});
}

TEST_CASE_FIXTURE(CountsFixture, "a durable enqueue alone") {
  open_with(false);
  check_near(per_job([&] {
               for (int i = 0; i < kJobs; ++i) add("job", std::string(100, 'p'));
             }),
             {1.006, 5.34, 2863});
}

TEST_CASE_FIXTURE(CountsFixture, "jobs that come together share a commit") {
  open_with(false);
  hf_job_spec one = HF_JOB_SPEC_INIT;
  one.type = "job";
  std::string payload(100, 'p');
  one.payload = payload.data();
  one.payload_len = payload.size();
  std::vector<hf_job_spec> specs(50, one);
  check_near(per_job([&] {
               for (int i = 0; i < kJobs; i += 50) REQUIRE(hf_enqueue_many(engine, specs.data(), 50, nullptr) == HF_OK);
             }),
             {0.021, 0.57, 299});
}

TEST_CASE_FIXTURE(CountsFixture, "reading writes nothing") {
  open_with(false);
  hf_job_id id = add("job");
  PerJob reads = per_job([&] {
    for (int i = 0; i < kJobs; ++i) get(id);
  });
  CHECK(reads.syncs == 0);
  CHECK(reads.writes == 0);
}
