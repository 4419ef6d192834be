"""What was measured, as figures with their goals."""
import statistics
from dataclasses import dataclass
from typing import Optional

import delivery
import peers
import tls

# Why a goal is missed, by the key of its figure: shown only while it is.
WHY = {
    "pipeline": "50 in flight: the bare pipeline inserts and deletes on one thread and runs nothing. Here each job is also claimed, crosses to a "
                "worker's thread and back, and has its gates, limits and counts kept; all 50 wait for the same commit, so that none of this goes on "
                "during its wait for the disk.",
    "pipeline_beanstalkd": "Over beanstalkd: it waits for the disk about twice a job, so that 80 times its rate is nearly all that bare SQLite "
                           "reaches here.",
    "socket": "On the Unix socket: a job is also an HTTP request and an answer, each written, parsed and carried by the kernel, and the clients "
              "share the processors with the engine.",
    "kill_safe": "Safe from a kill alone: both make two commits without a wait for the disk. Beside them a job has its gates, limits and counts kept, "
                 "its options and its handler found, and two turns of the engine, each with a look at all clocks and all that may be due.",
    "sequential_instructions": "Instructions, sequential: two commits, as bare SQLite makes, and two turns of the engine. Nearly a quarter is SQLite's "
                               "search for a free place in the index of its log, where the same page is found once for each commit since the last checkpoint.",
    "pipeline_instructions": "Instructions, 50 in flight: SQLite takes 4 k for an insert and a delete, half of what bare SQLite takes with a statement a row; "
                             "the rest is the engine (6 k), the host (2 k) and the workers with the program's call (3 k).",
    "drain": "The cycle of these themselves: the trees of a million rows are a level deeper, and each claim takes its entry out of the index of "
             "pending jobs.",
    "idle_rss": "Idle: most of it is code, of this library and of the C and C++ libraries, which the kernel shares among processes and may drop; "
                "what is the process's alone is the line below each.",
    "fill_rss": "The process that enqueued: it holds its batches of 1,000 jobs, too.",
    "delivery: wall time unbatched, over curl's": "Wall time unbatched: curl stores nothing. Here each answer is committed before the next result "
                                                  "goes out.",
}


@dataclass
class Figure:
    section: str
    key: str
    name: str
    value: float
    unit: str
    goal: Optional[float] = None
    at_most: bool = True

    @property
    def met(self):
        """As it is shown."""
        if self.goal is None:
            return None
        value = round(self.value, digits(self.value))
        return value <= self.goal if self.at_most else value >= self.goal

    @property
    def why(self):
        return WHY.get(self.key) if self.met is False else None

    def shown(self):
        return f"{number(self.value)} {self.unit}".strip()

    def shown_goal(self):
        return "" if self.goal is None else f"{'≤' if self.at_most else '≥'} {self.goal:,g} {self.unit}".strip()


def digits(value):
    return 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0


def number(value):
    return f"{value:,.{digits(value)}f}"


class Table:
    def __init__(self):
        self.figures = []
        self.section = ""

    def add(self, key, name, value, unit="", goal=None, at_most=True):
        self.figures.append(Figure(self.section, key, name, value, unit, goal, at_most))

    def at_least(self, key, name, value, unit, goal):
        self.add(key, name, value, unit, goal, False)


def of(data):
    table = Table()
    for section, fill in (("Rates", rates), ("The disk", disk), ("The processor", processor), ("Many pending jobs", pending), ("Memory", memory),
                          ("Idle", idle), ("Uploads, against curl", uploads), ("Cron lines", cron), ("TLS handshakes", handshakes)):
        table.section = section
        fill(table, data)
    return table.figures


def median(rounds, get):
    return statistics.median(get(one) for one in rounds)


def ratio(rounds, ours, theirs, field="jobs_per_s"):
    return median(rounds, lambda r: r[ours][field] / r[theirs][field])


