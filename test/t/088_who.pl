# who() and changes(): a moment that has passed, with applications that nobody declared,
# from what real clients did, also after a restart; which of them have a history of their
# own; and two spans of a past that is known to the digit. Only TAP has clients, restarts,
# and the library that makes up a past.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder insert_pool);
use PoolMonitorStatfile;
use PostgreSQL::Test::Utils;
use Test::More;

my $node =
  new_server('who', "max_connections = 40\npool_monitor.save_interval = 1h\ntimezone = 'UTC'\n");
create_replay($node);
query($node, 'CREATE ROLE nobody LOGIN');
declare($node, insert_pool('web', pool_size => 4));
my $began = query($node, 'SELECT clock_timestamp()');

my $web  = holder($node, 'web',  sessions => 4);
my $java = holder($node, 'java', sessions => 10);
my $none = holder($node, '',     sessions => 2);
$java->do("sql $_ BEGIN") foreach 0 .. 2;
$web->do("sql 0 $_") foreach 'BEGIN', 'SELECT pg_advisory_xact_lock(1)';
my $waiter = IPC::Run::start(
	[
		'psql', '-X',
		'-d',   $node->connstr('postgres') . ' application_name=web',
		'-c',   'SELECT pg_advisory_xact_lock(1)'
	],
	'>',
	\my $out,
	'2>',
	\my $err
);

# What goes on is seen for long enough, then the server is full.
my $who = "FROM pool_monitor.who('$began', now() - '$began')";
wait_for(
	$node,
	qq{SELECT max(busy) FILTER (WHERE pool = 'web') > 1 AND max(waited_for) FILTER (WHERE pool = 'web') LIKE '%lock%' $who},
	'a wait for a lock is seen'
);

my $filler;

# One newcomer a tick gets a history, the largest: here three come within one.
subtest 'who was refused is known, also when others were the first to be followed' => sub {
	$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 1min\n");
	$node->reload;
	wait_for($node, 'SHOW pool_monitor.sample_interval', 'the next tick can wait', '1min');
	$filler = holder($node, 'filler', sessions => 20);
	foreach my $name ('late', 'later', 'late', 'late')
	{
		my ($rc) = $node->psql('postgres', 'SELECT 1',
			connstr => $node->connstr('postgres') . " application_name=$name user=nobody");
		isnt($rc, 0, 'the server is full');
	}
	$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 1s\n");
	$node->reload;
	query($node, 'SELECT 1');
	wait_for(
		$node,
		"SELECT string_agg(application_name || ' ' || refused, ', ' ORDER BY application_name) $who WHERE application_name IN ('filler', 'late', 'later')",
		'who was refused, also when others were the first to be followed',
		'filler 0, late 3, later 1'
	);
};

subtest 'applications that nobody declared are there by name' => sub {
	my $user = query($node, 'SELECT current_user');
	is(
		query(
			$node,
			"SELECT pool, application_name, datname, usename, max_connections $who WHERE application_name = 'java'"
		),
		"|java|postgres|$user|10",
		'an application that nobody declared, by name'
	);
	is(query($node, "SELECT max_connections $who WHERE application_name = ''"),
		'2', 'one without a name');
	is(
		query(
			$node,
			"SELECT application_name, usename, coalesce(max_connections, 0), refused $who WHERE refused > 1 AND application_name IS NOT NULL"
		),
		'late|nobody|0|3',
		'one that only was refused'
	);
};

subtest 'the whole server comes first' => sub {
	is(query($node, "SELECT max_connections, refused $who WHERE pool = '(server)'"),
		'38|4', 'all together, and the superuser who looks')
	  or diag query($node, "SELECT * $who");
	is(query($node, "SELECT pool $who LIMIT 1"), '(server)', 'the most first');
};

subtest 'waited_for has what they waited for' => sub {
	like(
		query($node, "SELECT waited_for $who WHERE application_name = 'java'"),
		qr/^client (9\d|100) %/,
		'idle in transaction: the client'
	);
	like(
		query($node, "SELECT waited_for $who WHERE pool = 'web'"),
		qr/\block \d+ %/,
		'and for a lock'
	);
};

