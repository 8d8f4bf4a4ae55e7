# simulate(): against what is known exactly (Erlang's formulas), and with a past that is
# replayed by a library of the tests. Regress has no past.
use strict;
use warnings FATAL => 'all';
use PoolMonitor       qw(:DEFAULT query insert_pool client);
use PoolMonitorAdvice qw(pools replay in_one_minute);
use Test::More;
use Time::HiRes qw(time);

# The worker looks once a minute, so it adds next to nothing to the past.
my $node = new_server('simulate', "pool_monitor.history_minutes = 1500\n");
create_replay($node);
pools(
	$node,
	insert_pool('mmc', pool_size => 10, max_overflow => 0),
	insert_pool('day', workers   => 3,  pool_size    => 6, max_overflow => 8),
	insert_pool('none'),
	insert_pool('unheld'),
	insert_pool('live')
);
wait_for(
	$node,
	"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool NOT LIKE '(%'",
	'each pool has a history', 5
);
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;

# Exponential holds with this mean, in us.
sub holds
{
	my ($pool, $mean) = @_;
	query($node,
		"SELECT count(replay_holds('$pool', (-$mean * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
	);
	return;
}

# A load of 8 for 10 connections, and a day of 100 checkouts a second; random arrivals.
sub past
{
	replay(
		$node,
		['mmc',    1440, busy => 8,  max_busy => 10, connections => 10, transactions => 960],
		['day',    1440, busy => 20, max_busy => 42, connections => 30, transactions => 6000],
		['unheld', 60,   busy => 1,  max_busy => 1,  connections => 1,  transactions => 10]
	);
	return;
}
past();
holds('mmc', 500_000);
holds('day', 200_000);

my $hour = "span => '1 hour'";

# Of an hour, where nothing else is asked for.
sub simulated
{
	my ($columns, $arguments) = @_;
	$arguments .= ", $hour" if $arguments =~ /^'mmc'/ && $arguments !~ /span/;
	return query($node, "SELECT $columns FROM pool_monitor.simulate($arguments)");
}

# Is that in the interval of the column, or as much as half of it beside it?
sub within
{
	my ($exact, $column) = @_;
	my $half = "(${column}_high - ${column}_low) / 2";
	return "$exact BETWEEN ${column}_low - $half AND ${column}_high + $half";
}

sub refused
{
	my ($arguments, $message) = @_;
	my ($rc, $out, $err) =
	  $node->psql('postgres', "SELECT pool FROM pool_monitor.simulate($arguments)");
	like($err, $message, $arguments);
	return;
}

my $waits  = 'pool_monitor.wait_quantile(10, 8, 0.5';
my $chance = 'pool_monitor.erlang_c(10, 8)';

subtest 'one queue, against M/M/c' => sub {
	is(
		simulated(
			join(', ',
				within("$waits, 0.50)", 'wait_p50'),
				within("$waits, 0.95)", 'wait_p95'),
				within("$waits, 0.99)", 'wait_p99'),
				within($chance,         'waiting'),
				within($chance,         'full_share'),
				within($chance,         'exhausted_share'),
				'wait_p95_high - wait_p95_low < 0.05'),
			"'mmc', span => '1 day'"
		),
		't|t|t|t|t|t|t',
		'waits and the time at the ceiling'
	);
	my $covered = query(
		$node,
		sprintf
		  q{SELECT count(*) FILTER (WHERE %s BETWEEN wait_p95_low AND wait_p95_high), count(*) FILTER (WHERE %s BETWEEN waiting_low AND waiting_high)
		FROM generate_series(1, 40) AS seed, pool_monitor.simulate('mmc', %s, seed => seed)},
		"$waits, 0.95)", $chance, $hour
	);
	my ($p95, $waiting) = split /\|/, $covered;
	cmp_ok($p95,     '>=', 33, "the interval of p95 has it in $p95 of 40 cases");
	cmp_ok($waiting, '>=', 33, "and that of who waits in $waiting");
};