def rates(table, data):
    rounds = data["rounds"]
    known = [name for name in peers.PEERS if name in rounds[0]]

    def per_s(name):
        return median(rounds, lambda r: r[name]["jobs_per_s"])

    def over_peers(ours):
        for name in known:
            table.add(f"{ours}_{name}", f"… over {peers.PEERS[name][0]}", ratio(rounds, ours, name), "×",
                      80 if (ours, name) == ("pipeline", "beanstalkd") else None, False)

    table.at_least("pipeline", "50 in flight: jobs/s over the bare pipeline", ratio(rounds, "pipeline", "bare_pipeline"), "×", 0.9)
    over_peers("pipeline")
    table.add("pipeline_rate", "… jobs/s", per_s("pipeline"))
    table.add("bare_pipeline_rate", "… jobs/s, bare SQLite", per_s("bare_pipeline"))
    for name in known:
        table.add(f"{name}_rate", f"… jobs/s, {peers.PEERS[name][0]}", per_s(name))
    table.at_least("socket", "50 clients on the Unix socket: jobs/s over the bare pipeline", ratio(rounds, "socket", "bare_pipeline"), "×", 0.6)
    over_peers("socket")
    table.add("socket_rate", "… jobs/s", per_s("socket"))
    table.add("enqueue", "one durable enqueue alone: p50 over a bare durable insert", ratio(rounds, "insert", "bare_insert", "p50_us"), "×", 1.05)
    table.add("own_thread", "sequential durable cycle, on one thread: jobs/s over bare SQLite", ratio(rounds, "own_thread", "bare_sequential"), "×")
    table.add("sequential", "… with worker threads", ratio(rounds, "sequential", "bare_sequential"), "×")
    table.at_least("kill_safe", "sequential cycle safe from a kill alone, on one thread: jobs/s over bare SQLite", ratio(rounds, "own_thread_memory", "bare_sequential_normal"), "×", 0.8)
    table.add("kill_safe_threads", "… with worker threads", ratio(rounds, "sequential_memory", "bare_sequential_normal"), "×")


def disk(table, data):
    rounds = data["rounds"]

    def each(scenario, field):
        return median(rounds, lambda r: r[scenario][field])

    table.add("sequential_syncs", "sequential durable cycle: syncs a job", each("sequential", "syncs"), "", 1.05)
    table.add("result_syncs", "… with durability result, where the end waits for the disk, too", each("sequential_result", "syncs"), "", 2.05)
    table.add("sequential_bytes", "… written a job", each("sequential", "write_bytes"), "B", 5500)
    table.add("keep_bytes", "… written a job, completed jobs kept", each("sequential_keep", "write_bytes"), "B")
    table.add("bare_sequential_bytes", "… written a job, bare SQLite", each("bare_sequential", "write_bytes"), "B")
    table.add("pipeline_syncs", "50 in flight: syncs a job", each("pipeline", "syncs"))
    table.add("pipeline_bytes", "… written a job", each("pipeline", "write_bytes"), "B", 400)
    table.add("bare_pipeline_bytes", "… written a job, bare SQLite", each("bare_pipeline", "write_bytes"), "B")
    if data["million"]:
        table.add("pending_bytes", f"{data['pending']:,} pending: on the disk a job", data["million"]["fill"]["file_bytes_a_job"], "B", 160)
        table.add("pending_bytes_old", "… in a queue that is six months old", data["million"]["old"]["file_bytes_a_job"], "B")


def processor(table, data):
    rounds, instructions, allocations = data["rounds"], data["instructions"], data["allocations"]
    for name, key, shown, goal in (("own_thread", "sequential", "sequential durable cycle, on one thread", 45), ("pipeline", "pipeline", "50 in flight", 15)):
        head = f"{shown}: "
        if instructions[name] is not None:
            table.add(f"{key}_instructions", f"{head}instructions a job", instructions[name] / 1000, "k", goal)
            table.add(f"bare_{key}_instructions", "… bare SQLite", instructions[f"bare_{key}"] / 1000, "k")
            head = "… "
        table.add(f"{key}_allocations", f"{head}allocations a job, whole process", allocations[name]["allocations"])
        if name == "pipeline":
            table.add(f"{key}_engine_allocations", "… on the engine's thread", allocations[name]["engine_allocations"])
            table.add(f"{key}_own_allocations", "… of these, other than SQLite's own", allocations[name]["own_allocations"], "", 0.01)
        table.add(f"{key}_switches", "… context switches a job", median(rounds, lambda r: r[name]["switches"]))
        if name == "own_thread":
            table.add("threads_switches", "… with worker threads", median(rounds, lambda r: r["sequential"]["switches"]))


