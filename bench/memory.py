"""Shared memory of the library: what it asks for, and what of it is resident.

usage: memory.py BINDIR SCRATCH [POOLS ...]     (default: 5 64 1000)

What is asked for is address space; a page that nobody has touched is not there. What is
there is asked of the kernel: the server makes its memory with shmget() here, so that
this program can attach it too, and mincore() says of each page of our part whether it
is there, whichever process has touched it.

Each server is started twice, the second time with the pools declared. Used means that
one session of each pool has come, run transactions of several lengths and gone.
"""

import ctypes
import mmap
import sys
import time

import psycopg2
from found import found
from servers import Server

TICKS = 20
LENGTHS = (0, 0, 0, 0.001, 0.002, 0.004, 0.008)  # s, of a session's transactions

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
libc.shmdt.argtypes = (ctypes.c_void_p,)
libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
SERIES = 64 + 2 + 24  # of pools, of sums, of applications that are not declared


def query(server, sql, fetch=True, **who):
    conn = psycopg2.connect(server.dsn(), **who)
    conn.autocommit = True
    try:
        with conn.cursor() as cur:
            cur.execute(sql)
            return cur.fetchall() if fetch else None
    finally:
        conn.close()


def our_part(server):
    sql = "SELECT off, allocated_size FROM pg_shmem_allocations WHERE name = 'pool_monitor'"
    return query(server, sql)[0]


def resident(server):
    """Bytes of our part that are there, in whole pages."""
    offset, size = our_part(server)
    shmid = int((server.data / "postmaster.pid").read_text(encoding="utf-8").split("\n")[6].split()[1])
    at = libc.shmat(shmid, None, 0)
    if at in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmat")
    first = offset // mmap.PAGESIZE
    pages = (offset + size - 1) // mmap.PAGESIZE - first + 1
    there = ctypes.create_string_buffer(pages)
    if libc.mincore(at + first * mmap.PAGESIZE, pages * mmap.PAGESIZE, there) != 0:
        raise OSError(ctypes.get_errno(), "mincore")
    libc.shmdt(at)
    return sum(byte & 1 for byte in there.raw) * mmap.PAGESIZE


def make_server(bindir, scratch, name, **settings):
    conf = ["shared_memory_type = sysv", "huge_pages = off", "pool_monitor.sample_interval = 100ms"]
    conf += [f"{setting.replace('__', '.')} = {value}" for setting, value in settings.items()]
    server = Server(bindir, scratch, name, "pool_monitor", "\n".join(conf))
    server.start()
    return server


def asked(bindir, scratch, name, **settings):
    server = make_server(bindir, scratch, name, **settings)
    try:
        return our_part(server)[1]
    finally:
        server.stop()


def sizes(bindir, scratch):
    """What one more of each asks for, from two servers that differ in that alone."""
    plain = asked(bindir, scratch, "plain")
    slots = asked(bindir, scratch, "slots", max_connections=1100)
    pools = asked(bindir, scratch, "pools", pool_monitor__max_pools=164)
    short = asked(bindir, scratch, "short", pool_monitor__history_minutes=440)
    bucket = (plain - short) / 1000 / SERIES
    print(f"asked for with default settings, 100 connections: {plain / 2**20:.1f} MB")
    print(f"  a slot: {(slots - plain) / 1000:.0f} bytes; a pool: {(pools - plain) / 100 / 1000:.1f} kB")
    found(
        f"  a full series: 2160 times {bucket:.1f} bytes, {2160 * bucket / 1000:.1f} kB",
        {"what": "sizes"},
        asked_for=(plain, "bytes"), slot=((slots - plain) / 1000, "bytes"), pool=((pools - plain) / 100, "bytes"),
        bucket=(bucket, "bytes"),
    )  # fmt: skip


def declare(server, pools):
    query(server, "CREATE EXTENSION pool_monitor", fetch=False)
    query(
        server,
        "INSERT INTO pool_monitor.pools (name, application_name)"
        f" SELECT 'pool ' || i, 'application ' || i FROM generate_series(1, {pools}) i",
        fetch=False,
    )
    query(server, "SELECT pool_monitor.reload()")


def use(server, pools):
    for i in range(1, pools + 1):
        conn = psycopg2.connect(server.dsn(), application_name=f"application {i}")
        conn.autocommit = True
        with conn.cursor() as cur:
            for length in LENGTHS:
                cur.execute(f"SELECT pg_sleep({length})")
        conn.close()


def measure(bindir, scratch, pools):
    server = make_server(bindir, scratch, f"pools{pools}", pool_monitor__max_pools=max(pools, 64))
    try:
        time.sleep(TICKS / 10)
        empty = resident(server)
        declare(server, pools)
        server.stop()
        server.start()
        time.sleep(TICKS / 10)
        begun = resident(server)
        use(server, pools)
        time.sleep(TICKS / 10)
        used = resident(server)
        asked_for = our_part(server)[1]
        found(
            f"{pools} pools: asked for {asked_for / 2**20:.1f} MB;"
            f" resident {begun / 2**20:.2f} MB at start, {used / 2**20:.2f} MB used"
            f" ({(begun - empty) / pools / 1000:.1f} and {(used - empty) / pools / 1000:.1f} kB a pool)",
            {"pools": pools},
            asked_for=(asked_for, "bytes"), without_pools=(empty, "bytes"), at_start=(begun, "bytes"), used=(used, "bytes"),
        )  # fmt: skip
    finally:
        server.stop()


def main():
    bindir, scratch = sys.argv[1:3]
    sizes(bindir, scratch)
    for pools in list(map(int, sys.argv[3:])) or [5, 64, 1000]:
        measure(bindir, scratch, pools)


main()
