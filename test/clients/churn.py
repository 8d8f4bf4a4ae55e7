"""Sessions that end all the time, by themselves and retired.

usage: churn.py HOST PORT POOL SESSIONS CLIENTS IDLE ASKERS RECORD [reuse]

CLIENTS processes open SESSIONS sessions in all, one after the other, as role app
and application "POOL N", N being the client's number. Each runs a statement, is
idle for 0 to IDLE ms, perhaps runs another, and leaves with or without a goodbye,
if it was not retired before. Meanwhile ASKERS superusers call recycle(POOL, dry_run =>
false) all the time; they and the worker are stopped and continued now and then,
so that what they know of sessions is old when they act on it.

With "reuse" (in a process namespace that this user rules), every session and
every canary gets the lowest process ID that is free, so those of sessions that
have ended are taken at once. A canary is a process that is not PostgreSQL's and
that any signal ends, for a few ms.

Writes to RECORD, for each session "PID BACKEND_START HOW": the start in us since
1970, and how it ended: retired (57P01), client (goodbye), abandoned (no
goodbye), or whatever else was seen; and then "PID BACKEND_START gone" for each
that had ended when it was to be asked, as recycle() says. Prints lines of name=number pairs:
  statements       that were answered
  asked            sessions asked by recycle()
  gone             sessions that had ended when they were to be asked
  stops            stopped and continued
  heirs_sessions   sessions with the process ID of the session before
  heirs_canaries   canaries with the process ID of a session before
  signals          that canaries got
  detected         signals that a canary got when it was sent one on purpose
"""

import multiprocessing
import os
import queue
import random
import signal
import sys
import threading
import time

import psycopg2
import wire

WHO_AM_I = (
    "SELECT (extract(epoch FROM backend_start) * 1000000)::bigint"
    " FROM pg_stat_get_activity(pg_backend_pid())"
)
RECYCLE = (
    "SELECT count(*) FILTER (WHERE action <> 'kept'),"
    " array_agg(pid || ' ' || (extract(epoch FROM backend_start) * 1000000)::bigint)"
    " FILTER (WHERE reason = 'ended meanwhile')"
    " FROM pool_monitor.recycle(%s, dry_run => false)"
)
WORKER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'"
LAST_PID = "/proc/sys/kernel/ns_last_pid"
LOWEST_PID = 1000
CANARIES = 16

told_gone = []  # PID and start of each session that had ended, recycle() said

host, port, pool = sys.argv[1:4]
sessions, clients, idle_ms, askers = map(int, sys.argv[4:8])
record = sys.argv[8]
reuse = sys.argv[9:] == ["reuse"]


def take_lowest_pid_next():
    if reuse:
        with open(LAST_PID, "w") as file:
            file.write(str(LOWEST_PID))


# ---- the sessions ----


def use(session, count):
    """Some idle time, some work."""
    while not session.something_came(random.uniform(0, idle_ms / 1000)) and random.random() < 0.3:
        session.ask("SELECT 1")
        count["statements"] += 1


def leave(session):
    """How it ended, as the client sees it."""
    how = random.choice(["client", "client", "abandoned"])
    if how == "client":
        session.send(wire.TERMINATE)
    else:
        session.hang_up()
    state = session.end_of_it()
    return how if state is None else state


def one_session(name, count):
    take_lowest_pid_next()
    session = wire.Wire(host, port)
    start = None
    try:
        session.send(
            wire.startup(user="app", database="postgres", application_name=name),
            wire.query(WHO_AM_I),
        )
        session.until(b"Z")
        start = session.until(b"Z")[0][0]
        count["statements"] += 1
        use(session, count)
        how = leave(session)
    except wire.Ended as end:
        how = end.sqlstate or "closed"
    session.close()
    return session.pid, start, "retired" if how == "57P01" else how


def client(name, number, go, results):
    """(birth, pid, start, how) of each session, and what was counted."""
    count = {"statements": 0}
    done = []
    go.wait()
    for _ in range(number):
        before = time.monotonic()
        done.append((before, *one_session(name, count)))
    results.put((done, count))


# ---- who asks, and who disturbs ----


def connect():
    conn = psycopg2.connect(host=host, port=port, dbname="postgres", application_name="asker")
    conn.autocommit = True
    return conn


