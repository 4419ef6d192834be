// Events: what emit() starts, what the filters see, and that it is all or none.
#include "core/events.h"

#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kHour = 3600 * 1000;

class EventsFixture : public EngineFixture {
 public:
  using Ids = std::vector<JobId>;

  static SubscriptionSpec subscription(const std::string& name, const std::string& event = "door.opened", EventFields filter = {}) {
    SubscriptionSpec s;
    s.name = name;
    s.event = event;
    s.filter = std::move(filter);
    s.job = spec(name);
    return s;
  }
  void subscribe(SubscriptionSpec s) { ask<Done>(SetSubscription{std::move(s)}); }
  void subscribe(const std::string& name, const std::string& event = "door.opened", EventFields filter = {}) {
    subscribe(subscription(name, event, std::move(filter)));
  }
  Ids emit(const std::string& event = "door.opened", const std::string& payload = "", EventFields fields = {}, const std::string& key = "") {
    return ask<Ids>(Emit{event, payload, std::move(fields), key});
  }
  Ids emit_key(const std::string& key) { return emit("door.opened", "", {}, key); }
  size_t matches(EventFields fields) { return emit("door.opened", "", std::move(fields)).size(); }
  int64_t matched(const std::string& name) { return ask<std::vector<SubscriptionInfo>>(SubscriptionList{name}).front().matched; }
  std::string refusal(SubscriptionSpec s) { return refused(SetSubscription{std::move(s)}).message; }
};

}  // namespace

TEST_CASE_FIXTURE(EventsFixture, "an event starts a job of each subscription to it, in the order of their names") {
  subscribe("b");
  subscribe("a");
  subscribe("c");
  subscribe("other", "door.closed");
  const Ids ids = emit("door.opened", "{\"door\":3}");
  REQUIRE(ids.size() == 3);
  CHECK(ids[0] < ids[1]);
  CHECK(ids[1] < ids[2]);
  for (size_t i = 0; i < 3; ++i) {
    const JobInfo job = get(ids[i]);
    CHECK(job.type == std::string(1, static_cast<char>('a' + i)));
    CHECK(job.payload == "{\"door\":3}");
    CHECK(job.state == State::pending);
  }
  handler("b");
  CHECK(started_ids() == Ids{ids[1]});
}

TEST_CASE_FIXTURE(EventsFixture, "the job is the subscription's: queue, priority, delay, ttl, and its own payload if it has one") {
  SubscriptionSpec s = subscription("late");
  s.job.queue = "slow";
  s.job.priority = 7;
  s.job.delay_ms = 5000;
  s.job.ttl_ms = 9000;
  s.job.payload = "mine";
  s.own_payload = true;
  subscribe(s);
  s = subscription("empty");
  s.own_payload = true;  // of no bytes
  subscribe(s);
  s = subscription("theirs");
  s.job.payload = "not asked for";
  subscribe(s);
  const Ids ids = emit("door.opened", "payload");
  const JobInfo late = get(ids[1]);
  CHECK(late.queue == "slow");
  CHECK(late.priority == 7);
  CHECK(late.due_wall_ms == now.wall_ms + 5000);
  CHECK(late.payload == "mine");
  CHECK(get(ids[0]).payload == "");
  CHECK(get(ids[2]).payload == "payload");
  run_for(9000);
  CHECK(state(ids[1]) == State::dead);
}

TEST_CASE_FIXTURE(EventsFixture, "a filter compares fields exactly: text, number, bool, null") {
  struct Case { const char* field; const char* wanted; const char* other; };
  for (const Case& c : std::vector<Case>{{"who", "\"anna\"", "\"Anna\""}, {"door", "3", "\"3\""}, {"alarm", "true", "false"}, {"badge", "null", "0"}}) {
    CAPTURE(c.field);
    subscribe("s", "door.opened", {{c.field, c.wanted}});
    CHECK(matches({{c.field, c.wanted}}) == 1);
    CHECK(matches({{"first", "1"}, {c.field, c.wanted}, {"last", "2"}}) == 1);
    CHECK(matches({{c.field, c.other}}) == 0);
    CHECK(matches({{"another", c.wanted}}) == 0);  // null is not the same as missing
    CHECK(matches({}) == 0);
  }
}

