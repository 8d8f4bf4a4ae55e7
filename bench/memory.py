"""Shared memory that the library takes with default settings.

usage: memory.py BINDIR SCRATCH
"""

import sys

import psycopg2
from servers import Server


def main():
    server = Server(*sys.argv[1:3], "loaded", "pool_monitor")
    server.start()
    try:
        conn = psycopg2.connect(server.dsn())
        with conn.cursor() as cur:
            cur.execute(
                "SELECT allocated_size, current_setting('max_connections')"
                " FROM pg_shmem_allocations WHERE name = 'pool_monitor'"
            )
            size, connections = cur.fetchone()
        conn.close()
        print(f"shared memory, max_connections {connections}, default settings: {size / 2**20:.1f} MB")
    finally:
        server.stop()


main()
