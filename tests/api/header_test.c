/* The header as a C99 program meets it, and the promise of its structs: fields are only ever added at the end.
 *
 * This file holds for C99 and for C++11 (it is compiled as both, by each compiler that is there). */
#include <holdfast.h>

#include <stdio.h>
#include <string.h>

/* F(struct, field, offset) and S(struct, size), as they are where pointers have 64 bits. A line that has to be
 * changed here breaks programs that run with the library they find: add fields at the end, and lines here. */
#define LAYOUT(F, S) \
  F(hf_options, struct_size, 0) \
  F(hf_options, device, 8) \
  F(hf_options, workers, 16) \
  F(hf_options, concurrency, 20) \
  F(hf_options, max_payload, 24) \
  F(hf_options, max_jobs, 32) \
  F(hf_options, max_bytes, 40) \
  F(hf_options, keep_completed_ms, 48) \
  F(hf_options, keep_dead_ms, 56) \
  F(hf_options, keep_completed_count, 64) \
  F(hf_options, keep_dead_count, 72) \
  F(hf_options, page_size, 80) \
  F(hf_options, seed, 88) \
  F(hf_options, vfs, 96) \
  F(hf_options, log, 104) \
  F(hf_options, log_user, 112) \
  F(hf_options, crash_loop, 120) \
  F(hf_options, ballast, 128) \
  F(hf_options, clock, 136) \
  F(hf_options, when_full, 144) \
  F(hf_options, grouped_within_ms, 152) \
  F(hf_options, flash_budget, 160) \
  S(hf_options, 168) \
  F(hf_clock_options, struct_size, 0) \
  F(hf_clock_options, confirmed_only, 8) \
  F(hf_clock_options, ignore_kernel, 12) \
  F(hf_clock_options, sync_file, 16) \
  F(hf_clock_options, holdover_ms, 24) \
  F(hf_clock_options, floor_unix_ms, 32) \
  F(hf_clock_options, ceiling_unix_ms, 40) \
  S(hf_clock_options, 48) \
  F(hf_backoff, kind, 0) \
  F(hf_backoff, base_ms, 8) \
  F(hf_backoff, factor, 16) \
  F(hf_backoff, max_ms, 24) \
  F(hf_backoff, jitter, 32) \
  F(hf_backoff, jitter_percent, 36) \
  F(hf_backoff, list_ms, 40) \
  F(hf_backoff, list_len, 48) \
  S(hf_backoff, 56) \
  F(hf_job_spec, struct_size, 0) \
  F(hf_job_spec, type, 8) \
  F(hf_job_spec, payload, 16) \
  F(hf_job_spec, payload_len, 24) \
  F(hf_job_spec, queue, 32) \
  F(hf_job_spec, priority, 40) \
  F(hf_job_spec, delay_ms, 48) \
  F(hf_job_spec, run_at_unix_ms, 56) \
  F(hf_job_spec, max_attempts, 64) \
  F(hf_job_spec, backoff, 72) \
  F(hf_job_spec, timeout_ms, 128) \
  F(hf_job_spec, ttl_ms, 136) \
  F(hf_job_spec, unique_key, 144) \
  F(hf_job_spec, unique_for_ms, 152) \
  F(hf_job_spec, on_conflict, 160) \
  F(hf_job_spec, concurrency_key, 168) \
  F(hf_job_spec, sink, 176) \
  F(hf_job_spec, durability, 184) \
  F(hf_job_spec, tags, 192) \
  F(hf_job_spec, callback, 200) \
  F(hf_job_spec, failure_callback, 208) \
  F(hf_job_spec, debounce_max_ms, 216) \
  F(hf_job_spec, unique_by, 224) \
  F(hf_job_spec, after, 232) \
  F(hf_job_spec, after_len, 240) \
  F(hf_job_spec, after_failure, 248) \
  S(hf_job_spec, 256) \
  F(hf_retry_dead_options, struct_size, 0) \
  F(hf_retry_dead_options, queue, 8) \
  F(hf_retry_dead_options, type, 16) \
  F(hf_retry_dead_options, limit, 24) \
  F(hf_retry_dead_options, over_ms, 32) \
  S(hf_retry_dead_options, 40) \
  F(hf_job_info, struct_size, 0) \
  F(hf_job_info, owned_, 8) \
  F(hf_job_info, id, 16) \
  F(hf_job_info, state, 24) \
  F(hf_job_info, attempts, 28) \
  F(hf_job_info, max_attempts, 32) \
  F(hf_job_info, priority, 36) \
  F(hf_job_info, delivering, 40) \
  F(hf_job_info, progress, 44) \
  F(hf_job_info, created_unix_ms, 48) \
  F(hf_job_info, due_unix_ms, 56) \
  F(hf_job_info, finished_unix_ms, 64) \
  F(hf_job_info, occurrence_unix_ms, 72) \
  F(hf_job_info, type, 80) \
  F(hf_job_info, queue, 88) \
  F(hf_job_info, sink, 96) \
  F(hf_job_info, tags, 104) \
  F(hf_job_info, schedule, 112) \
  F(hf_job_info, key, 120) \
  F(hf_job_info, error, 128) \
  F(hf_job_info, payload, 136) \
  F(hf_job_info, payload_len, 144) \
  F(hf_job_info, result, 152) \
  F(hf_job_info, result_len, 160) \
  S(hf_job_info, 168) \
  F(hf_list_query, struct_size, 0) \
  F(hf_list_query, state, 8) \
  F(hf_list_query, queue, 16) \
  F(hf_list_query, type, 24) \
  F(hf_list_query, limit, 32) \
  F(hf_list_query, after, 40) \
  S(hf_list_query, 48) \
  F(hf_handler_options, struct_size, 0) \
  F(hf_handler_options, concurrency, 8) \
  F(hf_handler_options, max_attempts, 12) \
  F(hf_handler_options, timeout_ms, 16) \
  F(hf_handler_options, backoff, 24) \
  F(hf_handler_options, defer_ms, 80) \
  F(hf_handler_options, sink, 88) \
  F(hf_handler_options, callback, 96) \
  F(hf_handler_options, failure_callback, 104) \
  F(hf_handler_options, rate_limit, 112) \
  F(hf_handler_options, throttle, 120) \
  F(hf_handler_options, heartbeat_ms, 128) \
  F(hf_handler_options, when, 136) \
  F(hf_handler_options, soft_timeout_ms, 144) \
  F(hf_handler_options, batch_max_jobs, 152) \
  F(hf_handler_options, batch_max_bytes, 160) \
  F(hf_handler_options, batch_max_wait_ms, 168) \
  F(hf_handler_options, backoff_fn, 176) \
  F(hf_handler_options, backoff_user, 184) \
  S(hf_handler_options, 192) \
  F(hf_schedule_spec, struct_size, 0) \
  F(hf_schedule_spec, name, 8) \
  F(hf_schedule_spec, cron, 16) \
  F(hf_schedule_spec, time_zone, 24) \
  F(hf_schedule_spec, jitter_ms, 32) \
  F(hf_schedule_spec, catch_up, 40) \
  F(hf_schedule_spec, overlap, 44) \
  F(hf_schedule_spec, options, 48) \
  F(hf_schedule_spec, job, 56) \
  S(hf_schedule_spec, 312) \
  F(hf_schedule_options, struct_size, 0) \
  F(hf_schedule_options, dst, 8) \
  F(hf_schedule_options, splay_ms, 16) \
  F(hf_schedule_options, catch_up_window_ms, 24) \
  F(hf_schedule_options, catch_up_max, 32) \
  F(hf_schedule_options, start_unix_ms, 40) \
  F(hf_schedule_options, end_unix_ms, 48) \
  F(hf_schedule_options, limit, 56) \
  F(hf_schedule_options, pause_after_failures, 64) \
  F(hf_schedule_options, slack_ms, 72) \
  S(hf_schedule_options, 80) \
  F(hf_subscription_spec, struct_size, 0) \
  F(hf_subscription_spec, name, 8) \
  F(hf_subscription_spec, event, 16) \
  F(hf_subscription_spec, filter, 24) \
  F(hf_subscription_spec, job, 32) \
  S(hf_subscription_spec, 40) \
  F(hf_emit_options, struct_size, 0) \
  F(hf_emit_options, key, 8) \
  S(hf_emit_options, 16) \
  F(hf_queue_settings, struct_size, 0) \
  F(hf_queue_settings, concurrency, 8) \
  F(hf_queue_settings, slack_ms, 16) \
  F(hf_queue_settings, windows, 24) \
  F(hf_queue_settings, time_zone, 32) \
  F(hf_queue_settings, rate_limit, 40) \
  F(hf_queue_settings, throttle, 48) \
  F(hf_queue_settings, key_rate_limit, 56) \
  F(hf_queue_settings, key_throttle, 64) \
  F(hf_queue_settings, aging_ms, 72) \
  F(hf_queue_settings, key_concurrency, 80) \
  F(hf_queue_settings, order, 84) \
  F(hf_queue_settings, fair, 88) \
  F(hf_queue_settings, when, 96) \
  F(hf_queue_settings, max_pending, 104) \
  F(hf_queue_settings, when_full, 112) \
  F(hf_queue_settings, enqueue_limit, 120) \
  F(hf_queue_settings, key_enqueue_limit, 128) \
  F(hf_queue_settings, retry_budget, 136) \
  F(hf_queue_settings, keep_completed_ms, 144) \
  F(hf_queue_settings, keep_dead_ms, 152) \
  F(hf_queue_settings, keep_completed_count, 160) \
  F(hf_queue_settings, keep_dead_count, 168) \
  S(hf_queue_settings, 176) \
  F(hf_condition_options, struct_size, 0) \
  F(hf_condition_options, every_ms, 8) \
  F(hf_condition_options, timeout_ms, 16) \
  F(hf_condition_options, initially_open, 24) \
  S(hf_condition_options, 32) \
  F(hf_stats_info, struct_size, 0) \
  F(hf_stats_info, pending, 8) \
  F(hf_stats_info, running, 16) \
  F(hf_stats_info, completed, 24) \
  F(hf_stats_info, dead, 32) \
  F(hf_stats_info, cancelled, 40) \
  F(hf_stats_info, enqueued_total, 48) \
  F(hf_stats_info, completed_total, 56) \
  F(hf_stats_info, failed_total, 64) \
  F(hf_stats_info, retried_total, 72) \
  F(hf_stats_info, dead_total, 80) \
  F(hf_stats_info, deferred_total, 88) \
  F(hf_stats_info, commits_total, 96) \
  F(hf_stats_info, syncs_total, 104) \
  F(hf_stats_info, file_bytes, 112) \
  F(hf_stats_info, clock_trusted, 120) \
  F(hf_stats_info, safe_mode_left_ms, 128) \
  F(hf_stats_info, disk_full, 136) \
  F(hf_stats_info, flash_day_bytes, 144) \
  F(hf_stats_info, flash_total_bytes, 152) \
  F(hf_stats_info, flash_budget, 160) \
  F(hf_stats_info, flash_gather_ms, 168) \
  S(hf_stats_info, 176) \
  F(hf_serve_options, struct_size, 0) \
  F(hf_serve_options, group, 8) \
  F(hf_serve_options, max_clients, 16) \
  F(hf_serve_options, open_view, 20) \
  S(hf_serve_options, 24)

