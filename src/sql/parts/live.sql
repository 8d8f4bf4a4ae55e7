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
	OUT status text, OUT status_since timestamptz, OUT waiting bigint,
	OUT checkout_waits bigint, OUT waited_seconds float8, OUT checkout_timeouts bigint
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_budgets';
COMMENT ON FUNCTION pool_monitor.budgets() IS 'behind the view pool_monitor.budgets';

CREATE VIEW pool_monitor.budgets AS
	SELECT b.pool, b.base, b.ceiling, b.budget, b.connections, b.active, b.idle,
		b.idle_in_transaction, b.idle_in_transaction_aborted, b.busy,
		b.overflow, b.over_budget,
		pg_catalog.round(100.0 * b.connections::numeric / b.budget::numeric, 1) AS percent_of_budget,
		b.peak_connections, b.peak_at, b.stale, b.idle_over_limit, b.leak_suspects,
		b.oldest, b.longest_idle, b.status, b.status_since, b.waiting,
		b.checkout_waits, b.waited_seconds, b.checkout_timeouts
	FROM pool_monitor.budgets() AS b;

COMMENT ON VIEW pool_monitor.budgets IS
'Each declared pool that is in force, against the sessions it has at this moment. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.budgets.pool IS 'name of the pool';
COMMENT ON COLUMN pool_monitor.budgets.base IS 'servers * workers * pool_size: connections the pool keeps open at rest';
COMMENT ON COLUMN pool_monitor.budgets.ceiling IS
'servers * workers * (pool_size + max_overflow): the most it can open at rest; NULL: unbounded';
COMMENT ON COLUMN pool_monitor.budgets.budget IS
'connections it may hold: the declared budget, else the ceiling with surge; NULL: no limit';
COMMENT ON COLUMN pool_monitor.budgets.connections IS 'sessions it has now';
COMMENT ON COLUMN pool_monitor.budgets.active IS 'of these, executing a statement';
COMMENT ON COLUMN pool_monitor.budgets.idle IS 'of these, waiting for the client, in no transaction';
COMMENT ON COLUMN pool_monitor.budgets.idle_in_transaction IS 'of these, in a transaction, waiting for the client';
COMMENT ON COLUMN pool_monitor.budgets.idle_in_transaction_aborted IS 'of these, in a failed transaction, waiting for the client';
COMMENT ON COLUMN pool_monitor.budgets.busy IS
'active, or idle in a transaction: certainly checked out of the client''s pool, so a lower bound of what is';
COMMENT ON COLUMN pool_monitor.budgets.overflow IS 'connections above base; 0 where pool_size is 0';
COMMENT ON COLUMN pool_monitor.budgets.over_budget IS 'connections above budget; 0 where there is no limit';
COMMENT ON COLUMN pool_monitor.budgets.percent_of_budget IS 'connections in percent of budget; NULL where there is no limit';
COMMENT ON COLUMN pool_monitor.budgets.peak_connections IS 'most connections at any moment since stats_reset in pool_stats: exact';
COMMENT ON COLUMN pool_monitor.budgets.peak_at IS 'when that was; NULL: there was no connection yet';
COMMENT ON COLUMN pool_monitor.budgets.stale IS 'sessions older than pool_recycle by recycle_margin and idle for recycle_grace';
COMMENT ON COLUMN pool_monitor.budgets.idle_over_limit IS 'sessions idle for longer than idle_limit';
COMMENT ON COLUMN pool_monitor.budgets.leak_suspects IS 'sessions in one transaction for longer than leak_threshold';
COMMENT ON COLUMN pool_monitor.budgets.oldest IS 'age of the oldest session; NULL: none';
COMMENT ON COLUMN pool_monitor.budgets.longest_idle IS 'longest time that a session has been idle; NULL: none is';
COMMENT ON COLUMN pool_monitor.budgets.status IS
'the worst that holds at this moment: ok; overflow (connections above base); exhausted (busy >= ceiling); over '
'(connections above budget); starved (connections below budget, and a login was refused within the last 10 s because '
'the server was full)';
COMMENT ON COLUMN pool_monitor.budgets.status_since IS
'when the sampler first saw this status, to sample_interval; the moment of the query when it has not seen it yet. What '
'is better than exhausted, over or starved counts as such again once that has been away for status_hold: until then it '
'is the time at which that began';
COMMENT ON COLUMN pool_monitor.budgets.waiting IS
'checkouts that wait for a connection, as its processes reported within the last 90 s (client_report()); NULL: none did';
COMMENT ON COLUMN pool_monitor.budgets.checkout_waits IS
'checkouts that had to wait, as reported since stats_reset: as in pool_stats, as are the next two; 0: none, or none reports';
COMMENT ON COLUMN pool_monitor.budgets.waited_seconds IS 'for how long these have waited in all';
COMMENT ON COLUMN pool_monitor.budgets.checkout_timeouts IS 'checkouts that gave up waiting';

