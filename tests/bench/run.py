#!/usr/bin/env python3
"""The figures: Holdfast through its C API against bare SQLite, in the same run, as a table and as JSON.

  run.py BUILD [--rounds N] [--jobs N] [--million N] [--page FILE] [--again]

BUILD is a release build with the target bench_programs. Every sync takes 1 ms in place of what this disk takes
(delaysync.c), so that counts and ratios speak. Each round runs every scenario once, one after the other; a ratio
is taken within a round, and the median of the rounds is shown. --page writes docs/performance.md.
--again measures nothing and shows what BUILD/bench.json has of the last time.
Exit status 1 if a goal is missed.
"""
import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import tls

DELAY_US = 1000


class Bench:
    def __init__(self, build, folder):
        self.programs = os.path.join(build, "tests", "bench")
        self.folder = folder
        self.files = 0

    def path(self):
        self.files += 1
        return os.path.join(self.folder, f"{self.files}.db")

    def run(self, scenario, *numbers, path=None, before=(), delay_us=DELAY_US):
        env = dict(os.environ, DELAYSYNC_US=str(delay_us))
        given = path is not None
        path = path or self.path()
        command = [*before, os.path.join(self.programs, "bench"), scenario, path, *map(str, numbers)]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode not in (0, -9):  # -9: fill_kill ends so
            sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        if not given:
            self.remove(path)
        return json.loads(done.stdout)

    @staticmethod
    def remove(path):
        for end in ("", "-wal", "-journal", "-shm"):
            if os.path.exists(path + end):
                os.remove(path + end)

    def instructions(self, scenario, few, many, *rest, copy_of=None):
        """A job, from the difference of two runs, so that opening and closing do not count. Each on a copy of that file."""
        if shutil.which("valgrind") is None:
            return None
        counts = []
        for jobs in (few, many):
            log = os.path.join(self.folder, "callgrind.log")
            path = self.path()
            if copy_of is not None:
                shutil.copy(copy_of, path)
            self.run(scenario, jobs, *rest, path=path, delay_us=0, before=(
                "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}"))
            self.remove(path)
            with open(log) as file:
                counts.append(int(re.search(r"Collected : (\d+)", file.read()).group(1)))
        return (counts[1] - counts[0]) / (many - few)

    def crowded(self, jobs, queues, few, many):
        """Instructions a job beside so many that wait in so many queues and keys, and of those themselves, over those without."""
        if shutil.which("valgrind") is None:
            return {}
        jobs = min(jobs, 990000)  # the limit of a file is a million, and what is beside them is more
        crowd, lane = self.path(), self.path()
        self.run("crowd", jobs, queues, path=crowd, delay_us=0)
        self.run("crowd", jobs, 0, path=lane, delay_us=0)
        figures = {"beside": self.instructions("beside", few, many, copy_of=crowd) / self.instructions("beside", few, many),
                   "drain": self.instructions("drain", few, many, copy_of=crowd) / self.instructions("drain", few, many, copy_of=lane)}
        self.remove(crowd)
        self.remove(lane)
        return figures

    def idle_daemon(self, program):
        """The daemon with a handler, a schedule and a sink, once it answers."""
        config, socket = self.path(), self.path()
        with open(config, "w") as file:
            json.dump({"database": f"{config}.queue.db", "socket": socket, "log": {"level": "error"},
                       "handlers": {"report": {"exec": ["/bin/true"], "sink": "cloud"}},
                       "sinks": {"cloud": {"url": "https://localhost:1/", "allow_private": True}},
                       "schedules": {"yearly": {"cron": "0 0 1 1 *", "type": "report"}}}, file)
        child = subprocess.Popen([program, "serve", "--config", config])
        while subprocess.run([program, "health", "--socket", socket], capture_output=True).returncode != 0:
            if child.poll() is not None:
                sys.exit("the daemon ended")
            time.sleep(0.05)
        with open(f"/proc/{child.pid}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        child.terminate()
        child.wait()
        return {name: int(status[field].split()[0]) for name, field in (("rss_kib", "VmRSS"), ("rss_anon_kib", "RssAnon"))}

    def idle(self, program):
        path = self.path()
        child = subprocess.Popen([os.path.join(self.programs, program), path], stdout=subprocess.PIPE, text=True)
        line = child.stdout.readline()
        child.kill()
        child.wait()
        self.remove(path)
        return json.loads(line)


    def cron(self):
        done = subprocess.run([os.path.join(self.programs, "bench_cron")], stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)


def rounds_of(bench, jobs, count):
    scenarios = [("bare_insert", jobs), ("insert", jobs), ("bare_sequential", jobs), ("sequential", jobs),
                 ("sequential_keep", jobs), ("bare_pipeline", jobs * 50, 50), ("pipeline", jobs * 50, 50)]
    return [{name: bench.run(name, *numbers) for name, *numbers in scenarios} for _ in range(count)]


def million_of(bench, jobs):
    clean, killed = bench.path(), bench.path()
    result = {"fill": bench.run("fill", jobs, path=clean, delay_us=0)}
    result["clean"] = bench.run("first_claim", path=clean, delay_us=0)
    bench.remove(clean)
    bench.run("fill_kill", jobs, path=killed, delay_us=0)
    result["killed"] = bench.run("first_claim", path=killed, delay_us=0)
    bench.remove(killed)
    return result


def rows_of(rounds, million, instructions, crowded, idle, cron, jobs, handshakes):
    """(figure, value, goal as text, met or None)"""
    def med(get):
        return statistics.median(get(r) for r in rounds)

    def ratio(ours, bare, field):
        return med(lambda r: r[ours][field] / r[bare][field])

    rows = []

    def row(name, value, unit, goal=None, at_most=True):
        met = None if goal is None else (value <= goal if at_most else value >= goal)
        digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
        text = "" if goal is None else f"{'≤' if at_most else '≥'} {goal:g} {unit}".strip()
        rows.append((name, f"{value:.{digits}f} {unit}".strip(), text, met, value))

    row("one durable enqueue, p50 over a bare durable insert", ratio("insert", "bare_insert", "p50_us"), "×")
    row("sequential durable cycle: syncs a job", med(lambda r: r["sequential"]["syncs"]), "", 2.05)
    row("… written a job", med(lambda r: r["sequential"]["write_bytes"]), "B")
    row("… written a job, completed jobs kept", med(lambda r: r["sequential_keep"]["write_bytes"]), "B")
    row("… written a job, bare SQLite", med(lambda r: r["bare_sequential"]["write_bytes"]), "B")
    row("… jobs/s over bare SQLite", ratio("sequential", "bare_sequential", "jobs_per_s"), "×")
    row("… context switches a job", med(lambda r: r["sequential"]["switches"]), "")
    row("50 in flight: jobs/s over the bare pipeline", ratio("pipeline", "bare_pipeline", "jobs_per_s"), "×", 0.5, False)
    row("… jobs/s", med(lambda r: r["pipeline"]["jobs_per_s"]), "")
    row("… jobs/s, bare SQLite", med(lambda r: r["bare_pipeline"]["jobs_per_s"]), "")
    row("… syncs a job", med(lambda r: r["pipeline"]["syncs"]), "")
    row("… written a job", med(lambda r: r["pipeline"]["write_bytes"]), "B")
    row("… written a job, bare SQLite", med(lambda r: r["bare_pipeline"]["write_bytes"]), "B")
    row("… context switches a job", med(lambda r: r["pipeline"]["switches"]), "")
    for name, value in instructions.items():
        if value is not None:
            row(name, value / 1000, "k")
    if crowded:
        row(f"… beside {jobs:,} that wait in 1,000 queues with 10,000 keys, over none", crowded["beside"], "×", 1.3)
        row("… of these themselves, over as many in one queue", crowded["drain"], "×", 1.3)
    for name, figures in idle.items():
        row(f"idle, {name}: RSS", figures["rss_kib"] / 1024, "MiB", 6)
        row("… anonymous", figures["rss_anon_kib"] / 1024, "MiB")
    if million:
        row(f"{jobs:,} pending: RSS after opening and 1000 runs", million["clean"]["rss_kib"] / 1024, "MiB", 16)
        row("… RSS of the process that enqueued them", million["fill"]["rss_kib"] / 1024, "MiB", 16)
        row("… on the disk a job", million["fill"]["file_bytes_a_job"], "B")
        row("… hf_open to the first run, after a clean end", million["clean"]["first_claim_ms"], "ms", 100)
        row("… hf_open to the first run, after SIGKILL", million["killed"]["first_claim_ms"], "ms")
    def cron_row(name, field, goal=None):
        row(name, statistics.median(c[field] for c in cron), "µs", goal)

    if cron:
        cron_row(f"next firing of {cron[0]['lines']:.0f} cron lines, p50", "next_p50_us")
        cron_row("… p99", "next_p99_us", 20)
        cron_row("… the one before, p99", "previous_p99_us", 20)
        cron_row(f"… the slowest of {cron[0]['calls']:,.0f}, the rarest lines too", "worst_us", 1000)
    for name, figures in handshakes.items():
        row(f"TLS, {name}: instructions of a full handshake", figures["full"] / 1e6, "M")
        row("… of a resumed one", figures["resumed"] / 1e6, "M")
        row("… resumed over full", figures["resumed"] / figures["full"], "×", tls.GOAL)
    return rows


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
               platform.machine())
    return f"{cpu}, {os.cpu_count()} processors, Linux {platform.release().split('-')[0]}"


