#!/usr/bin/env python3
"""What goes wrong from outside gets a clear error, and nothing is lost by it."""
import contextlib
import json
import os
import socket
import sqlite3
import time

from fault_server import Place
from harness import HOLDFAST, Case, Daemon, main, need, read, read_bytes, run, write

CONFIG = {"handlers": {"echo": {"exec": ["/bin/cat"]}}}


class Bad(Case):
    def daemon(self, config=None):
        return Daemon(self, config or CONFIG)

    def with_a_job(self):
        """A queue file with a finished and a waiting job, and the daemon that made it, stopped."""
        daemon = self.daemon().start()
        daemon.ended(daemon.add("echo", '"first"'))
        daemon.add("echo", '"later"', "--delay", "1h")
        daemon.stop()
        return daemon

    def refused(self, daemon, *words, prefix=()):
        """The daemon does not start, in a line that has the words."""
        said = run(*prefix, "sh", "-c", '"$0" serve --config "$1" 2>&1 && echo "it started"', HOLDFAST, daemon.config_file, status=None)
        self.assertNotIn("it started", said)
        self.assertLess(len(said.strip().splitlines()), 3, said)
        for word in words:
            self.assertIn(word, said)

    def untouched(self, path, action):
        before = read_bytes(path)
        action()
        self.assertEqual(read_bytes(path), before)


