"""What a client_report() takes, beside another SELECT of a function with arguments.

usage: reports.py BINDIR SCRATCH

Each is prepared and sent by one client over a socket, in turn; whole round trips, so what
the call itself takes is less. Its pool has SESSIONS idle ones beside it, which
a report counts. The best of the rounds is what to trust on a busy machine.
"""

import pathlib
import re
import statistics
import sys

import psycopg2
from found import found
from servers import Server

ROUNDS = 9
SESSIONS = 500
# without usename: whether the role speaks for it is counted with each report
POOL = "INSERT INTO pool_monitor.pools (name, application_name, pool_size) VALUES ('bench', 'pgbench', 600)"
STATEMENTS = {
    "client_report()": "SELECT pool_monitor.client_report('host7:4711', 6, 8, 9, 7, 0, 18230, 12, 3.25, 1, 40, 2, 0.8, NULL, 9100.5);",
    "make_interval()": "SELECT make_interval(1, 2, 3, 4, 5, 6, 7.5);",
}


def main():
    bindir, scratch = sys.argv[1:3]
    server = Server(bindir, scratch, "reports", "pool_monitor", f"max_connections = {SESSIONS + 100}")
    server.start()
    server.declare(20)
    server.run("psql", *server.address(), "-d", "postgres", "-qc", POOL, "-c", "SELECT pool_monitor.reload()")
    idle = [psycopg2.connect(server.dsn(), application_name="pgbench") for _ in range(SESSIONS)]
    taken = {name: [] for name in STATEMENTS}
    for name, sql in STATEMENTS.items():
        pathlib.Path(scratch, name).write_text(sql + "\n", encoding="ascii")
    for _ in range(ROUNDS):
        for name in STATEMENTS:
            said = server.run(
                "pgbench", *server.address(), "-n", "-M", "prepared", "-T", "1", "-f", pathlib.Path(scratch, name), "postgres"
            )
            taken[name].append(1000 * float(re.search(r"latency average = ([\d.]+)", said)[1]))
    for conn in idle:
        conn.close()
    server.stop()
    for name, us in taken.items():
        found(
            f"{name}: {min(us):.0f} us at best, median {statistics.median(us):.0f}", {"what": name},
            best=(min(us), "us"), median=(statistics.median(us), "us"),
        )  # fmt: skip


if __name__ == "__main__":
    main()
