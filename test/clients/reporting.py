"""A real pool of SQLAlchemy that reports: some checkouts, of which one waits and one gives
up. Answers each line of stdin with one, until stdin ends:

  return    gives all connections back: "idle"
  out       for how many seconds they were out until then, in sum, all but the time that it took to
            open them; and with that
  fork      a child that inherits the pool and lives for some reports: its process ID
  hurry     checkouts in several threads at once: how many connections are out afterwards
  anew      disposes of the pool while one connection is out, which comes back after some checkouts
            of the new one: how many listen to a checkout

usage: reporting.py DSN NAME INTERVAL
"""

import os
import pathlib
import sys
import threading
import time

import sqlalchemy
from sqlalchemy import exc, text

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "sqlalchemy"))
from pool_monitor_sqlalchemy import reporting  # noqa: E402, after the path

HELD = 0.5  # s, for which the one that waits has to
replaced = []  # pools, which stay


def give_back(held):
    for connection in held:
        connection.close()


def fork(seconds):
    child = os.fork()
    if child == 0:
        time.sleep(seconds)
        os._exit(0)
    os.waitpid(child, 0)
    return child


def hurry(engine):
    def work():
        for _ in range(200):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # a report may be under way
    until = time.monotonic() + 60
    while engine.pool.checkedout() > 0 and time.monotonic() < until:
        time.sleep(0.01)
    return engine.pool.checkedout()


def anew(engine):
    old = engine.pool
    with engine.connect():
        engine.dispose()
        for _ in range(5):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
    replaced.append(old)
    return len(list(engine.pool.dispatch.checkout))


def main():
    dsn, name, interval = sys.argv[1], sys.argv[2], float(sys.argv[3])
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg2:///?" + dsn, pool_size=2, max_overflow=1, pool_timeout=1, **reporting(name, interval)
    )
    begun = time.monotonic()
    held = [engine.connect() for _ in range(3)]
    full = time.monotonic()
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
    held[0] = waited
    out = []

    def give_all_back():
        out.append(3 * (time.monotonic() - full))
        give_back(held)
        out.append(3 * (time.monotonic() - begun))
        return "idle"

    commands = {
        "return": give_all_back,
        "out": lambda: "{:.3f} {:.3f}".format(*out),
        "fork": lambda: fork(5 * interval),
        "hurry": lambda: hurry(engine),
        "anew": lambda: anew(engine),
    }
    for line in sys.stdin:
        print(commands[line.strip()](), flush=True)


main()
