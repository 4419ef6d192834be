"""What the scripts of this folder share: a daemon in a folder of its own, what it delivers to, certificates, clocks, secrets.

Each script is a unittest program. A test starts what it needs; everything is killed, reaped and removed at its end.
"""
import collections
import contextlib
import datetime
import glob
import http.client
import http.server
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HOLDFAST = os.environ.get("HOLDFAST_BIN", "")
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE = 40  # seconds; only a failure waits so long


def need(*tools):
    """Ends the script, as skipped, where it cannot run."""
    if os.environ.get("HOLDFAST_EMULATOR"):
        skip("under an emulator")
    os.environ["PATH"] += ":/usr/sbin"  # servers are there, and not every user looks there
    for tool in tools:
        if shutil.which(tool) is None:
            skip(f"no {tool}")
    if not os.access(HOLDFAST, os.X_OK):
        raise SystemExit("HOLDFAST_BIN does not name the program")


def main():
    """Runs the tests; ends in good order, with everything reaped, a little before ctest would end it otherwise."""
    def over(number, _):
        raise SystemExit(f"ended by signal {number}")
    signal.signal(signal.SIGALRM, over)
    signal.signal(signal.SIGTERM, over)
    signal.alarm(220)
    unittest.main(verbosity=2)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def time_of(text):
    """Unix seconds of a time as Holdfast shows it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def run(*argv, status=0, input=None, **more):
    """The output of a command that has to end with `status` (None: any)."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          start_new_session=True, **more) as process:
        try:
            said, _ = process.communicate(input, timeout=PATIENCE)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # with its children
            raise
    if status is not None and process.returncode != status:
        raise AssertionError(f"{' '.join(argv)}: status {process.returncode}, expected {status}\n{said}")
    return said


