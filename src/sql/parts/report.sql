--
-- A report to look at
--

CREATE FUNCTION pool_monitor.curves(
	pool text, since timestamptz, until timestamptz, OUT pool text, OUT curve json
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 50
	AS 'MODULE_PATHNAME', 'pm_curves';
COMMENT ON FUNCTION pool_monitor.curves(text, timestamptz, timestamptz) IS
'The history of one pool (or (undeclared), or (server); NULL: of each), from since until then, as at most 400 points to be '
'drawn: an object with step (seconds), first (when the first point begins), peak, peak_at (begin of the minute, or hour), '
'seen_from (when somebody was first watching), and arrays of a value for each point: connections and busy (averages), '
'least_connections (the least average of a minute), most_connections, most_busy, connects, refused, guarded, status (the worst '
'that held at some time of it; undeclared: it had no history then; empty: nobody was watching). NULL where nothing is known. '
'Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.load_carried(connections int, waiting float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_load_carried_sql';
COMMENT ON FUNCTION pool_monitor.load_carried(int, float8) IS
'The offered load that so many connections carry before more than a share waiting (0 to 1) of the checkouts has to wait: '
'erlang_c() the other way round.';

CREATE FUNCTION pool_monitor.pools_readable() RETURNS bool
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'pm_pools_readable';
COMMENT ON FUNCTION pool_monitor.pools_readable() IS
'Can the table pools be read without waiting for a lock that somebody holds on it? If so it stays so until the transaction ends. '
'Needs pg_read_all_stats.';

-- a description can have any length, and its writer need not be who reads the report
CREATE FUNCTION pool_monitor.report_written() RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT jsonb_object_agg(p.name, jsonb_build_object('description', left(p.description, 2000)
			|| CASE WHEN octet_length(p.description) > octet_length(left(p.description, 2000)) THEN ' [...]' ELSE '' END,
		'application_name', p.application_name, 'datname', p.datname, 'usename', p.usename, 'client_addr', p.client_addr,
		'recycle_window', p.recycle_window, 'written', 'here'))
	FROM pool_monitor.declared() AS d JOIN pool_monitor.pools AS p ON p.name = d.pool;
END;
COMMENT ON FUNCTION pool_monitor.report_written() IS
'What pools says of each pool that is in force and declared() does not, for report_data(); of a description the first 2000 '
'characters. Waits for a lock on pools. Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.report_pools(since timestamptz, until timestamptz, OUT place bigint, OUT pool text, OUT data jsonb)
	RETURNS SETOF record
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED ROWS 50
BEGIN ATOMIC
	WITH declared AS MATERIALIZED (
		SELECT row_number() OVER () AS place, d.*, d.servers * d.workers AS processes, d.pool_size + d.max_overflow AS each
		FROM pool_monitor.declared() AS d
	),
	work AS MATERIALIZED (
		SELECT * FROM pool_monitor.workload(NULL, since, until) AS w
	),
	-- since these sizes are declared: what a queue of them is given
	asked AS MATERIALIZED (
		SELECT w.pool, w.quality,
			CASE WHEN u.of_checkouts THEN w.checked_out_seconds / nullif(w.timed_checkouts, 0) ELSE w.hold_time END AS hold_time,
			CASE WHEN u.of_checkouts THEN w.timed_checkouts * w.avg_connections / w.reported_open_seconds
				ELSE w.transactions_per_second END AS rate
		FROM pool_monitor.workload(NULL, since, until, true) AS w,
			LATERAL (SELECT pool_monitor.share_in_transactions(w.avg_busy, w.avg_connections, w.seen, w.checked_out_seconds,
				w.reported_open_seconds) < 0.8 AS of_checkouts) AS u
	),
	counted AS MATERIALIZED (
		SELECT * FROM pool_monitor.pool_stats() AS s WHERE s.pool IS NOT NULL
	),
	buckets AS MATERIALIZED (
		SELECT * FROM pool_monitor.metrics_counted() AS m
	),
	-- where the declarations are read, and nobody has locked them
	written AS MATERIALIZED (
		SELECT CASE WHEN here AND pool_monitor.pools_readable() THEN pool_monitor.report_written() END AS by_pool,
			jsonb_build_object('written', CASE WHEN here THEN 'locked' ELSE 'elsewhere' END) AS otherwise
		FROM (SELECT current_database() = current_setting('pool_monitor.database') AS here) AS h
	)
	SELECT row_number() OVER (ORDER BY w.starved_share DESC NULLS LAST, w.over_share DESC NULLS LAST, w.exhausted_share DESC NULLS LAST,
			w.refused DESC NULLS LAST, w.max_connections::float8 / d.budget DESC NULLS LAST, d.place), d.pool, jsonb_build_object(
			'pool', d.pool,
			'declared', to_jsonb(d) - '{place,pool}'::text[]
				|| CASE WHEN t.by_pool IS NULL THEN t.otherwise ELSE coalesce(t.by_pool -> d.pool, '{}') END,
			'now', to_jsonb(b) - 'pool',
			'span', to_jsonb(w) - 'pool',
			'counted', to_jsonb(s) - '{pool,application_name,datname,usename}'::text[],
			'holds', jsonb_build_object('bounds', m.hold_seconds, 'up_to', m.hold_seconds_bucket, 'count', m.hold_seconds_count),
			'lifetimes', jsonb_build_object('bounds', m.lifetime_seconds, 'up_to', m.lifetime_seconds_bucket,
				'count', m.lifetime_seconds_count),
			'setups', jsonb_build_object('bounds', m.setup_seconds, 'up_to', m.setup_seconds_bucket, 'count', m.setup_seconds_count),
			'memory', jsonb_build_object('idle', i.idle, 'bytes', i.bytes, 'measured_at', i.measured_at),
			'capacity', jsonb_build_object('processes', d.processes, 'each', CASE WHEN d.ceiling IS NOT NULL THEN d.each END,
				'concurrent', d.ceiling, 'hold_time', a.hold_time, 'quality', a.quality,
				-- of a pool of any size a client has, in an instant
				'checkouts_per_second', CASE WHEN d.ceiling > 0 AND d.each <= 10000 AND a.quality = 'good' AND a.hold_time > 0
					THEN d.processes * pool_monitor.load_carried(d.each, 0.01) / a.hold_time END),
			'sizes', (
				SELECT jsonb_agg(jsonb_build_object('each', n.each, 'connections', n.each * d.processes, 'wait_p95',
						CASE WHEN q.stable THEN q.wait_p95 END, 'timeouts', q.timeout_probability) ORDER BY n.each)
				FROM generate_series(1, least(2 * d.each, 262143 / d.processes), greatest(d.each / 6, 1)) AS n(each)
				CROSS JOIN LATERAL pool_monitor.queue(a.rate, a.hold_time, n.each, d.processes,
					extract(epoch FROM d.pool_timeout)::float8) AS q
				WHERE d.ceiling > 0 AND a.quality = 'good' AND a.hold_time > 0 AND q.model = 'isolated'))
	FROM declared AS d
	CROSS JOIN written AS t
	LEFT JOIN pool_monitor.budgets() AS b ON b.pool = d.pool
	LEFT JOIN work AS w ON w.pool = d.pool
	LEFT JOIN asked AS a ON a.pool = d.pool
	LEFT JOIN counted AS s ON s.pool = d.pool
	LEFT JOIN buckets AS m ON m.pool = d.pool
	LEFT JOIN pool_monitor.idle_memory() AS i ON i.pool = d.pool;
END;
COMMENT ON FUNCTION pool_monitor.report_pools(timestamptz, timestamptz) IS
'The declared pools in force, those that were in trouble first (place), for report_data(), but for their curves. '
'Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.report_events(since timestamptz, until timestamptz) RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH events AS MATERIALIZED (
		SELECT * FROM pool_monitor.events() AS e WHERE e.at >= since AND e.at < until
	),
	-- what a reader looks at one by one
	told AS (
		SELECT e.* FROM events AS e WHERE e.event NOT IN ('retired', 'declined') ORDER BY e.seq DESC LIMIT 200
	),
	starved AS (
		SELECT e.at, e.pool, e.detail::jsonb AS detail, o.at AS ended_at, o.detail::jsonb AS ended, f.detail::jsonb -> 'holders' AS holders
		FROM (SELECT * FROM events AS x WHERE x.event = 'starved' ORDER BY x.seq DESC LIMIT 50) AS e
		LEFT JOIN LATERAL (SELECT x.at, x.detail FROM events AS x
			WHERE x.event = 'no_longer_starved' AND x.pool = e.pool AND x.seq > e.seq ORDER BY x.seq LIMIT 1) AS o ON true
		LEFT JOIN LATERAL (SELECT x.detail FROM events AS x
			WHERE x.event = 'server_full' AND x.at BETWEEN e.at - interval '1 hour' AND e.at + interval '10 s'
			ORDER BY x.seq DESC LIMIT 1) AS f ON true
	)
	SELECT jsonb_build_object(
		'last', (SELECT coalesce(jsonb_agg(jsonb_build_object('seq', t.seq, 'at', t.at, 'pool', t.pool,
				'application_name', t.application_name, 'datname', t.datname, 'usename', t.usename, 'event', t.event, 'pid', t.pid,
				'detail', t.detail::jsonb, 'times', t.times) ORDER BY t.seq), '[]') FROM told AS t),
		'counts', (SELECT coalesce(jsonb_agg(jsonb_build_object('event', n.event, 'pool', n.pool, 'times', n.times, 'last_at', n.at)
				ORDER BY n.event, n.pool), '[]')
			FROM (SELECT e.event, e.pool, sum(e.times) AS times, max(e.at) AS at FROM events AS e GROUP BY e.event, e.pool) AS n),
		'starved', (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.at), '[]') FROM starved AS s),
		'oldest', (SELECT min(e.at) FROM pool_monitor.events() AS e));
