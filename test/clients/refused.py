"""Logins that are refused because the server is full, under one name after the other.

usage: refused.py HOST PORT USER NAME NUMBER SECONDS

Logs in as USER under NUMBER names, "NAME 0" and so on, again and again for SECONDS each.
Prints how many were refused, and "let in" or another SQLSTATE for the first that was not.
"""

import sys
import time

from wire import Ended, Wire, startup


def log_in(host, port, user, name):
    """The SQLSTATE with which that fails, "let in" if it does not."""
    wire = Wire(host, port)
    try:
        wire.send(startup(user=user, database="postgres", application_name=name))
        wire.until(b"Z")
    except Ended as end:
        return end.sqlstate
    finally:
        wire.close()
    return "let in"


def main():
    host, port, user, name, number, seconds = sys.argv[1:]
    refused = 0
    for i in range(int(number)):
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            outcome = log_in(host, port, user, f"{name} {i}")
            if outcome != "53300":
                print(refused, outcome)
                return
            refused += 1
    print(refused)


main()
