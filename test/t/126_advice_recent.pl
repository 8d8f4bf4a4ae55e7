# Advice goes by what is recent, and does not forget it after an hour: a short outage, holds
# of late and of before, who held the slots in the minutes in which a pool was starved. Each
# past is replayed.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('advice_recent');
my $rows =
  "SELECT concat_ws(' ', severity, pool, topic, setting, proposed) FROM pool_monitor.advice WHERE topic NOT IN ('undeclared', 'storm') ORDER BY 1";

sub full
{
	my ($most) = @_;
	return (
		busy            => $most / 2,
		max_busy        => $most,
		connections     => $most,
		max_connections => $most,
		transactions    => 5000
	);
}

# A day in which it was at its ceiling for so many minutes, three hours ago.
sub outage
{
	my ($minutes) = @_;
	pools($node, row('web', pool_size => 10, max_overflow => 0));
	replay($node, ['web', 1440, full(10)], ['web', 170, full(10)]);
	query(
		$node,
		"SELECT count(replay_stretch('web', '1 minute', date_trunc('minute', now()) - make_interval(mins => 180 + m), 60,
		10, 10, 10, 10, 0, 0, 0, 0, 5000, 0, 60, 0)) FROM generate_series(1, $minutes) AS m"
	);
	return query($node, $rows);
}

subtest 'an outage of some minutes is no less of one three hours later' => sub {
	is(outage(10), 'warning web exhausted', 'it is told, without a number');
	like(
		advice($node, 'evidence', 'exhausted of web'),
		qr/^busy at the ceiling of 10 for 600 s of the last day; busy .* on average, 10 at most; /,
		'for how long'
	);
	like(
		advice($node, 'recommendation', 'exhausted of web'),
		qr/^It is too little of the day to change sizes for\. See what was different then: who\(at\)\.$/,
		'and how to see why'
	);
	my $web = app_holder($node, 'web', 10);
	$web->do('busy 10');
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'exhausted' AND pool = 'web'",
		'once more, for a moment', 1
	);
	$web->close;

	# a statement goes on without its client
	query($node, "SELECT pg_terminate_backend(pid) FROM pool_monitor.sessions WHERE pool = 'web'");
	wait_for($node, "SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'web'",
		'it is over', 0);
	like(
		query(
			$node,
			"SELECT evidence || ' ' || recommendation FROM pool_monitor.advice WHERE topic = 'exhausted'"
		),
		qr/ s of the last day, the last at (\d{4}-\S+ \S+); .* who\('\1'\)\.$/,
		'and when it was'
	);
	is(outage(2),  'info web exhausted',                 'two minutes are');
	is(outage(0),  '',                                   'none are not');
	is(outage(20), 'warning web exhausted pool_size 12', 'more than 1 % of the day has a number');
};

# Since the reset, a million holds of one kind; in the past, 5000 transactions a minute and so
# many busy that each held for so long.
subtest 'holds are those of late' => sub {
	my $holds = sub {
		my ($before, $busy) = @_;
		pools($node, row('db', pool_size => 100, max_overflow => 0));
		replay($node, ['db', 1440, full(80), busy => $busy, transactions => 1000]);
		query($node, "SELECT pool_monitor.reset('db'), replay_holds('db', $before, 1000000)");

		# a few real ones, so that some were counted since the reset
		my $db = app_holder($node, 'db', 1);
		$db->do('sql 0 SELECT 1') foreach 1 .. 40;
		$db->close;
		wait_for($node, "SELECT transactions >= 40 FROM pool_monitor.pool_stats WHERE pool = 'db'",
			'they are');
		return query($node,
			"SELECT pool || ' ' || split_part(evidence, ';', 1) FROM pool_monitor.advice WHERE topic = 'slow_holds'"
		);
	};
	is($holds->(3_000_000, 1), '', 'slow for months, and mended: silent');
	like(
		$holds->(1000, 40),
		qr/^db \d+ of \d+ transactions, 6\d %, held for a second or more in the last \w+ \(below 5 % is not slow\)$/,
		'quick for months, and slow today: told of'
	);
};

# A day of 1000 transactions a minute, with their mean, and so many of them long.
subtest 'whether holds are slow is not said by their mean' => sub {
	my $told = sub {
		my ($mean, $long) = @_;
		pools($node, row('db', pool_size => 100, max_overflow => 0));
		replay($node, ['db', 1440, full(80), busy => $mean * 1000 / 60, transactions => 1000]);
		query($node, "SELECT replay_long_holds('db', $long)");
		return query($node,
			"SELECT regexp_replace(evidence, ' in .*; (.* on average), .*', '; \\1') FROM pool_monitor.advice WHERE topic = 'slow_holds'"
		);
	};
	is($told->(2, 1), '', 'one of half an hour in each minute: silent');
	like(
		$told->(0.1, 60),
		qr/^\d+ of \d+ transactions, 6\.00 %, held for a second or more; 0\.\d+ s on average$/,
		'a tenth of a second, but six of a hundred are slow: told of'
	);
	is($told->(0.1, 40), '', 'and not any more, when four are');
};

# So many busy ones fall on so many processes at random: how often does each get by with that?
sub enough_for_all
{
	my ($busy, $processes, $size) = @_;
	my $enough = 0;
	foreach (1 .. 300)
	{
		my @has = (0) x $processes;
		$has[int rand @has]++ foreach 1 .. $busy;
		$enough++ if !grep { $_ > $size } @has;
	}
	return $enough / 300;
}

subtest 'the size of each process is enough for all of them' => sub {
	srand 7;
	foreach ([40, 400], [10, 200])
	{
		my ($workers, $busy) = @$_;
		pools($node, row('many', workers => $workers, pool_size => 50, max_overflow => 0));
		replay(
			$node,
			[
				'many', 1440,
				busy            => $busy,
				max_busy        => $busy,
				connections     => 50 * $workers,
				max_connections => 50 * $workers,
				transactions    => 1_000_000
			]
		);
		my $size = query($node,
			"SELECT proposed FROM pool_monitor.advice WHERE topic = 'idle' AND setting = 'pool_size'"
		);
		cmp_ok(enough_for_all($busy, $workers, $size),
			'>', 0.9, "$size for $busy on $workers, in 95 % of the minutes");
	}
};

# By the numbers of rows that its functions are said to return, which the planner goes by.
subtest 'a look at it takes no time to compile' => sub {
	foreach my $view ('advice', 'checklist', 'overview')
	{
		my ($cost) =
		  query($node, "EXPLAIN SELECT * FROM pool_monitor.$view") =~ /cost=\S+\.\.(\S+)/;
		cmp_ok($cost, '<', query($node, 'SHOW jit_above_cost'), "$view: not worth it to JIT");
	}
	my $definition = query($node, "SELECT pg_get_viewdef('pool_monitor.advice')");
	like($definition, qr/\bguard_day AS MATERIALIZED \($/m, 'nor is it planned for long');
	unlike($definition, qr/\b\w+ AS \($/m, 'by a part that is looked for in all of it');
};

done_testing();
