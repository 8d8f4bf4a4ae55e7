"""Holds sessions open and does with them what it is told.

usage: holder.py DSN APPLICATION_NAME SESSIONS

Says "ready" when all sessions are open. Then reads commands, one a line, and
answers each with one line:

  sql N STATEMENT   runs it in session N: the first value, "ok" without a result,
                    or "error SQLSTATE" ("error MESSAGE" where the client
                    library knows no SQLSTATE, because the session is gone)
  all STATEMENT     in every session: "ok", or "error SQLSTATE" of the last error
  busy N            starts pg_sleep in sessions 0 to N-1, and waits until the
                    server shows them as active
  free              cancels every statement under way
  pid N             the backend's process ID
  open N            opens N more sessions
  close N           closes the N last ones
"""

import sys
import threading
import time

import psycopg2


class Session:
    def __init__(self, dsn, name):
        self.conn = psycopg2.connect(dsn, application_name=name)
        self.conn.autocommit = True
        self.thread = None

    def run(self, statement):
        with self.conn.cursor() as cur:
            cur.execute(statement)
            if cur.description is None:
                return "ok"
            row = cur.fetchone()
            return "ok" if row is None else str(row[0])

    def sleep(self):
        def work():
            try:
                self.run("SELECT pg_sleep(3600)")
            except psycopg2.Error:
                pass

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def wake(self):
        if self.thread is None:
            return
        while self.thread.is_alive():
            self.conn.cancel()
            self.thread.join(0.05)
        self.thread = None


class Holder:
    def __init__(self, dsn, name, number):
        self.dsn = dsn
        self.name = name
        self.sessions = []
        self.open(number)

    def open(self, number):
        for _ in range(number):
            self.sessions.append(Session(self.dsn, self.name))
        return "ok"

    def close(self, number):
        for _ in range(number):
            self.sessions.pop().conn.close()
        return "ok"

    def attempt(self, session, statement):
        try:
            return session.run(statement)
        except psycopg2.Error as error:
            return f"error {error.pgcode or ' '.join(str(error).split())}"

    def all(self, statement):
        answers = [self.attempt(s, statement) for s in self.sessions]
        errors = [a for a in answers if a.startswith("error")]
        return errors[-1] if errors else "ok"

    def busy(self, number):
        sleepers = self.sessions[:number]
        for session in sleepers:
            session.sleep()
        pids = [s.conn.info.backend_pid for s in sleepers]
        watcher = psycopg2.connect(self.dsn, application_name="holder's watcher")
        watcher.autocommit = True
        with watcher.cursor() as cur:
            while True:
                cur.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE pid = ANY (%s) AND wait_event = 'PgSleep'",
                    (pids,),
                )
                if cur.fetchone()[0] == number:
                    break
                time.sleep(0.01)
        watcher.close()
        return "ok"

    def free(self):
        for session in self.sessions:
            session.wake()
        return "ok"

    def command(self, line):
        verb, _, rest = line.partition(" ")
        if verb == "sql":
            number, _, statement = rest.partition(" ")
            return self.attempt(self.sessions[int(number)], statement)
        if verb == "all":
            return self.all(rest)
        if verb == "busy":
            return self.busy(int(rest))
        if verb == "free":
            return self.free()
        if verb == "pid":
            return str(self.sessions[int(rest)].conn.info.backend_pid)
        if verb == "open":
            return self.open(int(rest))
        if verb == "close":
            return self.close(int(rest))
        return f"unknown command {verb}"


def main():
    holder = Holder(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print("ready", flush=True)
    for line in sys.stdin:
        print(holder.command(line.rstrip("\n")), flush=True)


main()
