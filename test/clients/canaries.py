"""Sessions that are retired all the time, which shows that retirement goes on.

usage: canaries.py HOST PORT NUMBER [CLEANERS]

Keeps NUMBER sessions open as role app and application "canary", each opened anew
some time after it has ended; and CLEANERS (1) sessions of a superuser that call
recycle(dry_run => false) several times a second. Ends when its input does.
"""

import random
import sys
import threading
import time

import psycopg2
import wire

host, port, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
cleaners = int(sys.argv[4]) if len(sys.argv) > 4 else 1


def canary():
    while True:
        session = wire.Wire(host, port)
        session.send(wire.startup(user="app", database="postgres", application_name="canary"))
        session.end_of_it()
        session.close()
        time.sleep(random.uniform(0.05, 0.5))


def cleaner():
    conn = psycopg2.connect(host=host, port=port, dbname="postgres", application_name="cleaner")
    conn.autocommit = True
    cur = conn.cursor()
    while True:
        cur.execute("SELECT count(*) FROM pool_monitor.recycle(dry_run => false)")
        time.sleep(random.uniform(0.1, 0.3))


for work in [canary] * number + [cleaner] * cleaners:
    threading.Thread(target=work, daemon=True).start()
sys.stdin.read()
