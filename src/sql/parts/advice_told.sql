--
-- In the view advice: all findings, as they are told
--
	findings AS MATERIALIZED (
		SELECT * FROM exhausted UNION ALL SELECT * FROM waited UNION ALL SELECT * FROM overflow UNION ALL SELECT * FROM idle
		UNION ALL SELECT * FROM idle_together UNION ALL SELECT * FROM unloaded UNION ALL SELECT * FROM lint
		UNION ALL SELECT * FROM declaration UNION ALL SELECT * FROM more_hosts UNION ALL SELECT * FROM unbounded
		UNION ALL SELECT * FROM undeclared UNION ALL SELECT * FROM scattered UNION ALL SELECT * FROM over
		UNION ALL SELECT * FROM overcommitted UNION ALL SELECT * FROM lower_pool
		UNION ALL SELECT * FROM starved UNION ALL SELECT * FROM logins
		UNION ALL SELECT * FROM refused UNION ALL SELECT * FROM guard UNION ALL SELECT * FROM clients UNION ALL SELECT * FROM slow_holds
		UNION ALL SELECT * FROM slow_holds_now
		UNION ALL SELECT * FROM leak UNION ALL SELECT * FROM over_age UNION ALL SELECT * FROM retired_late
		UNION ALL SELECT * FROM memory UNION ALL SELECT * FROM long_recycle UNION ALL SELECT * FROM no_ping
		UNION ALL SELECT * FROM no_identity UNION ALL SELECT * FROM storms UNION ALL SELECT * FROM pauses
	),
	-- what was measured of a pool that is declared no more is told without one, and so is an application
	placed AS MATERIALIZED (
		SELECT f.severity, f.pool AS subject, d.pool, f.topic,
			f.finding || CASE WHEN f.pool IS NOT NULL AND d.pool IS NULL AND f.topic <> 'undeclared'
				THEN format(': pool %s, which is not declared any more', f.pool)
				ELSE '' END AS finding,
			f.evidence,
			-- the rows are the primary's; settings of the server are each one's own
			f.recommendation || CASE WHEN d.pool IS NOT NULL
					AND (f.setting IS NOT NULL OR f.topic IN ('lint', 'identity', 'pre_ping', 'guard', 'over', 'over_age', 'unbounded'))
					AND pg_is_in_recovery()
				THEN ' The row is changed on the primary: a standby cannot write.' ELSE '' END AS recommendation,
			f.setting, f.current, f.proposed, f.seen, f.effective_samples, f.quality
		FROM findings AS f LEFT JOIN declared AS d ON d.pool = f.pool AND f.topic <> 'undeclared'
	),
	heard AS MATERIALIZED (
		SELECT f.*, f.topic IN (SELECT m.topic FROM muted AS m WHERE m.pool IS NULL)
				OR coalesce((f.subject, f.topic) IN (SELECT m.pool, m.topic FROM muted AS m WHERE m.pool IS NOT NULL), false) AS is_muted
		FROM placed AS f
	),
	-- where every pool is declared so that it has the same finding it is the server's; what was measured is each one's
	shared AS MATERIALIZED (
		SELECT f.severity, f.topic, f.finding, f.recommendation, f.setting, f.proposed
		FROM heard AS f
		WHERE f.pool IS NOT NULL AND f.topic IN ('pool_recycle', 'pre_ping', 'identity', 'lint') AND NOT f.is_muted
		GROUP BY 1, 2, 3, 4, 5, 6
		HAVING count(*) > 1 AND count(DISTINCT f.pool) = (SELECT count(*) FROM declared)
	),
	told AS MATERIALIZED (
		SELECT f.severity, CASE WHEN s.topic IS NULL THEN f.pool END AS pool, f.topic,
			f.finding, CASE WHEN bool_or(s.topic IS NOT NULL) THEN format('all %s pools: ', count(*)) ELSE '' END
				|| string_agg(DISTINCT f.evidence, '; ') AS evidence,
			f.recommendation, f.setting,
			CASE WHEN min(f.current) = max(f.current) AND count(f.current) = count(*) THEN min(f.current) END AS current, f.proposed,
			min(f.seen) AS seen, min(f.effective_samples) AS effective_samples, min(f.quality) AS quality
		FROM heard AS f LEFT JOIN shared AS s ON f.pool IS NOT NULL
			AND (s.severity, s.topic, s.finding, s.recommendation) = (f.severity, f.topic, f.finding, f.recommendation)
			AND s.setting IS NOT DISTINCT FROM f.setting AND s.proposed IS NOT DISTINCT FROM f.proposed
		WHERE NOT f.is_muted
		GROUP BY f.severity, CASE WHEN s.topic IS NULL THEN f.pool END, f.topic, f.finding, f.recommendation, f.setting, f.proposed,
			CASE WHEN s.topic IS NULL THEN f.evidence END
		UNION ALL
		SELECT 'info', NULL, 'muted', 'findings are muted', concat_ws('; ', m.counted, 'of no declared pool: ' || m.nobodys),
			'See pool_monitor.muted for why, and until when.', NULL, NULL, NULL, NULL, NULL, 'exact'
		FROM (SELECT
				(SELECT string_agg(c.what, ', ' ORDER BY c.what)
					FROM (SELECT format('%s %s', count(*), f.topic) AS what FROM heard AS f
						WHERE f.is_muted GROUP BY f.topic) AS c) AS counted,
				(SELECT string_agg(DISTINCT m.pool, ', ' ORDER BY m.pool)
					FROM muted AS m LEFT JOIN declared AS d ON d.pool = m.pool
					WHERE m.pool IS NOT NULL AND d.pool IS NULL AND m.topic <> 'undeclared') AS nobodys) AS m
		WHERE m.counted IS NOT NULL OR m.nobodys IS NOT NULL
	)
	SELECT * FROM told AS f
	ORDER BY array_position(ARRAY['critical', 'warning', 'info'], f.severity), f.pool, f.topic, f.setting;

