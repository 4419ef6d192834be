#!/usr/bin/env python3
"""Guards instructions and allocations a job: one that costs 5 % (and one allocation, or of the engine's own the
twentieth part of one) more than costs.json says fails, and so does one that saves as much, so that the file is brought up to date.

  costs_test.py BUILD [--update]      of a release build with bench_programs; --update writes costs.json

Instructions are compared where the compiler is the one of the file, and valgrind is there.
"""
import argparse
import glob
import json
import os
import platform
import re
import sys
import tempfile

sys.dont_write_bytecode = True

from programs import COSTS, Bench

TOLERANCE = 0.05
FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "costs.json")


def made_with(build):
    """What the count of instructions depends on, beside the source."""
    def value(pattern, name):
        with open(glob.glob(os.path.join(build, pattern))[0]) as file:
            return re.search(rf"\b{name}\b[^\s=]*[ =]\"?([^\s\"]+)", file.read()).group(1)
    compiler = "CMakeFiles/*/CMakeCXXCompiler.cmake"
    return " ".join([value(compiler, "CMAKE_CXX_COMPILER_ID"), value(compiler, "CMAKE_CXX_COMPILER_VERSION"),
                     value("CMakeCache.txt", "CMAKE_BUILD_TYPE"), platform.machine()])


def count(build):
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(build, folder)
        return {name: {"instructions": bench.instructions(name, *numbers), **bench.allocations(name, *numbers)} for name, *numbers in COSTS}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--update", action="store_true")
    args = parser.parse_args()
    counted, made = count(args.build), made_with(args.build)
    if args.update:
        rounded = {name: {what: round(value, 1 if value < 1000 else None) for what, value in counts.items()} for name, counts in counted.items()}
        with open(FILE, "w") as file:
            json.dump({"made_with": made, **rounded}, file, indent=1)
            file.write("\n")
        return 0
    with open(FILE) as file:
        recorded = json.load(file)
    bad = 0
    for name, counts in counted.items():
        for what, value in counts.items():
            if what == "instructions" and (value is None or made != recorded["made_with"]):
                print(f"{name}, {what}: not compared: {made}")
                continue
            expected = recorded[name][what]
            near = abs(value - expected) <= max(TOLERANCE * expected, 0.05 if what == "own_allocations" else 1)
            bad += not near
            print(f"{name}, {what}: {value:.1f} a job, recorded {expected}{'' if near else ': more than 5 % off; if it is meant: costs_test.py BUILD --update'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
