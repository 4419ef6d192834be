// How jobs come in: every limit at its edge, and all or none.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

bool mentions(const Error& e, const std::string& text) { return e.message.find(text) != std::string::npos; }

// Refused with this code and with the field in its text.
void refuses(EngineFixture& f, const JobSpec& s, int code, const std::string& field) {
  Error e = f.refused(Enqueue{{s}});
  CHECK(e.code == code);
  CHECK_MESSAGE(mentions(e, field), e.message);
}

}  // namespace

TEST_CASE_FIXTURE(EngineFixture, "names have 1 to 64 bytes of the allowed letters") {
  std::string longest(HF_NAME_MAX, 'n');
  JobSpec s = spec(longest);
  s.queue = s.sink = longest;
  CHECK(get(add(s)).queue == longest);
  refuses(*this, spec(longest + "n"), HF_E_INVALID, "job type");
  refuses(*this, spec(""), HF_E_INVALID, "job type");
  refuses(*this, spec("a b"), HF_E_INVALID, "position 2");
  s = spec("x");
  s.queue = longest + "n";
  refuses(*this, s, HF_E_INVALID, "queue");
  s.queue = "";
  refuses(*this, s, HF_E_INVALID, "queue");
  s = spec("x");
  s.sink = longest + "n";
  refuses(*this, s, HF_E_INVALID, "sink");
}

TEST_CASE_FIXTURE(EngineFixture, "what belongs to deliveries is not for jobs") {
  JobSpec s = spec("x");
  s.queue = "sink:cloud";
  refuses(*this, s, HF_E_INVALID, "sink:");
  refuses(*this, spec("sink:cloud"), HF_E_INVALID, "sink:");
}

TEST_CASE_FIXTURE(EngineFixture, "keys have up to 128 bytes, tags up to 256, all of them UTF-8") {
  JobSpec s = spec("x");
  s.unique_key = s.concurrency_key = std::string(HF_KEY_MAX, 'k');
  s.tags = std::string(HF_TAGS_MAX, 't');
  JobInfo info = get(add(s));
  CHECK(info.unique_key == s.unique_key);
  CHECK(info.concurrency_key == s.concurrency_key);
  CHECK(info.tags == s.tags);
  for (std::string JobSpec::*field : {&JobSpec::unique_key, &JobSpec::concurrency_key, &JobSpec::tags}) {
    JobSpec bad = spec("x");
    bad.*field = std::string(field == &JobSpec::tags ? HF_TAGS_MAX + 1 : HF_KEY_MAX + 1, 'k');
    refuses(*this, bad, HF_E_TOO_LARGE, "at most");
    bad.*field = "\xff";
    refuses(*this, bad, HF_E_INVALID, "UTF-8");
  }
}

TEST_CASE_FIXTURE(EngineFixture, "a payload has up to max_payload bytes") {
  limits.max_payload = 1000;
  crash();
  CHECK(get(add(spec("x", std::string(1000, 'p')))).payload_size == 1000);
  refuses(*this, spec("x", std::string(1001, 'p')), HF_E_TOO_LARGE, "1001");
  CHECK(get(add(spec("x", ""))).payload.empty());
}

TEST_CASE_FIXTURE(EngineFixture, "payloads at the border between row and body come back whole") {
  for (size_t size : {kBodyInlineMax - 1, kBodyInlineMax, kBodyInlineMax + 1}) {
    std::string payload(size, '\0');
    payload.back() = 'e';
    CHECK(get(add(spec("x", payload))).payload == payload);
  }
}

TEST_CASE_FIXTURE(EngineFixture, "priorities go from -1000 to 1000") {
  for (int p : {-HF_PRIORITY_MAX, HF_PRIORITY_MAX}) {
    JobSpec s = spec("x");
    s.priority = p;
    CHECK(get(add(s)).priority == p);
    s.priority = p + (p < 0 ? -1 : 1);
    refuses(*this, s, HF_E_INVALID, "priority");
  }
}

