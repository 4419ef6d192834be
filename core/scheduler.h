// The scheduler: time makes jobs. A firing inserts its job and moves the schedule on in one transaction, so
// an occurrence becomes exactly one job however often the process dies.
//
// Calendar lines go by trusted wall time, @every and @reboot by elapsed time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/cron.h"
#include "core/due_order.h"
#include "core/jobs.h"
#include "core/turn.h"
#include "core/zone.h"

namespace hf {

inline constexpr size_t kSchedulesMax = 10000;
inline constexpr int64_t kMisfireMs = 60000;  // a firing that is later than this was missed (catch_up decides)
inline constexpr int kFiringsATurn = 100;     // schedules that fire in one turn, of each clock
inline constexpr int kBackfillMax = 1000;     // jobs of one backfill

class Scheduler {
 public:
  Scheduler(Turn& turn, Jobs& jobs, const ZoneSource& zones, std::string device)
      : turn_(turn), jobs_(jobs), zones_(zones), device_(std::move(device)) {}

  // At the opening. `new_boot`: the first one since the device started, and it can be written.
  void load(bool new_boot);

  Status put(const ScheduleSpec& spec);
  Status remove(const std::string& name);
  Status pause(const std::string& name, bool paused);
  Result<JobId> run_now(const std::string& name);
  Result<std::vector<JobId>> backfill(const std::string& name, int64_t from_wall_ms, int64_t to_wall_ms);
  Result<std::vector<ScheduleInfo>> list(const std::string& name) const;  // "": all

  // What has ended since, and what is due.
  void work();
  // A schedule whose jobs fail one after another stops making them.
  void count_ends();
  // The wall clock was set, or is trusted from now on, or this is the first turn: what lies ahead is looked for anew.
  void clock_changed();

  int64_t next_wake_ms() const { return by_elapsed_.next_wake_ms(); }  // kNever if none
  int64_t next_wall_wake_ms() const { return by_wall_.next_wake_ms(); }

 private:
  struct Entry {
    ScheduleRow row;
    std::optional<CronExpr> cron;
    std::shared_ptr<const Zone> zone;
    std::string waiting;  // why it cannot fire; "" if it can
    bool is(CronLine::Kind kind) const { return cron && cron->kind() == kind; }
    bool by_wall() const { return !cron || is(CronLine::Kind::calendar); }
    bool used_up() const { return row.spec.limit != 0 && row.fired >= row.spec.limit; }
    // It has no time to come; one of @reboot has when the device starts.
    bool ended() const { return used_up() || (row.next_ms == kNever && !is(CronLine::Kind::reboot)); }
  };
  using Order = DueOrder<std::string>;

  Status parse_line(Entry& entry) const;
  Status find_zone(Entry& entry) const;
  Status check(const Entry& entry) const;
  int64_t following(const Entry& entry, int64_t at) const;
  int64_t latest(const Entry& entry, int64_t until) const;  // the last one up to then, of those from next_ms on; -1: none
  std::vector<int64_t> to_make_up(const Entry& entry, int64_t now) const;
  int64_t splay_of(const ScheduleSpec& spec) const;
  void set_next(Entry& entry, int64_t next_ms);
  void set_next_from_now(Entry& entry);
  void arm(Entry& entry);
  void disarm(const Entry& entry);
  void fire_one(Entry& entry);
  void make_jobs(Entry& entry, const std::vector<int64_t>& times);
  void skip(Entry& entry, const std::string& why);
  void fire_due(Order& order, int64_t now);
  void find_zones_anew();
  void renew_next(Entry& entry);  // REQUIRES: the clock is trusted
  Result<JobId> enqueue(const Entry& entry, int64_t occurrence_wall_ms);
  bool last_job_open(const Entry& entry) const;
  void save(const Entry& entry) { turn_.store.put_schedule(entry.row); }
  int64_t axis_now(const Entry& entry) const { return entry.by_wall() ? turn_.wall_ms : turn_.now_ms; }
  int64_t wall_of(const Entry& entry, int64_t at) const { return entry.by_wall() ? at : turn_.wall_of(at); }
  Result<Entry*> find(const std::string& name);

  Turn& turn_;
  Jobs& jobs_;
  const ZoneSource& zones_;
  std::string device_;
  std::map<std::string, Entry> entries_;
  Order by_wall_, by_elapsed_;
  uint64_t zones_version_ = 0;
};

}  // namespace hf
