--
-- What was counted
--

CREATE FUNCTION pool_monitor.pool_stats(
	OUT pool text, OUT application_name text, OUT datname text, OUT usename text, OUT connections int,
	OUT connects bigint, OUT disconnects bigint,
	OUT taken_over bigint, OUT given_over bigint,
	OUT ended_client bigint, OUT ended_abandoned bigint, OUT ended_fatal bigint, OUT ended_timeout bigint,
	OUT ended_killed bigint,
	OUT retired bigint, OUT retired_late bigint, OUT ended_lost bigint,
	OUT declined bigint, OUT declined_reasons jsonb,
	OUT rejected bigint, OUT refused bigint, OUT guarded bigint, OUT would_be_guarded bigint,
	OUT guarded_by_reserves bigint, OUT guarded_by_rate bigint, OUT auth_failures bigint,
	OUT transactions bigint, OUT long_holds bigint,
	OUT checkouts bigint, OUT checkout_waits bigint, OUT waited_seconds float8, OUT checkout_timeouts bigint,
	OUT timed_checkouts bigint, OUT checked_out_seconds float8, OUT reported_open_seconds float8,
	OUT overflow_seconds float8, OUT exhausted_seconds float8, OUT over_seconds float8, OUT starved_seconds float8,
	OUT retirement_paused_seconds float8, OUT storms bigint,
	OUT peak_connections int, OUT peak_at timestamptz,
	OUT busy_seconds float8, OUT average_busy float8,
	OUT lifetime_p50 interval, OUT lifetime_p95 interval, OUT lifetime_max interval,
	OUT hold_p50 interval, OUT hold_p95 interval, OUT hold_p99 interval, OUT hold_max interval,
	OUT setup_p50 interval, OUT setup_p95 interval, OUT setup_p99 interval, OUT setup_max interval,
	OUT last_used timestamptz, OUT stats_reset timestamptz
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000
	AS 'MODULE_PATHNAME', 'pm_pool_stats';
COMMENT ON FUNCTION pool_monitor.pool_stats() IS 'behind the view pool_monitor.pool_stats';

CREATE VIEW pool_monitor.pool_stats AS
	SELECT * FROM pool_monitor.pool_stats() AS s;

COMMENT ON VIEW pool_monitor.pool_stats IS
'What was counted since stats_reset, for each declared pool, each discovered application, and (other) for what there '
'is no room for above max_applications, which takes over the sums of applications that were not used for longest. '
'Exact: nothing is sampled, but for the seconds in a condition, overflow_seconds to retirement_paused_seconds. Of replication '
'connections only auth_failures are counted. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.pool_stats.pool IS 'declared pool, or (other); NULL: a discovered application';
COMMENT ON COLUMN pool_monitor.pool_stats.application_name IS
'discovered application, which no declared pool matches: each name in each database and under each role has a row of '
'its own; NULL: a declared pool, or (other)';
COMMENT ON COLUMN pool_monitor.pool_stats.datname IS
'database in which the application logs in, or tries to (then there may be none of this name), empty if it named none. Control characters '
'are shown as \xNN, and so is what is not ASCII unless the client''s encoding is the database''s; NULL: a declared pool, '
'or (other)';
COMMENT ON COLUMN pool_monitor.pool_stats.usename IS
'role under which the application logs in, or tries to: as the client named it, which an ALTER ROLE RENAME does not '
'change; shown as datname is; NULL: a declared pool, or (other)';
COMMENT ON COLUMN pool_monitor.pool_stats.connections IS
'sessions there are now: connects less disconnects, but for sessions that come or go while it is read';
COMMENT ON COLUMN pool_monitor.pool_stats.connects IS
'sessions assigned to this pool or application: they began here, or (taken_over of them) were alive already';
COMMENT ON COLUMN pool_monitor.pool_stats.disconnects IS
'sessions that are here no more: the sum of the ended_ columns, retired and given_over';
COMMENT ON COLUMN pool_monitor.pool_stats.taken_over IS
'of connects: alive when they came, because they changed their application_name, the declarations changed, or the '
'counters were reset';
COMMENT ON COLUMN pool_monitor.pool_stats.given_over IS 'of disconnects: alive when they went to another pool or application';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_client IS 'of disconnects: the client said goodbye';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_abandoned IS 'of disconnects: the client vanished';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_fatal IS 'of disconnects: a fatal error ended the session';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_timeout IS
'of disconnects: ended by idle_session_timeout, idle_in_transaction_session_timeout or transaction_timeout (with '
'log_min_messages = panic they are among ended_fatal)';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_killed IS 'of disconnects: terminated by an administrator, or by the server''s shutdown';
COMMENT ON COLUMN pool_monitor.pool_stats.retired IS 'of disconnects: retired by pool_monitor';
COMMENT ON COLUMN pool_monitor.pool_stats.retired_late IS
'of retired: its client had used it when it was over age already, and past recycle_margin too: it recycles later than declared, or '
'not at all';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_lost IS
'of disconnects: they were there when the statistics were last saved before a crash';
COMMENT ON COLUMN pool_monitor.pool_stats.declined IS
'requests to retire that a session declined or left unanswered; the session goes on, so it is not part of disconnects';
COMMENT ON COLUMN pool_monitor.pool_stats.declined_reasons IS 'of declined: how many for which reason, as {"reason": number}; {}: none';
COMMENT ON COLUMN pool_monitor.pool_stats.rejected IS
'logins that were authenticated, then not admitted: missing database (or role, where authentication does not need '
'it), no CONNECT privilege, a role''s or database''s own CONNECTION LIMIT, a bad option';
COMMENT ON COLUMN pool_monitor.pool_stats.refused IS
'logins refused because no connection slot was free (SQLSTATE 53300 without those own limits)';
COMMENT ON COLUMN pool_monitor.pool_stats.guarded IS
'logins that the guard refused, see guard in pools: they are in none of rejected and refused';
COMMENT ON COLUMN pool_monitor.pool_stats.would_be_guarded IS
'logins that the guard admitted, because it reports only, and would have refused';
COMMENT ON COLUMN pool_monitor.pool_stats.guarded_by_reserves IS
'of guarded and would_be_guarded together: those for which all was taken that is not reserved for other pools';
COMMENT ON COLUMN pool_monitor.pool_stats.guarded_by_rate IS
'of both together likewise: those that came faster than connect_rate. The rest of both was above the pool''s own limit';
COMMENT ON COLUMN pool_monitor.pool_stats.auth_failures IS
'logins that were not authenticated: a wrong password, rejected by pg_hba.conf, a malformed message, an unknown '
'protocol version, no answer within authentication_timeout. Not counted: a client that goes away when it is asked '
'for a password, as psql does to ask its user, and a connection on which no whole start-up packet has come';
COMMENT ON COLUMN pool_monitor.pool_stats.transactions IS 'transactions that ended, in whatever way; a single statement is one';
COMMENT ON COLUMN pool_monitor.pool_stats.long_holds IS
'of transactions: those that kept their connection for 1.05 s (2^20 us) or more';
COMMENT ON COLUMN pool_monitor.pool_stats.checkouts IS
'connections that clients'' own pools have handed out, as they report it: see client_report(). 0: none reports, or none were';
COMMENT ON COLUMN pool_monitor.pool_stats.checkout_waits IS 'of checkouts, as reported: those that had to wait';
COMMENT ON COLUMN pool_monitor.pool_stats.waited_seconds IS 'for how long these have waited in all, as reported';
COMMENT ON COLUMN pool_monitor.pool_stats.checkout_timeouts IS 'checkouts that gave up waiting, as reported';
COMMENT ON COLUMN pool_monitor.pool_stats.timed_checkouts IS
'of checkouts, those of clients that know for how long they have their connections: of them are the next two';
COMMENT ON COLUMN pool_monitor.pool_stats.checked_out_seconds IS
'for how long these clients had connections checked out, in sum, as reported; more than busy_seconds where they keep '
'them while they are in no transaction';
COMMENT ON COLUMN pool_monitor.pool_stats.reported_open_seconds IS
'for how long the connections of these clients were open, in sum, as many as they report; checked_out_seconds is a part of it';
COMMENT ON COLUMN pool_monitor.pool_stats.overflow_seconds IS
'seconds above base, also of a pool without a ceiling, as sampled. This and the next three are what history has, each '
'condition for itself, where status in budgets is the worst alone: several can hold at once. A time in which the worker '
'did not look is in none of them; 0 for an application';
COMMENT ON COLUMN pool_monitor.pool_stats.exhausted_seconds IS
'seconds with busy at the ceiling or above, whether over budget besides or not, likewise';
COMMENT ON COLUMN pool_monitor.pool_stats.over_seconds IS 'seconds above budget, likewise';
COMMENT ON COLUMN pool_monitor.pool_stats.starved_seconds IS
'seconds in which the pool was starved (see status in budgets), likewise';
COMMENT ON COLUMN pool_monitor.pool_stats.retirement_paused_seconds IS
'seconds in which the pool''s sessions were to be retired on schedule, and that paused, of one of its roles at least, as '
'sampled; history does not have it. 0 for an application';
COMMENT ON COLUMN pool_monitor.pool_stats.storms IS 'connect storms that began: as many as there were events "storm" of it';
COMMENT ON COLUMN pool_monitor.pool_stats.peak_connections IS 'most connections at any moment since stats_reset: exact';
COMMENT ON COLUMN pool_monitor.pool_stats.peak_at IS 'when that was; NULL: there was no connection yet';
COMMENT ON COLUMN pool_monitor.pool_stats.busy_seconds IS
'seconds in transactions, summed over all connections, open transactions included; the difference of two readings '
'divided by the time between them is the average of busy connections in it';
COMMENT ON COLUMN pool_monitor.pool_stats.average_busy IS
'connections in a transaction, as an average over the time since stats_reset in which the server ran, open '
'transactions included (not those of sessions with track_activities off): exact, the sum of hold times divided by '
'the time (which is the offered load of Little''s law)';
COMMENT ON COLUMN pool_monitor.pool_stats.lifetime_p50 IS
'median lifetime of the sessions that have ended; every percentile is off by at most 6.25 %';
COMMENT ON COLUMN pool_monitor.pool_stats.lifetime_p95 IS '95 % of the sessions that have ended lived no longer';
COMMENT ON COLUMN pool_monitor.pool_stats.lifetime_max IS 'longest lifetime of a session that has ended';
COMMENT ON COLUMN pool_monitor.pool_stats.hold_p50 IS
'median hold time: how long a transaction kept its connection, a failed block until its ROLLBACK';
COMMENT ON COLUMN pool_monitor.pool_stats.hold_p95 IS '95 % of the transactions held no longer';
COMMENT ON COLUMN pool_monitor.pool_stats.hold_p99 IS '99 % of the transactions held no longer';
COMMENT ON COLUMN pool_monitor.pool_stats.hold_max IS
'longest hold time; off by at most 6.25 % if it is of a session that came from elsewhere and had held longer there';
COMMENT ON COLUMN pool_monitor.pool_stats.setup_p50 IS
'median set-up time of the sessions that began here: from the fork of the process (before PostgreSQL 18, from when it '
'had begun) until the login''s own transaction has committed. TLS, authentication and the answers of the client are in '
'it: it is what a new connection costs, at least. Where the clock is set meanwhile, the part after authentication';
COMMENT ON COLUMN pool_monitor.pool_stats.setup_p95 IS '95 % of them took no longer';
COMMENT ON COLUMN pool_monitor.pool_stats.setup_p99 IS '99 % of them took no longer';
COMMENT ON COLUMN pool_monitor.pool_stats.setup_max IS 'longest set-up time';
COMMENT ON COLUMN pool_monitor.pool_stats.last_used IS
'when a session last began or ended here, came or left, or a login failed; NULL: not since the server started';
COMMENT ON COLUMN pool_monitor.pool_stats.stats_reset IS 'since when all of this was counted';
