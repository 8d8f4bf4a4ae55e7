--
-- In the view advice: what sessions do, and what becomes of them
--
	-- By how many of the last hour, or of the day where these were more, took a second: whether the 95th percentile did.
	-- Not by the mean, which one of hours makes long, and many short ones hide a slow tail from. By all since the reset,
	-- what is slow now would show after days, and what was slow would go on for days.
	slow_in AS MATERIALIZED (
		SELECT DISTINCT ON (d.pool) d.pool, d.ceiling, w.span, w.seen, w.hold_time, w.long_holds, w.transactions, w.max_busy
		FROM declared AS d JOIN (SELECT * FROM hour UNION ALL SELECT * FROM day) AS w ON w.pool = d.pool
		WHERE w.long_holds >= 0.05 * w.transactions AND w.transactions >= 30
			AND (d.ceiling IS NULL OR w.max_busy >= 0.5 * d.ceiling)
		ORDER BY d.pool, w.long_holds / w.transactions::float8 DESC, w.span DESC
	),
	slow_holds AS MATERIALIZED (
		SELECT 'warning', w.pool, 'slow_holds', 'long transactions hold connections: tune the queries before the pool',
			format('%s of %s transactions, %s, held for a second or more in %s (below 5 %% is not slow); %s s on average, '
					'%s of %s busy at most; since %s %s s (median), %s s (95 %%), %s s (longest)',
				w.long_holds, w.transactions, pool_monitor.percent(w.long_holds / w.transactions::float8),
				pool_monitor.watched(w.seen, w.span), coalesce(round(w.hold_time::numeric, 3)::text, '-'), w.max_busy,
				coalesce(w.ceiling::text, 'any number'), date_trunc('second', t.stats_reset), h.p50, h.p95, h.longest),
			'Look for slow statements (pg_stat_statements), and for work that is done while a transaction is open. '
				'Halving the holds is worth as much as doubling the pool.',
			NULL::text, NULL::int, NULL::int, w.seen, w.transactions::float8, 'good'
		FROM slow_in AS w JOIN stats AS t ON t.pool = w.pool,
			LATERAL (SELECT coalesce(round(extract(epoch FROM t.hold_p50), 3)::text, '-') AS p50,
				coalesce(round(extract(epoch FROM t.hold_p95), 3)::text, '-') AS p95,
				coalesce(round(extract(epoch FROM t.hold_max), 3)::text, '-') AS longest) AS h
	),

	-- What has not ended is in no count yet: a pool that waits for slow statements now has none in its hour. At its ceiling
	-- alone, else it keeps nobody waiting; leaks have a topic of their own.
	slow_now AS MATERIALIZED (
		SELECT d.pool, d.ceiling, count(*) AS busy,
			count(*) FILTER (WHERE s.xact_age >= interval '1 second' AND NOT s.leak_suspect) AS slow,
			max(s.xact_age) FILTER (WHERE NOT s.leak_suspect) AS longest
		FROM declared AS d JOIN sessions AS s ON s.pool = d.pool
		WHERE s.xact_age IS NOT NULL AND d.pool NOT IN (SELECT w.pool FROM slow_in AS w)
		GROUP BY d.pool, d.ceiling
	),
	slow_holds_now AS MATERIALIZED (
		SELECT 'warning', n.pool, 'slow_holds', 'all its connections are busy, most of them in transactions that go on for long',
			format('now: %s of %s busy connections for a second or more, the longest for %s; ceiling %s', n.slow, n.busy,
				date_trunc('second', n.longest), n.ceiling),
			'See what they do and wait for: SELECT pid, wait_event_type, wait_event, query FROM pg_stat_activity WHERE '
				'pid IN (SELECT pid FROM pool_monitor.sessions WHERE pool = ' || quote_literal(n.pool) || ' AND xact_age > ''1 s'').',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM slow_now AS n
		WHERE n.busy >= n.ceiling AND n.slow >= 0.5 * n.busy
	),

	leaks AS MATERIALIZED (
		SELECT d.pool, d.leak_threshold, coalesce(n.sessions, 0) AS now, coalesce(t.times, 0) AS told
		FROM declared AS d
		LEFT JOIN (SELECT s.pool, count(*) AS sessions FROM sessions AS s WHERE s.leak_suspect GROUP BY s.pool) AS n ON n.pool = d.pool
		LEFT JOIN (SELECT e.pool, sum(e.times) AS times FROM events AS e WHERE e.event = 'leak_suspect' GROUP BY e.pool) AS t
			ON t.pool = d.pool
	),
	leak AS MATERIALIZED (
		SELECT CASE WHEN l.now > 0 THEN 'warning' ELSE 'info' END, l.pool, 'leak',
			'sessions stay in one transaction for longer than leak_threshold',
			format('%s now, %s in %s; leak_threshold %s', l.now, l.told, r.watched, l.leak_threshold),
			'Find the code path that does not give its connection back. Meanwhile idle_in_transaction_session_timeout, '
				'and from PostgreSQL 17 on transaction_timeout, end such sessions; pool_monitor never does.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM leaks AS l, room AS r
		WHERE l.now > 0 OR l.told > 0
	),

	-- what is measured is of a minute ago at most
	memory AS MATERIALIZED (
		SELECT 'info', m.pool, 'memory', 'idle connections hold memory of the machine',
			format('%s idle connections hold %s%s', m.idle, pg_size_pretty(m.bytes),
				CASE WHEN m.measured < m.idle THEN format(', extrapolated from %s of them', m.measured) ELSE '' END),
			'Keep fewer of them open (pool_size, idle_limit), or recycle them sooner: the memory of a session grows with its age.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, CASE WHEN m.measured < m.idle THEN 'good' ELSE 'exact' END
		FROM pool_monitor.idle_memory() AS m
		WHERE m.bytes >= 100 * 1024 * 1024
	),

	-- used when it was over age already: a client that recycles would have replaced it
	aged AS MATERIALIZED (
		SELECT d.pool, d.pool_recycle, count(*) AS sessions, max(s.age) AS oldest
		FROM declared AS d JOIN sessions AS s ON s.pool = d.pool
		WHERE pool_monitor.used_late(s.age, s.idle_for, s.xact_age, d.pool_recycle)
		GROUP BY d.pool, d.pool_recycle
	),
	over_age AS MATERIALIZED (
		SELECT 'warning', a.pool, 'over_age', 'the client uses connections that are past pool_recycle: it recycles later, or not at all',
			format('%s sessions were used at more than one and a half times pool_recycle %s; the oldest is %s old',
				a.sessions, a.pool_recycle, date_trunc('second', a.oldest)),
			'Set pool_recycle in the client, or declare what it really has: retirement goes by the declaration.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM aged AS a
	),
	-- while they are retired, those that are there are young; so those that are gone say it: all, or those of the last
	-- day, so that years of punctual ones do not hide what the client does now
	retired_late AS MATERIALIZED (
		SELECT 'warning', d.pool, 'over_age',
			'retired connections had been used past pool_recycle: the client recycles later, or not at all',
			CASE WHEN pool_monitor.recycles_late(t.retired, t.retired_late)
				THEN format('%s of %s sessions retired since %s, with pool_recycle %s',
					t.retired_late, t.retired, date_trunc('second', t.stats_reset), d.pool_recycle)
			ELSE format('%s of %s sessions retired in the last day that events tell of, with pool_recycle %s',
				l.late, l.retired, d.pool_recycle) END,
			format('Set pool_recycle in the client, or declare what it really has; then begin to count anew: '
				'SELECT pool_monitor.reset(%L). Until then each retirement may cost the client a statement; see can_retire().', d.pool),
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d JOIN stats AS t ON t.pool = d.pool LEFT JOIN (
				-- which has a plan of its own to make, and tells of such events alone
				SELECT * FROM pool_monitor.retired_today() WHERE EXISTS (SELECT FROM events AS e WHERE e.event = 'retired')
			) AS l ON l.pool = d.pool
		WHERE (pool_monitor.recycles_late(t.retired, t.retired_late) OR coalesce(pool_monitor.recycles_late(l.retired, l.late), false))
			AND NOT EXISTS (SELECT FROM aged AS a WHERE a.pool = d.pool)
	),
	long_recycle AS MATERIALIZED (
		SELECT 'info', d.pool, 'pool_recycle', 'connections may live for longer than 30 minutes',
			format('pool_recycle %s', coalesce(d.pool_recycle::text, 'not set')),
			'Firewalls, proxies and failovers leave old connections dead; memory of a session grows with its age. '
				'30 minutes or less is usual, 15 for managed databases.',
			'pool_recycle'::text, extract(epoch FROM d.pool_recycle)::int, 1800, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d LEFT JOIN stats AS t ON t.pool = d.pool
			LEFT JOIN (SELECT s.pool, max(s.age) AS age FROM sessions AS s GROUP BY s.pool) AS o ON o.pool = d.pool
		WHERE pool_monitor.grows_old(d.pool_recycle, t.disconnects - t.given_over, clock_timestamp() - t.stats_reset, t.lifetime_max, o.age)
	),
	no_ping AS MATERIALIZED (
		SELECT 'warning', d.pool, 'pre_ping',
			'sessions are retired on schedule, but the client does not test a connection before it uses it',
			'recycle_mode terminate, pre_ping off',
			'Switch pre_ping on in the client. Without it everything depends on the declared pool_recycle being the client''s.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d
		WHERE NOT d.pre_ping AND d.recycle_mode = 'terminate'
	),
	no_identity AS MATERIALIZED (
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
	storms AS MATERIALIZED (
		SELECT 'warning', nullif(e.pool, '(other)'), 'storm',
			CASE WHEN e.pool = '(other)' THEN 'applications that there was no room for opened many connections at once'
				WHEN e.pool IS NULL
				THEN format('application %s of role %s in database %s opened many connections at once',
					pool_monitor.quoted(e.application_name), pool_monitor.quoted(e.usename), pool_monitor.quoted(e.datname))
				ELSE 'the pool opened many connections at once' END,
			format('%s storms in %s, the last at %s: %s',
				sum(e.times), (SELECT r.watched FROM room AS r), date_trunc('second', max(e.at)),
				(array_agg(e.detail ORDER BY e.seq DESC))[1]),
			'Look for restarts, failed health checks, a pool that throws all its connections away for one that is gone, '
				'or code that opens a pool for each request.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM events AS e
		WHERE e.event = 'storm'
		GROUP BY e.pool, e.application_name, e.datname, e.usename
	),
	pauses AS MATERIALIZED (
		SELECT 'warning', e.pool, 'retirement',
			'scheduled retirement has paused: the pool answered with far more connects than it lost sessions',
			format('%s times in %s, the last at %s', sum(e.times), (SELECT r.watched FROM room AS r), date_trunc('second', max(e.at))),
			'The declared pool_recycle is probably shorter than the client''s. See docs/retirement.md.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM events AS e
		WHERE e.event = 'retirement_paused' AND e.pool IS NOT NULL
		GROUP BY e.pool
	),
	-- what their own pools say
	clients AS MATERIALIZED (
		SELECT CASE WHEN bool_or(f.finding LIKE '% timed out') THEN 'warning' ELSE 'info' END, f.pool, 'clients',
			'what its clients report does not fit what is declared or observed',
			array_to_string((array_agg(f.told ORDER BY f.told))[:5], '; ')
				|| CASE WHEN count(*) > 5 THEN format('; and %s more', count(*) - 5) ELSE '' END,
			'See client_pools, and docs/clients.md for what each can be.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'reported'
		FROM (
			-- what is not of all of them, with those that it is of
			SELECT c.pool, f.finding, f.finding || CASE WHEN count(*) < c.processes
				THEN format(' (%s%s)', min(pool_monitor.quoted(c.process)),
					CASE WHEN count(*) > 1 THEN format(' and %s more', count(*) - 1) END)
				ELSE '' END AS told
			FROM (SELECT p.*, count(*) OVER (PARTITION BY p.pool) AS processes FROM pool_monitor.client_pools AS p) AS c,
				unnest(c.findings) AS f(finding)
			WHERE c.pool <> '(other)'
			GROUP BY c.pool, c.processes, f.finding
		) AS f
		GROUP BY f.pool
		UNION ALL
		-- one row, whatever names clients make up
		SELECT 'info', NULL, 'clients', 'checkouts timed out in applications that are in no declared pool',
			format('%s: %s%s', count(*), array_to_string((array_agg(c.name ORDER BY c.name))[:5], ', '),
				CASE WHEN count(*) > 5 THEN ' and others' ELSE '' END),
			'Declare them, and see client_pools.', NULL, NULL, NULL, NULL, NULL, 'reported'
		FROM (SELECT DISTINCT pool_monitor.quoted(r.application_name) AS name FROM pool_monitor.client_pools AS r
			WHERE r.application_name IS NOT NULL
				AND EXISTS (SELECT FROM unnest(r.findings) AS f(finding) WHERE f.finding LIKE '% timed out')) AS c
		HAVING count(*) > 0
	),