def revision():
    folder = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def page(rows, header):
    lines = ["# Performance", "",
             "Made by `make bench PAGE=docs/performance.md`; do not edit.", "", header, "",
             "| figure | value | goal |", "|---|---|---|"]
    for name, value, goal, met, _ in rows:
        lines.append(f"| {name} | {value} | {goal}{'' if met is None else ' ✓' if met else ' **missed**'} |")
    lines += ["",
              "Each is the median of the rounds; a ratio is taken within one round. 100-byte payloads, 1 KiB pages. Every",
              "sync takes 1 ms in place of what the disk takes (`tests/bench/delaysync.c`). *Bare SQLite* is",
              "`tests/bench/bare.cpp`: the same rows with the same levers, one thread, no queue. *Sequential*: enqueue,",
              "wait for the run, wait until it is recorded, then the next. *50 in flight*: each run puts the next job in;",
              "the bare pipeline deletes 50 rows and inserts 50 a commit. *Written* is what the process handed to `pwrite`.",
              "Instructions are counted by callgrind over the whole process, its threads and the benchmark's own work",
              "included. The counts are guarded by `tests/bench/counts_test.cpp`. Cron lines are those of",
              "`tests/core/cron_lines.h` in eight zones, from random instants (`tests/bench/cron.cpp`). TLS handshakes are those of",
              "a client with a certificate of its own and a server with an intermediate one (`tests/bench/tls.py`), each with a small request.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=os.path.abspath)  # a key is named by its full path
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--million", type=int, default=1000000, help="pending jobs of the large file; 0: none")
    parser.add_argument("--page")
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    kept = os.path.join(args.build, "bench.json")
    if not args.again:
        measure(args, kept)
    with open(kept) as file:
        data = json.load(file)
    rows = rows_of(data["rounds"], data["million"], data["instructions"], data.get("crowded", {}), data["idle"], data.get("cron", []), data.get("pending", 1000000), data.get("handshakes", {}))
    for name, value, goal, met, _ in rows:
        print(f"{name:56} {value:>12}   {goal:10} {'' if met is None else 'ok' if met else 'MISSED'}")
    if args.page:
        with open(args.page, "w") as file:
            file.write(page(rows, data["machine"]))
    return 1 if any(r[3] is False for r in rows) else 0


def measure(args, kept):
    with tempfile.TemporaryDirectory(dir=args.build, prefix="bench-") as folder:
        bench = Bench(args.build, folder)
        rounds = rounds_of(bench, args.jobs, args.rounds)
        idle = {"C program with libholdfast.a": bench.idle("bench_idle"),
                "C program with libholdfast.so": bench.idle("bench_idle_shared")}
        daemon = os.path.join(args.build, "apps", "holdfast")
        if os.path.exists(daemon):
            idle["the daemon"] = bench.idle_daemon(daemon)
        instructions = {"instructions a job, sequential": bench.instructions("sequential", 200, 700),
                        "instructions a job, 50 in flight": bench.instructions("pipeline", 1000, 6000, 50),
                        "instructions a job, bare pipeline": bench.instructions("bare_pipeline", 1000, 6000, 50)}
        crowded = bench.crowded(args.million, 1000, 1000, 6000) if args.million else {}
        cron = [bench.cron() for _ in range(args.rounds)]
        million = million_of(bench, args.million) if args.million else {}
        handshakes = tls.handshakes(os.path.join(bench.programs, "bench_tls"), folder) if shutil.which("valgrind") and shutil.which("openssl") else {}
    rows = rows_of(rounds, million, instructions, crowded, idle, cron, args.million, handshakes)
    with open(kept, "w") as file:
        json.dump({"machine": f"{machine()}; {datetime.date.today().isoformat()}; revision {revision()}; {args.rounds} rounds.",
                   "figures": [{"figure": r[0], "value": r[4], "goal": r[2], "met": r[3]} for r in rows],
                   "pending": args.million, "rounds": rounds, "million": million, "instructions": instructions, "crowded": crowded, "idle": idle, "cron": cron, "handshakes": handshakes}, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