COMMENT ON VIEW pool_monitor.advice IS
'What to change, one row for each finding, the gravest first. The thresholds are in docs/sizing.md. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.advice.severity IS
'critical: clients wait or are refused, or the declarations could not be loaded; warning: it will come to that, or the '
'declaration is wrong; info: could be better';
COMMENT ON COLUMN pool_monitor.advice.pool IS 'declared pool; NULL: the server, an undeclared application, or every declared pool';
COMMENT ON COLUMN pool_monitor.advice.topic IS
'exhausted, overflow, idle, declarations, declaration, lint, unbounded, over, undeclared, overcommitted, starved, refused, '
'guard, logins, clients, slow_holds, leak, memory, over_age, pool_recycle, pre_ping, identity, storm, retirement; muted: how many '
'findings there are besides, by topic';
COMMENT ON COLUMN pool_monitor.advice.finding IS 'what was found';
COMMENT ON COLUMN pool_monitor.advice.evidence IS 'the numbers behind it';
COMMENT ON COLUMN pool_monitor.advice.recommendation IS 'what to do';
COMMENT ON COLUMN pool_monitor.advice.setting IS 'which setting of the client (or of the server) to change; NULL: no number is proposed';
COMMENT ON COLUMN pool_monitor.advice.current IS 'its declared value; pool_recycle in seconds';
COMMENT ON COLUMN pool_monitor.advice.proposed IS 'its proposed value';
COMMENT ON COLUMN pool_monitor.advice.seen IS
'how long was watched for it; NULL: it is about this moment, about events, or about the declaration';
COMMENT ON COLUMN pool_monitor.advice.effective_samples IS 'as in workload; of slow_holds the transactions. NULL: nothing was estimated';
COMMENT ON COLUMN pool_monitor.advice.quality IS
'of an estimate: good, or not enough data (fewer than 30 effective samples: then no number is proposed); exact: '
'nothing was estimated; reported: as the client says';
