// What the network may cost: bytes a second, in any day and in any month, for each kind of link ("metered", "lte", ...).
//
// A day is any 24 hours and a month any 31 days, on the elapsed axis: neither a clock that steps, nor a reboot, nor a time
// zone makes one shorter, and no day or month of a bill is dearer. They are counted in slots of an hour and of a day, a
// whole slot more than the span has, so that what is counted is never less than what was sent in it.
//
// A run is charged at its claim with what it is likely to send, which is on the disk before it is sent, and corrected
// at its end to what it did send. So a budget is exceeded by less than one run, whatever happens in between.
//
// Thread: the engine's.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/requests.h"
#include "core/result.h"
#include "core/store.h"

namespace hf {

inline constexpr size_t kBudgetsMax = 8;
inline constexpr int64_t kBudgetBytesMin = 1024, kBudgetBytesMax = int64_t{1} << 50;
inline constexpr int kReserveMax = 90;  // percent
// Of a run whose result is empty: request and answer, and a TLS handshake; and of each further one that goes with it.
inline constexpr int64_t kRunBytes = 4096, kRunBytesMore = 256;

// Bytes in the last `kSlots` slots of so many ms on the elapsed axis, the present one included.
template <int64_t kSlotMs, size_t kSlots>
class SlidingCount {
 public:
  void add(int64_t at_ms, int64_t bytes);  // bytes < 0 takes back, at most what is in the slot
  int64_t sum(int64_t now_ms) const;
  // The earliest time at which the sum is below `limit`, if nothing is added; now_ms if it is. REQUIRES: limit > 0
  int64_t below_ms(int64_t now_ms, int64_t limit) const;

  std::string text() const;               // "470123:1200,470124:88", the newest last
  void restore(std::string_view text);    // what does not read is left out

 private:
  struct Slot {
    int64_t number = -1;
    int64_t bytes = 0;
  };
  static int64_t number_of(int64_t ms) { return ms / kSlotMs; }
  static bool counts(const Slot& slot, int64_t now) { return slot.number >= 0 && slot.number > now - static_cast<int64_t>(kSlots); }
  std::array<Slot, kSlots> slots_;  // by number modulo kSlots
};

class Budget {
 public:
  explicit Budget(BudgetSpec spec) : spec_(std::move(spec)) {}

  // The next run of this priority may begin then, if nothing else does; now_ms: at once.
  int64_t opens_ms(int64_t now_ms, int priority) const;
  int64_t spans_open_ms(int64_t now_ms, int priority) const;  // the same without the rate
  void charge(int64_t now_ms, int64_t bytes);
  // What was charged at `charged_ms` turned out to be so much more, or less.
  void correct(int64_t charged_ms, int64_t more);
  BudgetInfo info(int64_t now_ms) const;

  const BudgetSpec& spec() const { return spec_; }
  void set(BudgetSpec spec) { spec_ = std::move(spec); }
  bool lasting() const { return spec_.day_bytes > 0 || spec_.month_bytes > 0; }  // it is kept in the file
  std::string text() const { return day_.text() + ";" + month_.text(); }
  void restore(std::string_view text);

 private:
  BudgetSpec spec_;
  SlidingCount<3600'000, 25> day_;
  SlidingCount<86400'000, 32> month_;
  int64_t rate_free_ms_ = 0;  // the rate lets the next one through then
};

// All of them, and which link there is.
class Budgets {
 public:
  explicit Budgets(Store& store) : store_(store) {}

  // What is charged for one run, until it is known.
  struct Charge {
    std::string link;  // "": it is not charged
    int64_t at_ms = 0, bytes = 0;
    bool lasting = false;  // it has to be on the disk before the run begins
  };

  void load();  // at the opening
  // HF_E_INVALID names the field. Those that were there keep what was spent.
  Status set(const SetBudgets& budgets);
  // "": as the configuration says. HF_E_INVALID: no name.
  Status set_link(const std::string& name);

  bool reserves() const;  // one keeps a share for high priorities
  int64_t opens_ms(int64_t now_ms, int priority) const;
  // Whether one more may go along with a run that has begun: the rate is that of runs.
  bool lets_along(int64_t now_ms, int priority) const;
  std::string why(int64_t now_ms, int priority) const;  // REQUIRES: opens_ms() > now_ms
  Charge charge(int64_t now_ms, int64_t bytes);
  void correct(const Charge& charge, int64_t bytes);  // it was so much

  const std::string& link() const { return told_.empty() ? default_link_ : told_; }
  std::vector<BudgetInfo> infos(int64_t now_ms) const;
  void save();  // what changed in this turn

 private:
  const Budget* present() const;

  Store& store_;
  std::map<std::string, Budget> budgets_;  // by link
  std::string default_link_ = kLinkDefault;
  std::string told_;
  std::map<std::string, std::string> idle_;  // what links have spent that have no budget now, for the case that they get one again
  bool changed_ = false;
};

}  // namespace hf
