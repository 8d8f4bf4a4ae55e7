# client_report(): which waits are counted, of processes that do not know them, or say more
# than can be.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use Test::More;

my $node = new_server('client_waits');
query($node, 'CREATE ROLE app LOGIN');
declare($node, insert_pool('web', workers => 2, pool_size => 2, max_overflow => 1));

my $report = 'SELECT pool_monitor.client_report';
my $web    = app_holder($node, 'web', 1);

# What pool_stats has of the pool.
sub counted
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = 'web'");
}

subtest 'who does not know who waits' => sub {
	my $before = counted('checkouts, checkout_waits, waited_seconds, checkout_timeouts');
	$web->do(
		"sql 0 $report('d', 2, 1, 3, checkouts => 50, waits => NULL, waited_seconds => 1, timeouts => 2, longest_wait => 1, reports_before => 0)"
	);
	is(
		query(
			$node,
			q{SELECT checkouts, waits, timeouts, mean_wait, longest_wait FROM pool_monitor.client_pools WHERE process = 'd'}
		),
		'50||||',
		'says nothing of waits'
	);
	is(counted('checkouts, checkout_waits, waited_seconds, checkout_timeouts'),
		$before, 'and is not in the sums, of which waits are a part');
};

# With a number of its reports, and without.
subtest 'who knows it now and then' => sub {
	my $all   = 'checkouts, checkout_waits, waited_seconds, checkout_timeouts';
	my $known = 'waits => %d, waited_seconds => 9, timeouts => 9';
	for my $numbered (0, 1)
	{
		my $number = 0;
		my $told   = sub {
			my ($checkouts, $waits) = @_;
			$web->do("sql 0 $report('e$numbered', 2, 1, checkouts => $checkouts, $waits"
				  . ($numbered ? ', reports_before => ' . $number++ : '')
				  . ')');
			return counted($all);
		};
		$told->(0, sprintf $known, 0);
		my $before = $told->(50, sprintf $known, 5);
		$told->(60, 'waits => NULL');
		is($told->(70, sprintf $known, 8), $before, 'what came meanwhile is not counted');
		isnt($told->(71, sprintf $known, 8), $before, 'what comes then is');
	}
};

# Who waits now may have been counted among those that had to.
subtest 'more waits than checkouts' => sub {
	my $before = counted('checkout_waits');
	my $counted =
	  sub { my $now = counted('checkout_waits'); my $came = $now - $before; $before = $now; $came };
	my $say = sub {
		my (undef, undef, $told) = $node->psql(
			'postgres',
			"$report('greedy', $_[0])",
			connstr => $node->connstr('postgres') . ' application_name=web user=app'
		);
		return $told;
	};
	is($say->('waiting => 3, checkouts => 5, waits => 9, timeouts => 1, reports_before => 0'),
		'', 'those that gave up, or still wait');
	is($counted->(), 9, 'are counted');
	like(
		$say->('waiting => 0, checkouts => 7, waits => 12, timeouts => 1, reports_before => 1'),
		qr/NOTICE:  the report says more than a process can have done/,
		'others cannot have been'
	);
	is($counted->(), 2, 'and are not counted');
	is($say->('checkouts => 7, waits => 1012, timeouts => 1, reports_before => 2'),
		'', 'how many wait may not be known');
	is($counted->(), 1000, 'then they are');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
