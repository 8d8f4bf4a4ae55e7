# A real process of Django under ASGI that reports, with clients/django: its views run in
# threads of asgiref, the event loop in another one. Needs an ASGI server, which is uvicorn.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PoolMonitorReporting;
use Test::More;

my $node = reporting_server('reporting_django_asgi');
declare($node, insert_pool('asgi', pool_size => 100, max_overflow => 0));
my ($application) =
  python_client('Django under ASGI', 'asgi_django.py', dsn($node), 'asgi', 0.05);

# Requests that do not overlap are one use of a connection each. Where Django has one thread for
# all (before 4.0), those that do overlap are one together.
my $least = 0;
my $most  = 0;

sub requested
{
	my ($command, $times, $overlap) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($application->do($command), '200', "$command: all are answered");
	$least += $overlap ? 1 : $times;
	$most  += $times;
	return;
}

# The answer is there before the report is.
sub says
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $reports = q{FROM pool_monitor.client_reports() WHERE pool = 'asgi'};
	wait_for($node, "SELECT checkouts BETWEEN $least AND $most $reports", $what);
	is(query($node, "SELECT count(*) $reports"), 1, 'by one process');
	is(
		query(
			$node,
			"SELECT (SELECT checkouts FROM pool_monitor.pool_stats WHERE pool = 'asgi') = (SELECT checkouts $reports)"
		),
		't',
		'and so say the sums of the pool'
	);
	return;
}

subtest 'each request is counted once' => sub {
	requested('sync 5', 5);
	says('in functions');
	requested('async 5', 5);
	says('in coroutines');
	requested('together 50', 100, 1);
	requested('sync 1', 1);
	says('and side by side');
	my $before = counted($node, 'asgi', 'transactions');
	requested('sync 5',  5);
	requested('async 5', 5);
	is(counted($node, 'asgi', 'transactions'), $before + 10, 'reports are no transactions');
	none_in_transaction($node, 'asgi');
};

subtest 'an answer does not wait for the report' => sub {
	is($application->do('hold'), 'holding', 'a request has used its connection');
	my @pids = split /\n/,
	  query($node, q{SELECT pid FROM pg_stat_activity WHERE application_name = 'asgi'});
	kill 'STOP', @pids;
	is($application->do('let'), '200', 'it is answered while its session stands still');
	kill 'CONT', @pids;
	$least++;
	$most++;
	says('and is told later');
};

subtest "what goes wrong is not the application's concern" => sub {
	my $from = -s $node->logfile;
	refuse_reports($node);
	requested('sync 1', 1);
	wait_for_refused($node, 'a report fails', $from);
	requested('together 5', 10, 1);
	take_reports($node);
	requested('async 1', 1);
	says('what was to be told is told');
};

subtest 'sessions that are lost are replaced' => sub {
	query($node,
		q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'asgi'}
	);
	$application->do('sync 1');    # finds out
	my $known =
	  query($node, q{SELECT checkouts FROM pool_monitor.client_reports() WHERE pool = 'asgi'});
	is($application->do('sync 2'), '200', 'requests after that are answered');
	wait_for($node,
		"SELECT checkouts > $known FROM pool_monitor.client_reports() WHERE pool = 'asgi'",
		'and reported');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
