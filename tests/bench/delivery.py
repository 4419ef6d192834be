#!/usr/bin/env python3
"""A thousand results to one nginx over TLS, against curl on the same machine in the same run.

  delivery.py BUILD [--rounds N]

Unbatched: a request a result, one after the other, on one connection; curl: one process with a thousand POSTs of the
same bodies and about the same headers on one connection (`curl -K`, `next`). Results are made before, while the sink is paused: time
and CPU are those of the delivery alone, with its commits; the queue file is on a RAM disk, since curl stores
nothing. Batched: a hundred results a request, gzip. Ratios are taken within a round, the median is shown.
Exit status 1 if a goal is missed.
"""
import argparse
import os
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
os.environ["PATH"] += ":/usr/sbin"


def measure():
    from harness import Case
    from thousand import Thousand

    class Round(Case):
        def runTest(self):
            with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
                world = Thousand(self, memory)
                self.told = {"curl": world.curl(), "one": world.holdfast("one"),
                             "batched": world.holdfast("batched", batch={"max_jobs": 100, "max_wait": "1s"}, compress="gzip")}

    one = Round()
    outcome = one.run()
    for _, text in [*outcome.errors, *outcome.failures]:
        sys.exit(text)
    return one.told


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.environ["HOLDFAST_BIN"] = os.path.join(os.path.abspath(args.build), "apps", "holdfast")
    rounds = [measure() for _ in range(args.rounds)]
    missed = False

    def row(what, get, unit="", goal=None, at_most=True):
        nonlocal missed
        value = statistics.median(get(one) for one in rounds)
        met = goal is None or (value <= goal if at_most else value >= goal)
        missed |= not met
        text = "" if goal is None else f"{'<=' if at_most else '>='} {goal:g}  {'ok' if met else 'MISSED'}"
        print(f"{what:58} {value:10.2f} {unit:4} {text}")

    row("handshakes, unbatched", lambda r: r["one"]["handshakes"], "", 1)
    row("wall time of curl", lambda r: r["curl"]["wall"] * 1000, "ms")
    row("wall time unbatched, over curl's", lambda r: r["one"]["wall"] / r["curl"]["wall"], "x", 1.5)
    row("CPU of curl", lambda r: r["curl"]["cpu"] * 1000, "ms")
    row("CPU unbatched, over curl's", lambda r: r["one"]["cpu"] / r["curl"]["cpu"], "x", 2)
    row("bytes of HTTP a result, curl", lambda r: r["curl"]["bytes"] / 1000, "B")
    row("bytes of HTTP a result, unbatched", lambda r: r["one"]["bytes"] / 1000, "B")
    row("bytes of HTTP a result, batched", lambda r: r["batched"]["bytes"] / 1000, "B")
    row("bytes unbatched, over batched", lambda r: r["one"]["bytes"] / r["batched"]["bytes"], "x", 20, False)
    row("requests unbatched, over batched", lambda r: r["one"]["requests"] / r["batched"]["requests"], "x", 20, False)
    row("CPU batched, over curl's", lambda r: r["batched"]["cpu"] / r["curl"]["cpu"], "x")
    row("wall time batched, over curl's", lambda r: r["batched"]["wall"] / r["curl"]["wall"], "x")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
