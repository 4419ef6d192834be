// How fast runs may begin: the text, the bucket, and the gates of queues and handlers.
#include "core/rate.h"

#include "core/random.h"
#include "core/suspects.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kMinute = 60'000;

std::string why_not(std::string_view text) {
  const auto rate = parse_rate_limit(text);
  REQUIRE_FALSE(rate);
  CHECK(rate.error().code == HF_E_INVALID);
  return rate.error().message;
}

Rate rate(std::string_view text) {
  const auto read = parse_rate_limit(text);
  REQUIRE(read);
  return *read;
}
Rate spread(std::string_view text) {
  const auto read = parse_throttle(text);
  REQUIRE(read);
  return *read;
}

}  // namespace

TEST_SUITE("rates") {
  TEST_CASE("text") {
    CHECK(rate("10/1m") == Rate{10, kMinute, 10});
    CHECK(rate("10/m") == Rate{10, kMinute, 10});
    CHECK(rate("10/1m burst 3") == Rate{10, kMinute, 3});
    CHECK(rate("1/90s") == Rate{1, 90'000, 1});
    CHECK(rate("off") == Rate{});
    CHECK(rate("10000/366d") == Rate{kRateRunsMax, kRatePerMaxMs, kRateRunsMax});
    CHECK(spread("10/1m") == Rate{10, kMinute, 1});
    CHECK(spread("1000/1s") == Rate{1000, 1000, 1});
    for (const char* text : {"10/1m", "10/1m burst 3", "off", "1/366d", "10000/1ms"}) CHECK(format_rate_limit(rate(text)) == text);
    CHECK(format_throttle(spread("10/1m")) == "10/1m");
    CHECK(format_throttle(spread("off")) == "off");
  }

  TEST_CASE("text that is none") {
    CHECK(why_not("10") == R"("10" is no rate: expected NUMBER/TIME, such as 10/1m (1 to 10000 in 1ms to 366d), or off)");
    CHECK(why_not("ten/1m").find(R"(begins with "ten")") != std::string::npos);
    CHECK(why_not("0/1m").find(R"(begins with "0")") != std::string::npos);
    CHECK(why_not("10001/1m").find(R"(begins with "10001")") != std::string::npos);
    CHECK(why_not("-1/1m").find(R"(begins with "-1")") != std::string::npos);
    CHECK(why_not("10/").find(R"(has "" after its slash)") != std::string::npos);
    CHECK(why_not("10/60").find(R"(has "60" after its slash)") != std::string::npos);
    CHECK(why_not("10/0s").find("after its slash") != std::string::npos);
    CHECK(why_not("10/367d").find("after its slash") != std::string::npos);
    CHECK(why_not("").find("is no rate") != std::string::npos);
    CHECK(why_not("10/1m burst 11") == R"("10/1m burst 11" has the burst "11"; allowed is 1 to its 10)");
    CHECK(why_not("10/1m burst 0").find("allowed is 1 to its 10") != std::string::npos);
    CHECK(why_not("10/1m burst ").find("ends after") != std::string::npos);
    CHECK_FALSE(parse_throttle("10/1m burst 3"));
    CHECK_FALSE(parse_throttle("1001/1s"));
  }

  TEST_CASE("the bucket: as many at once as it holds, then as they come back") {
    RateGate gate;
    CHECK(gate.opens_ms(5) == 5);
    gate.set(rate("10/1m burst 3"), 1000);
    for (int i = 0; i < 3; ++i) {
      CHECK(gate.opens_ms(1000) == 1000);
      gate.began(1000);
    }
    CHECK(gate.opens_ms(1000) == 7000);
    CHECK(gate.opens_ms(6999) == 7000);
    gate.began(7000);
    CHECK(gate.opens_ms(7000) == 13000);
    CHECK(gate.opens_ms(40000) == 40000);
    gate.began(40000);
    gate.began(40000);
    gate.began(40000);
    CHECK(gate.opens_ms(40000) == 46000);
  }

  // Against a count of all that began, at random times, for rates that do not divide: never more than the bound, and never held
  // back when one less has begun than it allows.
  TEST_CASE("in no stretch of time more than the bound, and no less than it") {
    Random random(11);
    for (int round = 0; round < 60; ++round) {
      const int runs = static_cast<int>(random.between(1, 13));
      const Rate rate{runs, random.between(1, 9000), static_cast<int>(random.between(1, runs))};
      CAPTURE(format_rate_limit(rate));
      RateGate gate;
      gate.set(rate, 0);
      std::vector<int64_t> begun;
      int64_t now = 0;
      const auto most = [&](int64_t ms) { return rate.burst + ms * rate.runs / rate.per_ms; };
      for (int i = 0; i < 300; ++i) {
        if (random.below(3) == 0) now += random.between(0, 2 * rate.per_ms);
        const int64_t opens = gate.opens_ms(now);
        if (opens > now) {
          // One millisecond earlier some stretch would be over its bound: it is held back for a reason.
          bool full = false;
          for (size_t first = 0; first < begun.size() && !full; ++first) {
            full = static_cast<int64_t>(begun.size() - first) + 1 > most(opens - 1 - begun[first]);
          }
          CHECK(full);
          now = opens;
        }
        gate.began(now);
        begun.push_back(now);
        for (size_t first = 0; first < begun.size(); ++first) REQUIRE(static_cast<int64_t>(begun.size() - first) <= most(now - begun[first]));
      }
    }
  }

  TEST_CASE_FIXTURE(EngineFixture, "a queue's: what waits says for what and until when, and begins then") {
    handler("x");
    ask<Done>(QueueSet{"mail", {.rate_limit = rate("2/1m")}});
    std::vector<JobId> ids;
    for (int i = 0; i < 4; ++i) {
      JobSpec s = spec("x");
      s.queue = "mail";
      ids.push_back(add(s));
    }
    CHECK(started_ids() == std::vector<JobId>{ids[0], ids[1]});
    CHECK(gates(ids[2]) == "rate_limit");
    const ClosedGate gate = ask<WhyInfo>(Why{ids[2]}).gates[0];
    CHECK(gate.why == "queue mail begins at most 2/1m: the next run in 30s");
    CHECK(gate.opens_wall_ms == now.wall_ms + 30'000);
    CHECK(wake() == now.boot_ms + 30'000);
    const JobId other = add(spec("x"));  // of another queue
    CHECK(started_ids() == std::vector<JobId>{other});
    pass(29'999);
    CHECK(started.empty());
    pass(1);
    CHECK(started_ids() == std::vector<JobId>{ids[2]});
    run_for(30'000);
    CHECK(started_ids() == std::vector<JobId>{ids[3]});
    CHECK(wake() > now.boot_ms + kMinute);  // nothing waits for it any more
    ask<Done>(QueueSet{"mail", {}});
    for (int i = 0; i < 4; ++i) {
      JobSpec s = spec("x");
      s.queue = "mail";
      add(s);
    }
    CHECK(started.size() == 4);
  }

  TEST_CASE_FIXTURE(EngineFixture, "a handler's, over all its queues, retries too; both at once") {
    RunnerSpec r;
    r.policy.backoff.kind = BackoffKind::fixed;
    r.policy.backoff.base_ms = 1;
    r.policy.backoff.jitter = Jitter::none;
    r.rates = {rate("3/1h"), spread("1/10s")};
    handler("x", r);
    const JobId first = add(spec("x"));
    JobSpec s = spec("x");
    s.queue = "q";
    const JobId second = add(s);
    end(take_started(), Outcome::retry, "no");
    CHECK(started.empty());
    CHECK(gates(second) == "throttle");
    pass(10'000);
    CHECK(take_started().id == second);  // the retry came due later
    pass(10'000);
    CHECK(take_started().id == first);
    const JobId late = add(spec("x"));
    CHECK(gates(late) == "rate_limit throttle");
    pass(10'000);
    CHECK(gates(late) == "rate_limit");
    pass(20 * kMinute - 30'001);
    CHECK(started.empty());
    pass(1);
    CHECK(take_started().id == late);
  }

  TEST_CASE_FIXTURE(EngineFixture, "a batch is one run") {
    RunnerSpec r;
    r.batch.max_jobs = 10;
    r.rates.rate_limit = rate("1/1m");
    ask<Done>(SetDispatch{false});
    handler("x", r);
    for (int i = 0; i < 15; ++i) add(spec("x"));
    ask<Done>(SetDispatch{true});
    REQUIRE(started.size() == 1);
    CHECK(started[0].jobs.size() == 10);
    pass(kMinute);
    REQUIRE(started.size() == 2);
    CHECK(started[1].jobs.size() == 5);
  }

  TEST_CASE_FIXTURE(EngineFixture, "kept over the end of the process and of the device") {
    const auto set_up = [&] {
      RunnerSpec r;
      r.rates.rate_limit = rate("2/10m");
      handler("x", r);
    };
    set_up();
    for (int i = 0; i < 5; ++i) {
      JobSpec s = spec("x");
      s.policy.max_attempts = 1;
      add(s);
      CHECK((last.must_sync || i >= 2));
    }
    end(take_started(), Outcome::done);
    end(take_started(), Outcome::done);
    CHECK(started.empty());
    SUBCASE("process") {
      crash();
      set_up();
      CHECK(started.empty());
      pass(5 * kMinute - 1);
      CHECK(started.empty());
      pass(1);
      CHECK(started.size() == 1);
    }
    SUBCASE("device: the time without power counts") {
      reboot(4 * kMinute, true);
      set_up();
      CHECK(started.empty());
      pass(kMinute);
      CHECK(started.size() == 1);
    }
    SUBCASE("another rate from now on: what has begun counts") {
      RunnerSpec r;
      r.rates.rate_limit = rate("2/1m");
      handler("x", r);
      CHECK(started.empty());
      pass(30'000);
      CHECK(started.size() == 1);
      r.rates = {};
      handler("x", r);
      CHECK(started.size() == 3);
    }
  }

  TEST_CASE_FIXTURE(EngineFixture, "a fast one is empty at an opening, and waits for no disk") {
    RunnerSpec r;
    r.rates.rate_limit = rate("5/500ms");
    handler("x", r);
    pass(500);
    for (int i = 0; i < 7; ++i) add(spec("x"));
    CHECK(started.size() == 5);
    crash();
    handler("x", r);
    CHECK(started.empty());
    pass(100);
    CHECK(started.size() == 1);
  }

  TEST_CASE_FIXTURE(EngineFixture, "suspects, which run alone, keep to it") {
    RunnerSpec r;
    r.rates.rate_limit = rate("1/1m");
    handler("x", r);
    const JobId id = add(spec("x"));
    for (int run = 1; run <= kCrashLimit; ++run) {
      CHECK(started_ids() == std::vector<JobId>{id});
      if (run == kCrashLimit) break;
      crash();
      handler("x", r);
      CHECK(started.empty());
      CHECK(gates(id) == "rate_limit");
      CHECK(wake() == now.boot_ms + kMinute);
      pass(kMinute);
    }
  }

  TEST_CASE_FIXTURE(EngineFixture, "what an operator set is kept; off goes before the configuration") {
    ask<Done>(SetQueueDefaults{"q", {.rate_limit = rate("5/1m burst 2"), .throttle = spread("1/1s")}});
    ask<Done>(QueueSet{"q", {.rate_limit = Rate{}}});
    crash();
    ask<Done>(SetQueueDefaults{"q", {.rate_limit = rate("5/1m burst 2"), .throttle = spread("1/1s")}});
    const QueueInfo info = ask<std::vector<QueueInfo>>(QueueList{"q"}).front();
    CHECK(info.settings.rate_limit == Rate{});
    CHECK(info.settings.throttle == spread("1/1s"));
    CHECK(info.set == QueueSettings{.rate_limit = Rate{}});
  }
}
