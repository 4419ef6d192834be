"""What the scripts share that deliver to a broker over TLS, and kill it under load."""
from harness import PATIENCE, Authority, Case, Daemon, read, write_secret

KILLS = 5
LOT = 60  # jobs between two kills
QUICK = {"kind": "fixed", "base": "200ms", "jitter": "none"}


class BrokerCase(Case):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.path("ca"))
        self.server = self.ca.issue("server", "DNS:localhost,IP:127.0.0.1")

    def secret(self, name, text):
        """A file that the configuration names."""
        return write_secret(self.path(name), text)

    def daemon_for(self, url, **sink):
        return Daemon(self, {"handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud"}},
                             "sinks": {"cloud": {"url": url, "allow_private": True, "tls": {"ca": self.ca.cert}, "backoff": QUICK, **sink}}}).start()

    def add(self, daemon, results):
        return daemon.add_all([{"type": "echo", "payload": result} for result in results])

    def kill_under_load(self, daemon, broker, arrived, *, begin, admit=lambda: None, gone=lambda: None):
        """A lot of results after the other, and a kill of the broker each time when arrived() has counted some: the ids of all, once they are completed.

        `begin` starts it again. `admit` lets the daemon in, which may wait with a lot by then. `gone` waits until the others know of the kill.
        """
        ids = []
        for kill in range(KILLS + 1):
            before = arrived()
            ids += self.add(daemon, [{"lot": kill, "n": n, "pad": "x" * 200} for n in range(LOT)])
            admit()
            wanted = 5 + 9 * kill if kill < KILLS else 1
            self.until(lambda: f"lot {kill} arrives: {daemon.cli('stats')}{daemon.log()[-3000:]}{broker.log()[-2000:]}", lambda: arrived() - before >= wanted)
            if kill < KILLS:
                broker.kill()
                gone()
                ids += self.add(daemon, [{"while": "away", "n": n} for n in range(5)])
                begin()
        self.until(lambda: f"all are delivered: {daemon.cli('stats')}{daemon.log()[-3000:]}", lambda: daemon.stats()["completed"] == len(ids))
        self.assertEqual(daemon.stats()["dead"], 0)
        return ids


class Broker:
    """A process with its log in the case's folder. A subclass says how it is started, and when it listens."""

    def __init__(self, case, name):
        self.case, self.name = case, name
        self.log_file = case.path(f"{name}.log")
        self.process = None

    def log(self):
        return read(self.log_file)

    def start(self):
        self.process = self.case.start(self.command())
        self.case.until(lambda: f"{self.name} listens: {self.log()}", self.listens)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
