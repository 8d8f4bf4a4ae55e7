/* src/sql/pool_monitor--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pool_monitor" to load this file. \quit

-- a schema that was there before must be empty
CREATE FUNCTION pool_monitor.check_schema() RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'pm_check_schema';
SELECT pool_monitor.check_schema();
DROP FUNCTION pool_monitor.check_schema();

GRANT USAGE ON SCHEMA pool_monitor TO PUBLIC;
COMMENT ON SCHEMA pool_monitor IS
'declared connection pools against the sessions the server really has';

--
-- Declarations
--

CREATE FUNCTION pool_monitor.window_is_valid(recycle_window text) RETURNS bool
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_window_is_valid';
COMMENT ON FUNCTION pool_monitor.window_is_valid(text) IS
'can it be read as a recycle_window?';

CREATE FUNCTION pool_monitor.in_window(recycle_window text, at timestamptz DEFAULT pg_catalog.now()) RETURNS bool
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_in_window';
COMMENT ON FUNCTION pool_monitor.in_window(text, timestamptz) IS
'Is the moment inside the daily window (HH:MM-HH:MM and a time zone, over midnight when it ends before it begins; the end is outside)? NULL for an infinite moment. Raises an error when the window cannot be read.';

/*
 * A bad value is refused by a constraint whose name is the message: it names
 * the column and its range. Base and ceiling saturate instead of overflowing,
 * so that the constraint is what speaks. 262143 is the most connections that
 * any PostgreSQL server can have.
 */
CREATE TABLE pool_monitor.pools (
	name text PRIMARY KEY,
	priority int NOT NULL DEFAULT 100,
	application_name text DEFAULT '%',
	datname text,
	usename text,
	client_addr cidr,
	servers int NOT NULL DEFAULT 1,
	workers int NOT NULL DEFAULT 1,
	pool_size int NOT NULL DEFAULT 5,
	max_overflow int NOT NULL DEFAULT 10,
	pool_timeout interval NOT NULL DEFAULT interval '30 seconds',
	pool_recycle interval DEFAULT interval '1 hour',
	pre_ping bool NOT NULL DEFAULT true,
	echo_pool bool NOT NULL DEFAULT false,
	idle_limit interval NOT NULL DEFAULT interval '10 minutes',
	leak_threshold interval NOT NULL DEFAULT interval '5 minutes',
	budget int,
	recycle_mode text NOT NULL DEFAULT 'report',
	recycle_grace interval NOT NULL DEFAULT interval '1 minute',
	recycle_window text,
	shrink_idle bool NOT NULL DEFAULT false,
	description text,
	base int GENERATED ALWAYS AS (
		least(servers::numeric * workers::numeric * pool_size::numeric, 2147483647::numeric)::int
	) STORED,
	ceiling int GENERATED ALWAYS AS (
		CASE WHEN pool_size = 0 OR max_overflow = -1 THEN NULL
			ELSE least(servers::numeric * workers::numeric * (pool_size::numeric + max_overflow::numeric), 2147483647::numeric)::int
		END
	) STORED,
	CONSTRAINT "name must be 1 to 63 printable ASCII characters"
		CHECK (name ~ '^[\x20-\x7e]{1,63}$'),
	CONSTRAINT "name must not begin with a parenthesis"
		CHECK (left(name, 1) <> '('),
	CONSTRAINT "priority must be between 0 and 1000000"
		CHECK (priority BETWEEN 0 AND 1000000),
	CONSTRAINT "application_name must be at most 255 bytes"
		CHECK (octet_length(application_name) <= 255),
	CONSTRAINT "application_name must be printable ASCII, others as _ or %"
		CHECK (application_name ~ '^[\x20-\x7e]*$'),
	CONSTRAINT "application_name must not end in a lone backslash"
		CHECK (application_name !~ '(^|[^\\])(\\\\)*\\$'),
	CONSTRAINT "datname must be at most 255 bytes"
		CHECK (octet_length(datname) <= 255),
	CONSTRAINT "datname must not end in a lone backslash"
		CHECK (datname !~ '(^|[^\\])(\\\\)*\\$'),
	CONSTRAINT "usename must be at most 255 bytes"
		CHECK (octet_length(usename) <= 255),
	CONSTRAINT "usename must not end in a lone backslash"
		CHECK (usename !~ '(^|[^\\])(\\\\)*\\$'),
	CONSTRAINT "servers must be between 1 and 10000"
		CHECK (servers BETWEEN 1 AND 10000),
	CONSTRAINT "workers must be between 1 and 10000"
		CHECK (workers BETWEEN 1 AND 10000),
	CONSTRAINT "pool_size must be between 0 (unbounded) and 100000"
		CHECK (pool_size BETWEEN 0 AND 100000),
	CONSTRAINT "max_overflow must be between -1 (unbounded) and 100000"
		CHECK (max_overflow BETWEEN -1 AND 100000),
	CONSTRAINT "servers * workers * pool_size must be at most 262143"
		CHECK (base <= 262143),
	CONSTRAINT "servers * workers * (size + overflow) must be at most 262143"
		CHECK (ceiling <= 262143),
	CONSTRAINT "pool_timeout must be between 0 and 1 day"
		CHECK (pool_timeout BETWEEN interval '0' AND interval '1 day'),
	CONSTRAINT "pool_recycle must be NULL (never), or 1 second to 365 days"
		CHECK (pool_recycle BETWEEN interval '1 second' AND interval '365 days'),
	CONSTRAINT "idle_limit must be between 1 second and 365 days"
		CHECK (idle_limit BETWEEN interval '1 second' AND interval '365 days'),
	CONSTRAINT "leak_threshold must be between 1 second and 365 days"
		CHECK (leak_threshold BETWEEN interval '1 second' AND interval '365 days'),
	CONSTRAINT "budget must be NULL (the ceiling), or 1 to 262143"
		CHECK (budget BETWEEN 1 AND 262143),
	CONSTRAINT "recycle_mode must be off, report or terminate"
		CHECK (recycle_mode IN ('off', 'report', 'terminate')),
	CONSTRAINT "recycle_grace must be between 0 and 1 day"
		CHECK (recycle_grace BETWEEN interval '0' AND interval '1 day'),
	CONSTRAINT "recycle_window must be NULL, or as 22:00-06:00 Europe/Berlin"
		CHECK (pool_monitor.window_is_valid(recycle_window))
);

