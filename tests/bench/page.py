"""docs/performance.md, and its pictures beside it."""
import os

import plots

HOW = """\
Each is the median of the rounds; a ratio is taken within one round. 100-byte payloads, 1 KiB pages. Every
sync takes 1 ms in place of what the disk takes (`tests/bench/delaysync.c`), for the other queues too.

- *Bare SQLite* is `tests/bench/bare.cpp`: the same rows with the same levers, one thread, no queue.
- *Sequential*: enqueue, wait for the run, wait until it is recorded, then the next; *on one thread*, where the program's thread runs the
  handler (`hf_work`), or with the library's worker threads. *Safe from a kill alone*: durability `memory` against `synchronous=NORMAL`, a
  commit for the insert and one for the delete.
- *50 in flight*: each run puts the next job in; the bare pipeline deletes 50 rows and inserts 50 a commit. On the Unix socket 50
  clients, all on one thread of the same process, send `POST /v1/jobs` on a connection each, the next as soon as the answer is there.
- *beanstalkd* and *redis* are Debian's, on a Unix socket, with 50 clients: put, reserve, delete; `LPUSH`, `LMOVE`, `LREM`
  (`tests/bench/peers.cpp`).
- *Written* is what the process handed to `pwrite`. *Six months old*: the two times of a row take 12 bytes, where they take two in a new
  queue; seven rows fill a page of 1 KiB, not eight.
- *Instructions* are counted by callgrind over the whole process, its threads and the benchmark's own work included;
  *allocations* are calls of `malloc` and its like (`tests/bench/alloccount.c`).
- *Beside* others: these wait for the only slot of their handler. The time to the run is from the call of `hf_enqueue` to the handler's first
  line, with syncs that take no time.
- *Context switches* of an idle process are those of all its threads, voluntary or not.
- *Uploads*: a thousand results to nginx over TLS (`tests/bench/delivery.py`).
- *Cron lines* are those of `tests/core/cron_lines.h` in eight zones, from random instants (`tests/bench/cron.cpp`).
- *TLS handshakes* are those of a client with a certificate of its own and a server with an intermediate one (`tests/bench/tls.py`),
  each with a small request.

Syncs, writes and bytes are guarded by `tests/bench/counts_test.cpp`, instructions and allocations by `tests/bench/costs_test.py`.
"""


def text(all_figures, header, pictures):
    lines = ["# Performance", "", "Made by `make bench PAGE=docs/performance.md`; do not edit.", "", header, ""]
    for section in dict.fromkeys(one.section for one in all_figures):
        lines += [f"## {section}", ""]
        for where, title, file in pictures:
            if where == section:
                lines += [f"![{title}]({file})", ""]
        lines += ["| figure | value | goal |", "|---|---|---|"]
        inside = [one for one in all_figures if one.section == section]
        for one in inside:
            lines.append(f"| {one.name} | {one.shown()} | {one.shown_goal()}{'' if one.met is None else ' ✓' if one.met else ' **missed**'} |")
        lines.append("")
        reasons = dict.fromkeys(one.why for one in inside if one.why)
        if reasons:
            lines += ["Why goals are missed:", "", *(f"- {why}" for why in reasons), ""]
    return "\n".join([*lines, "## How it is measured", "", HOW])


def write(path, all_figures, header):
    stem = os.path.splitext(path)[0]
    pictures = []
    for name, (section, title, svg) in plots.of(all_figures).items():
        with open(f"{stem}-{name}.svg", "w") as file:
            file.write(svg)
        pictures.append((section, title, os.path.basename(f"{stem}-{name}.svg")))
    with open(path, "w") as file:
        file.write(text(all_figures, header, pictures))
