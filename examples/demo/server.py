#!/usr/bin/env python3
"""The cloud of the demo: HTTPS with a client certificate required. Remembers by idempotency key.

  server.py PORT FOLDER     FOLDER has ca.pem, server.pem, server.key; received.jsonl is written there

POST /v1/results   NDJSON, one line a result
POST /v1/notify    one request a job, its key in the header
"""
import http.server
import json
import os
import ssl
import sys

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]


class Cloud(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/results":
            rows = [json.loads(line) for line in body.splitlines()]
            received = [{"key": row["key"], "type": row["type"], "path": self.path} for row in rows]
        else:
            received = [{"key": self.headers["Idempotency-Key"], "type": "notify", "path": self.path}]
        # On the disk before it is acknowledged: what the client is told must be true.
        with open(os.path.join(FOLDER, "received.jsonl"), "a") as out:
            for row in received:
                out.write(json.dumps(row) + "\n")
            out.flush()
            os.fsync(out.fileno())
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # a client that is killed in the middle is part of the play
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(FOLDER, "server.pem"), os.path.join(FOLDER, "server.key"))
context.load_verify_locations(os.path.join(FOLDER, "ca.pem"))
context.verify_mode = ssl.CERT_REQUIRED

server = Server(("127.0.0.1", PORT), Cloud)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