class Files(Bad):
    def test_a_database_of_another_application(self):
        daemon = self.daemon()
        with contextlib.closing(sqlite3.connect(daemon.database)) as other, other:
            other.execute("CREATE TABLE photos (name TEXT)")
            other.execute("INSERT INTO photos VALUES ('cat')")
        self.untouched(daemon.database, lambda: self.refused(daemon, daemon.database, "another application"))

    def test_a_newer_version(self):
        daemon = self.with_a_job()

        def version(number):  # docs/disk-format.md
            with contextlib.closing(sqlite3.connect(daemon.database)) as file, file:
                file.execute(f"PRAGMA user_version={number}")
                file.execute("UPDATE meta SET value=? WHERE key='min_reader'", (number,))
                self.assertEqual(file.execute("SELECT changes()").fetchone()[0], 1)
        version(1001)
        self.untouched(daemon.database, lambda: self.refused(daemon, daemon.database, "format 1001", "reads up to 2"))
        version(2)
        daemon.start()
        self.assertEqual([daemon.job(id)["state"] for id in (1, 2)], ["completed", "pending"])
        daemon.stop()

    def test_random_bytes(self):
        daemon = self.daemon()
        with open(daemon.database, "wb") as file:
            file.write(os.urandom(50000))
        self.untouched(daemon.database, lambda: self.refused(daemon, daemon.database))

    def test_half_a_file(self):
        daemon = self.with_a_job()
        os.truncate(daemon.database, os.path.getsize(daemon.database) // 2)
        damaged = read_bytes(daemon.database)
        daemon.start()  # healed: the damaged file is kept, and it is told
        daemon.logged("database_salvaged")
        self.assertEqual(read_bytes(daemon.database + ".bad-1"), damaged)
        self.assertEqual(daemon.job(daemon.add("echo", '"after"'))["queue"], "default")
        daemon.stop()

    def test_a_folder_that_cannot_be_written(self):
        daemon = self.daemon()
        os.chmod(self.folder, 0o555)
        prefix = ()
        if os.getuid() == 0:  # whom no mode stops
            prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
            if run(*prefix, "sh", "-c", f'"{HOLDFAST}" --version >/dev/null 2>&1 && echo yes', status=None).strip() != "yes":
                self.skipTest("nobody may not run the program here")
        self.refused(daemon, self.folder, "written", prefix=prefix)
        os.chmod(self.folder, 0o755)

    def test_a_folder_that_is_not_there(self):
        daemon = self.daemon()
        daemon.database = self.path("no/queue.db")
        daemon.configure(CONFIG)
        self.refused(daemon, self.path("no"), "No such")

    def test_a_second_daemon_is_told_who_has_the_file(self):
        daemon = self.daemon().start()
        second = Daemon(self, CONFIG, "second")
        second.database = daemon.database
        second.configure(CONFIG)
        self.refused(second, daemon.database, str(daemon.process.pid))
        daemon.ended(daemon.add("echo", "1"))
        daemon.stop()


class Sockets(Bad):
    def test_a_path_that_is_too_long(self):
        daemon = self.daemon()
        daemon.socket = self.path("s" * 120)
        daemon.configure(CONFIG)
        self.refused(daemon, "107")

    def test_a_living_daemon_has_it(self):
        daemon = self.daemon().start()
        second = Daemon(self, CONFIG, "second")
        second.socket = daemon.socket
        second.configure(CONFIG)
        self.refused(second, daemon.socket)
        daemon.ended(daemon.add("echo", "1"))
        daemon.stop()

    def test_a_file_is_there(self):
        daemon = self.daemon()
        write(daemon.socket, "a letter")
        self.refused(daemon, daemon.socket)
        self.assertEqual(read(daemon.socket), "a letter")

    def test_one_that_a_dead_daemon_left_is_taken_over(self):
        daemon = self.daemon().start()
        id = daemon.add("echo", "1", "--delay", "1h")
        daemon.kill()
        daemon.start()
        self.assertEqual(daemon.job(id)["state"], "pending")
        daemon.stop()


class Configurations(Bad):
    def test_unknown_keys_bad_values_and_no_json(self):
        daemon = self.daemon()
        for config, words in (
                ({"handlers": {"echo": {"exec": ["/bin/cat"], "timout": "5m"}}}, ["handlers.echo.timout", "unknown key", "timeout"]),
                ({"handlers": {"echo": {"exec": ["/bin/cat"], "timeout": "5 minutes"}}}, ["handlers.echo.timeout", "not a duration"]),
                ({"handlers": {"echo": {"exec": ["/no/such/program"]}}}, ["handlers.echo.exec", "/no/such/program"]),
                ({**CONFIG, "schedules": {"s": {"cron": "0 0 31 2 *", "type": "echo"}}}, ["schedules.s.cron", "never fire"]),
                ({"handlers": {"echo": {"exec": ["/bin/cat"], "sink": "nowhere"}}}, ["nowhere"])):
            with self.subTest(words=words):
                daemon.configure(config)
                self.refused(daemon, daemon.config_file, *words)
        write(daemon.config_file, '{"database": ')
        self.refused(daemon, daemon.config_file + ":1")
        os.unlink(daemon.config_file)
        self.refused(daemon, daemon.config_file)
        self.assertFalse(os.path.exists(daemon.database))

    def test_a_bad_one_at_reload_changes_nothing(self):
        daemon = self.daemon().start()
        daemon.reload({"handlers": {"echo": {"exec": ["/bin/false"], "timout": "5m"}}})
        self.until("the log says what is wrong", lambda: "handlers.echo.timout" in daemon.log())
        self.assertEqual(daemon.ended(daemon.add("echo", '"x"'))["result"], '"x"')
        daemon.stop()


class Commands(Bad):
    def test_each_has_its_status_and_its_text(self):
        daemon = self.daemon({**CONFIG, "limits": {"max_payload": "1KiB"}}).start()
        for argv, status, words in (
                (("show", "99"), 3, ["no job 99"]),
                (("why", "99"), 3, ["no job 99"]),
                (("add", "echo", "x" * 2000), 5, ["1024"]),
                (("add", "echo", "--delay", "soon"), 2, ["soon", "not a duration"]),
                (("add", "not a name"), 2, ["not a name"]),
                (("schedule", "put", "s", "0 0 31 2 *", "echo"), 2, ["never fire"])):
            with self.subTest(argv=argv[:2]):
                said = daemon.cli(*argv, status=status)
                for word in words:
                    self.assertIn(word, said)
        unknown = daemon.add("not-yet")  # accepted: its handler may come
        self.assertIn("no handler for type not-yet", daemon.cli("why", str(unknown)))
        daemon.reload({"handlers": {"not-yet": {"exec": ["/bin/cat"]}}})
        daemon.ended(unknown)
        daemon.stop()


class Clients(Bad):
    def setUp(self):
        super().setUp()
        self.served = self.daemon().start()

    def tearDown(self):
        self.served.ended(self.served.add("echo", "1"))  # it serves others as before
        self.served.stop()

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(30)
        client.connect(self.served.socket)
        self.addCleanup(client.close)
        return client

    def all_of(self, client):
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := client.recv(65536):
                said += chunk
        return said.decode()

    def test_bodies_that_are_no_job(self):
        for body, word in (('{"type": ', "JSON"), ("[]", "object"), ('{"typ": "echo"}', "typ"), ('{"type": "echo", "delay": "soon"}', "delay")):
            with self.subTest(body=body):
                client = self.connect()
                client.sendall(f"POST /v1/jobs HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                said = self.all_of(client)
                self.assertIn("400", said.splitlines()[0])
                self.assertIn(word, json.loads(said.split("\r\n\r\n", 1)[1])["error"]["message"])

    def test_garbage(self):
        for garbage in (os.urandom(5000), b"\0" * 100000, b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"x" * 200000, b"\r\n" * 50000 + b"\x16\x03\x01"):
            client = self.connect()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            said = self.all_of(client)
            self.assertRegex(said, r"^(HTTP/1\.1 [45]\d\d .*|)", said)

    def test_one_byte_a_second_is_cut_off_at_the_deadline(self):
        started = time.monotonic()
        client = self.connect()
        for byte in b"GET /v1/stats HTTP/1.1\r\nHost: h\r\n\r\n":
            try:
                client.sendall(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                break
            client.settimeout(1)
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                client.recv(4096)
                break
        took = time.monotonic() - started
        self.assertGreater(took, 5)
        self.assertLess(took, 20)  # the deadline is 10 s

    def test_a_gigabyte_stops_at_the_limit(self):
        client = self.connect()
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 1073741824\r\n\r\n")
        sent = self.pour(client, b"x" * 65536)
        self.assertLess(sent, 64 << 20)
        self.assertIn("413", self.all_of(client).splitlines()[0])

    def test_a_gigabyte_in_chunks_stops_at_the_limit(self):
        client = self.connect()
        client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = self.pour(client, b"10000\r\n" + b"x" * 65536 + b"\r\n")
        self.assertLess(sent, 64 << 20)
        rss = int(read(f"/proc/{self.served.process.pid}/status").split("VmHWM:")[1].split()[0])
        self.assertLess(rss, 64 << 10)

    def pour(self, client, piece):
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 1 << 30:
                client.sendall(piece)
                sent += len(piece)
        return sent


class Peers(Bad):
    def test_an_answer_that_is_not_http(self):
        heard = []

        def greets(_, client):
            with client:
                heard.append(client.recv(65536))
                client.sendall(b"220 mail.example ESMTP\r\n")
        place = Place(self, greets)
        daemon = self.daemon({
            "handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud"}},
            "sinks": {"cloud": {"url": f"http://127.0.0.1:{place.port}/", "allow_private": True, "max_attempts": 2,
                                "backoff": {"kind": "fixed", "base": "50ms", "jitter": "none"}}}}).start()
        job = daemon.ended(daemon.add("echo", '"kept"'), state="dead")
        self.assertIn("HTTP", job["error"])
        self.assertEqual(job["result"], '"kept"')
        self.assertEqual(len(heard), 2)
        daemon.stop()


if __name__ == "__main__":
    need("setpriv")
    main()
