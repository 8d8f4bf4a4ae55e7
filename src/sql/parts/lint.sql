--
-- Declarations, checked
--

CREATE FUNCTION pool_monitor.which_pool(
	application_name text, datname text, usename text, client_addr inet DEFAULT NULL,
	OUT pool text, OUT others text[]
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1
	AS 'MODULE_PATHNAME', 'pm_which_pool';
COMMENT ON FUNCTION pool_monitor.which_pool(text, text, text, inet) IS
'Which pool takes a session with these names, by the declarations in force: one row. pool: NULL, none does; others: '
'those that would have taken it if that were not there, in matching order. Names as sessions shows them, cut at 63 '
'bytes; a NULL name is matched only by what takes any, a NULL address is a Unix-domain socket. Needs '
'shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.lint(
	unmatched_after interval DEFAULT interval '1 hour',
	OUT pool text, OUT rule text, OUT finding text, OUT evidence text, OUT recommendation text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10
	AS 'MODULE_PATHNAME', 'pm_lint_sql';
COMMENT ON FUNCTION pool_monitor.lint(interval) IS
'What is odd about the declarations in force, one row for each finding, none when all is well; also a WARNING of an '
'INSERT into pools, an UPDATE, and reload(). rule: shadowed (an earlier pool takes all of it), duplicate (and asks for '
'the same), catch_all (takes every session, before others), glob (* or ? in a LIKE pattern without %), no_database, '
'no_role, budget (above the usable connections), ceilings (all budgets with the largest surge are; of no pool), '
'guard_without_limit, guard_off (what it asks for has no effect), guard_burst (nor has connect_burst without connect_rate), '
'guard_reserve (more reserved than base), guard_by_name (enforced by application_name alone), guard_reserves (of all '
'together, those tried out too, more than 80 % of what can be reserved; of no pool), guard_undeclared (undeclared_guard without '
'undeclared_budget and undeclared_connect_rate; of no pool), guard_disabled (guards, and guard_enabled off; of no pool), '
'unmatched (no session since its counters began, unmatched_after ago or longer; NULL is an error; not on a standby). Needs '
'shared_preload_libraries, and pg_read_all_stats.';
