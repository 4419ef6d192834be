#!/usr/bin/env python3
"""The figures: Holdfast through its C API and its socket against bare SQLite and other queues, in the same run, as a table and as JSON.

  run.py BUILD [--rounds N] [--jobs N] [--million N] [--soak N] [--idle-seconds N] [--page FILE] [--again]

BUILD is a release build with the target bench_programs. Every sync takes 1 ms in place of what this disk takes
(delaysync.c), so that counts and ratios speak. Each round runs every scenario once, one after the other; a ratio
is taken within a round, and the median of the rounds is shown. --page writes docs/performance.md and its pictures.
--again measures nothing and shows what BUILD/bench.json has of the last time.
Exit status 1 if a goal is missed.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import delivery
import figures
import idle
import page
import peers
import pending
import tls
from programs import BARE_COSTS, COSTS, Bench

DEPTH = 50  # jobs in flight, clients
WARM = 20000  # jobs before a soak begins


def rounds_of(bench, jobs, count):
    scenarios = [("bare_insert", jobs), ("insert", jobs), ("bare_sequential", jobs), ("sequential", jobs), ("sequential_keep", jobs), ("sequential_result", jobs),
                 ("own_thread", jobs),
                 ("bare_sequential_normal", jobs * 10), ("sequential_memory", jobs * 10), ("own_thread_memory", jobs * 10),
                 ("bare_pipeline", jobs * 50, DEPTH), ("pipeline", jobs * 50, DEPTH), ("socket", jobs * 50, DEPTH)]
    rounds = []
    for _ in range(count):
        one = {name: bench.run(name, *numbers) for name, *numbers in scenarios}
        for name in peers.there():
            one[name] = peers.measure(bench, name, jobs * (2 if name == "beanstalkd" else 20), DEPTH)
        rounds.append(one)
    return rounds


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
               platform.machine())
    return f"{cpu}, {os.cpu_count()} processors, Linux {platform.release().split('-')[0]}"


def revision():
    folder = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def measure(args):
    valgrind = shutil.which("valgrind") is not None
    with tempfile.TemporaryDirectory(dir=args.build, prefix="bench-") as folder:
        bench = Bench(args.build, folder)
        data = {"machine": f"{machine()}; {datetime.date.today().isoformat()}; revision {revision()}; {args.rounds} rounds.",
                "pending": args.million, "idle_seconds": args.idle_seconds}
        data["rounds"] = rounds_of(bench, args.jobs, args.rounds)
        data["soak"] = {"jobs": args.soak, "warm": WARM, **bench.run("soak", args.soak, WARM)}
        data["idle"] = idle.measure(bench, delivery.binary(args.build), args.idle_seconds)
        data["instructions"] = {name: bench.instructions(name, *numbers) for name, *numbers in COSTS + BARE_COSTS}
        data["allocations"] = {name: bench.allocations(name, *numbers) for name, *numbers in COSTS}
        data["million"] = pending.opening(bench, args.million) if args.million else {}
        # The limit of a file is a million, and what is beside them is more.
        crowd = min(args.million, 990000)
        data["crowd"] = pending.crowded(bench, crowd, args.rounds) if args.million else {}
        data["in_queues"] = pending.in_queues(bench, crowd, 1000, 1000, 6000) if args.million else {}
        data["delivery"] = [delivery.measure(args.build) for _ in range(min(args.rounds, 3))] if delivery.possible(args.build) else []
        data["cron"] = [bench.cron() for _ in range(args.rounds)]
        data["handshakes"] = tls.handshakes(os.path.join(bench.programs, "bench_tls"), folder) if valgrind and shutil.which("openssl") else {}
    return data


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=os.path.abspath)  # a key is named by its full path
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--million", type=int, default=1000000, help="pending jobs of the large file; 0: none")
    parser.add_argument("--soak", type=int, default=200000)
    parser.add_argument("--idle-seconds", type=float, default=60)
    parser.add_argument("--page")
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    kept = os.path.join(args.build, "bench.json")
    if args.again:
        with open(kept) as file:
            data = json.load(file)
    else:
        data = measure(args)
    all_figures = figures.of(data)
    data["figures"] = [{"key": one.key, "figure": one.name, "value": one.value, "unit": one.unit, "goal": one.goal, "met": one.met} for one in all_figures]
    with open(kept, "w") as file:
        json.dump(data, file, indent=1)
    width = max(len(one.name) for one in all_figures)
    for one in all_figures:
        print(f"{one.name:{width}} {one.shown():>12}   {one.shown_goal():10} {'' if one.met is None else 'ok' if one.met else 'MISSED'}")
    if args.page:
        page.write(args.page, all_figures, data["machine"])
    return 1 if any(one.met is False for one in all_figures) else 0


if __name__ == "__main__":
    sys.exit(main())
