--
-- Sizes for all pools at once
--

CREATE FUNCTION pool_monitor.undeclared_most() RETURNS int
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'pm_undeclared_most';
COMMENT ON FUNCTION pool_monitor.undeclared_most() IS
'The most connections in no declared pool, now or in the last day, but not before a pool was last declared, or declared to match '
'other names or addresses: what fit() and advice leave room for. Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.fit(
	connection_budget int DEFAULT NULL,
	OUT pool text, OUT processes int, OUT seen interval, OUT avg_busy float8, OUT p95_busy int, OUT week_busy int,
	OUT pool_size int, OUT max_overflow int, OUT ceiling bigint,
	OUT proposed_pool_size bigint, OUT proposed_max_overflow bigint, OUT proposed_ceiling bigint, OUT proposed_budget bigint,
	OUT freed bigint,
	OUT waiting float8, OUT timeouts float8, OUT proposed_waiting float8, OUT proposed_timeouts float8,
	OUT model text, OUT quality text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_fit_sql';
COMMENT ON FUNCTION pool_monitor.fit(int) IS
'Sizes for all declared pools at once that fit into a connection_budget, by what was measured in the last day, those that '
'give the most back first. NULL: into the server''s, or what undeclared connections leave of the usable ones where that is '
'less (as many as undeclared_most() says). freed is ceiling less '
'proposed_ceiling; proposed_pool_size is what each process needs in 95 % of the minutes, or keeps now, if that is more, and '
'all where there is no overflow now. ceiling is of an unbounded pool its '
'budget, or the most that was seen. p95_busy is that of the last day, week_busy of the last eight days, of which those that '
'are kept by the hour count by the peaks of the hours; no pool gets less than either. Whoever gains most by the next '
'connection gets it, by the queueing model with one queue for each process, until none is left or worth having (marginal '
'analysis: Fox 1966). waiting: checkouts that wait, on average, of all its processes; timeouts: the share of checkouts that '
'waits longer than pool_timeout; both with the sizes of now and as proposed, NULL where these are unbounded. model: Erlang, or '
'simulated, briefly, where measured bursts, reported waits or the time at the ceiling show Erlang''s formulas to be wrong by '
'a factor of 3: then timeouts are those that give up. simulated, off: that is wrong by as much, too; then waiting and timeouts '
'are NULL, and the pool keeps what it has, at least. A pool without enough data keeps what it has. Room is kept for the largest '
'single surge, and for what an explicit budget has above its ceiling; proposed_budget is such a budget with the proposed sizes, '
'NULL where none is declared. When what the least of all comes to is more than the connection_budget, so are the proposed '
'ceilings. See docs/sizing.md. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