TEST_CASE_FIXTURE(EventsFixture, "all fields of a filter have to be equal") {
  subscribe("s", "door.opened", {{"door", "3"}, {"alarm", "true"}});
  CHECK(matches({{"alarm", "true"}, {"door", "3"}}) == 1);
  CHECK(matches({{"door", "3"}}) == 0);
  CHECK(matches({{"door", "3"}, {"alarm", "false"}}) == 0);
}

TEST_CASE_FIXTURE(EventsFixture, "nobody subscribed: the event is gone, and a later subscription does not see it") {
  CHECK(emit() == Ids{});
  subscribe("s");
  CHECK(stats().by_state[0] == 0);
  CHECK(emit("door.closed") == Ids{});
  CHECK(matched("s") == 0);
}

TEST_CASE_FIXTURE(EventsFixture, "a key: each subscription starts one job for it in 24 h") {
  subscribe("a");
  subscribe("b");
  const Ids first = emit_key("e1");
  CHECK(emit_key("e1") == first);
  CHECK(emit_key("e2") != first);
  CHECK(emit() != first);
  CHECK(stats().by_state[0] == 6);
  handler("a");
  while (!started.empty()) end(take_started(), Outcome::done);
  CHECK(state(first[0]) == State::completed);
  pass(24 * kHour - 1);
  CHECK(emit_key("e1") == first);
  // The one that is not finished holds it still.
  pass(1);
  const Ids later = emit_key("e1");
  CHECK(later[0] > first[1]);
  CHECK(later[1] == first[1]);
}

TEST_CASE_FIXTURE(EventsFixture, "a key counts over a crash of the process, as it is in the file") {
  subscribe("a");
  const Ids first = emit_key("e1");
  crash();
  CHECK(emit_key("e1") == Ids{});  // subscriptions are not in the file
  subscribe("a");
  CHECK(emit_key("e1") == first);
}

TEST_CASE_FIXTURE(EventsFixture, "unique_for of the subscription is how long a key counts; without a key it counts for nothing") {
  SubscriptionSpec s = subscription("a");
  s.job.unique_for_ms = 1000;
  subscribe(s);
  handler("a");
  const Ids first = emit_key("e1");
  end(take_started(), Outcome::done);
  pass(999);
  CHECK(emit_key("e1") == first);
  pass(1);
  CHECK(emit_key("e1") != first);
  CHECK(emit() != emit());
}

TEST_CASE_FIXTURE(EventsFixture, "a subscription with a unique_key goes by that, whatever the event's key") {
  SubscriptionSpec s = subscription("own");
  s.job.unique_key = "report";
  subscribe(s);
  subscribe("plain");
  const Ids first = emit_key("e1"), second = emit_key("e2");
  CHECK(second[0] == first[0]);
  CHECK(second[1] != first[1]);
  handler("own");
  end(take_started(), Outcome::done);
  CHECK(emit_key("e1")[0] != first[0]);  // no 24 h of its own
  CHECK(emit_key("e1")[1] == first[1]);
}

TEST_CASE_FIXTURE(EventsFixture, "debounce: many events, one job, with the payload of the last") {
  SubscriptionSpec s = subscription("own");
  s.job.unique_key = "report";
  s.job.on_conflict = OnConflict::debounce;
  s.job.delay_ms = 1000;
  s.job.debounce_max_ms = 2500;
  subscribe(s);
  handler("own");
  const Ids first = emit("door.opened", "1");
  for (const char* payload : {"2", "3", "4"}) {
    pass(800);
    CHECK(started.empty());
    CHECK(emit("door.opened", payload) == first);
  }
  pass(99);
  CHECK(started.empty());
  pass(1);
  CHECK(take_started().bytes == "4");
}

TEST_CASE_FIXTURE(EventsFixture, "reject: an event whose job is there already starts nothing, also of others") {
  subscribe("first");
  SubscriptionSpec s = subscription("own");
  s.job.unique_key = "report";
  s.job.on_conflict = OnConflict::reject;
  subscribe(s);
  const JobId there = emit()[1];
  const Error e = refused(Emit{"door.opened", ""});
  CHECK(e.code == HF_E_CONFLICT);
  CHECK(e.message == "subscription \"own\": job " + std::to_string(there) + " holds unique_key \"report\"");
  CHECK(stats().by_state[0] == 2);
  s.name = "twin";
  subscribe(s);
  ask<Done>(Cancel{there});
  CHECK(refused(Emit{"door.opened", ""}).message == "subscription \"twin\": subscription \"own\" of the same call has unique_key \"report\"");
  CHECK(stats().by_state[0] == 1);
}