END;
COMMENT ON FUNCTION pool_monitor.report_events(timestamptz, timestamptz) IS
'What happened, for report_data(): the last 200 events but retirements, how many there were of each kind and pool, and who was '
'starved, with who held most that was not busy. Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.report_data(since timestamptz, until timestamptz) RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED
	SET intervalstyle = postgres SET jit = off
BEGIN ATOMIC
	WITH curves AS MATERIALIZED (
		SELECT c.pool, c.curve::jsonb AS curve FROM pool_monitor.curves(NULL, since, until) AS c
	),
	server AS (
		SELECT (SELECT c.curve FROM curves AS c WHERE c.pool = '(server)') AS curve
	),
	pools AS MATERIALIZED (
		SELECT p.place, p.pool, p.data || jsonb_build_object('curve', c.curve) AS data
		FROM pool_monitor.report_pools(since, until) AS p LEFT JOIN curves AS c ON c.pool = p.pool
	),
	holders AS MATERIALIZED (
		SELECT * FROM pool_monitor.holders(since, until) AS h
	)
	SELECT jsonb_build_object(
		'report', jsonb_build_object('version', pool_monitor.version(), 'made_at', clock_timestamp(), 'since', since, 'until', until,
			'time_zone', current_setting('TimeZone'), 'cluster_name', current_setting('cluster_name'),
			'database', current_database(), 'server_version', current_setting('server_version')),
		'health', (SELECT to_jsonb(h) FROM pool_monitor.health AS h),
		'loaded', pool_monitor.declarations_loaded(),
		'server', (SELECT to_jsonb(s) FROM pool_monitor.server() AS s)
			|| jsonb_build_object('curve', (SELECT s.curve FROM server AS s),
				'span', (SELECT to_jsonb(w) FROM pool_monitor.workload('(server)', since, until) AS w)),
		'undeclared', jsonb_build_object('curve', (SELECT c.curve FROM curves AS c WHERE c.pool = '(undeclared)'),
			'span', (SELECT to_jsonb(w) FROM pool_monitor.workload('(undeclared)', since, until) AS w)),
		'pools', (SELECT coalesce(jsonb_agg(p.data ORDER BY p.place), '[]') FROM pools AS p),
		-- with a history of this time, and no longer in force
		'former', (SELECT coalesce(jsonb_agg(jsonb_build_object('pool', c.pool, 'curve', c.curve) ORDER BY c.pool), '[]')
			FROM curves AS c WHERE c.pool NOT LIKE '(%' AND c.curve ->> 'peak_at' IS NOT NULL
				AND NOT EXISTS (SELECT FROM pools AS p WHERE p.pool = c.pool)),
		'holders', (SELECT coalesce(jsonb_agg(to_jsonb(h) ORDER BY h.avg_connections DESC NULLS LAST, h.pool, h.application_name), '[]')
			FROM holders AS h WHERE h.pool IS DISTINCT FROM '(server)'),
		'at_peak', (SELECT coalesce(jsonb_agg(to_jsonb(w) ORDER BY w.connections DESC), '[]')
			FROM (SELECT (s.curve ->> 'peak_at')::timestamptz AS at FROM server AS s WHERE s.curve ->> 'peak_at' IS NOT NULL) AS p
			CROSS JOIN LATERAL pool_monitor.who(p.at) AS w
			WHERE w.pool IS DISTINCT FROM '(server)' AND w.connections > 0),
		'events', pool_monitor.report_events(since, until),
		'advice', (SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]') FROM pool_monitor.advice AS a),
		'checklist', (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.item), '[]') FROM pool_monitor.checklist AS c));
