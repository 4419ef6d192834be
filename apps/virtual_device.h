// A device whose time is made up: the real engine on a disk in memory, called when it asks to be, through outages,
// suspends and a clock that is lost or set. No clock is read, nothing is waited for, and no file is written.
//
// Its handlers are made up too: each run takes its time and succeeds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "apps/memory_vfs.h"
#include "core/engine.h"
#include "core/window.h"

namespace hf {

struct DeviceSpec {
  std::string name;
  uint64_t seed = 1;  // of jitter
  const ZoneSource* zones = nullptr;  // outlives the device; null: UTC alone
  Limits limits;
  ClockRule clock;
  std::map<std::string, QueueSettings> queues;
  std::vector<RunnerSpec> runners;
  SetBudgets budgets;
  SetLossReport loss_report;
  std::vector<ScheduleSpec> schedules;
  int64_t run_ms = 1000;                    // what a run takes
  std::map<std::string, int64_t> run_ms_of;  // ... by the runner's name
};

// What befalls it, by a right clock.
struct Incident {
  enum class Kind : uint8_t {
    off,         // without power: what runs dies; a clock with a battery goes on
    suspended,   // nothing runs, and no timer wakes it
    clock_lost,  // its clock begins in 1970, at each start too, and is not trusted; it is right at the end
    clock_set,   // its clock is moved, and stays so
  };
  Kind kind = Kind::off;
  int64_t at_ms = 0;
  int64_t end_ms = 0;  // not of clock_set
  int64_t by_ms = 0;   // of clock_set: forward, or back
  int64_t to_ms = 0;   // ... or what it shows then; 0: it is by_ms
};

// What happened.
struct Happening {
  enum class Kind : uint8_t { power_off, power_on, suspended, resumed, clock_lost, clock_right, clock_set, woken, change };
  Kind kind = Kind::change;
  int64_t at_ms = 0;      // by a right clock
  int64_t clock_ms = 0;   // by its own
  int64_t uptime_ms = 0;
  const Transition* change = nullptr;  // of the engine's feed
  const ScheduleSpec* schedule = nullptr;  // that the change is about; null: none
  int64_t planned_ms = 0;  // of a firing: the time of the schedule that it stands for; 0: not known
  bool made_up = false;    // ... which was missed
  int64_t length_ms = 0;  // how long it will be off or suspended; by how much the clock was set
};

class VirtualDevice {
 public:
  using Tell = std::function<void(const Happening&)>;
  // The incidents are in no order; those of a kind with an end do not overlap, off and suspended neither.
  VirtualDevice(DeviceSpec spec, std::vector<Incident> incidents, Tell tell);
  ~VirtualDevice();

  // Starts it when a right clock shows from_ms, and returns when it would show until_ms. Once.
  Status run(int64_t from_ms, int64_t until_ms);
  // As they stand then; empty while it is off.
  Result<std::vector<ScheduleInfo>> schedules();

 private:
  // The moment at which something begins or ends.
  struct Point {
    Happening::Kind kind;
    int64_t length_ms;
    int64_t to_ms;
  };
  void add_point(int64_t at_ms, Point point);

  Now now() const;  // the one place that says what the clocks show
  Status start();
  void switch_on();
  Status boot(bool first);
  Status befall_next();
  Status turn(std::vector<Op> ops, std::vector<Reply>* replies = nullptr);
  Result<Tick> tick(std::vector<Op> ops, std::vector<Reply>* replies);
  void obey(const Action& action);
  Happening happening(Happening::Kind kind, int64_t length_ms = 0) const;
  void report_change(const Transition& change, int64_t planned_ms);
  const ScheduleSpec* schedule_of(const Transition& change) const;
  bool awake() const { return engine_ != nullptr && !suspended_; }
  int64_t wake_ms() const;
  int64_t next_window_ms() const;
  void look_at_windows();
  bool by_elapsed(const ScheduleSpec& schedule) const;

  const DeviceSpec spec_;
  const Tell tell_;
  std::multimap<std::pair<int64_t, int>, Point> points_;  // to come, by time and rank
  std::map<std::string, const ScheduleSpec*, std::less<>> by_name_;
  MemoryVfs disk_;
  std::unique_ptr<Engine> engine_;  // null: it is off

  int64_t time_ms_ = 0;     // by a right clock
  int64_t error_ms_ = 0;    // its own clock less that
  int64_t boot_at_ms_ = 0;  // when it was switched on last
  int boots_ = 0;
  bool suspended_ = false, lost_ = false;

  int64_t wake_boot_ms_ = kNever, wake_wall_ms_ = kNever;  // of the last turn
  int64_t incident_ms_ = -1;  // when something befell it last
  int64_t turn_ms_ = -1;      // when the last turn was
  int turns_ = 0;         // so many at that moment
  std::vector<std::pair<std::string, WindowGate>> windows_;  // by queue
  std::multimap<int64_t, RunEnded> runs_;  // by the time at which they end
  std::unordered_map<JobId, const ScheduleSpec*> jobs_;  // that schedules made and that are not final
};

}  // namespace hf
