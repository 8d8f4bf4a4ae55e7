--
-- Minutes, hours and events
--

CREATE FUNCTION pool_monitor.history(
	pool text DEFAULT NULL, resolution interval DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
	OUT bucket_start timestamptz, OUT resolution interval, OUT pool text, OUT seen float8,
	OUT avg_connections float8, OUT max_connections int,
	OUT avg_busy float8, OUT max_busy int,
	OUT connects bigint, OUT disconnects bigint, OUT refused bigint, OUT guarded bigint, OUT would_be_guarded bigint,
	OUT guarded_by_reserves bigint, OUT guarded_by_rate bigint,
	OUT rejected bigint, OUT auth_failures bigint,
	OUT retired bigint, OUT transactions bigint,
	OUT overflow_seconds float8, OUT exhausted_seconds float8, OUT over_seconds float8, OUT starved_seconds float8,
	OUT checkouts bigint, OUT checkout_waits bigint, OUT waited_seconds float8, OUT checkout_timeouts bigint,
	OUT timed_checkouts bigint, OUT checked_out_seconds float8, OUT reported_open_seconds float8
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100000
	AS 'MODULE_PATHNAME', 'pm_history';
COMMENT ON FUNCTION pool_monitor.history(text, interval, timestamptz, timestamptz) IS
'A part of the view history, in little time: of one pool (or (undeclared), or (server)), by the minute or by the hour '
'(interval ''1 minute'' or ''1 hour''), what begins at since or later and before until. NULL: no bound. No rows for a '
'pool that has no history; raises an error for another resolution.';

CREATE VIEW pool_monitor.history AS
	SELECT * FROM pool_monitor.history() AS h;

COMMENT ON VIEW pool_monitor.history IS
'The past, by the minute (history_minutes) and by the hour (history_hours), in no order. A stretch in which the '
'worker did not run is not there. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.history.bucket_start IS 'begin of the minute or hour';
COMMENT ON COLUMN pool_monitor.history.resolution IS 'interval ''1 minute'' or ''1 hour''';
COMMENT ON COLUMN pool_monitor.history.pool IS
'declared pool (its history stays after its declaration is deleted, until its place is needed); (undeclared): all '
'sessions in no declared pool; (server): all';
COMMENT ON COLUMN pool_monitor.history.seen IS
'seconds in which the worker was watching; averages and seconds are of this time. Less than the resolution: it was '
'not, or this stretch is not over yet. More: the clock was set back meanwhile';
COMMENT ON COLUMN pool_monitor.history.avg_connections IS 'connections, averaged over seen: exact; NULL: nothing was seen';
COMMENT ON COLUMN pool_monitor.history.max_connections IS 'most connections at any moment: exact';
COMMENT ON COLUMN pool_monitor.history.avg_busy IS 'connections in a transaction, averaged over seen: exact; NULL: nothing was seen';
COMMENT ON COLUMN pool_monitor.history.max_busy IS 'most busy connections that a sample has seen';
COMMENT ON COLUMN pool_monitor.history.connects IS
'sessions that began: exact, also where nothing was seen; those that only came from another pool do not count';
COMMENT ON COLUMN pool_monitor.history.disconnects IS 'sessions that ended: exact';
COMMENT ON COLUMN pool_monitor.history.refused IS 'logins refused because no connection slot was free: exact';
COMMENT ON COLUMN pool_monitor.history.guarded IS 'logins that the guard refused, as in pool_stats: exact';
COMMENT ON COLUMN pool_monitor.history.would_be_guarded IS
'logins that the guard would have refused if it did not only report, as in pool_stats: exact';
COMMENT ON COLUMN pool_monitor.history.guarded_by_reserves IS
'of both together, those for want of a place that is not reserved for others, as in pool_stats: exact';
COMMENT ON COLUMN pool_monitor.history.guarded_by_rate IS 'of both together, those faster than connect_rate, likewise: exact';
COMMENT ON COLUMN pool_monitor.history.rejected IS 'logins that were authenticated, then not admitted, as in pool_stats: exact';
COMMENT ON COLUMN pool_monitor.history.auth_failures IS 'logins that were not authenticated, as in pool_stats: exact';
COMMENT ON COLUMN pool_monitor.history.retired IS 'sessions retired by pool_monitor: exact';
COMMENT ON COLUMN pool_monitor.history.transactions IS 'transactions that ended: exact';
COMMENT ON COLUMN pool_monitor.history.overflow_seconds IS 'seconds above base, as sampled; 0 for the sums';
COMMENT ON COLUMN pool_monitor.history.exhausted_seconds IS
'seconds with busy at the ceiling or above, as sampled; of (server): with no connection available';
COMMENT ON COLUMN pool_monitor.history.over_seconds IS 'seconds above budget, as sampled; of (server): above connection_budget';
COMMENT ON COLUMN pool_monitor.history.starved_seconds IS
'seconds below budget with a login refused within 10 s before, because the server was full, as sampled; of (server): '
'seconds in which it was full, so that any login was';
COMMENT ON COLUMN pool_monitor.history.checkouts IS
'connections that clients'' pools handed out, as they report it (client_report()): what came with the reports of this time';
COMMENT ON COLUMN pool_monitor.history.checkout_waits IS 'of these, those that had to wait; likewise';
COMMENT ON COLUMN pool_monitor.history.waited_seconds IS 'for how long all of those waited, in sum; likewise';
COMMENT ON COLUMN pool_monitor.history.checkout_timeouts IS 'who gave up waiting; likewise, and not in checkouts';
COMMENT ON COLUMN pool_monitor.history.timed_checkouts IS 'of checkouts, those of clients that report the next two; likewise';
COMMENT ON COLUMN pool_monitor.history.checked_out_seconds IS 'for how long these had connections checked out, in sum; likewise';
COMMENT ON COLUMN pool_monitor.history.reported_open_seconds IS 'for how long the connections of these were open, in sum; likewise';

CREATE FUNCTION pool_monitor.events(
	OUT seq bigint, OUT at timestamptz, OUT pool text, OUT application_name text, OUT datname text, OUT usename text,
	OUT event text, OUT pid int, OUT detail text, OUT times int
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000
	AS 'MODULE_PATHNAME', 'pm_events';
COMMENT ON FUNCTION pool_monitor.events() IS 'behind the view pool_monitor.events';

CREATE VIEW pool_monitor.events AS
	SELECT e.seq, e.at, e.pool, e.application_name, e.datname, e.usename, e.event, e.pid,
		e.detail::pg_catalog.jsonb AS detail, e.times
	FROM pool_monitor.events() AS e;

COMMENT ON VIEW pool_monitor.events IS
'The last events, the oldest first. There is room for max_events; when it is used up, the oldest event of the pool '
'and kind that has the most goes (the server counts as one, and so do all discovered applications); what needs no '
'session (starved, refused, auth_failures, rejected and their ends) has a third of the room at most then. They survive '
'a restart, after a crash those that were saved. LISTEN pool_monitor, in the database of the declarations, delivers '
'each as JSON (not on a standby; pid, detail of single sessions, logins and holders, and name and detail of discovered '
'applications, only here). Any role may LISTEN, and any role may NOTIFY the same channel: trust the view. Needs '
'shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.events.seq IS
'number of the event; the next one is greater by 1, but for what has gone and a gap of some thousands after a crash. '
'Begins at 1 again only when the file of statistics is lost';
COMMENT ON COLUMN pool_monitor.events.at IS 'when it was noticed: at the next sample';
COMMENT ON COLUMN pool_monitor.events.pool IS 'declared pool, or (other); NULL: it is about none';
COMMENT ON COLUMN pool_monitor.events.application_name IS 'discovered application; NULL: it is about none';
COMMENT ON COLUMN pool_monitor.events.datname IS
'its database, as in pool_stats; empty: it is about all applications of this name; NULL: it is about none';
COMMENT ON COLUMN pool_monitor.events.usename IS
'its role, as in pool_stats; empty: it is about all applications of this name; NULL: it is about none';
COMMENT ON COLUMN pool_monitor.events.event IS
'started, statistics_lost, statistics_reset, declarations_loaded, applications_full, clock_step (seconds by which '
'the wall clock moved against the monotonic one), clock_set_back (so far that history was dropped); over_budget, '
'back_in_budget, exhausted, no_longer_exhausted, starved, no_longer_starved; server_full, server_no_longer_full, '
'server_over_budget, server_back_in_budget (holders: who held most that was not busy); storm, storm_over; refused, '
'refused_over, auth_failures, auth_failures_over, rejected, rejected_over (with role, database and address of the '
'first; again, with grown, whenever they are ten times as many); guarded, guarded_over (logins that the guard refused); '
'guard_disarmed, guard_armed (why it does not, or again does, refuse); leak_suspect; '
'retirement_paused, retirement_resumed; retired, declined';
COMMENT ON COLUMN pool_monitor.events.pid IS 'the session it is about, or that did it; NULL: none';
COMMENT ON COLUMN pool_monitor.events.detail IS
'details; times in seconds. Of the end of a status: seconds from its begin until it was last seen, and the share (0 '
'to 1) of them in which it held, as sampled; undeclared, in place of figures, when the pool went with its '
'declaration. Of retired and declined: the rule, stale or idle (shrink_idle), or gave way, to a login that a guard refused';
COMMENT ON COLUMN pool_monitor.events.times IS
'more than 1: so many of this kind and pool, put together, of which this was the last. What comes more than 20 times '
'within a minute is told once a minute from then on, until a minute goes by without it. Not so retired, nor what is '
'done by hand';
