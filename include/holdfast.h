/* Holdfast: an embedded job queue for one device.
 *
 * Conventions
 *  1. Functions return int: HF_OK (0) or a negative HF_E_* from HF_ERRORS below. hf_strerror(code) is
 *     the text of a code; hf_errmsg(engine) is the detail of the last failure on the calling thread.
 *  2. Handles are opaque. A struct that is passed in starts with `size_t struct_size` and is filled by
 *     its HF_..._INIT, so that an older program runs with a newer library: fields are only ever added
 *     at the end, and a field beyond struct_size has its default.
 *  3. Strings are UTF-8 and end in NUL; a NULL or empty optional string means "the default". Payloads
 *     and results are bytes, (const void *, size_t); JSON that comes out is NUL-terminated text.
 *  4. What the library allocates for the caller is released by the function that is named there.
 *     Pointers passed in are copied before the function returns.
 *  5. "Any thread" means any thread of the process, also a handler's. Unless said otherwise a function
 *     may be called from any thread but a callback that runs on the library's loop thread
 *     (hf_enqueued_fn under hf_start), where a call that waits for the disk returns HF_E_THREAD; so it does in what
 *     the engine calls while it works (hf_transact_fn, hf_log_fn, backoff_fn).
 *  6. Times: `..._ms` is milliseconds. Durations go by elapsed time (suspend counted, clock steps not);
 *     `..._unix_ms` is wall-clock time, milliseconds since 1970-01-01 UTC. 0 means "not set" where a
 *     field is optional, -1 means "never" or "no limit" where a field says so.
 *  7. What the engine does for a call that waits for the disk it does on the calling thread, unless it is at work already. So such a call,
 *     hf_open and hf_work need 64 KiB of stack, hf_log_fn and backoff_fn may be called there, and signals and the thread's cancellation
 *     wait until it is done. It must not be cancelled in hf_work.
 *  8. The library never exits, never prints, installs no signal handler and throws nothing across this
 *     boundary. A handle that was closed is recognised: HF_E_STATE.
 */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stddef.h>
#include <stdint.h>

#define HF_VERSION_MAJOR 0
#define HF_VERSION_MINOR 1
#define HF_VERSION_PATCH 0
#define HF_VERSION "0.1.0"

#if defined(__GNUC__)
#define HF_API __attribute__((visibility("default")))
#else
#define HF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ------------------------------------------------------------------------------------- */

/* X(name, value, code in the admin API, text) */
#define HF_ERRORS(X)                                                                                 \
  X(HF_OK, 0, "ok", "success")                                                                       \
  X(HF_E_INVALID, -1, "invalid", "an argument is not allowed")                                       \
  X(HF_E_STATE, -2, "state", "not possible in this state of the engine or the job")                  \
  X(HF_E_NOT_FOUND, -3, "not_found", "there is no such thing")                                       \
  X(HF_E_FULL, -4, "full", "a limit or the disk is full")                                            \
  X(HF_E_TOO_LARGE, -5, "too_large", "larger than the limit")                                        \
  X(HF_E_CONFLICT, -6, "conflict", "conflicts with a job or name that exists")                       \
  X(HF_E_LOCKED, -7, "locked", "the database is in use by another process")                          \
  X(HF_E_FOREIGN, -8, "foreign", "the file is not a Holdfast database")                              \
  X(HF_E_VERSION, -9, "version", "the database was written by a newer version")                      \
  X(HF_E_CORRUPT, -10, "corrupt", "the database is damaged")                                         \
  X(HF_E_IO, -11, "io", "reading or writing failed")                                                 \
  X(HF_E_NO_MEMORY, -12, "no_memory", "out of memory")                                               \
  X(HF_E_READ_ONLY, -13, "read_only", "the file or its folder cannot be written")                    \
  X(HF_E_DENIED, -14, "denied", "not allowed for this caller")                                       \
  X(HF_E_THREAD, -15, "thread", "not allowed on this thread")                                        \
  X(HF_E_BUSY, -16, "busy", "too many requests are waiting")                                         \
  X(HF_E_TIMEOUT, -17, "timeout", "the time allowed is over")                                        \
  X(HF_E_UNREACHABLE, -18, "unreachable", "the peer cannot be reached")                              \
  X(HF_E_STALE, -19, "stale", "this run of the job is over; its result no longer counts")            \
  X(HF_E_UNSUPPORTED, -20, "unsupported", "not in this build")                                       \
  X(HF_E_RATE, -21, "too_fast", "more in this time than is allowed")                                 \
  X(HF_E_INTERNAL, -99, "internal", "an error inside Holdfast")

#define HF_ERROR_ENUM_(name, value, code, text) name = value,
enum hf_error { HF_ERRORS(HF_ERROR_ENUM_) HF_E_LAST_ = -100 };
#undef HF_ERROR_ENUM_

typedef struct hf_engine hf_engine; /* one open queue file */
typedef struct hf_job hf_job;       /* one run of a job, as its handler sees it */
typedef int64_t hf_job_id;          /* > 0, never used twice in a file's life */

