-- Planning: sizes and queueing mathematics. Runs against any server, as a
-- superuser.
SET client_min_messages = error;
CREATE EXTENSION pool_monitor;
SET extra_float_digits = 0;

-- workers x (size + overflow), against a budget of 65
SELECT w.workers, w.pool_size, w.max_overflow, p.base, p.ceiling, p.ceiling <= 65 AS fits
FROM (VALUES (3, 6, 8), (3, 8, 10), (3, 10, 15), (2, 6, 8), (4, 5, 8)) AS w(workers, pool_size, max_overflow),
	pool_monitor.plan(1, w.workers, 1, w.pool_size, w.max_overflow) AS p;
-- four instances on each server
SELECT w.pool_size, w.max_overflow, one.ceiling AS each, four.ceiling AS server, four.buffer, four.required_max_connections,
	thirty.required_max_connections AS with_30_percent, five.required_max_connections AS of_five_servers
FROM (VALUES (5, 10), (10, 20), (20, 40), (30, 70)) AS w(pool_size, max_overflow),
	pool_monitor.plan(1, 1, 1, w.pool_size, w.max_overflow) AS one,
	pool_monitor.plan(1, 1, 4, w.pool_size, w.max_overflow) AS four,
	pool_monitor.plan(1, 1, 4, w.pool_size, w.max_overflow, headroom_percent => 30) AS thirty,
	pool_monitor.plan(5, 1, 4, w.pool_size, w.max_overflow) AS five;
-- unbounded; the buffer is rounded up; as large as it gets
SELECT * FROM pool_monitor.plan(2, 3, 1, 0, 10);
SELECT * FROM pool_monitor.plan(2, 3, 1, 5, -1);
SELECT * FROM pool_monitor.plan(1, 1, 1, 1, 0, 0.1);
SELECT * FROM pool_monitor.plan(1, 1, 1, 1, 0, 0);
SELECT * FROM pool_monitor.plan(10000, 10000, 10000, 100000, 100000, 1000);
-- nonsense
SELECT * FROM pool_monitor.plan(0, 3, 1, 5, 10);
SELECT * FROM pool_monitor.plan(1, -1, 1, 5, 10);
SELECT * FROM pool_monitor.plan(1, 1, 10001, 5, 10);
SELECT * FROM pool_monitor.plan(1, 1, 1, -5, 10);
SELECT * FROM pool_monitor.plan(1, 1, 1, 5, -2);
SELECT * FROM pool_monitor.plan(1, 1, 1, 5, 10, -1);
SELECT * FROM pool_monitor.plan(1, 1, 1, 5, 10, 'NaN');
SELECT * FROM pool_monitor.plan(1, NULL, 1, 5, 10);
SELECT * FROM pool_monitor.plan(1, 1, 1, 5, 10, NULL);

-- reference values
SELECT round(pool_monitor.erlang_c(10, 6)::numeric, 4) AS c_10_6, round(pool_monitor.erlang_c(132, 123)::numeric, 4) AS c_132_123,
	round(pool_monitor.erlang_b(10, 6)::numeric, 4) AS b_10_6;
SELECT c.connections, round(q.mean_queue::numeric, 3) AS lq, round(q.response_time::numeric, 3) AS r,
	round(q.utilization::numeric, 2) AS rho
FROM (VALUES (2), (4)) AS c(connections), pool_monitor.queue(9, 1 / 5.0, c.connections) AS q
WHERE q.model = 'shared' ORDER BY 1;
-- M/M/1 by its own formulas: C = rho, Lq = rho^2 / (1 - rho), P(W > t) = rho exp(-(1 - rho) t / hold)
SELECT rho, abs(pool_monitor.erlang_c(1, rho) - rho) < 1e-12 AS c,
	abs(pool_monitor.mean_queue(1, rho) - rho * rho / (1 - rho)) < 1e-12 AS lq,
	abs(pool_monitor.timeout_probability(1, rho, 2, 3) - rho * exp(-(1 - rho) * 3 / 2)) < 1e-12 AS timeout,
	abs(pool_monitor.erlang_b(1, rho) - rho / (1 + rho)) < 1e-12 AS b
