"""An application that goes on while its stale sessions are retired.

usage: recycling.py DSN POOL_RECYCLE RETIRED PRE_PING

A QueuePool of five connections, all opened at once, then now and then one
checkout with a statement, until so many of its sessions were retired. Prints "errors=N statements=N invalidated=N
connected=N": errors that the application saw, statements it ran, pool-wide
invalidations, and connections it opened.
"""

import sys
import time

import psycopg2
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.pool import QueuePool


STATEMENTS = 10  # at least
PATIENCE = 240  # s


def retired(conn):
    with conn.cursor() as cur:
        cur.execute("SELECT sum(retired) FROM pool_monitor.pool_stats WHERE pool = 'recycling'")
        return cur.fetchone()[0]


def main():
    dsn, recycle, wanted, pre_ping = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "on"
    observer = psycopg2.connect(dsn, application_name="observer")
    observer.autocommit = True
    before = retired(observer)
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(dsn, application_name="recycling"),
        poolclass=QueuePool,
        pool_size=5,
        max_overflow=0,
        pool_recycle=recycle,
        pool_pre_ping=pre_ping,
    )
    count = {"connected": 0, "invalidated": 0}

    @event.listens_for(engine, "connect")
    def connected(*_):
        count["connected"] += 1

    @event.listens_for(engine, "invalidate")
    def invalidated(*_):
        count["invalidated"] += 1

    held = [engine.connect() for _ in range(5)]
    for conn in held:
        conn.close()

    errors = statements = 0
    deadline = time.monotonic() + PATIENCE
    while (statements < STATEMENTS or retired(observer) < before + wanted) and time.monotonic() < deadline:
        try:
            with engine.connect() as conn:
                conn.execute(sqlalchemy.text("SELECT 1"))
            statements += 1
        except Exception as error:  # whatever the application would have seen
            errors += 1
            print(f"# {error}", flush=True)
        time.sleep(0.4)
    print(
        f"errors={errors} statements={statements}"
        f" invalidated={count['invalidated']} connected={count['connected']}"
    )


main()
