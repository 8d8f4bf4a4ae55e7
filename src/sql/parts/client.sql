--
-- The client's side: what its own pools say
--

CREATE FUNCTION pool_monitor.client_report(
	process text, size int DEFAULT NULL, max_overflow int DEFAULT NULL, open int DEFAULT NULL, checked_out int DEFAULT NULL,
	waiting int DEFAULT NULL, checkouts bigint DEFAULT 0, waits bigint DEFAULT 0, waited_seconds float8 DEFAULT 0,
	timeouts bigint DEFAULT 0, creations bigint DEFAULT 0, invalidations bigint DEFAULT 0, longest_wait float8 DEFAULT 0,
	reports_before bigint DEFAULT NULL, checked_out_seconds float8 DEFAULT NULL
) RETURNS bool
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pm_client_report';
COMMENT ON FUNCTION pool_monitor.client_report(
	text, int, int, int, int, int, bigint, bigint, float8, bigint, bigint, bigint, float8, bigint, float8) IS
'For a client: tells what its own pool says of itself, every 10 to 60 seconds, on any of its connections, in a SELECT of this '
'alone, the first of its transaction. Of the pool or application that the session is in. process: a name that none of its '
'other processes has, as host and process number; size, max_overflow: as configured (NULL: not known; max_overflow -1: '
'unbounded); open, checked_out, waiting: now (NULL: not known); the others are sums since this pool was made in this process '
'(waits NULL: it does not know who waits, or times out; its sums are not counted in those of its pool then), but longest_wait '
'(seconds, since the report before) and reports_before: how many reports this pool has sent (NULL: not known), so that '
'nothing is counted twice. checked_out_seconds: for how long its connections were handed out, in sum, each from when who '
'asked for it had it until it was given back, those that are out now up to now if it can tell (NULL: not known). What is more '
'than a process can have done is not counted, as waits that are none of its checkouts, time-outs or callers that wait now, nor '
'anything where the pool''s declaration has no usename and its login role has less than half of the pool''s sessions: a NOTICE '
'says so. False: nothing was noted; a NOTICE says why: the session is '
'not counted, there is no room for one more process, a later report has come already, or it was not a SELECT of this alone. A '
'transaction of this alone is no transaction in our books, and no use of its session. Error: a value that cannot be. Needs '
'shared_preload_libraries.';

