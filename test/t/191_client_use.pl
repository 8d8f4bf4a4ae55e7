# client_report(): for how long clients have their connections, of what share of all of them.
# Needs sessions that report, and a past between two reports.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use Test::More;

my $node = new_server('client_use');
create_forge($node);
query($node, 'CREATE ROLE app LOGIN');
declare($node, insert_pool('web', workers => 2, pool_size => 2, max_overflow => 1));
my $web = app_holder($node, 'web', 1);

sub counted
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = 'web'");
}

# What a report adds: checkouts, of them those of which the rest is, seconds checked out, and
# whether as many are open. Its last one was so many seconds ago.
my %sent;

sub reports
{
	my ($process, $ago, $open, $seconds, @open_for) = @_;
	my $columns = 'checkouts, timed_checkouts, checked_out_seconds, reported_open_seconds';
	my @before  = split /\|/, counted($columns);
	my $number  = $sent{$process} // 0;
	my $sum     = 10 * ++$sent{$process};
	query($node, "SELECT forge_silence('$process', 1000 * $ago)") if $ago > 0;
	$web->do(
		"sql 0 SELECT pool_monitor.client_report('$process', open => $open, checkouts => $sum, checked_out_seconds => $seconds, reports_before => $number)"
	);
	my @after   = split /\|/, counted($columns);
	my @came    = map { $after[$_] - $before[$_] } 0 .. 3;
	my $as_many = $open_for[0] <= $came[3] + 0.001 && $came[3] - 0.001 <= $open_for[1];
	return join '|', @came[0 .. 2], $as_many ? 'as many' : "open for $came[3]";
}

subtest 'of one process' => sub {
	is(
		reports('a', 0, 1, 700, 700, 700),
		'10|10|700|as many',
		'at first, of which open is what was in use, at least'
	);
	is(
		reports('a', 200, 3, 705, 400, 480),
		'10|10|5|as many',
		'then, with those that were open, on average'
	);
	is(
		reports('a', 200, 3, 2705, 2000, 2000),
		'10|10|2000|as many',
		'which are as many as were in use'
	);
	is(reports('a', 1800, 1, 2706,   3600, 3780), '10|10|1|as many', 'also after a long silence');
	is(reports('a', 200,  1, 'NULL', 0,   0), '10|0|0|as many', 'what is not known is not counted');
	is(reports('a', 200,  1, 5000,   0,   0), '10|0|0|as many', 'nor what came until it is known');
	is(reports('a', 200,  1, 5001,   200, 240), '10|10|1|as many', 'again');
	is(reports('a', 200,  'NULL', 5002, 0, 0),
		'10|0|0|as many', 'nothing without how many are open');
	my (undef, undef, $told) = $node->psql('postgres',
		q{SELECT pool_monitor.client_report('told', checkouts => 1, checked_out_seconds => 1)});
	like(
		$told,
		qr/NOTICE:  checked_out_seconds is not counted without open/,
		'of which a notice tells'
	);
};

subtest 'of one that has just begun' => sub {
	$web->do('sql 0 SELECT forge_session_age(10 * 1000)');
	is(reports('c', 0, 3, 0, 30, 59), '10|10|0|as many', 'open for as long as its session');
	$web->do('sql 0 SELECT forge_session_age(3600 * 1000)');
	is(
		reports('d', 0, 3, 0, 180, 180),
		'10|10|0|as many',
		'which may be older, if a pooler has it: for a minute at most'
	);
	$sent{d} = 0;
	is(reports('d', 0, 3, 0, 0, 90), '10|10|0|as many', 'and not for longer than it was silent');
};

subtest 'where it is shown' => sub {
	my $sums = 'timed_checkouts, checked_out_seconds, round(reported_open_seconds)';
	my $here = counted($sums);
	is(reports('b', 0, 2, 25, 0, 3600), '10|10|25|as many', 'another process');
	is(query($node, "SELECT mean_use FROM pool_monitor.client_pools WHERE process = 'b'"),
		2.5, 'of each');
	$here = counted($sums);
	wait_for(
		$node,
		"SELECT sum(timed_checkouts), sum(checked_out_seconds), round(sum(reported_open_seconds)) FROM pool_monitor.history WHERE pool = 'web' AND resolution = '1 minute'",
		'in the history',
		$here
	);
	is(query($node, "SELECT $sums FROM pool_monitor.workload(pool => 'web') AS w"),
		$here, 'and in the workload');
	like(
		query($node, 'SELECT pool_monitor.report()'),
		qr/; each had its connection for [\d.,]+ m?s on average</,
		'and in the report'
	);
};

# avg_busy, avg_connections, seen, checked_out_seconds, reported_open_seconds
sub share
{
	my ($arguments) = @_;
	return query($node, "SELECT round(pool_monitor.share_in_transactions($arguments)::numeric, 3)");
}

subtest 'in transactions' => sub {
	is(share("2, 10, '1 hour', 14400, 36000"),   '0.500', 'half of the time');
	is(share("2, 10, '1 hour', 12960, 32400"),   '0.500', 'as nine of ten report it');
	is(share("2, 10, '1 hour', 7200, 18000"),    '',      'not as five of ten do');
	is(share("2, 10, '1 hour', 14400, 71000"),   '0.986', 'as they report when most are open');
	is(share("2, 10, '1 hour', 14400, 73000"),   '', 'not where they say far more than there are');
	is(share("2, 10, '1 hour', 3600, 36000"),    '1.000', 'never more than all of it');
	is(share("NULL, 10, '1 hour', 3600, 36000"), '',      'not known');
	is(share("2, 10, '0', 1, 1"),                '',      'in no time');
	is(share("0, 0, '1 hour', 0, 0"),            '',      'of nothing');
};

$web->close;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
