#include "core/backoff.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <string>

using namespace hf;

namespace {

Backoff plain(BackoffKind kind, int64_t base_ms, int64_t max_ms) {
  Backoff backoff;
  backoff.kind = kind;
  backoff.base_ms = base_ms;
  backoff.max_ms = max_ms;
  backoff.jitter = Jitter::none;
  return backoff;
}

int64_t delay(const Backoff& backoff, int attempt) {
  Random random(1);
  return delay_ms(backoff, attempt, random);
}

std::string refusal(const Backoff& backoff) {
  const Status status = validate(backoff);
  return status ? "accepted" : status.error().message;
}

// Draws `count` delays and checks that each lies in [lo, hi] and that ten equal parts of the range
// are hit about equally often (5 standard deviations of a binomial count).
void check_uniform(const Backoff& backoff, int attempt, int64_t lo, int64_t hi) {
  constexpr int kDraws = 20000, kParts = 10;
  Random random(42);
  std::array<int, kParts> parts{};
  for (int i = 0; i < kDraws; ++i) {
    const int64_t ms = delay_ms(backoff, attempt, random);
    REQUIRE(ms >= lo);
    REQUIRE(ms <= hi);
    ++parts[static_cast<size_t>((ms - lo) * kParts / (hi - lo + 1))];
  }
  for (const int count : parts) {
    CHECK(count > 2000 - 212);
    CHECK(count < 2000 + 212);
  }
}

// A backoff with any valid values.
Backoff any_backoff(Random& random) {
  Backoff backoff;
  backoff.kind = static_cast<BackoffKind>(random.between(HF_BACKOFF_FIXED, HF_BACKOFF_LIST));
  backoff.base_ms = random.between(1, kBackoffMaxMs) >> random.below(31);
  if (backoff.base_ms == 0) backoff.base_ms = 1;
  backoff.factor = static_cast<double>(random.between(100, 10000)) / 100;
  backoff.max_ms = random.between(1, kBackoffMaxMs);
  backoff.jitter = static_cast<Jitter>(random.between(HF_JITTER_NONE, HF_JITTER_PERCENT));
  backoff.jitter_percent = static_cast<int>(random.between(1, 100));
  backoff.list_len = static_cast<int>(random.between(1, HF_BACKOFF_LIST_MAX));
  for (int64_t& entry : backoff.list_ms) entry = random.between(0, kBackoffMaxMs);
  return backoff;
}

}  // namespace

TEST_CASE("backoff: the defaults are those of holdfast.h and valid") {
  const Backoff backoff;
  CHECK(validate(backoff).ok());
  CHECK(backoff.kind == BackoffKind::exponential);
  CHECK(backoff.base_ms == 1000);
  CHECK(backoff.factor == 2);
  CHECK(backoff.max_ms == 600000);
  CHECK(backoff.jitter == Jitter::full);
  CHECK(backoff.jitter_percent == 10);
}

TEST_CASE("backoff: fixed") {
  const Backoff backoff = plain(BackoffKind::fixed, 700, 60000);
  CHECK(delay(backoff, 1) == 700);
  CHECK(delay(backoff, 1000) == 700);
}

TEST_CASE("backoff: linear up to the cap") {
  const Backoff backoff = plain(BackoffKind::linear, 700, 2000);
  CHECK(delay(backoff, 1) == 700);
  CHECK(delay(backoff, 2) == 1400);
  CHECK(delay(backoff, 3) == 2000);
}

TEST_CASE("backoff: exponential up to the cap") {
  const Backoff backoff = plain(BackoffKind::exponential, 1000, 10000);
  CHECK(delay(backoff, 1) == 1000);
  CHECK(delay(backoff, 2) == 2000);
  CHECK(delay(backoff, 4) == 8000);
  CHECK(delay(backoff, 5) == 10000);
}

TEST_CASE("backoff: exponential with a broken factor") {
  Backoff backoff = plain(BackoffKind::exponential, 1000, 600000);
  backoff.factor = 1.5;
  CHECK(delay(backoff, 2) == 1500);
  CHECK(delay(backoff, 4) == 3375);
  backoff.factor = 1;
  CHECK(delay(backoff, 1000) == 1000);
}

TEST_CASE("backoff: the largest attempt and factor end at the cap, without overflow") {
  Backoff backoff = plain(BackoffKind::exponential, kBackoffMaxMs, kBackoffMaxMs);
  backoff.factor = kBackoffMaxFactor;
  CHECK(delay(backoff, HF_ATTEMPTS_MAX) == kBackoffMaxMs);
  CHECK(delay(backoff, std::numeric_limits<int>::max()) == kBackoffMaxMs);
  backoff.kind = BackoffKind::linear;
  CHECK(delay(backoff, std::numeric_limits<int>::max()) == kBackoffMaxMs);
}

TEST_CASE("backoff: a list, the last entry repeats") {
  Backoff backoff = plain(BackoffKind::list, 1, 50000);
  backoff.list_ms = {0, 5000, 90000, 7000};
  backoff.list_len = 4;
  CHECK(delay(backoff, 1) == 0);
  CHECK(delay(backoff, 2) == 5000);
  CHECK(delay(backoff, 3) == 50000);  // capped
  CHECK(delay(backoff, 4) == 7000);
  CHECK(delay(backoff, 1000) == 7000);
}

