--
-- What advice and checklist go by
--

CREATE FUNCTION pool_monitor.watched(seen interval, span text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE WHEN seen >= CASE span WHEN 'hour' THEN interval '55 minutes' WHEN 'day' THEN interval '23 hours'
			ELSE interval '160 hours' END THEN ''
		ELSE coalesce(date_trunc('second', seen), interval '0') || ' seen of ' END || 'the last ' || span;
COMMENT ON FUNCTION pool_monitor.watched(interval, text) IS
'the time that a finding is about, as the views write it: the last hour, day or week, or how much of it was seen. span: hour, '
'day or week';

CREATE FUNCTION pool_monitor.above_ceiling(
	max_connections int, ceiling bigint, processes int, budget bigint, over_share float8, seen interval
) RETURNS bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN max_connections > ceiling + processes
		OR max_connections > ceiling AND budget = ceiling
			AND over_share * extract(epoch FROM seen) >= greatest(10, 0.002 * extract(epoch FROM seen));
COMMENT ON FUNCTION pool_monitor.above_ceiling(int, bigint, int, bigint, float8, interval) IS
'Has a pool really been above its ceiling? Not when it was by one connection of each process, and for less than 10 s '
'and 0.2 % of the time in all (which over_share says where the ceiling is the budget): a client that replaces a '
'connection opens the new one before the server has ended the old one.';

CREATE FUNCTION pool_monitor.used_late(age interval, idle_for interval, xact_age interval, pool_recycle interval) RETURNS bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN age - coalesce(idle_for, xact_age) > 1.5 * pool_recycle;
COMMENT ON FUNCTION pool_monitor.used_late(interval, interval, interval, interval) IS
'Was a session used at more than one and a half times pool_recycle? A client that recycles would have replaced it. NULL: it is '
'not known since when it is idle (track_activities off).';

CREATE FUNCTION pool_monitor.recycles_late(retired bigint, retired_late bigint) RETURNS bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN retired_late >= 3 AND retired_late >= 0.1 * retired;
COMMENT ON FUNCTION pool_monitor.recycles_late(bigint, bigint) IS
'Does the client recycle later than declared, by its sessions that were retired? When 10 % of them, and three, had been used '
'past their age.';

CREATE FUNCTION pool_monitor.retired_today(OUT pool text, OUT retired bigint, OUT late bigint) RETURNS SETOF record
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED ROWS 10
BEGIN ATOMIC
	SELECT e.pool, count(*), count(*) FILTER (WHERE pool_monitor.used_late(j.age, j.idle, NULL, d.pool_recycle))
	FROM pool_monitor.events() AS e JOIN pool_monitor.declared() AS d ON d.pool = e.pool
		JOIN pool_monitor.pool_stats() AS t ON t.pool = e.pool AND e.at > t.stats_reset,
		LATERAL (SELECT make_interval(secs => (e.detail::jsonb ->> 'age')::float8) AS age,
			make_interval(secs => (e.detail::jsonb ->> 'idle')::float8) AS idle) AS j
	WHERE e.event = 'retired' AND e.at > now() - interval '1 day' AND j.age IS NOT NULL
	GROUP BY e.pool;
END;
COMMENT ON FUNCTION pool_monitor.retired_today() IS
'Of each pool, the sessions that were retired in the last day, since its statistics were reset, and that events tell of singly; '
'and how many of them had been used past their age. No row: none. Behind advice and can_retire(). Needs '
'shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.grows_old(
	pool_recycle interval, ended bigint, counted_for interval, lifetime_max interval, oldest interval
) RETURNS bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (pool_recycle IS NULL OR pool_recycle > interval '30 minutes')
		AND (coalesce(ended, 0) < 20 OR counted_for < interval '1 hour' OR greatest(lifetime_max, oldest) > interval '30 minutes');
COMMENT ON FUNCTION pool_monitor.grows_old(interval, bigint, interval, interval, interval) IS
'May connections of a pool live for longer than 30 minutes? By what it declares; but not where 20 have ended since its '
'statistics were reset, an hour ago or longer (counted_for), and none of these (lifetime_max), nor of those that are there '
'(oldest), has lived so long: its client does not keep '
'them, as Django with CONN_MAX_AGE 0.';

CREATE FUNCTION pool_monitor.gave_up(checkouts bigint, timeouts bigint) RETURNS bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(timeouts >= 10 AND timeouts >= 0.01 * (checkouts + timeouts), false);
COMMENT ON FUNCTION pool_monitor.gave_up(bigint, bigint) IS
'Did so many checkouts time out that it counts: ten, and 1 % of all? As clients report both.';

CREATE FUNCTION pool_monitor.share_in_transactions(
	avg_busy float8, avg_connections float8, seen interval, checked_out_seconds float8, reported_open_seconds float8
) RETURNS float8
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN checked_out_seconds > 0 AND avg_busy >= 0 AND avg_connections > 0
			AND reported_open_seconds BETWEEN 0.8 * avg_connections * extract(epoch FROM seen)
				AND 2 * avg_connections * extract(epoch FROM seen)
		THEN least(avg_busy * reported_open_seconds / avg_connections / checked_out_seconds, 1) END;
COMMENT ON FUNCTION pool_monitor.share_in_transactions(float8, float8, interval, float8, float8) IS
'The share (0 to 1) of the time for which clients have connections checked out that is in transactions, as the server sees these; '
'of columns of workload. Those that report stand for all, if 80 % of the connections are theirs, all the time; NULL: '
'fewer are, or more than twice as many as there are, or none was checked out.';

CREATE FUNCTION pool_monitor.names_of(names text[]) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN coalesce(': ' || array_to_string(names[:5], ', ')
		|| CASE WHEN cardinality(names) > 5 THEN format(' and %s more', cardinality(names) - 5) ELSE '' END, '');
COMMENT ON FUNCTION pool_monitor.names_of(text[]) IS 'the first five of some names, to follow their number; NULL: nothing';

CREATE FUNCTION pool_monitor.quoted(name text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN '"' || regexp_replace(regexp_replace(name, '["\\]', '\\\&', 'g'), '[^ -~]', '?', 'g') || '"';
COMMENT ON FUNCTION pool_monitor.quoted(text) IS
'A name that a client chose, as the views write it: in quotes, which it cannot end, and what is not printable ASCII as ?';

CREATE TABLE pool_monitor.muted (
	pool text,
	topic text NOT NULL,
	until timestamptz,
	why text NOT NULL,
	UNIQUE NULLS NOT DISTINCT (pool, topic),
	CONSTRAINT "topic must be one of those of advice" CHECK (topic IN ('exhausted', 'overflow', 'idle', 'declarations',
		'declaration', 'lint', 'unbounded', 'over', 'undeclared', 'overcommitted', 'starved', 'refused', 'guard', 'logins', 'clients',
		'slow_holds', 'leak', 'memory', 'over_age', 'pool_recycle', 'pre_ping', 'identity', 'storm', 'retirement'))
);

SELECT pg_catalog.pg_extension_config_dump('pool_monitor.muted', '');

COMMENT ON TABLE pool_monitor.muted IS
'Findings that advice, in this database, counts and does not show.';
COMMENT ON COLUMN pool_monitor.muted.pool IS
'of which pool, or for the topic undeclared, of which application_name; NULL: of whichever, and of the server';
COMMENT ON COLUMN pool_monitor.muted.topic IS 'of which topic: one that advice.topic lists; another text is an error';
COMMENT ON COLUMN pool_monitor.muted.until IS 'until then; NULL: until the row is deleted';
COMMENT ON COLUMN pool_monitor.muted.why IS 'for who reads it later';
