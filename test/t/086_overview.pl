# The view overview: what psql itself makes of it in a terminal of 100 columns, the worst
# first; and that views which people read are rounded and ordered. Only TAP has psql's
# output, and several clients in pools of their own.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('overview', "max_connections = 60\n");
my $long = 'a pool with a very long name that nobody can read anyway at all';
is(length $long, 63, 'the longest name there can be');

declare($node,
		insert_pool('fine', pool_size => 10, max_overflow => 0)
	  . insert_pool('full',      pool_size => 1, max_overflow => 1)
	  . insert_pool('above',     pool_size => 1, max_overflow => 0)
	  . insert_pool('tiny',      pool_size => 1, max_overflow => 4, budget => 1)
	  . insert_pool('unbounded', pool_size => 0)
	  . "INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('$long', 'long', 2, 4);"
);
my %count  = (fine => 2, full => 2, above => 3, tiny => 11, unbounded => 1, long => 3);
my @holder = map { PoolMonitor::Holder->new($node, application_name => $_, sessions => $count{$_}) }
  sort keys %count;
my %holder = map { $_ => shift @holder } sort keys %count;
$holder{full}->do("sql $_ BEGIN") foreach 0 .. 1;
my @undeclared =
  map { PoolMonitor::Holder->new($node, application_name => $_->[0], sessions => $_->[1]) }
  ['java', 5], ['', 4], ['node', 3], ['php', 2], ['go', 2], ['rust', 1], ['zig', 1];

subtest 'the worst come first' => sub {
	my $lines = 'SELECT pool, status, conns, budget, used, busy, idle FROM pool_monitor.overview';
	is(
		query($node, $lines),
		join("\n",
			'tiny|over|11|1|>999 %|0|11',
			'above|over|3|1|300 %|0|3',
			'full|exhausted|2|2|100 %|2|0',
			'(server)|overcommitted|41|45|91 %|3|38',
			'java|undeclared|5|||0|5',
			'(no name)|undeclared|4|||0|4',
			'node|undeclared|3|||0|3',
			'go|undeclared|2|||0|2',
			'php|undeclared|2|||0|2',
			'(others)|undeclared|3|||1|2',
			'a pool w~ at all|overflow|3|6|50 %|0|3',
			'fine|ok|2|10|20 %|0|2',
			'unbounded|ok|1|||0|1'),
		'the worst first'
	);
};

subtest 'peak and refused are of the last hour' => sub {
	is(query($node, 'SELECT count(*) FROM pool_monitor.overview WHERE peak < conns'),
		0, 'no peak is below what is there');

	# history has seen them by now, and the largest applications; and of the server one more
	# where a query's session was still there when the next one began
	wait_for(
		$node,
		q{SELECT string_agg(pool || ' ' || CASE WHEN pool = '(server)' AND peak = 42 THEN 41 ELSE peak END || ' ' || refused, ', '
			ORDER BY pool) FROM pool_monitor.overview WHERE pool IN ('tiny', 'java', '(server)')},
		'peak and refused of the last hour',
		'(server) 41 0, java 5 0, tiny 11 0'
	);
	like(
		query($node, "SELECT since FROM pool_monitor.overview WHERE pool = 'tiny'"),
		qr/^\d+ (s|min)$/,
		'since when'
	);
};

subtest 'times are said in short' => sub {
	is(
		query(
			$node,
			q{SELECT string_agg(pool_monitor.short(s::interval), ', ') FROM unnest(ARRAY['-5 s', '0', '59.9 s', '1 min', '59 min 59 s',
			'1 hour', '23:54', '1 day', '400 days', NULL]) AS s}
		),
		'0 s, 0 s, 59 s, 1 min, 59 min, 1.0 h, 23.9 h, 1 d, 400 d',
		'times in short'
	);
};

subtest 'psql prints ten columns, and no line is longer than 100' => sub {
	my $out =
	  `psql -X -h @{[$node->host]} -p @{[$node->port]} -d postgres -c 'SELECT * FROM pool_monitor.overview'`;
	my @printed = split /\n/, $out;
	cmp_ok(scalar @printed, '>=', 16, 'psql prints it');
	is(scalar(() = $printed[0] =~ /\|/g),             9,  'ten columns');
	is(join("\n", grep { length $_ > 100 } @printed), '', 'no line is longer than 100 columns');
};

subtest 'a line of numbers as large as they come is no longer than that' => sub {
	query(
		$node,
		q{CREATE VIEW wide AS SELECT left(repeat('x', 16), 16) AS pool, 'overcommitted' AS status, '59 min' AS since,
	99999 AS conns, 999999 AS budget, '>999 %' AS used, 9999 AS busy, 9999 AS idle, 9999 AS peak, 9999999 AS refused}
	);
	is(
		query(
			$node,
			'SELECT string_agg(attname, $$ $$ ORDER BY attnum) FROM pg_attribute WHERE attrelid = $$wide$$::regclass'
		),
		query(
			$node,
			'SELECT string_agg(attname, $$ $$ ORDER BY attnum) FROM pg_attribute WHERE attrelid = $$pool_monitor.overview$$::regclass'
		),
		'a line of the same columns'
	);
	my $out = `psql -X -h @{[$node->host]} -p @{[$node->port]} -d postgres -c 'SELECT * FROM wide'`;
	is(join("\n", grep { length $_ > 100 } split /\n/, $out),
		'', 'that is as wide as can be fits as well');
};

