#!/usr/bin/env python3
"""The main job of Holdfast, played through in under a minute, and checked at the end.

  demo.py HOLDFAST PRODUCER      the two programs, as built

A TLS server on loopback that wants a client certificate, a daemon, work from the command line, from a C program and
from a schedule; the server goes away for a while, the daemon is killed with SIGKILL in the middle. Exit status 0 means:
everything that was acknowledged ended where it should, and the server has each result once.
"""
import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HOLDFAST, PRODUCER = (os.path.abspath(path) for path in sys.argv[1:3])
HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = tempfile.mkdtemp(prefix="holdfast-demo-")
SOCKET = os.path.join(FOLDER, "hf.sock")
STARTED = time.monotonic()
DEADLINE = STARTED + 55
started = []


def say(text):
    print(f"  {time.monotonic() - STARTED:5.1f} s  {text}", flush=True)


def run(*argv, **more):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30, **more).stdout


def holdfast(*argv, **more):
    return run(HOLDFAST, *argv, env={**os.environ, "HOLDFAST_SOCKET": SOCKET}, **more)


def until(what, ready):
    """Waits for a thing that another process does; the demo's own bound of time is the limit."""
    while not ready():
        if time.monotonic() > DEADLINE:
            raise SystemExit(f"the time is over: {what}")
        time.sleep(0.05)


def make_certificates():
    def openssl(*argv):
        run("openssl", *argv, cwd=FOLDER)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=Demo CA", "-keyout", "ca.key", "-out", "ca.pem")
    for name, extension in (("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        with open(os.path.join(FOLDER, "ext"), "w") as out:
            out.write(extension + "\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN=demo {name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "ext", "-out", f"{name}.pem")
        os.chmod(os.path.join(FOLDER, f"{name}.key"), 0o600)


def start_server(port=0):
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), str(port), FOLDER], stdout=subprocess.PIPE, text=True)
    started.append(server)
    return server, int(server.stdout.readline())


def start_daemon():
    log = open(os.path.join(FOLDER, "daemon.log"), "a")
    daemon = subprocess.Popen([HOLDFAST, "serve", "--config", os.path.join(FOLDER, "holdfast.json")], stdout=log, stderr=log)
    started.append(daemon)
    until("the daemon answers", lambda: daemon.poll() is None and subprocess.run(
        [HOLDFAST, "health", "--socket", SOCKET], capture_output=True).returncode == 0 or daemon.poll() is not None)
    if daemon.poll() is not None:
        raise SystemExit(f"the daemon ended: {open(log.name).read()}")
    return daemon


def configuration(port):
    tls = {"ca": f"{FOLDER}/ca.pem", "cert": f"{FOLDER}/client.pem", "key": f"{FOLDER}/client.key"}
    quick = {"kind": "exponential", "base": "300ms", "max": "2s", "jitter": "equal"}
    return {
        "database": f"{FOLDER}/queue.db", "socket": SOCKET, "device": "demo-gw",
        "handlers": {
            "measure": {"exec": [f"{HERE}/measure.sh"], "sink": "cloud", "concurrency": 2, "backoff": quick},
            "flaky": {"exec": [f"{HERE}/flaky.sh"], "sink": "cloud", "backoff": quick},
            "broken": {"exec": [f"{HERE}/broken.sh"], "backoff": quick},
            "notify": {"http": {"url": f"https://localhost:{port}/v1/notify", "tls": tls, "allow_private": True}, "backoff": quick},
        },
        "sinks": {"cloud": {"url": f"https://localhost:{port}/v1/results", "tls": tls, "allow_private": True,
                            "batch": {"max_jobs": 20, "max_bytes": "64KiB", "max_wait": "200ms"}, "backoff": quick}},
    }


def received():
    try:
        with open(os.path.join(FOLDER, "received.jsonl")) as lines:
            return [json.loads(line) for line in lines]
    except FileNotFoundError:
        return []


def all_jobs():
    return json.loads(holdfast("list", "--limit", "1000", "--json"))["jobs"]


