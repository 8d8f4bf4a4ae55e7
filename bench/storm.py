"""Where a storm of connects spends its instructions, and whether it waits for us.

usage: storm.py BINDIR SCRATCH

Fifty clients of pgbench that connect anew for each transaction, with 64 declared pools.
First under callgrind: prints the ten functions with most instructions of their own in
all backends together, and the first one of the library with its rank. Then without it:
prints how often a process was seen to wait for a lock of the library's.
"""

import collections
import re
import signal
import subprocess
import sys
import time

import psycopg2
from found import found
from instructions import under_callgrind, wait_until_alone, wait_until_up
from servers import Server

CLIENTS = 50
TRANSACTIONS = 10  # of each client, under callgrind
SECONDS = 15
POOLS = 64
NAME = re.compile(r"\((\d+)\)(?: (.*))?")


def own_costs(path):
    """Of one of callgrind's files: instructions of each function's own, and its library."""
    names, objects = {}, {}
    costs = collections.Counter()
    function = library = None
    of_call = False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = line.rstrip("\n").partition("=")
            if key in ("fn", "ob", "cfn", "cob", "cfi", "cfl", "fl", "fi", "fe"):
                number, name = NAME.match(value).groups()
                table = {"fn": names, "cfn": names, "ob": objects, "cob": objects}.get(key)
                if table is not None and name is not None:
                    table[number] = name
                if key == "fn":
                    function = names[number]
                elif key == "ob":
                    library = objects[number].rsplit("/", 1)[-1]
            elif key == "calls":
                of_call = True
            elif line[:1] in "0123456789+-*":
                if not of_call:
                    costs[function, library] += int(line.split()[1])
                of_call = False
    return costs


def storm(server, *how_long):
    return [
        f"{server.bindir}/pgbench", *map(str, server.address()), "-n", "-S", "-C",
        "-c", str(CLIENTS), "-j", "2", *how_long, "postgres",
    ]  # fmt: skip


def hottest(server):
    valgrind = under_callgrind(server)
    try:
        wait_until_up(server)
        subprocess.run(storm(server, "-t", str(TRANSACTIONS)), check=True, capture_output=True)
        wait_until_alone(server)
    finally:
        valgrind.send_signal(signal.SIGINT)
        valgrind.wait()
    costs = collections.Counter()
    for path in server.folder.glob("callgrind.*"):
        costs.update(own_costs(path))
    return costs


def waits(server):
    """(times a process was seen to wait for us, times one was seen)"""
    clients = subprocess.Popen(storm(server, "-T", str(SECONDS)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    conn = psycopg2.connect(server.dsn())
    conn.autocommit = True
    ours = seen = 0
    with conn.cursor() as cur:
        while clients.poll() is None:
            cur.execute(
                "SELECT count(*) FILTER (WHERE wait_event = 'pool_monitor'), count(*)"
                " FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            row = cur.fetchone()
            ours, seen = ours + row[0], seen + row[1]
            time.sleep(0.01)
    conn.close()
    return ours, seen


def main():
    server = Server(*sys.argv[1:3], "storm", "pool_monitor")
    server.start()
    try:
        server.fill()
        server.declare(POOLS)
        ours, seen = waits(server)
    finally:
        server.stop()
    found(
        f"waits for a lock of ours: {ours} of {seen} looks at a backend", {"what": "waits"},
        waits=(ours, "looks"), seen=(seen, "looks"),
    )  # fmt: skip

    costs = hottest(server)
    total = sum(costs.values())
    first = None
    for rank, ((function, library), cost) in enumerate(costs.most_common(), start=1):
        ours = library.startswith("pool_monitor")
        if rank <= 10 or ours:
            print(f"{rank:4d}. {100 * cost / total:5.2f} %  {function}  ({library})")
        if ours:
            first = first or rank
        if rank > 10 and first:
            break
    share = sum(cost for (_, library), cost in costs.items() if library.startswith("pool_monitor"))
    found(
        f"all of the library: {100 * share / total:.2f} %", {"what": "instructions"},
        share=(100 * share / total, "%"), rank_of_our_first=(first, "rank"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