CREATE FUNCTION pool_monitor.client_reports(
	OUT pool text, OUT application_name text, OUT datname text, OUT usename text, OUT process text, OUT reported_by name, OUT pid int,
	OUT reported_at timestamptz, OUT first_reported_at timestamptz, OUT size int, OUT max_overflow int, OUT open int,
	OUT checked_out int, OUT waiting int, OUT checkouts bigint, OUT waits bigint, OUT waited_seconds float8, OUT timeouts bigint,
	OUT creations bigint, OUT invalidations bigint, OUT longest_wait float8, OUT checked_out_seconds float8,
	OUT timed_out_at timestamptz, OUT counted bool
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_client_reports';
COMMENT ON FUNCTION pool_monitor.client_reports() IS
'The last report of each process that has reported in the last five minutes, as it was given to client_report(); behind '
'client_pools. timed_out_at: when it last reported that more checkouts had timed out; NULL: not since it is known. counted: '
'does it add to the sums of its pool, if it knows who waits? Those do of roles that the pool''s usename names, or, where it has '
'none, of a role with half of its sessions at least, when it reported; and all of what is undeclared. Needs '
'shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.report_counts_for() RETURNS interval
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_report_counts_for';
COMMENT ON FUNCTION pool_monitor.report_counts_for() IS
'for how long a report says what is the case now: 90 s; who has not reported for longer is not counted among those that do';

CREATE VIEW pool_monitor.client_pools AS
	-- of_whom: of which pool, or application
	WITH reports AS MATERIALIZED (
		SELECT r.*, ARRAY[r.pool, r.application_name, r.datname, r.usename] AS of_whom, r.size + nullif(r.max_overflow, -1) AS ceiling
		FROM pool_monitor.client_reports() AS r
	),
	-- all of its processes that have reported just now: who has ended does so no more
	together AS MATERIALIZED (
		SELECT r.of_whom, count(*)::int AS processes,
			-- not known where one of them does not know
			CASE WHEN count(r.open) = count(*) THEN sum(r.open) END AS open,
			CASE WHEN count(r.ceiling) = count(*) THEN sum(r.ceiling) END AS ceiling,
			-- of those that speak for the pool
			count(*) FILTER (WHERE r.counted)::int AS speaking,
			sum(r.ceiling - r.checked_out) FILTER (WHERE r.counted AND r.ceiling > r.checked_out AND coalesce(r.waiting, 0) = 0) AS free
		FROM reports AS r
		WHERE r.reported_at > clock_timestamp() - pool_monitor.report_counts_for()
		GROUP BY r.of_whom
	),
	-- what is older than a report counts, its owner has reported since it began: it is in what he says, unless he is silent
	observed AS MATERIALIZED (
		SELECT s.of_whom, count(*) AS connections, count(*) FILTER (WHERE s.age > pool_monitor.report_counts_for()) AS older
		FROM (SELECT s.age, CASE WHEN s.pool IS NOT NULL THEN ARRAY[s.pool, NULL, NULL, NULL]
					ELSE ARRAY[NULL, s.application_name, s.datname::text, s.usename::text] END AS of_whom
				FROM pool_monitor.sessions() AS s) AS s
		GROUP BY s.of_whom
	)
	SELECT r.pool, r.application_name, r.datname, r.usename, r.process,
		pool_monitor.rounded(clock_timestamp() - r.reported_at) AS reported_ago, r.size, r.max_overflow, r.open, r.checked_out,
		r.waiting, r.checkouts, r.waits, r.timeouts, pool_monitor.rounded(r.waited_seconds / nullif(r.waits, 0)) AS mean_wait,
		pool_monitor.rounded(r.longest_wait) AS longest_wait,
		pool_monitor.rounded(r.checked_out_seconds / nullif(r.checkouts, 0)) AS mean_use, r.creations, r.invalidations,
		d.servers * d.workers AS processes_declared, t.processes AS processes_reporting,
		CASE WHEN t.processes > 0 THEN coalesce(o.connections, 0) END AS connections, t.open AS connections_reported,
		array_remove(ARRAY[
			CASE WHEN NOT r.counted THEN format(CASE WHEN d.by_usename
					THEN 'not counted: the usename of the pool does not name %s, or did not when it reported'
					ELSE 'not counted: %s has less than half of the sessions, and the pool has no usename' END,
				coalesce(quote_ident(r.reported_by), 'its login role')) END,
			-- where they come and go, most are young; but for one of each that the server is about to end, no more can be theirs
			CASE WHEN o.connections > t.ceiling + t.processes + s.others AND (o.connections - t.ceiling > o.older - t.open) IS NOT FALSE
				THEN format('its processes can have %s, the server has %s of it: at least %s nobody owns%s', t.ceiling, o.connections,
					o.connections - t.ceiling - s.others, s.beside)
				WHEN o.older > t.open + s.others
				THEN format('its processes say %s, the server has %s of it for longer than %s s: at least %s nobody owns%s',
					t.open, o.older, extract(epoch FROM pool_monitor.report_counts_for())::int, o.older - t.open - s.others,
					s.beside) END,
			CASE WHEN t.speaking > d.servers * d.workers + ceil(d.servers * d.workers * (d.surge / 100.0))
				THEN format('%s processes report, %s are declared', t.speaking, d.servers * d.workers) END,
			-- who is silent may have ended, and have been of before the sizes were changed
			CASE WHEN (r.size, r.max_overflow) <> (d.pool_size, d.max_overflow)
				AND r.reported_at > clock_timestamp() - pool_monitor.report_counts_for()
				THEN format('size %s + %s, declared %s + %s', r.size, r.max_overflow, d.pool_size, d.max_overflow) END,
			CASE WHEN r.timed_out_at > clock_timestamp() - interval '1 hour' AND r.timeouts > 0
				THEN format('%s of %s checkouts timed out', r.timeouts, r.timeouts + r.checkouts) END,
			-- where somebody waits it is, though the connection that its report came on had just been given back; but not
			-- where he waits for one to be opened
			CASE WHEN t.free > 0 AND (r.checked_out >= r.ceiling
					OR r.waiting > 0 AND coalesce(r.open >= r.ceiling, r.max_overflow IS DISTINCT FROM -1))
				AND r.reported_at > clock_timestamp() - pool_monitor.report_counts_for()
				THEN format('full, while others of its processes have %s free', t.free) END
		], NULL) AS findings
	FROM reports AS r
		LEFT JOIN together AS t ON t.of_whom = r.of_whom
		LEFT JOIN observed AS o ON o.of_whom = r.of_whom
		LEFT JOIN pool_monitor.declared() AS d ON d.pool = r.pool
		-- what those may have that are declared and silent, as who is idle may be
		CROSS JOIN LATERAL (SELECT CASE WHEN d.servers * d.workers <= t.processes THEN 0
			ELSE (d.servers * d.workers - t.processes) * (d.pool_size + nullif(d.max_overflow, -1)) END AS others) AS e
		CROSS JOIN LATERAL (SELECT e.others, CASE WHEN e.others > 0
			THEN format(', beside %s that declared processes can have which do not report', e.others) END AS beside) AS s
	ORDER BY r.pool, r.application_name, r.datname, r.usename, r.process;

COMMENT ON VIEW pool_monitor.client_pools IS
'Declared, observed, reported: each process of an application that has called client_report() in the last five minutes, what '
'its own pool says, what the server sees of all of them, and where they differ. What a client says is not checked. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.client_pools.pool IS 'declared pool, or (other); NULL: an application in no pool';
COMMENT ON COLUMN pool_monitor.client_pools.application_name IS 'as in pool_stats; NULL: a declared pool';
COMMENT ON COLUMN pool_monitor.client_pools.datname IS 'likewise';
COMMENT ON COLUMN pool_monitor.client_pools.usename IS 'likewise';
COMMENT ON COLUMN pool_monitor.client_pools.process IS 'the process, as it calls itself; what is not printable ASCII is shown as ?';
COMMENT ON COLUMN pool_monitor.client_pools.reported_ago IS 'how long ago it reported';
COMMENT ON COLUMN pool_monitor.client_pools.size IS 'reported: connections that it keeps; NULL: not known';
COMMENT ON COLUMN pool_monitor.client_pools.max_overflow IS 'reported: and opens besides; -1: unbounded; NULL: not known';
COMMENT ON COLUMN pool_monitor.client_pools.open IS 'reported: connections that it has now; NULL: not known';
COMMENT ON COLUMN pool_monitor.client_pools.checked_out IS 'reported: of these, handed out now; NULL: not known';
COMMENT ON COLUMN pool_monitor.client_pools.waiting IS 'reported: who wait for one now; NULL: not known';
COMMENT ON COLUMN pool_monitor.client_pools.checkouts IS 'reported: connections handed out since the pool was made in this process';
COMMENT ON COLUMN pool_monitor.client_pools.waits IS 'reported: of these, those that had to wait; NULL: not known';
COMMENT ON COLUMN pool_monitor.client_pools.timeouts IS 'reported: who gave up waiting, since then; NULL: not known';
COMMENT ON COLUMN pool_monitor.client_pools.mean_wait IS 'reported: seconds, of waits; NULL: none had to wait, or not known';
COMMENT ON COLUMN pool_monitor.client_pools.longest_wait IS 'reported: seconds, since its report before; NULL: not known';
COMMENT ON COLUMN pool_monitor.client_pools.mean_use IS
'reported: seconds for which a checkout has its connection, on average, with what it does between and beside its transactions; NULL: none '
'was, or not known';
COMMENT ON COLUMN pool_monitor.client_pools.creations IS 'reported: connections opened since the pool was made';
COMMENT ON COLUMN pool_monitor.client_pools.invalidations IS 'reported: connections thrown away as broken since then';
COMMENT ON COLUMN pool_monitor.client_pools.processes_declared IS 'declared: servers * workers; NULL: in no declared pool';
COMMENT ON COLUMN pool_monitor.client_pools.processes_reporting IS
'processes of this pool or application that have reported in the last 90 seconds; NULL: none';
COMMENT ON COLUMN pool_monitor.client_pools.connections IS
'observed: sessions of this pool or application; NULL: none of its processes has reported so lately';
COMMENT ON COLUMN pool_monitor.client_pools.connections_reported IS 'reported: open, of processes_reporting together';
COMMENT ON COLUMN pool_monitor.client_pools.findings IS
'where they differ: a process that does not speak for the pool (see client_reports().counted), sessions that none of its '
'processes owns (of those older than 90 seconds, so that each owner has reported since, more than all say that are open, and '
'declared processes that do not report can have; at least, as some of what they say is younger; or more than all processes can '
'have), more processes than declared (with its surge), other sizes, time-outs in the last hour (with all since the pool was '
'made), a process that is full while others are not; {} when all is well';