subtest 'each has its share, and the parts make up the whole' => sub {
	is(
		query(
			$node,
			"SELECT bool_and(abs(w.percent_of_usable - 100 * w.connections / 37) < 0.5) FROM (SELECT * $who) AS w"
		),
		't',
		'the share of the slots'
	);
	is(
		query(
			$node,
			"SELECT abs(sum(connections) FILTER (WHERE pool IS DISTINCT FROM '(server)') - max(connections) FILTER (WHERE pool = '(server)')) < 1.5 $who"
		),
		't',
		'the parts make up the whole'
	);
};

subtest 'long ago there was nobody' => sub {
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.who('$began'::timestamptz - interval '10 years')"
		),
		'0',
		'long ago: nobody'
	);
};

$java->do('sql 0 COMMIT');
$filler->close;
$_->close foreach $web, $java, $none;
$waiter->finish;
wait_for($node, q{SELECT connections FROM pool_monitor.server}, 'all have gone', '1');

subtest 'a restart keeps what is known of undeclared applications' => sub {
	my $before = query($node,
		"SELECT application_name, max_connections, refused $who WHERE application_name IN ('java', 'late', '') ORDER BY 1"
	);
	$node->restart;
	wait_for($node, "SELECT count(*) > 0 $who", 'it is back');
	is(
		query(
			$node,
			"SELECT application_name, max_connections, refused $who WHERE application_name IN ('java', 'late', '') ORDER BY 1"
		),
		$before,
		'and knows of them'
	);
};

$node->append_conf('postgresql.conf', "max_connections = 100\n");
$node->restart;
my $many = holder($node, 'first', sessions => 70);
$many->do("sql $_ SET application_name = 'pair" . int($_ / 2) . "'") foreach 0 .. 59;
$many->do("sql $_ SET application_name = 'trio'") foreach 60 .. 62;
$began = query($node, 'SELECT clock_timestamp()');
$who   = "FROM pool_monitor.who('$began', now() - '$began')";

subtest 'of 24 places no large one is lost to small ones' => sub {
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.holders() WHERE application_name IS NOT NULL",
		'all places are taken', '24'
	);
	wait_for(
		$node,
		"SELECT max_connections $who WHERE application_name = 'trio'",
		'a larger one has a place', '3'
	);
	is(
		query(
			$node,
			"SELECT string_agg(application_name || max_connections, ' ' ORDER BY application_name) FROM pool_monitor.holders() WHERE application_name IN ('java', 'filler')"
		),
		'filler20 java10',
		'the large ones of before have theirs'
	);
	is(
		query(
			$node,
			"SELECT (count(*) FILTER (WHERE application_name LIKE 'pair%')) BETWEEN 1 AND 23, bool_or(pool = '(undeclared)' AND connections > 1) $who"
		),
		't|t',
		'the rest is in one row'
	);
};

$many->close;

# In its file, all of this was twenty days ago.
subtest 'a restart makes nothing heavy again that has faded since' => sub {
	$node->stop;
	my $past = parsed(contents(file_of($node)));
	each_row($past, 'start', sub { $_[0]{start} -= 20 * 86400 * 1_000_000 });
	put_contents(file_of($node), built($past));
	$node->start;
	wait_for(
		$node,
		"SELECT max(max_connections) FROM pool_monitor.holders() WHERE application_name = 'filler'",
		'large, long ago',
		'20'
	);
	$many = holder($node, 'pair0', sessions => 60);
	$many->do("sql $_ SET application_name = 'pair" . int($_ / 2) . "'") foreach 2 .. 59;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.holders() WHERE application_name IN ('filler', 'java')",
		'makes room for those of now',
		'0'
	);
	$many->close;
};

# Two spans of one past.
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;
query($node, <<'EOS');
SELECT replay_rings(ARRAY(SELECT date_trunc('minute', now()) - m * interval '1 min' FROM generate_series(119, 0, -1) AS m),
	ARRAY(SELECT date_trunc('hour', now()) - h * interval '1 hour' FROM generate_series(5, 0, -1) AS h));
SELECT replay_stretch(p.pool, '1 min', date_trunc('minute', now()) - m * interval '1 min', 60, p.connections, p.connections::int,
	p.busy, p.busy::int, p.connects, 0, p.refused, 0, p.transactions, 0, p.exhausted, 0)
