#!/usr/bin/env python3
"""The wall clock on the real daemon: who says that it is right, what waits for that, and what a step of it moves (nothing)."""
import json
import os
import time

from harness import Case, Daemon, WallClock, main, need, time_of, write

ECHO = {"handlers": {"echo": {"exec": ["/bin/cat"]}}}
PAST = "2026-11-02T00:00:00Z"


class Trust(Case):
    def daemon_with(self, clock):
        return Daemon(self, {**ECHO, "clock": {"kernel": False, "plausible": False, **clock}})

    def clock(self, daemon):
        return json.loads(daemon.cli("clock", "show", "--json"))

    def test_work_waits_for_the_sync_file_and_says_so(self):
        file = self.path("synchronized")
        daemon = self.daemon_with({"sync_file": file}).start()
        at, now = daemon.add("echo", '"at"', "--at", PAST), daemon.add("echo", '"now"')
        daemon.ended(now)
        self.assertFalse(self.clock(daemon)["trusted"])
        self.assertIn("nothing has called it right yet", daemon.cli("clock", "show"))
        self.assertIn("clock", daemon.cli("why", str(at)))
        self.assertIn("not trusted: cron and --at wait", daemon.cli("health"))
        write(file, "")
        daemon.ended(at)  # it looks every 5 s
        self.assertTrue(self.clock(daemon)["synchronised"])
        self.assertIn("clock_trusted", daemon.log())
        os.remove(file)
        self.assertIn("was not set since", daemon.cli("clock", "show"))  # holdover
        daemon.reload({**ECHO, "clock": {"kernel": False, "plausible": False, "sync_file": file, "holdover": "0s"}})
        self.until("the holdover is gone", lambda: not self.clock(daemon)["trusted"])
        daemon.stop()

    def test_a_command_is_asked_and_hung_ones_are_ended(self):
        answer = self.path("answer")
        script = f'case $(cat {answer}) in right) exit 0;; hang) exec sleep 300;; *) exit 1;; esac'
        write(answer, "wrong")
        daemon = self.daemon_with({"sync_command": ["/bin/sh", "-c", script], "sync_every": "1s", "holdover": "0s"}).start()
        at = daemon.add("echo", '"at"', "--at", PAST)
        self.assertFalse(self.clock(daemon)["trusted"])
        write(answer, "right")
        daemon.ended(at)
        self.assertTrue(self.clock(daemon)["trusted"])
        write(answer, "hang")
        self.until("a hung command is ended: no", lambda: not self.clock(daemon)["trusted"], 20)
        write(answer, "right")
        self.until("it is asked again", lambda: self.clock(daemon)["trusted"])
        daemon.stop()

    def test_an_operator_confirms_and_resets(self):
        daemon = self.daemon_with({"sync_file": self.path("never")}).start()
        at = daemon.add("echo", '"at"', "--at", PAST)
        self.assertIn("trusted", daemon.cli("clock", "confirm"))
        daemon.ended(at)
        floor = self.clock(daemon)["floor"]
        daemon.stop()
        daemon.start()
        self.assertTrue(self.clock(daemon)["trusted"])  # in the same boot
        self.assertEqual(self.clock(daemon)["floor"], floor)
        daemon.cli("clock", "reset")
        self.assertEqual(self.clock(daemon)["floor"], "2026-11-01T00:00:00Z")
        self.assertIn("none", daemon.cli("next-wake", status=3))  # the finished job goes in a day, but that can wait
        daemon.add("echo", '"later"', "--delay", "1h")
        wake = int(daemon.cli("next-wake", "--unix"))
        self.assertTrue(0 < wake - time.time() <= 3600, wake)
        daemon.stop()

    def test_a_clock_that_could_never_be_trusted_is_refused(self):
        daemon = self.daemon_with({})
        daemon.process = self.start([*daemon.command("serve")[:2], "--config", daemon.config_file])
        self.assertEqual(daemon.process.wait(), 1)


class Steps(Case):
    def setUp(self):
        super().setUp()
        self.wall = WallClock(self)
        schedules = {"tick": {"cron": "@every 1s", "type": "echo"}, "yearly": {"cron": "0 0 1 1 *", "type": "echo", "catch_up": "once"}}
        self.daemon = Daemon(self, {**ECHO, "schedules": schedules}, prefix=self.wall.prefix)

    def test_a_thousand_delays_keep_their_times(self):
        daemon = self.daemon.start()
        specs = [{"type": "echo", "queue": "later", "delay": f"{n + 60}m"} for n in range(1000)]
        ids = json.loads(daemon.api("POST", "/v1/jobs", {"jobs": specs}))["ids"]
        self.assertEqual(len(ids), 1000)

        def dues():
            """On the elapsed axis: they are shown by the present wall clock."""
            clock = json.loads(daemon.cli("clock", "show", "--json"))
            jobs = json.loads(daemon.cli("list", "--queue", "later", "--limit", "1000", "--json"))["jobs"]
            shown = {job["id"]: time_of(job["due"]) for job in jobs}
            return [shown[id] - time_of(clock["time"]) + clock["elapsed_ms"] / 1000 for id in ids]

        before = dues()
        for step, offset in enumerate(("+1d", "-1d", "+0d"), 1):
            self.wall.set(offset)
            self.until(f"step {step} is seen", lambda: json.loads(daemon.cli("clock", "show", "--json"))["steps_total"] >= step)
            moved = max(abs(was - now) for was, now in zip(before, dues()))
            self.assertLess(moved, 1, f"a delay moved with the step to {offset}")
        self.assertIn("the last one", daemon.cli("clock", "show"))
        self.assertIn("clock_stepped", daemon.log())
        daemon.stop()

    def stats(self):
        return json.loads(self.daemon.cli("stats", "--json"))

    def fired(self, name):
        schedules = json.loads(self.daemon.cli("schedule", "list", "--json"))["schedules"]
        return next(schedule for schedule in schedules if schedule["name"] == name)["fired"]

    def test_every_and_cron_over_a_year_there_and_back(self):
        """A delay does not move, and what cron owes is done once."""
        daemon = self.daemon.start()
        begun = time.monotonic()
        later = daemon.add("echo", '"later"', "--delay", "6s")
        for step, offset in enumerate(("+400d", "-400d", "+0d"), 1):
            self.wall.set(offset)
            ticks = self.fired("tick")
            self.until(lambda: f"@every goes on after a step to {offset}", lambda: self.fired("tick") > ticks, 10)
            self.until(lambda: f"step {step} was seen: {self.stats()}", lambda: self.stats()["clock_steps_total"] >= step)
        if time.monotonic() - begun < 5:
            self.assertEqual(daemon.job(later)["state"], "pending")
        daemon.ended(later)
        self.assertGreaterEqual(time.monotonic() - begun, 6)
        self.assertLessEqual(self.fired("yearly"), 1)  # the year that was passed, made up for once
        daemon.stop()


if __name__ == "__main__":
    need("sh", "cat", "curl")
    main()
