// Conditions: who is asked, when, for how long the answer counts, and what waits for it.
#include "core/conditions.h"

#include <algorithm>

#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class ConditionsFixture : public EngineFixture {
 public:
  void condition(const std::string& name, int64_t every_ms = 10000) {
    ConditionSpec c;
    c.name = name;
    c.every_ms = every_ms;
    ask<Done>(SetCondition{c});
  }
  void told(const std::string& name, bool initially = false) {
    ConditionSpec c;
    c.name = name;
    c.told = true;
    c.initially = initially;
    ask<Done>(SetCondition{c});
  }
  // A handler for x, and the default queue waits for these.
  void queue_waits_for(std::vector<std::string> when) {
    QueueSettings s;
    s.when = std::move(when);
    ask<Done>(SetQueueDefaults{"default", s});
    handler("x");
  }
  // Who was asked since the last call, by name.
  std::string who_is_asked() {
    std::string names;
    for (const AskCondition& a : questions) {
      names += (names.empty() ? "" : " ") + a.name;
      last_question[a.name] = a.number;
    }
    questions.clear();
    return names;
  }
  // The answer to its last question.
  void answer(const std::string& name, bool open, const std::string& why = "") {
    who_is_asked();
    REQUIRE(last_question.contains(name));
    ask<Done>(TellCondition{name, open, why, 0, last_question[name]});
  }
  void say(const std::string& name, bool open, int64_t for_ms = 0, const std::string& why = "") { ask<Done>(TellCondition{name, open, why, for_ms}); }
  ConditionInfo info(const std::string& name) { return ask<std::vector<ConditionInfo>>(ConditionList{name}).front(); }
  std::string why(JobId id) {
    std::string text;
    for (const ClosedGate& g : ask<WhyInfo>(Why{id}).gates) text += (text.empty() ? "" : "; ") + g.why;
    return text;
  }
  std::string turned() {
    std::string names;
    for (const Transition& t : last.feed) {
      if (t.change == Change::condition_opened || t.change == Change::condition_closed) names += std::string(change_name(t.change)) + " " + t.type + " " + t.detail + ";";
    }
    return names;
  }
  std::map<std::string, uint64_t> last_question;
};

}  // namespace

TEST_CASE_FIXTURE(ConditionsFixture, "a condition is asked when a job waits for it alone, and its answer counts for a while") {
  queue_waits_for({"cool"});
  condition("cool", 10000);
  CHECK(who_is_asked().empty());
  const JobId first = add(spec("x"));
  CHECK(who_is_asked() == "cool");
  CHECK(started_ids().empty());
  CHECK(gates(first) == "condition");
  CHECK(why(first) == "condition cool is being asked");
  run_for(60000);
  CHECK(who_is_asked().empty());  // one question at a time, however long the answer takes
  answer("cool", true, "41 C");
  CHECK(started_ids() == std::vector<JobId>{first});
  CHECK(turned() == "condition_opened cool 41 C;");

  pass(9999);
  const JobId second = add(spec("x"));
  CHECK(started_ids() == std::vector<JobId>{second});
  CHECK(who_is_asked().empty());
  pass(1);
  const JobId third = add(spec("x"));
  CHECK(started_ids().empty());
  CHECK(who_is_asked() == "cool");
  answer("cool", true, "42 C");
  CHECK(turned().empty());  // it is open as it was
  CHECK(started_ids() == std::vector<JobId>{third});
}

TEST_CASE_FIXTURE(ConditionsFixture, "while one is closed it is asked again as long as a job waits, and why says when") {
  queue_waits_for({"cool"});
  condition("cool", 10000);
  const JobId id = add(spec("x"));
  answer("cool", false, "81 C");
  CHECK(turned() == "condition_closed cool 81 C;");
  CHECK(why(id) == "condition cool is closed: 81 C; asked again in 10s");
  CHECK(ask<WhyInfo>(Why{id}).gates.front().opens_wall_ms == now.wall_ms + 10000);
  CHECK(wake() == now.boot_ms + 10000);
  run_for(9999);
  CHECK(who_is_asked().empty());
  run_for(1);
  CHECK(who_is_asked() == "cool");
  answer("cool", false, "80 C");
  run_for(10000);
  CHECK(who_is_asked() == "cool");
  answer("cool", false, "79 C");
  ask<Done>(Cancel{id});
  run_for(100000);
  CHECK(who_is_asked().empty());
  const JobId other = add(spec("x"));
  CHECK(who_is_asked() == "cool");
  answer("cool", true);
  CHECK(started_ids() == std::vector<JobId>{other});
}

