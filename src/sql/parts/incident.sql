--
-- The questions of an incident
--

CREATE FUNCTION pool_monitor.holders(
	since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
	OUT pool text, OUT application_name text, OUT datname text, OUT usename text, OUT seen interval,
	OUT avg_connections float8, OUT max_connections int, OUT avg_busy float8, OUT max_busy int,
	OUT transactions bigint, OUT connects bigint, OUT refused bigint, OUT guarded bigint, OUT would_be_guarded bigint,
	OUT exhausted_share float8,
	OUT wait_client float8, OUT wait_lock float8, OUT wait_io float8, OUT wait_other float8
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_holders';
COMMENT ON FUNCTION pool_monitor.holders(timestamptz, timestamptz) IS
'Who held connections in the stretches of history that begin at since (NULL: the oldest) or later and before until '
'(NULL: now): each declared pool, (undeclared), (server), and the largest undeclared applications by name, database '
'and role (then pool is NULL), of which 24 have a history of their own. They are in (undeclared), too. Columns as in '
'workload; the last four are how many busy sessions, on average, waited for their client in a transaction, for a '
'lock, for I/O, and for anything else, as sampled; the other busy ones ran. What an application did up to the tick '
'that first saw it large is not there. Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.who(
	at timestamptz, span interval DEFAULT '1 minute',
	OUT pool text, OUT application_name text, OUT datname text, OUT usename text,
	OUT connections numeric, OUT max_connections int, OUT percent_of_usable numeric, OUT busy numeric,
	OUT refused bigint, OUT guarded bigint, OUT waited_for text
) RETURNS SETOF record
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED ROWS 100
BEGIN ATOMIC
	WITH oldest AS (
		SELECT min(h.bucket_start) AS minute FROM pool_monitor.history('(server)', interval '1 minute') AS h
	),
	-- what begins before the oldest minute begins with a whole hour
	minutes AS MATERIALIZED (
		SELECT h.* FROM oldest AS o,
			pool_monitor.holders(date_trunc(CASE WHEN at < o.minute THEN 'hour' ELSE 'minute' END, at, 'UTC'), at + span) AS h
	),
	-- where there are none, the hours that this is in
	stretches AS MATERIALIZED (
		SELECT m.* FROM minutes AS m
		UNION ALL
		SELECT h.* FROM pool_monitor.holders(date_trunc('hour', at, 'UTC'), at + span) AS h WHERE NOT EXISTS (SELECT FROM minutes)
	),
	-- over the time in which the server was watched, so that the parts make up the whole
	found AS MATERIALIZED (
		SELECT x.*, x.avg_connections * t.part AS connections, x.avg_busy * t.part AS busy
		FROM stretches AS x LEFT JOIN stretches AS s ON s.pool = '(server)'
		CROSS JOIN LATERAL (SELECT coalesce(extract(epoch FROM x.seen) / nullif(extract(epoch FROM s.seen), 0), 1)::float8 AS part) AS t
	),
	-- of what is undeclared, what has no history of its own
	rest AS (
		SELECT u.connections - coalesce(sum(a.connections), 0) AS connections, u.busy - coalesce(sum(a.busy), 0) AS busy,
			u.refused - coalesce(sum(a.refused), 0) AS refused, u.guarded - coalesce(sum(a.guarded), 0) AS guarded
		FROM found AS u LEFT JOIN found AS a ON a.application_name IS NOT NULL
		WHERE u.pool = '(undeclared)'
		GROUP BY u.connections, u.busy, u.refused, u.guarded
	),
	lines AS (
		SELECT f.pool, f.application_name, f.datname, f.usename, f.connections, f.max_connections, f.busy, f.refused, f.guarded,
			w.waited_for
		FROM found AS f CROSS JOIN LATERAL (
			SELECT string_agg(w.what || ' ' || pool_monitor.percent(w.sessions / w.all_of, 0), ', ' ORDER BY w.sessions DESC)
				AS waited_for
			FROM (
				SELECT v.what, v.sessions, sum(v.sessions) OVER () AS all_of
				FROM (VALUES ('client', f.wait_client), ('lock', f.wait_lock), ('I/O', f.wait_io), ('other', f.wait_other),
					('running', greatest(f.avg_busy - f.wait_client - f.wait_lock - f.wait_io - f.wait_other, 0))) AS v(what, sessions)
			) AS w
			WHERE w.sessions >= 0.005 * w.all_of AND w.all_of > 0
		) AS w
		WHERE f.pool IS DISTINCT FROM '(undeclared)' AND (f.max_connections > 0 OR f.refused > 0 OR f.guarded > 0)
		UNION ALL
		SELECT '(undeclared)', NULL, NULL, NULL, greatest(r.connections, 0), NULL, greatest(r.busy, 0), greatest(r.refused, 0),
			greatest(r.guarded, 0), NULL
		FROM rest AS r
		WHERE r.connections >= 0.05 OR r.refused > 0 OR r.guarded > 0
	)
	SELECT l.pool, l.application_name, l.datname, l.usename, round(l.connections::numeric, 1), l.max_connections,
		round((100 * l.connections / greatest(s.usable, 1))::numeric, 1), round(l.busy::numeric, 1), l.refused, l.guarded, l.waited_for
	FROM lines AS l, pool_monitor.server() AS s
	ORDER BY l.connections DESC NULLS LAST, l.refused DESC, l.guarded DESC, l.pool, l.application_name, l.datname, l.usename;
