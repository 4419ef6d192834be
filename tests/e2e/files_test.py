"""Files uploaded by tus to a real server (npm's @tus/server), over a link that breaks.

HOLDFAST_FILE_MB (8) is the size of the file in the test of cuts, HOLDFAST_CUTS (10) how often its link breaks.
"""
import contextlib
import hashlib
import json
import os
import random
import re
import socket
import struct
import subprocess
import threading
import time

from harness import SOURCE, Case, Daemon, main, need, read, skip

MB = int(os.environ.get("HOLDFAST_FILE_MB", "8"))
CUTS = int(os.environ.get("HOLDFAST_CUTS", "10"))
MODULES = subprocess.run([os.path.join(SOURCE, "toolchains/deps.sh"), "--print-prefix", "tus"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


class Link:
    """What is between the daemon and the server. It counts what the daemon sends, and breaks where it is told to."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.sent = 0
        self.cuts = []  # counts of `sent` at which it breaks, ascending
        self.broken = 0
        self.down = False
        self.stays_down = False  # after a break
        self.lock = threading.Lock()
        self.listener = socket.socket()
        # Little is under way: what is in the buffers of a link is lost when it breaks.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            if self.down:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.server_port))
            threading.Thread(target=self.join, args=(client, server), daemon=True).start()

    def join(self, client, server):
        with client, server:
            back = threading.Thread(target=self.carry, args=(server, client, False), daemon=True)
            back.start()
            self.carry(client, server, True)
            back.join()

    def carry(self, source, target, counted):
        with contextlib.suppress(OSError):
            while piece := source.recv(16384):
                if counted and self.breaks(len(piece)):
                    # A reset, as of a router that has lost its tables; what had come through arrives.
                    source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    source.close()
                    break
                target.sendall(piece)
        for side, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                side.shutdown(how)

    def breaks(self, size):
        with self.lock:
            self.sent += size
            if not self.cuts or self.sent < self.cuts[0]:
                return False
            self.cuts.pop(0)
            self.broken += 1
            self.down = self.stays_down
            return True


class Files(Case):
    def setUp(self):
        super().setUp()
        self.outbox = self.path("outbox")
        os.mkdir(self.outbox)
        os.mkdir(self.path("store"))
        self.server_log = self.path("tus.log")
        with open(self.server_log, "w", encoding="utf-8") as log:
            self.server = self.start(["node", os.path.join(os.path.dirname(__file__), "tus_server.mjs"), MODULES, self.path("store")], stdout=log, stderr=log)
        port = self.until(lambda: f"the server listens: {read(self.server_log)}", lambda: re.search(r'{"port":(\d+)}', read(self.server_log)))
        self.link = Link(int(port[1]))

    def daemon(self, **files):
        return Daemon(self, {"handlers": {"upload": {"exec": ["/bin/cat"], "sink": "files"}},
                             "sinks": {"files": {"url": f"http://127.0.0.1:{self.link.port}/files", "allow_private": True, "defer": "100ms", "max_attempts": 5,
                                                 "files": {"root": self.outbox, **files}}}}).start()

    def make(self, name, size):
        """A file with a content of its own, and its SHA-256."""
        source = random.Random(name)
        sha256 = hashlib.sha256()
        os.makedirs(os.path.dirname(os.path.join(self.outbox, name)), exist_ok=True)
        with open(os.path.join(self.outbox, name), "wb") as file:
            while size > 0:
                piece = source.randbytes(min(size, 1 << 20))
                file.write(piece)
                sha256.update(piece)
                size -= len(piece)
        return sha256.hexdigest()

    def finished(self):
        return [json.loads(line) for line in read(self.server_log).splitlines() if line.startswith('{"finished"')]

    def test_it_arrives_with_its_metadata_and_is_deleted(self):
        daemon = self.daemon(delete_after=True)
        sha256 = self.make("clips/a b.mp4", 300_000)
        id = daemon.add("upload", json.dumps({"file": "clips/a b.mp4", "filetype": "video/mp4", "camera": 3}))
        job = daemon.ended(id)
        upload, = self.finished()
        self.assertEqual((upload["size"], upload["sha256"]), (300_000, sha256))
        self.assertEqual(upload["metadata"], {"filename": "a b.mp4", "key": job["key"], "job": str(id), "type": "upload", "queue": "default",
                                              "filetype": "video/mp4", "camera": "3", "sha256": sha256})
        self.until("the file is deleted", lambda: not os.path.exists(os.path.join(self.outbox, "clips/a b.mp4")))
        empty = self.make("empty", 0)
        daemon.ended(daemon.add("upload", '{"file": "empty"}'))
        self.assertEqual(empty, hashlib.sha256().hexdigest())
        daemon.stop()

    def test_what_is_no_file_is_dead_and_says_why(self):
        daemon = self.daemon()
        os.symlink("/etc/passwd", os.path.join(self.outbox, "link"))
        os.mkfifo(os.path.join(self.outbox, "pipe"))
        for payload, why in (('{"file": "missing"}', "there is no such file"), ('{"file": "../tus.log"}', '".." are not allowed'), ('{"file": "link"}', "symbolic link"),
                             ('{"file": "pipe"}', "not a regular file"), ('{"file": "/etc/passwd"}', "relative"), ('[1]', "names no file")):
            job = daemon.ended(daemon.add("upload", payload), state="dead")
            self.assertIn(why, job["error"])
        self.assertEqual(self.finished(), [])
        daemon.stop()

    def test_it_goes_on_after_a_kill(self):
        daemon = self.daemon(chunk="256KiB")
        sha256 = self.make("long", 6_000_000)
        self.link.cuts, self.link.stays_down = [3_000_000], True
        id = daemon.add("upload", '{"file": "long"}')
        self.until("the link broke", lambda: self.link.broken)
        daemon.kill()
        self.link.down = False
        daemon.start()
        daemon.ended(id)
        upload, = self.finished()
        self.assertEqual(upload["sha256"], sha256)
        self.assertLess(self.link.sent, 6_000_000 + 700_000)
        daemon.stop()

    def memory(self, daemon, name):
        return int(re.search(rf"^{name}:\s+(\d+) kB", read(f"/proc/{daemon.process.pid}/status"), re.M)[1])

    def test_it_arrives_over_a_link_that_breaks_all_the_time(self):
        size = MB * 1_000_000
        sha256 = self.make("big", size)
        daemon = self.daemon()
        self.make("first", 200_000)  # what the first upload ever needs is not what a large one needs
        daemon.ended(daemon.add("upload", '{"file": "first"}'))
        seen = []
        self.until("memory settles", lambda: seen.append(self.memory(daemon, "VmRSS")) or len(seen) > 10 and len(set(seen[-10:])) == 1)
        with contextlib.suppress(OSError):  # the peak from now on
            with open(f"/proc/{daemon.process.pid}/clear_refs", "w", encoding="ascii") as clear:
                clear.write("5")
        idle = self.memory(daemon, "VmRSS")
        before = self.link.sent
        self.link.cuts = [before + size * (i + 1) // (CUTS + 1) for i in range(CUTS)]
        begin = time.monotonic()
        id = daemon.add("upload", '{"file": "big"}')
        self.until(lambda: f"{daemon.cli('show', str(id))}{daemon.log()}", lambda: daemon.job(id)["state"] in ("completed", "dead"), 200)
        job = daemon.job(id)
        peak = self.memory(daemon, "VmHWM")
        sent = self.link.sent - before
        print(f"{size} bytes, {self.link.broken} cuts, {sent} bytes sent ({sent / size:.4f}), {time.monotonic() - begin:.1f} s, "
              f"memory {idle} kB idle, {peak} kB at most, attempts {job['attempts']}", flush=True)
        self.assertEqual((job["state"], job["attempts"]), ("completed", 1), job)
        self.assertEqual(self.link.broken, CUTS)
        self.assertEqual(self.finished()[-1]["sha256"], sha256)
        self.assertEqual(len(self.finished()), 2)
        self.assertLess(sent, size * 1.05 if MB >= 100 else size * 1.25)  # of each cut some tens of KiB
        if not os.environ.get("HOLDFAST_SANITIZED"):
            self.assertLess(peak - idle, 1024)
        daemon.stop()


if __name__ == "__main__":
    need("node", "cat")
    if not os.path.exists(os.path.join(MODULES, ".complete")):
        skip("no tus server: toolchains/deps.sh fetches it, if there is npm")
    main()
