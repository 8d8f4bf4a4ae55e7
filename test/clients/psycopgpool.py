"""A psycopg_pool, used or left idle.

usage: psycopgpool.py DSN APPLICATION_NAME SIZE MAX_LIFETIME plain|checked

"checked" gives the pool check=ConnectionPool.check_connection. Says "ready" when
it is full, or "unavailable WHY". Then reads commands, one a line, and answers
each with one line:

  take N       N checkouts after each other, with a statement each: how many of them
               failed, with which SQLSTATEs, as "errors=N sqlstates=LIST"
  check        calls the pool's check()
  work         takes one connection after another, all the time
  tend         calls the pool's check() all the time
  rest         ends either: "errors=N rounds=N"
"""

import logging
import sys
import threading
import time

try:
    import psycopg
    from psycopg_pool import ConnectionPool
except ImportError as error:
    print(f"unavailable {error}", flush=True)
    sys.exit()

logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it warns of every lost connection


class Application:
    def __init__(self, pool):
        self.pool = pool
        self.stop = threading.Event()
        self.worker = None
        self.errors = self.rounds = 0

    def checkout(self):
        """Returns the SQLSTATE of the error that the application sees, None without one."""
        try:
            with self.pool.connection() as conn:
                conn.execute("SELECT 1")
        except psycopg.Error as error:
            print(f"# {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return error.sqlstate or "none"
        return None

    def take(self, number):
        states = [self.checkout() for _ in range(int(number))]
        errors = [state for state in states if state]
        return f"errors={len(errors)} sqlstates={','.join(sorted(set(errors)))}"

    def check(self):
        self.pool.check()
        return "ok"

    def repeat(self, action, pause):
        while not self.stop.is_set():
            if action():
                self.errors += 1
            self.rounds += 1
            self.stop.wait(pause)

    def start(self, action, pause):
        self.stop.clear()
        self.worker = threading.Thread(target=self.repeat, args=(action, pause))
        self.worker.start()
        return "ok"

    def work(self):
        return self.start(self.checkout, 0.02)

    def tend(self):
        return self.start(self.pool.check, 0.2)

    def rest(self):
        if self.worker:
            self.stop.set()
            self.worker.join()
            self.worker = None
        return f"errors={self.errors} rounds={self.rounds}"


def open_pool(dsn, name, size, max_lifetime, how):
    options = {}
    if how == "checked":
        if not hasattr(ConnectionPool, "check_connection"):
            print("unavailable this psycopg_pool has no check_connection", flush=True)
            sys.exit()
        options["check"] = ConnectionPool.check_connection
    pool = ConnectionPool(
        dsn,
        kwargs={"application_name": name, "autocommit": True},
        min_size=size,
        max_size=size,
        max_lifetime=max_lifetime,
        open=False,
        **options,
    )
    pool.open(wait=True)
    return pool


def main():
    dsn, name, size, max_lifetime, how = sys.argv[1:6]
    with open_pool(dsn, name, int(size), float(max_lifetime), how) as pool:
        application = Application(pool)
        print("ready", flush=True)
        for line in sys.stdin:
            command, *arguments = line.split()
            began = time.monotonic()
            answer = getattr(application, command)(*arguments)
            print(answer, f"seconds={time.monotonic() - began:.1f}", flush=True)
        application.rest()


main()
