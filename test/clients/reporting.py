"""A real pool of SQLAlchemy that reports: some checkouts, of which one waits and one gives
up. Prints a line when all is done and returned, and then stays until stdin ends.

usage: reporting.py DSN NAME INTERVAL
"""

import pathlib
import sys
import threading
import time

import sqlalchemy
from sqlalchemy import exc, text

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "sqlalchemy"))
from pool_monitor_sqlalchemy import reporting  # noqa: E402, after the path

HELD = 0.5  # s, for which the one that waits has to


def main():
    dsn, name, interval = sys.argv[1], sys.argv[2], float(sys.argv[3])
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg2:///?" + dsn, pool_size=2, max_overflow=1, pool_timeout=1, **reporting(name, interval)
    )
    held = [engine.connect() for _ in range(3)]
    for connection in held:
        connection.execute(text("SELECT 1"))
    threading.Timer(HELD, held[0].close).start()
    waited = engine.connect()
    waited.execute(text("SELECT 1"))
    try:
        engine.connect()
        print("was not full", flush=True)
    except exc.TimeoutError:
        print("gave up", flush=True)
    sys.stdin.readline()
    for connection in (*held[1:], waited):
        connection.close()
    print("idle", flush=True)
    while sys.stdin.readline():
        time.sleep(0.1)


main()
