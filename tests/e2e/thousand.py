"""A thousand results to one nginx over TLS, and what it cost: for batches_test.py, which holds the counts, and
tests/bench/delivery.py, which compares times with curl's."""
import json
import os
import subprocess
import time

from harness import Authority, Daemon, Nginx

COUNT = 1000


def result(n):
    """What a device might report: 50 bytes, and a number that differs each time."""
    return {"sensor": f"t{n % 7}", "value": round(20 + (n * 7919 % 1000) / 250, 3), "unit": "C", "ok": n % 20 != 0}


def cpu_of(pid):
    """Seconds, all threads, to 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Thousand:
    def __init__(self, case, database=None):
        self.case = case
        ca = Authority(case.path("ca"))
        self.client = ca.issue("gw-0042")
        self.ca = ca.cert
        self.nginx = Nginx(case, ca.issue("server", "DNS:localhost,IP:127.0.0.1"), ca.cert).start()
        self.database = database

    def requests_of(self, act):
        """What nginx logged of `act`, which returns what else is known."""
        before = len(self.nginx.requests())
        more = act()
        seen = self.nginx.requests()[before:]
        return {**more, "requests": len(seen), "connections": len({one["connection"] for one in seen}),
                "handshakes": len({one["connection"] for one in seen if one["resumed"] == "."}), "statuses": {one["status"] for one in seen},
                "bytes": sum(one["received"] + one["sent"] for one in seen), "seen": seen}

    def holdfast(self, name, **sink):
        """Results are made while the sink is paused, so that what is measured is their delivery alone: with its commits."""
        cert, key = self.client
        daemon = Daemon(self.case, {
            "handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud", "concurrency": 8}},
            "sinks": {"cloud": {"url": self.nginx.url("/v1/results"), "allow_private": True, "tls": {"ca": self.ca, "cert": cert, "key": key},
                                "concurrency": 1, **sink}},
            **({"database": os.path.join(self.database, f"{name}.db")} if self.database else {})}, name).start()
        daemon.pile_up([{"type": "echo", "payload": result(n)} for n in range(COUNT)], 200)

        def deliver():
            pid = daemon.process.pid
            before, start = cpu_of(pid), time.time()
            daemon.cli("queue", "resume", "sink:cloud")
            self.case.until("all is delivered", lambda: self.delivered() >= COUNT, 200)
            end = self.nginx.requests()[-1]["at"]
            daemon.ask("GET", "/v1/stats")  # answered after what the engine had to do
            return {"wall": end - start, "cpu": cpu_of(pid) - before}
        self.base = self.delivered_all()
        told = self.requests_of(deliver)
        self.case.assertEqual(daemon.ask("GET", "/v1/stats")["completed"], COUNT)
        daemon.stop()
        return told

    def delivered_all(self):
        return sum(int(one["batch"] or 1) for one in self.nginx.requests("/v1/results") if one["status"] == 200)

    def delivered(self):
        return self.delivered_all() - self.base

    def curl(self):
        """One process, one connection, a POST a result: with the headers of ours and the same bodies."""
        return self.requests_of(lambda: self.run_curl([self.post(n) for n in range(COUNT)]))

    def curl_each(self, count):
        """A process for each of so many, as a script would: each has to make its connection."""
        def go():
            told = [self.run_curl([self.post(n)]) for n in range(count)]
            return {name: sum(one[name] for one in told) for name in ("wall", "cpu")}
        return self.requests_of(go)

    def post(self, n):
        """For curl -K."""
        cert, key = self.client
        path = self.case.path(f"body-{n}")
        with open(path, "w", encoding="ascii") as file:
            file.write(json.dumps({"key": f"e2e-{n}", "id": n, "type": "echo", "queue": "default", "created_at": "2026-11-25T02:30:00Z",
                                   "attempt": 1, "result": result(n)}, separators=(",", ":")) + "\n")
        return "\n".join([f'url = "{self.nginx.url("/v1/results")}"', f'data-binary = "@{path}"', f'cacert = "{self.ca}"',
                          f'cert = "{cert}"', f'key = "{key}"', 'output = "/dev/null"', "silent", "http1.1",
                          'header = "Content-Type: application/x-ndjson"', f'header = "Idempotency-Key: e2e-{n}"',
                          'header = "Holdfast-Batch: 1"'])

    def run_curl(self, posts):
        config = self.case.path("curl.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write("\nnext\n".join(posts) + "\n")
        start = time.time()
        process = subprocess.Popen(["curl", "-K", config], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.case.assertEqual(process.returncode, 0)
        return {"wall": time.time() - start, "cpu": used.ru_utime + used.ru_stime}
