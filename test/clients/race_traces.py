"""The database's side of race.py: what the clients leave their traces in, and what these say."""

import collections

from race_work import KINDS

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


def setup(cur, clients):
    cur.execute(SETUP)
    for i in range(clients):
        for what in TRACES:
            cur.execute(f"CREATE SEQUENCE race.{what}_{i}")
    cur.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA race TO PUBLIC")
    cur.execute(DECLARE, ([kind.name for kind in KINDS],))
    cur.execute("SELECT pool_monitor.reload()")
    cur.execute("SELECT pool_monitor.reset()")


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


def report_reasons(cur):
    cur.execute(REASONS)
    for reason, count in cur.fetchall():
        print(f"{reason}: {count}")
