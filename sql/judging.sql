-- What advice and checklist go by, without a past: runs against any server, as a superuser.
SET client_min_messages = error;
CREATE EXTENSION pool_monitor;

-- a day is one only when it was seen
SELECT pool_monitor.watched(w.seen, w.span)
FROM (VALUES (NULL::interval, 'day'), ('31 min 12.3 s', 'day'), ('22:59:59', 'day'), ('23:00:00', 'day'), ('00:54:59', 'hour'),
	('00:55:00', 'hour')) AS w(seen, span);

-- all is 100 %, nothing is 0 %, and nothing else is
SELECT share, pool_monitor.percent(share), pool_monitor.percent(share, 0) AS rounded
FROM unnest(ARRAY[0, 1e-9, 0.00004, 0.0004, 0.0049, 0.00999, 0.099999, 0.1, 0.994, 0.996, 1 - 1e-12, 1, 1 + 1e-12, 1.004,
	1.31, 9.99, 9.996, 10]::float8[]) AS s(share);

-- ceiling 10 of two processes: one more of each may be a successor, that stays for less than 10 s; with a budget of its
-- own the time above the ceiling is not known
SELECT a.most, a.budget, a.seconds, pool_monitor.above_ceiling(a.most, 10, 2, a.budget, a.seconds / 3600.0, interval '1 hour') AS above
FROM (VALUES (10, 10, 0), (11, 10, 9.9), (11, 10, 10), (12, 10, 0), (13, 10, 0), (12, 20, 100), (13, 20, 0)) AS a(most, budget, seconds);
SELECT pool_monitor.above_ceiling(20, NULL, 2, NULL, 1, interval '1 hour') AS without_ceiling;

-- idle_for or xact_age ago it was last used
SELECT pool_monitor.used_late(u.age, u.idle, u.xact, interval '10 min') AS used_late
FROM (VALUES (interval '16 min', interval '0.5 min', NULL::interval), ('16 min', '1 min', NULL), ('16 min', NULL, '0.5 min'),
	('16 min', NULL, '2 min'), ('16 min', NULL, NULL)) AS u(age, idle, xact);
SELECT pool_monitor.used_late('16 min', '0', NULL, NULL) AS never_recycled;
SELECT r.retired, r.late, pool_monitor.recycles_late(r.retired, r.late)
FROM (VALUES (0, 0), (2, 2), (3, 3), (30, 3), (31, 3)) AS r(retired, late);
SELECT pool_monitor.names_of(NULL) AS none, pool_monitor.names_of('{a,b}') AS two, pool_monitor.names_of('{a,b,c,d,e,f,g}') AS seven;

-- what is muted, once each; a dump has it
INSERT INTO pool_monitor.muted VALUES (NULL, 'pool_recycle', NULL, 'behind a pooler'), ('web', 'idle', now() + interval '1 day', 'a sale');
INSERT INTO pool_monitor.muted VALUES (NULL, 'pool_recycle', NULL, 'again');
INSERT INTO pool_monitor.muted VALUES ('web', 'overflow', NULL, NULL);
SELECT pool, topic, until > now() AS still, why FROM pool_monitor.muted ORDER BY topic;
-- of a topic that there is: of each that advice says it has
INSERT INTO pool_monitor.muted VALUES (NULL, 'storms', NULL, 'not its name');
INSERT INTO pool_monitor.muted SELECT 'any', t.topic, NULL, 'one of each'
FROM pg_attribute AS a, regexp_split_to_table(split_part(col_description(a.attrelid, a.attnum), ';', 1), ', ') AS t(topic)
WHERE a.attrelid = 'pool_monitor.advice'::regclass AND a.attname = 'topic';
SELECT count(*) AS of_advice, (SELECT count(*) FROM pg_constraint AS c, regexp_matches(pg_get_constraintdef(c.oid), '''[a-z_]+''', 'g')
	WHERE c.conname = 'topic must be one of those of advice') AS accepted FROM pool_monitor.muted WHERE pool = 'any';
SELECT c.oid::regclass FROM pg_extension AS e, unnest(e.extconfig) AS c(oid) WHERE e.extname = 'pool_monitor'
ORDER BY c.oid::regclass::text COLLATE "C";

-- its own defaults pass its own checks
INSERT INTO pool_monitor.pools (name) VALUES ('defaults');
SELECT pool_recycle <= interval '30 minutes' AS recycle, pre_ping, NOT echo_pool AS echo FROM pool_monitor.pools;
SELECT preset FROM pool_monitor.presets WHERE pool_recycle > interval '30 minutes' OR NOT pre_ping;

DROP EXTENSION pool_monitor;
