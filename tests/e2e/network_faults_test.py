#!/usr/bin/env python3
"""What a network can do to a delivery: each fault ends in its class of docs/delivery.md, frees what it held by its deadline, and
lets the loop of the daemon go on meanwhile."""
import atexit
import ctypes
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from fault_server import (Connections, DropsSyn, NameServer, Place, after_client_hello, after_server_hello, answer, descriptors, read_head,
                          reset)
from harness import Authority, Case, Daemon, in_namespaces, main, need, write
from link_test import set_address, set_up

DEADLINE, TIMEOUT, ASKED = 1, 3, 2  # seconds: of each part of a request, of all of it, of a Retry-After
SLACK = 3  # of a machine that has much else to do
STALL = 0.05
OWN_NETWORK = False
SMALL_BUFFERS = False  # of what is sent; then a body does not vanish in them
BODY = 200_000


class Fault:
    """`ends`: "waits" (no attempt spent), "asked" (the same, for exactly so long), "tried" (an attempt each time, dead after two), "again"
    (done by the second attempt), "dead" (by the first), "followed" (done by the first). `longest`: seconds that it may hold a
    connection."""

    def __init__(self, name, ends, words, behave=None, tls=None, https=False, host=None, longest=0, size=1, reaches=True, **sink):
        self.name, self.ends, self.words, self.behave, self.tls = name, ends, words, behave, tls
        self.https = https or tls is not None
        self.host = host or ("localhost" if self.https else "127.0.0.1")
        self.longest, self.size, self.reaches, self.more = longest, size, reaches, sink
        self.place = self.job = None

    def begin(self, case):
        self.place = Place(case, self.behave, self.tls, small_window if self.size > 1 else None) if self.behave else DropsSyn(case)

    def sink(self, ca):
        sink = {**self.more, "url": f"{'https' if self.https else 'http'}://{self.host}:{self.place.port}/v1/results"}
        return {**sink, "tls": {"ca": ca}} if self.https else sink


def small_window(listener):
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


def says(*replies):
    """Answers each request with the next of them, the last one again and again."""
    def behave(place, connection):
        place.request(connection)
        connection.sendall(replies[min(len(place.requests), len(replies)) - 1])
        place.answered.append(time.monotonic())
    return behave


def says_and_closes(reply):
    """FIN behind it; of TLS without its own end."""
    def behave(place, connection):
        place.request(connection)
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_RDWR)
    return behave


def is_silent(_, connection):
    connection.recv(65536)


def reads_no_more(_, connection):
    read_head(connection)


def never_answers(place, connection):
    place.request(connection)


def a_byte_at_a_time(place, connection):
    place.request(connection)
    for byte in answer(200, body="x" * 1000):
        connection.sendall(bytes([byte]))
        time.sleep(0.5)


def loses_the_response(place, connection):
    place.request(connection)
    if len(place.requests) > 1:
        connection.sendall(answer(200))
    connection.close()


def resets(_, connection):
    reset(connection)


