// What happens when a queue or the file is full: who is refused, who gives way, and that it is counted.
#include <algorithm>
#include <map>
#include <set>

#include "core/jobs.h"
#include "core/losses.h"
#include "core/random.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

using Ids = std::vector<JobId>;

class QuotaFixture : public EngineFixture {
 public:
  void limit(int64_t max_pending, WhenFull when_full, const std::string& queue = "default") {
    QueueSettings s;
    s.max_pending = max_pending;
    s.when_full = when_full;
    ask<Done>(QueueSet{queue, s});
  }
  void limit_file(int64_t max_jobs, WhenFull when_full, int64_t max_bytes = 0) {
    Limits l;
    l.max_jobs = max_jobs;
    l.max_bytes = max_bytes;
    l.when_full = when_full;
    ask<Done>(SetLimits{l});
  }
  static JobSpec with_priority(int priority, const std::string& queue = "default") {
    JobSpec s = spec("t");
    s.queue = queue;
    s.priority = priority;
    return s;
  }
  JobId add_with(int priority, const std::string& queue = "default") { return add(with_priority(priority, queue)); }
  Ids add_many(size_t n, const JobSpec& like) { return ask<Ids>(Enqueue{std::vector<JobSpec>(n, like)}); }
  Error refused_job(const JobSpec& s) { return refused(Enqueue{{s}}); }
  // Of the last turn, in the order of the feed.
  Ids displaced() const {
    Ids ids;
    for (const Transition& t : last.feed) {
      if (t.change == Change::displaced) ids.push_back(t.id);
    }
    return ids;
  }
  bool gone(JobId id) { return std::holds_alternative<Error>(tick({Get{id}}).front()); }
    Ids waiting(const std::string& queue = "") {
    ListQuery q;
    q.state = State::pending;
    q.queue = queue;
    q.limit = 1000;
    Ids ids;
    for (const JobInfo& job : ask<JobPage>(List{q}).jobs) {
      if (!job.delivering) ids.push_back(job.id);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  int64_t pending(const std::string& queue = "default") { return ask<std::vector<QueueInfo>>(QueueList{queue}).at(0).pending; }
  int64_t lost(const std::string& queue = "default") {
    for (const Loss& loss : stats().losses) {
      if (loss.cause == LossCause::displaced && loss.queue == queue) return loss.total;
    }
    return 0;
  }
  static bool mentions(const Error& e, std::initializer_list<const char*> parts) {
    return std::all_of(parts.begin(), parts.end(), [&](const char* part) { return e.message.find(part) != std::string::npos; });
  }
  // A handler whose jobs fail at once and wait for an hour.
  void failing(int max_attempts = 5) {
    RunnerSpec r;
    r.policy.max_attempts = max_attempts;
    r.policy.backoff.kind = BackoffKind::fixed;
    r.policy.backoff.base_ms = 3600 * 1000;
    r.policy.backoff.jitter = Jitter::none;
    handler("t", r);
  }
};

}  // namespace

TEST_CASE_FIXTURE(QuotaFixture, "reject: one more than max_pending is refused, and the text says of what and how many") {
  limit(3, WhenFull::reject);
  for (int i = 0; i < 3; ++i) add(spec("t"));
  const Error e = refused_job(spec("t"));
  CHECK(e.code == HF_E_FULL);
  CHECK(e.message == "queue default holds 3 jobs that wait; the limit is 3 (max_pending)");
  CHECK(pending() == 3);
  CHECK(lost() == 0);
  add(with_priority(0, "other"));  // it is of one queue
  ask<Done>(Cancel{waiting("default").front()});
  add(spec("t"));
  CHECK(refused_job(spec("t")).code == HF_E_FULL);
  limit(0, WhenFull::reject);  // none
  add(spec("t"));
  CHECK(pending() == 4);
}

TEST_CASE_FIXTURE(QuotaFixture, "the limit: 0 to a billion; not of a sink's queue") {
  const auto refusal = [&](int64_t max, const std::string& queue = "q") {
    QueueSettings s;
    s.max_pending = max;
    return refused(QueueSet{queue, s}).message;
  };
  CHECK(refusal(-1) == "max_pending is -1; allowed is 0 to 1000000000");
  CHECK(refusal(kMaxPendingMax + 1) == "max_pending is 1000000001; allowed is 0 to 1000000000");
  CHECK(refusal(5, "sink:s").find("are for jobs that come in") != std::string::npos);
  limit(kMaxPendingMax, WhenFull::drop_lowest, "q");
  QueueSettings configured;
  configured.max_pending = 1;
  ask<Done>(SetQueueDefaults{"q", configured});
  CHECK(ask<std::vector<QueueInfo>>(QueueList{"q"}).at(0).settings.max_pending == kMaxPendingMax);
  ask<Done>(QueueSet{"q", {}});
  CHECK(ask<std::vector<QueueInfo>>(QueueList{"q"}).at(0).settings.max_pending == 1);
  add(with_priority(0, "q"));
  CHECK(refused_job(with_priority(0, "q")).code == HF_E_FULL);
}

TEST_CASE_FIXTURE(QuotaFixture, "drop_oldest: who came in first gives way, whatever its priority and its time") {
  limit(3, WhenFull::drop_oldest);
  JobSpec late = with_priority(9);
  late.delay_ms = 3600 * 1000;
  const JobId a = add(late);
  JobSpec other_lane = spec("u");
  other_lane.concurrency_key = "k";
  const JobId b = add(other_lane);
  const JobId c = add_with(-5);
  CHECK(displaced().empty());
  const JobId d = add_with(-9);
  CHECK(displaced() == Ids{a});
  CHECK(waiting() == Ids{b, c, d});
  CHECK(gone(a));
  const JobId e = add(spec("t"));
  CHECK(displaced() == Ids{b});
  CHECK(last.feed.front().detail.find("max_pending") != std::string::npos);
  CHECK(last.feed.front().queue == "default");
  CHECK(waiting() == Ids{c, d, e});
  CHECK(pending() == 3);
  CHECK(lost() == 2);
  CHECK(stats().by_state[0] == 3);
}

TEST_CASE_FIXTURE(QuotaFixture, "drop_lowest: the lowest priority gives way, of these the oldest; a lower one still is refused") {
  limit(4, WhenFull::drop_lowest);
  const JobId high = add_with(5);
  const JobId low = add_with(-1);
  const JobId low2 = add_with(-1);
  const JobId mid = add_with(0);
  const Error e = refused_job(with_priority(-2));
  CHECK(e.code == HF_E_FULL);
  CHECK(mentions(e, {"queue default holds 4 jobs", "the limit is 4 (max_pending)", "none of them may give way"}));
  const JobId equal = add_with(-1);
  CHECK(displaced() == Ids{low});
  const JobId higher = add_with(3);
  CHECK(displaced() == Ids{low2});
  const JobId highest = add_with(9);
  CHECK(displaced() == Ids{equal});
  CHECK(waiting() == Ids{high, mid, higher, highest});
  // Its priority now is what counts.
  Edit edit;
  edit.id = high;
  edit.priority = -7;
  ask<Done>(edit);
  const JobId next = add_with(-7);
  CHECK(displaced() == Ids{high});
  edit.id = next;
  edit.priority = 4;
  ask<Done>(edit);
  const JobId last_one = add_with(2);
  CHECK(displaced() == Ids{mid});
  CHECK(waiting() == Ids{higher, highest, next, last_one});
  CHECK(lost() == 5);
}

TEST_CASE_FIXTURE(QuotaFixture, "many at once: all or none, none of one call gives way to another of it, and never more than the limit") {
  limit(4, WhenFull::reject);
  const Ids first = add_many(3, spec("t"));
  CHECK(refused(Enqueue{std::vector<JobSpec>(2, spec("t"))}).code == HF_E_FULL);
  CHECK(pending() == 3);
  add(spec("t"));
  limit(4, WhenFull::drop_oldest);
  for (const WhenFull how : {WhenFull::reject, WhenFull::drop_oldest, WhenFull::drop_lowest}) {
    limit(4, how);
    const Error e = refused(Enqueue{std::vector<JobSpec>(5, spec("t"))});
    CHECK(e.code == HF_E_FULL);
    CHECK(mentions(e, {"queue default", "the limit is 4 (max_pending)"}));
    CHECK(displaced().empty());
  }
  limit(4, WhenFull::drop_oldest);
  const Ids second = add_many(2, spec("t"));
  CHECK(displaced() == Ids{first[0], first[1]});
  const Ids third = add_many(4, spec("t"));
  CHECK(waiting() == third);
  CHECK(lost() == 6);
  // A bad one: nobody gave way.
  std::vector<JobSpec> mixed = {spec("t"), spec("")};
  CHECK(refused(Enqueue{mixed}).code == HF_E_INVALID);
  CHECK(waiting() == third);
  // As if one came after the other: the first one has the room that is there.
  limit(5, WhenFull::drop_lowest);
  CHECK(refused(Enqueue{{with_priority(0), with_priority(-1)}}).code == HF_E_FULL);
  CHECK(waiting() == third);
  const Ids fourth = ask<Ids>(Enqueue{{with_priority(-1), with_priority(0)}});
  CHECK(displaced() == Ids{third[0]});
  CHECK(waiting().size() == 5);
  const Ids queues = ask<Ids>(Enqueue{{with_priority(0, "b"), with_priority(0, "c"), with_priority(1)}});
  CHECK(displaced() == Ids{fourth[0]});
  CHECK(queues.size() == 3);
}

TEST_CASE_FIXTURE(QuotaFixture, "a holder of a unique key needs no room, and stays; that of one which gave way is free") {
  limit(2, WhenFull::drop_oldest);
  JobSpec unique = spec("t");
  unique.unique_key = "k";
  const JobId a = add(unique);
  const JobId b = add(spec("t"));
  CHECK(add(unique) == a);
  CHECK(displaced().empty());
  // It is the oldest, and stands for one of the call.
  const Ids ids = ask<Ids>(Enqueue{{unique, spec("t")}});
  CHECK(ids[0] == a);
  CHECK(displaced() == Ids{b});
  // Both places are taken: by the holder, and by what comes in.
  CHECK(refused(Enqueue{{unique, spec("t"), spec("t")}}).code == HF_E_FULL);
  CHECK(waiting() == Ids{a, ids[1]});
  const JobId c = add(spec("t"));
  CHECK(displaced() == Ids{a});
  const JobId again = add(unique);
  CHECK(again > c);
  CHECK(get(again).unique_key == "k");
  limit(2, WhenFull::reject);
  CHECK(add(unique) == again);
  // Two with one key need one place.
  ask<Done>(Remove{c});
  unique.unique_key = "other";
  const Ids two = ask<Ids>(Enqueue{{unique, unique}});
  CHECK(two[0] == two[1]);
}

TEST_CASE_FIXTURE(QuotaFixture, "what runs, and a result on its way to a sink, never give way") {
  RunnerSpec one;
  one.concurrency = 1;
  handler("t", one);
  RunnerSpec to_sink;
  to_sink.sink = "s";
  handler("d", to_sink);
  const JobId runs = add(spec("t"));
  CHECK(take_started().id == runs);
  const JobId delivers = add(spec("d"));
  end(take_started(), Outcome::done, "result");
  CHECK(get(delivers).delivering);
  limit(1, WhenFull::drop_oldest);
  const JobId a = add(spec("t"));
  CHECK(displaced().empty());
  add(spec("t"));
  CHECK(displaced() == Ids{a});
  limit_file(3, WhenFull::drop_oldest);
  const JobId b = waiting("default").front();
  const JobId c = add(with_priority(0, "elsewhere"));
  CHECK(displaced() == Ids{b});
  limit_file(3, WhenFull::drop_oldest);
  add(with_priority(0, "third"));
  CHECK(displaced() == Ids{c});
  CHECK(state(runs) == State::running);
  CHECK(get(delivers).delivering);
  // Nobody is left who could.
  ask<Done>(Cancel{waiting("third").front()});
  const Error e = refused_job(spec("t"));
  CHECK(e.code == HF_E_FULL);
  CHECK(mentions(e, {"max_jobs", "none of them may give way"}));
}

TEST_CASE_FIXTURE(QuotaFixture, "what comes back is never refused; new ones push out until the queue is within its limit again") {
  failing();
  limit(2, WhenFull::reject);
  const Ids ids = add_many(2, spec("t"));
  CHECK(pending() == 0);
  const Ids more = add_many(2, spec("t"));
  CHECK(started.size() == 4);
  ask<Done>(SetDispatch{false});
  const std::vector<StartRun> runs = std::exchange(started, {});
  for (const StartRun& run : runs) end(run.jobs.front(), Outcome::retry, "no");
  CHECK(pending() == 4);
  const JobId dead = ids[0];
  ask<Done>(Cancel{dead});
  CHECK(refused_job(spec("t")).code == HF_E_FULL);
  ask<Done>(Retry{dead});
  CHECK(pending() == 4);
  CHECK(refused_job(spec("t")).message == "queue default holds 4 jobs that wait; the limit is 2 (max_pending)");
  limit(2, WhenFull::drop_oldest);
  const JobId fresh = add(spec("t"));
  CHECK(displaced() == Ids{ids[0], ids[1], more[0]});
  CHECK(waiting() == Ids{more[1], fresh});
  // Of a higher priority than the new one: as many go as come in, or it is refused.
  limit(0, WhenFull::reject);
  Ids high;
  for (int i = 0; i < 3; ++i) high.push_back(add_with(7));
  limit(2, WhenFull::drop_lowest);
  add_with(1);
  CHECK(displaced() == Ids{more[1], fresh});
  CHECK(pending() == 4);
  CHECK(refused_job(with_priority(0)).code == HF_E_FULL);
}

TEST_CASE_FIXTURE(QuotaFixture, "a limit that was lowered: at most 100 give way to each new one, until it is reached") {
  add_many(350, spec("t"));
  limit(10, WhenFull::drop_oldest);
  const std::vector<int64_t> left = {251, 152, 53, 10, 10};
  for (const int64_t n : left) {
    add(spec("t"));
    CHECK(pending() == n);
  }
  CHECK(lost() == 345);
  add_many(500, with_priority(0, "q"));
  limit(10, WhenFull::drop_lowest, "q");
  add_many(3, with_priority(0, "q"));
  CHECK(pending("q") == 203);
}

TEST_CASE_FIXTURE(QuotaFixture, "max_jobs: of all queues the oldest, or the lowest, that waits for a run") {
  limit_file(4, WhenFull::drop_oldest);
  const JobId a = add_with(3, "a"), b = add_with(0, "b");
  handler("done");
  const JobId completed = add(spec("done"));
  end(take_started(), Outcome::done);
  const JobId c = add_with(0, "c");
  CHECK(displaced().empty());
  const JobId d = add_with(-1, "a");
  CHECK(displaced() == Ids{a});
  CHECK(last.feed.front().detail.find("max_jobs") != std::string::npos);
  CHECK(lost("a") == 1);
  limit_file(4, WhenFull::drop_lowest);
  const JobId e = add_with(0, "b");
  CHECK(displaced() == Ids{d});
  CHECK(refused_job(with_priority(-1)).code == HF_E_FULL);
  const JobId f = add_with(0);
  CHECK(displaced() == Ids{b});
  CHECK(state(completed) == State::completed);
  CHECK(waiting() == Ids{c, e, f});
  CHECK(refused(Enqueue{std::vector<JobSpec>(4, spec("t"))}).code == HF_E_FULL);
  CHECK(waiting() == Ids{c, e, f});
  limit_file(4, WhenFull::reject);
  CHECK(refused_job(with_priority(9)).message == "the queue holds 4 jobs; the limit is 4 (max_jobs)");
  // What gave way in its queue has made room in the file.
  limit(1, WhenFull::drop_oldest, "c");
  add_with(0, "c");
  CHECK(displaced() == Ids{c});
}

TEST_CASE_FIXTURE(QuotaFixture, "max_bytes: as many give way as have the bytes, and the file stays within it") {
  limit_file(0, WhenFull::drop_oldest, 1 << 20);
  JobSpec large = spec("t", std::string(10000, 'p'));
  Ids all;
  while (displaced().empty()) all.push_back(add(large));
  CHECK(all.size() > 50);
  for (int i = 0; i < 200; ++i) {
    all.push_back(add(large));
    CHECK(displaced().size() <= 3);
  }
  CHECK(stats().file_bytes <= (1 << 20) + 20000);
  const Ids left = waiting();
  CHECK(left.size() > 60);
  CHECK(std::equal(left.rbegin(), left.rend(), all.rbegin()));  // the newest
  CHECK(lost() == static_cast<int64_t>(all.size() - left.size()));
  // Small ones: a page is given back when all of its rows are gone, so they go in bursts, and one for one in the long run.
  const JobSpec small = spec("t", std::string(100, 's'));
  while (!gone(all.back())) add_many(50, small);
  const int64_t before = lost();
  for (int i = 0; i < 1000; ++i) add(small);
  CHECK(lost() - before > 700);
  CHECK(lost() - before < 1400);
  CHECK(stats().file_bytes <= (1 << 20) + 20000);
  // A large one: 100 small ones have not its bytes, and none of them is given up for nothing.
  const int64_t held = pending();
  const Error e = refused_job(spec("t", std::string(60000, 'l')));
  CHECK(e.code == HF_E_FULL);
  CHECK(mentions(e, {"max_bytes", "nor have 100"}));
  CHECK(pending() == held);
  limit_file(0, WhenFull::drop_lowest, 1 << 20);
  const Error low = refused_job([&] {
    JobSpec s = large;
    s.priority = -1;
    return s;
  }());
  CHECK(low.code == HF_E_FULL);
}

TEST_CASE_FIXTURE(QuotaFixture, "who wants to be told of a failure is told; in the file such a job makes no room, and stays") {
  RunnerSpec sink;
  sink.concurrency = 1;
  JobSpec telling = spec("t");
  telling.failure_callback = "alarm";
  limit(1, WhenFull::drop_oldest);
  const JobId a = add(telling);
  const JobId b = add(spec("t"));
  CHECK(displaced() == Ids{a});
  handler("sink:alarm", sink);
  const RunJob told = take_started();
  CHECK(told.type == kCallbackType);
  CHECK(told.bytes == "{\"type\":\"job.failed\",\"data\":{\"id\":" + std::to_string(a) + "}}");
  end(told, Outcome::done);
  CHECK(gone(a));
  CHECK(lost() == 1);

  limit(0, WhenFull::reject);
  const JobId c = add(telling);
  limit_file(stats().by_state[0] + stats().by_state[2], WhenFull::drop_oldest);
  add(spec("t"));
  CHECK(displaced() == Ids{b});
  const JobId d = add(spec("t"));
  CHECK(displaced().size() == 1);
  CHECK(waiting() == Ids{c, d});
  ask<Done>(Remove{d});
  const JobId e = add(telling);
  CHECK(refused_job(spec("t")).code == HF_E_FULL);
  CHECK(waiting() == Ids{c, e});
  // What its handler says for it counts, too, and no longer when it says nothing.
  RunnerSpec spoken;
  spoken.failure_callback = "alarm";
  ask<Done>(SetDispatch{false});
  handler("u", spoken);
  ask<Done>(Remove{e});
  const JobId f = add(spec("u"));
  CHECK(refused_job(spec("t")).code == HF_E_FULL);
  handler("u");
  add(spec("t"));
  CHECK(displaced() == Ids{f});
}

TEST_CASE_FIXTURE(QuotaFixture, "a transaction's jobs: looked at when they are promised, and others leave them their places") {
  limit(3, WhenFull::reject);
  const auto op = [](std::vector<JobSpec> specs) {
    Transact t;
    t.overdue = [] { return false; };
    t.body = [specs = std::move(specs)](Transaction& inside) -> Status {
      for (const JobSpec& s : specs) {
        if (Result<JobId> id = inside.enqueue(s); !id) return id.error();
      }
      return ok_status();
    };
    return t;
  };
  const JobId a = add(spec("t"));
  CHECK(refused(op(std::vector<JobSpec>(3, spec("t")))).code == HF_E_FULL);
  CHECK(waiting() == Ids{a});
  // Applied before it, and decided after it.
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
  // The holder of a unique key that it counts on stays.
  limit(2, WhenFull::drop_oldest, "u");
  JobSpec unique = with_priority(0, "u");
  unique.unique_key = "k";
  const JobId holder = add(unique);
  const JobId beside = add_with(0, "u");
  replies = tick({Enqueue{{with_priority(0, "u")}}, op({unique})});
  CHECK(std::get<Ids>(replies[1]) == Ids{holder});
  CHECK(displaced() == Ids{beside});
  // One that is gone when it is kept: nothing is written.
  replies = tick({Remove{holder}, op({unique})});
  CHECK(std::get<Ids>(replies[1]) == Ids{holder});
  CHECK(gone(holder));
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
