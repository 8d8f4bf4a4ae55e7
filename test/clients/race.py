"""Clients at work while their sessions are asked to end, or are terminated.

usage: race.py SOCKET_DIR PORT CLIENTS SECONDS REQUESTS hand|schedule|terminate

Runs for SECONDS, and on until there were REQUESTS requests, but no longer than
six times as long. What is done to the clients:

  hand       a session calls pool_monitor.recycle() for all that is idle, all the
             time
  schedule   the worker asks, which looks for idle sessions every 100 ms, and then
             asks one of each pool after the other
  terminate  what tools do without pool_monitor: list the sessions that
             pg_stat_activity shows as idle, and call pg_terminate_backend() on each

Each client is a process with one connection, and of one kind: a way to work (WORK,
below), over TCP with SSL, or without SSL over TCP or a Unix-domain socket. Its
application_name is the name of the kind, which is a declared pool. It does one
transaction after the other, with pauses of up to 2 ms between and within them. One
that it was not told is committed it does again, in a new connection if the
session is gone. Some sessions hold a session-level lock for a while, which no
retirement may take away. Older sessions in each pool, which decline because they
LISTEN, are asked first: so between the look that finds a client's session idle and
the request to it goes time enough to begin something.

Each statement calls race.step(), which advances a sequence as its first step,
sleeps or not, and advances another one as its last; no rollback takes that back. So a
statement is "begun" when it has taken its first step. (Whoever ends a session
after the server has read a message and before that step leaves a STATEMENT line in
the server log.) A transaction is begun when its first statement is, and committed
when there is a row for it in race.done. A commit is begun when a deferred trigger
advances a third sequence, from inside of it.

Prints one line of name=number pairs for each kind, and one for all:
  clients       that many
  connects      sessions
  encrypted     of these, those with SSL
  requests      sessions that were asked, or terminated
  retired       of these, those that said yes
  declined      those that said no
  terminated    those that were not asked
  other_ends    sessions that ended, but neither so nor by the client
  statements    begun
  cut           of these, not finished
  transactions  begun
  committed     of which the client was told that they are committed
  rolled_back   of which the client was told that they are, as it wanted
  lost          begun, and neither in race.done nor rolled back by the client
  missing       committed by what the client was told, but not in race.done
  untold        in race.done, but the client was told of an error
  broken        explicit transactions that got an error after their BEGIN was answered
  commits_cut   commits begun and not finished
  pinned_lost   sessions that ended while they held a lock, or listened
  turned_away   transactions that met the end of the session, by what the client
                was told; the columns above say what had begun of them
  unexpected    errors that were not the end of a session; their texts follow
then a line with the seconds it took, and the reasons of those that declined. The
sessions that LISTEN are in no number but those of lost and unexpected ones.
"""

import collections
import logging
import multiprocessing
import random
import sys
import threading
import time
import traceback

import psycopg
import psycopg2

PAUSES = (0, 0, 0.0005, 0.001, 0.002)  # s
ROLLBACKS = 0.2  # of explicit transactions
LOCKS = 0.3  # of connections
LOCKED_FOR = 20  # transactions at most
LISTENERS = {"hand": 10, "schedule": 1, "terminate": 0}  # in each pool
LONGEST = 6  # times SECONDS
PATIENCE = 60  # s; for a connection, or an end
LOOK = 0.2  # s; between two looks whether it is enough

TRACES = ("statements_begun", "statements_finished", "transactions_begun", "commits_begun")

SETUP = """
DROP SCHEMA IF EXISTS race CASCADE;
CREATE SCHEMA race;
GRANT USAGE ON SCHEMA race TO PUBLIC;
CREATE TABLE race.done (client int NOT NULL, number int NOT NULL);
GRANT INSERT ON race.done TO PUBLIC;

CREATE FUNCTION race.trace(what text, client int) RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM nextval(format('race.%s_%s', what, client)); END $$;

CREATE FUNCTION race.step(client int, number int, first bool) RETURNS int LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM race.trace('statements_begun', client);
    IF first THEN
        PERFORM race.trace('transactions_begun', client);
        INSERT INTO race.done VALUES (client, number);
    END IF;
    IF random() < 0.5 THEN
        PERFORM pg_sleep(0.001);
    END IF;
    PERFORM race.trace('statements_finished', client);
    RETURN number;
END $$;

CREATE FUNCTION race.at_commit() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM race.trace('commits_begun', NEW.client);
    IF random() < 0.5 THEN
        PERFORM pg_sleep(0.001);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON race.done
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION race.at_commit();
"""

