--
-- The schedule: windows, and the pace at which sessions are retired
--

CREATE FUNCTION pool_monitor.window_is_valid(recycle_window text) RETURNS bool
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_window_is_valid';
COMMENT ON FUNCTION pool_monitor.window_is_valid(text) IS
'can it be read as a recycle_window?';

CREATE FUNCTION pool_monitor.in_window(recycle_window text, at timestamptz DEFAULT pg_catalog.now()) RETURNS bool
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_in_window';
COMMENT ON FUNCTION pool_monitor.in_window(text, timestamptz) IS
'Is the moment inside the daily window (HH:MM-HH:MM and a time zone, over midnight when it ends before it begins; '
'the end is outside)? NULL for an infinite moment. Raises an error when the window cannot be read.';

CREATE FUNCTION pool_monitor.retirement_gap(lifetime interval, connections int) RETURNS interval
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_retirement_gap_sql';
COMMENT ON FUNCTION pool_monitor.retirement_gap(interval, int) IS
'The least time between two sessions of one pool that are retired on schedule: lifetime / connections, where '
'lifetime is pool_recycle (idle_limit for what shrink_idle retires) and connections the ceiling, else the budget, '
'else base or the connections it has, whichever is more; a month counts as 30 days, a year as 365.25. Raises an '
'error when the lifetime is negative or connections less than 1.';
