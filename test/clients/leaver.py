"""Asks for more than it reads, and goes away.

usage: leaver.py DSN

The server finds out while it sends: "connection to client lost".
"""

import os
import select
import sys

import psycopg2

conn = psycopg2.connect(sys.argv[1], async_=True)


def wait(until):
    while True:
        state = conn.poll()
        if state == psycopg2.extensions.POLL_OK or state == until:
            return
        read = [conn] if state == psycopg2.extensions.POLL_READ else []
        write = [conn] if state == psycopg2.extensions.POLL_WRITE else []
        select.select(read, write, [])


wait(None)
conn.cursor().execute("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
wait(psycopg2.extensions.POLL_READ)
os.close(conn.fileno())
