#!/usr/bin/env python3
"""The clocks on the real daemon: who says that the wall clock is right, what waits for that, and what a step of it moves
(nothing); and that it does not matter what the boot clock shows, not even if it is another one in each life."""
import os
import random
import time

from harness import BootClock, Case, Daemon, WallClock, main, need, time_of, write

ECHO = {"handlers": {"echo": {"exec": ["/bin/cat"]}}}
PAST = "2026-11-02T00:00:00Z"
SEED = int(os.environ.get("HOLDFAST_SEED", "1"))


def thousand(daemon, **more):
    """The ids of a thousand jobs that are due in an hour and more, a minute apart."""
    specs = [{"type": "echo", "queue": "later", "delay": f"{n + 60}m", **more} for n in range(1000)]
    ids = daemon.add_all(specs)
    daemon.case.assertEqual(len(ids), 1000)
    return ids


def dues(daemon, ids):
    """When they are due, by the wall clock. A KeyError: one waits no longer."""
    jobs = daemon.json("list", "--queue", "later", "--limit", "1000")["jobs"]
    shown = {job["id"]: time_of(job["due"]) for job in jobs}
    return [shown[id] for id in ids]


def moved(before, after):
    """By how much, at most."""
    return max(abs(was - now) for was, now in zip(before, after, strict=True))


class Trust(Case):
    def daemon_with(self, clock):
        return Daemon(self, {**ECHO, "clock": {"kernel": False, "plausible": False, **clock}})

    def test_work_waits_for_the_sync_file_and_says_so(self):
        file = self.path("synchronized")
        daemon = self.daemon_with({"sync_file": file}).start()
        at, now = daemon.add("echo", '"at"', "--at", PAST), daemon.add("echo", '"now"')
        daemon.ended(now)
        self.assertFalse(daemon.clock()["trusted"])
        self.assertIn("nothing has called it right yet", daemon.cli("clock", "show"))
        self.assertIn("clock", daemon.cli("why", str(at)))
        self.assertIn("not trusted: cron and --at wait", daemon.cli("health"))
        write(file, "")
        daemon.ended(at)  # it looks every 5 s
        self.assertTrue(daemon.clock()["synchronised"])
        daemon.logged("clock_trusted")
        os.remove(file)
        self.assertIn("was not set since", daemon.cli("clock", "show"))  # holdover
        daemon.reload({**ECHO, "clock": {"kernel": False, "plausible": False, "sync_file": file, "holdover": "0s"}})
        self.until("the holdover is gone", lambda: not daemon.clock()["trusted"])
        daemon.stop()

    def test_a_command_is_asked_and_hung_ones_are_ended(self):
        answer = self.path("answer")
        script = f'case $(cat {answer}) in right) exit 0;; hang) exec sleep 300;; *) exit 1;; esac'
        write(answer, "wrong")
        daemon = self.daemon_with({"sync_command": ["/bin/sh", "-c", script], "sync_every": "1s", "holdover": "0s"}).start()
        at = daemon.add("echo", '"at"', "--at", PAST)
        self.assertFalse(daemon.clock()["trusted"])
        write(answer, "right")
        daemon.ended(at)
        self.assertTrue(daemon.clock()["trusted"])
        write(answer, "hang")
        self.until("a hung command is ended: no", lambda: not daemon.clock()["trusted"], 20)
        write(answer, "right")
        self.until("it is asked again", lambda: daemon.clock()["trusted"])
        daemon.stop()

    def test_an_operator_confirms_and_resets(self):
        daemon = self.daemon_with({"sync_file": self.path("never")}).start()
        at = daemon.add("echo", '"at"', "--at", PAST)
        self.assertIn("trusted", daemon.cli("clock", "confirm"))
        daemon.ended(at)
        floor = daemon.clock()["floor"]
        daemon.stop()
        daemon.start()
        self.assertTrue(daemon.clock()["trusted"])  # in the same boot
        self.assertEqual(daemon.clock()["floor"], floor)
        daemon.cli("clock", "reset")
        self.assertEqual(daemon.clock()["floor"], "2026-11-01T00:00:00Z")
        self.assertIn("none", daemon.cli("next-wake", status=3))  # the finished job goes in a day, but that can wait
        daemon.add("echo", '"later"', "--delay", "1h")
        wake = int(daemon.cli("next-wake", "--unix"))
        self.assertTrue(0 < wake - time.time() <= 3600, wake)
        daemon.stop()

    def test_a_clock_that_could_never_be_trusted_is_refused(self):
        daemon = self.daemon_with({})
        daemon.launch()
        self.assertEqual(daemon.process.wait(), 1)