def pending(table, data):
    if not data["million"]:
        return
    jobs, crowd, queues = f"{data['pending']:,}", data["crowd"], data["in_queues"]
    table.add("claim", f"claim beside {jobs} pending, over beside 1,000: p50 of the time to the run",
              statistics.median(many / few for many, few in crowd["to_run"]), "×", 1.2)
    table.add("claim_us", "… that time, beside 1,000", statistics.median(few for _, few in crowd["to_run"]), "µs")
    if "beside" in crowd:
        table.add("beside", "… the whole cycle: instructions", crowd["beside"], "×", 1.1)
        table.add("drain", "… the cycle of these themselves, one after the other: instructions", crowd["drain"], "×", 1.1)
    if queues:
        table.add("beside_queues", "… the cycle beside as many in 1,000 queues with 10,000 keys, over none: instructions", queues["beside"], "×", 1.3)
        table.add("drain_queues", "… of these themselves, over as many in one queue: instructions", queues["drain"], "×", 1.3)
    table.add("open_clean", f"hf_open to the first run with {jobs} pending, after a clean end", data["million"]["clean"]["first_claim_ms"], "ms", 20)
    table.add("open_killed", "… after SIGKILL, with a full log", data["million"]["killed"]["first_claim_ms"], "ms", 100)


def memory(table, data):
    for name, figures in data["idle"].items():
        table.add("idle_rss", f"idle, {name}: RSS", figures["rss_kib"] / 1024, "MiB", 5)
        table.add("idle_anon", "… anonymous", figures["rss_anon_kib"] / 1024, "MiB", 1)
    if data["million"]:
        table.add("million_rss", f"{data['pending']:,} pending: RSS after opening and 1,000 runs", data["million"]["clean"]["rss_kib"] / 1024, "MiB", 8)
        table.add("fill_rss", "… RSS of the process that enqueued them", data["million"]["fill"]["rss_kib"] / 1024, "MiB", 8)
    soak = data["soak"]
    table.add("soak", f"RSS after {soak['jobs']:,} jobs, over that after the first {soak['warm']:,}", soak["after_kib"] / soak["before_kib"], "×", 1.05)


def idle(table, data):
    for name, figures in data["idle"].items():
        table.add("idle_switches", f"{name}, schedules armed: context switches in {data['idle_seconds']:g} s", figures["switches"], "", 0)


def uploads(table, data):
    for name, get, unit, goal, at_most in delivery.FIGURES if data["delivery"] else ():
        table.add(f"delivery: {name}", name, median(data["delivery"], get), unit, goal, at_most)


def cron(table, data):
    rounds = data["cron"]
    for key, name, field, goal in (
            ("cron_p50", f"next firing of {rounds[0]['lines']:.0f} cron lines, p50", "next_p50_us", None),
            ("cron_p99", "… p99", "next_p99_us", 20),
            ("cron_previous", "… the one before, p99", "previous_p99_us", 20),
            ("cron_worst", f"… the slowest of {rounds[0]['calls']:,.0f}, the rarest lines too", "worst_us", 1000)):
        table.add(key, name, median(rounds, lambda r: r[field]), "µs", goal)


def handshakes(table, data):
    for name, figures in data["handshakes"].items():
        table.add("tls_full", f"{name}: instructions of a full handshake", figures["full"] / 1e6, "M")
        table.add("tls_resumed", "… of a resumed one", figures["resumed"] / 1e6, "M")
        table.add("tls", "… resumed over full", figures["resumed"] / figures["full"], "×", tls.GOAL)