def read(path):
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def write_secret(path, text):
    """For its owner alone from the beginning: the daemon takes no other."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)
    return path


def in_namespaces(flag, probe="true", as_root_of_a_user=True):
    """Whether this script is in namespaces of its own, `flag` of unshare: where the shell command `probe` works in such, it is begun again in them."""
    if os.environ.get("HF_OWN_NAMESPACES") == flag:
        return True
    unshare = ["unshare", *(["-r"] if as_root_of_a_user and os.getuid() != 0 else []), flag]
    if subprocess.run([*unshare, "sh", "-c", probe], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return False
    os.environ["HF_OWN_NAMESPACES"] = flag
    os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])


def free_port():
    """Outside of the range that the kernel gives to clients, so that it stays free while a server is restarted."""
    for _ in range(200):
        port = random.randint(12000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hf-e2e-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def until(self, what, ready, patience=PATIENCE):
        """What ready() says, as soon as it says something."""
        end = time.monotonic() + patience
        while True:
            value = ready()
            if value:
                return value
            if time.monotonic() > end:
                self.fail(f"did not happen in {patience} s: {what() if callable(what) else what}")
            time.sleep(0.03)

    def dumpable(self, pid):
        """The memory of a process that the kernel would write to a core dump: all that can be read, but for what was excepted."""
        memory = b""
        try:
            with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
                span = None
                for line in smaps:
                    words = line.split()
                    if "-" in words[0] and not words[0].endswith(":"):
                        start, end = (int(one, 16) for one in words[0].split("-"))
                        span = (start, end) if words[1].startswith("r") else None
                    elif words[0] == "VmFlags:" and span and "dd" not in words and "io" not in words:
                        with contextlib.suppress(OSError, ValueError, OverflowError):
                            mem.seek(span[0])
                            while span[0] < span[1] and (part := mem.read(min(span[1] - span[0], 1 << 20))):
                                memory += part
                                span = (span[0] + len(part), span[1])
        except PermissionError:
            self.skipTest("the memory of another process cannot be read here")
        return memory

    def start(self, argv, **more):
        process = subprocess.Popen(argv, start_new_session=True, **more)

        def end():
            with contextlib.suppress(ProcessLookupError):  # with its children: nginx has some
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        self.addCleanup(end)
        return process


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("holdfast", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    """`holdfast serve` in the case's folder. stop() wants a clean end."""

    def __init__(self, case, config, name="d", prefix=()):
        self.case = case
        self.name = name
        self.prefix = list(prefix)
        self.socket = case.path(f"{name}.sock")
        self.database = case.path(f"{name}.db")
        self.config_file = case.path(f"{name}.json")
        self.log_file = case.path(f"{name}.log")
        self.process = None
        self.configure(config)

    def configure(self, config):
        write(self.config_file, json.dumps({"database": self.database, "socket": self.socket, "device": "e2e", **config}, indent=1))

    def launch(self):
        """It is not ready yet, and need not become so."""
        with open(self.log_file, "a", encoding="utf-8") as log:
            self.process = self.case.start([*self.prefix, HOLDFAST, "serve", "--config", self.config_file], stdout=log, stderr=log)

    def start(self):
        self.launch()
        self.case.until(lambda: f"the daemon is ready: {self.log()}", lambda: self.process.poll() is not None or self.answers())
        self.case.assertIsNone(self.process.poll(), self.log())
        return self

    def answers(self):
        """A child of a killed daemon that has not begun its program may hold the socket still: it takes, and says nothing."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(self.socket)
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
                return client.recv(1) != b""
            except OSError:
                return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.case.assertEqual(self.process.wait(PATIENCE), 0, self.log())

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def reload(self, config=None):
        if config is not None:
            self.configure(config)
        self.process.send_signal(signal.SIGHUP)

    def log(self):
        return read(self.log_file)

    def logged(self, *words):
        """What was answered may be in the log a moment later."""
        for word in words:
            self.case.until(lambda: f"the log says {word}: {self.log()}", lambda: word in self.log())

    def command(self, *argv):
        return [HOLDFAST, *argv, "--socket", self.socket]

    def cli(self, *argv, status=0):
        return run(*self.command(*argv), status=status)

    def json(self, *argv):
        return json.loads(self.cli(*argv, "--json"))

    def add(self, *argv):
        return self.json("add", *argv)["id"]

    def add_all(self, jobs):
        """In one request: their ids."""
        said = self.ask("POST", "/v1/jobs", {"jobs": jobs})
        return said["ids"] if len(jobs) > 1 else [said["id"]]

    def pile_up(self, jobs, patience=PATIENCE):
        """Adds them while the sink "cloud" is paused: their ids, once the results of all wait for it."""
        self.cli("queue", "pause", "sink:cloud")
        ids = self.add_all(jobs)
        self.case.until(lambda: f"all wait for the sink: {self.cli('queue', 'list')}",
                        lambda: self.ask("GET", "/v1/queues/sink:cloud")["pending"] == len(jobs), patience)
        return ids

    def ask(self, method, path, body=None):
        """The answer of the admin socket, which must not be an error; without a process for it."""
        connection = UnixConnection(self.socket)
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            said = response.read().decode()
        self.case.assertLess(response.status, 300, f"{method} {path}: {said}")
        return json.loads(said)

    def job(self, id):
        return self.json("show", str(id))

    def jobs(self):
        """All of them, page by page."""
        after = ()
        while True:
            page = self.json("list", "--limit", "1000", *after)
            yield from page["jobs"]
            if not page.get("next"):
                return
            after = ("--after", str(page["next"]))

    def clock(self):
        return self.json("clock", "show")

    def stats(self):
        return self.json("stats")

    def schedules(self):
        return {schedule["name"]: schedule for schedule in self.json("schedule", "list")["schedules"]}

    def queues(self):
        return {queue["name"]: queue for queue in self.json("queue", "list")["queues"]}

    def why(self, id, *words):
        """What `holdfast why` says of the job, once all the words are in it."""
        return self.case.until(lambda: f"why says {words}: {self.cli('why', str(id), status=None)}\n{self.log()}",
                               lambda: (text := self.cli("why", str(id))) and all(word in text for word in words) and text)

    def files(self):
        """What it wrote and read: the bytes of its log, its configuration and its database, by their paths."""
        return {path: read_bytes(path) for path in [self.log_file, self.config_file, *glob.glob(self.database + "*")]}

    def ended(self, *ids, state="completed"):
        """The jobs, once all are in that state."""
        jobs = self.case.until(lambda: f"{ids} are {state}: {self.cli('list')}{self.log()}",
                               lambda: (jobs := [self.job(id) for id in ids]) and all(job["state"] == state for job in jobs) and jobs)
        return jobs if len(ids) > 1 else jobs[0]


class WallClock:
    """libfaketime stands in for the wall clock of a Daemon with this prefix; the elapsed one goes on as it does."""

    def __init__(self, case):
        folders = ("x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf")
        library = next((path for path in (f"/usr/lib/{folder}/faketime/libfaketime.so.1" for folder in folders) if os.path.exists(path)), None)
        if library is None:
            case.skipTest("no libfaketime")
        self.file = case.path("offset")
        self.set("+0d")
        self.prefix = ("env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={self.file}", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
                       "FAKETIME_DISABLE_SHM=1")

    def set(self, offset):
        """+1d, -400d: from the true time."""
        write(self.file + ".new", offset + "\n")
        os.replace(self.file + ".new", self.file)


class BootClock:
    """Time namespaces: the boot clock of a Daemon with such a prefix() is so many seconds ahead (below 0: behind) of the machine's."""

    def __init__(self, case):
        self.unshare = ["unshare", *(() if os.getuid() == 0 else ("--user", "--map-root-user"))]
        self.uptime = float(read("/proc/uptime").split()[0])
        said = run(*self.prefix(1000000), "cat", "/proc/uptime", status=None) if shutil.which("unshare") else ""
        if not said[:1].isdigit() or float(said.split()[0]) < 1000000:
            case.skipTest("no time namespaces here")

    def prefix(self, ahead):
        return (*self.unshare, "--time", "--boottime", str(ahead), "--monotonic", str(ahead))


