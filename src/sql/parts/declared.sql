--
-- The declarations in force
--

CREATE FUNCTION pool_monitor.declared(
	OUT pool text, OUT servers int, OUT workers int, OUT pool_size int, OUT max_overflow int, OUT surge int,
	OUT pool_timeout interval, OUT pool_recycle interval, OUT pre_ping bool, OUT echo_pool bool,
	OUT idle_limit interval, OUT leak_threshold interval, OUT base bigint, OUT ceiling bigint, OUT surge_ceiling bigint, OUT budget bigint,
	OUT recycle_mode text, OUT recycle_grace interval, OUT shrink_idle bool,
	OUT has_budget bool, OUT by_usename bool, OUT by_client_addr bool, OUT sized_since timestamptz,
	OUT guard text, OUT reserved int, OUT connect_rate int, OUT asks_for_nothing bool
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_declared_pools';
COMMENT ON FUNCTION pool_monitor.declared() IS
'The declarations in force, as every database of the server sees them, in matching order. Columns as in pools; '
'surge_ceiling is the ceiling with the processes of a surge, and the budget where none was declared; has_budget: was one '
'declared?; by_usename, '
'by_client_addr: does it ask for a role or an address at all, so that not everybody can bear its name; sized_since: since '
'when base, ceiling and budget have been what they are, NULL as far back as it is known; '
'asks_for_nothing: has it no pattern, so that all are its own who are in no pool before it? Needs '
'shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.declarations_loaded() RETURNS bool
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'pm_declarations_loaded';
COMMENT ON FUNCTION pool_monitor.declarations_loaded() IS
'Have the declared pools been loaded since the server started? Until then the views know of none, whatever pools '
'says. Never NULL. Needs shared_preload_libraries, and pg_read_all_stats.';
