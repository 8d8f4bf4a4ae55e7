"""A client pool whose logins the guard may refuse.

usage: guardedpool.py DSN NAME queuepool|psycopgpool MIN MAX TIMEOUT

Says "ready". Then reads commands, one a line, and answers each with
one line:

  take      a connection, which stays out: "took one", or "CLASS SQLSTATE" of what went
            wrong instead
  begin     the same in a thread, which waits for it: "begun"
  end       what has come of that
  said      the last error, its lines joined by "|"
  give      all come back: how many they were
  seconds   how long the last one took
"""

import sys
import threading
import time


def queue_pool(dsn, name, least, most, timeout):
    import psycopg2
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(dsn, application_name=name),
        pool_size=least,
        max_overflow=most - least,
        pool_timeout=timeout,
    )
    return engine.connect, lambda connection: connection.close()


def psycopg_pool(dsn, name, least, most, timeout):
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(
        dsn,
        kwargs={"application_name": name, "autocommit": True},
        min_size=least,
        max_size=most,
        timeout=timeout,
        open=True,
    )
    return pool.getconn, pool.putconn


class Application:
    def __init__(self, take, give):
        self.take_one, self.give_one = take, give
        self.held = []
        self.thread = None
        self.outcome = self.error = ""
        self.took = 0.0

    def attempt(self):
        began = time.monotonic()
        try:
            self.held.append(self.take_one())
            self.outcome = "took one"
        except Exception as error:  # whatever the library makes of it
            cause = getattr(error, "orig", None) or error
            state = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
            self.error = "|".join(str(cause).split("\n"))
            self.outcome = f"{type(error).__name__} {state or 'none'}"
        self.took = time.monotonic() - began

    def take(self):
        self.attempt()
        return self.outcome

    def begin(self):
        self.thread = threading.Thread(target=self.attempt)
        self.thread.start()
        return "begun"

    def end(self):
        self.thread.join()
        return self.outcome

    def said(self):
        return self.error

    def give(self):
        number = len(self.held)
        while self.held:
            self.give_one(self.held.pop())
        return str(number)

    def seconds(self):
        return f"{self.took:.1f}"


def main():
    dsn, name, kind, least, most, timeout = sys.argv[1:7]
    make = {"queuepool": queue_pool, "psycopgpool": psycopg_pool}[kind]
    application = Application(*make(dsn, name, int(least), int(most), float(timeout)))
    print("ready", flush=True)
    for line in sys.stdin:
        print(getattr(application, line.strip())(), flush=True)
    application.give()


main()
