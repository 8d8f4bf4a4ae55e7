-- What pool_monitor.pools accepts, what it computes, what it refuses and how
-- it says so. Runs against any server: whether declarations take effect is
-- shown in test/t/002_declarations.pl.
SET client_min_messages = error;
CREATE EXTENSION pool_monitor;

-- the defaults
INSERT INTO pool_monitor.pools (name) VALUES ('defaults');
\x on
SELECT * FROM pool_monitor.pools;
\x off
DELETE FROM pool_monitor.pools;

-- base and ceiling; published sizes
INSERT INTO pool_monitor.pools (name, servers, workers, pool_size, max_overflow) VALUES
	('3 x (6 + 8)', 1, 3, 6, 8),
	('3 x (8 + 10)', 1, 3, 8, 10),
	('3 x (10 + 15)', 1, 3, 10, 15),
	('2 x (6 + 8)', 1, 2, 6, 8),
	('4 x (5 + 8)', 1, 4, 5, 8),
	('2 servers of 4 x (5 + 8)', 2, 4, 5, 8),
	('fixed size', 1, 2, 10, 0),
	('unbounded overflow', 1, 2, 3, -1),
	('unbounded', 1, 2, 0, 10),
	('both unbounded', 1, 1, 0, -1);
SELECT name, base, ceiling FROM pool_monitor.pools ORDER BY name COLLATE "C";
DELETE FROM pool_monitor.pools;

-- good values at the edges
INSERT INTO pool_monitor.pools (name, pool_recycle, recycle_grace, budget, application_name, client_addr) VALUES
	('never', NULL, '0', 1, NULL, '10.0.0.0/8'),
	('one second', '1 second', '1 day', 262143, '', '::1'),
	('escaped', '365 days', '1 min', NULL, 'a\\', NULL),
	('all of them', '1 day', '1 min', NULL, 'a\%\_\\b_%', '0.0.0.0/0');
SELECT count(*) FROM pool_monitor.pools;
DELETE FROM pool_monitor.pools;

-- bad values: one row after the other, and what the message says
CREATE FUNCTION pg_temp.refused(assignment text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'UPDATE pool_monitor.pools SET ' || assignment || ' WHERE name = ''kept''';
	RETURN 'accepted';
EXCEPTION WHEN check_violation OR not_null_violation OR unique_violation
	OR invalid_text_representation OR numeric_value_out_of_range THEN
	RETURN regexp_replace(SQLERRM, '^.*violates check constraint ', '');
END $$;

INSERT INTO pool_monitor.pools (name) VALUES ('kept');
SELECT assignment, pg_temp.refused(assignment) FROM unnest(ARRAY[
	$$ name = '' $$,
	$$ name = NULL $$,
	$$ name = repeat('x', 64) $$,
	$$ name = E'two\nlines' $$,
	$$ name = '(other)' $$,
	$$ name = 'web": it is over' $$,
	$$ name = 'web\' $$,
	$$ priority = -1 $$,
	$$ application_name = 'ems\' $$,
	$$ application_name = '\' $$,
	$$ application_name = 'ems\\\' $$,
	$$ application_name = E'ems\x01' $$,
	$$ application_name = repeat('x', 256) $$,
	$$ datname = 'main\' $$,
	$$ datname = repeat('x', 256) $$,
	$$ usename = 'app\' $$,
	$$ client_addr = '10.0.0.1/8' $$,
	$$ client_addr = 'not an address' $$,
	$$ servers = 0 $$,
	$$ servers = 10001 $$,
	$$ workers = 0 $$,
	$$ workers = NULL $$,
	$$ pool_size = -1 $$,
	$$ pool_size = 100001 $$,
	$$ pool_size = 3000000000 $$,
	$$ max_overflow = -2 $$,
	$$ surge = -1 $$,
	$$ surge = 1001 $$,
	$$ surge = NULL $$,
	$$ servers = 10000, workers = 10000, pool_size = 100000 $$,
	$$ servers = 10000, workers = 10, pool_size = 2, max_overflow = 100000 $$,
	$$ pool_timeout = '-1 s' $$,
	$$ pool_recycle = '0' $$,
	$$ pool_recycle = '-1 h' $$,
	$$ pool_recycle = '366 days' $$,
	$$ idle_limit = '-1 s' $$,
	$$ idle_limit = NULL $$,
	$$ leak_threshold = '0' $$,
	$$ budget = 0 $$,
	$$ budget = -1 $$,
	$$ recycle_mode = 'kill' $$,
	$$ recycle_mode = NULL $$,
	$$ recycle_grace = '-1 s' $$,
	$$ guard = 'on' $$,
	$$ guard = NULL $$,
	$$ guard = 'enforce' $$,
	$$ guard = 'report', budget = 4 $$,
	$$ guard = 'report', reserved = 16 $$,
	$$ reserved = -1 $$,
	$$ connect_rate = 0 $$,
	$$ connect_burst = 0 $$
]) AS assignment;

-- two pools with one name
INSERT INTO pool_monitor.pools (name) VALUES ('kept');

-- nothing of all that stuck
SELECT name, application_name, servers, workers, pool_size, max_overflow FROM pool_monitor.pools;

-- the generated columns are not for writing
UPDATE pool_monitor.pools SET base = 1;

DROP EXTENSION pool_monitor;
