"""An application behind PgBouncer: some clients that now and then all want a
connection at once.

usage: traffic.py DSN CLIENTS

Says "ready" when all clients are connected. Then reads commands, one a line, and
answers each with one line:

  burst    every client runs one statement, all at the same time
  work     goes on with bursts, a second apart
  rest     ends that

The answer is "statements=N errors=N", since the beginning. An error is printed
as a line of its own, beginning with "#", to stderr.
"""

import sys
import threading

import psycopg2

STATEMENT = "SELECT pg_sleep(0.1)"  # long enough for all to be under way at once
PAUSE = 1.0


class Client:
    def __init__(self, dsn):
        self.dsn = dsn
        self.statements = self.errors = 0
        self.connect()

    def connect(self):
        self.conn = psycopg2.connect(self.dsn, application_name="traffic")
        self.conn.autocommit = True

    def run(self):
        try:
            with self.conn.cursor() as cur:
                cur.execute(STATEMENT)
            self.statements += 1
        except psycopg2.Error as error:
            print(f"# {error}", file=sys.stderr, flush=True)
            self.errors += 1
            self.connect()


class Traffic:
    def __init__(self, dsn, number):
        self.clients = [Client(dsn) for _ in range(number)]
        self.stop = threading.Event()
        self.worker = None

    def burst(self):
        threads = [threading.Thread(target=client.run) for client in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def go_on(self):
        while not self.stop.is_set():
            self.burst()
            self.stop.wait(PAUSE)

    def work(self):
        self.stop.clear()
        self.worker = threading.Thread(target=self.go_on)
        self.worker.start()

    def rest(self):
        if self.worker:
            self.stop.set()
            self.worker.join()
            self.worker = None

    def totals(self):
        statements = sum(client.statements for client in self.clients)
        errors = sum(client.errors for client in self.clients)
        return f"statements={statements} errors={errors}"


def main():
    traffic = Traffic(sys.argv[1], int(sys.argv[2]))
    commands = {"burst": traffic.burst, "work": traffic.work, "rest": traffic.rest}
    print("ready", flush=True)
    for line in sys.stdin:
        commands[line.strip()]()
        print(traffic.totals(), flush=True)
    traffic.rest()


main()
