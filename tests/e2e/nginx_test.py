#!/usr/bin/env python3
"""Deliveries and http jobs against a real nginx that wants a client certificate."""
import collections
import datetime
import os

from harness import Authority, Case, Daemon, Nginx, main, need

QUICK = {"kind": "fixed", "base": "100ms", "jitter": "none"}


class WithNginx(Case):
    def setUp(self):
        super().setUp()
        self.ca = Authority(self.path("ca"))
        self.server = self.ca.issue("server", "DNS:localhost,IP:127.0.0.1")
        self.client = self.ca.issue("gw-0042")
        self.nginx = Nginx(self, self.server, self.ca.cert)

    def tls(self, ca=None, client=None):
        cert, key = client or self.client
        return {"ca": ca or self.ca.cert, "cert": cert, "key": key}

    def config(self, tls=None, url=None, **batch):
        return {
            "handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud"}},
            "sinks": {"cloud": {"url": url or self.nginx.url("/v1/results"), "allow_private": True, "tls": tls or self.tls(),
                                "batch": batch or {"max_jobs": 50}, "backoff": QUICK, "defer": "200ms", "max_attempts": 2}},
        }

    def http_config(self, **paths):
        return {"handlers": {type: {"http": {"url": self.nginx.url(path), "allow_private": True, "tls": self.tls()}, "backoff": QUICK,
                                    "defer": "200ms", "max_attempts": 3} for type, path in paths.items()}}

    def waits_for(self, daemon, id, *words):
        """The job waits, spends no attempt, and `why` and the log say what is wrong."""
        daemon.why(id, *words)
        daemon.logged(*words)
        job = daemon.job(id)
        self.assertEqual(job["state"], "pending")
        self.assertEqual(job["attempts"], 0)
        self.assertEqual(self.nginx.rows(), [])

    def delivered(self, daemon, *ids):
        daemon.ended(*ids)
        self.assertEqual(collections.Counter(row["id"] for row in self.nginx.rows()), collections.Counter(ids))


class Deliveries(WithNginx):
    def test_results_travel_in_batches_with_a_key_each(self):
        self.nginx.start()
        daemon = Daemon(self, self.config(max_jobs=20, max_wait="300ms")).start()
        ids = [daemon.add("echo", f'{{"n":{n}}}') for n in range(45)]
        self.delivered(daemon, *ids)
        rows = {row["id"]: row for row in self.nginx.rows()}
        for n, id in enumerate(ids):
            self.assertEqual(rows[id]["result"], {"n": n})
            self.assertEqual(rows[id]["key"], daemon.job(id)["key"])
            self.assertEqual(rows[id]["attempt"], 1)
        requests = self.nginx.requests("/v1/results")
        self.assertLess(len(requests), 45)
        for request in requests:
            lines = request["body"].splitlines()
            self.assertEqual(request["client"], "CN=gw-0042")
            self.assertLessEqual(len(lines), 20)
            self.assertEqual(int(request["batch"] or 1), len(lines))
            self.assertTrue(request["key"])
        daemon.stop()

    def test_a_server_that_is_away_costs_no_attempt(self):
        self.nginx.start()
        daemon = Daemon(self, self.config()).start()
        before = daemon.add("echo", '"before"')
        self.delivered(daemon, before)
        self.nginx.stop()
        ids = [daemon.add("echo", f'"{n}"') for n in range(10)]
        daemon.why(ids[0], "refused")
        daemon.stop()  # and a restart in the middle changes nothing
        daemon.start()
        daemon.why(ids[0], "refused")
        self.assertEqual([daemon.job(id)["attempts"] for id in ids], [0] * 10)
        self.nginx.start()
        self.delivered(daemon, before, *ids)
        self.assertEqual({row["attempt"] for row in self.nginx.rows()}, {1})
        daemon.stop()


