#!/usr/bin/env python3
"""A thousand results to one nginx over TLS, against curl on the same machine in the same run.

  delivery.py BUILD [--rounds N]

Unbatched: a request a result, one after the other, on one connection; curl: one process with a thousand POSTs of the
same bodies and about the same headers on one connection (`curl -K`, `next`); and a process a result, for a hundred of them. Results are
made before, while the sink is paused: time and CPU are those of the delivery alone, with its commits; the queue file is on a RAM disk,
since curl stores nothing. Batched: a hundred results a request, gzip. Ratios are taken within a round, the median is shown.
Exit status 1 if a goal is missed.
"""
import argparse
import os
import shutil
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
os.environ["PATH"] += ":/usr/sbin"

COUNT = 1000
EACH = 100  # processes of curl

# (figure, of a round, unit, goal, whether the goal is the most it may be)
FIGURES = [
    ("handshakes, unbatched", lambda r: r["one"]["handshakes"], "", 1, True),
    ("wall time of curl", lambda r: r["curl"]["wall"] * 1000, "ms", None, True),
    ("wall time unbatched, over curl's", lambda r: r["one"]["wall"] / r["curl"]["wall"], "×", 1.5, True),
    ("CPU of curl", lambda r: r["curl"]["cpu"] * 1000, "ms", None, True),
    ("CPU unbatched, over curl's", lambda r: r["one"]["cpu"] / r["curl"]["cpu"], "×", 2, True),
    ("… over that of a curl process a result", lambda r: r["one"]["cpu"] / COUNT / (r["each"]["cpu"] / EACH), "×", None, True),
    ("bytes of HTTP a result, curl", lambda r: r["curl"]["bytes"] / COUNT, "B", None, True),
    ("bytes of HTTP a result, unbatched", lambda r: r["one"]["bytes"] / COUNT, "B", None, True),
    ("bytes of HTTP a result, batched", lambda r: r["batched"]["bytes"] / COUNT, "B", None, True),
    ("bytes unbatched, over batched", lambda r: r["one"]["bytes"] / r["batched"]["bytes"], "×", 20, False),
    ("requests unbatched, over batched", lambda r: r["one"]["requests"] / r["batched"]["requests"], "×", 20, False),
    ("CPU batched, over curl's", lambda r: r["batched"]["cpu"] / r["curl"]["cpu"], "×", None, True),
    ("wall time batched, over curl's", lambda r: r["batched"]["wall"] / r["curl"]["wall"], "×", None, True),
]


def possible(build):
    return shutil.which("nginx") is not None and os.path.exists(binary(build))


def binary(build):
    return os.path.join(os.path.abspath(build), "apps", "holdfast")


def measure(build):
    os.environ["HOLDFAST_BIN"] = binary(build)
    from harness import Case
    from thousand import Thousand

    class Round(Case):
        def runTest(self):
            with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
                world = Thousand(self, memory)
                self.told = {"curl": world.curl(), "each": world.curl_each(EACH), "one": world.holdfast("one"),
                             "batched": world.holdfast("batched", batch={"max_jobs": 100, "max_wait": "1s"}, compress="gzip")}

    one = Round()
    outcome = one.run()
    for _, text in [*outcome.errors, *outcome.failures]:
        sys.exit(text)
    kept = ("wall", "cpu", "requests", "handshakes", "bytes")
    return {name: {key: told[key] for key in kept} for name, told in one.told.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rounds = [measure(args.build) for _ in range(args.rounds)]
    missed = False
    for name, get, unit, goal, at_most in FIGURES:
        value = statistics.median(get(one) for one in rounds)
        met = goal is None or (value <= goal if at_most else value >= goal)
        missed |= not met
        text = "" if goal is None else f"{'≤' if at_most else '≥'} {goal:g}  {'ok' if met else 'MISSED'}"
        print(f"{name:58} {value:10.2f} {unit:4} {text}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
