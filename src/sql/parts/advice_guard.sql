--
-- In the view advice: what the guard does, and what it would do
--
	-- what is undeclared has settings in place of a declaration
	guards AS MATERIALIZED (
		SELECT g.*, q.in_force_since
		FROM (
			SELECT d.pool AS series, d.pool, d.guard, d.budget, d.base, d.processes, d.surge_ceiling, d.sized_since, d.asks_for_nothing,
				'budget' AS setting, format('UPDATE pool_monitor.pools SET guard = %%L WHERE name = %s;', n.name) AS statement,
				format('UPDATE pool_monitor.pools SET budget = %%s WHERE name = %s;', n.name) AS raise
			FROM declared AS d, LATERAL (SELECT replace(quote_literal(d.pool), '%', '%%') AS name) AS n
			UNION ALL
			SELECT '(undeclared)', NULL, current_setting('pool_monitor.undeclared_guard'),
				nullif(current_setting('pool_monitor.undeclared_budget')::bigint, -1), 0, 0, NULL, NULL, false,
				'pool_monitor.undeclared_budget', 'ALTER SYSTEM SET pool_monitor.undeclared_guard = %L; SELECT pg_reload_conf();',
				'ALTER SYSTEM SET pool_monitor.undeclared_budget = %s; SELECT pg_reload_conf();'
		) AS g LEFT JOIN pool_monitor.guards() AS q ON coalesce(q.pool, '(undeclared)') = g.series
	),
	-- Why is known of both kinds together: of these, what is tried out (report) has no other refusals than those for others'
	-- reserves, and what is enforced would have no others. So it is told by what was since the guard goes by what it does, if
	-- anything was: the day may have been of another mode, and of other limits.
	guard_causes AS MATERIALIZED (
		SELECT g.*, w.seen, w.max_connections, w.over_share, w.connects + w.guarded AS logins, coalesce(h.guarded, 0) AS of_hour,
			CASE g.guard WHEN 'report' THEN w.would_be_guarded ELSE w.guarded END AS guarded,
			coalesce(l.seen, least(w.seen, pg_catalog.now() - greatest(g.in_force_since, g.sized_since))) AS seen_since,
			l.connects + l.guarded AS logins_since, coalesce(l.guarded, 0) AS refused_since, i.is_since,
			i.is_since AND l.guarded + l.would_be_guarded < w.guarded + w.would_be_guarded AS is_part,
			n.by_limit, f.by_rate, greatest(CASE g.guard WHEN 'report' THEN f.would_be_guarded ELSE f.guarded END - n.by_limit
				- f.by_rate, 0) AS by_reserves
		FROM guards AS g JOIN sized_day AS w ON w.pool = g.series LEFT JOIN sized_hour AS h ON h.pool = g.series
			-- only of those that it matters for: else it is not called
			LEFT JOIN LATERAL (
				SELECT * FROM pool_monitor.workload(g.series,
					greatest(g.in_force_since, g.sized_since, pg_catalog.now() - interval '1 day'))
				WHERE w.guarded + w.would_be_guarded > 0
				LIMIT 1
			) AS l ON true,
			LATERAL (SELECT coalesce(l.guarded + l.would_be_guarded > 0, false) AS is_since) AS i,
			LATERAL (SELECT CASE WHEN i.is_since THEN l.guarded ELSE w.guarded END AS guarded,
				CASE WHEN i.is_since THEN l.would_be_guarded ELSE w.would_be_guarded END AS would_be_guarded,
				CASE WHEN i.is_since THEN l.guarded_by_reserves ELSE w.guarded_by_reserves END AS by_reserves,
				CASE WHEN i.is_since THEN l.guarded_by_rate ELSE w.guarded_by_rate END AS by_rate) AS f,
			LATERAL (SELECT greatest(f.guarded + f.would_be_guarded - f.by_reserves - f.by_rate, 0) AS by_limit) AS n
	),
	-- Five of a day, or one in a thousand, are few: a client that replaces its connections opens the new one before the
	-- server has ended the old one.
	guard_day AS MATERIALIZED (
		SELECT c.*, c.guarded > few.n AS is_much, c.refused_since > few.n AS is_much_refused,
			c.is_since AND c.by_reserves + c.by_rate > few.n AS goes_on,
			CASE WHEN c.by_limit >= greatest(c.by_reserves, c.by_rate) THEN 'limit' WHEN c.by_reserves >= c.by_rate THEN 'reserves'
				ELSE 'rate' END AS cause,
			format('%s of %s logins in %s%s; %s connections at most, budget %s', c.guarded, c.logins,
				pool_monitor.watched(c.seen, 'day'), CASE WHEN c.by_reserves + c.by_rate > 0 THEN
					format(' (%s%s above the limit, %s for what others have reserved, %s above connect_rate)',
						CASE WHEN c.is_part THEN 'since what it goes by was changed: ' END, c.by_limit, c.by_reserves, c.by_rate) END,
				c.max_connections, coalesce(c.budget::text, 'none')) AS told
		FROM guard_causes AS c, LATERAL (SELECT greatest(5, 0.001 * c.logins) AS n) AS few
	),
	-- at least: who was there is known, and not who came; a wrong declaration is corrected first
	guard_off AS MATERIALIZED (
		SELECT 'info', g.pool, 'guard',
			CASE WHEN g.pool IS NULL THEN 'undeclared applications held more than undeclared_budget, and nothing keeps them to it: their '
					'guard is off'
				ELSE 'the pool held more than its budget, and nothing keeps it to that: its guard is off' END,
			format('%s connections at most in %s, budget %s%s: a guard would have refused %s login%s at least, and each new try',
				g.max_connections, pool_monitor.watched(g.seen, 'day'), g.budget,
				CASE WHEN g.over_share > 0
					THEN format(', above it for %s of the time', pool_monitor.percent(g.over_share)) END,
				g.max_connections - g.budget, CASE WHEN g.max_connections - g.budget > 1 THEN 's' END),
			'Admit them, and have them counted: ' || format(g.statement, 'report'),
			NULL::text, NULL::int, NULL::int, g.seen, NULL::float8, 'exact'
		FROM guard_day AS g
		WHERE g.guard = 'off' AND (g.pool IS NULL OR g.over_share > 0) AND NOT EXISTS (SELECT FROM above AS a WHERE a.pool = g.pool)
			AND pool_monitor.above_ceiling(g.max_connections, g.budget, g.processes, g.budget, g.over_share, g.seen)
	),
	-- whatever its own guard is: without one, or with one that reports, nothing else refuses
	guard_reserved AS MATERIALIZED (
		SELECT CASE WHEN g.of_hour > 0 THEN 'critical' ELSE 'warning' END, g.pool, 'guard',
			format('logins of %s were refused, because all was taken that other pools have not reserved',
				CASE WHEN g.pool IS NULL THEN 'undeclared applications' ELSE 'this pool' END),
			format('%s of %s logins in %s, %s of them in the last hour; %s connections at most', g.refused_since, g.logins_since,
				pool_monitor.watched(g.seen_since, 'day'), least(g.of_hour, g.refused_since), g.max_connections),
			CASE WHEN g.pool IS NULL THEN 'Declare a pool for those that must get in, with reserved of its own'
				ELSE 'If it must get in, have some reserved for it, with guard enforce' END
				|| '; or lower what other pools have reserved, or raise max_connections.',
			NULL::text, NULL::int, NULL::int, g.seen, NULL::float8, 'exact'
		FROM guard_day AS g
		WHERE g.guard <> 'enforce' AND g.is_much_refused
	),
	-- all were admitted, so the peak is what would have been enough
	guard_reports AS MATERIALIZED (
		SELECT 'info', g.pool, 'guard', 'the guard would have refused logins of ' || CASE WHEN g.pool IS NULL THEN 'undeclared applications'
				ELSE 'this pool' END, g.told,
			CASE g.cause
				WHEN 'rate' THEN 'Raise connect_rate or connect_burst to how it opens connections, or have it open them more slowly.'
				WHEN 'reserves' THEN 'Lower what other pools have reserved, or have some reserved for it.'
				ELSE CASE WHEN p.proposed IS NULL THEN 'More processes run than are declared: declare them if they are wanted. '
						ELSE 'If it needs as many, let it have them: ' || format(g.raise, p.proposed) || ' ' END
					|| 'If not, have them refused: ' || format(g.statement, 'enforce') END,
			CASE WHEN p.proposed IS NOT NULL THEN g.setting END, CASE WHEN p.proposed IS NOT NULL THEN g.budget::int END, p.proposed,
			g.seen, NULL::float8, 'exact'
		FROM guard_day AS g, LATERAL (
			SELECT CASE WHEN g.cause = 'limit' AND g.max_connections > g.budget
					AND g.max_connections <= coalesce(g.surge_ceiling, g.max_connections)
				THEN g.max_connections END AS proposed) AS p
		WHERE g.guard = 'report' AND g.is_much AND CASE g.cause WHEN 'limit' THEN g.max_connections > g.budget ELSE g.goes_on END
	),
	-- a day in which there was nothing to refuse, or next to nothing, by what it goes by now
	guard_ready AS MATERIALIZED (
		SELECT 'info', g.pool, 'guard', 'the guard reports only, and would have refused ' || CASE g.guarded WHEN 0 THEN 'nothing' ELSE
				'next to nothing' END, g.told, 'Have it keep the budget: ' || format(g.statement, 'enforce'),
			NULL::text, NULL::int, NULL::int, g.seen, NULL::float8, 'exact'
		FROM guard_day AS g
		WHERE g.guard = 'report' AND NOT g.is_much AND NOT g.is_much_refused
			AND g.seen >= interval '20 hours' AND g.seen_since >= interval '20 hours' AND g.budget >= g.base AND NOT g.asks_for_nothing
			AND coalesce(g.over_share, 0) <= 0.001 AND g.max_connections <= g.budget + greatest(g.processes, 5)
	),
	-- what they wanted is not known, but what the client may open is; beyond it, where most come from
	guard_enforces AS MATERIALIZED (
		SELECT CASE WHEN g.of_hour > 0 THEN 'critical' ELSE 'warning' END, g.pool, 'guard',
			'the guard refused logins of ' || CASE WHEN g.pool IS NULL THEN 'undeclared applications' ELSE 'this pool' END,
			format('%s; %s of them in the last hour%s', g.told, g.of_hour, CASE g.cause WHEN 'limit' THEN a.told END),
			CASE WHEN g.cause = 'rate' THEN 'Raise connect_rate or connect_burst, or have it open connections more slowly.'
				WHEN g.cause = 'reserves' THEN 'Raise its own reserved, lower that of other pools, or raise max_connections.'
				WHEN g.pool IS NULL THEN 'Stop what is not needed, declare what is, or raise pool_monitor.undeclared_budget.'
				WHEN f.proposed IS NOT NULL THEN 'Its client may open more: lower its sizes, or let it have them: '
					|| format(g.raise, f.proposed)
				ELSE format('More processes run than the %s that are declared, or a former one is still there: stop what is too much, or '
					'declare it (servers, workers, surge).', g.processes) END,
			CASE WHEN f.proposed IS NOT NULL THEN g.setting END, CASE WHEN f.proposed IS NOT NULL THEN g.budget::int END, f.proposed,
			g.seen, NULL::float8, 'exact'
		FROM guard_day AS g, LATERAL (
			SELECT CASE WHEN g.cause = 'limit' AND g.max_connections >= g.budget AND g.budget < g.surge_ceiling
				THEN g.surge_ceiling::int END AS proposed) AS f,
			LATERAL (
				SELECT '; most are now ' || string_agg(h.told, ', ' ORDER BY h.place) FILTER (WHERE h.place <= 3) AS told
				FROM (SELECT format('%s from %s', count(*), coalesce(host(s.client_addr), 'a Unix-domain socket')) AS told,
						row_number() OVER (ORDER BY count(*) DESC, s.client_addr) AS place
					FROM sessions AS s WHERE s.pool IS NOT DISTINCT FROM g.pool GROUP BY s.client_addr) AS h) AS a
		WHERE g.guard = 'enforce' AND g.is_much
			AND CASE g.cause WHEN 'limit' THEN g.pool IS NOT NULL OR g.max_connections >= g.budget ELSE g.goes_on END
	),
	guard AS MATERIALIZED (
		SELECT * FROM guard_off UNION ALL SELECT * FROM guard_reserved UNION ALL SELECT * FROM guard_reports
		UNION ALL SELECT * FROM guard_ready UNION ALL SELECT * FROM guard_enforces
	),
