// Retention of queues that have one of their own.
#include "core/queue_retention.h"

#include "core/retention.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kMinute = 60000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;

class QueueRetentionFixture : public EngineFixture {
 public:
  QueueRetentionFixture() {
    handler("x");
    limits.concurrency = 10000;
    keep(kDay);
  }
  void keep(int64_t completed_ms, int64_t completed_count = 0, int64_t dead_ms = 0) {
    limits.keep_completed_ms = completed_ms;
    limits.keep_completed_count = completed_count;
    limits.keep_dead_ms = dead_ms;
    ask<Done>(SetLimits{limits});
  }
  void set(const std::string& queue, QueueSettings settings) { ask<Done>(QueueSet{queue, std::move(settings)}); }
  static JobSpec in(const std::string& queue) {
    JobSpec s = spec("x");
    s.queue = queue;
    return s;
  }
  JobId finish(const std::string& queue, Outcome outcome = Outcome::done) { return finish(in(queue), outcome); }
  JobId finish(JobSpec s, Outcome outcome = Outcome::done) {
    const JobId id = add(std::move(s));
    end(take_started(), outcome, "r");
    return id;
  }
  // In one millisecond, in one turn.
  std::vector<JobId> finish_many(const std::string& queue, int n) {
    const auto ids = ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(static_cast<size_t>(n), in(queue))});
    std::vector<Op> ends;
    for (const StartRun& s : started) ends.push_back(ended(s.jobs.front(), Outcome::done));
    REQUIRE(ends.size() == ids.size());
    started.clear();
    tick(std::move(ends));
    return ids;
  }
  bool there(JobId id) { return std::holds_alternative<JobInfo>(tick({Get{id}}).front()); }
  int64_t completed() { return stats().by_state[2]; }
  int64_t dead() { return stats().by_state[3]; }
};

}  // namespace

