"""What simulate() says of waits beside what real pools of SQLAlchemy measured.

Each load runs with three sizes at the same time, as three pools with the same arrivals and
holds (pg_sleep, so that a busy machine does not decide), of three processes each (engines with
a pool of their own). The loads run at the same time, too, each driven by a process of its own.
A few minutes would say little: waits close to the ceiling differ much by chance, those of twenty
minutes of the same load by a fifth. So of DRAWS random draws of arrivals each load gets the most
typical one, by the waits in an exact queue; SIMULATE_DRAW=any takes the first. The load "callers"
is another one: a fixed number of threads of each pool, each of which waits for its answer.
Afterwards the past of each is simulated with each of the sizes. A row is one size as it was
measured, and one past that it was simulated from.

usage: simulate.py BINDIR SCRATCH [SECONDS [LOAD ...]]
"""

import collections
import concurrent.futures
import heapq
import math
import multiprocessing
import os
import pathlib
import random
import statistics
import sys
import threading
import time

import psycopg2
import sqlalchemy
from sqlalchemy import exc, text

import servers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients" / "sqlalchemy"))
from pool_monitor_sqlalchemy import reporting  # noqa: E402, after the path

PROCESSES = 3
SIZES = [(3, 2), (4, 2), (6, 2)]
TIMEOUT = 10.0
HOLD = 0.5  # s, on average; exponential. What a client does besides takes milliseconds
RATE = 24.0  # checkouts a second
BATCHES = {"bursty": 8, "together": 6}  # of the latter, each comes to one process
SHARES = {"uneven": [0.5, 0.3, 0.2]}
CALLERS = {"callers": 9}  # in each process: threads that each wait for an answer before they ask again
THOUGHT = 0.5  # s between an answer and the next question, on average; exponential
DRAWS = 40
BEFORE = 10.0  # s, from when on arrivals count
BESIDES = 0.01  # s, for which a client has its connection beside its hold, about