TEST_CASE_FIXTURE(EngineFixture, "delays go to ten years, and exclude a wall-clock time") {
  constexpr int64_t ten_years = 3653LL * 86400 * 1000;
  JobSpec s = spec("x");
  s.delay_ms = ten_years;
  CHECK(get(add(s)).due_wall_ms == now.wall_ms + ten_years);
  s.delay_ms = 20LL * 366 * 86400 * 1000;
  refuses(*this, s, HF_E_INVALID, "delay");
  s.delay_ms = -1;
  refuses(*this, s, HF_E_INVALID, "delay");
  s.delay_ms = 1;
  s.at_wall_ms = now.wall_ms + 1;
  refuses(*this, s, HF_E_INVALID, "exclude");
}

TEST_CASE_FIXTURE(EngineFixture, "a ttl that ends before the delay is refused") {
  JobSpec s = spec("x");
  s.delay_ms = 1000;
  s.ttl_ms = 1000;
  refuses(*this, s, HF_E_INVALID, "ttl");
  s.ttl_ms = 1001;
  add(s);
}

TEST_CASE_FIXTURE(EngineFixture, "attempts, timeout and backoff have their bounds") {
  JobSpec s = spec("x");
  s.policy.max_attempts = HF_ATTEMPTS_MAX;
  CHECK(get(add(s)).max_attempts == HF_ATTEMPTS_MAX);
  s.policy.max_attempts = HF_ATTEMPTS_MAX + 1;
  refuses(*this, s, HF_E_INVALID, "max_attempts");
  s.policy.max_attempts = -1;
  refuses(*this, s, HF_E_INVALID, "max_attempts");
  s = spec("x");
  s.policy.timeout_ms = -2;
  refuses(*this, s, HF_E_INVALID, "timeout");
  s.policy.timeout_ms = -1;
  CHECK(get(add(s)).timeout_ms == -1);
  s = spec("x");
  s.policy.backoff.kind = BackoffKind::list;
  refuses(*this, s, HF_E_INVALID, "list");
  s.policy.backoff.list_ms.assign(HF_BACKOFF_LIST_MAX, 1);
  add(s);
  s.policy.backoff.list_ms.push_back(1);
  refuses(*this, s, HF_E_INVALID, "list");
  s = spec("x");
  s.policy.backoff.factor = 101;
  refuses(*this, s, HF_E_INVALID, "factor");
}

TEST_CASE_FIXTURE(EngineFixture, "unique_for needs a unique_key") {
  JobSpec s = spec("x");
  s.unique_for_ms = 1;
  refuses(*this, s, HF_E_INVALID, "unique_key");
}

TEST_CASE_FIXTURE(EngineFixture, "defaults are those of the header") {
  JobInfo info = get(add(spec("x")));
  CHECK(info.queue == "default");
  CHECK(info.max_attempts == 5);
  CHECK(info.timeout_ms == 300000);
}

TEST_CASE_FIXTURE(EngineFixture, "max_jobs counts finished jobs too; when full all but enqueue goes on") {
  limits.max_jobs = 3;
  crash();
  handler("x");
  JobId a = add(spec("x"));
  add(spec("x"));
  JobId c = add(spec("y"));
  RunJob run = take_started();
  refuses(*this, spec("x"), HF_E_FULL, "max_jobs");
  end(run, Outcome::done, "r");
  CHECK(state(a) == State::completed);
  refuses(*this, spec("x"), HF_E_FULL, "3");
  ask<Done>(Cancel{c});
  CHECK(ask<JobPage>(List{}).jobs.size() == 3);
  ask<Done>(Remove{c});
  add(spec("x"));
}

TEST_CASE_FIXTURE(EngineFixture, "max_bytes refuses new jobs; when full all but enqueue goes on, and room comes back") {
  limits.max_bytes = 1 << 20;
  crash();
  handler("x");
  const std::string big(60000, 'p');
  std::vector<JobId> ids;
  Reply reply;
  for (;;) {
    reply = tick({Enqueue{{spec("x", big)}}}).front();
    if (std::holds_alternative<Error>(reply)) break;
    ids.push_back(std::get<std::vector<JobId>>(reply).front());
    REQUIRE(ids.size() < 100);
  }
  CHECK(std::get<Error>(reply).code == HF_E_FULL);
  CHECK(mentions(std::get<Error>(reply), "max_bytes"));
  CHECK(ids.size() > 10);
  CHECK(stats().file_bytes <= limits.max_bytes);
  end(take_started(), Outcome::done, "r");
  CHECK(state(ids[0]) == State::completed);
  ask<Done>(Cancel{ids[1]});
  CHECK(ask<JobPage>(List{}).jobs.size() == ids.size());
  ask<Done>(Remove{ids[0]});
  add(spec("x", big));
}

