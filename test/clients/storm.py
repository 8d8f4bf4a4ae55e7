"""Storms a pool with logins, wave after wave.

usage: storm.py HOST PORT ROLE APPLICATION_NAME LOGINS SECONDS

In each wave so many log in at once, and those that are admitted stay until all have their
answer. Waves begin when the pool's places are all free again, as pool_monitor.guards says.
Then one line: waves, the fewest and the most that were admitted in one, all that were
admitted, those that were refused by SQLSTATE 53300, and any other outcome.
"""

import selectors
import socket
import struct
import sys
import time

import psycopg2

from wire import TERMINATE, sqlstate, startup

host, port, role, name, logins, seconds = sys.argv[1:7]
watch = psycopg2.connect(host=host, port=port, user="postgres", dbname="postgres")
watch.autocommit = True


def places():
    with watch.cursor() as cur:
        cur.execute("SELECT places FROM pool_monitor.guards WHERE pool = %s", (name,))
        return cur.fetchone()[0]


def outcome(data):
    """None: there is none yet."""
    at = 0
    while len(data) >= at + 5:
        length = struct.unpack("!i", data[at + 1 : at + 5])[0]
        if len(data) < at + 1 + length:
            return None
        kind, body = data[at : at + 1], data[at + 5 : at + 1 + length]
        if kind == b"E":
            return sqlstate(body)
        if kind == b"Z":
            return "admitted"
        at += 1 + length
    return None


def wave():
    """The outcomes, and how often each came."""
    waiting = selectors.DefaultSelector()
    socks = []
    outcomes = {}
    for _ in range(int(logins)):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"{host}/.s.PGSQL.{port}")
        socks.append(sock)
    for sock in socks:
        sock.sendall(startup(user=role, database="postgres", application_name=name))
        waiting.register(sock, selectors.EVENT_READ, [b""])
    while waiting.get_map():
        for key, _ in waiting.select():
            data = key.fileobj.recv(65536)
            key.data[0] += data
            what = outcome(key.data[0]) or ("closed" if not data else None)
            if what is not None:
                outcomes[what] = outcomes.get(what, 0) + 1
                waiting.unregister(key.fileobj)
    for sock in socks:
        try:
            sock.sendall(TERMINATE)
        except OSError:
            pass
        sock.close()
    return outcomes


end = time.monotonic() + float(seconds)
totals = {}
admitted = []
while time.monotonic() < end or len(admitted) < 3:
    while places() != 0:
        time.sleep(0.02)
    for what, times in (result := wave()).items():
        totals[what] = totals.get(what, 0) + times
    admitted.append(result.get("admitted", 0))
others = sum(totals.values()) - totals.get("admitted", 0) - totals.get("53300", 0)
print(len(admitted), min(admitted), max(admitted), totals.get("admitted", 0), totals.get("53300", 0), others)
