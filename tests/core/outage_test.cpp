// Eight hours without a server: one device, and ten thousand of them that it has back at once.
#include <algorithm>
#include <map>
#include <queue>

#include "core/breaker.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kSecond = 1000, kMinute = 60 * kSecond, kHour = 60 * kMinute;

// How even: the busiest second against the mean of the seconds from the first to the last.
double peak_over_mean(const std::vector<int64_t>& times_ms) {
  std::map<int64_t, int> seconds;
  for (const int64_t at : times_ms) ++seconds[at / kSecond];
  int peak = 0;
  for (const auto& [second, n] : seconds) peak = std::max(peak, n);
  const auto span = seconds.rbegin()->first - seconds.begin()->first + 1;
  return peak / (static_cast<double>(times_ms.size()) / static_cast<double>(span));
}

// A device that has something to send all the time. The server is away until `back_ms`; then it answers within 100 ms.
struct Device {
  Breaker breaker;
  Random random;
  explicit Device(uint64_t seed) : random(seed) {}
};
struct Reconnects {
  std::vector<int64_t> first;  // when each device got through
  int64_t probes = 0;          // in vain
};
Reconnects outage(int devices, int64_t begins_ms, int64_t back_ms, std::optional<int64_t> link_up_ms = {}, int64_t splay_ms = 0) {
  Reconnects seen;
  for (int i = 0; i < devices; ++i) {
    Device device(static_cast<uint64_t>(i) * 7919 + 1);
    int64_t now = begins_ms;  // all notice it in the same moment
    bool told = false;
    while (true) {
      if (now >= back_ms) {
        seen.first.push_back(now);
        break;
      }
      device.breaker.began();
      device.breaker.trip(now, -1, "no link", device.random);
      device.breaker.ended(now, false);
      ++seen.probes;
      if (link_up_ms && !told && device.breaker.until_ms() > *link_up_ms && now <= *link_up_ms) {
        told = true;
        device.breaker.hurry(*link_up_ms, splay_ms, device.random);
      }
      now = device.breaker.until_ms();
      if (!device.breaker.lets(now, 0)) FAIL("it does not let a probe through when it said");
    }
  }
  return seen;
}

}  // namespace

TEST_CASE_FIXTURE(EngineFixture, "an outage of eight hours spends no attempt, and all is delivered") {
  RunnerSpec x;
  x.sink = "cloud";
  handler("x", x);
  RunnerSpec s;
  s.batch = {.max_jobs = 50, .max_bytes = 0, .max_wait_ms = 0};
  s.concurrency = 4;
  s.policy.max_attempts = 1;  // one that is spent would be the last
  handler("sink:cloud", s);
  const int64_t begin = now.boot_ms, back = begin + 8 * kHour;
  int64_t next_result = begin;
  int probes = 0, produced = 0;
  std::vector<JobId> delivered;
  while (produced < 8 * 60 + 10 || delivered.size() < static_cast<size_t>(produced)) {
    if (now.boot_ms >= next_result && produced < 8 * 60 + 10) {
      next_result += kMinute;
      ++produced;
      add(spec("x"));
      continue;
    }
    if (!started.empty()) {
      const StartRun run = started.front();
      started.erase(started.begin());
      if (run.runner == "x") {
        end(run.jobs[0], Outcome::done, "r");
        continue;
      }
      const bool away = now.boot_ms < back;
      probes += away;
      if (away) CHECK(run.jobs.size() == 1);
      std::vector<Op> ops;
      for (const RunJob& job : run.jobs) {
        CHECK(job.attempt == 1);
        RunEnded e = ended(job, away ? Outcome::defer : Outcome::done, away ? "no link" : "");
        e.park_runner = away;
        ops.emplace_back(e);
        if (!away) delivered.push_back(job.id);
      }
      tick(std::move(ops));
      continue;
    }
    const int64_t wake = std::min(last.next_due_boot_ms, produced < 8 * 60 + 10 ? next_result : kNever);
    REQUIRE(wake > now.boot_ms);
    REQUIRE(wake != kNever);
    now.wall_ms += wake - now.boot_ms;
    now.boot_ms = wake;
    tick();
  }
  CHECK(probes < 8 * 3600 / 30);
  CHECK(probes > 8 * 3600 / 60);
  std::sort(delivered.begin(), delivered.end());
  CHECK(std::adjacent_find(delivered.begin(), delivered.end()) == delivered.end());
  for (const JobId id : delivered) {
    const JobInfo info = get(id);
    REQUIRE(info.state == State::completed);
    CHECK(info.attempts == 1);
  }
  CHECK(ask<Stats>(GetStats{}).failed == 0);
}

TEST_CASE("ten thousand devices come back after eight hours: in no second more than twice the mean") {
  const Reconnects seen = outage(10'000, 0, 8 * kHour);
  REQUIRE(seen.first.size() == 10'000);
  const auto [first, last] = std::minmax_element(seen.first.begin(), seen.first.end());
  CHECK(*first >= 8 * kHour);
  CHECK(*last <= 8 * kHour + kBreakerMaxMs);
  const double evenness = peak_over_mean(seen.first);
  MESSAGE("within " << (*last - *first) / 1000 << " s, the busiest second " << evenness << " times the mean");
  CHECK(evenness <= 2);
  CHECK(seen.probes / 10'000 < 8 * 3600 / 30);
}

TEST_CASE("ten thousand devices whose link comes up in the same moment spread over the splay") {
  for (const int64_t splay_s : {30, 300}) {
    const Reconnects seen = outage(10'000, 0, 8 * kHour, 8 * kHour, splay_s * kSecond);
    const double evenness = peak_over_mean(seen.first);
    const int64_t last = *std::max_element(seen.first.begin(), seen.first.end());
    MESSAGE("splay " << splay_s << " s: the busiest second " << evenness << " times the mean");
    CHECK(evenness <= 2);
    CHECK(last <= 8 * kHour + std::max(splay_s * kSecond, kBreakerMaxMs));
  }
}