def play():
    make_certificates()
    server, port = start_server()
    with open(os.path.join(FOLDER, "holdfast.json"), "w") as out:
        json.dump(configuration(port), out, indent=1)
    daemon = start_daemon()
    say(f"a TLS server on port {port} that wants a client certificate, and the daemon")

    acknowledged = collections.Counter()
    ids = []

    def add(*argv):
        ids.append(json.loads(holdfast("add", *argv, "--json"))["id"])
        acknowledged[argv[0]] += 1

    holdfast("schedule", "put", "heartbeat", "@every 2s", "measure", '{"what":"load"}')
    for _ in range(6):
        add("measure", '{"what":"disk"}')
    for _ in range(3):
        add("flaky")
    add("broken", '{"image":"v2.bin"}')
    for n in range(4):
        add("notify", json.dumps({"alarm": n}))
    answer = run(PRODUCER, SOCKET, "30")
    ids.extend(json.loads(answer.replace("\r", "").split("\n\n", 1)[1])["ids"])
    acknowledged["measure"] += 30
    say(f"enqueued {len(ids)} jobs: 14 from the command line, 30 from a C program; a schedule makes one every 2 s")

    until("the first results arrive", lambda: len(received()) >= 5)
    server.kill()
    server.wait()
    say(f"the server goes away; it has {len(received())} results")
    for _ in range(10):
        add("measure", '{"what":"load"}')
    time.sleep(1)
    say("10 more jobs meanwhile")
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    say("the daemon is killed with SIGKILL, and started again")
    daemon = start_daemon()
    for _ in range(5):
        add("measure", '{"what":"memory"}')
    time.sleep(1.5)
    server, _ = start_server(port)
    say("the server is back")

    def ended():
        jobs = {job["id"]: job for job in all_jobs()}
        return all(id in jobs and jobs[id]["state"] in ("completed", "dead") for id in ids)

    until("every job ends", ended)
    holdfast("schedule", "rm", "heartbeat")
    until("the schedule's jobs end", lambda: all(job["state"] in ("completed", "dead") for job in all_jobs()))
    say("everything has ended")
    return ids, acknowledged, daemon


def report(ids, acknowledged):
    jobs = all_jobs()
    got = received()
    copies = collections.Counter(row["key"] for row in got)
    print()
    row = "  {:<9} {:>8} {:>9} {:>9} {:>8} {:>6} {:>7}".format
    print(row("type", "enqueued", "scheduled", "completed", "received", "dead", "retried"))
    print("  " + "─" * 62)
    problems = []
    for type in ("measure", "flaky", "broken", "notify"):
        mine = [job for job in jobs if job["type"] == type]
        done = [job for job in mine if job["state"] == "completed"]
        dead = [job for job in mine if job["state"] == "dead"]
        arrived = {key["key"] for key in got if key["type"] == type}
        scheduled = [job for job in mine if job.get("schedule")]
        retried = sum(1 for job in mine if any(a["outcome"] != "dead" for a in job.get("history", [])))
        print(row(type, acknowledged[type], len(scheduled), len(done), len(arrived), len(dead), retried))
        if len(mine) - len(scheduled) != acknowledged[type]:
            problems.append(f"{type}: {acknowledged[type]} were acknowledged and {len(mine) - len(scheduled)} are there")
        if type != "broken" and {job["key"] for job in done} != arrived:
            problems.append(f"{type}: what the server has is not what is completed")
        if type != "broken" and dead or type == "broken" and len(dead) != len(mine):
            problems.append(f"{type}: {len(dead)} dead letters")
    print()
    for job in (job for job in jobs if job["state"] == "dead"):
        detail = json.loads(holdfast("show", str(job["id"]), "--json"))
        print(f"  dead letter: job {job['id']} ({job['type']}): {detail['error']}")
    flaky = [json.loads(holdfast("show", str(job["id"]), "--json")) for job in jobs if job["type"] == "flaky"]
    first = [job["history"][0]["error"] for job in flaky if job.get("history")]
    if first:
        print(f"  retried:     {len(first)} flaky jobs, after: {first[0]}")
    repeated = sum(copies.values()) - len(copies)
    print(f"  the server:  {sum(copies.values())} uploads of {len(copies)} keys"
          f" ({repeated} repeated after a cut, each with its key: counted once)")
    if len(first) != 3:
        problems.append(f"{len(first)} of the 3 flaky jobs were retried")
    if not set(ids) <= {job["id"] for job in jobs}:
        problems.append("an acknowledged job is missing")
    if not any(job.get("schedule") for job in jobs):
        problems.append("the schedule made no job")
    return problems


def main():
    for tool in ("openssl",):
        if shutil.which(tool) is None:
            raise SystemExit(f"the demo needs {tool}: make deps")
    print("\nHoldfast: a job, all the way\n")
    try:
        ids, acknowledged, daemon = play()
        problems = report(ids, acknowledged)
        daemon.terminate()
        if daemon.wait(timeout=15) != 0:
            problems.append(f"the daemon ended with status {daemon.returncode}")
        for problem in problems:
            print(f"  WRONG: {problem}")
        if not problems:
            print("\n  Nothing was lost, and nothing counts twice.\n")
        return 1 if problems else 0
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()
        if os.environ.get("HOLDFAST_DEMO_KEEP"):
            print(f"  kept: {FOLDER}")
        else:
            shutil.rmtree(FOLDER, ignore_errors=True)


sys.exit(main())
