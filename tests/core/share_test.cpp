// Who goes first, and what nobody exceeds: priorities that age, keys that take turns, limits of keys; and that the claims, which
// ask only those for whom something changed, find all that may run.
#include <array>
#include <map>
#include <set>

#include "core/lanes.h"
#include "core/random.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kSecond = 1000, kMinute = 60 * kSecond;

JobSpec keyed(const std::string& key, const std::string& type = "x", int priority = 0) {
  JobSpec s;
  s.type = type;
  s.concurrency_key = key;
  s.priority = priority;
  return s;
}

RunnerSpec one_at_once() {
  RunnerSpec r;
  r.concurrency = 1;
  return r;
}

// Runs what is there, one after the other; the ids in the order in which they began.
std::vector<JobId> run_all(EngineFixture& f) {
  std::vector<JobId> order;
  while (!f.started.empty()) {
    const RunJob job = f.take_started();
    order.push_back(job.id);
    f.end(job, Outcome::done);
  }
  return order;
}

// Jobs of three priorities come as fast as the queue begins them, to a backlog that therefore never gets shorter.
struct Load : EngineFixture {
  static constexpr int64_t kEachMs = 100, kAging = 5 * kSecond;
  static constexpr int kBacklog = 50;
  static constexpr std::array kPriorities = {10, 0, -4};
  struct Waited {
    int64_t most_ms = 0;
    int64_t left = 0;
  };
  std::map<int, Waited> run(int64_t aging_ms) {
    handler("x");
    QueueSettings set;
    set.throttle = Rate{10, kSecond, 1};
    set.aging_ms = aging_ms;
    ask<Done>(QueueSet{"default", set});
    Random random(5);
    std::map<JobId, std::pair<int, int64_t>> pending;  // priority, due
    std::map<int, Waited> waited;
    const auto add_one = [&] {
      JobSpec s = spec("x");
      s.priority = random.below(100) < 98 ? kPriorities[0] : kPriorities[1 + random.below(2)];
      pending[add(s)] = {s.priority, now.boot_ms};
    };
    const auto note = [&] {
      for (; !started.empty();) {
        const RunJob job = take_started();
        const auto [priority, due] = pending.at(job.id);
        waited[priority].most_ms = std::max(waited[priority].most_ms, now.boot_ms - due);
        pending.erase(job.id);
        end(job, Outcome::done);
      }
    };
    for (int i = 0; i < kBacklog; ++i) add_one();
    for (int i = 0; i < 6000; ++i) {
      note();
      pass(kEachMs);
      add_one();
    }
    note();
    for (const auto& [id, one] : pending) {
      waited[one.first].left = std::max(waited[one.first].left, now.boot_ms - one.second);
    }
    return waited;
  }
  // docs/reference.md, "Order and fairness"
  static int64_t bound_ms(int priority) { return (kPriorities[0] - priority) * kAging + (kBacklog + 1) * kEachMs; }
};

}  // namespace