subtest 'who gives up at once is lost: Erlang B' => sub {
	is(
		simulated(
			within('pool_monitor.erlang_b(10, 8)', 'timeout_share')
			  . ', longest_wait, timeouts > 0, abs(timeouts - timeout_share * 16 * 3600) < 0.05 * timeouts',
			"'mmc', pool_timeout => '0'"
		),
		't|0|t|t',
		'as many'
	);
	is(
		simulated(
			'timeout_share BETWEEN 0.36 AND 0.39, wait_p99 BETWEEN 4.9 AND 5, longest_wait',
			"'mmc', pool_timeout => '5 s', load => 2"
		),
		't|t|5',
		'in an overload those that cannot be served give up, and nobody waits longer'
	);
};

subtest 'each process is a queue' => sub {
	is(
		simulated(
			'processes, '
			  . within($chance,       'waiting') . ', '
			  . within("$chance ^ 2", 'exhausted_share'),
			"'mmc', workers => 2, load => 2"
		),
		'2|t|t',
		'two of them are two times the same, and full at once by chance'
	);
};

# Do the two give the same? In one statement, and again if a minute began in the middle of it.
sub same
{
	my ($columns, $one, $other) = @_;
	my $row  = "ROW($columns)";
	my $same = 'f';
	for (my $i = 0 ; $i < 5 && $same ne 't' ; $i++)
	{
		$same = query($node,
			"SELECT (SELECT $row FROM pool_monitor.simulate($one) AS s) IS NOT DISTINCT FROM (SELECT $row FROM pool_monitor.simulate($other) AS s)"
		);
	}
	return $same;
}

subtest 'pools that open and close' => sub {
	is(
		same(
			's.wait_p95, s.longest_wait, s.waiting, s.exhausted_share',
			"'mmc', pool_size => 2, max_overflow => 8, $hour",
			"'mmc', $hour"
		),
		't',
		'with overflow as with a base, the same checkouts wait'
	);
	is(
		simulated(
			'connections < 10, opened_per_hour > 1000',
			"'mmc', pool_size => 2, max_overflow => 8"
		),
		't|t',
		'but connections come and go'
	);
	is(simulated('round(connections::numeric, 6) = 10, opened_per_hour', "'mmc'"),
		't|0', 'which those of a base do not');
	is(simulated('longest_wait, opened_per_hour > 0', "'mmc', max_overflow => -1"),
		'0|t', 'without a bound nobody waits');
	my $size = 'longest_wait, opened_per_hour < 100, connections > 10';
	is(simulated($size, "'mmc', pool_size => 0"),
		'0|t|t', 'nor without a size, of which nothing is closed');
};

subtest 'the same seed, the same answer' => sub {
	is(same('s', "'mmc', $hour", "'mmc', $hour, seed => 0"), 't', 'once more');
	is(same('s', "'mmc', $hour", "'mmc', NULL, NULL, NULL, NULL, '1 hour', NULL, NULL"),
		't', 'NULL is the default');
	is(same('s.wait_p95', "'mmc', $hour", "'mmc', $hour, seed => 1"), 'f', 'another seed');
	is(simulated('count(*)', 'NULL'),                                 0,   'no pool, no row');
};

# By what is counted, not by the clock.
subtest 'bounded' => sub {
	is(
		simulated(
			"arrivals BETWEEN 4e6 AND 8.5e6, share_replayed BETWEEN 0.03 AND 0.1, seen BETWEEN '23:58' AND '24:02'",
			"'day', load => $_->[0]"
		),
		$_->[1],
		"$_->[2] checkouts a second for a day"
	  )
	  foreach [1, 't|t|t', 100], [100, 't|f|t', 10_000],
	  [1000, 't|f|t', 100_000];
	is(simulated('share_replayed > 0.999999', "'mmc', $hour"), 't', 'all of what is less');
	past();    # of which ten minutes begin in the last ten, or nine, should one end meanwhile
	is(
		simulated(
			"arrivals BETWEEN $_->[1] AND 1.2 * $_->[1], wait_p95_high - wait_p95_low < 0.1",
			"'mmc', span => '$_->[0] minutes'"
		),
		't|t',
		"and that more often: $_->[0] minutes"
	) foreach [10, 8.4e5], [60, 1.9e6];
};

