// What runs at the moment: which ends first, how many batches there are, and what the last commit knows of.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "core/random.h"
#include "core/turn.h"

using namespace hf;

namespace {

// The same by the simplest means.
struct Model {
  std::map<JobId, int64_t> ends;      // of those with a deadline
  std::map<JobId, uint64_t> batch_of;  // of all
  size_t batches() const {
    std::set<uint64_t> all;
    for (const auto& [id, batch] : batch_of) all.insert(batch);
    return all.size();
  }
  int64_t first() const {
    int64_t ms = kNever;
    for (const auto& [id, at] : ends) ms = std::min(ms, at);
    return ms;
  }
};

}  // namespace

TEST_CASE("running: which run ends first, and when a batch is over, whatever comes and goes") {
  Random random(7);
  Running running;
  Model model;
  Lane lane;
  int64_t now_ms = 1000;
  JobId next = 1;
  uint64_t batch = 0;
  for (int step = 0; step < 5000; ++step) {
    now_ms += static_cast<int64_t>(random.below(3));
    const auto pick = [&] {
      auto it = model.batch_of.begin();
      std::advance(it, static_cast<std::ptrdiff_t>(random.below(model.batch_of.size())));
      return it->first;
    };
    const uint64_t what = random.below(10);
    if (what < 4 || model.batch_of.empty()) {
      const bool first = batch == 0 || random.below(3) > 0;
      if (first) batch = running.new_batch();
      const bool joins = !first && std::any_of(model.batch_of.begin(), model.batch_of.end(), [&](const auto& one) { return one.second == batch; });
      Run& run = running.begin(next, batch, !joins);
      run.lane = &lane;
      if (random.below(4) > 0) run.deadline_ms = now_ms + static_cast<int64_t>(random.below(200));
      if (random.below(4) == 0) {
        run.heartbeat_ms = static_cast<int64_t>(random.below(50)) + 1;
        run.beat_by_ms = now_ms + run.heartbeat_ms;
      }
      if (random.below(4) == 0) run.soft_at_ms = now_ms + static_cast<int64_t>(random.below(100));
      running.watch(run);
      model.batch_of[next] = batch;
      const int64_t ends = std::min({run.deadline_ms, run.beat_by_ms, run.soft_at_ms});
      if (ends != kNever) model.ends[next] = ends;
      ++next;
    } else if (what < 7) {
      const JobId id = pick();
      const uint64_t of = model.batch_of[id];
      model.batch_of.erase(id);
      model.ends.erase(id);
      const bool last = std::none_of(model.batch_of.begin(), model.batch_of.end(), [&](const auto& one) { return one.second == of; });
      CHECK(running.remove(id) == last);
    } else if (what == 7) {
      Run& run = *running.find(pick());
      running.beat(run, now_ms);
      if (run.heartbeat_ms != 0 && model.ends.contains(run.id)) model.ends[run.id] = std::min({run.deadline_ms, now_ms + run.heartbeat_ms, run.soft_asked ? kNever : run.soft_at_ms});
    } else if (what == 8) {
      Run& run = *running.find(pick());
      running.forget_deadline(run);
      model.ends.erase(run.id);
    } else if (Run* first = running.first_to_end(); first != nullptr && first->ends_by_ms == first->soft_at_ms && !first->soft_asked) {
      running.asked_softly(*first);
      model.ends.erase(first->id);
      if (const int64_t ends = std::min(first->deadline_ms, first->beat_by_ms); ends != kNever) model.ends[first->id] = ends;
    }
    CHECK(running.next_deadline_ms() == model.first());
    CHECK(running.size() == model.batch_of.size());
    CHECK(running.batches() == static_cast<int>(model.batches()));
  }
}

TEST_CASE("running: the last commit knows of what had begun by then, and of what has ended since") {
  Running running;
  Lane lane;
  lane.id = 1;
  const auto begin = [&](JobId id) { running.begin(id, running.new_batch(), true).lane = &lane; };
  const auto known = [&] {
    std::set<JobId> ids;
    for (const LiveRun& run : running.committed()) ids.insert(run.id);
    return ids;
  };
  begin(1);
  begin(2);
  CHECK(known().empty());
  running.turn_committed();
  CHECK(known() == std::set<JobId>{1, 2});
  begin(3);
  running.remove(1);
  running.remove(3);  // it came and went
  CHECK(known() == std::set<JobId>{1, 2});
  running.turn_committed();
  CHECK(known() == std::set<JobId>{2});
}

TEST_CASE("policy: one that says anything is not empty") {
  CHECK(Policy{}.empty());
  const auto says = [](auto set) {
    Policy p;
    set(p);
    return !p.empty() && !(p == Policy{});
  };
  CHECK(says([](Policy& p) { p.max_attempts = 1; }));
  CHECK(says([](Policy& p) { p.timeout_ms = -1; }));
  CHECK(says([](Policy& p) { p.backoff.kind = BackoffKind::list; }));
  CHECK(says([](Policy& p) { p.backoff.base_ms = 1; }));
  CHECK(says([](Policy& p) { p.backoff.factor = 2; }));
  CHECK(says([](Policy& p) { p.backoff.max_ms = 1; }));
  CHECK(says([](Policy& p) { p.backoff.jitter = Jitter::none; }));
  CHECK(says([](Policy& p) { p.backoff.jitter_percent = 1; }));
  CHECK(says([](Policy& p) { p.backoff.list_ms = {0}; }));
}

TEST_CASE("an idempotency key is one text, whoever asks for it") {
  const auto prefix = std::make_shared<const std::string>(std::string(HF_NAME_MAX, 'd') + "-0123abcd-");
  const JobKey longest(prefix, std::numeric_limits<JobId>::max());
  CHECK(longest.text() == *prefix + "9223372036854775807");
  CHECK(longest.text().size() == JobKey::kTextMax);
  JobKey::Text text;
  longest.write(text);
  CHECK(longest.text() == text.data());
  CHECK(longest == JobKey(longest.text()));
  CHECK_FALSE(longest == JobKey(prefix, 1));
  JobKey("gw-7").write(text);
  CHECK(std::string(text.data()) == "gw-7");
  JobKey().write(text);
  CHECK(text[0] == 0);
  CHECK(JobKey().text().empty());
}

TEST_CASE("running: runs with one timeout, which end in any order, and a few with another") {
  Random random(11);
  Running running;
  Lane lane;
  std::map<JobId, int64_t> ends;
  int64_t now_ms = 1000;
  for (JobId next = 1; next <= 20000; ++next) {
    now_ms += static_cast<int64_t>(random.below(2));
    Run& run = running.begin(next, running.new_batch(), true);
    run.lane = &lane;
    run.deadline_ms = now_ms + (random.below(50) == 0 ? static_cast<int64_t>(random.below(600)) : 300);
    ends[next] = run.deadline_ms;
    running.watch(run);
    // Mostly the oldest one, so that the queue is used up from its front; at times all of them.
    while (ends.size() > 100 || (random.below(500) == 0 && !ends.empty())) {
      auto gone = ends.begin();
      if (random.below(4) == 0) std::advance(gone, static_cast<std::ptrdiff_t>(random.below(ends.size())));
      running.remove(gone->first);
      ends.erase(gone);
    }
    int64_t first = kNever;
    for (const auto& [id, at] : ends) first = std::min(first, at);
    REQUIRE(running.next_deadline_ms() == first);
  }
}