/* Any thread. Never NULL; unknown codes give "unknown error". */
HF_API const char *hf_strerror(int code);
/* The name of a code as in this header ("HF_E_FULL"); NULL if there is none. */
HF_API const char *hf_errname(int code);
/* The detail of the last failure of a call with this engine on this thread, or, when engine is NULL, of
 * hf_open and of the functions that take a hf_job; "" if there was none. Valid until the next call on this
 * thread. */
HF_API const char *hf_errmsg(hf_engine *engine);
/* "0.1.0" */
HF_API const char *hf_version(void);
/* Releases memory that a function below returned as `char **`. NULL is allowed. */
HF_API void hf_free(void *memory);

/* ---- limits (defaults; each is an option of hf_open or of the configuration) --------------------- */

#define HF_NAME_MAX 64                      /* bytes of a type, queue, sink or schedule name */
#define HF_KEY_MAX 128                      /* bytes of unique_key, concurrency_key */
#define HF_AFTER_MAX 100                    /* jobs that one waits for (after), and jobs that wait for one */
#define HF_CHAIN_MAX 8                      /* jobs that callbacks start, one after another */
#define HF_TAGS_MAX 256                     /* bytes of tags */
#define HF_REASON_MAX 200                   /* bytes of the reason of a pause */
#define HF_ERROR_TEXT_MAX 512               /* bytes kept of an error text; longer ones are cut */
#define HF_HISTORY_MAX 10                   /* attempts remembered a job */
#define HF_CHECKPOINT_MAX 2048              /* bytes of a checkpoint */
#define HF_JOB_LOG_MAX 8192                 /* bytes kept of what the runs of a job log; the newest are */
#define HF_LOG_LINE_MAX 1024                /* bytes of one line of it */
#define HF_BACKOFF_LIST_MAX 16              /* entries of a backoff list */
#define HF_ATTEMPTS_MAX 1000                /* largest max_attempts */
#define HF_PRIORITY_MAX 1000                /* priorities go from -1000 to 1000 */
#define HF_ENQUEUE_MANY_MAX 10000           /* jobs in one hf_enqueue_many */
#define HF_TRANSACT_JOBS_MAX 1000           /* jobs in one hf_transact (holdfast_sqlite.h) */
#define HF_DEFAULT_MAX_PAYLOAD (256 * 1024) /* bytes of one payload or result */
#define HF_DEFAULT_MAX_JOBS 1000000         /* jobs in the file, finished ones included */
#define HF_DEFAULT_MAX_BYTES (256LL * 1024 * 1024) /* bytes of the database file */
#define HF_DEFAULT_BALLAST (2LL * 1024 * 1024) /* bytes that are set aside for a full disk */
#define HF_SUBSCRIPTIONS_MAX 1000           /* subscriptions of one engine */
#define HF_FILTER_MAX 16                    /* fields of a subscription's filter */
#define HF_EVENT_KEY_MAX 63                 /* bytes of the key of an event */
#define HF_ENGINES_MAX 64                   /* engines open at once in one process */

/* ---- opening and closing ------------------------------------------------------------------------- */

enum hf_log_level { HF_LOG_ERROR = 0, HF_LOG_WARN = 1, HF_LOG_INFO = 2, HF_LOG_DEBUG = 3 };

/* Called from any thread, the library's or one that calls it, one call at a time; must return soon and must not call
 * the library, nor take a lock that is held around a call of it. `line` is "event key=value ..." without time, level or newline. */
typedef void (*hf_log_fn)(int level, const char *line, void *user);

/* When the wall clock is trusted, that is, when cron lines, run_at and windows go on: docs/reference.md, "The clock". */
typedef struct hf_clock_options {
  size_t struct_size;
  int confirmed_only;      /* 1: a time between floor and ceiling is not enough, somebody has to say that it is right */
  int ignore_kernel;       /* 1: the kernel's word (NTP, PTP) does not count */
  const char *sync_file;   /* absolute path: it is right once this file is there; default: none */
  int64_t holdover_ms;     /* it was right so long ago at most, in this boot, and was not set since; up to 366 d, default
                              30 d; -1: not trusted for that */
  int64_t floor_unix_ms;   /* no right clock shows less; default: the time of this release */
  int64_t ceiling_unix_ms; /* nor more; default: 20 years after the floor */
} hf_clock_options;
#define HF_CLOCK_OPTIONS_INIT {sizeof(hf_clock_options), 0, 0, 0, 0, 0, 0}

/* What happens when a job is to be added to what is full. Each job that gives way is counted as lost ("displaced"). */
enum hf_when_full {
  HF_FULL_REJECT = 0,   /* the new one is refused: HF_E_FULL */
  HF_FULL_DROP_OLDEST,  /* the pending job that came in first gives way */
  HF_FULL_DROP_LOWEST,  /* the one of the lowest priority does, of these the oldest; the new one is refused if none is lower than it
                           or equal */
  HF_FULL_COALESCE      /* of the same queue, type and concurrency_key the one that is next to run does; the new one is refused if
                           none of these waits */
};

