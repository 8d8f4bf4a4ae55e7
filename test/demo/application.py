"""One worker process of an application: a SQLAlchemy QueuePool of its own.

The demo talks to it through a pipe. Each command is a tuple, each answer comes
when what was asked for is done.
"""

import multiprocessing
import signal
import threading
import time

import psycopg2
import sqlalchemy
from sqlalchemy.pool import QueuePool


class Worker:
    """What runs in the worker process."""

    def __init__(self, pipe, dsn, name, pool_size, max_overflow):
        self.pipe = pipe
        self.pool_size = pool_size
        self.engine = sqlalchemy.create_engine(
            "postgresql+psycopg2://",
            creator=lambda: psycopg2.connect(dsn, application_name=name),
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_recycle=3600,
            pool_timeout=5,
        )
        self.threads = []
        self.end_burst = threading.Event()
        self.end_trickle = threading.Event()
        self.statements = 0
        self.errors = 0

    def rest(self):
        """Opens all that the pool keeps, and gives it back."""
        held = [self.engine.connect() for _ in range(self.pool_size)]
        for conn in held:
            conn.close()

    def burst(self, number):
        """Checks out number connections at once and is busy on each."""
        self.end_burst.clear()
        ready = threading.Barrier(number + 1)

        def work():
            with self.engine.connect() as conn:
                conn.execute(sqlalchemy.text("SELECT 1"))
                ready.wait()
                self.end_burst.wait()

        self.threads = [threading.Thread(target=work) for _ in range(number)]
        for thread in self.threads:
            thread.start()
        ready.wait(20)

    def attempt(self, number):
        """Checks out number connections one after the other: how many it got, and why not more."""
        held, errors = [], []
        for _ in range(number):
            try:
                held.append(self.engine.connect())
            except sqlalchemy.exc.OperationalError as error:
                errors.append(str(error.orig).strip())
        for conn in held:
            conn.close()
        return len(held), errors

    def release(self):
        self.end_burst.set()
        for thread in self.threads:
            thread.join()
        self.threads = []

    def trickle(self, pause):
        """Goes on with a statement every now and then, until counted."""

        def work():
            while not self.end_trickle.wait(pause):
                try:
                    with self.engine.connect() as conn:
                        conn.execute(sqlalchemy.text("SELECT count(*) FROM pg_class"))
                    self.statements += 1
                except Exception as error:  # whatever the application would see
                    self.errors += 1
                    print(f"application error: {error}", flush=True)

        self.end_trickle.clear()
        self.threads = [threading.Thread(target=work)]
        self.threads[0].start()

    def count(self):
        self.end_trickle.set()
        for thread in self.threads:
            thread.join()
        self.threads = []
        return self.statements, self.errors

    def recycle(self, seconds):
        """As if the engine had been made with pool_recycle = seconds."""
        self.engine.pool._recycle = seconds

    def run(self):
        while True:
            try:
                verb, *args = self.pipe.recv()
            except EOFError:
                return
            if verb == "quit":
                self.engine.dispose()
                self.pipe.send(None)
                return
            self.pipe.send(getattr(self, verb)(*args))


def _main(*args):
    # an interrupted demo ends its workers by closing their pipes
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker(*args).run()


class Process:
    """The demo's side of a worker process."""

    def __init__(self, dsn, name, pool_size, max_overflow):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(
            target=_main, args=(theirs, dsn, name, pool_size, max_overflow), daemon=True
        )
        self.process.start()
        theirs.close()

    def send(self, *command):
        self.pipe.send(command)

    def answer(self):
        return self.pipe.recv()

    def do(self, *command):
        self.send(*command)
        return self.answer()


def all_do(processes, *command):
    """The same command to all of them at once; their answers."""
    for process in processes:
        process.send(*command)
    return [process.answer() for process in processes]


def stop(processes):
    all_do(processes, "quit")
    for process in processes:
        process.process.join()


def wait_until(condition, seconds=30, pause=0.05):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return False
