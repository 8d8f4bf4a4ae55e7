"""Questions to the past: eight days by the hour, of which the last by the minute.

usage: past.py BINDIR SCRATCH MODULE [POOLS ...]     (default: 64 1000)

The past is made up by MODULE, a library of the tests: every pool has something in every
stretch. Where SQL over history() can give the same answer, both are asked in turn, in
one session, and the ratio is printed; first is the first query of a session, which maps
the pages of shared memory that it reads. Medians, and the best, by the server's clock
(planning and execution as EXPLAIN ANALYZE gives them).

Last come the accounts of many undeclared applications, each of which has logged in.
"""

import pathlib
import statistics
import sys

import psycopg2
from found import found
from servers import Server

ROUNDS = 21
FIRSTS = 7
APPLICATIONS = 9900
MOST_APPLICATIONS = 10000  # the setting's own limit; some are of the bench itself
ONE = "pool 7"
DAY = "now() - interval '1 day'"
HOURS = "now() - interval '3 hours'"
MINUTE = "date_trunc('minute', now())"  # of the present one the worker has not written all

# name: what is asked, and the SQL that gives the same answer
QUESTIONS = {
    "workload": (
        "SELECT pool, seen, avg_connections, max_connections, avg_busy, p95_busy, max_busy, transactions,"
        f" connects, disconnects, refused, exhausted_share FROM pool_monitor.workload(since => {DAY}, until => {MINUTE})",
        "SELECT pool, make_interval(secs => sum(seen)), sum(avg_connections * seen) / sum(seen), max(max_connections),"
        " sum(avg_busy * seen) / sum(seen), percentile_disc(0.95) WITHIN GROUP (ORDER BY max_busy), max(max_busy),"
        " sum(transactions), sum(connects), sum(disconnects), sum(refused), sum(exhausted_seconds) / sum(seen)"
        f" FROM pool_monitor.history() WHERE resolution = '1 minute' AND bucket_start >= {DAY} AND bucket_start < {MINUTE}"
        " GROUP BY pool",
    ),
    "three hours of one pool": (
        f"SELECT * FROM pool_monitor.history('{ONE}', '1 minute', since => {HOURS}, until => {MINUTE})",
        f"SELECT * FROM pool_monitor.history() WHERE pool = '{ONE}' AND resolution = '1 minute'"
        f" AND bucket_start >= {HOURS} AND bucket_start < {MINUTE}",
    ),
    "advice": ("SELECT * FROM pool_monitor.advice", None),
    "checklist": ("SELECT * FROM pool_monitor.checklist", None),
    "overview": ("SELECT * FROM pool_monitor.overview", None),
    "fit": ("SELECT * FROM pool_monitor.fit()", None),
}

REPLAY = """
CREATE FUNCTION replay_history(text, int, float8, int, float8, int, int, int, int, int, float8, float8) RETURNS void
    LANGUAGE c STRICT AS '{module}', 'pm_replay_history';
CREATE FUNCTION replay_rings(timestamptz[], timestamptz[]) RETURNS void LANGUAGE c STRICT AS '{module}', 'pm_replay_rings';
CREATE FUNCTION replay_stretch(text, interval, timestamptz, float8, float8, int, float8, int, int, int, int, int, int,
    float8, float8, float8) RETURNS void LANGUAGE c STRICT AS '{module}', 'pm_replay_stretch';
"""

MINUTES = """
SELECT count(replay_history(p.name, 1440, 20, 25, 4, (1 + p.id % 20)::int, 1, 1, 0, 300, 0.01, 0))
    FROM (SELECT name, row_number() OVER () AS id FROM pool_monitor.pools) AS p;
"""

