#!/usr/bin/env python3
"""How results look on the wire: formats and compression, read by other implementations than ours (Python's gzip, the
zstd program), a server that takes no compression, and what a thousand results cost in requests, handshakes and bytes. And programs that
take many jobs at once."""
import gzip
import json
import subprocess
import sys

from harness import Case, Daemon, Receiver, main, need, read, write
from thousand import COUNT, Thousand


def unpacked(body, encoding):
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return subprocess.run(["zstd", "-d", "-c", "-q"], input=body, stdout=subprocess.PIPE, check=True, timeout=20).stdout
    assert encoding is None, encoding
    return body


class WithoutCompression(Receiver):
    def answer(self, headers, body):
        return 415 if headers.get("Content-Encoding") else 200


class Batches(Case):
    daemons = 0

    def delivered(self, receiver, count, **sink):
        """What `count` jobs whose results are JSON came as: (headers, decompressed body)."""
        self.daemons += 1
        daemon = Daemon(self, {
            "handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud"}},
            "sinks": {"cloud": receiver.sink(concurrency=1, **sink)}}, f"d{self.daemons}").start()
        daemon.pile_up([{"type": "echo", "payload": {"n": n}} for n in range(count)])
        daemon.cli("queue", "resume", "sink:cloud")
        self.until(daemon.log, lambda: daemon.ask("GET", "/v1/stats")["completed"] == count)
        self.log = daemon.log()
        daemon.stop()
        return [(one.headers, unpacked(one.body, one.headers.get("Content-Encoding"))) for one in receiver.seen]

    def test_lines_and_arrays_compressed_or_not(self):
        for compress in ("none", "gzip", "zstd"):
            for format in ("ndjson", "json"):
                with self.subTest(compress=compress, format=format):
                    receiver = Receiver(self)
                    requests = self.delivered(receiver, 40, format=format, compress=compress, batch={"max_jobs": 20, "max_wait": "2s"})
                    rows = []
                    for headers, body in requests:
                        some = json.loads(body) if format == "json" else [json.loads(line) for line in body.splitlines()]
                        self.assertEqual(int(headers["Holdfast-Batch"]), len(some))
                        self.assertEqual(headers["Content-Type"], "application/json" if format == "json" else "application/x-ndjson")
                        self.assertEqual(headers.get("Content-Encoding"), None if compress == "none" else compress)
                        rows += some
                    self.assertEqual(sorted(row["result"]["n"] for row in rows), list(range(40)))

    def test_raw(self):
        receiver = Receiver(self)
        requests = self.delivered(receiver, 5, format="raw", compress="gzip")
        self.assertEqual(sorted(json.loads(body)["n"] for _, body in requests), list(range(5)))
        for headers, body in requests:
            self.assertEqual(headers["Content-Type"], "application/json")
            self.assertNotIn("Content-Encoding", headers)  # too small
            self.assertEqual(headers["Holdfast-Type"], "echo")
            self.assertRegex(headers["Idempotency-Key"], rf"^e2e-[0-9a-f]{{8}}-{headers['Holdfast-Job-Id']}$")

    def test_a_server_that_takes_no_compression(self):
        receiver = WithoutCompression(self)
        requests = self.delivered(receiver, 60, compress="gzip", batch={"max_jobs": 20, "max_wait": "2s"})
        self.assertEqual([headers.get("Content-Encoding") for headers, _ in requests], ["gzip", None, None, None])
        self.assertEqual(requests[0][1], requests[1][1])
        self.assertEqual(self.log.count("sink_encoding_refused"), 1)