FROM (VALUES (0.1::float8), (0.5), (0.9)) AS r(rho);
-- Erlang B by its sum, a^c / c! over the sum of a^k / k!
SELECT c, a, abs(pool_monitor.erlang_b(c, a) - (a ^ c / factorial(c)::float8)
	/ (SELECT sum(a ^ k / factorial(k)::float8) FROM generate_series(0, c) AS k)) < 1e-12 AS b
FROM (VALUES (1), (5), (20)) AS c(c), (VALUES (0.5::float8), (4), (19)) AS a(a) ORDER BY 1, 2;

-- the quantile is where the probability of waiting longer is 1 - quantile
SELECT quantile, round(pool_monitor.wait_quantile(10, 8, 0.5, quantile)::numeric, 6) AS wait,
	abs(pool_monitor.timeout_probability(10, 8, 0.5, pool_monitor.wait_quantile(10, 8, 0.5, quantile)) - (1 - quantile)) < 1e-12 AS fits
FROM (VALUES (0.7::float8), (0.95), (0.999)) AS q(quantile);
SELECT pool_monitor.wait_quantile(10, 8, 0.5, 0.5) AS most_do_not_wait, pool_monitor.wait_quantile(10, 8, 0.5, 1) AS all_of_them;
-- the smallest pool: one less is not enough
SELECT t.target, n.needed, pool_monitor.timeout_probability(n.needed, 50, 0.2, 0.1) <= t.target AS enough,
	pool_monitor.timeout_probability(n.needed - 1, 50, 0.2, 0.1) > t.target AS smallest
FROM (VALUES (0.5::float8), (0.05), (0.001), (0)) AS t(target), LATERAL pool_monitor.connections_needed(50, 0.2, 0.1, t.target) AS n(needed)
WHERE t.target > 0;
SELECT pool_monitor.connections_needed(0, 0.2, 0, 0.01) AS no_load, pool_monitor.connections_needed(262143, 0.2, 0, 0.01) AS too_much;

SELECT n.processes, pool_monitor.needed_each(n.busy, n.processes)
FROM (VALUES (0, 1), (9, 1), (3, 3), (36, 3), (42, 40), (1, 262143)) AS n(busy, processes);

-- unstable: 1 and infinity, never NaN
SELECT c.connections, a.load, pool_monitor.erlang_b(c.connections, a.load) BETWEEN 0 AND 1 AS b,
	pool_monitor.erlang_c(c.connections, a.load) AS c,
	pool_monitor.mean_wait(c.connections, a.load, 0.1) AS wait, pool_monitor.mean_queue(c.connections, a.load) AS queue,
	pool_monitor.wait_quantile(c.connections, a.load, 0.1, 0.95) AS p95,
	pool_monitor.timeout_probability(c.connections, a.load, 0.1, 30) AS timeout
FROM (VALUES (0, 0::float8), (0, 1), (1, 1), (5, 5), (5, 50), (100000, 100000)) AS x(connections, load),
	LATERAL (SELECT x.connections) AS c(connections), LATERAL (SELECT x.load) AS a(load);
SELECT model, stable, utilization, wait_probability, mean_wait, timeout_probability FROM pool_monitor.queue(100, 1, 10, 5);
-- no load, no hold
SELECT pool_monitor.erlang_b(5, 0), pool_monitor.erlang_c(5, 0), pool_monitor.mean_wait(5, 0, 0.1),
	pool_monitor.timeout_probability(5, 0, 0, 1), pool_monitor.timeout_probability(5, 4, 0, 1);
-- thousands of connections; between the bounds of the smaller and the larger pool everywhere
SELECT round(pool_monitor.erlang_c(5000, 4900)::numeric, 6) AS c_5000, round(pool_monitor.erlang_c(262143, 262000)::numeric, 6) AS c_most,
	pool_monitor.erlang_c(262143, 1) AS nothing;
