--
-- What connections cost in memory
--

CREATE FUNCTION pool_monitor.memory(
	OUT pool text, OUT application_name text, OUT datname name, OUT usename name,
	OUT sessions int, OUT idle int, OUT bytes bigint, OUT idle_bytes bigint, OUT measured int
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_memory';
COMMENT ON FUNCTION pool_monitor.memory() IS
'What the sessions of each declared pool, and of each other application (then pool is NULL), hold of the machine''s '
'memory for themselves alone, without shared buffers: RssAnon of their processes. idle: how many of sessions are idle, '
'idle_bytes what these hold. Of each kind, idle and not, 100 at most are measured and stand for the rest: measured '
'less than sessions says that the bytes are extrapolated. NULL: none could be measured. Only sessions that the caller '
'may see are in it. Takes some 20 us for each that is measured.';

CREATE FUNCTION pool_monitor.idle_memory(
	OUT pool text, OUT idle int, OUT bytes bigint, OUT measured int, OUT measured_at timestamptz
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_idle_memory';
COMMENT ON FUNCTION pool_monitor.idle_memory() IS
'The idle sessions of each declared pool and what they hold, as in memory(); measured once a minute at most, for '
'everybody (measured_at says when). Needs shared_preload_libraries, and pg_read_all_stats.';
