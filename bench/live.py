"""The live views against SQL on pg_stat_activity that gives the same answer.

usage: live.py DSN SESSIONS MAX_CONNECTIONS

Opens SESSIONS real idle sessions under 20 application names, each with a pool that is
declared, then puts each question both ways: in turn, in one session, prepared, each in
a transaction of its own; each twice, the second time (again) without the other in
between, which leaves little of ours in the processor's caches. Prints medians and their
ratio, by the server's clock (planning and execution as EXPLAIN ANALYZE gives them) and
by the client's (the whole way of a query but the client's own parsing of the rows). The
same for the first query of a session, which reads all sessions anew and has no plan yet.

The SQL has the columns that pg_stat_activity knows of; what they have in common is
compared once, so that both answer the same question.
"""

import resource
import statistics
import sys
import time

import psycopg2
from found import found

PAIRS = 51
FIRSTS = 15
TRIES = 50
POOLS = 20

SESSIONS = "FROM pg_stat_activity AS a WHERE a.backend_type = 'client backend'"
STATES = """count(*) FILTER (WHERE a.state IN ('active', 'fastpath function call')),
    count(*) FILTER (WHERE a.state = 'idle'), count(*) FILTER (WHERE a.state = 'idle in transaction'),
    count(*) FILTER (WHERE a.state = 'idle in transaction (aborted)'),
    count(*) FILTER (WHERE a.state <> 'idle')"""
LONGEST = "max(now() - a.backend_start), max(now() - a.state_change) FILTER (WHERE a.state = 'idle')"

# name: columns to compare, the view, the SQL with the same columns first
QUESTIONS = {
    "applications": (
        "application_name, datname, usename, connections, active, idle, idle_in_transaction,"
        " idle_in_transaction_aborted, busy, client_hosts",
        f"SELECT a.application_name, a.datname, a.usename, count(*), {STATES},"
        f" count(DISTINCT coalesce(a.client_addr, '0.0.0.0')), {LONGEST} {SESSIONS} GROUP BY 1, 2, 3",
    ),
    "budgets": (
        "pool, connections, active, idle, idle_in_transaction, idle_in_transaction_aborted, busy,"
        " overflow, idle_over_limit, leak_suspects",
        f"""SELECT p.name, count(a.pid), {STATES},
            greatest(count(a.pid) - p.servers * p.workers * p.pool_size, 0),
            count(*) FILTER (WHERE a.state = 'idle' AND now() - a.state_change > p.idle_limit),
            count(*) FILTER (WHERE now() - a.xact_start > p.leak_threshold), {LONGEST}
            FROM pool_monitor.pools AS p LEFT JOIN pg_stat_activity AS a
                ON a.backend_type = 'client backend' AND a.application_name LIKE p.application_name
            GROUP BY p.name, p.servers, p.workers, p.pool_size""",
    ),
    "server": (
        "max_connections, connections, undeclared",
        f"""SELECT current_setting('max_connections')::int, count(*), count(*) FILTER (WHERE NOT EXISTS (
            SELECT FROM pool_monitor.pools AS p WHERE a.application_name LIKE p.application_name)) {SESSIONS}""",
    ),
    "sessions": (
        "pid, backend_start, application_name, datname, usename, client_addr, state",
        "SELECT a.pid, a.backend_start, a.application_name, a.datname, a.usename, a.client_addr, a.state,"
        " now() - a.backend_start, CASE WHEN a.state = 'idle' THEN now() - a.state_change END,"
        f" now() - a.xact_start {SESSIONS}",
    ),
}


def view_of(name):
    return f"SELECT * FROM pool_monitor.{name}"


def client_us(cur, query):
    begin = time.perf_counter()
    cur.execute(query)
    return (time.perf_counter() - begin) * 1e6


def server_us(cur, query):
    cur.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + query)
    plan = cur.fetchone()[0][0]
    return (plan["Planning Time"] + plan["Execution Time"]) * 1e3


CLOCKS = {"server": server_us, "client": client_us}


def answer(cur, query, columns):
    cur.execute(query)
    return sorted((row[:columns] for row in cur.fetchall()), key=repr)


def check(cur, name):
    """Both ways, the same is answered; sessions of the question before may be on their way out."""
    columns, sql = QUESTIONS[name]
    number = len(columns.split(","))
    for _ in range(TRIES):
        by_sql = answer(cur, sql, number)
        by_view = answer(cur, f"SELECT {columns} FROM pool_monitor.{name}", number)
        if by_sql == by_view:
            return
        time.sleep(0.1)
    sys.exit(f"{name} and the SQL differ: {set(by_view) ^ set(by_sql)}")


def say(sizes, clock, when, name, all_sql, all_view):
    sessions, most = sizes
    sql, view = statistics.median(all_sql), statistics.median(all_view)
    found(
        f"{sessions:5d} sessions of {most:4d}, {clock}'s clock, {when:5s}: {name:12s} {view:8.1f} us,"
        f" SQL {sql:9.1f} us: {sql / view:6.1f} times faster,"
        f" best {min(all_view):8.1f} and {min(all_sql):9.1f}: {min(all_sql) / min(all_view):6.1f}",
        {"view": name, "sessions": sessions, "max_connections": most, "clock": clock, "when": when},
        view=(view, "us"), sql=(sql, "us"), view_best=(min(all_view), "us"), sql_best=(min(all_sql), "us"),
    )  # fmt: skip


def compare_warm(cur, name, sizes):
    cur.execute(f"PREPARE by_sql AS {QUESTIONS[name][1]}")
    cur.execute(f"PREPARE by_view AS {view_of(name)}")
    for clock, measure in CLOCKS.items():
        sql, view = ([], []), ([], [])
        for _ in range(PAIRS):
            for times, what in ((sql, "by_sql"), (view, "by_view")):
                for turn in times:
                    turn.append(measure(cur, f"EXECUTE {what}"))
        for when, *taken in zip(("warm", "again"), sql, view):
            say(sizes, clock, when, name, *taken)
    cur.execute("DEALLOCATE ALL")


def first_us(dsn, measure, query):
    conn = psycopg2.connect(dsn, application_name="bench")
    conn.autocommit = True
    with conn.cursor() as cur:
        us = measure(cur, query)
    conn.close()
    return us


def compare_first(dsn, name, sizes):
    for clock, measure in CLOCKS.items():
        sql, view = [], []
        for _ in range(FIRSTS):
            sql.append(first_us(dsn, measure, QUESTIONS[name][1]))
            view.append(first_us(dsn, measure, view_of(name)))
        say(sizes, clock, "first", name, sql, view)


def declare(cur):
    cur.execute("CREATE EXTENSION IF NOT EXISTS pool_monitor")
    cur.execute("DELETE FROM pool_monitor.pools")
    for i in range(POOLS):
        cur.execute(
            "INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow)"
            " VALUES (%s, %s, 10, 20, 5)",
            (f"pool {i:02d}", f"application {i:02d}%"),
        )
    cur.execute("SELECT pool_monitor.reload()")
    cur.execute("ANALYZE pool_monitor.pools")


def main():
    dsn, sessions, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    conns = [psycopg2.connect(dsn, application_name=f"application {i % POOLS:02d}") for i in range(sessions)]
    admin = psycopg2.connect(dsn, application_name="bench")
    admin.autocommit = True
    with admin.cursor() as cur:
        declare(cur)
        for name in QUESTIONS:
            check(cur, name)
            compare_warm(cur, name, (sessions, most))
            compare_first(dsn, name, (sessions, most))
    admin.close()
    for conn in conns:
        conn.close()


main()
