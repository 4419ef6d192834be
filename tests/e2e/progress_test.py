#!/usr/bin/env python3
"""What the program of a job says while it runs, and hears: progress, its log, checkpoints for its next attempt, signs of life, a soft timeout."""
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

    def test_a_log_is_shown_while_it_runs_and_with_its_attempt(self):
        daemon = self.daemon('holdfast progress --log "file 1" --percent 10 || exit 65\n'
                             'holdfast progress --log "file 2 has\nno date" || exit 65\n'
                             'test "$HOLDFAST_ATTEMPT" = 2 || exit 75\nsleep 100\n', kill_grace="0s", max_attempts=2)
        id = daemon.add("work")
        self.until("the second attempt has said all", lambda: daemon.job(id).get("log") == "file 1\nfile 2 has\nno date")
        job = daemon.job(id)
        self.assertEqual([(a["number"], a["outcome"], a["log"]) for a in job["history"]], [(1, "retry", "file 1\nfile 2 has\nno date")])
        page = daemon.cli("show", str(id))
        self.assertRegex(page, r"\n +1 .* retry +exit code 75\n       \| file 1\n       \| file 2 has\n       \| no date\n")
        self.assertIn("\nlog  of attempt 2, which runs\n  | file 1\n  | file 2 has\n  | no date\n", page)
        self.assertEqual(json.loads(daemon.cli("progress", str(id), "--attempt", "2", "--log", "from outside", "--json")), {"id": id})
        self.assertTrue(daemon.job(id)["log"].endswith("\nfrom outside"))
        self.assertIn("this run is over", daemon.cli("progress", str(id), "--attempt", "1", "--log", "late", status=1))
        self.assertIn("line: the string has 8193 bytes", daemon.cli("progress", str(id), "--attempt", "2", "--log", "x" * 8193, status=2))
        daemon.cli("cancel", str(id))
        daemon.ended(id, state="cancelled")
        self.assertTrue(daemon.job(id)["history"][1]["log"].endswith("\nfrom outside"))
        daemon.stop()

    def test_stderr_is_the_log_of_a_program_that_succeeds_too(self):
        daemon = self.daemon("echo reading >&2; echo result; echo done >&2\n", log="stderr")
        id = daemon.add("work")
        daemon.ended(id)
        job = daemon.job(id)
        self.assertEqual((job["result"], [(a["outcome"], a["log"]) for a in job["history"]]), ("result\n", [("done", "reading\ndone")]))
        self.assertNotIn("log", daemon.ask("GET", "/v1/jobs")["jobs"][0]["history"][0])
        daemon.stop()

    def test_a_program_is_asked_to_end_at_its_soft_timeout(self):
        daemon = self.daemon('[ "$(cat)" = deaf ] && exec sleep 100\n'
                             "trap 'echo half; exit 0' TERM\nwhile :; do sleep 100 & wait; done\n", soft_timeout="1s", max_attempts=1)
        deaf, obeys = daemon.add("work", "deaf"), daemon.add("work", "obeys")
        daemon.ended(obeys)
        daemon.ended(deaf, state="dead")
        self.assertEqual(daemon.job(obeys)["result"], "half\n")
        self.assertEqual(daemon.job(deaf)["error"], "timed out softly after 1s (attempt 1 of 1)")
        daemon.stop()

    def test_bad_bodies_are_told(self):
        daemon = self.daemon("sleep 100\n", kill_grace="0s")
        id = daemon.add("work")
        for route, body, says in (
                ("progress", {}, '"attempt" is missing: it says which run speaks ($HOLDFAST_ATTEMPT)'),
                ("progress", {"attempt": 0}, "attempt: found 0, expected a whole number from 1"),
                ("progress", {"attempt": 1, "percents": 4}, 'did you mean "percent"'),
                ("checkpoint", {"attempt": 1}, '"checkpoint" is missing: the next attempt gets it'),
                ("checkpoint", {"attempt": 1, "checkpoint": 5}, "checkpoint: "),
                ("log", {"attempt": 1}, '"line" is missing: it is what the log gets')):
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