TEST_CASE_FIXTURE(EventsFixture, "two subscriptions with one unique_key: one job, named twice") {
  for (const char* name : {"a", "b"}) {
    SubscriptionSpec s = subscription(name);
    s.job.unique_key = "report";
    subscribe(s);
  }
  const Ids ids = emit();
  REQUIRE(ids.size() == 2);
  CHECK(ids[0] == ids[1]);
  CHECK(get(ids[0]).type == "a");
}

TEST_CASE_FIXTURE(EventsFixture, "all or none: a queue that drains") {
  subscribe("a");
  SubscriptionSpec s = subscription("b");
  s.job.queue = "slow";
  subscribe(s);
  subscribe("c");
  ask<Done>(QueueDrain{"slow"});
  const Error e = refused(Emit{"door.opened", ""});
  CHECK(e.code == HF_E_CONFLICT);
  CHECK(e.message == "subscription \"b\": queue slow is draining: it takes no new jobs until it is resumed");
  CHECK(stats().by_state[0] == 0);
  CHECK(matched("a") == 0);
  for (const Transition& t : last.feed) CHECK(t.change != Change::emitted);
  ask<Done>(RemoveSubscription{"a"});
  ask<Done>(RemoveSubscription{"c"});
  CHECK(refused(Emit{"door.opened", ""}).message.starts_with("subscription \"b\": "));  // also when it is alone
  ask<Done>(QueuePause{.name = "slow", .paused = false});
  CHECK(emit().size() == 1);
}

TEST_CASE_FIXTURE(EventsFixture, "all or none: the limit of jobs") {
  limits.max_jobs = 4;
  tick({SetLimits{limits}});
  for (const char* name : {"a", "b", "c"}) subscribe(name);
  CHECK(emit().size() == 3);
  const Error e = refused(Emit{"door.opened", ""});
  CHECK(e.code == HF_E_FULL);
  CHECK(e.message == "the queue holds 3 jobs; the limit is 4 (max_jobs)");
  CHECK(stats().by_state[0] == 3);
  CHECK(matched("a") == 1);
}

TEST_CASE_FIXTURE(EventsFixture, "a payload over the limit is refused, whoever subscribed") {
  limits.max_payload = 10;
  SubscriptionSpec s = subscription("a");
  s.job.payload = std::string(11, 'x');
  s.own_payload = true;
  subscribe(s);
  tick({SetLimits{limits}});
  CHECK(refused(Emit{"door.opened", ""}).message == "subscription \"a\": payload has 11 bytes; the limit is 10 (max_payload)");
  CHECK(refused(SetSubscription{s}).code == HF_E_TOO_LARGE);
  ask<Done>(RemoveSubscription{"a"});
  CHECK(emit("door.opened", std::string(10, 'x')) == Ids{});
  const Error e = refused(Emit{"door.opened", std::string(11, 'x')});
  CHECK(e.code == HF_E_TOO_LARGE);
  CHECK(e.message == "payload has 11 bytes; the limit is 10 (max_payload)");
}

TEST_CASE_FIXTURE(EventsFixture, "at most kSubscriptionsMax, and all of them may be of one event") {
  for (size_t i = 0; i < kSubscriptionsMax; ++i) subscribe("s" + std::to_string(i));
  const Error e = refused(SetSubscription{subscription("one-more")});
  CHECK(e.code == HF_E_FULL);
  CHECK(e.message == "there are 1000 subscriptions, which is the most");
  CHECK(emit().size() == kSubscriptionsMax);
  subscribe("s0", "door.closed");  // one that is there can be replaced
  CHECK(emit().size() == kSubscriptionsMax - 1);
  ask<Done>(RemoveSubscription{"s1"});
  subscribe("one-more");
}

