"""Reports what a pool of asyncpg says of itself to pool_monitor.

    from pool_monitor_asyncpg import create_pool

    pool = await create_pool(dsn, name="ems", min_size=6, max_size=14)

It takes what asyncpg.create_pool() does, and gives such a Pool. The name is the
application_name of the connections, by which the server finds the pool, unless
server_settings has another one. Every report_interval seconds a report goes out, on a
connection that the pool has idle at that moment; if it has none, on the next one that comes
back. No connection is opened for it. Whatever goes wrong is logged at level debug and
otherwise ignored, and the next try waits twice as long, up to an hour. The extension must
be in the database that the application logs in to.

Checkouts, waits, time-outs, new connections and for how long they are out are counted here,
and are exact. Who is cancelled while he waits (asyncio.wait_for() does that) has timed out,
too. asyncpg does not say which connections it has lost: there are no invalidations.

For asyncpg 0.25 to 0.31, of which 0.27, 0.30 and 0.31 have been run. Beside what is documented
it uses the pool's _queue of connection holders, where nobody has to wait while it is not
empty, and a holder's is_connected() and _con: acquire() would wait or connect, and
release() would reset the connection, which is a use of it; and its _in_use, a future that is
done when it is free again, also where the application has closed the connection.
"""

import asyncio
import inspect
import logging
import os
import socket
import time
import uuid
import weakref

import asyncpg
import asyncpg.pool

__all__ = ["ReportingPool", "create_pool"]

log = logging.getLogger("pool_monitor")

LONGEST_PAUSE = 3600.0  # s, between tries that fail
PATIENCE = 5.0  # s, for the answer to a report


def create_pool(dsn=None, *, name, report_interval=15.0, **options):
    """As asyncpg.create_pool(), with its defaults."""
    known = inspect.signature(asyncpg.create_pool).parameters.values()
    defaults = {p.name: p.default for p in known if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}
    settings = {"application_name": name, **(options.pop("server_settings", None) or {})}
    return ReportingPool(dsn, report_interval=report_interval, server_settings=settings, **{**defaults, **options})


class Books:
    """What the pool has done, and when it is to be told next. All of it is one thread's."""

    def __init__(self, interval):
        self.interval = interval
        self.pid = os.getpid()
        # the end of a host's name tells it from others
        self.process = f"{socket.gethostname()[-36:]}:{self.pid}:{uuid.uuid4().hex[:8]}"
        self.sums = dict.fromkeys(("checkouts", "waits", "timeouts", "creations"), 0)
        self.waited = self.longest = self.held = 0.0
        self.held_until = time.monotonic()
        self.now_waiting = self.out = self.reports = self.failures = 0
        self.due = time.monotonic() + interval
        self.busy = False

    def is_due(self):
        return not self.busy and time.monotonic() >= self.due and self.pid == os.getpid()

    def begin_report(self):
        self.busy = True
        self.hold(0)
        longest, self.longest = self.longest, 0.0
        number, self.reports = self.reports, self.reports + 1
        waits = dict(waited=self.waited, waiting=self.now_waiting, longest=longest)
        return dict(self.sums, **waits, held=self.held, number=number)

    def end_report(self, values, problem):
        self.busy = False
        self.failures = self.failures + 1 if problem else 0
        if problem:
            self.longest = max(self.longest, values["longest"])
        # refused for certain, and not only cut off: it was none
        if isinstance(problem, asyncpg.PostgresError) and (problem.sqlstate or "08")[:2] not in ("08", "57"):
            self.reports = values["number"]
        pause = self.interval * 2 ** min(self.failures, 20)
        self.due = time.monotonic() + max(min(pause, LONGEST_PAUSE), self.interval)

    def hold(self, more):
        """Counts for how long those that are out have been; from now on there are more, or less."""
        now = time.monotonic()
        if self.held is not None:
            self.held += self.out * (now - self.held_until)
        self.held_until = now
        self.out += more

    def got(self, connection):
        try:
            connection._holder._in_use.add_done_callback(lambda _: self.hold(-1))
            self.hold(1)
        except AttributeError as problem:
            self.held = None  # not known with this asyncpg
            log.debug("pool_monitor: how long connections are out cannot be told: %s", problem)

    async def checkout(self, work, waits):
        """Awaits it, which has to wait for a place of the pool or has not."""
        begun = time.monotonic()
        self.now_waiting += waits
        try:
            got = await work
        except BaseException as problem:
            if waits and isinstance(problem, (asyncio.TimeoutError, asyncio.CancelledError)):
                self.sums["timeouts"] += 1
            raise
        else:
            self.got(got)
            self.sums["checkouts"] += 1
            self.sums["waits"] += waits
            self.waited += (time.monotonic() - begun) * waits
            return got
        finally:
            self.now_waiting -= waits
            self.longest = max(self.longest, (time.monotonic() - begun) * waits)


