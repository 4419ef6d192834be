// A small seeded random generator: the same numbers from the same seed on every machine.
//
// Not for secrets. One Random belongs to one thread; a copy goes on with the same numbers. The
// standard library's distributions are not used with it: they differ between libraries.
#pragma once

#include <array>
#include <cstdint>

namespace hf {

// The finaliser and step of SplitMix64 (Steele, Lea, Flood 2014; the public-domain code of Vigna,
// splitmix64.c): advances `state` and returns the next number.
constexpr uint64_t splitmix64(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// xoshiro256** 1.0 by Blackman and Vigna (public domain), its state filled by SplitMix64 as they
// advise.
class Random {
 public:
  using State = std::array<uint64_t, 4>;

  explicit constexpr Random(uint64_t seed) {
    for (uint64_t& word : state_) word = splitmix64(seed);
  }
  // REQUIRES: not all zero
  static constexpr Random from_state(const State& state) {
    Random random(0);
    random.state_ = state;
    return random;
  }
  constexpr const State& state() const { return state_; }

  // All 64 bits are uniform.
  constexpr uint64_t next() {
    const uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound), each number exactly as likely; bound 0 stands for 2^64.
  constexpr uint64_t below(uint64_t bound) {
    if (bound == 0) return next();
    // The lowest 2^64 mod bound numbers are drawn again: what is left is a multiple of bound.
    const uint64_t refused = (0 - bound) % bound;
    uint64_t number = next();
    while (number < refused) number = next();
    return number % bound;
  }

  // Uniform in [lo, hi], both included. REQUIRES: lo <= hi
  constexpr int64_t between(int64_t lo, int64_t hi) {
    const uint64_t span = static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo) + 1;
    return static_cast<int64_t>(static_cast<uint64_t>(lo) + below(span));
  }

 private:
  static constexpr uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  State state_{};
};

}  // namespace hf
