// when_full coalesce: a new job takes the place of one of its own queue, type and concurrency_key.
#include <algorithm>
#include <map>
#include <tuple>

#include "core/random.h"
#include "quota_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

class LaneQuota : public QuotaFixture {
 public:
  static JobSpec of(const std::string& key, const std::string& type = "t", const std::string& queue = "default") {
    JobSpec s = spec(type);
    s.concurrency_key = key;
    s.queue = queue;
    return s;
  }
  static JobSpec ranked(int priority, int64_t delay_ms = 0) {
    JobSpec s = with_priority(priority);
    s.delay_ms = delay_ms;
    return s;
  }
};

}  // namespace

TEST_CASE_FIXTURE(LaneQuota, "of its queue, type and key the next to run gives way; where none waits it is refused") {
  limit(4, WhenFull::coalesce);
  const JobId a = add(of("a")), b = add(of("b")), none = add(of("")), other = add(of("", "u"));
  add(of("a", "t", "elsewhere"));
  CHECK(displaced().empty());
  const JobId a2 = add(of("a"));
  CHECK(displaced() == Ids{a});
  CHECK(last.feed.front().detail.find("max_pending") != std::string::npos);
  CHECK(gone(a));
  const JobId a3 = add(of("a"));
  CHECK(displaced() == Ids{a2});
  const JobId none2 = add(of(""));
  CHECK(displaced() == Ids{none});
  const JobId other2 = add(of("", "u"));
  CHECK(displaced() == Ids{other});
  const JobId b2 = add(of("b"));
  CHECK(displaced() == Ids{b});
  CHECK(waiting("default") == Ids{a3, none2, other2, b2});
  CHECK(pending() == 4);
  CHECK(lost() == 5);
  CHECK(lost("elsewhere") == 0);
  const std::string full = "queue default holds 4 jobs that wait; the limit is 4 (max_pending), and none of type ";
  CHECK(refused_job(of("c")).message == full + "t with concurrency_key \"c\" in queue default may give way (when_full)");
  CHECK(refused_job(of("a", "u")).message == full + "u with concurrency_key \"a\" in queue default may give way (when_full)");
  CHECK(refused_job(of("", "v")).message == full + "v with no concurrency_key in queue default may give way (when_full)");
  CHECK(refused_job(of("c")).code == HF_E_FULL);
  CHECK(displaced().empty());
  // One place is free again: any job may have it, and the next one has to find its own.
  ask<Done>(Remove{b2});
  add(of("c"));
  CHECK(displaced().empty());
  CHECK(refused_job(of("b")).code == HF_E_FULL);
}

