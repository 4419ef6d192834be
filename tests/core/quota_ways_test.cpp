// Each way in which jobs come in where it is full; and who gives way, against a reading of the rules of its own.
#include <algorithm>
#include <map>

#include "core/random.h"
#include "quota_fixture.h"

using namespace hf;
using namespace hf::test;

TEST_CASE_FIXTURE(QuotaFixture, "a transaction's jobs: looked at when they are promised, and others leave them their places") {
  limit(3, WhenFull::reject);
  const JobId a = add(spec("t"));
  CHECK(refused(op(std::vector<JobSpec>(3, spec("t")))).code == HF_E_FULL);
  CHECK(waiting() == Ids{a});
  // It goes first, whatever the order of the requests.
  std::vector<Reply> replies = tick({Enqueue{{spec("t")}}, op({spec("t"), spec("t")})});
  CHECK(std::get<Error>(replies[0]).code == HF_E_FULL);
  const Ids two = std::get<Ids>(replies[1]);
  CHECK(waiting() == Ids{a, two[0], two[1]});

  limit(3, WhenFull::drop_oldest);
  CHECK(refused(op(std::vector<JobSpec>(4, spec("t")))).code == HF_E_FULL);
  replies = tick({Enqueue{{spec("t")}}, op({spec("t"), spec("t")})});
  const Ids others = std::get<Ids>(replies[0]), kept = std::get<Ids>(replies[1]);
  CHECK(displaced() == Ids{a, two[0], two[1]});
  CHECK(waiting() == Ids{kept[0], kept[1], others[0]});
  CHECK(lost() == 3);
  // A failure of the function takes nobody's place.
  Transact failing = op({});
  failing.body = [](Transaction& inside) -> Status {
    (void)inside.enqueue(spec("t"));
    return Error{7, "no"};
  };
  CHECK(refused(std::move(failing)).code == 7);
  CHECK(displaced().empty());
  limit(3, WhenFull::drop_lowest);
  CHECK(refused(op({with_priority(1), with_priority(-1)})).code == HF_E_FULL);
  CHECK(pending() == 3);
  ask<Ids>(op({with_priority(1), with_priority(0)}));
  CHECK(displaced() == Ids{kept[0], kept[1]});
  // A holder of a unique key that stood for its job gives way to others of the turn as any other job does.
  limit(2, WhenFull::drop_oldest, "u");
  JobSpec unique = with_priority(0, "u");
  unique.unique_key = "k";
  const JobId holder = add(unique);
  const JobId beside = add_with(0, "u");
  replies = tick({Enqueue{{with_priority(0, "u")}}, op({unique})});
  CHECK(std::get<Ids>(replies[1]) == Ids{holder});
  CHECK(displaced() == Ids{holder});
  const JobId again = add(unique);
  CHECK(displaced() == Ids{beside});
  replies = tick({Remove{again}, op({unique})});
  CHECK(std::get<Ids>(replies[1]) == Ids{again});
  CHECK(gone(again));
  // max_jobs, with what was promised.
  limit_file(stats().by_state[0] + 1, WhenFull::reject);
  replies = tick({Enqueue{{with_priority(0, "v")}}, op({with_priority(0, "v")})});
  CHECK(std::get<Error>(replies[0]).code == HF_E_FULL);
  CHECK(std::holds_alternative<Ids>(replies[1]));
}

TEST_CASE_FIXTURE(QuotaFixture, "a run's children: refused, the run is tried again; else others give way to them") {
  failing();
  limit(1, WhenFull::reject, "children");
  const auto with_children = [&](int n) {
    RunEnded e = ended(take_started(), Outcome::done);
    for (const JobId id : ask<Ids>(ReserveIds{n})) e.children.emplace_back(id, with_priority(0, "children"));
    for (auto& [id, s] : e.children) s.type = "child";
    return e;
  };
  const JobId parent = add(spec("t"));
  RunEnded e = with_children(2);
  ask<Done>(e);
  CHECK(state(parent) == State::pending);
  CHECK(get(parent).error.find("queue children holds 0 jobs that wait; the limit is 1 (max_pending)") != std::string::npos);
  pass(3600 * 1000);
  e = with_children(1);
  const JobId first = e.children[0].first;
  ask<Done>(e);
  CHECK(state(parent) == State::completed);
  limit(1, WhenFull::drop_oldest, "children");
  add(spec("t"));
  e = with_children(1);
  const JobId second = e.children[0].first;
  ask<Done>(e);
  CHECK(displaced() == Ids{first});
  CHECK(waiting("children") == Ids{second});
  CHECK(lost("children") == 1);
}

TEST_CASE_FIXTURE(QuotaFixture, "events: all subscriptions or none, and others give way") {
  for (const char* name : {"a", "b"}) {
    SubscriptionSpec s;
    s.name = name;
    s.event = "e";
    s.job = spec(name);
    s.job.queue = name;
    ask<Done>(SetSubscription{s});
  }
  limit(1, WhenFull::reject, "b");
  const Ids first = ask<Ids>(Emit{"e", ""});
  CHECK(refused(Emit{"e", ""}).code == HF_E_FULL);
  CHECK(pending("a") == 1);
  limit(1, WhenFull::drop_oldest, "b");
  CHECK(ask<Ids>(Emit{"e", ""}).size() == 2);
  CHECK(displaced() == Ids{first[1]});
  CHECK(pending("a") == 2);
  CHECK(pending("b") == 1);
}