TEST_CASE_FIXTURE(QueueRetentionFixture, "an age of a queue takes the place of the file's, longer or shorter") {
  set("long", {.keep_completed_ms = 10 * kDay});
  set("short", {.keep_completed_ms = kHour});
  const JobId a = finish("long"), b = finish("short"), c = finish("default"), d = finish("long", Outcome::dead);
  const JobId e = add([] { JobSpec s = in("short"); s.type = "y"; return s; }());
  ask<Done>(Cancel{e});
  run_for(kHour - 1);
  CHECK((there(a) && there(b) && there(c) && there(e)));
  run_for(2 * kMinute);
  CHECK_FALSE((there(b) || there(e)));
  CHECK((there(a) && there(c)));
  run_for(kDay);
  CHECK_FALSE(there(c));
  CHECK(there(a));
  run_for(9 * kDay);
  CHECK_FALSE(there(a));
  CHECK(there(d));  // as of the file
  run_for(30 * kDay);
  CHECK_FALSE(there(d));
  CHECK(wake() == kNever);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "it wakes up for what leaves, and for nothing else") {
  set("long", {.keep_completed_ms = 20 * kDay});
  set("short", {.keep_completed_ms = kHour});
  set("empty", {.keep_completed_ms = kMinute, .keep_dead_ms = kMinute, .keep_completed_count = 2});
  run_for(1000);
  CHECK(wake() == kNever);
  for (int i = 0; i < 50; ++i) {
    finish("long");
    finish("default");
    pass(kMinute);
  }
  finish("short");
  const int64_t ticks = stats().ticks;
  run_for(30 * kDay);
  CHECK(completed() == 0);
  CHECK(stats().ticks - ticks < 400);
  CHECK(wake() == kNever);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "the newest of a queue stay, exactly so many, and those of others are no matter") {
  set("few", {.keep_completed_count = 5, .keep_dead_count = 2});
  std::vector<JobId> few, dead_ones, others;
  for (int i = 0; i < 40; ++i) {
    few.push_back(finish("few"));
    others.push_back(finish("default"));
    dead_ones.push_back(finish("few", Outcome::dead));
    if (i % 3 == 0) pass(1);
  }
  CHECK(completed() == 45);
  CHECK(dead() == 2);
  for (size_t i = 0; i < few.size(); ++i) CHECK(there(few[i]) == (i >= 35));
  CHECK(there(dead_ones.back()));
  CHECK(there(others.front()));
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "many at once are held to the count by batches") {
  set("few", {.keep_completed_count = 10});
  finish_many("default", 700);
  const auto ids = finish_many("few", 1500);
  run_for(1000);
  CHECK(completed() == 710);
  CHECK(there(ids.back()));
  CHECK_FALSE(there(ids.front()));
  finish("few");
  CHECK(completed() == 710);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "counts and ages hold over a kill, a clean end and a reboot") {
  set("few", {.keep_completed_ms = 10 * kDay, .keep_completed_count = 3});
  std::vector<JobId> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(finish("few"));
    pass(1000);
  }
  const JobId other = finish("default");
  crash();
  handler("x");
  run_for(1000);
  CHECK(completed() == 4);
  ids.push_back(finish("few"));
  CHECK(completed() == 4);
  CHECK_FALSE(there(ids[2]));
  close_cleanly();
  open();
  handler("x");
  ids.push_back(finish("few"));
  run_for(1000);
  CHECK(completed() == 4);
  CHECK_FALSE(there(ids[3]));
  reboot(2 * kDay, true);
  run_for(2 * kMinute);
  CHECK_FALSE(there(other));
  CHECK(there(ids[4]));
  CHECK(completed() == 3);
  run_for(9 * kDay);
  CHECK(completed() == 0);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "what is deleted and what comes back is not counted") {
  set("few", {.keep_completed_count = 3, .keep_dead_count = 3});
  std::vector<JobId> done, bad;
  for (int i = 0; i < 3; ++i) {
    done.push_back(finish("few"));
    bad.push_back(finish("few", Outcome::dead));
    pass(1);
  }
  ask<Done>(Remove{done[1]});
  ask<Done>(Retry{bad[0]});
  end(take_started(), Outcome::dead, "again");
  done.push_back(finish("few"));
  CHECK(completed() == 3);
  CHECK(dead() == 3);
  CHECK((there(done[0]) && there(bad[0])));
  done.push_back(finish("few"));
  bad.push_back(finish("few", Outcome::dead));
  CHECK_FALSE(there(done[0]));
  CHECK_FALSE(there(bad[1]));  // bad[0] is newer now
  CHECK(there(bad[0]));
  CHECK(completed() == 3);
  CHECK(dead() == 3);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "settings that change count at once, and are as the file's when they are gone") {
  const JobId a = finish("q"), b = finish("q"), c = finish("default");
  pass(2 * kHour);
  set("q", {.keep_completed_ms = kHour});
  CHECK_FALSE((there(a) || there(b)));
  CHECK(there(c));
  const JobId d = finish("q");
  set("q", {.keep_completed_ms = 3 * kDay});
  run_for(2 * kDay);
  CHECK(there(d));
  CHECK_FALSE(there(c));
  set("q", {});
  CHECK_FALSE(there(d));
  std::vector<JobId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(finish("q"));
  set("q", {.keep_completed_count = 2});
  CHECK(completed() == 2);
  CHECK(there(ids[3]));
  set("q", {.keep_completed_count = 4});
  finish("q");
  CHECK(completed() == 3);
  // The configuration's, below what an operator set.
  set("q", {});
  ask<Done>(SetQueueDefaults{"q", {.keep_completed_count = 1}});
  CHECK(completed() == 1);
  ask<Done>(SetQueueDefaults{"q", {}});
  run_for(2 * kDay);
  CHECK(completed() == 0);
  CHECK(wake() == kNever);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "the file's age changes for those that have none of their own") {
  set("q", {.keep_completed_ms = 10 * kDay});
  const JobId a = finish("q"), b = finish("default");
  pass(2 * kHour);
  keep(kHour);
  CHECK_FALSE(there(b));
  CHECK(there(a));
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "the counts of the file hold for all") {
  set("q", {.keep_completed_ms = 10 * kDay, .keep_completed_count = 100});
  keep(kDay, 10);
  std::vector<JobId> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(finish("q"));
  pass(1);
  for (int i = 0; i < 8; ++i) finish("default");
  CHECK(completed() == 10);
  CHECK_FALSE(there(ids[5]));
  CHECK(there(ids[7]));
  for (int i = 0; i < 20; ++i) finish("q");
  CHECK(completed() == 10);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "0s: a completed job is gone at once, whatever the file says, and the other way round") {
  set("q", {.keep_completed_ms = 0});
  CHECK_FALSE(there(finish("q")));
  CHECK(there(finish("default")));
  keep(-1);
  set("q", {.keep_completed_ms = kHour});
  const JobId a = finish("q");
  CHECK(there(a));
  CHECK_FALSE(there(finish("default")));
  run_for(2 * kHour);
  CHECK(completed() == 0);
  set("q", {.keep_dead_ms = 0});
  const JobId b = finish("q", Outcome::dead);
  run_for(2000);
  CHECK_FALSE(there(b));
  const auto losses = stats().losses;
  REQUIRE(losses.size() == 1);
  CHECK((losses[0].cause == LossCause::dropped && losses[0].queue == "q" && losses[0].total == 1));
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "a job whose unique key is held stays until it is free, and is not counted") {
  set("q", {.keep_completed_ms = kHour, .keep_completed_count = 2});
  JobSpec s = in("q");
  s.unique_key = "k";
  s.unique_for_ms = 10 * kHour;
  const JobId held = finish(s);
  pass(1);
  const JobId a = finish("q"), b = finish("q"), c = finish("q");
  CHECK((there(held) && !there(a) && there(b) && there(c)));
  CHECK(completed() == 3);
  const int64_t ticks = stats().ticks;
  run_for(3 * kHour);
  CHECK(there(held));
  CHECK_FALSE((there(b) || there(c)));
  CHECK(stats().ticks - ticks < 20);
  run_for(7 * kHour + 2 * kMinute);
  CHECK_FALSE(there(held));
  CHECK(wake() == kNever);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "many held keys cost few turns, and prune takes all that is free") {
  set("q", {.keep_completed_ms = kHour});
  const int held = kRetentionLookMax + kRetentionBatch;
  for (int i = 0; i < held; ++i) {
    JobSpec s = in("q");
    s.unique_key = "k" + std::to_string(i);
    s.unique_for_ms = 10 * kHour + i * 1000;
    finish(s);
  }
  const JobId a = finish("q");
  int64_t ticks = stats().ticks;
  run_for(3 * kHour);
  CHECK_FALSE(there(a));
  CHECK(completed() == held);
  CHECK(stats().ticks - ticks < 100);
  pass(7 * kHour + 100 * 1000);
  CHECK(ask<int64_t>(Prune{}) <= 101);
  CHECK(completed() <= held - 100);
  CHECK(completed() >= held - 101);
  ticks = stats().ticks;
  run_for(kHour);
  CHECK(completed() == 0);
  CHECK(stats().ticks - ticks < 400);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "a delivery is of the queue in which its job ran") {
  handler("sink:cloud");
  set("q", {.keep_completed_ms = kHour, .keep_dead_count = 1});
  CHECK(refused(QueueSet{"sink:cloud", {.keep_dead_count = 1}}).message ==
        "retention_completed and the like are of the queue in which a job ran, not of the queue of a sink");
  const auto deliver = [&](const std::string& queue, Outcome outcome) {
    JobSpec s = in(queue);
    s.sink = "cloud";
    const JobId id = finish(s);
    end(take_started(), outcome, "no");
    pass(1);
    return id;
  };
  const JobId a = deliver("q", Outcome::done), b = deliver("default", Outcome::done);
  const JobId c = deliver("q", Outcome::dead), d = deliver("default", Outcome::dead), e = deliver("q", Outcome::dead);
  CHECK_FALSE(there(c));
  CHECK((there(d) && there(e)));
  run_for(2 * kHour);
  CHECK_FALSE(there(a));
  CHECK(there(b));
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "prune does all of it now") {
  set("short", {.keep_completed_ms = kHour});
  set("long", {.keep_completed_ms = 10 * kDay});
  const JobId stays = finish("long");
  finish_many("short", 2500);
  finish_many("long", 700);
  now.boot_ms += 2 * kHour;
  CHECK(ask<int64_t>(Prune{}) == 2500);
  CHECK(completed() == 701);
  CHECK(there(stays));
  now.boot_ms += 20 * kDay;
  CHECK(ask<int64_t>(Prune{}) == 701);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "the work of a turn has a bound, and what is behind many of others leaves all the same") {
  finish_many("default", 3 * kRetentionLookMax);
  pass(1);
  const auto ids = finish_many("q", 300);
  pass(2 * kHour);
  set("q", {.keep_completed_ms = kHour});
  CHECK(completed() == 3 * kRetentionLookMax + 300);  // not in one turn
  const int64_t ticks = stats().ticks;
  run_for(1000);
  CHECK(completed() == 3 * kRetentionLookMax);
  CHECK(stats().ticks - ticks < 20);
  CHECK(wake() > now.boot_ms + kHour);
  // A turn that deletes many deletes no more than others.
  finish_many("q", 500);
  const int64_t before = completed();
  pass(2 * kHour);
  CHECK(before - completed() <= kRetentionBatch);
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "what the configuration keeps for longer does not leave before it is read") {
  ask<Done>(SetQueueDefaults{"audit", {.keep_completed_ms = 10 * kDay}});
  const JobId a = finish("audit"), b = finish("default");
  leave();
  now.boot_ms += 2 * kDay;
  now.wall_ms += 2 * kDay;
  open_with(options());
  pass(kMinute);
  CHECK((there(a) && there(b)));
  CHECK(wake() == kNever);
  ask<Done>(SetQueueDefaults{"audit", {.keep_completed_ms = 10 * kDay}});
  ask<Done>(SetDispatch{true});
  run_for(1000);
  CHECK(there(a));
  CHECK_FALSE(there(b));
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "at most 64 queues have a retention that an operator set") {
  for (int i = 0; i < kQueuesKeepMax; ++i) set("q" + std::to_string(i), {.keep_dead_ms = kHour});
  const Error error = refused(QueueSet{"other", {.keep_dead_count = 1}});
  CHECK(error.code == HF_E_INVALID);
  CHECK(error.message == "64 queues have a retention of their own (retention_completed and the like); the limit is 64");
  set("other", {.concurrency = 1});
  set("q0", {.keep_completed_count = 5});
  set("q1", {});
  set("other", {.keep_dead_count = 1});
  CHECK(refused(QueueSet{"q0", {.keep_dead_ms = -1}}).message.starts_with("retention_dead is -1 ms"));
  CHECK(refused(QueueSet{"q0", {.keep_completed_count = 0}}).message == "retention_completed_count is 0; allowed is 1 to 1000000000");
}

TEST_CASE_FIXTURE(QueueRetentionFixture, "a job that ends in the millisecond of later ones that have left") {
  set("q", {.keep_completed_count = 1});
  const JobId slow = add(in("q"));
  const RunJob run = take_started();
  std::vector<JobId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(finish("q"));
  CHECK(completed() == 1);
  end(run, Outcome::done);  // the oldest by its id
  run_for(2 * kMinute);
  CHECK(completed() == 1);
  CHECK(there(ids.back()));
  CHECK_FALSE(there(slow));
}
