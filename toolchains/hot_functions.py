#!/usr/bin/env python3
"""Which functions of the library run when it is opened and idle, and when jobs go through it: toolchains/hot_functions.txt.

Those lie together in libholdfast.so and libholdfast.a (toolchains/cmake/Product.cmake), so that a process has these pages of code in its
memory and not every page that one of them is on. What is not listed works as well, anywhere.

    hot_functions.py                 make hot-functions: writes the list
    hot_functions.py --check BUILD   how much of the code that runs is listed; fails below 90 %. Exit status 77: not compared, for want
                                     of valgrind, or since the compiler is another one than the list's

Callgrind names the functions that ran in build/release. The other builds have the same under other names (size_t, int64_t and what
the compiler split off): of each the functions are listed that read the same.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIST = f"{ROOT}/toolchains/hot_functions.txt"
CROSS = {"arm64": "aarch64-linux-gnu-", "armhf": "arm-linux-gnueabihf-", "armhf-minsize": "arm-linux-gnueabihf-"}
SCENARIOS = [("bench", "pipeline", "500", "50"), ("bench", "own_thread_memory", "100"), ("bench_idle",)]
ENOUGH = 0.9


def run(*argv, **more):
    return subprocess.run(argv, capture_output=True, text=True, check=True, **more).stdout


def ran(build, scenario, folder):
    """The names of its functions that callgrind saw; the idle program says a line and waits to be ended."""
    profile = f"{folder}/profile"
    program = f"{build}/tests/bench/{scenario[0]}"
    child = subprocess.Popen(["valgrind", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={profile}", program, *scenario[1:2],
                              f"{folder}/{'-'.join(scenario)}.db", *scenario[2:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             env=dict(os.environ, DELAYSYNC_US="0"))
    child.stdout.readline()
    if scenario == ("bench_idle",):
        time.sleep(1)
        child.terminate()
    child.communicate()
    names, ours = {}, set()
    for line in open(profile):
        found = re.match(r"c?(ob|fn)=\((\d+)\)(?: (\S+))?", line)
        if not found:
            continue
        kind, number, name = found.groups()
        if name:
            names[kind, number] = name
        if line.startswith("ob="):
            in_program = names["ob", number].endswith(scenario[0])
        elif line.startswith("fn=") and in_program:
            ours.add(re.sub(r"'\d+$", "", names["fn", number]))  # '2: the function within itself
    return ours


def functions(build, tools=""):
    """{symbol: (section, bytes)} of a build's library. Several symbols may have one section: C1 and C2 of a constructor."""
    table = run(f"{tools}objdump", "-t", f"{build}/libholdfast.o")
    found = re.findall(r"^\S+ .{5} F \.text(?:\.hot)?\.(\S+)\t(\S+) (?:\.hidden )?(\S+)$", table, re.M)
    return {name: (section, int(size, 16)) for section, size, name in found if not section.startswith("unlikely.")}


def compiler(build):
    return max(re.findall(r"GCC: \(.*?\) [\d.]+", run("readelf", "-p", ".comment", f"{build}/libholdfast.o")), default="another")


def reads(names):
    """{name: as a person reads it}, without what differs from one machine to the other."""
    said = run("c++filt", "-p", input="\n".join(re.sub(r"\.(isra|part|constprop|lto_priv|localalias)\b.*", "", name) for name in names))
    return {name: re.sub(r"\b(unsigned )?(long long|long|int)\b", r"\1int", text) for name, text in zip(names, said.split("\n"))}


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--check", metavar="BUILD", help="how much of the code that runs is listed")
    asked = options.parse_args()
    native = asked.check or f"{ROOT}/build/release"
    if asked.check and (not shutil.which("valgrind") or compiler(native) not in open(LIST).readline()):
        print(f"not compared: {compiler(native)}")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        names = set().union(*(ran(native, scenario, folder) for scenario in SCENARIOS))
    there = functions(native)
    hot = {name for name in names if name in there}
    sections = {there[name] for name in hot}
    size = sum(size for _, size in sections)
    if asked.check:
        listed = set(open(LIST).read().split("\n"))
        share = sum(size for section, size in sections if section in listed) / size
        print(f"{share:.1%} of {size // 1024} KiB that run are in {os.path.relpath(LIST, ROOT)}")
        sys.exit(f"fewer than {ENOUGH:.0%}: make hot-functions" if share < ENOUGH else 0)
    texts = {text for name, text in reads(sorted(there)).items() if name in hot}
    listed = {section for section, _ in sections}
    for build, tools in CROSS.items():
        there = functions(f"{ROOT}/build/{build}", tools)
        listed |= {there[name][0] for name, text in reads(sorted(there)).items() if text in texts}
    with open(LIST, "w") as file:
        file.write("\n".join([f"# Made by make hot-functions ({compiler(native)}); do not edit.", *sorted(listed)]) + "\n")
    print(f"{len(sections)} functions, {size // 1024} KiB; {len(listed)} names")


if __name__ == "__main__":
    main()
