# Checkouts that wait though the server never sees all connections busy: advice by what clients
# report, and what they say of their sizes. Needs a past.
use strict;
use warnings FATAL => 'all';
use PoolMonitor       qw(:DEFAULT app_holder);
use PoolMonitorAdvice qw(advice_server query row pools replay advice);
use Test::More;

my $node = advice_server('waits_unseen');
my $of   = 'exhausted of web';

pools($node,
	row('web', workers => 3, pool_size => 20, max_overflow => 0, pool_recycle => "'20 min'"));
wait_for(
	$node,
	"SELECT count(*) > 0 FROM pool_monitor.history WHERE pool = 'web'",
	'it has a history'
);
query($node, "SELECT replay_holds('web', 200000, 1000)");

# A day of five checkouts a second, and what clients report of each minute.
sub past
{
	my (@reported) = @_;
	replay(
		$node,
		[
			'web', 1300,
			connections     => 60,
			max_connections => 60,
			busy            => 2,
			max_busy        => 5,
			transactions    => 300
		]
	);
	query($node, "SELECT replay_arrivals('web', 60, 1500, " . join(', ', @reported) . ')');
	return;
}

sub taken_away
{
	return query($node,
		"SELECT count(DISTINCT topic) FROM pool_monitor.advice WHERE pool = 'web' AND topic = 'idle'"
	);
}

subtest 'few wait' => sub {
	past(300, 20, 10, 0);
	is(advice($node, 'severity', $of), '', 'nothing is said');
	like(query($node, "SELECT string_agg(topic, ' ') FROM pool_monitor.advice WHERE pool = 'web'"),
		qr/idle/, 'but that it has more than it needs');
	past(300, 150, 0.3, 0);
	is(advice($node, 'severity', $of), '', 'nor of waits of 2 ms');
};

subtest 'half of them wait' => sub {
	past(300, 150, 45, 0);
	is(advice($node, 'severity, quality', $of), 'warning|reported', 'it is told');
	like(
		advice($node, 'evidence', $of),
		qr/^measured, as clients reported, in the last hour: of \d+ checkouts 50 % waited, each of these for 0\.300 s on average, and 0 timed out besides; at the ceiling of 60 for 0 % of it$/,
		'with what was measured'
	);
	my ($ask) = advice($node, 'recommendation', $of) =~ /(SELECT .*)\.$/;
	like(query($node, $ask), qr/\|/,            'and what to ask can be asked');
	like($ask, qr/\('web', pool_size => 30\)$/, 'of what it keeps, having no overflow');
	is(taken_away(), 0, 'none of them is to be taken away');
	like(
		advice($node, 'recommendation', $of),
		qr/^A process is full while/,
		'the others are said to be free'
	);
};

# By clients that have 20 or 40 of 60 connections out at a time, 2 of which are in transactions.
subtest 'connections that are in no transaction' => sub {
	query($node, q{SELECT replay_use('web', 1440, 300, 20, 60)});
	like(
		advice($node, 'recommendation', $of),
		qr/^Of the time for which checkouts have their connection, (10|10\.00|9\.9\d) % is in transactions: give it back sooner/,
		'are to be given back'
	);
	past(300, 20, 10, 0);
	is(taken_away(), 1, 'who does not wait has more than it needs');
	query($node, q{SELECT replay_use('web', 1440, 300, 2.2, 60)});
	is(taken_away(), 1, 'as when they are in transactions');
	query($node, q{SELECT replay_use('web', 1440, 300, 20, 60)});
	is(taken_away(), 0, 'but not where its clients have them');
	query($node, q{SELECT replay_use('web', 1440, 300, 20, 40)});
	is(taken_away(), 1, 'if they say so of most of them');
};

subtest 'some give up' => sub {
	past(300, 0, 0, 2);
	is(advice($node, 'severity', $of), '', 'few');
	past(300, 0, 0, 4);
	is(advice($node, 'severity', $of), 'critical', 'and more than one of a hundred');
	declare($node, "UPDATE pool_monitor.pools SET max_overflow = 4 WHERE name = 'web'");
	is(advice($node, 'severity', $of), '', 'which were of other sizes');
};

subtest 'clients of other sizes' => sub {
	my $web    = app_holder($node, 'web', 1);
	my $report = "sql 0 SELECT pool_monitor.client_report('a', 20,";
	my $says   = "SELECT calibration FROM pool_monitor.simulate('web')";
	$web->do("$report 4)");
	unlike(query($node, $says), qr/clients report sizes/, 'as declared');
	$web->do("$report 1)");
	is(query($node, $says), 'off: clients report sizes 20 + 1, which are not declared', 'or not');
	$web->close;
};

subtest 'what to ask where there is overflow' => sub {
	my %overflow = (rare => 0, often => 0.3);
	pools($node, map { row($_, workers => 3, pool_size => 10, max_overflow => 10) } keys %overflow);
	wait_for(
		$node,
		"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool IN ('rare', 'often')",
		'they have a history', 2
	);
	replay(
		$node,
		map {
			[
				$_, 60,
				connections  => 40,
				busy         => 2,
				max_busy     => 5,
				transactions => 300,
				overflow     => $overflow{$_}
			]
		} keys %overflow
	);
	query($node, "SELECT replay_arrivals('$_', 60, 1500, 300, 150, 45, 0)") foreach keys %overflow;
	like(
		advice($node, 'recommendation', 'exhausted of rare'),
		qr/\('rare', max_overflow => 20\)\.$/,
		'more of it'
	);
	like(
		advice($node, 'recommendation', 'exhausted of often'),
		qr/\('often', pool_size => 20\)\.$/,
		'or of what it keeps, where that comes and goes'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