TEST_SUITE("share") {
  TEST_CASE_FIXTURE(Load, "starvation: three priorities at full load under a rate limit, each job begins within the bound") {
    for (const auto& [priority, waited] : run(kAging)) {
      CAPTURE(priority);
      MESSAGE("priority " << priority << " waited at most " << waited.most_ms / 1000.0 << " s of " << bound_ms(priority) / 1000.0);
      CHECK(waited.most_ms <= bound_ms(priority));
      CHECK(waited.left <= bound_ms(priority));
      CHECK(waited.most_ms >= bound_ms(priority) / 3);  // the load is one
    }
  }

  TEST_CASE_FIXTURE(Load, "starvation: without aging the least one waits for ever") {
    const auto waited = run(0);
    CHECK(waited.at(kPriorities[0]).most_ms <= bound_ms(kPriorities[0]));
    CHECK(waited.at(kPriorities[2]).left > 3 * bound_ms(kPriorities[2]));
  }

  TEST_CASE_FIXTURE(EngineFixture, "a point of priority is worth so long a wait, exactly") {
    handler("x", one_at_once());
    QueueSettings set;
    set.aging_ms = kMinute;
    ask<Done>(QueueSet{"default", set});
    const RunJob first = (add(spec("x")), take_started());
    const JobId low = add(keyed("", "x", 1));
    pass(2 * kMinute - 1);
    const JobId before = add(keyed("", "x", 3));  // due 2 min - 1 ms later, and 2 points more
    pass(1);
    const JobId level = add(keyed("", "x", 3));   // of two that stand alike the higher priority goes first
    pass(1);
    const JobId behind = add(keyed("", "x", 3));
    end(first, Outcome::done);
    CHECK(run_all(*this) == std::vector<JobId>{before, level, low, behind});
  }

  TEST_CASE_FIXTURE(EngineFixture, "by default a point is worth a minute; 0 is priority alone") {
    handler("x", one_at_once());
    const RunJob first = (add(spec("x")), take_started());
    const JobId low = add(spec("x"));
    pass(kMinute + 1);
    const JobId high = add(keyed("", "x", 1));
    std::vector<JobId> expected = {low, high};
    SUBCASE("default") {}
    SUBCASE("0, also for what waits already") {
      QueueSettings set;
      set.aging_ms = 0;
      ask<Done>(QueueSet{"default", set});
      expected = {high, low};
    }
    end(first, Outcome::done);
    CHECK(run_all(*this) == expected);
  }

  TEST_CASE_FIXTURE(EngineFixture, "with a share of a data budget for high priorities, priority alone counts there") {
    RunnerSpec r = one_at_once();
    r.network = true;
    handler("x", r);
    const RunJob first = (add(spec("x")), take_started());
    const JobId low = add(spec("x"));
    pass(kMinute + 1);
    const JobId high = add(keyed("", "x", 1));
    BudgetSpec budget;
    budget.link = kLinkMetered;
    budget.day_bytes = 1000000;
    std::vector<JobId> expected = {low, high};
    SUBCASE("no share") {}
    SUBCASE("a share") {
      budget.reserve_percent = 10;
      expected = {high, low};
    }
    ask<Done>(SetBudgets{{budget}, kLinkMetered});
    end(first, Outcome::done);
    CHECK(run_all(*this) == expected);
  }

  TEST_CASE_FIXTURE(EngineFixture, "lifo: of one priority the newest first") {
    handler("x", one_at_once());
    QueueSettings set;
    set.order = QueueOrder::lifo;
    ask<Done>(QueueSet{"default", set});
    const RunJob first = (add(spec("x")), take_started());
    std::vector<JobId> ids;
    for (const int priority : {0, 1, 0, 1}) {
      pass(1);
      ids.push_back(add(keyed("", "x", priority)));
    }
    end(first, Outcome::done);
    CHECK(run_all(*this) == std::vector<JobId>{ids[3], ids[1], ids[2], ids[0]});
  }

  TEST_CASE_FIXTURE(EngineFixture, "fair: keys take turns, whatever they have and whatever type it is, also under a rate limit") {
    handler("x");
    handler("y");
    QueueSettings set;
    set.fair = true;
    set.key_concurrency = 10;
    set.throttle = Rate{1, kSecond, 1};
    ask<Done>(QueueSet{"default", set});
    std::map<JobId, std::string> key;
    const auto add_of = [&](const std::string& of, int priority = 0) {
      const JobId id = add(keyed(of, key.size() % 2 != 0 ? "x" : "y", priority));
      key[id] = of.empty() ? "-" : of;
    };
    for (int i = 0; i < 6; ++i) add_of("a", i);
    for (int i = 0; i < 3; ++i) add_of("b", 10);
    add_of("");
    add_of("");
    std::string order;
    for (int second = 0; second < 12; ++second) {
      if (second == 5) add_of("c", -10);
      for (const JobId id : started_ids()) order += key[id];
      pass(kSecond);
    }
    CHECK(order == "ab-ab-cabaaa");  // "-": those that have none
  }

  TEST_CASE_FIXTURE(EngineFixture, "key_concurrency: so many of one key at once, whatever their types") {
    handler("x");
    handler("y");
    std::vector<JobId> ids;
    for (int i = 0; i < 4; ++i) ids.push_back(add(keyed("k", i % 2 != 0 ? "x" : "y")));
    const JobId other = add(keyed("l"));
    CHECK(started_ids() == std::vector<JobId>{ids[0], other});
    CHECK(gates(ids[1]) == "key");
    CHECK(ask<WhyInfo>(Why{ids[1]}).gates[0].why == "1 of at most 1 with concurrency_key k run");
    QueueSettings set;
    set.key_concurrency = 3;
    ask<Done>(QueueSet{"default", set});
    CHECK(started_ids() == std::vector<JobId>{ids[1], ids[2]});
    CHECK(ask<WhyInfo>(Why{ids[3]}).gates[0].why == "3 of at most 3 with concurrency_key k run");
    ask<Done>(QueueSet{"default", {}});
    CHECK(started.empty());
    crash();
    CHECK(gates(ids[0]) == "handler");
  }

  TEST_CASE_FIXTURE(EngineFixture, "key_throttle: each key for itself, and why says until when; kept over the process") {
    handler("x");
    QueueSettings set;
    set.key_concurrency = 10;
    set.key_throttle = Rate{1, 10 * kSecond, 1};
    ask<Done>(QueueSet{"default", set});
    const JobId first = add(keyed("k")), second = add(keyed("k")), none = add(keyed("")), another = add(keyed(""));
    CHECK(started_ids() == std::vector<JobId>{first, none, another});
    pass(4 * kSecond);
    const JobId other = add(keyed("l"));
    CHECK(started_ids() == std::vector<JobId>{other});
    const ClosedGate gate = ask<WhyInfo>(Why{second}).gates.at(0);
    CHECK(gate.gate == "throttle");
    CHECK(gate.why == "concurrency_key k begins at most 1/10s: the next run in 6s");
    CHECK(gate.opens_wall_ms == now.wall_ms + 6 * kSecond);
    CHECK(wake() == now.boot_ms + 6 * kSecond);
    SUBCASE("in one process") {
      pass(6 * kSecond - 1);
      CHECK(started.empty());
      pass(1);
      CHECK(started_ids() == std::vector<JobId>{second});
    }
    SUBCASE("over its end") {
      crash();
      handler("x");
      const std::vector<JobId> again = started_ids();
      CHECK(std::find(again.begin(), again.end(), second) == again.end());
      CHECK(std::find(again.begin(), again.end(), first) == again.end());  // it was interrupted, and is of the key
      pass(6 * kSecond);
      CHECK(started_ids().size() == 1);
    }
  }

  TEST_CASE_FIXTURE(EngineFixture, "rates of keys that are full again are forgotten by the file") {
    handler("x");
    QueueSettings set;
    set.key_rate_limit = Rate{1, 2 * kSecond, 1};
    ask<Done>(QueueSet{"default", set});
    const auto kept = [&] {
      auto store = Store::open({.path = path, .vfs = vfs, .new_file_id = 1});
      REQUIRE(store.ok());
      (*store)->begin(false);
      return (*store)->meta("rate:key:default:k:rate_limit", 0);
    };
    end((add(keyed("k")), take_started()), Outcome::done);
    close_cleanly();
    CHECK(kept() > 0);
    open();
    handler("x");
    pass(10 * kSecond);
    end((add(keyed("l")), take_started()), Outcome::done);
    close_cleanly();
    open();
    handler("x");
    end((add(keyed("m")), take_started()), Outcome::done);
    close_cleanly();
    CHECK(kept() == 0);
  }

  // One runs at a time, so that the order can be told beforehand.
  TEST_CASE("whatever lanes a queue has, what goes next is the first of all") {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      CAPTURE(seed);
      EngineFixture f;
      Random random(seed);
      f.limits.concurrency = 1;
      Limits limits;
      limits.concurrency = 1;
      f.ask<Done>(SetLimits{limits});
      for (const char* type : {"x", "y", "z"}) f.handler(type);
      QueueSettings set;
      const Order order{seed % 4 == 0, seed % 4 == 0 ? 0 : std::array<int64_t, 3>{0, 50, kMinute}[seed % 3]};
      if (order.newest) set.order = QueueOrder::lifo;
      set.aging_ms = order.aging_ms;
      set.fair = seed % 2 != 0;
      f.ask<Done>(QueueSet{"default", set});
      struct Pending {
        ReadyEntry entry;
        std::string key;
      };
      std::map<JobId, Pending> pending;
      std::map<std::string, int> turns;
      int turn = 0;
      std::optional<RunJob> running;
      for (int step = 0; step < 600; ++step) {
        if (random.below(2) == 0 && pending.size() < 200) {
          JobSpec s = keyed(random.below(3) == 0 ? "" : std::string(1, static_cast<char>('a' + random.below(6))), std::string(1, static_cast<char>('x' + random.below(3))),
                            static_cast<int>(random.between(-2, 2)));
          if (random.below(3) == 0) s.delay_ms = random.between(1, 300);
          const JobId id = f.add(s);
          pending[id] = {{-s.priority, f.now.boot_ms + s.delay_ms, id}, s.concurrency_key};
        } else if (running && random.below(2) == 0) {
          f.end(*std::exchange(running, std::nullopt), Outcome::done);
        } else {
          f.pass(random.between(0, 40));
        }
        if (!f.started.empty()) {
          REQUIRE_FALSE(running.has_value());
          REQUIRE(f.started.size() == 1);
          running = f.take_started();
          const auto place = [&](const Pending& p) { return std::pair(*set.fair ? turns[p.key] : 0, rank_of(p.entry, order)); };
          const Pending taken = pending.at(running->id);
          CHECK(taken.entry.due_ms <= f.now.boot_ms);
          pending.erase(running->id);
          for (const auto& [id, p] : pending) {
            if (p.entry.due_ms <= f.now.boot_ms) REQUIRE(place(taken) < place(p));
          }
          turns[taken.key] = ++turn;
        } else if (!running) {
          for (const auto& [id, p] : pending) REQUIRE(p.entry.due_ms > f.now.boot_ms);
        }
      }
    }
  }
}

