"""Reports what a pool of psycopg_pool says of itself to pool_monitor.

    from pool_monitor_psycopg_pool import ReportingConnectionPool

    pool = ReportingConnectionPool(conninfo, name="ems", min_size=6, max_size=14)

The same with ReportingAsyncConnectionPool. The name is also the application_name of the
connections, by which the server finds the pool, unless kwargs has another one. Every
report_interval seconds a report goes out, on a connection that the pool has idle at that
moment; if it has none, on the next one that comes back. No connection is opened for it.
Whatever goes wrong is logged at level debug and otherwise ignored, and the next try waits
twice as long, up to an hour. The extension must be in the database that the application
logs in to.

Checkouts, waits, time-outs, new connections and for how long they are out are counted here,
and are exact: usage_ms of get_stats() is that of connection() alone, when it has ended, and in
whole milliseconds. Those that were thrown away as broken are returns_bad and connections_lost.
Where autocommit is off, it is on for the one statement of a report.

For psycopg_pool 3.1 to 3.3, of which 3.1.7, 3.2.6 and 3.3.2 have been run. Beside what is
documented it uses _get_ready_connection(), by which it is known who has to wait, and _pool,
_lock and _add_to_pool(), as check() does, since getconn() would wait, and putconn() run
the application's reset.
"""

import asyncio
import contextvars
import inspect
import logging
import os
import socket
import threading
import time
import uuid
import weakref

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout, TooManyRequests

__all__ = ["ReportingAsyncConnectionPool", "ReportingConnectionPool"]

log = logging.getLogger("pool_monitor")

REPORT = (
    "SELECT pool_monitor.client_report(%s::text, %s::int, %s::int, %s::int, %s::int, %s::int, %s::bigint, %s::bigint,"
    " %s::float8, %s::bigint, %s::bigint, %s::bigint, %s::float8, %s::bigint, %s::float8)"
)
LONGEST_PAUSE = 3600.0  # s, between tries that fail
GAVE_UP = (PoolTimeout, TooManyRequests)

_checkout = contextvars.ContextVar("pool_monitor_checkout", default=None)
_pools = weakref.WeakSet()  # of this process


def _forked():
    for pool in list(_pools):
        pool._begin_books()


os.register_at_fork(after_in_child=_forked)


class Books:
    """What one pool in one process has done, and when it is to be told next."""

    def __init__(self, interval):
        self.lock = threading.RLock()
        self.interval = interval
        self.pid = os.getpid()
        # the end of a host's name tells it from others
        self.process = f"{socket.gethostname()[-36:]}:{self.pid}:{uuid.uuid4().hex[:8]}"
        self.sums = dict.fromkeys(("checkouts", "waits", "timeouts", "creations"), 0)
        self.waited = self.longest = self.held = 0.0
        self.now_waiting = self.reports = self.failures = 0
        self.due = time.monotonic() + interval
        self.busy = self.watched = False
        self.opened, self.out = weakref.WeakSet(), weakref.WeakSet()
        self.free_since = weakref.WeakKeyDictionary()
        self.held_until = time.monotonic()

    def is_due(self):
        return not self.busy and time.monotonic() >= self.due

    def hold(self):
        """Counts for how long those that are out have been, up to now; before there are more, or less."""
        now = time.monotonic()
        self.held += len(self.out) * (now - self.held_until)
        self.held_until = now
        return now

    def begin_report(self):
        """The values to be told, of who tells them alone; None when it is not time."""
        with self.lock:
            if not self.is_due():
                return None
            self.busy = True
            self.hold()
            longest, self.longest = self.longest, 0.0
            number, self.reports = self.reports, self.reports + 1
            waits = dict(waited=self.waited, waiting=self.now_waiting, longest=longest)
            return dict(self.sums, **waits, held=self.held, number=number)

    def end_report(self, values, problem):
        with self.lock:
            self.busy = False
            self.failures = self.failures + 1 if problem else 0
            if problem:
                self.longest = max(self.longest, values["longest"])
            # refused for certain, and not only cut off: it was none
            if getattr(problem, "sqlstate", None) and not problem.sqlstate.startswith("57"):
                self.reports = values["number"]
            pause = self.interval * 2 ** min(self.failures, 20)
            self.due = time.monotonic() + max(min(pause, LONGEST_PAUSE), self.interval)


