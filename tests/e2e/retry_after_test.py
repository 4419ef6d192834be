#!/usr/bin/env python3
"""A server that answers 429 with Retry-After is obeyed exactly: nothing comes before, then one request finds out, and no attempt is
spent however often."""
import threading
import time

from fault_server import Place, answer, read_request
from harness import Case, Daemon, main, need

ASKED = [3, 1, 2]  # seconds, one burst of 429 after the other
CONNECTIONS = 4    # of a daemon to one server
JOBS = 40


class Busy:
    """Says 429 to all that comes within a burst, and until the time that it asked for is over; then the next one begins."""

    def __init__(self):
        self.lock = threading.Lock()
        self.bursts = []  # [(when it came, when it was answered)...] of each
        self.keys = []    # of what was taken, and its attempt
        self.until = 0

    def behave(self, _, connection):
        while (request := read_request(connection)) is not None:
            with self.lock:
                if request.at >= self.until and len(self.bursts) == len(ASKED):
                    self.keys.append(request.header("Idempotency-Key"))
                    connection.sendall(answer(200, keeps_alive=True))
                    continue
                if request.at >= self.until:
                    self.bursts.append([])
                wait = ASKED[len(self.bursts) - 1]
                sent = time.monotonic()  # before it is: afterwards another thread may have its turn first
                connection.sendall(answer(429, f"Retry-After: {wait}\r\n", keeps_alive=True))
                self.bursts[-1].append((request.at, sent))
                self.until = max(self.until, request.at + wait)


class RetryAfter(Case):
    def test_a_burst_of_429_is_obeyed_exactly(self):
        busy = Busy()
        place = Place(self, busy.behave)
        daemon = Daemon(self, {"handlers": {"echo": {"exec": ["/bin/cat"]}},
                               "sinks": {"cloud": {"allow_private": True, "url": f"http://127.0.0.1:{place.port}/v1/results", "max_attempts": 1}}}).start()
        # All of them are there when the sink is opened.
        ids = daemon.pile_up([{"type": "echo", "payload": n, "sink": "cloud"} for n in range(JOBS)])
        daemon.cli("queue", "resume", "sink:cloud")
        self.until(lambda: f"all are done: {daemon.cli('stats')} {daemon.log()[-2000:]}", lambda: daemon.ask("GET", "/v1/stats")["completed"] == JOBS)
        jobs = [daemon.ask("GET", f"/v1/jobs/{id}") for id in ids]
        self.assertEqual({job["attempts"] for job in jobs}, {1})
        self.assertEqual(sorted(busy.keys), sorted(job["key"] for job in jobs))
        sizes = [len(burst) for burst in busy.bursts]
        print(f"bursts of {sizes} requests")
        self.assertLessEqual(sizes[0], CONNECTIONS)  # those that were on the way
        self.assertEqual(sizes[1:], [1] * (len(ASKED) - 1))
        for asked, burst, after in zip(ASKED, busy.bursts, busy.bursts[1:]):
            waited = after[0][0] - max(sent for _, sent in burst)
            self.assertGreaterEqual(waited, asked)
            self.assertLess(waited, asked + 1)
        daemon.stop()


if __name__ == "__main__":
    need("cat")
    main()
