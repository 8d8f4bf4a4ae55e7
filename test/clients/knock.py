"""Tries to log in, and keeps what it gets.

usage: knock.py DSN APPLICATION_NAME

Says "ready". Then reads commands, one a line, and answers each with one line:

  knock     one try: "in", or what the server says
  storm N T as many tries as it takes for N to get in, without a pause, from T
            threads: how many were refused
  use       a statement in each session that it has: "ok"
  leave     closes the last one: "ok"
"""

import sys
import threading

import psycopg2


class Knocker:
    def __init__(self, dsn, name):
        self.dsn = dsn
        self.name = name
        self.sessions = []
        self.lock = threading.Lock()
        self.wanted = 0
        self.refused = 0

    def knock(self):
        try:
            conn = psycopg2.connect(self.dsn, application_name=self.name)
        except psycopg2.OperationalError as error:
            return " ".join(str(error).split())
        conn.autocommit = True
        self.sessions.append(conn)
        return "in"

    def knock_on(self):
        while self.wanted > 0:
            answer = self.knock()
            with self.lock:
                if answer == "in":
                    self.wanted -= 1
                else:
                    self.refused += 1

    def storm(self, number, threads):
        self.wanted = number
        self.refused = 0
        knocking = [threading.Thread(target=self.knock_on) for _ in range(threads)]
        for thread in knocking:
            thread.start()
        for thread in knocking:
            thread.join()
        return str(self.refused)

    def use(self):
        for conn in self.sessions:
            with conn.cursor() as cur:
                cur.execute("SELECT 1")
        return "ok"

    def leave(self):
        self.sessions.pop().close()
        return "ok"

    def command(self, line):
        verb, _, rest = line.partition(" ")
        if verb == "storm":
            return self.storm(*map(int, rest.split()))
        return {"knock": self.knock, "use": self.use, "leave": self.leave}[verb]()


def main():
    knocker = Knocker(sys.argv[1], sys.argv[2])
    print("ready", flush=True)
    for line in sys.stdin:
        print(knocker.command(line.rstrip("\n")), flush=True)


main()
