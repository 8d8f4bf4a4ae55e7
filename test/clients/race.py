"""Clients at work while their sessions are asked to end, or are terminated.

usage: race.py SOCKET_DIR PORT CLIENTS SECONDS REQUESTS hand|schedule|terminate

Runs for SECONDS, and on until there were REQUESTS requests, but no longer than
thirty times as long. What is done to the clients:

  hand       a session calls pool_monitor.recycle() for all that is idle, all the
             time
  schedule   the worker asks, which looks for idle sessions every 100 ms, and then
             asks one of each pool after the other
  terminate  what tools do without pool_monitor: list the sessions that
             pg_stat_activity shows as idle, and call pg_terminate_backend() on each

Each client is a process with one connection, and of one kind: a way to work
(race_work.py), over TCP with SSL, or without SSL over TCP or a Unix-domain socket.
Its application_name is the name of the kind, which is a declared pool. It does one
transaction after the other, with pauses of up to 2 ms between and within them. One
that it was not told is committed it does again, in a new connection if the
session is gone. Some sessions hold a session-level lock for a while, which no
retirement may take away. Older sessions in each pool, which decline because they
LISTEN, are asked first: so between the look that finds a client's session idle and
the request to it goes time enough to begin something.

Each statement calls race.step(), which advances a sequence as its first step,
sleeps or not, and advances another one as its last; no rollback takes that back. So a
statement is "begun" when it has taken its first step. (Whoever ends a session
after the server has read a message and before that step leaves a STATEMENT line in
the server log.) A transaction is begun when its first statement is, and committed
when there is a row for it in race.done. A commit is begun when a deferred trigger
advances a third sequence, from inside of it.

Prints one line of name=number pairs for each kind, and one for all:
  clients       that many
  connects      sessions
  encrypted     of these, those with SSL
  requests      sessions that were asked, or terminated
  retired       of these, those that said yes
  declined      those that said no
  terminated    those that were not asked
  other_ends    sessions that ended, but neither so nor by the client
  statements    begun
  cut           of these, not finished
  transactions  begun
  committed     of which the client was told that they are committed
  rolled_back   of which the client was told that they are, as it wanted
  lost          begun, and neither in race.done nor rolled back by the client
  missing       committed by what the client was told, but not in race.done
  untold        in race.done, but the client was told of an error
  broken        explicit transactions that got an error after their BEGIN was answered
  commits_cut   commits begun and not finished
  pinned_lost   sessions that ended while they held a lock, or listened
  turned_away   transactions that met the end of the session, by what the client
                was told; the columns above say what had begun of them
  unexpected    errors that were not the end of a session; their texts follow
then a line with the seconds it took, and the reasons of those that declined. The
sessions that LISTEN are in no number but those of lost and unexpected ones.
"""

import sys
import threading
import time

import psycopg2
from race_clients import PATIENCE, Clients, Listeners, connect
from race_requests import start_requests, wait_for_requests
from race_traces import report_all, report_reasons, setup, value

LISTENERS = {"hand": 10, "schedule": 1, "terminate": 0}  # in each pool


def wait_until_gone(cur):
    deadline = time.monotonic() + PATIENCE
    while value(cur, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'race %'"):
        if time.monotonic() > deadline:
            sys.exit("sessions of the clients are still there")
        time.sleep(0.01)


def main():
    folder, port, how = sys.argv[1], sys.argv[2], sys.argv[6]
    number, seconds, wanted = int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    dsn = f"host={folder} port={port} dbname=postgres application_name=admin"
    admin = connect(psycopg2, dsn)
    setup(admin.cursor(), number)
    admin.close()  # not to be shared with the clients

    listeners = Listeners(folder, port, LISTENERS[how])
    clients = Clients(folder, port, number)
    cur = connect(psycopg2, dsn).cursor()
    stop = threading.Event()
    requests = start_requests(how, dsn, stop)
    passed = wait_for_requests(cur, requests, seconds, wanted)
    stop.set()
    requests.join(PATIENCE)
    told, complaints = clients.stop()
    listeners_lost = listeners.close()

    wait_until_gone(cur)
    report_all(cur, told, listeners_lost)
    print(f"seconds={passed:.1f}")
    report_reasons(cur)
    print("\n".join(complaints[:20]))


if __name__ == "__main__":
    main()
