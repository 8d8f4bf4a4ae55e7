--
-- Advice: the policy, over what was declared and measured. Thresholds and their
-- reasons are in docs/sizing.md. One view in several parts, by subject: what it reads, and
-- what is sound to go by, here; the others follow in the Makefile's order.
--
-- Each part is MATERIALIZED, also what is used once: the planner looks for the place of one that is not in all of the
-- query, once for each, and to plan it took twice as long.
--

CREATE VIEW pool_monitor.advice AS
	WITH server AS MATERIALIZED (
		-- a budget above what there is, is none
		SELECT s.max_connections, s.reserved, s.usable, s.headroom_percent, least(s.connection_budget, s.usable) AS connection_budget,
			s.connection_budget AS set_budget, s.declared_budget, s.declared_surged, s.undeclared
		FROM pool_monitor.server() AS s
	),
	declared AS MATERIALIZED (
		SELECT d.*, d.servers * d.workers AS processes, d.pool_size + d.max_overflow AS each,
			ceil(d.servers * d.workers * (d.surge / 100.0))::int AS surge_processes
		FROM pool_monitor.declared() AS d
	),
	day AS MATERIALIZED (
		SELECT 'day' AS span, * FROM pool_monitor.workload(since => pg_catalog.now() - interval '1 day') AS w
	),
	hour AS MATERIALIZED (
		SELECT 'hour' AS span, * FROM pool_monitor.workload(since => pg_catalog.now() - interval '1 hour') AS w
	),
	-- a quiet day, as a Sunday, is not what a pool is for; what is older than the minutes counts by the peaks of its hours
	week AS MATERIALIZED (
		SELECT w.pool, w.max_connections, w.p95_busy, w.max_busy, w.seen
		FROM pool_monitor.workload(since => pg_catalog.now() - interval '8 days') AS w
	),
	-- what is said of a pool's sizes is measured against those that it has: not what was before they were declared anew
	resized AS MATERIALIZED (
		SELECT EXISTS (SELECT FROM declared AS d WHERE d.sized_since > pg_catalog.now() - interval '1 day') AS of_late
	),
	sized_day AS MATERIALIZED (
		SELECT * FROM day WHERE NOT (SELECT r.of_late FROM resized AS r)
		UNION ALL
		SELECT 'day', w.* FROM pool_monitor.workload(since => pg_catalog.now() - interval '1 day', as_sized => true) AS w
		WHERE (SELECT r.of_late FROM resized AS r)
	),
	sized_hour AS MATERIALIZED (
		SELECT * FROM hour WHERE NOT (SELECT r.of_late FROM resized AS r)
		UNION ALL
		SELECT 'hour', w.* FROM pool_monitor.workload(since => pg_catalog.now() - interval '1 hour', as_sized => true) AS w
		WHERE (SELECT r.of_late FROM resized AS r)
	),
	workload AS MATERIALIZED (
		SELECT * FROM sized_day UNION ALL SELECT * FROM sized_hour
	),
	stats AS MATERIALIZED (
		SELECT * FROM pool_monitor.pool_stats()
	),
	events AS MATERIALIZED (
		SELECT * FROM pool_monitor.events() AS e WHERE e.at > pg_catalog.now() - interval '1 day'
	),
	sessions AS MATERIALIZED (
		SELECT * FROM pool_monitor.sessions()
	),

	muted AS MATERIALIZED (
		SELECT m.pool, m.topic FROM pool_monitor.muted AS m WHERE m.until > pg_catalog.now() OR m.until IS NULL
	),

	-- connections that the declared budgets leave of the connection budget, or of what is usable besides the undeclared ones
	room AS MATERIALIZED (
		SELECT least(s.connection_budget, s.usable - pool_monitor.undeclared_most())
				- coalesce(s.declared_budget, d.max_connections, 0) AS connections,
			coalesce(d.refused, 0) > 0 OR coalesce(d.max_connections, 0) >= 0.9 * s.connection_budget AS is_short,
			pool_monitor.watched(d.seen, 'day') AS watched
		FROM server AS s LEFT JOIN day AS d ON d.pool = '(server)'
	),

	-- where the declaration is wrong, it is corrected before any size is judged by it
	hosts AS MATERIALIZED (
		SELECT d.pool, d.servers, d.processes, count(DISTINCT s.client_addr)::int AS hosts
		FROM declared AS d JOIN sessions AS s ON s.pool = d.pool
		GROUP BY d.pool, d.servers, d.processes, d.surge_processes
		-- one process has one address; what is declared as so many workers of one server may be as many servers
		HAVING count(DISTINCT s.client_addr) > d.processes + d.surge_processes
	),
	above_in AS MATERIALIZED (
		SELECT d.pool, w.span, w.max_connections, w.seen
		FROM declared AS d JOIN workload AS w ON w.pool = d.pool
		WHERE d.ceiling IS NOT NULL AND pool_monitor.above_ceiling(w.max_connections, greatest(d.surge_ceiling, d.budget), d.processes,
			d.budget, w.over_share, w.seen)
	),
	above AS MATERIALIZED (
		SELECT d.*, a.max_connections, a.seen,
			ceil(a.max_connections / (greatest(d.servers, h.hosts) * d.each)::float8)::int AS seems
		FROM declared AS d JOIN above_in AS a ON a.pool = d.pool LEFT JOIN hosts AS h ON h.pool = d.pool
		WHERE a.span = 'day'
	),
	-- who mutes that knows what it was, as a session of his own
	unsound AS MATERIALIZED (
		SELECT a.pool, a.span FROM above_in AS a
		WHERE NOT EXISTS (SELECT FROM muted AS m WHERE m.topic = 'declaration' AND (m.pool IS NULL OR m.pool = a.pool))
	),
	sound AS MATERIALIZED (
		SELECT d.* FROM declared AS d
		WHERE d.ceiling IS NOT NULL AND NOT EXISTS (SELECT FROM unsound AS a WHERE a.pool = d.pool AND a.span = 'day')
	),