END;
COMMENT ON FUNCTION pool_monitor.who(timestamptz, interval) IS
'Everybody who held connections, was refused, or was held off by the guard (guarded), from this moment on for so '
'long, those with the most first: declared pools; the largest undeclared applications (pool is NULL); (undeclared), '
'the rest of these; (server), all. From the minutes of history that are touched, or the hours where minutes are no '
'longer kept. connections and busy are averages over the time in which the server was watched, percent_of_usable is of '
'the slots that ordinary roles have now, waited_for what busy sessions did, as sampled: client is idle in a '
'transaction. Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.changes(
	a tstzrange, b tstzrange,
	OUT pool text, OUT application_name text, OUT datname text, OUT usename text,
	OUT what text, OUT before numeric, OUT after numeric, OUT effect numeric
) RETURNS SETOF record
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED ROWS 100
BEGIN ATOMIC
	WITH spans AS MATERIALIZED (
		SELECT 'a' AS span, h.* FROM pool_monitor.holders(lower(a), upper(a)) AS h WHERE NOT isempty(a)
		UNION ALL
		SELECT 'b', h.* FROM pool_monitor.holders(lower(b), upper(b)) AS h WHERE NOT isempty(b)
	),
	-- over the time in which the server was watched: whoever is not there held nothing in it
	rates AS (
		SELECT n.pool, n.application_name, n.datname, n.usename, w.span, coalesce(s.avg_connections * t.part, 0) AS connections,
			coalesce(s.transactions / extract(epoch FROM w.seen)::float8, 0) AS arrivals,
			coalesce(s.avg_busy * t.part, 0) AS busy,
			s.avg_busy * extract(epoch FROM s.seen)::float8 / nullif(s.transactions, 0) AS hold,
			coalesce(s.connects / extract(epoch FROM w.seen)::float8 * 60, 0) AS connects,
			coalesce(s.refused / extract(epoch FROM w.seen)::float8 * 60, 0) AS refused,
			coalesce(s.guarded / extract(epoch FROM w.seen)::float8 * 60, 0) AS guarded,
			coalesce(s.exhausted_share * t.part, 0) AS exhausted, coalesce(s.max_connections, 0) AS most,
			coalesce(s.wait_client * t.part, 0) AS wait_client, coalesce(s.wait_lock * t.part, 0) AS wait_lock,
			coalesce(s.wait_io * t.part, 0) AS wait_io, coalesce(s.wait_other * t.part, 0) AS wait_other
		FROM (SELECT DISTINCT x.pool, x.application_name, x.datname, x.usename FROM spans AS x) AS n
		CROSS JOIN (SELECT y.span, y.seen FROM spans AS y WHERE y.pool = '(server)' AND y.seen > '0') AS w
		LEFT JOIN spans AS s ON s.span = w.span AND s.pool IS NOT DISTINCT FROM n.pool
			AND s.application_name IS NOT DISTINCT FROM n.application_name
			AND s.datname IS NOT DISTINCT FROM n.datname AND s.usename IS NOT DISTINCT FROM n.usename
		CROSS JOIN LATERAL (SELECT (extract(epoch FROM s.seen) / extract(epoch FROM w.seen))::float8 AS part) AS t
	),
	-- what of busy came from more transactions, and what from longer ones, adds up to its change; where none ended in
	-- one of the spans, all that is not by their number is by their length
	effects AS (
		SELECT o.pool, o.application_name, o.datname, o.usename, v.*
		FROM rates AS o JOIN rates AS n ON n.pool IS NOT DISTINCT FROM o.pool
			AND n.application_name IS NOT DISTINCT FROM o.application_name
			AND n.datname IS NOT DISTINCT FROM o.datname AND n.usename IS NOT DISTINCT FROM o.usename
		CROSS JOIN LATERAL (VALUES
			('connections', o.connections, n.connections, n.connections - o.connections),
			('transactions_per_second', o.arrivals, n.arrivals, (n.arrivals - o.arrivals) * coalesce(o.hold, n.hold)),
			('hold_time', o.hold, n.hold, coalesce(n.arrivals * (n.hold - o.hold),
				n.busy - o.busy - coalesce((n.arrivals - o.arrivals) * coalesce(o.hold, n.hold), 0))),
			('busy', o.busy, n.busy, CASE WHEN o.hold IS NULL OR n.hold IS NULL THEN n.busy - o.busy END),
			('connects_per_minute', o.connects, n.connects, (n.connects - o.connects) / 60),
			('refused_per_minute', o.refused, n.refused, n.refused - o.refused),
			('guarded_per_minute', o.guarded, n.guarded, n.guarded - o.guarded),
			('exhausted_share', o.exhausted, n.exhausted, (n.exhausted - o.exhausted) * greatest(o.most, n.most)),
			('waits for client', o.wait_client, n.wait_client, n.wait_client - o.wait_client),
			('waits for lock', o.wait_lock, n.wait_lock, n.wait_lock - o.wait_lock),
			('waits for I/O', o.wait_io, n.wait_io, n.wait_io - o.wait_io),
			('waits for other', o.wait_other, n.wait_other, n.wait_other - o.wait_other)) AS v(what, before, after, effect)
		WHERE o.span = 'a' AND n.span = 'b'
	)
	SELECT e.pool, e.application_name, e.datname, e.usename, e.what,
		round(e.before::numeric, 3), round(e.after::numeric, 3), round(e.effect::numeric, 2)
	FROM effects AS e
	WHERE abs(e.effect) >= 0.05
	ORDER BY abs(e.effect) DESC, e.pool, e.application_name, e.datname, e.usename, e.what;
END;
COMMENT ON FUNCTION pool_monitor.changes(tstzrange, tstzrange) IS
'What differs between two spans of time, the largest effect first: of each declared pool, (undeclared), (server), and '
'the largest undeclared applications. effect is in connections: their number (and that of busy ones, where no '
'transaction ended in one of the spans); of '
'transactions_per_second and hold_time what of the change in busy connections comes from more of them, and from longer '
'ones (together all of it, by Little''s law; where none ended, what is not by their number is by their length); '
'of waits the sessions that wait; of exhausted_share that share of the most connections; a login '
'a minute that is refused, or that the guard refuses, counts as one, and so does a connect a second. hold_time is in seconds. '
'Effects below 0.05 are left out. No rows where one of the spans was not watched. A span has '
'the minutes of history that begin in it, or, where minutes are no longer kept, the whole hours that do: so ask for whole '
'hours there. Needs shared_preload_libraries, and pg_read_all_stats.';
