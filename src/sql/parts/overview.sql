--
-- The whole server, in a terminal of 100 columns
--

CREATE FUNCTION pool_monitor.short(span interval) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN span < interval '1 minute' THEN greatest(pg_catalog.floor(extract(epoch FROM span)), 0) || ' s'
		WHEN span < interval '1 hour' THEN pg_catalog.floor(extract(epoch FROM span) / 60) || ' min'
		WHEN span < interval '1 day' THEN pg_catalog.round(extract(epoch FROM span) / 3600, 1) || ' h'
		ELSE pg_catalog.floor(extract(epoch FROM span) / 86400) || ' d' END;
COMMENT ON FUNCTION pool_monitor.short(interval) IS 'a time as the view overview writes it: in seconds, minutes, hours or days';

CREATE VIEW pool_monitor.overview AS
	WITH hour AS MATERIALIZED (
		SELECT h.* FROM pool_monitor.holders(pg_catalog.now() - interval '1 hour') AS h
	),
	-- a pool at its limit is not one that the server turned away: its status says so
	guarded AS MATERIALIZED (
		SELECT h.pool, h.application_name FROM pool_monitor.holders(pg_catalog.now() - interval '10 minutes') AS h WHERE h.guarded > 0
	),
	applications AS MATERIALIZED (
		SELECT a.* FROM pool_monitor.applications() AS a
	),
	pools AS MATERIALIZED (
		SELECT b.* FROM pool_monitor.budgets() AS b
	),
	refusals AS (
		SELECT h.application_name, sum(h.refused) AS refused, max(h.max_connections) AS peak, count(*) AS names
		FROM hour AS h
		-- what was declared within the hour is a pool by now
		WHERE h.application_name IS NOT NULL AND NOT EXISTS (
			SELECT FROM pool_monitor.which_pool(h.application_name, h.datname, h.usename) AS w WHERE w.pool IS NOT NULL)
			AND NOT EXISTS (SELECT FROM applications AS a WHERE a.pool IS NOT NULL
				AND (a.application_name, a.datname::text, a.usename::text) = (h.application_name, h.datname, h.usename))
		GROUP BY h.application_name
	),
	-- who holds what he does not use comes first; who was refused has none, perhaps
	undeclared AS (
		SELECT application_name, coalesce(a.connections, 0) AS connections, coalesce(a.busy, 0) AS busy, coalesce(a.idle, 0) AS idle,
			r.refused,
			-- of what has several databases or roles, or none of them a history of its own, nobody knows
			CASE WHEN r.names = 1 AND coalesce(a.parts, 1) = 1 THEN greatest(r.peak, a.connections) END AS peak,
			row_number() OVER (ORDER BY coalesce(a.connections - a.busy, 0) DESC, a.connections DESC NULLS LAST, application_name) AS rank,
			row_number() OVER (ORDER BY r.refused DESC NULLS LAST, application_name) AS refused_rank
		FROM (SELECT a.application_name, sum(a.connections) AS connections, sum(a.busy) AS busy, sum(a.idle) AS idle, count(*) AS parts
			FROM applications AS a WHERE a.pool IS NULL GROUP BY a.application_name) AS a
			FULL JOIN refusals AS r USING (application_name)
		WHERE a.connections > 0 OR r.refused > 0
	),
	lines AS (
		SELECT '(server)' AS name, false AS guarded, s.status, clock_timestamp() - s.status_since AS since,
			s.connections::bigint AS connections,
			least(s.connection_budget, s.usable)::bigint AS budget,
			(SELECT sum(a.busy) FROM applications AS a) AS busy, (SELECT sum(a.idle) FROM applications AS a) AS idle,
			greatest(h.max_connections, s.connections) AS peak, h.refused::numeric AS refused
		FROM pool_monitor.server() AS s LEFT JOIN hour AS h ON h.pool = '(server)'
		UNION ALL
		SELECT b.pool, b.pool IN (SELECT g.pool FROM guarded AS g), b.status, clock_timestamp() - b.status_since,
			b.connections, b.budget, b.busy, b.idle, greatest(h.max_connections, b.connections), h.refused
		FROM pools AS b LEFT JOIN hour AS h ON h.pool = b.pool
		UNION ALL
		SELECT CASE u.application_name WHEN '' THEN '(no name)' ELSE regexp_replace(u.application_name, '^\(', 'app (') END,
			u.application_name IN (SELECT g.application_name FROM guarded AS g), 'undeclared', NULL,
			u.connections, NULL, u.busy, u.idle, u.peak, u.refused
		FROM undeclared AS u
		WHERE u.rank <= 5 OR u.refused_rank <= 2 AND u.refused > 0
		UNION ALL
		SELECT '(others)', false, 'undeclared', NULL, sum(u.connections), NULL, sum(u.busy), sum(u.idle), NULL, NULL
		FROM undeclared AS u
		WHERE u.rank > 5 AND (u.refused_rank > 2 OR coalesce(u.refused, 0) = 0)
		HAVING count(*) > 0
	),
	-- Who is cut like another has, in place of its end, what begins where they first differ; and where that is not enough,
	-- a number.
	cut AS (
		SELECT l.*, CASE WHEN length(l.name) > 16 THEN left(l.name, 8) || '~' || right(l.name, 7) ELSE l.name END AS short
		FROM lines AS l
	),
	alike AS (
		SELECT c.short, (SELECT min(p.place) FROM generate_series(1, 63) AS p(place)
				WHERE left(min(c.name), p.place) <> left(max(c.name), p.place)) AS place
		FROM cut AS c
		GROUP BY c.short
		HAVING count(DISTINCT c.name) > 1
	),
	apart AS (
		SELECT c.*, a.place, CASE WHEN a.place IS NULL THEN c.short ELSE left(c.name, 4) || '~' || substr(c.name, a.place, 11) END AS told
		FROM cut AS c LEFT JOIN alike AS a ON a.short = c.short
	),
	numbered AS (
		SELECT a.*, count(a.place) OVER (PARTITION BY a.told) AS namesakes, row_number() OVER (PARTITION BY a.told ORDER BY a.name) AS n
		FROM apart AS a
	)
	SELECT CASE WHEN l.namesakes > 1 THEN left(l.told, 12) || '~' || l.n ELSE l.told END AS pool,
		l.status || CASE WHEN l.guarded THEN ' +g' ELSE '' END AS status,
		pool_monitor.short(l.since) AS since, l.connections AS conns, l.budget,
		-- a budget of 0 is none to have a share of, but for who has something
		CASE WHEN l.budget > 0 THEN pool_monitor.percent(l.connections / l.budget::float8, 0)
			WHEN l.budget = 0 AND l.connections > 0 THEN '>999 %' END AS used,
		l.busy, l.idle, l.peak, l.refused
	FROM numbered AS l
	ORDER BY coalesce(array_position(ARRAY['full', 'starved', 'over', 'exhausted', 'overcommitted', 'undeclared', 'overflow', 'ok'],
			CASE WHEN l.guarded AND l.status IN ('overflow', 'ok') THEN 'exhausted' ELSE l.status END), 0),
		l.name = '(others)', CASE l.status WHEN 'undeclared' THEN l.busy - l.connections END,
		coalesce(l.refused, 0) DESC, l.connections::numeric / nullif(l.budget, 0) DESC NULLS LAST, l.connections DESC, l.name;