class Steps(Case):
    def setUp(self):
        super().setUp()
        self.wall = WallClock(self)
        schedules = {"tick": {"cron": "@every 1s", "type": "echo"}, "yearly": {"cron": "0 0 1 1 *", "type": "echo", "catch_up": "once"}}
        self.daemon = Daemon(self, {**ECHO, "schedules": schedules}, prefix=self.wall.prefix)

    def test_a_thousand_delays_keep_their_times(self):
        daemon = self.daemon.start()
        ids = thousand(daemon)

        def elapsed():
            """On the elapsed axis: they are shown by the present wall clock."""
            clock = daemon.clock()
            return [due - time_of(clock["time"]) + clock["elapsed_ms"] / 1000 for due in dues(daemon, ids)]

        before = elapsed()
        for step, offset in enumerate(("+1d", "-1d", "+0d"), 1):
            self.wall.set(offset)
            self.until(f"step {step} is seen", lambda: daemon.clock()["steps_total"] >= step)
            self.assertLess(moved(before, elapsed()), 1, f"a delay moved with the step to {offset}")
        self.assertIn("the last one", daemon.cli("clock", "show"))
        daemon.logged("clock_stepped")
        daemon.stop()

    def fired(self, name):
        return self.daemon.schedules()[name]["fired"]

    def test_every_and_cron_over_a_year_there_and_back(self):
        """A delay does not move, and what cron owes is done once."""
        daemon = self.daemon.start()
        begun = time.monotonic()
        later = daemon.add("echo", '"later"', "--delay", "6s")
        for step, offset in enumerate(("+400d", "-400d", "+0d"), 1):
            self.wall.set(offset)
            ticks = self.fired("tick")
            self.until(lambda: f"@every goes on after a step to {offset}", lambda: self.fired("tick") > ticks, 10)
            self.until(lambda: f"step {step} was seen: {daemon.stats()}", lambda: daemon.stats()["clock_steps_total"] >= step)
        if time.monotonic() - begun < 5:
            self.assertEqual(daemon.job(later)["state"], "pending")
        daemon.ended(later)
        self.assertGreaterEqual(time.monotonic() - begun, 6)
        self.assertLessEqual(self.fired("yearly"), 1)  # the year that was passed, made up for once
        daemon.stop()


