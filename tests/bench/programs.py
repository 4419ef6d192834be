"""The programs of BUILD/tests/bench, run with a disk of which each sync takes as long (delaysync.c), and what a job costs in them."""
import functools
import json
import os
import re
import shutil
import subprocess
import sys

DELAY_US = 1000

# Scenarios of which a job's cost is counted: jobs of the shorter and of the longer run, and how many are in flight.
COSTS = [("own_thread", 200, 700), ("pipeline", 1000, 6000, 50)]
BARE_COSTS = [("bare_sequential", 200, 700), ("bare_pipeline", 1000, 6000, 50)]


def callgrind(log):
    return ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}")


def collected(log):
    with open(log) as file:
        return int(re.search(r"Collected : (\d+)", file.read()).group(1))


class Bench:
    def __init__(self, build, folder):
        self.programs = os.path.join(build, "tests", "bench")
        self.folder = folder
        self.files = 0

    def path(self):
        self.files += 1
        return os.path.join(self.folder, f"{self.files}.db")

    def run(self, scenario, *numbers, path=None, before=(), delay_us=DELAY_US, program="bench"):
        env = dict(os.environ, DELAYSYNC_US=str(delay_us))
        given = path is not None
        path = path or self.path()
        command = [*before, os.path.join(self.programs, program), scenario, path, *map(str, numbers)]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode not in (0, -9):  # -9: fill_kill ends so
            sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        if not given:
            self.remove(path)
        return json.loads(done.stdout)

    @staticmethod
    def remove(path):
        for end in ("", "-wal", "-journal", "-shm", ".sock"):
            if os.path.exists(path + end):
                os.remove(path + end)

    def cron(self):
        done = subprocess.run([os.path.join(self.programs, "bench_cron")], stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)

    # ---- counts a job ----

    def instructions(self, scenario, few, many, *rest, copy_of=None):
        """None without valgrind."""
        if shutil.which("valgrind") is None:
            return None
        return self.difference("callgrind", scenario, few, many, *rest, copy_of=copy_of)["instructions"]

    def allocations(self, scenario, few, many, *rest):
        """{"allocations": of the whole process, "engine_allocations": of these, on the engine's thread, where it does the work,
        "own_allocations": of these, all but SQLite's}"""
        return self.difference("heap", scenario, 10 * few, 10 * many, *rest)  # what is kept for later is there only after a while

    def difference(self, counter, scenario, few, many, *rest, copy_of=None):
        """A job, from the difference of two runs, so that opening and closing do not count. Each on a copy of that file."""
        counts = [self.counted(counter, scenario, jobs, *rest, copy_of=copy_of) for jobs in (few, many)]
        return {name: (counts[1][name] - counts[0][name]) / (many - few) for name in counts[0]}

    def counted(self, counter, scenario, jobs, *rest, copy_of=None):
        path, log = self.path(), os.path.join(self.folder, "callgrind.log")
        if copy_of is not None:
            shutil.copy(copy_of, path)
        if counter == "callgrind":
            told = self.run(scenario, jobs, *rest, path=path, delay_us=0, before=callgrind(log))
            counts = {"instructions": collected(log)}
        else:
            told = self.run(scenario, jobs, *rest, path=path, program="bench_allocations")
            names = ("allocations",) if scenario == "own_thread" else ("allocations", "engine_allocations", "own_allocations")
            counts = {name: told[name] for name in names}
        self.remove(path)
        return counts