TEST_CASE_FIXTURE(EventsFixture, "what a subscription may not be") {
  CHECK(refusal(subscription("")).find("subscription") != std::string::npos);
  CHECK(refusal(subscription("a b")).find("a b") != std::string::npos);
  CHECK(refusal(subscription("a", "")).find("event") != std::string::npos);
  CHECK(refusal(subscription("a", "door opened")).find("event name \"door opened\"") != std::string::npos);

  EventFields many;
  for (size_t i = 0; i < kFilterMax; ++i) many.emplace_back("f" + std::to_string(i), "1");
  subscribe("a", "door.opened", many);
  many.emplace_back("one-more", "1");
  CHECK(refusal(subscription("a", "door.opened", many)) == "filter has 17 fields; allowed are 16");

  const std::string longest = "\"" + std::string(kFilterValueMax - 2, 'x') + "\"";
  subscribe("a", "door.opened", {{"who", longest}});
  CHECK(matches({{"who", longest}}) == 1);
  CHECK(refusal(subscription("a", "door.opened", {{"who", longest + "x"}})) == "filter.who has 257 bytes; at most 256");
  subscribe("a", "door.opened", {{std::string(HF_KEY_MAX, 'n'), "1"}});
  CHECK(refusal(subscription("a", "door.opened", {{std::string(HF_KEY_MAX + 1, 'n'), "1"}})) == "filter has 129 bytes; at most 128");

  SubscriptionSpec s = subscription("a");
  s.job.type = "";
  CHECK(refusal(s).find("job type") != std::string::npos);
  s = subscription("a");
  s.job.at_wall_ms = now.wall_ms;
  CHECK(refusal(s) == "run_at is one time, and events come again and again: delay is meant");
  s = subscription("a");
  s.job.on_conflict = OnConflict::replace;
  CHECK(refusal(s) == "on_conflict without unique_key");
  s = subscription("a");
  s.job.debounce_max_ms = 1000;
  CHECK(refusal(s) == "debounce_max without on_conflict debounce");
  s = subscription("a");
  s.job.priority = HF_PRIORITY_MAX + 1;
  CHECK(refusal(s).starts_with("priority"));
  CHECK(ask<std::vector<SubscriptionInfo>>(SubscriptionList{"a"}).front().spec.filter.front().second == "1");  // the one that was taken last
}

TEST_CASE_FIXTURE(EventsFixture, "what an event may not be") {
  const std::string longest_name(HF_NAME_MAX, 's');
  subscribe(longest_name);
  const std::string longest(kEventKeyMax, 'k');
  const Ids first = emit_key(longest);
  CHECK(emit_key(longest) == first);
  const Error e = refused(Emit{"door.opened", "", {}, longest + "k"});
  CHECK(e.code == HF_E_TOO_LARGE);
  CHECK(e.message == "key has 64 bytes; at most 63");
  CHECK(refused(Emit{"door.opened", "", {}, "\xff"}).message == "key is not valid UTF-8");
  CHECK(refused(Emit{"", ""}).message.find("event") != std::string::npos);
  CHECK(refused(Emit{"door opened", ""}).code == HF_E_INVALID);
}

TEST_CASE_FIXTURE(EventsFixture, "matched counts events; a subscription that changed begins anew, one that is the same goes on") {
  subscribe("a", "door.opened", {{"door", "3"}});
  matches({{"door", "3"}});
  matches({{"door", "3"}});
  matches({{"door", "4"}});
  CHECK(matched("a") == 2);
  subscribe("a", "door.opened", {{"door", "3"}});
  CHECK(matched("a") == 2);
  subscribe("a", "door.opened", {{"door", "4"}});
  CHECK(matched("a") == 0);
  CHECK(matches({{"door", "3"}}) == 0);
  CHECK(matches({{"door", "4"}}) == 1);
  CHECK(matched("a") == 1);
}

TEST_CASE_FIXTURE(EventsFixture, "removed: it starts nothing any more, its jobs stay") {
  subscribe("a");
  const JobId job = emit().front();
  ask<Done>(RemoveSubscription{"a"});
  CHECK(emit() == Ids{});
  CHECK(state(job) == State::pending);
  const Error e = refused(RemoveSubscription{"a"});
  CHECK(e.code == HF_E_NOT_FOUND);
  CHECK(e.message == "there is no subscription \"a\"");
  CHECK(refused(SubscriptionList{"a"}).code == HF_E_NOT_FOUND);
  CHECK(ask<std::vector<SubscriptionInfo>>(SubscriptionList{}).empty());
}

