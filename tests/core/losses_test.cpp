// The loss ledger: what the queue threw away is counted, and told.
#include "core/jobs.h"
#include "core/losses.h"
#include "core/units.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class LossFixture : public EngineFixture {
 public:
  void expire(const std::string& queue) {
    JobSpec s = spec("nobody");
    s.queue = queue;
    s.ttl_ms = 10;
    add(s);
    pass(10);
  }
  void pass(int64_t ms) {
    now.boot_ms += ms;
    now.wall_ms += ms;
    tick();
  }
  void report_to_cloud(int64_t every_ms = 60'000) {
    RunnerSpec s;
    s.concurrency = 1;
    handler("sink:cloud", s);
    ask<Done>(SetLossReport{"cloud", every_ms});
  }
  void crash_without_log() {
    leave();
    EngineOptions o = options();
    o.log_lost = true;
    open_with(o);
  }
  std::vector<Loss> losses() { return ask<Stats>(GetStats{}).losses; }
};

}  // namespace

TEST_CASE_FIXTURE(LossFixture, "an expired job is counted in the turn that gave it up, for good") {
  CHECK(losses().empty());
  expire("b");
  expire("a");
  expire("b");
  crash();
  const std::vector<Loss> list = losses();
  REQUIRE(list.size() == 2);
  CHECK(list[0].cause == LossCause::expired);
  CHECK(list[0].queue == "a");
  CHECK(list[0].total == 1);
  CHECK(list[1].queue == "b");
  CHECK(list[1].total == 2);
  CHECK(list[1].unreported == 2);
  CHECK(list[1].first_wall_ms == list[1].last_wall_ms - 20);
}

TEST_CASE_FIXTURE(LossFixture, "a dead job is lost when its retention is over, a completed one is none") {
  handler("x");
  Limits l;
  l.keep_dead_ms = l.keep_completed_ms = 1000;
  ask<Done>(SetLimits{l});
  add(spec("x"));
  end(take_started(), Outcome::dead, "no");
  add(spec("x"));
  end(take_started(), Outcome::done);
  CHECK(losses().empty());
  pass(10'000);
  REQUIRE(losses().size() == 1);
  CHECK(losses()[0].cause == LossCause::dropped);
  CHECK(losses()[0].queue == "default");
  CHECK(losses()[0].total == 1);
}

TEST_CASE_FIXTURE(LossFixture, "what is lost is uploaded, once its time has come") {
  report_to_cloud();
  CHECK(last.next_due_boot_ms == kNever);
  expire("readings");
  CHECK(last.next_due_boot_ms == now.boot_ms + 60'000);
  pass(59'000);
  expire("readings");
  CHECK(started.empty());
  const int64_t at = now.wall_ms;
  pass(60'000);
  const RunJob report = take_started();
  CHECK(report.type == kLossReportType);
  CHECK(report.queue == kOwnQueue);
  CHECK(report.bytes == "{\"losses\":[{\"cause\":\"expired\",\"queue\":\"readings\",\"count\":2,\"total\":2,\"first\":\"" + format_time(at - 59'010) +
                            "\",\"last\":\"" + format_time(at) + "\"}]}");
  CHECK_FALSE(report.key.text().empty());
  end(report, Outcome::done);
  CHECK(get(report.id).state == State::completed);
  CHECK(losses()[0].unreported == 0);
  CHECK(losses()[0].total == 2);
  CHECK(last.next_due_boot_ms == kNever);
}

TEST_CASE_FIXTURE(LossFixture, "one report at a time, also over a crash; what is lost meanwhile is in the next one") {
  report_to_cloud();
  expire("q");
  pass(60'000);
  const RunJob first = take_started();
  end(first, Outcome::retry, "not now");
  expire("q");
  crash();
  report_to_cloud();
  pass(60'000);
  pass(1);
  RunJob job = take_started();
  CHECK(job.id == first.id);
  CHECK(job.key == first.key);
  CHECK(started.empty());
  end(job, Outcome::done);
  job = take_started();
  CHECK(job.id != first.id);
  CHECK(job.bytes.find("\"count\":1,\"total\":2") != std::string::npos);
}

TEST_CASE_FIXTURE(LossFixture, "a lost log is told") {
  add(spec("nobody"));
  crash_without_log();
  REQUIRE(losses().size() == 1);
  CHECK(losses()[0].cause == LossCause::log);
  CHECK(losses()[0].queue == "*");
  CHECK(losses()[0].total == 1);
  crash();
  CHECK(losses()[0].total == 1);  // once
}

TEST_CASE_FIXTURE(LossFixture, "limits of the ledger") {
  for (size_t i = 0; i < kLossesMax + 5; ++i) expire("q" + std::to_string(i));
  crash();
  const std::vector<Loss> list = losses();
  CHECK(list.size() == kLossesMax + 1);
  int64_t total = 0;
  for (const Loss& loss : list) {
    total += loss.total;
    if (loss.queue == "*") CHECK(loss.total == 5);
  }
  CHECK(total == static_cast<int64_t>(kLossesMax) + 5);
  // One for each cause beyond, at most: they are read again, too.
  handler("x");
  limits.keep_dead_ms = 1000;
  ask<Done>(SetLimits{limits});
  add(spec("x"));
  end(take_started(), Outcome::dead, "no");
  pass(20'000);
  crash_without_log();
  std::vector<Loss> before = losses();
  CHECK(before.size() == kLossesMax + 3);
  crash();
  CHECK(losses().size() == before.size());
  CHECK(refused(SetLossReport{"cloud", 999}).message == "every is 999ms; allowed is 1s to 1w");
  CHECK(refused(SetLossReport{"a b", 1000}).code == HF_E_INVALID);
  ask<Done>(SetLossReport{"cloud", kLossReportMaxMs});
}
