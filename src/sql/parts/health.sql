--
-- Is the monitor itself well?
--

CREATE FUNCTION pool_monitor.health(
	OUT status text, OUT worker int, OUT last_sample timestamptz,
	OUT last_save timestamptz, OUT save_error text,
	OUT last_load timestamptz, OUT load_error text,
	OUT declared int, OUT in_force int, OUT max_pools int,
	OUT applications int, OUT max_applications int,
	OUT events int, OUT max_events int, OUT slots int, OUT max_slots int,
	OUT file_format int, OUT library_version text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1
	AS 'MODULE_PATHNAME', 'pm_health';
COMMENT ON FUNCTION pool_monitor.health() IS 'behind the view pool_monitor.health';

CREATE VIEW pool_monitor.health AS
	SELECT CASE WHEN h.status IN ('ok', 'statistics not saved') AND e.extversion <> h.library_version
			THEN 'versions differ' ELSE h.status END AS status,
		h.worker, h.last_sample, h.last_save, h.save_error, h.last_load, h.load_error, h.declared, h.in_force, h.max_pools,
		h.applications, h.max_applications, h.events, h.max_events, h.slots, h.max_slots,
		h.file_format, h.library_version, e.extversion AS sql_version
	FROM pool_monitor.health() AS h, pg_catalog.pg_extension AS e
	WHERE e.extname = 'pool_monitor';

COMMENT ON VIEW pool_monitor.health IS
'Is the monitor itself well? One row, in every state of it: without shared_preload_libraries all that is of shared '
'memory is NULL. Needs pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.health.status IS
'the gravest that holds: not preloaded; no worker; no samples (none for 10 s and three sample_interval); declarations '
'not loaded (load_error says why; what was loaded before is in force); too many pools (for max_pools); versions '
'differ (library_version and sql_version: ALTER EXTENSION UPDATE, or a restart); statistics not saved; ok';
COMMENT ON COLUMN pool_monitor.health.worker IS 'process ID of the worker; NULL: there is none';
COMMENT ON COLUMN pool_monitor.health.last_sample IS 'when it last counted the sessions; NULL: not since the server started';
COMMENT ON COLUMN pool_monitor.health.last_save IS
'when the file of statistics was last written; NULL: not since the server started';
COMMENT ON COLUMN pool_monitor.health.save_error IS 'why the last attempt to write it failed; NULL: it did not';
COMMENT ON COLUMN pool_monitor.health.last_load IS
'when the declarations were last loaded with success; NULL: not since the server started';
COMMENT ON COLUMN pool_monitor.health.load_error IS 'why the last load failed; NULL: it did not';
COMMENT ON COLUMN pool_monitor.health.declared IS 'rows in pools at the last load with success';
COMMENT ON COLUMN pool_monitor.health.in_force IS 'declared pools that are in force';
COMMENT ON COLUMN pool_monitor.health.max_pools IS 'how many can be: the setting';
COMMENT ON COLUMN pool_monitor.health.applications IS 'places that undeclared applications have taken, with or without sessions';
COMMENT ON COLUMN pool_monitor.health.max_applications IS 'how many there are: the setting. What finds none is counted in (other)';
COMMENT ON COLUMN pool_monitor.health.events IS 'events there are';
COMMENT ON COLUMN pool_monitor.health.max_events IS 'how many there can be: the setting. Then the oldest of who has the most goes';
COMMENT ON COLUMN pool_monitor.health.slots IS 'sessions that can be asked to retire, and whose clocks are known';
COMMENT ON COLUMN pool_monitor.health.max_slots IS 'how many there can be: every backend of the server';
COMMENT ON COLUMN pool_monitor.health.file_format IS 'of the file of statistics that this library writes';
COMMENT ON COLUMN pool_monitor.health.library_version IS 'of the library that serves this session';
COMMENT ON COLUMN pool_monitor.health.sql_version IS 'of the extension''s objects in this database';
