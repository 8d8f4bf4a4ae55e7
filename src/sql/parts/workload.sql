--
-- What was measured, for the advice
--

CREATE FUNCTION pool_monitor.workload(
	pool text DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, as_sized bool DEFAULT false,
	OUT pool text, OUT seen interval, OUT avg_connections float8, OUT max_connections int,
	OUT avg_busy float8, OUT p95_busy int, OUT max_busy int,
	OUT transactions bigint, OUT transactions_per_second float8, OUT hold_time float8,
	OUT long_holds bigint,
	OUT connects bigint, OUT disconnects bigint, OUT retired bigint, OUT refused bigint, OUT guarded bigint, OUT would_be_guarded bigint,
	OUT guarded_by_reserves bigint, OUT guarded_by_rate bigint,
	OUT rejected bigint, OUT auth_failures bigint,
	OUT overflow_share float8, OUT exhausted_share float8, OUT over_share float8, OUT starved_share float8,
	OUT checkouts bigint, OUT checkout_waits bigint, OUT waited_seconds float8, OUT checkout_timeouts bigint,
	OUT timed_checkouts bigint, OUT checked_out_seconds float8, OUT reported_open_seconds float8,
	OUT effective_samples float8, OUT quality text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_workload';
COMMENT ON FUNCTION pool_monitor.workload(text, timestamptz, timestamptz, bool) IS
'What each pool (or one of them, (undeclared) or (server)) did from since (NULL: a day ago) until then (NULL: now), as '
'in the view workload: from the minutes that begin in this time. Where these are no longer kept, from the hours that '
'begin in it: p95_busy then takes the most of an hour for each of its minutes, and is an upper bound. No rows for a '
'pool that has no history in this time. as_sized: of a declared pool only since its base, ceiling and budget have been '
'what they are (sized_since of declared()), because time at a ceiling is time at that of then.';

CREATE FUNCTION pool_monitor.rounded(number float8) RETURNS float8
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN pg_catalog.abs(number) < 1e-100 THEN 0
		ELSE pg_catalog.round(number::numeric, greatest(3 - pg_catalog.floor(pg_catalog.log(pg_catalog.abs(number)))::int, 0))::float8 END;
COMMENT ON FUNCTION pool_monitor.rounded(float8) IS 'a number for people: to four digits, and never less than ones';

CREATE FUNCTION pool_monitor.rounded(span interval) RETURNS interval
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN span < interval '1 minute' THEN span ELSE pg_catalog.date_trunc('second', span) END;
COMMENT ON FUNCTION pool_monitor.rounded(interval) IS 'a time for people: to the second from a minute on';

CREATE FUNCTION pool_monitor.percent(share float8, decimals int DEFAULT 2) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE
		WHEN share >= 9.995 THEN '>999'
		WHEN share > 1 THEN greatest(pg_catalog.round(share * 100), 101)::text
		WHEN share >= 0.1 AND share < 1 THEN least(pg_catalog.round(share * 100), 99)::text
		WHEN share IN (0, 1) THEN pg_catalog.round(share * 100)::text
		WHEN share > 0 AND pg_catalog.round(share::numeric * 100, decimals) = 0
			THEN '<' || pg_catalog.round(0.1::numeric ^ decimals, decimals)
		ELSE pg_catalog.round(share::numeric * 100, decimals)::text END || ' %';
COMMENT ON FUNCTION pool_monitor.percent(float8, int) IS
'a share as the views write it: 100 % is all and 0 % is nothing, and not nearly so; below 10 % with so many decimals';

CREATE VIEW pool_monitor.workload AS
	SELECT w.pool, s.span, pool_monitor.rounded(w.seen) AS seen, pool_monitor.rounded(w.avg_connections) AS avg_connections,
		w.max_connections, pool_monitor.rounded(w.avg_busy) AS avg_busy, w.p95_busy, w.max_busy,
		w.transactions, pool_monitor.rounded(w.transactions_per_second) AS transactions_per_second,
		pool_monitor.rounded(w.hold_time) AS hold_time, w.long_holds, w.connects, w.disconnects, w.retired, w.refused, w.guarded,
		w.would_be_guarded, w.guarded_by_reserves, w.guarded_by_rate, w.rejected, w.auth_failures,
		pool_monitor.rounded(w.overflow_share) AS overflow_share, pool_monitor.rounded(w.exhausted_share) AS exhausted_share,
		pool_monitor.rounded(w.over_share) AS over_share, pool_monitor.rounded(w.starved_share) AS starved_share,
		w.checkouts, w.checkout_waits, pool_monitor.rounded(w.waited_seconds) AS waited_seconds, w.checkout_timeouts,
		w.timed_checkouts, pool_monitor.rounded(w.checked_out_seconds) AS checked_out_seconds,
		pool_monitor.rounded(w.reported_open_seconds) AS reported_open_seconds,
		pool_monitor.rounded(w.effective_samples) AS effective_samples, w.quality
	FROM (VALUES ('hour', interval '1 hour'), ('day', interval '1 day')) AS s(span, length)
	CROSS JOIN LATERAL pool_monitor.workload(since => pg_catalog.now() - s.length) AS w;

COMMENT ON VIEW pool_monitor.workload IS
'What each declared pool, (undeclared) and (server) did in the last hour and the last day, from the minutes of '
'history, rounded for people: to four digits, and to the second; the function of this name is exact. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.workload.pool IS 'as in history';
COMMENT ON COLUMN pool_monitor.workload.span IS 'hour or day';
COMMENT ON COLUMN pool_monitor.workload.seen IS 'how much of it was watched';
COMMENT ON COLUMN pool_monitor.workload.avg_connections IS 'connections, averaged over seen: exact';
COMMENT ON COLUMN pool_monitor.workload.max_connections IS 'most connections at any moment: exact';
COMMENT ON COLUMN pool_monitor.workload.avg_busy IS
'connections in a transaction, averaged over seen: exact. It is the offered load of the queueing functions';
COMMENT ON COLUMN pool_monitor.workload.p95_busy IS 'in 95 % of the minutes no sample saw more busy connections';
COMMENT ON COLUMN pool_monitor.workload.max_busy IS 'most busy connections that a sample has seen';
COMMENT ON COLUMN pool_monitor.workload.transactions IS 'transactions that ended: exact';
COMMENT ON COLUMN pool_monitor.workload.transactions_per_second IS
'of the time seen: the arrival rate of the queueing functions; NULL: nothing was seen';
COMMENT ON COLUMN pool_monitor.workload.hold_time IS
'seconds busy for each transaction that ended: the mean time for which one kept its connection, after some time; '
'NULL: there was none';
COMMENT ON COLUMN pool_monitor.workload.long_holds IS
'of transactions: those that kept their connection for 1.05 s (2^20 us) or more: exact. 5 % of them: the 95th percentile of hold '
'times is that much';
COMMENT ON COLUMN pool_monitor.workload.connects IS 'sessions that began: exact';
COMMENT ON COLUMN pool_monitor.workload.disconnects IS 'sessions that ended: exact';
COMMENT ON COLUMN pool_monitor.workload.retired IS 'sessions retired by pool_monitor: exact';
COMMENT ON COLUMN pool_monitor.workload.refused IS 'logins refused because no connection slot was free: exact';
COMMENT ON COLUMN pool_monitor.workload.guarded IS 'logins that the guard refused: exact';
COMMENT ON COLUMN pool_monitor.workload.would_be_guarded IS 'logins that the guard would have refused if it did not only report: exact';
COMMENT ON COLUMN pool_monitor.workload.guarded_by_reserves IS
'of both together, those for want of a place that is not reserved for others: exact';
COMMENT ON COLUMN pool_monitor.workload.guarded_by_rate IS 'of both together, those faster than connect_rate: exact';
COMMENT ON COLUMN pool_monitor.workload.rejected IS 'logins that were authenticated, then not admitted: exact';
COMMENT ON COLUMN pool_monitor.workload.auth_failures IS 'logins that were not authenticated: exact';
COMMENT ON COLUMN pool_monitor.workload.overflow_share IS 'share (0 to 1) of the time seen above base';
COMMENT ON COLUMN pool_monitor.workload.exhausted_share IS 'share of the time seen with busy at the ceiling: measured, without any model';
COMMENT ON COLUMN pool_monitor.workload.over_share IS 'share of the time seen above budget';
COMMENT ON COLUMN pool_monitor.workload.starved_share IS
'share of the time seen below budget with logins refused, because the server was full; of (server): in which it was full';
COMMENT ON COLUMN pool_monitor.workload.checkouts IS 'connections that clients'' pools handed out, as far as they report; as in history';
COMMENT ON COLUMN pool_monitor.workload.checkout_waits IS 'of these, those that had to wait';
COMMENT ON COLUMN pool_monitor.workload.waited_seconds IS 'for how long all of those waited, in sum';
COMMENT ON COLUMN pool_monitor.workload.checkout_timeouts IS 'who gave up waiting; not in checkouts';
COMMENT ON COLUMN pool_monitor.workload.timed_checkouts IS 'of checkouts, those of clients that report the next two';
COMMENT ON COLUMN pool_monitor.workload.checked_out_seconds IS
'for how long these had connections checked out, in sum, as far as they report it; as in history';
COMMENT ON COLUMN pool_monitor.workload.reported_open_seconds IS 'for how long the connections of those were open, in sum';
COMMENT ON COLUMN pool_monitor.workload.effective_samples IS
'how many independent looks the averages are worth: one a minute, or one in two mean hold times where these are '
'longer, and no more than there were transactions';
COMMENT ON COLUMN pool_monitor.workload.quality IS 'good, or not enough data: fewer than 30 effective samples';
