"""What the library costs a client in instructions, which no noise touches; and what
others cost that are loaded into every backend, as far as they are installed.

usage: instructions.py BINDIR SCRATCH

Runs a server without any library, with this one and a few declared pools, none of
which is the client's, or one of which is, with its guard off and on, and with each of the others under valgrind's
callgrind, which counts the instructions of each process inside PostgresMain: from the login to the exit. A transaction is the difference between a session with many
and one with few of them; a connect and exit is a session without a statement.
"""

import os
import re
import signal
import subprocess
import sys
import time

import psycopg2
from found import found
from servers import Server, has

FEW = 100
MANY = 2100
SESSIONS = 10
POOLS = (0, 20, 64)
GUARDED = 64  # pools, one of them the client's
PEERS = ("pg_stat_statements", "pg_wait_sampling", "pg_stat_statements,pg_stat_kcache")


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


def prepare(bindir, scratch, name, library, pools, guard=None):
    server = Server(bindir, scratch, name, library)
    server.start()
    server.fill()
    if pools is not None:
        server.declare(pools)
    if guard is not None:
        server.guard(guard)
    server.stop()
    return server


def main():
    bindir, scratch = sys.argv[1:3]
    cases = [("nothing loaded", "", None, None)]
    cases += [(f"pool_monitor, {pools} pools", "pool_monitor", pools, None) for pools in POOLS]
    cases += [(f"pool_monitor, {GUARDED} pools, guard {mode}", "pool_monitor", GUARDED - 1, mode) for mode in ("off", "enforce")]
    cases += [(peer, peer, None, None) for peer in PEERS if has(bindir, peer.split(",")[-1])]
    plain = None
    for number, (what, *case) in enumerate(cases):
        got = measure(prepare(bindir, scratch, f"server{number}", *case))
        plain = plain or got
        more = [f"{of} {value:.0f} ({value - was:+.0f}, {100 * (value - was) / was:+.2f} %)"
                for of, value, was in zip(("transaction", "connect and exit"), got, plain)]
        found(
            f"{what:45s} " + "; ".join(more), {"what": what},
            transaction=(got[0], "instructions"), connect=(got[1], "instructions"),
        )  # fmt: skip


if __name__ == "__main__":
    main()
