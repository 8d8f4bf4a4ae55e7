"""Sessions that change at random, looked at by sessions that have looked before.

usage: looker.py DSN STEPS SEED

In each of STEPS, some sessions begin, end, change their name or their state, or the
declarations change. Then two sessions that look all the time, a superuser and the
role "plain", are to see the same as sessions of their roles that have just begun and
never looked before: one asks before and one after, and when these two agree, nothing
has changed in between. And they are to see what pg_stat_activity has. Ages are left
out: what follows from them is not.

Needs the roles app_1 and app_2, which may set track_activities, and plain, the database
db_1, and a server that listens on 127.0.0.1. Prints name=number pairs:
  steps      that were gone through
  rows       that were compared
  flags      of these, sessions with a flag
  unsettled  steps that were given up, because something changed all the time
and after the first step in which the looks differ, for good, what they saw.
"""

import random
import sys
import threading
import time

import psycopg2

LOOKER = "looker"
MOST = 16  # sessions
SETTLE = 20  # attempts to find a moment in which nothing changes
AGAIN = 3  # looks that must differ one after the other

FLAGS = slice(10, 14)  # in a row of these
SESSIONS = (
    "SELECT pid, backend_start::text, pool, application_name, datname, usename, client_addr, state,"
    " idle_for IS NULL, xact_age IS NULL, over_age, stale, idle_over_limit, leak_suspect, keep_reason"
    " FROM pool_monitor.sessions WHERE application_name <> 'looker'"
)
APPLICATIONS = (
    "SELECT application_name, datname, usename, pool, connections, active, idle, idle_in_transaction,"
    " idle_in_transaction_aborted, busy, stale, idle_over_limit, leak_suspects, client_hosts,"
    " oldest IS NULL, longest_idle IS NULL"
    " FROM pool_monitor.applications WHERE application_name <> 'looker'"
)
BUDGETS = (
    "SELECT pool, connections, active, idle, idle_in_transaction, idle_in_transaction_aborted, busy, overflow,"
    " over_budget, stale, idle_over_limit, leak_suspects, oldest IS NULL, longest_idle IS NULL"
    " FROM pool_monitor.budgets"
)
ACTIVITY = (
    "SELECT pid, backend_start::text, application_name, datname, usename, client_addr, nullif(state, 'disabled')"
    " FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'looker'"
)
FROM_SESSIONS = (0, 1, 3, 4, 5, 6, 7)  # in a row of SESSIONS, what ACTIVITY has
QUERIES = {"postgres": (SESSIONS, APPLICATIONS, BUDGETS), "plain": (SESSIONS, APPLICATIONS)}

# the longest a name can be, the same but for its end, the same in their first words
NAMES = ["", "a", "a1", "ab", "b", "same words 1", "same words 2", "l" * 63, "l" * 62 + "m", "l" * 62]
ROLES = ["app_1", "app_2"]
DATABASES = ["postgres", "db_1"]
HOSTS = ["", "127.0.0.1"]  # "" is the socket's

# name, application_name, datname, usename, client_addr
POOLS = [
    ("by name", "a%", None, None, None),
    ("by another", "%2", None, None, None),
    ("by length", "l" * 62 + "_", None, None, None),
    ("by role", None, None, "app_2", None),
    ("by database", "_%", "db_%", None, None),
    ("by address", None, None, "app%", "127.0.0.0/8"),
]
DECLARE = (
    "INSERT INTO pool_monitor.pools (name, priority, application_name, datname, usename, client_addr, pool_size,"
    " pool_recycle, idle_limit, leak_threshold, recycle_grace)"
    " VALUES (%s, %s, %s, %s, %s, %s, 2, %s, '1 second', '1 second', '0')"
)

dsn, steps = sys.argv[1], int(sys.argv[2])
random.seed(int(sys.argv[3]))
count = {"steps": 0, "rows": 0, "flags": 0, "unsettled": 0}


def connect(user, name, dbname="postgres", host=""):
    where = f" host={host}" if host else ""
    conn = psycopg2.connect(f"{dsn} user={user} dbname={dbname}{where}", application_name=name)
    conn.autocommit = True
    return conn


def run(conn, sql, parameters=None):
    with conn.cursor() as cur:
        try:
            cur.execute(sql, parameters)
        except psycopg2.Error:
            pass  # some are to fail, and some sessions are terminated


# ---- what happens ----


def begin(sessions):
    if len(sessions) < MOST:
        sessions.append(
            connect(random.choice(ROLES), random.choice(NAMES), random.choice(DATABASES), random.choice(HOSTS))
        )


