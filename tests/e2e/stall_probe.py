"""How long the loop of a daemon lets a client of its admin socket wait: `stall_probe.py SOCKET PID`, until its input ends.

It asks for what the loop alone answers (no route: 404), 100 times a second, on one connection. Of the time that an
answer takes, what the loop's thread or this one was ready to run in and had no processor is not the loop's: the kernel
counts it (the second figure of /proc/PID/task/TID/schedstat, in nanoseconds). Prints a line of JSON.
"""
import glob
import json
import select
import socket
import sys
import time

ASK = b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n"


def loop_thread(pid):
    for path in glob.glob(f"/proc/{pid}/task/*/comm"):
        with open(path, encoding="ascii") as comm:
            if comm.read() == "hf-loop\n":
                return path[:-len("comm")]
    raise SystemExit("no thread hf-loop")


def waits(file):
    """(nanoseconds, how often it ran)."""
    file.seek(0)
    _, waited, times = (int(figure) for figure in file.read().split())
    return waited, times


def main(path, pid):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(path)
    stalls, raw = [], []
    with open(loop_thread(pid) + "schedstat", encoding="ascii") as loop, open("/proc/thread-self/schedstat", encoding="ascii") as own:
        while not select.select([sys.stdin], [], [], 0.01)[0]:
            before = waits(loop)[0] + waits(own)[0]
            start = time.monotonic()
            client.sendall(ASK)
            answer = client.recv(65536)
            while b"\r\n\r\n" not in answer or b"}}" not in answer:
                answer += client.recv(65536)
            took = time.monotonic() - start
            waited = (waits(loop)[0] + waits(own)[0] - before) / 1e9
            raw.append(took)
            stalls.append(max(0, took - waited))
        counted = waits(own)[1] > 0  # a kernel may be built without
    print(json.dumps({"count": len(stalls), "slowest": max(raw), "stalls": sorted(stalls, reverse=True)[:10], "waits_are_counted": counted}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
