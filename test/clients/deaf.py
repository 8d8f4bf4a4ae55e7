"""A client that lets its socket fill up until exactly one more message has room,
and reads no more: when its session is terminated, it can be told so; whatever the
server still wanted to tell it would have to wait for ever.

    deaf.py HOST PORT OPTIONS

Prints the PID of the session when it has come so far, and holds the socket until
its input ends.
"""

import sys
import time

from wire import TERMINATE, Wire, query, startup


def begin(name, options=""):
    wire = Wire(sys.argv[1], sys.argv[2])
    wire.send(startup(user="postgres", database="postgres", application_name=name, options=options))
    wire.until(b"Z")
    return wire


def answers(monitor, wire, statement):
    """Sends it, and reads nothing: has the answer found room?"""
    wire.send(query(statement))
    while True:
        rows = monitor.ask(
            f"SELECT query, state, wait_event FROM pg_stat_activity WHERE pid = {wire.pid}"
        )
        if rows[0][2] == "ClientWrite":
            return False
        if rows[0] == [statement, "idle", "ClientRead"]:
            return True
        time.sleep(0.001)


def statement_number(n):
    return f"SELECT 1 /* {n:6} */"


monitor = begin("monitor")
probe = begin("probe")
room = 0
while answers(monitor, probe, statement_number(room)):
    room += 1
probe.close()

deaf = begin("deaf", sys.argv[3])
for number in range(room - 1):
    if not answers(monitor, deaf, statement_number(number)):
        sys.exit("less room than before")
monitor.send(TERMINATE)
print(deaf.pid, flush=True)
sys.stdin.read()
