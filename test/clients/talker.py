"""Sessions of a client that does what no client library does, or not in that
order: it stops in the middle of a login or of a COPY, sends statements and reads
no answer, hangs up without a goodbye.

usage: talker.py HOST PORT

Reads commands, one a line, and answers each with one line. NAME is of a session,
the application's name too.

  open NAME USER [PARAMETER=VALUE ...]   logs in (trusted): the backend's process ID
  knock NAME USER       asks to log in: "asked for a password", or "let in"
  enter NAME PASSWORD STATEMENT   sends both at once: the statement's first value
  sql NAME STATEMENT    the first value, "ok" without a row, or "error SQLSTATE"
  send NAME STATEMENT   sends it and reads nothing: "sent"
  read NAME             the answer to what was sent, as of sql
  rows NAME             the same, but the number of rows
  copy NAME STATEMENT   begins COPY ... FROM STDIN: "ready"
  paste NAME TEXT       sends TEXT as a line, and ends the COPY: as of sql
  ask NAME N            sends N empty statements and reads nothing: "sent"
  fill NAME             as many as have room for their answers: N
  answers NAME N        reads N of their answers: N, or less if there were no more
  end NAME              reads to the end of the session: "ended SQLSTATE", or
                        "ended" when the server does not say why
  hangup NAME           closes the connection without a goodbye: "ok"

Whatever meets the end of a session answers "ended SQLSTATE", too.
"""

import os
import signal
import sys
import time

import wire

EMPTY = wire.query("")
CLEARTEXT = b"\0\0\0\3"  # of AuthenticationCleartextPassword


class Talker:
    def __init__(self, host, port):
        self.host = host
        self.port = port
        self.sessions = {}

    def connect(self, name, user, *parameters):
        session = wire.Wire(self.host, self.port)
        more = dict(parameter.split("=", 1) for parameter in parameters)
        options = {"database": "postgres", "application_name": name, **more}
        session.send(wire.startup(user=user, **options))
        return session

    def open(self, name, user, *parameters):
        session = self.connect(name, user, *parameters)
        session.until(b"Z")
        self.sessions[name] = session
        return str(session.pid)

    def knock(self, name, user):
        self.sessions[name] = self.connect(name, user)
        kind, body = self.sessions[name].next_message()
        return "asked for a password" if (kind, body) == (b"R", CLEARTEXT) else "let in"

    def enter(self, name, password, statement):
        session = self.sessions[name]
        session.send(wire.message(b"p", password.encode() + b"\0"), wire.query(statement))
        session.until(b"Z")
        return self.read(name)

    def sql(self, name, statement):
        self.send(name, statement)
        return self.read(name)

    def send(self, name, statement):
        self.sessions[name].send(wire.query(statement))
        return "sent"

    def answer(self, name):
        """Rows, and the SQLSTATE if it failed, of the answer to a statement."""
        rows, error = [], None
        while True:
            kind, body = self.sessions[name].next_message()
            if kind == b"D":
                rows.append(wire.fields(body)[0])
            elif kind == b"d":
                rows.append(body.decode())
            elif kind == b"E":
                error = wire.sqlstate(body)
            elif kind == b"Z":
                return rows, error

    def read(self, name):
        rows, error = self.answer(name)
        if error:
            return f"error {error}"
        return rows[0] or "" if rows else "ok"

    def rows(self, name):
        return str(len(self.answer(name)[0]))

    def copy(self, name, statement):
        self.send(name, statement)
        self.sessions[name].until(b"G")
        return "ready"

    def paste(self, name, text):
        line = wire.message(b"d", text.encode() + b"\n")
        self.sessions[name].send(line, wire.message(b"c"))
        return self.read(name)

    def ask(self, name, number):
        self.sessions[name].send(EMPTY * int(number))
        return "sent"

    def fill(self, name):
        """As many as a like session had answered when it could send no more."""
        probe = self.connect("probe", "app")
        probe.until(b"Z")
        probe.send(EMPTY * 5000)
        room = self.answered_without_reading(probe)
        probe.close()
        self.ask(name, room)
        return str(room)

    def answered_without_reading(self, probe):
        """Reads only once the backend is stopped: it would send more."""
        seen = 0
        while True:
            seen, before = probe.bytes_that_wait(), seen
            if seen > 0 and seen == before:
                break
            time.sleep(0.2)
        os.kill(probe.pid, signal.SIGSTOP)
        number = 0
        while probe.something_came(0):
            probe.until(b"Z")
            number += 1
        os.kill(probe.pid, signal.SIGCONT)
        return number

    def answers(self, name, number):
        for i in range(int(number)):
            try:
                self.sessions[name].until(b"Z")
            except wire.Ended:
                return str(i)
        return number

    def end(self, name):
        state = self.sessions.pop(name).end_of_it()
        return "ended" if state is None else f"ended {state}"

    def hangup(self, name):
        self.sessions.pop(name).close()
        return "ok"

    def command(self, line):
        verb, *words = line.split(" ")
        takes_text = {"sql": 1, "send": 1, "copy": 1, "paste": 1, "enter": 2}
        if verb in takes_text:
            words = line.split(" ", takes_text[verb] + 1)[1:]
        try:
            return getattr(self, verb)(*words)
        except wire.Ended as end:
            return "ended" if end.sqlstate is None else f"ended {end.sqlstate}"


def main():
    talker = Talker(*sys.argv[1:3])
    print("ready", flush=True)
    for line in sys.stdin:
        print(talker.command(line.rstrip("\n")), flush=True)


main()
