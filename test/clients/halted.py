"""Logins that come to a halt: clients that are asked for a password and say
nothing, or nonsense, or go away.

    halted.py HOST PORT USER COUNT

Opens that many connections, waits until each is asked for its password, prints
"ready", and obeys commands, each answered with a line: "nonsense N" sends another
message than the one that is asked for on the Nth and reads to its end, "leave N"
hangs up, "end N" waits for the server to end it.
"""

import sys

from wire import Wire, message, startup

host, port, user, count = sys.argv[1:5]
wires = []
for _ in range(int(count)):
    wire = Wire(host, port)
    wire.send(startup(user=user, database="postgres", application_name="halted"))
    wire.until(b"R")
    wires.append(wire)
print("ready", flush=True)
for line in sys.stdin:
    command, number = line.split()
    wire = wires[int(number)]
    if command == "nonsense":
        wire.send(message(b"Q", b"SELECT 1\0"))
        print(wire.end_of_it(), flush=True)
    elif command == "leave":
        wire.close()
        print("left", flush=True)
    elif command == "end":
        print(wire.end_of_it(), flush=True)
