// The scheduler: time makes jobs. A firing inserts its job and moves the schedule on in one transaction, so
// an occurrence becomes exactly one job however often the process dies.
//
// Calendar lines go by trusted wall time, @every by elapsed time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/cron.h"
#include "core/jobs.h"
#include "core/turn.h"
#include "core/zone.h"

namespace hf {

inline constexpr size_t kSchedulesMax = 10000;
inline constexpr int64_t kMisfireMs = 60000;  // a firing that is later than this was missed (catch_up decides)
inline constexpr int kCatchUpMax = 100;       // firings of catch_up "all" at once

class Scheduler {
 public:
  Scheduler(Turn& turn, Jobs& jobs, const ZoneSource& zones, std::string device)
      : turn_(turn), jobs_(jobs), zones_(zones), device_(std::move(device)) {}

  void load();  // at open

  Status put(const ScheduleSpec& spec);
  Status remove(const std::string& name);
  Status pause(const std::string& name, bool paused);
  Result<JobId> run_now(const std::string& name);
  Result<std::vector<ScheduleInfo>> list(const std::string& name) const;  // "": all

  void fire();
  // The wall clock was set back, or is trusted from now on: what lies further ahead than the next occurrence is looked
  // for anew.
  void clock_changed();

  int64_t next_wake_ms() const { return first(by_elapsed_); }       // kNever if none
  int64_t next_wall_wake_ms() const { return first(by_wall_); }

 private:
  struct Entry {
    ScheduleRow row;
    std::optional<CronExpr> cron;
    std::shared_ptr<const Zone> zone;
    std::string waiting;  // why it cannot fire; "" if it can
    bool every() const { return cron && cron->kind() == CronLine::Kind::every; }
  };
  using Order = std::set<std::pair<int64_t, std::string>>;
  static int64_t first(const Order& order) { return order.empty() ? kNever : order.begin()->first; }

  Status prepare(Entry& entry) const;  // parses the line, finds the zone
  int64_t following(const Entry& entry, int64_t at) const;
  void set_next(Entry& entry, int64_t next_ms);
  void set_next_from_now(Entry& entry);
  void arm(Entry& entry);
  void disarm(const Entry& entry);
  void fire_one(Entry& entry);
  bool fire_occurrence(Entry& entry, int64_t occurrence_wall_ms);
  Result<JobId> enqueue(const Entry& entry, int64_t occurrence_wall_ms);
  bool last_job_open(const Entry& entry) const;
  void save(const Entry& entry) { turn_.store.put_schedule(entry.row); }
  int64_t axis_now(const Entry& entry) const { return entry.every() ? turn_.now_ms : turn_.wall_ms; }
  Result<Entry*> find(const std::string& name);

  Turn& turn_;
  Jobs& jobs_;
  const ZoneSource& zones_;
  std::string device_;
  std::map<std::string, Entry> entries_;
  Order by_wall_, by_elapsed_;
};

}  // namespace hf
