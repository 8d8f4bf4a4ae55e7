# For how long a report says what is the case now: the same for each who goes by it, and
# not for ever. Needs a clock of its own (libfaketime).
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool holder_of);
use PoolMonitorClock;
use Test::More;

plan skip_all => 'libfaketime is not installed' unless PoolMonitorClock::library();

my $clock = PoolMonitorClock->new('report_age', '');
my $node  = $clock->node;
query($node, 'CREATE ROLE app LOGIN');
declare($node, insert_pool('web'));
my $session = holder_of('app', $node, 'web', sessions => 1);

# Who waits, and how many processes report.
sub counted
{
	return query($node,
		"SELECT b.waiting, c.processes_reporting, c.process FROM pool_monitor.budgets AS b JOIN pool_monitor.client_pools AS c USING (pool)"
	);
}

is(
	$session->do(
		"sql 0 SELECT pool_monitor.client_report('a', 5, 0, 5, 5, 7, 100, reports_before => 0)"),
	'True',
	'a report'
);
is(query($node, 'SELECT pool_monitor.report_counts_for()'), '00:01:30', 'counts for a while');
is(counted(),                                               '7|1|a',    'in both views');
$clock->step(60);
is(counted(), '7|1|a', 'as long as it is not older');
$clock->step(40);
is(counted(),                      '||a', 'then in neither, though it is still shown');
is(log_count($node, 'PANIC|TRAP'), 0,     'nothing broke');
$session->close;
$node->stop;
done_testing();
