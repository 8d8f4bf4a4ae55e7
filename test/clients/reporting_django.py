"""A real process of Django that reports: a WSGI application with three threads, of which
each has a connection (threads), opens one for each request (requests), or takes one of
Django's pool (pool). Says "unavailable WHY" when it cannot, else "ready". Answers each line
of stdin with one, until stdin ends:

  hold N       a request in this thread, which has used its connection and goes on: "holding"
  let N        it ends, when a report is due: its status
  request N    a request in this thread, when a report is due: its status
  work N       a transaction in this thread, after which old connections are closed, when a report
               is due: "done"
  leave N      a query in this thread, which no request is: the PID of its session
  stumble N    a request in this thread, of which the beginning fails: "failed"
  hurry N      so many in each thread, side by side: "done"
  fork         a child has one request after another: its process ID
  reap         ends it: "reaped"

usage: reporting_django.py DSN NAME INTERVAL threads|requests|pool
"""

import concurrent.futures
import io
import logging
import os
import pathlib
import signal
import sys
import threading
import time

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "clients"
sys.path[:0] = [str(CLIENTS / "django"), str(CLIENTS / "psycopg_pool")]
try:
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.db.backends.signals import connection_created
    from django.http import HttpResponse
    from django.urls import path

    if sys.argv[4] == "pool":
        import psycopg  # noqa: F401, which Django prefers where it is
        import psycopg_pool  # noqa: F401

        if django.VERSION < (5, 1):
            raise ImportError(f"Django {django.__version__} has no pool")
except ImportError as error:
    print(f"unavailable {error}", flush=True)
    sys.exit()

THREADS = 3
held = [threading.Event() for _ in range(THREADS)]
going = [threading.Event() for _ in range(THREADS)]


def use(request, number):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if request.GET:
        held[number].set()
        going[number].wait()
    return HttpResponse()


urlpatterns = [path("<int:number>", use)]


def configure(dsn, name, interval, kind):
    words = dict(word.split("=", 1) for word in dsn.split())
    options = {"application_name": name}
    if kind == "pool":
        options["pool"] = {"min_size": 1, "max_size": 2, "timeout": 0.5}
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "pool_monitor_django",
                "NAME": words["dbname"],
                "USER": words["user"],
                "HOST": words["host"],
                "PORT": words["port"],
                "CONN_MAX_AGE": None if kind == "threads" else 0,
                "OPTIONS": options,
                "POOL_MONITOR": {"threads": THREADS, "interval": interval},
            }
        },
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["*"],
        USE_TZ=True,
    )
    connection_created.connect(prepare)
    logging.getLogger("django").setLevel(logging.CRITICAL)
    logging.getLogger("django.request").setLevel(logging.CRITICAL)


def prepare(connection, **_):
    """What an application has done with each new connection."""
    with connection.cursor():
        pass


class Application:
    def __init__(self):
        self.wsgi = get_wsgi_application()
        self.threads = [concurrent.futures.ThreadPoolExecutor(1) for _ in range(THREADS)]
        self.holding = [None] * THREADS
        self.child = None

    def get(self, number, query=""):
        """One request, up to its end, in the thread that calls."""
        said = []
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": f"/{number}",
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
        }
        response = self.wsgi(environ, lambda status, *_: said.append(status))
        list(response)
        response.close()
        return said[0]

    def hold(self, number):
        held[number].clear()
        going[number].clear()
        self.holding[number] = self.threads[number].submit(self.get, number, "hold")
        while not held[number].wait(0.05):
            if self.holding[number].done():
                return self.holding[number].result()
        return "holding"

    def let(self, number):
        self.wait_until_due()
        going[number].set()
        return self.holding[number].result()

    def wait_until_due(self):
        import pool_monitor_django.base as engine

        while any(time.monotonic() < books.due for books in engine._all.values()):
            time.sleep(0.01)

    def request(self, number):
        self.wait_until_due()
        return self.threads[number].submit(self.get, number).result()

    def work(self, number):
        self.wait_until_due()
        return self.threads[number].submit(self.transaction).result()

    @staticmethod
    def transaction():
        from django.db import close_old_connections, connection, transaction

        with transaction.atomic():
            for _ in range(2):
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
        close_old_connections()
        return "done"

    def leave(self, number):
        return self.threads[number].submit(self.query).result()

    @staticmethod
    def query():
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()[0]

    def stumble(self, number):
        return self.threads[number].submit(self.fail, number).result()

    def fail(self, number):
        from django.db import connection

        connection.close_if_unusable_or_obsolete = lambda: 1 / 0
        try:
            return self.get(number)
        except ZeroDivisionError:
            return "failed"
        finally:
            del connection.close_if_unusable_or_obsolete

    def hurry(self, times):
        done = [thread.submit(self.get, n) for _ in range(times) for n, thread in enumerate(self.threads)]
        return "done" if all(one.result() == "200 OK" for one in done) else "failed"

    def fork(self):
        self.child = os.fork()
        while self.child == 0:
            self.get(0)
            time.sleep(0.1)
        return self.child

    def reap(self):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        return "reaped"


def main():
    dsn, name, interval, kind = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    configure(dsn, name, interval, kind)
    application = Application()
    print("ready", flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        print(getattr(application, command)(*map(int, numbers)), flush=True)


main()