class Checkout:
    """One call of getconn()."""

    def __init__(self, books):
        self.books = books
        self.begun = None  # when it began to wait

    def __enter__(self):
        self.token = _checkout.set(self)
        return self

    def wait(self):
        with self.books.lock:
            if self.begun is None:
                self.begun = time.monotonic()
                self.books.now_waiting += 1

    def got(self, conn):
        """Who waits has had it since it was free, or there, though he knows only now: no other could have it."""
        books = self.books
        with books.lock:
            now = books.hold()
            books.out.add(conn)
            if self.begun is not None:
                books.held += now - max(self.begun, books.free_since.get(conn, now))
        return conn

    def __exit__(self, kind, *_):
        _checkout.reset(self.token)
        books = self.books
        with books.lock:
            if kind is None:
                books.sums["checkouts"] += 1
            elif issubclass(kind, GAVE_UP) or (self.begun is not None and issubclass(kind, asyncio.CancelledError)):
                books.sums["timeouts"] += 1
            if self.begun is None:
                return
            seconds = time.monotonic() - self.begun
            books.now_waiting -= 1
            books.longest = max(books.longest, seconds)
            if kind is None:
                books.sums["waits"] += 1
                books.waited += seconds


class _Reporting:
    """What both kinds of pool have in common."""
    def _begin(self, interval):
        self._report_interval = interval
        self._popped = 0
        self._begin_books()
        _pools.add(self)

    def _begin_books(self):
        """Also in a process that was forked, where what was counted is the parent's."""
        self._books = Books(self._report_interval)

    def _count_opened(self, conn):
        """Tells whether the first one of this process has been opened."""
        books = self._books
        with books.lock:
            books.sums["creations"] += 1
            books.opened.add(conn)
            books.free_since[conn] = time.monotonic()
            first, books.watched = not books.watched, True
        return first

    def pop_stats(self):
        stats = super().pop_stats()
        self._popped += _lost(stats)
        return stats

    def _may_report(self, conn):
        """Not on one that was inherited, nor in somebody's transaction."""
        return conn in self._books.opened and conn.info.transaction_status == TransactionStatus.IDLE

    def _reports_on_return(self, conn):
        """None is idle; and who waits for this one waits longer only when nobody has told for two intervals."""
        books = self._books
        if not books.is_due() or conn not in books.out or self.get_stats()["pool_available"]:
            return False
        return not books.now_waiting or time.monotonic() >= books.due + books.interval

    def _returned(self, conn):
        books = self._books
        with books.lock:
            if conn in books.out:
                books.free_since[conn] = books.hold()
                books.out.remove(conn)

    def _values(self, conn, values):
        """On this connection, which is not counted as checked out."""
        books, stats = self._books, self.get_stats()
        with books.lock:
            out = len(books.out) - (conn in books.out)
        return (
            books.process, stats["pool_min"], stats["pool_max"] - stats["pool_min"], stats["pool_available"] + out + 1,
            out, values["waiting"], values["checkouts"], values["waits"], values["waited"], values["timeouts"],
            values["creations"], self._popped + _lost(stats), values["longest"], values["number"],
            values["held"],
        )  # fmt: skip


class ReportingConnectionPool(_Reporting, ConnectionPool):
    """A ConnectionPool that counts and times its checkouts, and reports."""

    def __init__(self, conninfo="", *, name, kwargs=None, configure=None, report_interval=15.0, **options):
        self._begin(report_interval)
        options.update(kwargs=_named(name, kwargs), configure=self._counting(configure), name=name)
        super().__init__(conninfo, **options)

    @classmethod
    def adopt(cls, pool, report_interval=15.0):
        """Gives one in place of a ConnectionPool that has never been open, for who does not make it himself."""
        mine = cls.__new__(cls)
        mine.__dict__.update(pool.__dict__)
        mine._begin(report_interval)
        mine._configure = mine._counting(pool._configure)
        return mine

    def _counting(self, configure):
        mine = weakref.ref(self)

        def configured(conn):
            pool = mine()
            if pool is not None and pool._count_opened(conn):
                threading.Thread(target=_watch, args=(mine,), name="pool_monitor", daemon=True).start()
            if configure is not None:
                configure(conn)

        return configured

    def _get_ready_connection(self, timeout):
        conn = super()._get_ready_connection(timeout)
        if conn is None and _checkout.get():
            _checkout.get().wait()
        return conn

    def getconn(self, timeout=None):
        with Checkout(self._books) as checkout:
            return checkout.got(super().getconn(timeout))

    def putconn(self, conn):
        try:
            if self._reports_on_return(conn):
                self._report(conn)
        finally:
            self._returned(conn)
            super().putconn(conn)

    def report_if_idle(self):
        """On a connection that is idle in the pool; none is opened, and none is waited for."""
        if not self._books.is_due():
            return
        with self._lock:
            conn = self._pool.pop() if self._pool else None
        if conn is None:
            return
        try:
            self._report(conn)
        finally:
            if self.closed or conn.info.transaction_status != TransactionStatus.IDLE:
                conn._pool = self
                super().putconn(conn)
            else:
                self._add_to_pool(conn)

    def _report(self, conn):
        books = self._books
        values = books.begin_report() if self._may_report(conn) else None
        if values is None:
            return
        problem = KeyboardInterrupt("or another end of it")
        try:
            self._tell(conn, self._values(conn, values))
            problem = None
        except Exception as found:
            problem = found
            log.debug("pool_monitor: no report: %s", problem)
        finally:
            books.end_report(values, problem)

    def _tell(self, conn, values):
        """In a transaction of this alone, and without the application's factories."""
        autocommit = conn.autocommit
        if not autocommit:
            conn.autocommit = True
        try:
            with psycopg.Cursor(conn, row_factory=tuple_row) as cursor:
                cursor.execute(REPORT, values, prepare=False)
        finally:
            if not autocommit:
                conn.autocommit = False