TEST_CASE_FIXTURE(EngineFixture, "results take their room of max_bytes from the jobs to come") {
  limits.max_bytes = 1 << 20;
  crash();
  handler("x");
  const std::string big(100000, 'r');
  for (int i = 0; i < 20; ++i) {
    Reply reply = tick({Enqueue{{spec("x")}}}).front();
    if (std::holds_alternative<Error>(reply)) break;
    end(take_started(), Outcome::done, big);
  }
  CHECK(stats().file_bytes <= limits.max_bytes + 110000);
}

TEST_CASE_FIXTURE(EngineFixture, "one call takes 1 to 10000 jobs") {
  CHECK(refused(Enqueue{}).code == HF_E_INVALID);
  CHECK(refused(Enqueue{std::vector<JobSpec>(HF_ENQUEUE_MANY_MAX + 1, spec("x"))}).code == HF_E_INVALID);
  CHECK(ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(HF_ENQUEUE_MANY_MAX, spec("x"))}).size() == HF_ENQUEUE_MANY_MAX);
}

TEST_CASE_FIXTURE(EngineFixture, "many are all or none: an error in the middle names its job and leaves nothing") {
  std::vector<JobSpec> specs(5, spec("x"));
  specs[3].priority = 5000;
  Error e = refused(Enqueue{specs});
  CHECK(e.code == HF_E_INVALID);
  CHECK(mentions(e, "job 3"));
  CHECK(stats().by_state[0] == 0);
  CHECK(stats().enqueued == 0);
}

TEST_CASE_FIXTURE(EngineFixture, "many are all or none when the room is not enough for all") {
  limits.max_jobs = 4;
  crash();
  CHECK(refused(Enqueue{std::vector<JobSpec>(5, spec("x"))}).code == HF_E_FULL);
  CHECK(stats().by_state[0] == 0);
  ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(4, spec("x"))});
}

TEST_CASE_FIXTURE(EngineFixture, "ids come in the order of the jobs and grow") {
  auto ids = ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(5, spec("x"))});
  for (size_t i = 1; i < ids.size(); ++i) CHECK(ids[i] == ids[0] + static_cast<JobId>(i));
  CHECK(add(spec("x")) > ids.back());
}

TEST_CASE_FIXTURE(EngineFixture, "reserved ids are given to nobody else, also after a kill") {
  auto ids = ask<std::vector<JobId>>(ReserveIds{3});
  CHECK(ids.size() == 3);
  JobId next = add(spec("x"));
  CHECK(next > ids.back());
  crash();
  CHECK(add(spec("x")) > next);
  CHECK(refused(ReserveIds{0}).code == HF_E_INVALID);
  CHECK(refused(ReserveIds{1001}).code == HF_E_INVALID);
}

TEST_CASE_FIXTURE(EngineFixture, "a draining queue takes no new jobs until it is resumed, and its jobs go on") {
  JobId a = add(spec("x"));
  ask<Done>(QueueDrain{"default"});
  CHECK(refused(Enqueue{{spec("x")}}).code == HF_E_CONFLICT);
  handler("x");
  CHECK(take_started().id == a);
  ask<Done>(QueuePause{"default", false});
  add(spec("x"));
}

TEST_CASE_FIXTURE(EngineFixture, "it goes on to drain when the engine fails and is opened again, not when the process ends") {
  ask<Done>(QueueDrain{"default"});
  disk.fail_writes = true;
  CHECK_FALSE(try_tick({QueueDrain{"other"}, QueuePause{"default", false}}).ok());  // nothing of it happened
  disk.fail_writes = false;
  handover = engine->handover();
  engine.reset();
  open();
  CHECK(refused(Enqueue{{spec("x")}}).code == HF_E_CONFLICT);
  JobSpec other = spec("x");
  other.queue = "other";
  add(other);
  handover = engine->handover();
  engine.reset();
  open();
  CHECK(refused(Enqueue{{spec("x")}}).code == HF_E_CONFLICT);
  handover = {};
  crash();
  add(spec("x"));
}

