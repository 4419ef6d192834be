// What happened in a world: a hash, the same for the same seed, and lines for a person who asks for them.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

#include "core/engine.h"

namespace hf::sim {

class Trace {
 public:
  Trace(bool shown, std::function<int64_t()> since_start_ms) : shown_(shown), since_start_ms_(std::move(since_start_ms)) {}

  void note(const std::string& text) {
    add(text);
    if (shown_) print(text);
  }
  void note(const Transition& t) {
    add(change_name(t.change)), add(t.queue), add(t.detail);
    add(static_cast<uint64_t>(t.id)), add(static_cast<uint64_t>(t.attempt));
    if (shown_) print(std::string(change_name(t.change)) + " " + std::to_string(t.id) + " #" + std::to_string(t.attempt) + " " + t.queue + " " + t.detail.substr(0, 60));
  }
  uint64_t hash() const { return hash_; }

 private:
  // FNV-1a
  void add(uint64_t n) { hash_ = (hash_ ^ n) * 1099511628211ULL; }
  void add(std::string_view text) {
    for (char c : text) add(uint64_t{static_cast<uint8_t>(c)});
  }
  void print(const std::string& text) const { std::fprintf(stderr, "%10lld %s\n", static_cast<long long>(since_start_ms_()), text.c_str()); }

  const bool shown_;
  const std::function<int64_t()> since_start_ms_;
  uint64_t hash_ = 14695981039346656037ULL;
};

}  // namespace hf::sim