SELECT count(*) FILTER (WHERE pool_monitor.erlang_c(c, a) NOT BETWEEN 0 AND 1 OR pool_monitor.erlang_c(c, a) = 'NaN'
	OR pool_monitor.erlang_b(c, a) NOT BETWEEN 0 AND 1) AS out_of_bounds,
	count(*) FILTER (WHERE pool_monitor.erlang_c(c + 1, a) > pool_monitor.erlang_c(c, a)) AS worse_with_more,
	count(*) FILTER (WHERE pool_monitor.erlang_b(c, a) > pool_monitor.erlang_c(c, a)) AS b_above_c
FROM generate_series(1, 3000, 37) AS c, LATERAL (SELECT c * f / 20.0 AS a FROM generate_series(0, 21) AS f) AS load;

-- workers are queues of their own: the shared bound is never the worse one
SELECT model, queue_connections, offered_load, round(wait_probability::numeric, 4) AS waits, round(wait_p95::numeric, 3) AS p95
FROM pool_monitor.queue(90, 0.2, 14, 3);
SELECT pool_monitor.offered_load(90, 0.2);

-- nonsense
SELECT pool_monitor.erlang_c(-1, 1);
SELECT pool_monitor.erlang_c(262144, 1);
SELECT pool_monitor.erlang_b(1, -1);
SELECT pool_monitor.erlang_b(1, 'NaN');
SELECT pool_monitor.erlang_b(1, 'Infinity');
SELECT pool_monitor.wait_quantile(1, 0.5, 1, 1.1);
SELECT pool_monitor.mean_wait(1, 0.5, -1);
SELECT pool_monitor.connections_needed(1, 1, 1, -0.1);
SELECT pool_monitor.needed_each(-1, 1);
SELECT pool_monitor.needed_each(1, 0);
SELECT pool_monitor.max_connections_for(-1);
SELECT pool_monitor.max_connections_for(262144);
SELECT * FROM pool_monitor.queue(1, 1, 0);
SELECT * FROM pool_monitor.queue(1, 1, 1000, 1000);
SELECT pool_monitor.erlang_b(NULL, 1), pool_monitor.connections_needed(1, NULL, 1, 0.1);

-- Erlang's C the other way round
SELECT count(*) FILTER (WHERE pool_monitor.erlang_c(c, pool_monitor.load_carried(c, w)) > w) AS too_much,
	count(*) FILTER (WHERE pool_monitor.erlang_c(c, pool_monitor.load_carried(c, w) + 0.000001) <= w) AS too_little
	FROM (VALUES (1), (5), (42), (10000)) AS n(c), (VALUES (0.001::float8), (0.01), (0.5)) AS s(w);
SELECT pool_monitor.load_carried(0, 0.01) AS none, pool_monitor.load_carried(5, 1) AS all_wait,
	pool_monitor.load_carried(5, 0) AS nobody_waits;
SELECT pool_monitor.load_carried(5, 1.5);

-- presets, and how they are used
SELECT preset, min_users, max_users, min_servers, max_servers, pool_size, max_overflow, pool_recycle, pool_timeout, pre_ping
	FROM pool_monitor.presets;
SELECT DISTINCT pool_recycle_managed, low_latency_timeout_min, low_latency_timeout_max, standard_latency_timeout,
	high_latency_timeout FROM pool_monitor.presets;
INSERT INTO pool_monitor.pools (name, application_name, servers, workers, pool_size, max_overflow, pool_recycle, pool_timeout, pre_ping)
	SELECT 'shop', 'shop-%', 2, 4, pool_size, max_overflow, pool_recycle, pool_timeout, pre_ping
	FROM pool_monitor.presets WHERE preset = 'large';
SELECT name, servers, workers, pool_size, max_overflow, pool_recycle, pool_timeout, pre_ping, base, ceiling FROM pool_monitor.pools;
DROP EXTENSION pool_monitor;