# The minutes twice: the first time waits until each pool has a series.
PAST = f"""
BEGIN;
{MINUTES}CREATE TEMP TABLE hours ON COMMIT DROP AS
    SELECT generate_series(date_trunc('hour', now()) - interval '8 days', date_trunc('hour', now()), '1 hour') AS h;
SELECT replay_rings(ARRAY[date_trunc('minute', now())], ARRAY(SELECT h FROM hours ORDER BY h));
SELECT count(replay_stretch(p.name, '1 hour', h, 3600, 20, 25, 4, (1 + p.id % 20)::int, 10, 10, 0, 0, 5000, 60, 0, 0))
    FROM hours, (SELECT name, row_number() OVER () AS id FROM pool_monitor.pools) AS p;
{MINUTES}COMMIT
"""


def connected(server, name="bench"):
    conn = psycopg2.connect(server.dsn(), application_name=name)
    conn.autocommit = True
    return conn


def ms(cur, query):
    cur.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + query)
    plan = cur.fetchone()[0][0]
    return plan["Planning Time"] + plan["Execution Time"]


def first_ms(server, query):
    conn = connected(server)
    with conn.cursor() as cur:
        taken = ms(cur, query)
    conn.close()
    return taken


def rounded(row):
    return tuple(float(f"{value:.9g}") if isinstance(value, float) else str(value) for value in row)


def check(cur, name, query, sql):
    """Both ways, the same is answered; a minute may end in between."""
    for _ in range(20):
        answers = []
        for each in (query, sql):
            cur.execute(each)
            answers.append(sorted(map(rounded, cur.fetchall())))
        if answers[0] == answers[1]:
            return
    sys.exit(f"{name} and the SQL differ")


def ask(server, what, name, query, sql=None):
    conn = connected(server)
    with conn.cursor() as cur:
        if sql:
            check(cur, name, query, sql)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(ms(cur, query))
            if sql:
                theirs.append(ms(cur, sql))
    conn.close()
    warm = statistics.median(ours)
    by_sql = statistics.median(theirs) if theirs else None
    firsts = [first_ms(server, query) for _ in range(FIRSTS)]
    first = statistics.median(firsts)
    ratio = f", SQL {by_sql:.1f} ms: {by_sql / warm:.0f} times faster" if by_sql else ""
    found(
        f"{what}: {name:23s} {warm:7.2f} ms, at best {min(ours):7.2f}, first in a session {first:6.1f}{ratio}",
        {"question": name, "past": what},
        warm=(warm, "ms"), best=(min(ours), "ms"), first=(first, "ms"), first_best=(min(firsts), "ms"),
        **({"sql": (by_sql, "ms"), "sql_best": (min(theirs), "ms")} if by_sql else {}),
    )  # fmt: skip


def of_pools(bindir, scratch, module, pools):
    server = Server(
        bindir, scratch, f"pools{pools}", "pool_monitor", f"pool_monitor.max_pools = {pools}\nmax_connections = 100"
    )
    server.start()
    server.declare(pools)
    conn = connected(server)
    with conn.cursor() as cur:
        cur.execute(REPLAY.format(module=module))
        cur.execute(PAST)
    conn.close()
    for name, (query, sql) in QUESTIONS.items():
        ask(server, f"{pools} pools", name, query, sql)
    server.stop()


def of_applications(bindir, scratch):
    server = Server(
        bindir, scratch, "applications", "pool_monitor", f"pool_monitor.max_applications = {MOST_APPLICATIONS}"
    )
    server.start()
    server.declare(1)
    for i in range(APPLICATIONS):
        connected(server, f"job {i}").close()
    conn = connected(server)
    with conn.cursor() as cur:
        cur.execute("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name LIKE 'job %'")
        kept = cur.fetchone()[0]
    conn.close()
    if kept != APPLICATIONS:
        sys.exit(f"pool_stats has {kept} of {APPLICATIONS} applications")
    ask(server, f"{APPLICATIONS} applications", "pool_stats", "SELECT * FROM pool_monitor.pool_stats")
    server.stop()


def main():
    bindir, scratch, module = sys.argv[1:4]
    for pools in map(int, sys.argv[4:] or (64, 1000)):
        of_pools(bindir, pathlib.Path(scratch), module, pools)
    if not sys.argv[4:]:
        of_applications(bindir, pathlib.Path(scratch))


main()