# No sane pool recycles after a millisecond, and the table says so; here it means
# that every session is asked, again and again. And none is so large: it may then
# reconnect as fast as it likes, and be asked on schedule as fast as the worker can.
DECLARE = """
ALTER TABLE pool_monitor.pools
    DROP CONSTRAINT IF EXISTS "pool_recycle must be NULL (never), or 1 second to 365 days";
DELETE FROM pool_monitor.pools;
INSERT INTO pool_monitor.pools
    (name, application_name, pool_size, pool_recycle, recycle_grace)
    SELECT kind, kind, 100000, '1 ms', '0' FROM unnest(%s) AS kind;
"""

RETIRE = "SELECT count(*) FROM pool_monitor.recycle(dry_run => false)"

IDLE = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'race %' AND state = 'idle'"

STATS = """
SELECT coalesce(sum(retired), 0) AS retired,
    coalesce(sum(declined - coalesce((declined_reasons->>'listening')::int, 0)), 0) AS declined,
    coalesce(sum(ended_killed), 0) AS terminated,
    coalesce(sum(disconnects - ended_client - retired - ended_killed), 0) AS other_ends
FROM pool_monitor.pool_stats WHERE pool LIKE %s
"""

REASONS = """
SELECT key, sum(value::int) FROM pool_monitor.pool_stats, jsonb_each_text(declined_reasons)
WHERE pool LIKE 'race %' AND key <> 'listening' GROUP BY key ORDER BY 2 DESC
"""

MISSING = """
SELECT count(*) FROM generate_series(1, %s) AS number
WHERE NOT EXISTS (SELECT FROM race.done WHERE client = %s AND done.number = number.number)
"""

COLUMNS = (
    "clients connects encrypted requests retired declined terminated other_ends"
    " statements cut transactions committed rolled_back lost missing untold broken commits_cut"
    " pinned_lost turned_away unexpected"
).split()


# ---- the clients ----


class Client:
    """One connection, and the transactions that it does."""

    def __init__(self, number, kind, dsn, stop):
        self.number = number
        self.dsn = f"{dsn} application_name='{kind.name}'"
        self.driver, self.work = kind.driver, kind.work
        self.stop = stop
        self.told = collections.Counter(clients=1)
        self.unexpected = []

    def run(self):
        self.connect()
        while not self.stop.is_set():
            try:
                self.take_or_leave_lock()
                self.work(self)
            except self.driver.Error as error:
                self.note(error)
                self.conn.close()
                self.connect()
            self.pause()
        self.conn.close()

    def connect(self):
        self.conn = connect(self.driver, self.dsn)
        self.told["connects"] += 1
        self.fresh = True
        self.lock_for = 0
        self.in_block = False
        if self.driver is psycopg:
            self.conn.prepare_threshold = 0
            self.told["encrypted"] += self.conn.pgconn.ssl_in_use
        else:
            self.told["encrypted"] += self.conn.info.ssl_in_use

    def note(self, error):
        self.told["turned_away"] += 1
        self.told["pinned_lost"] += self.lock_for > 0
        self.told["broken"] += self.in_block
        if not self.conn.closed and "57P01" not in states(error):
            self.unexpected.append(f"{type(error).__name__}: {error}")

    def pause(self):
        time.sleep(random.choice(PAUSES))

    def take_or_leave_lock(self):
        if self.lock_for > 1:
            self.lock_for -= 1
        elif self.lock_for == 1:
            self.execute("SELECT pg_advisory_unlock(%s)", (self.number,))
            self.lock_for = 0
        elif self.fresh and random.random() < LOCKS:
            self.execute("SELECT pg_advisory_lock(%s)", (self.number,))
            self.lock_for = random.randint(1, LOCKED_FOR)
        self.fresh = False

    # what its work is made of

    def execute(self, statement, values=None):
        cur = self.conn.cursor()
        cur.execute(statement, values)
        return cur

    def step(self, first):
        number = self.told["committed"] + 1
        return self.execute("SELECT race.step(%s, %s, %s)", (self.number, number, first))

    def committed(self):
        self.told["committed"] += 1

    def roll_back(self):
        """With psycopg not by a cursor, which sends a DEALLOCATE ALL of its own after it."""
        if self.driver is psycopg:
            expect(self.conn.pgconn.exec_(b"ROLLBACK"), "COMMAND_OK")
        else:
            self.execute("ROLLBACK")
        self.told["rolled_back"] += 1


def connect(driver, dsn):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            conn = driver.connect(dsn)
            conn.autocommit = True
            return conn
        except driver.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def states(error):
    """The SQLSTATEs of an error and of those that it came after, as in psycopg's pipelines."""
    while error is not None:
        yield getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
        error = error.__context__


def one_statement(client):
    client.step(True)
    client.committed()


def block(client):
    """An explicit transaction, with pauses within."""
    client.execute("BEGIN")
    client.in_block = True
    client.step(True)
    client.pause()
    client.step(False)
    client.pause()
    if random.random() < ROLLBACKS:
        client.roll_back()
    else:
        client.execute("COMMIT")
        client.committed()
    client.in_block = False


