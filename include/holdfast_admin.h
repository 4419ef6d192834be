/* Holdfast: queues, the clock, the link, conditions, figures, administration. Part of holdfast.h, which includes it and states the
 * conventions.
 */
#ifndef HOLDFAST_ADMIN_H
#define HOLDFAST_ADMIN_H

#include "holdfast.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- queues --------------------------------------------------------------------------------------- */

/* Kept in the file. Jobs that run go on; nothing is claimed. A queue may be paused before its first job. */
HF_API int hf_pause(hf_engine *engine, const char *queue);
/* The same; it says why (as `why` tells it; null: nothing) and ends by itself after so much elapsed time, 1 ms..366 d, which no
 * step of the wall clock changes and which goes on over reboots; 0: when it is resumed. What a pause before said is replaced. */
HF_API int hf_pause_for(hf_engine *engine, const char *queue, const char *reason, int64_t for_ms);
HF_API int hf_resume(hf_engine *engine, const char *queue);

/* Which job of one priority goes first: the one that is due longest, or the newest. */
enum hf_queue_order { HF_ORDER_DEFAULT = 0, HF_ORDER_FIFO, HF_ORDER_LIFO };

/* What is not set comes from the configuration (hf_load_config), else from the defaults. */
typedef struct hf_queue_settings {
  size_t struct_size;
  int concurrency;       /* runs at once, 1..10000; default: no limit of its own */
  int64_t slack_ms;      /* its delayed jobs and retries may run so late, to share a wake-up with others, 1..1 d; -1: not at all */
  const char *windows;   /* when it is open, by the trusted wall clock: "22:00-06:00; sat,sun 00:00-24:00"; see
                            docs/reference.md. "": always. Default: always */
  const char *time_zone; /* of the windows: IANA name; default UTC */
  const char *rate_limit, *throttle; /* as of a handler; "off": none */
  const char *key_rate_limit, *key_throttle; /* the same, of its jobs with one concurrency_key */
  int64_t aging_ms;      /* the wait that is worth a point of priority, so that none waits for ever, 1..366 d; default 1 min;
                            -1: none is */
  int key_concurrency;   /* runs at once with one concurrency_key, 1..10000; default 1 */
  int order;             /* hf_queue_order; default HF_ORDER_FIFO */
  int fair;              /* 1: its concurrency keys take turns; -1: they do not, which is the default */
  const char *when;      /* conditions, as of a handler; "": none */
  int64_t max_pending;   /* jobs that wait in it, 1..10^9; -1: no limit of its own, which is the default */
  int when_full;         /* hf_when_full: at max_pending, with which it is said; default: new jobs are refused */
  const char *enqueue_limit, *key_enqueue_limit; /* how fast jobs may come in, in all and with one concurrency_key: "10/1m burst 3";
                            one more is refused, HF_E_RATE; "off": none, the default */
  const char *retry_budget; /* how many of its runs that failed are tried again: "60/1h"; others wait for their turn; "off": none, the default */
  int64_t keep_completed_ms; /* retention of its jobs, as of hf_options; up to 100 years; -1: delete at once; default: as of the file */
  int64_t keep_dead_ms;      /* the same; one of these four may be set of at most 64 queues */
  int64_t keep_completed_count; /* the newest so many of its completed jobs are kept, and of its cancelled ones, 1..10^9; the file's holds, too */
  int64_t keep_dead_count;
} hf_queue_settings;
#define HF_QUEUE_SETTINGS_INIT {sizeof(hf_queue_settings), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Replaces what was set before; kept in the file, as by `holdfast queue set`. HF_E_INVALID: hf_errmsg says what is wrong
 * and what is allowed. */
HF_API int hf_queue_set(hf_engine *engine, const char *queue, const hf_queue_settings *settings);

/* The program knows that the wall clock is right now (from a GPS receiver, a cell network), as `holdfast clock confirm`. It is
 * trusted until somebody sets it again. HF_E_CONFLICT: it lies before the floor. */
HF_API int hf_clock_confirm(hf_engine *engine);

/* Any thread but those of callbacks. A network came up: sinks and handlers that wait for theirs try it within their splay
 * (5 s unless configured). Holdfast sees new addresses and routes by itself; this is for links that it cannot see. */
HF_API int hf_link_up(hf_engine *engine);

/* Any thread but those of callbacks. Says which link there is: "metered", "unmetered", or another one that has a budget in the
 * configuration ("link.budgets"); what goes out is charged to its budget. Kept in the file, until somebody says otherwise. NULL: as the
 * configuration says. HF_E_INVALID: there is no such link. */
HF_API int hf_link_set(hf_engine *engine, const char *name);

