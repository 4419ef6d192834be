#!/usr/bin/env python3
"""How results look on the wire: formats and compression, read by other implementations than ours (Python's gzip, the
zstd program), a server that takes no compression, and what a thousand results cost in requests, handshakes and bytes."""
import gzip
import http.server
import json
import os
import subprocess
import threading

from harness import Case, Daemon, main, need
from thousand import COUNT, Thousand, waiting


def unpacked(body, encoding):
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return subprocess.run(["zstd", "-d", "-c", "-q"], input=body, stdout=subprocess.PIPE, check=True, timeout=20).stdout
    assert encoding is None, encoding
    return body


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps (headers, body as it came) of each request. takes: the encodings that it does not answer with 415."""

    def __init__(self, case, takes=("gzip", "zstd")):
        self.seen = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.seen.append((dict(self.headers), body))
                self.send_response(200 if self.headers.get("Content-Encoding") in (None, *takes) else 415)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        case.addCleanup(self.server_close)
        case.addCleanup(self.shutdown)


class Batches(Case):
    daemons = 0

    def delivered(self, receiver, count, **sink):
        """What `count` jobs whose results are JSON came as: (headers, decompressed body)."""
        self.daemons += 1
        daemon = Daemon(self, {
            "handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud"}},
            "sinks": {"cloud": {"url": f"http://127.0.0.1:{receiver.server_port}/v1", "allow_private": True, "concurrency": 1, **sink}}}, f"d{self.daemons}").start()
        daemon.cli("queue", "pause", "sink:cloud")
        daemon.ask("POST", "/v1/jobs", {"jobs": [{"type": "echo", "payload": {"n": n}} for n in range(count)]})
        self.until("all have results", lambda: waiting(daemon) == count)
        daemon.cli("queue", "resume", "sink:cloud")
        self.until(daemon.log, lambda: daemon.ask("GET", "/v1/stats")["completed"] == count)
        self.log = daemon.log()
        daemon.stop()
        return [(headers, unpacked(body, headers.get("Content-Encoding"))) for headers, body in receiver.seen]

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
        receiver = Receiver(self, takes=())
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
    os.environ["PATH"] += ":/usr/sbin"
    need("nginx", "openssl", "zstd")
    main()
