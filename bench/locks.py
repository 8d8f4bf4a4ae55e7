"""The longest time that each of our locks is held, with many pools, while they change.

usage: locks.py BINDIR SCRATCH [POOLS]     (default: 1000)

For a library that was linked with bench/locks/locks.c, which writes each longest time to
the server's log. The pools are declared, declared in another way under the same names,
under other names, and dropped, while somebody looks at all views and sessions come and
go; and the file of statistics is read once more.
"""

import re
import sys
import threading
import time

import psycopg2
from found import found
from servers import Server

INTERVAL = "20ms"
VIEWS = ("pool_stats", "history", "events", "budgets", "pools")

CHANGES = {
    "declared": "INSERT INTO pool_monitor.pools (name, application_name)"
    " SELECT 'pool ' || i, 'application ' || i FROM generate_series(1, {pools}) i",
    "changed": "UPDATE pool_monitor.pools SET pool_size = pool_size + 1",
    "renamed": "UPDATE pool_monitor.pools SET name = 'new ' || name",
    "the same again": "UPDATE pool_monitor.pools SET name = name",
    "dropped": "DELETE FROM pool_monitor.pools",
}


def run(server, sql, **who):
    conn = psycopg2.connect(server.dsn(), **who)
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute(sql)
    conn.close()


def look(server, stop):
    conn = psycopg2.connect(server.dsn(), application_name="looks")
    conn.autocommit = True
    with conn.cursor() as cur:
        while not stop.is_set():
            for view in VIEWS:
                cur.execute(f"SELECT count(*) FROM pool_monitor.{view}")
    conn.close()


def come_and_go(server, stop):
    number = 0
    while not stop.is_set():
        number += 1
        run(server, "SELECT 1", application_name=f"application {number % 50}")


def change(server, pools):
    for what, sql in CHANGES.items():
        begun = time.monotonic()
        run(server, sql.format(pools=pools))
        run(server, "SELECT pool_monitor.reload()")
        time.sleep(0.5)
        print(f"  {what}: loaded after {time.monotonic() - begun - 0.5:.2f} s")


def report(when, server):
    log = (server.folder / "log").read_text(encoding="utf-8", errors="replace")
    longest = {}
    for name, mode, us in re.findall(r"^pool_monitor lock (\w+) (\w+) ([0-9.]+) us$", log, re.M):
        longest[name, mode] = max(longest.get((name, mode), 0), float(us))
    for (name, mode), us in sorted(longest.items()):
        found(f"  {name}, {mode}: {us:.0f} us", {"when": when, "lock": name, "mode": mode}, longest=(us, "us"))


def main():
    bindir, scratch = sys.argv[1:3]
    pools = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    settings = f"pool_monitor.max_pools = {pools}\npool_monitor.sample_interval = {INTERVAL}"
    server = Server(bindir, scratch, "locks", "pool_monitor", settings)
    server.start()
    stop = threading.Event()
    try:
        run(server, "CREATE EXTENSION pool_monitor")
        others = [threading.Thread(target=what, args=(server, stop)) for what in (look, come_and_go)]
        for other in others:
            other.start()
        try:
            change(server, pools)
            run(server, CHANGES["declared"].format(pools=pools))
            run(server, "SELECT pool_monitor.reload()")
        finally:
            stop.set()
            for other in others:
                other.join()
        print(f"longest holds, {pools} pools, while they change:")
        report(f"{pools} pools change", server)
        server.stop()
        (server.folder / "log").rename(server.folder / "log.1")
        server.start()
        time.sleep(1)
        print("when it starts with what they had in the file:")
        report("start", server)
    finally:
        stop.set()
        server.stop()


main()
