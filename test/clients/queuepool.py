"""SQLAlchemy's QueuePool, as its own tests use it, against a real server.

usage: queuepool.py DSN CASE

Prints a line for each thing that the test compares: "step N: client C, server
S" with the connections that the client counts itself and those that
pool_monitor.budgets shows at that moment.
"""

import sys

import psycopg2
import sqlalchemy
from sqlalchemy.pool import QueuePool

BUDGET = (
    "SELECT connections, overflow, over_budget, status, peak_connections, ceiling"
    " FROM pool_monitor.budgets WHERE pool = 'queue'"
)


class Watch:
    """Reads the pool's row of budgets, on a connection of its own."""

    def __init__(self, dsn):
        self.conn = psycopg2.connect(dsn, application_name="watch")
        self.conn.autocommit = True

    def row(self):
        with self.conn.cursor() as cur:
            cur.execute(BUDGET)
            return cur.fetchone()

    def settle(self, expected):
        """A disconnect reaches the server a moment after the client's close."""
        with self.conn.cursor() as cur:
            for _ in range(1000):
                row = self.row()
                if row[0] == expected:
                    return row
                cur.execute("SELECT pg_sleep(0.01)")
        return self.row()


def engine(dsn, **options):
    return sqlalchemy.create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(dsn, application_name="queue"),
        poolclass=QueuePool,
        **options,
    )


def show(step, client, row):
    status = row[3]
    print(f"{step}: client {client}, server {row[0]}, over {row[2]}, status {status}", flush=True)


def overflow_no_gc(dsn):
    """pool_size 2, max_overflow 2: five rounds of four checkouts and returns."""
    watch = Watch(dsn)
    pool = engine(dsn, pool_size=2, max_overflow=2).pool
    for turn in range(5):
        held = [pool.connect() for _ in range(4)]
        show(f"round {turn} out", pool.checkedout(), watch.settle(4))
        for conn in held:
            conn.close()
        show(f"round {turn} in", pool.checkedin(), watch.settle(2))
    print(f"peak {watch.settle(2)[4]}", flush=True)


def unbounded(dsn):
    """pool_size 3, max_overflow -1: one to six connections, then three."""
    watch = Watch(dsn)
    pool = engine(dsn, pool_size=3, max_overflow=-1).pool
    held = []
    for number in range(1, 7):
        held.append(pool.connect())
        show(f"out {number}", pool.checkedout(), watch.settle(number))
    for conn in held:
        conn.close()
    row = watch.settle(3)
    show("in", pool.checkedin(), row)
    print(f"ceiling {row[5]}", flush=True)


STATS = (
    "SELECT connections, connects, disconnects, ended_client FROM pool_monitor.pool_stats"
    " WHERE pool = 'queue'"
)
SESSION = (
    "SELECT over_age, leak_suspect, idle_for IS NOT NULL FROM pool_monitor.sessions WHERE pid = %s"
)


def recycle(dsn):
    """A connection gets over age while checked in; the next checkout replaces it."""
    watch = Watch(dsn)
    pool = engine(dsn, pool_size=1, max_overflow=0, pool_recycle=1).pool

    def stats(wanted):
        with watch.conn.cursor() as cur:
            for _ in range(1000):
                cur.execute(STATS)
                row = cur.fetchone()
                if row == wanted:
                    break
                cur.execute("SELECT pg_sleep(0.01)")
        return row

    conn = pool.connect()
    first = conn.dbapi_connection.info.backend_pid
    conn.close()
    print("before", *stats((1, 1, 0, 0)), flush=True)
    with watch.conn.cursor() as cur:
        while True:
            cur.execute(SESSION, (first,))
            over_age, leak, idle = cur.fetchone()
            if over_age:
                break
            cur.execute("SELECT pg_sleep(0.01)")
    print(f"over age, leak {leak}, idle {idle}", flush=True)
    conn = pool.connect()
    second = conn.dbapi_connection.info.backend_pid
    print("another" if second != first else "the same", *stats((1, 2, 1, 1)), flush=True)
    conn.close()


CASES = {"overflow_no_gc": overflow_no_gc, "unbounded": unbounded, "recycle": recycle}
CASES[sys.argv[2]](sys.argv[1])
