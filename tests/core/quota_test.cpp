// What happens when a queue or the file is full: who is refused, who gives way, and that it is counted.
#include "quota_fixture.h"

using namespace hf;
using namespace hf::test;

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
  for (const QueueInfo& q : ask<std::vector<QueueInfo>>(QueueList{})) CHECK(q.name != "lost");  // what has gone is of no queue
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
