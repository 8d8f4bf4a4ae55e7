-- When sessions may be retired on schedule: the arithmetic. Runs against any
-- server, as a superuser.
SET client_min_messages = error;
CREATE EXTENSION pool_monitor;
SET timezone = 'UTC';

-- a window is from its begin to before its end, in local time
SELECT w.recycle_window, t.at, pool_monitor.in_window(w.recycle_window, t.at)
FROM (VALUES ('09:00-17:30 UTC'), ('22:00-06:00 UTC'), ('00:00-24:00 UTC'), ('23:59-00:00 UTC')) AS w(recycle_window),
	(VALUES ('2026-06-01 00:00:00'::timestamptz), ('2026-06-01 05:59:59.999'), ('2026-06-01 06:00:00'), ('2026-06-01 08:59:59'),
		('2026-06-01 09:00:00'), ('2026-06-01 17:29:59'), ('2026-06-01 17:30:00'), ('2026-06-01 21:59:59'),
		('2026-06-01 22:00:00'), ('2026-06-01 23:59:30')) AS t(at)
ORDER BY 1, 2;

-- in another time zone, summer and winter
SELECT t.at, pool_monitor.in_window('22:00-06:00 Europe/Berlin', t.at) AS berlin,
	pool_monitor.in_window('22:00-06:00 America/New_York', t.at) AS new_york,
	pool_monitor.in_window('22:00-06:00 Asia/Kolkata', t.at) AS kolkata
FROM (VALUES ('2026-07-01 19:59:59'::timestamptz), ('2026-07-01 20:00:00'), ('2026-07-02 03:59:59'), ('2026-07-02 04:00:00'),
	('2026-01-01 20:59:59'), ('2026-01-01 21:00:00'), ('2026-01-02 04:59:59'), ('2026-01-02 05:00:00'),
	('2026-01-02 02:59:59'), ('2026-01-02 03:00:00'), ('2026-01-01 16:29:59'), ('2026-01-01 16:30:00')) AS t(at)
ORDER BY 1;

-- clocks go forward in Berlin on 2026-03-29 at 01:00 UTC: 02:00 to 03:00 is not
SELECT count(*) FILTER (WHERE pool_monitor.in_window('02:00-03:00 Europe/Berlin', at)) AS minutes_of_an_hour_that_is_not,
	count(*) FILTER (WHERE pool_monitor.in_window('01:30-03:30 Europe/Berlin', at)) AS minutes_of_two_hours
FROM generate_series('2026-03-28 22:00'::timestamptz, '2026-03-29 12:00', '1 minute') AS at;
-- and back on 2026-10-25 at 01:00 UTC: 02:00 to 03:00 is twice
SELECT count(*) FILTER (WHERE pool_monitor.in_window('02:00-03:00 Europe/Berlin', at)) AS minutes_of_an_hour_that_is_twice,
	count(*) FILTER (WHERE pool_monitor.in_window('22:00-06:00 Europe/Berlin', at)) AS minutes_of_eight_hours
FROM generate_series('2026-10-24 19:00'::timestamptz, '2026-10-25 12:00', '1 minute') AS at;

-- what is no window
SELECT w.recycle_window, pool_monitor.window_is_valid(w.recycle_window)
FROM (VALUES ('22:00-06:00 Europe/Berlin'), ('00:00-24:00 UTC'), (''), ('22:00-06:00'), ('22:00-06:00 '), ('22:00-06:00 Nowhere/Atall'),
	('24:00-06:00 UTC'), ('22:60-06:00 UTC'), ('25:00-06:00 UTC'), ('22:00-24:01 UTC'), ('06:00-06:00 UTC'), ('6:00-07:00 UTC'),
	('22:00 06:00 UTC'), ('22:00-06:00 UTC+2'), ('22:00-06:00 Europe/Berlin2'), ('22:00-06:00 Etc/GMT+2'),
	('aa:bb-cc:dd UTC'), ('22:00-06:00 ../../etc/passwd'), ('22:00-06:00 ' || repeat('x', 100))) AS w(recycle_window);
SELECT pool_monitor.in_window('06:00-07:00 UTC', 'infinity') IS NULL AS no_answer;
SELECT pool_monitor.in_window('06:00-06:00 UTC');
SELECT pool_monitor.in_window('22:00-06:00 Nowhere/Atall');
\set VERBOSITY terse
INSERT INTO pool_monitor.pools (name, recycle_window) VALUES ('a', 'at night');
\set VERBOSITY default
INSERT INTO pool_monitor.pools (name, recycle_window, shrink_idle) VALUES ('a', '22:00-06:00 Europe/Berlin', true);
SELECT name, recycle_window, shrink_idle FROM pool_monitor.pools;
-- how far apart: n of them take (n - 1) gaps
SELECT g.lifetime, g.connections, pool_monitor.retirement_gap(g.lifetime, g.connections) AS gap
FROM (VALUES (interval '1 hour', 15), ('1 hour', 42), ('30 minutes', 60), ('1 second', 1), ('1 second', 3), ('1 microsecond', 7), ('0', 5),
	('1 day', 400), ('1 month', 30), ('1 year', 1), ('13 months 1 day', 1), ('365 days', 1),
	('365 days', 2147483647)) AS g(lifetime, connections);
SELECT pool_monitor.retirement_gap('1 hour', 0);
SELECT pool_monitor.retirement_gap('1 hour', -1);
SELECT pool_monitor.retirement_gap('-1 hour', 1);
SELECT pool_monitor.retirement_gap('178000000 years', 1);
DROP EXTENSION pool_monitor;
