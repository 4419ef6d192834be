// What the network may cost: core/budget.h.
#include <deque>

#include "core/budget.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kHour = 3600'000, kDay = 24 * kHour;

class BudgetFixture : public EngineFixture {
 public:
  BudgetFixture() {
    now.boot_ms = 40 * kDay;  // so that slots before the first one are none below zero
    RunnerSpec x;
    x.sink = "cloud";
    handler("x", x);
  }
  void sink(Batch batch = {}) {
    RunnerSpec s;
    s.network = true;
    s.concurrency = 1;
    s.batch = batch;
    handler("sink:cloud", s);
  }
  void budget(BudgetSpec spec) {
    spec.link = kLinkMetered;
    budgets = {{spec}, kLinkMetered};
    ask<Done>(Op(budgets));
  }
  void set_again() {  // as after an opening
    ask<Done>(Op(budgets));
    RunnerSpec x;
    x.sink = "cloud";
    handler("x", x);
    sink();
  }
  JobId produce(size_t bytes, int priority = 0) {
    JobSpec s = spec("x");
    s.priority = priority;
    const JobId id = add(std::move(s));
    REQUIRE(started.size() == 1);
    end(take_started(), Outcome::done, std::string(bytes, 'r'));
    return id;
  }
  void delivered(const RunJob& job, int64_t wire_bytes) {
    RunEnded e = ended(job, Outcome::done);
    e.wire_bytes = wire_bytes;
    ask<Done>(e);
  }
  BudgetInfo info() {
    const Stats stats = ask<Stats>(GetStats{});
    REQUIRE(stats.budgets.size() == 1);
    return stats.budgets[0];
  }
  void pass(int64_t ms) {
    now.boot_ms += ms;
    now.wall_ms += ms;
    tick();
  }

  SetBudgets budgets;
};

}  // namespace

