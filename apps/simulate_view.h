// A simulated stretch of time as people and programs read it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/session.h"
#include "apps/simulate_tally.h"
#include "apps/virtual_device.h"

namespace hf {

struct SimulationShown {
  std::string device;
  int64_t from_ms = 0, to_ms = 0;
  std::shared_ptr<const Zone> zone;  // of the times
  bool lines = true;                 // false: the summary alone
  bool wakeups = false, jobs = false;
  int64_t limit = 0;  // of lines
};

// Lines for people are kept until print(), since their columns are as wide as the widest; those for programs are
// written at once.
class SimulationView {
 public:
  SimulationView(const Session& session, SimulationShown shown);
  void add(const Happening& happening);
  // The rest; `schedules` as they stand at the end.
  void print(const Tally& tally, const std::vector<ScheduleInfo>& schedules);
  int64_t left_out() const { return left_out_; }

 private:
  bool wanted(const Happening& happening) const;
  std::string local(int64_t ms) const;
  std::string note(const Happening& happening) const;
  void add_row(const Happening& happening);
  void write_json(const Happening& happening) const;
  void print_summary(const Tally& tally, const std::vector<ScheduleInfo>& schedules) const;
  void print_json_summary(const Tally& tally, const std::vector<ScheduleInfo>& schedules) const;
  double a_day(int64_t count) const;

  const Session& session_;
  const SimulationShown shown_;
  Table table_;
  int64_t lines_ = 0, left_out_ = 0;
};

}  // namespace hf