#define HF_NO_WORKERS (-1)
typedef struct hf_options {
  size_t struct_size;
  const char *device;    /* this device's name, part of every idempotency key; default: the host name */
  int workers;           /* threads for C handlers, 1..256; default 4; they start when needed. HF_NO_WORKERS: none, see hf_work */
  int concurrency;       /* runs at once in the whole engine, 1..10000; default 64 */
  int64_t max_payload;   /* bytes, 1..16 MiB; default HF_DEFAULT_MAX_PAYLOAD */
  int64_t max_jobs;      /* default HF_DEFAULT_MAX_JOBS */
  int64_t max_bytes;     /* default HF_DEFAULT_MAX_BYTES; at least 1 MiB */
  int64_t keep_completed_ms; /* retention; default 24 h; -1: delete at once */
  int64_t keep_dead_ms;  /* default 30 d; cancelled jobs are kept as long as completed ones */
  int64_t keep_completed_count; /* at most so many completed jobs are kept, and up to 200 more
                                   until they leave together; default 100000 */
  int64_t keep_dead_count; /* default 10000 */
  int page_size;         /* bytes, a power of two 512..65536, used when the file is made; default 1024 */
  uint64_t seed;         /* of jitter; default: from the system's random source */
  const char *vfs;       /* name of a registered SQLite VFS of this library; default: the system's */
  hf_log_fn log;         /* default: none */
  void *log_user;
  int crash_loop;        /* safe mode: the process ended so often in a row while jobs ran, each time within 5 min and
                            with none completed; 1..1000, default 5; -1: never. Then nothing runs for 1 min, after one
                            more such end for 2 min, 4, ... at most 1 h; all else works. hf_end_safe_mode ends it */
  int64_t ballast;       /* bytes of PATH.ballast, which is given up when the disk is full, so that runs can end and jobs
                            be cancelled and deleted then; 256 KiB..1 GiB, default HF_DEFAULT_BALLAST; -1: none */
  const hf_clock_options *clock; /* null: the defaults */
  int when_full;         /* hf_when_full: at max_jobs and max_bytes; default: new jobs are refused */
  int64_t grouped_within_ms; /* what is HF_DURABLE_GROUPED is on the disk so long after it was acknowledged, at the latest; 10 ms..1 h,
                                default 5 s */
  int64_t flash_budget;  /* bytes a day that the file and its log may be written, 1 MiB..1 TiB; default: no budget. While it runs out,
                            jobs that are not HF_DURABLE_SYNC are gathered for up to 1 s before they are acknowledged */
} hf_options;
#define HF_OPTIONS_INIT {sizeof(hf_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Opens or makes the queue file and takes it for this process alone. Jobs that a dead process left
 * running are put back. Jobs can be enqueued and read from now on; nothing runs before hf_start.
 * A damaged file is no error: it is set aside as PATH.bad-<n>, what reads of it goes on, and the log says so.
 * HF_E_LOCKED (hf_errmsg says which process holds it), HF_E_FOREIGN, HF_E_VERSION, HF_E_CORRUPT,
 * HF_E_READ_ONLY, HF_E_IO, HF_E_INVALID, HF_E_FULL (HF_ENGINES_MAX). */
HF_API int hf_open(const char *path, const hf_options *opts, hf_engine **out);

/* Starts running jobs, on threads of the library's own (handlers: see hf_work, too), which are as the one that called hf_open.
 * HF_E_STATE if it is started or stopped. */
HF_API int hf_start(hf_engine *engine);

/* The same, for a host with a libuv loop (1.x, `uv_loop` is its uv_loop_t *): hf_enqueued_fn callbacks
 * arrive on that loop. Call on the loop's thread, and hf_stop or hf_close on it too. The library holds one
 * unreferenced uv_async_t on the loop until hf_close, which calls what had not arrived yet and closes the handle:
 * run the loop once more before uv_loop_close. One loop an engine: another later is HF_E_STATE.
 * HF_E_UNSUPPORTED if the program has no libuv. */
HF_API int hf_start_on(hf_engine *engine, void *uv_loop);

/* Stops claiming jobs, waits up to grace_ms (0..) for those that run, then asks the rest to end
 * (hf_job_canceled becomes 1) and hands them back with no attempt spent; a late result of such a run is
 * refused. C handlers that go on running are waited for by hf_close. Any thread but a handler's
 * (HF_E_THREAD). hf_start may follow. */
HF_API int hf_stop(hf_engine *engine, int64_t grace_ms);

/* hf_stop with 0 if need be, then closes the file cleanly and frees all. Waits for C handlers that
 * still run, but not for runs that returned HF_ASYNC and were not finished: those are handed back. Calls in
 * flight on other threads end with their answer or HF_E_STATE. Any thread but a handler's or callback's
 * (HF_E_THREAD). NULL is allowed. */
HF_API int hf_close(hf_engine *engine);

/* ---- jobs ---------------------------------------------------------------------------------------- */