TEST_CASE_FIXTURE(QuotaFixture, "a schedule: a firing that is refused is skipped; else others give way; a backfill is all or none") {
  ScheduleSpec s;
  s.name = "s";
  s.cron = "@every 10s";
  s.overlap = Overlap::queue;
  s.job = spec("t");
  limit(2, WhenFull::reject);
  ask<Done>(SchedulePut{s});
  run_for(35'000);
  const auto info = [&] { return ask<std::vector<ScheduleInfo>>(ScheduleList{"s"}).at(0); };
  CHECK(pending() == 2);
  CHECK(info().fired == 2);
  CHECK(info().skipped == 1);
  CHECK(refused(ScheduleRun{"s"}).code == HF_E_FULL);
  const Ids before = waiting();
  limit(2, WhenFull::drop_oldest);
  run_for(10'000);
  CHECK(info().fired == 3);
  CHECK(waiting().front() == before[1]);
  CHECK(lost() == 1);
  ask<Done>(ScheduleRemove{"s"});
  s.cron = "* * * * *";
  ask<Done>(SchedulePut{s});
  const int64_t minute = now.wall_ms - now.wall_ms % 60'000;
  CHECK(refused(ScheduleBackfill{"s", minute - 3 * 60'000, minute}).code == HF_E_FULL);
  CHECK(lost() == 1);
  const Ids filled = ask<Ids>(ScheduleBackfill{"s", minute - 2 * 60'000, minute});
  CHECK(waiting() == filled);
  CHECK(lost() == 3);
}

TEST_CASE_FIXTURE(QuotaFixture, "after a kill and a clean end the counts, the settings and who is the oldest are what they were") {
  limit(3, WhenFull::drop_oldest);
  const Ids ids = add_many(3, spec("t"));
  add(spec("t"));
  crash();
  CHECK(pending() == 3);
  CHECK(lost() == 1);
  add(spec("t"));
  CHECK(displaced() == Ids{ids[1]});
  close_cleanly();
  open();
  add(spec("t"));
  CHECK(displaced() == Ids{ids[2]});
  CHECK(pending() == 3);
  CHECK(lost() == 3);
  CHECK(stats().by_state[0] == 3);
  CHECK(stats().losses.size() == 1);
  CHECK(std::string(loss_cause_name(LossCause::displaced)) == "displaced");
  CHECK(std::string(loss_cause_name(LossCause::too_fast)) == "too_fast");
}

// A reading of the rules of its own: who waits, by id, with its priority, and who has to go.
TEST_CASE_FIXTURE(QuotaFixture, "the front finds who gives way, however jobs come, go, and change their priorities") {
  ask<Done>(SetDispatch{false});
  for (const WhenFull how : {WhenFull::drop_oldest, WhenFull::drop_lowest}) {
    Random random(7 + static_cast<uint64_t>(how));
    const auto below = [&](uint64_t n) { return random.below(n); };
    const std::string queue = how == WhenFull::drop_oldest ? "o" : "l";
    std::map<JobId, int> model;
    constexpr size_t kMost = 1500;  // several readings of the front
    limit(kMost, how, queue);
    const auto some = [&] { return std::next(model.begin(), static_cast<std::ptrdiff_t>(below(model.size())))->first; };
    const auto one = [&] {
      JobSpec s = with_priority(static_cast<int>(below(4)), queue);
      s.type = "t" + std::to_string(below(20));
      if (below(3) == 0) s.delay_ms = 1 + static_cast<int64_t>(below(100000));
      return s;
    };
    while (model.size() < kMost) {
      const JobSpec s = one();
      model[add(s)] = s.priority;
    }
    for (int i = 0; i < 3000; ++i) {
      switch (below(10)) {
        case 0: {
          const JobId id = some();
          ask<Done>(Remove{id});
          model.erase(id);
          break;
        }
        case 1: {
          Edit e;
          e.id = some();
          e.priority = static_cast<int>(below(4));
          ask<Done>(e);
          model[e.id] = *e.priority;
          break;
        }
        default: {
          std::vector<JobSpec> specs(1 + below(3) * below(2), one());
          Ids expected;
          std::map<JobId, int> left = model;
          bool fits = true;
          for (size_t over = left.size() + specs.size() > kMost ? left.size() + specs.size() - kMost : 0; over > 0; --over) {
            const auto goes = how == WhenFull::drop_oldest ? left.begin() : std::min_element(left.begin(), left.end(), [](auto& a, auto& b) {
              return std::pair(a.second, a.first) < std::pair(b.second, b.first);
            });
            fits &= how == WhenFull::drop_oldest || goes->second <= specs[0].priority;
            expected.push_back(goes->first);
            left.erase(goes);
          }
          if (!fits) {
            CHECK(refused(Enqueue{specs}).code == HF_E_FULL);
            break;
          }
          const Ids ids = ask<Ids>(Enqueue{specs});
          std::sort(expected.begin(), expected.end());
          REQUIRE(displaced() == expected);
          model = std::move(left);
          for (const JobId id : ids) model[id] = specs[0].priority;
        }
      }
    }
    CHECK(pending(queue) == static_cast<int64_t>(model.size()));
  }
}