class Credentials:
    """A folder of secrets for a Daemon with this prefix, which has "cred:NAME" of them."""

    def __init__(self, case):
        self.folder = case.path("credentials")
        os.mkdir(self.folder)
        self.prefix = ("env", f"CREDENTIALS_DIRECTORY={self.folder}")

    def write(self, name, text):
        write_secret(os.path.join(self.folder, name), text)

    def remove(self, name):
        os.remove(os.path.join(self.folder, name))


class Authority:
    """A CA, and what it signs. Dates as `openssl ca` takes them, 20200101000000Z."""

    def __init__(self, folder, name="Test CA"):
        os.mkdir(folder)
        self.folder = folder
        self.count = 0
        self.cert, self.key = os.path.join(folder, "ca.pem"), os.path.join(folder, "ca.key")
        self.config = write(os.path.join(folder, "ca.conf"), f"""
[ca]\ndefault_ca=a\n[a]\nnew_certs_dir={folder}\ndatabase={folder}/index\nrand_serial=yes\ndefault_md=sha256\npolicy=p
unique_subject=no\n[p]\ncommonName=supplied\n[req]\ndistinguished_name=d\n[d]
[root]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n""")
        write(os.path.join(folder, "index"), "")
        self.sign(name, self.cert, self.key, "root", None, "20200101000000Z", "20440101000000Z")

    def issue(self, name, san="", first="20200101000000Z", last="20440101000000Z"):
        """(certificate, key), two files."""
        self.count += 1
        base = os.path.join(self.folder, str(self.count))
        extension = write(base + ".ext", "[leaf]\nbasicConstraints=CA:FALSE\n" + (f"subjectAltName={san}\n" if san else ""))
        self.sign(name, base + ".pem", base + ".key", "leaf", extension, first, last)
        return base + ".pem", base + ".key"

    def sign(self, name, cert, key, section, extension, first, last):
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", self.config,
            "-subj", f"/CN={name}", "-keyout", key, "-out", cert + ".csr")
        os.chmod(key, 0o600)
        signer = ["-cert", self.cert, "-extfile", extension] if extension else ["-selfsign"]
        run("openssl", "ca", "-batch", "-config", self.config, *signer, "-keyfile", self.key, "-extensions", section,
            "-startdate", first, "-enddate", last, "-notext", "-in", cert + ".csr", "-out", cert)


class Relay:
    """Passes connections on to a port of this machine. While `mute` is set, what the server says is lost on its way."""

    def __init__(self, case, port):
        self.to, self.mute = port, threading.Event()
        self.pairs, self.threads = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        case.addCleanup(self.end)
        self.start(self.accept)

    def start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)
        return thread

    def accept(self):
        with contextlib.suppress(OSError):  # it is closed
            while True:
                self.start(self.carry, self.listener.accept()[0])

    def carry(self, client):
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.to), PATIENCE) as server:
            server.settimeout(None)
            self.pairs.append((client, server))
            back = self.start(self.pass_on, server, client, True)
            self.pass_on(client, server, False)
            back.join()

    def pass_on(self, source, target, may_mute):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not (may_mute and self.mute.is_set()):
                    target.sendall(data)
        self.close(source, target)

    @staticmethod
    def close(*sockets):
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # also wakes whoever reads

    def cut(self):
        while self.pairs:
            self.close(*self.pairs.pop())

    def end(self):
        self.close(self.listener)
        self.listener.close()
        self.cut()
        for thread in self.threads:
            thread.join(PATIENCE)