def pipelined(client):
    random.choice(PIPELINES)(client)


def pipeline_at_once(client):
    """An implicit transaction of three statements, sent without waiting."""
    with client.conn.pipeline():
        client.step(True)
        client.step(False)
        client.step(False)
    client.committed()


def pipeline_with_pause(client):
    """The same, but the first one's result is waited for before the rest is sent."""
    with client.conn.pipeline():
        client.step(True).fetchone()
        client.pause()
        client.step(False)
        client.step(False)
    client.committed()


def pipeline_of_block(client):
    """An explicit transaction, sent without waiting."""
    with client.conn.pipeline():
        client.execute("BEGIN")
        client.step(True)
        client.step(False)
        client.execute("COMMIT")
    client.committed()


def pipeline_of_two(client):
    """
    Two implicit transactions with a sync point between, sent without waiting: the
    second may be turned away alone. By libpq itself, because psycopg waits at each
    sync point.
    """
    pgconn = client.conn.pgconn
    next_one = client.told["committed"] + 1
    pgconn.enter_pipeline_mode()
    for number in (next_one, next_one + 1):
        for first in (b"true", b"false"):
            values = [b"%d" % client.number, b"%d" % number, first]
            pgconn.send_query_params(b"SELECT race.step($1, $2, $3)", values)
        pgconn.pipeline_sync()
    for _ in range(2):
        for status in ("TUPLES_OK", None, "TUPLES_OK", None, "PIPELINE_SYNC"):
            expect(pgconn.get_result(), status)
        client.committed()
    pgconn.exit_pipeline_mode()


def expect(result, status):
    got = None if result is None else psycopg.pq.ExecStatus(result.status).name
    if got == "FATAL_ERROR":
        raise psycopg.errors.error_from_result(result)
    if got != status:
        raise psycopg.InterfaceError(f"{got} instead of {status}")


PIPELINES = (pipeline_at_once, pipeline_with_pause, pipeline_of_block, pipeline_of_two)

WORK = {
    "simple": (psycopg2, one_statement),  # the simple protocol
    "prepared": (psycopg, one_statement),  # the extended one, prepared statements
    "pipeline": (psycopg, pipelined),
    "block": (psycopg2, block),
    "prepared block": (psycopg, block),
}
Kind = collections.namedtuple("Kind", "name driver work encrypted")
KINDS = [
    Kind(f"race {name}, {'SSL' if encrypted else 'plain'}", *work, encrypted)
    for name, work in WORK.items()
    for encrypted in (True, False)
]


def kind_of(number):
    return KINDS[number % len(KINDS)]


def client_process(client, results):
    logging.disable(logging.WARNING)  # psycopg's, about errors that it raises too
    try:
        client.run()
    except Exception:
        client.unexpected.append(traceback.format_exc())
    client.told["unexpected"] = len(client.unexpected)
    results.put((client.number, client.told, client.unexpected))


def dsn_of(number, folder, port):
    if kind_of(number).encrypted:
        way = "host=127.0.0.1 sslmode=require"
    elif number // 2 % 2:
        way = "host=127.0.0.1 sslmode=disable"
    else:
        way = f"host={folder}"
    return f"{way} port={port} dbname=postgres user=app"


class Clients:
    """All of them, forked from this process."""

    def __init__(self, folder, port, number):
        context = multiprocessing.get_context("fork")
        self.stop_event, self.results = context.Event(), context.Queue()
        self.processes = []
        for i in range(number):
            client = Client(i, kind_of(i), dsn_of(i, folder, port), self.stop_event)
            arguments = (client, self.results)
            process = context.Process(target=client_process, args=arguments, daemon=True)
            process.start()
            self.processes.append(process)

    def stop(self):
        """For each client what it was told, and all unexpected errors."""
        self.stop_event.set()
        told, complaints = {}, []
        for _ in self.processes:
            number, counts, unexpected = self.results.get(timeout=2 * PATIENCE)
            told[number] = counts
            complaints += [f"unexpected, {kind_of(number).name}: {text}" for text in unexpected]
        for process in self.processes:
            process.join()
        return told, complaints


class Listeners:
    """Sessions that decline, older than the clients'."""

    def __init__(self, folder, port, number):
        self.conns = []
        for i, kind in enumerate(KINDS * number):
            conn = connect(psycopg2, f"{dsn_of(i, folder, port)} application_name='{kind.name}'")
            conn.cursor().execute("LISTEN nothing")
            self.conns.append(conn)

    def close(self):
        """How many of them were lost."""
        lost = 0
        for conn in self.conns:
            try:
                conn.cursor().execute("SELECT 1")
            except psycopg2.Error:
                lost += 1
            conn.close()
        return lost


