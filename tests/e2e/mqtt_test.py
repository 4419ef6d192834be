#!/usr/bin/env python3
"""Results to a real mosquitto, over TLS, that is killed under load; and what it refuses."""
import collections
import contextlib
import json
import os
import signal
import socket
import threading

from broker_case import KILLS, Broker, BrokerCase
from harness import PATIENCE, Relay, free_port, listens, main, need, run, write
from proxy_test import Proxy


class Mosquitto(Broker):
    """TLS for gateways, without it for those who listen. Who may connect is in a file of passwords."""

    def __init__(self, case, server, more=""):
        super().__init__(case, "mosquitto")
        self.port, self.plain = free_port(), free_port()
        self.passwords = case.path("passwords")
        self.config = write(case.path("mosquitto.conf"), f"""
per_listener_settings false
allow_anonymous false
password_file {self.passwords}
persistence true
persistence_location {case.folder}/
max_queued_messages 0
log_dest file {self.log_file}
{"user root" if os.getuid() == 0 else ""}
{more}
listener {self.port} 127.0.0.1
certfile {server[0]}
keyfile {server[1]}
listener {self.plain} 127.0.0.1
""")
        self.words = {"collector": "c0llect", "gw-0042": "s3cret word"}
        self.allow("collector", "gw-0042")

    def allow(self, *names):
        fresh = self.passwords + ".new"
        write(fresh, "")
        for name in names:
            run("mosquitto_passwd", "-b", fresh, name, self.words[name])
        os.replace(fresh, self.passwords)

    def command(self):
        return ["mosquitto", "-c", self.config]

    def listens(self):
        return listens(self.plain)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class Collector:
    """Subscribes to all with QoS 0, so that the broker passes on what it takes before it confirms it. Keeps what it got over
    connections."""

    def __init__(self, broker):
        self.broker = broker
        self.got = []  # (topic, properties, payload)
        self.gone = threading.Event()
        self.stream = None
        broker.case.addCleanup(self.close)

    def close(self):
        if not self.stream:
            return
        with contextlib.suppress(OSError):
            self.stream.shutdown(socket.SHUT_RDWR)
        self.listener.join(PATIENCE)  # it has the file's lock
        self.file.close()
        self.stream.close()
        self.stream = None

    def connect(self):
        self.close()
        self.gone.clear()
        self.stream = socket.create_connection(("127.0.0.1", self.broker.plain), PATIENCE)
        self.file = self.stream.makefile("rb")
        text = lambda s: len(s.encode()).to_bytes(2, "big") + s.encode()
        self.packet(0x10, text("MQTT") + b"\x05\xc2\0\0\0" + text("collector") + text("collector") + text(self.broker.words["collector"]))
        kind, body = self.read()
        assert kind == 0x20 and body[1] == 0, body
        self.packet(0x82, b"\0\1\0" + text("#") + b"\0")
        kind, body = self.read()
        assert kind == 0x90 and body[-1] == 0, body
        self.stream.settimeout(None)
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def packet(self, kind, body):
        assert len(body) < 128
        self.stream.sendall(bytes([kind, len(body)]) + body)

    def read(self):
        head = self.file.read(1)
        if not head:
            raise ConnectionError("the broker is gone")
        return head[0] & 0xf0, self.file.read(self.number(self.file.read))

    @staticmethod
    def number(take):
        value, shift = 0, 0
        while True:
            byte = take(1)[0]
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def listen(self):
        try:
            while True:
                kind, body = self.read()
                if kind == 0x30:
                    self.take(body)
        except (OSError, IndexError):
            self.gone.set()

    def take(self, body):
        at = 0

        def some(size):
            nonlocal at
            at += size
            return body[at - size:at]

        text = lambda: some(int.from_bytes(some(2), "big")).decode()
        topic, properties = text(), {}
        end = self.number(some)
        end += at
        while at < end:
            what = some(1)[0]
            if what == 0x26:
                name = text()
                properties[name] = text()
            elif what == 0x03:
                properties["content-type"] = text()
            else:
                assert what == 0x01, what
                properties["utf-8"] = some(1)[0]
        self.got.append((topic, properties, body[at:]))

    def rows(self):
        return [json.loads(payload) for _, _, payload in list(self.got)]


