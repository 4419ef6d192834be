// Queue files, and what a bad medium makes of them.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace hf::crash {

using Random = std::mt19937_64;

// A file and its log; no log: none is there.
struct Image {
  std::string db, log;
  bool has_log = false;
};

struct Damage {
  Image image;
  std::vector<int64_t> unreadable_db, unreadable_log;  // sectors of 512 bytes
  std::string what;      // for people
  int pieces = 0;
  bool foreign = false;  // another application's file lies there now
  // The end of the log may be gone, which nobody can tell from a log that was shorter: what is missing may be untold.
  bool log_end = false;
};

constexpr int kDamageKinds = 18;

struct Others {
  const Image& queue;    // another queue's
  const Image& before;   // the same queue earlier
  const Image& foreign;  // another application's database
};

// One to three pieces of damage, the first one of `kind`.
Damage damage(const Image& whole, const Others& others, int kind, Random& random);

}  // namespace hf::crash