class Certificates(WithNginx):
    """Each is somebody's mistake, not the job's: it waits, says what is wrong, and goes once that is put right."""

    def test_our_certificate_is_of_another_authority(self):
        self.nginx.start()
        stranger = Authority(self.path("other"), "Other CA").issue("gw-0042")
        daemon = Daemon(self, self.config(self.tls(client=stranger))).start()
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "certificate")
        daemon.reload(self.config())
        self.delivered(daemon, id)
        daemon.stop()

    def test_we_show_no_certificate(self):
        self.nginx.start()
        daemon = Daemon(self, self.config({"ca": self.ca.cert})).start()
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "certificate")
        daemon.reload(self.config())
        self.delivered(daemon, id)
        daemon.stop()

    def test_the_server_has_another_name(self):
        self.nginx.certificate(*self.ca.issue("server", "DNS:ingest.example"))
        self.nginx.start()
        daemon = Daemon(self, self.config()).start()
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "certificate", "localhost")
        self.nginx.certificate(*self.server)
        self.nginx.reload()
        self.delivered(daemon, id)
        daemon.stop()

    def test_the_url_has_another_name(self):
        self.nginx.certificate(*self.ca.issue("server", "DNS:localhost"))
        self.nginx.start()
        daemon = Daemon(self, self.config(url=self.nginx.url("/v1/results", "127.0.0.1"))).start()
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "certificate", "127.0.0.1")
        daemon.reload(self.config())
        self.delivered(daemon, id)
        daemon.stop()

    def test_nobody_we_know_vouches_for_the_server(self):
        self.nginx.start()
        other = Authority(self.path("other"), "Other CA")
        daemon = Daemon(self, self.config(self.tls(ca=other.cert))).start()
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "certificate", "authority")
        daemon.reload(self.config())
        self.delivered(daemon, id)
        daemon.stop()

    def test_the_servers_certificate_is_out_of_date(self):
        self.nginx.certificate(*self.ca.issue("server", "DNS:localhost", last="20240101000000Z"))
        self.nginx.start()
        daemon = Daemon(self, self.config()).start()
        id = daemon.add("echo", "1")
        self.waits_for(daemon, id, "certificate", "expired")
        self.nginx.certificate(*self.server)
        self.nginx.reload()
        self.delivered(daemon, id)
        daemon.stop()


class Watched(WithNginx):
    def test_certificates_that_end_soon_are_told_and_a_renewed_one_is_taken(self):
        def in_days(days):
            return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days, hours=1)).strftime("%Y%m%d%H%M%SZ")
        self.nginx.certificate(*self.ca.issue("server", "DNS:localhost", last=in_days(5)))
        self.nginx.start()
        cert, key = self.ca.issue("gw-0042", last=in_days(20))
        daemon = Daemon(self, {**self.config(self.tls(client=(cert, key))), "clock": {"plausible": True}}).start()

        def days():
            (peer,) = daemon.stats()["peers"]
            self.assertEqual((peer["name"], peer["tls_verified"]), ("sinks.cloud", True))
            return {which: left for which, left in peer["cert_days_left"].items() if which != "ca"}
        self.until("the clock is trusted", lambda: daemon.clock()["trusted"])
        self.assertEqual(days(), {"client": 20})  # known before anything was sent
        first = daemon.add("echo", "1")
        self.delivered(daemon, first)
        self.assertEqual(days(), {"client": 20, "server": 5})
        self.assertIn('holdfast_cert_days_left{peer="sinks.cloud",which="server"} 5\n', daemon.cli("metrics"))
        self.assertIn("sinks.cloud (server) in 5 days", daemon.cli("health"))
        self.assertNotIn("(client)", daemon.cli("health"))
        daemon.logged("which=server days_left=5 ")
        self.assertEqual(daemon.log().count("cert_ends "), 2)  # client 20, server 5
        # Both are renewed in place; the next connection has them.
        new_cert, new_key = self.ca.issue("gw-0042", last=in_days(300))
        os.replace(new_key, key)
        os.replace(new_cert, cert)
        self.nginx.certificate(*self.server)
        self.nginx.reload()
        second = daemon.add("echo", "2")
        self.delivered(daemon, first, second)
        self.assertEqual(days()["client"], 300)
        self.assertGreater(days()["server"], 1000)
        self.assertNotIn("sinks.cloud", daemon.cli("health"))
        self.assertEqual(daemon.log().count("cert_ends "), 2)
        daemon.stop()

    def test_a_server_that_is_not_verified_is_told_everywhere(self):
        self.nginx.certificate(*Authority(self.path("other"), "Other CA").issue("server", "DNS:elsewhere"))
        self.nginx.start()
        cert, key = self.client
        daemon = Daemon(self, self.config({"dangerously_skip_verification": True, "cert": cert, "key": key})).start()
        self.delivered(daemon, daemon.add("echo", "1"))
        self.assertIn("dangerously_skip_verification", daemon.cli("health"))
        self.assertFalse(daemon.stats()["peers"][0]["tls_verified"])
        self.assertIn('holdfast_tls_unverified{peer="sinks.cloud"} 1\n', daemon.cli("metrics"))
        daemon.logged("tls_unverified peer=sinks.cloud", "config note=")
        daemon.reload(self.config(self.tls(ca=self.path("other") + "/ca.pem"), url=self.nginx.url("/v1/results")))
        self.until("it is verified again", lambda: "dangerously" not in daemon.cli("health"))
        daemon.stop()


