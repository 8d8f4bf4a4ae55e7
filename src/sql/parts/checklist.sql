--
-- The production checklist
--

CREATE VIEW pool_monitor.checklist AS
	WITH server AS (
		SELECT * FROM pool_monitor.server()
	),
	declared AS (
		SELECT * FROM pool_monitor.declared()
	),
	day AS MATERIALIZED (
		SELECT * FROM pool_monitor.workload(since => pg_catalog.now() - interval '1 day')
	),
	pools AS (
		SELECT count(*) AS declared,
			count(*) FILTER (WHERE d.ceiling IS NULL) AS unbounded,
			count(*) FILTER (WHERE w.quality = 'good') AS measured,
			count(*) FILTER (WHERE w.exhausted_share >= 0.01 AND w.max_busy >= d.ceiling OR w.max_connections > d.ceiling) AS too_small,
			count(*) FILTER (WHERE w.max_connections >= 0.8 * coalesce(d.ceiling, d.budget)) AS tested,
			count(*) FILTER (WHERE w.max_connections IS NOT NULL) AS seen,
			count(*) FILTER (WHERE d.pool_recycle IS NULL OR d.pool_recycle > interval '30 minutes') AS long_recycle,
			max(d.pool_recycle) AS longest_recycle,
			count(*) FILTER (WHERE NOT d.pre_ping) AS no_ping,
			count(*) FILTER (WHERE d.echo_pool) AS echo,
			count(*) FILTER (WHERE d.recycle_mode = 'terminate') AS acting,
			count(*) FILTER (WHERE d.recycle_mode = 'terminate' AND NOT d.by_usename AND NOT d.by_client_addr) AS by_name
		FROM declared AS d LEFT JOIN day AS w ON w.pool = d.pool
	),
	settings AS (
		SELECT
			max(s.reset_val) FILTER (WHERE s.name = 'idle_in_transaction_session_timeout') AS idle_timeout,
			bool_or(s.source IN ('default', 'configuration file', 'command line', 'environment variable'))
				FILTER (WHERE s.name = 'idle_in_transaction_session_timeout') AS is_servers,
			coalesce(max(s.reset_val) FILTER (WHERE s.name = 'client_connection_check_interval'
				AND s.source IN ('configuration file', 'command line')), '0') AS check_interval,
			coalesce(bool_or(s.source IN ('configuration file', 'command line'))
				FILTER (WHERE s.name = 'tcp_keepalives_idle'), false) AS keepalives,
			max(s.reset_val) FILTER (WHERE s.name = 'superuser_reserved_connections')::int AS superuser_reserved
		FROM pg_catalog.pg_settings AS s
	),
	monitoring AS (
		SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_type = 'pool_monitor') AS workers,
			-- as a rule it is one of the last ones
			coalesce((SELECT max(h.bucket_start) FROM pool_monitor.history('(server)', interval '1 minute',
					since => pg_catalog.now() - interval '3 minutes') AS h WHERE h.seen > 0),
				(SELECT max(h.bucket_start) FROM pool_monitor.history('(server)', interval '1 minute') AS h WHERE h.seen > 0))
				AS last_minute
	),
	undeclared AS (
		SELECT string_agg(format('%L (%s in %s)', s.application_name, s.usename, s.datname), ', '
				ORDER BY s.peak_connections DESC, s.application_name, s.usename, s.datname) AS names,
			count(*) AS applications
		FROM pool_monitor.pool_stats() AS s
		WHERE s.application_name IS NOT NULL AND s.peak_connections >= 2 AND s.connections > 0
	),
	items(item, title, status, evidence) AS (
		SELECT 1, 'pool sizes declared for the load',
			CASE WHEN NOT l.loaded THEN 'unknown' WHEN p.declared = 0 THEN 'fail' WHEN p.too_small > 0 THEN 'warn'
				WHEN p.measured < p.declared THEN 'unknown' ELSE 'pass' END,
			CASE WHEN l.loaded THEN
				format('%s pools declared, %s with enough data in the last day, %s exhausted or above their ceiling in it',
					p.declared, p.measured, p.too_small)
			ELSE 'the declared pools have not been loaded since the server started: the server log says why' END
		FROM pools AS p, pool_monitor.declarations_loaded() AS l(loaded)
		UNION ALL
		SELECT 2, 'connections recycled after 30 minutes or less',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.long_recycle > 0 THEN 'warn' ELSE 'pass' END,
			format('%s of %s pools longer or never; longest %s', p.long_recycle, p.declared, coalesce(p.longest_recycle::text, '-'))
		FROM pools AS p
		UNION ALL
		SELECT 3, 'pre_ping on',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.no_ping > 0 THEN 'warn' ELSE 'pass' END,
			format('declared off for %s of %s pools', p.no_ping, p.declared)
		FROM pools AS p
		UNION ALL
		SELECT 4, 'echo_pool off',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.echo > 0 THEN 'warn' ELSE 'pass' END,
			format('on for %s of %s pools', p.echo, p.declared)
		FROM pools AS p
		UNION ALL
		SELECT 5, 'max_connections sufficient, with 20 to 30 % of headroom',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.unbounded > 0 AND s.declared_ceiling IS NULL THEN 'fail'
				WHEN s.declared_ceiling > s.usable THEN 'fail' WHEN s.declared_ceiling > 0.8 * s.usable THEN 'warn' ELSE 'pass' END,
			CASE WHEN s.declared_ceiling IS NULL THEN format('%s pools without ceiling and budget', p.unbounded)
				ELSE format('declared ceilings %s of %s usable: %s headroom', s.declared_ceiling, s.usable,
					pool_monitor.percent(1 - s.declared_ceiling / greatest(s.usable, 1)::float8)) END
		FROM pools AS p, server AS s
		UNION ALL
		SELECT 6, 'monitoring on',
			CASE WHEN m.workers = 0 THEN 'fail' WHEN m.last_minute IS NULL THEN 'unknown'
				WHEN m.last_minute < pg_catalog.now() - interval '3 minutes' THEN 'fail' ELSE 'pass' END,
			format('%s worker; last minute in history %s', m.workers, coalesce(m.last_minute::text, 'none'))
		FROM monitoring AS m
		UNION ALL
		SELECT 7, 'load test seen',
			CASE WHEN p.declared = 0 OR p.seen = 0 THEN 'unknown' WHEN p.tested < p.declared THEN 'warn' ELSE 'pass' END,
			format('%s of %s pools had 80 %% of their ceiling or more open at one moment of the last day', p.tested, p.declared)
		FROM pools AS p
		UNION ALL
		SELECT 8, 'idle_in_transaction_session_timeout set',
			CASE WHEN NOT s.is_servers THEN 'unknown' WHEN s.idle_timeout::int > 0 THEN 'pass'
				WHEN EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS r, unnest(r.setconfig) AS c
					WHERE c ~ '^idle_in_transaction_session_timeout=[1-9]') THEN 'warn'
				ELSE 'fail' END,
			CASE WHEN NOT s.is_servers THEN 'this session has a setting of its own, which hides the server''s'
				WHEN s.idle_timeout::int > 0 THEN format('%s ms', s.idle_timeout)
				ELSE 'not set for the server (for single roles or databases: ' ||
					(SELECT count(*) FROM pg_catalog.pg_db_role_setting AS r, unnest(r.setconfig) AS c
						WHERE c ~ '^idle_in_transaction_session_timeout=[1-9]') || ')' END
		FROM settings AS s
		UNION ALL
		SELECT 9, 'TCP keepalives or client_connection_check_interval set',
			CASE WHEN s.check_interval::int > 0 OR s.keepalives THEN 'pass' ELSE 'warn' END,
			format('client_connection_check_interval %s ms; tcp_keepalives_idle %s',
				s.check_interval, CASE WHEN s.keepalives THEN 'set' ELSE 'the operating system''s' END)
		FROM settings AS s
		UNION ALL
		SELECT 10, 'reserved connections kept',
			CASE WHEN s.superuser_reserved >= 3 THEN 'pass' WHEN s.superuser_reserved > 0 THEN 'warn' ELSE 'fail' END,
			format('superuser_reserved_connections %s', s.superuser_reserved)
		FROM settings AS s
		UNION ALL
		SELECT 11, 'every application declared',
			CASE WHEN u.applications > 0 THEN 'warn' ELSE 'pass' END,
			CASE WHEN u.applications > 0
				THEN format('%s applications with two connections or more are in no pool: %s', u.applications, left(u.names, 200))
				ELSE 'no application with two connections or more is in no pool' END
		FROM undeclared AS u
		UNION ALL
		SELECT 12, 'usename or client_addr declared where sessions are retired on schedule',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.by_name > 0 THEN 'warn' ELSE 'pass' END,
			format('missing in %s of %s pools with recycle_mode terminate', p.by_name, p.acting)
		FROM pools AS p
	)
	SELECT * FROM items AS i ORDER BY i.item;

COMMENT ON VIEW pool_monitor.checklist IS
'The production checklist. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.checklist.item IS 'its number';
COMMENT ON COLUMN pool_monitor.checklist.title IS 'what is to be so';
COMMENT ON COLUMN pool_monitor.checklist.status IS 'pass, warn, fail; unknown: there is nothing to judge it by yet';
COMMENT ON COLUMN pool_monitor.checklist.evidence IS 'by what it was judged; settings are the server''s';