STORE = """
import json, os, sys, time
lines = [json.loads(line) for line in sys.stdin]
assert int(os.environ["HOLDFAST_BATCH"]) == len(lines) and "HOLDFAST_JOB_ID" not in os.environ
with open(sys.argv[1], "a") as batches:
    print(json.dumps([[line["payload"]["n"], line["attempt"]] for line in lines]), file=batches)
while os.path.exists(sys.argv[1] + ".hold"):
    time.sleep(0.02)
for line in lines:
    kind = line["payload"]["n"] % 5
    if kind == 0:
        print(json.dumps({"id": line["id"], "outcome": "permanent", "error": "no such sensor"}))
    elif kind > 1 or line["attempt"] > 1:
        print(json.dumps({**line, "outcome": "ok", "result": {"row": line["payload"]["n"]}}))
sys.exit(75)
"""


class Programs(Case):
    def store(self, **batch):
        self.batches = self.path("batches")
        return Daemon(self, {"handlers": {"store": {"exec": [sys.executable, "-c", STORE, self.batches], "batch": batch, "concurrency": 1,
                                                    "backoff": {"kind": "fixed", "base": "50ms", "jitter": "none"}}}}).start()

    def seen(self):
        return [json.loads(line) for line in read(self.batches).splitlines()]

    def test_each_job_of_a_batch_ends_as_the_program_says(self):
        daemon = self.store(max_jobs=10, max_wait="300ms")
        ids = daemon.add_all([{"type": "store", "payload": {"n": n}} for n in range(25)])
        done = [id for n, id in enumerate(ids) if n % 5]
        for job in daemon.ended(*done):
            self.assertEqual(json.loads(job["result"]) if isinstance(job["result"], str) else job["result"], {"row": ids.index(job["id"])})
            self.assertEqual(job["attempts"], 2 if ids.index(job["id"]) % 5 == 1 else 1)
        for job in daemon.ended(*(id for n, id in enumerate(ids) if n % 5 == 0), state="dead"):
            self.assertEqual((job["error"], job["attempts"]), ("no such sensor", 1))
        seen = self.seen()
        self.assertEqual([len(batch) for batch in seen[:2]], [10, 10])
        self.assertEqual(sorted(n for batch in seen for n, attempt in batch if attempt == 1), list(range(25)))
        self.assertEqual(sorted(n for batch in seen for n, attempt in batch if attempt == 2), list(range(1, 25, 5)))
        daemon.stop()

    def test_one_that_waits_for_company_says_so(self):
        daemon = self.store(max_jobs=2, max_wait="1h")
        first = daemon.add("store", '{"n": 2}')
        daemon.why(first, "batch", "store waits for more jobs to take together, up to 1h")
        daemon.ended(first, daemon.add("store", '{"n": 3}'))
        daemon.stop()

    def test_when_the_daemon_is_killed_in_a_batch_all_of_it_comes_again(self):
        daemon = self.store(max_jobs=10)
        write(self.batches + ".hold", "")
        ids = daemon.add_all([{"type": "store", "payload": {"n": 2}} for _ in range(6)])
        self.until("the batch runs", lambda: [job["state"] for job in daemon.jobs()] == ["running"] * 6)
        self.until("the program has it", lambda: self.seen())
        daemon.kill()
        subprocess.run(["rm", self.batches + ".hold"], check=True)
        daemon.start()
        for job in daemon.ended(*ids):
            self.assertEqual(job["attempts"], 2)
        self.assertEqual([len(batch) for batch in self.seen()], [6, 6])
        daemon.stop()


class Cost(Case):
    def test_a_thousand_results(self):
        world = Thousand(self)
        one = world.holdfast("one")
        self.assertEqual((one["requests"], one["connections"], one["handshakes"]), (COUNT, 1, 1))
        self.assertEqual(one["statuses"], {200})
        batched = world.holdfast("batched", batch={"max_jobs": 100, "max_wait": "1s"}, compress="gzip")
        self.assertEqual((batched["connections"], batched["handshakes"], batched["statuses"]), (1, 1, {200}))
        self.assertLessEqual(batched["requests"] * 20, one["requests"])
        self.assertLessEqual(batched["bytes"] * 20, one["bytes"])


if __name__ == "__main__":
    need("nginx", "openssl", "zstd")
    main()
