--
-- Declarations
--

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
	surge int NOT NULL DEFAULT 0,
	pool_timeout interval NOT NULL DEFAULT interval '30 seconds',
	pool_recycle interval DEFAULT interval '30 minutes',
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
	guard text NOT NULL DEFAULT 'off',
	reserved int NOT NULL DEFAULT 0,
	connect_rate int,
	connect_burst int NOT NULL DEFAULT 20,
	guard_superusers bool NOT NULL DEFAULT false,
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
	CONSTRAINT "name must have no double quote and no backslash"
		CHECK (name !~ E'["\\\\]'),
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
	CONSTRAINT "surge must be between 0 and 1000"
		CHECK (surge BETWEEN 0 AND 1000),
	CONSTRAINT "servers * workers * pool_size must be at most 262143"
		CHECK (base <= 262143),
	CONSTRAINT "servers * workers * (pool_size + max_overflow) is above 262143"
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
	CONSTRAINT "guard must be off, report or enforce"
		CHECK (guard IN ('off', 'report', 'enforce')),
	CONSTRAINT "guard enforce needs a pattern or a client_addr that limits"
		CHECK (guard <> 'enforce' OR coalesce(application_name !~ '^[%_]+$', false) OR coalesce(datname !~ '^[%_]+$', false)
			OR coalesce(usename !~ '^[%_]+$', false) OR coalesce(masklen(client_addr) > 0, false)),
	CONSTRAINT "budget must be at least base unless guard is off"
		CHECK (guard = 'off' OR budget >= base),
	CONSTRAINT "reserved must be at most the budget unless guard is off"
		CHECK (guard = 'off' OR reserved <= coalesce(budget, ceiling)),
	CONSTRAINT "reserved must be between 0 and 262143"
		CHECK (reserved BETWEEN 0 AND 262143),
	CONSTRAINT "connect_rate must be NULL (any), or 1 to 100000 logins a second"
		CHECK (connect_rate BETWEEN 1 AND 100000),
	CONSTRAINT "connect_burst must be between 1 and 100000"
		CHECK (connect_burst BETWEEN 1 AND 100000),
	CONSTRAINT "recycle_window must be NULL, or as 22:00-06:00 Europe/Berlin"
		CHECK (pool_monitor.window_is_valid(recycle_window))
);

SELECT pg_catalog.pg_extension_config_dump('pool_monitor.pools', '');

