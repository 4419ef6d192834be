#!/usr/bin/env python3
"""Deliveries through a proxy that wants a login, with a token in a header: neither is seen anywhere, and what the proxy refuses costs no attempt."""
import base64
import contextlib
import socket
import socketserver
import threading

from harness import Credentials, Daemon, main, need
from nginx_test import WithNginx

PASSWORD, TOKEN = "canary-password-7", "canary-token-7"


class Proxy(socketserver.ThreadingTCPServer):
    """CONNECT alone. `answer` in place of a way, if there is one; `seen`: the requests. `along`: with the answer comes what the server
    says first."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, case, login):
        self.login = base64.b64encode(login.encode()).decode()
        self.answer = None
        self.along = False
        self.seen = []
        super().__init__(("127.0.0.1", 0), Tunnel)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        case.addCleanup(self.server_close)
        case.addCleanup(self.shutdown)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Tunnel(socketserver.StreamRequestHandler):
    def handle(self):
        lines = []
        while (line := self.rfile.readline(8192).decode().rstrip("\r\n")):
            lines.append(line)
        self.server.seen.append(lines)
        answer = self.server.answer
        if f"Proxy-Authorization: Basic {self.server.login}" not in lines:
            answer = "407 Proxy Authentication Required"
        if answer:
            self.wfile.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        host, _, port = lines[0].split()[1].rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            first = server.recv(65536) if self.server.along else b""
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n" + first)
            back = threading.Thread(target=self.carry, args=(server, self.connection), daemon=True)
            back.start()
            self.carry(self.connection, server)
            back.join()

    @staticmethod
    def carry(source, sink):
        with contextlib.suppress(OSError):
            while (data := source.recv(65536)):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Proxies(WithNginx):
    def setUp(self):
        super().setUp()
        self.credentials = Credentials(self)
        self.credentials.write("login", f"user:{PASSWORD}\n")
        self.credentials.write("token", TOKEN)
        self.proxy = Proxy(self, f"user:{PASSWORD}")

    def proxied(self):
        config = self.config()
        config["sinks"]["cloud"].update({"proxy": self.proxy.url, "proxy_auth": "cred:login",
                                         "headers": {"Authorization": {"secret": "cred:token", "prefix": "Bearer "}}, "splay": "0s"})
        config["log"] = {"level": "debug"}
        return config

    def daemon(self, config):
        return Daemon(self, config, prefix=self.credentials.prefix)

    def test_results_go_through_and_secrets_stay_where_they_are(self):
        self.nginx.start()
        daemon = self.daemon(self.proxied()).start()
        ids = [daemon.add("echo", f"{n}") for n in range(20)]
        self.delivered(daemon, *ids)
        self.assertEqual({lines[0] for lines in self.proxy.seen}, {f"CONNECT localhost:{self.nginx.port} HTTP/1.1"})
        self.assertEqual({request["authorization"] for request in self.nginx.requests()}, {f"Bearer {TOKEN}"})
        memory = self.dumpable(daemon.process.pid)
        self.assertIn(b"cred:token", memory)  # what is no secret is in it
        for secret in self.secrets():
            self.assertFalse(secret in memory, secret)  # assertNotIn would show it all
        # A token that is changed is taken by a reload.
        self.credentials.write("token", "another")
        daemon.reload()
        self.until("it is reloaded", lambda: " reloaded " in daemon.log())
        late = daemon.add("echo", "1")
        self.delivered(daemon, *ids, late)
        self.assertEqual(self.nginx.requests()[-1]["authorization"], "Bearer another")
        told = daemon.cli("show", str(late), "--json") + daemon.cli("stats", "--json") + daemon.cli("metrics")
        daemon.stop()
        for secret in self.secrets():
            for content in [told.encode(), *daemon.files().values()]:
                self.assertNotIn(secret, content)

    def secrets(self):
        return [PASSWORD.encode(), TOKEN.encode(), base64.b64encode(f"user:{PASSWORD}".encode())]

    def test_what_the_proxy_refuses_costs_no_attempt(self):
        self.nginx.start()
        self.credentials.write("login", "user:wrong")
        daemon = self.daemon(self.proxied()).start()
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "answered 407 to CONNECT", "proxy_auth")
        self.credentials.write("login", f"user:{PASSWORD}")
        for answer in ("502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"):
            self.proxy.answer = answer
            daemon.reload()
            daemon.cli("link", "up")  # it would try again by itself, some seconds later
            self.waits_for(daemon, id, f"answered {answer[:3]} to CONNECT")
        self.proxy.answer = None
        daemon.cli("link", "up")
        self.delivered(daemon, id)
        self.assertEqual(self.nginx.rows()[0]["attempt"], 1)
        daemon.stop()


if __name__ == "__main__":
    need("nginx", "openssl")
    main()