TEST_CASE_FIXTURE(ConditionsFixture, "nobody is asked for what something else holds up") {
  queue_waits_for({"cool"});
  RunnerSpec one;
  one.concurrency = 1;
  one.when = {"mains"};
  handler("x", one);
  condition("cool", 1000);
  condition("mains", 1000);
  ask<Done>(QueuePause{"default"});
  const JobId first = add(spec("x"));
  JobSpec later = spec("x");
  later.delay_ms = 50000;
  const JobId delayed = add(later);
  run_for(20000);
  CHECK(who_is_asked().empty());
  CHECK(why(first) == "queue default is paused; condition cool is asked once nothing else is in the way; condition mains is asked once nothing else is in the way");
  ask<Done>(QueuePause{"default", false});
  CHECK(who_is_asked() == "mains");  // of the handler: no lane is best before it
  answer("mains", true);
  CHECK(who_is_asked() == "cool");
  answer("cool", true);
  const RunJob job = take_started();
  CHECK(job.id == first);
  run_for(40000);
  CHECK(who_is_asked().empty());  // its one slot is taken
  ask<Done>(QueuePause{"default"});
  ask<Done>(ended(job, Outcome::done));
  run_for(40000);
  CHECK(who_is_asked().empty());
  ask<Done>(QueuePause{"default", false});
  answer("mains", true);
  answer("cool", true);
  CHECK(started_ids() == std::vector<JobId>{delayed});
}

TEST_CASE_FIXTURE(ConditionsFixture, "of several all have to be open; one that is closed spares the others the question") {
  queue_waits_for({"a", "b", "c"});
  for (const char* name : {"a", "b", "c"}) condition(name, 10000);
  const JobId id = add(spec("x"));
  CHECK(who_is_asked() == "a b c");
  answer("b", false, "no");
  CHECK(who_is_asked().empty());
  answer("a", true);
  answer("c", true);
  CHECK(gates(id) == "condition");
  run_for(10000);
  CHECK(who_is_asked() == "a b c");
  answer("c", false);
  answer("a", true);
  run_for(9000);
  answer("b", true);
  CHECK(started_ids().empty());
  run_for(1000);  // c is asked again; a's answer is as old
  CHECK(who_is_asked() == "a c");
  answer("a", true);
  answer("c", true);
  CHECK(started_ids() == std::vector<JobId>{id});
}

TEST_CASE_FIXTURE(ConditionsFixture, "looks that take longer than the others' answers count do not keep a job waiting for ever") {
  queue_waits_for({"first", "second"});
  condition("first", 1000);
  condition("second", 1000);
  const JobId id = add(spec("x"));
  CHECK(who_is_asked() == "first second");
  pass(1500);
  answer("first", true);
  CHECK(started_ids().empty());
  pass(1500);  // the first answer is over
  const JobId other = add(spec("x"));
  CHECK(started_ids().empty());
  answer("second", true);
  CHECK(started_ids() == std::vector<JobId>{id, other});

  pass(1);  // that the first one was open counted for these alone
  const JobId later = add(spec("x"));
  CHECK(started_ids().empty());
  answer("first", true);
  CHECK(started_ids() == std::vector<JobId>{later});
}

TEST_CASE_FIXTURE(ConditionsFixture, "conditions of the queue and of the handler are asked one after another, and count together") {
  queue_waits_for({"first"});
  RunnerSpec runner;
  runner.when = {"second"};
  handler("x", runner);
  condition("first", 1000);
  condition("second", 1000);
  const JobId id = add(spec("x"));
  std::string asked;
  for (int look = 0; look < 2; ++look) {
    const std::string who = who_is_asked();
    asked += who + ";";
    pass(1500);
    answer(who, true);
  }
  CHECK(asked == "second;first;");
  CHECK(started_ids() == std::vector<JobId>{id});
}

TEST_CASE_FIXTURE(ConditionsFixture, "one that has closed, or was asked anew and is closed, is not kept open by another's look") {
  queue_waits_for({"first", "second"});
  condition("first", 1000);
  condition("second", 1000);
  add(spec("x"));
  pass(1500);
  answer("first", true);
  pass(1500);
  condition("first", 1000);  // set anew: it is not known
  CHECK(who_is_asked() == "first");
  answer("second", true);
  CHECK(started_ids().empty());
  answer("first", false);
  CHECK(started_ids().empty());
}

