"""The clients of race.py, and older sessions that only decline."""

import collections
import logging
import multiprocessing
import random
import time
import traceback

import psycopg
import psycopg2
from race_work import KINDS, expect, kind_of

PAUSES = (0, 0, 0.0005, 0.001, 0.002)  # s
LOCKS = 0.3  # of connections
LOCKED_FOR = 20  # transactions at most
PATIENCE = 60  # s; for a connection, or an end


def connect(driver, dsn):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            conn = driver.connect(dsn)
            conn.autocommit = True
            return conn
        except driver.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def states(error):
    """The SQLSTATEs of an error and of those that it came after, as in psycopg's pipelines."""
    while error is not None:
        yield getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
        error = error.__context__


class Client:
    """One connection, and the transactions that it does."""

    def __init__(self, number, kind, dsn, stop):
        self.number = number
        self.dsn = f"{dsn} application_name='{kind.name}'"
        self.driver, self.work = kind.driver, kind.work
        self.stop = stop
        self.told = collections.Counter(clients=1)
        self.unexpected = []

    def run(self):
        self.connect()
        while not self.stop.is_set():
            try:
                self.take_or_leave_lock()
                self.work(self)
            except self.driver.Error as error:
                self.note(error)
                self.conn.close()
                self.connect()
            self.pause()
        self.conn.close()

    def connect(self):
        self.conn = connect(self.driver, self.dsn)
        self.told["connects"] += 1
        self.fresh = True
        self.lock_for = 0
        self.in_block = False
        if self.driver is psycopg:
            self.conn.prepare_threshold = 0
            self.told["encrypted"] += self.conn.pgconn.ssl_in_use
        else:
            self.told["encrypted"] += self.conn.info.ssl_in_use

    def note(self, error):
        self.told["turned_away"] += 1
        self.told["pinned_lost"] += self.lock_for > 0
        self.told["broken"] += self.in_block
        # psycopg of libpq 19 says the latter of a socket that the server has closed, while
        # the connection has no such state yet
        ended = self.conn.closed or "57P01" in states(error) or "connection socket closed" in str(error)
        if not ended:
            self.unexpected.append(f"{type(error).__name__}: {error}")

    def pause(self):
        time.sleep(random.choice(PAUSES))

    def take_or_leave_lock(self):
        if self.lock_for > 1:
            self.lock_for -= 1
        elif self.lock_for == 1:
            self.execute("SELECT pg_advisory_unlock(%s)", (self.number,))
            self.lock_for = 0
        elif self.fresh and random.random() < LOCKS:
            self.execute("SELECT pg_advisory_lock(%s)", (self.number,))
            self.lock_for = random.randint(1, LOCKED_FOR)
        self.fresh = False

    # what its work is made of

    def execute(self, statement, values=None):
        cur = self.conn.cursor()
        cur.execute(statement, values)
        return cur

    def step(self, first):
        number = self.told["committed"] + 1
        return self.execute("SELECT race.step(%s, %s, %s)", (self.number, number, first))

    def committed(self):
        self.told["committed"] += 1

    def roll_back(self):
        """With psycopg not by a cursor, which sends a DEALLOCATE ALL of its own after it."""
        if self.driver is psycopg:
            expect(self.conn.pgconn.exec_(b"ROLLBACK"), "COMMAND_OK")
        else:
            self.execute("ROLLBACK")
        self.told["rolled_back"] += 1


def client_process(client, results):
    logging.disable(logging.WARNING)  # psycopg's, about errors that it raises too
    try:
        client.run()
    except Exception:
        client.unexpected.append(traceback.format_exc())
    client.told["unexpected"] = len(client.unexpected)
    results.put((client.number, client.told, client.unexpected))


def dsn_of(number, folder, port):
    if kind_of(number).encrypted:
        way = "host=127.0.0.1 sslmode=require"
    elif number // 2 % 2:
        way = "host=127.0.0.1 sslmode=disable"
    else:
        way = f"host={folder}"
    return f"{way} port={port} dbname=postgres user=app"


class Clients:
    """All of them, forked from this process."""

    def __init__(self, folder, port, number):
        context = multiprocessing.get_context("fork")
        self.stop_event, self.results = context.Event(), context.Queue()
        self.processes = []
        for i in range(number):
            client = Client(i, kind_of(i), dsn_of(i, folder, port), self.stop_event)
            arguments = (client, self.results)
            process = context.Process(target=client_process, args=arguments, daemon=True)
            process.start()
            self.processes.append(process)

    def stop(self):
        """For each client what it was told, and all unexpected errors."""
        self.stop_event.set()
        told, complaints = {}, []
        for _ in self.processes:
            number, counts, unexpected = self.results.get(timeout=2 * PATIENCE)
            told[number] = counts
            complaints += [f"unexpected, {kind_of(number).name}: {text}" for text in unexpected]
        for process in self.processes:
            process.join()
        return told, complaints


class Listeners:
    """Sessions that decline, older than the clients'."""

    def __init__(self, folder, port, number):
        self.conns = []
        for i, kind in enumerate(KINDS * number):
            conn = connect(psycopg2, f"{dsn_of(i, folder, port)} application_name='{kind.name}'")
            conn.cursor().execute("LISTEN nothing")
            self.conns.append(conn)

    def close(self):
        """How many of them were lost."""
        lost = 0
        for conn in self.conns:
            try:
                conn.cursor().execute("SELECT 1")
            except psycopg2.Error:
                lost += 1
            conn.close()
        return lost
