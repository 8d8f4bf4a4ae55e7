# Who has not reported for five minutes is forgotten: not shown, his place another's, and
# what he says then counted only from then on, as it may have been counted before. Nobody
# waits for that: a library of the tests makes reports older.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use Test::More;

my $node = new_server('report_silence', "pool_monitor.max_client_processes = 16\n");
query($node, 'CREATE ROLE app LOGIN');
create_forge($node);
declare($node, insert_pool('web'));
my $web = app_holder($node, 'web', 1);

sub report
{
	my ($process, $values) = @_;
	return $web->do("sql 0 SELECT pool_monitor.client_report('$process'$values)");
}

sub silent
{
	my ($process, $seconds) = @_;
	is(query($node, "SELECT forge_silence('$process', 1000 * $seconds)"),
		1, "$process is silent for $seconds seconds more");
	return;
}

sub shown
{
	return query($node,
		"SELECT string_agg(process, ' ' ORDER BY process) FROM pool_monitor.client_pools");
}

my $checkouts = "SELECT checkouts FROM pool_monitor.pool_stats WHERE pool = 'web'";

subtest 'not shown' => sub {
	is(report('a', ', checkouts => 10, reports_before => 0'), 'True', 'a report');
	is(report('b', ', checkouts => 5, reports_before => 0'),  'True', 'and another');
	silent('a', 200);
	is(shown(), 'a b', 'who has been silent for less is shown');
	silent('a', 100);
	is(shown(),                  'b', 'who has been so for five minutes is not');
	is(query($node, $checkouts), 15,  'what he said is counted all the same');
};

subtest 'back again' => sub {
	is(report('a', ', checkouts => 13, reports_before => 1'), 'True', 'he reports again');
	is(shown(),                                               'a b',  'and is shown');
	is(query($node, $checkouts),                              18, 'what came meanwhile is counted');
	silent('a', 300);
};

subtest 'full, as he said' => sub {
	my $full = "SELECT count(*) FROM pool_monitor.client_pools WHERE findings::text ~ 'full'";
	report('b', ', size => 2, max_overflow => 1, open => 0, checked_out => 0, waiting => 0');
	report('a',
		', size => 2, max_overflow => 1, open => 3, checked_out => 3, checkouts => 13, reports_before => 2'
	);
	is(query($node, $full), 1, 'so it is while he reports');
	silent('a', 100);
	is(query($node, $full), 0, 'and not when he has gone silent');
	silent('a', 200);
};

subtest 'his place' => sub {
	is(scalar(grep { report("p$_", '') eq 'True' } 1 .. 14), 14, 'all that are free are taken');
	is(report('p15', ''), 'True',  'and then the one of him who is silent');
	is(report('p16', ''), 'False', 'but of nobody else');
	is(report('a',   ''), 'False', 'nor is there one for him');
	silent('b', 300);
	is(report('a', ', checkouts => 20, reports_before => 3'), 'True', 'until another is silent');
	is(query($node, $checkouts), 18, 'what he did before may have been counted already');
	is(report('a', ', checkouts => 21, reports_before => 4'), 'True', 'he goes on');
	is(query($node, $checkouts),                              19,     'and is counted from there');
};

$web->close;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
