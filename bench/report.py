"""What a report takes, and how large it is: a day of ten pools, a month of 64.

usage: report.py BINDIR SCRATCH MODULE PAST [POOLS ...]

MODULE: the library that lays a made-up past into the history; PAST: the SQL that says which
one (test/report/past.sql). POOLS: with so many pools, a day and a month each.
"""

import pathlib
import re
import statistics
import sys

import psycopg2

from found import found
from servers import Server

ROUNDS = 11
FIRSTS = 5
SPANS = {"day": "1 day", "month": "30 days"}
GOALS = {(10, "day"): 200, (64, "month"): 5000}  # ms


def functions(module):
    """As PoolMonitor.pm declares them."""
    text = (pathlib.Path(module).parents[2] / "lib" / "PoolMonitor.pm").read_text(encoding="utf-8")
    declared = re.search(r"sub create_replay.*?<<EOS\);\n(.*?)\nEOS", text, re.S).group(1)
    return declared.replace("$library", module)


def connected(server):
    conn = psycopg2.connect(server.dsn(), application_name="bench")
    conn.autocommit = True
    return conn


def on_processor(pid):
    """ms so far, which others that the machine has to do add little to"""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e6


def taken(cur, query):
    """ms, those of them on a processor, and the answer's length"""
    cur.execute("SELECT clock_timestamp(), pg_backend_pid()")
    begun, pid = cur.fetchone()
    before = on_processor(pid)
    cur.execute(f"SELECT length(({query})), clock_timestamp()")
    length, ended = cur.fetchone()
    return (ended - begun).total_seconds() * 1000, on_processor(pid) - before, length


def first(server, query):
    conn = connected(server)
    with conn.cursor() as cur:
        cur.execute("SELECT 1")
        ms, processor, _ = taken(cur, query)
    conn.close()
    return ms, processor


def measure(server, pools, span, interval, fmt):
    query = f"SELECT pool_monitor.report('{interval}', format => '{fmt}')"
    conn = connected(server)
    with conn.cursor() as cur:
        times, processor, lengths = zip(*(taken(cur, query) for _ in range(ROUNDS)))
    conn.close()
    firsts, first_processor = zip(*(first(server, query) for _ in range(FIRSTS)))
    goal = GOALS.get((pools, span))
    against = f" (goal {goal} ms)" if goal and fmt == "html" else ""
    found(
        f"{pools} pools, a {span}, {fmt}: {statistics.median(times):.1f} ms, at best {min(times):.1f}, on a processor"
        f" {min(processor):.1f}; first in a session {statistics.median(firsts):.1f}, {min(firsts):.1f},"
        f" {min(first_processor):.1f}{against}; {lengths[-1]:,} bytes",
        {"pools": pools, "span": span, "format": fmt},
        warm=(statistics.median(times), "ms"), best=(min(times), "ms"), first=(statistics.median(firsts), "ms"),
        size=(lengths[-1], "bytes"), processor=(min(processor), "ms"), best_first=(min(firsts), "ms"),
        first_processor=(min(first_processor), "ms"),
    )  # fmt: skip


def of(bindir, scratch, module, past, pools):
    server = Server(
        bindir, scratch, f"report{pools}", "pool_monitor",
        f"max_connections = {100 + 30 * pools}\npool_monitor.max_pools = {pools + 10}",
    )  # fmt: skip
    server.start()
    server.run("psql", *server.address(), "-d", "postgres", "-qc", "CREATE EXTENSION pool_monitor", "-c", functions(module))
    server.run(
        "psql", *server.address(), "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"pools={pools}",
        "-v", "minutes=1440", "-v", "hours=720", "-f", past,
    )  # fmt: skip
    for span, interval in SPANS.items():
        for fmt in ("html", "json"):
            measure(server, pools, span, interval, fmt)
    server.stop()


def main():
    bindir, scratch, module, past = sys.argv[1:5]
    for pools in map(int, sys.argv[5:] or (10, 64)):
        of(bindir, pathlib.Path(scratch), module, past, pools)


main()
