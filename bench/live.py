"""The live views against the same question put to pg_stat_activity.

usage: live.py DSN SESSIONS

Opens SESSIONS real idle sessions under 20 application names, then runs the
queries in turn, in one session, interleaved, each in its own transaction, and
prints medians and their ratio, twice: by the client's clock (the whole way of a
query but the client's own parsing of the rows), and by the server's (planning
and execution as EXPLAIN ANALYZE gives them, without the way).
"""

import resource
import statistics
import sys
import time

import psycopg2

PAIRS = 101

ACTIVITY = (
    "SELECT application_name, state, count(*), max(now() - backend_start), max(now() - state_change)"
    " FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1, 2"
)
NOTHING = "SELECT 1"

VIEWS = [
    ("applications", "SELECT * FROM pool_monitor.applications"),
    ("budgets", "SELECT * FROM pool_monitor.budgets"),
    ("server", "SELECT * FROM pool_monitor.server"),
]


def client_us(cur, query):
    begin = time.perf_counter()
    cur.execute(query)
    return (time.perf_counter() - begin) * 1e6


def server_us(cur, query):
    cur.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + query)
    plan = cur.fetchone()[0][0]
    return (plan["Planning Time"] + plan["Execution Time"]) * 1e3


def compare(cur, name, query, sessions):
    for clock, measure in (("client", client_us), ("server", server_us)):
        activity, view, nothing = [], [], []
        for _ in range(PAIRS):
            activity.append(measure(cur, ACTIVITY))
            view.append(measure(cur, query))
            nothing.append(measure(cur, NOTHING))
        a, v, n = (statistics.median(values) for values in (activity, view, nothing))
        print(
            f"{sessions:5d} sessions, {clock}'s clock: pg_stat_activity {a:8.1f} us,"
            f" {name:12s} {v:7.1f} us: {a / v:6.1f} times faster;"
            f" above SELECT 1 it is {1000 * (v - n) / sessions:.0f} ns a session",
            flush=True,
        )


def main():
    dsn, sessions = sys.argv[1], int(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    conns = [
        psycopg2.connect(dsn, application_name=f"application {i % 20:02d}") for i in range(sessions)
    ]
    admin = psycopg2.connect(dsn, application_name="bench")
    admin.autocommit = True
    with admin.cursor() as cur:
        cur.execute("CREATE EXTENSION IF NOT EXISTS pool_monitor")
        cur.execute("DELETE FROM pool_monitor.pools")
        for i in range(20):
            cur.execute(
                "INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow)"
                " VALUES (%s, %s, 10, 20, 5)",
                (f"pool {i:02d}", f"application {i:02d}%"),
            )
        cur.execute("SELECT pool_monitor.reload()")
        cur.execute("SELECT sum(connections) FROM pool_monitor.applications WHERE pool IS NOT NULL")
        counted = cur.fetchone()[0]
        if counted != sessions:
            sys.exit(f"{counted} sessions counted, {sessions} opened")
        for name, query in VIEWS:
            compare(cur, name, query, sessions)
    admin.close()
    for conn in conns:
        conn.close()


main()