TEST_CASE_FIXTURE(ConditionsFixture, "one that nobody made is closed until it is there") {
  queue_waits_for({"late"});
  const JobId id = add(spec("x"));
  CHECK(why(id) == "there is no condition late");
  run_for(100000);
  CHECK(who_is_asked().empty());
  condition("late");
  answer("late", true);
  CHECK(started_ids() == std::vector<JobId>{id});
  ask<Done>(RemoveCondition{"late"});
  const JobId next = add(spec("x"));
  CHECK(why(next) == "there is no condition late");
  ask<Done>(SetQueueDefaults{"default", {}});
  CHECK(started_ids() == std::vector<JobId>{next});
}

TEST_CASE_FIXTURE(ConditionsFixture, "what is told holds until somebody says otherwise, or for as long as was said") {
  queue_waits_for({"door"});
  told("door");
  JobId id = add(spec("x"));
  CHECK(why(id) == "condition door is closed: nobody has said that it is open");
  run_for(100000);
  CHECK(who_is_asked().empty());
  say("door", true, 5000, "by hand");
  CHECK(started_ids() == std::vector<JobId>{id});
  CHECK(info("door").until_wall_ms == now.wall_ms + 5000);
  run_for(4999);
  id = add(spec("x"));
  CHECK(started_ids() == std::vector<JobId>{id});
  run_for(1);
  id = add(spec("x"));
  CHECK(started_ids().empty());
  CHECK_FALSE(info("door").open);
  CHECK(info("door").why.empty());
  CHECK(info("door").said_wall_ms == 0);
  say("door", true);
  CHECK(turned() == "condition_opened door ;");
  CHECK(started_ids() == std::vector<JobId>{id});
  run_for(86400000);
  id = add(spec("x"));
  CHECK(started_ids() == std::vector<JobId>{id});
  say("door", false, 0, "it rains");
  id = add(spec("x"));
  CHECK(why(id) == "condition door is closed: it rains");
}

TEST_CASE_FIXTURE(ConditionsFixture, "what is open unless told otherwise opens by itself, in time") {
  queue_waits_for({"day"});
  told("day", true);
  JobId id = add(spec("x"));
  CHECK(started_ids() == std::vector<JobId>{id});
  say("day", false, 5000, "a guest sleeps");
  id = add(spec("x"));
  CHECK(ask<WhyInfo>(Why{id}).gates.front().opens_wall_ms == now.wall_ms + 5000);
  run_for(4999);
  CHECK(started_ids().empty());
  run_for(1);
  CHECK(started_ids() == std::vector<JobId>{id});
}

TEST_CASE_FIXTURE(ConditionsFixture, "what was told outlives an engine, not a process; who asks is asked anew") {
  queue_waits_for({"door", "cool"});
  told("door");
  condition("cool", 100000);
  say("door", true);
  add(spec("x"));
  answer("cool", true);
  started.clear();
  disk.fail_writes = true;
  CHECK_FALSE(try_tick({TellCondition{"door", false}, Enqueue{{spec("x")}}}).ok());  // nothing of it happened
  disk.fail_writes = false;
  handover = engine->handover();
  engine.reset();
  open();
  queue_waits_for({"door", "cool"});
  told("door");
  condition("cool", 100000);
  CHECK(info("door").open);
  const JobId id = add(spec("x"));
  CHECK(who_is_asked() == "cool");
  answer("cool", true);
  CHECK(started_ids() == std::vector<JobId>{id});
  handover = {};
  crash();
  queue_waits_for({"door"});
  told("door");
  CHECK_FALSE(info("door").open);
}

TEST_CASE_FIXTURE(ConditionsFixture, "some go by the link") {
  queue_waits_for({"fast"});
  ConditionSpec fast;
  fast.name = "fast";
  fast.links = {"wifi", "ethernet"};
  ask<Done>(SetCondition{fast});
  SetBudgets budgets;
  for (const char* link : {"wifi", "ethernet"}) budgets.budgets.emplace_back().link = link;
  ask<Done>(budgets);
  const JobId id = add(spec("x"));
  CHECK(why(id) == "condition fast is closed: the link is unmetered");
  ask<Done>(SetLink{"wifi"});
  CHECK(started_ids() == std::vector<JobId>{id});
  CHECK(who_is_asked().empty());
  ask<Done>(SetLink{"metered"});
  const JobId next = add(spec("x"));
  CHECK(why(next) == "condition fast is closed: the link is metered");
  CHECK(refused(TellCondition{"fast", true}).message == "condition fast goes by the link, and cannot be told");
  budgets.link = "ethernet";
  tick({budgets, SetLink{""}});
  CHECK(started_ids() == std::vector<JobId>{next});
}