TEST_CASE_FIXTURE(EngineFixture, "an acknowledged enqueue is synced, a grouped one is not") {
  add(spec("x"));
  int before = disk.syncs;
  add(spec("x"));
  CHECK(disk.syncs == before + 1);
  JobSpec grouped = spec("x");
  grouped.durability = Durability::grouped;
  add(grouped);
  CHECK(disk.syncs == before + 1);
}

namespace {
JobSpec with(Durability durability) {
  JobSpec s = EngineFixture::spec("x");
  s.durability = durability;
  return s;
}
}  // namespace

TEST_CASE_FIXTURE(EngineFixture, "what is grouped is on the disk within grouped_within, with one sync for all of it") {
  add(with(Durability::sync));
  const int before = disk.syncs;
  add(with(Durability::grouped));
  const int64_t by = now.boot_ms + kGroupedWithinMs;
  pass(3000);
  add(with(Durability::grouped));
  CHECK(wake() == by);
  pass(1999);
  CHECK(disk.syncs == before);
  pass(1);
  CHECK(disk.syncs == before + 1);
  CHECK(wake() > now.boot_ms + kGroupedWithinMs);
  run_for(3600000);
  CHECK(disk.syncs == before + 1);
}

TEST_CASE_FIXTURE(EngineFixture, "the end of a run waits for the disk where the job asks for it") {
  handler("x");
  for (const auto& [durability, syncs] : {std::pair(Durability::sync, 0), std::pair(Durability::result, 1)}) {
    add(with(durability));
    REQUIRE(started.size() == 1);
    const RunJob job = std::exchange(started, {}).front().jobs.front();
    const int before = disk.syncs;
    end(job, Outcome::retry);
    CHECK(disk.syncs == before + syncs);
    run_for(60000);
    REQUIRE(started.size() == 1);
    const int again = disk.syncs;
    end(std::exchange(started, {}).front().jobs.front(), Outcome::done, "r");
    CHECK(disk.syncs == again + syncs);
  }
}

TEST_CASE_FIXTURE(EngineFixture, "what syncs meanwhile is enough for what is grouped") {
  add(with(Durability::sync));
  add(with(Durability::grouped));
  pass(1000);
  const int before = disk.syncs;
  add(with(Durability::sync));
  CHECK(disk.syncs == before + 1);
  run_for(60000);
  CHECK(disk.syncs == before + 1);
}

TEST_CASE_FIXTURE(EngineFixture, "what is in memory alone is never the reason for a sync") {
  add(with(Durability::sync));
  const int before = disk.syncs;
  const JobId id = add(with(Durability::memory));
  CHECK(wake() > now.boot_ms + kGroupedWithinMs);
  run_for(3600000);
  CHECK(disk.syncs == before);
  crash();  // of the process
  CHECK(state(id) == State::pending);
  const int opened = disk.syncs;
  close_cleanly();
  CHECK(disk.syncs > opened);
}

TEST_CASE_FIXTURE(EngineFixture, "grouped_within: its bounds, and a change") {
  CHECK(refused(SetLimits{{.grouped_within_ms = 9}}).message == "grouped_within is 9ms; allowed is 10ms to 1h");
  CHECK(refused(SetLimits{{.grouped_within_ms = 3600001}}).code == HF_E_INVALID);
  add(with(Durability::sync));
  ask<Done>(SetLimits{{.grouped_within_ms = 3600000}});
  ask<Done>(SetLimits{{.grouped_within_ms = 10}});
  const int before = disk.syncs;
  add(with(Durability::grouped));
  CHECK(wake() == now.boot_ms + 10);
  pass(10);
  CHECK(disk.syncs == before + 1);
}

TEST_CASE_FIXTURE(EngineFixture, "an enqueue that rests on a grouped job makes it durable before it answers") {
  add(spec("x"));
  JobSpec s = spec("x");
  s.unique_key = "k";
  s.durability = Durability::grouped;
  JobId id = add(s);
  s.durability = Durability::sync;
  int before = disk.syncs;
  CHECK(add(s) == id);
  CHECK(disk.syncs > before);
  before = disk.syncs;
  CHECK(add(s) == id);
  CHECK(disk.syncs == before);
}