SELECT pg_catalog.pg_extension_config_dump('pool_monitor.pools', '');

COMMENT ON TABLE pool_monitor.pools IS
'The declared pools, one row each. In force from the commit of a change on, in the database that pool_monitor.database names and in no other. A session belongs to the first pool that matches, lowest priority first, then by name.';
COMMENT ON COLUMN pool_monitor.pools.name IS 'name of the pool, in every view and message';
COMMENT ON COLUMN pool_monitor.pools.priority IS 'matching order, lowest first; equal ones by name (in byte order)';
COMMENT ON COLUMN pool_monitor.pools.application_name IS 'LIKE pattern for application_name, which PostgreSQL keeps in printable ASCII; NULL: any';
COMMENT ON COLUMN pool_monitor.pools.datname IS 'LIKE pattern for the database name the session logged in with; NULL: any';
COMMENT ON COLUMN pool_monitor.pools.usename IS 'LIKE pattern for the role name the session logged in with; NULL: any';
COMMENT ON COLUMN pool_monitor.pools.client_addr IS 'network the client must be in; NULL: any, and the only choice that a Unix-domain socket matches';
COMMENT ON COLUMN pool_monitor.pools.servers IS 'application servers that run this pool';
COMMENT ON COLUMN pool_monitor.pools.workers IS 'processes on each application server, each with a pool of its own';
COMMENT ON COLUMN pool_monitor.pools.pool_size IS 'connections that each process keeps open; 0: without bound, as in SQLAlchemy';
COMMENT ON COLUMN pool_monitor.pools.max_overflow IS 'connections that each process may open above pool_size; -1: without bound';
COMMENT ON COLUMN pool_monitor.pools.pool_timeout IS 'how long a checkout waits for a connection before it fails; declared for the record, nothing depends on it yet';
COMMENT ON COLUMN pool_monitor.pools.pool_recycle IS 'age from which the client replaces a connection at its next checkout; NULL: never';
COMMENT ON COLUMN pool_monitor.pools.pre_ping IS 'does the client test a connection before it uses it? Declared for the record, nothing depends on it yet';
COMMENT ON COLUMN pool_monitor.pools.echo_pool IS 'log this pool''s connects, disconnects and retirements in the server log';
COMMENT ON COLUMN pool_monitor.pools.idle_limit IS 'an idle session is flagged idle_over_limit after this time';
COMMENT ON COLUMN pool_monitor.pools.leak_threshold IS 'a session is flagged leak_suspect when it has been in one transaction for longer';
COMMENT ON COLUMN pool_monitor.pools.budget IS 'connections that the pool may hold; NULL: the ceiling';
COMMENT ON COLUMN pool_monitor.pools.recycle_mode IS 'off: never retire a session of this pool; report: flag stale ones, retire only when asked by hand; terminate: retire stale ones on schedule';
COMMENT ON COLUMN pool_monitor.pools.recycle_grace IS 'how long an over-age session must have been idle to be stale';
COMMENT ON COLUMN pool_monitor.pools.recycle_window IS 'daily hours in which sessions are retired on schedule, in local time of a time zone: HH:MM-HH:MM zone, as in 22:00-06:00 Europe/Berlin, over midnight when it ends before it begins; NULL: always. By hand it is always';
COMMENT ON COLUMN pool_monitor.pools.shrink_idle IS 'retire on schedule what is idle for longer than idle_limit, as long as the pool has more connections than base; needs recycle_mode terminate';
COMMENT ON COLUMN pool_monitor.pools.description IS 'free text';
COMMENT ON COLUMN pool_monitor.pools.base IS 'servers * workers * pool_size: connections the pool keeps open at rest';
COMMENT ON COLUMN pool_monitor.pools.ceiling IS 'servers * workers * (pool_size + max_overflow): the most it can open; NULL: unbounded';

