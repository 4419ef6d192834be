#!/usr/bin/env python3
"""A sink is told how jobs ended: what it is told, and that with kills under load each end is told, under one key."""
import collections
import json
import os
import random

from harness import Case, Daemon, Receiver, main, need, read

JOBS = 120


class Callbacks(Case):
    def config(self, receiver, **ok):
        told = {"callback": "ops", "failure_callback": "ops"}
        return {"handlers": {"ok": {"exec": ["/bin/cat"], **told, **ok},
                             "bad": {"exec": ["/bin/sh", "-c", "echo out of paper >&2; exit 64"], **told}},
                "sinks": {"ops": receiver.sink(format="raw", batch={"max_jobs": 1}, defer="50ms", backoff={"base": "50ms", "max": "200ms"})}}

    def test_what_is_told(self):
        receiver = Receiver(self)
        daemon = Daemon(self, self.config(receiver)).start()
        done = daemon.add("ok", '{"n":1}', "--tags", "a b")
        dead = daemon.add("bad", "a payload that stays here")
        daemon.add("ok", "nobody is told of this one's end", "--delay", "1h")
        gone = daemon.add("bad", "x", "--ttl", "1s", "--delay", "500ms", "--queue", "held")
        daemon.cli("queue", "pause", "held")
        self.until(lambda: f"all are told: {receiver.seen}", lambda: len(receiver.seen) == 3)
        told = {}
        for one in receiver.seen:
            self.assertEqual(one.headers["Holdfast-Type"], "holdfast.callback")
            self.assertEqual(one.headers["Content-Type"], "application/json")
            said = json.loads(one.body)
            told[said["data"]["id"]] = said
            self.assertEqual(said["timestamp"], said["data"]["finished"])
        self.assertEqual(sorted(told), sorted([done, dead, gone]))
        self.assertEqual(told[done]["type"], "job.completed")
        self.assertEqual(told[done]["data"]["result"], '{"n":1}')
        self.assertEqual(told[done]["data"]["tags"], "a b")
        self.assertEqual(told[dead]["type"], "job.failed")
        self.assertIn("out of paper", told[dead]["data"]["error"])
        self.assertEqual(told[dead]["data"]["attempts"], 1)
        self.assertIn("expired", told[gone]["data"]["error"])
        for one in receiver.seen:
            self.assertNotIn(b"a payload that stays here", one.body)
        # What is told is what `show` tells, but for the payload.
        shown = daemon.job(dead)
        shown.pop("payload")
        self.assertEqual(told[dead]["data"], shown)
        daemon.stop()

    def test_a_job_is_started(self):
        clean = self.path("cleaned")
        daemon = Daemon(self, {"handlers": {"bad": {"exec": ["/bin/sh", "-c", "exit 65"], "failure_callback": "job:clean"},
                                            "clean": {"exec": ["/bin/sh", "-c", f"cat > {clean}.new && mv {clean}.new {clean}"]}}}).start()
        dead = daemon.add("bad", "what it worked on", "--queue", "work")
        self.until("it is started", lambda: os.path.exists(clean))
        said = json.loads(read(clean))
        self.assertEqual((said["type"], said["data"]["id"], said["data"]["payload"]), ("job.failed", dead, "what it worked on"))
        daemon.stop()

    def test_each_end_is_told_with_kills_under_load(self):
        receiver = Receiver(self)
        chance = random.Random(3)
        daemon = Daemon(self, self.config(receiver, concurrency=8)).start()
        ids = daemon.add_all([{"type": "ok" if n % 3 else "bad", "payload": str(n), "max_attempts": 20} for n in range(JOBS)])
        for _ in range(5):
            seen = len(receiver.seen)
            self.until("some are told", lambda: len(receiver.seen) >= min(seen + chance.randint(5, 15), JOBS))
            daemon.kill()
            daemon.start()
        keys = collections.defaultdict(set)  # of each end

        def told():
            for one in receiver.seen:
                said = json.loads(one.body)
                keys[said["type"], said["data"]["id"]].add(one.headers["Idempotency-Key"])
            return len(keys) >= JOBS

        self.until(lambda: f"all are told: {len(keys)} of {JOBS}\n{daemon.cli('list', '--limit', '1000')}", told)
        wanted = {"completed": "job.completed", "dead": "job.failed"}
        self.assertEqual(set(keys), {(wanted[job["state"]], job["id"]) for job in daemon.jobs() if job["id"] in ids})
        self.assertEqual([end for end, given in keys.items() if len(given) != 1], [])  # also where it came twice
        daemon.stop()


if __name__ == "__main__":
    need()
    main()