TEST_CASE_FIXTURE(ConditionsFixture, "a handler waits beside others of its queue; deliveries wait with their results") {
  handler("y");
  RunnerSpec needy;
  needy.when = {"cool"};
  needy.sink = "cloud";
  handler("x", needy);
  RunnerSpec sink;
  sink.batch = {10, 0, 0};
  handler("sink:cloud", sink);
  QueueSettings s;
  s.when = {std::vector<std::string>{"unmetered"}};
  ask<Done>(SetQueueDefaults{"sink:cloud", s});
  condition("cool");
  condition("unmetered", 60000);
  const JobId waits = add(spec("x"));
  const JobId runs = add(spec("y"));
  CHECK(started_ids() == std::vector<JobId>{runs});
  answer("cool", true);
  RunJob job = take_started();
  CHECK(job.id == waits);
  end(job, Outcome::done, "r");
  CHECK(started.empty());
  CHECK(gates(waits) == "condition");
  answer("unmetered", false, "on lte");
  CHECK(why(waits).starts_with("condition unmetered is closed: on lte; asked again in "));
  for (int i = 0; i < 3; ++i) {
    add(spec("x"));
    end(take_started(), Outcome::done, "r");
  }
  CHECK(started.empty());
  run_for(60000);
  answer("unmetered", true);
  REQUIRE(started.size() == 1);
  CHECK(started.front().jobs.size() == 4);
}

TEST_CASE_FIXTURE(ConditionsFixture, "an answer to another question counts for nothing") {
  queue_waits_for({"cool"});
  condition("cool");
  const JobId id = add(spec("x"));
  REQUIRE(questions.size() == 1);
  const uint64_t number = questions.front().number;
  ask<Done>(TellCondition{"cool", true, "", 0, number + 1});
  CHECK(started_ids().empty());
  CHECK(refused(TellCondition{"cool", true}).message == "condition cool is asked, and cannot be told");
  told("cool");
  ask<Done>(TellCondition{"cool", true, "", 0, number});
  CHECK(started_ids().empty());
  condition("cool");
  who_is_asked();
  ask<Done>(TellCondition{"cool", true, "", 0, number});
  CHECK(started_ids().empty());
  answer("cool", true);
  CHECK(started_ids() == std::vector<JobId>{id});
  CHECK(refused(TellCondition{"warm", true}).code == HF_E_NOT_FOUND);
  ask<Done>(TellCondition{"warm", true, "", 0, 77});  // it was removed while it was asked
}

TEST_CASE_FIXTURE(ConditionsFixture, "set anew, one that is asked is asked anew; what was told still counts") {
  queue_waits_for({"cool", "door"});
  condition("cool");
  told("door");
  say("door", true);
  const JobId first = add(spec("x"));
  who_is_asked();
  condition("cool");  // perhaps somebody else answers now
  CHECK(who_is_asked() == "cool");
  answer("cool", true);
  CHECK(started_ids() == std::vector<JobId>{first});
  condition("cool");
  told("door");
  const JobId next = add(spec("x"));
  CHECK(who_is_asked() == "cool");
  answer("cool", true);
  CHECK(started_ids() == std::vector<JobId>{next});
}

TEST_CASE_FIXTURE(ConditionsFixture, "many queues wait for one answer, and each goes on with it") {
  handler("x");
  condition("cool", 10000);
  limits.concurrency = 1000;
  ask<Done>(SetLimits{limits});
  QueueSettings s;
  s.when = {std::vector<std::string>{"cool"}};
  std::vector<JobId> ids;
  for (int i = 0; i < 100; ++i) {
    const std::string queue = "q" + std::to_string(i);
    ask<Done>(SetQueueDefaults{queue, s});
    JobSpec job = spec("x");
    job.queue = queue;
    ids.push_back(add(job));
    add(job);
  }
  CHECK(who_is_asked() == "cool");
  answer("cool", false);
  run_for(10000);
  CHECK(who_is_asked() == "cool");
  answer("cool", true);
  std::vector<JobId> begun = started_ids();
  CHECK(begun.size() == 200);
  for (const JobId id : ids) CHECK(std::count(begun.begin(), begun.end(), id) == 1);
}

