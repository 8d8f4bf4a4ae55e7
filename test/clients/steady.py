"""Opens and closes sessions, never more than so many at once, and counts what fails.

usage: steady.py HOST PORT ROLE APPLICATION_NAME SESSIONS

A session that it closes counts until the server has closed the connection, too: until then
its place is not free. Says "ready" when all have been open. At the end of its input it says
how many it has opened, and how many errors there were, with the last one's SQLSTATE.
"""

import random
import select
import sys

from wire import TERMINATE, Ended, Wire, startup

host, port, role, name, sessions = sys.argv[1:6]
opened, errors, last = 0, 0, "none"
held = []


def try_to_open():
    global opened, errors, last
    wire = Wire(host, port)
    wire.send(startup(user=role, database="postgres", application_name=name))
    try:
        wire.until(b"Z")
        held.append(wire)
        opened += 1
    except Ended as end:
        errors += 1
        last = end.sqlstate


def close(wire):
    wire.send(TERMINATE)
    try:
        while True:
            wire.next_message()
    except Ended:
        wire.sock.close()


while len(held) < int(sessions) and errors < 100:
    try_to_open()
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    close(held.pop(random.randrange(len(held))))
    while len(held) < int(sessions) and not select.select([sys.stdin], [], [], 0)[0]:
        try_to_open()
print(opened, errors, last, flush=True)
