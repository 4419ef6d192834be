#!/usr/bin/env python3
"""A server that takes every delivery, and whose answer is lost the first time: in the end it has each result once, by its key, and
the same bytes each time that it came. HOLDFAST_LOST=10000 is the long one."""
import json
import os
import random
import threading
import time

from fault_server import Place, answer, read_request, reset
from harness import Case, Daemon, main, need, time_of

RESULTS = int(os.environ.get("HOLDFAST_LOST", "1000"))
SEED = int(os.environ.get("HOLDFAST_SEED", "1"))
SINGLES = RESULTS // 10  # one request each, beside those that go in batches
BATCH = 50


class Store:
    """What the server keeps: a line for each key, as it came first. Whether a response is lost is drawn with `choose`.

    Of a line that comes again `attempt` is another one, and `created_at` may be, by a moment: it is told by the device's present clock.
    """

    def __init__(self):
        self.choose = random.Random(SEED)
        self.lock = threading.Lock()
        self.lines = {}  # key: the line without these two
        self.created = {}  # key: seconds
        self.came = {}   # key: how often
        self.changed = []
        self.requests = self.lost = 0

    def take(self, body):
        """True if the response is to be lost: of what is new always, else of one in eight."""
        lines = [json.loads(line) for line in body.decode().splitlines()]
        with self.lock:
            self.requests += 1
            lose = self.choose.randrange(8) == 0
            for line in lines:
                key, attempt, created = line["key"], line.pop("attempt"), time_of(line.pop("created_at"))
                self.came[key] = self.came.get(key, 0) + 1
                if self.lines.setdefault(key, line) != line or abs(self.created.setdefault(key, created) - created) > 1 or attempt < 1:
                    self.changed.append((self.lines[key], self.created[key], line, created, attempt))
                lose = lose or self.came[key] == 1
            self.lost += lose
            return lose

    def behave(self, _, connection):
        whole = answer(200, body="stored", keeps_alive=True)
        while True:
            request = read_request(connection)
            if request is None:
                return connection.close()
            if not self.take(request.body):
                connection.sendall(whole)
                continue
            with self.lock:
                cut = self.choose.randrange(-1, len(whole))
            if cut < 0:
                return reset(connection)
            connection.sendall(whole[:cut])  # none of it, or some, but not all
            return connection.close()


class LostResponse(Case):
    def test_one_logical_upload_a_key(self):
        store = Store()
        place = Place(self, store.behave)
        common = {"allow_private": True, "url": f"http://127.0.0.1:{place.port}/v1/results", "backoff": {"kind": "fixed", "base": "50ms", "jitter": "none"}}
        daemon = Daemon(self, {"handlers": {"echo": {"exec": ["/bin/cat"], "concurrency": 4}},
                               "sinks": {"single": {**common, "concurrency": 8}, "many": {**common, "batch": {"max_jobs": BATCH, "max_wait": "20ms"}}}}).start()
        start = time.monotonic()
        ids = []
        for first in range(0, RESULTS, 1000):
            ids += daemon.add_all([{"type": "echo", "payload": {"n": n}, "sink": "single" if n < SINGLES else "many"} for n in range(first, min(first + 1000, RESULTS))])
        self.until(lambda: f"all are completed: {daemon.cli('stats')} {daemon.log()[-2000:]}",
                   lambda: daemon.ask("GET", "/v1/stats")["completed"] == RESULTS, 40 + RESULTS / 20)
        took = time.monotonic() - start
        self.assertEqual(store.changed, [])
        self.assertEqual(len(store.lines), RESULTS)
        by_id = {line["id"]: line for line in store.lines.values()}
        self.assertEqual(sorted(by_id), sorted(ids))
        self.assertEqual([by_id[id]["result"] for id in ids], [{"n": n} for n in range(RESULTS)])
        self.assertEqual({key: 0 for key in store.came}, {line["key"]: 0 for line in store.lines.values()})
        self.assertTrue(all(times >= 2 for times in store.came.values()))
        some = random.Random(SEED).sample(ids, 20)
        self.assertEqual([daemon.ask("GET", f"/v1/jobs/{id}")["key"] for id in some], [by_id[id]["key"] for id in some])
        again = sum(store.came.values()) - RESULTS
        print(f"{RESULTS} results in {store.requests} requests, {store.lost} responses lost, {again} results came again, {took:.1f} s: one logical upload a key")
        daemon.stop()


if __name__ == "__main__":
    need("cat")
    main()
