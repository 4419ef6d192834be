"""Processes that have nothing to do, but a handler, a schedule and a job of next month: their memory, and what wakes them."""
import glob
import json
import os
import socket
import subprocess
import time

SETTLE_S = 1  # what the start set going is done


def program(bench, name):
    """A host program; it is idle once it says its line."""
    path = bench.path()
    child = subprocess.Popen([os.path.join(bench.programs, name), path], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    return child


def daemon(bench, binary):
    """With a sink, too. It is idle once it is ready, as a service manager hears it."""
    config, control = bench.path(), bench.path()
    with open(config, "w") as file:
        json.dump({"database": f"{config}.queue.db", "socket": control, "log": {"level": "error"},
                   "handlers": {"report": {"exec": ["/bin/true"], "sink": "cloud"}},
                   "sinks": {"cloud": {"url": "https://localhost:1/", "allow_private": True}},
                   "schedules": {"yearly": {"cron": "0 0 1 1 *", "type": "report"}}}, file)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = bench.path()
        manager.bind(name)
        manager.settimeout(30)
        child = subprocess.Popen([binary, "serve", "--config", config], env=dict(os.environ, NOTIFY_SOCKET=name))
        while b"READY=1" not in manager.recv(4096):
            pass
    return child


def status(path):
    with open(path) as file:
        return dict(line.split(":", 1) for line in file)


def switches(pid):
    """Of all threads, since they began."""
    told = [status(path) for path in glob.glob(f"/proc/{pid}/task/*/status")]
    return sum(int(one[f"{kind}_ctxt_switches"]) for one in told for kind in ("voluntary", "nonvoluntary"))


def measure(bench, binary, seconds):
    """{name: {"rss_kib", "rss_anon_kib", "switches"}}, all of them idle at once for so long."""
    children = {"C program with libholdfast.a": program(bench, "bench_idle"),
                "C program with libholdfast.so": program(bench, "bench_idle_shared")}
    if os.path.exists(binary):
        children["the daemon"] = daemon(bench, binary)
    figures = {}
    time.sleep(SETTLE_S)
    for name, child in children.items():
        told = status(f"/proc/{child.pid}/status")
        figures[name] = {key: int(told[field].split()[0]) for key, field in (("rss_kib", "VmRSS"), ("rss_anon_kib", "RssAnon"))}
        figures[name]["switches"] = -switches(child.pid)
    time.sleep(seconds)
    for name, child in children.items():
        figures[name]["switches"] += switches(child.pid)
        child.terminate()
        child.wait()
    return figures
