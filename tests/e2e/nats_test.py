#!/usr/bin/env python3
"""Results to a stream of a real nats-server, over TLS, that is killed under load: each is in it once."""
import base64
import json
import socket
import ssl

from broker_case import KILLS, Broker, BrokerCase
from harness import PATIENCE, Relay, free_port, main, need, write
from proxy_test import Proxy

USER, WORD = "gw-0042", "s3cret word"


class Nats(Broker):
    """TLS, a user with a password, streams in files that are written through."""

    def __init__(self, case, ca, server, more=""):
        super().__init__(case, "nats")
        self.ca = ca
        self.port = free_port()
        self.config = write(case.path("nats.conf"), f"""
listen: "127.0.0.1:{self.port}"
log_file: "{self.log_file}"
jetstream {{ store_dir: "{case.path('streams')}" }}
tls {{ cert_file: "{server[0]}", key_file: "{server[1]}" }}
authorization {{ user: "{USER}", password: "{WORD}" }}
{more}
""")

    def command(self):
        return ["nats-server", "-c", self.config]

    def listens(self):
        """JetStream answers, too."""
        try:
            return "error" not in self.ask("$JS.API.INFO")
        except OSError:
            return False

    def ask(self, subject, question=None):
        """The answer of the server to one request."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as plain:
            assert self.line(plain).startswith("INFO ")
            context = ssl.create_default_context(cafile=self.ca.cert)
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                body = json.dumps(question).encode() if question is not None else b""
                hello = json.dumps({"verbose": False, "user": USER, "pass": WORD, "headers": True, "no_responders": True})
                stream.sendall(f"CONNECT {hello}\r\nSUB reply 1\r\nPUB {subject} reply {len(body)}\r\n".encode() + body + b"\r\n")
                while True:
                    line = self.line(stream)
                    if line == "PING":
                        stream.sendall(b"PONG\r\n")
                    elif line.startswith("MSG "):
                        return json.loads(self.some(stream, int(line.split()[-1])))
                    elif not line.startswith(("INFO ", "PONG")):
                        raise OSError(line)  # nobody answers yet

    @staticmethod
    def some(stream, size):
        data = b""
        while len(data) < size:
            part = stream.recv(size - len(data))
            if not part:
                raise OSError("the server is gone")
            data += part
        return data

    def line(self, stream):
        data = b""
        while not data.endswith(b"\r\n"):
            data += self.some(stream, 1)
        return data.decode().strip()

    def stream(self, **more):
        said = self.ask("$JS.API.STREAM.CREATE.results", {"name": "results", "subjects": ["gw.>"], "storage": "file", "retention": "limits",
                                                          "discard": "new", "num_replicas": 1, "duplicate_window": 120_000_000_000, **more})
        assert "error" not in said, said

    def count(self):
        return self.ask("$JS.API.STREAM.INFO.results")["state"]["messages"]

    def messages(self):
        for sequence in range(1, self.ask("$JS.API.STREAM.INFO.results")["state"]["last_seq"] + 1):
            message = self.ask("$JS.API.STREAM.MSG.GET.results", {"seq": sequence})["message"]
            headers = base64.b64decode(message["hdrs"]).decode().split("\r\n")
            yield message["subject"], dict(line.split(": ") for line in headers if ": " in line), json.loads(base64.b64decode(message["data"]))


class JetStream(BrokerCase):
    def broker(self, more=""):
        return Nats(self, self.ca, self.server, more)

    def daemon(self, broker, password=WORD, port=None, **more):
        file = self.secret("password", password + "\n")
        return self.daemon_for(f"tls://localhost:{port or broker.port}",
                               nats={"subject": "gw.{device}.{type}", "username": USER, "password": file}, **more)

    def test_every_result_is_in_the_stream_once_although_the_server_is_killed(self):
        broker = self.broker().start()
        broker.stream()
        daemon = self.daemon(broker)
        ids = self.kill_under_load(daemon, broker, broker.count, begin=broker.start)
        self.assertEqual(broker.count(), len(ids))
        seen = set()
        for subject, headers, row in broker.messages():
            self.assertEqual(subject, "gw.e2e.echo")
            self.assertEqual(headers, {"Nats-Msg-Id": row["key"], "Content-Type": "application/json"})
            seen.add(row["id"])
        self.assertEqual(sorted(seen), sorted(ids))
        print(f"{KILLS} kills, {len(ids)} results, {broker.count()} messages")
        daemon.stop()

    def test_an_acknowledgement_that_is_lost_leaves_nothing_twice(self):
        broker = self.broker().start()
        broker.stream()
        relay = Relay(self, broker.port)
        daemon = self.daemon(broker, port=relay.port)
        daemon.ended(*self.add(daemon, ["connects"]))
        relay.mute.set()
        ids = self.add(daemon, [{"n": n} for n in range(10)])
        self.until(lambda: f"all are stored: {broker.count()}", lambda: broker.count() == 11)
        self.assertEqual(daemon.stats()["completed"], 1)
        relay.cut()
        relay.mute.clear()
        for job in daemon.ended(*ids):
            self.assertEqual(job["attempts"], 2)
        self.assertEqual(broker.count(), 11)
        daemon.stop()

    def test_a_stream_that_is_full_is_no_fault_of_the_results(self):
        broker = self.broker().start()
        broker.stream(max_msgs=3)
        daemon = self.daemon(broker)
        ids = self.add(daemon, ["x"] * 6)
        self.until(lambda: f"3 are stored: {broker.count()}", lambda: broker.count() == 3)
        self.until(lambda: f"the log says it: {daemon.log()}", lambda: "maximum messages exceeded" in daemon.log())
        self.assertEqual(daemon.stats()["dead"], 0)
        self.assertNotIn("error", broker.ask("$JS.API.STREAM.PURGE.results", {}))
        daemon.ended(*ids)
        daemon.stop()

    def test_what_the_stream_refuses_is_dead_alone(self):
        broker = self.broker().start()
        broker.stream(max_msg_size=1000)
        daemon = self.daemon(broker)
        small = self.add(daemon, ["s"] * 3)
        [large] = self.add(daemon, ["x" * 2000])
        small += self.add(daemon, ["s"] * 3)
        daemon.ended(*small)
        self.assertIn("message size exceeds maximum", json.dumps(daemon.ended(large, state="dead")))
        self.assertEqual(broker.count(), len(small))
        daemon.stop()

    def test_refused_or_without_a_stream_it_waits_and_says_why(self):
        broker = self.broker().start()
        daemon = self.daemon(broker, password="wrong")
        [id] = self.add(daemon, ["x"])
        daemon.why(id, "Authorization Violation")
        self.assertEqual(daemon.job(id)["attempts"], 0)
        self.secret("password", WORD)
        daemon.reload()
        self.until(lambda: f"no stream: {daemon.log()}", lambda: "no stream takes messages on the subject gw.e2e.echo" in daemon.log())
        broker.stream()
        daemon.ended(id)
        self.assertEqual(broker.count(), 1)
        self.assertNotIn(WORD, daemon.log())
        daemon.stop()

    def test_through_a_proxy_whose_answer_comes_with_the_first_line_of_the_server(self):
        broker = self.broker().start()
        broker.stream()
        proxy = Proxy(self, "user:w0rd")
        login = self.secret("login", "user:w0rd")
        for along in (False, True):
            proxy.along = along
            daemon = self.daemon(broker, proxy=proxy.url, proxy_auth=login)
            daemon.ended(*self.add(daemon, ["x"] * 3))
            daemon.stop()
        self.assertEqual(broker.count(), 6)
        self.assertEqual([lines[0] for lines in proxy.seen], [f"CONNECT localhost:{broker.port} HTTP/1.1"] * 2)


if __name__ == "__main__":
    need("nats-server", "openssl")
    main()