class _Acquiring:
    """What acquire() gives: for await, or for async with."""

    def __init__(self, pool, context):
        self.pool = pool
        self.context = context

    def _counted(self, work):
        return self.pool._books.checkout(work, self.pool._is_full())

    def __await__(self):
        return self._counted(self.context).__await__()

    async def __aenter__(self):
        return await self._counted(self.context.__aenter__())

    async def __aexit__(self, *problem):
        return await self.context.__aexit__(*problem)


class ReportingPool(asyncpg.pool.Pool):
    """A Pool that counts and times its checkouts, and reports."""

    def __init__(self, *args, report_interval=15.0, init=None, **options):
        self._books = Books(report_interval)
        self._watcher = None
        super().__init__(*args, init=self._counting(init), **options)

    def _counting(self, init):
        mine = weakref.ref(self)

        async def counted(connection, *args, **kwargs):
            pool = mine()
            if pool is not None:
                pool._books.sums["creations"] += 1
                if pool._watcher is None:
                    pool._watcher = asyncio.get_running_loop().create_task(_watch(mine))
            if init is not None:
                await init(connection, *args, **kwargs)

        return counted

    def _is_full(self):
        return self._queue is not None and self._queue.empty()

    def acquire(self, *, timeout=None):
        return _Acquiring(self, super().acquire(timeout=timeout))

    async def release(self, connection, *, timeout=None):
        try:
            if self._reports_on_return(connection):
                await self._report(connection, 1)
        finally:
            await super().release(connection, timeout=timeout)

    def _reports_on_return(self, connection):
        """None is idle; and who waits for this one waits longer only when nobody has told for two intervals."""
        books = self._books
        if not books.is_due() or self._closing or not self._is_full():
            return False
        if books.now_waiting and time.monotonic() < books.due + books.interval:
            return False
        try:
            return not connection.is_closed() and not connection.is_in_transaction()
        except Exception:
            return False  # it is none, or has been returned already

    async def report_if_idle(self):
        """On a connection that is idle in the pool; none is opened, and none is waited for."""
        if not self._books.is_due() or self._closing:
            return
        taken = []
        while not self._queue.empty():
            taken.append(self._queue.get_nowait())
            if taken[-1].is_connected():
                break
        holder = taken.pop() if taken and taken[-1].is_connected() else None
        for other in reversed(taken):
            self._queue.put_nowait(other)
        if holder is None:
            return
        try:
            await self._report(holder._con, 0)
        finally:
            self._queue.put_nowait(holder)

    async def _report(self, connection, returning):
        """returning: is it one of those that are checked out still?"""
        books = self._books
        values = books.begin_report()
        problem = asyncio.CancelledError()
        try:
            await connection.execute(self._statement(values, returning), timeout=PATIENCE)
            problem = None
        except Exception as found:
            problem = found
            log.debug("pool_monitor: no report: %s", problem)
        finally:
            # unless the server has said no, nobody knows what is still to come
            if problem is not None and not isinstance(problem, asyncpg.PostgresError):
                connection.terminate()
            books.end_report(values, problem)

    def _statement(self, values, returning):
        """One message, without a statement in the connection's cache: a transaction of its own."""
        process = self._books.process.replace("'", "''")
        size, open_now = self.get_min_size(), self.get_size()
        held = "NULL" if values["held"] is None else f"{values['held']:.6f}"
        return (
            f"SELECT pool_monitor.client_report('{process}', {size}, {self.get_max_size() - size}, {open_now},"
            f" {max(open_now - self.get_idle_size() - returning, 0)}, {values['waiting']}, {values['checkouts']},"
            f" {values['waits']}, {values['waited']:.6f}, {values['timeouts']}, {values['creations']}, 0,"
            f" {values['longest']:.6f}, {values['number']}, {held})"
        )

    async def _stop(self):
        """A report under way would be in the way of who closes its connection."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])

    async def close(self):
        await self._stop()
        await super().close()

    def terminate(self):
        if self._watcher is not None:
            self._watcher.cancel()
        super().terminate()


async def _watch(reference):
    while True:
        pool = reference()
        if pool is None or pool._closed or pool._books.pid != os.getpid():
            return
        pause = pool._books.due - time.monotonic()
        if pause <= 0:
            try:
                await pool.report_if_idle()
            except Exception as problem:
                log.debug("pool_monitor: no report: %s", problem)
            pause = 0.2
        del pool
        await asyncio.sleep(min(max(pause, 0.05), 1.0))
