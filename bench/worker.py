"""Processor time of the worker, while clients hold connections and do nothing.

usage: worker.py BINDIR SCRATCH [SESSIONS]

With SESSIONS (default: 5000) connections in 64 declared pools, looked at once a second
and a hundred times a second; and the collector of pg_wait_sampling, where that is
installed, which looks a hundred times a second too. Prints the share of one core, from
the scheduler's own account of the process, and the time of one look.
"""

import pathlib
import resource
import sys
import time

import psycopg2
from found import found
from servers import Server, has

SECONDS = 20
POOLS = 64
CASES = [
    ("pool_monitor", "pool_monitor", "pool_monitor.sample_interval = '1s'", "pool_monitor", 1),
    ("pool_monitor", "pool_monitor", "pool_monitor.sample_interval = '10ms'", "pool_monitor", 100),
    ("pg_wait_sampling", "pg_wait_sampling", "", "pg_wait_sampling collector", 100),
]


def processor_ns(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])


def worker(server, backend_type):
    conn = psycopg2.connect(server.dsn())
    with conn.cursor() as cur:
        cur.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = %s", (backend_type,))
        found = cur.fetchall()
    conn.close()
    if len(found) != 1:
        sys.exit(f"{len(found)} processes are a {backend_type}")
    return found[0][0]


def measure(server, backend_type, sessions):
    conns = [psycopg2.connect(server.dsn(), application_name=f"application {i % POOLS + 1:02d}") for i in range(sessions)]
    pid = worker(server, backend_type)
    time.sleep(2)
    begin, before = time.monotonic(), processor_ns(pid)
    time.sleep(SECONDS)
    spent, elapsed = processor_ns(pid) - before, (time.monotonic() - begin) * 1e9
    for conn in conns:
        conn.close()
    return spent / elapsed, spent


def main():
    bindir, scratch = sys.argv[1:3]
    sessions = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number, (what, library, settings, backend_type, looks) in enumerate(CASES):
        if not has(bindir, library):
            print(f"{what}: not installed")
            continue
        settings += f"\nmax_connections = {sessions + 100}\nmax_files_per_process = 100"
        server = Server(bindir, scratch, f"worker{number}", library, settings)
        server.start()
        try:
            if library == "pool_monitor":
                server.declare(POOLS)
            share, spent = measure(server, backend_type, sessions)
        finally:
            server.stop()
        us_a_look = spent / looks / SECONDS / 1000
        found(
            f"{what}, {sessions} sessions, {looks} looks a second: {100 * share:.3f} % of a core, {us_a_look:.0f} us a look",
            {"what": what, "sessions": sessions, "looks": looks},
            core=(100 * share, "%"), look=(us_a_look, "us"),
        )  # fmt: skip


main()
