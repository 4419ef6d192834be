#!/usr/bin/env python3
"""Queues and sinks with windows on the real daemon: what waits for one, who says so, and what opens it."""
import os
import shutil
import time

from harness import Case, Daemon, Receiver, WallClock, main, need, read, time_of, write

ECHO = {"echo": {"exec": ["/bin/cat"]}}
NEVER = "0 0 0 29 2 * for 1s"  # but in a leap year


def opens_at(unix, length="1h"):
    at = time.gmtime(unix)
    return f"{at.tm_sec} {at.tm_min} {at.tm_hour} * * * for {length}"


class Windows(Case):
    def watch(self, daemon):
        """What `holdfast watch` prints from now on."""
        file = self.path("watched")
        with open(file, "wb") as out:
            self.start(daemon.command("watch"), stdout=out)
        probe = daemon.add("echo", "0", "--queue", "probe")  # it is there once it sees something
        self.until("watch sees what happens", lambda: f" {probe} " in read(file))
        return lambda: read(file)

    def line(self, daemon, name):
        """Of the table that a person sees."""
        return next((line for line in daemon.cli("queue", "list").splitlines() if line.split()[0] == name), "")

    def waits(self, daemon, id, queue, why="outside its windows"):
        said = daemon.cli("why", str(id))
        self.assertIn(f"queue {queue} is closed: {why}", said)
        self.assertFalse(daemon.queues()[queue]["open"])
        return said

    def test_a_queue_opens_by_itself(self):
        at = int(time.time()) + 5
        daemon = Daemon(self, {"handlers": ECHO, "queues": {"night": {"windows": opens_at(at)}}}).start()
        watched = self.watch(daemon)
        id = daemon.add("echo", '"night"', "--queue", "night")
        self.waits(daemon, id, "night")
        self.assertIn("closed until " + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), self.line(daemon, "night"))
        self.assertEqual(time_of(daemon.queues()["night"]["opens"]), at)
        self.assertEqual(int(daemon.cli("next-wake", "--unix")), at)
        self.assertLess(time.time(), at, "it was too slow for the test")
        self.assertNotIn("window_opened", daemon.log())
        # From here on nobody asks the daemon: what it does it does because it is time.
        self.until(lambda: f"watch tells: {watched()}{daemon.log()}",
                   lambda: any(f" {id} " in line and "completed" in line for line in watched().splitlines()), 20)
        self.assertTrue(at <= time.time() < at + 3, f"{time.time() - at} s after it opened")
        self.assertIn("window_opened", watched())
        self.assertIn("night", next(line for line in daemon.log().splitlines() if "window_opened" in line))
        self.assertIn("open until ", self.line(daemon, "night"))
        self.assertLessEqual(abs(time_of(daemon.job(id)["finished"]) - at), 1)
        daemon.stop()

    def test_what_runs_when_it_closes_goes_on_and_nothing_else_begins(self):
        at = int(time.time()) + 3
        go = self.path("go")
        script = f"while [ ! -e {go} ]; do sleep 0.05; done"
        daemon = Daemon(self, {"handlers": {"slow": {"exec": ["/bin/sh", "-c", script]}},
                               "queues": {"brief": {"windows": opens_at(at, "2s"), "concurrency": 1}}}).start()
        first, second = daemon.add("slow", "--queue", "brief"), daemon.add("slow", "--queue", "brief")
        daemon.ended(first, state="running")
        self.until("it closes", lambda: not daemon.queues()["brief"]["open"])
        self.assertTrue(at + 2 <= time.time() < at + 7, time.time() - at)
        daemon.logged("window_closed")
        write(go, "")
        daemon.ended(first)
        self.waits(daemon, second, "brief")
        self.assertEqual(daemon.job(second)["state"], "pending")
        daemon.stop()

    def test_a_sink_opens_by_itself(self):
        receiver = Receiver(self)
        taken = receiver.seen
        at = int(time.time()) + 4
        daemon = Daemon(self, {"handlers": {"echo": {**ECHO["echo"], "sink": "cloud"}},
                               "sinks": {"cloud": receiver.sink(windows=opens_at(at), batch={"max_jobs": 50})}}).start()
        ids = [daemon.add("echo", f'{{"n":{n}}}') for n in range(3)]
        self.until("the last one is on its way", lambda: daemon.job(ids[-1])["delivering"])
        self.waits(daemon, ids[0], "sink:cloud")
        self.assertEqual(taken, [])
        self.assertLess(time.time(), at, "it was too slow for the test")
        self.until("it is sent", lambda: taken, 20)
        self.assertGreaterEqual(taken[0].at, at)
        self.assertLess(taken[0].at, at + 3)
        daemon.ended(*ids)
        self.assertEqual(len(taken), 1)  # all together
        self.assertEqual([daemon.job(id)["attempts"] for id in ids], [1] * 3)
        daemon.stop()

    def test_a_reload_without_windows_opens_at_once_and_one_with_them_closes(self):
        receiver = Receiver(self)
        taken = receiver.seen

        def config(**windows):
            return {"handlers": {**ECHO, "send": {**ECHO["echo"], "sink": "cloud"}},
                    "queues": {"night": windows}, "sinks": {"cloud": receiver.sink(**windows)}}
        daemon = Daemon(self, config(windows=NEVER)).start()
        runs, sends = daemon.add("echo", "1", "--queue", "night"), daemon.add("send", "2")
        self.until("the result waits for its sink", lambda: daemon.job(sends)["delivering"])
        self.waits(daemon, runs, "night")
        self.waits(daemon, sends, "sink:cloud")
        daemon.reload(config())
        # Nobody asks it, again.
        self.until(lambda: f"both are open: {daemon.log()}", lambda: daemon.log().count("window_opened") == 2)
        self.until("it is sent", lambda: taken)
        daemon.ended(runs, sends)
        daemon.reload(config(windows=NEVER))
        self.until(lambda: f"both are closed: {daemon.log()}", lambda: daemon.log().count("window_closed") == 2)
        later = daemon.add("echo", "3", "--queue", "night")
        self.waits(daemon, later, "night")
        daemon.stop()

    def test_a_reload_with_bad_windows_changes_nothing(self):
        daemon = Daemon(self, {"handlers": ECHO, "queues": {"night": {"windows": NEVER}}}).start()
        id = daemon.add("echo", "1", "--queue", "night")
        daemon.reload({"handlers": ECHO, "queues": {"night": {"windows": "sat,moon 00:00-24:00"}}})
        self.until("it is refused", lambda: "queues.night.windows" in daemon.log())
        daemon.logged("moon")
        self.waits(daemon, id, "night")
        daemon.stop()

    def test_what_was_set_survives_kills_and_goes_before_the_configuration(self):
        daemon = Daemon(self, {"handlers": ECHO, "queues": {"night": {"windows": "00:00-24:00"}}}).start()
        daemon.cli("queue", "set", "night", f"windows={NEVER}", "tz=Europe/Berlin")
        daemon.kill()
        daemon.start()
        queue = daemon.queues()["night"]
        self.assertEqual((queue["windows"], queue["tz"], queue["set"]), (NEVER, "Europe/Berlin", {"windows": NEVER, "tz": "Europe/Berlin"}))
        id = daemon.add("echo", "1", "--queue", "night")
        self.waits(daemon, id, "night")
        daemon.kill()
        # It is always open by an operator's word, whatever the configuration says by now.
        daemon.configure({"handlers": ECHO, "queues": {"night": {"windows": NEVER}}})
        daemon.start()
        self.waits(daemon, id, "night")
        daemon.cli("queue", "set", "night", "windows=", "tz=none")
        daemon.ended(id)
        daemon.kill()
        daemon.start()
        id = daemon.add("echo", "2", "--queue", "night")
        daemon.ended(id)
        daemon.cli("queue", "set", "night", "windows=none")  # as configured
        daemon.kill()
        daemon.start()
        self.assertNotIn("set", daemon.queues()["night"])
        self.waits(daemon, daemon.add("echo", "3", "--queue", "night"), "night")
        daemon.stop()

    def test_one_that_opened_while_the_daemon_was_away_is_open_when_it_starts(self):
        at = int(time.time()) + 2
        daemon = Daemon(self, {"handlers": ECHO, "queues": {"night": {"windows": opens_at(at)}}}).start()
        id = daemon.add("echo", "1", "--queue", "night")
        self.waits(daemon, id, "night")
        daemon.kill()
        self.until("it is time", lambda: time.time() > at)
        daemon.start()
        daemon.ended(id)
        daemon.stop()

    def test_a_clock_that_nobody_has_called_right_opens_none(self):
        file = self.path("synchronized")
        daemon = Daemon(self, {"handlers": ECHO, "queues": {"day": {"windows": "00:00-24:00"}},
                               "clock": {"kernel": False, "plausible": False, "sync_file": file}}).start()
        id, other = daemon.add("echo", "1", "--queue", "day"), daemon.add("echo", "2")
        self.waits(daemon, id, "day", "it has windows, and the clock is not trusted yet")
        daemon.ended(other)
        write(file, "")
        self.until(lambda: f"it looks every 5 s: {daemon.log()}", lambda: "window_opened" in daemon.log())
        daemon.ended(id)
        daemon.stop()

    def test_the_wall_clock_is_set_into_a_window_and_out_of_it(self):
        wall = WallClock(self)
        daemon = Daemon(self, {"handlers": ECHO, "queues": {"night": {"windows": opens_at(time.time() + 12 * 3600 - 600)}}}, prefix=wall.prefix).start()
        id = daemon.add("echo", "1", "--queue", "night")
        self.waits(daemon, id, "night")
        wall.set("+12h")
        daemon.ended(id)
        wall.set("+0d")
        self.until("it is closed", lambda: not daemon.queues()["night"]["open"])
        self.waits(daemon, daemon.add("echo", "2", "--queue", "night"), "night")
        daemon.logged("window_closed")
        daemon.stop()


