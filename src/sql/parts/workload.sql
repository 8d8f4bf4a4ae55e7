--
-- What was measured, for the advice
--

CREATE VIEW pool_monitor.workload AS
	WITH spans(span, length) AS (VALUES ('hour', interval '1 hour'), ('day', interval '1 day')),
	minutes AS (
		SELECT * FROM pool_monitor.history() AS h
		WHERE h.resolution = interval '1 minute' AND h.bucket_start > pg_catalog.now() - interval '1 day'
	),
	sums AS (
		SELECT m.pool, s.span,
			sum(m.seen) AS seen,
			sum(m.avg_connections * m.seen) AS connection_seconds,
			max(m.max_connections) AS max_connections,
			sum(m.avg_busy * m.seen) AS busy_seconds,
			max(m.max_busy) AS max_busy,
			percentile_disc(0.95) WITHIN GROUP (ORDER BY m.max_busy) AS p95_busy,
			sum(m.transactions) AS transactions,
			sum(m.connects) AS connects,
			sum(m.disconnects) AS disconnects,
			sum(m.retired) AS retired,
			sum(m.refused) AS refused,
			sum(m.overflow_seconds) AS overflow_seconds,
			sum(m.exhausted_seconds) AS exhausted_seconds,
			sum(m.over_seconds) AS over_seconds
		FROM spans AS s
		JOIN minutes AS m ON m.bucket_start > pg_catalog.now() - s.length
		GROUP BY m.pool, s.span
	),
	rates AS (
		SELECT s.*,
			s.transactions / nullif(s.seen, 0) AS transactions_per_second,
			s.busy_seconds / nullif(s.transactions, 0) AS hold_time,
			least(s.transactions, s.seen / greatest(60, 2 * s.busy_seconds / nullif(s.transactions, 0))) AS effective_samples
		FROM sums AS s
	)
	SELECT r.pool, r.span, pg_catalog.make_interval(secs => r.seen) AS seen,
		r.connection_seconds / nullif(r.seen, 0) AS avg_connections, r.max_connections,
		r.busy_seconds / nullif(r.seen, 0) AS avg_busy, r.p95_busy, r.max_busy,
		r.transactions::bigint AS transactions, r.transactions_per_second, r.hold_time,
		r.connects::bigint AS connects, r.disconnects::bigint AS disconnects,
		r.retired::bigint AS retired, r.refused::bigint AS refused,
		r.overflow_seconds / nullif(r.seen, 0) AS overflow_share,
		r.exhausted_seconds / nullif(r.seen, 0) AS exhausted_share,
		r.over_seconds / nullif(r.seen, 0) AS over_share,
		r.effective_samples,
		CASE WHEN r.effective_samples >= 30 THEN 'good' ELSE 'not enough data' END AS quality
	FROM rates AS r;

COMMENT ON VIEW pool_monitor.workload IS
'What each declared pool, (undeclared) and (server) did in the last hour and the last day, from the minutes of '
'history. Needs shared_preload_libraries, and pg_read_all_stats.';
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
COMMENT ON COLUMN pool_monitor.workload.connects IS 'sessions that began: exact';
COMMENT ON COLUMN pool_monitor.workload.disconnects IS 'sessions that ended: exact';
COMMENT ON COLUMN pool_monitor.workload.retired IS 'sessions retired by pool_monitor: exact';
COMMENT ON COLUMN pool_monitor.workload.refused IS 'logins refused because no connection slot was free: exact';
COMMENT ON COLUMN pool_monitor.workload.overflow_share IS 'share (0 to 1) of the time seen above base';
COMMENT ON COLUMN pool_monitor.workload.exhausted_share IS 'share of the time seen with busy at the ceiling: measured, without any model';
COMMENT ON COLUMN pool_monitor.workload.over_share IS 'share of the time seen above budget';
COMMENT ON COLUMN pool_monitor.workload.effective_samples IS
'how many independent looks the averages are worth: one a minute, or one in two mean hold times where these are '
'longer, and no more than there were transactions';
COMMENT ON COLUMN pool_monitor.workload.quality IS 'good, or not enough data: fewer than 30 effective samples';
