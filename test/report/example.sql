-- The document behind the pictures in docs/: a made-up day of four pools (past.sql), with
-- events, ends, clients' reports, memory and sessions of this moment that go with it. Prints it.
SET timezone = 'UTC';
CREATE FUNCTION pg_temp.event(seq int, ago interval, pool text, event text, detail jsonb, times int DEFAULT 1) RETURNS jsonb
	LANGUAGE sql AS $$ SELECT jsonb_build_object('seq', $1, 'at', date_trunc('second', now() - $2) + $1 * interval '7 s', 'pool', $3,
		'application_name', NULL, 'datname', NULL, 'usename', NULL, 'event', $4, 'pid', NULL, 'detail', $5, 'times', $6) $$;
CREATE FUNCTION pg_temp.example(data jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	held jsonb := '[{"pool": "reports", "connections": 27, "busy": 3.1},
		{"application": "psql", "usename": "ana", "connections": 9, "busy": 0.2}]';
	told jsonb := jsonb_build_array(
		pg_temp.event(1, '23 h 40 min', NULL, 'declarations_loaded', '{"declared": 4, "in_force": 4}'),
		pg_temp.event(2, '14 h 51 min', NULL, 'started', '{"version": "1.0"}'),
		pg_temp.event(3, '10 h', 'web', 'over_budget', '{"connections": 24, "budget": 21}'),
		pg_temp.event(4, '9 h 57 min', 'web', 'storm', '{"connects": 61, "seconds": 10, "connects_per_second": 6.1, "normal": 0.1}'),
		pg_temp.event(5, '9 h 41 min', NULL, 'server_full', jsonb_build_object('connections', 112, 'usable', 112, 'budget', 90,
			'authenticating', 2, 'holders', held)),
		pg_temp.event(6, '9 h 41 min', 'api', 'starved', '{"connections": 17, "budget": 36}'),
		pg_temp.event(7, '9 h 40 min', 'api', 'refused', '{"refused": 1}'),
		pg_temp.event(8, '9 h 33 min', 'api', 'no_longer_starved',
			'{"connections": 25, "budget": 36, "seconds": 462.0, "share": 0.91}'),
		pg_temp.event(9, '9 h 31 min', NULL, 'server_no_longer_full',
			'{"connections": 101, "usable": 112, "seconds": 601.3, "share": 0.83}'),
		pg_temp.event(10, '9 h', 'web', 'back_in_budget', '{"connections": 21, "budget": 21, "seconds": 3598.0, "share": 1}'),
		pg_temp.event(11, '9 h', 'web', 'exhausted', '{"busy": 21, "ceiling": 21}'),
		pg_temp.event(12, '8 h 40 min', 'web', 'no_longer_exhausted',
			'{"connections": 20, "budget": 21, "seconds": 1201.4, "share": 0.97}'),
		pg_temp.event(13, '4 h 12 min', 'jobs', 'leak_suspect',
			'{"application_name": "jobs-2", "xact_age": 301.2, "state": "idle in transaction"}'),
		pg_temp.event(14, '2 h', 'web', 'auth_failures',
			'{"auth_failures": 5, "usename": "shop", "datname": "shop", "client_addr": "10.1.2.3"}', 3));
	pools jsonb := '[]';
	pool jsonb;
	share float8;
	n int;
BEGIN
	FOR pool IN SELECT p FROM jsonb_array_elements(data -> 'pools') WITH ORDINALITY AS a(p, i) ORDER BY p ->> 'pool' <> 'api', i LOOP
		n := (pool #>> '{declared,base}')::int;
		share := CASE pool ->> 'pool' WHEN 'api' THEN 462 / 83100.0 ELSE 0 END;
		pool := jsonb_set(pool, '{now}', pool -> 'now' || jsonb_build_object('connections', n + 2, 'active', 4, 'idle', n - 4,
			'busy', 6, 'status', 'overflow', 'stale', 1));
		pool := jsonb_set(pool, '{memory}', jsonb_build_object('idle', n - 4, 'bytes', (n - 4) * 3700000));
		pool := jsonb_set(pool, '{span}', pool -> 'span' || jsonb_build_object('starved_share', share,
			'refused', CASE pool ->> 'pool' WHEN 'api' THEN 57 ELSE 0 END, 'checkouts', 170000, 'checkout_waits', 1210,
			'waited_seconds', 311.5, 'checkout_timeouts', CASE pool ->> 'pool' WHEN 'web' THEN 12 ELSE 0 END));
		pool := jsonb_set(pool, '{counted}', pool -> 'counted' || jsonb_build_object('ended_client', 2900, 'ended_abandoned', 31,
			'ended_fatal', 4, 'ended_timeout', 60, 'ended_killed', 2, 'retired', 410, 'retired_late', 12, 'declined', 9,
			'declined_reasons', '{"used just now": 7, "temporary schema": 2}'::jsonb,
			'lifetime_p50', '00:11:00', 'lifetime_p95', '00:28:00', 'lifetime_max', '02:10:00',
			'setup_p50', '00:00:00.0041', 'setup_p95', '00:00:00.019', 'setup_p99', '00:00:00.06', 'setup_max', '00:00:00.41'));
		pool := jsonb_set(pool, '{lifetimes}', jsonb_set(pool -> 'lifetimes', '{count}', '3416')
			|| '{"up_to": [4, 31, 210, 800, 1960, 3290, 3390, 3416, 3416]}');
		pool := jsonb_set(pool, '{setups}', jsonb_set(pool -> 'setups', '{count}', '3416')
			|| '{"up_to": [0, 420, 2210, 2900, 3310, 3370, 3401, 3416, 3416]}');
		IF pool ->> 'pool' = 'api' THEN
			pool := jsonb_set(pool, '{curve,status}', (
				SELECT jsonb_agg(CASE WHEN i BETWEEN 172 AND 173 THEN '"starved"'::jsonb ELSE s END ORDER BY i)
				FROM jsonb_array_elements(pool #> '{curve,status}') WITH ORDINALITY AS a(s, i)));
		END IF;
		pools := pools || jsonb_build_array(pool);
	END LOOP;
	RETURN data || jsonb_build_object('pools', pools,
		'report', data -> 'report' || '{"cluster_name": "shop-db1"}',
		'server', data -> 'server' || '{"status": "overcommitted", "connections": 66, "undeclared": 9, "peak_connections": 112}'
			|| jsonb_build_object('span', data #> '{server,span}' || '{"refused": 57}'),
		'events', jsonb_build_object('last', told,
			'counts', (SELECT jsonb_agg(jsonb_build_object('event', e -> 'event', 'pool', e -> 'pool', 'times', e -> 'times'))
				FROM jsonb_array_elements(told) AS e) || '[{"event": "retired", "pool": "web", "times": 410}]',
			'starved', jsonb_build_array(jsonb_build_object('at', told #> '{5,at}', 'pool', 'api', 'detail', told #> '{5,detail}',
				'ended_at', told #> '{7,at}', 'ended', told #> '{7,detail}', 'holders', held))));
END $$;
SELECT pg_temp.example(pool_monitor.report_data(now() - interval '1 day', now()));