TEST_CASE("backoff: an attempt below 1 counts as 1") {
  CHECK(delay(plain(BackoffKind::linear, 700, 2000), 0) == 700);
  CHECK(delay(plain(BackoffKind::exponential, 700, 2000), -5) == 700);
}

TEST_CASE("backoff: a cap below the base wins") {
  CHECK(delay(plain(BackoffKind::fixed, 5000, 300), 1) == 300);
  CHECK(delay(plain(BackoffKind::exponential, 5000, 300), 1) == 300);
}

TEST_CASE("backoff: full jitter is uniform from 0 to the capped delay") {
  Backoff backoff = plain(BackoffKind::exponential, 1000, 3000);
  backoff.jitter = Jitter::full;
  check_uniform(backoff, 2, 0, 2000);
  check_uniform(backoff, 50, 0, 3000);
}

TEST_CASE("backoff: equal jitter is uniform in the upper half") {
  Backoff backoff = plain(BackoffKind::fixed, 2001, 60000);
  backoff.jitter = Jitter::equal;
  check_uniform(backoff, 1, 1000, 2001);
}

TEST_CASE("backoff: percent jitter is uniform around the delay") {
  Backoff backoff = plain(BackoffKind::fixed, 10000, 60000);
  backoff.jitter = Jitter::percent;
  backoff.jitter_percent = 20;
  check_uniform(backoff, 1, 8000, 12000);
}

TEST_CASE("backoff: percent jitter at the cap spreads below it and does not pile up on it") {
  Backoff backoff = plain(BackoffKind::fixed, 10000, 10000);
  backoff.jitter = Jitter::percent;
  backoff.jitter_percent = 20;
  check_uniform(backoff, 1, 8000, 10000);
}

TEST_CASE("backoff: the same seed gives the same delays") {
  const Backoff backoff;
  Random a(5), b(5);
  for (int attempt = 1; attempt <= 100; ++attempt) {
    CHECK(delay_ms(backoff, attempt, a) == delay_ms(backoff, attempt, b));
  }
}

TEST_CASE("backoff: these delays are the same on every machine") {
  Backoff backoff;
  backoff.factor = 1.7;
  Random random(2026);
  std::string drawn;
  for (int attempt = 1; attempt <= 8; ++attempt) {
    drawn += std::to_string(delay_ms(backoff, attempt, random)) + " ";
  }
  CHECK(drawn == "683 430 1465 4530 945 3202 1850 1997 ");
}

TEST_CASE("backoff: without jitter nothing is drawn") {
  Random random(6);
  const Random::State before = random.state();
  delay_ms(plain(BackoffKind::fixed, 10, 10), 1, random);
  CHECK(random.state() == before);
}

TEST_CASE("backoff: any valid backoff stays in 0..max at any attempt") {
  Random random(77);
  for (int i = 0; i < 20000; ++i) {
    const Backoff backoff = any_backoff(random);
    REQUIRE(validate(backoff).ok());
    const auto attempt = static_cast<int>(random.between(1, HF_ATTEMPTS_MAX));
    const int64_t ms = delay_ms(backoff, attempt, random);
    REQUIRE(ms >= 0);
    REQUIRE(ms <= backoff.max_ms);
  }
}

TEST_CASE("backoff: without jitter a growing kind never shrinks") {
  Random random(78);
  for (int i = 0; i < 2000; ++i) {
    Backoff backoff = any_backoff(random);
    backoff.jitter = Jitter::none;
    if (backoff.kind == BackoffKind::list) continue;
    for (int attempt = 1; attempt < 40; ++attempt) {
      REQUIRE(delay(backoff, attempt) <= delay(backoff, attempt + 1));
    }
  }
}

TEST_CASE("backoff: validate names the field, the value and the range") {
  const auto with = [](auto change) {
    Backoff backoff;
    change(backoff);
    return refusal(backoff);
  };
  CHECK(with([](Backoff& b) { b.base_ms = 0; }) == "backoff base is 0 ms: 1ms to 30d is allowed");
  CHECK(with([](Backoff& b) { b.max_ms = kBackoffMaxMs + 1; }) ==
        "backoff max is 2592000001 ms: 1ms to 30d is allowed");
  CHECK(with([](Backoff& b) { b.factor = 0.5; }) ==
        "backoff factor is 0.500000: 1 to 100 is allowed");
  CHECK(with([](Backoff& b) {
          b.factor = std::numeric_limits<double>::quiet_NaN();
        }).starts_with("backoff factor is"));
  CHECK(with([](Backoff& b) { b.factor = 101; }).starts_with("backoff factor is"));
  CHECK(with([](Backoff& b) { b.kind = BackoffKind{0}; }).starts_with("backoff kind is 0"));
  CHECK(with([](Backoff& b) { b.jitter = Jitter{9}; }).starts_with("backoff jitter is 9"));
  CHECK(with([](Backoff& b) {
          b.jitter_percent = 101;
        }).starts_with("backoff jitter_percent is 101"));
  CHECK(with([](Backoff& b) { b.kind = BackoffKind::list; }) ==
        "backoff list has 0 entries: 1 to 16 are allowed");
  CHECK(with([](Backoff& b) { b.list_len = 17; }).starts_with("backoff list has 17 entries"));
  CHECK(with([](Backoff& b) {
          b.list_len = 2;
          b.list_ms = {5, -1};
        }).starts_with("backoff list[1] is -1 ms: 0s to 30d"));
  CHECK(validate(Backoff{}).ok());
}
