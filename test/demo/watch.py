"""The watch: a server, real pools, an exporter and a Prometheus with the alerts, to look at.

usage: watch.py SOCKET_FOLDER MONITORING_FOLDER SCRATCH_FOLDER [--once]

Starts what it needs beside the server, whose folder it is given, says where to look, has a
fourth worker started, and which alerts that fires; then goes on until it is interrupted,
unless it is to be done once.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import psycopg2

from application import Process, all_do, stop, wait_until

# s: an alert waits for minutes, until it is more than a moment
LONGEST = 600

PANELS = (
    ("connections against what the pool may have", "pool_monitor_pool_connections or pool_monitor_pool_ceiling"),
    ("time at the ceiling, of each second", "rate(pool_monitor_pool_exhausted_seconds_total[1m])"),
    ("what is left of the server", "pool_monitor_server_available_connections"),
)


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


class Program:
    """A program that serves HTTP on this machine, until it is ended."""

    def __init__(self, name, arguments, log, path, env=None):
        self.address = free_address()
        command = [name, *[a.replace("ADDRESS", self.address) for a in arguments]]
        with open(log, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})}
            )
        if not wait_until(lambda: self.answers(path), 60):
            self.end()
            raise SystemExit(f"{name} does not answer: {pathlib.Path(log).read_text(encoding='utf-8')[-2000:]}")

    def answers(self, path):
        if self.process.poll() is not None:
            return False
        try:
            self.get(path)
            return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return answer.read()

    def end(self):
        self.process.terminate()
        self.process.wait()


class Watch:
    def __init__(self, folder, monitoring, scratch):
        self.folder = folder
        self.monitoring = pathlib.Path(monitoring)
        self.scratch = pathlib.Path(scratch)
        self.started = time.monotonic()
        self.programs = []
        self.workers = []

    def dsn(self, user):
        return f"host={self.folder} port={os.environ.get('PGPORT', 5432)} dbname=postgres user={user}"

    def say(self, text):
        print(f"[{time.monotonic() - self.started:5.1f} s] {text}", flush=True)

    # -- what runs --

    def declare(self):
        conn = psycopg2.connect(self.dsn(os.environ.get("PGUSER", "postgres")))
        conn.autocommit = True
        with conn.cursor() as cur:
            cur.execute("CREATE EXTENSION IF NOT EXISTS pool_monitor")
            cur.execute("CREATE ROLE app LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
            cur.execute(
                "INSERT INTO pool_monitor.pools (name, application_name, usename, workers, pool_size, max_overflow)"
                " VALUES ('ems', 'ems-%', 'app', 3, 6, 8)"
            )
            cur.execute("SELECT pool_monitor.reload()")
        conn.close()
        self.say("One pool is declared: ems, 3 workers with 6 + 8 connections each, 42 in all")

    def begin_programs(self):
        exporter = Program(
            "prometheus-postgres-exporter",
            [
                "--web.listen-address=ADDRESS",
                f"--extend.query-path={self.monitoring / 'postgres_exporter.yml'}",
                "--disable-default-metrics",
                "--disable-settings-metrics",
            ],
            self.scratch / "exporter.log",
            "/metrics",
            {"DATA_SOURCE_NAME": self.dsn("monitor") + " sslmode=disable"},
        )
        self.programs.append(exporter)
        config = self.scratch / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 5s, evaluation_interval: 5s}\n"
            f"rule_files: ['{self.monitoring / 'alerts.yml'}']\n"
            "scrape_configs:\n"
            f"  - {{job_name: pool_monitor, static_configs: [{{targets: ['{exporter.address}']}}]}}\n",
            encoding="utf-8",
        )
        self.prometheus = Program(
            "prometheus",
            [
                f"--config.file={config}",
                f"--storage.tsdb.path={self.scratch / 'prometheus'}",
                "--web.listen-address=ADDRESS",
            ],
            self.scratch / "prometheus.log",
            "/-/ready",
        )
        self.programs.append(self.prometheus)
        self.say(f"The exporter's text:    http://{exporter.address}/metrics")
        self.say(f"Prometheus, its alerts: http://{self.prometheus.address}/alerts")
        for what, expression in PANELS:
            asked = urllib.parse.urlencode({"g0.expr": expression, "g0.tab": 0, "g0.range_input": "15m"})
            self.say(f"  {what}: http://{self.prometheus.address}/graph?{asked}")
        self.say(f"Grafana: import {self.monitoring / 'grafana.json'}")

    def begin_workers(self):
        self.workers = [Process(self.dsn("app"), f"ems-{i}", 6, 8) for i in (1, 2, 3)]
        all_do(self.workers, "rest")
        self.say("Three workers are there, at rest: 18 connections")

    # -- what it shows --

    def alerts(self):
        """name and labels => state, of all that are not silent."""
        data = json.loads(self.prometheus.get("/api/v1/alerts"))["data"]["alerts"]
        return {
            " ".join([a["labels"]["alertname"], *[v for k, v in a["labels"].items() if k == "pool"]]): a["state"]
            for a in data
        }

    def last_evaluated(self):
        """When each group of rules was asked last."""
        groups = json.loads(self.prometheus.get("/api/v1/rules"))["data"]["groups"]
        return [group["name"] + group["lastEvaluation"] for group in groups]

    def tell_changes(self, until, seconds):
        """Tells what becomes of the alerts, until that is so."""
        before = {}

        def look():
            nonlocal before
            now = self.alerts()
            for name in sorted({*before, *now}):
                if before.get(name) != now.get(name):
                    self.say(f"  alert {name}: {now.get(name, 'over')}")
            before = now
            return until(now)

        return wait_until(look, seconds, 1)

    def calm(self):
        wait_until(lambda: b'"ems"' in self.prometheus.get("/api/v1/label/pool/values"), 60, 1)
        wait_until(lambda: not self.alerts(), 60, 1)
        # the rules have been asked several times since the pool was there
        for _ in range(3):
            before = self.last_evaluated()
            wait_until(lambda: not {*before} & {*self.last_evaluated()}, 60, 1)
        seen = self.alerts()
        self.say("No alert fires" if not seen else f"UNEXPECTED: {seen}")
        return not seen

    def fourth_worker(self):
        self.say("Somebody starts a fourth worker, and every worker checks out all it can: 56 of 42")
        self.workers.append(Process(self.dsn("app"), "ems-4", 6, 8))
        all_do(self.workers, "burst", 14)
        wanted = ("PoolExhausted ems", "PoolOverBudget ems")
        fires = self.tell_changes(lambda now: all(now.get(name) == "firing" for name in wanted), LONGEST)
        self.say("That is who gets woken up, and why" if fires else f"UNEXPECTED: {wanted} do not fire")
        all_do(self.workers, "release")
        stop([self.workers.pop()])
        self.say("The fourth worker is stopped, the burst is over")
        return fires

    def go_on(self):
        self.say("The workers go on, with a burst now and then, until this is interrupted (Ctrl-C)")
        while True:
            numbers = [random.randint(0, 14) for _ in self.workers]
            for worker, number in zip(self.workers, numbers):
                worker.do("burst", number)
            time.sleep(random.uniform(2, 20))
            all_do(self.workers, "release")
            time.sleep(random.uniform(2, 20))

    def run(self, once):
        for name in ("prometheus", "prometheus-postgres-exporter"):
            if shutil.which(name) is None:
                raise SystemExit(f"there is no {name} here: install it (Debian: the package of that name)")
        try:
            self.declare()
            self.begin_programs()
            self.begin_workers()
            well = self.calm()
            well = self.fourth_worker() and well
            if not once:
                self.go_on()
            stop(self.workers)
            return 0 if well else 1
        finally:
            for program in self.programs:
                program.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(Watch(*sys.argv[1:4]).run("--once" in sys.argv[4:]))
    except KeyboardInterrupt:
        sys.exit(130)
