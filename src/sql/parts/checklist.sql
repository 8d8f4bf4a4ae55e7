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
	stats AS MATERIALIZED (
		SELECT * FROM pool_monitor.pool_stats()
	),
	sessions AS MATERIALIZED (
		SELECT * FROM pool_monitor.sessions()
	),
	day AS MATERIALIZED (
		SELECT * FROM pool_monitor.workload(since => pg_catalog.now() - interval '1 day', as_sized => true)
	),
	-- a load test is not of every day
	week AS MATERIALIZED (
		SELECT w.pool, w.max_connections
		FROM pool_monitor.workload(since => pg_catalog.now() - interval '8 days', as_sized => true) AS w
	),
	judged AS (
		SELECT d.*, w.quality, k.max_connections,
			d.ceiling IS NULL AND d.budget IS NULL AS unbounded,
			w.exhausted_share >= 0.01 AND w.max_busy >= d.ceiling OR d.ceiling IS NOT NULL AND pool_monitor.above_ceiling(
				w.max_connections, greatest(d.surge_ceiling, d.budget), d.servers * d.workers, d.budget, w.over_share, w.seen) AS too_small,
			k.max_connections >= 0.8 * coalesce(d.ceiling, d.budget) AS tested,
			pool_monitor.grows_old(d.pool_recycle, t.disconnects - t.given_over, clock_timestamp() - t.stats_reset, t.lifetime_max, o.age)
				AS long_recycle,
			d.recycle_mode = 'terminate' AND NOT d.by_usename AND NOT d.by_client_addr AS by_name
		FROM declared AS d LEFT JOIN day AS w ON w.pool = d.pool LEFT JOIN week AS k ON k.pool = d.pool
			LEFT JOIN stats AS t ON t.pool = d.pool
			LEFT JOIN (SELECT s.pool, max(s.age) AS age FROM sessions AS s GROUP BY s.pool) AS o ON o.pool = d.pool
	),
	pools AS (
		SELECT count(*) AS declared,
			count(*) FILTER (WHERE d.unbounded) AS unbounded,
			count(*) FILTER (WHERE d.quality = 'good') AS measured,
			count(*) FILTER (WHERE d.too_small) AS too_small,
			count(*) FILTER (WHERE d.tested) AS tested,
			count(*) FILTER (WHERE d.max_connections IS NOT NULL) AS seen,
			count(*) FILTER (WHERE d.long_recycle) AS long_recycle,
			max(d.pool_recycle) AS longest_recycle,
			count(*) FILTER (WHERE NOT d.pre_ping) AS no_ping,
			count(*) FILTER (WHERE d.echo_pool) AS echo,
			count(*) FILTER (WHERE d.recycle_mode = 'terminate') AS acting,
			count(*) FILTER (WHERE d.by_name) AS by_name,
			pool_monitor.names_of(array_agg(d.pool ORDER BY d.pool) FILTER (WHERE d.unbounded)) AS unbounded_names,
			pool_monitor.names_of(array_agg(d.pool ORDER BY d.pool) FILTER (WHERE d.too_small)) AS too_small_names,
			pool_monitor.names_of(array_agg(d.pool ORDER BY d.pool) FILTER (WHERE d.tested IS NOT TRUE)) AS untested_names,
			pool_monitor.names_of(array_agg(d.pool ORDER BY d.pool) FILTER (WHERE d.long_recycle)) AS long_recycle_names,
			pool_monitor.names_of(array_agg(d.pool ORDER BY d.pool) FILTER (WHERE NOT d.pre_ping)) AS no_ping_names,
			pool_monitor.names_of(array_agg(d.pool ORDER BY d.pool) FILTER (WHERE d.echo_pool)) AS echo_names,
			pool_monitor.names_of(array_agg(d.pool ORDER BY d.pool) FILTER (WHERE d.by_name)) AS by_name_names
		FROM judged AS d
	),
	-- who logs in as a superuser: any session of a pool, and applications with two of them
	superusers AS (
		SELECT count(*) AS applications, count(a.pool) AS pools, pool_monitor.names_of(array_agg(a.name ORDER BY a.name)) AS names
		FROM (SELECT s.pool, format('%s (%s)', coalesce(s.pool, format('%L', min(s.application_name))), s.usename) AS name
			FROM sessions AS s JOIN pg_catalog.pg_roles AS r ON r.rolname = s.usename AND r.rolsuper
			GROUP BY s.pool, CASE WHEN s.pool IS NULL THEN s.application_name END, s.usename
			HAVING s.pool IS NOT NULL OR count(*) > 1) AS a
	),
	-- the way in for monitoring, when all other slots are taken
	reserved AS (
		SELECT coalesce(pg_catalog.current_setting('reserved_connections', true)::int, -1) AS connections,
			EXISTS (SELECT FROM pg_catalog.pg_roles AS g
				JOIN pg_catalog.pg_roles AS m ON m.rolcanlogin AND NOT m.rolsuper AND pg_catalog.pg_has_role(m.oid, g.oid, 'USAGE')
				WHERE g.rolname = 'pg_use_reserved_connections') AS is_given
	),
	settings AS (
		SELECT
			max(s.reset_val) FILTER (WHERE s.name = 'idle_in_transaction_session_timeout') AS idle_timeout,
			bool_or(s.source IN ('default', 'configuration file', 'command line', 'environment variable'))
				FILTER (WHERE s.name = 'idle_in_transaction_session_timeout') AS is_servers,
			bool_and(s.source IN ('default', 'configuration file', 'command line'))
				FILTER (WHERE s.name IN ('tcp_keepalives_idle', 'tcp_user_timeout')) AS tcp_is_servers,
			-- 0 is the operating system's: two hours for keepalives, never for the time-out
			coalesce(max(s.reset_val) FILTER (WHERE s.name = 'tcp_keepalives_idle'
				AND s.source IN ('configuration file', 'command line')), '0') AS keepalives,
			coalesce(max(s.reset_val) FILTER (WHERE s.name = 'tcp_user_timeout'
				AND s.source IN ('configuration file', 'command line')), '0') AS user_timeout,
			max(s.reset_val) FILTER (WHERE s.name = 'superuser_reserved_connections')::int AS superuser_reserved
		-- not the view pg_settings: any role may lock that, for everybody else
		FROM pg_catalog.pg_show_all_settings() AS s
	),
	monitoring AS (
		SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_type = 'pool_monitor') AS workers,
			-- as a rule it is one of the last ones
			coalesce((SELECT max(h.bucket_start) FROM pool_monitor.history('(server)', interval '1 minute',
					since => pg_catalog.now() - interval '3 minutes') AS h WHERE h.seen > 0),
				(SELECT max(h.bucket_start) FROM pool_monitor.history('(server)', interval '1 minute') AS h WHERE h.seen > 0))
				AS last_minute
	),
	-- In no pool, by name, now or within the hour; and those with a name for each connection: as advice has them.
	back_within AS (
		SELECT greatest(pg_catalog.now() - interval '1 hour',
			(SELECT max(e.at) FROM pool_monitor.events() AS e WHERE e.event = 'declarations_loaded')) AS since
	),
	named AS (
		SELECT s.application_name, s.datname, s.usename, s.peak_connections
		FROM stats AS s, back_within AS b
		WHERE s.application_name IS NOT NULL AND s.peak_connections >= 2
			AND (s.connections > 0 OR s.given_over = 0 AND s.last_used > b.since AND NOT EXISTS (
				SELECT FROM pool_monitor.which_pool(s.application_name, s.datname, s.usename) AS w WHERE w.pool IS NOT NULL))
	),
	undeclared AS (
		SELECT pool_monitor.names_of(array_agg(format('%s (%s in %s)', u.name, u.usename, u.datname)
				ORDER BY u.connections DESC, u.name, u.usename, u.datname)) AS names,
			count(*) AS applications
		FROM (
			SELECT format('%L', n.application_name) AS name, n.usename, n.datname, n.peak_connections AS connections FROM named AS n
			UNION ALL
			SELECT format('%s names', count(DISTINCT s.application_name)), s.usename, s.datname, count(*)
			FROM sessions AS s
			WHERE s.pool IS NULL AND NOT EXISTS (SELECT FROM named AS n
				WHERE (n.application_name, n.datname, n.usename) = (s.application_name, s.datname::text, s.usename::text))
			GROUP BY s.usename, s.datname
			HAVING count(*) >= 5
		) AS u
	),
	items(item, title, status, evidence) AS (
		SELECT 1, 'pool sizes declared for the load',
			CASE WHEN NOT l.loaded THEN 'unknown' WHEN p.declared = 0 THEN 'fail' WHEN p.too_small > 0 THEN 'warn'
				WHEN p.measured < p.declared THEN 'unknown' ELSE 'pass' END,
			CASE WHEN l.loaded THEN
				format('%s pools declared, %s with enough data in the last day, %s exhausted or above what they can open in it',
					p.declared, p.measured, p.too_small) || p.too_small_names
			ELSE 'the declared pools have not been loaded since the server started: the server log says why' END
		FROM pools AS p, pool_monitor.declarations_loaded() AS l(loaded)
		UNION ALL
		SELECT 2, 'connections recycled after 30 minutes or less',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.long_recycle > 0 THEN 'warn' ELSE 'pass' END,
			format('%s of %s pools longer or never; longest %s', p.long_recycle, p.declared, coalesce(p.longest_recycle::text, '-'))
				|| p.long_recycle_names
		FROM pools AS p
		UNION ALL
		SELECT 3, 'pre_ping on',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.no_ping > 0 THEN 'warn' ELSE 'pass' END,
			format('declared off for %s of %s pools', p.no_ping, p.declared) || p.no_ping_names
		FROM pools AS p
		UNION ALL
		SELECT 4, 'echo_pool off',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.echo > 0 THEN 'warn' ELSE 'pass' END,
			format('on for %s of %s pools', p.echo, p.declared) || p.echo_names
		FROM pools AS p
		UNION ALL
		SELECT 5, 'max_connections sufficient, with 20 to 30 % of headroom',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.unbounded > 0 AND s.declared_budget IS NULL THEN 'fail'
				WHEN s.declared_budget > s.usable THEN 'fail'
				WHEN s.declared_budget > least(0.8 * s.usable, s.connection_budget) THEN 'warn' ELSE 'pass' END,
			CASE WHEN s.declared_budget IS NULL THEN format('%s pools without ceiling and budget', p.unbounded) || p.unbounded_names
				ELSE format('declared budgets %s of %s usable: %s%s', s.declared_budget, s.usable,
					CASE WHEN s.declared_budget > s.usable THEN s.declared_budget - s.usable || ' too many'
						ELSE pool_monitor.percent(1 - s.declared_budget / greatest(s.usable, 1)::float8) || ' headroom' END,
					CASE WHEN s.declared_surged > s.declared_budget
						THEN format(' with the largest surge; %s with all at once', s.declared_surged) END) END
		FROM pools AS p, server AS s
		UNION ALL
		SELECT 6, 'monitoring on',
			CASE WHEN m.workers = 0 OR NOT l.loaded OR h.load_error IS NOT NULL THEN 'fail' WHEN m.last_minute IS NULL THEN 'unknown'
				WHEN m.last_minute < pg_catalog.now() - interval '3 minutes' THEN 'fail' ELSE 'pass' END,
			format('%s worker; last minute in history %s', m.workers, coalesce(m.last_minute::text, 'none'))
				|| CASE WHEN l.loaded THEN coalesce('; declarations could not be loaded anew: ' || h.load_error, '')
					ELSE '; it has no declarations: ' || coalesce(h.load_error, 'none were loaded yet') END
		FROM monitoring AS m, pool_monitor.declarations_loaded() AS l(loaded), pool_monitor.health() AS h
		UNION ALL
		SELECT 7, 'load test seen',
			CASE WHEN p.declared = 0 OR p.seen = 0 THEN 'unknown' WHEN p.tested < p.declared THEN 'warn' ELSE 'pass' END,
			format('%s of %s pools had 80 %% of their ceiling or more open at one moment of the last eight days, '
					'with the sizes that they have',
					p.tested, p.declared)
				|| CASE WHEN p.untested_names <> '' THEN '; not' || p.untested_names ELSE '' END
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
		SELECT 9, 'TCP keepalives or tcp_user_timeout set: clients that vanish while idle are noticed',
			CASE WHEN s.keepalives::int > 0 OR s.user_timeout::int > 0 THEN 'pass'
				WHEN NOT s.tcp_is_servers THEN 'unknown' ELSE 'warn' END,
			CASE WHEN s.keepalives::int = 0 AND s.user_timeout::int = 0 AND NOT s.tcp_is_servers
				THEN 'this session has settings of its own, which hide the server''s'
				ELSE format('tcp_keepalives_idle %s; tcp_user_timeout %s',
					CASE WHEN s.keepalives::int > 0 THEN s.keepalives || ' s' ELSE 'the operating system''s' END,
					CASE WHEN s.user_timeout::int > 0 THEN s.user_timeout || ' ms' ELSE 'not set' END) END
		FROM settings AS s
		UNION ALL
		SELECT 10, 'reserved connections kept, for superusers and for monitoring',
			CASE WHEN s.superuser_reserved = 0 THEN 'fail'
				WHEN s.superuser_reserved < 3 OR r.connections = 0 OR r.connections > 0 AND NOT r.is_given THEN 'warn' ELSE 'pass' END,
			format('superuser_reserved_connections %s', s.superuser_reserved)
				|| CASE WHEN r.connections < 0 THEN '' ELSE format('; reserved_connections %s; pg_use_reserved_connections %s',
					r.connections,
					CASE WHEN r.is_given THEN 'granted' ELSE 'granted to nobody' END) END
		FROM settings AS s, reserved AS r
		UNION ALL
		SELECT 11, 'every application declared',
			CASE WHEN NOT l.loaded THEN 'unknown' WHEN u.applications > 0 THEN 'warn' ELSE 'pass' END,
			CASE WHEN NOT l.loaded THEN 'the declared pools have not been loaded since the server started'
				WHEN u.applications > 0
				THEN format('%s applications with two connections or more are in no pool, now or within the hour', u.applications)
					|| u.names
				ELSE 'no application with two connections or more is in no pool, or was within the hour' END
		FROM undeclared AS u, pool_monitor.declarations_loaded() AS l(loaded)
		UNION ALL
		SELECT 12, 'usename or client_addr declared where sessions are retired on schedule',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.by_name > 0 THEN 'warn' ELSE 'pass' END,
			format('missing in %s of %s pools with recycle_mode terminate', p.by_name, p.acting) || p.by_name_names
		FROM pools AS p
		UNION ALL
		SELECT 13, 'no application logs in as a superuser',
			-- what is in no pool may be administrators
			CASE WHEN u.pools > 0 THEN 'fail' WHEN u.applications > 0 THEN 'warn' ELSE 'pass' END,
			format('%s do now', u.applications) || u.names
		FROM superusers AS u
	)
	SELECT * FROM items AS i ORDER BY i.item;

COMMENT ON VIEW pool_monitor.checklist IS
'The production checklist. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.checklist.item IS 'its number';
COMMENT ON COLUMN pool_monitor.checklist.title IS 'what is to be so';
COMMENT ON COLUMN pool_monitor.checklist.status IS 'pass, warn, fail; unknown: there is nothing to judge it by yet';
COMMENT ON COLUMN pool_monitor.checklist.evidence IS 'by what it was judged; settings are the server''s';
