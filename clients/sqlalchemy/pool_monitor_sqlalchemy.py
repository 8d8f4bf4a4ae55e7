"""Reports what SQLAlchemy's pool says of itself to pool_monitor.

    from pool_monitor_sqlalchemy import reporting

    engine = create_engine(url, pool_size=6, max_overflow=8, **reporting("ems"))

The name is the application_name of the connections, by which the server finds the
pool, and the label of the pool (db.client.connection.pool.name in OpenTelemetry). Every
interval seconds a report goes out, on a connection that the pool has idle at that
moment; if it has none, on the next one that comes back, before anybody else gets it. No connection
is opened for it. Whatever goes wrong is logged at level debug and otherwise ignored, and
the next try waits twice as long, up to an hour. The extension must be in the database that the
application logs in to.

For SQLAlchemy 1.4 and 2.0 with psycopg2 or psycopg; not for asyncio.
"""

import itertools
import logging
import os
import socket
import threading
import time
import uuid
import weakref

from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import queue

__all__ = ["ReportingQueuePool", "reporting"]

log = logging.getLogger("pool_monitor")

REPORT = (
    "SELECT pool_monitor.client_report(%s::text, %s::int, %s::int, %s::int, %s::int, %s::int, %s::bigint, %s::bigint,"
    " %s::float8, %s::bigint, %s::bigint, %s::bigint, %s::float8, %s::bigint, %s::float8)"
)
LONGEST_PAUSE = 3600.0  # s, between tries that fail


def reporting(name, interval=15.0):
    """Arguments for create_engine()."""

    class Named(ReportingQueuePool):
        report_interval = interval

    return {"poolclass": Named, "connect_args": {"application_name": name}}


class TimedQueue(queue.Queue):
    """The pool's queue, which knows who waits for something that is not there."""

    books = None

    def get(self, block=True, timeout=None):
        try:
            return super().get(False)
        except queue.Empty:
            if not block or self.books is None:
                raise
        with self.books.waiting():
            return super().get(True, timeout)


class Books:
    """What one pool in one process has done, and when it is to be told next."""

    def __init__(self, interval):
        # of the pool's own thread too: it is entered again when a lost connection is found
        self.lock = threading.RLock()
        self.interval = interval
        self.pid = os.getpid()
        # the end of a host's name tells it from others
        self.process = f"{socket.gethostname()[-36:]}:{self.pid}:{uuid.uuid4().hex[:8]}"
        self.sums = dict.fromkeys(("checkouts", "waits", "timeouts", "creations", "invalidations"), 0)
        self.waited = self.longest = 0.0
        self.now_waiting = self.reports = self.failures = 0
        self.aside = 0  # connections that are being opened, or by which it reports
        self.checked_out = 0.0  # s, of all connections, until then, and since then of so many
        self.then = time.monotonic()
        self.since_then = 0
        self.turns, self.turn = itertools.count(1), 0
        self.due = time.monotonic() + interval
        self.busy = False
        self.watched = False

    def count(self, what):
        with self.lock:
            self.sums[what] += 1

    def use(self, in_use):
        """What in_use() says is the case from now on; two may ask at once, and the later one counts."""
        turn = next(self.turns)
        now_in_use = in_use()
        with self.lock:
            if turn < self.turn:
                return
            self.turn = turn
            now = time.monotonic()
            self.checked_out += (now - self.then) * self.since_then
            self.then, self.since_then = now, now_in_use

    def put_aside(self, connections):
        with self.lock:
            self.aside += connections

    def waiting(self):
        return _Waiting(self)

    def begin_report(self):
        """The values to be told, of who tells them alone; None when it is not time."""
        with self.lock:
            if self.busy or time.monotonic() < self.due:
                return None
            self.busy = True
            longest, self.longest = self.longest, 0.0
            number, self.reports = self.reports, self.reports + 1
            told = dict(self.sums, waited=self.waited, waiting=self.now_waiting, longest=longest, number=number)
            return dict(told, checked_out=self.checked_out)

    def end_report(self, values, told, problem):
        with self.lock:
            self.busy = False
            self.failures = 0 if told else self.failures + 1
            if not told:
                self.longest = max(self.longest, values["longest"])
            # refused for certain, and not only cut off: it was none
            state = getattr(problem, "sqlstate", None) or getattr(problem, "pgcode", None)
            if state and not state.startswith("57"):
                self.reports = values["number"]
            pause = self.interval * 2 ** min(self.failures, 20)
            self.due = time.monotonic() + max(min(pause, LONGEST_PAUSE), self.interval)


_pools = weakref.WeakSet()  # of this process


def _forked():
    for pool in list(_pools):
        pool._begin_books()
        # those that the parent has out: they are never given back here
        pool._books.aside = max(pool.checkedout(), 0)


os.register_at_fork(after_in_child=_forked)


class _Waiting:
    def __init__(self, books):
        self.books = books

    def __enter__(self):
        self.begun = time.monotonic()
        with self.books.lock:
            self.books.now_waiting += 1

    def __exit__(self, problem, *_):
        seconds = time.monotonic() - self.begun
        with self.books.lock:
            self.books.now_waiting -= 1
            self.books.longest = max(self.books.longest, seconds)
            if problem is None:
                self.books.sums["waits"] += 1
                self.books.waited += seconds