class NetworkFaults(Case):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.path("ca"))
        self.good = self.context("DNS:localhost")
        if OWN_NETWORK:
            NameServer(self)

    def context(self, san, ca=None, **dates):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(ca or self.ca).issue("server", san, **dates))
        return context

    def faults(self):
        stranger = Authority(self.path("other"), "Other CA")
        certificate = "the certificate was refused"
        names = [
            Fault("DNS hang", "waits", ["the lookup of server.hang took longer than 1000 ms"], is_silent, host="server.hang", reaches=False),
            Fault("NXDOMAIN", "waits", ["server.none"], never_answers, host="server.none", reaches=False),
        ] if OWN_NETWORK else []
        return names + [
            Fault("SYN drop", "waits", ["no connection to", "within 1000 ms"], longest=DEADLINE, reaches=False),
            Fault("reset at accept", "waits", ["TLS handshake"], resets, https=True, reaches=False),
            Fault("reset after ClientHello", "waits", ["TLS handshake"], after_client_hello, https=True, reaches=False),
            Fault("reset after ServerHello", "waits", ["TLS handshake"], after_server_hello(self.good), https=True, reaches=False),
            Fault("silence after ClientHello", "waits", ["no TLS handshake with", "within 1000 ms"], is_silent, https=True, longest=DEADLINE, reaches=False),
            Fault("reset after Finished", "tried", ["before the response"], resets, tls=self.good, reaches=False),
            Fault("reset before the request", "tried", ["the connection to", "before the response"], resets, reaches=False),
            Fault("black hole in the request", "tried", ["took none of the request within 1000 ms"] if SMALL_BUFFERS else ["within 1000 ms"], reads_no_more,
                  longest=DEADLINE, size=BODY, reaches=False),
            Fault("no response", "tried", ["no response from", "within 1000 ms"], never_answers, longest=DEADLINE),
            Fault("black hole in the response", "tried", ["sent no more of the response within 1000 ms"], says(answer(200, body="x" * 100, length=200)), longest=DEADLINE),
            Fault("a byte at a time", "tried", ["timed out after 3s"], a_byte_at_a_time, longest=TIMEOUT),
            Fault("lost response", "again", [], loses_the_response),
            Fault("lost response under TLS", "again", [], loses_the_response, tls=self.good),
            Fault("redirect", "dead", ["HTTP 307", "a redirect that is not followed"], says(answer(307, "Location: /v2/results\r\n"))),
            Fault("redirect that is followed", "followed", [], says(answer(307, "Location: /v2/results\r\n"), answer(200)), tls=self.good, redirects=1),
            Fault("400", "dead", ["HTTP 400 from", "no such sensor"], says(answer(400, body="no such sensor"))),
            Fault("401", "dead", ["HTTP 401 from"], says(answer(401))),
            Fault("413", "dead", ["HTTP 413 from"], says(answer(413))),
            Fault("429 with Retry-After", "asked", ["HTTP 429 from"], says(answer(429, f"Retry-After: {ASKED}\r\n"), answer(200))),
            Fault("503 with Retry-After", "asked", ["HTTP 503 from"], says(answer(503, f"Retry-After: {ASKED}\r\n"), answer(200)), tls=self.good),
            Fault("503", "tried", ["HTTP 503 from"], says(answer(503))),
            Fault("oversize headers", "tried", ["the headers are longer than 16384 bytes"], says(answer(200, f"X: {'x' * 17000}\r\n"))),
            Fault("bad chunk", "tried", ["a chunk of the body is malformed"], says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nstored\r\n0\r\n\r\n")),
            Fault("no HTTP", "tried", ["not HTTP"], says(b"SSH-2.0-OpenSSH_9.6\r\n")),
            Fault("captive portal, a redirect", "waits", ["captive portal?", 'leads to "login.hotel.example"'], says(answer(302, "Location: https://login.hotel.example/?x\r\n"))),
            Fault("captive portal, a page", "waits", ["captive portal?", "HTML page"], says(answer(200, "Content-Type: text/html\r\n", "<html>Welcome"))),
            Fault("captive portal, 511", "waits", ["captive portal?", "511"], says(answer(511))),
            Fault("wrong host", "waits", [certificate, "ingest.example"], never_answers, tls=self.context("DNS:ingest.example"), reaches=False),
            Fault("expired", "waits", [certificate, "expired"], never_answers, tls=self.context("DNS:localhost", last="20240101000000Z"), reaches=False),
            Fault("not yet valid", "waits", [certificate, "not valid before"], never_answers, tls=self.context("DNS:localhost", first="20430101000000Z"), reaches=False),
            Fault("unknown CA", "waits", [certificate, "authority"], never_answers, tls=self.context("DNS:localhost", stranger), reaches=False),
            Fault("truncated TLS", "tried", ["in the middle of the response"], says_and_closes(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nstor"), tls=self.good),
        ]

    def test_each_ends_in_its_class(self):
        faults = self.faults()
        for fault in faults:
            fault.begin(self)
        good = Place(self, says(answer(200)), self.good)
        part = f"{DEADLINE}s"
        common = {"allow_private": True, "timeout": f"{TIMEOUT}s", "max_attempts": 2, "backoff": {"kind": "fixed", "base": "100ms", "jitter": "none"},
                  "deadlines": {"dns": part, "connect": part, "tls": part, "first_byte": part, "progress": part}}
        sinks = {f"s{n}": {**common, **fault.sink(self.ca.cert)} for n, fault in enumerate(faults)}
        sinks["good"] = {**common, "url": f"https://localhost:{good.port}/", "tls": {"ca": self.ca.cert}}
        daemon = Daemon(self, {"handlers": {"echo": {"exec": ["/bin/cat"]}}, "sinks": sinks}).start()
        pid = daemon.process.pid
        daemon.ended(daemon.add("echo", "1", "--sink", "good"))  # what is made once is made
        connections = Connections(self, pid)
        self.until("it is idle", lambda: not connections.now())
        idle = descriptors(pid)
        probe = self.start([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "stall_probe.py"), daemon.socket, str(pid)],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        began = time.monotonic()
        for n, fault in enumerate(faults):
            fault.job = daemon.ask("POST", "/v1/jobs", {"type": "echo", "payload": "x" * fault.size, "sink": f"s{n}"})["id"]
        for fault in faults:
            with self.subTest(fault.name):
                getattr(self, fault.ends)(daemon, fault)
        took = time.monotonic() - began
        for fault in faults:
            if fault.ends == "waits":
                daemon.ask("POST", f"/v1/jobs/{fault.job}/cancel")
        said = probe.communicate("", timeout=60)[0]
        self.until(lambda: f"no connection is left: {connections.now()}", lambda: not connections.now())
        self.until(lambda: f"all descriptors are free: {idle} {descriptors(pid)}", lambda: descriptors(pid) == idle)
        for fault in faults:
            held = max(connections.held(fault.place.port), default=0)
            self.assertLess(held, fault.longest + SLACK, fault.name)
        self.not_stalled(json.loads(said))
        print(f"{len(faults)} faults in {took:.1f} s")
        begun = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - begun, 10)

    def not_stalled(self, said):
        """One may be the disk's, or of a lock whose holder had no processor; what a fault does, it does each time."""
        stalls = [round(stall * 1000, 1) for stall in said["stalls"]]
        print(f"{said['count']} probes of the loop, longest stalls {stalls} ms, longest wait for a processor included {said['slowest'] * 1000:.1f} ms")
        self.assertGreater(said["count"], 20)
        if not said["waits_are_counted"]:
            print("this kernel does not count how long a thread waits for a processor: stalls are not judged")
            return
        self.assertLess(stalls[0], 500)
        self.assertLess(stalls[2], STALL * 1000)

    # ---- the classes

    def job(self, daemon, fault):
        return daemon.ask("GET", f"/v1/jobs/{fault.job}")

    def holds(self, text, fault):
        return all(word in text for word in fault.words)

    def waits(self, daemon, fault):
        """No attempt spent; the sink is parked, and says why."""
        why = self.until(lambda: f"{fault.name}: it waits: {self.job(daemon, fault)} {daemon.ask('GET', f'/v1/jobs/{fault.job}/why')}",
                         lambda: (text := json.dumps(daemon.ask("GET", f"/v1/jobs/{fault.job}/why"), ensure_ascii=False).replace('\\"', '"')) and "handler_parked" in text and self.holds(text, fault))
        self.assertTrue(why)
        # It may be probed just now; an attempt that was spent would stay so.
        self.until(lambda: f"{fault.name}: no attempt is spent: {self.job(daemon, fault)}", lambda: (job := self.job(daemon, fault)) and (job["state"], job["attempts"]) == ("pending", 0))
        self.assertEqual(bool(fault.place.requests), fault.reaches)

    def over(self, daemon, fault, state, attempts):
        job = self.until(lambda: f"{fault.name}: it is {state}: {self.job(daemon, fault)}", lambda: (job := self.job(daemon, fault))["state"] == state and job)
        self.assertEqual(job["attempts"], attempts)
        return job

    def had_the_key_twice(self, job, fault):
        self.assertEqual([request.header("Idempotency-Key") for request in fault.place.requests], [job["key"]] * 2)

    def asked(self, daemon, fault):
        """No attempt spent, and nothing sent for exactly so long."""
        self.had_the_key_twice(self.over(daemon, fault, "completed", 1), fault)
        waited = fault.place.requests[1].at - fault.place.answered[0]
        self.assertGreaterEqual(waited, ASKED)
        self.assertLess(waited, ASKED + 1)

    def tried(self, daemon, fault):
        """Each time is an attempt, and after the last the job is dead."""
        job = self.over(daemon, fault, "dead", 2)
        self.assertTrue(self.holds(job["error"], fault), job["error"])
        if fault.reaches:
            self.had_the_key_twice(job, fault)

    def again(self, daemon, fault):
        self.had_the_key_twice(self.over(daemon, fault, "completed", 2), fault)

    def followed(self, daemon, fault):
        self.had_the_key_twice(self.over(daemon, fault, "completed", 1), fault)
        self.assertEqual([request.head.split(" ", 2)[1] for request in fault.place.requests], ["/v1/results", "/v2/results"])

    def dead(self, daemon, fault):
        job = self.over(daemon, fault, "dead", 1)
        self.assertTrue(self.holds(job["error"], fault), job["error"])
        self.assertEqual(len(fault.place.requests), 1)


def own_network():
    """In namespaces of its own: names are asked of 127.0.0.1, and little of what is sent is buffered."""
    folder = tempfile.mkdtemp(prefix="hf-e2e-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o755)
    set_address("lo", "127.0.0.1")
    set_up("lo")
    libc = ctypes.CDLL(None, use_errno=True)
    for name, text in {"resolv.conf": "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n", "nsswitch.conf": "hosts: files dns\n", "hosts": "127.0.0.1 localhost\n"}.items():
        file = write(os.path.join(folder, name), text)
        if os.path.exists(f"/etc/{name}") and libc.mount(file.encode(), f"/etc/{name}".encode(), None, 4096, None) != 0:  # MS_BIND
            raise OSError(ctypes.get_errno(), f"cannot bind /etc/{name}")
    try:
        write("/proc/sys/net/ipv4/tcp_wmem", "4096 16384 16384")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    need("openssl", "cat", "unshare")
    OWN_NETWORK = in_namespaces("-mn")
    if OWN_NETWORK:
        SMALL_BUFFERS = own_network()
    else:
        print("no network namespaces here: names are not asked for")
    main()
