"""Pools that replace their own connections, each by its published rule.

usage: lifetimes.py DSN POOL_RECYCLE SECONDS SIZE

Five pools of SIZE connections each, all opened at once and idle all the time,
for so many seconds. The first four close theirs at the lowest age, at the
highest and between, in turn, as their documentation and source allow for a
pool that is declared with POOL_RECYCLE (seconds):

  hikari    75 % to 100 % of maxLifetime, which is pool_recycle. HikariPool.java,
            createPoolEntry(): up to a fortieth below, since the end of 2024 (pull
            request 2035) up to a quarter. A timer for each closes idle ones too
  psycopg   95 % to 100 % of max_lifetime, which is pool_recycle. psycopg_pool's
            base.py, _set_connection_expiry_date()
  pgx       80 % to 105 %: MaxConnLifetime, up to MaxConnLifetimeJitter more, which
            together are pool_recycle, and up to a HealthCheckPeriod more, which
            has to fit in recycle_margin. pgxpool/pool.go, NewWithConfig() and
            checkConnsHealth()
  bouncer   server_lifetime and later, because two are closed no sooner after each
            other than server_lifetime / pool_size. PgBouncer's src/objects.c,
            life_over(). pool_recycle is twice server_lifetime
  overdue   120 % to 150 %: it keeps what it should have closed

Prints a line for each: "NAME opened=N closed=N lost=N oldest=PERCENT": opened;
closed by itself; found ended by the server when it came to close them; the
greatest age that it let one reach, in percent of POOL_RECYCLE.
"""

import random
import select
import sys
import time

import psycopg2


class Connection:
    def __init__(self, dsn, name):
        self.before = time.monotonic()  # the server counts from no sooner than this
        self.conn = psycopg2.connect(dsn, application_name=name)
        self.opened = time.monotonic()  # and the pools from here
        self.close_at = None

    def is_lost(self):
        """The server has sent something, or closed: it has ended the session."""
        return bool(select.select([self.conn], [], [], 0)[0])

    def close(self):
        self.conn.close()
        return time.monotonic() - self.before


class Pool:
    """Closes each connection at an age of its own, between two bounds."""

    def __init__(self, name, lowest, highest):
        self.name = name
        self.lowest = lowest
        self.highest = highest
        self.connections = []
        self.opened = self.closed = self.lost = 0
        self.oldest = 0.0

    def choose_age(self):
        ages = (self.lowest, self.highest, random.uniform(self.lowest, self.highest))
        return ages[self.opened % 3]

    def open_one(self, dsn):
        connection = Connection(dsn, self.name)
        connection.close_at = connection.opened + self.choose_age()
        self.connections.append(connection)
        self.opened += 1

    def expired(self, now):
        return [c for c in self.connections if now >= c.close_at]

    def close(self, connection):
        self.connections.remove(connection)
        if connection.is_lost():
            self.lost += 1
        else:
            self.closed += 1
        self.oldest = max(self.oldest, connection.close())

    def report(self, recycle):
        return (
            f"{self.name} opened={self.opened} closed={self.closed} lost={self.lost}"
            f" oldest={100 * self.oldest / recycle:.1f}"
        )


class Spaced(Pool):
    """Closes one at a time, and the oldest last, which is the worst case."""

    def __init__(self, name, lifetime, gap):
        super().__init__(name, lifetime, lifetime)
        self.gap = gap
        self.not_before = time.monotonic()

    def expired(self, now):
        over = super().expired(now)
        if not over or now < self.not_before:
            return []
        self.not_before = now + self.gap
        return over[-1:]


def make_pools(recycle, size):
    return [
        Pool("hikari", 0.75 * recycle, recycle),
        Pool("psycopg", 0.95 * recycle, recycle),
        Pool("pgx", 0.8 * recycle, 1.05 * recycle),
        Spaced("bouncer", recycle / 2, recycle / 2 / size),
        Pool("overdue", 1.2 * recycle, 1.5 * recycle),
    ]


def close_expired(pools):
    for pool in pools:
        for connection in pool.expired(time.monotonic()):
            pool.close(connection)


def run(pools, dsn, seconds, size):
    """Opens one connection at a time, so that no close is late for many."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        close_expired(pools)
        missing = [pool for pool in pools if len(pool.connections) < size]
        if missing:
            missing[0].open_one(dsn)
        else:
            time.sleep(0.005)


def main():
    dsn, recycle, seconds, size = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    pools = make_pools(recycle, size)
    run(pools, dsn, seconds, size)
    for pool in pools:
        for connection in list(pool.connections):
            pool.close(connection)
        print(pool.report(recycle), flush=True)


main()