class ReportingQueuePool(QueuePool):
    """A QueuePool that counts and times its checkouts, and reports."""

    _queue_class = TimedQueue
    report_interval = 15.0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._depth = threading.local()
        self._begin_books()
        _pools.add(self)

    def _begin_books(self):
        """Also in a process that was forked, where what was counted is the parent's."""
        self._books = self._pool.books = Books(self.report_interval)

    def _connected(self, record):
        record.info["pool_monitor_pid"] = os.getpid()
        self._books.count("creations")
        if not self._books.watched:
            self._books.watched = True
            threading.Thread(target=_watch, args=(weakref.ref(self),), name="pool_monitor", daemon=True).start()

    def _do_get(self):
        """Calls itself when a place of the overflow got free meanwhile."""
        self._depth.of = getattr(self._depth, "of", 0) + 1
        try:
            return super()._do_get()
        except exc.TimeoutError:
            if self._depth.of == 1:
                self._books.count("timeouts")
            raise
        finally:
            self._depth.of -= 1
            if self._depth.of == 0:
                self._count_use()

    def _create_connection(self):
        books = self._books
        books.put_aside(1)
        try:
            return super()._create_connection()
        finally:
            books.put_aside(-1)

    def _count_use(self):
        """Each time that somebody got a connection, or gave one back."""
        self._books.use(self._in_use)

    def _in_use(self):
        """Also what has come back for somebody who waits, and is about to take it."""
        aside = self._books.aside
        in_use = max(self.checkedout() - aside, 0)
        if self._max_overflow < 0:
            return in_use
        return max(in_use, min(in_use + self._books.now_waiting, self.size() + self._max_overflow - aside))

    def _do_return_conn(self, record):
        try:
            if self._pool.empty() and time.monotonic() >= self._books.due:
                self._report(record)
        finally:
            super()._do_return_conn(record)
            self._count_use()

    def report_if_idle(self):
        """On a connection that is idle in the pool; none is opened, and none is waited for."""
        books = self._books
        try:
            record = self._pool.get(False)
        except queue.Empty:
            return
        books.put_aside(1)
        try:
            self._report(record)
        finally:
            try:
                super()._do_return_conn(record)
            finally:
                books.put_aside(-1)
                self._count_use()

    def _report(self, record):
        """On this one, which counts as checked out meanwhile."""
        connection = getattr(record, "dbapi_connection", None) or getattr(record, "connection", None)
        # not on one that was inherited, nor in somebody's transaction
        if connection is None or record.info.get("pool_monitor_pid") != os.getpid() or not _is_idle(connection):
            return
        books = self._books
        self._count_use()
        values = books.begin_report()
        if values is None:
            return
        told, failure = False, None
        try:
            with connection.cursor() as cursor:
                cursor.execute(REPORT, self._values(books.process, values))
            connection.commit()  # a rollback would be a transaction of the application's
            told = True
        except Exception as problem:
            log.debug("pool_monitor: no report: %s", problem)
            failure = problem
            _clean(connection, record)
        except BaseException:
            record.invalidate()
            raise
        finally:
            books.end_report(values, told, failure)

    def _values(self, process, values):
        return (
            process, self.size(), self._max_overflow, max(self.checkedin() + self.checkedout(), 0),
            max(self.checkedout() - 1, 0), values["waiting"], values["checkouts"], values["waits"], values["waited"],
            values["timeouts"], values["creations"], values["invalidations"], values["longest"], values["number"],
            values["checked_out"],
        )  # fmt: skip


# Of the class: a pool that takes another one's place would get its listeners, too, each time.
@event.listens_for(ReportingQueuePool, "connect")
def _connected(_dbapi, record):
    pool = _pool_of(record)
    if pool is not None:
        pool._connected(record)


@event.listens_for(ReportingQueuePool, "checkout")
def _checked_out(_dbapi, record, _proxy):
    _count(record, "checkouts")


@event.listens_for(ReportingQueuePool, "invalidate")
def _invalidated(_dbapi, record, _problem):
    _count(record, "invalidations")


def _count(record, what):
    pool = _pool_of(record)
    if pool is not None:
        pool._books.count(what)


def _pool_of(record):
    """No event tells it."""
    pool = getattr(record, "_ConnectionRecord__pool", None)
    if pool is None:
        log.debug("pool_monitor: of which pool a connection is cannot be told with this SQLAlchemy: nothing is counted")
    return pool


def _is_idle(connection):
    """Does the driver know of no transaction?"""
    info = getattr(connection, "info", None)
    return getattr(info, "transaction_status", None) == 0


def _clean(connection, record):
    try:
        connection.rollback()
    except Exception:
        record.invalidate()


def _watch(reference):
    while True:
        pool = reference()
        if pool is None or pool._books.pid != os.getpid():
            return
        pause = pool._books.due - time.monotonic()
        if pause <= 0:
            try:
                pool.report_if_idle()
            except Exception as problem:
                log.debug("pool_monitor: no report: %s", problem)
            pause = 0.2
        del pool
        time.sleep(min(max(pause, 0.05), 1.0))
