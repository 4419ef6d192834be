#!/usr/bin/env python3
"""What the program of a job says while it runs: progress, checkpoints for its next attempt, signs of life."""
import json
import os
import re

from harness import HOLDFAST, Case, Daemon, main, need


class Progress(Case):
    def daemon(self, script, **handler):
        path = self.path("work.sh")
        with open(path, "w", encoding="utf-8") as out:
            out.write(f"#!/bin/sh\nholdfast() {{ {HOLDFAST} \"$@\"; }}\n{script}")
        os.chmod(path, 0o755)
        return Daemon(self, {"handlers": {"work": {"exec": [path], "backoff": {"kind": "fixed", "base": "50ms", "jitter": "none"}, **handler}}}).start()

    def test_a_checkpoint_is_there_for_the_next_attempt(self):
        daemon = self.daemon('echo "$HOLDFAST_ATTEMPT from ${HOLDFAST_CHECKPOINT:-the beginning}"\n'
                             '[ -n "$HOLDFAST_CHECKPOINT" ] && exit 0\n'
                             'holdfast progress --checkpoint "file 4\n\\"quoted\\"" || exit 65\nexit 75\n')
        id = daemon.add("work")
        daemon.ended(id)
        self.assertEqual(daemon.job(id)["result"], '2 from file 4\n"quoted"\n')
        daemon.stop()

    def test_also_after_the_daemon_was_killed(self):
        daemon = self.daemon('[ -n "$HOLDFAST_CHECKPOINT" ] && { echo "$HOLDFAST_CHECKPOINT"; exit 0; }\n'
                             'printf "%s" "half" | holdfast progress --checkpoint - --percent 50 && sleep 100\n')
        id = daemon.add("work")
        self.until("it is half-way", lambda: daemon.job(id).get("progress") == 50)
        daemon.kill()
        daemon.start()
        daemon.ended(id)
        self.assertEqual(daemon.job(id)["result"], "half\n")
        daemon.stop()

    def test_progress_is_shown_and_a_run_that_is_over_is_told_so(self):
        daemon = self.daemon('holdfast progress --percent 40 --note "4 of 10 files" && sleep 100\n', kill_grace="0s")
        id = daemon.add("work")
        self.until("it has got somewhere", lambda: "progress" in daemon.job(id))
        self.assertRegex(daemon.cli("show", str(id)), r"progress +40%  4 of 10 files")
        self.assertEqual(json.loads(daemon.cli("progress", str(id), "--attempt", "1", "--note", "5", "--json")), {"id": id})
        self.assertEqual((daemon.job(id)["progress"], daemon.job(id)["progress_note"]), (40, "5"))
        self.assertEqual(daemon.cli("progress", str(id), "--attempt", "1"), "")
        for words, status, says in (
                ([str(id), "--attempt", "2"], 1, "this run is over"),
                ([str(id)], 2, "--attempt is required"),
                (["--attempt", "1"], 2, "ID is required"),
                ([str(id), "--attempt", "1", "--percent", "101"], 2, "percent: found 101, expected a whole number from 0 to 100"),
                ([str(id), "--attempt", "1", "--checkpoint", "x" * 2049], 2, "checkpoint: the string has 2049 bytes"),
                (["999", "--attempt", "1"], 1, "this run is over")):
            with self.subTest(words=words[:3]):
                self.assertIn(says, daemon.cli("progress", *words, status=status))
        daemon.cli("cancel", str(id))
        daemon.ended(id, state="cancelled")
        self.assertIn("this run is over", daemon.cli("progress", str(id), "--attempt", "1", status=1))
        daemon.stop()

    def test_bad_bodies_are_told(self):
        daemon = self.daemon("sleep 100\n", kill_grace="0s")
        id = daemon.add("work")
        for route, body, says in (
                ("progress", {}, '"attempt" is missing: it says which run speaks ($HOLDFAST_ATTEMPT)'),
                ("progress", {"attempt": 0}, "attempt: found 0, expected a whole number from 1"),
                ("progress", {"attempt": 1, "percents": 4}, 'did you mean "percent"'),
                ("checkpoint", {"attempt": 1}, '"checkpoint" is missing: the next attempt gets it'),
                ("checkpoint", {"attempt": 1, "checkpoint": 5}, "checkpoint: ")):
            with self.subTest(body=body):
                with self.assertRaisesRegex(AssertionError, "^400 .*" + re.escape(json.dumps(says)[1:-1])):
                    daemon.ask("POST", f"/v1/jobs/{id}/{route}", body)
        daemon.stop()

    def test_who_gives_no_sign_of_life_is_ended_and_who_does_is_not(self):
        daemon = self.daemon('[ "$(cat)" = silent ] && exec sleep 100\n'
                             'for n in 1 2 3 4 5 6 7 8; do sleep 0.5; holdfast progress || exit 65; done\n', heartbeat="3s", max_attempts=1)
        silent, lively = daemon.add("work", "silent"), daemon.add("work", "lively")
        daemon.ended(lively)
        daemon.ended(silent, state="dead")
        self.assertRegex(daemon.job(silent)["error"], r"^no sign of life for 3s \(heartbeat\)")
        daemon.stop()

    def test_a_heartbeat_that_is_no_use_is_refused(self):
        for handler, says in (
                ({"exec": ["/bin/true"], "heartbeat": "5m"}, "heartbeat is 5m and timeout 5m; heartbeat has to be shorter"),
                ({"exec": ["/bin/true"], "heartbeat": "50ms"}, "heartbeat"),
                ({"http": {"url": "http://localhost/"}, "heartbeat": "5s"}, '"heartbeat" is for "exec" only')):
            with self.subTest(handler=handler):
                daemon = Daemon(self, {"handlers": {"work": handler}})
                daemon.launch()
                self.assertNotEqual(daemon.process.wait(40), 0)
                self.assertIn(says, daemon.log().replace('\\"', '"'))


if __name__ == "__main__":
    need()
    main()