END;
COMMENT ON FUNCTION pool_monitor.report_data(timestamptz, timestamptz) IS
'What report() shows, as one document: from the views of their names, with the rights of whoever calls. Intervals are in '
'style postgres. Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.report_page(data jsonb, format text DEFAULT 'html') RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_report_page';
COMMENT ON FUNCTION pool_monitor.report_page(jsonb, text) IS
'A document of report_data(), of this server or another, as one page of HTML, with times of the session''s TimeZone. The page '
'is ASCII, has no script, and asks for nothing from elsewhere; every value in it is escaped. Of a document that lacks a part it says so. '
'format json: the document as text. '
'An error for another one.';

CREATE FUNCTION pool_monitor.report(since interval DEFAULT '1 day', until timestamptz DEFAULT now(), format text DEFAULT 'html')
	RETURNS text
	LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
	-- nothing is gathered for a format that there is not
	RETURN CASE WHEN format IN ('html', 'json') THEN pool_monitor.report_page(pool_monitor.report_data(until - since, until), format)
		ELSE pool_monitor.report_page('{}', format) END;
COMMENT ON FUNCTION pool_monitor.report(interval, timestamptz, text) IS
'A report to look at, of the time since (so long before) until then: the server''s slots and who may have and has them, each '
'pool''s connections over the time, its statuses, peaks, churn, ends, distributions and memory, who was starved, refused and '
'retired, events, advice, checklist, and what is declared and why. format html: one page that stands alone, to be kept and sent '
'on; json: the same as data. Who may read it may see names of roles, databases and applications. See docs/report.md. Needs '
'shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.chart_lines(data jsonb, width int, ascii bool, OUT chart text) RETURNS SETOF text
	LANGUAGE c STABLE PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME', 'pm_chart_lines';
