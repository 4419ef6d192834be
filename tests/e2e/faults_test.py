#!/usr/bin/env python3
"""What befalls a daemon on a device, on the real thing: signals at any time, clients that hold on, descriptors that run out."""
import os
import random
import signal
import socket
import time

from harness import PATIENCE, Case, Daemon, main, need

ECHO = {"handlers": {"echo": {"exec": ["/bin/cat"]}}}
SEED = int(os.environ.get("HOLDFAST_SEED", "1"))


class Signals(Case):
    def test_a_stop_at_any_moment_is_clean(self):
        """SIGTERM between exec and ready, and after: the end is in order each time, and nothing is put back at a start."""
        choose = random.Random(SEED)
        daemon = Daemon(self, ECHO).start()
        ids = [daemon.add("echo", f'"{n}"', "--delay", "1h") for n in range(5)]
        daemon.stop()
        for _ in range(25):
            daemon.launch()
            time.sleep(choose.random() * 0.06)
            for _ in range(choose.randint(1, 3)):  # impatient people press twice
                daemon.process.send_signal(choose.choice([signal.SIGTERM, signal.SIGINT]))
            # Before the handler is there the signal's own action ends it: nothing was open then.
            self.assertIn(daemon.process.wait(PATIENCE), (0, -signal.SIGTERM, -signal.SIGINT), daemon.log())
        daemon.start()
        self.assertNotIn("recovered", daemon.log())
        self.assertEqual({daemon.job(id)["state"] for id in ids}, {"pending"})
        daemon.stop()

    def test_reloads_in_every_state(self):
        """SIGHUP all the while: at the start, while jobs come and run, and during the stop."""
        daemon = Daemon(self, ECHO)
        daemon.launch()
        self.until("it is ready", daemon.answers)
        ids = []
        for n in range(40):
            daemon.reload()
            ids.append(daemon.add("echo", f'"{n}"'))
        daemon.ended(*ids)
        for job in (daemon.job(id) for id in ids):
            self.assertEqual(job["attempts"], 1, job)
        daemon.process.send_signal(signal.SIGTERM)
        for _ in range(20):
            daemon.reload()
        self.assertEqual(daemon.process.wait(PATIENCE), 0, daemon.log())


class Clients(Case):
    def test_two_hundred_that_only_hold_on(self):
        daemon = Daemon(self, ECHO).start()
        held = []
        for n in range(200):
            client = socket.socket(socket.AF_UNIX)
            client.connect(daemon.socket)
            if n % 4 == 1:
                client.sendall(b"GET /v1/stats HTTP/1.1\r\nHost: x\r\n")  # a slow writer, in the middle of its head
            held.append(client)
        # Slow writers hold at most their 10 s; the silent ones make room at once.
        id = daemon.add("echo", '"in between"')
        daemon.ended(id)
        self.assertIn("completed", daemon.cli("list"))
        for client in held:
            client.close()
        daemon.stop()

    def test_no_descriptor_left(self):
        """Programs, clients and the file want more than there are: what cannot begin is put off, and nobody is kept out."""
        daemon = Daemon(self, ECHO, prefix=("prlimit", "--nofile=32:32"))
        daemon.start()
        daemon.logged("few_descriptors")
        held = []
        for _ in range(60):
            client = socket.socket(socket.AF_UNIX)
            client.connect(daemon.socket)
            held.append(client)
        ids = [daemon.add("echo", f'"{n}"') for n in range(30)]
        before = os.times()
        jobs = daemon.ended(*ids)
        self.assertEqual({job["attempts"] for job in jobs}, {1})  # what could not begin spent none
        daemon.cli("health", status=None)
        for client in held:
            client.close()
        with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as file:
            ticks = sum(int(n) for n in file.read().split()[13:15])
        self.assertLess(ticks / os.sysconf("SC_CLK_TCK"), 5, f"CPU seconds, of {os.times().elapsed - before.elapsed:.1f}: it spins")
        daemon.stop()


if __name__ == "__main__":
    need("sh", "cat")
    main()