class Mqtt(BrokerCase):
    def broker(self, more=""):
        return Mosquitto(self, self.server, more)

    def daemon(self, broker, port=None, **more):
        password = self.secret("password", broker.words["gw-0042"] + "\n")
        return self.daemon_for(f"mqtts://localhost:{port or broker.port}",
                               mqtt={"topic": "gw/{device}/{type}", "username": "gw-0042", "password": password}, **more)

    def test_every_result_arrives_although_the_broker_is_killed(self):
        broker = self.broker("max_inflight_messages 7")
        collector = Collector(broker)
        daemon = self.daemon(broker)

        def begin():
            """It is there again, but only the collector may come in, before the gateway may: it refuses the daemon for a while."""
            broker.allow("collector")
            broker.start()
            collector.connect()

        def admit():
            broker.allow("collector", "gw-0042")
            broker.reload()

        begin()
        ids = self.kill_under_load(daemon, broker, lambda: len(collector.got), begin=begin, admit=admit,
                                   gone=lambda: self.assertTrue(collector.gone.wait(PATIENCE)))
        arrived = collections.defaultdict(list)
        for topic, properties, payload in collector.got:
            row = json.loads(payload)
            self.assertEqual(topic, "gw/e2e/echo")
            self.assertEqual(properties, {"idempotency-key": row["key"], "content-type": "application/json", "utf-8": 1})
            row.pop("attempt")
            row.pop("created_at")  # by the clock of the moment: it may be a millisecond off
            arrived[row["id"]].append(row)
        self.assertEqual(sorted(arrived), sorted(ids))
        for rows in arrived.values():
            for row in rows:
                self.assertEqual(row, rows[0])
        self.assertEqual(len({rows[0]["key"] for rows in arrived.values()}), len(ids))
        print(f"{KILLS} kills, {len(ids)} results, {len(collector.got) - len(ids)} arrived twice")
        daemon.stop()
        # In good order: the broker saw a DISCONNECT.
        self.until(broker.log, lambda: "Client holdfast-e2e-cloud disconnected." in broker.log())

    def test_an_acknowledgement_that_is_lost_brings_the_same_key_again(self):
        broker = self.broker().start()
        collector = Collector(broker)
        collector.connect()
        relay = Relay(self, broker.port)
        daemon = self.daemon(broker, relay.port)
        daemon.ended(*self.add(daemon, ["connects"]))
        relay.mute.set()
        ids = self.add(daemon, [{"n": n} for n in range(10)])
        self.until(lambda: f"all have arrived: {collector.rows()}", lambda: len(collector.got) == 11)
        self.assertEqual(daemon.stats()["completed"], 1)
        relay.cut()
        relay.mute.clear()
        daemon.ended(*ids)
        keys = collections.Counter((row["id"], row["key"], json.dumps(row["result"])) for row in collector.rows()[1:])
        self.assertEqual(sorted(id for id, _, _ in keys), sorted(ids))
        self.assertEqual(set(keys.values()), {2})
        daemon.stop()

    def test_what_the_broker_cannot_take_is_dead_alone(self):
        broker = self.broker("max_packet_size 3000\nmax_inflight_messages 1").start()
        collector = Collector(broker)
        collector.connect()
        daemon = self.daemon(broker)
        small = self.add(daemon, ["s"] * 10)
        [large] = self.add(daemon, ["x" * 4000])
        small += self.add(daemon, ["s"] * 10)
        daemon.ended(*small)
        job = daemon.ended(large, state="dead")
        self.assertIn("larger than the broker takes", json.dumps(job))
        self.assertEqual(sorted(row["id"] for row in collector.rows()), sorted(small))
        daemon.stop()

    def test_refused_it_waits_and_says_why(self):
        broker = self.broker()
        broker.allow("collector")
        broker.start()
        daemon = self.daemon(broker)
        [id] = self.add(daemon, ["x"])
        daemon.why(id, "refuses the connection: Not authorized")
        job = daemon.job(id)
        self.assertEqual((job["state"], job["attempts"]), ("pending", 0))
        broker.allow("collector", "gw-0042")
        broker.reload()
        daemon.ended(id)
        self.assertNotIn(broker.words["gw-0042"], daemon.log())
        daemon.stop()

    def test_a_broker_with_another_name_gets_nothing(self):
        self.server = self.ca.issue("server", "DNS:broker.example")
        broker = self.broker().start()
        collector = Collector(broker)
        collector.connect()
        daemon = self.daemon(broker)
        [id] = self.add(daemon, ["x"])
        daemon.why(id, "certificate")
        self.assertEqual(daemon.job(id)["attempts"], 0)
        self.assertEqual(collector.got, [])
        self.assertNotIn("gw-0042", broker.log())
        daemon.stop()

    def test_through_a_proxy_that_does_not_let_it_through_at_first(self):
        broker = self.broker().start()
        collector = Collector(broker)
        collector.connect()
        proxy = Proxy(self, "user:w0rd for the proxy")
        proxy.answer = "403 Forbidden"
        login = self.secret("login", "user:w0rd for the proxy\n")
        daemon = self.daemon(broker, proxy=proxy.url, proxy_auth=login, splay="0s", tls={"ca": self.ca.cert, "alpn": ["mqtt"]})
        ids = self.add(daemon, [{"n": n} for n in range(3)])
        daemon.why(ids[0], f"answered 403 to CONNECT localhost:{broker.port}")
        self.assertEqual({daemon.job(id)["attempts"] for id in ids}, {0})
        proxy.answer = None
        daemon.cli("link", "up")
        daemon.ended(*ids)
        self.assertEqual(sorted(row["id"] for row in collector.rows()), ids)
        self.assertEqual({lines[0] for lines in proxy.seen}, {f"CONNECT localhost:{broker.port} HTTP/1.1"})
        self.assertNotIn("w0rd", daemon.log())
        daemon.stop()


if __name__ == "__main__":
    need("mosquitto", "mosquitto_passwd", "openssl")
    main()
