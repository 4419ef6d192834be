// What the settings of an engine and of its runners may be.
#include "core/conditions.h"
#include "core/engine.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {

Result<Limits> resolve(const Limits& given) {
  Limits l = given;
  auto fill = [](int64_t& field, int64_t value) { if (field == 0) field = value; };
  if (l.concurrency == 0) l.concurrency = 64;
  fill(l.max_payload, HF_DEFAULT_MAX_PAYLOAD);
  fill(l.max_jobs, HF_DEFAULT_MAX_JOBS);
  fill(l.max_bytes, HF_DEFAULT_MAX_BYTES);
  fill(l.keep_completed_ms, 24LL * 3600 * 1000);
  fill(l.keep_dead_ms, 30LL * 86400 * 1000);
  fill(l.keep_completed_count, 100000);
  fill(l.keep_dead_count, 10000);
  fill(l.ballast, HF_DEFAULT_BALLAST);
  fill(l.crash_loop, 5);
  fill(l.grouped_within_ms, kGroupedWithinMs);
  HF_TRY(check_range("concurrency", l.concurrency, 1, 10000));
  HF_TRY(check_range("max_payload", l.max_payload, 1, 16LL << 20));
  HF_TRY(check_range("max_jobs", l.max_jobs, 1, 1LL << 40));
  HF_TRY(check_range("max_bytes", l.max_bytes, 1LL << 20, 1LL << 50));
  HF_TRY(check_range("keep_completed_ms", l.keep_completed_ms, -1, kKeepMaxMs));
  HF_TRY(check_range("keep_dead_ms", l.keep_dead_ms, -1, kKeepMaxMs));
  HF_TRY(check_range("keep_completed_count", l.keep_completed_count, 1, 1LL << 40));
  HF_TRY(check_range("keep_dead_count", l.keep_dead_count, 1, 1LL << 40));
  if (l.ballast != -1) HF_TRY(check_range("ballast", l.ballast, 256LL << 10, 1LL << 30));
  HF_TRY(check_range("crash_loop", l.crash_loop, -1, 1000));
  HF_TRY(check_duration("grouped_within", l.grouped_within_ms, kGroupedWithinMinMs, kGroupedWithinMaxMs));
  fill(l.flash_budget, -1);
  if (l.flash_budget != -1) HF_TRY(check_range("flash_budget", l.flash_budget, kFlashBudgetMin, kFlashBudgetMax));
  return l;
}

namespace {
// What happens to a run before its timeout, or never.
Status check_before_timeout(const char* name, int64_t ms, int64_t least, int64_t most, const Policy& policy) {
  if (ms == 0) return ok_status();
  HF_TRY(check_duration(name, ms, least, most));
  const int64_t timeout = resolve(Policy{}, policy).timeout_ms;
  if (timeout < 0 || ms < timeout) return ok_status();
  return Error{HF_E_INVALID, std::string(name) + " is " + format_duration(ms) + " and timeout " + format_duration(timeout) + "; " + name + " has to be shorter"};
}
}  // namespace

Status check_deadlines(const RunnerSpec& r) {
  HF_TRY(check_before_timeout("heartbeat", r.heartbeat_ms, kHeartbeatMinMs, kHeartbeatMaxMs, r.policy));
  if (r.soft_timeout_ms != 0 && (r.network || is_sink_queue(r.name))) {
    return Error{HF_E_INVALID, "soft_timeout is for functions and programs: nobody can ask a request to end"};
  }
  return check_before_timeout("soft_timeout", r.soft_timeout_ms, kSoftTimeoutMinMs, kSoftTimeoutMaxMs, r.policy);
}

Status validate(const RunnerSpec& r) {
  HF_TRY(is_sink_queue(r.name) ? check_queue_name(r.name) : check_name("job type", r.name));
  if (is_sink_queue(r.name)) HF_TRY(check_sink("sink", r.name.substr(std::string_view(kSinkPrefix).size())));
  HF_TRY(check_sinks(r));
  HF_TRY(check_range("concurrency", r.concurrency, 0, 10000));
  HF_TRY(check_range("defer_ms", r.defer_ms, 1, 86400000));
  HF_TRY(check_range("splay_ms", r.splay_ms, 0, kSplayMaxMs));
  HF_TRY(check_range("newest_percent", r.newest_percent, 0, 100));
  HF_TRY(check_range("batch.max_jobs", r.batch.max_jobs, 1, 10000));
  HF_TRY(check_range("batch.max_bytes", r.batch.max_bytes, 0, 1LL << 30));
  HF_TRY(check_range("batch.max_wait_ms", r.batch.max_wait_ms, 0, 86400000));
  HF_TRY(check_when(r.when));
  HF_TRY(validate(r.policy));
  return check_deadlines(r);
}

}  // namespace hf