TEST_CASE_FIXTURE(ConditionsFixture, "what an operator set for a queue is kept in the file, also that it waits for nothing") {
  queue_waits_for({"cool"});
  QueueSettings s;
  s.when = {std::vector<std::string>{"a", "b"}};
  ask<Done>(QueueSet{"default", s});
  crash();
  queue_waits_for({"cool"});
  JobId id = add(spec("x"));
  CHECK(why(id) == "there is no condition a; there is no condition b");
  s.when = {std::vector<std::string>{}};
  ask<Done>(QueueSet{"default", s});
  CHECK(started_ids() == std::vector<JobId>{id});
  crash();
  queue_waits_for({"cool"});
  id = add(spec("x"));
  const std::vector<JobId> begun = started_ids();
  CHECK(std::count(begun.begin(), begun.end(), id) == 1);
  ask<Done>(QueueSet{"default", {}});
  CHECK(why(add(spec("x"))) == "there is no condition cool");
}

TEST_CASE_FIXTURE(ConditionsFixture, "a suspect waits for conditions as others do") {
  limits.crash_loop = -1;
  ask<Done>(SetLimits{limits});
  queue_waits_for({"cool"});
  condition("cool");
  const JobId id = add(spec("x"));
  answer("cool", true);
  CHECK(started_ids() == std::vector<JobId>{id});
  crash();
  ask<Done>(SetLimits{limits});
  queue_waits_for({"cool"});
  condition("cool", 10000);
  run_for(100000);
  CHECK(started_ids().empty());
  CHECK(who_is_asked() == "cool");
  answer("cool", false);
  run_for(9999);
  CHECK(who_is_asked().empty());
  run_for(1);
  answer("cool", true);
  CHECK(started_ids() == std::vector<JobId>{id});
}

TEST_CASE_FIXTURE(ConditionsFixture, "conditions have limits, and errors that name the field") {
  ConditionSpec c;
  c.name = "a b";
  CHECK(refused(SetCondition{c}).code == HF_E_INVALID);
  c.name = "c";
  c.every_ms = kConditionEveryMinMs - 1;
  CHECK(refused(SetCondition{c}).message == "every is 999ms; allowed is 1s to 1d");
  c.every_ms = kConditionEveryMaxMs + 1;
  CHECK(refused(SetCondition{c}).message == "every is 1d1ms; allowed is 1s to 1d");
  c.every_ms = kConditionEveryMaxMs;
  c.links = std::vector<std::string>(kConditionLinksMax + 1, "wifi");
  CHECK(refused(SetCondition{c}).message == "link names 17 links; allowed are 16");
  c.links.pop_back();
  c.told = true;
  CHECK(refused(SetCondition{c}).message == "told and link exclude each other");
  c.told = false;
  ask<Done>(SetCondition{c});
  for (size_t i = 1; i < kConditionsMax; ++i) condition("c" + std::to_string(i));
  condition("c1");  // it is there
  c.name = "more";
  CHECK(refused(SetCondition{c}).message == "there are 64 conditions, which is the most");

  QueueSettings s;
  s.when.emplace();
  for (size_t i = 0; i < kWhenMax; ++i) s.when->push_back("c" + std::to_string(i));
  ask<Done>(QueueSet{"default", s});
  s.when->push_back("c99");
  CHECK(refused(QueueSet{"default", s}).message == "when names 17 conditions; allowed are 16");
  s.when = {"c1", "c1"};
  CHECK(refused(QueueSet{"default", s}).message == "when names condition c1 twice");
  RunnerSpec r;
  r.name = "x";
  r.when = {"c1", ""};
  CHECK(refused(SetRunner{r}).code == HF_E_INVALID);

  ask<Done>(RemoveCondition{"c1"});
  told("door");
  CHECK(refused(TellCondition{"door", true, std::string(HF_REASON_MAX + 1, 'w')}).message == "why has 201 bytes; at most 200");
  say("door", true, 0, std::string(HF_REASON_MAX, 'w'));
  CHECK(refused(TellCondition{"door", true, "", kPauseMaxMs + 1}).code == HF_E_INVALID);
  CHECK(refused(TellCondition{"door", true, "", -1}).code == HF_E_INVALID);
  say("door", true, kPauseMaxMs);
  CHECK(refused(ConditionList{"nobody"}).message == "there is no condition \"nobody\"");
  CHECK(ask<std::vector<ConditionInfo>>(ConditionList{}).size() == kConditionsMax);
  CHECK(stats().conditions.size() == kConditionsMax);
}