COMMENT ON VIEW pool_monitor.overview IS
'What one wants to see first, the worst first: the server, each declared pool, the five undeclared applications with the '
'most connections that are not busy, and the two that were refused most in the last hour. Fits into a terminal of 100 '
'columns, so names are cut. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.overview.pool IS
'declared pool; application_name, where status is undeclared, of all its databases and roles together, after app '
'where it begins with (; (others): the rest of these; (server): the whole. Longer than 16 characters: ~ in place of its middle, and '
'where two would be alike, their beginning, ~, and what begins where they differ';
COMMENT ON COLUMN pool_monitor.overview.status IS
'as in budgets and server; undeclared: in no declared pool. With +g after it: in the last 10 minutes the guard refused logins of '
'it, which are not in refused; of an undeclared application only while it has a history of its own';
COMMENT ON COLUMN pool_monitor.overview.since IS
'how long it has had this status, or a worse one, which is not over before it has been away for status_hold: to '
'status_since of budgets and of server; NULL: it is undeclared, of which that is not kept';
COMMENT ON COLUMN pool_monitor.overview.conns IS 'connections now';
COMMENT ON COLUMN pool_monitor.overview.budget IS 'connections it may hold; of (server) the connection budget; NULL: no limit';
COMMENT ON COLUMN pool_monitor.overview.used IS 'conns in percent of budget; NULL: no limit';
COMMENT ON COLUMN pool_monitor.overview.busy IS 'of conns, active or idle in a transaction';
COMMENT ON COLUMN pool_monitor.overview.idle IS 'of conns, idle in no transaction';
COMMENT ON COLUMN pool_monitor.overview.peak IS 'most connections at any moment of the last hour; NULL: not known';
COMMENT ON COLUMN pool_monitor.overview.refused IS
'logins refused in the last hour because no connection slot was free, as the server was full; NULL: not known, it has no '
'history of its own';