CREATE FUNCTION pool_monitor.applications(
	OUT application_name text, OUT datname name, OUT usename name, OUT pool text,
	OUT connections int, OUT active int, OUT idle int,
	OUT idle_in_transaction int, OUT idle_in_transaction_aborted int, OUT busy int,
	OUT stale int, OUT idle_over_limit int, OUT leak_suspects int,
	OUT client_hosts int, OUT oldest interval, OUT longest_idle interval
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
	AS 'MODULE_PATHNAME', 'pm_applications';
COMMENT ON FUNCTION pool_monitor.applications() IS 'behind the view pool_monitor.applications';

CREATE VIEW pool_monitor.applications AS
	SELECT * FROM pool_monitor.applications() AS a ORDER BY a.connections DESC, a.application_name, a.datname, a.usename, a.pool;

COMMENT ON VIEW pool_monitor.applications IS
'The client sessions of this moment by application_name, database and role (and pool, where pools are told apart by '
'address), those with the most connections first. Without shared_preload_libraries pool is NULL. '
'Of other roles'' sessions only pg_read_all_stats sees more '
'than connections; the rest is NULL.';
COMMENT ON COLUMN pool_monitor.applications.application_name IS 'as the client set it; may be empty';
COMMENT ON COLUMN pool_monitor.applications.datname IS 'database';
COMMENT ON COLUMN pool_monitor.applications.usename IS 'role that logged in';
COMMENT ON COLUMN pool_monitor.applications.pool IS
'declared pool; NULL: discovered, none matches (or it was chosen by an address that the caller may not see)';
COMMENT ON COLUMN pool_monitor.applications.connections IS 'sessions now';
COMMENT ON COLUMN pool_monitor.applications.active IS 'of these, executing a statement';
COMMENT ON COLUMN pool_monitor.applications.idle IS 'of these, waiting for the client, in no transaction';
COMMENT ON COLUMN pool_monitor.applications.idle_in_transaction IS 'of these, in a transaction, waiting for the client';
COMMENT ON COLUMN pool_monitor.applications.idle_in_transaction_aborted IS 'of these, in a failed transaction, waiting for the client';
COMMENT ON COLUMN pool_monitor.applications.busy IS 'active, or idle in a transaction';
COMMENT ON COLUMN pool_monitor.applications.stale IS
'older than the pool''s pool_recycle by recycle_margin and idle for recycle_grace; 0 where there is no pool';
COMMENT ON COLUMN pool_monitor.applications.idle_over_limit IS 'idle for longer than the pool''s idle_limit; 0 where there is no pool';
COMMENT ON COLUMN pool_monitor.applications.leak_suspects IS
'in one transaction for longer than the pool''s leak_threshold; 0 where there is no pool';
COMMENT ON COLUMN pool_monitor.applications.client_hosts IS 'different client addresses; all Unix-domain sockets together count as one';
COMMENT ON COLUMN pool_monitor.applications.oldest IS 'age of the oldest session';
COMMENT ON COLUMN pool_monitor.applications.longest_idle IS 'longest time that a session has been idle; NULL: none is';

CREATE FUNCTION pool_monitor.sessions(
	pool text DEFAULT NULL,
	OUT pid int, OUT backend_start timestamptz, OUT pool text,
	OUT application_name text, OUT datname name, OUT usename name,
	OUT client_addr inet, OUT state text, OUT age interval, OUT idle_for interval,
	OUT xact_age interval, OUT over_age bool, OUT stale bool,
	OUT idle_over_limit bool, OUT leak_suspect bool, OUT keep_reason text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000
	AS 'MODULE_PATHNAME', 'pm_sessions';
COMMENT ON FUNCTION pool_monitor.sessions(text) IS
'As the view sessions, of one pool only (or (undeclared)), in less time. NULL: of all. No rows for a pool that is not '
'declared.';

CREATE VIEW pool_monitor.sessions AS
	SELECT * FROM pool_monitor.sessions() AS s;

COMMENT ON VIEW pool_monitor.sessions IS
'The client sessions of this moment: by pool, in matching order, then by application; the longest transactions first, '
'then those idle for longest. Without shared_preload_libraries all are in no pool. Of other roles'' sessions '
'only pg_read_all_stats sees more than pid, names and pool; the rest is NULL.';
COMMENT ON COLUMN pool_monitor.sessions.pid IS 'process ID of the backend';
COMMENT ON COLUMN pool_monitor.sessions.backend_start IS 'when it started; with pid, this identifies a session';
COMMENT ON COLUMN pool_monitor.sessions.pool IS
'declared pool; NULL: none matches (or it was chosen by an address that the caller may not see)';
COMMENT ON COLUMN pool_monitor.sessions.application_name IS 'as the client set it; may be empty';
COMMENT ON COLUMN pool_monitor.sessions.datname IS 'database';
COMMENT ON COLUMN pool_monitor.sessions.usename IS 'role that logged in';
COMMENT ON COLUMN pool_monitor.sessions.client_addr IS 'NULL: Unix-domain socket';
COMMENT ON COLUMN pool_monitor.sessions.state IS
'active, idle, idle in transaction, idle in transaction (aborted); NULL: unknown (track_activities is off)';
COMMENT ON COLUMN pool_monitor.sessions.age IS
'time since it began, by the younger of the wall clock and the monotonic one: less than since backend_start when the '
'clock was set forward, or the machine suspended';
COMMENT ON COLUMN pool_monitor.sessions.idle_for IS 'how long it has been idle, by the younger of the two clocks; NULL: it is not';
COMMENT ON COLUMN pool_monitor.sessions.xact_age IS
'how long its transaction has been open, a failed one since it failed, but no longer than since its last one ended '
'by the monotonic clock; NULL: none is';
COMMENT ON COLUMN pool_monitor.sessions.over_age IS 'older than its pool''s pool_recycle; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.stale IS 'over age by recycle_margin, and idle for recycle_grace; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.idle_over_limit IS 'idle for longer than its pool''s idle_limit; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.leak_suspect IS 'in one transaction for longer than its pool''s leak_threshold; false in no pool';
COMMENT ON COLUMN pool_monitor.sessions.keep_reason IS
'why the scheduled clean-up would not ask it to end itself now; NULL: it would. The backend may still decline, for '
'reasons that only it knows (a message that is coming in, a session-level lock, a temporary schema, LISTEN, a WITH '
'HOLD cursor, a changed role, a backup, a temporary replication slot, a replication origin)';

CREATE FUNCTION pool_monitor.leak_suspects(
	OUT pool text, OUT pid int, OUT application_name text, OUT datname name, OUT usename name, OUT client_addr inet,
	OUT backend_start timestamptz, OUT since timestamptz, OUT xact_age interval, OUT state text,
	OUT wait_event_type text, OUT wait_event text, OUT query text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10
	AS 'MODULE_PATHNAME', 'pm_leak_suspects';
COMMENT ON FUNCTION pool_monitor.leak_suspects() IS 'behind the view pool_monitor.leak_suspects';

CREATE VIEW pool_monitor.leak_suspects AS
	SELECT * FROM pool_monitor.leak_suspects() AS l ORDER BY l.xact_age DESC, l.pid;

COMMENT ON VIEW pool_monitor.leak_suspects IS
'The sessions that are in one transaction for longer than their pool''s leak_threshold, the longest first. Without '
'shared_preload_libraries there are none. Other roles'' sessions are shown to members of the role and to '
'pg_read_all_stats only.';
COMMENT ON COLUMN pool_monitor.leak_suspects.pool IS 'its pool';
COMMENT ON COLUMN pool_monitor.leak_suspects.pid IS 'process ID of the backend';
COMMENT ON COLUMN pool_monitor.leak_suspects.application_name IS 'as the client set it; may be empty';
COMMENT ON COLUMN pool_monitor.leak_suspects.datname IS 'database';
COMMENT ON COLUMN pool_monitor.leak_suspects.usename IS 'role that logged in';
COMMENT ON COLUMN pool_monitor.leak_suspects.client_addr IS 'NULL: Unix-domain socket';
COMMENT ON COLUMN pool_monitor.leak_suspects.backend_start IS 'when it started; with pid, this identifies a session';
COMMENT ON COLUMN pool_monitor.leak_suspects.since IS 'begin of the transaction by the server''s clock; of a failed one, when it failed';
COMMENT ON COLUMN pool_monitor.leak_suspects.xact_age IS 'how long it has been open, as in sessions';
COMMENT ON COLUMN pool_monitor.leak_suspects.state IS 'as in sessions';
COMMENT ON COLUMN pool_monitor.leak_suspects.wait_event_type IS
'what kind of thing it waits for: Client is the client; NULL: it does not wait';
COMMENT ON COLUMN pool_monitor.leak_suspects.wait_event IS 'what it waits for, as in pg_stat_activity; NULL: it does not wait';
COMMENT ON COLUMN pool_monitor.leak_suspects.query IS
'its last statement, which runs where state is active; cut at track_activity_query_size. Bytes that are not ASCII are '
'\xNN, where client_encoding is not the database''s';

CREATE FUNCTION pool_monitor.server(
	OUT max_connections int, OUT reserved int, OUT usable int,
	OUT headroom_percent int, OUT connection_budget int,
	OUT declared_base bigint, OUT declared_ceiling bigint, OUT declared_budget bigint, OUT declared_surged bigint,
	OUT connections int, OUT undeclared int, OUT authenticating int, OUT available int,
	OUT peak_connections int, OUT peak_at timestamptz,
	OUT refused bigint, OUT guarded bigint, OUT would_be_guarded bigint, OUT status text, OUT status_since timestamptz
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1
	AS 'MODULE_PATHNAME', 'pm_server';
COMMENT ON FUNCTION pool_monitor.server() IS 'behind the view pool_monitor.server';

CREATE VIEW pool_monitor.server AS
	SELECT * FROM pool_monitor.server() AS s;

COMMENT ON VIEW pool_monitor.server IS
'The whole server, one row. Needs shared_preload_libraries, and pg_read_all_stats.';
COMMENT ON COLUMN pool_monitor.server.max_connections IS 'the server''s setting';
COMMENT ON COLUMN pool_monitor.server.reserved IS 'superuser_reserved_connections, and from PostgreSQL 16 on reserved_connections';
COMMENT ON COLUMN pool_monitor.server.usable IS 'max_connections less reserved: what ordinary roles can have';
COMMENT ON COLUMN pool_monitor.server.headroom_percent IS
'share of usable that is kept free; NULL: the setting connection_budget says it directly';
COMMENT ON COLUMN pool_monitor.server.connection_budget IS 'connections that all applications together may hold';
COMMENT ON COLUMN pool_monitor.server.declared_base IS 'sum of the declared pools'' base';
COMMENT ON COLUMN pool_monitor.server.declared_ceiling IS
'sum of the declared pools'' ceilings, an unbounded pool with its budget; NULL: one has neither';
COMMENT ON COLUMN pool_monitor.server.declared_budget IS
'sum of the declared pools'' budgets, with the largest single surge: what they can come to while one of them is deployed. '
'It decides overcommitted; NULL: a pool is unbounded, and has no budget';
COMMENT ON COLUMN pool_monitor.server.declared_surged IS 'the same with all surges at once';
COMMENT ON COLUMN pool_monitor.server.connections IS 'client sessions now, without those still authenticating';
COMMENT ON COLUMN pool_monitor.server.undeclared IS 'of these, in no declared pool';
COMMENT ON COLUMN pool_monitor.server.authenticating IS 'connection slots held by logins that are not authenticated yet';
COMMENT ON COLUMN pool_monitor.server.available IS
'usable less the connection slots in use, at least 0. In use are those of connections, of logins under way and, for '
'a moment, of sessions that end';
COMMENT ON COLUMN pool_monitor.server.peak_connections IS 'most connections at any moment, since the last reset() of everything: exact';
COMMENT ON COLUMN pool_monitor.server.peak_at IS 'when that was';
COMMENT ON COLUMN pool_monitor.server.refused IS
'logins refused because no connection slot was free (SQLSTATE 53300 without the limits of single roles and '
'databases), since the last reset() of everything';
COMMENT ON COLUMN pool_monitor.server.guarded IS 'logins that the guard refused, likewise; they are not in refused';
COMMENT ON COLUMN pool_monitor.server.would_be_guarded IS
'logins that the guard admitted, because it reports only, and would have refused; likewise';
COMMENT ON COLUMN pool_monitor.server.status IS
'the worst that holds: ok; overcommitted (declared_budget above connection_budget, or unbounded); over (connections '
'above connection_budget); full (a login was refused within the last 10 s because no connection slot was free)';
COMMENT ON COLUMN pool_monitor.server.status_since IS
'when the sampler first saw this status, to sample_interval; the moment of the query when it has not seen it yet. What '
'is better than over or full counts as such again once that has been away for status_hold: until then it is the time at '
'which that began. So is budgets.status_since';
