--
-- Advice: the policy, over what was declared and measured. Thresholds and their
-- reasons are in docs/sizing.md.
--

CREATE FUNCTION pool_monitor.percent(share float8) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.round((share * 100)::numeric, CASE WHEN share < 0.1 THEN 2 ELSE 0 END) || ' %';
COMMENT ON FUNCTION pool_monitor.percent(float8) IS 'a share (0 to 1) as the views write it';

CREATE VIEW pool_monitor.advice AS
	WITH server AS (
		-- a budget above what there is, is none
		SELECT s.max_connections, s.reserved, s.usable, s.headroom_percent, least(s.connection_budget, s.usable) AS connection_budget,
			s.declared_ceiling
		FROM pool_monitor.server() AS s
	),
	declared AS (
		SELECT d.*, d.servers * d.workers AS processes, d.pool_size + d.max_overflow AS each
		FROM pool_monitor.declared() AS d
	),
	day AS MATERIALIZED (
		SELECT 'day' AS span, * FROM pool_monitor.workload(since => pg_catalog.now() - interval '1 day') AS w
	),
	hour AS MATERIALIZED (
		SELECT 'hour' AS span, * FROM pool_monitor.workload(since => pg_catalog.now() - interval '1 hour') AS w
	),
	workload AS (
		SELECT * FROM day UNION ALL SELECT * FROM hour
	),
	stats AS (
		SELECT * FROM pool_monitor.pool_stats()
	),
	events AS (
		SELECT * FROM pool_monitor.events() AS e WHERE e.at > pg_catalog.now() - interval '1 day'
	),
	sessions AS (
		SELECT * FROM pool_monitor.sessions()
	),

	-- connections that the declared ceilings leave of the connection budget
	room AS (
		SELECT s.connection_budget - coalesce(s.declared_ceiling, d.max_connections, 0) AS connections,
			coalesce(d.refused, 0) > 0 OR coalesce(d.max_connections, 0) >= 0.9 * s.connection_budget AS is_short
		FROM server AS s LEFT JOIN day AS d ON d.pool = '(server)'
	),

	-- the span in which the pool was exhausted for the larger share of the time
	saturation AS (
		SELECT DISTINCT ON (d.pool) d.*, w.span, w.seen, w.avg_busy, w.p95_busy, w.max_busy,
			w.overflow_share, w.exhausted_share, w.hold_time, w.effective_samples, w.quality,
			pool_monitor.erlang_c(d.ceiling::int, w.avg_busy) AS shared_model,
			pool_monitor.erlang_c(d.each, w.avg_busy / d.processes) AS isolated_model,
			pool_monitor.timeout_probability(d.each, w.avg_busy / d.processes, w.hold_time, extract(epoch FROM d.pool_timeout))
				AS timeouts
		FROM declared AS d JOIN workload AS w ON w.pool = d.pool
		-- not what was measured against a smaller ceiling, before the pool was declared anew
		WHERE d.ceiling > 0 AND w.exhausted_share >= 0.01 AND w.max_busy >= d.ceiling
		ORDER BY d.pool, w.exhausted_share DESC, w.span DESC
	),
	-- One step: a fifth more, half more from a fifth of the time on, if there is room.
	-- What was measured is the time in which all processes were full at once: between
	-- the product of their isolated probabilities, or one shared queue, and a single
	-- one's. Further off than a factor of three, the model is withheld.
	saturation_step AS (
		SELECT s.*, least(greatest(floor(s.each * (0.2 + 0.3 * least(s.exhausted_share / 0.2, 1))), 1),
				floor(r.connections / s.processes::float8),
				CASE WHEN s.budget <> s.ceiling THEN floor((s.budget - s.ceiling) / s.processes::float8) END)::int AS more,
			s.exhausted_share > 3 * s.isolated_model
				OR s.exhausted_share < least(s.shared_model,
					exp(greatest(s.processes * ln(greatest(s.isolated_model, 1e-6)), -700))) / 3 AS model_is_off,
			CASE WHEN s.max_overflow = 0 OR s.overflow_share >= 0.5 THEN 'pool_size' ELSE 'max_overflow' END AS which
		FROM saturation AS s, room AS r
	),
	exhausted AS (
		SELECT CASE WHEN s.quality <> 'good' THEN 'info' WHEN s.exhausted_share >= 0.2 THEN 'critical' ELSE 'warning' END AS severity,
			s.pool, 'exhausted' AS topic,
			'all connections were busy: the next checkout waited, up to pool_timeout' AS finding,
			format('busy at the ceiling of %s for %s of the last %s; busy %s on average, %s at most; %s',
				s.ceiling, pool_monitor.percent(s.exhausted_share), s.span, round(s.avg_busy::numeric, 2), s.max_busy,
				CASE WHEN s.model_is_off THEN 'Erlang''s model is withheld: it disagrees with what was seen'
					ELSE format('Erlang C says %s (one queue) to %s (one for each process) of the checkouts wait, '
						'up to %s for longer than pool_timeout %s',
						pool_monitor.percent(s.shared_model), pool_monitor.percent(s.isolated_model),
						pool_monitor.percent(s.timeouts), s.pool_timeout) END) AS evidence,
			CASE WHEN s.quality <> 'good' THEN 'Watch for longer before sizes are changed.'
				WHEN s.more >= 1 THEN format('Raise %s of each process by %s, then look again. '
					'Long holds come first: see slow_holds, and pg_stat_statements.', s.which, s.more)
				ELSE 'There is no room in the server''s connection budget or the pool''s: '
					'shorten the holds, lower another pool, or raise max_connections.' END AS recommendation,
			CASE WHEN s.quality = 'good' AND s.more >= 1 THEN s.which END AS setting,
			CASE WHEN s.quality = 'good' AND s.more >= 1
				THEN CASE s.which WHEN 'pool_size' THEN s.pool_size ELSE s.max_overflow END END AS current,
			CASE WHEN s.quality = 'good' AND s.more >= 1
				THEN s.more + CASE s.which WHEN 'pool_size' THEN s.pool_size ELSE s.max_overflow END END AS proposed,
			s.seen, s.effective_samples, s.quality
		FROM saturation_step AS s
	),

	-- sessions above base come and go, far sooner than their age would have it
	churn AS (
		SELECT d.*, w.overflow_share, w.disconnects, w.p95_busy, w.seen, w.effective_samples, w.quality,
			w.avg_connections * extract(epoch FROM w.seen) / w.disconnects AS lifetime,
			least(greatest(ceil(w.p95_busy / d.processes::float8), d.pool_size + 1), ceil(d.pool_size * 1.5), d.each)::int AS size
		FROM declared AS d JOIN day AS w ON w.pool = d.pool
		WHERE d.ceiling IS NOT NULL AND d.max_overflow > 0 AND w.overflow_share >= 0.05
			AND w.disconnects - w.retired >= 30
			AND w.avg_connections * extract(epoch FROM w.seen) / w.disconnects
				< extract(epoch FROM coalesce(d.pool_recycle, interval '1 hour')) / 4
	),
	overflow AS (
		SELECT CASE WHEN c.quality = 'good' THEN 'warning' ELSE 'info' END,
			c.pool, 'overflow', 'overflow connections are opened and closed all the time',
			format('above base of %s for %s of the last day; %s sessions ended, after %s s on average; '
				'95 %% of the minutes needed no more than %s busy',
				c.base, pool_monitor.percent(c.overflow_share), c.disconnects, round(c.lifetime::numeric, 1), c.p95_busy),
			CASE WHEN c.quality = 'good' THEN format('Raise pool_size to %s and lower max_overflow to %s: '
					'the ceiling stays, much of the churn goes.', c.size, c.each - c.size)
				ELSE 'Watch for longer before sizes are changed.' END,
			CASE WHEN c.quality = 'good' THEN 'pool_size' END,
			CASE WHEN c.quality = 'good' THEN c.pool_size END,
			CASE WHEN c.quality = 'good' THEN c.size END,
			c.seen, c.effective_samples, c.quality
		FROM churn AS c
	),

	-- idle ones are what a pool is for; they are too many when they take up a fifth
	-- of what the server can give, or when it is short of connections
	slack AS (
		SELECT d.*, w.p95_busy, w.max_busy, w.avg_connections, w.seen, w.effective_samples, w.quality, r.is_short,
			greatest(ceil(1.25 * w.p95_busy / d.processes), 1)::int AS size
		FROM declared AS d JOIN day AS w ON w.pool = d.pool, room AS r
		WHERE w.quality = 'good' AND w.seen >= interval '1 hour'
			AND NOT EXISTS (SELECT FROM saturation AS x WHERE x.pool = d.pool)
	),
	idle AS (
		SELECT 'info', s.pool, 'idle', 'more connections are kept open than the load needs',
			format('%s connections on average, base %s; 95 %% of the minutes needed no more than %s busy, and none more than %s',
				round(s.avg_connections::numeric, 1), s.base, s.p95_busy, s.max_busy),
			format('Lower pool_size to %s: a quarter above what 95 %% of the minutes needed. max_overflow can take the rest.', s.size),
			'pool_size', s.pool_size, s.size, s.seen, s.effective_samples, s.quality
		FROM slack AS s, server AS v
		WHERE s.size < s.pool_size
			AND least(s.avg_connections, s.base) - s.processes * s.size
				>= CASE WHEN s.is_short THEN 5 ELSE greatest(20, 0.2 * v.connection_budget) END
	),

	above AS (
		SELECT d.*, w.max_connections, w.seen,
			ceil(w.max_connections / (d.servers * d.each)::float8)::int AS seems
		FROM declared AS d JOIN day AS w ON w.pool = d.pool
		WHERE w.max_connections > d.ceiling
	),
	declaration AS (
		SELECT 'warning', a.pool, 'declaration', 'the pool had more connections than declared: more workers, or other sizes',
			format('%s connections at one moment of the last day, ceiling %s = %s servers * %s workers * (%s + %s)',
				a.max_connections, a.ceiling, a.servers, a.workers, a.pool_size, a.max_overflow),
			format('Count the processes and compare their settings; with these sizes it would be %s workers. '
				'Or another application has the same name.', a.seems),
			'workers', a.workers, a.seems, a.seen, NULL::float8, 'exact'
		FROM above AS a
	),
	hosts AS (
		SELECT d.pool, d.servers, count(DISTINCT s.client_addr)::int AS hosts
		FROM declared AS d JOIN sessions AS s ON s.pool = d.pool
		GROUP BY d.pool, d.servers
		HAVING count(DISTINCT s.client_addr) > d.servers
	),
	more_hosts AS (
		SELECT 'warning', h.pool, 'declaration', 'connections come from more hosts than servers are declared',
			format('%s client addresses now, %s servers declared', h.hosts, h.servers),
			'Count the servers, and correct the declaration.',
			'servers', h.servers, h.hosts, NULL::interval, NULL::float8, 'exact'
		FROM hosts AS h
	),

	unbounded AS (
		SELECT 'warning', d.pool, 'unbounded', 'the pool has no upper bound: it can take every connection of the server',
			format('pool_size %s, max_overflow %s; %s connections at most in the last day',
				d.pool_size, d.max_overflow, coalesce(w.max_connections, 0)),
			'Give the client a bound, and declare it.',
			CASE WHEN d.pool_size > 0 AND w.quality = 'good' THEN 'max_overflow' END,
			CASE WHEN d.pool_size > 0 AND w.quality = 'good' THEN d.max_overflow END,
			CASE WHEN d.pool_size > 0 AND w.quality = 'good'
				THEN greatest(ceil(1.2 * w.max_connections / d.processes) - d.pool_size, 1)::int END,
			w.seen, w.effective_samples, coalesce(w.quality, 'not enough data')
		FROM declared AS d LEFT JOIN day AS w ON w.pool = d.pool
		WHERE d.ceiling IS NULL
	),

	-- a proposal matches the very sessions that were counted, after all pools there are; nobody's name can be
	-- made to stand in the way of another's, and none that was changed to be shown is proposed
	discovered AS (
		SELECT s.*, count(*) OVER (PARTITION BY lower(s.application_name)) = 1
				AND s.application_name ~ '^[A-Za-z0-9_.-]+$'
				AND s.application_name NOT IN (SELECT d.pool FROM declared AS d) AS plain,
			left(CASE WHEN s.application_name = '' THEN 'unnamed'
				ELSE regexp_replace(s.application_name, '^\(', 'app (') END, 18) AS begin,
			s.datname || '/' || s.usename ~ '^[ -~]*$' AND s.datname || '/' || s.usename !~ '\\x[0-9a-f]{2}' AS legible,
			regexp_replace(s.application_name, '([\\%_])', '\\\1', 'g') AS of_application,
			regexp_replace(s.datname, '([\\%_])', '\\\1', 'g') AS of_database,
			regexp_replace(s.usename, '([\\%_])', '\\\1', 'g') AS of_role
		FROM stats AS s
		WHERE s.application_name IS NOT NULL AND s.peak_connections >= 2 AND s.connections > 0
	),
	undeclared AS (
		SELECT 'info', NULL::text, 'undeclared',
			format('application "%s" of role "%s" in database "%s" is in no declared pool', s.application_name, s.usename, s.datname),
			format('%s connections now, %s at most, %s connects since %s',
				s.connections, s.peak_connections, s.connects, date_trunc('second', s.stats_reset)),
			CASE WHEN s.legible THEN
				format('INSERT INTO pool_monitor.pools (name, priority, application_name, datname, usename, workers, pool_size, '
					'max_overflow) VALUES (%L, 1000, %L, %L, %L, 1, %s, 0);',
					CASE WHEN s.plain THEN s.application_name
						ELSE s.begin || ' ' || left(s.datname, 17) || '/' || left(s.usename, 17) || ' '
							|| left(encode(sha256(convert_to(
								concat_ws(E'\n', s.application_name, s.datname, s.usename), 'UTF8')), 'hex'), 6) END,
					s.of_application, s.of_database, s.of_role, s.peak_connections)
				ELSE 'Declare it by hand, with _ in its patterns for what is not ASCII in the names of its database and role.' END,
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM discovered AS s
	),

	overcommitted AS (
		SELECT 'warning', NULL::text, 'overcommitted', 'the declared pools can open more connections than the server has room for',
			format('declared ceilings %s, connection budget %s of %s usable; max_connections %s would be needed',
				s.declared_ceiling, s.connection_budget, s.usable, s.needed),
			'Lower a pool (another row of this topic says which), or raise what is proposed (max_connections with a restart).',
			CASE WHEN s.by_budget THEN 'pool_monitor.connection_budget' ELSE 'max_connections' END,
			CASE WHEN s.by_budget THEN s.connection_budget ELSE s.max_connections END,
			CASE WHEN s.by_budget THEN s.declared_ceiling ELSE least(s.needed, 262143) END::int,
			NULL::interval, NULL::float8, 'exact'
		FROM (SELECT v.*, v.headroom_percent IS NULL AND v.declared_ceiling <= v.usable AS by_budget,
				CASE WHEN v.headroom_percent IS NULL THEN v.max_connections + v.declared_ceiling - v.connection_budget
					ELSE ceil(v.declared_ceiling / (1 - v.headroom_percent / 100.0)) + v.reserved END AS needed
			FROM server AS v) AS s
		WHERE s.declared_ceiling > s.connection_budget
	),
	-- the pool whose ceiling is furthest above what it has used
	lowest AS (
		SELECT d.*, coalesce(w.max_connections, 0) AS used, w.seen, w.effective_samples, coalesce(w.quality, 'not enough data') AS quality,
			greatest(ceil(coalesce(w.max_connections, 0) / d.processes::float8) - d.pool_size, 0)::int AS enough
		FROM declared AS d LEFT JOIN day AS w ON w.pool = d.pool, server AS s
		WHERE s.declared_ceiling > s.connection_budget AND d.max_overflow > 0 AND d.ceiling > coalesce(w.max_connections, 0)
		ORDER BY d.ceiling - greatest(coalesce(w.max_connections, 0), d.base) DESC, d.pool
		LIMIT 1
	),
	lower_pool AS (
		SELECT 'info', l.pool, 'overcommitted', 'this pool''s ceiling is furthest above what it uses',
			format('ceiling %s, %s connections at most in the last day', l.ceiling, l.used),
			CASE WHEN l.quality <> 'good' THEN 'Watch for longer before sizes are changed.'
				WHEN l.enough < l.max_overflow THEN 'Lower max_overflow to what the last day needed.'
				ELSE 'It uses what it has: lower another one, or raise max_connections.' END,
			CASE WHEN l.quality = 'good' AND l.enough < l.max_overflow THEN 'max_overflow' END,
			CASE WHEN l.quality = 'good' AND l.enough < l.max_overflow THEN l.max_overflow END,
			CASE WHEN l.quality = 'good' AND l.enough < l.max_overflow THEN l.enough END,
			l.seen, l.effective_samples, l.quality
		FROM lowest AS l
	),

	refused AS (
		SELECT CASE WHEN h.refused > 0 THEN 'critical' ELSE 'warning' END,
			nullif(nullif(w.pool, '(server)'), '(undeclared)'), 'refused',
			CASE w.pool WHEN '(undeclared)' THEN 'logins of undeclared applications were refused: no connection slot was free'
				ELSE 'logins were refused: no connection slot was free' END,
			format('%s in the last day, %s of them in the last hour; %s connections at most, %s usable',
				w.refused, coalesce(h.refused, 0), a.max_connections, s.usable),
			'See who holds the slots: budgets and applications. Lower the pools that are above their budgets, '
				'declare what is undeclared, or raise max_connections.',
			NULL::text, NULL::int, NULL::int, w.seen, NULL::float8, 'exact'
		FROM day AS w JOIN day AS a ON a.pool = '(server)'
		LEFT JOIN hour AS h ON h.pool = w.pool, server AS s
		WHERE w.refused > 0 AND w.pool <> '(server)'
	),

	slow_holds AS (
		SELECT 'warning', d.pool, 'slow_holds', 'long transactions hold connections: tune the queries before the pool',
			format('a hold takes %s s (median), %s s (95 %%), %s s (longest); %s of %s busy at most in the last day',
				round(extract(epoch FROM t.hold_p50), 3), round(extract(epoch FROM t.hold_p95), 3),
				round(extract(epoch FROM t.hold_max), 3),
				w.max_busy, coalesce(d.ceiling::text, 'any number')),
			'Look for slow statements (pg_stat_statements), and for work that is done while a transaction is open. '
				'Halving the holds is worth as much as doubling the pool.',
			NULL::text, NULL::int, NULL::int, w.seen, t.transactions::float8,
			CASE WHEN t.transactions >= 30 THEN 'good' ELSE 'not enough data' END
		FROM declared AS d JOIN stats AS t ON t.pool = d.pool JOIN day AS w ON w.pool = d.pool
		WHERE t.hold_p95 >= interval '1 second' AND t.transactions >= 30
			AND (d.ceiling IS NULL OR w.max_busy >= 0.5 * d.ceiling)
	),

	leaks AS (
		SELECT d.pool, d.leak_threshold, coalesce(n.sessions, 0) AS now, coalesce(t.times, 0) AS told
		FROM declared AS d
		LEFT JOIN (SELECT s.pool, count(*) AS sessions FROM sessions AS s WHERE s.leak_suspect GROUP BY s.pool) AS n ON n.pool = d.pool
		LEFT JOIN (SELECT e.pool, sum(e.times) AS times FROM events AS e WHERE e.event = 'leak_suspect' GROUP BY e.pool) AS t
			ON t.pool = d.pool
	),
	leak AS (
		SELECT CASE WHEN l.now > 0 THEN 'warning' ELSE 'info' END, l.pool, 'leak',
			'sessions stay in one transaction for longer than leak_threshold',
			format('%s now, %s in the last day; leak_threshold %s', l.now, l.told, l.leak_threshold),
			'Find the code path that does not give its connection back. Meanwhile idle_in_transaction_session_timeout, '
				'and from PostgreSQL 17 on transaction_timeout, end such sessions; pool_monitor never does.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM leaks AS l
		WHERE l.now > 0 OR l.told > 0
	),

	-- used when it was over age already: a client that recycles would have replaced it
	aged AS (
		SELECT d.pool, d.pool_recycle, count(*) AS sessions, max(s.age) AS oldest
		FROM declared AS d JOIN sessions AS s ON s.pool = d.pool
		WHERE s.age - coalesce(s.idle_for, s.xact_age, interval '0') > 1.5 * d.pool_recycle
		GROUP BY d.pool, d.pool_recycle
	),
	over_age AS (
		SELECT 'warning', a.pool, 'over_age', 'the client uses connections that are past pool_recycle: it recycles later, or not at all',
			format('%s sessions were used at more than one and a half times pool_recycle %s; the oldest is %s old',
				a.sessions, a.pool_recycle, date_trunc('second', a.oldest)),
			'Set pool_recycle in the client, or declare what it really has: retirement goes by the declaration.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM aged AS a
	),
	long_recycle AS (
		SELECT 'info', d.pool, 'pool_recycle', 'connections live for longer than 30 minutes',
			format('pool_recycle %s', coalesce(d.pool_recycle::text, 'not set')),
			'Firewalls, proxies and failovers leave old connections dead; memory of a session grows with its age. '
				'30 minutes or less is usual, 15 for managed databases.',
			'pool_recycle'::text, extract(epoch FROM d.pool_recycle)::int, 1800, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d
		WHERE d.pool_recycle IS NULL OR d.pool_recycle > interval '30 minutes'
	),
	no_ping AS (
		SELECT 'warning', d.pool, 'pre_ping',
			'sessions are retired on schedule, but the client does not test a connection before it uses it',
			'recycle_mode terminate, pre_ping off',
			'Switch pre_ping on in the client. Without it everything depends on the declared pool_recycle being the client''s.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d
		WHERE NOT d.pre_ping AND d.recycle_mode = 'terminate'
	),
	no_identity AS (
		SELECT 'warning', d.pool, 'identity',
			'sessions are retired on schedule, and anybody who sets this application_name belongs to the pool',
			format('recycle_mode terminate%s; neither usename nor client_addr declared',
				CASE WHEN d.shrink_idle THEN ', shrink_idle' ELSE '' END),
			'Declare the usename or the client_addr of the application too: any role can set any application_name, '
				'and sessions under it are counted, paced and retired with the pool''s own.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d
		WHERE d.recycle_mode = 'terminate' AND NOT d.by_usename AND NOT d.by_client_addr
	),
	storms AS (
		SELECT 'warning', e.pool, 'storm',
			CASE WHEN e.pool IS NULL
				THEN format('application "%s" of role "%s" in database "%s" opened many connections at once',
					e.application_name, e.usename, e.datname)
				ELSE 'the pool opened many connections at once' END,
			format('%s storms in the last day, the last at %s: %s',
				sum(e.times), date_trunc('second', max(e.at)), (array_agg(e.detail ORDER BY e.seq DESC))[1]),
			'Look for restarts, failed health checks, a pool that throws all its connections away for one that is gone, '
				'or code that opens a pool for each request.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM events AS e
		WHERE e.event = 'storm'
		GROUP BY e.pool, e.application_name, e.datname, e.usename
	),
	pauses AS (
		SELECT 'warning', e.pool, 'retirement',
			'scheduled retirement has paused: the pool answered with far more connects than it lost sessions',
			format('%s times in the last day, the last at %s', sum(e.times), date_trunc('second', max(e.at))),
			'The declared pool_recycle is probably shorter than the client''s. See docs/retirement.md.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM events AS e
		WHERE e.event = 'retirement_paused' AND e.pool IS NOT NULL
		GROUP BY e.pool
	),
	findings AS (
		SELECT * FROM exhausted UNION ALL SELECT * FROM overflow UNION ALL SELECT * FROM idle
		UNION ALL SELECT * FROM declaration UNION ALL SELECT * FROM more_hosts UNION ALL SELECT * FROM unbounded
		UNION ALL SELECT * FROM undeclared UNION ALL SELECT * FROM overcommitted UNION ALL SELECT * FROM lower_pool
		UNION ALL SELECT * FROM refused UNION ALL SELECT * FROM slow_holds UNION ALL SELECT * FROM leak
		UNION ALL SELECT * FROM over_age UNION ALL SELECT * FROM long_recycle UNION ALL SELECT * FROM no_ping
		UNION ALL SELECT * FROM no_identity UNION ALL SELECT * FROM storms UNION ALL SELECT * FROM pauses
	)
	SELECT * FROM findings AS f
	ORDER BY array_position(ARRAY['critical', 'warning', 'info'], f.severity), f.pool, f.topic;

