"""What the library costs a client in instructions, which no noise touches.

usage: instructions.py BINDIR SCRATCH

Runs a server with the library and one without it under valgrind's callgrind,
which counts the instructions of each process inside PostgresMain: from the
login to the exit. A transaction is the difference between a session with many
and one with few of them; a connect and exit is a session without a statement.
"""

import os
import re
import signal
import subprocess
import sys
import time

import psycopg2
from servers import Server

FEW = 100
MANY = 2100
SESSIONS = 10


def under_callgrind(server):
    command = [
        "valgrind",
        "--tool=callgrind",
        "--trace-children=yes",
        "--toggle-collect=PostgresMain",
        f"--callgrind-out-file={server.folder}/callgrind.%p",
        os.path.join(server.bindir, "postgres"),
        "-D",
        str(server.data),
    ]
    with open(server.folder / "valgrind.log", "w", encoding="utf-8") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def wait_until_up(server):
    while True:
        try:
            psycopg2.connect(server.dsn()).close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.2)


def wait_until_alone(server):
    """The processes of earlier sessions have exited, so their files are there."""
    conn = psycopg2.connect(server.dsn())
    conn.autocommit = True
    with conn.cursor() as cur:
        while True:
            cur.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
            if cur.fetchone()[0] == 1:
                break
            time.sleep(0.05)
    conn.close()


def session(server):
    """The process ID of a session that does nothing."""
    conn = psycopg2.connect(server.dsn(), application_name="bench")
    pid = conn.info.backend_pid
    conn.close()
    return pid


def pgbench(server, transactions):
    """The file of the session in which pgbench ran so many transactions."""
    before = set(server.folder.glob("callgrind.*"))
    server.run(
        "pgbench", *server.address(), "-n", "-S", "-M", "prepared", "-c", "1", "-t", transactions, "postgres"
    )
    wait_until_alone(server)
    new = set(server.folder.glob("callgrind.*")) - before
    return max(new, key=count)


def count(path):
    text = path.read_text(encoding="utf-8", errors="replace")
    return int(re.findall(r"^(?:summary|totals): (\d+)", text, re.M)[-1])


def measure(server):
    valgrind = under_callgrind(server)
    try:
        wait_until_up(server)
        session(server)  # the first one fills caches of the whole server
        pids = [session(server) for _ in range(SESSIONS)]
        wait_until_alone(server)
        few = count(pgbench(server, FEW))
        many = count(pgbench(server, MANY))
        files = [server.folder / f"callgrind.{pid}" for pid in pids]
        while not all(path.exists() and "totals:" in path.read_text(errors="replace") for path in files):
            time.sleep(0.1)
        return (many - few) / (MANY - FEW), sum(map(count, files)) / SESSIONS
    finally:
        valgrind.send_signal(signal.SIGINT)
        valgrind.wait()


def main():
    bindir, scratch = sys.argv[1:3]
    results = []
    for name, preload in (("plain", False), ("loaded", True)):
        server = Server(bindir, scratch, name, preload)
        server.start()
        server.fill()
        server.stop()
        results.append(measure(server))
    for what, plain, loaded in zip(("pgbench -S -M prepared, a transaction", "a connect and exit"), *results):
        print(
            f"{what}: {plain:.0f} instructions without, {loaded:.0f} with:"
            f" {100 * (loaded - plain) / plain:+.2f} %"
        )


main()
