#include "core/random.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

using namespace hf;

TEST_CASE("random: SplitMix64 gives the published numbers") {
  // Of the reference code for seed 1234567.
  uint64_t state = 1234567;
  CHECK(splitmix64(state) == 6457827717110365317u);
  CHECK(splitmix64(state) == 3203168211198807973u);
  CHECK(splitmix64(state) == 9817491932198370423u);
}

TEST_CASE("random: xoshiro256** gives the published numbers") {
  // Of the reference code for the state 1, 2, 3, 4.
  Random random = Random::from_state({1, 2, 3, 4});
  for (const uint64_t expected : {11520u, 0u, 1509978240u}) {
    CHECK(random.next() == expected);
  }
  CHECK(random.next() == 1215971899390074240u);
  CHECK(random.next() == 1216172134540287360u);
}

TEST_CASE("random: the same seed gives the same numbers, another seed others") {
  Random a(7), b(7), c(8);
  bool differ = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t number = a.next();
    REQUIRE(number == b.next());
    differ |= number != c.next();
  }
  CHECK(differ);
}

TEST_CASE("random: a copy and a restored state go on with the same numbers") {
  Random random(9);
  random.next();
  Random copy = random;
  Random restored = Random::from_state(random.state());
  for (int i = 0; i < 10; ++i) {
    const uint64_t number = random.next();
    CHECK(copy.next() == number);
    CHECK(restored.next() == number);
  }
}

TEST_CASE("random: below stays below and reaches every number") {
  Random random(10);
  for (const uint64_t bound : {1u, 2u, 3u, 7u, 60u}) {
    std::vector<int> seen(bound);
    for (int i = 0; i < 2000; ++i) {
      const uint64_t number = random.below(bound);
      REQUIRE(number < bound);
      ++seen[number];
    }
    for (const int count : seen) CHECK(count > 0);
  }
}

TEST_CASE("random: below has no modulo bias") {
  // With bound 3/4 of 2^64 a plain remainder gives the lowest third twice as often as the rest.
  constexpr uint64_t kBound = uint64_t{3} << 62;
  Random random(11);
  int low = 0;
  for (int i = 0; i < 30000; ++i) low += random.below(kBound) < kBound / 3;
  CHECK(low > 9600);  // 10000 +- 5 standard deviations of 82
  CHECK(low < 10400);
}

TEST_CASE("random: between includes both ends, for every range of int64_t") {
  Random random(12);
  bool low = false, high = false;
  for (int i = 0; i < 200; ++i) {
    const int64_t number = random.between(-2, 2);
    REQUIRE(number >= -2);
    REQUIRE(number <= 2);
    low |= number == -2;
    high |= number == 2;
  }
  CHECK(low);
  CHECK(high);
  CHECK(random.between(5, 5) == 5);
  using Limits = std::numeric_limits<int64_t>;
  bool negative = false, positive = false;
  for (int i = 0; i < 100; ++i) {
    const int64_t number = random.between(Limits::min(), Limits::max());
    negative |= number < 0;
    positive |= number > 0;
  }
  CHECK(negative);
  CHECK(positive);
}