enum hf_state {
  HF_STATE_PENDING = 0,   /* waits: to be due, or for a gate (see `why`) */
  HF_STATE_RUNNING = 1,
  HF_STATE_COMPLETED = 2, /* final */
  HF_STATE_DEAD = 3,      /* final: permanent failure or attempts used up; hf_retry brings it back */
  HF_STATE_CANCELLED = 4  /* final */
};

enum hf_backoff_kind {
  HF_BACKOFF_DEFAULT = 0, /* that of the handler, else exponential */
  HF_BACKOFF_FIXED,       /* base */
  HF_BACKOFF_LINEAR,      /* base * attempt */
  HF_BACKOFF_EXPONENTIAL, /* base * factor^(attempt-1) */
  HF_BACKOFF_LIST         /* list[attempt-1], the last one repeats */
};
enum hf_jitter {
  HF_JITTER_DEFAULT = 0, /* that of the handler, else full */
  HF_JITTER_NONE,
  HF_JITTER_FULL,   /* uniform in [0, d] */
  HF_JITTER_EQUAL,  /* d/2 + uniform in [0, d/2] */
  HF_JITTER_PERCENT /* d +- jitter_percent */
};

/* The delay before the next attempt: min(kind's value, max_ms), then jitter. 0 in any field: that of
 * the handler, else the library's default in brackets. */
typedef struct hf_backoff {
  int kind;           /* hf_backoff_kind [exponential] */
  int64_t base_ms;    /* 1 ms..30 d [1000] */
  double factor;      /* 1..100 [2] */
  int64_t max_ms;     /* 1 ms..30 d [600000] */
  int jitter;         /* hf_jitter [full] */
  int jitter_percent; /* 1..100 [10] */
  const int64_t *list_ms; /* HF_BACKOFF_LIST: 1..HF_BACKOFF_LIST_MAX entries */
  size_t list_len;
} hf_backoff;

enum hf_on_conflict {
  HF_CONFLICT_KEEP = 0, /* the job that is there stays; its id is returned */
  HF_CONFLICT_REPLACE,  /* a pending job takes the new payload, priority, due time; its id is returned */
  HF_CONFLICT_REJECT,   /* HF_E_CONFLICT */
  HF_CONFLICT_DEBOUNCE, /* as replace, and its delay starts anew */
  HF_CONFLICT_KEEP_LAST /* as replace; but while the job runs (or its result waits for its sink), one more waits for its end: the latest */
};

enum hf_after_failure {
  HF_AFTER_DEAD = 0, /* a job that waits for one that did not complete is dead, too */
  HF_AFTER_RUN       /* ... runs when all have ended, however they did */
};

enum hf_durability {
  HF_DURABLE_SYNC = 0, /* on the disk when hf_enqueue returns */
  HF_DURABLE_GROUPED,  /* survives the process; on the disk within hf_options.grouped_within_ms, together with others */
  HF_DURABLE_MEMORY,   /* survives the process, and is never itself a reason to wait for the disk: a power cut may take it until something
                          else does, or a clean stop */
  HF_DURABLE_RESULT    /* as HF_DURABLE_SYNC, and the end of each of its runs is on the disk before anything follows from it: a second
                          sync, and no power cut makes a run that ended run again */
};

enum hf_unique_by {
  HF_UNIQUE_BY_KEY = 0,
  HF_UNIQUE_BY_PAYLOAD /* in place of unique_key: at most one unfinished job of this type with these bytes (SHA-256) */
};