/* Where they have 32 the numbers differ with the ABI; the order does not. */
#define WIDE (sizeof(void *) == 8)
#define ASSERT_F(type, field, offset) typedef char type##_##field##_moved[!WIDE || offsetof(type, field) == offset ? 1 : -1];
#define ASSERT_S(type, size) typedef char type##_has_another_size[!WIDE || sizeof(type) == size ? 1 : -1];
LAYOUT(ASSERT_F, ASSERT_S)

/* Values are part of the promise too. */
#define IS(name, value) typedef char name##_has_another_value[(int)name == value ? 1 : -1];
IS(HF_OK, 0) IS(HF_E_STATE, -2) IS(HF_E_STALE, -19) IS(HF_E_INTERNAL, -99)
IS(HF_STATE_PENDING, 0) IS(HF_STATE_CANCELLED, 4)
IS(HF_BACKOFF_LIST, 4) IS(HF_JITTER_PERCENT, 4) IS(HF_CONFLICT_DEBOUNCE, 3) IS(HF_DURABLE_RESULT, 3)
IS(HF_RETRY, 1) IS(HF_DEAD, 2) IS(HF_DEFER, 3) IS(HF_ASYNC, 4)
IS(HF_CATCH_UP_ALL, 2) IS(HF_OVERLAP_CANCEL, 2) IS(HF_LOG_DEBUG, 3) IS(HF_ORDER_DEFAULT, 0) IS(HF_ORDER_LIFO, 2)
IS(HF_FULL_REJECT, 0) IS(HF_FULL_DROP_OLDEST, 1) IS(HF_FULL_DROP_LOWEST, 2) IS(HF_FULL_COALESCE, 3) IS(HF_E_RATE, -21)

