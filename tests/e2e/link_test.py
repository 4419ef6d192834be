#!/usr/bin/env python3
"""The network goes and comes back, in a network namespace: what waits for it costs no attempt, and is sent as soon as an address
is there, or a hook says so, long before the timer would try again."""
import fcntl
import re
import socket
import struct
import time

from harness import Case, Daemon, Receiver, in_namespaces, main, need, skip

SIOCSIFADDR, SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8916, 0x8913, 0x8914, 1


def ifreq(name, tail):
    return struct.pack("16s24s", name.encode(), tail)


def set_address(name, address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFADDR, ifreq(name, struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address))))


def set_up(name, up=True):
    """Of an alias that is not up any more the address goes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, ifreq(name, b"")))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, ifreq(name, struct.pack("H", flags | IFF_UP if up else flags & ~IFF_UP)))


class Link(Case):
    def setUp(self):
        super().setUp()
        self.receiver = Receiver(self, "0.0.0.0")  # addresses come and go

    def daemon(self, address, splay):
        return Daemon(self, {"handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud"}},
                             "sinks": {"cloud": self.receiver.sink(url=f"http://{address}:{self.receiver.server_port}/", splay=splay)}}).start()

    def keys(self):
        return [one.headers["Idempotency-Key"] for one in self.receiver.seen]

    def waits_long(self, daemon):
        """A job whose sink has found no network so often that the next look is seconds away."""
        id = daemon.add("echo", "1")
        self.until(lambda: f"the waits grow: {daemon.log()}", lambda: any(int(ms) > 8000 for ms in re.findall(r"again_in_ms=(\d+)", daemon.log())), 90)
        self.assertIn("handler_parked", daemon.cli("why", str(id), "--json"))
        self.assertEqual((daemon.job(id)["state"], daemon.job(id)["attempts"]), ("pending", 0))
        return id

    def soon(self, daemon, id):
        start = time.monotonic()
        daemon.ended(id)
        self.assertLess(time.monotonic() - start, 4)
        self.assertEqual(daemon.job(id)["attempts"], 1)
        self.assertEqual(self.keys(), [daemon.job(id)["key"]])

    def test_an_address_comes(self):
        daemon = self.daemon("10.9.0.1", "300ms")
        id = self.waits_long(daemon)
        set_address("lo:1", "10.9.0.1")
        self.soon(daemon, id)
        daemon.logged("link_up")
        daemon.stop()

    def test_a_hook_says_so(self):
        daemon = self.daemon("172.20.0.1", "0s")
        set_address("lo:2", "172.20.0.1")
        set_up("lo:2", False)
        id = self.waits_long(daemon)
        tries = daemon.log().count("handler_parked")
        self.assertEqual(daemon.cli("link", "up"), "what waits for the network tries it soon\n")
        self.until("it has tried", lambda: daemon.log().count("handler_parked") > tries, 4)
        self.assertEqual(self.keys(), [])
        set_address("lo:2", "172.20.0.1")
        self.soon(daemon, id)
        daemon.stop()


if __name__ == "__main__":
    need("unshare", "sh", "cat")
    if not in_namespaces("-n"):
        skip("no network namespaces here")
    set_address("lo", "127.0.0.1")
    set_up("lo")
    main()
