"""The show: what pool_monitor says while real pools do what pools do.

usage: demo.py SOCKET_FOLDER SERVER_LOG
"""

import os
import re
import sys
import time

import psycopg2

from application import Process, all_do, stop, wait_until

BUDGETS = """SELECT pool, base, ceiling, connections, busy, idle, overflow, over_budget,
  percent_of_budget AS percent, peak_connections AS peak, stale, idle_over_limit AS idle_over, status
FROM pool_monitor.budgets"""


class Demo:
    def __init__(self, folder, log):
        self.folder = folder
        self.log = log
        self.started = time.monotonic()
        self.failed = False
        self.conn = psycopg2.connect(self.dsn("postgres", "postgres"), application_name="dba")
        self.conn.autocommit = True

    def dsn(self, database, user):
        return f"host={self.folder} dbname={database} user={user}"

    # -- output --

    def phase(self, text):
        print(f"\n[{time.monotonic() - self.started:4.1f} s] {text}", flush=True)

    def expect(self, what, seen, wanted):
        if seen != wanted:
            self.failed = True
            print(f"  UNEXPECTED: {what} is {seen}, not {wanted}", flush=True)

    def rows(self, query):
        with self.conn.cursor() as cur:
            cur.execute(query)
            return cur.fetchall() if cur.description else []

    def value(self, query):
        return self.rows(query)[0][0]

    def show(self, query):
        with self.conn.cursor() as cur:
            cur.execute(query)
            table = [[c.name for c in cur.description]]
            table += [["" if v is None else str(v) for v in row] for row in cur.fetchall()]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        for number, row in enumerate(table):
            print("  " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())
            if number == 0:
                print("  " + "-+-".join("-" * w for w in widths))
        sys.stdout.flush()

    def budget(self, column, pool="ems"):
        return self.value(f"SELECT {column} FROM pool_monitor.budgets WHERE pool = '{pool}'")

    # -- the parts --

    def install(self):
        self.phase("CREATE EXTENSION, and one row that declares the pool of application ems")
        statement = (
            "INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow)\n"
            "VALUES ('ems', 'ems-%', 3, 6, 8)"
        )
        print("  " + statement.replace("\n", "\n  "))
        self.rows("CREATE ROLE app LOGIN")
        self.rows("CREATE EXTENSION pool_monitor")
        self.rows(statement)
        wait_until(lambda: self.value("SELECT count(*) FROM pool_monitor.budgets") == 1)

    def at_rest(self):
        self.phase("At rest: three workers with a SQLAlchemy QueuePool of 6 + 8 each")
        self.workers = [Process(self.dsn("postgres", "app"), f"ems-{i}", 6, 8) for i in (1, 2, 3)]
        all_do(self.workers, "rest")
        self.show(BUDGETS)
        self.expect("connections", self.budget("connections"), 18)
        self.expect("status", self.budget("status"), "ok")

    def burst(self):
        self.phase("A burst: every worker checks out all it can")
        all_do(self.workers, "burst", 14)
        self.show(BUDGETS)
        self.expect("busy", self.budget("busy"), 42)
        self.expect("status", self.budget("status"), "exhausted")
        self.wait_for_log("is exhausted")

    def fourth_worker(self):
        self.phase("Somebody starts a fourth worker")
        fourth = Process(self.dsn("postgres", "app"), "ems-4", 6, 8)
        fourth.do("burst", 14)
        self.show(BUDGETS)
        self.show(
            "SELECT usable, connection_budget, declared_ceiling, connections, undeclared, available, status"
            " FROM pool_monitor.server"
        )
        self.show(
            "SELECT application_name, usename, pool, connections, busy FROM pool_monitor.applications"
            " ORDER BY 1"
        )
        self.expect("over_budget", self.budget("over_budget"), 14)
        self.expect("status", self.budget("status"), "over")
        self.wait_for_log("is over its budget")
        fourth.do("release")
        stop([fourth])
        all_do(self.workers, "release")
        wait_until(lambda: self.budget("connections") == 18)
        self.wait_for_log("no longer over")
        self.phase("It is stopped, the burst is over: 18 again, and the peak is remembered")
        self.show(BUDGETS)
        self.expect("connections", self.budget("connections"), 18)

    def guard(self):
        self.phase("The owner makes the budget hold: the pool gets a guard")
        statement = "UPDATE pool_monitor.pools SET guard = 'enforce', usename = 'app' WHERE name = 'ems'"
        print("  " + statement)
        self.rows(statement)
        wait_until(lambda: self.value("SELECT armed FROM pool_monitor.guards WHERE pool = 'ems'"))
        all_do(self.workers, "burst", 14)
        self.phase("The same burst, and the fourth worker again")
        fourth = Process(self.dsn("postgres", "app"), "ems-4", 6, 8)
        got, errors = fourth.do("attempt", 3)
        if errors:
            print("  ems-4: " + errors[0].split(": ", 1)[-1].replace("\n", "\n  "))
        self.show(
            "SELECT pool, guard, armed, places, places_peak, connection_limit, guarded"
            " FROM pool_monitor.guards WHERE pool = 'ems'"
        )
        self.expect("connections of the fourth worker", got, 0)
        self.expect("logins held off", len(errors), 3)
        self.expect("places", self.value("SELECT places_peak FROM pool_monitor.guards WHERE pool = 'ems'"), 42)
        self.expect("busy", self.budget("busy"), 42)
        all_do(self.workers, "release")
        wait_until(lambda: self.budget("connections") == 18)
        got, errors = fourth.do("attempt", 3)
        self.phase("The three went on with all that is theirs; when they have let go, the fourth gets in")
        self.expect("connections of the fourth worker", got, 3)
        stop([fourth])
        self.rows("UPDATE pool_monitor.pools SET guard = 'off' WHERE name = 'ems'")
        wait_until(lambda: self.budget("connections") == 18)

    def stale(self):
        self.phase("Idle and stale: recycle age 5 s on both sides, grace 1 s and idle limit 3 s, for the show")
        self.rows(
            "UPDATE pool_monitor.pools SET pool_recycle = '5 s', recycle_grace = '1 s', idle_limit = '3 s'"
        )
        all_do(self.workers, "recycle", 5)
        wait_until(lambda: self.budget("stale") == 18)
        self.show(BUDGETS)
        self.show(
            "SELECT pid, application_name, state, date_trunc('second', age) AS age,"
            " date_trunc('second', idle_for) AS idle_for, over_age, stale, idle_over_limit, keep_reason"
            " FROM pool_monitor.sessions WHERE pool = 'ems' ORDER BY age DESC LIMIT 4"
        )
        self.expect("stale", self.budget("stale"), 18)
        self.phase("What a clean-up would do: recycle() is a dry run")
        self.show("SELECT action, reason, count(*) FROM pool_monitor.recycle() GROUP BY 1, 2")

    def retire(self):
        self.phase("The owner lets the worker retire them; the application goes on meanwhile")
        old = [row[0] for row in self.rows("SELECT pid FROM pool_monitor.sessions WHERE pool = 'ems'")]
        all_do(self.workers, "trickle", 0.4)
        print("  UPDATE pool_monitor.pools SET recycle_mode = 'terminate'")
        self.rows("UPDATE pool_monitor.pools SET recycle_mode = 'terminate'")
        gone = wait_until(
            lambda: self.value(
                f"SELECT count(*) FROM pool_monitor.sessions WHERE pid = ANY (ARRAY{old})"
            )
            == 0
        )
        time.sleep(2)
        counts = all_do(self.workers, "count")
        statements = sum(c[0] for c in counts)
        errors = sum(c[1] for c in counts)
        self.show(BUDGETS)
        print(
            f"  retired by the server: {self.retired()}; the others the application replaced itself,"
            " at their next checkout"
        )
        print(f"  statements of the application meanwhile: {statements}, errors: {errors}")
        self.expect("all 18 stale sessions gone", gone, True)
        self.expect("errors", errors, 0)
        self.expect("some retired", self.retired() > 0, True)
        self.expect("the application did something", statements > 0, True)

    def server_log(self):
        self.phase("What the server log says of all that")
        for line in self.log_lines():
            print("  " + line)
        stop(self.workers)

    def four_databases(self):
        self.phase("Part two: four databases, a pool of 5 + 10 for each")
        names = ["main", "telehealth", "fire", "hems"]
        self.rows("DELETE FROM pool_monitor.pools")
        for name in names:
            self.rows(f"CREATE DATABASE {name}")
            self.rows(
                f"INSERT INTO pool_monitor.pools (name, datname, pool_size, max_overflow)"
                f" VALUES ('{name}', '{name}', 5, 10)"
            )
        workers = {name: Process(self.dsn(name, "app"), f"{name}-api", 5, 10) for name in names}
        all_do(workers.values(), "rest")
        wait_until(lambda: self.value("SELECT count(*) FROM pool_monitor.budgets") == 4)
        workers["fire"].do("burst", 15)
        workers["hems"].do("burst", 8)
        self.show(BUDGETS)
        self.show(
            "SELECT max_connections, usable, connection_budget, declared_base, declared_ceiling,"
            " connections, undeclared, available, peak_connections, refused, status FROM pool_monitor.server"
        )
        self.expect("fire", self.budget("status", "fire"), "exhausted")
        self.expect("hems", self.budget("status", "hems"), "overflow")
        self.expect("main", self.budget("connections", "main"), 5)
        self.expect("ceilings", self.value("SELECT declared_ceiling FROM pool_monitor.server"), 60)
        all_do([workers["fire"], workers["hems"]], "release")
        stop(workers.values())

    def report(self):
        self.phase("The connections of these minutes, as a plot; and all of it as a page")
        for (line,) in self.rows("SELECT chart FROM pool_monitor.chart('(server)', '6 min', 98, ascii => true)"):
            print("  " + line)
        page = self.value("SELECT pool_monitor.report('15 min')")
        with open(os.path.join(self.folder, "report.html"), "w", encoding="ascii") as file:
            file.write(page)
        self.expect("the page", page.startswith("<!DOCTYPE html>") and "</html>" in page, True)

    # -- the server log --

    def log_lines(self):
        with open(self.log, encoding="utf-8") as file:
            lines = file.read().splitlines()
        return [re.sub(r"^.*?LOG:", "LOG:", line) for line in lines if 'LOG:  pool "' in line]

    def wait_for_log(self, text):
        seen = wait_until(lambda: any(text in line for line in self.log_lines()))
        self.expect(f'"{text}" in the log', seen, True)

    def retired(self):
        return sum("session retired: PID" in line for line in self.log_lines())

    def run(self):
        self.install()
        self.at_rest()
        self.burst()
        self.fourth_worker()
        self.guard()
        self.stale()
        self.retire()
        self.server_log()
        self.four_databases()
        self.report()
        self.phase("Done." if not self.failed else "Not everything was as it should be.")
        return 1 if self.failed else 0


try:
    sys.exit(Demo(sys.argv[1], sys.argv[2]).run())
except KeyboardInterrupt:
    sys.exit(130)
