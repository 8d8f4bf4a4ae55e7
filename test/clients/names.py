"""Logs in once under each of many names.

usage: names.py DSN PREFIX FIRST LAST

Under "PREFIX n" for each n from FIRST to LAST: one session, one transaction.
Says how many were let in.
"""

import sys

import psycopg2


def visit(dsn, name):
    try:
        conn = psycopg2.connect(dsn, application_name=name)
    except psycopg2.OperationalError:
        return 0
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute("SELECT 1")
    conn.close()
    return 1


def main():
    dsn, prefix, first, last = sys.argv[1:]
    names = (f"{prefix} {n}" for n in range(int(first), int(last) + 1))
    print(sum(visit(dsn, name) for name in names))


main()