subtest 'applications: those with most connections come first' => sub {
	is(
		query(
			$node,
			q{SELECT string_agg(application_name, ' ') FROM (SELECT application_name FROM pool_monitor.applications LIMIT 3) AS a}
		),
		'tiny java ',
		'applications: most connections first'
	);
};

subtest 'sessions: by pool, the longest transaction first, then who is idle for longest' => sub {
	$holder{fine}->do('sql 1 BEGIN');
	is(
		query(
			$node,
			q{SELECT string_agg(DISTINCT p, ' ') FROM (SELECT coalesce(pool, '-') AS p FROM pool_monitor.sessions LIMIT 1) AS s}
		),
		query($node, 'SELECT pool FROM pool_monitor.budgets LIMIT 1'),
		'sessions: the first pool first'
	);
	is(
		query(
			$node,
			q{SELECT bool_and(coalesce(pool, '-') <> '-') FROM (SELECT pool FROM pool_monitor.sessions LIMIT 22) AS s}
		),
		't',
		'those in no pool last'
	);
	is(
		query(
			$node,
			q{SELECT string_agg(state, ', ') FROM (SELECT state FROM pool_monitor.sessions('fine')) AS s}
		),
		'idle in transaction, idle',
		'the longest transaction first'
	);
	is(
		query(
			$node,
			q{SELECT array_agg(s.backend_start) = array_agg(s.backend_start ORDER BY a.state_change) FROM pool_monitor.sessions('tiny') AS s
		JOIN pg_stat_get_activity(NULL) AS a USING (pid)}
		),
		't',
		'then who is idle for longest'
	);
};

subtest 'views are rounded from a minute on' => sub {
	is(
		query(
			$node,
			q{SELECT string_agg(pool_monitor.rounded(s::interval)::text, ' ') FROM unnest(ARRAY['59.123 s', '61.987 s']) AS s}
		),
		'00:00:59.123 00:01:01',
		'intervals'
	);
	is(
		query(
			$node,
			q{SELECT string_agg(pool_monitor.rounded(n)::text, ' ') FROM unnest(ARRAY[0, 0.000123456, 0.5, 12.34567, 98765.4]) AS n}
		),
		'0 0.0001235 0.5 12.35 98765',
		'numbers'
	);
	is(
		query(
			$node,
			q{SELECT bool_and(w.avg_connections = pool_monitor.rounded(w.avg_connections)) FROM pool_monitor.workload AS w}
		),
		't',
		'workload is rounded'
	);
};

subtest 'who was refused is undeclared for as long as that is so, not for an hour' => sub {
	my $late =
	  'SELECT status, conns, coalesce(refused, 0) > 0 FROM pool_monitor.overview WHERE pool = $$late 0$$';
	my $filler = PoolMonitor::Holder->new(
		$node,
		application_name => 'filler',
		sessions         => query($node, 'SELECT usable - connections + 1 FROM pool_monitor.server')
	);
	query($node, 'CREATE ROLE app LOGIN');
	my ($out_late) = run_command(
		[
			python(),    "$FindBin::RealBin/../clients/refused.py",
			$node->host, $node->port, 'app', 'late', 1, 2
		]
	);
	cmp_ok($out_late, '>', 0, 'logins are refused');
	wait_for($node, $late, 'of an application that is in no pool', 'undeclared|0|t');
	$filler->close;
	declare($node, insert_pool('late 0', usename => "'app'"));
	is(query($node, $late), 'ok|0|f', 'then it is declared');
};

subtest 'a name that several roles have has no peak' => sub {
	my $peak = "SELECT peak IS NULL FROM pool_monitor.overview WHERE pool = 'java'";
	is(query($node, $peak), 'f', 'the peak of an application is known');
	my $other = PoolMonitor::Holder->new($node, application_name => 'java', user => 'app');
	wait_for($node, $peak, 'but not of what is in several accounts');
	$other->close;
};

subtest 'nobody is the server by his name' => sub {
	$undeclared[0]->do("sql $_ SET application_name = '(server)'") foreach 0 .. 4;
	wait_for(
		$node,
		q{SELECT string_agg(pool || ' ' || conns, ', ') FROM pool_monitor.overview WHERE pool LIKE '%(server)' AND status = 'undeclared'},
		'nobody is the server by his name',
		'app (server) 5'
	);
};

$_->close foreach @undeclared, values %holder;
done_testing();