static int failures = 0;

static void order(const char *type, const char *field, size_t offset) {
  static const char *last_type = "";
  static size_t last = 0;
  if (strcmp(type, last_type) == 0 && offset <= last) {
    printf("%s.%s lies before the field above it\n", type, field);
    ++failures;
  }
  if (strcmp(type, last_type) != 0 && (offset != 0 || strcmp(field, "struct_size") != 0) && strcmp(type, "hf_backoff") != 0) {
    printf("%s does not begin with struct_size\n", type);
    ++failures;
  }
  last_type = type;
  last = offset;
}

static void check(int ok, const char *what) {
  if (ok) return;
  printf("%s\n", what);
  ++failures;
}

/* Everything but struct_size is zero, or what the comment of the field says. */
static void inits(void) {
  hf_options options = HF_OPTIONS_INIT;
  hf_job_spec job = HF_JOB_SPEC_INIT;
  hf_job_info info = HF_JOB_INFO_INIT;
  hf_list_query query = HF_LIST_QUERY_INIT;
  hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
  hf_schedule_spec schedule = HF_SCHEDULE_SPEC_INIT;
  hf_subscription_spec subscription = HF_SUBSCRIPTION_SPEC_INIT;
  hf_emit_options emit = HF_EMIT_OPTIONS_INIT;
  hf_queue_settings queue = HF_QUEUE_SETTINGS_INIT;
  hf_condition_options condition = HF_CONDITION_OPTIONS_INIT;
  hf_stats_info stats = HF_STATS_INFO_INIT;
  hf_serve_options serve = HF_SERVE_OPTIONS_INIT;
  check(options.struct_size == sizeof options && options.log_user == NULL && options.when_full == HF_FULL_REJECT, "HF_OPTIONS_INIT");
  check(job.struct_size == sizeof job && job.tags == NULL && job.backoff.list_len == 0, "HF_JOB_SPEC_INIT");
  check(info.struct_size == sizeof info && info.owned_ == NULL && info.result_len == 0, "HF_JOB_INFO_INIT");
  check(query.struct_size == sizeof query && query.state == -1 && query.after == 0, "HF_LIST_QUERY_INIT");
  check(condition.struct_size == sizeof condition && condition.initially_open == 0, "HF_CONDITION_OPTIONS_INIT");
  check(handler.struct_size == sizeof handler && handler.sink == NULL, "HF_HANDLER_OPTIONS_INIT");
  check(schedule.struct_size == sizeof schedule && schedule.job.struct_size == sizeof job, "HF_SCHEDULE_SPEC_INIT");
  check(subscription.struct_size == sizeof subscription && subscription.job == NULL, "HF_SUBSCRIPTION_SPEC_INIT");
  check(emit.struct_size == sizeof emit && emit.key == NULL, "HF_EMIT_OPTIONS_INIT");
  check(queue.struct_size == sizeof queue && queue.order == HF_ORDER_DEFAULT && queue.when_full == HF_FULL_REJECT && queue.retry_budget == NULL && queue.keep_dead_count == 0, "HF_QUEUE_SETTINGS_INIT");
  check(stats.struct_size == sizeof stats && stats.clock_trusted == 0, "HF_STATS_INFO_INIT");
  check(serve.struct_size == sizeof serve && serve.open_view == 0, "HF_SERVE_OPTIONS_INIT");
}

int main(int argc, char **argv) {
  const int print = argc > 1 && strcmp(argv[1], "--print") == 0;
#define RUN_F(type, field, offset) \
  order(#type, #field, offsetof(type, field)); \
  if (print) printf("F(%s, %s, %d)\n", #type, #field, (int)offsetof(type, field));
#define RUN_S(type, size) \
  if (print) printf("S(%s, %d)\n", #type, (int)sizeof(type));
  LAYOUT(RUN_F, RUN_S)
  inits();
  check(strcmp(hf_version(), HF_VERSION) == 0, "the library has another version than the header");
  check(strcmp(hf_errname(HF_E_FULL), "HF_E_FULL") == 0, "hf_errname");
  return failures == 0 ? 0 : 1;
}