typedef struct hf_job_spec {
  size_t struct_size;
  const char *type;    /* what runs it; required. A type without a handler waits for one (`why` says so) */
  const void *payload; /* bytes, up to max_payload */
  size_t payload_len;
  const char *queue;   /* default "default" */
  int priority;        /* higher first, -HF_PRIORITY_MAX..HF_PRIORITY_MAX */
  int64_t delay_ms;    /* 0..10 y: due so much elapsed time from now */
  int64_t run_at_unix_ms; /* due at this wall-clock time, once the clock is trusted; excludes delay_ms */
  int max_attempts;    /* 1..HF_ATTEMPTS_MAX; default: the handler's, else 5 */
  hf_backoff backoff;
  int64_t timeout_ms;  /* of one run; default: the handler's, else 5 min; -1: none */
  int64_t ttl_ms;      /* not run later than this after the enqueue (then dead, "expired"); default: none */
  const char *unique_key; /* at most one unfinished job with this key */
  int64_t unique_for_ms;  /* ... and for so long after the enqueue, even when it has finished */
  int on_conflict;        /* hf_on_conflict */
  const char *concurrency_key; /* of the jobs with the same key and queue one runs at a time, or as many as hf_queue_settings says */
  const char *sink;    /* where a result is delivered; default: the handler's, else nowhere */
  int durability;      /* hf_durability */
  const char *tags;    /* free text, shown by list and show */
  const char *callback;         /* the sink that is told when it has completed, or "job:TYPE": a job of that type is started, in the same
                                   queue, whose payload says how this one ended; default: the handler's, else none */
  const char *failure_callback; /* ... when it is dead */
  int64_t debounce_max_ms;      /* with HF_CONFLICT_DEBOUNCE: due so long after the first one at the latest, delay_ms..10 y;
                                   default: no matter how long others come */
  int unique_by;                /* hf_unique_by; default: unique_key */
  const hf_job_id *after; /* it waits until these have ended, and for delay_ms from then on; at most HF_AFTER_MAX. One that has a sink ends
                             when its result is delivered. HF_E_NOT_FOUND, HF_E_CONFLICT (one is dead or cancelled already), HF_E_FULL
                             (HF_AFTER_MAX wait for it) */
  size_t after_len;
  int after_failure;      /* hf_after_failure */
} hf_job_spec;
#define HF_JOB_SPEC_INIT \
  {sizeof(hf_job_spec), 0, 0, 0, 0, 0, 0, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Durable when it returns. Any thread. `out` may be NULL. HF_E_INVALID (hf_errmsg names the field),
 * HF_E_TOO_LARGE, HF_E_FULL, HF_E_CONFLICT, HF_E_STATE (closing), HF_E_BUSY, HF_E_IO. */
HF_API int hf_enqueue(hf_engine *engine, const hf_job_spec *spec, hf_job_id *out);
/* All or none, in one transaction. n: 1..HF_ENQUEUE_MANY_MAX; `out` has n entries or is NULL. */
HF_API int hf_enqueue_many(hf_engine *engine, const hf_job_spec *specs, size_t n, hf_job_id *out);

/* code: HF_OK or why the job was not taken; id: 0 unless HF_OK. Runs on the library's loop thread, or
 * on the host's loop under hf_start_on. */
typedef void (*hf_enqueued_fn)(int code, hf_job_id id, void *user);
/* Returns once the job is handed to the engine; `done` is called when it is durable or refused, exactly
 * once if this returned HF_OK, also when the engine closes. Any thread. HF_E_BUSY if too many wait (limit
 * 65536). */
HF_API int hf_enqueue_async(hf_engine *engine, const hf_job_spec *spec, hf_enqueued_fn done, void *user);

typedef struct hf_job_info {
  size_t struct_size;
  void *owned_;       /* the library's */
  hf_job_id id;
  int state; /* hf_state */
  int attempts;       /* attempts spent (in this leg: run, or delivery to the sink) */
  int max_attempts;
  int priority;
  int delivering;     /* 1 while the result is on its way to the sink */
  int progress;       /* percent, -1 if the handler said nothing */
  int64_t created_unix_ms;  /* by the present wall clock: right again once the clock is */
  int64_t due_unix_ms;      /* when pending */
  int64_t finished_unix_ms; /* when final, else 0 */
  int64_t occurrence_unix_ms; /* the scheduled time, of a job that a schedule made, else 0 */
  const char *type;   /* strings and bytes live until hf_job_info_free */
  const char *queue;
  const char *sink;   /* "" if none */
  const char *tags;
  const char *schedule; /* "" if none */
  const char *key;    /* the idempotency key of hf_job_key */
  const char *error;  /* the last error, "" if none */
  const void *payload;
  size_t payload_len;
  const void *result;
  size_t result_len;
} hf_job_info;
#define HF_JOB_INFO_INIT \
  {sizeof(hf_job_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* HF_E_NOT_FOUND. `out` is filled by HF_JOB_INFO_INIT before, released by hf_job_info_free after. */
HF_API int hf_get(hf_engine *engine, hf_job_id id, hf_job_info *out);
HF_API void hf_job_info_free(hf_job_info *info);

/* Pending: cancelled at once. Running: asked to end (hf_job_canceled, or the process group is killed) and
 * cancelled when it does. HF_E_NOT_FOUND; HF_E_STATE if it is final. Any thread. */
HF_API int hf_cancel(hf_engine *engine, hf_job_id id);
/* Dead or cancelled: pending again, due now, with all its attempts. Pending: due now. HF_E_NOT_FOUND;
 * HF_E_STATE if it runs or is completed; HF_E_CONFLICT if another job holds its unique_key now. */
HF_API int hf_retry(hf_engine *engine, hf_job_id id);

typedef struct hf_retry_dead_options {
  size_t struct_size;
  const char *queue; /* default: all */
  const char *type;
  int limit;         /* the oldest so many, 1..10000; default 1000 */
  int64_t over_ms;   /* they become due spread over so long, 1 ms..30 d, so that what failed is not hit by all at once; default: now */
} hf_retry_dead_options;
#define HF_RETRY_DEAD_OPTIONS_INIT {sizeof(hf_retry_dead_options), 0, 0, 0, 0}
/* hf_retry of dead letters, in one transaction. One whose unique_key another job holds now stays. opts and retried (how many) may be
 * NULL. HF_E_INVALID. */
HF_API int hf_retry_dead(hf_engine *engine, const hf_retry_dead_options *opts, int64_t *retried);

typedef struct hf_list_query {
  size_t struct_size;
  int state;         /* hf_state, or -1 for all */
  const char *queue; /* default: all */
  const char *type;
  int limit;         /* 1..1000; default 100 */
  hf_job_id after;   /* continue behind this one; 0: from the start */
} hf_list_query;
#define HF_LIST_QUERY_INIT {sizeof(hf_list_query), -1, 0, 0, 0, 0}

/* Return 0 to go on, anything else to stop. `info` and all in it live until the function returns. */
typedef int (*hf_list_fn)(const hf_job_info *info, void *user);
/* Newest first, without payloads and results. Calls `each` on the calling thread. `next`, if not
 * NULL, takes the `after` of the next page, 0 at the end. */
HF_API int hf_list(hf_engine *engine, const hf_list_query *query, hf_list_fn each, void *user,
                   hf_job_id *next);

/* ---- handlers ------------------------------------------------------------------------------------ */

/* What a handler returns. Any other value counts as HF_RETRY. */
enum hf_outcome {
  /* HF_OK = 0: done */
  HF_RETRY = 1, /* failed; try again after the backoff, while attempts are left */
  HF_DEAD = 2,  /* failed for good: to the dead letters */
  HF_DEFER = 3, /* the world is not ready: again later, no attempt spent */
  HF_ASYNC = 4  /* not finished: hf_job_finish follows, from any thread */
};

/* Runs on a worker thread, or in hf_work. `job` lives until it returns, or, after HF_ASYNC, until hf_job_finish, which is
 * called once, even when the run no longer counts or the engine is closed. It must not be left by a C++
 * exception or longjmp. The timeout begins when the job is claimed: one that then still waits for a thread is handed back, no attempt spent. */
typedef int (*hf_handler_fn)(hf_job *job, void *user);

typedef struct hf_handler_options {
  size_t struct_size;
  int concurrency;    /* runs of this type at once, 1..10000; default: no limit of its own */
  int max_attempts;   /* default 5 */
  int64_t timeout_ms; /* default 5 min; -1: none. A C handler cannot be killed: at the timeout the run
                         counts as failed, hf_job_canceled becomes 1, a late result is refused */
  hf_backoff backoff;
  int64_t defer_ms;   /* pause after HF_DEFER, 1 ms..1 d; default 5 s */
  const char *sink;   /* default sink of its jobs */
  const char *callback, *failure_callback; /* of its jobs that name none */
  const char *rate_limit; /* how fast its runs may begin: "10/1m", "10/1m burst 3"; see docs/reference.md. Default: no limit */
  const char *throttle;   /* the same, spread: "10/1m" is one each 6 s */
  int64_t heartbeat_ms;   /* 100 ms..1 d, shorter than the timeout: a run from which nothing is heard for so long (hf_job_heartbeat,
                             hf_job_progress, hf_job_log, hf_job_checkpoint) ends as at its timeout. Default: no sign of life is needed */
  const char *when;       /* names of conditions (hf_condition), separated by commas: no run begins unless all of them are open */
  int64_t soft_timeout_ms; /* 100 ms..30 d, shorter than the timeout: hf_job_canceled becomes 2; the run may still end as it likes, and
                              what it returns counts. Default: none */
  int batch_max_jobs;      /* of hf_register_batch: so many jobs at once at most, 1..1000; default 100 */
  int64_t batch_max_bytes; /* ... and so many bytes of payload, 1..64 MiB; the first job goes however large it is; default: no limit of its own */
  int64_t batch_max_wait_ms; /* ... the oldest waits so long for company, 0..1 d; default 0 */
  /* How long a job whose attempt-th run failed waits for the next one, up to 30 d, in place of `backoff`; -1: as that says. What the run asks
   * for (hf_job_retry_after) goes before. Called within the engine's turn (see 7.): it returns at once and calls no other hf_ function. `backoff_user` lives until
   * hf_close. Registered again, the new one is asked, of earlier runs, too. */
  int64_t (*backoff_fn)(hf_job_id id, int attempt, const char *error, void *user);
  void *backoff_user;
} hf_handler_options;
#define HF_HANDLER_OPTIONS_INIT \
  {sizeof(hf_handler_options), 0, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Says what runs jobs of `type`; opts may be NULL. Registering again replaces, at any time; runs of the one
 * before end where they began, so its `user` must live until they have, at the latest until hf_close. */
HF_API int hf_register(hf_engine *engine, const char *type, hf_handler_fn handler, void *user,
                       const hf_handler_options *opts);

/* Jobs of one type that are run together. Runs on a worker thread, or in hf_work. Each may be ended by hf_job_finish, within the
 * function or later; what it returns is the outcome of those that were not (HF_ASYNC: they will be). `jobs` lives until it returns. */
typedef int (*hf_batch_fn)(hf_job *const *jobs, size_t n, void *user);
/* As hf_register, for a function that takes up to batch_max_jobs at once. A batch is one run for `concurrency` and for rates, and has
 * the timeout of its jobs; each job has its own attempts. */
HF_API int hf_register_batch(hf_engine *engine, const char *type, hf_batch_fn handler, void *user,
                             const hf_handler_options *opts);

/* Handlers on a thread of the program's own: for one that has no other thread, or whose handlers touch what only that thread may. With
 * `workers` HF_NO_WORKERS this is where all of them run; otherwise the thread helps those of the library. Waits up to timeout_ms
 * (0..HF_WORK_MAX_MS; 0: not at all; suspend is not counted) for a run, or batch, and calls its handler. The end of a run is recorded
 * before it returns, as far as nobody else is at that; that of a batch soon after. HF_OK: one was taken. HF_E_TIMEOUT: none came.
 * HF_E_STATE once hf_close began. Several threads may; not in a handler or callback (HF_E_THREAD).
 * What waits for a thread is a claimed job: its timeout runs, and at that it is handed back, no attempt spent; so does hf_stop. */
#define HF_WORK_MAX_MS 86400000
HF_API int hf_work(hf_engine *engine, int64_t timeout_ms);
/* For a program with a loop (poll, epoll, libuv, GLib): *fd is readable while a run waits: then hf_work(engine, 0), until HF_E_TIMEOUT
 * where the poll is edge-triggered. Only to be polled; the library's until hf_close. HF_E_IO: no descriptors left. */
HF_API int hf_work_fd(hf_engine *engine, int *fd);

/* The functions below take the hf_job of a handler, on any thread, while it lives. */
HF_API const void *hf_job_payload(hf_job *job, size_t *len);
HF_API hf_job_id hf_job_get_id(hf_job *job);
HF_API const char *hf_job_type(hf_job *job);
HF_API int hf_job_attempt(hf_job *job); /* 1 on the first run */
/* The idempotency key "<device>-<job key>": the same on every attempt, never the same for two jobs. */
HF_API const char *hf_job_key(hf_job *job);
/* The scheduled time, if a schedule made the job, else 0. */
HF_API int64_t hf_job_occurrence(hf_job *job);
/* Kept with the job, and delivered if it has a sink. The last call counts. HF_E_TOO_LARGE (max_payload). */
HF_API int hf_job_result(hf_job *job, const void *data, size_t len);
/* What went wrong, for a person; kept with a failed attempt; cut at HF_ERROR_TEXT_MAX. */
HF_API int hf_job_error(hf_job *job, const char *text);
/* percent 0..100, note may be NULL. Kept in memory. A sign of life. */
HF_API int hf_job_progress(hf_job *job, int percent, const char *note);
/* A sign of life, for heartbeat_ms. */
HF_API int hf_job_heartbeat(hf_job *job);
/* How far the work has got, for the next attempt if there is one: up to HF_CHECKPOINT_MAX bytes, in place of those before. In the file when
 * it returns: it outlives the process; a power cut may bring back the one before. Gone when the job is completed. A sign of life.
 * HF_E_TOO_LARGE, HF_E_STALE (the run no longer counts), HF_E_FULL, HF_E_READ_ONLY, HF_E_THREAD. */
HF_API int hf_job_checkpoint(hf_job *job, const void *data, size_t len);
/* What an earlier attempt left, or this one; NULL and *len = 0 if nothing. Valid until the next hf_job_checkpoint of this job. */
HF_API const void *hf_job_last_checkpoint(hf_job *job, size_t *len);
/* A line for a person, or some, of up to HF_LOG_LINE_MAX bytes each; longer ones are cut. Kept in memory, and with the attempt once it ends;
 * of all attempts the newest HF_JOB_LOG_MAX bytes are. A sign of life. HF_E_STALE. */
HF_API int hf_job_log(hf_job *job, const char *text);
/* 1 once the run should end: cancelled, timed out or stopping; 2 at its soft timeout. */
HF_API int hf_job_canceled(hf_job *job);
/* Delay before the next attempt or after HF_DEFER, in place of the backoff. 0..30 d. */
HF_API int hf_job_retry_after(hf_job *job, int64_t ms);
/* Enqueued in the transaction that records this job's success, and only if it succeeds. `out` takes the
 * id at once; no job has it if another one that holds its unique_key stands for it. This job itself does not, if it has no sink:
 * a job may make its own successor. At most 100 a run. */
HF_API int hf_job_enqueue(hf_job *job, const hf_job_spec *spec, hf_job_id *out);
/* Ends a run that returned HF_ASYNC (or will). HF_E_STALE if the run no longer counts. The hf_job is gone
 * when it returns. */
HF_API int hf_job_finish(hf_job *job, int outcome);

/* ---- schedules ----------------------------------------------------------------------------------- */

enum hf_catch_up { HF_CATCH_UP_ONCE = 0, HF_CATCH_UP_SKIP, HF_CATCH_UP_ALL };
enum hf_overlap { HF_OVERLAP_SKIP = 0, HF_OVERLAP_QUEUE, HF_OVERLAP_CANCEL };
enum hf_dst { HF_DST_VIXIE = 0, HF_DST_SKIP, HF_DST_BOTH };

/* What few schedules need. */
typedef struct hf_schedule_options {
  size_t struct_size;
  int dst;                     /* a fixed time that the zone skips, or that comes twice: once just after it, once; not at
                                  all, once; once just after it, twice */
  int64_t splay_ms;            /* all firings of this device are moved by one and the same part of it, 0..1 d */
  int64_t catch_up_window_ms;  /* what was missed longer ago is left out, 0..366 d; default 0: however long ago */
  int catch_up_max;            /* of HF_CATCH_UP_ALL: the latest so many, 1..1000; default 100 */
  int64_t start_unix_ms;       /* no firing before; default 0: none. Not with @every and @reboot */
  int64_t end_unix_ms;         /* no firing from then on; default 0: none. Not with @every and @reboot */
  int64_t limit;               /* it ends after so many firings, 1..10^9; default 0: never */
  int pause_after_failures;    /* it pauses itself after so many dead jobs in a row, 1..1000; default 0: never */
  int64_t slack_ms;            /* a firing may be so late, to share a wake-up with others, 0..1 d; default 0 */
} hf_schedule_options;
#define HF_SCHEDULE_OPTIONS_INIT {sizeof(hf_schedule_options), 0, 0, 0, 0, 0, 0, 0, 0, 0}

typedef struct hf_schedule_spec {
  size_t struct_size;
  const char *name;
  const char *cron;      /* "30 2 * * *", "@daily", "@every 90s", "@reboot"; see docs/reference.md */
  const char *time_zone; /* IANA name; default UTC */
  int64_t jitter_ms;     /* each firing is moved by a random part of it, 0..1 d */
  int catch_up;          /* firings missed while off or untrusted: one, none, or all (up to catch_up_max) */
  int overlap;           /* the job of the last firing is not finished: skip, queue one more, or cancel it */
  const hf_schedule_options *options; /* null: the defaults */
  hf_job_spec job;       /* what each firing enqueues; delay, at, after and unique_key must be unset */
} hf_schedule_spec;
#define HF_SCHEDULE_SPEC_INIT {sizeof(hf_schedule_spec), 0, 0, 0, 0, 0, 0, 0, HF_JOB_SPEC_INIT}

/* Makes or replaces it; an unchanged one keeps its next firing. HF_E_INVALID: hf_errmsg says where the
 * line is wrong and what is allowed. */
HF_API int hf_schedule_put(hf_engine *engine, const hf_schedule_spec *spec);
HF_API int hf_schedule_remove(hf_engine *engine, const char *name); /* HF_E_NOT_FOUND */

/* ---- events --------------------------------------------------------------------------------------- */

/* What starts a job when an event is emitted. It is the program's, as a handler is, and not in the file: subscribe at each start,
 * before hf_start. */
typedef struct hf_subscription_spec {
  size_t struct_size;
  const char *name;
  const char *event;      /* to which event: a name as a job's type is one, "door.opened" */
  const char *filter;     /* a JSON object, up to HF_FILTER_MAX fields: the event's payload is one too and has all of these at its top, with
                             equal values: text, number, true, false or null. Default: any payload, which then need not be JSON */
  const hf_job_spec *job; /* what is started; required. With payload NULL it has the event's payload. run_at and after must be unset. Without a
                             unique_key, unique_for_ms is how long an event's key counts */
} hf_subscription_spec;
#define HF_SUBSCRIPTION_SPEC_INIT {sizeof(hf_subscription_spec), 0, 0, 0, 0}

/* Replaces one of the same name. HF_E_INVALID (hf_errmsg names the field), HF_E_TOO_LARGE, HF_E_FULL (HF_SUBSCRIPTIONS_MAX). */
HF_API int hf_subscribe(hf_engine *engine, const hf_subscription_spec *spec);
HF_API int hf_unsubscribe(hf_engine *engine, const char *name); /* HF_E_NOT_FOUND. Jobs that it started stay */

typedef struct hf_emit_options {
  size_t struct_size;
  const char *key; /* up to HF_EVENT_KEY_MAX bytes: each subscription starts one job for it at most, until that has ended and 24 h, or its
                      unique_for_ms, are over. One with a unique_key goes by that instead */
} hf_emit_options;
#define HF_EMIT_OPTIONS_INIT {sizeof(hf_emit_options), 0}

/* Starts the jobs of all subscriptions to `event` whose filters match, in one transaction, all or none; durable when it returns. Any
 * thread. Nobody subscribed: HF_OK, and the event is gone. opts may be NULL. `n`: how many ids there is room for, and then how many jobs
 * there are; they are all started, also if there is room for fewer. ids, in the order of the subscriptions' names, and n may be NULL. An
 * id may be that of an earlier job, which the key or a unique_key stands for. Errors as of hf_enqueue; hf_errmsg names the subscription. */
HF_API int hf_emit(hf_engine *engine, const char *event, const void *payload, size_t len, const hf_emit_options *opts, hf_job_id *ids, size_t *n);

#ifdef __cplusplus
} /* extern "C" */
#endif

#include "holdfast_admin.h"

#endif /* HOLDFAST_H */