class HttpJobs(WithNginx):
    def test_one_request_a_job_with_its_headers(self):
        self.nginx.start()
        daemon = Daemon(self, self.http_config(notify="/v1/notify")).start()
        id = daemon.add("notify", '{"alarm":1}')
        self.assertEqual(daemon.ended(id)["result"], "stored")
        (request,) = self.nginx.requests("/v1/notify")
        self.assertEqual(request["body"], '{"alarm":1}')
        self.assertEqual(request["key"], daemon.job(id)["key"])
        self.assertEqual(request["attempt"], "1")
        daemon.stop()

    def test_404_is_a_dead_letter_that_says_so_and_can_be_retried(self):
        self.nginx.start()
        daemon = Daemon(self, self.http_config(notify="/gone")).start()
        id = daemon.add("notify", "{}")
        job = daemon.ended(id, state="dead")
        for word in ("404", f"localhost:{self.nginx.port}", "no such place"):
            self.assertIn(word, job["error"])
        self.assertEqual(len(self.nginx.requests("/gone")), 1)
        daemon.reload(self.http_config(notify="/v1/notify"))
        self.until("the new configuration holds", lambda: "reload" in daemon.log())
        daemon.cli("retry", str(id))
        daemon.ended(id)
        self.assertEqual({request["key"] for request in self.nginx.requests()}, {job["key"]})
        daemon.stop()

    def test_retry_after_is_obeyed(self):
        self.nginx.start()
        daemon = Daemon(self, self.http_config(notify="/busy")).start()
        id = daemon.add("notify", "{}")
        self.until("the first answer", lambda: self.nginx.requests("/busy"))
        self.until("it is on the job", lambda: "503" in daemon.job(id).get("error", ""))
        self.nginx.open()
        job = daemon.ended(id)
        first, second = self.nginx.requests("/busy")
        self.assertEqual((first["status"], second["status"]), (503, 200))
        self.assertEqual((first["attempt"], second["attempt"]), ("1", "2"))
        self.assertEqual(first["key"], second["key"])
        self.assertGreaterEqual(second["at"] - first["at"], 1.9)  # the backoff alone is 100 ms
        self.assertEqual(job["attempts"], 2)
        daemon.stop()

    def test_429_is_tried_again(self):
        self.nginx.start()
        daemon = Daemon(self, self.http_config(notify="/rate")).start()
        id = daemon.add("notify", "{}", "--max-attempts", "50")
        self.until("the first answers", lambda: len(self.nginx.requests("/rate")) >= 2)
        self.nginx.open()
        daemon.ended(id)
        daemon.stop()

    def test_a_cut_connection_is_an_attempt(self):
        self.nginx.start()
        daemon = Daemon(self, self.http_config(notify="/cut")).start()
        id = daemon.add("notify", "{}")
        job = daemon.ended(id, state="dead")
        self.assertEqual(job["attempts"], 3)
        self.assertIn("closed", job["error"])
        self.assertEqual([request["attempt"] for request in self.nginx.requests("/cut")], ["1", "2", "3"])
        daemon.stop()


if __name__ == "__main__":
    need("nginx", "openssl")
    main()
