// The rare fields of a row, as bytes and back.
#include "core/record.h"

#include <doctest/doctest.h>

#include <limits>

#include "core/random.h"
#include "core/requests.h"
#include "core/store.h"

using namespace hf;

namespace {

JobOpts full_opts() {
  JobOpts o;
  o.policy.max_attempts = 1000;
  o.policy.timeout_ms = -1;
  o.policy.backoff.kind = BackoffKind::list;
  o.policy.backoff.base_ms = kBackoffMaxMs;
  o.policy.backoff.factor = 1.7;
  o.policy.backoff.max_ms = 1;
  o.policy.backoff.jitter = Jitter::percent;
  o.policy.backoff.jitter_percent = 100;
  o.policy.backoff.list_ms.assign(HF_BACKOFF_LIST_MAX, kBackoffMaxMs);
  o.policy.backoff.list_ms[3] = 0;
  o.sink = "cloud";
  o.tags = std::string(HF_TAGS_MAX, 't');
  o.schedule = "s";
  o.occurrence_wall_ms = 253402300799999;
  o.unique_key = std::string(HF_KEY_MAX, 'k');
  o.unique_for_ms = 1;
  o.unique_until_ms = kTimeMax;
  o.cancel_asked = true;
  o.memo = std::string(kMemoMax, '\0');
  o.after.assign(HF_AFTER_MAX, kTimeMax);
  o.after_run = true;
  o.after_delay_ms = kTimeMax;
  o.followers.assign(kFollowersMax, 1);
  o.chain = HF_CHAIN_MAX;
  return o;
}

}  // namespace

TEST_CASE("options come back as they went in; none take no bytes") {
  CHECK(decode_opts(encode_opts(full_opts())) == full_opts());
  CHECK(encode_opts({}).empty());
  CHECK(decode_opts("") == JobOpts{});
  JobOpts more = full_opts();
  more.after.push_back(7);
  more.followers.push_back(7);
  more.chain = 99;
  CHECK(decode_opts(encode_opts(more)) == full_opts());  // a damaged row takes no more memory than another
}

TEST_CASE("the job of a schedule comes back as it went in") {
  JobSpec s;
  s.type = "x";
  s.queue = "q";
  s.payload = std::string("p\0q", 3);
  s.priority = -1000;
  s.policy = full_opts().policy;
  s.ttl_ms = 5;
  s.on_conflict = OnConflict::debounce;
  s.concurrency_key = "k";
  s.sink = "cloud";
  s.durability = Durability::memory;
  s.tags = "t";
  CHECK(decode_spec(encode_spec(s)) == s);
  CHECK(decode_spec(encode_spec(JobSpec{})) == JobSpec{});
}

TEST_CASE("the settings of a queue come back as they went in, and each by itself; none take no bytes") {
  const std::vector<QueueSettings> each = {
      {.concurrency = 10000}, {.slack_ms = 0}, {.windows = ""}, {.windows = "22:00-06:00"}, {.zone = "Europe/Berlin"}, {.rate_limit = Rate{10, 60000, 3}},
      {.rate_limit = Rate{}}, {.throttle = Rate{1, 1000, 1}}, {.key_concurrency = 10000}, {.key_rate_limit = Rate{7, 1, 7}}, {.key_rate_limit = Rate{}},
      {.key_throttle = Rate{1, kRatePerMaxMs, 1}}, {.order = QueueOrder::fifo}, {.order = QueueOrder::lifo}, {.aging_ms = 0}, {.aging_ms = kAgingMaxMs},
      {.fair = false}, {.fair = true}, {.max_pending = 0}, {.max_pending = kMaxPendingMax}, {.when_full = WhenFull::reject}, {.when_full = WhenFull::drop_lowest}, {.when_full = WhenFull::coalesce},
      {.enqueue_limit = Rate{10, 60000, 3}}, {.key_enqueue_limit = Rate{}}, {.retry_budget = Rate{60, 3600000, 60}},
      {.keep_completed_ms = 0}, {.keep_completed_ms = kKeepMaxMs}, {.keep_dead_ms = 1}, {.keep_completed_count = 1}, {.keep_dead_count = kKeepCountMax}};
  QueueSettings all;
  for (const QueueSettings& one : each) {
    CHECK(decode_queue(encode_queue(one)) == one);
    CHECK_FALSE(encode_queue(one).empty());
    all = over(one, all);
  }
  CHECK(decode_queue(encode_queue(all)) == all);
  CHECK(all.fair == true);
  CHECK(all.max_pending == kMaxPendingMax);
  CHECK(all.retry_budget == Rate{60, 3600000, 60});
  CHECK(all.order == QueueOrder::lifo);
  CHECK(all.keep_completed_ms == kKeepMaxMs);
  CHECK(all.keep_dead_count == kKeepCountMax);
  CHECK(encode_queue({}).empty());
}