# ---- what is done to them ----


def retire(cur, stop):
    cur.execute(RETIRE)
    stop.wait(0.001)


def terminate(cur, stop):
    cur.execute(IDLE)
    for row in cur.fetchall():
        cur.execute("SELECT pg_terminate_backend(%s)", row)
    stop.wait(0.02)


def ask_on_schedule(cur, stop):
    """Once: it is the worker that asks."""
    cur.execute("UPDATE pool_monitor.pools SET recycle_mode = 'terminate'")
    stop.wait()


def start_requests(how, dsn, stop):
    """The thread that makes them, in a session of its own."""
    what = {"hand": retire, "schedule": ask_on_schedule, "terminate": terminate}[how]

    def repeat():
        cur = connect(psycopg2, dsn).cursor()
        while not stop.is_set():
            what(cur, stop)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    return thread


def wait_for_requests(cur, thread, seconds, wanted):
    """Until it is enough, or too long; returns after how many seconds."""
    begin = time.monotonic()
    while True:
        time.sleep(LOOK)
        if not thread.is_alive():
            sys.exit("there are no more requests")
        passed = time.monotonic() - begin
        if passed >= LONGEST * seconds:
            return passed
        if passed >= seconds and stats(cur, "race %")["requests"] >= wanted:
            return passed


# ---- what came of it ----


def value(cur, statement, values=None):
    cur.execute(statement, values)
    return cur.fetchone()[0]


def counts_of(cur, number, told):
    """What the traces of one client say, beside what it was told."""

    def trace(what):
        sequence = f"race.{what}_{number}"
        return value(cur, f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")

    n = collections.Counter(told)
    rows = value(cur, "SELECT count(*) FROM race.done WHERE client = %s", (number,))
    n["statements"] = trace("statements_begun")
    n["cut"] = n["statements"] - trace("statements_finished")
    n["transactions"] = trace("transactions_begun")
    n["lost"] = n["transactions"] - rows - told["rolled_back"]
    n["missing"] = value(cur, MISSING, (told["committed"], number))
    n["untold"] = rows - told["committed"] + n["missing"]
    n["commits_cut"] = trace("commits_begun") - rows
    return n


def stats(cur, pools):
    cur.execute(STATS, (pools,))
    n = {column.name: int(number) for column, number in zip(cur.description, cur.fetchone())}
    n["requests"] = n["retired"] + n["declined"] + n["terminated"]
    return n


def report(name, counts):
    print(f"{name}: " + " ".join(f"{column}={counts[column]}" for column in COLUMNS))


def report_all(cur, told, listeners_lost):
    total = collections.Counter(pinned_lost=listeners_lost)
    for place, kind in enumerate(KINDS[: len(told)]):
        counts = collections.Counter(stats(cur, kind.name))
        for number in range(place, len(told), len(KINDS)):
            counts.update(counts_of(cur, number, told[number]))
        report(kind.name, counts)
        total.update(counts)
    report("all", total)


def setup(cur, clients):
    cur.execute(SETUP)
    for i in range(clients):
        for what in TRACES:
            cur.execute(f"CREATE SEQUENCE race.{what}_{i}")
    cur.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA race TO PUBLIC")
    cur.execute(DECLARE, ([kind.name for kind in KINDS],))
    cur.execute("SELECT pool_monitor.reload()")
    cur.execute("SELECT pool_monitor.reset()")


def wait_until_gone(cur):
    deadline = time.monotonic() + PATIENCE
    while value(cur, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'race %'"):
        if time.monotonic() > deadline:
            sys.exit("sessions of the clients are still there")
        time.sleep(0.01)


def main():
    folder, port, how = sys.argv[1], sys.argv[2], sys.argv[6]
    number, seconds, wanted = int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    dsn = f"host={folder} port={port} dbname=postgres application_name=admin"
    admin = connect(psycopg2, dsn)
    setup(admin.cursor(), number)
    admin.close()  # not to be shared with the clients

    listeners = Listeners(folder, port, LISTENERS[how])
    clients = Clients(folder, port, number)
    cur = connect(psycopg2, dsn).cursor()
    stop = threading.Event()
    requests = start_requests(how, dsn, stop)
    passed = wait_for_requests(cur, requests, seconds, wanted)
    stop.set()
    requests.join(PATIENCE)
    told, complaints = clients.stop()
    listeners_lost = listeners.close()

    wait_until_gone(cur)
    report_all(cur, told, listeners_lost)
    print(f"seconds={passed:.1f}")
    cur.execute(REASONS)
    for reason, count in cur.fetchall():
        print(f"{reason}: {count}")
    print("\n".join(complaints[:20]))


if __name__ == "__main__":
    main()
