#!/usr/bin/env python3
"""How results look on the wire: formats and compression, read by other implementations than ours (Python's gzip, the
zstd program), a server that takes no compression, and what a thousand results cost in requests, handshakes and bytes."""
import gzip
import json
import subprocess

from harness import Case, Daemon, Receiver, main, need
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