namespace {

// People who change everything, and a world that counts. After each turn every job that waits has a gate that is closed, no
// limit is exceeded, and until the engine wants to be woken nothing begins.
class Crowd : public EngineFixture {
 public:
  static constexpr int kSlots = 6;
  void start(uint64_t chance) {
    random = Random(chance);
    Limits l;
    l.concurrency = kSlots;
    ask<Done>(SetLimits{l});
    for (const std::string& type : kTypes) {
      if (type != "late") set_handler(type);
    }
  }
  void step() {
    switch (random.below(12)) {
      case 0: case 1: case 2: case 3: {
        if (jobs.size() > 40) break;
        Enqueue e;
        for (int64_t n = random.between(1, 5); n > 0; --n) e.specs.push_back(job());
        const std::vector<JobSpec> specs = e.specs;
        const auto ids = ask<std::vector<JobId>>(std::move(e));
        for (size_t i = 0; i < ids.size(); ++i) jobs[ids[i]] = specs[i];
        break;
      }
      case 4: case 5: case 6:
        if (!running.empty()) finish();
        break;
      case 7: {
        QueueSettings s;
        if (one_in(2)) s.concurrency = static_cast<int>(random.between(1, 4));
        if (one_in(2)) s.key_concurrency = static_cast<int>(random.between(1, 3));
        if (one_in(3)) s.rate_limit = Rate{3, 2000, 2};
        if (one_in(3)) s.key_rate_limit = Rate{2, 3000, static_cast<int>(random.between(1, 2))};
        if (one_in(4)) s.key_throttle = Rate{1, 500, 1};
        if (one_in(2)) s.aging_ms = random.between(0, 500);
        if (one_in(3)) s.order = QueueOrder::lifo;
        if (one_in(2)) s.fair = one_in(2);
        const std::string queue = any(kQueues);
        ask<Done>(QueueSet{queue, s});
        settings[queue] = s;
        break;
      }
      case 8: ask<Done>(QueuePause{any(kQueues), one_in(2), "", one_in(2) ? random.between(1, 3000) : 0}); break;
      case 9:
        if (one_in(3)) {
          const std::string type = any(kTypes);
          one_in(3) ? (void)(ask<Done>(RemoveRunner{type}), handlers.erase(type)) : set_handler(type);
        } else if (!jobs.empty()) {
          change();
        }
        break;
      default: wait(random.between(0, 700)); break;
    }
    look();
  }
  // All of it is over, and nothing is left behind.
  void end_all() {
    for (const std::string& queue : kQueues) {
      ask<Done>(QueuePause{queue, false});
      ask<Done>(QueueSet{queue, {}});
      settings[queue] = {};
    }
    for (const std::string& type : kTypes) {
      handlers[type] = {};
      handler(type);
    }
    look();
    for (int guard = 0; !jobs.empty(); ++guard) {
      REQUIRE(guard < 100000);
      running.empty() ? wait(1000) : finish();
      look();
    }
  }

