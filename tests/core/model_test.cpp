// Random scripts against a model that is fed by acknowledgements alone: kills, failed turns, clean ends, clock
// steps, every verb and every outcome. HF_SEEDS=n runs n seeds instead of the fixed share, HF_SEED=s one,
// HF_TRACE=1 with all that happens.
#include <cstdlib>

#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

constexpr int kSeeds = 40;
constexpr int kSteps = 250;
const std::vector<std::string> kTypes = {"a", "b", "c"};
const std::vector<std::string> kQueues = {"default", "q1", "q2"};

class Model : public EngineFixture {
 public:
  explicit Model(uint64_t seed_of_script) : random(seed_of_script) {
    seed = seed_of_script;
    limits.keep_completed_ms = limits.keep_dead_ms = 50LL * 366 * 86400 * 1000;
    register_all();
  }

  void run() {
    for (int i = 0; i < kSteps; ++i) {
      step();
      settle();
    }
    heal();
  }

 private:
  struct Known {
    int max_attempts = 0;
    bool gone = false;  // removed by us
  };

  uint64_t below(uint64_t n) { return random.below(n); }
  bool one_in(uint64_t n) { return random.below(n) == 0; }
  template <class T>
  const T& any(const std::vector<T>& of) {
    return of[below(of.size())];
  }
  JobId any_job() {
    if (jobs.empty()) return 1;
    auto it = jobs.lower_bound(static_cast<JobId>(below(static_cast<uint64_t>(jobs.rbegin()->first) + 1)));
    return it == jobs.end() ? jobs.rbegin()->first : it->first;
  }

  void register_all() {
    std::vector<Op> ops = {SetLimits{limits}};
    for (const std::string& type : kTypes) {
      RunnerSpec r;
      r.name = type;
      r.policy.max_attempts = 3;
      r.policy.timeout_ms = 20000;
      r.policy.backoff.max_ms = 5000;
      if (type == "b") r.concurrency = 2;
      if (type == "c") r.sink = "s";
      ops.push_back(SetRunner{r});
    }
    RunnerSpec sink;
    sink.name = "sink:s";
    sink.concurrency = 1;
    sink.policy.max_attempts = 3;
    sink.batch = {5, 4000, 700};
    ops.push_back(SetRunner{sink});
    play(std::move(ops));
  }

  // A turn; what it started is checked against what runs.
  std::vector<Reply> play(std::vector<Op> ops = {}) {
    std::vector<Reply> replies = tick(std::move(ops));
    learn();
    return replies;
  }
  void learn() {
    for (const Transition& t : last.feed) {
      if (!trace) break;
      MESSAGE(now.boot_ms << " job " << t.id << " #" << t.attempt << " " << std::string(change_name(t.change)) << " " << t.queue << " " << t.detail.substr(0, 60));
    }
    for (const StartRun& s : started) {
      for (const RunJob& j : s.jobs) {
        INFO("job " << j.id << " attempt " << j.attempt);
        REQUIRE(j.attempt >= 1);
        REQUIRE(j.attempt <= HF_ATTEMPTS_MAX);
        auto known = jobs.find(j.id);
        if (known != jobs.end()) {
          REQUIRE_FALSE(known->second.gone);
          if (s.runner.text().rfind("sink:", 0) != 0) REQUIRE(j.attempt <= std::max(known->second.max_attempts, 3));
        }
        REQUIRE(runs.emplace(j.id, j).second);  // never two live runs of a job
        REQUIRE(numbers.insert({j.id, j.run}).second);
      }
    }
    started.clear();
    stopped.clear();
  }