def ask_all_the_time(conn, stop, totals):
    cur = conn.cursor()
    while not stop.is_set():
        cur.execute(RECYCLE, (pool,))
        asked, gone = cur.fetchone()
        totals["asked"] += asked
        told_gone.extend(gone or [])


def disturb(pids, stop, totals):
    while not stop.is_set():
        pid = random.choice(pids)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(random.uniform(0, 0.01))
        os.kill(pid, signal.SIGCONT)
        totals["stops"] += 1
        time.sleep(random.uniform(0, 0.02))


# ---- canaries ----


def new_canary(seconds):
    """Any signal ends it, as long as it exists."""
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        os._exit(0)
    return pid


def signals_of(pid):
    return int(os.WIFSIGNALED(os.waitpid(pid, 0)[1]))


def canary_is_heard():
    pid = new_canary(3600)
    os.kill(pid, signal.SIGUSR2)
    return signals_of(pid)


def keep_canaries(stop, results):
    """Births of canaries, (time, pid), and the signals they got."""
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    living = []
    births = []
    signals = 0
    detected = canary_is_heard()
    while not stop.is_set():
        take_lowest_pid_next()
        before = time.monotonic()
        living.append(new_canary(random.uniform(0, 0.01)))
        births.append((before, living[-1]))
        if len(living) > CANARIES:
            signals += signals_of(living.pop(0))
        time.sleep(0.001)
    signals += sum(signals_of(pid) for pid in living)
    results.put((births, {"signals": signals, "detected": detected}))


def count_heirs(done, canaries):
    """Of those that took over a session's process ID, how many are of each kind."""
    born = [(*each[:2], "heirs_sessions") for each in done if each[1] is not None]
    born += [(*each, "heirs_canaries") for each in canaries]
    heirs = {"heirs_sessions": 0, "heirs_canaries": 0}
    last = {}
    for _, pid, kind in sorted(born):
        if last.get(pid) == "heirs_sessions":
            heirs[kind] += 1
        last[pid] = kind
    return heirs


# ---- all together ----


def start_process(work, *arguments):
    process = multiprocessing.Process(target=work, args=arguments)
    process.start()
    return process


def start_threads(stop, totals):
    """Those who ask, and the one who stops them and the worker."""
    conns = [connect() for _ in range(askers)]
    with connect() as conn, conn.cursor() as cur:
        cur.execute(WORKER)
        pids = [cur.fetchone()[0]] + [c.info.backend_pid for c in conns]
    threads = [threading.Thread(target=ask_all_the_time, args=(c, stop, totals)) for c in conns]
    threads.append(threading.Thread(target=disturb, args=(pids, stop, totals)))
    for thread in threads:
        thread.start()
    return threads


def write_record(done):
    with open(record, "w") as file:
        for _, pid, start, how in done:
            file.write(f"{pid} {start} {how}\n")
        for session in told_gone:
            file.write(f"{session} gone\n")


def look_after(processes):
    """Ends them all when one did not end well: its results would never come."""
    for process in processes:
        if process.exitcode:
            for each in processes:
                each.kill()
            sys.exit(f"process {process.pid} of the clients ended with {process.exitcode}")


def collect(results, processes):
    """What the clients report."""
    parts = []
    while len(parts) < clients:
        try:
            parts.append(results.get(timeout=1))
        except queue.Empty:
            look_after(processes)
    return parts


def main():
    go, stop = multiprocessing.Event(), multiprocessing.Event()
    results, found = multiprocessing.Queue(), multiprocessing.Queue()
    totals = {"asked": 0, "stops": 0}

    # processes before threads: a fork copies the locks that other threads hold
    shares = [sessions // clients + (i < sessions % clients) for i in range(clients)]
    processes = [
        start_process(client, f"{pool} {i}", share, go, results) for i, share in enumerate(shares)
    ]
    if reuse:
        processes.append(start_process(keep_canaries, stop, found))
    threads = start_threads(stop, totals)
    go.set()
    try:
        parts = collect(results, processes)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    canaries, more = found.get() if reuse else ([], {})
    for process in processes:
        process.join()

    done = [session for part in parts for session in part[0]]
    totals["statements"] = sum(part[1]["statements"] for part in parts)
    totals.update(more, gone=len(told_gone), canaries=len(canaries), **count_heirs(done, canaries))
    write_record(done)
    print(" ".join(f"{name}={number}" for name, number in totals.items()))


if __name__ == "__main__":
    main()