 private:
  const std::vector<std::string> kQueues = {"default", "q1", "q2", "q3"}, kTypes = {"x", "y", "z", "late"}, kKeys = {"", "", "k", "l", "m"};

  bool one_in(uint64_t n) { return random.below(n) == 0; }
  const std::string& any(const std::vector<std::string>& of) { return of[random.below(of.size())]; }
  JobSpec job() {
    JobSpec s = keyed(any(kKeys), any(kTypes), static_cast<int>(random.between(-1, 2)));
    s.queue = any(kQueues);
    s.policy.max_attempts = 1000;
    s.policy.backoff.base_ms = 50;
    s.policy.backoff.max_ms = 400;
    if (one_in(4)) s.delay_ms = random.between(1, 800);
    return s;
  }
  void set_handler(const std::string& type) {
    RunnerSpec r;
    if (one_in(2)) r.concurrency = static_cast<int>(random.between(1, 3));
    if (one_in(3)) r.rates.throttle = Rate{5, 1000, 1};
    handlers[type] = r.concurrency;
    handler(type, r);
  }
  void finish() {
    auto it = running.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random.below(running.size())));
    const RunJob job = it->second;
    running.erase(it);
    const bool done = !one_in(4);
    if (done) jobs.erase(job.id);
    end(job, done ? Outcome::done : one_in(2) ? Outcome::retry : Outcome::defer);
  }
  void change() {
    auto it = jobs.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random.below(jobs.size())));
    if (running.contains(it->first)) return;
    if (one_in(2)) {
      ask<Done>(Cancel{it->first});
      jobs.erase(it);
    } else {
      Edit e;
      e.id = it->first;
      e.priority = static_cast<int>(random.between(-3, 3));
      if (one_in(2)) e.delay_ms = random.between(0, 300);
      ask<Done>(e);
    }
  }
  // From wake-up to wake-up; in between nothing begins.
  void wait(int64_t ms) {
    int guard = 0;
    for (const int64_t until = now.boot_ms + ms; now.boot_ms < until;) {
      REQUIRE(++guard < 1000);
      const int64_t next = std::min(until, wake());
      if (next > now.boot_ms + 1) {
        pass(next - 1 - now.boot_ms);
        REQUIRE(started.empty());
      }
      pass(std::max<int64_t>(next - now.boot_ms, 0));
      look();
    }
  }
  void look() {
    const auto check = [&](const char* what, const std::string& name, int most, const auto& same) {
      int n = 0;
      for (const auto& [id, job] : running) n += same(job) ? 1 : 0;
      if (most > 0 && n > most) FAIL(n, " of at most ", most, " run of ", what, " ", name);
    };
    for (const StartRun& start : std::exchange(started, {})) {
      const RunJob& one = start.jobs.front();
      const JobSpec& spec = jobs.at(one.id);
      REQUIRE(running.emplace(one.id, one).second);
      const QueueSettings& set = settings[spec.queue];
      check("the engine", "", kSlots, [](const RunJob&) { return true; });
      check("queue", spec.queue, set.concurrency.value_or(0), [&](const RunJob& j) { return jobs.at(j.id).queue == spec.queue; });
      check("handler", spec.type, handlers.at(spec.type), [&](const RunJob& j) { return jobs.at(j.id).type == spec.type; });
      if (spec.concurrency_key.empty()) continue;
      check("key", spec.concurrency_key, set.key_concurrency.value_or(1),
            [&](const RunJob& j) { return jobs.at(j.id).queue == spec.queue && jobs.at(j.id).concurrency_key == spec.concurrency_key; });
    }
    std::vector<Op> ops;
    std::vector<JobId> asked;
    for (const auto& [id, spec] : jobs) {
      if (running.contains(id)) continue;
      asked.push_back(id);
      ops.push_back(Why{id});
    }
    const std::vector<Reply> replies = tick(std::move(ops));
    for (size_t i = 0; i < asked.size(); ++i) {
      if (std::get<WhyInfo>(replies[i]).gates.empty()) FAIL("job ", asked[i], " has no closed gate and does not run");
    }
    REQUIRE(started.empty());
  }

  Random random{0};
  std::map<JobId, JobSpec> jobs;  // not ended
  std::map<JobId, RunJob> running;
  std::map<std::string, QueueSettings> settings;
  std::map<std::string, int> handlers;  // their concurrency
};

}  // namespace

TEST_SUITE("share") {
  TEST_CASE("a crowd: who may run runs, nobody exceeds a limit, and nothing wakes up for nothing") {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      CAPTURE(seed);
      Crowd crowd;
      crowd.start(seed);
      for (int step = 0; step < 400; ++step) crowd.step();
      crowd.end_all();
    }
  }
}
