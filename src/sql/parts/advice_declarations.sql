--
-- In the view advice: declarations that do not fit what is there, and each other
--
	declaration AS MATERIALIZED (
		SELECT 'warning', a.pool, 'declaration', 'the pool had more connections than declared: more workers, or other sizes',
			format('%s connections at one moment of %s, ceiling %s = %s servers * %s workers * (%s + %s)%s',
				a.max_connections, pool_monitor.watched(a.seen, 'day'), a.ceiling, a.servers, a.workers, a.pool_size, a.max_overflow,
				CASE WHEN a.budget > a.surge_ceiling THEN format(', budget %s', a.budget)
					WHEN a.surge > 0 THEN format(', %s with a surge of %s %%', a.surge_ceiling, a.surge) END),
			format('Count the processes and compare their settings; with these sizes it would be %s workers. '
				'Or two deployments overlapped: then surge is what is missing. Or another application has the same name.', a.seems),
			'workers', a.workers, a.seems, a.seen, NULL::float8, 'exact'
		FROM above AS a
		WHERE a.seems > a.workers
	),
	-- that all together are too large is what overcommitted says
	lint AS MATERIALIZED (
		SELECT CASE WHEN l.rule = 'unmatched' THEN 'info' ELSE 'warning' END, l.pool, 'lint', l.finding, l.evidence, l.recommendation,
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM pool_monitor.lint() AS l
		WHERE l.rule <> 'ceilings'
	),
	more_hosts AS MATERIALIZED (
		SELECT 'warning', h.pool, 'declaration', 'connections come from more hosts than processes are declared',
			format('%s client addresses now, %s processes declared, on %s servers', h.hosts, h.processes, h.servers),
			'Count the servers, and correct the declaration.',
			'servers', h.servers, h.hosts, NULL::interval, NULL::float8, 'exact'
		FROM hosts AS h
	),

	unbounded AS MATERIALIZED (
		SELECT 'warning', d.pool, 'unbounded', 'the pool has no upper bound: it can take every connection of the server',
			format('pool_size %s, max_overflow %s; %s connections at most in %s',
				d.pool_size, d.max_overflow, coalesce(w.max_connections, 0), pool_monitor.watched(w.seen, 'day')),
			'Give the client a bound, and declare it.',
			CASE WHEN n.is_known THEN 'max_overflow' END,
			CASE WHEN n.is_known THEN d.max_overflow END,
			CASE WHEN n.is_known
				THEN greatest(least(ceil(1.2 * greatest(w.max_connections, k.max_connections) / d.processes),
					CASE WHEN d.has_budget THEN floor(d.budget / d.processes::float8) END) - d.pool_size, 1)::int END,
			w.seen, w.effective_samples, coalesce(w.quality, 'not enough data')
		FROM declared AS d LEFT JOIN day AS w ON w.pool = d.pool LEFT JOIN week AS k ON k.pool = d.pool,
			-- a bound is less than none: not before a day was seen
			LATERAL (SELECT d.pool_size > 0 AND w.quality = 'good' AND w.seen >= interval '20 hours' AS is_known) AS n
		WHERE d.ceiling IS NULL
	),

	-- a proposal matches the very sessions that were counted, after all pools there are; nobody's name can be
	-- made to stand in the way of another's, and none that was changed to be shown is proposed
	-- Who comes and goes is there for an hour after it was last; but not who was not here again since pools were declared,
	-- nor whose sessions went to a pool then, or would by their names.
	back_within AS MATERIALIZED (
		SELECT greatest(pg_catalog.now() - interval '1 hour',
			(SELECT max(e.at) FROM events AS e WHERE e.event = 'declarations_loaded')) AS since
	),
	discovered AS MATERIALIZED (
		SELECT s.*, count(*) OVER (PARTITION BY lower(s.application_name)) = 1
				AND s.application_name ~ '^[A-Za-z0-9_.-]+$'
				AND NOT n.is_nobodys AND s.application_name NOT IN (SELECT d.pool FROM declared AS d) AS plain,
			n.is_nobodys,
			left(CASE WHEN s.application_name = '' THEN 'unnamed'
				ELSE regexp_replace(s.application_name, '^\(', 'app (') END, 18) AS begin,
			s.datname || '/' || s.usename ~ '^[ -~]*$' AND s.datname || '/' || s.usename !~ '\\x[0-9a-f]{2}' AS legible,
			regexp_replace(s.application_name, '([\\%_])', '\\\1', 'g') AS of_application,
			regexp_replace(s.datname, '([\\%_])', '\\\1', 'g') AS of_database,
			regexp_replace(s.usename, '([\\%_])', '\\\1', 'g') AS of_role
		FROM stats AS s, back_within AS b,
			-- what drivers say of themselves when the application says nothing
			LATERAL (SELECT s.application_name IN ('', 'PostgreSQL JDBC Driver', 'r2dbc-postgresql', 'vertx-pg-client', 'postgres.js')
				AS is_nobodys) AS n
		WHERE s.application_name IS NOT NULL AND s.peak_connections >= 2 AND pool_monitor.declarations_loaded()
			AND (s.connections > 0 OR s.given_over = 0 AND s.last_used > b.since AND NOT EXISTS (
				SELECT FROM pool_monitor.which_pool(s.application_name, s.datname, s.usename) AS w WHERE w.pool IS NOT NULL))
	),
	undeclared AS MATERIALIZED (
		SELECT 'info', s.application_name, 'undeclared',
			format('application %s of role %s in database %s is in no declared pool', pool_monitor.quoted(s.application_name),
				pool_monitor.quoted(s.usename), pool_monitor.quoted(s.datname)),
			format('%s connections now, %s at most, %s connects since %s%s',
				s.connections, s.peak_connections, s.connects, date_trunc('second', s.stats_reset),
				CASE WHEN s.is_nobodys THEN format('; %s, so all are meant that log in so under this role: set application_name in the '
					'client, to tell them apart', CASE s.application_name WHEN '' THEN 'it gives no name'
						ELSE 'the name is its driver''s' END) END),
			CASE WHEN s.legible THEN CASE WHEN pg_is_in_recovery() THEN '/* on the primary: a standby cannot write */ ' ELSE '' END ||
				format('INSERT INTO pool_monitor.pools (name, priority, application_name, datname, usename, workers, pool_size, '
					'max_overflow) VALUES (%L, 1000, %L, %L, %L, 1, %s, 0);',
					CASE WHEN s.plain THEN s.application_name
						ELSE translate(s.begin || ' ' || left(s.datname, 17) || '/' || left(s.usename, 17), '"\', '__') || ' '
							|| left(encode(sha256(convert_to(
								concat_ws(E'\n', s.application_name, s.datname, s.usename), 'UTF8')), 'hex'), 6) END,
					s.of_application, s.of_database, s.of_role, s.peak_connections)
				ELSE 'Declare it by hand, with _ in its patterns for what is not ASCII in the names of its database and role.' END,
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM discovered AS s
	),

	-- with one name for each connection nobody has two under one
	scattered AS MATERIALIZED (
		SELECT 'info', NULL::text, 'undeclared',
			format('sessions of role %s in database %s, under many names, are in no declared pool', pool_monitor.quoted(s.usename),
				pool_monitor.quoted(s.datname)),
			format('%s connections now, under %s names', count(*), count(DISTINCT s.application_name)),
			'Give the client one application_name, or declare it by usename and datname.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM sessions AS s
		WHERE s.pool IS NULL AND NOT EXISTS (SELECT FROM discovered AS d
			WHERE (d.application_name, d.datname, d.usename) = (s.application_name, s.datname::text, s.usename::text))
		GROUP BY s.usename, s.datname
		HAVING count(*) >= 5
	),
	over AS MATERIALIZED (
		SELECT 'warning', d.pool, 'over', 'the pool holds more than its budget',
			format('above its budget of %s for %s of %s; %s connections at most, ceiling %s', d.budget, pool_monitor.percent(w.over_share),
				pool_monitor.watched(w.seen, 'day'), w.max_connections, coalesce(d.ceiling::text, 'none')),
			'Lower its sizes in the client, or raise the budget.',
			NULL::text, NULL::int, NULL::int, w.seen, NULL::float8, 'exact'
		FROM declared AS d JOIN sized_day AS w ON w.pool = d.pool
		WHERE d.has_budget AND (d.ceiling IS NULL OR d.budget < d.ceiling AND EXISTS (SELECT FROM sound AS s WHERE s.pool = d.pool))
			AND w.over_share >= 0.01 AND w.max_connections > d.budget
	),

	unloaded AS MATERIALIZED (
		SELECT 'critical', NULL::text, 'declarations', 'the declared pools could not be loaded', h.load_error,
			'Until they are, what was loaded before is in force, nothing is retired, and advice may be wrong. See docs/troubleshooting.md.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM pool_monitor.health() AS h
		WHERE h.load_error IS NOT NULL
	),
	wrong AS MATERIALIZED (
		SELECT EXISTS (
			SELECT FROM (SELECT * FROM declaration UNION ALL SELECT * FROM more_hosts) AS f(severity, pool)
			WHERE NOT EXISTS (SELECT FROM muted AS m WHERE m.topic = 'declaration' AND (m.pool IS NULL OR m.pool = f.pool))) AS declarations
	),
	-- max_connections_for() is the least with which there is room; a fixed budget is raised besides
	overcommitted AS MATERIALIZED (
		SELECT 'warning', NULL::text, 'overcommitted', 'the declared pools can open more connections than the server has room for',
			format('declared budgets %s%s, connection budget %s of %s usable', v.declared_budget,
				CASE WHEN v.declared_surged > v.declared_budget
					THEN format(' with the largest surge (%s with all at once)', v.declared_surged) END, v.connection_budget, v.usable)
				|| CASE WHEN p.is_restart THEN format('; max_connections %s would be needed', v.needed) ELSE '' END,
			CASE WHEN w.declarations THEN 'First correct the declarations, see the topic declaration.'
				ELSE 'Lower pools (fit() and other rows of this topic say which), or raise what is proposed'
					|| CASE WHEN v.needed > v.max_connections AND v.is_fixed THEN ', max_connections and connection_budget'
						ELSE '' END || CASE WHEN p.is_restart THEN ', with a restart.' ELSE '.' END END,
			CASE WHEN NOT w.declarations THEN p.setting END,
			CASE WHEN NOT w.declarations THEN p.current END,
			CASE WHEN NOT w.declarations THEN p.proposed END,
			NULL::interval, NULL::float8, 'exact'
		FROM wrong AS w, (SELECT s.*, coalesce(pool_monitor.max_connections_for(least(s.declared_budget, 262143)::int), 262143) AS needed,
				s.headroom_percent IS NULL AND s.set_budget < s.declared_budget AS is_fixed
			FROM server AS s WHERE s.declared_budget > s.connection_budget) AS v,
			LATERAL (VALUES (v.needed > v.max_connections, true, 'max_connections', v.max_connections, v.needed),
				(v.is_fixed, false, 'pool_monitor.connection_budget', v.set_budget, least(v.declared_budget, 262143)::int))
				AS p(is_needed, is_restart, setting, current, proposed)
		-- without numbers one row is enough
		WHERE p.is_needed AND (p.is_restart OR NOT w.declarations OR v.needed <= v.max_connections)
	),
	-- what could be lowered to what the last eight days needed, as many pools as it takes, those with the most above it first
	lowest AS MATERIALIZED (
		SELECT l.*, sum(l.frees) OVER (ORDER BY l.frees DESC, l.pool) - l.frees AS freed_before
		FROM (SELECT d.*, c.used, k.seen AS week_seen, w.seen, w.effective_samples, w.quality, e.enough,
				d.processes * (d.max_overflow - e.enough) AS frees
			FROM sound AS d JOIN sized_day AS w ON w.pool = d.pool JOIN week AS k ON k.pool = d.pool,
				LATERAL (SELECT greatest(w.max_connections, k.max_connections) AS used, greatest(w.max_busy, k.max_busy) AS busy) AS c,
				LATERAL (SELECT greatest(greatest(ceil(c.used / d.processes::float8), c.busy / d.processes + 1)::int
					- d.pool_size, 0) AS enough) AS e
			WHERE w.quality = 'good' AND w.seen >= interval '20 hours' AND e.enough < d.max_overflow
				AND NOT d.has_budget
				AND NOT EXISTS (SELECT FROM churn AS x WHERE x.pool = d.pool)
				AND NOT EXISTS (SELECT FROM slack AS x WHERE x.pool = d.pool AND x.kept >= x.many)) AS l
	),
	lower_pool AS MATERIALIZED (
		SELECT 'info', l.pool, 'overcommitted', 'this pool''s ceiling is above what it uses',
			format('ceiling %s, %s connections at most in %s', l.ceiling, l.used, pool_monitor.watched(l.week_seen, 'week')),
			'Lower max_overflow to what was needed.',
			'max_overflow', l.max_overflow, l.enough, l.seen, l.effective_samples, l.quality
		FROM lowest AS l, server AS s, wrong AS w
		WHERE NOT w.declarations AND s.declared_budget > s.connection_budget AND l.freed_before < s.declared_budget - s.connection_budget
	),