# A statement that cannot be cancelled ends when it is done, whatever was asked.
subtest 'cancelled' => sub {
	my $begun = time;
	simulated('1', "'day'");
	my $took = time - $begun;
	my $cancelled;
	foreach (1 .. 10)
	{
		$begun = time;
		my ($rc, $out, $err) = $node->psql(
			'postgres',
			sprintf q{SET statement_timeout = %d; SELECT pool FROM pool_monitor.simulate('day')},
			1000 * $took / 10 + 1
		);
		$cancelled = $err =~ /canceling statement/ && time - $begun < $took / 2;
		last if $cancelled;
	}
	ok($cancelled, 'in the middle');
};

subtest 'nonsense' => sub {
	refused("'nobody'",                    qr/ERROR:  there is no declared pool "nobody".*HINT/s);
	refused("'(server)'",                  qr/ERROR:  there is no declared pool/);
	refused("'mmc', workers => 0",         qr/workers must be between 1 and 10000, or NULL/);
	refused("'mmc', pool_size => -1",      qr/pool_size must be between 0 and 100000, or NULL/);
	refused("'mmc', max_overflow => -2",   qr/max_overflow must be between -1 and 100000, or NULL/);
	refused("'mmc', pool_timeout => '$_'", qr/pool_timeout must be between 0 and 1 day/)
	  foreach '-1 s', '25 hours', '1 month', '-10000000 days';
	refused("'mmc', span => '$_'", qr/span must be more than 0/) foreach '0', '-1 day';
	refused("'mmc', load => '$_'", qr/load must be more than 0 and at most 1000/)
	  foreach 0, -1, 1001, 'NaN', 'Infinity';
	refused("'mmc', workers => 1000, pool_size => 300",
		qr/as asked for, must have at most 262143 connections, not 300000.*HINT/s);
};

subtest 'what is not known' => sub {
	past();
	my $answer = 'pool, pool_size, seen, wait_p95, calibration, quality';
	is(
		simulated($answer, "'none', pool_size => 7"),
		'none|7|||unknown: there are no transactions in this span|not enough data',
		'nothing to replay'
	);
	is(
		simulated($answer, "'unheld'"),
		'unheld|5|||unknown: there are no hold times since its statistics were reset|not enough data',
		'no holds to draw from'
	);
	is(
		simulated('quality, wait_p95 > 0', "'mmc', span => '10 minutes'"),
		'not enough data|t',
		'of ten minutes it is an answer, but not a good one'
	);
	is(simulated('quality', "'mmc'"), 'good', 'of a day it is good');
};

# Arrivals in the minutes: ticks, sum of squares, what clients report.
sub arrivals
{
	my ($pool, @numbers) = @_;
	$numbers[$_] //= 0 foreach 0 .. 5;
	query($node, "SELECT replay_arrivals('$pool', " . join(', ', @numbers) . ')');
	return;
}

# 32 and then none, in turn, in the seconds of each minute.
subtest 'bursts' => sub {
	arrivals('mmc', 60, 30 * 32**2);
	my $exact = (30 * 32**2 - 960**2 / 60) / (16 * 59);
	is(simulated("abs(dispersion - $exact) < 1e-9", "'mmc'"), 't', 'variance by mean');
	is(simulated("wait_p95 > 1.5 * $waits, 0.95), arrivals BETWEEN 1.8e6 AND 2.1e6", "'mmc'"),
		't|t', 'have long waits, and are no more checkouts');
	arrivals('mmc', 60, 30 * 32**2, 0, 0, 0, 5);
	is(
		simulated(
			"reported_waiting, reported_mean_wait IS NULL, reported_timeout_share, calibration LIKE '%report no checkout that got a connection and 100.00 % time-outs%'",
			"'mmc'"
		),
		'0|t|1|t',
		'nor is it said that nobody reports, where all gave up'
	);
	arrivals('mmc', 60, 4294967295);
	is(simulated('dispersion IS NULL', "'mmc'"), 't', 'more than there is room for is not known');
	arrivals('mmc', 60, 960**2 / 60);
	is(simulated('dispersion < 0.5, ' . within($chance, 'waiting'), "'mmc'"),
		't|t', 'what is more regular than chance is taken for chance');
};

