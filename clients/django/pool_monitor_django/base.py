"""Reports to pool_monitor what connections a process of Django has.

    DATABASES = {
        "default": {
            "ENGINE": "pool_monitor_django",
            "CONN_MAX_AGE": 600,
            "OPTIONS": {"application_name": "ems"},
            "POOL_MONITOR": {"threads": 8},
            ...

An engine that is Django's own for PostgreSQL, and keeps books. Django has one connection for
each thread, and keeps it from request to request where CONN_MAX_AGE is not 0. What is said
of it: open, the connections of all threads; checked_out, those used by a request that has
not ended yet; checkouts, requests that have used theirs; creations; and as size the threads
that may be, if the setting says so (otherwise it is not known). Nobody waits for a
connection here, but for a thread, of which Django does not know: waits and time-outs are not
known, nor what is thrown away as broken.

A report goes out at the end of a request, on the connection that it has used, when interval
seconds ("POOL_MONITOR": {"interval": 15}) have passed since the one before; where Django
closes that connection then (CONN_MAX_AGE 0), just before it does. A process without requests
says nothing, and is shown no more after five minutes; who works otherwise can call Django's
close_old_connections(), or finished(), after a piece of work. No connection is opened for it.
Whatever goes wrong is logged at level debug and otherwise ignored, and the next try waits
twice as long, up to an hour. The extension must be in the database that the application logs
in to.

With OPTIONS["pool"] (Django 5.1) it is that pool which reports, by pool_monitor_psycopg_pool,
which has to be there, too. Where the engine is another one already, let its DatabaseWrapper
inherit from Reporting first.

For Django 3.2 to 5.2, with psycopg2 or psycopg; 3.2, 4.2 and 5.2 have been run under WSGI and
under ASGI. There each request has a thread of its own from 4.0 on: CONN_MAX_AGE must be 0, and
the setting threads left out. Before, all share one, and requests that overlap may be counted as
one checkout.
"""

import logging
import os
import socket
import threading
import time
import uuid
import weakref

from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections
from django.db.backends.postgresql import base as postgresql

try:
    from pool_monitor_psycopg_pool import ReportingConnectionPool
except ImportError:
    ReportingConnectionPool = None

__all__ = ["DatabaseWrapper", "Reporting", "finished"]

log = logging.getLogger("pool_monitor")

REPORT = (
    "SELECT pool_monitor.client_report(%s::text, %s::int, %s::int, %s::int, %s::int, checkouts => %s::bigint,"
    " waits => NULL, creations => %s::bigint, reports_before => %s::bigint)"
)
LONGEST_PAUSE = 3600.0  # s, between tries that fail

_all = {}  # the books of this process, by alias
_lock = threading.Lock()
_starting = threading.local()  # a request, in this thread


class Books:
    """What the connections of one alias have done in one process, and when it is to be told next."""

    def __init__(self, settings):
        self.lock = threading.RLock()
        self.interval = float(settings.get("interval", 15.0))
        self.threads = settings.get("threads")
        # the end of a host's name tells it from others
        self.process = f"{socket.gethostname()[-36:]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.checkouts = self.creations = self.reports = self.failures = 0
        self.due = time.monotonic() + self.interval
        self.busy = False
        self.wrappers = weakref.WeakSet()

    def begin_report(self):
        """The values to be told, of who tells them alone; None when it is not time."""
        with self.lock:
            if self.busy or time.monotonic() < self.due:
                return None
            self.busy = True
            connected = [wrapper for wrapper in self.wrappers if wrapper.connection is not None]
            number, self.reports = self.reports, self.reports + 1
            return (
                self.process, self.threads, None if self.threads is None else 0, len(connected),
                sum(wrapper._in_use for wrapper in connected), self.checkouts, self.creations, number,
            )  # fmt: skip

    def end_report(self, values, told, refused):
        with self.lock:
            self.busy = False
            self.failures = 0 if told else self.failures + 1
            if refused:  # for certain, and not only cut off: it was none
                self.reports = values[-1]
            pause = self.interval * 2 ** min(self.failures, 20)
            self.due = time.monotonic() + max(min(pause, LONGEST_PAUSE), self.interval)


