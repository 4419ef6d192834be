"""A server of HTTP/1.1 whose every port has a fault of its own, a DNS server, and what one sees of a daemon from outside.

A fault is behave(place, connection), run on a thread for each connection; what it leaves open is closed when the test ends.
"""
import contextlib
import os
import re
import select
import socket
import ssl
import struct
import threading
import time


class Request:
    def __init__(self, at, head, body):
        self.at = at  # time.monotonic() of its last byte
        self.head = head
        self.body = body

    def header(self, name):
        found = re.search(rf"^{name}: (.*)\r$", self.head, re.IGNORECASE | re.MULTILINE)
        return found and found.group(1)


def read_head(connection):
    """(head, what came of the body with it), or None: the client closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode() + "\r\n", body


def read_request(connection):
    begun = read_head(connection)
    if begun is None:
        return None
    request = Request(0, *begun)
    while len(request.body) < int(request.header("Content-Length") or 0):
        part = connection.recv(65536)
        if not part:
            return None
        request.body += part
    request.at = time.monotonic()
    return request


def answer(status, headers="", body="", length=None, keeps_alive=False):
    close = "" if keeps_alive else "Connection: close\r\n"
    return (f"HTTP/1.1 {status} X\r\nContent-Length: {len(body) if length is None else length}\r\n{close}{headers}\r\n{body}").encode()


def reset(connection):
    """RST, not FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Place:
    """One port. `tls`: an ssl.SSLContext that makes the handshake before behave()."""

    def __init__(self, case, behave, tls=None, before_listen=None):
        self.behave = behave
        self.tls = tls
        self.requests = []
        self.answered = []  # times of those that a test is to know of
        self.open = []
        self.over = False
        self.listener = socket.socket()
        if before_listen:
            before_listen(self.listener)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        case.addCleanup(self.close)

    def accept(self):
        while not self.over:
            with contextlib.suppress(OSError):
                if not select.select([self.listener], [], [], 0.5)[0]:
                    continue
                connection = self.listener.accept()[0]
                connection.settimeout(30)
                self.open.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, ValueError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self.open.append(connection)
            self.behave(self, connection)

    def request(self, connection):
        """The next one, noted."""
        request = read_request(connection)
        if request is None:
            raise OSError("the client closed")
        self.requests.append(request)
        return request

    def close(self):
        self.over = True
        for connection in [*self.open, self.listener]:
            with contextlib.suppress(OSError):
                connection.close()


class DropsSyn(Place):
    """Its queue of connections is full and stays so: Linux drops further SYNs."""

    def __init__(self, case):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.requests, self.open, self.over = [], [], False
        case.addCleanup(self.close)
        for _ in range(4):  # the backlog and one more; the others wait for an answer that does not come
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.open.append(filler)


def after_client_hello(_, connection):
    connection.recv(65536)
    reset(connection)


def after_server_hello(context):
    """The first record of the server's flight, and RST."""
    def behave(_, connection):
        hello, flight = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(hello, flight, server_side=True)
        hello.write(connection.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        record = flight.read()
        connection.sendall(record[:5 + int.from_bytes(record[3:5], "big")])
        reset(connection)
    return behave


class NameServer:
    """On UDP port 53 of 127.0.0.1: *.hang gets no answer, *.none does not exist, all else is 127.0.0.1."""

    def __init__(self, case):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.asked = []
        threading.Thread(target=self.serve, daemon=True).start()
        case.addCleanup(self.socket.close)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, client = self.socket.recvfrom(512)
                labels, at = [], 12
                while query[at]:
                    labels.append(query[at + 1:at + 1 + query[at]].decode())
                    at += 1 + query[at]
                question, kind = query[12:at + 5], int.from_bytes(query[at + 1:at + 3], "big")
                self.asked.append(".".join(labels))
                if labels[-1] == "hang":
                    continue
                missing = labels[-1] == "none"
                address = not missing and kind == 1
                head = query[:2] + struct.pack(">HHHHH", 0x8183 if missing else 0x8180, 1, int(address), 0, 0)
                record = b"\xc0\x0c" + struct.pack(">HHIH4B", 1, 1, 60, 4, 127, 0, 0, 1) if address else b""
                self.socket.sendto(head + question + record, client)


class Connections:
    """How long a process holds each of its TCP connections to 127.0.0.1, looked at 40 times a second."""

    def __init__(self, case, pid):
        self.pid = pid
        self.times = {}  # (its port, the server's): [first, last seen]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        case.addCleanup(self.stop)

    def stop(self):
        self.over.set()
        self.thread.join()

    def now(self):
        """The ports of the servers that it has a connection to, or is about to."""
        inodes = set()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(OSError):
                link = os.readlink(f"/proc/{self.pid}/fd/{fd}")
                if link.startswith("socket:["):
                    inodes.add(link[8:-1])
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        return {tuple(int(end.split(":")[1], 16) for end in row[1:3]) for row in rows if row[9] in inodes}

    def watch(self):
        while not self.over.wait(0.025):
            with contextlib.suppress(OSError):
                now = time.monotonic()
                for pair in self.now():
                    self.times.setdefault(pair, [now, now])[1] = now

    def held(self, port):
        """Seconds of each connection to this port."""
        return [last - first for (_, server), (first, last) in list(self.times.items()) if server == port]


def descriptors(pid):
    """What the descriptors of a process are, without the numbers of sockets: in order, to compare."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(re.sub(r"\[\d+\]", "", os.readlink(f"/proc/{pid}/fd/{fd}")))
    return sorted(found)
