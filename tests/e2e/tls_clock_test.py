#!/usr/bin/env python3
"""Certificates and a wall clock that nobody has called right: on a board that starts in 1970 their dates are judged by the
floor of the clock, and one that does not fit is no fault of the job."""
import os
import time

from harness import Daemon, WallClock, main, need, write
from nginx_test import WithNginx

FLOOR = "2024-01-01T00:00:00Z"
FITS = {"first": "20240101000000Z", "last": "20240101000001Z"}  # the floor, and hardly more


class UntrustedClock(WithNginx):
    def setUp(self):
        super().setUp()
        self.wall = WallClock(self)
        self.start_of_time = f"-{int(time.time() // 86400)}d"
        self.wall.set(self.start_of_time)
        self.synchronized = self.path("synchronized")
        self.clock = {"kernel": False, "plausible": False, "sync_file": self.synchronized, "floor": FLOOR}

    def serve_with(self, **dates):
        """The server shows a certificate with these dates."""
        self.nginx.certificate(*self.ca.issue("server", "DNS:localhost", **dates))
        self.nginx.start()

    def daemon_with(self, config):
        daemon = Daemon(self, {**config, "clock": self.clock}, prefix=self.wall.prefix).start()
        clock = daemon.clock()
        self.assertTrue(clock["time"].startswith("1970-01-01"), clock)
        self.assertFalse(clock["trusted"], clock)
        return daemon

    def set_right(self, daemon):
        """The time server is heard: the clock is set, and the file is there."""
        self.wall.set("+0d")
        write(self.synchronized, "")
        self.until("the clock is trusted", lambda: daemon.clock()["trusted"])

    def test_by_the_floor_it_is_valid_and_by_the_right_time_it_is_not(self):
        self.serve_with(**FITS)
        daemon = self.daemon_with(self.config())
        early = daemon.add("echo", '"in 1970"')
        self.delivered(daemon, early)
        self.assertFalse(daemon.clock()["trusted"])
        self.set_right(daemon)
        self.nginx.reload()  # a connection that was good stays in use
        late = daemon.add("echo", '"today"')
        text = daemon.why(late, "certificate")
        self.assertIn("expired on 2024-01-01", text)
        self.assertNotIn("not trusted", text)
        job = daemon.job(late)
        self.assertEqual((job["state"], job["attempts"]), ("pending", 0))  # not the job's fault, either
        self.nginx.certificate(*self.server)
        self.nginx.reload()
        self.delivered(daemon, early, late)
        daemon.stop()

    def test_not_yet_valid_by_the_floor_waits_for_the_right_time(self):
        self.serve_with(first="20250101000000Z")
        daemon = self.daemon_with(self.config())
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "certificate", "is not valid before 2025-01-01", "by a clock that is not trusted yet")
        self.set_right(daemon)
        self.delivered(daemon, id)
        self.assertEqual([row["attempt"] for row in self.nginx.rows()], [1])
        # The time that was right is the floor from then on: the next start in 1970 waits for nothing.
        daemon.stop()
        os.remove(self.synchronized)
        self.wall.set(self.start_of_time)
        daemon.start()
        self.assertFalse(daemon.clock()["trusted"])
        again = daemon.add("echo", "2")
        self.delivered(daemon, id, again)
        self.assertFalse(daemon.clock()["trusted"])
        daemon.stop()

    def test_expired_by_the_floor_waits_for_another_certificate(self):
        self.serve_with(last="20231231000000Z")
        daemon = self.daemon_with(self.config())
        id = daemon.add("echo", "1")
        words = ("certificate", "expired on 2023-12-31", "by a clock that is not trusted yet")
        self.waits_for(daemon, id, *words)
        daemon.kill()
        daemon.start()
        self.waits_for(daemon, id, *words)
        self.nginx.certificate(*self.ca.issue("server", "DNS:localhost", **FITS))
        self.nginx.reload()
        self.delivered(daemon, id)
        self.assertFalse(daemon.clock()["trusted"])
        daemon.stop()

    def test_an_http_job_waits_in_the_same_way(self):
        self.serve_with(first="20250101000000Z")
        daemon = self.daemon_with(self.http_config(notify="/v1/notify"))
        id = daemon.add("notify", "{}", "--max-attempts", "1")
        self.waits_for(daemon, id, "certificate", "is not valid before 2025-01-01", "by a clock that is not trusted yet")
        self.set_right(daemon)
        self.assertEqual(daemon.ended(id)["attempts"], 1)
        daemon.stop()

    def test_an_untrusted_clock_excuses_dates_alone(self):
        """Another name or authority is refused in 1970 as at any time."""
        self.nginx.certificate(*self.ca.issue("server", "DNS:ingest.example", first="20250101000000Z"))
        self.nginx.start()
        daemon = self.daemon_with(self.config())
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "certificate", "is for ingest.example")
        self.assertNotIn("by a clock", daemon.cli("why", str(id)))
        daemon.stop()


if __name__ == "__main__":
    need("nginx", "openssl")
    main()
