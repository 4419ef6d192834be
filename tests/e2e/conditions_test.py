#!/usr/bin/env python3
"""Conditions on the real daemon: what waits for one, who is asked and how often, and what a program that hangs costs."""
import os
import time

from harness import Case, Daemon, Receiver, main, need, read, write


class Conditions(Case):
    def setUp(self):
        super().setUp()
        self.flag, self.calls = self.path("flag"), self.path("calls")

    def flagged(self, **more):
        """Open while the flag is there. Each call is a line in a file."""
        script = f"echo x >> {self.calls}; test -e {self.flag} || {{ echo no flag; exit 1; }}"
        return {"exec": ["/bin/sh", "-c", script], "every": "1s", **more}

    def called(self):
        return len(read(self.calls).splitlines())

    def config(self, condition, **more):
        return {"conditions": {"flag": condition}, "handlers": {"echo": {"exec": ["/bin/cat"], "when": ["flag"]}, "free": {"exec": ["/bin/cat"]}}, **more}

    def gate(self, daemon, id):
        """Of the condition, if the job waits at it."""
        gates = daemon.ask("GET", f"/v1/jobs/{id}/why")["gates"]
        return next((gate for gate in gates if gate["gate"] == "condition"), None)

    def closed(self, daemon, id, *words):
        return self.until(lambda: f"the gate says {words}: {self.gate(daemon, id)}\n{daemon.log()}",
                          lambda: (gate := self.gate(daemon, id)) and all(word in gate["why"] for word in words) and gate)

    def test_a_job_waits_until_the_program_says_yes(self):
        daemon = Daemon(self, self.config(self.flagged())).start()
        id = daemon.add("echo", '"flag"')
        self.closed(daemon, id, "condition flag is closed: no flag")
        daemon.why(id, "condition flag is closed: no flag")
        daemon.ended(daemon.add("free", "1"))  # what names none does not wait
        self.assertEqual((daemon.job(id)["state"], daemon.job(id)["attempts"]), ("pending", 0))
        write(self.flag, "")
        daemon.ended(id)
        self.assertEqual(daemon.job(id)["attempts"], 1)
        os.remove(self.flag)
        time.sleep(1.2)  # the last answer is over
        again = daemon.add("echo", '"again"')
        self.closed(daemon, again, "no flag")
        daemon.stop()

    def test_nobody_is_asked_while_no_job_waits(self):
        daemon = Daemon(self, self.config(self.flagged(), queues={"shut": {"windows": "0 0 0 29 2 * for 1s"}})).start()
        daemon.ended(daemon.add("free", "1"))
        daemon.add("echo", '"later"', "--delay", "1h")
        daemon.add("echo", '"shut"', "--queue", "shut")  # it waits for something else as well
        time.sleep(2.5)
        self.assertEqual(self.called(), 0)
        id = daemon.add("echo", '"now"')
        self.until("it is asked again and again", lambda: self.called() >= 3)
        write(self.flag, "")
        daemon.ended(id)
        calls, start = self.called(), time.monotonic()
        for n in range(20):
            daemon.ended(daemon.add("echo", str(n)))
        self.assertLessEqual(self.called() - calls, time.monotonic() - start + 1, "an answer counts for a second")
        calls = self.called()
        time.sleep(2.5)
        self.assertEqual(self.called(), calls)
        daemon.stop()

    def test_a_program_that_hangs_is_killed_and_the_gate_closed(self):
        pid = self.path("pid")
        hang = f"echo $$ > {pid}; exec sleep 300"
        daemon = Daemon(self, self.config({"exec": ["/bin/sh", "-c", f"test -e {self.flag} || {{ {hang}; }}"], "every": "1s", "timeout": "300ms"})).start()
        id = daemon.add("echo", "1")
        self.closed(daemon, id, "no answer within 300ms")
        first = int(read(pid))
        self.until("it is killed", lambda: not os.path.exists(f"/proc/{first}"))
        daemon.ended(daemon.add("free", "1"))
        write(self.flag, "")
        daemon.ended(id)
        daemon.stop()

    def test_the_daemon_stops_while_a_program_hangs(self):
        daemon = Daemon(self, self.config({"exec": ["/bin/sh", "-c", f"echo x >> {self.calls}; exec sleep 300"], "timeout": "1m"})).start()
        daemon.add("echo", "1")
        self.until("it is asked", lambda: self.called() == 1)
        start = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - start, 10)

    def test_a_sink_holds_its_deliveries(self):
        receiver = Receiver(self)
        daemon = Daemon(self, {"conditions": {"flag": self.flagged()},
                               "handlers": {"echo": {"exec": ["/bin/cat"], "sink": "cloud"}},
                               "sinks": {"cloud": receiver.sink(when=["flag"])}}).start()
        id = daemon.add("echo", '"to the cloud"')
        self.until("it has run", lambda: daemon.job(id).get("delivering"))
        self.closed(daemon, id, "condition flag is closed: no flag")
        self.assertEqual(receiver.seen, [])
        write(self.flag, "")
        daemon.ended(id)
        self.assertEqual(len(receiver.seen), 1)
        daemon.stop()

    def test_a_queue_and_a_reload(self):
        with_queue = {"conditions": {"flag": self.flagged()}, "handlers": {"echo": {"exec": ["/bin/cat"]}}, "queues": {"slow": {"when": ["flag"]}}}
        daemon = Daemon(self, with_queue).start()
        self.assertEqual(daemon.ask("PUT", "/v1/queues/other", {"when": ["flag"]})["when"], ["flag"])
        slow, other = daemon.add("echo", "1", "--queue", "slow"), daemon.add("echo", "2", "--queue", "other")
        for id in (slow, other):
            self.closed(daemon, id, "no flag")
        daemon.reload({**with_queue, "queues": {"slow": {"when": ["flga"]}}})
        daemon.logged('there is no condition \\"flga\\"; did you mean \\"flag\\"?')
        self.closed(daemon, slow, "no flag")  # the old one stays
        daemon.reload({**with_queue, "queues": {}})
        daemon.ended(slow)
        # What was put stays, and what nobody knows of is closed.
        daemon.reload({"handlers": with_queue["handlers"]})
        self.closed(daemon, other, "there is no condition flag")
        daemon.ask("PUT", "/v1/queues/other", {})
        daemon.ended(other)
        daemon.stop()

    def test_what_the_device_says(self):
        """What holds everywhere, and what holds nowhere, of the kinds that are read on a thread."""
        config = {"conditions": {"idle": {"load_below": 10000}, "room": {"free_space": "1B", "path": self.folder},
                                 "more": {"free_space": "900000000GiB", "path": self.folder}},
                  "handlers": {"echo": {"exec": ["/bin/cat"], "when": ["idle", "room"]}, "big": {"exec": ["/bin/cat"], "when": ["idle", "more"]}}}
        daemon = Daemon(self, config).start()
        daemon.ended(daemon.add("echo", "1"))
        self.closed(daemon, daemon.add("big", "1"), "condition more is closed: ", f" free in {self.folder}")
        daemon.stop()

    def test_people_and_hooks_say_so(self):
        config = {"conditions": {"door": {"told": "closed"}, "flag": self.flagged(), "fast": {"link": ["wifi"]}},
                  "handlers": {"echo": {"exec": ["/bin/cat"], "when": ["door"]}, "send": {"exec": ["/bin/cat"], "when": ["fast"]}}}
        daemon = Daemon(self, config).start()
        id = daemon.add("echo", "1")
        daemon.why(id, "condition door is closed: nobody has said that it is open")
        self.assertEqual(daemon.cli("condition", "set", "door", "closed", "--reason", "it rains"), "condition door is closed\n")
        daemon.why(id, "condition door is closed: it rains")
        said = daemon.cli("condition", "set", "door", "open", "--for", "1h")
        self.assertTrue(said.startswith("condition door is open for "), said)
        daemon.ended(id)
        table = daemon.cli("condition", "list")
        for words in ("NAME", "door", "open", "told, else closed", "flag", "unknown", "asked each 1s", "fast", "closed", "the link is wifi", "the link is unmetered"):
            self.assertIn(words, table)
        self.assertEqual(daemon.json("condition", "show", "flag"), {"name": "flag", "state": "unknown", "every": "1s"})
        self.assertEqual(daemon.json("condition", "show", "door")["state"], "open")
        waits = daemon.add("send", "1")
        daemon.why(waits, "condition fast is closed: the link is unmetered")
        daemon.cli("link", "set", "wifi")
        daemon.ended(waits)
        self.assertIn('holdfast_condition_open{condition="fast"} 1', daemon.cli("metrics"))
        self.assertIn("there is no condition", daemon.cli("condition", "set", "gate", "open", status=3))
        self.assertIn("is asked, and cannot be told", daemon.cli("condition", "set", "flag", "open", status=5))
        self.assertIn("ajar", daemon.cli("condition", "set", "door", "ajar", status=2))
        self.assertIn("allowed", daemon.cli("condition", "set", "door", "open", "--for", "0s", status=2))
        daemon.cli("queue", "set", "default", "when=door,flag")
        self.assertEqual(daemon.json("queue", "list")["queues"][0]["when"], ["door", "flag"])
        self.assertIn("when []", daemon.cli("queue", "set", "default", "when="))
        daemon.stop()


if __name__ == "__main__":
    need("sh", "cat")
    main()
