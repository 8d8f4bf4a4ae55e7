"""What is done to the clients of race.py: they are asked to end, or terminated."""

import sys
import threading
import time

import psycopg2
from race_clients import connect
from race_traces import stats

LONGEST = 30  # times SECONDS
LOOK = 0.2  # s; between two looks whether it is enough

RETIRE = "SELECT count(*) FROM pool_monitor.recycle(dry_run => false)"

IDLE = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'race %' AND state = 'idle'"


def retire(cur, stop):
    cur.execute(RETIRE)
    stop.wait(0.001)


def terminate(cur, stop):
    cur.execute(IDLE)
    for row in cur.fetchall():
        cur.execute("SELECT pg_terminate_backend(%s)", row)
    stop.wait(0.02)


def ask_on_schedule(cur, stop):
    """Once: it is the worker that asks."""
    cur.execute("UPDATE pool_monitor.pools SET recycle_mode = 'terminate'")
    stop.wait()


def start_requests(how, dsn, stop):
    """The thread that makes them, in a session of its own."""
    what = {"hand": retire, "schedule": ask_on_schedule, "terminate": terminate}[how]

    def repeat():
        cur = connect(psycopg2, dsn).cursor()
        while not stop.is_set():
            what(cur, stop)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    return thread


def wait_for_requests(cur, thread, seconds, wanted):
    """Until it is enough, or too long; returns after how many seconds."""
    begin = time.monotonic()
    while True:
        time.sleep(LOOK)
        if not thread.is_alive():
            sys.exit("there are no more requests")
        passed = time.monotonic() - begin
        if passed >= LONGEST * seconds:
            return passed
        if passed >= seconds and stats(cur, "race %")["requests"] >= wanted:
            return passed