class Boots(Case):
    """The boot clock of a time namespace, as a container has one."""
    AHEAD = 100 * 86400  # beyond 2^32 ms

    def setUp(self):
        super().setUp()
        self.boot = BootClock(self)
        self.young = 1 - int(self.boot.uptime)  # it has just begun

    def daemon_at(self, ahead, name="d", **config):
        return Daemon(self, {**ECHO, **config}, name, self.boot.prefix(ahead))

    def again(self, daemon, ahead, kill):
        """Its next life, with another boot clock."""
        if kill:
            daemon.kill()
        else:
            daemon.stop()
        daemon.prefix = self.boot.prefix(ahead)
        daemon.start()

    def wait_on(self, daemon, ids):
        """All of them wait, and no step of the wall clock was seen where there was none."""
        jobs = daemon.json("list", "--state", "scheduled", "--limit", "1000")["jobs"]
        self.assertEqual(len(jobs), len(ids), daemon.cli("stats"))
        self.assertEqual(daemon.clock()["steps_total"], 0, daemon.cli("clock", "show"))

    def test_a_delay_is_the_same_wherever_the_boot_clock_stands(self):
        lasted = {}
        for name, ahead in (("here", 0), ("ahead", self.AHEAD), ("young", self.young)):
            daemon = self.daemon_at(ahead, name, schedules={"tick": {"cron": "@every 1s", "type": "echo"}}).start()
            soon = daemon.add("echo", '"soon"', "--delay", "1s")
            ids = thousand(daemon)
            begun = time_of(daemon.job(ids[0])["created"])
            lasted[name] = [due - begun for due in dues(daemon, ids)]
            job = daemon.ended(soon)
            self.assertGreaterEqual(time_of(job["finished"]) - time_of(job["created"]), 1, job)
            self.until("@every goes on", lambda: daemon.schedules()["tick"]["fired"] >= 2)
            daemon.stop()
        minutes = [60 * (n + 60) for n in range(1000)]
        for name, seconds in lasted.items():
            self.assertLess(moved(minutes, seconds), 0.01, name)

    def test_another_boot_clock_in_each_life(self):
        """In one boot of the kernel, later and earlier by more than any delay: the wall clock says what has passed."""
        daemon = self.daemon_at(0, limits={"crash_loop": 0}).start()
        ids = thousand(daemon, ttl="2d")
        before = dues(daemon, ids)
        choose = random.Random(SEED)
        for ahead in (self.AHEAD, self.young, self.AHEAD * 2, self.AHEAD, 0, self.young, self.AHEAD):
            self.again(daemon, ahead, kill=choose.random() < 0.6)
            self.wait_on(daemon, ids)
            self.assertLess(moved(before, dues(daemon, ids)), 0.5, f"a delay moved with the boot clock, now {ahead} s ahead")
        daemon.stop()

    def test_another_boot_clock_and_no_right_wall_clock(self):
        """Then nobody knows what passed between two lives: delays are longer by that, and never shorter."""
        config = {"clock": {"kernel": False, "plausible": False, "sync_file": self.path("never")}, "limits": {"crash_loop": 0}}
        daemon = self.daemon_at(self.AHEAD, **config).start()
        ids = thousand(daemon, ttl="2d")
        for kill, ahead in ((True, 0), (False, self.AHEAD), (True, self.AHEAD * 2), (False, self.young)):
            was, at = daemon.clock()["elapsed_ms"], time.monotonic()
            self.again(daemon, ahead, kill)
            now, passed = daemon.clock()["elapsed_ms"], (time.monotonic() - at) * 1000
            self.assertLessEqual(now - was, passed + 100, f"a boot clock that is now {ahead} s ahead made time")
            self.assertGreaterEqual(now - was, -10000, "more was lost than the life before")
            self.assertFalse(daemon.clock()["trusted"])
            self.wait_on(daemon, ids)
        daemon.stop()

    def test_the_same_boot_clock_goes_on_exactly(self):
        """A second life in the same namespace's time is the same boot, also without a right wall clock."""
        config = {"clock": {"kernel": False, "plausible": False, "sync_file": self.path("never")}, "limits": {"crash_loop": 0},
                  "schedules": {"start": {"cron": "@reboot", "type": "echo"}}}
        daemon = self.daemon_at(self.AHEAD, **config).start()
        ids = thousand(daemon)
        for kill in (True, False):
            was, at = daemon.clock()["elapsed_ms"], time.monotonic()
            self.again(daemon, self.AHEAD, kill)
            now, passed = daemon.clock()["elapsed_ms"], (time.monotonic() - at) * 1000
            self.assertLess(abs(now - was - passed), 500)
            self.assertEqual(self.starts(daemon), 0)
        self.assertEqual(len(dues(daemon, ids)), 1000)
        self.again(daemon, self.young, kill=False)
        self.until("another start of the device", lambda: self.starts(daemon) == 1)
        daemon.stop()

    def starts(self, daemon):
        return daemon.schedules()["start"]["fired"]

    def test_killed_while_delays_end(self):
        """No job runs before its time, and each runs, whatever the boot clock shows from life to life."""
        daemon = self.daemon_at(0, limits={"crash_loop": 0}).start()
        delays = [200 + 20 * n for n in range(250)]
        specs = [{"type": "echo", "delay": f"{ms}ms", "max_attempts": 100} for ms in delays]
        ids = daemon.add_all(specs)
        choose = random.Random(SEED)
        for _ in range(6):
            time.sleep(choose.random() * 0.8)
            self.again(daemon, choose.choice((0, self.young, self.AHEAD, self.AHEAD * 2)), kill=True)
        jobs = self.until(lambda: f"all end: {daemon.cli('stats')}", lambda: self.completed(daemon, ids))
        begun = time_of(jobs[ids[0]]["created"])
        for id, ms in zip(ids, delays, strict=True):
            self.assertGreaterEqual(time_of(jobs[id]["finished"]) - begun, ms / 1000 - 0.1, jobs[id])
        daemon.stop()

    def completed(self, daemon, ids):
        jobs = {job["id"]: job for job in daemon.jobs()}
        self.assertLessEqual(set(ids), set(jobs), "jobs are gone long before their time")
        return all(jobs[id]["state"] == "completed" for id in ids) and jobs


if __name__ == "__main__":
    need("sh", "cat")
    main()