def arrivals(load, seconds, draw=0):
    """(moment, process, hold), in order."""
    chance = random.Random(f"{load} {draw}")
    shares = SHARES.get(load, [1 / PROCESSES] * PROCESSES)
    rate = {"bursty": 0.7, "together": 0.7, "uneven": 0.7}.get(load, 1.0) * RATE
    batch = BATCHES.get(load, 1)
    moment, found = 0.0, []
    while moment < seconds:
        moment += chance.expovariate(rate / batch)
        if load == "curve" and chance.random() > (0.4 + 0.6 * moment / seconds):
            continue
        processes = chance.choices(range(PROCESSES), shares, k=1 if load == "together" else batch)
        for process in processes * (batch // len(processes)):
            found.append((moment, process, chance.expovariate(1 / HOLD)))
    return found


def quantile(waits):
    return sorted(waits)[int(0.95 * len(waits))]


def exact(found, connections, since, besides):
    """p95 of the waits of checkouts from this moment on, in queues that nothing disturbs.

    besides: s for which each has its connection longer.
    """
    free = [[0.0] * connections for _ in range(PROCESSES)]  # from when on, each connection
    waits = []
    for moment, process, hold in found:
        begun = max(moment, free[process][0])
        heapq.heapreplace(free[process], begun + hold + besides)
        if moment >= since:
            waits.append(begun - moment)
    return quantile(waits)


def typical(load, seconds):
    """Those of the draw whose waits are nearest to the median of all draws, at each of the sizes."""
    draws = 1 if os.environ.get("SIMULATE_DRAW") == "any" else DRAWS
    waits = []
    for draw in range(draws):
        found = arrivals(load, seconds, draw)
        waits.append([math.log(exact(found, size + more, BEFORE, BESIDES) + 0.025) for size, more in SIZES])
    middle = [statistics.median(of_size) for of_size in zip(*waits, strict=True)]
    apart = [sum((wait - mid) ** 2 for wait, mid in zip(each, middle, strict=True)) for each in waits]
    return arrivals(load, seconds, apart.index(min(apart)))


class Recorder:
    """In place of the reporter's own: the same, and keeps how long this thread waited."""

    def __init__(self, inner, waited):
        self.inner, self.waited = inner, waited

    def __enter__(self):
        self.begun = time.monotonic()
        return self.inner.__enter__()

    def __exit__(self, *problem):
        self.waited.now = time.monotonic() - self.begun
        return self.inner.__exit__(*problem)


class Pool:
    """One declared pool: an engine for each process."""

    def __init__(self, dsn, name, size, overflow):
        self.name, self.size, self.overflow = name, size, overflow
        self.waited = threading.local()
        self.waits, self.since = [], float("inf")
        self.engines = [self.engine(dsn) for _ in range(PROCESSES)]

    def engine(self, dsn):
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://",
            creator=lambda: psycopg2.connect(dsn, application_name=self.name),
            pool_size=self.size, max_overflow=self.overflow, pool_timeout=TIMEOUT,
            poolclass=reporting(self.name, 5.0)["poolclass"],
        )  # fmt: skip
        books = engine.pool._books
        waiting = books.waiting
        books.waiting = lambda: Recorder(waiting(), self.waited)
        return engine

    def work(self, process, hold):
        self.waited.now = 0.0
        begun = time.time()
        try:
            with self.engines[process].connect() as connection:
                wait = self.waited.now
                connection.execute(text("SELECT pg_sleep(:hold)"), {"hold": hold})
        except exc.TimeoutError:
            wait = TIMEOUT
        if begun >= self.since:
            self.waits.append((begun, wait))

    def p95(self):
        return quantile([wait for _, wait in self.waits])

    def chance(self):
        """The 95 % interval of p95: its half minutes drawn anew, with those that occur again."""
        blocks = collections.defaultdict(list)
        for begun, wait in self.waits:
            blocks[int(begun // 30)].append(wait)
        blocks, draw = list(blocks.values()), random.Random(0)
        drawn = sorted(
            quantile([wait for block in draw.choices(blocks, k=len(blocks)) for wait in block]) for _ in range(400)
        )
        return drawn[9], drawn[-10]


def drive(pools, found):
    with concurrent.futures.ThreadPoolExecutor(max_workers=600) as threads:
        begun, late = time.monotonic(), 0.0
        for moment, process, hold in found:
            pause = begun + moment - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            late = max(late, -pause)
            for pool in pools:
                threads.submit(pool.work, process, hold)
    return late


def ask(pool, process, caller, seconds):
    """One thread of a fixed number; it asks the same of a pool of any size."""
    chance = random.Random(f"{process} {caller}")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.expovariate(1 / THOUGHT))
        pool.work(process, chance.expovariate(1 / HOLD))


def drive_callers(pools, callers, seconds):
    each = [(pool, process, caller) for pool in pools for process in range(PROCESSES) for caller in range(callers)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(each)) as threads:
        for running in [threads.submit(ask, *one, seconds) for one in each]:
            running.result()


def run_load(dsn, load, seconds, start, end):
    """(lines to print, for each comparison whether it is good). start, end: where all loads meet."""
    try:
        return measure(dsn, load, seconds, start, end)
    except BaseException:
        start.abort()  # nobody is to wait for this one
        end.abort()
        raise


def measure(dsn, load, seconds, start, end):
    names = [f"{load} {size}+{overflow}" for size, overflow in SIZES]
    admin = psycopg2.connect(dsn)
    admin.autocommit = True
    cursor = admin.cursor()
    for name, (size, overflow) in zip(names, SIZES, strict=True):
        cursor.execute(
            "INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow, pool_timeout)"
            " VALUES (%s, %s, %s, %s, %s, %s * interval '1 s')",
            (name, name, PROCESSES, size, overflow, TIMEOUT),
        )
    cursor.execute("SELECT pool_monitor.reload()")
    pools = [Pool(dsn, name, *size) for name, size in zip(names, SIZES, strict=True)]
    # the load is there when the first minute begins, and until the last one ends
    found = [] if load in CALLERS else typical(load, seconds + BEFORE)
    start.wait()
    time.sleep((60 - BEFORE - time.time()) % 60)
    since = (time.time() // 60 + 1) * 60
    for pool in pools:
        pool.since = since
    begun = time.time()
    late = drive_callers(pools, CALLERS[load], seconds + BEFORE) if load in CALLERS else drive(pools, found)
    time.sleep(6)  # the last report, and a tick
    end.wait()  # what is simulated takes the processors that other loads want
    cursor.execute("SELECT pool, avg_busy, exhausted_share FROM pool_monitor.workload() WHERE pool = ANY(%s)", (names,))
    lines = [f"{load}: {len(pools[0].waits)} checkouts in {seconds} s"]
    if late is not None:
        lines.append(f"  the driver was late by {late:.3f} s at most")
    for pool, busy, share in cursor.fetchall():
        lines.append(f"  {pool}: {busy:.2f} busy on average, at the ceiling {100 * share:.1f} % of the time")
    simulated = [[simulate(cursor, pool, past, since) for past in names] for pool in pools]
    for besides in (0.0, BESIDES) if found else ():
        each = ", ".join(f"{exact(found, size + more, since - begun, besides):.3f}" for size, more in SIZES)
        lines.append(f"  p95 in an exact queue, with {besides:.2f} s besides the hold: {each}")
    lines.append("  measured with  p95, s  (about its chance)  from the past of  p95, s  (of the simulation)    off by")
    compared = [each for pool, rows in zip(pools, simulated, strict=True) for each in compare(pool, names, rows)]
    for pool in pools:
        for engine in pool.engines:
            engine.dispose()
    return lines + [line for line, _ in compared], [good for _, good in compared]


def simulate(cursor, pool, past, since):
    cursor.execute(
        "SELECT wait_p95, wait_p95_low, wait_p95_high, dispersion, calibration"
        " FROM pool_monitor.simulate(%s, pool_size => %s, max_overflow => %s, span => now() - to_timestamp(%s))",
        (past, pool.size, pool.overflow, since),
    )
    return cursor.fetchone()


def compare(pool, pasts, rows):
    """For each past (a line to print, whether it is good)."""
    measured, (least, most) = pool.p95(), pool.chance()
    found = []
    for past, (p95, low, high, dispersion, calibration) in zip(pasts, rows, strict=True):
        off = p95 - measured
        good = abs(off) <= max(0.2 * measured, 0.005)
        found.append((
            f"  {pool.size}+{pool.overflow:<11} {measured:7.3f}  ({least:.3f} to {most:.3f})"
            f"  {past.split()[1]:16} {p95:7.3f}  ({low:.3f} to {high:.3f})"
            f"  {off:+8.3f} {100 * off / max(measured, 0.001):+5.0f} % {'' if good else '!'}"
            f"  {dispersion:.1f}; {calibration}",
            good,
        ))  # fmt: skip
    return found


def run_loads(dsn, loads, seconds):
    """Of each comparison, whether it is good. All at the same time."""
    with multiprocessing.Manager() as manager, concurrent.futures.ProcessPoolExecutor(len(loads)) as processes:
        start, end = (manager.Barrier(len(loads), timeout=seconds + 600) for _ in range(2))
        running = [processes.submit(run_load, dsn, load, seconds, start, end) for load in loads]
        concurrent.futures.wait(running)
        for problem in (one.exception() for one in running):
            if problem is not None and not isinstance(problem, threading.BrokenBarrierError):
                raise problem
        good = []
        for lines, some in (one.result() for one in running):
            print("\n".join(lines), flush=True)
            good += some
    return good


def main():
    bindir, scratch = sys.argv[1], sys.argv[2]
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 1200
    loads = sys.argv[4:] or ["steady", "bursty", "uneven", "curve"]
    if len(set(loads)) < len(loads):
        raise SystemExit("simulate.py: each load once: its pools have its name")
    server = servers.Server(bindir, scratch, "simulate", "pool_monitor", "max_connections = 400")
    server.start()
    try:
        server.run("psql", *server.address(), "-d", "postgres", "-qc", "CREATE EXTENSION pool_monitor")
        good = run_loads(server.dsn(), loads, seconds)
    finally:
        server.stop()
    print(f"{sum(good)} of {len(good)} within 20 % or 5 ms of what was measured")


if __name__ == "__main__":
    os.environ["PGAPPNAME"] = "bench"
    main()
