/* src/sql/pool_monitor--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pool_monitor" to load this file. \quit

-- made here, so that one that somebody else has made is an error, and that it
-- goes with the extension; nothing is put where the control file's schema is
CREATE SCHEMA pool_monitor;
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
		CHECK (name ~ E'^[\\x20-\\x7e]{1,63}$'),
	CONSTRAINT "name must not begin with a parenthesis"
		CHECK (left(name, 1) <> '('),
	CONSTRAINT "priority must be between 0 and 1000000"
		CHECK (priority BETWEEN 0 AND 1000000),
	CONSTRAINT "application_name must be at most 255 bytes"
		CHECK (octet_length(application_name) <= 255),
	CONSTRAINT "application_name must be printable ASCII, others as _ or %"
		CHECK (application_name ~ E'^[\\x20-\\x7e]*$'),
	CONSTRAINT "application_name must not end in a lone backslash"
		CHECK (application_name !~ E'(^|[^\\\\])(\\\\\\\\)*\\\\$'),
	CONSTRAINT "datname must be at most 255 bytes"
		CHECK (octet_length(datname) <= 255),
	CONSTRAINT "datname must not end in a lone backslash"
		CHECK (datname !~ E'(^|[^\\\\])(\\\\\\\\)*\\\\$'),
	CONSTRAINT "usename must be at most 255 bytes"
		CHECK (octet_length(usename) <= 255),
	CONSTRAINT "usename must not end in a lone backslash"
		CHECK (usename !~ E'(^|[^\\\\])(\\\\\\\\)*\\\\$'),
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
		CHECK (pool_timeout BETWEEN interval '0' AND interval '1 day' AND EXTRACT(epoch FROM pool_timeout) >= 0),
	CONSTRAINT "pool_recycle must be NULL (never), or 1 second to 365 days"
		CHECK (pool_recycle BETWEEN interval '1 second' AND interval '365 days' AND EXTRACT(epoch FROM pool_recycle) >= 1),
	CONSTRAINT "idle_limit must be between 1 second and 365 days"
		CHECK (idle_limit BETWEEN interval '1 second' AND interval '365 days' AND EXTRACT(epoch FROM idle_limit) >= 1),
	CONSTRAINT "leak_threshold must be between 1 second and 365 days"
		CHECK (leak_threshold BETWEEN interval '1 second' AND interval '365 days' AND EXTRACT(epoch FROM leak_threshold) >= 1),
	CONSTRAINT "budget must be NULL (the ceiling), or 1 to 262143"
		CHECK (budget BETWEEN 1 AND 262143),
	CONSTRAINT "recycle_mode must be off, report or terminate"
		CHECK (recycle_mode IN ('off', 'report', 'terminate')),
	CONSTRAINT "recycle_grace must be between 0 and 1 day"
		CHECK (recycle_grace BETWEEN interval '0' AND interval '1 day' AND EXTRACT(epoch FROM recycle_grace) >= 0),
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
COMMENT ON COLUMN pool_monitor.pools.pool_timeout IS 'how long a checkout waits for a connection before it fails; the advice says how often that would happen';
COMMENT ON COLUMN pool_monitor.pools.pool_recycle IS 'age from which the client replaces a connection at its next checkout; NULL: never';
COMMENT ON COLUMN pool_monitor.pools.pre_ping IS 'does the client test a connection before it uses it? Only the advice depends on it';
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
'trigger of pool_monitor.pools: has the declarations loaded when the transaction commits. Refuses, unless the user has the privileges of pg_signal_backend, changes of a row that retires sessions (recycle_mode terminate, or shrink_idle), and changes that could hand sessions to one: deleting a row before it, or changing what that matches';

CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools
	FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed();
CREATE TRIGGER pools_counted AFTER INSERT ON pool_monitor.pools
	FOR EACH STATEMENT EXECUTE FUNCTION pool_monitor.pools_changed();
CREATE TRIGGER pools_truncated BEFORE TRUNCATE ON pool_monitor.pools
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
COMMENT ON COLUMN pool_monitor.sessions.age IS 'time since it began, by the younger of the wall clock and the monotonic one: less than since backend_start when the clock was set forward, or the machine suspended';
COMMENT ON COLUMN pool_monitor.sessions.idle_for IS 'how long it has been idle, by the younger of the two clocks; NULL: it is not';
COMMENT ON COLUMN pool_monitor.sessions.xact_age IS 'how long its transaction has been open, a failed one since it failed, but no longer than since its last one ended by the monotonic clock; NULL: none is';
COMMENT ON COLUMN pool_monitor.sessions.over_age IS 'older than its pool''s pool_recycle; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.stale IS 'over age by recycle_margin, and idle for recycle_grace; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.idle_over_limit IS 'idle for longer than its pool''s idle_limit; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.leak_suspect IS 'in one transaction for longer than its pool''s leak_threshold; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.keep_reason IS 'why the scheduled clean-up would not ask it to end itself now; NULL: it would. The backend may still decline, for reasons that only it knows (a message that is coming in, a session-level lock, a temporary schema, LISTEN, a WITH HOLD cursor, a changed role, a backup, a temporary replication slot)';

CREATE FUNCTION pool_monitor.server(
	OUT max_connections int, OUT reserved int, OUT usable int,
	OUT headroom_percent int, OUT connection_budget int,
	OUT declared_base bigint, OUT declared_ceiling bigint,
	OUT connections int, OUT undeclared int, OUT authenticating int, OUT available int,
	OUT peak_connections int, OUT peak_at timestamptz,
	OUT refused bigint, OUT status text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1
	AS 'MODULE_PATHNAME', 'pm_server';
COMMENT ON FUNCTION pool_monitor.server() IS 'behind the view pool_monitor.server';

CREATE VIEW pool_monitor.server AS
	SELECT s.max_connections, s.reserved, s.usable, s.headroom_percent, s.connection_budget,
		s.declared_base, s.declared_ceiling, s.connections, s.undeclared, s.authenticating, s.available,
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
COMMENT ON COLUMN pool_monitor.server.connections IS 'client sessions now, without those still authenticating';
COMMENT ON COLUMN pool_monitor.server.undeclared IS 'of these, in no declared pool';
COMMENT ON COLUMN pool_monitor.server.authenticating IS 'connection slots held by logins that are not authenticated yet';
COMMENT ON COLUMN pool_monitor.server.available IS 'usable less the connection slots in use, at least 0. In use are those of connections, of logins under way and, for a moment, of sessions that end';
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
'What was counted since stats_reset, for each declared pool, each discovered application, and (other) for what there is no room for above max_applications, which takes over the sums of applications that were not used for longest. Exact: nothing is sampled. Replication connections are not counted. Needs shared_preload_libraries, and pg_read_all_stats.';
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
COMMENT ON COLUMN pool_monitor.pool_stats.auth_failures IS 'logins that were not authenticated: a wrong password, rejected by pg_hba.conf, a malformed message, an unknown protocol version, no answer within authentication_timeout. Not counted: a client that goes away when it is asked for a password, as psql does to ask its user, and a connection on which no whole start-up packet has come';
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
	bigint, OUT refused bigint, OUT retired bigint, OUT transactions bigint, OUT overflow_seconds float8,
	OUT exhausted_seconds float8, OUT over_seconds float8
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10000
	AS 'MODULE_PATHNAME', 'pm_history';
COMMENT ON FUNCTION pool_monitor.history() IS 'behind the view pool_monitor.history';

CREATE VIEW pool_monitor.history AS
	SELECT h.bucket_start, h.resolution, h.pool, h.seen, h.avg_connections,
		h.max_connections, h.avg_busy, h.max_busy, h.connects, h.disconnects,
		h.refused, h.retired, h.transactions, h.overflow_seconds, h.exhausted_seconds,
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
COMMENT ON COLUMN pool_monitor.history.transactions IS 'transactions that ended: exact';
COMMENT ON COLUMN pool_monitor.history.overflow_seconds IS 'seconds above base, as sampled; 0 for the sums';
COMMENT ON COLUMN pool_monitor.history.exhausted_seconds IS 'seconds with busy at the ceiling or above, as sampled; of (server): with no connection available';
COMMENT ON COLUMN pool_monitor.history.over_seconds IS 'seconds above budget, as sampled; of (server): above connection_budget';

CREATE FUNCTION pool_monitor.events(
	OUT seq bigint, OUT at timestamptz, OUT pool text, OUT application_name
	text, OUT event text, OUT pid int, OUT detail text, OUT times int
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000
	AS 'MODULE_PATHNAME', 'pm_events';
COMMENT ON FUNCTION pool_monitor.events() IS 'behind the view pool_monitor.events';

CREATE VIEW pool_monitor.events AS
	SELECT e.seq, e.at, e.pool, e.application_name, e.event, e.pid,
		e.detail::pg_catalog.jsonb AS detail, e.times
	FROM pool_monitor.events() AS e;

COMMENT ON VIEW pool_monitor.events IS
'The last events, the oldest first. There is room for max_events; when it is used up, the oldest event of the pool that has the most goes (the server counts as one, and so do all discovered applications). They survive a restart, after a crash those that were saved. LISTEN pool_monitor, in the database of the declarations, delivers each as JSON (not on a standby; pid, and detail of retired and declined, only here). Any role may LISTEN, and any role may NOTIFY the same channel: trust the view. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.events.seq IS 'number of the event; the next one is greater by 1, but for what has gone and a gap of some thousands after a crash. Begins at 1 again only when the file of statistics is lost';
COMMENT ON COLUMN pool_monitor.events.at IS 'when it was noticed: at the next sample';
COMMENT ON COLUMN pool_monitor.events.pool IS 'declared pool, or (other); NULL: it is about none';
COMMENT ON COLUMN pool_monitor.events.application_name IS 'discovered application; NULL: it is about none';
COMMENT ON COLUMN pool_monitor.events.event IS 'started, statistics_lost, statistics_reset, declarations_loaded, applications_full, clock_step (seconds by which the wall clock moved against the monotonic one), clock_set_back (so far that history was dropped); over_budget, back_in_budget, exhausted, no_longer_exhausted; storm, storm_over; refused, refused_over; leak_suspect; retirement_paused, retirement_resumed; retired, declined';
COMMENT ON COLUMN pool_monitor.events.pid IS 'the session it is about, or that did it; NULL: none';
COMMENT ON COLUMN pool_monitor.events.detail IS 'details; times in seconds';
COMMENT ON COLUMN pool_monitor.events.times IS 'more than 1: so many of this kind and pool, put together, of which this was the last. What comes more than 20 times within a minute is told once a minute from then on, until a minute goes by without it. Not so retired, nor what is done by hand';

--
-- Planning
--

CREATE FUNCTION pool_monitor.plan(
	servers int, workers int, instances int, pool_size int, max_overflow int,
	headroom_percent numeric DEFAULT 20,
	OUT base bigint, OUT ceiling bigint, OUT buffer bigint, OUT required_max_connections bigint
) RETURNS SETOF record
	LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 1
	AS 'MODULE_PATHNAME', 'pm_plan_sql';
COMMENT ON FUNCTION pool_monitor.plan(int, int, int, int, int, numeric) IS
'What servers * workers * instances pools of one size come to, all of them together: base = processes * pool_size; ceiling = processes * (pool_size + max_overflow); buffer = headroom_percent of the ceiling, rounded up; required_max_connections = ceiling + buffer. The last three are NULL where a pool is unbounded (pool_size 0 or max_overflow -1). Raises an error for what makes no sense.';

CREATE FUNCTION pool_monitor.erlang_b(connections int, offered_load float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_erlang_b_sql';
COMMENT ON FUNCTION pool_monitor.erlang_b(int, float8) IS
'Erlang''s B: the share of checkouts that find all connections busy when none of them waits. offered_load is in connections: rate * mean hold time.';

CREATE FUNCTION pool_monitor.erlang_c(connections int, offered_load float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_erlang_c_sql';
COMMENT ON FUNCTION pool_monitor.erlang_c(int, float8) IS
'Erlang''s C: the probability that a checkout has to wait, and the share of time with all connections busy (M/M/c). 1 when offered_load is not below connections: unstable, the queue grows without end.';

CREATE FUNCTION pool_monitor.offered_load(rate float8, hold_time float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_offered_load_sql';
COMMENT ON FUNCTION pool_monitor.offered_load(float8, float8) IS
'Little''s law: checkouts a second * seconds that each holds its connection = connections busy on average.';

CREATE FUNCTION pool_monitor.mean_wait(connections int, offered_load float8, hold_time float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_mean_wait_sql';
COMMENT ON FUNCTION pool_monitor.mean_wait(int, float8, float8) IS
'Mean wait of all checkouts, those that do not wait among them, in seconds like hold_time: C * hold_time / (connections - offered_load). Infinity when unstable.';

CREATE FUNCTION pool_monitor.mean_queue(connections int, offered_load float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_mean_queue_sql';
COMMENT ON FUNCTION pool_monitor.mean_queue(int, float8) IS
'Checkouts that wait, on average: C * offered_load / (connections - offered_load). Infinity when unstable.';

CREATE FUNCTION pool_monitor.wait_quantile(connections int, offered_load float8, hold_time float8, quantile float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_wait_quantile_sql';
COMMENT ON FUNCTION pool_monitor.wait_quantile(int, float8, float8, float8) IS
'The wait that a share quantile (0 to 1) of the checkouts does not exceed, in seconds like hold_time: ln(C / (1 - quantile)) * hold_time / (connections - offered_load), at least 0. Infinity when unstable.';

CREATE FUNCTION pool_monitor.timeout_probability(connections int, offered_load float8, hold_time float8, pool_timeout float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_timeout_probability_sql';
COMMENT ON FUNCTION pool_monitor.timeout_probability(int, float8, float8, float8) IS
'The probability that a checkout waits longer than pool_timeout (seconds, like hold_time): C * exp(-(connections - offered_load) * pool_timeout / hold_time). 1 when unstable.';

CREATE FUNCTION pool_monitor.connections_needed(offered_load float8, hold_time float8, pool_timeout float8, target float8) RETURNS int
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_connections_needed_sql';
COMMENT ON FUNCTION pool_monitor.connections_needed(float8, float8, float8, float8) IS
'The smallest pool in which no more than a share target (0 to 1) of the checkouts waits longer than pool_timeout (seconds, like hold_time; 0: has to wait at all). NULL: more than 262143 connections.';

CREATE FUNCTION pool_monitor.queue(
	rate float8, hold_time float8, connections int, workers int DEFAULT 1, pool_timeout float8 DEFAULT 30,
	OUT model text, OUT queue_connections int, OUT offered_load float8, OUT utilization float8, OUT stable bool,
	OUT wait_probability float8, OUT mean_wait float8, OUT wait_p95 float8, OUT timeout_probability float8,
	OUT mean_queue float8, OUT response_time float8
) RETURNS SETOF record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 2
	AS 'MODULE_PATHNAME', 'pm_queue_sql';
COMMENT ON FUNCTION pool_monitor.queue(float8, float8, int, int, float8) IS
'Waiting in a pool of so many workers with so many connections each, for a rate (checkouts a second, of all workers) and a mean hold_time (seconds). Workers are separate queues; two rows are the bounds: isolated (pessimistic: each worker with its share of the load and its own connections) and shared (optimistic: one queue for all). utilization is offered_load / queue_connections; times are in seconds, Infinity where stable is false; response_time is mean_wait + hold_time. Assumes random arrivals and exponential hold times (M/M/c).';

CREATE VIEW pool_monitor.presets AS
	SELECT p.preset, p.min_users, p.max_users, p.min_servers, p.max_servers, p.pool_size, p.max_overflow,
		p.pool_recycle, interval '15 minutes' AS pool_recycle_managed, p.pool_timeout,
		interval '10 seconds' AS low_latency_timeout_min, interval '20 seconds' AS low_latency_timeout_max,
		interval '30 seconds' AS standard_latency_timeout, interval '60 seconds' AS high_latency_timeout,
		true AS pre_ping
	FROM (VALUES
		('small', 1, 10, 1, 1, 5, 10, interval '1 hour', interval '30 seconds'),
		('medium', 10, 100, 1, 1, 10, 20, interval '30 minutes', interval '30 seconds'),
		('large', 100, 1000, 2, 4, 20, 40, interval '30 minutes', interval '30 seconds'),
		('enterprise', 1000, NULL, 5, NULL, 30, 70, interval '15 minutes', interval '20 seconds')
	) AS p(preset, min_users, max_users, min_servers, max_servers, pool_size, max_overflow, pool_recycle, pool_timeout);

COMMENT ON VIEW pool_monitor.presets IS
'Sizes to begin with, by scale; then measure, and see advice. Columns are named as in pools, for INSERT ... SELECT.';
COMMENT ON COLUMN pool_monitor.presets.preset IS 'small, medium, large, enterprise';
COMMENT ON COLUMN pool_monitor.presets.min_users IS 'concurrent users from which it is meant';
COMMENT ON COLUMN pool_monitor.presets.max_users IS 'and up to; NULL: without bound';
COMMENT ON COLUMN pool_monitor.presets.min_servers IS 'application servers from which it is meant';
COMMENT ON COLUMN pool_monitor.presets.max_servers IS 'and up to; NULL: without bound';
COMMENT ON COLUMN pool_monitor.presets.pool_size IS 'connections that each process keeps open';
COMMENT ON COLUMN pool_monitor.presets.max_overflow IS 'connections that each process may open above pool_size';
COMMENT ON COLUMN pool_monitor.presets.pool_recycle IS 'age from which the client replaces a connection';
COMMENT ON COLUMN pool_monitor.presets.pool_recycle_managed IS 'the same for a managed database that closes idle connections early';
COMMENT ON COLUMN pool_monitor.presets.pool_timeout IS 'how long a checkout waits for a connection';
COMMENT ON COLUMN pool_monitor.presets.low_latency_timeout_min IS 'pool_timeout where an answer is wanted soon or not at all: from here';
COMMENT ON COLUMN pool_monitor.presets.low_latency_timeout_max IS 'up to here';
COMMENT ON COLUMN pool_monitor.presets.standard_latency_timeout IS 'pool_timeout of most applications';
COMMENT ON COLUMN pool_monitor.presets.high_latency_timeout IS 'pool_timeout where queries are long and a wait is better than an error';
COMMENT ON COLUMN pool_monitor.presets.pre_ping IS 'test a connection before it is used: always';

--
-- What was declared and what was measured, for the advice
--

CREATE FUNCTION pool_monitor.declared(
	OUT pool text, OUT servers int, OUT workers int, OUT pool_size int, OUT max_overflow int,
	OUT pool_timeout interval, OUT pool_recycle interval, OUT pre_ping bool, OUT echo_pool bool,
	OUT idle_limit interval, OUT leak_threshold interval, OUT base bigint, OUT ceiling bigint, OUT budget bigint,
	OUT recycle_mode text, OUT recycle_grace interval, OUT shrink_idle bool,
	OUT by_usename bool, OUT by_client_addr bool
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 20
	AS 'MODULE_PATHNAME', 'pm_declared_pools';
COMMENT ON FUNCTION pool_monitor.declared() IS
'The declarations in force, as every database of the server sees them, in matching order. Columns as in pools; budget is the ceiling where none was declared; by_usename, by_client_addr: does it ask for a role or an address at all, so that not everybody can bear its name. Needs shared_preload_libraries, and pg_read_all_stats.';

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
'What each declared pool, (undeclared) and (server) did in the last hour and the last day, from the minutes of history. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.workload.pool IS 'as in history';
COMMENT ON COLUMN pool_monitor.workload.span IS 'hour or day';
COMMENT ON COLUMN pool_monitor.workload.seen IS 'how much of it was watched';
COMMENT ON COLUMN pool_monitor.workload.avg_connections IS 'connections, averaged over seen: exact';
COMMENT ON COLUMN pool_monitor.workload.max_connections IS 'most connections at any moment: exact';
COMMENT ON COLUMN pool_monitor.workload.avg_busy IS 'connections in a transaction, averaged over seen: exact. It is the offered load of the queueing functions';
COMMENT ON COLUMN pool_monitor.workload.p95_busy IS 'in 95 % of the minutes no sample saw more busy connections';
COMMENT ON COLUMN pool_monitor.workload.max_busy IS 'most busy connections that a sample has seen';
COMMENT ON COLUMN pool_monitor.workload.transactions IS 'transactions that ended: exact';
COMMENT ON COLUMN pool_monitor.workload.transactions_per_second IS 'of the time seen: the arrival rate of the queueing functions; NULL: nothing was seen';
COMMENT ON COLUMN pool_monitor.workload.hold_time IS 'seconds busy for each transaction that ended: the mean time for which one kept its connection, after some time; NULL: there was none';
COMMENT ON COLUMN pool_monitor.workload.connects IS 'sessions that began: exact';
COMMENT ON COLUMN pool_monitor.workload.disconnects IS 'sessions that ended: exact';
COMMENT ON COLUMN pool_monitor.workload.retired IS 'sessions retired by pool_monitor: exact';
COMMENT ON COLUMN pool_monitor.workload.refused IS 'logins refused because no connection slot was free: exact';
COMMENT ON COLUMN pool_monitor.workload.overflow_share IS 'share (0 to 1) of the time seen above base';
COMMENT ON COLUMN pool_monitor.workload.exhausted_share IS 'share of the time seen with busy at the ceiling: measured, without any model';
COMMENT ON COLUMN pool_monitor.workload.over_share IS 'share of the time seen above budget';
COMMENT ON COLUMN pool_monitor.workload.effective_samples IS 'how many independent looks the averages are worth: one a minute, or one in two mean hold times where these are longer, and no more than there were transactions';
COMMENT ON COLUMN pool_monitor.workload.quality IS 'good, or not enough data: fewer than 30 effective samples';

--
-- Advice: the policy, over what was declared and measured. Thresholds and their
-- reasons are in docs/sizing.md.
--

CREATE FUNCTION pool_monitor.percent(share float8) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.round((share * 100)::numeric, CASE WHEN share < 0.1 THEN 2 ELSE 0 END) || ' %';
COMMENT ON FUNCTION pool_monitor.percent(float8) IS 'a share (0 to 1) as the views write it';

CREATE VIEW pool_monitor.advice AS
	WITH server AS (
		-- a budget above what there is, is none
		SELECT s.max_connections, s.reserved, s.usable, s.headroom_percent, least(s.connection_budget, s.usable) AS connection_budget,
			s.declared_ceiling
		FROM pool_monitor.server() AS s
	),
	declared AS (
		SELECT d.*, d.servers * d.workers AS processes, d.pool_size + d.max_overflow AS each
		FROM pool_monitor.declared() AS d
	),
	workload AS MATERIALIZED (
		SELECT * FROM pool_monitor.workload
	),
	day AS (
		SELECT * FROM workload AS w WHERE w.span = 'day'
	),
	stats AS (
		SELECT * FROM pool_monitor.pool_stats()
	),
	events AS (
		SELECT * FROM pool_monitor.events() AS e WHERE e.at > pg_catalog.now() - interval '1 day'
	),
	sessions AS (
		SELECT * FROM pool_monitor.sessions()
	),

	-- connections that the declared ceilings leave of the connection budget
	room AS (
		SELECT s.connection_budget - coalesce(s.declared_ceiling, d.max_connections, 0) AS connections,
			coalesce(d.refused, 0) > 0 OR coalesce(d.max_connections, 0) >= 0.9 * s.connection_budget AS is_short
		FROM server AS s LEFT JOIN day AS d ON d.pool = '(server)'
	),

	-- the span in which the pool was exhausted for the larger share of the time
	saturation AS (
		SELECT DISTINCT ON (d.pool) d.*, w.span, w.seen, w.avg_busy, w.p95_busy, w.max_busy,
			w.overflow_share, w.exhausted_share, w.hold_time, w.effective_samples, w.quality,
			pool_monitor.erlang_c(d.ceiling::int, w.avg_busy) AS shared_model,
			pool_monitor.erlang_c(d.each, w.avg_busy / d.processes) AS isolated_model,
			pool_monitor.timeout_probability(d.each, w.avg_busy / d.processes, w.hold_time, extract(epoch FROM d.pool_timeout)) AS timeouts
		FROM declared AS d JOIN workload AS w ON w.pool = d.pool
		-- not what was measured against a smaller ceiling, before the pool was declared anew
		WHERE d.ceiling > 0 AND w.exhausted_share >= 0.01 AND w.max_busy >= d.ceiling
		ORDER BY d.pool, w.exhausted_share DESC, w.span DESC
	),
	-- One step: a fifth more, half more from a fifth of the time on, if there is room.
	-- What was measured is the time in which all processes were full at once: between
	-- the product of their isolated probabilities, or one shared queue, and a single
	-- one's. Further off than a factor of three, the model is withheld.
	saturation_step AS (
		SELECT s.*, least(greatest(floor(s.each * (0.2 + 0.3 * least(s.exhausted_share / 0.2, 1))), 1),
				floor(r.connections / s.processes::float8),
				CASE WHEN s.budget <> s.ceiling THEN floor((s.budget - s.ceiling) / s.processes::float8) END)::int AS more,
			s.exhausted_share > 3 * s.isolated_model
				OR s.exhausted_share < least(s.shared_model, exp(greatest(s.processes * ln(greatest(s.isolated_model, 1e-6)), -700))) / 3 AS model_is_off,
			CASE WHEN s.max_overflow = 0 OR s.overflow_share >= 0.5 THEN 'pool_size' ELSE 'max_overflow' END AS which
		FROM saturation AS s, room AS r
	),
	exhausted AS (
		SELECT CASE WHEN s.quality <> 'good' THEN 'info' WHEN s.exhausted_share >= 0.2 THEN 'critical' ELSE 'warning' END AS severity,
			s.pool, 'exhausted' AS topic,
			'all connections were busy: the next checkout waited, up to pool_timeout' AS finding,
			format('busy at the ceiling of %s for %s of the last %s; busy %s on average, %s at most; %s',
				s.ceiling, pool_monitor.percent(s.exhausted_share), s.span, round(s.avg_busy::numeric, 2), s.max_busy,
				CASE WHEN s.model_is_off THEN 'Erlang''s model is withheld: it disagrees with what was seen'
					ELSE format('Erlang C says %s (one queue) to %s (one for each process) of the checkouts wait, up to %s for longer than pool_timeout %s',
						pool_monitor.percent(s.shared_model), pool_monitor.percent(s.isolated_model), pool_monitor.percent(s.timeouts), s.pool_timeout) END) AS evidence,
			CASE WHEN s.quality <> 'good' THEN 'Watch for longer before sizes are changed.'
				WHEN s.more >= 1 THEN format('Raise %s of each process by %s, then look again. Long holds come first: see slow_holds, and pg_stat_statements.', s.which, s.more)
				ELSE 'There is no room in the server''s connection budget or the pool''s: shorten the holds, lower another pool, or raise max_connections.' END AS recommendation,
			CASE WHEN s.quality = 'good' AND s.more >= 1 THEN s.which END AS setting,
			CASE WHEN s.quality = 'good' AND s.more >= 1 THEN CASE s.which WHEN 'pool_size' THEN s.pool_size ELSE s.max_overflow END END AS current,
			CASE WHEN s.quality = 'good' AND s.more >= 1 THEN s.more + CASE s.which WHEN 'pool_size' THEN s.pool_size ELSE s.max_overflow END END AS proposed,
			s.seen, s.effective_samples, s.quality
		FROM saturation_step AS s
	),

	-- sessions above base come and go, far sooner than their age would have it
	churn AS (
		SELECT d.*, w.overflow_share, w.disconnects, w.p95_busy, w.seen, w.effective_samples, w.quality,
			w.avg_connections * extract(epoch FROM w.seen) / w.disconnects AS lifetime,
			least(greatest(ceil(w.p95_busy / d.processes::float8), d.pool_size + 1), ceil(d.pool_size * 1.5), d.each)::int AS size
		FROM declared AS d JOIN day AS w ON w.pool = d.pool
		WHERE d.ceiling IS NOT NULL AND d.max_overflow > 0 AND w.overflow_share >= 0.05
			AND w.disconnects - w.retired >= 30
			AND w.avg_connections * extract(epoch FROM w.seen) / w.disconnects < extract(epoch FROM coalesce(d.pool_recycle, interval '1 hour')) / 4
	),
	overflow AS (
		SELECT CASE WHEN c.quality = 'good' THEN 'warning' ELSE 'info' END,
			c.pool, 'overflow', 'overflow connections are opened and closed all the time',
			format('above base of %s for %s of the last day; %s sessions ended, after %s s on average; 95 %% of the minutes needed no more than %s busy',
				c.base, pool_monitor.percent(c.overflow_share), c.disconnects, round(c.lifetime::numeric, 1), c.p95_busy),
			CASE WHEN c.quality = 'good' THEN format('Raise pool_size to %s and lower max_overflow to %s: the ceiling stays, much of the churn goes.', c.size, c.each - c.size)
				ELSE 'Watch for longer before sizes are changed.' END,
			CASE WHEN c.quality = 'good' THEN 'pool_size' END,
			CASE WHEN c.quality = 'good' THEN c.pool_size END,
			CASE WHEN c.quality = 'good' THEN c.size END,
			c.seen, c.effective_samples, c.quality
		FROM churn AS c
	),

	-- idle ones are what a pool is for; they are too many when they take up a fifth
	-- of what the server can give, or when it is short of connections
	slack AS (
		SELECT d.*, w.p95_busy, w.max_busy, w.avg_connections, w.seen, w.effective_samples, w.quality, r.is_short,
			greatest(ceil(1.25 * w.p95_busy / d.processes), 1)::int AS size
		FROM declared AS d JOIN day AS w ON w.pool = d.pool, room AS r
		WHERE w.quality = 'good' AND w.seen >= interval '1 hour'
			AND NOT EXISTS (SELECT FROM saturation AS x WHERE x.pool = d.pool)
	),
	idle AS (
		SELECT 'info', s.pool, 'idle', 'more connections are kept open than the load needs',
			format('%s connections on average, base %s; 95 %% of the minutes needed no more than %s busy, and none more than %s',
				round(s.avg_connections::numeric, 1), s.base, s.p95_busy, s.max_busy),
			format('Lower pool_size to %s: a quarter above what 95 %% of the minutes needed. max_overflow can take the rest.', s.size),
			'pool_size', s.pool_size, s.size, s.seen, s.effective_samples, s.quality
		FROM slack AS s, server AS v
		WHERE s.size < s.pool_size
			AND least(s.avg_connections, s.base) - s.processes * s.size >= CASE WHEN s.is_short THEN 5 ELSE greatest(20, 0.2 * v.connection_budget) END
	),

	above AS (
		SELECT d.*, w.max_connections, w.seen,
			ceil(w.max_connections / (d.servers * d.each)::float8)::int AS seems
		FROM declared AS d JOIN day AS w ON w.pool = d.pool
		WHERE w.max_connections > d.ceiling
	),
	declaration AS (
		SELECT 'warning', a.pool, 'declaration', 'the pool had more connections than declared: more workers, or other sizes',
			format('%s connections at one moment of the last day, ceiling %s = %s servers * %s workers * (%s + %s)',
				a.max_connections, a.ceiling, a.servers, a.workers, a.pool_size, a.max_overflow),
			format('Count the processes and compare their settings; with these sizes it would be %s workers. Or another application has the same name.', a.seems),
			'workers', a.workers, a.seems, a.seen, NULL::float8, 'exact'
		FROM above AS a
	),
	hosts AS (
		SELECT d.pool, d.servers, count(DISTINCT s.client_addr)::int AS hosts
		FROM declared AS d JOIN sessions AS s ON s.pool = d.pool
		GROUP BY d.pool, d.servers
		HAVING count(DISTINCT s.client_addr) > d.servers
	),
	more_hosts AS (
		SELECT 'warning', h.pool, 'declaration', 'connections come from more hosts than servers are declared',
			format('%s client addresses now, %s servers declared', h.hosts, h.servers),
			'Count the servers, and correct the declaration.',
			'servers', h.servers, h.hosts, NULL::interval, NULL::float8, 'exact'
		FROM hosts AS h
	),

	unbounded AS (
		SELECT 'warning', d.pool, 'unbounded', 'the pool has no upper bound: it can take every connection of the server',
			format('pool_size %s, max_overflow %s; %s connections at most in the last day', d.pool_size, d.max_overflow, coalesce(w.max_connections, 0)),
			'Give the client a bound, and declare it.',
			CASE WHEN d.pool_size > 0 AND w.quality = 'good' THEN 'max_overflow' END,
			CASE WHEN d.pool_size > 0 AND w.quality = 'good' THEN d.max_overflow END,
			CASE WHEN d.pool_size > 0 AND w.quality = 'good' THEN greatest(ceil(1.2 * w.max_connections / d.processes) - d.pool_size, 1)::int END,
			w.seen, w.effective_samples, coalesce(w.quality, 'not enough data')
		FROM declared AS d LEFT JOIN day AS w ON w.pool = d.pool
		WHERE d.ceiling IS NULL
	),

	undeclared AS (
		SELECT 'info', NULL::text, 'undeclared', format('application "%s" is in no declared pool', s.application_name),
			format('%s connections now, %s at most, %s connects since %s', s.connections, s.peak_connections, s.connects, date_trunc('second', s.stats_reset)),
			format('INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow) VALUES (%L, %L, 1, %s, 0);',
				left(CASE WHEN s.application_name = '' THEN 'unnamed' WHEN s.application_name LIKE '(%' THEN 'app ' || s.application_name ELSE s.application_name END, 57)
					|| CASE WHEN EXISTS (SELECT FROM declared AS d WHERE d.pool = s.application_name) THEN ' (new)' ELSE '' END,
				regexp_replace(s.application_name, '([\\%_])', '\\\1', 'g'), s.peak_connections),
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM stats AS s
		WHERE s.application_name IS NOT NULL AND s.peak_connections >= 2 AND s.connections > 0
	),

	overcommitted AS (
		SELECT 'warning', NULL::text, 'overcommitted', 'the declared pools can open more connections than the server has room for',
			format('declared ceilings %s, connection budget %s of %s usable; max_connections %s would be needed',
				s.declared_ceiling, s.connection_budget, s.usable, s.needed),
			'Lower a pool (another row of this topic says which), or raise what is proposed (max_connections with a restart).',
			CASE WHEN s.by_budget THEN 'pool_monitor.connection_budget' ELSE 'max_connections' END,
			CASE WHEN s.by_budget THEN s.connection_budget ELSE s.max_connections END,
			CASE WHEN s.by_budget THEN s.declared_ceiling ELSE least(s.needed, 262143) END::int,
			NULL::interval, NULL::float8, 'exact'
		FROM (SELECT v.*, v.headroom_percent IS NULL AND v.declared_ceiling <= v.usable AS by_budget, CASE WHEN v.headroom_percent IS NULL THEN v.max_connections + v.declared_ceiling - v.connection_budget
				ELSE ceil(v.declared_ceiling / (1 - v.headroom_percent / 100.0)) + v.reserved END AS needed
			FROM server AS v) AS s
		WHERE s.declared_ceiling > s.connection_budget
	),
	-- the pool whose ceiling is furthest above what it has used
	lowest AS (
		SELECT d.*, coalesce(w.max_connections, 0) AS used, w.seen, w.effective_samples, coalesce(w.quality, 'not enough data') AS quality,
			greatest(ceil(coalesce(w.max_connections, 0) / d.processes::float8) - d.pool_size, 0)::int AS enough
		FROM declared AS d LEFT JOIN day AS w ON w.pool = d.pool, server AS s
		WHERE s.declared_ceiling > s.connection_budget AND d.max_overflow > 0 AND d.ceiling > coalesce(w.max_connections, 0)
		ORDER BY d.ceiling - greatest(coalesce(w.max_connections, 0), d.base) DESC, d.pool
		LIMIT 1
	),
	lower_pool AS (
		SELECT 'info', l.pool, 'overcommitted', 'this pool''s ceiling is furthest above what it uses',
			format('ceiling %s, %s connections at most in the last day', l.ceiling, l.used),
			CASE WHEN l.quality <> 'good' THEN 'Watch for longer before sizes are changed.'
				WHEN l.enough < l.max_overflow THEN 'Lower max_overflow to what the last day needed.'
				ELSE 'It uses what it has: lower another one, or raise max_connections.' END,
			CASE WHEN l.quality = 'good' AND l.enough < l.max_overflow THEN 'max_overflow' END,
			CASE WHEN l.quality = 'good' AND l.enough < l.max_overflow THEN l.max_overflow END,
			CASE WHEN l.quality = 'good' AND l.enough < l.max_overflow THEN l.enough END,
			l.seen, l.effective_samples, l.quality
		FROM lowest AS l
	),

	refused AS (
		SELECT CASE WHEN h.refused > 0 THEN 'critical' ELSE 'warning' END,
			nullif(nullif(w.pool, '(server)'), '(undeclared)'), 'refused',
			CASE w.pool WHEN '(undeclared)' THEN 'logins of undeclared applications were refused: no connection slot was free'
				ELSE 'logins were refused: no connection slot was free' END,
			format('%s in the last day, %s of them in the last hour; %s connections at most, %s usable', w.refused, coalesce(h.refused, 0), a.max_connections, s.usable),
			'See who holds the slots: budgets and applications. Lower the pools that are above their budgets, declare what is undeclared, or raise max_connections.',
			NULL::text, NULL::int, NULL::int, w.seen, NULL::float8, 'exact'
		FROM day AS w JOIN day AS a ON a.pool = '(server)'
		LEFT JOIN workload AS h ON h.pool = w.pool AND h.span = 'hour', server AS s
		WHERE w.refused > 0 AND w.pool <> '(server)'
	),

	slow_holds AS (
		SELECT 'warning', d.pool, 'slow_holds', 'long transactions hold connections: tune the queries before the pool',
			format('a hold takes %s s (median), %s s (95 %%), %s s (longest); %s of %s busy at most in the last day',
				round(extract(epoch FROM t.hold_p50), 3), round(extract(epoch FROM t.hold_p95), 3), round(extract(epoch FROM t.hold_max), 3),
				w.max_busy, coalesce(d.ceiling::text, 'any number')),
			'Look for slow statements (pg_stat_statements), and for work that is done while a transaction is open. Halving the holds is worth as much as doubling the pool.',
			NULL::text, NULL::int, NULL::int, w.seen, t.transactions::float8,
			CASE WHEN t.transactions >= 30 THEN 'good' ELSE 'not enough data' END
		FROM declared AS d JOIN stats AS t ON t.pool = d.pool JOIN day AS w ON w.pool = d.pool
		WHERE t.hold_p95 >= interval '1 second' AND t.transactions >= 30
			AND (d.ceiling IS NULL OR w.max_busy >= 0.5 * d.ceiling)
	),

	leaks AS (
		SELECT d.pool, d.leak_threshold,
			(SELECT count(*) FROM sessions AS s WHERE s.pool = d.pool AND s.leak_suspect) AS now,
			(SELECT coalesce(sum(e.times), 0) FROM events AS e WHERE e.pool = d.pool AND e.event = 'leak_suspect') AS told
		FROM declared AS d
	),
	leak AS (
		SELECT CASE WHEN l.now > 0 THEN 'warning' ELSE 'info' END, l.pool, 'leak',
			'sessions stay in one transaction for longer than leak_threshold',
			format('%s now, %s in the last day; leak_threshold %s', l.now, l.told, l.leak_threshold),
			'Find the code path that does not give its connection back. Meanwhile idle_in_transaction_session_timeout, and from PostgreSQL 17 on transaction_timeout, end such sessions; pool_monitor never does.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM leaks AS l
		WHERE l.now > 0 OR l.told > 0
	),

	-- used when it was over age already: a client that recycles would have replaced it
	aged AS (
		SELECT d.pool, d.pool_recycle, count(*) AS sessions, max(s.age) AS oldest
		FROM declared AS d JOIN sessions AS s ON s.pool = d.pool
		WHERE s.age - coalesce(s.idle_for, s.xact_age, interval '0') > 1.5 * d.pool_recycle
		GROUP BY d.pool, d.pool_recycle
	),
	over_age AS (
		SELECT 'warning', a.pool, 'over_age', 'the client uses connections that are past pool_recycle: it recycles later, or not at all',
			format('%s sessions were used at more than one and a half times pool_recycle %s; the oldest is %s old', a.sessions, a.pool_recycle, date_trunc('second', a.oldest)),
			'Set pool_recycle in the client, or declare what it really has: retirement goes by the declaration.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM aged AS a
	),
	long_recycle AS (
		SELECT 'info', d.pool, 'pool_recycle', 'connections live for longer than 30 minutes',
			format('pool_recycle %s', coalesce(d.pool_recycle::text, 'not set')),
			'Firewalls, proxies and failovers leave old connections dead; memory of a session grows with its age. 30 minutes or less is usual, 15 for managed databases.',
			'pool_recycle'::text, extract(epoch FROM d.pool_recycle)::int, 1800, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d
		WHERE d.pool_recycle IS NULL OR d.pool_recycle > interval '30 minutes'
	),
	no_ping AS (
		SELECT 'warning', d.pool, 'pre_ping', 'sessions are retired on schedule, but the client does not test a connection before it uses it',
			'recycle_mode terminate, pre_ping off',
			'Switch pre_ping on in the client. Without it everything depends on the declared pool_recycle being the client''s.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d
		WHERE NOT d.pre_ping AND d.recycle_mode = 'terminate'
	),
	no_identity AS (
		SELECT 'warning', d.pool, 'identity', 'sessions are retired on schedule, and anybody who sets this application_name belongs to the pool',
			format('recycle_mode terminate%s; neither usename nor client_addr declared', CASE WHEN d.shrink_idle THEN ', shrink_idle' ELSE '' END),
			'Declare the usename or the client_addr of the application too: any role can set any application_name, and sessions under it are counted, paced and retired with the pool''s own.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM declared AS d
		WHERE d.recycle_mode = 'terminate' AND NOT d.by_usename AND NOT d.by_client_addr
	),
	storms AS (
		SELECT 'warning', e.pool, 'storm', CASE WHEN e.pool IS NULL THEN format('application "%s" opened many connections at once', e.application_name) ELSE 'the pool opened many connections at once' END,
			format('%s storms in the last day, the last at %s: %s', sum(e.times), date_trunc('second', max(e.at)), (array_agg(e.detail ORDER BY e.seq DESC))[1]),
			'Look for restarts, failed health checks, a pool that throws all its connections away for one that is gone, or code that opens a pool for each request.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM events AS e
		WHERE e.event = 'storm'
		GROUP BY e.pool, e.application_name
	),
	pauses AS (
		SELECT 'warning', e.pool, 'retirement', 'scheduled retirement has paused: the pool answered with far more connects than it lost sessions',
			format('%s times in the last day, the last at %s', sum(e.times), date_trunc('second', max(e.at))),
			'The declared pool_recycle is probably shorter than the client''s. See docs/retirement.md.',
			NULL::text, NULL::int, NULL::int, NULL::interval, NULL::float8, 'exact'
		FROM events AS e
		WHERE e.event = 'retirement_paused' AND e.pool IS NOT NULL
		GROUP BY e.pool
	),
	findings AS (
		SELECT * FROM exhausted UNION ALL SELECT * FROM overflow UNION ALL SELECT * FROM idle
		UNION ALL SELECT * FROM declaration UNION ALL SELECT * FROM more_hosts UNION ALL SELECT * FROM unbounded
		UNION ALL SELECT * FROM undeclared UNION ALL SELECT * FROM overcommitted UNION ALL SELECT * FROM lower_pool
		UNION ALL SELECT * FROM refused UNION ALL SELECT * FROM slow_holds UNION ALL SELECT * FROM leak
		UNION ALL SELECT * FROM over_age UNION ALL SELECT * FROM long_recycle UNION ALL SELECT * FROM no_ping
		UNION ALL SELECT * FROM no_identity UNION ALL SELECT * FROM storms UNION ALL SELECT * FROM pauses
	)
	SELECT f.severity, f.pool, f.topic, f.finding, f.evidence, f.recommendation, f.setting, f.current, f.proposed,
		f.seen, f.effective_samples, f.quality
	FROM findings AS f
	ORDER BY array_position(ARRAY['critical', 'warning', 'info'], f.severity), f.pool, f.topic;

COMMENT ON VIEW pool_monitor.advice IS
'What to change, one row for each finding, the gravest first. The thresholds are in docs/sizing.md. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.advice.severity IS 'critical: clients wait or are refused; warning: it will come to that, or the declaration is wrong; info: could be better';
COMMENT ON COLUMN pool_monitor.advice.pool IS 'declared pool; NULL: the server, or an undeclared application';
COMMENT ON COLUMN pool_monitor.advice.topic IS 'exhausted, overflow, idle, declaration, unbounded, undeclared, overcommitted, refused, slow_holds, leak, over_age, pool_recycle, pre_ping, identity, storm, retirement';
COMMENT ON COLUMN pool_monitor.advice.finding IS 'what was found';
COMMENT ON COLUMN pool_monitor.advice.evidence IS 'the numbers behind it';
COMMENT ON COLUMN pool_monitor.advice.recommendation IS 'what to do';
COMMENT ON COLUMN pool_monitor.advice.setting IS 'which setting of the client (or of the server) to change; NULL: no number is proposed';
COMMENT ON COLUMN pool_monitor.advice.current IS 'its declared value; pool_recycle in seconds';
COMMENT ON COLUMN pool_monitor.advice.proposed IS 'its proposed value';
COMMENT ON COLUMN pool_monitor.advice.seen IS 'how long was watched for it; NULL: it is about this moment, or about the declaration';
COMMENT ON COLUMN pool_monitor.advice.effective_samples IS 'as in workload; of slow_holds the transactions. NULL: nothing was estimated';
COMMENT ON COLUMN pool_monitor.advice.quality IS 'of an estimate: good, or not enough data (fewer than 30 effective samples: then no number is proposed); exact: nothing was estimated';

CREATE FUNCTION pool_monitor.declarations_loaded() RETURNS bool
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'pm_declarations_loaded';
COMMENT ON FUNCTION pool_monitor.declarations_loaded() IS
'Have the declared pools been loaded since the server started? Until then the views know of none, whatever pools says. Never NULL. Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE VIEW pool_monitor.checklist AS
	WITH server AS (
		SELECT * FROM pool_monitor.server()
	),
	declared AS (
		SELECT * FROM pool_monitor.declared()
	),
	workload AS MATERIALIZED (
		SELECT * FROM pool_monitor.workload
	),
	pools AS (
		SELECT count(*) AS declared,
			count(*) FILTER (WHERE d.ceiling IS NULL) AS unbounded,
			count(*) FILTER (WHERE w.quality = 'good') AS measured,
			count(*) FILTER (WHERE w.exhausted_share >= 0.01 AND w.max_busy >= d.ceiling OR w.max_connections > d.ceiling) AS too_small,
			count(*) FILTER (WHERE w.max_connections >= 0.8 * coalesce(d.ceiling, d.budget)) AS tested,
			count(*) FILTER (WHERE w.max_connections IS NOT NULL) AS seen,
			count(*) FILTER (WHERE d.pool_recycle IS NULL OR d.pool_recycle > interval '30 minutes') AS long_recycle,
			max(d.pool_recycle) AS longest_recycle,
			count(*) FILTER (WHERE NOT d.pre_ping) AS no_ping,
			count(*) FILTER (WHERE d.echo_pool) AS echo,
			count(*) FILTER (WHERE d.recycle_mode = 'terminate') AS acting,
			count(*) FILTER (WHERE d.recycle_mode = 'terminate' AND NOT d.by_usename AND NOT d.by_client_addr) AS by_name
		FROM declared AS d LEFT JOIN workload AS w ON w.pool = d.pool AND w.span = 'day'
	),
	settings AS (
		SELECT
			max(s.reset_val) FILTER (WHERE s.name = 'idle_in_transaction_session_timeout') AS idle_timeout,
			bool_or(s.source IN ('default', 'configuration file', 'command line', 'environment variable'))
				FILTER (WHERE s.name = 'idle_in_transaction_session_timeout') AS is_servers,
			coalesce(max(s.reset_val) FILTER (WHERE s.name = 'client_connection_check_interval'
				AND s.source IN ('configuration file', 'command line')), '0') AS check_interval,
			coalesce(bool_or(s.source IN ('configuration file', 'command line')) FILTER (WHERE s.name = 'tcp_keepalives_idle'), false) AS keepalives,
			max(s.reset_val) FILTER (WHERE s.name = 'superuser_reserved_connections')::int AS superuser_reserved
		FROM pg_catalog.pg_settings AS s
	),
	monitoring AS (
		SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_type = 'pool_monitor') AS workers,
			(SELECT max(h.bucket_start) FROM pool_monitor.history() AS h
				WHERE h.pool = '(server)' AND h.resolution = interval '1 minute' AND h.seen > 0) AS last_minute
	),
	undeclared AS (
		SELECT string_agg(quote_literal(s.application_name), ', ' ORDER BY s.peak_connections DESC, s.application_name) AS names, count(*) AS applications
		FROM pool_monitor.pool_stats() AS s
		WHERE s.application_name IS NOT NULL AND s.peak_connections >= 2 AND s.connections > 0
	),
	items(item, title, status, evidence) AS (
		SELECT 1, 'pool sizes declared for the load',
			CASE WHEN NOT l.loaded THEN 'unknown' WHEN p.declared = 0 THEN 'fail' WHEN p.too_small > 0 THEN 'warn' WHEN p.measured < p.declared THEN 'unknown' ELSE 'pass' END,
			CASE WHEN l.loaded THEN
				format('%s pools declared, %s with enough data in the last day, %s exhausted or above their ceiling in it', p.declared, p.measured, p.too_small)
			ELSE 'the declared pools have not been loaded since the server started: the server log says why' END
		FROM pools AS p, pool_monitor.declarations_loaded() AS l(loaded)
		UNION ALL
		SELECT 2, 'connections recycled after 30 minutes or less',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.long_recycle > 0 THEN 'warn' ELSE 'pass' END,
			format('%s of %s pools longer or never; longest %s', p.long_recycle, p.declared, coalesce(p.longest_recycle::text, '-'))
		FROM pools AS p
		UNION ALL
		SELECT 3, 'pre_ping on',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.no_ping > 0 THEN 'warn' ELSE 'pass' END,
			format('declared off for %s of %s pools', p.no_ping, p.declared)
		FROM pools AS p
		UNION ALL
		SELECT 4, 'echo_pool off',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.echo > 0 THEN 'warn' ELSE 'pass' END,
			format('on for %s of %s pools', p.echo, p.declared)
		FROM pools AS p
		UNION ALL
		SELECT 5, 'max_connections sufficient, with 20 to 30 % of headroom',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.unbounded > 0 AND s.declared_ceiling IS NULL THEN 'fail'
				WHEN s.declared_ceiling > s.usable THEN 'fail' WHEN s.declared_ceiling > 0.8 * s.usable THEN 'warn' ELSE 'pass' END,
			CASE WHEN s.declared_ceiling IS NULL THEN format('%s pools without ceiling and budget', p.unbounded)
				ELSE format('declared ceilings %s of %s usable: %s headroom', s.declared_ceiling, s.usable,
					pool_monitor.percent(1 - s.declared_ceiling / greatest(s.usable, 1)::float8)) END
		FROM pools AS p, server AS s
		UNION ALL
		SELECT 6, 'monitoring on',
			CASE WHEN m.workers = 0 THEN 'fail' WHEN m.last_minute IS NULL THEN 'unknown'
				WHEN m.last_minute < pg_catalog.now() - interval '3 minutes' THEN 'fail' ELSE 'pass' END,
			format('%s worker; last minute in history %s', m.workers, coalesce(m.last_minute::text, 'none'))
		FROM monitoring AS m
		UNION ALL
		SELECT 7, 'load test seen',
			CASE WHEN p.declared = 0 OR p.seen = 0 THEN 'unknown' WHEN p.tested < p.declared THEN 'warn' ELSE 'pass' END,
			format('%s of %s pools had 80 %% of their ceiling or more open at one moment of the last day', p.tested, p.declared)
		FROM pools AS p
		UNION ALL
		SELECT 8, 'idle_in_transaction_session_timeout set',
			CASE WHEN NOT s.is_servers THEN 'unknown' WHEN s.idle_timeout::int > 0 THEN 'pass'
				WHEN EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS r, unnest(r.setconfig) AS c WHERE c ~ '^idle_in_transaction_session_timeout=[1-9]') THEN 'warn'
				ELSE 'fail' END,
			CASE WHEN NOT s.is_servers THEN 'this session has a setting of its own, which hides the server''s'
				WHEN s.idle_timeout::int > 0 THEN format('%s ms', s.idle_timeout) ELSE 'not set for the server (for single roles or databases: ' ||
				(SELECT count(*) FROM pg_catalog.pg_db_role_setting AS r, unnest(r.setconfig) AS c WHERE c ~ '^idle_in_transaction_session_timeout=[1-9]') || ')' END
		FROM settings AS s
		UNION ALL
		SELECT 9, 'TCP keepalives or client_connection_check_interval set',
			CASE WHEN s.check_interval::int > 0 OR s.keepalives THEN 'pass' ELSE 'warn' END,
			format('client_connection_check_interval %s ms; tcp_keepalives_idle %s', s.check_interval, CASE WHEN s.keepalives THEN 'set' ELSE 'the operating system''s' END)
		FROM settings AS s
		UNION ALL
		SELECT 10, 'reserved connections kept',
			CASE WHEN s.superuser_reserved >= 3 THEN 'pass' WHEN s.superuser_reserved > 0 THEN 'warn' ELSE 'fail' END,
			format('superuser_reserved_connections %s', s.superuser_reserved)
		FROM settings AS s
		UNION ALL
		SELECT 11, 'every application declared',
			CASE WHEN u.applications > 0 THEN 'warn' ELSE 'pass' END,
			CASE WHEN u.applications > 0 THEN format('%s applications with two connections or more are in no pool: %s', u.applications, left(u.names, 200))
				ELSE 'no application with two connections or more is in no pool' END
		FROM undeclared AS u
		UNION ALL
		SELECT 12, 'usename or client_addr declared where sessions are retired on schedule',
			CASE WHEN p.declared = 0 THEN 'unknown' WHEN p.by_name > 0 THEN 'warn' ELSE 'pass' END,
			format('missing in %s of %s pools with recycle_mode terminate', p.by_name, p.acting)
		FROM pools AS p
	)
	SELECT i.item, i.title, i.status, i.evidence FROM items AS i ORDER BY i.item;

COMMENT ON VIEW pool_monitor.checklist IS
'The production checklist. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.checklist.item IS 'its number';
COMMENT ON COLUMN pool_monitor.checklist.title IS 'what is to be so';
COMMENT ON COLUMN pool_monitor.checklist.status IS 'pass, warn, fail; unknown: there is nothing to judge it by yet';
COMMENT ON COLUMN pool_monitor.checklist.evidence IS 'by what it was judged; settings are the server''s';

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
'Lists the over-age sessions of a pool (NULL: of all) that the caller may see, oldest first, with what would happen to each (would_retire, that is, would be asked and may still decline; or kept with the reason); with dry_run => false asks the stale ones to end themselves and waits up to 2 seconds for the answers (retired, or declined with the reason). Leaves pools with recycle_mode off alone, and acts on report and terminate alike. Acting needs the privileges of pg_signal_backend, and goes by the rows of pools as they stand, whoever wrote them; superusers'' sessions are never retired. Waits for a change of the declarations that is being loaded. Raises an error when the pool is not declared, or the declarations could not be loaded.';

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
REVOKE ALL ON FUNCTION pool_monitor.declared() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.declarations_loaded() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.reset(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.recycle(text, bool) FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_monitor.reload() FROM PUBLIC;

GRANT SELECT ON pool_monitor.applications, pool_monitor.sessions TO PUBLIC;
GRANT SELECT ON pool_monitor.pools, pool_monitor.budgets, pool_monitor.server TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.presets TO PUBLIC;
GRANT SELECT ON pool_monitor.workload, pool_monitor.advice, pool_monitor.checklist TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.declared() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.declarations_loaded() TO pg_read_all_stats;
GRANT SELECT ON pool_monitor.pool_stats, pool_monitor.history, pool_monitor.events TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.pool_stats() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.history() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.events() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.budgets() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.server() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pool_monitor.recycle(text, bool) TO pg_read_all_stats, pg_signal_backend;
