"""One worker of an application whose sessions the server retires.

usage: recycled.py DSN NAME CONNECTIONS POOL_RECYCLE PRE_PING

Opens all connections of its QueuePool and says "ready". Then it uses each about
twice, one to three at a time, writing rows, and does nothing for one of QUIET,
again and again until its input ends. At last it uses each twice more, and prints
"name=N ...":

  errors              exceptions that the application saw
  written             rows that it wrote, as far as it knows
  connected           connections opened
  recycled            connections replaced at a checkout because they were over age
  invalidated         connections thrown away because they were found broken
  discarded           connections thrown away that were neither
  pool_invalidations  times that all connections of the pool were declared invalid
  pool_replaced       times that the engine took another pool
  slowest             the longest use of connections, from checkout to return, in ms
"""

import random
import select
import sys
import time
from collections import Counter
from contextlib import ExitStack

import psycopg2
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

QUIET = (0.6, 2.4, 2.4)  # seconds, more or less; with pool_recycle 1 s: under age, and over
INSERT = sqlalchemy.text("INSERT INTO work VALUES (:name)")
COUNTS = (
    "errors written connected recycled invalidated discarded pool_invalidations pool_replaced slowest"
).split()


class Worker:
    def __init__(self, dsn, name, connections, pool_recycle, pre_ping):
        self.name = name
        self.connections = connections
        self.pool_recycle = pool_recycle
        self.count = Counter()
        self.engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://",
            creator=lambda: psycopg2.connect(dsn, application_name=name),
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_recycle=pool_recycle,
            pool_pre_ping=pre_ping,
        )
        self.pool = self.engine.pool
        self.invalidate_time = self.pool._invalidate_time
        event.listen(self.pool, "connect", self.on_connect)
        event.listen(self.pool, "invalidate", self.on_invalidate)
        event.listen(self.pool, "soft_invalidate", self.on_invalidate)
        event.listen(self.pool, "close", self.on_close)

    def on_connect(self, *_):
        self.count["connected"] += 1

    def on_invalidate(self, _, record, *__):
        self.count["invalidated"] += 1
        record.info["found_broken"] = True

    def on_close(self, _, record):
        """A connection is closed: by right, or only because another one was broken?"""
        age = time.time() - record.last_connect_time
        if record.info.get("found_broken"):
            return
        over_age = -1 < self.pool_recycle < age
        self.count["recycled" if over_age else "discarded"] += 1

    def watch_pool(self):
        """A pool-wide invalidation has no event: it moves a time in the pool."""
        if self.engine.pool is not self.pool:
            self.pool = self.engine.pool
            self.count["pool_replaced"] += 1
        if self.pool._invalidate_time != self.invalidate_time:
            self.invalidate_time = self.pool._invalidate_time
            self.count["pool_invalidations"] += 1

    def write(self, conn):
        with conn.begin():
            conn.execute(INSERT, {"name": self.name})
        self.count["written"] += 1

    def use(self, at_once):
        """Checks connections out, and writes with each, with a pause before and between."""
        begun = time.monotonic()
        try:
            with ExitStack() as held:
                conns = [held.enter_context(self.engine.connect()) for _ in range(at_once)]
                for _ in range(random.randint(1, 2)):
                    time.sleep(random.uniform(0, 0.005))
                    for conn in conns:
                        self.write(conn)
        except Exception as error:  # whatever the application would have seen
            self.count["errors"] += 1
            print(f"# {str(error).splitlines()[0]}", flush=True)
        slowest = int(1000 * (time.monotonic() - begun))
        self.count["slowest"] = max(self.count["slowest"], slowest)
        self.watch_pool()

    def fill(self):
        for conn in [self.engine.connect() for _ in range(self.connections)]:
            conn.close()

    def work(self):
        uses = 0
        while not input_ends(0.002):
            at_once = random.randint(1, 3)
            self.use(at_once)
            uses += at_once
            if uses >= 2 * self.connections:
                input_ends(random.choice(QUIET) * random.uniform(0.7, 1.3))
                uses = 0

    def use_all(self):
        """Each twice: what the first round finds out shows in the second."""
        for _ in range(2 * self.connections):
            self.use(1)


def input_ends(timeout):
    return bool(select.select([sys.stdin], [], [], timeout)[0])


def main():
    dsn, name, connections, pool_recycle, pre_ping = sys.argv[1:]
    worker = Worker(dsn, name, int(connections), float(pool_recycle), pre_ping == "on")
    worker.fill()
    print("ready", flush=True)
    worker.work()
    worker.use_all()
    print(" ".join(f"{what}={worker.count[what]}" for what in COUNTS), flush=True)


main()