class Zones(Case):
    """A database of time zones that is replaced under a daemon which sleeps."""

    def install(self, zone):
        folder = os.path.join(self.zones, "Test")
        os.makedirs(folder, exist_ok=True)
        shutil.copy(f"/usr/share/zoneinfo/{zone}", os.path.join(folder, "Town.new"))
        os.replace(os.path.join(folder, "Town.new"), os.path.join(folder, "Town"))

    def test_firings_and_windows_go_by_the_new_rules_at_once(self):
        self.zones = self.path("zoneinfo")
        self.install("Asia/Kolkata")  # +05:30
        config = {"handlers": ECHO, "schedules": {"noon": {"cron": "0 12 * * *", "tz": "Test/Town", "type": "echo"}},
                  "queues": {"q": {"windows": "00:00-12:00", "tz": "Test/Town"}}}
        daemon = Daemon(self, config, prefix=("env", f"TZDIR={self.zones}")).start()
        next_wake = lambda: daemon.cli("next-wake")
        closes = lambda: {time_of(at) % 86400 for key, at in daemon.queues()["q"].items() if key in ("closes", "opens")}
        self.assertIn("T06:30:00Z", next_wake())
        self.assertTrue(closes() <= {6.5 * 3600, 18.5 * 3600}, closes())
        self.install("Asia/Tokyo")  # +09:00
        self.until("the firing is moved", lambda: "T03:00:00Z" in next_wake())
        self.assertTrue(closes() <= {3 * 3600, 15 * 3600}, closes())
        shutil.rmtree(self.zones)
        self.assertIn("T03:00:00Z", next_wake())  # as it was read
        daemon.stop()
        daemon.start()
        self.assertIn("there is no time zone", daemon.cli("schedule", "list"))
        self.install("Asia/Kolkata")
        self.until("the zone is back", lambda: "there is no time zone" not in daemon.cli("schedule", "list"))
        self.until("the firing is moved", lambda: "T06:30:00Z" in next_wake())
        daemon.stop()


if __name__ == "__main__":
    need("sh", "cat")
    main()