TEST_CASE_FIXTURE(BudgetFixture, "a run is charged at its claim, and corrected at its end") {
  sink();
  budget({.day_bytes = 100'000});
  produce(1000);
  CHECK(info().day_spent == 1000 + kRunBytes);
  CHECK(info().in_force);
  delivered(take_started(), 1700);
  CHECK(info().day_spent == 1700);
  CHECK(info().month_spent == 1700);
  produce(500);
  end(take_started(), Outcome::done);  // not told: what was charged stays
  CHECK(info().day_spent == 1700 + 500 + kRunBytes);
}

TEST_CASE_FIXTURE(BudgetFixture, "a budget that is used up closes the gate of deliveries, and of nothing else, until the day is over") {
  sink();
  budget({.day_bytes = 10'000});
  produce(100);
  delivered(take_started(), 10'000);
  const JobId waits = produce(100);  // x runs all the same
  CHECK(started.empty());
  const WhyInfo why = ask<WhyInfo>(Why{waits});
  REQUIRE(why.gates.size() == 1);
  CHECK(why.gates[0].gate == "budget");
  CHECK(why.summary == "link metered has sent 9.7 KiB of the 9.7 KiB it may in any 24 hours");
  const int64_t opens_in_ms = info().opens_in_ms;
  CHECK(opens_in_ms > 24 * kHour);
  CHECK(opens_in_ms <= 25 * kHour);
  CHECK(why.gates[0].opens_wall_ms == now.wall_ms + opens_in_ms);
  CHECK(last.next_due_boot_ms == now.boot_ms + opens_in_ms);  // it wakes by itself
  pass(opens_in_ms - 1);
  CHECK(started.empty());
  pass(1);
  CHECK(take_started().id == waits);
}

TEST_CASE_FIXTURE(BudgetFixture, "a month is 31 days") {
  sink();
  budget({.month_bytes = 10'000});
  produce(100);
  delivered(take_started(), 10'000);
  produce(100);
  CHECK(ask<WhyInfo>(Why{2}).summary.find("31 days") != std::string::npos);
  pass(31 * kDay);
  CHECK(started.empty());
  pass(kDay);
  CHECK(started.size() == 1);
}

TEST_CASE_FIXTURE(BudgetFixture, "a share is kept for high priorities") {
  sink();
  budget({.day_bytes = 20'000, .reserve_percent = 50, .reserve_priority = 5});
  produce(100);
  delivered(take_started(), 10'000);
  const JobId low = produce(100, 4);
  CHECK(started.empty());
  CHECK(ask<WhyInfo>(Why{low}).summary == "link metered has sent 9.7 KiB of the 19.5 KiB it may in any 24 hours, and 50 % are kept for priority 5 and higher");
  const JobId high = produce(100, 5);
  RunJob job = take_started();
  CHECK(job.id == high);
  delivered(job, 10'000);
  produce(100, 5);
  CHECK(started.empty());
}

TEST_CASE_FIXTURE(BudgetFixture, "each link has its own, and one without a budget costs nothing") {
  sink();
  budget({.day_bytes = 10'000});
  produce(100);
  delivered(take_started(), 10'000);
  produce(100);
  CHECK(started.empty());
  ask<Done>(SetLink{kLinkDefault});
  REQUIRE(started.size() == 1);
  delivered(take_started(), 5'000);
  CHECK_FALSE(info().in_force);
  CHECK(info().day_spent == 10'000);
  crash();
  set_again();
  CHECK(ask<Stats>(GetStats{}).link == kLinkDefault);  // what was told is kept
  ask<Done>(SetLink{""});
  CHECK(ask<Stats>(GetStats{}).link == kLinkMetered);
  const Error typo = refused(SetLink{"metred"});
  CHECK(typo.code == HF_E_INVALID);
  CHECK(typo.message == "there is no link \"metred\": allowed are unmetered, metered, and those that have a budget; did you mean metered?");
}

TEST_CASE_FIXTURE(BudgetFixture, "a rate spaces runs, and leaves a batch whole") {
  sink({.max_jobs = 10});
  ask<Done>(QueuePause{"sink:cloud", true});
  budget({.rate = 1000});
  for (int i = 0; i < 10; ++i) produce(1000);
  ask<Done>(QueuePause{"sink:cloud", false});
  REQUIRE(started.size() == 1);
  const StartRun batch = started.front();
  CHECK(batch.jobs.size() == 10);
  started.clear();
  for (size_t i = 0; i < batch.jobs.size(); ++i) delivered(batch.jobs[i], i == 0 ? 12'000 : 0);
  produce(10);
  CHECK(ask<WhyInfo>(Why{11}).summary == "link metered may send 1000 B a second");
  CHECK(last.next_due_boot_ms == now.boot_ms + 12'000);
  pass(11'999);
  CHECK(started.empty());
  pass(1);
  CHECK(started.size() == 1);
}

TEST_CASE_FIXTURE(BudgetFixture, "a claim that is charged is on the disk before it is obeyed") {
  sink();
  JobSpec s = spec("x");
  s.durability = Durability::memory;
  add(s);
  end(take_started(), Outcome::done, "r");
  CHECK(started.size() == 1);
  CHECK_FALSE(last.must_sync);
  delivered(take_started(), 100);
  budget({.rate = 1'000'000});  // of which nothing is kept
  add(s);
  end(take_started(), Outcome::done, "r");
  CHECK(started.size() == 1);
  CHECK_FALSE(last.must_sync);
  delivered(take_started(), 100);
  budget({.day_bytes = 10'000});
  add(s);
  end(take_started(), Outcome::done, "r");
  CHECK(started.size() == 1);
  CHECK(last.must_sync);
}

TEST_CASE_FIXTURE(BudgetFixture, "limits of a budget") {
  const auto why = [&](BudgetSpec spec) {
    spec.link = "lte";
    return refused(SetBudgets{{spec}}).message;
  };
  CHECK(why({.rate = -1}) == "budget of link lte: rate is -1; allowed is 0 to 1099511627776");
  CHECK(why({.day_bytes = 1023}) == "budget of link lte: day is 1023; allowed is 1024 to 1125899906842624");
  CHECK(why({.month_bytes = kBudgetBytesMax + 1}).find("month is") != std::string::npos);
  CHECK(why({.day_bytes = 1024, .reserve_percent = 91}) == "budget of link lte: reserve is 91; allowed is 0 to 90");
  CHECK(why({.reserve_priority = 1001}).find("reserve_priority is 1001") != std::string::npos);
  CHECK(refused(SetBudgets{{{.link = "a b"}}}).code == HF_E_INVALID);
  CHECK(refused(SetBudgets{{{.link = "a"}, {.link = "a"}}}).message == "link a has two budgets");
  std::vector<BudgetSpec> many;
  for (size_t i = 0; i <= kBudgetsMax; ++i) many.push_back({.link = "l" + std::to_string(i)});
  CHECK(refused(SetBudgets{many}).message == "there are 9 budgets; at most 8 are allowed");
  many.pop_back();
  ask<Done>(SetBudgets{many});
}

TEST_CASE_FIXTURE(BudgetFixture, "a budget that is taken away and given again has what was spent, in one process and over a crash") {
  sink();
  budget({.day_bytes = 100'000});
  produce(100);
  delivered(take_started(), 10'000);
  const SetBudgets none{{}, kLinkMetered};
  ask<Done>(Op(none));
  ask<Done>(Op(budgets));
  CHECK(info().day_spent == 10'000);
  produce(100);
  delivered(take_started(), 5'000);
  ask<Done>(Op(SetBudgets{{{.link = "lte", .day_bytes = 100'000}}, "lte"}));
  produce(100);
  delivered(take_started(), 700);  // writes what was spent anew
  crash();
  set_again();
  CHECK(info().day_spent == 15'000);
}

TEST_CASE("a count survives as text, and what does not read is left out") {
  SlidingCount<kHour, 25> count;
  for (int64_t h = 0; h < 60; ++h) count.add(h * kHour + 5, h);
  SlidingCount<kHour, 25> again;
  again.restore(count.text());
  CHECK(again.text() == count.text());
  CHECK(again.sum(60 * kHour) == count.sum(60 * kHour));
  SlidingCount<kHour, 25> odd;
  odd.restore("5:1,x:3,7:-2,8:,:,9:4x,10:7,99999999999999999999:1");
  CHECK(odd.text() == "5:1,10:7");
  odd.add(5 * kHour, -100);  // no more than there is
  CHECK(odd.sum(10 * kHour) == 7);
  odd.add(35 * kHour, 3);    // in the place of 10
  odd.add(10 * kHour, 50);   // of a time that counts no more
  CHECK(odd.text() == "35:3");
}

// Whatever happens, in no 24 hours is more sent than the budget and one run. The order of events is drawn; the judge keeps a
// list of its own of what was really sent and when.
TEST_CASE_FIXTURE(BudgetFixture, "a budget holds over crashes, reboots, clock steps and reloads") {
  constexpr int64_t kDayBytes = 1'000'000;
  const int runs = 4000;
  size_t largest = 0;
  int64_t sent_in_all = 0, power = 0;
  sink();
  budget({.day_bytes = kDayBytes});
  Random random(20261128);
  std::deque<std::pair<int64_t, int64_t>> sent;  // real time, bytes
  int64_t in_day = 0, most = 0;
  int64_t real_ms = 0;
  const auto advance = [&](int64_t ms) {
    real_ms += ms;
    pass(ms);
  };
  for (int i = 0; i < runs; ++i) {
    JobSpec s = spec("x");
    s.durability = Durability::grouped;
    if (started.empty()) add(std::move(s));
    while (!started.empty()) {
      const bool delivery = started.front().runner == "sink:cloud";
      const RunJob job = take_started();
      if (!delivery) {
        end(job, Outcome::done, std::string(static_cast<size_t>(random.between(0, 50'000)), 'r'));
        continue;
      }
      const int64_t bytes = static_cast<int64_t>(job.bytes.size()) + random.between(300, 4000);
      largest = std::max(largest, job.bytes.size() + 4096);
      sent.emplace_back(real_ms, bytes);
      sent_in_all += bytes;
      in_day += bytes;
      while (sent.front().first <= real_ms - kDay) in_day -= sent.front().second, sent.pop_front();
      most = std::max(most, in_day);
      if (random.between(0, 9) == 0) {  // the process ends before it has heard that it was sent
        crash();
        set_again();
      } else if (random.between(0, 1) == 0) {
        delivered(job, bytes);
      } else {
        RunEnded failed = ended(job, Outcome::defer, "no answer");
        failed.wire_bytes = bytes;
        ask<Done>(failed);
      }
    }
    switch (random.between(0, 9)) {
      case 0: now.wall_ms += random.between(-40, 40) * kDay; break;
      case 1: {
        const int64_t off = random.between(0, kHour);
        real_ms += off;
        reboot(off, false);
        set_again();
        ++power;
        break;
      }
      case 2: ask<Done>(Op(budgets)); break;
      default: break;
    }
    advance(random.between(0, 2 * kHour));
  }
  CHECK(power > 100);
  CHECK(most <= kDayBytes + static_cast<int64_t>(largest));
  CHECK(most > kDayBytes * 9 / 10);           // and it was of use
  CHECK(sent_in_all > 50 * kDayBytes);
}