TEST_CASE_FIXTURE(LaneQuota, "next to run is what is due, in the order of the queue, and then what becomes due first") {
  limit(3, WhenFull::coalesce);
  const JobId late = add(ranked(9, 3600'000)), low = add(ranked(0)), high = add(ranked(5));
  const auto pushes_out = [&](const JobSpec& s, JobId expected) {
    const JobId id = add(s);
    CHECK(displaced() == Ids{expected});
    return id;
  };
  const JobId n1 = pushes_out(ranked(-5), high);
  const JobId n2 = pushes_out(ranked(-9), low);
  const JobId n3 = pushes_out(ranked(0, 10'000), n1);
  const JobId n4 = pushes_out(ranked(0, 20'000), n2);
  pushes_out(ranked(9, 7200'000), n3);
  pushes_out(ranked(9, 7200'000), n4);
  pushes_out(ranked(0), late);
  QueueSettings newest;
  newest.max_pending = 2;
  newest.when_full = WhenFull::coalesce;
  newest.order = QueueOrder::lifo;
  ask<Done>(QueueSet{"l", newest});
  const JobId first = add(with_priority(0, "l")), second = add(with_priority(0, "l"));
  pushes_out(with_priority(0, "l"), second);
  CHECK_FALSE(gone(first));
}

TEST_CASE_FIXTURE(LaneQuota, "many at once: the first ones have the room there is, each other one displaces one of its own; all or none") {
  limit(4, WhenFull::coalesce);
  const Ids a = add_many(2, of("a")), b = add_many(1, of("b"));
  const Ids more = add_many(2, of("a"));
  CHECK(displaced() == Ids{a[0]});
  const Error two = refused(Enqueue{{of("b"), of("b")}});
  CHECK(two.code == HF_E_FULL);
  CHECK(mentions(two, {"only 1 of type t with concurrency_key \"b\" in queue default may give way"}));
  CHECK(refused(Enqueue{std::vector<JobSpec>(4, of("a"))}).code == HF_E_FULL);
  CHECK(mentions(refused(Enqueue{std::vector<JobSpec>(5, of("a"))}), {"5 jobs for queue default at once"}));
  CHECK(waiting() == Ids{a[1], b[0], more[0], more[1]});
  CHECK(lost() == 1);
  const Ids both = ask<Ids>(Enqueue{{of("a"), of("b")}});
  CHECK(displaced() == Ids{a[1], b[0]});
  const Ids all = ask<Ids>(Enqueue{{of("a"), of("b"), of("a"), of("a")}});
  CHECK(displaced() == Ids{more[0], more[1], both[0], both[1]});
  CHECK(waiting() == all);
  // One of another queue needs no place here.
  CHECK(ask<Ids>(Enqueue{{of("c", "t", "elsewhere"), of("a")}}).size() == 2);
  CHECK(displaced() == Ids{all[0]});
  limit(5, WhenFull::coalesce);
  ask<Ids>(Enqueue{{of("c"), of("b")}});
  CHECK(displaced() == Ids{all[1]});
  limit(6, WhenFull::coalesce);
  CHECK(refused(Enqueue{{of("b"), of("d")}}).code == HF_E_FULL);
  CHECK(ask<Ids>(Enqueue{{of("d"), of("b")}}).size() == 2);
  CHECK(pending() == 6);
}

TEST_CASE_FIXTURE(LaneQuota, "over a limit that was lowered each new one displaces one; another policy makes it fewer, and then back") {
  add_many(20, of("a"));
  limit(5, WhenFull::coalesce);
  for (int i = 0; i < 3; ++i) {
    add(of("a"));
    CHECK(displaced().size() == 1);
  }
  CHECK(pending() == 20);
  CHECK(refused_job(of("b")).code == HF_E_FULL);
  limit(5, WhenFull::drop_oldest);
  const JobId b = add(of("b"));
  CHECK(pending() == 5);
  limit(5, WhenFull::coalesce);
  add(of("b"));
  CHECK(displaced() == Ids{b});
  limit(5, WhenFull::drop_oldest);
  const JobId first = waiting().front();
  add(of("b"));
  CHECK(displaced() == Ids{first});
}

TEST_CASE_FIXTURE(LaneQuota, "what runs and who holds a unique key of the call stay") {
  RunnerSpec one;
  one.concurrency = 1;
  handler("t", one);
  const JobId runs = add(of("a"));
  CHECK(take_started().id == runs);
  limit(2, WhenFull::coalesce);
  JobSpec unique = of("a");
  unique.unique_key = "k";
  const JobId holder = add(unique), beside = add(of("a"));
  CHECK(displaced().empty());
  CHECK(add(unique) == holder);
  CHECK(displaced().empty());
  const Ids ids = ask<Ids>(Enqueue{{unique, of("a")}});
  CHECK(ids[0] == holder);
  CHECK(displaced() == Ids{beside});
  add(of("a"));
  CHECK(displaced() == Ids{holder});
  const JobId again = add(unique);  // its key is free
  CHECK(again > holder);
  CHECK(state(runs) == State::running);
}

TEST_CASE_FIXTURE(LaneQuota, "a transaction's jobs take the places of their own lanes, first of their turn") {
  limit(3, WhenFull::coalesce);
  const JobId a1 = add(of("a")), a2 = add(of("a")), b1 = add(of("b"));
  CHECK(refused(op({of("a"), of("a"), of("a")})).code == HF_E_FULL);
  CHECK(refused(op({of("b"), of("b")})).code == HF_E_FULL);
  CHECK(refused(op({of("a")}, Error{7, "no"})).code == 7);
  CHECK(waiting() == Ids{a1, a2, b1});
  CHECK(lost() == 0);
  const Ids kept = ask<Ids>(op({of("a"), of("b")}));
  CHECK(displaced() == Ids{a1, b1});
  // It goes first; then the one of the same turn takes the place of its newest.
  std::vector<Reply> replies = tick({Enqueue{{of("b")}}, op({of("a"), of("b")})});
  const JobId b2 = std::get<Ids>(replies[0]).front();
  const Ids kept2 = std::get<Ids>(replies[1]);
  CHECK(displaced() == Ids{a2, kept[1], kept2[1]});
  CHECK(waiting() == Ids{kept[0], kept2[0], b2});
  replies = tick({Enqueue{{of("a")}}, op({of("a"), of("b")})});
  const JobId beside = std::get<Ids>(replies[0]).front();
  const Ids kept3 = std::get<Ids>(replies[1]);
  CHECK(displaced() == Ids{kept[0], b2, kept2[0]});
  CHECK(waiting() == Ids{kept3[0], kept3[1], beside});
  CHECK(pending() == 3);
}

TEST_CASE_FIXTURE(LaneQuota, "children, events and schedules: each finds a place of its own lane, or is refused as ever") {
  failing();
  limit(1, WhenFull::coalesce, "children");
  const auto with_child = [&](const std::string& key) {
    RunEnded e = ended(take_started(), Outcome::done);
    e.children.emplace_back(ask<Ids>(ReserveIds{1}).front(), of(key, "child", "children"));
    return e;
  };
  const JobId parent = add(spec("t"));
  RunEnded e = with_child("a");
  const JobId child = e.children[0].first;
  ask<Done>(e);
  const JobId second = add(spec("t"));
  e = with_child("b");
  ask<Done>(e);
  CHECK(state(second) == State::pending);
  CHECK(get(second).error.find("none of type child with concurrency_key \"b\"") != std::string::npos);
  pass(3600 * 1000);
  e = with_child("a");
  ask<Done>(e);
  CHECK(displaced() == Ids{child});
  CHECK(state(parent) == State::completed);
  CHECK(state(second) == State::completed);

  for (const char* name : {"a", "b"}) {
    SubscriptionSpec s;
    s.name = name;
    s.event = "e";
    s.job = of(name, "heard", "events");
    ask<Done>(SetSubscription{s});
  }
  limit(2, WhenFull::coalesce, "events");
  const Ids first = ask<Ids>(Emit{"e", ""});
  CHECK(ask<Ids>(Emit{"e", ""}).size() == 2);
  CHECK(displaced() == first);
  limit(1, WhenFull::coalesce, "events");
  CHECK(refused(Emit{"e", ""}).code == HF_E_FULL);
  CHECK(pending("events") == 2);

  ScheduleSpec s;
  s.name = "s";
  s.cron = "@every 10s";
  s.overlap = Overlap::queue;
  s.job = of("", "fired", "schedules");
  limit(2, WhenFull::coalesce, "schedules");
  add(of("", "other", "schedules"));
  ask<Done>(SchedulePut{s});
  run_for(35'000);
  const ScheduleInfo info = ask<std::vector<ScheduleInfo>>(ScheduleList{"s"}).at(0);
  CHECK(info.fired == 3);
  CHECK(info.skipped == 0);
  CHECK(lost("schedules") == 2);
  CHECK(pending("schedules") == 2);
}

TEST_CASE_FIXTURE(LaneQuota, "max_jobs: the same in the file; who has a place by its queue's own limit needs no second one") {
  limit_file(4, WhenFull::coalesce);
  const JobId t = add(of("", "t", "q")), u = add(of("", "u")), c = add(of("", "t", "c")), k = add(of("k"));
  CHECK(displaced().empty());
  const JobId u2 = add(of("", "u"));
  CHECK(displaced() == Ids{u});
  CHECK(last.feed.front().detail.find("max_jobs") != std::string::npos);
  const Error e = refused_job(of(""));
  CHECK(e.code == HF_E_FULL);
  CHECK(e.message == "the queue holds 4 jobs; the limit is 4 (max_jobs), and none of type t with no concurrency_key in queue default may give way (when_full)");
  limit(1, WhenFull::drop_oldest, "c");
  const Ids both = ask<Ids>(Enqueue{{of("", "u"), of("other", "v", "c")}});
  CHECK(displaced() == Ids{c, u2});
  CHECK(waiting() == Ids{t, k, both[0], both[1]});
  limit(1, WhenFull::coalesce, "c");
  ask<Ids>(Enqueue{{of("other", "v", "c"), of("k")}});
  CHECK(displaced() == Ids{k, both[1]});
  // A transaction's goes first, and the one of the same turn takes its place.
  const std::vector<Reply> replies = tick({Enqueue{{of("k")}}, op({of("k")})});
  CHECK(displaced().back() == std::get<Ids>(replies[1]).front());
  CHECK(std::holds_alternative<Ids>(replies[0]));
  CHECK(stats().by_state[0] == 4);
}

TEST_CASE_FIXTURE(LaneQuota, "in the file those of whose end somebody is told stay, and 256 of them are passed over") {
  JobSpec telling = ranked(1);
  telling.failure_callback = "alarm";
  add_many(static_cast<size_t>(kPassedOverMax), telling);
  const JobId plain = add(ranked(0));
  limit_file(kPassedOverMax + 1, WhenFull::coalesce);
  const JobId next = add(ranked(0));
  CHECK(displaced() == Ids{plain});
  limit_file(kPassedOverMax + 2, WhenFull::coalesce);
  add(telling);
  CHECK(displaced().empty());
  CHECK(refused_job(ranked(0)).code == HF_E_FULL);
  CHECK_FALSE(gone(next));
  // In a queue they give way as others do.
  limit(kPassedOverMax + 2, WhenFull::coalesce);
  limit_file(kPassedOverMax + 10, WhenFull::coalesce);
  add(ranked(0));
  CHECK(displaced().size() == 1);
  CHECK(displaced().front() < plain);
}

TEST_CASE_FIXTURE(LaneQuota, "max_bytes: as many of the lane as have the bytes; another lane keeps its own") {
  limit_file(0, WhenFull::coalesce, 1 << 20);
  const JobId other = add(spec("u", std::string(10000, 'u')));
  const JobSpec large = spec("t", std::string(10000, 'p'));
  Ids all;
  while (displaced().empty() && all.size() < 200) all.push_back(add(large));
  CHECK(all.size() > 50);
  for (int i = 0; i < 100; ++i) {
    all.push_back(add(large));
    CHECK(displaced().size() <= 3);
  }
  CHECK(stats().file_bytes <= (1 << 20) + 20000);
  const Ids left = waiting();
  CHECK(left.size() > 60);
  CHECK(left.front() == other);
  CHECK(std::equal(left.rbegin(), std::prev(left.rend()), all.rbegin()));
  const Error e = refused_job(spec("u", std::string(60000, 'u')));
  CHECK(e.code == HF_E_FULL);
  CHECK(mentions(e, {"max_bytes"}));
  CHECK(waiting() == left);
}

// A reading of the rules of its own: who waits, in which lane, and who is next to run of it.
TEST_CASE_FIXTURE(LaneQuota, "who is next to run is found, however jobs come, go, and change their priorities") {
  ask<Done>(SetDispatch{false});
  constexpr size_t kMost = 80;
  limit(kMost, WhenFull::coalesce);
  struct Waiting {
    std::string key;
    int priority;
    int64_t delay_ms;
  };
  std::map<JobId, Waiting> model;
  Random random(11);
  const auto next_of = [&](const std::string& key) {
    const auto place = [](const auto& one) {
      const auto& [id, w] = one;
      return w.delay_ms == 0 ? std::tuple(int64_t{0}, -w.priority, id) : std::tuple(w.delay_ms, -w.priority, id);
    };
    auto first = model.end();
    for (auto at = model.begin(); at != model.end(); ++at) {
      if (at->second.key == key && (first == model.end() || place(*at) < place(*first))) first = at;
    }
    return first;
  };
  int refusals = 0;
  for (int i = 0; i < 2000; ++i) {
    const uint64_t what = random.below(12);
    if (what < 2 && !model.empty()) {
      const JobId id = std::next(model.begin(), static_cast<std::ptrdiff_t>(random.below(model.size())))->first;
      if (what == 0) {
        ask<Done>(Remove{id});
        model.erase(id);
      } else {
        Edit e;
        e.id = id;
        e.priority = static_cast<int>(random.below(4));
        ask<Done>(e);
        model[id].priority = *e.priority;
      }
      continue;
    }
    JobSpec s = ranked(static_cast<int>(random.below(4)), random.below(3) == 0 ? 1 + static_cast<int64_t>(random.below(1000)) : 0);
    s.concurrency_key = std::string(1, static_cast<char>('a' + random.below(12)));
    Ids expected;
    if (model.size() == kMost) {
      const auto goes = next_of(s.concurrency_key);
      if (goes == model.end()) {
        CHECK(refused_job(s).code == HF_E_FULL);
        ++refusals;
        continue;
      }
      expected = {goes->first};
      model.erase(goes);
    }
    const JobId id = add(s);
    REQUIRE(displaced() == expected);
    model[id] = {s.concurrency_key, s.priority, s.delay_ms};
  }
  CHECK(pending() == static_cast<int64_t>(model.size()));
  CHECK(refusals < 1000);
}
