"""Files with many pending jobs: what these cost those that run beside them, and the opening."""
import contextlib
import shutil
import sqlite3

FEW = 1000  # jobs of the small file
OLD_DAYS = 180


def opening(bench, jobs):
    clean, killed = bench.path(), bench.path()
    result = {"fill": bench.run("fill", jobs, path=clean, delay_us=0)}
    result["clean"] = bench.run("first_claim", path=clean, delay_us=0)
    bench.remove(clean)
    bench.run("fill_kill", jobs, path=killed, delay_us=0)
    result["killed"] = bench.run("first_claim", path=killed, delay_us=0)
    bench.remove(killed)

    old = bench.path()
    bench.run("fill", 1, path=old, delay_us=0)
    with contextlib.closing(sqlite3.connect(old)) as file, file:
        file.execute("UPDATE meta SET value=value+? WHERE key='elapsed'", (OLD_DAYS * 86400000,))
    result["old"] = bench.run("fill", jobs // 10, path=old, delay_us=0)
    bench.remove(old)
    return result


class Crowds:
    """Files of so many jobs in so many queues (0: in one lane), made once."""

    def __init__(self, bench):
        self.bench = bench
        self.files = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for path in self.files.values():
            self.bench.remove(path)

    def of(self, jobs, queues=0):
        if (jobs, queues) not in self.files:
            path = self.files[jobs, queues] = self.bench.path()
            self.bench.run("crowd", jobs, queues, path=path, delay_us=0)
        return self.files[jobs, queues]

    def to_run(self, jobs, runs):
        """p50 of the time from hf_enqueue to the run, in µs, without a wait for the disk."""
        path = self.bench.path()
        shutil.copy(self.of(jobs), path)
        told = self.bench.run("beside", runs, path=path, delay_us=0)
        self.bench.remove(path)
        return told["to_run_p50_us"]

    def instructions(self, scenario, jobs, few, many, queues=0):
        copy_of = self.of(jobs, queues) if jobs else None
        return self.bench.instructions(scenario, few, many, copy_of=copy_of)


def in_queues(bench, jobs, queues, few, many):
    """Instructions a job beside so many in so many queues and keys, and of those themselves, over those without."""
    if shutil.which("valgrind") is None:
        return {}
    with Crowds(bench) as crowds:
        return {"beside": crowds.instructions("beside", jobs, few, many, queues) / crowds.instructions("beside", 0, few, many),
                "drain": crowds.instructions("drain", jobs, few, many, queues) / crowds.instructions("drain", jobs, few, many)}


def crowded(bench, jobs, rounds):
    """The same for one lane, and times: so many over few."""
    with Crowds(bench) as crowds:
        figures = {"to_run": [(crowds.to_run(jobs, 2000), crowds.to_run(FEW, 2000)) for _ in range(rounds)]}
        if shutil.which("valgrind"):
            for scenario, least, most in (("beside", 200, 3000), ("drain", 200, 900)):
                many, few = (crowds.instructions(scenario, pending, least, most) for pending in (jobs, FEW))
                figures[scenario] = many / few
        return figures
