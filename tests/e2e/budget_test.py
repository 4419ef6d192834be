#!/usr/bin/env python3
"""A budget of a link against a server that counts what comes and goes on its sockets: it holds to within one batch, over kills of the
daemon and with a server that fails, and what waits is sent when the link is another one. What expires meanwhile is told."""
import json
import os
import re
import threading

from fault_server import Place
from harness import PATIENCE, Case, Daemon, main, need, write

DAY = 60_000
RESULT = 700
KILLS = 3
BATCH = 5
# A batch and its headers, and what a daemon that was killed in the middle of one had under way.
ONE_BATCH = BATCH * (RESULT + 400) + 1000


class CountingServer:
    """HTTP; counts bytes of TCP."""

    def __init__(self, case):
        self.lock = threading.Lock()
        self.bytes = 0
        self.lines = []
        self.fail = 0  # so many requests get 500
        self.holds = []  # when so many bytes have come, the next answer waits for go_on
        self.holding = threading.Event()
        self.go_on = threading.Event()
        self.place = Place(case, self.behave)

    def behave(self, _, client):
        got = b""
        with client:
            while more := client.recv(65536):
                with self.lock:
                    self.bytes += len(more)
                got += more
                head, found, body = got.partition(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                if not found or len(body) < int(length[1]):
                    continue
                got = b""
                with self.lock:
                    hold = bool(self.holds) and self.bytes > self.holds[0]
                    if hold:
                        self.holds.pop(0)
                if hold:
                    self.holding.set()
                    self.go_on.wait(PATIENCE)
                    self.go_on.clear()
                with self.lock:
                    failing = self.fail > 0
                    self.fail -= failing
                    if not failing:
                        self.lines += [json.loads(line) for line in body.splitlines()]
                    answer = b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % (b"500 No" if failing else b"200 OK")
                    self.bytes += len(answer)
                client.sendall(answer)


class Budget(Case):
    def test_budget(self):
        server = CountingServer(self)
        program = write(self.path("result"), f"#!/bin/sh\nprintf '%0{RESULT}d' 1\n")
        os.chmod(program, 0o755)
        daemon = Daemon(self, {
            "handlers": {"r": {"exec": [program], "sink": "cloud"}},
            "sinks": {"cloud": {"url": f"http://127.0.0.1:{server.place.port}/", "allow_private": True, "concurrency": 1, "sequence": True,
                                "batch": {"max_jobs": BATCH}, "backoff": {"kind": "fixed", "base": "10ms"}}},
            "losses": {"sink": "cloud", "every": "1s"},
            "link": {"file": self.path("link"), "budgets": {"lte": {"day": f"{DAY}B"}}}})
        write(self.path("link"), "lte\n")
        daemon.start()
        server.fail = 6
        server.holds = [DAY * n // 6 for n in range(1, KILLS + 1)]
        daemon.add_all([{"type": "r"}] * 150)

        def link():
            return daemon.ask("GET", "/v1/link")

        def counted():
            with server.lock:
                return server.bytes

        def waiting_to_run():
            queue = daemon.ask("GET", "/v1/queues/default")
            return queue["pending"] + queue["running"]

        for kill in range(KILLS):  # each in the middle of a delivery
            self.assertTrue(server.holding.wait(PATIENCE))
            server.holding.clear()
            if kill == KILLS - 1:  # a job that ran at the third kill in a row would be quarantined, and never sent
                self.until(lambda: f"all have run: {daemon.cli('queue', 'list')}", lambda: waiting_to_run() == 0)
            daemon.kill()
            server.go_on.set()
            daemon.start()

        def used_up():
            """What is under way is charged with more than it takes in the end: so nothing may be, between two looks at the same sum."""
            first = link()["budgets"][0]
            return (first["opens_in_ms"] > 0 and daemon.ask("GET", "/v1/stats")["running"] == 0
                    and (last := link()["budgets"][0])["opens_in_ms"] > 0 and last["day_spent"] == first["day_spent"])

        self.until("the budget is used up, and nothing is under way", used_up)
        spent = link()["budgets"][0]["day_spent"]
        self.assertLessEqual(counted(), DAY + ONE_BATCH)
        self.assertGreater(counted(), DAY / 3)  # a kill leaves what was charged beforehand
        # What is booked is what went over the wire, and for each kill what a batch was charged with.
        self.assertGreaterEqual(spent, counted())
        self.assertLess(spent, counted() + KILLS * (4096 + BATCH * (RESULT + 256)) + 1000)
        self.assertEqual(link()["link"], "lte")

        # Restarted, it still knows. What waits says why; what expires meanwhile is counted.
        daemon.stop()
        daemon.start()
        before = counted()
        daemon.add("nobody", "--ttl", "1ms")
        waiting = [job["id"] for job in daemon.ask("GET", "/v1/jobs?state=pending&limit=1")["jobs"]][0]
        self.assertIn("of the 58.5 KiB it may in any 24 hours", daemon.cli("why", str(waiting)))
        self.assertEqual(counted(), before)

        write(self.path("link"), "unmetered\n")
        self.until("all is sent", lambda: len({line["key"] for line in server.lines if line["type"] == "r"}) == 150)
        report = self.until("the loss is told", lambda: [line for line in server.lines if line["type"] == "holdfast.losses"])[0]
        [loss] = report["result"]["losses"]
        self.assertEqual((loss["cause"], loss["queue"], loss["count"], loss["total"]), ("expired", "default", 1, 1))
        # Numbered without a gap, and a number is one job's for good.
        numbers = {}
        for line in server.lines:
            self.assertEqual(numbers.setdefault(line["sequence"], line["key"]), line["key"])
        self.assertEqual(sorted(numbers), list(range(1, 152)))
        self.until("all is over", lambda: daemon.ask("GET", "/v1/stats")["pending"] == 0)
        daemon.stop()


if __name__ == "__main__":
    need("sh")
    main()
