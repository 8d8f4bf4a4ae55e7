--
-- Functions that act
--

CREATE FUNCTION pool_monitor.recycle(
	OUT pid int, OUT backend_start timestamptz, INOUT pool text DEFAULT NULL,
	dry_run bool DEFAULT true,
	OUT application_name text, OUT age interval, OUT idle_for interval,
	OUT action text, OUT reason text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10
	AS 'MODULE_PATHNAME', 'pm_recycle';
COMMENT ON FUNCTION pool_monitor.recycle(text, bool) IS
'Lists the over-age sessions of a pool (NULL: of all) that the caller may see, oldest first, with what would happen '
'to each (would_retire, that is, would be asked and may still decline; or kept with the reason); with dry_run => '
'false asks the stale ones to end themselves and waits up to 2 seconds for the answers (retired, or declined with '
'the reason). Leaves pools with recycle_mode off alone, and acts on report and terminate alike. Acting needs the '
'privileges of pg_signal_backend, and goes by the rows of pools as they stand, whoever wrote them; superusers'' '
'sessions are never retired. Waits for a change of the declarations that is being loaded. Raises an error when the '
'pool is not declared, or the declarations could not be loaded.';

CREATE FUNCTION pool_monitor.reload() RETURNS int
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pm_reload';
COMMENT ON FUNCTION pool_monitor.reload() IS
'Loads the declared pools, as they are committed, and waits up to 10 seconds for it, and up to 5 more until the guards '
'go by them: a WARNING when they do not yet. Returns the number of pools in force; raises an error that says why when '
'they cannot be loaded. With the privileges of pg_read_all_stats also warns of what lint() finds. Never necessary '
'after a committed change.';

CREATE FUNCTION pool_monitor.reset(pool text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pm_reset';
COMMENT ON FUNCTION pool_monitor.reset(text) IS
'Begins the counters, percentiles and peak of one declared pool, or of the discovered applications of one name in '
'whatever databases and roles, anew; with NULL those of all and of the server, and forgets the applications that have '
'no sessions. Leaves history and events alone. Sessions that are there count as taken_over. Raises '
'an error when there is no such name in pool_stats.';
