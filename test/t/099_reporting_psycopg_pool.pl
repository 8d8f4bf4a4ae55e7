# Real pools of psycopg_pool that report, with clients/psycopg_pool: their figures, and that
# it disturbs neither the application nor the books. Needs the library itself, in Python: a
# pool of threads and one of asyncio.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorReporting;
use Test::More;

my $node = reporting_server('reporting_psycopg');
declare($node, join '', map { insert_pool($_, pool_size => 2, max_overflow => 1) } 'sync', 'async');

# The checkout for which the pool opens its third connection has to wait, too.
sub figures
{
	my ($name, $pool, $said) = @_;
	my ($how, $waited) = split /(?<=p) /, $said, 2;

	is($how,                'gave up', 'some checkouts have to wait, another one gives up');
	is($pool->do('return'), 'idle',    'all come back');
	wait_for_shown(
		$node,
		$name,
		'size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations, invalidations',
		'2|1|3|0|0|4|2|1|3|0',
		'its pool says what was'
	);
	is(
		counted(
			$node,
			$name,
			"checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.3 AND $waited"
		),
		'4|2|1|t',
		'and so say the sums of the pool'
	);
	agree($node, $name, 3, '1 checkouts timed out');
	return;
}

# All three are somebody's, also while one is reset for who waits.
sub hands_over
{
	my ($name, $pool) = @_;
	my ($before) = held($node, $name);
	my $all      = $pool->do('handed');
	my ($after)  = held($node, $name);
	cmp_ok($after - $before, '>=', 3 * $all - 0.1, 'from hand to hand');
	return;
}

sub places
{
	my ($name, $pool) = @_;

	is($pool->do('hurry'), 0, 'in a hurry');
	wait_for_shown($node, $name, 'checkouts, checked_out', '409|0', 'every checkout is counted');
	query($node,
		"SELECT pg_terminate_backend(pid) FROM pool_monitor.client_reports() WHERE pool = '$name'");
	wait_for_shown($node, $name, 'open, creations, invalidations',
		'3|4|1', 'a report on a lost connection');
	is($pool->do('places'), 3, 'the pool has all its places');
	return;
}

foreach my $name ('sync', 'async')
{
	my ($pool, $said) =
	  python_client('psycopg_pool', 'reporting_psycopg_pool.py', dsn($node), $name, 0.2, $name);

	subtest "$name: its pool says what was"           => sub { figures($name, $pool, $said) };
	subtest "$name: for how long connections are out" => sub {
		holds_are_told($node, $name, $pool, 1);
		hands_over($name, $pool);
	};
	subtest "$name: reports are no transactions, and no use" => sub {
		undisturbed($node, $name, 0.5, "idle_for > interval '0.5 s' AND state = 'idle'");
	};
	subtest
	  "$name: no place gets lost by reports between checkouts, and on a connection that is lost" =>
	  sub { places($name, $pool) };
	subtest "$name: what goes wrong is not the application's concern" => sub {
		told_once($node, $name, $pool, 'checkouts, longest_wait >= 0.3',
			'419|t', 'what was to be told then is told now');
	};
	subtest "$name: a report for which no connection is idle waits until one is" => sub {
		is($pool->do('full'), 'full', 'none is idle when a report is due');
		is_shown($node, $name, 'open, checked_out, waiting, checkouts',
			'3|2|0|423', 'it comes with the next that nobody waits for');
	};
	subtest "$name: who may not even wait has given up" => sub {
		is($pool->do('refuse'), 'refused', 'one may wait, and no more');
		wait_for_shown($node, $name, 'checkouts, timeouts', '427|2', 'both are told');
	};
	subtest "$name: a child that opens its own pool reports under a name of its own" => sub {
		my $child = $pool->do('fork');
		wait_for(
			$node,
			"SELECT count(*) FROM pool_monitor.client_pools WHERE process LIKE '%:$child:%'",
			'a child that opens its own pool reports under a name of its own', 1
		);
		$pool->do('reap');
	  }
	  if $name eq 'sync';
	$pool->close;
}
done_testing();
