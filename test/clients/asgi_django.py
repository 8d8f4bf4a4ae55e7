"""A real process of Django under ASGI that reports: uvicorn with a view that is a function and
one that is a coroutine. Its connections are kept by their thread (threads), opened for each
request (requests), or of Django's pool (pool). Says "unavailable WHY" when it cannot, else
"ready", or "ready alone" where each request has a thread of its own. Answers each line of
stdin with one, until stdin ends:

  sync N       so many requests to the one view, one after the other: their statuses
  async N      likewise to the other
  together N   so many to each, side by side: their statuses
  hold         a request, which has used its connection and goes on: "holding"
  let          it ends, when a report is due: its status

usage: asgi_django.py DSN NAME INTERVAL threads|requests|pool
"""

import concurrent.futures
import http.client
import logging
import pathlib
import socket
import sys
import threading
import time

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "clients"
sys.path[:0] = [str(CLIENTS / "django"), str(CLIENTS / "psycopg_pool")]
try:
    import django
    import uvicorn
    from asgiref.sync import sync_to_async
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.core.signals import request_finished
    from django.http import HttpResponse
    from django.urls import path

    ALONE = django.VERSION >= (4,)
    if sys.argv[4] == "threads" and ALONE:
        raise ImportError(f"Django {django.__version__} has a thread for each request")
    if sys.argv[4] == "pool":
        import psycopg  # noqa: F401, which Django prefers where it is
        import psycopg_pool  # noqa: F401

        if django.VERSION < (5, 1):
            raise ImportError(f"Django {django.__version__} has no pool")
except ImportError as error:
    print(f"unavailable {error}", flush=True)
    sys.exit()

held, going = threading.Event(), threading.Event()


def query():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def plain(request):
    query()
    if request.GET:
        held.set()
        going.wait()
    return HttpResponse()


async def coroutine(request):
    await sync_to_async(query, thread_sensitive=True)()
    return HttpResponse()


urlpatterns = [path("sync", plain), path("async", coroutine)]


def configure(dsn, name, interval, kind):
    options = {"application_name": name}
    if kind == "pool":
        options["pool"] = {"min_size": 1, "max_size": 4}
    words = dict(word.split("=", 1) for word in dsn.split())
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
                "POOL_MONITOR": {"threads": 1, "interval": interval},
            }
        },
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["*"],
        USE_TZ=True,
    )
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    import pool_monitor_django.base  # noqa: F401, which is to see the end of a request before this does


class Server:
    def __init__(self, interval):
        self.interval = interval
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(get_asgi_application(), lifespan="off", log_level="error"))
        server.install_signal_handlers = lambda: None
        threading.Thread(target=server.run, args=([self.socket],), daemon=True).start()
        self.threads = concurrent.futures.ThreadPoolExecutor(16)
        self.lock = threading.Lock()
        self.asked = self.ended = 0
        request_finished.connect(self.has_ended)

    def get(self, where):
        with self.lock:
            self.asked += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("GET", where)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def wait_until_due(self):
        """And until the requests before have ended, which is after their answer."""
        import pool_monitor_django.base as engine

        while self.asked > self.ended or any(time.monotonic() < books.due for books in engine._all.values()):
            time.sleep(0.01)

    def has_ended(self, **_):
        with self.lock:
            self.ended += 1

    def one_by_one(self, where, times):
        statuses = []
        for _ in range(times):
            self.wait_until_due()
            statuses.append(self.get(where))
        return statuses

    def sync(self, times):
        return self.one_by_one("/sync", times)

    def together(self, times):
        asked = [self.threads.submit(self.get, where) for _ in range(times) for where in ("/sync", "/async")]
        return [one.result() for one in asked]

    def hold(self):
        self.wait_until_due()  # no report before is under way
        held.clear()
        going.clear()
        self.holding = self.threads.submit(self.get, "/sync?hold=1")
        held.wait()
        return "holding"

    def let(self):
        time.sleep(self.interval)
        going.set()
        return self.holding.result()


def main():
    configure(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])
    server = Server(float(sys.argv[3]))
    commands = {
        "sync": server.sync,
        "async": lambda times: server.one_by_one("/async", times),
        "together": server.together,
        "hold": server.hold,
        "let": server.let,
    }
    print("ready alone" if ALONE else "ready", flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        said = commands[command](*map(int, numbers))
        print(*(sorted(set(said)) if isinstance(said, list) else [said]), flush=True)


main()
