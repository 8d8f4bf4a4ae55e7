"""Logins, one after the other or all at once, and what becomes of them.

usage: logins.py HOST PORT USER NAME

Says "ready". Then reads commands, one a line, and answers each with one line:

  open N     N logins, one after the other. Those that are admitted stay: "admitted=N
             refused=N", and the SQLSTATEs of the others where it is not 53300 alone
  storm N    likewise, all at once
  halt N     begins N logins, and leaves them at the question for a password: "ok"
  close N    ends the N last ones, and waits until the server has: "ok"
  said       the last error: its message, detail and hint, with "|" between them
  user NAME  is who logs in from now on: "ok"
"""

import sys

from wire import TERMINATE, Ended, Wire, startup


class Logins:
    def __init__(self, host, port, user, name):
        self.host, self.port, self.role, self.name = host, port, user, name
        self.sessions = []
        self.halted = []
        self.last = [None, None, None]

    def begin(self):
        wire = Wire(self.host, self.port)
        wire.send(startup(user=self.role, database="postgres", application_name=self.name))
        return wire

    def finish(self, wire):
        """None if it is admitted, else the SQLSTATE."""
        try:
            wire.until(b"Z")
        except Ended as end:
            self.last = end.said
            wire.close()
            return end.sqlstate or "none"
        self.sessions.append(wire)
        return None

    def tell(self, outcomes):
        refused = outcomes.count("53300")
        others = sorted({state for state in outcomes if state not in (None, "53300")})
        return " ".join([f"admitted={outcomes.count(None)} refused={refused}", *others])

    def open(self, number):
        return self.tell([self.finish(self.begin()) for _ in range(int(number))])

    def storm(self, number):
        return self.tell([self.finish(wire) for wire in [self.begin() for _ in range(int(number))]])

    def halt(self, number):
        self.halted = [self.begin() for _ in range(int(number))]
        return "ok"

    def close(self, number):
        for _ in range(int(number)):
            wire = self.sessions.pop()
            wire.send(TERMINATE)
            wire.end_of_it()
            wire.close()
        return "ok"

    def said(self):
        return "|".join(part or "" for part in self.last)

    def user(self, name):
        self.role = name
        return "ok"


def main():
    logins = Logins(*sys.argv[1:5])
    print("ready", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        print(getattr(logins, command)(*arguments), flush=True)


main()
