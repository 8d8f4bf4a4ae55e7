# A real process of Django that reports, with clients/django: its figures, and that it
# disturbs neither its application nor the books. With a connection for each thread, with
# one for each request, which is Django's default, and with the pool that Django has from
# 5.1 on. Needs the library itself, in Python.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PoolMonitorReporting;
use Test::More;

my $node = reporting_server('reporting_django');
query($node, q{ALTER ROLE app SET timezone = 'UTC'});    # as Django does, in a transaction
declare($node,
		insert_pool('threads', pool_size => 3, max_overflow => 0)
	  . insert_pool('requests', pool_size => 3, max_overflow => 0)
	  . insert_pool('pool',     pool_size => 1, max_overflow => 1));
my ($application) =
  python_client('Django', 'reporting_django.py', dsn($node), 'threads', 0.05, 'threads');

sub says
{
	my ($columns, $expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_shown($node, 'threads', $columns, $expected, $what);
}

# Each thread has its connection; two are at work when the third has done its.
subtest 'each thread has a connection, and the process says so' => sub {
	$application->do("hold $_") for 0 .. 2;
	is($application->do('let 0'),     '200 OK', 'one of three requests ends');
	is($application->do('request 0'), '200 OK', 'and there is another one');
	says('size, max_overflow, open, checked_out, waiting, checkouts, creations',
		'3|0|3|2||4|3', 'the process says what it has');
	is($application->do("let $_"), '200 OK', "request $_ ends") for 1, 2;
	is($application->do('request 0'), '200 OK', 'one more');
	says('open, checked_out, checkouts, creations',  '3|0|5|3', 'all of them are idle');
	says('waits, timeouts, mean_wait, longest_wait', '|||',     'who waits it does not know');
	is(counted($node, 'threads', 'checkouts, checkout_waits, checkout_timeouts'),
		'0|0|0', 'so the sums of the pool, of which these are parts, leave it out');
	agree($node, 'threads', 3, '');
};

subtest 'each request is one transaction, a report is none' => sub {
	my $before = counted($node, 'threads', 'transactions');
	is($application->do("request $_"),            '200 OK', "request with a report, $_") for 0 .. 2;
	is(counted($node, 'threads', 'transactions'), $before + 3, 'reports are no transactions');
	is($application->do('hurry 100'),             'done',      'in a hurry');
	is($application->do('request 1'),             '200 OK',    'and once more');
	says('open, checked_out, checkouts', '3|0|309', 'every use is counted');
	none_in_transaction($node, 'threads');
};

# Django looks before it goes on.
subtest 'a connection that is lost while nobody looks is replaced, and the report says so' => sub {
	my $pid = "pid FROM pool_monitor.client_reports() WHERE pool = 'threads'";
	is($application->do('hold 1'), 'holding', 'a request has used its connection');
	query($node, "SELECT pg_terminate_backend(pid, 10000) FROM (SELECT $pid) AS its");
	is($application->do('let 1'),     '200 OK', 'which is lost before it ends');
	is($application->do('request 1'), '200 OK', 'the next one has a new connection');
	says('open, creations, checkouts', '3|4|311', 'and it says so');
};

my $child;

subtest "what goes wrong is not the application's concern" => sub {
	my $from = -s $node->logfile;
	refuse_reports($node);
	is($application->do('request 2'), '200 OK', 'a request while reports fail');
	wait_for_refused($node, 'a report fails', $from);
	none_in_transaction($node, 'threads');
	$child = $application->do('fork');
	wait_for_log($node, qr/client_report\('[^']*:$child:/, 'a child cannot report either', $from);
	take_reports($node);
	is($application->do('request 2'), '200 OK', 'a request when they can again');
	is(
		query(
			$node,
			shown('threads', 'open, creations, checkouts') . " AND process NOT LIKE '%:$child:%'"
		),
		'3|4|313',
		'what was to be told is told'
	);
};

subtest 'a child reports of its own connection' => sub {
	wait_for(
		$node,
		"SELECT open, creations FROM pool_monitor.client_pools WHERE process LIKE '%:$child:%'",
		'a child reports of its own connection', '1|1'
	);
	$application->do('reap');
};

$application->close;

subtest 'a connection that is closed with its request reports before' => sub {
	$application = client('reporting_django.py', dsn($node), 'requests', 0.05, 'requests');
	is($application->answer,           'ready',  'Django is there');
	is($application->do("request $_"), '200 OK', "request $_") for 0 .. 2;
	is_shown($node, 'requests', 'open, checked_out, checkouts, creations',
		'1|0|3|3', 'each has opened its own, and said so');
	$application->do("hold $_") for 0, 1;
	is($application->do('request 2'), '200 OK', 'a third one beside two that go on');
	is_shown($node, 'requests', 'open, checked_out, checkouts, creations',
		'3|2|6|6', 'which it knows of');
	is($application->do("let $_"), '200 OK', "request $_ ends") for 0, 1;
	is(counted($node, 'requests', 'transactions'), 6, 'reports are no transactions');
	wait_for(
		$node,
		q{SELECT connections FROM pool_monitor.budgets WHERE pool = 'requests'},
		'no connection is kept for it', 0
	);

	my $from = -s $node->logfile;
	refuse_reports($node);
	is($application->do('request 0'), '200 OK', 'a request while reports fail');
	wait_for_refused($node, 'a report fails', $from);
	take_reports($node);
	is($application->do('request 0'), '200 OK', 'a request when they can again');
	is_shown($node, 'requests', 'open, checkouts, creations',
		'1|8|8', 'what was to be told is told');

	is($application->do('work 0'), 'done', 'work that is no request');
	is_shown($node, 'requests', 'open, checked_out, checkouts, creations',
		'1|0|9|9', 'is told once, as what old connections did');

	# What nobody has used for long may have lost its other end: here it stands still.
	my $pid = $application->do('leave 0');
	kill 'STOP', $pid;
	is($application->do('request 0'),
		'200 OK', 'no request waits for a report on what was left open before it');
	kill 'CONT', $pid;
	is_shown($node, 'requests', 'open, checkouts, creations',
		'1|11|11', 'which is told of with the request');

	is($application->do('stumble 0'), 'failed', 'a request whose beginning fails');
	is($application->do('work 0'),    'done',   'and work after it');
	is_shown($node, 'requests', 'open, checkouts, creations', '1|12|12', 'is told of all the same');
	$application->close;
};

# It is psycopg_pool which waits and gives up.
subtest "a process with Django's pool says what was" => sub {
  SKIP:
	{
		$application = client('reporting_django.py', dsn($node), 'pool', 0.1, 'pool');
		my $greeting = $application->answer;
		skip "Django's pool: $greeting", 5 if $greeting ne 'ready';

		$application->do("hold $_") for 0, 1;
		is(
			$application->do('request 2'),
			'500 Internal Server Error',
			'the pool is full: a request gives up'
		);
		is($application->do("let $_"), '200 OK', "request $_ ends") for 0, 1;
		wait_for_shown($node, 'pool',
			'size, max_overflow, open, checked_out, checkouts, timeouts, creations',
			'1|1|2|0|2|1|2', 'its pool says what was');
		is(counted($node, 'pool', 'checkouts, checkout_timeouts'),
			'2|1', 'and so say the sums of the pool');
		$application->close;
	}
};

done_testing();