# The same dispersion, and other traces that the bursts have left.
subtest 'how long a burst is' => sub {
	my @shares;
	foreach my $share (0, 0.1)
	{
		replay(
			$node,
			[
				'day', 60,
				busy         => 8,
				max_busy     => 42,
				connections  => 30,
				transactions => 2400,
				exhausted    => $share,
				overflow     => 2 * $share
			]
		);
		arrivals('day', 60, 40 * 2400 + 40 * 60 * 59);
		push @shares, simulated('exhausted_share', "'day', $hour");
	}
	cmp_ok($shares[1], '>', 2 * $shares[0],
		"the pool is full for such shares of the time: @shares");
	past();
};

subtest 'calibration' => sub {
	my $mean = query($node, 'SELECT pool_monitor.mean_wait(10, 8, 0.5)');
	past();
	like(simulated('calibration', "'mmc'"), qr/^off: measured were 0\.00 %/,
		'never at the ceiling');
	replay(
		$node,
		[
			'mmc', 1440,
			busy         => 8,
			max_busy     => 10,
			connections  => 10,
			transactions => 960,
			exhausted    => 0.41
		]
	);
	is(
		simulated('calibration', "'mmc'"),
		'lower bound: the pool was at its ceiling 41.0 % of the time; no waits are reported of this time and these sizes',
		'there the server does not see who waits'
	);
	arrivals('mmc', 0, 0, 900, 366, 900 * $mean, 0);
	like(simulated('calibration', "'mmc'"), qr/^good: clients report waits of 0\.1023 s/,
		'reports');
	is(
		simulated(
			'abs(reported_waiting - 0.4067) < 1e-4, reported_timeout_share, abs(measured_exhausted_share - 0.41) < 1e-3',
			"'mmc'"
		),
		't|0|t',
		'beside it'
	);
	like(simulated('calibration', "'mmc', pool_size => 20"), qr/^good/, 'of the sizes of then');
	arrivals('mmc', 0, 0, 900, 366, 900 * 2 * $mean, 0);
	like(simulated('calibration', "'mmc'"), qr/^off: clients report/, 'other ones');
	arrivals('mmc', 0, 0, 900, 366, 900 * $mean, 960);
	cmp_ok(simulated('full_share', "'mmc'"), '>', 0.99, 'who gave up is part of the load');
};

# A client that begins 200 transactions one after the other, and then none for some ticks,
# which are not so short that a worker that is held up sees more than there is room for.
subtest 'real arrivals' => sub {
	$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 100ms\n");
	$node->reload;
	my $burst = join ';', map { 'SELECT 1' } 1 .. 200;
	my $file  = $node->basedir . '/burst.sql';
	open my $out, '>', $file or die;
	print $out map { "SELECT $_;\n" } 1 .. 200;
	print $out "\\! sleep 0.3\n";
	close $out;
	wait_for(
		$node,
		"SELECT sum(seen) > 0.1 FROM pool_monitor.history WHERE pool = 'live'",
		'the worker looks again'
	);
	local $ENV{PGAPPNAME} = 'live';
	$node->command_ok(
		[
			'psql', '-XAtq', '-d',
			$node->connstr('postgres'),
			map({ ('-f', $file) } 1 .. 5),
			'-o', '/dev/null'
		],
		'bursts'
	);
	wait_for(
		$node,
		"SELECT dispersion > 10 FROM pool_monitor.simulate('live')",
		'they are not spread evenly'
	);
};

subtest 'kept over a restart' => sub {
	$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
	my ($before, $after) = in_one_minute(
		$node,
		sub {
			arrivals('mmc', 60, 30 * 32**2);
			my $before = simulated('dispersion', "'mmc'");
			$node->restart;
			wait_for($node, "SELECT dispersion > 0 FROM pool_monitor.simulate('mmc', $hour)",
				'loaded');
			return $before, simulated('dispersion', "'mmc'");
		}
	);
	cmp_ok(abs($after - $before), '<', 0.2, 'as it was');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