TEST_CASE_FIXTURE(EventsFixture, "the list is by name") {
  subscribe("b");
  subscribe("a", "door.closed");
  const auto all = ask<std::vector<SubscriptionInfo>>(SubscriptionList{});
  REQUIRE(all.size() == 2);
  CHECK(all[0].spec.name == "a");
  CHECK(all[0].spec.event == "door.closed");
  CHECK(all[1].spec.name == "b");
}

TEST_CASE_FIXTURE(EventsFixture, "the feed tells of the event behind its jobs") {
  subscribe("a");
  subscribe("b");
  emit();
  REQUIRE(last.feed.size() >= 3);
  CHECK(last.feed[0].change == Change::enqueued);
  CHECK(last.feed[1].change == Change::enqueued);
  CHECK(last.feed[2].change == Change::emitted);
  CHECK(last.feed[2].type == "door.opened");
  CHECK(last.feed[2].detail == "2 jobs");
  CHECK(std::string(change_name(Change::emitted)) == "emitted");
  ask<Done>(RemoveSubscription{"b"});
  emit();
  CHECK(last.feed.back().detail == "1 job");
  emit("door.closed");
  REQUIRE(last.feed.size() == 1);
  CHECK(last.feed[0].detail == "0 jobs");
}

TEST_CASE_FIXTURE(EventsFixture, "several events of one turn, and a subscription set in the same turn, go in their order") {
  const auto replies = tick({Emit{"door.opened", "1"}, SetSubscription{subscription("a")}, Emit{"door.opened", "2"}, Emit{"door.opened", "3"}});
  CHECK(std::get<Ids>(replies[0]).empty());
  CHECK(get(std::get<Ids>(replies[2]).front()).payload == "2");
  CHECK(get(std::get<Ids>(replies[3]).front()).payload == "3");
}

TEST_CASE_FIXTURE(EventsFixture, "an event waits for the disk, also if its jobs would not; its jobs outlive the process") {
  SubscriptionSpec s = subscription("a");
  s.job.durability = Durability::grouped;
  subscribe(s);
  emit();  // ids are set aside
  int before = disk.syncs;
  const Ids ids = emit();
  CHECK(disk.syncs == before + 1);
  before = disk.syncs;
  subscribe("b");
  CHECK(disk.syncs == before);
  CHECK(emit("door.closed") == Ids{});
  CHECK(disk.syncs == before);
  crash();
  CHECK(state(ids[0]) == State::pending);
}

TEST_CASE_FIXTURE(EventsFixture, "a full disk refuses events, and tells who subscribed") {
  subscribe("a");
  ask<Done>(SetRoom{Room::little});
  const Error e = refused(Emit{"door.opened", ""});
  CHECK(e.code == HF_E_FULL);
  CHECK(matched("a") == 0);
  subscribe("b");
  ask<Done>(RemoveSubscription{"b"});
  CHECK(ask<std::vector<SubscriptionInfo>>(SubscriptionList{}).size() == 1);
  ask<Done>(SetRoom{Room::enough});
  CHECK(emit().size() == 1);
}

TEST_CASE_FIXTURE(EventsFixture, "one event is no more bytes than fit into a small memory, however many subscribed") {
  limits.max_payload = 4 << 20;
  ask<Done>(SetLimits{limits});
  for (const char* name : {"a", "b", "c", "d"}) {
    SubscriptionSpec s;
    s.name = name;
    s.event = "large";
    s.job.type = "x";
    ask<Done>(SetSubscription{s});
  }
  CHECK(ask<std::vector<JobId>>(Emit{"large", std::string(4 << 20, 'p')}).size() == 4);
  SubscriptionSpec own;
  own.name = "own";
  own.event = "large";
  own.job.type = "x";
  own.job.payload = "1";
  own.own_payload = true;
  ask<Done>(SetSubscription{own});
  const Error e = refused(Emit{"large", std::string(4 << 20, 'p')});
  CHECK(e.code == HF_E_TOO_LARGE);
  CHECK(e.message == "5 subscriptions match, and their payloads have 16777217B; the limit is 16MiB together");
}
