#!/usr/bin/env python3
"""The daemon with a program as handler and an HTTPS sink, killed by SIGKILL under load and started again.

  daemon_kill.py HOLDFAST [--kills N] [--seconds N] [--seed N] [--keep]

Jobs go in through the Unix socket, from four threads; each 201 is an acknowledgement. The server remembers each
line that it was sent by its key; now and then it answers 503, or takes a batch and breaks off without an answer.
At the end, after the daemon has caught up:

  every acknowledged job is completed, and none is there twice
  the server has the key of each completed job, and no other key; the same key always came with the same result
  a run that was repeated was interrupted by a kill, or ended too shortly before it to be recorded
  PRAGMA integrity_check says ok
"""
import argparse
import collections
import http.client
import http.server
import itertools
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time

# Says what it does in one write to a file opened with O_APPEND; its result is its payload.
HANDLER = 'echo "start $HOLDFAST_JOB_ID $HOLDFAST_ATTEMPT" >>"$0"; cat; echo "end $HOLDFAST_JOB_ID $HOLDFAST_ATTEMPT" >>"$0"'
DRAIN_SECONDS = 120
CRASH_LIMIT = 3  # daemons that die in a job's runs, one after another, quarantine it


class Cloud(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        store = self.server.store
        with store.lock:
            chance = store.random.random()
            if chance < 0.02:
                return self.answer(503)
            for line in body.splitlines():
                row = json.loads(line)
                store.copies[row["key"]] += 1
                store.bodies.setdefault(row["key"], set()).add(json.dumps([row["id"], row["type"], row.get("result"), row.get("result_text")]))
        if chance < 0.04:
            self.close_connection = True  # stored, and the answer is lost
            return None
        return self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # clients are killed here
        pass


class Store:
    def __init__(self, seed):
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.copies = collections.Counter()
        self.bodies = {}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("holdfast", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Play:
    def __init__(self, holdfast, folder, seed):
        self.command = [*os.environ.get("HOLDFAST_EMULATOR", "").split(), holdfast, "serve", "--config", f"{folder}/holdfast.json"]
        self.folder = folder
        self.socket = f"{folder}/hf.sock"
        self.random = random.Random(seed)
        self.store = Store(seed)
        self.lock = threading.Condition()
        self.acknowledged = {}  # id -> token
        self.daemon = None
        self.problems = []

    def wrong(self, text):
        self.problems.append(text)

    # ---- the two sides

    def start_server(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{self.folder}/server.key",
                        "-out", f"{self.folder}/server.pem"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.folder}/server.pem", f"{self.folder}/server.key")
        server = Server(("127.0.0.1", 0), Cloud)
        server.store = self.store
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        quick = {"kind": "exponential", "base": "20ms", "max": "500ms", "jitter": "full"}
        config = {
            "database": f"{self.folder}/queue.db", "socket": self.socket, "device": "gw",
            "handlers": {"work": {"exec": ["/bin/sh", "-c", HANDLER, f"{self.folder}/journal"], "sink": "cloud", "concurrency": 8,
                                  "max_attempts": 1000, "backoff": quick}},
            "sinks": {"cloud": {"url": f"https://localhost:{server.server_address[1]}/v1/results", "allow_private": True,
                                "tls": {"ca": f"{self.folder}/server.pem"}, "max_attempts": 1000, "backoff": quick,
                                "batch": {"max_jobs": 20, "max_wait": "20ms"}}},
            # Every job is looked at in the end, however long this goes on.
            "limits": {"max_jobs": 100000000, "max_bytes": "8GiB", "crash_loop": 0},
            "retention": {"completed": "30d", "completed_count": 100000000}}
        with open(f"{self.folder}/holdfast.json", "w") as out:
            json.dump(config, out)

    def start_daemon(self):
        with open(f"{self.folder}/daemon.log", "a") as log:
            self.daemon = subprocess.Popen(self.command, stdout=log, stderr=log)

    def journal(self, text):
        with open(f"{self.folder}/journal", "a") as journal:
            journal.write(text + "\n")

    # ---- load

    def load(self, number, life):
        """Puts jobs in until the daemon dies."""
        daemon, connection = self.daemon, UnixConnection(self.socket)
        for n in itertools.count():
            if daemon.poll() is not None:
                return None
            tokens = [f"{life}-{number}-{n}-{i}" for i in range(5 if n % 8 == 0 else 1)]
            try:
                connection.request("POST", "/v1/jobs", json.dumps({"jobs": [{"type": "work", "payload": {"token": t}} for t in tokens]}))
                answer = connection.getresponse()
                body = json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                # What was sent may be in the file or not. The first connection may also have been one to the socket
                # of the last daemon, which lives as long as a child that has not become its program yet.
                connection = UnixConnection(self.socket)
                continue
            except ValueError:
                return self.wrong("an answer that is no JSON")
            with self.lock:
                if answer.status != 201:
                    self.wrong(f"POST /v1/jobs: {answer.status} {body}")
                else:
                    for id, token in zip(body.get("ids") or [body["id"]], tokens):
                        if id in self.acknowledged:
                            self.wrong(f"id {id} was given to {self.acknowledged[id]} and to {token}")
                        self.acknowledged[id] = token
                self.lock.notify_all()

    def live(self, life):
        """Starts the daemon, loads it, kills it at a moment that the seed picks."""
        self.journal("boot")
        self.start_daemon()
        if self.random.random() < 0.1:  # while it opens
            spins = self.random.randrange(200000)
        else:
            while not self.reachable():
                if self.daemon.poll() is not None:
                    raise SystemExit(f"the daemon ended by itself: {open(f'{self.folder}/daemon.log').read()[-2000:]}")
                time.sleep(0.005)
            threads = [threading.Thread(target=self.load, args=(n, life), daemon=True) for n in range(4)]
            target = len(self.acknowledged) + self.random.randrange(1, 120)
            for thread in threads:
                thread.start()
            with self.lock:
                if not self.lock.wait_for(lambda: len(self.acknowledged) >= target or self.daemon.poll() is not None, timeout=60):
                    self.wrong(f"life {life}: the daemon acknowledges nothing")
            spins = self.random.randrange(20000)
        for _ in range(spins):
            pass
        self.daemon.send_signal(signal.SIGKILL)
        if self.daemon.wait() != -signal.SIGKILL:
            raise SystemExit(f"the daemon ended by itself: {open(f'{self.folder}/daemon.log').read()[-2000:]}")

    def reachable(self):
        try:
            UnixConnection(self.socket).connect()
            return True
        except OSError:
            return False

    # ---- the end

    def get(self, path):
        connection = UnixConnection(self.socket)
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def drain(self):
        self.journal("boot")
        self.start_daemon()
        self.catch_up()
        if self.retry_quarantined():
            self.catch_up()

    def retry_quarantined(self):
        """Jobs that ran at three kills in a row: none is to blame, but the daemon cannot know."""
        jobs = [job for job in self.all_jobs("&state=dead") if job.get("error", "").startswith("quarantined: ")]
        for job in jobs:
            self.journal(f"retry {job['id']} {job['attempts']}")
            connection = UnixConnection(self.socket)
            connection.request("POST", f"/v1/jobs/{job['id']}/retry")
            if connection.getresponse().status != 200:
                self.wrong(f"job {job['id']} was quarantined and cannot be retried")
        return jobs

    def catch_up(self):
        until = time.monotonic() + DRAIN_SECONDS
        left = "all"
        while time.monotonic() < until:
            try:
                stats = self.get("/v1/stats")
                left = stats["pending"] + stats["running"]
                if left == 0:
                    return
            except OSError:
                pass  # not up yet; or a child of the killed daemon, not yet its program, held the old socket a moment
            time.sleep(0.1)
        return self.wrong(f"after {DRAIN_SECONDS} s {left} jobs have not ended")

    def all_jobs(self, query=""):
        jobs, after = [], 0
        while True:
            page = self.get(f"/v1/jobs?limit=1000&after={after}{query}")
            jobs += page["jobs"]
            after = page.get("next", 0)
            if not after:
                return jobs

    def judge_runs(self):
        """From the journal: who ran more often than once, and why."""
        life, last, runs, interrupted, repeated, quarantined = 0, {}, collections.Counter(), 0, 0, 0
        with open(f"{self.folder}/journal") as journal:
            for line in journal:
                words = line.split()
                if words == ["boot"]:
                    life += 1
                    continue
                what, id, attempt = words[0], int(words[1]), int(words[2])
                before = last.get(id)
                if what == "retry":
                    quarantined += 1
                    if attempt < CRASH_LIMIT:
                        self.wrong(f"job {id} was quarantined after {attempt} attempts")
                    last[id] = (0, before[1], 0) if before else None
                    continue
                if what == "start":
                    runs[id] += 1
                    if before:
                        if before[0] == life:
                            self.wrong(f"job {id} ran again ({before[1]}, then attempt {attempt}) without a kill")
                        if attempt <= before[2]:
                            self.wrong(f"job {id}: attempt {attempt} after attempt {before[2]}")
                        interrupted += before[1] == "start"
                        repeated += before[1] == "end"
                last[id] = (life, what, attempt)
        return runs, interrupted, repeated, quarantined

    def judge(self, kills):
        jobs = {}
        for job in self.all_jobs():
            if job["id"] in jobs:
                self.wrong(f"job {job['id']} is listed twice")
            jobs[job["id"]] = job
        for id, token in self.acknowledged.items():
            if id not in jobs:
                self.wrong(f"job {id} ({token}) was acknowledged and is lost")
        for id, job in jobs.items():
            if job["state"] != "completed":
                self.wrong(f"job {id} is {job['state']}")
        keys = {job["key"] for job in jobs.values()}
        if keys != set(self.store.copies):
            self.wrong(f"{len(keys - set(self.store.copies))} keys are missing at the server, {len(set(self.store.copies) - keys)} are too many")
        for key, bodies in self.store.bodies.items():
            if len(bodies) != 1:
                self.wrong(f"{key} came with different results: {bodies}")
        for id in self.random.sample(sorted(self.acknowledged), min(50, len(self.acknowledged))):
            result = self.get(f"/v1/jobs/{id}").get("result")
            if json.loads(result) != {"token": self.acknowledged[id]}:
                self.wrong(f"job {id} ({self.acknowledged[id]}) has the result {result}")
        runs, interrupted, repeated, quarantined = self.judge_runs()
        self.daemon.terminate()
        if self.daemon.wait(timeout=30) != 0:
            self.wrong(f"the daemon ended with status {self.daemon.returncode}")
        ok = sqlite3.connect(f"{self.folder}/queue.db").execute("PRAGMA integrity_check").fetchone()[0]
        if ok != "ok":
            self.wrong(f"integrity_check: {ok}")
        if any(".bad-" in name or name.endswith(".cut-wal") for name in os.listdir(self.folder)):
            self.wrong("what a kill left was taken for damage")
        sent = sum(self.store.copies.values())
        print(f"{kills} kills: {len(self.acknowledged)} acknowledged, {len(jobs)} in the file, {sum(runs.values())} runs: {interrupted} interrupted "
              f"by a kill, {repeated} ended but not recorded at the kill, {quarantined} quarantined and retried; the server: {sent} uploads of {len(self.store.copies)} keys")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("holdfast")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=0, help="0: no limit")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    if shutil.which("openssl") is None or not os.path.exists(args.holdfast):
        print("skipped: no openssl, or no daemon")
        return 77
    folder = tempfile.mkdtemp(prefix="hf-daemon-")
    play = Play(os.path.abspath(args.holdfast), folder, args.seed)
    until = time.monotonic() + args.seconds if args.seconds else float("inf")
    kills = 0
    try:
        play.start_server()
        while kills < args.kills and time.monotonic() < until and not play.problems:
            play.live(kills)
            kills += 1
        play.drain()
        play.judge(kills)
    finally:
        if play.daemon is not None and play.daemon.poll() is None:
            play.daemon.kill()
            play.daemon.wait()
    for problem in play.problems[:50]:
        print(f"VIOLATION: {problem}")
    if play.problems or args.keep:
        print(f"seed {args.seed}; the files are in {folder}")
    else:
        print("Nothing lost, one logical upload a key.")
        shutil.rmtree(folder)
    return 1 if play.problems else 0


if __name__ == "__main__":
    sys.exit(main())
