// What goes wrong with the disk and the memory at the moment, and where exactly.
#pragma once

#include <functional>

#include "alloc.h"
#include "world.h"

namespace hf::sim {

class Trouble {
 public:
  Trouble(const Plan& plan, std::function<int64_t()> clock) : plan_(plan), clock_(std::move(clock)) {}

  // A fault of the process, the disk or the memory begins.
  void begin(const Fault& fault, Random& random) {
    switch (fault.kind) {
      case FaultKind::kill: case FaultKind::cut:
        power_ = fault.kind == FaultKind::cut;
        die_in_ = fault.n;
        break;
      case FaultKind::no_memory: memory_at_ = fault.n + 1; break;
      default:
        kind_ = fault.kind;
        wait_ = fault.n;
        calls_ = random.below(4) == 0 ? 5 + random.below(60) : 1 + random.below(4);
        one_in_ = uint64_t{1} << random.below(7);
        until_ = clock_() + kBrokenMs;
        break;
    }
  }
  bool by_power() const { return power_; }
  void process_ended() { die_in_ = 0; }
  void disk_is_whole() { calls_ = 0; }
  void heal() {
    healed_ = true;
    calls_ = die_in_ = memory_at_ = 0;
  }

  Verdict at(Call c, uint64_t number, Random& random) {
    if (plan_.fail_call != 0 && !healed_) {
      if (number == plan_.fail_call) broken_until_ = clock_() + (plan_.on ? kBrokenMs : 0);
      if (number == plan_.fail_call || clock_() < broken_until_) return plan_.fail_how;
    }
    if (plan_.no_sync && c == Call::sync) return Verdict::lie;
    if (changes(c) && die_in_ != 0 && --die_in_ == 0) return Verdict::die;
    if (calls_ == 0 || clock_() >= until_) return Verdict::ok;
    bool hit = kind_ == FaultKind::bad_sync ? c == Call::sync : kind_ == FaultKind::disk_full ? c == Call::write : true;
    if (!hit) return Verdict::ok;
    if (wait_ > 0) {
      --wait_;
      return Verdict::ok;
    }
    if (random.below(one_in_) != 0) return Verdict::ok;  // so that an opening fails anywhere, not only at its first call
    --calls_;
    if (kind_ == FaultKind::disk_full) return Verdict::full;
    if (kind_ == FaultKind::bad_sync) {
      static constexpr Verdict kHow[] = {Verdict::lose, Verdict::land, Verdict::fail};
      return kHow[random.below(3)];
    }
    return c == Call::write && random.below(2) == 0 ? Verdict::land : Verdict::fail;
  }

  // A call of the engine, with the allocation that is to fail in it.
  template <class F>
  auto failing(F call) {
    uint64_t n = memory_at_;
    memory_at_ = 0;
    if (plan_.fail_allocation > allocations_ && !healed_) n = plan_.fail_allocation - allocations_;
    if (plan_.on && !healed_ && clock_() < no_memory_until_) n = 1;
    auto result = [&] {
      Failing guard(n, plan_.on);
      return call();
    }();
    allocations_ += Failing::counted();
    if (plan_.on && Failing::failed() && no_memory_until_ == 0) no_memory_until_ = clock_() + kBrokenMs;
    return result;
  }
  uint64_t allocations() const { return allocations_; }

 private:
  static constexpr int64_t kBrokenMs = 20000;

  const Plan& plan_;
  std::function<int64_t()> clock_;
  FaultKind kind_ = FaultKind::io_error;
  uint64_t calls_ = 0, wait_ = 0, one_in_ = 1, die_in_ = 0, memory_at_ = 0, allocations_ = 0;
  int64_t until_ = 0, broken_until_ = 0, no_memory_until_ = 0;
  bool power_ = false, healed_ = false;
};

}  // namespace hf::sim
