--
-- Planning
--

CREATE FUNCTION pool_monitor.plan(
	servers int, workers int, instances int, pool_size int, max_overflow int,
	headroom_percent numeric DEFAULT 20, surge int DEFAULT 0,
	OUT base bigint, OUT ceiling bigint, OUT buffer bigint, OUT required_max_connections bigint
) RETURNS SETOF record
	LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 1
	AS 'MODULE_PATHNAME', 'pm_plan_sql';
COMMENT ON FUNCTION pool_monitor.plan(int, int, int, int, int, numeric, int) IS
'What servers * workers * instances pools of one size come to, all of them together: base = processes * pool_size; '
'ceiling = processes * (pool_size + max_overflow); buffer = what the surge of one instance adds, as in pools, and '
'headroom_percent of it and the ceiling, rounded up; '
'required_max_connections = ceiling + buffer. The last three are NULL where a pool is unbounded (pool_size 0 or '
'max_overflow -1). For the setting of a server, with what it reserves and keeps free, see max_connections_for(). Raises an '
'error for what makes no sense.';

CREATE FUNCTION pool_monitor.max_connections_for(connections int) RETURNS int
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_max_connections_for_sql';
COMMENT ON FUNCTION pool_monitor.max_connections_for(int) IS
'The least max_connections with which this server has room for so many connections: of the usable ones its '
'headroom_percent stays free (with a connection_budget of its own: none), and reserved ones come on top. So a ceiling of '
'plan() is not overcommitted with it, and is with one less. NULL: more than 262143.';

CREATE FUNCTION pool_monitor.erlang_b(connections int, offered_load float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_erlang_b_sql';
COMMENT ON FUNCTION pool_monitor.erlang_b(int, float8) IS
'Erlang''s B: the share of checkouts that find all connections busy when none of them waits. offered_load is in '
'connections: rate * mean hold time.';

CREATE FUNCTION pool_monitor.erlang_c(connections int, offered_load float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_erlang_c_sql';
COMMENT ON FUNCTION pool_monitor.erlang_c(int, float8) IS
'Erlang''s C: the probability that a checkout has to wait, and the share of time with all connections busy (M/M/c). '
'1 when offered_load is not below connections: unstable, the queue grows without end.';

CREATE FUNCTION pool_monitor.offered_load(rate float8, hold_time float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_offered_load_sql';
COMMENT ON FUNCTION pool_monitor.offered_load(float8, float8) IS
'Little''s law: checkouts a second * seconds that each holds its connection = connections busy on average.';

CREATE FUNCTION pool_monitor.mean_wait(connections int, offered_load float8, hold_time float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_mean_wait_sql';
COMMENT ON FUNCTION pool_monitor.mean_wait(int, float8, float8) IS
'Mean wait of all checkouts, those that do not wait among them, in seconds like hold_time: C * hold_time / '
'(connections - offered_load). Infinity when unstable.';

CREATE FUNCTION pool_monitor.mean_queue(connections int, offered_load float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_mean_queue_sql';
COMMENT ON FUNCTION pool_monitor.mean_queue(int, float8) IS
'Checkouts that wait, on average: C * offered_load / (connections - offered_load). Infinity when unstable.';

CREATE FUNCTION pool_monitor.wait_quantile(connections int, offered_load float8, hold_time float8, quantile float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_wait_quantile_sql';
COMMENT ON FUNCTION pool_monitor.wait_quantile(int, float8, float8, float8) IS
'The wait that a share quantile (0 to 1) of the checkouts does not exceed, in seconds like hold_time: ln(C / (1 - '
'quantile)) * hold_time / (connections - offered_load), at least 0. Infinity when unstable.';

CREATE FUNCTION pool_monitor.timeout_probability(connections int, offered_load float8, hold_time float8, pool_timeout float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_timeout_probability_sql';
COMMENT ON FUNCTION pool_monitor.timeout_probability(int, float8, float8, float8) IS
'The probability that a checkout waits longer than pool_timeout (seconds, like hold_time): C * exp(-(connections - '
'offered_load) * pool_timeout / hold_time). 1 when unstable.';

CREATE FUNCTION pool_monitor.connections_needed(offered_load float8, hold_time float8, pool_timeout float8, target float8) RETURNS int
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_connections_needed_sql';
COMMENT ON FUNCTION pool_monitor.connections_needed(float8, float8, float8, float8) IS
'The smallest pool in which no more than a share target (0 to 1) of the checkouts waits longer than pool_timeout '
'(seconds, like hold_time; 0: has to wait at all). NULL: more than 262143 connections.';

CREATE FUNCTION pool_monitor.needed_each(busy int, processes int) RETURNS int
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pm_needed_each_sql';
COMMENT ON FUNCTION pool_monitor.needed_each(int, int) IS
'The connections of each process that suffice for all of them in about 95 % of the cases, when so many of all are busy, '
'and chance spreads them: s + z * sqrt(s * (1 - 1 / processes)) with s = busy / processes and z = 1.65 + 0.4 * '
'ln(processes), rounded up, and at least 1 (binomial).';

CREATE FUNCTION pool_monitor.queue(
	rate float8, hold_time float8, connections int, workers int DEFAULT 1, pool_timeout float8 DEFAULT 30,
	OUT model text, OUT queue_connections int, OUT offered_load float8, OUT utilization float8, OUT stable bool,
	OUT wait_probability float8, OUT mean_wait float8, OUT wait_p95 float8, OUT timeout_probability float8,
	OUT mean_queue float8, OUT response_time float8
) RETURNS SETOF record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 2
	AS 'MODULE_PATHNAME', 'pm_queue_sql';
COMMENT ON FUNCTION pool_monitor.queue(float8, float8, int, int, float8) IS
'Waiting in a pool of so many workers with so many connections each, for a rate (checkouts a second, of all workers) '
'and a mean hold_time (seconds). Workers are separate queues; two rows are the bounds: isolated (pessimistic: each '
'worker with its share of the load and its own connections) and shared (optimistic: one queue for all). utilization '
'is offered_load / queue_connections; times are in seconds, Infinity where stable is false; response_time is '
'mean_wait + hold_time. Assumes random arrivals and exponential hold times (M/M/c).';

CREATE VIEW pool_monitor.presets AS
	SELECT p.preset, p.min_users, p.max_users, p.min_servers, p.max_servers, p.pool_size, p.max_overflow,
		p.pool_recycle, interval '15 minutes' AS pool_recycle_managed, p.pool_timeout,
		interval '10 seconds' AS low_latency_timeout_min, interval '20 seconds' AS low_latency_timeout_max,
		interval '30 seconds' AS standard_latency_timeout, interval '60 seconds' AS high_latency_timeout,
		true AS pre_ping
	FROM (VALUES
		('small', 1, 10, 1, 1, 5, 10, interval '30 minutes', interval '30 seconds'),
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
