# A real pool of SQLAlchemy that reports, with clients/sqlalchemy: its figures, and that
# it disturbs neither its application nor the books. Needs the library itself, in Python.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PoolMonitorReporting;
use Test::More;

my $node = reporting_server('reporting');
declare($node, insert_pool('ems', pool_size => 2, max_overflow => 1));

# Reports are refused at first; then all of it is in the next.
refuse_reports($node);
my $pool = client('reporting.py', dsn($node, '&'), 'ems', 0.2);

subtest 'its pool says what was, also when the first reports were refused' => sub {
	is($pool->answer,       'gave up', 'one checkout has to wait, another one gives up');
	is($pool->do('return'), 'idle',    'all come back');
	wait_for_refused($node, 'a report is refused');
	take_reports($node);
	wait_for_shown($node, 'ems',
		'size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations',
		'2|1|2|0|0|4|1|1|3', 'its pool says what was');
	is(
		counted(
			$node, 'ems',
			'checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.3 AND 0.9'
		),
		'4|1|1|t',
		'and so say the sums of the pool'
	);
	agree($node, 'ems', 2, '1 checkouts timed out');

	# one of them was given back to who waited for it
	my ($least, $most) = split / /, $pool->do('out');
	my $out = counted($node, 'ems', 'checked_out_seconds');
	ok($least <= $out && $out <= $most, "and for how long: $out s, which is $least to $most");
};

subtest 'reports are no transactions, and no use' => sub {
	undisturbed($node, 'ems', 1, "idle_for > interval '1 s'");
};

subtest 'a child that inherits the pool says nothing on the sockets of its parent' => sub {
	my $child = $pool->do('fork');
	is(
		query(
			$node, "SELECT count(*) FROM pool_monitor.client_pools WHERE process LIKE '%:$child:%'"
		),
		0,
		'a child that inherits it does not report'
	);
	wait_for_reports($node, 'ems', 0, 'and disturbs nobody');
};

subtest 'no place of the pool gets lost by reports between checkouts' => sub {
	is($pool->do('hurry'), 0, 'in a hurry');
	is($pool->do('hurry'), 0, 'once more');
	wait_for_shown($node, 'ems', 'checkouts, checked_out, checkouts - waits > 0',
		'1604|0|t', 'every checkout is counted');
};

subtest 'a pool in the place of another one' => sub {
	is($pool->do('anew'), 1, 'has no more listeners than that');
	wait_for(
		$node,
		"SELECT string_agg(checkouts::text, ' ' ORDER BY checkouts) FROM pool_monitor.client_pools WHERE pool = 'ems'",
		'each has its own checkouts',
		'5 1605'
	);
	is(counted($node, 'ems', 'checkouts'), 1610, 'which are counted once');
};

subtest "what goes wrong is not the application's concern" => sub {
	my $from = -s $node->logfile;
	refuse_reports($node);
	wait_for_refused($node, 'a report fails', $from);
	none_in_transaction($node, 'ems');
};

$pool->close;
done_testing();
