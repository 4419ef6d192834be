/* Holdfast: rows and jobs in one commit.
 *
 * A program may keep tables of its own in the queue's file, and change them together with what it enqueues: both are
 * there after a power cut, or neither. hf_transact calls a function of the program with the connection, inside the engine's own
 * transaction; what the function does is kept when it returns HF_OK, and undone, it alone, when it returns anything else.
 *
 * SQLite is the one inside the library, which is of no use to the rest of the process: its functions are reached as an
 * extension reaches them, by the names that they always have.
 *
 *   #include <holdfast_sqlite.h>
 *   SQLITE_EXTENSION_INIT1                                 one file of the program; others have SQLITE_EXTENSION_INIT3
 *   ...
 *   SQLITE_EXTENSION_INIT2(hf_sqlite_api());               once, before the first of them is called
 *
 * A file that includes this calls that SQLite and no other. What is not there does not compile (below).
 */
#ifndef HOLDFAST_SQLITE_H
#define HOLDFAST_SQLITE_H

#include "holdfast.h"

#if defined(__has_include)
#if __has_include("holdfast/sqlite3ext.h")
#include "holdfast/sqlite3ext.h"
#else
#include <sqlite3ext.h> /* a build with the system's SQLite */
#endif
#else
#include "holdfast/sqlite3ext.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* SQLite's functions, for SQLITE_EXTENSION_INIT2. Any thread; valid as long as the library is loaded. NULL in a build without them
 * (docs/size.md). */
HF_API const sqlite3_api_routines *hf_sqlite_api(void);

typedef struct hf_transaction hf_transaction; /* valid while the function is called */

/* Called once, on the engine's thread, on which everything else waits for it: keep it short. 0 keeps what it did; any other
 * value undoes it, and is what hf_transact returns.
 *
 * Allowed are the program's own ordinary tables, indexes, views and triggers: CREATE, ALTER, DROP, SELECT, INSERT, UPDATE, DELETE,
 * savepoints, PRAGMA table_info and the like. Not allowed ("not authorized"; hf_errmsg says what): Holdfast's tables, names that begin
 * with hf_, BEGIN and COMMIT, ATTACH, other PRAGMAs, ANALYZE, temporary and virtual tables; WITHOUT ROWID, AUTOINCREMENT and
 * generated columns, whose rows could not be saved from a damaged file. "Text" in double quotes is a name, never a string.
 *
 * Where SQLite itself takes the whole transaction back (OR ROLLBACK, RAISE(ROLLBACK), an error of the disk), all further statements of the
 * function end with SQLITE_ABORT_ROLLBACK: nothing is ever committed by itself.
 *
 * Neither the connection nor a statement may be used after the function: each statement is to be finalized. Functions of
 * holdfast.h that wait for the engine return HF_E_THREAD from inside. Nothing may be thrown out of it. */
typedef int (*hf_transact_fn)(hf_transaction *transaction, sqlite3 *db, void *user);

typedef struct hf_transact_options {
  size_t struct_size;
  int64_t timeout_ms; /* of the function, 1..10000; default 1000. Then its statement ends with SQLITE_INTERRUPT, and all is undone */
  int read_only;      /* 1: nothing is written and nothing enqueued; also possible when the disk is full or read-only */
  int durability;     /* hf_durability: HF_DURABLE_SYNC waits for the disk, the others do not: a power cut may take it back, rows and jobs */
} hf_transact_options;
#define HF_TRANSACT_OPTIONS_INIT {sizeof(hf_transact_options), 0, 0, 0}

/* Rows and jobs are on the disk when it returns HF_OK. `opts` may be NULL. Any thread, also in a handler. What the function
 * returned; or, with nothing kept, HF_E_TIMEOUT; HF_E_STATE (a statement was left open, or took the whole transaction back);
 * HF_E_FULL (max_bytes, the disk, more than 200 objects); HF_E_INVALID (opts, a table that is not allowed); HF_E_BUSY;
 * HF_E_READ_ONLY; HF_E_IO; HF_E_THREAD. */
HF_API int hf_transact(hf_engine *engine, hf_transact_fn function, void *user, const hf_transact_options *opts);

/* As hf_enqueue, to be kept or undone with the rows. Inside the function alone. `out` may be NULL: the id, to be kept in a row,
 * say. HF_E_INVALID, HF_E_TOO_LARGE, HF_E_FULL (also beyond HF_TRANSACT_JOBS_MAX), HF_E_CONFLICT; HF_E_STATE with read_only.
 * hf_errmsg(NULL) is the detail. An error undoes nothing by itself: the function decides. `durability` of the job says nothing. */
