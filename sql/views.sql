-- The shape of the views, that everything a person sees is documented, and the
-- views that need no shared memory. Runs against any server.
SET client_min_messages = error;
CREATE EXTENSION pool_monitor;

SELECT c.relname, string_agg(a.attname, ', ' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'pool_monitor'::regnamespace AND c.relkind IN ('r', 'v')
GROUP BY 1 ORDER BY 1;

-- nothing without a comment
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'pool_monitor'::regnamespace AND c.relkind IN ('r', 'v')
	AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL);
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'pool_monitor'::regnamespace AND obj_description(p.oid) IS NULL;

-- the calling session
SET application_name = 'views test';
SELECT application_name, datname = current_database() AS datname, usename = session_user AS usename,
	connections, active, idle, busy, client_hosts, oldest >= '0' AS oldest, longest_idle
FROM pool_monitor.applications WHERE application_name = 'views test';
SELECT pid = pg_backend_pid() AS pid, application_name, state, age >= '0' AS age, idle_for,
	xact_age >= '0' AS xact_age, over_age, stale, idle_over_limit, leak_suspect, keep_reason IS NOT NULL AS kept
FROM pool_monitor.sessions WHERE pid = pg_backend_pid();
SELECT s.backend_start = a.backend_start AS backend_start, s.client_addr IS NOT DISTINCT FROM a.client_addr AS client_addr
FROM pool_monitor.sessions s JOIN pg_stat_activity a USING (pid) WHERE pid = pg_backend_pid();

-- "now" is the clock's, also inside a transaction
BEGIN;
SELECT pg_sleep(0.01);
SELECT xact_age >= '10 ms' AS moves_on FROM pool_monitor.sessions WHERE pid = pg_backend_pid();
COMMIT;

-- what an application may call itself
SET application_name = E'caf\xc3\xa9 \x01\t"quoted" ''too'' 100%';
SELECT s.application_name = a.application_name AS as_in_pg_stat_activity, octet_length(s.application_name) > 0 AS "not empty"
FROM pool_monitor.sessions s JOIN pg_stat_activity a USING (pid) WHERE pid = pg_backend_pid();
SELECT sum(connections) FROM pool_monitor.applications
WHERE application_name = current_setting('application_name');
SET application_name = '';
SELECT application_name, connections FROM pool_monitor.applications WHERE application_name = '' AND datname = current_database();
SET application_name = 'x234567890123456789012345678901234567890123456789012345678901234567890';
SELECT octet_length(application_name) FROM pool_monitor.sessions WHERE pid = pg_backend_pid();

-- the library speaks for the version that is installed
SELECT pool_monitor.version() = extversion AS same FROM pg_extension WHERE extname = 'pool_monitor';

DROP EXTENSION pool_monitor;