def end(sessions, admin):
    conn = sessions.pop(random.randrange(len(sessions)))
    if random.random() < 0.3:
        run(admin, "SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))
    conn.close()


def replace(sessions, admin):
    """By one of the same names from elsewhere, which may get the place of the one before."""
    conn = sessions.pop(random.randrange(len(sessions)))
    pid, was = conn.info.backend_pid, conn.info.dsn_parameters
    run(conn, "RESET application_name")
    conn.close()
    with admin.cursor() as cur:
        gone = False
        while not gone:
            cur.execute("SELECT NOT EXISTS (SELECT FROM pg_stat_get_activity(%s))", (pid,))
            gone = cur.fetchone()[0]
    host = HOSTS[was["host"] != HOSTS[1]]
    sessions.append(connect(was["user"], was["application_name"], was["dbname"], host))


def sleep(conn):
    run(conn, "SELECT pg_sleep(0.3)")


def change(conn):
    how = random.choice(["name", "name", "begin", "fail", "commit", "off", "on", "busy", "work"])
    if how == "name":
        run(conn, "SET application_name = %s", (random.choice(NAMES),))
    elif how == "begin":
        run(conn, "BEGIN; SELECT 1")
    elif how == "fail":
        run(conn, "BEGIN")
        run(conn, "SELECT 1 / 0")
    elif how == "commit":
        run(conn, "COMMIT")
    elif how in ("on", "off"):
        run(conn, f"SET track_activities = {how}")
    elif how == "busy":
        threading.Thread(target=sleep, args=(conn,), daemon=True).start()
    else:
        run(conn, "SELECT 1")


def declare(admin):
    chosen = random.sample(POOLS, random.randint(0, len(POOLS)))
    run(admin, "BEGIN; DELETE FROM pool_monitor.pools")
    for priority, pool in enumerate(chosen):
        run(admin, DECLARE, (pool[0], priority, *pool[1:], random.choice([None, "1 second", "1 day"])))
    run(admin, "COMMIT")
    run(admin, "SELECT pool_monitor.reload()")


def rename(admin):
    run(admin, "ALTER ROLE app_1 RENAME TO app_3; ALTER ROLE app_2 RENAME TO app_1; ALTER ROLE app_3 RENAME TO app_2")


def something_happens(sessions, admin):
    what = random.random()
    if what < 0.25 or not sessions:
        begin(sessions)
    elif what < 0.35:
        end(sessions, admin)
    elif what < 0.41:
        declare(admin)
    elif what < 0.43:
        rename(admin)
    elif what < 0.47:
        time.sleep(0.7)
    elif what < 0.55:
        replace(sessions, admin)
    else:
        change(random.choice(sessions))


# ---- the looks ----


def rows(conn, query):
    with conn.cursor() as cur:
        cur.execute(query)
        return sorted(cur.fetchall(), key=repr)


def look(conn, user):
    seen = [rows(conn, query) for query in QUERIES[user]]
    if user == "postgres":
        seen.append(sorted((tuple(row[i] for i in FROM_SESSIONS) for row in seen[0]), key=repr))
    return seen


def first_look(user):
    """And what the server itself says, in place of what the look has of that."""
    conn = connect(user, LOOKER)
    seen = look(conn, user)
    if user == "postgres":
        seen[-1] = rows(conn, ACTIVITY)
    conn.close()
    return seen


def compare(conn, user):
    """What was seen, by who looks again and who never has; None when it never stood still."""
    differed = 0
    for _ in range(SETTLE):
        before, again, after = first_look(user), look(conn, user), first_look(user)
        if before == after:
            differed = differed + 1 if again != before else 0
            if differed in (0, AGAIN):
                return again, before
        time.sleep(0.05)
    return None


def all_agree(lookers):
    for user, conn in lookers.items():
        seen = compare(conn, user)
        if seen is None:
            count["unsettled"] += 1
            continue
        again, first = seen
        count["rows"] += sum(map(len, first))
        count["flags"] += sum(any(row[FLAGS]) for row in first[0])
        if again != first:
            print(f"step {count['steps']}, as {user}")
            print("\n".join(f"  looks again: {row}" for table in again for row in table))
            print("\n".join(f"  never did:   {row}" for table in first for row in table))
            return False
    return True


def main():
    lookers = {user: connect(user, LOOKER) for user in QUERIES}
    admin = connect("postgres", LOOKER)
    sessions = []
    for _ in range(steps):
        for _ in range(random.randint(1, 4)):
            something_happens(sessions, admin)
        if not all_agree(lookers):
            break
        count["steps"] += 1
    print(" ".join(f"{name}={number}" for name, number in count.items()))


main()
