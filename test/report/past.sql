-- A made-up past for the report: a day by the minute, and as many hours as are asked for, of
-- so many pools; with psql's variables pools, minutes, hours, and the functions of
-- test/modules/pool_monitor_replay. Each pool has its own hours; "web" has an hour with too
-- many processes, then all busy; for fifty minutes nobody was watching.
CREATE TEMP TABLE made AS
	SELECT i, CASE i WHEN 1 THEN 'web' WHEN 2 THEN 'api' WHEN 3 THEN 'jobs' WHEN 4 THEN 'reports' ELSE 'pool ' || i END AS pool,
		2 + i % 3 AS workers, 2 + i % 4 AS pool_size, 3 + i % 5 AS max_overflow
	FROM generate_series(1, :pools) AS i;
INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow, description)
	SELECT m.pool, m.pool || '%', m.workers, m.pool_size, m.max_overflow,
		CASE m.i WHEN 1 THEN 'The shop. Sized in May for 300 requests a second of 20 ms each, with one process of four down.'
			WHEN 2 THEN 'Partners'' API: 8 processes, bursts at full hours' WHEN 3 THEN 'Nightly jobs; may wait' END
	FROM made AS m;
SELECT pool_monitor.reload();
DO $$ BEGIN
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM pool_monitor.pools AS p WHERE NOT EXISTS (SELECT FROM pool_monitor.history(p.name)));
		PERFORM pg_sleep(0.05);
	END LOOP;
END $$;

BEGIN;
SELECT replay_rings(
	ARRAY(SELECT t FROM generate_series(date_trunc('minute', now()) - make_interval(mins => :minutes - 1), now(), '1 min') AS t ORDER BY t),
	ARRAY(SELECT t FROM generate_series(date_trunc('hour', now()) - make_interval(hours => :hours - 1), now(), '1 hour') AS t ORDER BY t));
CREATE TEMP TABLE load ON COMMIT DROP AS
	SELECT m.*, s.resolution, s.t, s.ago, s.length, m.workers * m.pool_size AS base, m.workers * (m.pool_size + m.max_overflow) AS ceiling,
		greatest(0, 0.5 - 0.5 * cos(2 * pi() * (extract(epoch FROM s.t) / 3600 + 3 * m.i) / 24)) AS day,
		-- noise that is the same each time
		(hashint8((extract(epoch FROM s.t)::bigint / 60) * 1000 + m.i) & 1023) / 1023.0 AS noise
	FROM made AS m CROSS JOIN (
		SELECT interval '1 min' AS resolution, t, now() - t AS ago, 60 AS length
		FROM generate_series(date_trunc('minute', now()) - make_interval(mins => :minutes - 1), now(), '1 min') AS t
		UNION ALL
		SELECT interval '1 hour', t, now() - t, 3600
		FROM generate_series(date_trunc('hour', now()) - make_interval(hours => :hours - 1), now(), '1 hour') AS t) AS s;
CREATE TEMP TABLE past ON COMMIT DROP AS
	SELECT l.*, l.i = 1 AND l.ago BETWEEN '9 hours' AND '10 hours' AS is_over,
		l.i = 1 AND l.ago BETWEEN '8 hours 40 min' AND '9 hours' AS is_full,
		l.ceiling * (0.03 + 0.45 * l.day + 0.12 * l.noise) * CASE WHEN l.noise > 0.985 THEN 1.6 ELSE 1 END AS busy
	FROM load AS l
	-- not the oldest, which may go while this is laid
	WHERE CASE l.resolution WHEN '1 hour' THEN l.ago < make_interval(hours => :hours - 1)
		ELSE l.ago < make_interval(mins => :minutes - 5) AND l.ago NOT BETWEEN '14 hours' AND '14 hours 50 min' END;
SELECT count(replay_stretch(p.pool, p.resolution, p.t, p.length,
	greatest(p.base, least(c.connections, p.ceiling * 1.25)), ceil(greatest(p.base, c.connections) + p.noise * 3)::int,
	least(p.busy, c.connections), ceil(least(p.busy * 1.4, c.connections))::int,
	(p.length / 60 * (1 + 4 * p.noise))::int, (p.length / 60 * (1 + 4 * p.noise))::int,
	CASE WHEN p.is_over THEN (p.noise * 4)::int ELSE 0 END, CASE WHEN p.noise > 0.7 THEN 1 ELSE 0 END,
	(p.length * p.busy * 20)::int,
	CASE WHEN c.connections > p.base THEN p.length ELSE 0 END, CASE WHEN p.is_full THEN p.length ELSE 0 END,
	CASE WHEN p.is_over THEN p.length ELSE 0 END))
FROM past AS p CROSS JOIN LATERAL (SELECT CASE WHEN p.is_over THEN p.ceiling * 1.25 WHEN p.is_full THEN p.ceiling
	ELSE least(p.ceiling, greatest(p.base, p.busy * 1.25)) END AS connections) AS c;
SELECT count(replay_stretch('(server)', s.resolution, s.t, s.length, s.connections, s.most, s.busy, s.most_busy, 100, 100, s.refused, 3,
	s.transactions, 0, 0, 0))
FROM (SELECT p.resolution, p.t, max(p.length) AS length, sum(greatest(p.base, p.busy * 1.25)) + 5 AS connections,
		ceil(sum(greatest(p.base, p.busy * 1.25)) + 9)::int AS most, sum(p.busy) AS busy, ceil(sum(p.busy) * 1.2)::int AS most_busy,
		max(CASE WHEN p.is_over THEN (p.noise * 4)::int ELSE 0 END) AS refused,
		sum(p.length * p.busy * 20)::int AS transactions
	FROM past AS p GROUP BY p.resolution, p.t) AS s;
SELECT count(replay_stretch('(undeclared)', p.resolution, p.t, p.length, 3 + 2 * p.noise, (5 + 3 * p.noise)::int, 1, 2, 3, 3, 0, 0,
	60, 0, 0, 0))
FROM past AS p WHERE p.i = 1;
SELECT count(replay_holds(m.pool, (1000 * exp(4 * (j / 200.0) ^ 2 * (1 + m.i % 3)))::bigint, 10))
FROM made AS m, generate_series(1, 200) AS j;
COMMIT;
