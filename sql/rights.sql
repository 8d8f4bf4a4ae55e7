-- Who may do what. Runs against any server, as a superuser.
SET client_min_messages = error;
CREATE EXTENSION pool_monitor;
CREATE ROLE regress_pm_nobody;
CREATE ROLE regress_pm_stats IN ROLE pg_read_all_stats;
CREATE ROLE regress_pm_signal IN ROLE pg_signal_backend;

-- what is for PUBLIC
SELECT c.relname, has_table_privilege('regress_pm_nobody', c.oid, 'SELECT') AS nobody,
	has_table_privilege('regress_pm_stats', c.oid, 'SELECT') AS stats,
	has_table_privilege('regress_pm_stats', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS stats_writes,
	has_table_privilege('pg_monitor', c.oid, 'SELECT') AS monitor
FROM pg_class c WHERE c.relnamespace = 'pool_monitor'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY 1;
SELECT p.oid::regprocedure AS function, has_function_privilege('regress_pm_nobody', p.oid, 'EXECUTE') AS nobody,
	has_function_privilege('regress_pm_stats', p.oid, 'EXECUTE') AS stats,
	has_function_privilege('regress_pm_signal', p.oid, 'EXECUTE') AS signal
FROM pg_proc p WHERE p.pronamespace = 'pool_monitor'::regnamespace ORDER BY p.oid::regprocedure::text COLLATE "C";

-- a role that may not see other roles' sessions
SET ROLE regress_pm_nobody;
SELECT pid = pg_backend_pid() AS pid, usename IS NOT NULL AS usename, application_name IS NOT NULL AS application_name,
	num_nulls(backend_start, client_addr, state, age, idle_for, xact_age, over_age, stale, idle_over_limit, leak_suspect,
		keep_reason) AS hidden
FROM pool_monitor.sessions WHERE pid = pg_backend_pid();
SELECT connections > 0 AS connections,
	num_nulls(active, idle, idle_in_transaction, idle_in_transaction_aborted, busy, stale, idle_over_limit, leak_suspects,
		client_hosts, oldest, longest_idle) AS hidden
FROM pool_monitor.applications WHERE application_name = current_setting('application_name');
SELECT * FROM pool_monitor.budgets;
SELECT * FROM pool_monitor.server;
SELECT * FROM pool_monitor.pool_stats;
SELECT * FROM pool_monitor.history;
SELECT * FROM pool_monitor.history();
SELECT * FROM pool_monitor.workload();
SELECT * FROM pool_monitor.events;
SELECT pool_monitor.reset();
SELECT * FROM pool_monitor.pools;
INSERT INTO pool_monitor.pools (name) VALUES ('mine');
SELECT * FROM pool_monitor.recycle();
SELECT * FROM pool_monitor.recycle(dry_run => false);
SELECT pool_monitor.reload();
RESET ROLE;

-- with pg_read_all_stats
SET ROLE regress_pm_stats;
SELECT num_nulls(backend_start, state, age, over_age) AS hidden FROM pool_monitor.sessions WHERE pid = pg_backend_pid();
SELECT count(*) FROM pool_monitor.pools;
INSERT INTO pool_monitor.pools (name) VALUES ('mine');
RESET ROLE;

-- not even its owner is tricked by what stands first in search_path
CREATE SCHEMA regress_pm_trap;
CREATE FUNCTION regress_pm_trap.count() RETURNS bigint LANGUAGE sql AS 'SELECT 1/0::bigint';
CREATE FUNCTION regress_pm_trap.round(numeric, int) RETURNS numeric LANGUAGE sql AS 'SELECT 1/0::numeric';
CREATE FUNCTION regress_pm_trap.cmp(text, text) RETURNS bool LANGUAGE sql AS 'SELECT 1/0 = 1';
CREATE OPERATOR regress_pm_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_pm_trap.cmp);
SET search_path = regress_pm_trap, pg_catalog;
INSERT INTO pool_monitor.pools (name) VALUES ('safe');
SELECT connections > 0 AS works FROM pool_monitor.applications LIMIT 1;
RESET search_path;
DROP SCHEMA regress_pm_trap CASCADE;

DROP EXTENSION pool_monitor;
DROP ROLE regress_pm_nobody, regress_pm_stats, regress_pm_signal;

-- only a superuser may create it
CREATE ROLE regress_pm_nobody;
SET ROLE regress_pm_nobody;
CREATE EXTENSION pool_monitor;
RESET ROLE;
DROP ROLE regress_pm_nobody;