COMMENT ON VIEW pool_monitor.advice IS
'What to change, one row for each finding, the gravest first. The thresholds are in docs/sizing.md. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.advice.severity IS
'critical: clients wait or are refused; warning: it will come to that, or the declaration is wrong; info: could be '
'better';
COMMENT ON COLUMN pool_monitor.advice.pool IS 'declared pool; NULL: the server, or an undeclared application';
COMMENT ON COLUMN pool_monitor.advice.topic IS
'exhausted, overflow, idle, declaration, unbounded, undeclared, overcommitted, refused, slow_holds, leak, over_age, '
'pool_recycle, pre_ping, identity, storm, retirement';
COMMENT ON COLUMN pool_monitor.advice.finding IS 'what was found';
COMMENT ON COLUMN pool_monitor.advice.evidence IS 'the numbers behind it';
COMMENT ON COLUMN pool_monitor.advice.recommendation IS 'what to do';
COMMENT ON COLUMN pool_monitor.advice.setting IS 'which setting of the client (or of the server) to change; NULL: no number is proposed';
COMMENT ON COLUMN pool_monitor.advice.current IS 'its declared value; pool_recycle in seconds';
COMMENT ON COLUMN pool_monitor.advice.proposed IS 'its proposed value';
COMMENT ON COLUMN pool_monitor.advice.seen IS 'how long was watched for it; NULL: it is about this moment, or about the declaration';
COMMENT ON COLUMN pool_monitor.advice.effective_samples IS 'as in workload; of slow_holds the transactions. NULL: nothing was estimated';
COMMENT ON COLUMN pool_monitor.advice.quality IS
'of an estimate: good, or not enough data (fewer than 30 effective samples: then no number is proposed); exact: '
'nothing was estimated';
