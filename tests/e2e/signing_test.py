#!/usr/bin/env python3
"""Signed requests: who verifies them, by the specification of Standard Webhooks alone, takes them, also while keys change;
and the keys are seen nowhere outside of the daemon."""
import base64
import functools
import glob
import hashlib
import hmac
import re
import secrets
import shutil
import signal
import time

from harness import PATIENCE, Case, Credentials, Daemon, Receiver, main, need, read, read_bytes, run

TOLERANCE = 300  # seconds


class Verifier(Receiver):
    """Answers 401 to what none of its keys signed, or not now. taken: (id, body) of the others."""

    def __init__(self, case, *keys):
        self.keys = keys
        self.taken = []
        self.refused = []
        super().__init__(case)

    def answer(self, headers, body):
        ok = self.verifies(headers, body)
        (self.taken if ok else self.refused).append((headers["webhook-id"], body.decode()))
        return 200 if ok else 401

    def verifies(self, headers, body):
        if abs(time.time() - int(headers.get("webhook-timestamp", "0"))) > TOLERANCE:
            return False
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        rights = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in self.keys]
        given = headers.get("webhook-signature", "").split(" ")
        return any(version == "v1" and any(hmac.compare_digest(signature, right) for right in rights)
                   for version, _, signature in (one.partition(",") for one in given))


class Signing(Case):
    def setUp(self):
        super().setUp()
        self.credentials = Credentials(self)

    def key(self, name):
        key = secrets.token_bytes(32)
        self.write_key(name, key)
        return key

    def write_key(self, name, key):
        self.credentials.write(name, f"whsec_{base64.b64encode(key).decode()}\n")

    def config(self, receiver, *keys):
        target = receiver.sink(sign={"keys": list(keys)})
        return {"handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud"},
                             "environment": {"exec": ["/bin/sh", "-c", "cat /proc/$PPID/cmdline /proc/self/environ; cat"], "sink": "cloud"},
                             "notify": {"http": target}},
                "sinks": {"cloud": {**target, "batch": {"max_jobs": 10, "max_wait": "100ms"}, "defer": "100ms"}},
                "log": {"level": "debug"}}

    def daemon(self, config, prefix=()):
        return Daemon(self, config, prefix=(*prefix, *self.credentials.prefix))

    def test_results_and_requests_are_signed_and_keys_change(self):
        old = self.key("old")
        receiver = Verifier(self, old)
        daemon = self.daemon(self.config(receiver, "cred:old")).start()
        ids = [daemon.add("echo", f'{{"n":{n}}}') for n in range(15)] + [daemon.add("notify", '"hello"')]
        jobs = daemon.ended(*ids)
        self.assertEqual(receiver.refused, [])
        self.assertIn((jobs[-1]["key"], '"hello"'), receiver.taken)
        self.assertGreater(len(receiver.taken[0][1]), 0)
        # Both while they change: the receiver has the old one alone, then the new one alone.
        new = self.key("new")
        daemon.reload(self.config(receiver, "cred:new", "cred:old"))
        self.until("it is reloaded", lambda: daemon.log().count(" reloaded ") == 1)
        daemon.ended(daemon.add("echo", "1"))
        receiver.keys = (new,)
        daemon.ended(daemon.add("echo", "2"))
        # The same name, and something else in it.
        newer = secrets.token_bytes(64)
        self.write_key("new", newer)
        daemon.reload()
        self.until("it is reloaded", lambda: daemon.log().count(" reloaded ") == 2)
        receiver.keys = (newer,)
        daemon.ended(daemon.add("echo", "3"))
        self.assertEqual(receiver.refused, [])
        # A reload that finds no key keeps what was.
        self.credentials.remove("new")
        daemon.reload()
        self.until("it says so", lambda: "cred:new" in daemon.log() and "No such file" in daemon.log())
        daemon.ended(daemon.add("echo", "4"))
        daemon.stop()

    def test_a_key_is_seen_nowhere(self):
        key = self.key("canary")
        receiver = Verifier(self, key)
        daemon = self.daemon(self.config(receiver, "cred:canary")).start()
        ids = [daemon.add(type, '"x"') for type in ("echo", "environment", "notify") for _ in range(5)]
        daemon.ended(*ids)
        self.assertEqual(receiver.refused, [])
        no_mark = functools.partial(self.no_mark, key)
        pid = daemon.process.pid
        self.assertNotEqual(self.dumpable(pid), b"")
        no_mark("what a core dump has", self.dumpable(pid))
        for file in ("cmdline", "environ"):
            no_mark(file, read_bytes(f"/proc/{pid}/{file}"))
        no_mark("ps", run("ps", "auxewww").encode())
        no_mark("payloads and results", "".join(body for _, body in receiver.taken).encode())
        for id in ids:
            no_mark("the admin socket", daemon.cli("show", str(id), "--json").encode())
        no_mark("metrics", (daemon.cli("metrics") + daemon.cli("stats", "--json")).encode())
        daemon.stop()
        for file, data in daemon.files().items():
            no_mark(file, data)

    def no_mark(self, key, what, data):
        """Neither the key is in it, nor a form of it: its texts, and what HMAC makes of it first (RFC 2104)."""
        pads = [bytes(byte ^ pad for byte in key) for pad in (0x36, 0x5c)]
        for mark in [key, base64.b64encode(key), base64.b64encode(key)[:-4], key.hex().encode(), *pads]:
            self.assertFalse(mark in data, what)  # assertNotIn would show it all

    def test_a_key_is_in_no_core_dump(self):
        """A real one, where the system writes one into the folder of the process; else one that gdb makes."""
        key = self.key("canary")
        receiver = Verifier(self, key)
        daemon = self.daemon(self.config(receiver, "cred:canary"), ("sh", "-c", 'cd "$0" && ulimit -c unlimited && exec "$@"', self.folder)).start()
        daemon.ended(*[daemon.add(type, '"x"') for type in ("echo", "notify") for _ in range(3)])
        self.assertEqual(receiver.refused, [])
        pid = daemon.process.pid
        core = None
        if not re.match(r"[|/]", read("/proc/sys/kernel/core_pattern") or "|"):
            daemon.process.send_signal(signal.SIGABRT)
            daemon.process.wait(PATIENCE)
            core = next(iter(glob.glob(self.path("*core*"))), None)
        elif shutil.which("gcore"):
            run("gcore", "-o", self.path("core"), str(pid), status=None)
            core = next(iter(glob.glob(self.path("core*"))), None)
        if core is None:
            self.skipTest(f"no core here: the system gives it to {read('/proc/sys/kernel/core_pattern').strip()!r}, or the program was built so that it leaves none; "
                          "the other test has searched the memory that one would have")
        memory = read_bytes(core)
        self.assertEqual(memory[:4], b"\x7fELF")
        for known in (b"cred:canary", f"127.0.0.1:{receiver.server_port}".encode()):  # what is no secret is in it
            self.assertTrue(known in memory, known)
        self.no_mark(key, "the core", memory)
        print(f"no key in a core of {len(memory) >> 10} KiB")


if __name__ == "__main__":
    need("ps")
    main()
