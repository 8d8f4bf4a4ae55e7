# simulate() of clients that do several transactions with a connection, and have it between
# these, as they report; against Erlang's formula. Needs a past, which regress has not.
use strict;
use warnings FATAL => 'all';
use PoolMonitor       qw(:DEFAULT query insert_pool);
use PoolMonitorAdvice qw(advice_server pools replay forget in_one_minute app_holder);
use Test::More;

my $node = advice_server('simulate_use');
pools($node, insert_pool('web', pool_size => 8, max_overflow => 0));
wait_for(
	$node,
	"SELECT count(*) > 0 FROM pool_monitor.history WHERE pool = 'web'",
	'the pool has a history'
);
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;

# 40 transactions a second of 20 ms; in each tick ten times as many as come together.
sub lay
{
	forget($node, 'web');
	replay(
		$node,
		[
			'web', 120,
			busy         => 0.8,
			max_busy     => 8,
			connections  => 8,
			transactions => 2400,
			exhausted    => 0.2
		]
	);
	return;
}

lay();
query($node,
	"SELECT count(replay_holds('web', (-20000 * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
);

# So many checkouts a minute, of which as many wait as says Erlang for 4 a second and 1.25 s each.
sub arrive
{
	my ($checkouts, $squares) = @_;
	query($node,
		"SELECT replay_arrivals('web', 60, $squares, $checkouts, ($checkouts * e.c)::int, $checkouts * e.c * 1.25 / 3, 0) FROM (SELECT pool_monitor.erlang_c(8, 5) AS c) AS e"
	);
	return;
}

sub simulated
{
	my ($columns) = @_;
	return query($node,
		"SELECT $columns FROM pool_monitor.simulate('web', span => '3 hours') AS s, (SELECT pool_monitor.erlang_c(8, 5) AS c) AS e"
	);
}

# Of the last minute, with a past of so many minutes with so many transactions each.
sub rate_of_a_minute
{
	my (@past) = @_;
	return in_one_minute(
		$node,
		sub {
			forget($node, 'web');
			replay(
				$node,
				map {
					[
						'web', $_->[0],
						busy         => 0.8,
						max_busy     => 8,
						connections  => 8,
						transactions => $_->[1]
					]
				} @past
			);
			return query($node,
				q{SELECT round(checkouts_per_second) FROM pool_monitor.simulate('web', span => '1 minute')}
			);
		}
	);
}

my $load   = 'round(checkouts_per_second::numeric, 1), round(hold_time::numeric, 2)';
my $waits  = 's.waiting BETWEEN 0.95 * e.c AND 1.05 * e.c';
my $bursts = 'round(dispersion)';

subtest 'all of them report' => sub {
	arrive(240, 60 * 2000);
	is(simulated("$load, $bursts"),
		'40.0|0.02|10', 'who does not say for how long has a transaction with each checkout');
	query($node, q{SELECT replay_use('web', 120, 240, 5, 8)});
	is(simulated("$load, $bursts, $waits"), '4.0|1.25|1|t', 'else it is what they say');
	like(simulated('calibration'), qr/^good: clients report/, 'which is what they have waited');
	is(
		simulated('round(measured_exhausted_share::numeric, 2)'),
		query(
			$node, "SELECT round((exhausted_share)::numeric, 2) FROM pool_monitor.workload('web')"
		),
		'beside what was measured'
	);
};

subtest 'the time at the ceiling, where nothing else is measured' => sub {
	arrive(0, 60 * 2000);
	query($node, q{SELECT replay_use('web', 120, 240, 0.82, 8)});
	like(
		simulated('calibration'),
		qr/^lower bound: the pool was at its ceiling 20.0 % of the time/,
		'all checked out are all in a transaction'
	);
	query($node, q{SELECT replay_use('web', 120, 240, 0.83, 8)});
	like(
		simulated('calibration'),
		qr/^unknown: no time at a ceiling was measured/,
		'unless they have connections beside it: eight are hardly ever in one at once'
	);
};

