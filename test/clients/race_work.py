"""Ways to work, for the clients of race.py: each is one transaction, or two.

A kind of client is a way to work with or without SSL, and a declared pool of its name.
"""

import collections
import random

import psycopg
import psycopg2

ROLLBACKS = 0.2  # of explicit transactions


def one_statement(client):
    client.step(True)
    client.committed()


def block(client):
    """An explicit transaction, with pauses within."""
    client.execute("BEGIN")
    client.in_block = True
    client.step(True)
    client.pause()
    client.step(False)
    client.pause()
    if random.random() < ROLLBACKS:
        client.roll_back()
    else:
        client.execute("COMMIT")
        client.committed()
    client.in_block = False


def pipelined(client):
    random.choice(PIPELINES)(client)


def pipeline_at_once(client):
    """An implicit transaction of three statements, sent without waiting."""
    with client.conn.pipeline():
        client.step(True)
        client.step(False)
        client.step(False)
    client.committed()


def pipeline_with_pause(client):
    """The same, but the first one's result is waited for before the rest is sent."""
    with client.conn.pipeline():
        client.step(True).fetchone()
        client.pause()
        client.step(False)
        client.step(False)
    client.committed()


def pipeline_of_block(client):
    """An explicit transaction, sent without waiting."""
    with client.conn.pipeline():
        client.execute("BEGIN")
        client.step(True)
        client.step(False)
        client.execute("COMMIT")
    client.committed()


def pipeline_of_two(client):
    """
    Two implicit transactions with a sync point between, sent without waiting: the
    second may be turned away alone. By libpq itself, because psycopg waits at each
    sync point.
    """
    pgconn = client.conn.pgconn
    next_one = client.told["committed"] + 1
    pgconn.enter_pipeline_mode()
    for number in (next_one, next_one + 1):
        for first in (b"true", b"false"):
            values = [b"%d" % client.number, b"%d" % number, first]
            pgconn.send_query_params(b"SELECT race.step($1, $2, $3)", values)
        pgconn.pipeline_sync()
    for _ in range(2):
        for status in ("TUPLES_OK", None, "TUPLES_OK", None, "PIPELINE_SYNC"):
            expect(pgconn.get_result(), status)
        client.committed()
    pgconn.exit_pipeline_mode()


def expect(result, status):
    got = None if result is None else psycopg.pq.ExecStatus(result.status).name
    if got == "FATAL_ERROR":
        raise psycopg.errors.error_from_result(result)
    if got != status:
        raise psycopg.InterfaceError(f"{got} instead of {status}")


PIPELINES = (pipeline_at_once, pipeline_with_pause, pipeline_of_block, pipeline_of_two)

WORK = {
    "simple": (psycopg2, one_statement),  # the simple protocol
    "prepared": (psycopg, one_statement),  # the extended one, prepared statements
    "pipeline": (psycopg, pipelined),
    "block": (psycopg2, block),
    "prepared block": (psycopg, block),
}
Kind = collections.namedtuple("Kind", "name driver work encrypted")
KINDS = [
    Kind(f"race {name}, {'SSL' if encrypted else 'plain'}", *work, encrypted)
    for name, work in WORK.items()
    for encrypted in (True, False)
]


def kind_of(number):
    return KINDS[number % len(KINDS)]
