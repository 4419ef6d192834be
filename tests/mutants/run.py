#!/usr/bin/env python3
"""Plants bugs, one at a time, in a copy of the source, and sees the suite catch each: a test that cannot fail is none.

  run.py BUILD [--only NAME] [--jobs N]    builds and runs; a table, status 1 if a bug survives
  run.py --check                           only: each bug still has its place in the source

Each bug is one replacement of text that stands once in its file. The programs named with it are run in order, until one
fails.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]

# What may catch a bug: (target, its arguments).
CORE = ("core/core_tests",)
SIM = ("sim/sim", "--seeds", "400")
ROWS = ("sim/sim", "rows", "--seeds", "40", "--jobs", "200")
CUTS = ("sim/sim", "cuts", "--jobs", "40", "--every", "3")
PLATFORM = ("platform/platform_tests",)
API = ("api/api_tests",)
HANDLERS = ("handlers/handlers_tests",)

# name, what is wrong, file, text, what stands there in its place, who may catch it
BUGS = [
    ("answer-before-commit", "acknowledged though the commit failed", "core/engine.cpp",
     "bool committed = store->ok() && store->commit();", "(void)store->commit();\n  bool committed = true;", (SIM, CORE)),
    ("no-sync", "an enqueue does not wait for the disk", "core/request_kinds.cpp",
     "return waits_for_disk(s.durability); }", "return waits_for_disk(s.durability) && false; }", (CUTS, CORE)),
    ("end-not-synced", "the end of a run does not wait for the disk where its job asks for it", "core/engine.cpp",
     "return waits_for_disk(*r) || (ended != nullptr && jobs.end_is_synced(*ended));", "return waits_for_disk(*r) || (ended != nullptr && false);", (CORE, SIM)),
    ("left-out-of-the-index", "a job that runs while many ids are taken is in no index for ever", "core/store.cpp",
     "  sql_->index_recent.bind(recent_committed_).bind(recent_from_).run();\n", "", (CORE,)),
    ("index-taken-back", "what a transaction took back is not put into the index again", "core/store.cpp",
     "  sql_->index_recent.bind(recent_committed_).bind(recent_from_).run();", "  sql_->index_recent.bind(recent_committed_).bind(recent_from_).run();\n  recent_committed_ = recent_from_;", (CORE,)),
    ("recent-not-recovered", "a job that ran at a kill, and is in no index, is not put back", "core/store.cpp",
     "kRecentIds + 1, kLargestId) - kRecentIds;\n", "kRecentIds + 1, kLargestId);\n", (CORE, SIM)),
    ("gathered-unseen", "rows that were gathered are not written before another statement looks for them", "core/sqlite.cpp",
     "  if (!stepping_) db_.settle();\n", "", (CORE,)),
    ("goes-on-after-a-failure", "a statement runs though what was gathered before it could not be written", "core/sqlite.cpp",
     "  if (!db_.ok()) return false;  // what failed may have ended the transaction\n", "", (CORE,)),
    ("neighbours-leave-too", "a range of ids is deleted across a gap", "core/gathered_rows.cpp",
     "removes_[next] - removes_[next - 1] <= 1", "removes_[next] - removes_[next - 1] <= 2", (CORE, SIM)),
    ("gathered-kept", "rows of a transaction that was taken back come with the next one", "core/store.cpp",
     "  rows_->drop();\n  brief_->rollback();\n  db_->rollback();", "  brief_->rollback();\n  db_->rollback();", (CORE, SIM)),
    ("brief-not-taken-back", "after a turn that failed jobs are looked for where they are not", "core/brief_rows.cpp",
     "  for (const JobId id : went_) ids_.insert(std::lower_bound(ids_.begin(), ids_.end(), id), id);\n", "", (CORE, SIM)),
    ("all-leave", "what runs is deleted with what ended", "core/brief_rows.h",
     "rows_.write(ids_.size() == rows_.inserts())", "rows_.write(true)", (CORE, SIM)),
    ("in-both-tables", "a job that moves to the other table stays in the first", "core/brief_rows.cpp",
     "bind(state).run();\n  remove(id);", "bind(state).run();\n  went_.push_back(id);\n  erase(id);", (CORE, SIM)),
    ("sleep-not-shortened", "the engine thread does not learn when a turn on another thread wants it", "platform/host_engine.cpp",
     "    wait->arm(next_boot, next_wall);\n", "", (API,)),
    ("one-thread-for-all", "of the runs of a turn all wait for one thread", "platform/host_engine.cpp",
     "(void)guarded([&] { runner->started(); });", "", (API,)),
    ("long-payload-stays", "the payload of a job that is deleted at its end stays", "core/dispatcher.cpp",
     "run.inlined = !lane.delivery() && bytes <= kBodyInlineMax;", "run.inlined = true;", (CORE,)),
    ("cancel-not-durable", "a cancel does not wait for the disk", "core/request_kinds.cpp",
     "return is_one_of<Cancel, ", "return is_one_of<", (CUTS, SIM, CORE)),
    ("callback-not-of-a-quarantine", "nobody is told of a job that was quarantined", "core/recovery.cpp",
     "  if (is_final(end.state)) ended(id, lane, opts, end.state);\n", "", (CORE, SIM)),
    ("followers-forgotten", "who waits for a job that another call enqueued is not written in its row", "core/follow.cpp",
     "    turn_.store.set_opts(other, encode_opts(opts));\n    of->after", "    of->after", (CORE, SIM)),
    ("doomed-forgotten", "who ends next for one that did not complete is forgotten when the process ends", "core/follow.cpp",
     "  turn_.store.set_meta_text(kMetaDoomed, ids);\n", "", (CORE,)),
    ("follower-of-a-dead-one", "one that waits runs also if the other did not complete", "core/follow.cpp",
     "const bool fails = !one.completed && !opts.after_run;", "const bool fails = false && !one.completed;", (CORE, SIM)),
    ("follower-of-the-first", "one that waits for several runs when the first of them has ended", "core/follow.cpp",
     "std::erase(opts.after, one.id);", "opts.after.clear();", (CORE, SIM)),
    ("grouped-never-synced", "what is grouped waits for somebody else's sync", "core/engine.cpp",
     "  else if (grouped) grouped_by_boot_ms = ", "  else if (false && grouped) grouped_by_boot_ms = ", (CORE,)),
    ("flash-uncounted", "what a checkpoint writes to the file is not counted", "core/write_count.cpp",
     "    written_.watch(WriteCount::database, database);\n", "", (CORE,)),
    ("flash-budget-of-sync", "what waits for the disk is put off to save flash", "core/request_kinds.cpp",
     "is_one_of<Enqueue, RunEnded>(r) && !waits_for_disk(r);", "is_one_of<Enqueue, RunEnded>(r);", (CORE,)),
    ("awaited-gives-way", "a job gives way to one that waits for it", "core/quota.cpp",
     "    in.stay.insert(s->after.begin(), s->after.end());\n", "", (CORE, SIM)),
    ("successor-without-key", "the job that waits for the run with its key does not take it over", "core/follow.cpp",
     "  turn_.store.set_unique(id, opts->unique_key);\n  return true;", "  return true;", (CORE, SIM)),
    ("chain-without-end", "callbacks start jobs for ever", "core/callbacks.cpp",
     "return opts.chain >= HF_CHAIN_MAX && starts_job(its) ? kNone : its;", "return its;", (CORE,)),
    ("callback-number-not-kept", "a number that an opening gave is not kept", "core/engine.cpp",
     "    sequences.save();\n  }\n  if (!store->commit())", "  }\n  if (!store->commit())", (CORE,)),
    ("callback-of-a-delivery-lost", "the handler's callback is not looked for on the second leg", "core/callbacks.cpp",
     "(lane.delivery() ? lane.origin : &lane)->type;", "lane.type;", (CORE,)),
    ("failed-sync-forgotten", "what a failed sync may have lost is not written again", "core/sqlite.cpp",
     "return (*opened)->write_again(safe == 0 ? 0 : end_of(safe), end_of(end.frames));",
     "return end_of(safe) < 0 ? ok_status() : ok_status();", (SIM, CORE)),
    ("safe-log-in-danger", "what is safe of the log is written again, where a power cut may spoil it", "core/sqlite.cpp",
     "options.log_safe.generation == end.generation ? options.log_safe.frames : 0;", "0;", (CORE,)),
    ("half-a-frame-safe", "a frame of which only the header was written counts as one that is safe", "core/sqlite.cpp",
     " || sum != wal::sum_in_frame(frame)) break;", ") break;", (CORE, SIM)),
    ("no-fence", "the end of an older run counts", "core/jobs.cpp",
     "return run != nullptr && run->attempt == e.attempt && (e.run == 0 || run->batch == e.run) ? run : nullptr;", "return run;", (SIM, CORE)),
    ("waiting-end-overtaken", "an end that waits for room is overtaken by its timeout", "core/jobs.cpp",
     "turn_.running.forget_deadline(*run);\n  if (!run->stop)", "if (!run->stop)", (CORE,)),
    ("failed-function-kept", "the rows of a function that failed are kept", "core/guest.cpp",
     "if (!done) db_.exec(\"ROLLBACK TO holdfast\");", "", (CORE, ROWS)),
    ("guest-goes-on-alone", "after its transaction was taken back, what a function does is committed by itself", "core/guest.cpp",
     "!= 0 ? SQLITE_ABORT_ROLLBACK : SQLITE_OK;", "< 0 ? SQLITE_ABORT_ROLLBACK : SQLITE_OK;", (CORE, ROWS)),
    ("promises-kept", "the jobs of a function that failed go in with those of the next", "core/engine.cpp",
     "  jobs.break_promises();\n", "", (CORE, ROWS)),
    ("ids-not-set-aside", "ids that were set aside are not, when SQLite takes the transaction back", "core/engine.cpp",
     "if (guest.all_undone() && wrote_ids) jobs.save_ids();", "(void)wrote_ids;", (CORE, ROWS)),
    ("table-not-synced", "a commit that only made a table does not wait for the disk", "core/guest.cpp",
     "if (done && schema_changed_) db_.schema_changed();", "", (CORE, ROWS)),
    ("guest-reads-jobs", "a program's function reads the queue's tables", "core/guest.cpp",
     "return is_schema_table(name(a)) ? SQLITE_OK : theirs(a, \"reading\");", "return SQLITE_OK;", (CORE,)),
    ("condition-for-ever", "an answer about a condition counts for ever", "core/conditions.cpp",
     "answer.until_ms = now_ms + c.spec.every_ms;", "", (SIM, CORE)),
    ("condition-wakes-nobody", "an answer about a condition brings no queue back", "core/dispatcher.cpp",
     "if (!turn_.conditions.changed() && turn_.now_ms < held_until_ms_) return;", "if (turn_.now_ms < held_until_ms_) return;", (CORE, SIM)),
    ("condition-not-asked-again", "a closed condition is not asked again by itself", "core/conditions.cpp",
     "return {false, looks_again_ms(c, now_ms)};", "return {false, kNever};", (CORE, SIM)),
    ("handler-without-conditions", "a handler begins runs whatever its conditions are", "core/dispatcher.cpp",
     "lane != nullptr && !conditions_open(group->runner->spec.when, condition_wake_ms_)", "false", (SIM, CORE)),
    ("event-key-forgotten", "the key of an event starts jobs again", "core/events.cpp",
     "spec.unique_key = subscription.name", "spec.tags += subscription.name", (CORE, SIM)),
    ("rate-forgotten", "how fast runs began is not kept over the end of the process", "core/rate.cpp",
     "store_.set_meta((gates->key + what).c_str(), gate->full_ms());", "{}", (SIM, CORE)),
    ("rate-too-fast", "a bucket holds one run more than it should", "core/rate.cpp",
     "(rate_.burst - runs) * rate_.per_ms;", "(rate_.burst - runs + 1) * rate_.per_ms;", (SIM, CORE)),
    ("slot-wakes-nobody", "a queue whose slot is free again is not asked", "core/lanes.cpp",
     "if (!had_slot) join(*lane.queue);", "(void)had_slot;", (CORE, SIM)),
    ("runner-wakes-nobody", "who waits for a handler is not asked when it is open again", "core/lanes.cpp",
     "if (!group.places.empty()) join(*group.queue);", "", (CORE, SIM)),
    ("key-one-too-many", "one more of a key runs than its queue allows", "core/lanes.h",
     "in_key->running < queue->key_concurrency()", "in_key->running <= queue->key_concurrency()", (CORE, SIM)),
    ("key-turns-forgotten", "fair: a key keeps its turn", "core/lanes.cpp",
     "key.turn = ++turns_;", "++turns_;", (CORE,)),
    ("aging-of-nothing", "a wait is worth nothing across levels", "core/store.h",
     "{e.due_ms + e.nprio * order.aging_ms, e.nprio, e.id}", "{e.nprio, e.due_ms, e.id}", (CORE,)),
    ("gives-up-without-bound", "a claim ends all jobs whose attempts are used up in one turn", "core/dispatcher.cpp",
     "--give_up_left_;", "", (CORE,)),
    ("run-numbers-reused", "two runs with one number over a reopening", "core/engine.cpp",
     "running.number_from(static_cast<uint64_t>(opens) << 32);", "", (SIM, CORE)),
    ("ids-reused", "the block of ids is not kept", "core/enqueue.cpp",
     'turn_.store.reserve_ids(reserved_until_);', "", (SIM, CORE)),
    ("ids-not-durable", "a block of ids can be taken back by a power cut", "core/enqueue.cpp",
     "turn_.out->must_sync = true;", "", (CUTS, SIM, CORE)),
    ("jitter-before-cap", "jitter goes beyond the longest wait", "core/backoff.cpp",
     "random.between(delay - part, std::min(delay + part, backoff.max_ms))", "random.between(delay - part, delay + part)", (CORE,)),
    ("two-transactions", "the result in one transaction, its delivery in another", "core/jobs.cpp",
     "// The second leg of the same row, in this very transaction: a result is never without its delivery.\n",
     "EndOfRun first = end;\n    first.state = State::completed;\n    first.finished_ms = turn_.now_ms;\n    turn_.store.end_run(first);\n"
     "    turn_.store.commit();\n    turn_.store.begin(true);\n", (CUTS, SIM, CORE)),
    ("result-lost", "the delivery leg has no result", "core/jobs.cpp",
     "end.keep_unique = true;\n    end.set_result = true;\n    end.result = how.result;", "end.keep_unique = true;\n    end.set_result = true;", (SIM, CORE)),
    ("attempt-not-in-claim", "the attempt is counted at the end, not in the claim", "core/dispatcher.cpp",
     "turn_.store.set_running(run.id, run.attempt);", "turn_.store.set_running(run.id, run.attempt - 1);", (SIM, CORE)),
    ("one-attempt-more", "a job is tried once more than it may be", "core/jobs.cpp",
     "if (permanent || run.attempt >= policy.max_attempts) {", "if (permanent || run.attempt > policy.max_attempts) {", (SIM, CORE)),
    ("retry-too-early", "a retry waits half as long as it says", "core/jobs.cpp",
     "put_back(run, {retry_ms(*run.lane->queue, wait), run.attempt, outcome, error, Change::retried});",
     "put_back(run, {retry_ms(*run.lane->queue, wait / 2), run.attempt, outcome, error, Change::retried});\n"
     "  turn_.out->feed.back().wait_ms = wait;", (SIM, CORE)),
    ("elapsed-by-the-wall", "elapsed time goes with a wall clock that is set", "core/timekeeper.cpp",
     "turn_.now_ms = base_ms_ + now.boot_ms;", "turn_.now_ms = base_ms_ + now.boot_ms + (last_offset_ms_ ? offset() - *last_offset_ms_ : 0);", (SIM, CORE)),
    ("window-without-a-clock", "a queue with windows opens by a clock that is not trusted", "core/window.cpp",
     "} else if (!wall_trusted || !waiting_.empty()) {", "} else if ((!wall_trusted && false) || !waiting_.empty()) {", (CORE,)),
    ("slack-too-long", "a wake-up waits longer than the slack of what is due", "core/due_order.h",
     "kNever : wake_.begin()->first; }", "kNever : wake_.begin()->first + 1; }", (CORE,)),
    ("zone-change-unheard", "firings go by the old rules of a zone that has changed", "core/scheduler.cpp",
     "if (zones_version_ == zones_.version()) return;", "return;", (CORE,)),
    ("stop-spends-an-attempt", "a run that a shutdown hands back spends its attempt", "core/jobs.cpp",
     "} else {\n      put_back(run, {run.due_ms, run.attempt - 1, nullptr, \"\", Change::handed_back});",
     "} else {\n      put_back(run, {run.due_ms, run.attempt, nullptr, \"\", Change::handed_back});", (SIM, CORE)),
    ("firing-not-kept", "a firing and its schedule's next time are not one transaction", "core/scheduler.cpp",
     "fire_one(entry);\n    arm(entry);\n    save(entry);", "fire_one(entry);\n    arm(entry);", (CORE, SIM)),
    ("time-stands-still", "elapsed time is lost over a restart of the process", "core/timekeeper.cpp",
     "elapsed = std::max(elapsed, saved_elapsed + now.boot_ms - saved_boot);", "(void)saved_boot;", (CORE,)),
    ("self-made-floor", "a clock that nobody has called right makes every earlier time untrusted", "core/timekeeper.cpp",
     "if (now_.synced && now_.wall_ms >", "if (now_.wall_ms >", (CORE,)),
    ("no-timeout", "a run that hangs is not ended", "core/jobs.cpp",
     "while (turn_.running.next_deadline_ms() <= turn_.now_ms) {", "while (turn_.running.next_deadline_ms() <= turn_.now_ms - 86400000) {", (CORE,)),
    ("key-forgotten", "retention deletes a job whose unique key is still held", "core/retention.cpp",
     "until > turn_.now_ms) {", "until > turn_.now_ms + 36500LL * 86400000) {", (CORE,)),
    ("sequence-not-durable", "a number that a power cut takes back is given to another result", "core/dispatcher.cpp",
     "turn_.out->must_sync = true;  // a number that was sent is never given again", "", (SIM, CORE)),
    ("charge-not-durable", "a charge that a power cut takes back is spent twice", "core/dispatcher.cpp",
     "if (run.charge.lasting) turn_.out->must_sync = true;", "", (CORE,)),
    ("short-day", "a day of a budget is an hour too short", "core/budget.h",
     "slot.number > now - static_cast<int64_t>(kSlots); }", "slot.number > now - static_cast<int64_t>(kSlots) + 2; }", (CORE,)),
    ("loss-untold", "a job that expires is not in the loss ledger", "core/jobs.cpp",
     "if (change == Change::expired) turn_.losses.add(LossCause::expired, lane.queue->name, turn_.now_ms);", "", (CORE,)),
    ("displaced-untold", "a job that gives way is not in the loss ledger", "core/quota.cpp",
     "turn_.losses.add(LossCause::displaced, lane.queue->name, turn_.now_ms);", "", (CORE, SIM)),
    ("front-is-blind", "what comes in or back in front of those that are known is not seen", "core/lanes.cpp",
     "front->came(-entry.nprio, entry.id);", "(void)front;", (CORE,)),
    ("no-place-kept", "what a transaction was promised is given to others", "core/quota.cpp",
     "queue.pending + ahead + n - most;", "queue.pending + n - most;", (CORE,)),
    ("too-many-wait", "one more than max_pending may wait", "core/quota.cpp",
     "if (over <= 0) return ok_status();\n  const std::string limit", "if (over <= 1) return ok_status();\n  const std::string limit", (SIM, CORE)),
    ("refusal-is-success", "a server that cannot take a result counts as one that has it", "handlers/http_outcome.cpp",
     "if (status >= 200 && status < 300) return Outcome::done;", "if (status >= 200 && status < 600) return Outcome::done;", (HANDLERS,)),
    ("range-before-its-exception", "a code that is listed by itself means what a range around it does", "handlers/outcome_rules.cpp",
     "{&numbers_, &ranges_}", "{&ranges_, &numbers_}", (HANDLERS,)),
    ("any-certificate", "a certificate of an unknown authority is taken", "platform/net/tls_context.cpp",
     "verifies_ ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_OPTIONAL", "MBEDTLS_SSL_VERIFY_OPTIONAL", (PLATFORM,)),
    ("any-key", "a chain without a pinned key is taken", "platform/net/tls_verify.cpp",
     "  *flags |= MBEDTLS_X509_BADCERT_OTHER;\n", "", (PLATFORM,)),
    ("any-name", "a certificate of another host is taken", "platform/net/tls_session.cpp",
     "mbedtls_ssl_set_hostname(ssl, host_is_ip ? nullptr : host.c_str())", "mbedtls_ssl_set_hostname(ssl, nullptr)", (PLATFORM,)),
]


def fits(bug):
    name, _, file, text, _, _ = bug
    count = (SOURCE / file).read_text().count(text)
    if count != 1:
        print(f"{name}: its text stands {count} times in {file}, not once")
    return count == 1


class Mutants:
    def __init__(self, build, jobs):
        self.base = pathlib.Path(build).resolve() / "mutants"
        self.source, self.build, self.jobs = self.base / "source", self.base / "build", jobs
        files = subprocess.check_output(["git", "ls-files", "-z"], cwd=SOURCE, text=True).split("\0")
        files = {file for file in files if file and (SOURCE / file).is_file()}
        for old in self.source.rglob("*"):
            if old.is_file() and str(old.relative_to(self.source)) not in files:
                old.unlink()
        for file in files:
            copy, sound = self.source / file, (SOURCE / file).read_bytes()
            # What is the same stays: its time says whether it was built since the last bug in it.
            if not copy.is_file() or copy.read_bytes() != sound:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(sound)
                shutil.copymode(SOURCE / file, copy)
        self.quiet("cmake", "--preset", "release", "-B", str(self.build))

    def quiet(self, *argv):
        done = subprocess.run(argv, cwd=self.source, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(argv)}\n{done.stdout[-4000:]}{done.stderr[-2000:]}")

    def caught_by(self, programs):
        """Who fails and by what, or None."""
        for name, *arguments in programs:
            self.quiet("cmake", "--build", str(self.build), "-j", str(self.jobs), "--target", name.split("/")[1])
            try:
                done = subprocess.run([self.build / "tests" / name, *arguments], capture_output=True, text=True, errors="replace", timeout=900)
            except subprocess.TimeoutExpired:
                return f"{name.split('/')[1]} (hangs)"
            if done.returncode == 0:
                continue
            said = done.stdout + done.stderr
            # Of doctest the case whose error comes first: passing ones may have said something before.
            first = re.search(r"TEST CASE: +([^\n]*)(?:(?!TEST CASE: ).)*? ERROR: ", said, re.S) or re.search(r"VIOLATION (.*)", said)
            what = first[1] if first else said.strip().splitlines()[-1] if said.strip() else f"status {done.returncode}"
            return " ".join([name.split("/")[1], *arguments[:1]]).replace(" --seeds", "") + ": " + what[:110]
        return None

    def plant(self, bug):
        _, _, file, text, bad, programs = bug
        place = self.source / file
        sound = place.read_text()
        place.write_text(sound.replace(text, bad))
        try:
            return self.caught_by(programs)
        finally:
            place.write_text(sound)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", action="append", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    bugs = [bug for bug in BUGS if not options.only or bug[0] in options.only]
    if not all([fits(bug) for bug in bugs]):
        return 1
    if options.check:
        print(f"{len(bugs)} bugs fit")
        return 0
    if not options.build or not bugs:
        parser.error("a build folder, and names of the list, are needed")
    mutants = Mutants(options.build, options.jobs)
    everything = sorted({program for bug in bugs for program in bug[5]})
    broken = mutants.caught_by(everything)
    if broken:
        print(f"the suite fails without any bug: {broken}")
        return 1
    survivors = 0
    for bug in bugs:
        start = time.monotonic()
        caught = mutants.plant(bug)
        survivors += caught is None
        print(f"{bug[0]:24}{'caught' if caught else 'SURVIVED'} in {time.monotonic() - start:3.0f} s  {caught or bug[1]}", flush=True)
    print(f"{len(bugs)} bugs planted, {len(bugs) - survivors} caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
