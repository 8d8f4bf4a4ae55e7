# A real pool of asyncpg that reports, with clients/asyncpg: its figures, and that it
# disturbs neither its application nor the books. Needs the library itself, in Python.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorReporting;
use Test::More;

my $node = reporting_server('reporting_asyncpg');
declare($node, insert_pool('ems', pool_size => 2, max_overflow => 1));
my ($pool, $said) = python_client('asyncpg', 'reporting_asyncpg.py', dsn($node), 'ems', 0.2);

subtest 'its pool says what was' => sub {
	my ($how, $waited) = split /(?<=p) /, $said, 2;
	is($how,                'gave up', 'one checkout has to wait, two others give up');
	is($pool->do('return'), 'idle',    'all come back');
	wait_for_shown($node, 'ems',
		'size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations',
		'2|1|3|0|0|4|1|2|3', 'its pool says what was');
	is(
		counted(
			$node,
			'ems',
			"checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.3 AND $waited"
		),
		'4|1|2|t',
		'and so say the sums of the pool'
	);
	agree($node, 'ems', 3, '2 checkouts timed out');
};

subtest 'for how long connections are out' => sub {
	holds_are_told($node, 'ems', $pool, 1);
};

subtest 'reports are no transactions, and no use' => sub {
	undisturbed($node, 'ems', 0.5, "idle_for > interval '0.5 s' AND state = 'idle'");
};

subtest 'no place gets lost by reports between checkouts, and with a lost connection' => sub {
	is($pool->do('hurry'), 0, 'in a hurry');
	wait_for_shown($node, 'ems', 'checkouts, checked_out', '405|0', 'every checkout is counted');
	query($node, 'SELECT pg_terminate_backend(pid) FROM pool_monitor.client_reports()');
	wait_for_shown($node, 'ems', 'open, creations', '2|3', 'without a connection that is lost');
	is($pool->do('places'), 3, 'the pool has all its places');
	wait_for_shown($node, 'ems', 'open, creations', '3|4', 'and one more connection');
};

subtest 'a connection that the application closes is out no more' => sub {
	is($pool->do('close'), 'closed', 'nobody gives it back');
	my ($before) = held($node, 'ems');
	wait_for_reports($node, 'ems', 0.5, 'it goes on');
	my ($after) = held($node, 'ems');
	is($after, $before, 'it is not counted');
};

subtest "what goes wrong is not the application's concern" => sub {
	told_once($node, 'ems', $pool, 'checkouts, creations, longest_wait >= 0.3',
		'416|5|t', 'what was to be told then is told now, on the same connections');
};

subtest 'a report for which no connection is idle waits until one is' => sub {
	is($pool->do('full'), 'full', 'none is idle when a report is due');
	is_shown($node, 'ems', 'open, checked_out, waiting, checkouts',
		'3|2|0|420', 'it comes with the next that nobody waits for');
};

subtest 'an asyncpg that does not tell when connections are free again' => sub {
	is($pool->do('strange'), 'strange', 'of another version');
	wait_for(
		$node,
		"SELECT checked_out_seconds IS NULL FROM pool_monitor.client_reports() WHERE pool = 'ems'",
		'for how long they are out is not known'
	);
	is($pool->do('places'), 3, 'which is no concern of the application');
};

$pool->close;
done_testing();
