"""paths.py FOLDER CONNECTION: lets somebody else's schema have all that pg_catalog has, and
come first in search_path; prints each statement of the files for collectors that would use
something of it, and what. Then how many statements there were, and how many things."""

import pathlib
import sys

import psycopg2

from statements import statements

# one of everything, by its own name; what cannot be copied is of no use to an attacker either
TRAP = """
CREATE SCHEMA trap;
DO $$
DECLARE
	made text;
BEGIN
	FOR made IN
		SELECT regexp_replace(pg_get_functiondef(p.oid), 'pg_catalog[.]', 'trap.') FROM pg_proc AS p
			WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
		UNION ALL
		SELECT format('CREATE OPERATOR trap.%s (FUNCTION = %s', o.oprname, o.oprcode)
				|| CASE WHEN o.oprleft <> 0 THEN format(', LEFTARG = %s', o.oprleft::regtype) ELSE '' END
				|| format(', RIGHTARG = %s)', o.oprright::regtype)
			FROM pg_operator AS o WHERE o.oprnamespace = 'pg_catalog'::regnamespace
		UNION ALL
		SELECT format('CREATE DOMAIN trap.%I AS pg_catalog.%I', t.typname, t.typname)
			FROM pg_type AS t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typelem = 0
		UNION ALL
		SELECT format('CREATE VIEW trap.%I AS SELECT * FROM pg_catalog.%I', c.relname, c.relname)
			FROM pg_class AS c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
	LOOP
		BEGIN
			EXECUTE made;
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
END
$$;
"""

CAUGHT = """
SELECT DISTINCT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0)
FROM pg_catalog.pg_depend AS d, pg_catalog.pg_rewrite AS r, LATERAL (
	SELECT p.pronamespace AS namespace FROM pg_catalog.pg_proc AS p WHERE (p.oid, d.refclassid) = (d.refobjid, 'pg_catalog.pg_proc'::regclass)
	UNION ALL SELECT o.oprnamespace FROM pg_catalog.pg_operator AS o
		WHERE (o.oid, d.refclassid) = (d.refobjid, 'pg_catalog.pg_operator'::regclass)
	UNION ALL SELECT t.typnamespace FROM pg_catalog.pg_type AS t WHERE (t.oid, d.refclassid) = (d.refobjid, 'pg_catalog.pg_type'::regclass)
	UNION ALL SELECT c.relnamespace FROM pg_catalog.pg_class AS c
		WHERE (c.oid, d.refclassid) = (d.refobjid, 'pg_catalog.pg_class'::regclass)) AS n
WHERE r.ev_class = 'public.looked'::regclass AND d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
	AND n.namespace = 'trap'::regnamespace
ORDER BY 1
"""


def caught(cursor, sql):
    """What of the trap it would use, if somebody asked it with that search_path."""
    cursor.execute("SET search_path = trap, pg_catalog")
    cursor.execute(f"CREATE VIEW public.looked AS {sql}")
    cursor.execute("SET search_path = pg_catalog")
    cursor.execute(CAUGHT)
    found = [row[0] for row in cursor.fetchall()]
    cursor.execute("DROP VIEW public.looked")
    return found


def main(folder, dsn):
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    count = 0
    with connection.cursor() as cursor:
        cursor.execute(TRAP)
        for sql in ("SELECT 1 + 1", "SELECT lower('A')", "SELECT 'a'::text", "SELECT oid FROM pg_class", "SELECT CASE 1 WHEN 1 THEN 1 END"):
            if not caught(cursor, sql):
                print(f"the trap misses {sql}")
        for name, sql, _ in statements(pathlib.Path(folder)):
            count += 1
            for what in caught(cursor, sql.rstrip().rstrip(";")):
                print(f"{name}: {what}: {sql}")
    print(count)


main(*sys.argv[1:])
