#!/usr/bin/env python3
"""A daemon that is killed again and again while jobs run goes into safe mode, says so, and a person ends it."""
from harness import Case, Daemon, main, need, read

LIMIT = 3  # `limits.crash_loop`


class SafeMode(Case):
    def setUp(self):
        super().setUp()
        self.ran = self.path("ran")
        handler = f'echo run >>{self.ran}; exec sleep 300'
        self.config = {"handlers": {"stuck": {"exec": ["/bin/sh", "-c", handler]}, "echo": {"exec": ["/bin/cat"]}},
                       "limits": {"crash_loop": LIMIT}}
        self.daemon = Daemon(self, self.config)

    def kill_while_jobs_run(self):
        runs = len(read(self.ran).splitlines())
        self.daemon.start()
        self.daemon.add("stuck")
        self.until(f"a run begins: {self.daemon.log()}", lambda: len(read(self.ran).splitlines()) > runs)
        self.daemon.kill()

    def test_nothing_runs_until_a_person_ends_it(self):
        for _ in range(LIMIT):
            self.kill_while_jobs_run()
        self.daemon.start()
        self.assertTrue(self.daemon.stats()["safe_mode"])
        id = self.daemon.add("echo", '"taken"', "--priority", "9")
        self.assertIn("safe_mode", self.daemon.cli("why", str(id)))
        health = self.daemon.cli("health")
        self.assertIn("safe mode: the process ended 3 times in a row", health)
        self.assertIn("end-safe-mode", health)
        self.assertIn("holdfast_safe_mode 1", self.daemon.cli("metrics"))
        self.assertIn("nothing runs", self.daemon.cli("stats"))
        self.daemon.logged("safe_mode")
        # The first was quarantined for the third end in its run; the others are called off.
        for job in self.daemon.json("list", "--state", "pending", "--type", "stuck")["jobs"]:
            self.daemon.cli("cancel", str(job["id"]))
        self.assertEqual(self.daemon.job(id)["state"], "pending")
        self.assertEqual(self.daemon.cli("end-safe-mode"), "jobs run again\n")
        self.daemon.ended(id)
        self.assertFalse(self.daemon.stats()["safe_mode"])
        self.assertEqual(self.daemon.cli("end-safe-mode"), "it was not on: jobs run\n")
        self.daemon.stop()

    def test_a_reload_can_switch_it_off(self):
        for _ in range(LIMIT):
            self.kill_while_jobs_run()
        self.daemon.start()
        id = self.daemon.add("echo", '"taken"', "--priority", "9")
        self.assertTrue(self.daemon.stats()["safe_mode"])
        self.daemon.reload({**self.config, "limits": {"crash_loop": 0}})
        self.daemon.ended(id)
        self.daemon.kill()


if __name__ == "__main__":
    need("sh", "sleep")
    main()
