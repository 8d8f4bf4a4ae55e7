# A real process of Django under ASGI that reports, with clients/django: its views run in
# threads of asgiref, the event loop in another one. Needs an ASGI server, which is uvicorn.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PoolMonitorReporting;
use Test::More;

my $node = reporting_server('reporting_django_asgi');
query($node, q{ALTER ROLE app SET timezone = 'UTC'});    # as Django does, in a transaction
declare($node, join '',
	map { insert_pool($_, pool_size => 30, max_overflow => 0) } qw(threads requests pool));

my ($kind, $application, $alone, $least, $most);

# Requests that do not overlap are one use of a connection each. Where Django has one thread for
# all (before 4.0), those that do overlap are one together.
sub requested
{
	my ($command, $times, $overlap) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($application->do($command), '200', "$command: all are answered");
	$least += $overlap && !$alone ? 1 : $times;
	$most  += $times;
	return;
}

# The answer is there before the report is.
sub says
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $reports = "FROM pool_monitor.client_reports() WHERE pool = '$kind'";
	wait_for($node, "SELECT checkouts BETWEEN $least AND $most $reports", $what);
	is(query($node, "SELECT count(*) $reports"), 1, 'by one process');
	return;
}

sub counts_each
{
	requested('sync 5', 5);
	says('in functions');
	requested('async 5', 5);
	says('in coroutines');
	requested('together 50', 100, 1);
	requested('sync 1', 1);
	says('and side by side');
	my $before = counted($node, $kind, 'transactions');
	requested('sync 5',  5);
	requested('async 5', 5);
	is(counted($node, $kind, 'transactions'), $before + 10, 'reports are no transactions');
	none_in_transaction($node, $kind);
	return;
}

sub answers_before_it_reports
{
	is($application->do('hold'), 'holding', 'a request has used its connection');
	my @pids = split /\n/,
	  query($node, "SELECT pid FROM pg_stat_activity WHERE application_name = '$kind'");
	kill 'STOP', @pids;
	is($application->do('let'), '200', 'it is answered while its session stands still');
	kill 'CONT', @pids;
	$least++;
	$most++;
	says('and is told later');
	return;
}

sub fails_alone
{
	my $from = -s $node->logfile;
	refuse_reports($node);
	requested('sync 1', 1);
	wait_for_refused($node, 'a report fails', $from);
	requested('together 5', 10, 1);
	take_reports($node);
	requested('async 1', 1);
	says('what was to be told is told');
	return;
}

sub replaces_what_is_lost
{
	query($node,
		"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = '$kind'"
	);
	$application->do('sync 5');    # find out, each of its own connection
	my $known =
	  query($node, "SELECT checkouts FROM pool_monitor.client_reports() WHERE pool = '$kind'");
	is($application->do('sync 2'), '200', 'requests after that are answered');
	wait_for($node,
		"SELECT checkouts > $known FROM pool_monitor.client_reports() WHERE pool = '$kind'",
		'and reported');
	return;
}

foreach (qw(threads requests pool))
{
	$kind  = $_;
	$least = $most = 0;
	subtest "connections of $kind" => sub {
		$application = client('asgi_django.py', dsn($node), $kind, 0.05, $kind);
		my $greeting = $application->answer;
		plan(skip_all => "Django under ASGI: $greeting") if $greeting =~ /^unavailable/;
		like($greeting, qr/^ready/, 'Django is there');
		$alone = $greeting eq 'ready alone';
		subtest 'each request is counted once'                     => \&counts_each;
		subtest 'an answer does not wait for the report'           => \&answers_before_it_reports;
		subtest "what goes wrong is not the application's concern" => \&fails_alone;
		subtest 'sessions that are lost are replaced' => \&replaces_what_is_lost
		  if $kind ne 'requests';
		wait_for(
			$node,
			"SELECT connections FROM pool_monitor.budgets WHERE pool = 'requests'",
			'no connection is kept for it', 0
		) if $kind eq 'requests';
		$application->close;
	};
}

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
