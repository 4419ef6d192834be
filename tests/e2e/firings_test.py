#!/usr/bin/env python3
"""SIGKILL at random while schedules fire every second: each occurrence becomes exactly one job, none twice, none never.
HOLDFAST_FIRINGS=10000 is the long one."""
import os
import random
import time

from harness import Case, Daemon, main, need, time_of

FIRINGS = int(os.environ.get("HOLDFAST_FIRINGS", "1500"))
SEED = int(os.environ.get("HOLDFAST_SEED", "1"))
SCHEDULES = 200


class Firings(Case):
    def test_each_occurrence_is_one_job(self):
        choose = random.Random(SEED)
        schedules = {f"s{n}": {"cron": "* * * * * *", "type": "nobody", "overlap": "queue"} for n in range(SCHEDULES)}
        daemon = Daemon(self, {"handlers": {"echo": {"exec": ["/bin/cat"]}}, "schedules": schedules, "limits": {"crash_loop": 0}})
        kills = fired = 0
        while fired < FIRINGS:
            daemon.start()
            time.sleep(choose.random() * choose.choice((0.05, 0.3, 1.5)))
            fired = sum(schedule["fired"] for schedule in daemon.schedules().values())
            daemon.kill()
            kills += 1
        daemon.start()
        daemon.cli("schedule", "pause", *schedules)
        last = daemon.schedules()
        times = {name: [] for name in schedules}
        for job in daemon.jobs():
            times[job["schedule"]].append(int(time_of(job["occurrence"])))
        total = 0
        for name, seconds in times.items():
            seconds.sort()
            self.assertEqual(seconds, list(range(seconds[0], seconds[0] + len(seconds))), f"{name}: an occurrence is missing, or there twice")
            self.assertEqual(len(seconds), last[name]["fired"])
            self.assertEqual(last[name].get("skipped", 0), 0)
            total += len(seconds)
        print(f"{kills} kills during {total} firings of {SCHEDULES} schedules, seed {SEED}: each occurrence one job")
        daemon.stop()


if __name__ == "__main__":
    need("cat")
    main()
