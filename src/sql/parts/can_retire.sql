--
-- May a pool's sessions be retired?
--

CREATE FUNCTION pool_monitor.can_retire(INOUT pool text DEFAULT NULL, OUT verdict text, OUT reasons text[]) RETURNS SETOF record
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED ROWS 10
BEGIN ATOMIC
	WITH declared AS MATERIALIZED (
		SELECT d.* FROM pool_monitor.declared() AS d WHERE d.pool = can_retire.pool OR can_retire.pool IS NULL
	),
	day AS MATERIALIZED (
		SELECT * FROM pool_monitor.workload(can_retire.pool, since => now() - interval '1 day') AS w
	),
	stats AS MATERIALIZED (
		SELECT * FROM pool_monitor.pool_stats() AS s WHERE s.pool IS NOT NULL
	),
	sessions AS MATERIALIZED (
		SELECT s.pool, count(*) AS used
		FROM pool_monitor.sessions() AS s JOIN declared AS d ON d.pool = s.pool
		WHERE pool_monitor.used_late(s.age, s.idle_for, s.xact_age, d.pool_recycle)
		GROUP BY s.pool
	),
	events AS MATERIALIZED (
		SELECT e.pool, e.event, e.at, e.times, e.detail FROM pool_monitor.events() AS e
		WHERE e.at > now() - interval '1 day' AND e.event IN ('storm', 'retired', 'retirement_paused')
	),
	looks AS (
		SELECT current_setting('pool_monitor.sample_interval')::interval AS sample,
			current_setting('pool_monitor.recycle_interval')::interval AS recycle
	),
	-- A storm has begun in the seconds before it was seen, and one sample. It answers what was retired in these, or not long
	-- before: a client may take a while to come upon what has gone. Of many sessions that were retired at once the last ones
	-- are one event, at the end of the round.
	answers AS (
		SELECT s.pool, sum(s.times) AS storms
		FROM looks AS l, events AS s
		WHERE s.event = 'storm' AND EXISTS (SELECT FROM events AS r
			WHERE r.event = 'retired' AND r.pool = s.pool
				AND r.at >= s.at - make_interval(secs => (s.detail::jsonb ->> 'seconds')::float8) - l.sample - interval '20 s'
				AND r.at - CASE WHEN r.detail::jsonb ? 'further_sessions' THEN l.recycle ELSE interval '0' END <= s.at)
		GROUP BY s.pool
	),
	pauses AS (
		SELECT e.pool, sum(e.times) AS times FROM events AS e WHERE e.event = 'retirement_paused' GROUP BY e.pool
	),
	reasons(pool, number, verdict, reason) AS (
		SELECT d.pool, r.* FROM declared AS d LEFT JOIN day AS w ON w.pool = d.pool LEFT JOIN stats AS t ON t.pool = d.pool
			LEFT JOIN sessions AS s ON s.pool = d.pool LEFT JOIN answers AS a ON a.pool = d.pool LEFT JOIN pauses AS p ON p.pool = d.pool
			LEFT JOIN pool_monitor.retired_today() AS l ON l.pool = d.pool,
			LATERAL (VALUES
				(1, 'no', CASE WHEN d.recycle_mode = 'off' THEN 'recycle_mode is off' END),
				(2, 'no', CASE WHEN d.pool_recycle IS NULL THEN 'the client never recycles: pool_recycle is not declared' END),
				(3, 'no', CASE WHEN NOT d.pre_ping
					THEN 'pre_ping is off: the client finds out about a connection that is gone by a statement that fails' END),
				(4, 'no', CASE WHEN s.used > 0
					THEN format('%s of its sessions were used at more than one and a half times pool_recycle: the client recycles later',
						s.used) END),
				(5, 'no', CASE WHEN pool_monitor.recycles_late(t.retired, t.retired_late)
					THEN format('%s of %s retired sessions had been used past pool_recycle: the client recycles later',
						t.retired_late, t.retired)
					WHEN pool_monitor.recycles_late(l.retired, l.late)
					THEN format('%s of %s sessions retired in the last day that events tell of had been used past pool_recycle: the client '
						'recycles later', l.late, l.retired) END),
				(6, 'no', CASE WHEN a.storms > 0
					THEN format('retirements were answered with storms of connects, %s in the last day', a.storms) END),
				(7, 'no', CASE WHEN p.times > 0 THEN format('its retirement paused for that, %s times in the last day', p.times) END),
				(8, 'no', CASE WHEN NOT d.by_usename AND NOT d.by_client_addr
					THEN 'neither usename nor client_addr is declared: anybody can bear its application_name' END),
				(9, 'not yet', CASE WHEN coalesce(w.transactions, 0) = 0 THEN 'no transaction of it was seen in the last day'
					WHEN w.seen < least(2 * d.pool_recycle, interval '20 hours')
					THEN format('it was watched for %s of the last day: too short to see at what age its connections are used',
						date_trunc('second', w.seen))
					WHEN coalesce(t.ended_client + t.retired, 0) = 0 OR t.lifetime_max < d.pool_recycle
					THEN 'no session of it has ended at pool_recycle or later, by its client or retired: that the client recycles is only '
						'declared'
					-- as at a deployment, which ends all
					WHEN t.retired = 0 AND t.lifetime_p50 > 3 * d.pool_recycle
					THEN format('half of its sessions that have ended had lived for %s or longer: that the client recycles is only '
						'declared', t.lifetime_p50) END)
			) AS r(number, verdict, reason)
		WHERE r.reason IS NOT NULL
	)
	SELECT d.pool, coalesce(v.verdict, 'yes'), coalesce(array_agg(r.reason ORDER BY r.number) FILTER (WHERE r.verdict = v.verdict), '{}')
	FROM declared AS d LEFT JOIN reasons AS r ON r.pool = d.pool
		LEFT JOIN (SELECT r.pool, min(r.verdict) AS verdict FROM reasons AS r GROUP BY r.pool) AS v ON v.pool = d.pool
	GROUP BY d.pool, v.verdict ORDER BY d.pool;
END;
COMMENT ON FUNCTION pool_monitor.can_retire(text) IS
'May sessions of the pool (NULL: of each) be retired without harm, as far as it was seen? verdict: yes (nothing was seen '
'against it); no; not yet (too little was seen); reasons: why not, {} with yes. It goes by the declaration, by sessions that '
'were used past their age, by retired ones that had been, and by how the clients have answered retirements. Whether it is '
'done at all is for recycle_mode to say. No row: no such pool. Needs shared_preload_libraries, and pg_read_all_stats.';