subtest 'some of them report' => sub {
	arrive(120, 60 * 2000);
	query($node, q{SELECT replay_use('web', 120, 120, 2.5, 4)});
	is(simulated("$load, $bursts, $waits"), '4.0|1.25|1|t', 'half of them stand for all');
	query($node, q{SELECT replay_use('web', 120, 96, 2, 3.2)});
	is(simulated($load), '40.0|0.02', 'fewer do not');
};

subtest 'some of them do not know' => sub {
	arrive(240, 60 * 2000);
	query($node, q{SELECT replay_use('web', 120, 120, 2.5, 4)});
	is(simulated("$load, $bursts, $waits"),
		'4.0|1.25|1|t', 'of those that do is known whose checkouts these are');
};

subtest 'some minutes of them' => sub {
	query($node, q{SELECT replay_use('web', 30, 240, 5, 8)});
	is(simulated($load), '4.0|1.25', 'where nobody reported before');
	query($node, q{SELECT replay_use('web', 120, 240, 5, 11)});
	is(simulated($load), '4.0|1.25', 'where they report when most are open');
	query($node, q{SELECT replay_use('web', 2, 240, 5, 8)});
	is(simulated($load), '40.0|0.02', 'two of 120 are not what these were like');
	query($node, q{SELECT replay_use('web', 30, 3, 1, 8)});
	is(simulated($load), '40.0|0.02', 'hardly any checkouts');
	query($node, q{SELECT replay_use('web', 30, 4, 1, 8)});
	is(simulated('hold_time'), '15', 'and some');
};

subtest 'what fit() makes of it' => sub {
	my $fit =
	  q{SELECT model, proposed_pool_size + proposed_max_overflow >= 8 FROM pool_monitor.fit() WHERE pool = 'web'};
	query($node, q{SELECT replay_arrivals('web', 60, 60 * 40 * 41, 2400, 0, 0, 0)});
	query($node, q{SELECT replay_use('web', 120, 2400, 0.8, 8)});
	is(query($node, $fit) =~ s/\|.*//r, 'Erlang', 'what is busy is the load');
	arrive(240, 60 * 40 * 41);
	query($node, q{SELECT replay_use('web', 120, 240, 5, 8)});
	is(query($node, $fit), 'simulated|t', 'unless clients have connections beside it');
};

subtest 'what does not fit' => sub {
	query($node, q{SELECT replay_use('web', 120, 240, 0.7, 8)});
	is(simulated($load), '40.0|0.02', 'connections in use for less time than in transactions');
};

subtest 'what cannot be' => sub {
	foreach my $case (
		['240, 5, 17',   'far more connections open than there are'],
		['240, 13, 8',   'or in use'],
		['250000, 5, 8', 'a hundred checkouts for each transaction'],
		['240, 0, 8',    'checkouts that have no connection']
	  )
	{
		query($node, "SELECT replay_use('web', 120, $case->[0])");
		is(simulated($load), '40.0|0.02', $case->[1]);
	}
	query($node, q{SELECT replay_use('web', 120, 240, 7, 8)});
	is(simulated($load), '4.0|1.75', 'and what can');
};

subtest 'checkouts without a transaction' => sub {
	my $answer = in_one_minute(
		$node,
		sub {
			lay();
			arrive(4800, 60 * 1680);
			query($node, q{SELECT replay_use('web', 120, 4800, 2.08, 8)});
			return simulated("$load, $bursts");
		}
	);
	is($answer, '80.0|0.03|3', 'are there, and bursts as much larger than the server sees them');
};

subtest 'of which minutes' => sub {
	is(rate_of_a_minute([2, 600], [1, 6000]), 10, 'of those that are over');
	is(rate_of_a_minute([1, 6000]), 100, 'or of the one that goes on, where there is no other');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