  void step() {
    switch (below(20)) {
      case 0: case 1: case 2: case 3: enqueue(); break;
      case 4: case 5: case 6: case 7: case 8: end_some(); break;
      case 9: pass_some(static_cast<int64_t>(below(3000))); break;
      case 10: pass_some(one_in(3) ? static_cast<int64_t>(below(100000)) : 50); break;
      case 11: play({Cancel{any_job()}}); break;
      case 12: play({Retry{any_job()}}); break;
      case 13: remove(); break;
      case 14: edit(); break;
      case 15: play({QueuePause{any(kQueues), one_in(2), "", one_in(2) ? 1 + static_cast<int64_t>(below(20000)) : 0}}); break;
      case 16: look(); break;
      case 17: odd(); break;
      case 18: kill(); break;
      default: disturb(); break;
    }
  }

  JobSpec random_spec() {
    JobSpec s = spec(any(kTypes), std::string(below(one_in(5) ? 2000 : 20), 'p'));
    s.queue = any(kQueues);
    if (one_in(3)) s.priority = static_cast<int>(random.between(-2, 2));
    if (one_in(4)) s.delay_ms = random.between(1, 5000);
    if (s.delay_ms == 0 && one_in(10)) s.at_wall_ms = now.wall_ms + random.between(-5000, 5000);
    if (one_in(4)) s.concurrency_key = one_in(2) ? "k" : "l";
    if (one_in(10)) s.ttl_ms = s.delay_ms + random.between(1, 8000);
    if (one_in(4)) s.policy.max_attempts = static_cast<int>(random.between(1, 4));
    if (one_in(6)) {
      s.unique_key = "u" + std::to_string(below(5));
      s.on_conflict = static_cast<OnConflict>(below(4));
      if (s.on_conflict == OnConflict::debounce && s.delay_ms == 0 && s.at_wall_ms == 0) s.on_conflict = OnConflict::replace;
      if (one_in(2)) s.unique_for_ms = random.between(1, 10000);
    }
    if (one_in(8)) s.sink = "s";
    if (one_in(5)) s.durability = Durability::grouped;
    return s;
  }
  void enqueue() {
    std::vector<JobSpec> specs;
    for (uint64_t n = one_in(4) ? below(150) + 1 : 1; n > 0; --n) specs.push_back(random_spec());
    Reply reply = play({Enqueue{specs}}).front();
    if (auto* error = std::get_if<Error>(&reply)) {
      REQUIRE(error->code == HF_E_CONFLICT);
      return;
    }
    auto& ids = std::get<std::vector<JobId>>(reply);
    REQUIRE(ids.size() == specs.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      Known& k = jobs[ids[i]];
      REQUIRE_FALSE(k.gone);  // an id is never used twice
      bool fresh = ids[i] > newest;
      newest = std::max(newest, ids[i]);
      REQUIRE((fresh || !specs[i].unique_key.empty()));
      k.max_attempts = std::max(k.max_attempts, std::max(specs[i].policy.max_attempts, 3));
    }
  }

