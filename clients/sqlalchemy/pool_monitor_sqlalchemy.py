"""Reports what SQLAlchemy's pool says of itself to pool_monitor.

    from pool_monitor_sqlalchemy import reporting

    engine = create_engine(url, pool_size=6, max_overflow=8, **reporting("ems"))

The name is the application_name of the connections, by which the server finds the
pool, and the label of the pool (db.client.connection.pool.name in OpenTelemetry). Every
interval seconds a report goes out, on a connection that the pool has idle at that
moment; if it has none, with the next one that comes back, so no checkout waits for it and no
connection is opened for it. Whatever goes wrong is logged at level debug and otherwise
ignored. The extension must be in the database that the application logs in to.

For SQLAlchemy 1.4 and 2.0 with psycopg2 or psycopg; not for asyncio.
"""

import logging
import os
import socket
import threading
import time
import weakref

from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool

__all__ = ["ReportingQueuePool", "reporting"]

log = logging.getLogger("pool_monitor")

REPORT = (
    "SELECT pool_monitor.client_report(%s, %s, %s, %s, %s, %s, %s::bigint, %s::bigint, %s::float8, %s::bigint,"
    " %s::bigint, %s::bigint, %s::float8, %s::bigint)"
)


def reporting(name, interval=15.0):
    """Arguments for create_engine()."""

    class Named(ReportingQueuePool):
        report_interval = interval

    return {"poolclass": Named, "connect_args": {"application_name": name}}


class ReportingQueuePool(QueuePool):
    """A QueuePool that counts and times its checkouts, and reports."""

    report_interval = 15.0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._begin()
        # a pool that takes this one's place has its listeners too
        mine = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: mine() and mine()._begin())
        event.listen(self, "connect", lambda *_: mine() and mine()._count("creations"))
        event.listen(self, "invalidate", lambda *_: mine() and mine()._count("invalidations"))

    def _begin(self):
        """Also in a process that was forked, where the sums are of the parent."""
        self._counting = threading.Lock()
        self._in_process = os.getpid()
        self._process = f"{socket.gethostname()[:40]}:{os.getpid()}"
        self._sums = dict.fromkeys(("checkouts", "waits", "timeouts", "creations", "invalidations", "reports"), 0)
        self._waited = self._longest = 0.0
        self._waiting = 0
        self._due = time.monotonic() + self.report_interval
        threading.Thread(target=_watch, args=(weakref.ref(self),), name="pool_monitor", daemon=True).start()

    def _count(self, what, seconds=0.0):
        with self._counting:
            self._sums[what] += 1
            self._waited += seconds
            self._longest = max(self._longest, seconds)

    def _is_full(self):
        return self._pool.empty() and self._max_overflow >= 0 and self._overflow >= self._max_overflow

    def _do_get(self):
        if not self._is_full():
            record = super()._do_get()
        else:
            record = self._wait_for_one()
        self._count("checkouts")
        return record

    def _wait_for_one(self):
        begun = time.monotonic()
        with self._counting:
            self._waiting += 1
        try:
            record = super()._do_get()
        except exc.TimeoutError:
            self._count("timeouts")
            raise
        finally:
            with self._counting:
                self._waiting -= 1
        self._count("waits", time.monotonic() - begun)
        return record

    def _do_return_conn(self, record):
        if time.monotonic() >= self._due and self._pool.empty():
            self._report(record)
        super()._do_return_conn(record)

    def report_if_idle(self):
        """On a connection that is idle in the pool; none is opened, and none is waited for."""
        try:
            record = self._pool.get(False)
        except Exception:  # the queue's own Empty
            return
        try:
            self._report(record)
        finally:
            # not as a return of somebody's: it was never checked out
            try:
                self._pool.put(record, False)
            except Exception:
                record.close()

    def _report(self, record):
        """On this one, which counts as checked out meanwhile."""
        connection = getattr(record, "dbapi_connection", None) or getattr(record, "connection", None)
        if connection is None:
            return
        with self._counting:
            self._due = time.monotonic() + self.report_interval
            sums, longest, self._longest = dict(self._sums), self._longest, 0.0
            waited, waiting = self._waited, self._waiting
        values = (
            self._process, self.size(), self._max_overflow, self.checkedin() + self.checkedout(),
            self.checkedout() - 1, waiting, sums["checkouts"], sums["waits"], waited, sums["timeouts"], sums["creations"],
            sums["invalidations"], longest, sums["reports"],
        )  # fmt: skip
        try:
            cursor = connection.cursor()
            try:
                cursor.execute(REPORT, values)
            finally:
                cursor.close()
            connection.commit()  # a rollback would be a transaction of the application's
            self._sums["reports"] += 1
        except Exception as problem:
            log.debug("pool_monitor: no report: %s", problem)
            with self._counting:
                self._longest = max(self._longest, longest)
            try:
                connection.rollback()
            except Exception:
                record.invalidate()


def _watch(reference):
    while True:
        pool = reference()
        if pool is None or pool._in_process != os.getpid():
            return
        pause = pool._due - time.monotonic()
        if pause <= 0:
            try:
                pool.report_if_idle()
            except Exception as problem:
                log.debug("pool_monitor: no report: %s", problem)
            pause = 0.2
        del pool
        time.sleep(min(max(pause, 0.05), 1.0))