FROM generate_series(100, 1, -1) AS m, LATERAL (VALUES
	('(server)', 20, CASE WHEN m > 50 THEN 2 ELSE 9 END, 0, 0, 60, 0),
	('web', 4, CASE WHEN m > 50 THEN 1 ELSE 3.6 END, 1, 0, CASE WHEN m > 50 THEN 600 ELSE 1080 END, CASE WHEN m > 50 THEN 0 ELSE 30 END)
	) AS p(pool, connections, busy, connects, refused, transactions, exhausted);
EOS
my $spans =
  q{tstzrange(now() - interval '95 min', now() - interval '55 min'), tstzrange(now() - interval '45 min', now() - interval '5 min')};

subtest 'changes() between two spans, the largest effect first' => sub {
	is(
		query(
			$node,
			"SELECT what, before::float8, after::float8, effect::float8 FROM pool_monitor.changes($spans) WHERE pool = 'web'"
		),
		join("\n",
			'exhausted_share|0|0.5|2', 'hold_time|0.1|0.2|1.8',
			'transactions_per_second|10|18|0.8'),
		'what changed, the largest effect first; the two parts of busy make up 2.6'
	);
	is(
		query(
			$node,
			"SELECT bool_and(abs(effect) <= lag) FROM (SELECT abs(effect) AS effect, lag(abs(effect)) OVER () AS lag FROM pool_monitor.changes($spans)) AS c"
		),
		't',
		'of all of them'
	);
	is(
		query(
			$node,
			"SELECT string_agg(what || effect, ' ') FROM pool_monitor.changes("
			  . join(', ', reverse split /, (?=tstz)/, $spans)
			  . ") WHERE pool = 'web'"
		),
		'exhausted_share-2.00 transactions_per_second-1.60 hold_time-1.00',
		'the other way round'
	);
};

subtest 'a pool that is stuck has changed, too' => sub {
	query($node, <<'EOS');
SELECT count(replay_stretch('web', '1 min', date_trunc('minute', now()) - m * interval '1 min', 60, 4, 4, 3.6, 4, 0, 0, 0, 0, 0, 0, 0, 0))
FROM generate_series(50, 1, -1) AS m;
EOS
	is(
		query(
			$node,
			"SELECT what, before::float8, after::float8, effect::float8 FROM pool_monitor.changes($spans) WHERE pool = 'web'"
		),
		join("\n", 'hold_time|0.1||3.6', 'busy|1|3.6|2.6', 'transactions_per_second|10|0|-1'),
		'a pool that is stuck: no transaction ends'
	);
};

# Of three hours ago there are hours, 7 connections in one and 3 in the next.
subtest 'the hour in which a span begins is in it' => sub {
	query($node, <<'EOS');
SELECT count(replay_stretch('(server)', '1 hour', date_trunc('hour', now()) - h * interval '1 hour', 3600, c, c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
FROM (VALUES (4, 7), (3, 3)) AS v(h, c);
EOS
	is(
		query(
			$node,
			"SELECT max_connections FROM pool_monitor.who(date_trunc('hour', now()) - interval '3 h 15 min', '30 min') WHERE pool = '(server)'"
		),
		7,
		'the hour in which a span begins is in it, also where another one begins in it'
	);
};

subtest 'nothing has changed where nobody was watching' => sub {
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.changes(tstzrange(now() - interval '9 years', now() - interval '8 years'), tstzrange(now() - interval '1 h', NULL))"
		),
		'0',
		'nothing, where nobody was watching'
	);
};

subtest 'where minutes are gone there is the hour' => sub {
	is(
		query(
			$node,
			q{SELECT count(*) FROM pool_monitor.who(date_trunc('hour', now()) - interval '275 min')}
		),
		'0',
		'an hour in which nothing is known'
	);
	query($node,
		q{SELECT replay_stretch('web', '1 hour', date_trunc('hour', now()) - interval '5 hours', 3600, 3, 4, 1, 2, 0, 0, 0, 0, 60, 0, 0, 0)}
	);
	is(
		query(
			$node,
			q{SELECT pool, connections, max_connections, busy FROM pool_monitor.who(date_trunc('hour', now()) - interval '275 min') WHERE pool = 'web'}
		),
		'web|3.0|4|1.0',
		'the hour, where the minute is no longer kept'
	);
};

done_testing();