class Receiver(http.server.ThreadingHTTPServer):
    """Of deliveries over plain HTTP. All that came is in `seen`; each was answered with the status that answer() says."""

    def __init__(self, case, address="127.0.0.1"):
        self.seen = []
        super().__init__((address, 0), ReceiverHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        case.addCleanup(self.server_close)
        case.addCleanup(self.shutdown)

    def answer(self, headers, body):
        return 200

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a daemon that was killed
            super().handle_error(request, client_address)

    def sink(self, **more):
        """Of a configuration; an http handler has the same."""
        return {"url": f"http://127.0.0.1:{self.server_port}/v1/results", "allow_private": True, **more}


Received = collections.namedtuple("Received", "at headers body")  # body: the bytes as they came


class ReceiverHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        at = time.time()
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("cut off within the body")  # by a daemon that was killed
        self.server.seen.append(Received(at, dict(self.headers), body))
        self.send_response(self.server.answer(self.headers, body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Nginx:
    """A real one, for TLS with a client certificate. What it was sent is in requests().

    /v1/...   takes everything, 200
    /busy     503 with Retry-After: 2, /rate 429, until a file named `open` is in the folder
    /gone     404        /cut   closes the connection without an answer
    """

    def __init__(self, case, server, client_ca):
        self.case = case
        self.folder = case.path("nginx")
        os.mkdir(self.folder)
        self.port = free_port()
        self.process = None
        self.certificate(*server)
        shutil.copy(client_ca, os.path.join(self.folder, "clients.pem"))
        write(os.path.join(self.folder, "nginx.conf"), f"""
daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log info;
{"user root;" if os.getuid() == 0 else ""}
events {{ worker_connections 64; }}
http {{
  log_format seen escape=json '{{"uri":"$request_uri","status":$status,"at":$msec,"key":"$http_idempotency_key",'
    '"attempt":"$http_holdfast_attempt","authorization":"$http_authorization","batch":"$http_holdfast_batch","host":"$host","client":"$ssl_client_s_dn",'
    '"connection":$connection,"resumed":"$ssl_session_reused","received":$request_length,"sent":$bytes_sent,'
    '"encoding":"$http_content_encoding","body":"$request_body"}}';
  access_log off;
  client_body_buffer_size 1m; client_max_body_size 8m; client_body_in_single_buffer on;
  client_body_temp_path {self.folder}/t1; proxy_temp_path {self.folder}/t2; fastcgi_temp_path {self.folder}/t3;
  uwsgi_temp_path {self.folder}/t4; scgi_temp_path {self.folder}/t5;
  server {{ listen unix:{self.folder}/back; location / {{ return 200 stored; }} }}
  server {{
    listen 127.0.0.1:{self.port} ssl;
    ssl_certificate {self.folder}/server.pem; ssl_certificate_key {self.folder}/server.key;
    ssl_client_certificate {self.folder}/clients.pem; ssl_verify_client on;
    access_log {self.folder}/seen seen;
    location /v1/ {{ proxy_pass http://unix:{self.folder}/back; }}
    location /busy {{
      add_header Retry-After 2 always;
      if (!-f {self.folder}/open) {{ return 503; }}
      proxy_pass http://unix:{self.folder}/back; }}
    location /rate {{ if (!-f {self.folder}/open) {{ return 429; }} proxy_pass http://unix:{self.folder}/back; }}
    location /gone {{ return 404 "no such place"; }}
    location /cut {{ return 444; }}
  }}
}}
""")

    def certificate(self, cert, key):
        shutil.copy(cert, os.path.join(self.folder, "server.pem"))
        shutil.copy(key, os.path.join(self.folder, "server.key"))

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, "back"))  # left behind by one that was killed
        self.process = self.case.start(["nginx", "-e", f"{self.folder}/error.log", "-p", self.folder, "-c", "nginx.conf"],
                                       stderr=subprocess.DEVNULL)
        self.case.until(lambda: "nginx listens: " + read(f"{self.folder}/error.log"), lambda: listens(self.port))
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def reload(self):
        """New workers with the new certificate; the old ones are gone when it returns."""
        self.stop()
        self.start()

    def open(self):
        write(os.path.join(self.folder, "open"), "")

    def url(self, path, host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def requests(self, path=None):
        whole, _, _ = read(os.path.join(self.folder, "seen")).rpartition("\n")  # the last line may be half written
        seen = [json.loads(line) for line in whole.split("\n") if line]  # not splitlines(): a body may have anything
        return [request for request in seen if path is None or request["uri"] == path]

    def rows(self):
        """The lines of all deliveries that were answered with 2xx."""
        return [json.loads(line) for request in self.requests("/v1/results") if 200 <= request["status"] < 300
                for line in request["body"].splitlines()]