HF_API int hf_transaction_enqueue(hf_transaction *transaction, const hf_job_spec *spec, hf_job_id *out);

#ifdef __cplusplus
}
#endif

/* These would outlive the function, or get around its rules. A call of one is refused by the compiler. */
#ifndef SQLITE_CORE
#undef sqlite3_auto_extension
#undef sqlite3_backup_init
#undef sqlite3_blob_open
#undef sqlite3_busy_handler
#undef sqlite3_busy_timeout
#undef sqlite3_close
#undef sqlite3_close_v2
#undef sqlite3_collation_needed
#undef sqlite3_commit_hook
#undef sqlite3_create_collation
#undef sqlite3_create_collation_v2
#undef sqlite3_create_function
#undef sqlite3_create_function_v2
#undef sqlite3_create_module
#undef sqlite3_create_module_v2
#undef sqlite3_create_window_function
#undef sqlite3_db_config
#undef sqlite3_deserialize
#undef sqlite3_file_control
#undef sqlite3_get_table
#undef sqlite3_limit
#undef sqlite3_next_stmt
#undef sqlite3_open
#undef sqlite3_open_v2
#undef sqlite3_prepare16
#undef sqlite3_prepare16_v2
#undef sqlite3_prepare16_v3
#undef sqlite3_progress_handler
#undef sqlite3_rollback_hook
#undef sqlite3_serialize
#undef sqlite3_set_authorizer
#undef sqlite3_trace_v2
#undef sqlite3_update_hook
#undef sqlite3_vfs_register
#undef sqlite3_wal_autocheckpoint
#undef sqlite3_wal_checkpoint
#undef sqlite3_wal_checkpoint_v2
#undef sqlite3_wal_hook
#define sqlite3_auto_extension not_in_hf_transact->auto_extension
#define sqlite3_backup_init not_in_hf_transact->backup_init
#define sqlite3_blob_open not_in_hf_transact->blob_open
#define sqlite3_busy_handler not_in_hf_transact->busy_handler
#define sqlite3_busy_timeout not_in_hf_transact->busy_timeout
#define sqlite3_close not_in_hf_transact->close
#define sqlite3_close_v2 not_in_hf_transact->close_v2
#define sqlite3_collation_needed not_in_hf_transact->collation_needed
#define sqlite3_commit_hook not_in_hf_transact->commit_hook
#define sqlite3_create_collation not_in_hf_transact->create_collation
#define sqlite3_create_collation_v2 not_in_hf_transact->create_collation_v2
#define sqlite3_create_function not_in_hf_transact->create_function
#define sqlite3_create_function_v2 not_in_hf_transact->create_function_v2
#define sqlite3_create_module not_in_hf_transact->create_module
#define sqlite3_create_module_v2 not_in_hf_transact->create_module_v2
#define sqlite3_create_window_function not_in_hf_transact->create_window_function
#define sqlite3_db_config not_in_hf_transact->db_config
#define sqlite3_deserialize not_in_hf_transact->deserialize
#define sqlite3_file_control not_in_hf_transact->file_control
#define sqlite3_get_table not_in_hf_transact->get_table
#define sqlite3_limit not_in_hf_transact->limit
#define sqlite3_next_stmt not_in_hf_transact->next_stmt
#define sqlite3_open not_in_hf_transact->open
#define sqlite3_open_v2 not_in_hf_transact->open_v2
#define sqlite3_prepare16 not_in_hf_transact->prepare16
#define sqlite3_prepare16_v2 not_in_hf_transact->prepare16_v2
#define sqlite3_prepare16_v3 not_in_hf_transact->prepare16_v3
#define sqlite3_progress_handler not_in_hf_transact->progress_handler
#define sqlite3_rollback_hook not_in_hf_transact->rollback_hook
#define sqlite3_serialize not_in_hf_transact->serialize
#define sqlite3_set_authorizer not_in_hf_transact->set_authorizer
#define sqlite3_trace_v2 not_in_hf_transact->trace_v2
#define sqlite3_update_hook not_in_hf_transact->update_hook
#define sqlite3_vfs_register not_in_hf_transact->vfs_register
#define sqlite3_wal_autocheckpoint not_in_hf_transact->wal_autocheckpoint
#define sqlite3_wal_checkpoint not_in_hf_transact->wal_checkpoint
#define sqlite3_wal_checkpoint_v2 not_in_hf_transact->wal_checkpoint_v2
#define sqlite3_wal_hook not_in_hf_transact->wal_hook
#endif

#endif
