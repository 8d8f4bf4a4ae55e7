--
-- In the view advice: sizes, by what was measured
--
	-- What each process needs in most minutes of the day. And of day and week, a quarter above its share, too.
	needs AS MATERIALIZED (
		SELECT d.pool, n.most_minutes,
			greatest(ceil(1.25 * greatest(w.p95_busy, k.p95_busy) / d.processes::float8), n.most_minutes,
				pool_monitor.needed_each(k.p95_busy, d.processes))::int AS ample
		FROM sound AS d JOIN day AS w ON w.pool = d.pool JOIN week AS k ON k.pool = d.pool,
			LATERAL (SELECT pool_monitor.needed_each(w.p95_busy, d.processes) AS most_minutes) AS n
	),

	-- How many processes say who waits in their pool, since when all of them do, and whether all know. For a role that
	-- has sessions of it, and of which none reports, no other one can say that it did not wait.
	reports AS MATERIALIZED (
		SELECT * FROM pool_monitor.client_reports() AS r
		WHERE r.pool IS NOT NULL AND r.counted AND r.reported_at > pg_catalog.clock_timestamp() - pool_monitor.report_counts_for()
	),
	reporting AS MATERIALIZED (
		SELECT r.pool, r.processes, r.since, r.all_know AND s.pool IS NULL AS all_know
		FROM (SELECT r.pool, count(r.waits)::int AS processes, max(r.first_reported_at) AS since, count(r.waits) = count(*) AS all_know
				FROM reports AS r GROUP BY r.pool) AS r
			LEFT JOIN (SELECT DISTINCT o.pool FROM (SELECT c.pool, c.usename FROM sessions AS c
				EXCEPT SELECT r.pool, r.reported_by FROM reports AS r) AS o) AS s ON s.pool = r.pool
	),

	-- The last hour, or the day where the pool was exhausted for a notably larger share of that. A minute of the day
	-- is said, too, though less than 1 % of it: an outage in the night is no less of one an hour later.
	saturation AS MATERIALIZED (
		SELECT DISTINCT ON (d.pool) d.*, w.span, w.seen, w.avg_busy, w.p95_busy, w.max_busy,
			w.overflow_share, w.exhausted_share, w.hold_time, w.effective_samples, w.quality,
			w.checkouts, w.checkout_waits, w.waited_seconds, w.checkout_timeouts, coalesce(g.processes, 0) AS reporting,
			CASE WHEN d.has_budget AND d.max_overflow = 0 THEN greatest(d.budget - d.ceiling, 0) ELSE 0 END AS reserve,
			coalesce(g.processes >= d.processes AND g.all_know AND g.since <= pg_catalog.now() - w.seen AND w.checkouts > 0
				AND w.checkout_waits + w.checkout_timeouts = 0 AND w.waited_seconds = 0, false) AS nobody_waited,
			pool_monitor.gave_up(w.checkouts, w.checkout_timeouts) AS gave_up,
			w.exhausted_share < 0.01 AS is_brief,
			max(w.exhausted_share) OVER (PARTITION BY d.pool) AS worst_share,
			max(w.exhausted_share * extract(epoch FROM w.seen)) OVER (PARTITION BY d.pool) AS exhausted_seconds,
			EXISTS (SELECT FROM unsound AS a WHERE a.pool = d.pool AND a.span = 'day') AS is_unsound,
			pool_monitor.erlang_c(d.ceiling::int, w.avg_busy) AS shared_model,
			pool_monitor.erlang_c(d.each, w.avg_busy / d.processes) AS isolated_model,
			pool_monitor.timeout_probability(d.each, w.avg_busy / d.processes, w.hold_time, extract(epoch FROM d.pool_timeout))
				AS timeouts
		FROM declared AS d LEFT JOIN reporting AS g ON g.pool = d.pool JOIN workload AS w ON w.pool = d.pool
			AND NOT EXISTS (SELECT FROM unsound AS a WHERE a.pool = d.pool AND a.span = w.span)
		WHERE d.ceiling > 0 AND w.max_busy >= d.ceiling
			AND (w.exhausted_share >= 0.01 OR w.span = 'day' AND w.exhausted_share * extract(epoch FROM w.seen) >= 60)
		ORDER BY d.pool, w.quality = 'good' DESC, w.exhausted_share * CASE w.span WHEN 'hour' THEN 1.1 ELSE 1 END DESC
	),
	-- What waited though not all of its processes were full at once, or not for long, only their clients know.
	waited AS MATERIALIZED (
		SELECT DISTINCT ON (d.pool) CASE WHEN w.span = 'hour' AND pool_monitor.gave_up(w.checkouts, w.checkout_timeouts)
				THEN 'critical' ELSE 'warning' END AS severity, d.pool, 'exhausted' AS topic,
			CASE WHEN w.exhausted_share >= 0.01 THEN 'checkouts waited for a connection'
				ELSE 'checkouts waited, though not all connections of the pool were busy at once' END AS finding,
			format('measured, as %s, in %s: of %s checkouts %s waited, each of these for %s s on average, and %s timed out '
				'besides; at the ceiling of %s for %s of it',
				CASE WHEN g.processes > 0 THEN format('%s of %s processes report', g.processes, d.processes) ELSE 'clients reported' END,
				pool_monitor.watched(w.seen, w.span), w.checkouts,
				pool_monitor.percent(w.checkout_waits / nullif(w.checkouts, 0)::float8),
				coalesce(round((w.waited_seconds / nullif(w.checkout_waits, 0))::numeric, 3)::text, '-'), w.checkout_timeouts,
				coalesce(d.ceiling::text, 'any size'), coalesce(pool_monitor.percent(w.exhausted_share), '0 %')) AS evidence,
			concat(CASE WHEN u.share < 0.5 THEN format('Of the time for which checkouts have their connection, %s is in transactions: give '
				'it back sooner, that comes first. ', pool_monitor.percent(u.share))
				-- else it would be a finding of the server's
				WHEN w.exhausted_share >= 0.01 THEN 'First correct the declaration, see the topic declaration. '
				ELSE 'A process is full while others are not: see client_pools, and spread the load, if it is always the same. ' END,
				-- where overflow comes and goes, more of it would, too
				format('What more for each would do: SELECT wait_p95, timeouts, calibration FROM pool_monitor.simulate(%L, %s => %s).',
					d.pool, b.which, b.size + greatest(d.each / 2, 1))) AS recommendation,
			NULL::text AS setting, NULL::int AS current, NULL::int AS proposed, w.seen, w.effective_samples, 'reported' AS quality
		FROM declared AS d JOIN workload AS w ON w.pool = d.pool LEFT JOIN reporting AS g ON g.pool = d.pool
			LEFT JOIN saturation AS s ON s.pool = d.pool,
			LATERAL (SELECT pool_monitor.share_in_transactions(w.avg_busy, w.avg_connections, w.seen, w.checked_out_seconds,
				w.reported_open_seconds) AS share) AS u,
			LATERAL (SELECT d.max_overflow = 0 OR w.overflow_share < 0.05 IS NOT TRUE AS is_base) AS o,
			LATERAL (SELECT CASE WHEN o.is_base THEN 'pool_size' ELSE 'max_overflow' END AS which,
				CASE WHEN o.is_base THEN d.pool_size ELSE d.max_overflow END AS size) AS b
		WHERE s.pool IS NULL AND d.each > 0 AND (pool_monitor.gave_up(w.checkouts, w.checkout_timeouts)
			OR w.checkouts >= 100 AND w.checkout_waits >= 0.1 * w.checkouts AND w.waited_seconds >= 0.01 * w.checkouts)
		ORDER BY d.pool, w.span = 'hour' DESC
	),
	-- One step: a fifth more, half more from a fifth of the time on. What more a pool that is full would have
	-- taken, nobody has seen: so it is a step, and then another look.
	saturation_wish AS MATERIALIZED (
		SELECT s.*, CASE WHEN s.quality = 'good' AND NOT s.is_unsound AND NOT s.nobody_waited AND NOT s.is_brief
			THEN least(greatest(floor(s.each * (0.2 + 0.3 * least(s.exhausted_share / 0.2, 1))), 1),
				CASE WHEN s.has_budget AND s.reserve = 0 THEN greatest(floor((s.budget - s.ceiling) / s.processes::float8), 0) END)::int
			ELSE 0 END AS wish
		FROM saturation AS s
	),
	-- If there is room, which the fullest have first: together they never ask for more than there is. A pool whose
	-- smallest step is too large takes none. What is within a declared budget has its room there; but without
	-- overflow that is a reserve, as PgBouncer's, which stays as large as it is: the budget goes up, too.
	-- What was measured is the time in which all processes were full at once: between
	-- the product of their isolated probabilities, or one shared queue, and a single
	-- one's. Further off than a factor of three, the model is withheld.
	saturation_step AS MATERIALIZED (
		SELECT s.*, least(s.wish, floor((r.connections - coalesce(sum(least(s.wish, c.steps) * c.of_step)
				OVER (ORDER BY s.exhausted_share DESC, s.pool ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))
				/ nullif(c.of_step, 0)))::int AS more,
			s.exhausted_share > 3 * s.isolated_model
				OR s.exhausted_share < least(s.shared_model,
					exp(greatest(s.processes * ln(greatest(s.isolated_model, 1e-6)), -700))) / 3 AS model_is_off,
			CASE WHEN s.max_overflow = 0 OR s.overflow_share >= 0.5 THEN 'pool_size' ELSE 'max_overflow' END AS which
		FROM saturation_wish AS s, room AS r,
			LATERAL (SELECT o.of_step, CASE WHEN o.of_step = 0 THEN s.wish ELSE greatest(floor(r.connections / o.of_step), 0) END AS steps
				FROM (SELECT CASE WHEN s.reserve > 0 THEN s.processes WHEN s.has_budget THEN 0
					ELSE s.processes + s.surge_processes END::float8 AS of_step) AS o) AS c
	),
	-- Where Erlang's model is wrong, what was measured is replayed: as it is, and with what is proposed. For the eight
	-- fullest, as that takes its time; not called for NULL.
	fullest AS MATERIALIZED (
		SELECT s.pool FROM saturation AS s
		WHERE s.quality = 'good' AND NOT s.nobody_waited
		ORDER BY s.exhausted_share DESC, s.pool LIMIT 8
	),
	saturation_simulated AS MATERIALIZED (
		SELECT s.*, b.waiting AS waiting_simulated, concat(format('simulated from what was measured, %s of the checkouts wait and %s '
				'time out', pool_monitor.percent(b.waiting), pool_monitor.percent(b.timeouts)),
			CASE WHEN s.more >= 1 THEN format(', with what is proposed %s and %s', pool_monitor.percent(b.proposed_waiting),
				pool_monitor.percent(b.proposed_timeouts)) END) AS simulated
		FROM saturation_step AS s LEFT JOIN LATERAL pool_monitor.waits_simulated(
			CASE WHEN s.pool IN (SELECT f.pool FROM fullest AS f) THEN s.pool END, format('1 %s', s.span)::interval,
			s.pool_size + CASE s.which WHEN 'pool_size' THEN greatest(s.more, 0) ELSE 0 END,
			s.max_overflow + CASE s.which WHEN 'max_overflow' THEN greatest(s.more, 0) ELSE 0 END) AS b ON true
	),
	exhausted AS MATERIALIZED (
		-- what was measured was measured; only a number needs more than a moment of it
		SELECT CASE WHEN s.gave_up THEN 'critical'
				WHEN s.exhausted_seconds < CASE WHEN s.is_brief THEN 300 ELSE 36 END OR s.nobody_waited THEN 'info'
				WHEN s.worst_share >= 0.2 AND s.exhausted_seconds >= 60 THEN 'critical' ELSE 'warning' END AS severity,
			s.pool, 'exhausted' AS topic,
			CASE WHEN s.nobody_waited THEN 'all connections were busy, but no checkout waited, as its clients report'
				ELSE 'all connections were busy: the next checkout waited, up to pool_timeout' END AS finding,
			format('busy at the ceiling of %s for %s of %s%s; busy %s on average, %s at most; %s',
				s.ceiling, CASE WHEN s.is_brief THEN round(s.exhausted_seconds) || ' s' ELSE pool_monitor.percent(s.exhausted_share) END,
				pool_monitor.watched(s.seen, s.span),
				CASE WHEN s.is_brief THEN ', the last at ' || t.last END,
				round(s.avg_busy::numeric, 2), s.max_busy,
				CASE WHEN s.checkouts + s.checkout_timeouts > 0
					THEN format('measured, as %s: of %s checkouts ', CASE WHEN s.reporting > 0
						THEN format('%s of %s processes report', s.reporting, s.processes) ELSE 'clients reported' END, s.checkouts)
						-- PgBouncer tells for how long, and not how many
						|| CASE WHEN s.checkout_waits + s.checkout_timeouts = 0 AND s.waited_seconds > 0
							THEN format('some waited, %s s in all', round(s.waited_seconds::numeric, 3))
							ELSE format('%s waited%s, and %s timed out besides',
								pool_monitor.percent(s.checkout_waits / nullif(s.checkouts, 0)::float8),
								', each of these for ' || round((s.waited_seconds / nullif(s.checkout_waits, 0))::numeric, 3)
									|| ' s on average',
								s.checkout_timeouts) END
						|| coalesce('; ' || CASE WHEN s.waiting_simulated IS NOT NULL THEN s.simulated END, '')
				WHEN s.waiting_simulated IS NOT NULL THEN 'Erlang''s model disagrees with what was seen; ' || s.simulated
				WHEN s.model_is_off THEN 'Erlang''s model is withheld: it disagrees with what was seen'
					ELSE format('Erlang C says %s (one queue) to %s (one for each process) of the checkouts wait, '
						'up to %s for longer than pool_timeout %s',
						pool_monitor.percent(s.shared_model), pool_monitor.percent(s.isolated_model),
						coalesce(pool_monitor.percent(s.timeouts), 'an unknown share'), s.pool_timeout) END) AS evidence,
			CASE WHEN s.nobody_waited THEN 'Nothing: that is what it has them for. Look again when checkouts wait.'
				WHEN s.quality <> 'good' THEN 'See who holds them: sessions, leak_suspects. Watch for longer before sizes are changed.'
				WHEN s.is_unsound THEN 'First correct the declaration, see the topic declaration.'
				WHEN s.is_brief THEN 'It is too little of the day to change sizes for. See what was different then: who('
					|| coalesce(quote_literal(t.last), 'at') || ').'
				WHEN s.more >= 1 THEN format('Raise %s of each process by %s%s, then look again. '
					'Long holds come first: see slow_holds, and pg_stat_statements.', s.which, s.more,
					CASE WHEN s.reserve > 0 THEN ', and the budget with it, so that its reserve stays' END)
				WHEN s.has_budget AND s.reserve = 0 THEN 'Its budget leaves it no room: raise that first, or shorten the holds.'
				ELSE 'There is no room in the server''s connection budget or the pool''s: '
					'shorten the holds, lower another pool, or raise max_connections.' END AS recommendation,
			p.setting, p.current, p.proposed, s.seen, s.effective_samples, s.quality
		FROM saturation_simulated AS s LEFT JOIN (
				SELECT e.pool, date_trunc('second', max(e.at)) AS last FROM events AS e
				WHERE e.event IN ('exhausted', 'no_longer_exhausted')
				GROUP BY e.pool
			) AS t ON t.pool = s.pool,
			LATERAL (SELECT coalesce(s.quality = 'good' AND s.more >= 1, false) AS is_known,
				CASE s.which WHEN 'pool_size' THEN s.pool_size ELSE s.max_overflow END AS size) AS k,
			LATERAL (VALUES (NOT k.is_known, NULL::text, NULL::int, NULL::int),
				(k.is_known, s.which, k.size, k.size + s.more),
				(k.is_known AND s.reserve > 0, 'budget', s.budget::int, s.budget::int + s.processes * s.more))
				AS p(is_so, setting, current, proposed)
		WHERE p.is_so
	),

	-- Sessions above base come and go, far sooner than their age would have it. Where base is as large as idle would
	-- leave it, it is not too small: then no number, which idle would take back.
	churn AS MATERIALIZED (
		SELECT d.*, w.overflow_share, w.disconnects, w.p95_busy, w.seen, w.effective_samples, w.quality,
			w.avg_connections * extract(epoch FROM w.seen) / w.disconnects AS lifetime,
			u.share, CASE WHEN w.quality = 'good' AND d.pool_size < n.ample / u.share
				THEN least(greatest(ceil(n.most_minutes / u.share), d.pool_size + 1), d.each)::int END AS size
		FROM sound AS d JOIN sized_day AS w ON w.pool = d.pool JOIN needs AS n ON n.pool = d.pool,
			-- base is of what is checked out, which is more than what is busy where clients say so
			LATERAL (SELECT CASE WHEN s.share BETWEEN 0.001 AND 0.8 THEN s.share ELSE 1 END AS share
				FROM pool_monitor.share_in_transactions(w.avg_busy, w.avg_connections, w.seen, w.checked_out_seconds,
					w.reported_open_seconds) AS s(share)) AS u
		WHERE d.max_overflow > 0 AND w.overflow_share >= 0.05
			AND w.disconnects - w.retired >= 30
			AND w.avg_connections * extract(epoch FROM w.seen) / w.disconnects
				< extract(epoch FROM coalesce(d.pool_recycle, interval '1 hour')) / 4
			-- first the one, which may raise pool_size too
			AND NOT EXISTS (SELECT FROM saturation_step AS x WHERE x.pool = d.pool AND x.more >= 1)
	),
	overflow AS MATERIALIZED (
		SELECT CASE WHEN c.quality = 'good' THEN 'warning' ELSE 'info' END,
			c.pool, 'overflow', 'overflow connections are opened and closed all the time',
			format('above base of %s for %s of %s; %s sessions ended, after %s s on average; '
				'95 %% of the minutes needed no more than %s busy%s',
				c.base, pool_monitor.percent(c.overflow_share), pool_monitor.watched(c.seen, 'day'), c.disconnects,
				round(c.lifetime::numeric, 1), c.p95_busy,
				CASE WHEN c.share < 1 THEN format(', which is %s of the time for which checkouts have their connection',
					pool_monitor.percent(c.share)) END),
			CASE WHEN c.quality <> 'good' THEN 'Watch for longer before sizes are changed.'
				WHEN c.size IS NULL THEN 'Base has room for the load: look for bursts, and for processes that have more of it than others.'
				ELSE format('Raise pool_size to %s and lower max_overflow to %s: the ceiling stays, much of the churn goes.',
					c.size, c.each - c.size) END,
			s.setting, s.current, s.proposed, c.seen, c.effective_samples, c.quality
		FROM churn AS c, LATERAL (VALUES (c.size IS NULL, NULL::text, NULL::int, NULL::int),
			(c.size IS NOT NULL, 'pool_size', c.pool_size, c.size), (c.size IS NOT NULL, 'max_overflow', c.max_overflow, c.each - c.size))
			AS s(is_so, setting, current, proposed)
		WHERE s.is_so
	),

	-- Idle ones are what a pool is for; they are too many when they take up a fifth of what the server can give, or when
	-- it is short of connections. Less is proposed only after a day with these sizes: half an hour has not seen the peak.
	-- Not for a fifth less or none: that is chance.
	slack AS MATERIALIZED (
		SELECT d.*, w.p95_busy, k.p95_busy AS week_busy, k.max_busy, k.seen AS week_seen, w.avg_connections, w.seen,
			w.effective_samples, w.quality, n.ample AS size,
			-- the ceiling stays above the most that was busy
			least(greatest(d.max_overflow, floor(k.max_busy / d.processes)::int + 1 - n.ample), d.each - n.ample) AS overflow,
			least(w.avg_connections, d.base) - d.processes * n.ample AS kept,
			CASE WHEN r.is_short THEN 5 ELSE greatest(20, 0.2 * v.connection_budget) END AS many
		FROM sound AS d JOIN sized_day AS w ON w.pool = d.pool JOIN week AS k ON k.pool = d.pool JOIN needs AS n ON n.pool = d.pool,
			room AS r, server AS v
		WHERE w.quality = 'good' AND w.seen >= interval '20 hours' AND d.pool_size - n.ample >= greatest(0.2 * n.ample, 1)
			AND NOT EXISTS (SELECT FROM saturation AS x WHERE x.pool = d.pool)
			AND NOT EXISTS (SELECT FROM waited AS x WHERE x.pool = d.pool)
			AND NOT EXISTS (SELECT FROM churn AS x WHERE x.pool = d.pool)
			-- what is busy is what clients need, unless they say that they have it for longer
			AND pool_monitor.share_in_transactions(w.avg_busy, w.avg_connections, w.seen, w.checked_out_seconds,
				w.reported_open_seconds) < 0.8 IS NOT TRUE
	),
	idle AS MATERIALIZED (
		SELECT 'info', s.pool, 'idle', 'more connections are kept open than the load needs',
			format('%s connections on average, base %s; 95 %% of the minutes of %s needed no more than %s busy, of %s no more than '
				'%s, and none more than %s', round(s.avg_connections::numeric, 1), s.base, pool_monitor.watched(s.seen, 'day'), s.p95_busy,
				pool_monitor.watched(s.week_seen, 'week'), s.week_busy, s.max_busy),
			format('Lower pool_size to %s, above what 95 %% of the minutes needed, with max_overflow %s.', s.size, s.overflow),
			p.setting, p.current, p.proposed, s.seen, s.effective_samples, s.quality
		FROM slack AS s, LATERAL (VALUES ('pool_size', s.pool_size, s.size), ('max_overflow', s.max_overflow, s.overflow))
			AS p(setting, current, proposed)
		WHERE s.kept >= s.many AND p.current <> p.proposed
	),
	-- each alone is no finding
	idle_together AS MATERIALIZED (
		SELECT 'info', NULL::text, 'idle', 'more connections are kept open than the load needs, of several pools together',
			format('%s of the connections that these keep open: %s', round(sum(s.kept)::numeric),
				string_agg(format('%s (pool_size %s; %s would do, with max_overflow %s)', s.pool, s.pool_size, s.size, s.overflow), ', '
					ORDER BY round(s.kept::numeric) DESC, s.pool)),
			'Lower them together, to these: the ceilings stay above the most that was busy.',
			NULL::text, NULL::int, NULL::int, min(s.seen), min(s.effective_samples), 'good'
		FROM slack AS s
		WHERE s.kept < s.many AND NOT EXISTS (SELECT FROM muted AS m WHERE m.topic = 'idle' AND m.pool = s.pool)
		HAVING count(*) > 1 AND sum(s.kept) >= min(s.many)
	),