TEST_CASE("settings that no queue can have count as none, or as the nearest") {
  CHECK(decode_queue(encode_queue({.key_concurrency = 0})) == QueueSettings());
  CHECK(decode_queue(encode_queue({.key_concurrency = kQueueConcurrencyMax + 1})) == QueueSettings());
  CHECK(decode_queue(encode_queue({.key_throttle = Rate{kRateRunsMax, 1, 1}})) == QueueSettings());
  CHECK(decode_queue(encode_queue({.order = static_cast<QueueOrder>(77)})) == QueueSettings{.order = QueueOrder::fifo});
  CHECK(decode_queue(encode_queue({.aging_ms = std::numeric_limits<int64_t>::max()})) == QueueSettings{.aging_ms = kAgingMaxMs});
  CHECK(decode_queue(encode_queue({.max_pending = kMaxPendingMax + 1, .when_full = static_cast<WhenFull>(4)})) == QueueSettings{.max_pending = kMaxPendingMax, .when_full = WhenFull::reject});
  CHECK(decode_queue(encode_queue({.aging_ms = -1})) == QueueSettings{.aging_ms = 0});
  CHECK(decode_queue(encode_queue({.keep_completed_ms = -1, .keep_dead_ms = kKeepMaxMs + 1})) == QueueSettings{.keep_dead_ms = kKeepMaxMs});
  CHECK(decode_queue(encode_queue({.keep_completed_count = 0, .keep_dead_count = kKeepCountMax + 1})) == QueueSettings{.keep_dead_count = kKeepCountMax});
}

TEST_CASE("a pause comes back beside the settings, and is nothing where it is off") {
  const Pause pause = {true, "printer is broken", 7200001};
  const QueueSettings set = {.concurrency = 2, .fair = true};
  CHECK(queue_row("q", true, encode_queue(set, pause)).pause == pause);
  CHECK(queue_row("q", true, encode_queue(set, pause)).set == set);
  CHECK(decode_queue(encode_queue(set, pause)) == set);
  CHECK(queue_row("q", true, encode_queue({}, {true, "", 1})).pause == Pause{true, "", 1});
  CHECK(queue_row("q", true, encode_queue({}, {true, "r", 0})).pause == Pause{true, "r", 0});
  // As files were before, and what a queue that is open keeps of a pause.
  CHECK(queue_row("q", true, encode_queue(set)).pause == Pause{true});
  CHECK(encode_queue(set, {false, "r", 1}) == encode_queue(set));
  CHECK(queue_row("q", false, encode_queue(set, pause)).pause == Pause());
  CHECK(encode_queue({}, {true}).empty());
}

TEST_CASE("a pause that no queue can have counts as the nearest") {
  const auto read = [](const Pause& p) { return queue_row("q", true, encode_queue({}, p)).pause; };
  CHECK(read({true, "", -1}).until_ms == 0);
  CHECK(read({true, "", std::numeric_limits<int64_t>::max()}).until_ms == kTimeMax);
  CHECK(read({true, std::string(199, 'r') + "\xc3\xa9", 0}).reason == std::string(199, 'r'));
  CHECK(read({true, "a\xff" "b", 0}).reason == "a?b");
}

TEST_CASE("a history comes back as it went in, at most ten attempts of it") {
  std::vector<Attempt> h;
  for (int i = 0; i < 12; ++i) h.push_back({i + 1, i % 2 == 1, i * 1000, i, "retry", i == 3 ? "" : "error"});
  auto back = decode_history(encode_history(h));
  REQUIRE(back.size() == HF_HISTORY_MAX);
  CHECK(back[3].number == 4);
  CHECK(back[3].delivery);
  CHECK(back[3].started_ms == 3000);
  CHECK(back[3].took_ms == 3);
  CHECK(back[3].outcome == "retry");
  CHECK(back[3].error.empty());
  CHECK(back[4].error == "error");
}

TEST_CASE("a field that a newer version wrote is skipped") {
  std::string bytes = encode_opts(full_opts());
  bytes.insert(0, std::string("\x7e\x04", 2));       // a number
  bytes.insert(0, std::string("\x7f\x02zz", 4));     // bytes
  CHECK(decode_opts(bytes) == full_opts());
}

TEST_CASE("cut and garbled bytes lose fields, never memory") {
  const std::string opts = encode_opts(full_opts());
  for (size_t n = 0; n < opts.size(); ++n) decode_opts(std::string_view(opts).substr(0, n));
  Random random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = i % 2 ? opts : std::string(random.below(40), '\0');
    for (uint64_t k = random.below(8) + 1; k > 0 && !bytes.empty(); --k) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    JobOpts o = decode_opts(bytes);
    CHECK(o.policy.backoff.list_ms.size() <= HF_BACKOFF_LIST_MAX);
    CHECK(decode_history(bytes).size() <= HF_HISTORY_MAX);
    decode_spec(bytes);
    const QueueRow row = queue_row("q", true, bytes);
    CHECK(row.set.key_concurrency.value_or(1) >= 1);
    CHECK(row.pause.until_ms >= 0);
    CHECK(row.pause.reason.size() <= HF_REASON_MAX);
  }
}

TEST_CASE("a policy that no job can have counts as none, a choice that is none as the first one") {
  JobOpts opts = full_opts();
  opts.policy.backoff.base_ms = std::numeric_limits<int64_t>::max();
  CHECK(decode_opts(encode_opts(opts)).policy == Policy{});
  CHECK(decode_opts(encode_opts(opts)).sink == full_opts().sink);
  JobSpec spec;
  spec.type = "report";
  spec.policy.max_attempts = -3;
  spec.on_conflict = static_cast<OnConflict>(77);
  spec.queue = "";
  const JobSpec read = decode_spec(encode_spec(spec));
  CHECK(read.policy == Policy{});
  CHECK(read.on_conflict == OnConflict::keep);
  CHECK(read.queue == "default");
}

TEST_CASE("times beyond all reason are cut to what sums can hold") {
  const int64_t lowest = std::numeric_limits<int64_t>::min(), highest = std::numeric_limits<int64_t>::max();
  const auto history = decode_history(encode_history({{1, false, lowest, highest, "retry", ""}}));
  REQUIRE(history.size() == 1);
  CHECK(history[0].started_ms == 0);
  CHECK(history[0].took_ms == kTimeMax);
}
