#!/usr/bin/env python3
"""How fast runs begin, on the real daemon: of a queue over a kill, of a handler after a reload, of a sink; and who says so."""
import os
import time

from harness import Case, Daemon, Receiver, main, need, read, time_of

SLIP = 0.35  # seconds that a program may begin after the run


class Rates(Case):
    def stamps(self, file):
        return [float(line) for line in read(file).split()] if os.path.exists(file) else []

    def never_faster(self, at, burst, each):
        """At most burst + t / each beginnings in any time t."""
        for first in range(len(at)):
            for last in range(first, len(at)):
                begun, passed = last - first + 1, at[last] - at[first]
                self.assertLessEqual(begun, burst + (passed + SLIP) / each, f"{begun} within {passed} s: {at}")

    def test_a_queue_is_never_faster_over_kills_either(self):
        file = self.path("stamps")
        config = {"handlers": {"stamp": {"exec": ["/bin/sh", "-c", f"date +%s.%N >> {file}"]}},
                  "queues": {"slow": {"rate_limit": "4/4s burst 3"}}}
        daemon = Daemon(self, config).start()
        daemon.add_all([{"type": "stamp", "payload": n, "queue": "slow"} for n in range(14)])
        self.until("some are done", lambda: len(self.stamps(file)) >= 5)
        waiting = [job["id"] for job in daemon.ask("GET", "/v1/jobs?state=pending")["jobs"]]
        said = daemon.cli("why", str(min(waiting)))
        self.assertIn("queue slow begins at most 4/4s burst 3: the next run in ", said)
        opens = time_of(daemon.ask("GET", f"/v1/jobs/{min(waiting)}/why")["gates"][0]["opens"])
        self.assertTrue(0 <= opens - time.time() + 1 <= 2.1, f"{opens - time.time()}")
        for _ in range(2):
            daemon.kill()
            daemon.start()
        self.until(lambda: f"all are done: {daemon.cli('stats')}", lambda: daemon.ask("GET", "/v1/stats")["completed"] == 14)
        at = sorted(self.stamps(file))
        print(f"{len(at)} beginnings within {at[-1] - at[0]:.1f} s")
        self.assertGreaterEqual(len(at), 14)
        self.never_faster(at, 3, 1.0)
        daemon.stop()

    def test_a_reload_and_a_person_change_it(self):
        file = self.path("stamps")
        handler = {"exec": ["/bin/sh", "-c", f"date +%s.%N >> {file}"]}
        daemon = Daemon(self, {"handlers": {"stamp": {**handler, "throttle": "1/1h"}}}).start()
        ids = daemon.add_all([{"type": "stamp", "payload": n} for n in range(4)])
        self.until("the first is done", lambda: daemon.job(ids[0])["state"] == "completed")
        self.assertIn("stamp begins at most 1/1h: the next run in 59m", daemon.cli("why", str(ids[1])))
        daemon.reload({"handlers": {"stamp": {**handler, "throttle": "1/0s"}}})
        self.until("a bad one is refused", lambda: "handlers.stamp.throttle" in daemon.log())
        daemon.reload({"handlers": {"stamp": handler}, "queues": {"default": {"rate_limit": "1/1h"}}})
        self.until("the queue's holds", lambda: daemon.job(ids[1])["state"] == "completed")
        self.assertIn("queue default begins at most 1/1h: the next run in 59m", daemon.cli("why", str(ids[2])))
        self.assertIn("rate_limit 2/100ms", daemon.cli("queue", "set", "default", "rate_limit=2/100ms"))
        self.until("all are done", lambda: daemon.ask("GET", "/v1/stats")["completed"] == 4)
        daemon.stop()

    def test_requests_of_a_sink_are_spread(self):
        receiver = Receiver(self)
        daemon = Daemon(self, {"handlers": {"echo": {"exec": ["/bin/cat"]}},
                               "sinks": {"cloud": receiver.sink(batch={"max_jobs": 5}, throttle="2/1s")}}).start()
        daemon.pile_up([{"type": "echo", "payload": n, "sink": "cloud"} for n in range(30)])
        daemon.cli("queue", "resume", "sink:cloud")
        self.until("all are there", lambda: daemon.ask("GET", "/v1/stats")["completed"] == 30)
        self.assertEqual(len(receiver.seen), 6)
        self.never_faster([request.at for request in receiver.seen], 1, 0.5)
        daemon.stop()


if __name__ == "__main__":
    need("cat", "date")
    main()