class ReportingAsyncConnectionPool(_Reporting, AsyncConnectionPool):
    """The same for an AsyncConnectionPool."""

    def __init__(self, conninfo="", *, name, kwargs=None, configure=None, report_interval=15.0, **options):
        self._begin(report_interval)
        self._watcher = None
        options.update(kwargs=_named(name, kwargs), configure=self._counting(configure), name=name)
        super().__init__(conninfo, **options)

    def _counting(self, configure):
        mine = weakref.ref(self)

        async def configured(conn):
            pool = mine()
            if pool is not None and pool._count_opened(conn):
                pool._watcher = asyncio.get_running_loop().create_task(_watch_async(mine))
            if configure is not None:
                await configure(conn)

        return configured

    async def _get_ready_connection(self, timeout):
        conn = await super()._get_ready_connection(timeout)
        if conn is None and _checkout.get():
            _checkout.get().wait()
        return conn

    async def getconn(self, timeout=None):
        with Checkout(self._books) as checkout:
            return checkout.got(await super().getconn(timeout))

    async def putconn(self, conn):
        try:
            if self._reports_on_return(conn):
                await self._report(conn)
        finally:
            self._returned(conn)
            await super().putconn(conn)

    async def close(self, timeout=5.0):
        if self._watcher is not None:
            self._watcher.cancel()
        await super().close(timeout)

    async def report_if_idle(self):
        if not self._books.is_due():
            return
        async with self._lock:
            conn = self._pool.pop() if self._pool else None
        if conn is None:
            return
        try:
            await self._report(conn)
        finally:
            if self.closed or conn.info.transaction_status != TransactionStatus.IDLE:
                conn._pool = self
                await super().putconn(conn)
            else:
                await self._add_to_pool(conn)

    async def _report(self, conn):
        books = self._books
        values = books.begin_report() if self._may_report(conn) else None
        if values is None:
            return
        problem = asyncio.CancelledError()
        try:
            await self._tell(conn, self._values(conn, values))
            problem = None
        except Exception as found:
            problem = found
            log.debug("pool_monitor: no report: %s", problem)
        finally:
            books.end_report(values, problem)

    async def _tell(self, conn, values):
        autocommit = conn.autocommit
        if not autocommit:
            await conn.set_autocommit(True)
        try:
            async with psycopg.AsyncCursor(conn, row_factory=tuple_row) as cursor:
                await cursor.execute(REPORT, values, prepare=False)
        finally:
            if not autocommit:
                await conn.set_autocommit(False)


def _named(name, kwargs):
    """Arguments for connect(), which later versions also take from a function."""
    if inspect.iscoroutinefunction(kwargs):

        async def named():
            return {"application_name": name, **await kwargs()}

        return named
    if callable(kwargs):
        return lambda: {"application_name": name, **kwargs()}
    return {"application_name": name, **(kwargs or {})}


def _lost(stats):
    """Neither is there until it happens."""
    return stats.get("returns_bad", 0) + stats.get("connections_lost", 0)


def _pause(pool):
    """Until the next look; None when there is nothing to look at any more."""
    if pool is None or pool.closed or pool._books.pid != os.getpid():
        return None
    pause = pool._books.due - time.monotonic()
    return min(pause, 1.0) if pause > 0 else 0.0


def _watch(reference):
    while (pause := _pause(pool := reference())) is not None:
        if pause == 0:
            pause = 0.2
            try:
                pool.report_if_idle()
            except Exception as problem:
                log.debug("pool_monitor: no report: %s", problem)
        del pool
        time.sleep(max(pause, 0.05))


async def _watch_async(reference):
    while (pause := _pause(pool := reference())) is not None:
        if pause == 0:
            pause = 0.2
            try:
                await pool.report_if_idle()
            except Exception as problem:
                log.debug("pool_monitor: no report: %s", problem)
        del pool
        await asyncio.sleep(max(pause, 0.05))
