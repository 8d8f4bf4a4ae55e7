"""One session that changes its application_name to and fro.

    flapper.py HOST PORT NAME SECONDS

Prints how often it did.
"""

import sys
import time

from wire import Wire, startup

host, port, name, seconds = sys.argv[1:5]
wire = Wire(host, port)
wire.send(startup(user="postgres", database="postgres", application_name=name))
wire.until(b"Z")
end = time.monotonic() + float(seconds)
changes = 0
while time.monotonic() < end:
    wire.ask(f"SET application_name = '{name if changes % 2 else 'nobody'}'")
    changes += 1
    time.sleep(0.012)
wire.ask("SET application_name = 'nobody'")
print(changes)