  RunEnded random_end(const RunJob& j) {
    static constexpr Outcome kOutcomes[] = {Outcome::done, Outcome::done, Outcome::done, Outcome::retry, Outcome::retry,
                                            Outcome::dead, Outcome::defer, Outcome::handed_back};
    RunEnded e = ended(j, kOutcomes[below(std::size(kOutcomes))], std::string(below(1000), 'r'));
    if (e.outcome == Outcome::defer && one_in(2)) e.park_runner = true;
    if (one_in(6)) e.retry_after_ms = static_cast<int64_t>(below(3000));
    return e;
  }
  void end_some() {
    std::vector<Op> ops;
    std::vector<RunJob> told;
    for (auto& [id, j] : runs) {
      if (one_in(2)) continue;
      ops.push_back(random_end(j));
      told.push_back(j);
    }
    for (const RunJob& j : told) runs.erase(j.id);
    for (const Reply& r : play(std::move(ops))) REQUIRE(std::holds_alternative<Done>(r));
    // What was told is over: the same again is stale, also when the job runs again.
    if (told.empty()) return;
    Reply stale = play({ended(told.front(), Outcome::done)}).front();
    REQUIRE(std::holds_alternative<Error>(stale));
    REQUIRE(std::get<Error>(stale).code == HF_E_STALE);
  }
  void pass_some(int64_t ms) {
    now.boot_ms += ms;
    now.wall_ms += ms;
    play();
  }
  void remove() {
    JobId id = any_job();
    if (std::holds_alternative<Done>(play({Remove{id}}).front())) jobs[id].gone = true;
  }
  void edit() {
    Edit e;
    e.id = any_job();
    if (one_in(2)) e.priority = static_cast<int>(random.between(-3, 3));
    if (one_in(2)) e.payload = std::string(below(1500), 'e');
    if (one_in(4)) e.delay_ms = random.between(0, 4000);
    play({e});
  }
  void look() {
    ListQuery q;
    q.limit = static_cast<int>(below(50)) + 1;
    if (one_in(2)) q.state = static_cast<State>(below(kStates));
    for (const Reply& r : play({List{q}, Why{any_job()}, Get{any_job()}, QueueList{}})) {
      if (auto* e = std::get_if<Error>(&r)) REQUIRE(e->code == HF_E_NOT_FOUND);
    }
  }
  void odd() {
    switch (below(5)) {
      case 0: now.wall_ms += random.between(-100000, 100000); play({ClockStepped{}}); break;
      case 1: now.synced = !now.synced; play(); break;
      case 2: play({QueueSet{any(kQueues), {.concurrency = one_in(2) ? std::optional<int>(static_cast<int>(below(3)) + 1) : std::nullopt}}}); break;
      case 3: play({RetryAllDead{static_cast<int>(below(10)) + 1}}); break;
      default: play({Prune{}, Check{}, ReserveIds{3}}); break;
    }
  }
  // The turn fails; runs go on over the reopening, and what was told in it is told again.
  void disturb() {
    std::vector<Op> ops;
    for (auto& [id, j] : runs) {
      if (one_in(3)) ops.push_back(random_end(j));
    }
    ops.push_back(Enqueue{{random_spec()}});
    ops.push_back(Cancel{any_job()});
    disk.fail_writes = true;
    bool failed = !try_tick(ops).ok();
    disk.fail_writes = false;
    if (!failed) {  // nothing was to be written: the unique key is held
      REQUIRE(ops.size() == 2);
      return learn();
    }
    handover = engine->handover();
    REQUIRE(handover.live.size() == runs.size());
    engine.reset();
    open();
    handover = {};
    learn();
    register_all();
    ops.resize(ops.size() - 2);
    for (Op& op : ops) runs.erase(std::get<RunEnded>(op).id);
    for (const Reply& r : play(std::move(ops))) REQUIRE(std::holds_alternative<Done>(r));
  }

  void kill() {
    counts_agree();
    if (one_in(3)) {
      play({SetDispatch{false}, StopAll{true}});
      close_cleanly();
    } else {
      leave();
      for (auto& [id, j] : runs) numbers.insert({id, j.run});
    }
    runs.clear();
    if (one_in(3)) {
      now.boot_ms = static_cast<int64_t>(below(10000));
      now.wall_ms += static_cast<int64_t>(below(100000));
      boot_id += "+";
    }
    open();
    learn();
    register_all();
    all_there();
  }

