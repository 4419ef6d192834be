#!/usr/bin/env python3
"""Exit codes and statuses mean what the configuration says of them, and what they always meant where it says nothing: jobs run by a
daemon, their attempts counted."""
import json

from fault_server import Place, answer, read_request
from harness import HOLDFAST, Case, Daemon, main, need, run, write

QUICK = {"max_attempts": 3, "defer": "20ms", "backoff": {"kind": "fixed", "base": "10ms", "jitter": "none"}}
# The code or status is the payload; with a number behind it, from the run of that number on all goes well.
SCRIPT = 'read -r code well; echo "run $HOLDFAST_ATTEMPT"; n=$(cat "$0$HOLDFAST_JOB_ID" 2>/dev/null || echo 0); n=$((n + 1)); ' \
         'echo $n >"$0$HOLDFAST_JOB_ID"; [ "$n" -ge "${well:-100}" ] && exit 0; echo trouble >&2; exit "$code"'


class Answers(Case):
    def finals(self, daemon, jobs, states):
        """The jobs, by their names, once each has the state that `states` says of it."""
        ids = dict(zip(jobs, daemon.add_all(list(jobs.values()))))
        self.until(lambda: f"{states}: {daemon.cli('list')}{daemon.log()[-2000:]}",
                   lambda: {name: daemon.job(id)["state"] for name, id in ids.items()} == states)
        return {name: daemon.job(id) for name, id in ids.items()}

    def test_programs(self):
        program = ["/bin/sh", "-c", SCRIPT, self.path("runs.")]
        daemon = Daemon(self, {"handlers": {"plain": {"exec": program, **QUICK},
                                            "listed": {"exec": program, **QUICK, "on_exit": {"ok": [3], "retry": [65, 69], "permanent": [2, "64-78"], "defer": [75]}}}}).start()
        jobs, states, attempts = {}, {}, {}
        for handler, payload, state, spent in [
                ("plain", "2", "dead", 3), ("plain", "3", "dead", 3), ("plain", "65", "dead", 1), ("plain", "75", "dead", 3), ("plain", "69 6", "completed", 1),
                ("listed", "2", "dead", 1), ("listed", "66", "dead", 1), ("listed", "3", "completed", 1), ("listed", "65", "dead", 3), ("listed", "69", "dead", 3),
                ("listed", "1", "dead", 3), ("listed", "69 3", "completed", 3), ("listed", "75 6", "completed", 1), ("listed", "0", "completed", 1)]:
            name = f"{handler} {payload}"
            jobs[name], states[name], attempts[name] = {"type": handler, "payload": payload + "\n"}, state, spent
        ended = self.finals(daemon, jobs, states)
        self.assertEqual({name: job["attempts"] for name, job in ended.items()}, attempts)
        self.assertEqual(ended["listed 3"]["result"], "run 1\n")
        self.assertIn("exit code 2: trouble", ended["listed 2"]["error"])
        daemon.stop()

    def test_requests_and_deliveries(self):
        seen = {}

        def behave(_, connection):
            while (request := read_request(connection)) is not None:
                what = json.loads(request.body.splitlines()[0])
                status, well = what["result"] if "result" in what else what["is"]
                key = request.header("Idempotency-Key")
                seen[key] = seen.get(key, 0) + 1
                connection.sendall(answer(200 if seen[key] >= well else status, body=f"answer {seen[key]}", keeps_alive=True))

        url = f"http://127.0.0.1:{Place(self, behave).port}/"
        rules = {"on_status": {"ok": [304, 422], "retry": [404, 409], "permanent": ["400-499", 500], "defer": [502, 503]}}
        target = {"url": url, "allow_private": True}
        daemon = Daemon(self, {"handlers": {"plain": {"http": target, **QUICK}, "listed": {"http": {**target, **rules}, **QUICK}, "cat": {"exec": ["/bin/cat"]}},
                               "sinks": {"plain": {**target, **QUICK}, "listed": {**target, **QUICK, **rules}}}).start()
        jobs, states, attempts = {}, {}, {}
        for where, status, well, state, spent in [
                ("plain", 404, 99, "dead", 1), ("plain", 409, 99, "dead", 1), ("plain", 422, 99, "dead", 1), ("plain", 500, 99, "dead", 3), ("plain", 503, 3, "completed", 3),
                ("listed", 404, 99, "dead", 3), ("listed", 409, 3, "completed", 3), ("listed", 410, 99, "dead", 1), ("listed", 500, 99, "dead", 1),
                ("listed", 422, 99, "completed", 1), ("listed", 502, 6, "completed", 1), ("listed", 503, 3, "completed", 1), ("listed", 504, 99, "dead", 3)]:
            for kind in ("request", "delivery"):
                name = f"{kind} {where} {status}"
                states[name], attempts[name] = state, spent
                jobs[name] = {"type": where, "payload": {"is": [status, well]}} if kind == "request" else {"type": "cat", "payload": [status, well], "sink": where}
        ended = self.finals(daemon, jobs, states)
        tries = {name: seen[job["key"]] for name, job in ended.items()}
        # A delivery counts from 1 anew, after the attempt that made the result.
        self.assertEqual({name: job["attempts"] for name, job in ended.items()}, attempts)
        self.assertEqual(ended["request listed 422"]["result"], "answer 1")
        self.assertEqual((tries["request listed 502"], tries["delivery listed 502"]), (6, 6))
        self.assertEqual((tries["request listed 503"], tries["delivery listed 503"]), (3, 3))
        daemon.stop()

    def test_a_reload_changes_them_and_a_wrong_one_is_refused(self):
        program = ["/bin/sh", "-c", SCRIPT, self.path("runs.")]

        def config(**rules):
            return {"handlers": {"it": {"exec": program, **QUICK, **rules}}}
        daemon = Daemon(self, config()).start()
        self.assertEqual(daemon.ended(daemon.add("it", "7"), state="dead")["attempts"], 3)
        daemon.reload(config(on_exit={"permanent": [7]}))
        daemon.logged("reloaded")
        self.assertEqual(daemon.ended(daemon.add("it", "7"), state="dead")["attempts"], 1)
        daemon.reload(config(on_exit={"permanent": [7], "retry": [1, 7]}))
        daemon.logged('handlers.it.on_exit.retry[1]: 7 is in')
        self.assertEqual(daemon.ended(daemon.add("it", "7"), state="dead")["attempts"], 1)
        daemon.stop()
        bad = write(self.path("bad.json"), json.dumps(config(on_exit={"ok": ["0-3"]})))
        self.assertIn('found "0-3", expected an exit code from 1 to 255', run(HOLDFAST, "serve", "--config", bad, "--check", status=1))


if __name__ == "__main__":
    need("sh")
    main()