def _forget():
    """In a process that was forked: what was counted, and what is connected, is the parent's."""
    global _all, _lock
    for books in _all.values():
        books.lock = threading.RLock()  # another thread may have had it
    _all, _lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_forget)


class Reporting:
    """For a DatabaseWrapper, before the one of an engine for PostgreSQL."""

    _books = None  # those of the process that has opened the connection
    _in_use = False  # by a request

    def get_connection_params(self):
        params = super().get_connection_params()
        project = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")[0]
        if project:
            params.setdefault("fallback_application_name", project)
        return params

    @property
    def pool(self):
        pool = super().pool
        if pool is None or ReportingConnectionPool is None or isinstance(pool, ReportingConnectionPool):
            return pool
        with _lock:
            return self._adopted(pool)

    def _adopted(self, pool):
        """The pool that Django has made, and not opened yet, gives way to one that reports."""
        pool = self._connection_pools.get(self.alias, pool)
        if not isinstance(pool, ReportingConnectionPool):
            interval = self.settings_dict.get("POOL_MONITOR", {}).get("interval", 15.0)
            try:
                pool = ReportingConnectionPool.adopt(pool, float(interval))
                self._connection_pools[self.alias] = pool
            except Exception as problem:
                log.debug("pool_monitor: the pool does not report: %s", problem)
        return pool

    def connect(self):
        self._in_use = True  # what is done with a new one, as by connection_created, is no use of it
        try:
            super().connect()
        finally:
            self._in_use = False
        if self.settings_dict["OPTIONS"].get("pool"):
            return
        with _lock:
            if self.alias not in _all:
                _all[self.alias] = Books(self.settings_dict.get("POOL_MONITOR", {}))
            self._books = _all[self.alias]
        with self._books.lock:
            self._books.creations += 1
            self._books.wrappers.add(self)

    def create_cursor(self, *args, **kwargs):
        _starting.now = False  # nor is it when its beginning ended in an error
        if not self._in_use and self._books is not None:
            with self._books.lock:
                self._in_use = True
                self._books.checkouts += 1
        return super().create_cursor(*args, **kwargs)

    def close_if_unusable_or_obsolete(self):
        """Django's, at both ends of a request: what it closes can report no more.

        At the beginning no report is in its way. What was in use then is so outside of requests, and
        may have been idle for so long that its other end is gone.
        """
        try:
            if self._in_use and not getattr(_starting, "now", False):
                _report(self)
        finally:
            super().close_if_unusable_or_obsolete()

    def _finished(self):
        self._in_use = False
        books = self._books
        if self.connection is None or books is None or books is not _all.get(self.alias) or not self._is_idle():
            return
        values = books.begin_report()
        if values is None:
            return
        told = refused = False
        try:
            # the driver's own: nothing for the log of queries, nor for execute wrappers
            with self.connection.cursor() as cursor:
                cursor.execute(REPORT, values)
            told = True
        except Exception as problem:
            log.debug("pool_monitor: no report: %s", problem)
            state = getattr(problem, "pgcode", None) or getattr(problem, "sqlstate", None)
            refused = bool(state) and not state.startswith("57")
            # Django looks at the connection before it uses it again
            self.errors_occurred = self.errors_occurred or bool(self.connection.closed)
        finally:
            books.end_report(values, told, refused)

    def _is_idle(self):
        """Not in a transaction, and none would be begun."""
        connection = self.connection
        return bool(connection.autocommit) and not connection.closed and connection.info.transaction_status == 0


class DatabaseWrapper(Reporting, postgresql.DatabaseWrapper):
    """Django's own, which reports."""


def _report(connection):
    try:
        connection._finished()
    except Exception as problem:
        log.debug("pool_monitor: no report: %s", problem)


def finished(**_):
    """What this thread has used is idle now."""
    for connection in _of_this_thread():
        if isinstance(connection, Reporting):
            _report(connection)


def _of_this_thread():
    try:
        return connections.all(initialized_only=True)
    except TypeError:  # Django before 4.1, which makes those that are not there
        return connections.all()


def _starts(**_):
    _starting.now = True


def _has_started(**_):
    """Not called when what comes before it fails; then the next use of a connection says so."""
    _starting.now = False


request_started.disconnect(close_old_connections)
for _receiver in (_starts, close_old_connections, _has_started):
    request_started.connect(_receiver)
request_finished.connect(finished)
