"""Clients that run a statement every millisecond while sessions are ended.

usage: race.py DSN CLIENTS SECONDS retire|terminate

Each client is a process with one connection as application "race". Its
statement takes two steps, nextval on one sequence, a short sleep, nextval on
another, so a statement that is cut leaves the two unequal (sequences are not
rolled back). Where its session is gone it connects again.

"retire" asks pool_monitor.recycle() for every session that is idle, all the
time; "terminate" does what tools do without it: lists the idle sessions, then
calls pg_terminate_backend() on each.

Prints one line of name=number pairs:
  statements  finished
  begun       first steps taken
  cut         begun and not finished
  asked       sessions asked, or signalled
  ended       of these, sessions that ended
  unanswered  statements that met a session that had ended: the client learns of
              it from its next statement
"""

import multiprocessing
import sys
import time

import psycopg2

RETIRE = (
    "SELECT count(*) FILTER (WHERE action IN ('retired', 'declined')),"
    " count(*) FILTER (WHERE action = 'retired') FROM pool_monitor.recycle(dry_run => false)"
)
IDLE = "SELECT pid FROM pool_monitor.sessions WHERE application_name = 'race' AND state = 'idle'"


def retire(cur):
    cur.execute(RETIRE)
    time.sleep(0.001)
    return cur.fetchone()


def terminate(cur):
    cur.execute(IDLE)
    pids = [row[0] for row in cur.fetchall()]
    ended = 0
    for pid in pids:
        cur.execute("SELECT pg_terminate_backend(%s)", (pid,))
        ended += cur.fetchone()[0]
    time.sleep(0.02)
    return len(pids), ended


def connect(dsn, name="race"):
    while True:
        try:
            conn = psycopg2.connect(dsn, application_name=name)
            conn.autocommit = True
            return conn
        except psycopg2.OperationalError:
            time.sleep(0.001)


def client(dsn, number, stop, results):
    statement = (
        f"DO $$ BEGIN PERFORM nextval('begun_{number}'); PERFORM pg_sleep(0.0005);"
        f" PERFORM nextval('finished_{number}'); END $$"
    )
    finished = unanswered = 0
    conn = connect(dsn)
    while not stop.is_set():
        try:
            with conn.cursor() as cur:
                cur.execute(statement)
            finished += 1
        except psycopg2.Error:
            unanswered += 1
            conn.close()
            conn = connect(dsn)
        time.sleep(0.001)
    conn.close()
    results.put((finished, unanswered))


def value(cur, sequence):
    cur.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")
    return cur.fetchone()[0]


def main():
    dsn, clients, seconds, how = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    admin = connect(sys.argv[5] if len(sys.argv) > 5 else dsn, "race admin")
    cur = admin.cursor()
    for i in range(clients):
        cur.execute(f"DROP SEQUENCE IF EXISTS begun_{i}, finished_{i}")
        cur.execute(f"CREATE SEQUENCE begun_{i}; CREATE SEQUENCE finished_{i}")
        cur.execute(f"GRANT ALL ON begun_{i}, finished_{i} TO PUBLIC")

    stop = multiprocessing.Event()
    results = multiprocessing.Queue()
    workers = [
        multiprocessing.Process(target=client, args=(dsn, i, stop, results)) for i in range(clients)
    ]
    for worker in workers:
        worker.start()

    asked = ended = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        more = retire(cur) if how == "retire" else terminate(cur)
        asked += more[0]
        ended += more[1]

    stop.set()
    totals = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    statements = sum(t[0] for t in totals)
    begun = sum(value(cur, f"begun_{i}") for i in range(clients))
    finished = sum(value(cur, f"finished_{i}") for i in range(clients))
    print(
        f"statements={statements} begun={begun} cut={begun - finished}"
        f" asked={asked} ended={ended} unanswered={sum(t[1] for t in totals)}"
    )


if __name__ == "__main__":
    main()