COMMENT ON FUNCTION pool_monitor.chart_lines(jsonb, int, bool) IS
'One of the pools of a document of report_data() as a plot of text; behind chart(). ascii: without blocks, which a database and '
'a client that are not both in UTF-8 have never.';

CREATE FUNCTION pool_monitor.chart(
	pool text DEFAULT '(server)', span interval DEFAULT '1 hour', width int DEFAULT 100, ascii bool DEFAULT false, OUT chart text
) RETURNS SETOF text
	LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED ROWS 20
BEGIN ATOMIC
	SELECT l.chart
	FROM (SELECT jsonb_build_object('pool', chart.pool,
			'declared', CASE chart.pool WHEN '(server)' THEN (
					SELECT jsonb_build_object('usable', s.usable, 'connection_budget', s.connection_budget)
					FROM pool_monitor.server() AS s)
				ELSE (SELECT to_jsonb(d) FROM pool_monitor.declared() AS d WHERE d.pool = chart.pool) END,
			'curve', (SELECT c.curve FROM pool_monitor.curves(chart.pool, now() - chart.span, now()) AS c)) AS data) AS p
	CROSS JOIN LATERAL pool_monitor.chart_lines(p.data, width, ascii) AS l;
END;
COMMENT ON FUNCTION pool_monitor.chart(text, interval, int, bool) IS
'A pool''s connections, busy, base and ceiling in the last span, as a plot of text of so many columns (40 to 400), for \watch; '
'(server) and (undeclared), too. The same scale and marks as in report(), of times of the session''s TimeZone. ascii: without '
'blocks. Needs shared_preload_libraries, and pg_read_all_stats.';
