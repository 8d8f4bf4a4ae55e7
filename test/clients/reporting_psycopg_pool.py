"""A real psycopg_pool that reports: some checkouts, of which two wait and one gives up.
Says "unavailable WHY" when it cannot, else "gave up" and how long they waited. Answers each
line of stdin with one, until stdin ends:

  return    gives all connections back: "idle"
  hurry     checkouts side by side: how many connections are out afterwards
  places    takes as many as the pool may have at a time: how many it got
  keep      has one connection out until they are given back: "kept"
  handed    has all out, of which one is returned to who waits by a reset that takes long: for how
            long all of them were somebody's
  wait      has one checkout wait: "waited"
  stop      no more reports: "stopped"
  once      only one more: "once"
  full      the same, in a pool that has none idle when a report is due: "full"
  refuse    one checkout too many for a pool in which one may wait, then a report: "refused"
  fork      a child opens a pool that was made before, and reports: its process ID
  reap      ends it: "reaped"

usage: reporting_psycopg_pool.py DSN NAME INTERVAL sync|async
"""

import asyncio
import concurrent.futures
import logging
import os
import pathlib
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "psycopg_pool"))
try:
    from psycopg_pool import PoolTimeout, TooManyRequests

    from pool_monitor_psycopg_pool import ReportingAsyncConnectionPool, ReportingConnectionPool
except ImportError as error:
    print(f"unavailable {error}", flush=True)
    sys.exit()

logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it warns of every lost connection

MOST = 3  # connections
HELD = 0.3  # s, for which the one that waits has to


class Sync:
    def __init__(self, dsn, **options):
        self.pool = ReportingConnectionPool(dsn, open=False, **options)
        self.later = ReportingConnectionPool(dsn, open=False, **options)
        self.pool.open(wait=True)

    def get(self):
        return self.pool.getconn()

    def put(self, conn):
        self.pool.putconn(conn)

    def put_slowly(self, conn):
        self.pool._reset = lambda _: time.sleep(HELD)
        self.put(conn)

    def use(self):
        with self.pool.connection() as conn:
            conn.execute("SELECT 1")

    def close(self):
        self.pool.close()


class Async:
    """The same calls, by a loop in a thread of its own."""

    def __init__(self, dsn, **options):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.pool = ReportingAsyncConnectionPool(dsn, open=False, **options)
        self.run(self.pool.open(wait=True))

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def get(self):
        return self.run(self.pool.getconn())

    def put(self, conn):
        self.run(self.pool.putconn(conn))

    def put_slowly(self, conn):
        self.pool._reset = lambda _: asyncio.sleep(HELD)
        self.put(conn)

    def use(self):
        async def work():
            async with self.pool.connection() as conn:
                await conn.execute("SELECT 1")

        self.run(work())

    def close(self):
        self.run(self.pool.close())


class Application:
    def __init__(self, made):
        self.made = made
        self.held = []
        self.child = None

    def begin(self):
        began = time.monotonic()
        self.held = [self.made.get() for _ in range(MOST)]
        self.wait_for_one()
        waited = time.monotonic() - began
        try:
            self.made.get()
        except PoolTimeout:
            return f"gave up {waited}"
        return "was not full"

    def wait_for_one(self, put=None):
        first = self.held.pop(0)
        put = put or self.made.put

        def give_back():
            while not self.made.pool._books.now_waiting:
                time.sleep(0.01)
            time.sleep(HELD)
            put(first)

        giving = threading.Thread(target=give_back)
        giving.start()
        self.held.append(self.made.get())
        giving.join()

    def give_back(self):
        while self.held:
            self.made.put(self.held.pop())
        return "idle"

    def hurry(self):
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(self.made.use) for _ in range(400)]:
                done.result()
        return self.made.pool.get_stats()["pool_size"] - self.made.pool.get_stats()["pool_available"]

    def places(self):
        self.held = [self.made.get() for _ in range(MOST)]
        self.give_back()
        return MOST

    def keep(self):
        self.held = [self.made.get()]
        return "kept"

    def handed(self):
        self.held = [self.made.get() for _ in range(MOST)]
        began = time.monotonic()
        self.wait_for_one(self.made.put_slowly)
        ended = time.monotonic()
        self.made.pool._reset = None
        self.give_back()
        return ended - began

    def wait(self):
        self.held = [self.made.get() for _ in range(MOST)]
        self.wait_for_one()
        self.give_back()
        return "waited"

    def stop(self):
        self.made.pool._books.due = time.monotonic() + 3600
        return "stopped"

    def once(self):
        self.made.pool._books.interval = 3600
        self.made.pool._books.due = time.monotonic()
        return "once"

    def full(self):
        self.held = [self.made.get() for _ in range(MOST)]
        self.made.pool._books.due = time.monotonic()
        self.wait_for_one()
        self.give_back()
        return "full"

    def refuse(self):
        self.held = [self.made.get() for _ in range(MOST)]
        self.made.pool.max_waiting = 1
        waiting = threading.Thread(target=lambda: self.held.append(self.made.get()))
        waiting.start()
        while not self.made.pool._books.now_waiting:
            time.sleep(0.01)
        try:
            self.made.get()
            said = "was not full"
        except TooManyRequests:
            said = "refused"
        self.made.put(self.held.pop(0))
        waiting.join()
        self.give_back()
        self.made.pool._books.due = time.monotonic()
        return said

    def fork(self):
        self.child = os.fork()
        if self.child == 0:
            self.made.later.open(wait=True)
            time.sleep(600)
            os._exit(0)
        return self.child

    def reap(self):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        return "reaped"


def main():
    dsn, name, interval, kind = sys.argv[1:5]
    made = (Sync if kind == "sync" else Async)(
        dsn, name=name, min_size=2, max_size=MOST, timeout=1, report_interval=float(interval)
    )
    application = Application(made)
    print(application.begin(), flush=True)
    for line in sys.stdin:
        command = line.strip().replace("return", "give_back")
        print(getattr(application, command)(), flush=True)
    made.close()


main()
