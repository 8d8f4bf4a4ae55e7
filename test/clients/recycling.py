"""An application that goes on while its stale sessions are retired.

usage: recycling.py DSN POOL_RECYCLE SECONDS PRE_PING

A QueuePool of five connections, all opened at once, then now and then one
checkout with a statement. Prints "errors=N statements=N invalidated=N
connected=N": errors that the application saw, statements it ran, pool-wide
invalidations, and connections it opened.
"""

import sys
import time

import psycopg2
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.pool import QueuePool


def main():
    dsn, recycle, seconds, pre_ping = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "on"
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
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
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
