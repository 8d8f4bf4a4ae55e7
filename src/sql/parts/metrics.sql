--
-- For those who collect metrics: numbers only, never NULL, in base units. The name of a column is the end of the
-- metric's, its COMMENT is the metric's help; what ends in _total is a counter, the others are gauges, but for
-- histograms, which have four columns: upper bounds, how many are up to each, their sum, and how many.
--

CREATE FUNCTION pool_monitor.metrics_counted(
	OUT pool text, OUT connections int, OUT peak_connections int, OUT retires int, OUT retirement_paused int,
	OUT connects bigint, OUT taken_over bigint, OUT given_over bigint,
	OUT ended_client bigint, OUT ended_abandoned bigint, OUT ended_fatal bigint, OUT ended_timeout bigint, OUT ended_killed bigint,
	OUT retired bigint, OUT retired_late bigint, OUT ended_lost bigint, OUT declined bigint,
	OUT rejected bigint, OUT refused bigint, OUT guarded bigint, OUT would_be_guarded bigint,
	OUT guarded_by_reserves bigint, OUT guarded_by_rate bigint,
	OUT auth_failures bigint, OUT transactions bigint, OUT long_holds bigint,
	OUT checkouts bigint, OUT checkout_waits bigint, OUT waited_seconds float8, OUT checkout_timeouts bigint,
	OUT timed_checkouts bigint, OUT checked_out_seconds float8, OUT reported_open_seconds float8,
	OUT overflow_seconds float8, OUT exhausted_seconds float8, OUT over_seconds float8, OUT starved_seconds float8,
	OUT retirement_paused_seconds float8, OUT storms bigint,
	OUT busy_seconds float8,
	OUT hold_seconds float8[], OUT hold_seconds_bucket bigint[], OUT hold_seconds_sum float8, OUT hold_seconds_count bigint,
	OUT lifetime_seconds float8[], OUT lifetime_seconds_bucket bigint[], OUT lifetime_seconds_sum float8,
	OUT lifetime_seconds_count bigint,
	OUT setup_seconds float8[], OUT setup_seconds_bucket bigint[], OUT setup_seconds_sum float8, OUT setup_seconds_count bigint
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_metrics_counted';
COMMENT ON FUNCTION pool_monitor.metrics_counted() IS 'behind the view pool_monitor.metrics_pool';

CREATE VIEW pool_monitor.metrics_pool AS
	WITH server AS (
		SELECT s.usable FROM pool_monitor.server() AS s
	),
	live AS (
		SELECT b.pool, array_position(ARRAY['ok', 'overflow', 'exhausted', 'over', 'starved'], b.status) - 1 AS status,
			b.base, coalesce(b.ceiling, v.usable) AS ceiling, coalesce(b.budget, v.usable) AS budget, b.connections, b.active,
			b.idle, b.idle_in_transaction + b.idle_in_transaction_aborted AS idle_in_transaction, b.busy, b.over_budget, b.stale,
			b.idle_over_limit, b.leak_suspects, coalesce(b.waiting, 0) AS waiting, b.longest_idle
		FROM pool_monitor.budgets() AS b, server AS v
		UNION ALL
		SELECT '(undeclared)', 0, 0, v.usable, v.usable, coalesce(sum(a.connections), 0), coalesce(sum(a.active), 0),
			coalesce(sum(a.idle), 0), coalesce(sum(a.idle_in_transaction + a.idle_in_transaction_aborted), 0),
			coalesce(sum(a.busy), 0), 0, 0, 0, 0, 0, max(a.longest_idle)
		FROM server AS v LEFT JOIN pool_monitor.applications() AS a ON a.pool IS NULL
		GROUP BY v.usable
	)
	SELECT l.pool, l.status, l.base, l.ceiling, l.budget, l.connections, l.active, l.idle, l.idle_in_transaction, l.busy,
		l.over_budget, c.peak_connections, l.stale, l.idle_over_limit, l.leak_suspects, l.waiting, c.retires, c.retirement_paused,
		coalesce(extract(epoch FROM l.longest_idle), 0)::float8 AS longest_idle_seconds,
		c.connects AS connects_total, c.taken_over AS taken_over_total, c.given_over AS given_over_total,
		c.ended_client AS ended_client_total, c.ended_abandoned AS ended_abandoned_total, c.ended_fatal AS ended_fatal_total,
		c.ended_timeout AS ended_timeout_total, c.ended_killed AS ended_killed_total, c.retired AS retired_total,
		c.retired_late AS retired_late_total, c.ended_lost AS ended_lost_total, c.declined AS declined_total,
		c.rejected AS rejected_total, c.refused AS refused_total, c.guarded AS guarded_total,
		c.would_be_guarded AS would_be_guarded_total, c.guarded_by_reserves AS guarded_by_reserves_total,
		c.guarded_by_rate AS guarded_by_rate_total, c.auth_failures AS auth_failures_total,
		c.transactions AS transactions_total, c.long_holds AS long_holds_total, c.checkouts AS checkouts_total,
		c.checkout_waits AS checkout_waits_total,
		c.waited_seconds AS waited_seconds_total, c.checkout_timeouts AS checkout_timeouts_total,
		c.timed_checkouts AS timed_checkouts_total,
		c.checked_out_seconds AS checked_out_seconds_total, c.reported_open_seconds AS reported_open_seconds_total,
		c.overflow_seconds AS overflow_seconds_total, c.exhausted_seconds AS exhausted_seconds_total,
		c.over_seconds AS over_seconds_total, c.starved_seconds AS starved_seconds_total,
		c.retirement_paused_seconds AS retirement_paused_seconds_total, c.storms AS storms_total,
		c.busy_seconds AS busy_seconds_total,
		c.hold_seconds, c.hold_seconds_bucket, c.hold_seconds_sum, c.hold_seconds_count,
		c.lifetime_seconds, c.lifetime_seconds_bucket, c.lifetime_seconds_sum, c.lifetime_seconds_count,
		c.setup_seconds, c.setup_seconds_bucket, c.setup_seconds_sum, c.setup_seconds_count
	FROM live AS l JOIN pool_monitor.metrics_counted() AS c ON c.pool = l.pool;

COMMENT ON VIEW pool_monitor.metrics_pool IS
'For those who collect metrics: each declared pool that is in force, and (undeclared) for all sessions in none. Numbers '
'only, none NULL. Counters go on until reset() or the loss of the file of statistics. Needs shared_preload_libraries, and '
'pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.metrics_pool.pool IS 'Declared pool, or (undeclared)';
COMMENT ON COLUMN pool_monitor.metrics_pool.status IS
'Worst status that holds: 0 ok, 1 overflow (above base), 2 exhausted (busy at the ceiling), 3 over (above budget), '
'4 starved (logins refused below budget)';
COMMENT ON COLUMN pool_monitor.metrics_pool.base IS 'Connections that the pool keeps open at rest';
COMMENT ON COLUMN pool_monitor.metrics_pool.ceiling IS
'Most connections that the pool can open at rest; where there is no bound, all that ordinary roles can have of the server';
COMMENT ON COLUMN pool_monitor.metrics_pool.budget IS 'Connections that the pool may hold; where there is no limit, as ceiling';
COMMENT ON COLUMN pool_monitor.metrics_pool.connections IS 'Sessions now';
COMMENT ON COLUMN pool_monitor.metrics_pool.active IS 'Sessions that execute a statement';
COMMENT ON COLUMN pool_monitor.metrics_pool.idle IS 'Sessions that wait for their client, in no transaction';
COMMENT ON COLUMN pool_monitor.metrics_pool.idle_in_transaction IS
'Sessions in a transaction (a failed one, too) that wait for their client';
COMMENT ON COLUMN pool_monitor.metrics_pool.busy IS 'Sessions that are active or idle in a transaction';
COMMENT ON COLUMN pool_monitor.metrics_pool.over_budget IS 'Connections above budget';
COMMENT ON COLUMN pool_monitor.metrics_pool.peak_connections IS 'Most connections at any moment since the counters began';
COMMENT ON COLUMN pool_monitor.metrics_pool.stale IS 'Sessions older than pool_recycle, and idle for recycle_grace';
COMMENT ON COLUMN pool_monitor.metrics_pool.idle_over_limit IS 'Sessions idle for longer than idle_limit';
COMMENT ON COLUMN pool_monitor.metrics_pool.leak_suspects IS 'Sessions in one transaction for longer than leak_threshold';
COMMENT ON COLUMN pool_monitor.metrics_pool.waiting IS
'Checkouts that wait for a connection, as its processes report it; 0 where none reports';
COMMENT ON COLUMN pool_monitor.metrics_pool.retires IS
'1: the pool''s sessions are retired on schedule (recycle_mode is terminate, and pool_monitor.recycle_enabled on); else 0';
COMMENT ON COLUMN pool_monitor.metrics_pool.retirement_paused IS
'1: the pool''s sessions are retired on schedule, and that pauses, of one of its roles at least; else 0';
COMMENT ON COLUMN pool_monitor.metrics_pool.longest_idle_seconds IS 'Longest time that a session has been idle; 0 where none is';
COMMENT ON COLUMN pool_monitor.metrics_pool.connects_total IS 'Sessions that began';
COMMENT ON COLUMN pool_monitor.metrics_pool.taken_over_total IS 'Sessions that came alive from another pool or application';
COMMENT ON COLUMN pool_monitor.metrics_pool.given_over_total IS 'Sessions that went alive to another pool or application';
COMMENT ON COLUMN pool_monitor.metrics_pool.ended_client_total IS 'Sessions that the client ended with a goodbye';
COMMENT ON COLUMN pool_monitor.metrics_pool.ended_abandoned_total IS 'Sessions whose client vanished';
COMMENT ON COLUMN pool_monitor.metrics_pool.ended_fatal_total IS 'Sessions that a fatal error ended';
COMMENT ON COLUMN pool_monitor.metrics_pool.ended_timeout_total IS 'Sessions that a time-out of the server ended';
COMMENT ON COLUMN pool_monitor.metrics_pool.ended_killed_total IS 'Sessions that an administrator or the shutdown ended';
COMMENT ON COLUMN pool_monitor.metrics_pool.retired_total IS 'Sessions that pool_monitor retired';
COMMENT ON COLUMN pool_monitor.metrics_pool.retired_late_total IS
'Sessions that pool_monitor retired although their client had used them past their age';
COMMENT ON COLUMN pool_monitor.metrics_pool.ended_lost_total IS 'Sessions that a crash of the server ended';
COMMENT ON COLUMN pool_monitor.metrics_pool.declined_total IS 'Sessions that were asked to retire, and did not';
COMMENT ON COLUMN pool_monitor.metrics_pool.rejected_total IS 'Logins that were authenticated, then not admitted';
COMMENT ON COLUMN pool_monitor.metrics_pool.refused_total IS 'Logins refused because no connection slot was free';
COMMENT ON COLUMN pool_monitor.metrics_pool.guarded_total IS 'Logins that the guard refused';
COMMENT ON COLUMN pool_monitor.metrics_pool.would_be_guarded_total IS
'Logins that the guard admitted, as it only reports, and would have refused';
COMMENT ON COLUMN pool_monitor.metrics_pool.guarded_by_reserves_total IS
'Of guarded and would_be_guarded together, logins for which all was taken that is not reserved for other pools';
COMMENT ON COLUMN pool_monitor.metrics_pool.guarded_by_rate_total IS
'Of guarded and would_be_guarded together, logins that came faster than connect_rate';
COMMENT ON COLUMN pool_monitor.metrics_pool.auth_failures_total IS 'Logins that were not authenticated';
COMMENT ON COLUMN pool_monitor.metrics_pool.transactions_total IS 'Transactions that ended';
COMMENT ON COLUMN pool_monitor.metrics_pool.long_holds_total IS 'Of these, those that kept their connection for 1.05 s or more';
COMMENT ON COLUMN pool_monitor.metrics_pool.checkouts_total IS
'Connections that clients'' pools handed out, as they report';
COMMENT ON COLUMN pool_monitor.metrics_pool.checkout_waits_total IS
'Checkouts that had to wait for a connection, as clients report';
COMMENT ON COLUMN pool_monitor.metrics_pool.waited_seconds_total IS 'Time that checkouts waited, as clients report it';
COMMENT ON COLUMN pool_monitor.metrics_pool.checkout_timeouts_total IS 'Checkouts that gave up waiting, as clients report it';
COMMENT ON COLUMN pool_monitor.metrics_pool.timed_checkouts_total IS
'Of these, checkouts of clients that report for how long they have their connections';
COMMENT ON COLUMN pool_monitor.metrics_pool.checked_out_seconds_total IS
'Time that such clients had connections checked out, in sum';
COMMENT ON COLUMN pool_monitor.metrics_pool.reported_open_seconds_total IS
'Time that the connections of these clients were open, in sum, as they report it';
COMMENT ON COLUMN pool_monitor.metrics_pool.overflow_seconds_total IS
'Time above base, as sampled: as in history, each condition for itself, also while status shows a worse one';
COMMENT ON COLUMN pool_monitor.metrics_pool.exhausted_seconds_total IS
'Time with busy at the ceiling or above, as sampled: as in history, also while the pool is over its budget';
COMMENT ON COLUMN pool_monitor.metrics_pool.over_seconds_total IS 'Time above budget, as sampled: as in history';
COMMENT ON COLUMN pool_monitor.metrics_pool.starved_seconds_total IS
'Time below budget with logins refused because the server was full, as sampled';
COMMENT ON COLUMN pool_monitor.metrics_pool.retirement_paused_seconds_total IS
'Time in which retirement_paused was 1, as sampled';
COMMENT ON COLUMN pool_monitor.metrics_pool.storms_total IS 'Connect storms that began, as events tell of them';
COMMENT ON COLUMN pool_monitor.metrics_pool.busy_seconds_total IS 'Time that connections were in transactions, in sum';
COMMENT ON COLUMN pool_monitor.metrics_pool.hold_seconds IS
'Time for which a transaction held its connection; a value counts as the middle of its bucket, off by 6.25 % at most; '
'none is kept of (undeclared)';
COMMENT ON COLUMN pool_monitor.metrics_pool.hold_seconds_bucket IS
'Of the histogram hold_seconds: how many are up to each bound';
COMMENT ON COLUMN pool_monitor.metrics_pool.hold_seconds_sum IS 'Of the histogram hold_seconds: the sum';
COMMENT ON COLUMN pool_monitor.metrics_pool.hold_seconds_count IS 'Of the histogram hold_seconds: how many there are';
COMMENT ON COLUMN pool_monitor.metrics_pool.lifetime_seconds IS
'How long a session lived that has ended; off by 6.25 % at most';
COMMENT ON COLUMN pool_monitor.metrics_pool.lifetime_seconds_bucket IS
'Of the histogram lifetime_seconds: how many are up to each bound';
COMMENT ON COLUMN pool_monitor.metrics_pool.lifetime_seconds_sum IS 'Of the histogram lifetime_seconds: the sum';
COMMENT ON COLUMN pool_monitor.metrics_pool.lifetime_seconds_count IS
'Of the histogram lifetime_seconds: how many there are';
COMMENT ON COLUMN pool_monitor.metrics_pool.setup_seconds IS
'From the fork of a session until it was ready, authentication included; off by 6.25 % at most';
COMMENT ON COLUMN pool_monitor.metrics_pool.setup_seconds_bucket IS
'Of the histogram setup_seconds: how many are up to each bound';
COMMENT ON COLUMN pool_monitor.metrics_pool.setup_seconds_sum IS 'Of the histogram setup_seconds: the sum';
COMMENT ON COLUMN pool_monitor.metrics_pool.setup_seconds_count IS 'Of the histogram setup_seconds: how many there are';

CREATE VIEW pool_monitor.metrics_server AS
	SELECT s.max_connections, s.reserved AS reserved_connections, s.usable AS usable_connections,
		s.connection_budget, s.declared_base, coalesce(s.declared_budget, s.usable) AS declared_budget,
		(s.declared_budget IS NULL OR s.declared_budget > s.connection_budget)::int AS overcommitted,
		array_position(ARRAY['ok', 'overcommitted', 'over', 'full'], s.status) - 1 AS status,
		s.connections, s.undeclared AS undeclared_connections, s.authenticating AS authenticating_connections,
		s.available AS available_connections, s.peak_connections, s.refused AS refused_total,
		s.guarded AS guarded_total, s.would_be_guarded AS would_be_guarded_total,
		(SELECT count(*) FROM pool_monitor.guards() AS g WHERE g.guard <> 'off' AND NOT g.armed) AS unarmed_guards,
		(h.status = 'ok')::int AS monitor_ok, (h.load_error IS NOT NULL)::int AS load_failed,
		extract(epoch FROM pg_postmaster_start_time())::float8 AS start_timestamp_seconds,
		coalesce(extract(epoch FROM h.last_sample), 0)::float8 AS last_sample_timestamp_seconds,
		coalesce(extract(epoch FROM h.last_load), 0)::float8 AS last_load_timestamp_seconds,
		coalesce(extract(epoch FROM h.last_save), 0)::float8 AS last_save_timestamp_seconds,
		h.in_force AS pools, h.max_pools, h.applications, h.max_applications
	FROM pool_monitor.server() AS s, pool_monitor.health AS h;

COMMENT ON VIEW pool_monitor.metrics_server IS
'For those who collect metrics: the whole server, one row, and whether the monitor is well. Numbers only, none NULL. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.metrics_server.max_connections IS 'Connection slots of the server';
COMMENT ON COLUMN pool_monitor.metrics_server.reserved_connections IS
'Connection slots for superusers and pg_use_reserved_connections only';
COMMENT ON COLUMN pool_monitor.metrics_server.usable_connections IS 'Connection slots that ordinary roles can have';
COMMENT ON COLUMN pool_monitor.metrics_server.connection_budget IS 'Connections that all applications together may hold';
COMMENT ON COLUMN pool_monitor.metrics_server.declared_base IS 'Connections that the declared pools keep open at rest';
COMMENT ON COLUMN pool_monitor.metrics_server.declared_budget IS
'Sum of the declared budgets, with the largest surge; usable_connections where a pool has no bound';
COMMENT ON COLUMN pool_monitor.metrics_server.overcommitted IS
'1: declared_budget is above connection_budget, or a pool has no bound; else 0';
COMMENT ON COLUMN pool_monitor.metrics_server.status IS
'Worst status that holds: 0 ok, 1 overcommitted, 2 over (connections above connection_budget), 3 full (a login was refused)';
COMMENT ON COLUMN pool_monitor.metrics_server.connections IS 'Client sessions now';
COMMENT ON COLUMN pool_monitor.metrics_server.undeclared_connections IS 'Client sessions in no declared pool';
COMMENT ON COLUMN pool_monitor.metrics_server.authenticating_connections IS 'Slots held by logins that are not authenticated yet';
COMMENT ON COLUMN pool_monitor.metrics_server.available_connections IS 'Usable slots that are free';
COMMENT ON COLUMN pool_monitor.metrics_server.peak_connections IS 'Most client sessions at any moment since the counters began';
COMMENT ON COLUMN pool_monitor.metrics_server.refused_total IS 'Logins refused because no connection slot was free';
COMMENT ON COLUMN pool_monitor.metrics_server.guarded_total IS 'Logins that the guard refused';
COMMENT ON COLUMN pool_monitor.metrics_server.would_be_guarded_total IS
'Logins that the guard admitted, as it only reports, and would have refused';
COMMENT ON COLUMN pool_monitor.metrics_server.unarmed_guards IS
'Guards that are to report or to enforce, and do not now, as the column armed of guards says; all of them while '
'guard_enabled is off';
COMMENT ON COLUMN pool_monitor.metrics_server.monitor_ok IS '1: the view health says ok; else 0';
COMMENT ON COLUMN pool_monitor.metrics_server.load_failed IS '1: the last load of the declarations failed; else 0';
COMMENT ON COLUMN pool_monitor.metrics_server.start_timestamp_seconds IS
'When the server was started; that it begins anew by itself after the crash of a process does not change it';
COMMENT ON COLUMN pool_monitor.metrics_server.last_sample_timestamp_seconds IS
'When the sessions were last counted; 0: not since the start';
COMMENT ON COLUMN pool_monitor.metrics_server.last_load_timestamp_seconds IS
'When the declarations were last loaded; 0: not since the start';
COMMENT ON COLUMN pool_monitor.metrics_server.last_save_timestamp_seconds IS 'When the statistics were last saved; 0: not since the start';
COMMENT ON COLUMN pool_monitor.metrics_server.pools IS 'Declared pools in force';
COMMENT ON COLUMN pool_monitor.metrics_server.max_pools IS 'Declared pools that there can be';
COMMENT ON COLUMN pool_monitor.metrics_server.applications IS 'Places that undeclared applications have taken';
COMMENT ON COLUMN pool_monitor.metrics_server.max_applications IS 'Places for undeclared applications';

CREATE VIEW pool_monitor.metrics_application AS
	SELECT s.application_name, s.datname, s.usename, s.connections, s.peak_connections,
		s.connects - s.taken_over AS connects_total, s.disconnects - s.given_over AS disconnects_total,
		s.rejected AS rejected_total, s.refused AS refused_total, s.guarded AS guarded_total,
		s.would_be_guarded AS would_be_guarded_total, s.auth_failures AS auth_failures_total,
		s.transactions AS transactions_total, s.busy_seconds AS busy_seconds_total
	FROM pool_monitor.pool_stats() AS s
	WHERE s.application_name IS NOT NULL;

COMMENT ON VIEW pool_monitor.metrics_application IS
'For those who collect metrics and ask for it: each undeclared application. Clients choose these names, so the number of '
'series is theirs to choose, too, up to max_applications. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.metrics_application.application_name IS 'As in pool_stats';
COMMENT ON COLUMN pool_monitor.metrics_application.datname IS 'Its database';
COMMENT ON COLUMN pool_monitor.metrics_application.usename IS 'Its role';
COMMENT ON COLUMN pool_monitor.metrics_application.connections IS 'Sessions now';
COMMENT ON COLUMN pool_monitor.metrics_application.peak_connections IS 'Most sessions at any moment since the counters began';
COMMENT ON COLUMN pool_monitor.metrics_application.connects_total IS 'Sessions that began';
COMMENT ON COLUMN pool_monitor.metrics_application.disconnects_total IS 'Sessions that ended';
COMMENT ON COLUMN pool_monitor.metrics_application.rejected_total IS 'Logins that were authenticated, then not admitted';
COMMENT ON COLUMN pool_monitor.metrics_application.refused_total IS 'Logins refused because no connection slot was free';
COMMENT ON COLUMN pool_monitor.metrics_application.guarded_total IS 'Logins that the guard refused';
COMMENT ON COLUMN pool_monitor.metrics_application.would_be_guarded_total IS
'Logins that the guard admitted, as it only reports, and would have refused';
COMMENT ON COLUMN pool_monitor.metrics_application.auth_failures_total IS 'Logins that were not authenticated';
COMMENT ON COLUMN pool_monitor.metrics_application.transactions_total IS 'Transactions that ended';
COMMENT ON COLUMN pool_monitor.metrics_application.busy_seconds_total IS 'Time that connections were in transactions, in sum';

CREATE VIEW pool_monitor.metrics_catalog AS
	SELECT c.relname::text AS view, a.attname::text AS name, a.attnum AS position,
		'pool_monitor_' || substr(c.relname, length('metrics_') + 1) || '_' || a.attname AS metric,
		CASE WHEN a.atttypid = 'text'::regtype THEN 'label'
			WHEN a.atttypid = 'float8[]'::regtype THEN 'histogram'
			WHEN h.attnum IS NOT NULL THEN 'part'
			WHEN a.attname LIKE '%\_total' THEN 'counter'
			ELSE 'gauge' END AS kind,
		col_description(c.oid, a.attnum) AS help
	FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
		LEFT JOIN pg_attribute AS h ON h.attrelid = c.oid AND h.atttypid = 'float8[]'::regtype
			AND a.attname IN (h.attname || '_bucket', h.attname || '_sum', h.attname || '_count')
	WHERE c.relnamespace = 'pool_monitor'::regnamespace
		AND c.relname IN ('metrics_pool', 'metrics_server', 'metrics_application')
	ORDER BY c.relname, a.attnum;

COMMENT ON VIEW pool_monitor.metrics_catalog IS
'The columns of metrics_pool, metrics_server and metrics_application, as metrics: what metrics() and the files for '
'exporters are made from.';
COMMENT ON COLUMN pool_monitor.metrics_catalog.view IS 'which of these views';
COMMENT ON COLUMN pool_monitor.metrics_catalog.name IS 'the column';
COMMENT ON COLUMN pool_monitor.metrics_catalog.position IS 'its place, from 1';
COMMENT ON COLUMN pool_monitor.metrics_catalog.metric IS 'the name of the metric, where Prometheus''s rules of naming hold';
COMMENT ON COLUMN pool_monitor.metrics_catalog.kind IS
'label; gauge; counter; histogram, with the upper bounds of its buckets; part: of the histogram that its name begins with';
COMMENT ON COLUMN pool_monitor.metrics_catalog.help IS 'what it is';

-- whatever the role or the database says of it, numbers are whole
CREATE FUNCTION pool_monitor.metrics(applications bool DEFAULT false) RETURNS text
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED SET extra_float_digits = 1
BEGIN ATOMIC
	WITH seen AS MATERIALIZED (
		SELECT 'metrics_pool' AS view, to_jsonb(p) AS row, ARRAY[['pool', p.pool]] AS labels FROM pool_monitor.metrics_pool AS p
		UNION ALL
		SELECT 'metrics_server', to_jsonb(s), NULL FROM pool_monitor.metrics_server AS s
		UNION ALL
		SELECT 'metrics_application', to_jsonb(a),
			ARRAY[['application_name', a.application_name], ['datname', a.datname], ['usename', a.usename]]
		FROM pool_monitor.metrics_application AS a
		WHERE metrics.applications
	),
	labelled AS MATERIALIZED (
		SELECT s.view, s.row, l.text AS labels
		FROM seen AS s, LATERAL (
			SELECT string_agg(s.labels[i][1] || '="'
				|| replace(replace(replace(s.labels[i][2], '\', '\\'), '"', '\"'), E'\n', '\n') || '"', ',' ORDER BY i) AS text
			FROM generate_subscripts(s.labels, 1) AS i) AS l
	),
	lines AS (
		SELECT c.view, c.position, l.labels, 0 AS n, '' AS suffix, NULL AS le, l.row ->> c.name AS value
		FROM pool_monitor.metrics_catalog AS c JOIN labelled AS l ON l.view = c.view
		WHERE c.kind IN ('gauge', 'counter')
		UNION ALL
		SELECT c.view, c.position, l.labels, b.n, '_bucket', b.le, b.value
		FROM pool_monitor.metrics_catalog AS c JOIN labelled AS l ON l.view = c.view,
			LATERAL (SELECT e.n, e.value #>> '{}' AS le, l.row -> (c.name || '_bucket') ->> (e.n::int - 1) AS value
				FROM jsonb_array_elements(l.row -> c.name) WITH ORDINALITY AS e(value, n)
				UNION ALL SELECT 1000, '+Inf', l.row ->> (c.name || '_count')) AS b
		WHERE c.kind = 'histogram'
		UNION ALL
		SELECT c.view, c.position, l.labels, 1001 + s.n, s.suffix, NULL, l.row ->> (c.name || s.suffix)
		FROM pool_monitor.metrics_catalog AS c JOIN labelled AS l ON l.view = c.view,
			(VALUES (0, '_sum'), (1, '_count')) AS s(n, suffix)
		WHERE c.kind = 'histogram'
	),
	written AS (
		SELECT t.view, t.position, string_agg(c.metric || t.suffix
				|| coalesce('{' || nullif(concat_ws(',', t.labels, 'le="' || t.le || '"'), '') || '}', '') || ' ' || t.value || E'\n', ''
				ORDER BY t.labels, t.n) AS text
		FROM lines AS t JOIN pool_monitor.metrics_catalog AS c ON (c.view, c.position) = (t.view, t.position)
		GROUP BY t.view, t.position
	)
	SELECT coalesce(string_agg(format(E'# HELP %s %s\n# TYPE %s %s\n%s', c.metric, c.help, c.metric, c.kind, w.text), ''
		ORDER BY c.view, c.position), '')
	FROM written AS w JOIN pool_monitor.metrics_catalog AS c ON (c.view, c.position) = (w.view, w.position);
END;
COMMENT ON FUNCTION pool_monitor.metrics(bool) IS
'metrics_pool and metrics_server in Prometheus''s text format 0.0.4, with a line end after each line: for the textfile '
'collector of node_exporter, or whatever reads that. applications: metrics_application, too; NULL is false. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