/* Whether a condition is open: 1; 0: closed. It may write why, for a person, with its NUL. On a thread of the library's; it may block. */
typedef int (*hf_condition_fn)(void *user, char *why, size_t why_size);
typedef struct hf_condition_options {
  size_t struct_size;
  int64_t every_ms;   /* an answer counts for so long, 1 s..1 d; default 30 s */
  int64_t timeout_ms; /* later it counts as closed, and is not called again before it has returned; 100 ms..1 min; default 5 s */
  int initially_open; /* of one that is told: 1: open until it is told otherwise; default: closed */
} hf_condition_options;
#define HF_CONDITION_OPTIONS_INIT {sizeof(hf_condition_options), 0, 0, 0}
/* Makes a condition, or replaces it: docs/conditions.md. The function is called when a job waits for nothing else; `user` must live until
 * hf_close, or until a call that hangs has returned. NULL: it is told. At most 64. Not in the file. opts may be NULL. */
HF_API int hf_condition(hf_engine *engine, const char *name, hf_condition_fn function, void *user, const hf_condition_options *opts);
HF_API int hf_condition_remove(hf_engine *engine, const char *name);
/* Tells one that is told: open (1) or closed (0), for_ms long (1 ms..366 d), or, 0, until it is told otherwise. why: up to
 * HF_REASON_MAX bytes, or NULL. HF_E_TOO_LARGE, HF_E_NOT_FOUND; HF_E_CONFLICT: it has a function, or goes by the link. */
HF_API int hf_condition_tell(hf_engine *engine, const char *name, int open, const char *why, int64_t for_ms);

/* Any thread but those of callbacks. Jobs run again at once and the crashes are forgotten, if nothing runs because of
 * them (hf_options.crash_loop); else it does nothing. */
HF_API int hf_end_safe_mode(hf_engine *engine);

typedef struct hf_stats_info {
  size_t struct_size;
  int64_t pending, running, completed, dead, cancelled; /* jobs in the file now */
  int64_t enqueued_total, completed_total, failed_total, retried_total, dead_total,
      deferred_total; /* since hf_open */
  int64_t commits_total, syncs_total;
  int64_t file_bytes;
  int clock_trusted; /* 1: wall-clock work goes on */
  int64_t safe_mode_left_ms; /* so long nothing runs, after repeated crashes (hf_options.crash_loop); 0: it is not on */
  int disk_full;     /* 0: no; 1: nothing is added and nothing but deliveries runs, the rest works; 2: there is no room
                        even for that, and jobs can only be read; 3: the same, as the file system is read-only */
  int64_t flash_day_bytes, flash_total_bytes; /* written to the file and its log: in the last 24 h (up to 25), since it was made */
  int64_t flash_budget;    /* hf_options.flash_budget, used up if flash_day_bytes is no less; 0: there is none */
  int64_t flash_gather_ms; /* so long jobs are gathered, to save it; 0: they are not */
} hf_stats_info;
#define HF_STATS_INFO_INIT {sizeof(hf_stats_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
HF_API int hf_stats(hf_engine *engine, hf_stats_info *out);

/* Figures as the admin API gives them at /v1/stats, as JSON; release with hf_free. */
HF_API int hf_stats_json(hf_engine *engine, char **out);

typedef struct hf_serve_options {
  size_t struct_size;
  const char *group;  /* members may act like the daemon's own user; default: none */
  int max_clients;    /* connections at once, 1..1024; default 64 */
  int open_view;      /* 1: any local user may view, without payloads */
} hf_serve_options;
#define HF_SERVE_OPTIONS_INIT {sizeof(hf_serve_options), 0, 0, 0}
/* Serves the admin API on a Unix socket until hf_close; after hf_start. HF_E_INVALID (path longer than
 * 107 bytes), HF_E_CONFLICT (a live server is there), HF_E_NOT_FOUND (no such folder or group), HF_E_IO. */
HF_API int hf_serve(hf_engine *engine, const char *socket_path, const hf_serve_options *opts);

/* Handlers, sinks, queues, schedules, limits and retention from a configuration file
 * (docs/reference.md), in any host program. Calling it again applies the difference; if the file is bad
 * nothing changes: HF_E_INVALID, and hf_errmsg says where and what is allowed. */
HF_API int hf_load_config(hf_engine *engine, const char *file);

/* Any thread. The wall-clock time at which the next work is due, for boards that sleep and set an RTC
 * alarm; -1 if none is. What only tidies up (retention) does not count. */
HF_API int hf_next_wake(hf_engine *engine, int64_t *unix_ms);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* HOLDFAST_ADMIN_H */
