# What clients' pools report of their waits, in the history, the workload, and the advice,
# where it goes before the model. Needs a past, and a session that reports.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT holder);
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('reported_waits');
pools($node, row('web', pool_size => 10, max_overflow => 0));
query($node, 'CREATE ROLE stranger LOGIN');
my $web = app_holder($node, 'web', 1);

my $sent = 0;

# The sums of its only process.
sub report
{
	my ($checkouts, $waits, $waited, $timeouts) = @_;
	is(
		$web->do(
			"sql 0 SELECT pool_monitor.client_report('a', 10, 0, 10, 10, 0, $checkouts, $waits, $waited, $timeouts, reports_before => $sent)"
		),
		'True',
		"report $sent"
	);
	$sent++;
	return;
}

sub is_in_history
{
	my ($figures, $what) = @_;
	my $columns = 'checkouts, checkout_waits, waited_seconds, checkout_timeouts';
	wait_for(
		$node,
		"SELECT $columns FROM pool_monitor.history WHERE pool = 'web' AND resolution = '1 hour'",
		"$what: of the hour", $figures
	);
	is(
		query(
			$node,
			"SELECT $columns FROM pool_monitor.workload WHERE pool = 'web' AND span = 'hour'"
		),
		$figures,
		"$what: in the workload"
	);
	return;
}

my $exhausted = 'exhausted of web';

report(0, 0, 0, 0);
replay(
	$node,
	[
		'web', 60,
		max_busy     => 10,
		busy         => 9,
		connections  => 10,
		exhausted    => 0.5,
		transactions => 5000
	]
);
like(advice($node, 'evidence', $exhausted), qr/Erlang/, 'nothing reported: a model is asked');
is(advice($node, 'severity, setting', $exhausted), 'critical|pool_size', 'and more is proposed');

report(1000, 250, 12.5, 3);
is_in_history('1000|250|12.5|3', 'what came');
like(
	advice($node, 'evidence', $exhausted),
	qr/measured, as 1 of 1 processes report: of 1000 checkouts 25 % waited, each of these for 0\.050 s on average, and 3 timed out besides$/,
	'what was measured goes before the model'
);
is(advice($node, 'severity, setting', $exhausted),
	'critical|pool_size', 'it is still to be mended');

subtest 'they survive a restart' => sub {
	$web->close;
	$node->restart;
	is_in_history('1000|250|12.5|3', 'after a restart');
	$web  = app_holder($node, 'web', 1);
	$sent = 0;
};

my $checkouts =
  "SELECT sum(checkouts) FROM pool_monitor.history WHERE pool = 'web' AND resolution = '1 minute'";

subtest 'nobody waited' => sub {
	my $other = q{sql 0 SELECT pool_monitor.client_report('b', reports_before => 0, waits =>};
	$web->do("$other 0)");
	report(0, 0, 0, 0);
	no_past($node);

	# with more of everything than its hour may have had meanwhile, which else stands in its place
	replay(
		$node,
		[
			'web', 1,
			max_busy     => 10,
			busy         => 9,
			connections  => 10,
			connects     => 10,
			exhausted    => 1,
			transactions => 5000
		]
	);
	report(500, 0, 0, 0);
	wait_for($node, $checkouts, 'a report', 500);
	wait_for(
		$node,
		"SELECT severity FROM pool_monitor.advice WHERE topic = 'exhausted'",
		'of a part of the time says little', 'critical'
	);

	wait_for(
		$node,
		"SELECT bool_and(first_reported_at < now() - interval '3 s') FROM pool_monitor.client_reports()",
		'it has reported for longer than what comes'
	);
	query($node, <<'EOS');
SELECT replay_rings(ARRAY[date_trunc('minute', now())], ARRAY[date_trunc('hour', now())]);
SELECT replay_stretch('web', '1 minute', date_trunc('minute', now()), 1, 10, 10, 9, 10, 0, 0, 0, 0, 5000, 0, 1, 0);
EOS
	report(900, 0, 0, 0);
	wait_for($node, $checkouts, 'another report', 400);
	is(
		advice($node, 'severity, finding', $exhausted),
		'info|all connections were busy, but no checkout waited, as its clients report',
		'of all of it says that nothing is to be done'
	);
	my $unknown = qr/: the next checkout waited/;
	$web->do("$other NULL)");
	like(advice($node, 'finding', $exhausted), $unknown, 'where all of them know');
	$web->do("$other 0)");
	unlike(advice($node, 'finding', $exhausted), $unknown, 'and they do again');
	my $stranger = holder($node, 'web', user => 'stranger');
	like(advice($node, 'finding', $exhausted),
		$unknown, 'while nobody says it of another role that has sessions there');
	$stranger->close;
	wait_for($node, "SELECT count(*) FROM pool_monitor.sessions WHERE usename = 'stranger'",
		'it has gone', 0);
	unlike(advice($node, 'finding', $exhausted), $unknown, 'and it has none any more');
	report(901, 0, 0.1, 0);
	wait_for($node, $checkouts, 'some that waited, and it is not known how many', 401);
	like(advice($node, 'finding', $exhausted), $unknown, 'also until they have waited');
	like(
		advice($node, 'evidence', $exhausted),
		qr/ report: of \d+ checkouts some waited, 0\.100 s in all/,
		'for how long is said'
	);
	report(902, 1, 0.1, 0);
	wait_for($node, $checkouts, 'one that waited', 402);
	like(advice($node, 'finding', $exhausted), $unknown, 'until one has to wait');
};

$web->close;
done_testing();