CREATE FUNCTION pool_monitor.pools_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'pm_pools_changed';
COMMENT ON FUNCTION pool_monitor.pools_changed() IS
'trigger of pool_monitor.pools: has the declarations loaded when the transaction commits';

CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools
	FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed();
CREATE TRIGGER pools_counted AFTER INSERT ON pool_monitor.pools
	FOR EACH STATEMENT EXECUTE FUNCTION pool_monitor.pools_changed();
CREATE TRIGGER pools_truncated AFTER TRUNCATE ON pool_monitor.pools
	FOR EACH STATEMENT EXECUTE FUNCTION pool_monitor.pools_changed();
-- also for rows that arrive by logical replication
ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed;
ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_counted;
ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_truncated;

--
-- Live views
--

CREATE FUNCTION pool_monitor.budgets(
	OUT pool text, OUT base bigint, OUT ceiling bigint, OUT budget bigint,
	OUT connections int, OUT active int, OUT idle int,
	OUT idle_in_transaction int, OUT idle_in_transaction_aborted int, OUT busy int,
	OUT overflow int, OUT over_budget int,
	OUT peak_connections int, OUT peak_at timestamptz,
	OUT stale int, OUT idle_over_limit int, OUT leak_suspects int,
	OUT oldest interval, OUT longest_idle interval,
	OUT status text, OUT status_since timestamptz
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10
	AS 'MODULE_PATHNAME', 'pm_budgets';
COMMENT ON FUNCTION pool_monitor.budgets() IS 'behind the view pool_monitor.budgets';

CREATE VIEW pool_monitor.budgets AS
	SELECT b.pool, b.base, b.ceiling, b.budget, b.connections, b.active, b.idle,
		b.idle_in_transaction, b.idle_in_transaction_aborted, b.busy,
		b.overflow, b.over_budget,
		pg_catalog.round(100.0 * b.connections::numeric / b.budget::numeric, 1) AS utilization,
		b.peak_connections, b.peak_at, b.stale, b.idle_over_limit, b.leak_suspects,
		b.oldest, b.longest_idle, b.status, b.status_since
	FROM pool_monitor.budgets() AS b;

COMMENT ON VIEW pool_monitor.budgets IS
'Each declared pool that is in force, against the sessions it has at this moment. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.budgets.pool IS 'name of the pool';
COMMENT ON COLUMN pool_monitor.budgets.base IS 'servers * workers * pool_size: connections the pool keeps open at rest';
COMMENT ON COLUMN pool_monitor.budgets.ceiling IS 'servers * workers * (pool_size + max_overflow): the most it can open; NULL: unbounded';
COMMENT ON COLUMN pool_monitor.budgets.budget IS 'connections it may hold: the declared budget, else the ceiling; NULL: no limit';
COMMENT ON COLUMN pool_monitor.budgets.connections IS 'sessions it has now';
COMMENT ON COLUMN pool_monitor.budgets.active IS 'of these, executing a statement';
COMMENT ON COLUMN pool_monitor.budgets.idle IS 'of these, waiting for the client, in no transaction';
COMMENT ON COLUMN pool_monitor.budgets.idle_in_transaction IS 'of these, in a transaction, waiting for the client';
COMMENT ON COLUMN pool_monitor.budgets.idle_in_transaction_aborted IS 'of these, in a failed transaction, waiting for the client';
COMMENT ON COLUMN pool_monitor.budgets.busy IS 'active, or idle in a transaction: certainly checked out of the client''s pool, so a lower bound of what is';
COMMENT ON COLUMN pool_monitor.budgets.overflow IS 'connections above base; 0 where pool_size is 0';
COMMENT ON COLUMN pool_monitor.budgets.over_budget IS 'connections above budget; 0 where there is no limit';
COMMENT ON COLUMN pool_monitor.budgets.utilization IS 'connections in percent of budget; NULL where there is no limit';
COMMENT ON COLUMN pool_monitor.budgets.peak_connections IS 'most connections at any moment since stats_reset in pool_stats: exact';
COMMENT ON COLUMN pool_monitor.budgets.peak_at IS 'when that was; NULL: there was no connection yet';
COMMENT ON COLUMN pool_monitor.budgets.stale IS 'sessions older than pool_recycle by recycle_margin and idle for recycle_grace';
COMMENT ON COLUMN pool_monitor.budgets.idle_over_limit IS 'sessions idle for longer than idle_limit';
COMMENT ON COLUMN pool_monitor.budgets.leak_suspects IS 'sessions in one transaction for longer than leak_threshold';
COMMENT ON COLUMN pool_monitor.budgets.oldest IS 'age of the oldest session; NULL: none';
COMMENT ON COLUMN pool_monitor.budgets.longest_idle IS 'longest time that a session has been idle; NULL: none is';
COMMENT ON COLUMN pool_monitor.budgets.status IS 'the worst that holds: ok; overflow (connections above base); exhausted (busy >= ceiling); over (connections above budget)';
COMMENT ON COLUMN pool_monitor.budgets.status_since IS 'when the sampler first saw this status, to sample_interval; the moment of the query when it has not seen it yet';

CREATE FUNCTION pool_monitor.applications(
	OUT application_name text, OUT datname name, OUT usename name, OUT pool text,
	OUT connections int, OUT active int, OUT idle int,
	OUT idle_in_transaction int, OUT idle_in_transaction_aborted int, OUT busy int,
	OUT stale int, OUT idle_over_limit int, OUT leak_suspects int,
	OUT client_hosts int, OUT oldest interval, OUT longest_idle interval
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 50
	AS 'MODULE_PATHNAME', 'pm_applications';
COMMENT ON FUNCTION pool_monitor.applications() IS 'behind the view pool_monitor.applications';

CREATE VIEW pool_monitor.applications AS
	SELECT a.application_name, a.datname, a.usename, a.pool, a.connections,
		a.active, a.idle, a.idle_in_transaction, a.idle_in_transaction_aborted, a.busy,
		a.stale, a.idle_over_limit, a.leak_suspects, a.client_hosts,
		a.oldest, a.longest_idle
	FROM pool_monitor.applications() AS a;

COMMENT ON VIEW pool_monitor.applications IS
'The client sessions of this moment by application_name, database and role (and pool, where pools are told apart by address). Without shared_preload_libraries pool is NULL. Of other roles'' sessions only pg_read_all_stats sees more than connections; the rest is NULL.';
COMMENT ON COLUMN pool_monitor.applications.application_name IS 'as the client set it; may be empty';
COMMENT ON COLUMN pool_monitor.applications.datname IS 'database';
COMMENT ON COLUMN pool_monitor.applications.usename IS 'role that logged in';
COMMENT ON COLUMN pool_monitor.applications.pool IS 'declared pool; NULL: discovered, none matches (or it was chosen by an address that the caller may not see)';
COMMENT ON COLUMN pool_monitor.applications.connections IS 'sessions now';
COMMENT ON COLUMN pool_monitor.applications.active IS 'of these, executing a statement';
COMMENT ON COLUMN pool_monitor.applications.idle IS 'of these, waiting for the client, in no transaction';
COMMENT ON COLUMN pool_monitor.applications.idle_in_transaction IS 'of these, in a transaction, waiting for the client';
COMMENT ON COLUMN pool_monitor.applications.idle_in_transaction_aborted IS 'of these, in a failed transaction, waiting for the client';
COMMENT ON COLUMN pool_monitor.applications.busy IS 'active, or idle in a transaction';
COMMENT ON COLUMN pool_monitor.applications.stale IS 'older than the pool''s pool_recycle by recycle_margin and idle for recycle_grace; 0 where there is no pool';
COMMENT ON COLUMN pool_monitor.applications.idle_over_limit IS 'idle for longer than the pool''s idle_limit; 0 where there is no pool';
COMMENT ON COLUMN pool_monitor.applications.leak_suspects IS 'in one transaction for longer than the pool''s leak_threshold; 0 where there is no pool';
COMMENT ON COLUMN pool_monitor.applications.client_hosts IS 'different client addresses; all Unix-domain sockets together count as one';
COMMENT ON COLUMN pool_monitor.applications.oldest IS 'age of the oldest session';
COMMENT ON COLUMN pool_monitor.applications.longest_idle IS 'longest time that a session has been idle; NULL: none is';

CREATE FUNCTION pool_monitor.sessions(
	OUT pid int, OUT backend_start timestamptz, OUT pool text,
	OUT application_name text, OUT datname name, OUT usename name,
	OUT client_addr inet, OUT state text, OUT age interval, OUT idle_for interval,
	OUT xact_age interval, OUT over_age bool, OUT stale bool,
	OUT idle_over_limit bool, OUT leak_suspect bool, OUT keep_reason text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_sessions';
COMMENT ON FUNCTION pool_monitor.sessions() IS 'behind the view pool_monitor.sessions';

CREATE VIEW pool_monitor.sessions AS
	SELECT s.pid, s.backend_start, s.pool, s.application_name, s.datname, s.usename,
		s.client_addr, s.state, s.age, s.idle_for, s.xact_age, s.over_age, s.stale,
		s.idle_over_limit, s.leak_suspect, s.keep_reason
	FROM pool_monitor.sessions() AS s;

COMMENT ON VIEW pool_monitor.sessions IS
'The client sessions of this moment. Without shared_preload_libraries all are in no pool. Of other roles'' sessions only pg_read_all_stats sees more than pid, names and pool; the rest is NULL.';
COMMENT ON COLUMN pool_monitor.sessions.pid IS 'process ID of the backend';
COMMENT ON COLUMN pool_monitor.sessions.backend_start IS 'when it started; with pid, this identifies a session';
COMMENT ON COLUMN pool_monitor.sessions.pool IS 'declared pool; NULL: none matches (or it was chosen by an address that the caller may not see)';
COMMENT ON COLUMN pool_monitor.sessions.application_name IS 'as the client set it; may be empty';
COMMENT ON COLUMN pool_monitor.sessions.datname IS 'database';
COMMENT ON COLUMN pool_monitor.sessions.usename IS 'role that logged in';
COMMENT ON COLUMN pool_monitor.sessions.client_addr IS 'NULL: Unix-domain socket';
COMMENT ON COLUMN pool_monitor.sessions.state IS 'active, idle, idle in transaction, idle in transaction (aborted); NULL: unknown (track_activities is off)';
COMMENT ON COLUMN pool_monitor.sessions.age IS 'time since backend_start';
COMMENT ON COLUMN pool_monitor.sessions.idle_for IS 'how long it has been idle; NULL: it is not';
COMMENT ON COLUMN pool_monitor.sessions.xact_age IS 'how long its transaction has been open, a failed one since it failed; NULL: none is';
COMMENT ON COLUMN pool_monitor.sessions.over_age IS 'older than its pool''s pool_recycle; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.stale IS 'over age by recycle_margin, and idle for recycle_grace; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.idle_over_limit IS 'idle for longer than its pool''s idle_limit; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.leak_suspect IS 'in one transaction for longer than its pool''s leak_threshold; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.keep_reason IS 'why the scheduled clean-up would not ask it to end itself now; NULL: it would. The backend may still decline, for reasons that only it knows (a message that is coming in, a session-level lock, a temporary schema, LISTEN, a WITH HOLD cursor, a changed role, a backup, a temporary replication slot)';

CREATE FUNCTION pool_monitor.server(
	OUT max_connections int, OUT reserved int, OUT usable int,
	OUT headroom_percent int, OUT connection_budget int,
	OUT declared_base bigint, OUT declared_ceiling bigint,
	OUT connections int, OUT undeclared int, OUT available int,
	OUT peak_connections int, OUT peak_at timestamptz,
	OUT refused bigint, OUT status text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1
	AS 'MODULE_PATHNAME', 'pm_server';
COMMENT ON FUNCTION pool_monitor.server() IS 'behind the view pool_monitor.server';

CREATE VIEW pool_monitor.server AS
	SELECT s.max_connections, s.reserved, s.usable, s.headroom_percent, s.connection_budget,
		s.declared_base, s.declared_ceiling, s.connections, s.undeclared, s.available,
		s.peak_connections, s.peak_at, s.refused, s.status
	FROM pool_monitor.server() AS s;

COMMENT ON VIEW pool_monitor.server IS
'The whole server, one row. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.server.max_connections IS 'the server''s setting';
COMMENT ON COLUMN pool_monitor.server.reserved IS 'superuser_reserved_connections, and from PostgreSQL 16 on reserved_connections';
COMMENT ON COLUMN pool_monitor.server.usable IS 'max_connections less reserved: what ordinary roles can have';
COMMENT ON COLUMN pool_monitor.server.headroom_percent IS 'share of usable that is kept free; NULL: the setting connection_budget says it directly';
COMMENT ON COLUMN pool_monitor.server.connection_budget IS 'connections that all applications together may hold';
COMMENT ON COLUMN pool_monitor.server.declared_base IS 'sum of the declared pools'' base';
COMMENT ON COLUMN pool_monitor.server.declared_ceiling IS 'sum of the declared pools'' ceilings, an unbounded pool with its budget; NULL: one has neither';
COMMENT ON COLUMN pool_monitor.server.connections IS 'client sessions now; those still authenticating are not counted';
COMMENT ON COLUMN pool_monitor.server.undeclared IS 'of these, in no declared pool';
COMMENT ON COLUMN pool_monitor.server.available IS 'usable less connections, at least 0';
COMMENT ON COLUMN pool_monitor.server.peak_connections IS 'most connections at any moment, since the last reset() of everything: exact';
COMMENT ON COLUMN pool_monitor.server.peak_at IS 'when that was';
COMMENT ON COLUMN pool_monitor.server.refused IS 'logins refused because no connection slot was free (SQLSTATE 53300 without the limits of single roles and databases), since the last reset() of everything';
COMMENT ON COLUMN pool_monitor.server.status IS 'the worst that holds: ok; overcommitted (declared_ceiling above connection_budget, or unbounded); over (connections above connection_budget)';

CREATE FUNCTION pool_monitor.retirement_gap(lifetime interval, connections int) RETURNS interval
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_retirement_gap_sql';
COMMENT ON FUNCTION pool_monitor.retirement_gap(interval, int) IS
'The least time between two sessions of one pool that are retired on schedule: lifetime / connections, where lifetime is pool_recycle (idle_limit for what shrink_idle retires) and connections the ceiling, else the budget, else base or the connections it has, whichever is more; a month counts as 30 days, a year as 365.25. Raises an error when the lifetime is negative or connections less than 1.';

--
-- What was counted
--

CREATE FUNCTION pool_monitor.pool_stats(
	OUT pool text, OUT application_name text, OUT connections int, OUT connects
	bigint, OUT disconnects bigint, OUT taken_over bigint, OUT given_over
	bigint, OUT ended_client bigint, OUT ended_abandoned bigint, OUT ended_fatal
	bigint, OUT ended_killed bigint, OUT retired bigint, OUT ended_lost bigint,
	OUT declined bigint, OUT declined_reasons jsonb, OUT rejected bigint, OUT refused bigint, OUT
	auth_failures bigint, OUT transactions bigint, OUT peak_connections int, OUT peak_at timestamptz,
	OUT busy_seconds float8, OUT average_busy float8, OUT
	lifetime_p50 interval, OUT lifetime_p95 interval, OUT lifetime_max interval,
	OUT hold_p50 interval, OUT hold_p95 interval, OUT hold_p99 interval, OUT
	hold_max interval, OUT stats_reset timestamptz
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 50
	AS 'MODULE_PATHNAME', 'pm_pool_stats';
COMMENT ON FUNCTION pool_monitor.pool_stats() IS 'behind the view pool_monitor.pool_stats';

CREATE VIEW pool_monitor.pool_stats AS
	SELECT s.pool, s.application_name, s.connections, s.connects, s.disconnects,
		s.taken_over, s.given_over, s.ended_client, s.ended_abandoned,
		s.ended_fatal, s.ended_killed, s.retired, s.ended_lost, s.declined,
		s.declined_reasons, s.rejected, s.refused, s.auth_failures, s.transactions, s.peak_connections, s.peak_at, s.busy_seconds, s.average_busy,
		s.lifetime_p50, s.lifetime_p95, s.lifetime_max, s.hold_p50, s.hold_p95,
		s.hold_p99, s.hold_max, s.stats_reset
	FROM pool_monitor.pool_stats() AS s;

COMMENT ON VIEW pool_monitor.pool_stats IS
'What was counted since stats_reset, for each declared pool, each discovered application, and (other) for those above max_applications. Exact: nothing is sampled. Replication connections are not counted. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.pool_stats.pool IS 'declared pool, or (other); NULL: a discovered application';
COMMENT ON COLUMN pool_monitor.pool_stats.application_name IS 'discovered application: a name that no declared pool matches; NULL: a declared pool, or (other)';
COMMENT ON COLUMN pool_monitor.pool_stats.connections IS 'sessions there are now: connects less disconnects, but for sessions that come or go while it is read';
COMMENT ON COLUMN pool_monitor.pool_stats.connects IS 'sessions assigned to this pool or application: they began here, or (taken_over of them) were alive already';
COMMENT ON COLUMN pool_monitor.pool_stats.disconnects IS 'sessions that are here no more: the sum of the ended_ columns, retired and given_over';
COMMENT ON COLUMN pool_monitor.pool_stats.taken_over IS 'of connects: alive when they came, because they changed their application_name, the declarations changed, or the counters were reset';
COMMENT ON COLUMN pool_monitor.pool_stats.given_over IS 'of disconnects: alive when they went to another pool or application';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_client IS 'of disconnects: the client said goodbye';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_abandoned IS 'of disconnects: the client vanished';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_fatal IS 'of disconnects: a fatal error ended the session, time-outs among them';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_killed IS 'of disconnects: terminated by an administrator, or by the server''s shutdown';
COMMENT ON COLUMN pool_monitor.pool_stats.retired IS 'of disconnects: retired by pool_monitor';
COMMENT ON COLUMN pool_monitor.pool_stats.ended_lost IS 'of disconnects: they were there when the statistics were last saved before a crash';
COMMENT ON COLUMN pool_monitor.pool_stats.declined IS 'requests to retire that a session declined or left unanswered; the session goes on, so it is not part of disconnects';
COMMENT ON COLUMN pool_monitor.pool_stats.declined_reasons IS 'of declined: how many for which reason, as {"reason": number}; {}: none';
COMMENT ON COLUMN pool_monitor.pool_stats.rejected IS 'logins that were authenticated, then not admitted: missing database (or role, where authentication does not need it), no CONNECT privilege, a role''s or database''s own CONNECTION LIMIT, a bad option';
COMMENT ON COLUMN pool_monitor.pool_stats.refused IS 'logins refused because no connection slot was free (SQLSTATE 53300 without those own limits)';
COMMENT ON COLUMN pool_monitor.pool_stats.auth_failures IS 'logins that were not authenticated, or rejected by pg_hba.conf';
COMMENT ON COLUMN pool_monitor.pool_stats.transactions IS 'transactions that ended, in whatever way; a single statement is one';
COMMENT ON COLUMN pool_monitor.pool_stats.peak_connections IS 'most connections at any moment since stats_reset: exact';
COMMENT ON COLUMN pool_monitor.pool_stats.peak_at IS 'when that was; NULL: there was no connection yet';
COMMENT ON COLUMN pool_monitor.pool_stats.busy_seconds IS 'seconds in transactions, summed over all connections, open transactions included; the difference of two readings divided by the time between them is the average of busy connections in it';
COMMENT ON COLUMN pool_monitor.pool_stats.average_busy IS 'connections in a transaction, as an average over the time since stats_reset in which the server ran, open transactions included (not those of sessions with track_activities off): exact, the sum of hold times divided by the time (which is the offered load of Little''s law)';
COMMENT ON COLUMN pool_monitor.pool_stats.lifetime_p50 IS 'median lifetime of the sessions that have ended; every percentile is off by at most 6.25 %';
COMMENT ON COLUMN pool_monitor.pool_stats.lifetime_p95 IS '95 % of the sessions that have ended lived no longer';
COMMENT ON COLUMN pool_monitor.pool_stats.lifetime_max IS 'longest lifetime of a session that has ended';
COMMENT ON COLUMN pool_monitor.pool_stats.hold_p50 IS 'median hold time: how long a transaction kept its connection, a failed block until its ROLLBACK';
COMMENT ON COLUMN pool_monitor.pool_stats.hold_p95 IS '95 % of the transactions held no longer';
COMMENT ON COLUMN pool_monitor.pool_stats.hold_p99 IS '99 % of the transactions held no longer';
COMMENT ON COLUMN pool_monitor.pool_stats.hold_max IS 'longest hold time; off by at most 6.25 % if it is of a session that came from elsewhere and had held longer there';
COMMENT ON COLUMN pool_monitor.pool_stats.stats_reset IS 'since when all of this was counted';

CREATE FUNCTION pool_monitor.history(
	OUT bucket_start timestamptz, OUT resolution interval, OUT pool text, OUT
	seen float8, OUT avg_connections float8, OUT max_connections int, OUT
	avg_busy float8, OUT max_busy int, OUT connects bigint, OUT disconnects
	bigint, OUT refused bigint, OUT retired bigint, OUT overflow_seconds float8,
	OUT exhausted_seconds float8, OUT over_seconds float8
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10000
	AS 'MODULE_PATHNAME', 'pm_history';
COMMENT ON FUNCTION pool_monitor.history() IS 'behind the view pool_monitor.history';

CREATE VIEW pool_monitor.history AS
	SELECT h.bucket_start, h.resolution, h.pool, h.seen, h.avg_connections,
		h.max_connections, h.avg_busy, h.max_busy, h.connects, h.disconnects,
		h.refused, h.retired, h.overflow_seconds, h.exhausted_seconds,
		h.over_seconds
	FROM pool_monitor.history() AS h;

COMMENT ON VIEW pool_monitor.history IS
'The past, by the minute (history_minutes) and by the hour (history_hours), in no order. A stretch in which the worker did not run is not there. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.history.bucket_start IS 'begin of the minute or hour';
COMMENT ON COLUMN pool_monitor.history.resolution IS 'interval ''1 minute'' or ''1 hour''';
COMMENT ON COLUMN pool_monitor.history.pool IS 'declared pool (its history stays after its declaration is deleted, until its place is needed); (undeclared): all sessions in no declared pool; (server): all';
COMMENT ON COLUMN pool_monitor.history.seen IS 'seconds in which the worker was watching; averages and seconds are of this time. Less than the resolution: it was not, or this stretch is not over yet. More: the clock was set back meanwhile';
COMMENT ON COLUMN pool_monitor.history.avg_connections IS 'connections, averaged over seen: exact; NULL: nothing was seen';
COMMENT ON COLUMN pool_monitor.history.max_connections IS 'most connections at any moment: exact';
COMMENT ON COLUMN pool_monitor.history.avg_busy IS 'connections in a transaction, averaged over seen: exact; NULL: nothing was seen';
COMMENT ON COLUMN pool_monitor.history.max_busy IS 'most busy connections that a sample has seen';
COMMENT ON COLUMN pool_monitor.history.connects IS 'sessions that began: exact, also where nothing was seen; those that only came from another pool do not count';
COMMENT ON COLUMN pool_monitor.history.disconnects IS 'sessions that ended: exact';
COMMENT ON COLUMN pool_monitor.history.refused IS 'logins refused because no connection slot was free: exact';
COMMENT ON COLUMN pool_monitor.history.retired IS 'sessions retired by pool_monitor: exact';
COMMENT ON COLUMN pool_monitor.history.overflow_seconds IS 'seconds above base, as sampled; 0 for the sums';
COMMENT ON COLUMN pool_monitor.history.exhausted_seconds IS 'seconds with busy at the ceiling or above, as sampled; of (server): with no connection available';
COMMENT ON COLUMN pool_monitor.history.over_seconds IS 'seconds above budget, as sampled; of (server): above connection_budget';

CREATE FUNCTION pool_monitor.events(
	OUT seq bigint, OUT at timestamptz, OUT pool text, OUT application_name
	text, OUT event text, OUT pid int, OUT detail text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000
	AS 'MODULE_PATHNAME', 'pm_events';
COMMENT ON FUNCTION pool_monitor.events() IS 'behind the view pool_monitor.events';

CREATE VIEW pool_monitor.events AS
	SELECT e.seq, e.at, e.pool, e.application_name, e.event, e.pid,
		e.detail::pg_catalog.jsonb AS detail
	FROM pool_monitor.events() AS e;

COMMENT ON VIEW pool_monitor.events IS
'The last max_events events, the oldest first; they survive a restart, after a crash those that were saved. LISTEN pool_monitor, in the database of the declarations, delivers each as JSON (not on a standby; pid, and detail of retired and declined, only here). Any role may LISTEN, and any role may NOTIFY the same channel: trust the view. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.events.seq IS 'number of the event; the next one is greater by 1, but for a gap of some thousands after a crash. Begins at 1 again only when the file of statistics is lost';
COMMENT ON COLUMN pool_monitor.events.at IS 'when it was noticed: at the next sample';
COMMENT ON COLUMN pool_monitor.events.pool IS 'declared pool, or (other); NULL: it is about none';
COMMENT ON COLUMN pool_monitor.events.application_name IS 'discovered application; NULL: it is about none';
COMMENT ON COLUMN pool_monitor.events.event IS 'started, statistics_lost, statistics_reset, declarations_loaded, applications_full, clock_set_back; over_budget, back_in_budget, exhausted, no_longer_exhausted; storm, storm_over; refused, refused_over; leak_suspect; retirement_paused, retirement_resumed; retired, declined';
COMMENT ON COLUMN pool_monitor.events.pid IS 'the session it is about, or that did it; NULL: none';
COMMENT ON COLUMN pool_monitor.events.detail IS 'details; times in seconds';

--
-- Functions that act
--

CREATE FUNCTION pool_monitor.recycle(
	OUT pid int, OUT backend_start timestamptz, INOUT pool text DEFAULT NULL,
	dry_run bool DEFAULT true,
	OUT application_name text, OUT age interval, OUT idle_for interval,
	OUT action text, OUT reason text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10
	AS 'MODULE_PATHNAME', 'pm_recycle';
COMMENT ON FUNCTION pool_monitor.recycle(text, bool) IS
'Lists the over-age sessions of a pool (NULL: of all) that the caller may see, oldest first, with what would happen to each (would_retire, that is, would be asked and may still decline; or kept with the reason); with dry_run => false asks the stale ones to end themselves and waits up to 2 seconds for the answers (retired, or declined with the reason). Leaves pools with recycle_mode off alone, and acts on report and terminate alike. Acting needs the privileges of pg_signal_backend; superusers'' sessions are never retired. Waits for a change of the declarations that is being loaded. Raises an error when the pool is not declared, or the declarations could not be loaded.';

CREATE FUNCTION pool_monitor.reload() RETURNS int
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pm_reload';
COMMENT ON FUNCTION pool_monitor.reload() IS
'Loads the declared pools, as they are committed, and waits up to 10 seconds for it. Returns the number of pools in force; raises an error that says why when they cannot be loaded. Never necessary after a committed change.';

CREATE FUNCTION pool_monitor.reset(pool text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pm_reset';
COMMENT ON FUNCTION pool_monitor.reset(text) IS
'Begins the counters, percentiles and peak of one declared pool or discovered application anew; with NULL those of all and of the server, and forgets the applications that have no sessions. Leaves history and events alone. Sessions that are there count as taken_over. Raises an error when there is no such name in pool_stats.';

CREATE FUNCTION pool_monitor.version() RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pm_version';
COMMENT ON FUNCTION pool_monitor.version() IS 'version of the library that serves this session';

--
-- Rights
--
-- applications, sessions and version are for everybody, and show of other
-- roles' sessions what pg_stat_activity shows. The rest is for those who may
-- read all statistics; what acts, for those who may end sessions.
--

REVOKE ALL ON FUNCTION pool_monitor.pools_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.budgets() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.server() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.pool_stats() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.history() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.events() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.reset(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.recycle(text, bool) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.reload() FROM PUBLIC;

GRANT SELECT ON pool_monitor.applications, pool_monitor.sessions TO PUBLIC;
GRANT SELECT ON pool_monitor.pools, pool_monitor.budgets, pool_monitor.server TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.pool_stats, pool_monitor.history, pool_monitor.events TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.pool_stats() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.history() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.events() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.budgets() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.server() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.recycle(text, bool) TO pg_read_all_stats, pg_signal_backend;
