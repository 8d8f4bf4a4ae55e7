# A past that is known stretch by stretch: the table "past", laid into the rings of minutes
# and hours by a library of the tests (test/modules). The worker looks once a minute, so it
# adds next to nothing to the last of them.
package PoolMonitorPast;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query insert_pool);

our @EXPORT = qw(query past_server lay_out @spans);

# A minute and an hour in which many things differ from pool to pool: "rare" has nothing in
# two of three stretches, "blind" was never seen, "idle" has nothing at all, "slow" has long
# transactions, "gone" is no longer declared when it is asked about. Of the others see
# lay_out().
my @more  = map { "more_$_" } qw(seen connects disconnects refused retired transactions);
my @pools = ('full', 'rare', 'blind', 'idle', 'slow', 'gone', @more);

sub past_server
{
	my ($name) = @_;
	my $node = new_server($name,
		"timezone = 'UTC'\npool_monitor.history_minutes = 1500\npool_monitor.history_hours = 48\n");
	create_replay($node);
	declare($node, join '', map { insert_pool($_) } @pools);
	wait_for(
		$node,
		"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool NOT LIKE '(%'",
		'each pool has a history',
		scalar @pools
	);
	$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
	$node->reload;
	declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'gone'");
	query($node, <<'EOS');
CREATE TABLE past (pool text, resolution interval, bucket_start timestamptz, seen float8, connections float8, max_connections int,
	busy float8, max_busy int, connects int, disconnects int, refused int, retired int, transactions int,
	overflow float8, exhausted float8, over float8);
CREATE TABLE mark (name text, at timestamptz);
CREATE FUNCTION mark(name text) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT m.at FROM mark AS m WHERE m.name = $1';
EOS
	return $node;
}

# The minutes from this moment until now, but for a quarter of an hour without the worker,
# and the hours from that one on. Where an hour has had minutes that are no longer there,
# "full" has more in it than they have, the pools "more_" in one number only; the others
# have as much as these minutes, and "gone" less.
sub lay_out
{
	my ($node, $minutes_from, $hours_from) = @_;
	my $names = join ', ', map { "('$_')" } @pools, '(server)', '(undeclared)';
	my $more  = join ', ',
	  map { "$_ = s.$_ + (p.pool = 'more_$_')::int" }
	  qw(seen connects disconnects refused retired transactions);
	query($node, <<"EOS");
BEGIN;
SELECT setseed(0.5);
DELETE FROM past;
DELETE FROM mark;
INSERT INTO mark VALUES ('now', date_trunc('minute', now())), ('oldest', $minutes_from),
	('hour', date_trunc('hour', $minutes_from)), ('first', $hours_from);
SELECT replay_rings(
	ARRAY(SELECT t FROM generate_series(mark('oldest'), mark('now'), '1 min') AS t
		WHERE t NOT BETWEEN mark('oldest') + interval '20 min' AND mark('oldest') + interval '34 min'),
	ARRAY(SELECT t FROM generate_series(mark('first'), mark('now'), '1 hour') AS t));
INSERT INTO past
SELECT p.pool, r.resolution, r.t, CASE WHEN p.pool <> 'blind' THEN ceil(extract(epoch FROM r.resolution) * random()) ELSE 0 END,
	10 * random(), 20 * random(), 5 * random(), 30 * random() * random(),
	9 * random(), 9 * random(), 3 * random(), 3 * random(), CASE WHEN p.pool = 'slow' THEN random() ELSE 200 * random() END, round(5 * random()::numeric, 3), round(5 * random()::numeric, 3), round(5 * random()::numeric, 3)
FROM (VALUES $names) AS p(pool),
	(SELECT interval '1 min', t FROM generate_series(mark('oldest'), mark('now') - interval '1 min', '1 min') AS t
		WHERE t NOT BETWEEN mark('oldest') + interval '20 min' AND mark('oldest') + interval '34 min'
	UNION ALL SELECT interval '1 hour', t FROM generate_series(mark('first'), mark('now') - interval '1 hour', '1 hour') AS t) AS r(resolution, t)
WHERE p.pool <> 'idle' AND (p.pool <> 'rare' OR (extract(epoch FROM r.t) / extract(epoch FROM r.resolution))::bigint % 3 = 0);
UPDATE past SET connections = 0, busy = 0 WHERE seen = 0;
UPDATE past AS p SET max_busy = 40, $more
FROM (SELECT m.pool, sum(seen) AS seen, sum(connects) AS connects, sum(disconnects) AS disconnects,
		sum(refused) AS refused, sum(retired) AS retired, sum(transactions) AS transactions
	FROM past AS m WHERE m.resolution = '1 min' AND date_trunc('hour', m.bucket_start) = mark('hour') GROUP BY m.pool) AS s
WHERE p.pool = s.pool AND p.resolution = '1 hour' AND p.bucket_start = mark('hour') AND p.pool <> 'full';
UPDATE past SET seen = 1, connects = 0, disconnects = 0, refused = 0, retired = 0, transactions = 0
WHERE pool = 'gone' AND resolution = '1 hour' AND bucket_start = mark('hour');
UPDATE past SET seen = 3600, connects = 1000 WHERE pool = 'full' AND resolution = '1 hour' AND bucket_start = mark('hour');
SELECT count(replay_stretch(p.pool, p.resolution, p.bucket_start, p.seen, p.connections, p.max_connections, p.busy, p.max_busy,
	p.connects, p.disconnects, p.refused, p.retired, p.transactions, p.overflow, p.exhausted, p.over)) FROM past AS p;
COMMIT;
EOS
	return;
}

# From and until, around each place where something begins: by the marks of lay_out().
our @spans = (
	["mark('now') - interval '1 hour'",          "mark('now')"],
	["mark('oldest')",                           "mark('now')"],
	["mark('oldest') + interval '1 us'",         "mark('now')"],
	["mark('oldest') - interval '1 us'",         "mark('now')"],
	["mark('oldest') + interval '10 min'",       "mark('oldest') + interval '20 min'"],
	["mark('oldest') + interval '10 min'",       "mark('oldest') + interval '19 min 1 us'"],
	["mark('oldest') + interval '25 min'",       "mark('oldest') + interval '30 min'"],
	["mark('hour')",                             "mark('now')"],
	["mark('hour') + interval '1 us'",           "mark('now')"],
	["mark('hour') - interval '5 hours'",        "mark('now')"],
	["mark('hour') - interval '5 hours 1 us'",   "mark('hour')"],
	["mark('hour') - interval '4 hours 59 min'", "mark('hour') + interval '1 us'"],
	["mark('hour') - interval '5 hours'",        "mark('oldest')"],
	["mark('hour') - interval '5 hours'",        "mark('hour') + interval '30 min'"],
	["mark('hour') - interval '5 hours'",        "mark('hour') + interval '1 hour'"],
	["'-infinity'",                              "mark('now')"],
	["mark('first') - interval '1 year'",        "mark('first') + interval '1 us'"],
	["mark('first') - interval '1 year'",        "mark('first')"],
	["mark('now')",                              "mark('oldest')"],
	["'infinity'",                               "'-infinity'"]
);

1;