COMMENT ON TABLE pool_monitor.pools IS
'The declared pools, one row each. In force from the commit of a change on, in the database that '
'pool_monitor.database names and in no other. A session belongs to the first pool that matches, lowest priority '
'first; of equal ones the more specific: more columns constrained, more of them without a wildcard, more literal '
'characters, more bits of the network, fewer % (those that only wildcards part are one), more _; then by name.';
COMMENT ON COLUMN pool_monitor.pools.name IS 'name of the pool, in every view and message';
COMMENT ON COLUMN pool_monitor.pools.priority IS 
'matching order, lowest first; of equal ones the more specific, then by name (in byte order)';
COMMENT ON COLUMN pool_monitor.pools.application_name IS
'LIKE pattern for application_name, which PostgreSQL keeps in printable ASCII; NULL: any';
COMMENT ON COLUMN pool_monitor.pools.datname IS 'LIKE pattern for the database name the session logged in with; NULL: any';
COMMENT ON COLUMN pool_monitor.pools.usename IS 'LIKE pattern for the role name the session logged in with; NULL: any';
COMMENT ON COLUMN pool_monitor.pools.client_addr IS
'network the client must be in; NULL: any, and the only choice that a Unix-domain socket matches';
COMMENT ON COLUMN pool_monitor.pools.servers IS 'application servers that run this pool';
COMMENT ON COLUMN pool_monitor.pools.workers IS 'processes on each application server, each with a pool of its own';
COMMENT ON COLUMN pool_monitor.pools.pool_size IS 'connections that each process keeps open; 0: without bound, as in SQLAlchemy';
COMMENT ON COLUMN pool_monitor.pools.max_overflow IS 'connections that each process may open above pool_size; -1: without bound';
COMMENT ON COLUMN pool_monitor.pools.surge IS
'percent of servers * workers that run beside these while a deployment overlaps, rounded up to whole processes: 0, '
'none; 25; 100, all twice. It counts in the budget, where none is declared, and not in base and ceiling';
COMMENT ON COLUMN pool_monitor.pools.pool_timeout IS
'how long a checkout waits for a connection before it fails; the advice says how often that would happen';
COMMENT ON COLUMN pool_monitor.pools.pool_recycle IS 'age from which the client replaces a connection at its next checkout; NULL: never';
COMMENT ON COLUMN pool_monitor.pools.pre_ping IS 'does the client test a connection before it uses it? Only the advice depends on it';
COMMENT ON COLUMN pool_monitor.pools.echo_pool IS 'log this pool''s connects, disconnects and retirements in the server log';
COMMENT ON COLUMN pool_monitor.pools.idle_limit IS
'an idle session is flagged idle_over_limit after this time; with recycle_mode terminate it may have to give way to a login '
'that a guard refuses for want of a place';
COMMENT ON COLUMN pool_monitor.pools.leak_threshold IS 'a session is flagged leak_suspect when it has been in one transaction for longer';
COMMENT ON COLUMN pool_monitor.pools.budget IS
'connections that the pool may hold; NULL: the ceiling with surge. Above the ceiling for what a client opens in need only, '
'as PgBouncer''s reserve_pool_size: the pool is exhausted at the ceiling, and over above the budget';
COMMENT ON COLUMN pool_monitor.pools.recycle_mode IS
'off: never retire a session of this pool; report: flag stale ones, retire only when asked by hand; terminate: '
'retire stale ones on schedule, and idle ones that give way to a login that a guard refuses, see idle_limit';
COMMENT ON COLUMN pool_monitor.pools.recycle_grace IS 'how long an over-age session must have been idle to be stale';
COMMENT ON COLUMN pool_monitor.pools.recycle_window IS
'daily hours in which sessions are retired on schedule, in local time of a time zone: HH:MM-HH:MM zone, as in '
'22:00-06:00 Europe/Berlin, over midnight when it ends before it begins; NULL: always. By hand it is always';
COMMENT ON COLUMN pool_monitor.pools.shrink_idle IS
'retire on schedule what is idle for longer than idle_limit, as long as the pool has more connections than base; '
'needs recycle_mode terminate';
COMMENT ON COLUMN pool_monitor.pools.guard IS
'what becomes of a login above the budget, above what other pools'' reserves leave, or faster than connect_rate: off, it is '
'admitted; report, admitted and counted as would_be_guarded; enforce, refused with SQLSTATE 53300 and counted as guarded';
COMMENT ON COLUMN pool_monitor.pools.reserved IS
'connections that only this pool may take, kept from all others while guard is enforce; 0: none';
COMMENT ON COLUMN pool_monitor.pools.connect_rate IS
'logins a second that guard admits to connections above base, beyond connect_burst at once; NULL: any number';
COMMENT ON COLUMN pool_monitor.pools.connect_burst IS 'logins that connect_rate admits at once, after a time without any';
COMMENT ON COLUMN pool_monitor.pools.guard_superusers IS
'are superusers'' logins refused too? For an application that logs in as one; superuser_reserved_connections stay';
COMMENT ON COLUMN pool_monitor.pools.description IS 'free text';
COMMENT ON COLUMN pool_monitor.pools.base IS 'servers * workers * pool_size: connections the pool keeps open at rest';
COMMENT ON COLUMN pool_monitor.pools.ceiling IS
'servers * workers * (pool_size + max_overflow): the most it can open at rest; NULL: unbounded';

CREATE FUNCTION pool_monitor.pools_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'pm_pools_changed';
COMMENT ON FUNCTION pool_monitor.pools_changed() IS
'trigger of pool_monitor.pools: has the declarations loaded when the transaction commits. Refuses, unless the user '
'has the privileges of pg_signal_backend, changes of a row that retires sessions (recycle_mode terminate, or '
'shrink_idle) or refuses logins (guard enforce), changes that could hand sessions to one: deleting a row before it, or '
'changing what that matches; and those that could take sessions from one that refuses logins: adding a row before it, or '
'moving one there. Of all users it refuses reserves that together leave fewer than 5 usable connections to others';

CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools
	FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed();
CREATE TRIGGER pools_counted AFTER INSERT OR UPDATE ON pool_monitor.pools
	FOR EACH STATEMENT EXECUTE FUNCTION pool_monitor.pools_changed();
CREATE TRIGGER pools_truncated BEFORE TRUNCATE ON pool_monitor.pools
	FOR EACH STATEMENT EXECUTE FUNCTION pool_monitor.pools_changed();
-- also for rows that arrive by logical replication
ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed;
ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_counted;
ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_truncated;