  // What the engine counts in memory is what is in the file.
  void counts_agree() {
    Stats s = std::get<Stats>(play({GetStats{}}).front());
    std::string copy = dir + "/look.db";
    std::filesystem::remove(copy + "-wal");
    std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
    if (std::filesystem::exists(path + "-wal")) std::filesystem::copy_file(path + "-wal", copy + "-wal");
    RawDb raw(copy);
    for (int i = 0; i < kStates; ++i) {
      REQUIRE(s.by_state[i] == raw.number("SELECT count(*) FROM job WHERE abs(state)=" + std::to_string(i)));
    }
    for (const QueueInfo& q : s.queues) {
      std::string where = " FROM job JOIN lane ON lane.id=job.lane WHERE queue='" + q.name + "' AND abs(state)=";  // -1 runs, too
      REQUIRE(q.pending == raw.number("SELECT count(*)" + where + "0"));
      REQUIRE(q.running == raw.number("SELECT count(*)" + where + "1"));
    }
    REQUIRE(s.by_state[1] == static_cast<int64_t>(runs.size()));
    REQUIRE(raw.number("SELECT count(*) FROM job WHERE state<2 AND finished IS NOT NULL") == 0);
    REQUIRE(raw.number("SELECT count(*) FROM job WHERE state>=2 AND finished IS NULL") == 0);
    REQUIRE(raw.number("SELECT count(*) FROM body WHERE id/2 NOT IN (SELECT id FROM job)") == 0);
  }
  void all_there() {
    std::vector<Op> ops;
    std::vector<bool> gone;
    for (auto& [id, k] : jobs) {
      ops.push_back(Get{id});
      gone.push_back(k.gone);
    }
    std::vector<Reply> replies = play(std::move(ops));
    auto known = jobs.begin();
    for (size_t i = 0; i < replies.size(); ++i, ++known) {
      INFO("job " << known->first << std::string(gone[i] ? " was removed" : " was acknowledged"));
      bool there = std::holds_alternative<JobInfo>(replies[i]);
      REQUIRE(there != gone[i]);
    }
  }

  // The engine never asks to be called at once twice in a row without getting on.
  void settle() {
    for (int idle = 0; wake() <= now.boot_ms;) {
      play();
      idle = last.feed.empty() ? idle + 1 : 0;
      REQUIRE(idle < 3);
    }
    // A call at the time that was asked for does something, or the time moves on.
    if (!one_in(20) || wake() > now.boot_ms + 3600000) return;
    int64_t asked = wake();
    pass_some(asked - now.boot_ms);
    bool something = !last.feed.empty() || !last.actions.empty();
    REQUIRE((something || wake() > asked));
  }

  // Everything succeeds from now on: every job comes to its end.
  void heal() {
    now.synced = true;
    std::vector<Op> ops;
    for (const std::string& q : kQueues) ops.push_back(QueuePause{q, false});
    play(std::move(ops));
    for (int guard = 0; guard < 20000; ++guard) {
      if (!runs.empty()) {
        std::vector<Op> ends;
        for (auto& [id, j] : runs) ends.push_back(ended(j, Outcome::done));
        runs.clear();
        play(std::move(ends));
        continue;
      }
      Stats s = std::get<Stats>(play({GetStats{}}).front());
      if (s.by_state[0] + s.by_state[1] == 0) break;
      if (!runs.empty()) continue;
      REQUIRE(wake() != kNever);  // else a job would wait for ever
      REQUIRE(wake() < now.boot_ms + 86400000);
      pass_some(std::max<int64_t>(wake() - now.boot_ms, 0));
    }
    Stats s = std::get<Stats>(play({GetStats{}}).front());
    REQUIRE(s.by_state[0] == 0);
    REQUIRE(s.by_state[1] == 0);
    counts_agree();
    all_there();
  }

  const bool trace = std::getenv("HF_TRACE") != nullptr;
  Random random;
  std::map<JobId, Known> jobs;        // acknowledged
  std::map<JobId, RunJob> runs;       // live in this process
  std::set<std::pair<JobId, uint64_t>> numbers;
  JobId newest = 0;
};

}  // namespace

TEST_CASE("random scripts: nothing acknowledged is lost, no job runs twice at once, every job comes to its end") {
  uint64_t first = 1;
  uint64_t count = kSeeds;
  if (const char* seeds = std::getenv("HF_SEEDS")) count = std::strtoull(seeds, nullptr, 10);
  if (const char* one = std::getenv("HF_SEED")) first = std::strtoull(one, nullptr, 10), count = 1;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    INFO("HF_SEED=" << seed);
    Model model(seed);
    model.run();
  }
}
