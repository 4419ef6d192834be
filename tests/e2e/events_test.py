#!/usr/bin/env python3
"""Events: a daemon with subscriptions, told by the command line and by curl; filters, keys, reloads, a kill right after the answer."""
import json
import os

from harness import HOLDFAST, SOURCE, Case, Daemon, main, need, read, run, write

SUBSCRIPTIONS = {
    "all": {"event": "door.opened", "type": "echo"},
    "three": {"event": "door.opened", "filter": {"door": 3}, "type": "echo", "payload": {"say": "three"}, "queue": "slow", "priority": 5},
    "alarm": {"event": "door.opened", "filter": {"alarm": True, "who": "anna"}, "type": "echo"},
}


class Events(Case):
    def daemon(self, subscriptions=None, handlers=None):
        return Daemon(self, self.config(subscriptions, handlers)).start()

    @staticmethod
    def config(subscriptions=None, handlers=None):
        return {"handlers": handlers or {"echo": {"exec": ["/bin/cat"]}}, "subscriptions": SUBSCRIPTIONS if subscriptions is None else subscriptions}

    def curl(self, daemon, target, *argv, status):
        said = run("curl", "-sS", "--unix-socket", daemon.socket, "-w", "\n%{http_code}", f"http://h{target}", *argv)
        body, code = said.rsplit("\n", 1)
        self.assertEqual(int(code), status, body)
        return json.loads(body)

    def test_events_of_the_command_line(self):
        daemon = self.daemon()
        ids = daemon.cli("emit", "door.opened", '{"door": 3}').split()
        self.assertEqual(len(ids), 2)
        for id in ids:
            daemon.ended(int(id))
        self.assertEqual(daemon.job(int(ids[0]))["result"], '{"door": 3}')
        three = daemon.job(int(ids[1]))
        self.assertEqual((three["result"], three["queue"], three["priority"]), ('{"say":"three"}', "slow", 5))
        self.assertEqual(len(daemon.json("emit", "door.opened", '{"alarm": true, "who": "anna", "more": [1]}')["ids"]), 2)
        self.assertEqual(len(daemon.json("emit", "door.opened")["ids"]), 1)
        self.assertEqual(daemon.cli("emit", "door.closed"), "no job: no subscription to door.closed matches\n")
        self.assertEqual(daemon.json("emit", "door.closed"), {"ids": []})
        path = write(self.path("payload.json"), '{"door": 3.0}')
        self.assertEqual(len(daemon.cli("emit", "door.opened", "@" + path).split()), 2)
        self.assertEqual(len(run(*daemon.command("emit", "door.opened", "-"), input='{"door": 3e0}').split()), 2)
        self.assertEqual(len(daemon.cli("emit", "door.opened", "no JSON").split()), 1)
        for words, status, says in (
                (["door opened"], 2, 'the event name "door opened"'),
                ([], 2, "EVENT is required"),
                (["door.opened", "x", "--key", "k" * 64], 2, "key: the string has 64 bytes: at most 63 are allowed"),
                (["door.opened", "@" + self.path("none")], 1, "No such file")):
            with self.subTest(words=words[:1]):
                self.assertIn(says, daemon.cli("emit", *words, status=status))
        daemon.stop()

    def test_a_key_starts_each_job_once_also_after_a_kill(self):
        daemon = self.daemon()
        first = daemon.json("emit", "door.opened", '{"door": 3}', "--key", "e1")["ids"]
        self.assertEqual(daemon.json("emit", "door.opened", '{"door": 3}', "--key", "e1")["ids"], first)
        daemon.kill()
        daemon.start()
        self.assertEqual(daemon.json("emit", "door.opened", '{"door": 3}', "--key", "e1")["ids"], first)
        self.assertNotEqual(daemon.json("emit", "door.opened", '{"door": 3}', "--key", "e2")["ids"], first)
        daemon.stop()

    def test_killed_right_after_the_answer_the_jobs_are_there(self):
        daemon = self.daemon(handlers={"other": {"exec": ["/bin/cat"]}})
        for n in range(5):
            ids = self.curl(daemon, "/v1/events/door.opened", "-d", json.dumps({"payload": {"door": 3, "n": n}}), status=201)["ids"]
            daemon.kill()
            daemon.start()
            self.assertEqual([daemon.job(id)["state"] for id in ids], ["pending", "pending"])
            self.assertEqual(json.loads(daemon.job(ids[0])["payload"]), {"door": 3, "n": n})
        daemon.stop()

    def test_requests(self):
        daemon = self.daemon()
        at = "/v1/events/door.opened"
        self.assertEqual(len(self.curl(daemon, at, "-d", '{"payload": {"door": 3}}', status=201)["ids"]), 2)
        self.assertEqual(len(self.curl(daemon, at, "-d", '{"payload": "{\\"door\\": 3}"}', status=201)["ids"]), 2)
        self.assertEqual(len(self.curl(daemon, at, "-d", '{"payload_base64": "eyJkb29yIjozfQ=="}', status=201)["ids"]), 2)
        self.assertEqual(len(self.curl(daemon, at, "-X", "POST", status=201)["ids"]), 1)
        ids = self.curl(daemon, at, "-d", '{"key": "k"}', status=201)["ids"]
        self.assertEqual(self.curl(daemon, at, "-d", '{"key": "k", "payload": 1}', status=201)["ids"], ids)
        self.assertEqual(self.curl(daemon, "/v1/subscriptions/three", status=200),
                         {"name": "three", "event": "door.opened", "filter": {"door": 3}, "type": "echo", "queue": "slow", "priority": 5,
                          "payload": '{"say":"three"}', "matched": 3})
        self.assertEqual([s["name"] for s in self.curl(daemon, "/v1/subscriptions", status=200)["subscriptions"]], ["alarm", "all", "three"])
        self.curl(daemon, "/v1/subscriptions/none", status=404)
        self.assertEqual(self.curl(daemon, at, "-d", '{"payload": 1, "payload_base64": "aGk="}', status=400)["error"]["message"],
                         '"payload" and "payload_base64" exclude each other')
        self.assertRegex(daemon.cli("subscription", "list"), r'(?m)^three +door.opened +\{"door":3\} +echo +slow +3$')
        shown = daemon.cli("subscription", "show", "three")
        self.assertRegex(shown, r'(?m)^filter +\{"door":3\}$')
        self.assertIn('there is no subscription "none"', daemon.cli("subscription", "show", "none", status=3))
        daemon.stop()

    def test_all_or_none(self):
        daemon = self.daemon()
        daemon.cli("queue", "drain", "slow")
        before = daemon.json("list")["jobs"]
        self.assertIn('subscription "three": queue slow is draining', daemon.cli("emit", "door.opened", '{"door": 3}', status=5))
        self.assertEqual(daemon.json("list")["jobs"], before)
        self.assertEqual(len(daemon.cli("emit", "door.opened", '{"door": 4}').split()), 1)
        daemon.stop()

    def test_a_reload_changes_who_subscribed(self):
        daemon = self.daemon()
        daemon.reload(self.config({"all": SUBSCRIPTIONS["all"], "closed": {"event": "door.closed", "type": "echo"}}))
        self.until("it has got about", lambda: daemon.json("emit", "door.closed")["ids"])
        self.assertEqual(len(daemon.json("emit", "door.opened", '{"door": 3}')["ids"]), 1)
        daemon.reload(self.config({"all": {"event": "door opened", "type": "echo"}}))
        daemon.logged("subscriptions.all.event: the event name")
        self.assertEqual(len(daemon.json("emit", "door.opened")["ids"]), 1)
        daemon.stop()

    def test_the_feed_and_the_log(self):
        daemon = self.daemon()
        with open(self.path("feed"), "w", encoding="utf-8") as feed:
            self.start(daemon.command("watch", "--json"), stdout=feed)
            self.until("somebody watches", lambda: daemon.cli("emit", "door.opened") and '"emitted"' in read(self.path("feed")))
        emitted = next(json.loads(line) for line in read(self.path("feed")).splitlines() if '"emitted"' in line)
        self.assertEqual((emitted["type"], emitted["detail"]), ("door.opened", "1 job"))
        daemon.stop()

    def test_the_example_of_the_document_works_when_pasted(self):
        text = read(os.path.join(SOURCE, "docs", "events.md")).replace("/tmp/", self.folder + "/")
        configs, scripts = ([part.split("```", 1)[0] for part in text.split(f"```{kind}\n")[1:]] for kind in ("json", "sh"))
        write(self.path("events.json"), configs[0])
        env = {**os.environ, "PATH": f"{os.path.dirname(HOLDFAST)}:{os.environ['PATH']}"}
        said = run("bash", "-c", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n" + scripts[0].replace("serve --config events.json", "serve --config events.json 2>log"),
                   env=env, cwd=self.folder)
        self.assertEqual(len([line for line in said.splitlines() if line.isdigit()]), 3, said)
        self.assertRegex(said, r'(?m)^photo-door3 +door.opened +\{"door":3\} +photo +camera +1$')
        # The other one is a part of such a file.
        write(self.path("part.json"), '{"subscriptions": {' + configs[1] + "}}")
        run(HOLDFAST, "serve", "--check", "--config", self.path("part.json"))


if __name__ == "__main__":
    need("curl")
    main()
