# A pool that may open more in need than its size, as PgBouncer with a reserve: declared
# with a budget above its ceiling it is exhausted at the ceiling, and over above the
# budget; views, events and advice go by that. Needs real clients, and a past.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('reserve');
pools($node, row('bouncer', pool_size => 4, max_overflow => 0, budget => 6));

sub budget
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.budgets WHERE pool = 'bouncer'");
}

my $figures =
  'base, ceiling, budget, connections, busy, overflow, over_budget, percent_of_budget, status';
my $bouncer = app_holder($node, 'bouncer', 4);

subtest 'it is exhausted at its ceiling, and over above its budget' => sub {
	is(budget($figures), '4|4|6|4|0|0|0|66.7|ok', 'as many as its size');
	$bouncer->do('busy 4');
	is(budget($figures), '4|4|6|4|4|0|0|66.7|exhausted', 'all of them busy: exhausted');
	$bouncer->do('open 1');
	is(budget($figures), '4|4|6|5|4|1|0|83.3|exhausted', 'with one of the reserve it still is');
	$bouncer->do('busy 5');
	is(budget($figures), '4|4|6|5|5|1|0|83.3|exhausted', 'with that busy, too');
	$bouncer->do('free');
	is(budget($figures), '4|4|6|5|0|1|0|83.3|overflow', 'idle: the reserve is in use, no more');
	$bouncer->do('open 1');
	is(budget($figures), '4|4|6|6|0|2|0|100.0|overflow', 'all of the reserve');
	$bouncer->do('open 1');
	is(budget($figures), '4|4|6|7|0|3|1|116.7|over', 'more than the reserve: over');
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE pool = 'bouncer' AND event = 'over_budget' AND detail ->> 'budget' = '6'",
		'an event says so',
		'1'
	);
};

$bouncer->close;

my @busy        = (connections => 5, busy => 1, max_busy => 2, transactions => 1000);
my $declaration = "SELECT pool, evidence FROM pool_monitor.advice WHERE topic = 'declaration'";
my $first_item  = 'SELECT status, evidence FROM pool_monitor.checklist WHERE item = 1';

subtest 'within the reserve all is as declared' => sub {
	pools($node, row('bouncer', pool_size => 4, max_overflow => 0, budget => 6));
	replay($node, ['bouncer', 60, @busy, max_connections => 6]);
	is(query($node, $declaration), '', 'within the reserve: as declared');
	like(query($node, $first_item), qr/^pass\|.* 0 exhausted or above/, 'and large enough');
};

subtest 'more than the reserve is more than declared' => sub {
	replay($node, ['bouncer', 60, @busy, max_connections => 8]);
	like(
		query($node, $declaration),
		qr/^bouncer\|8 connections at one moment of .*the last day, ceiling 4 = 1 servers \* 1 workers \* \(4 \+ 0\), budget 6$/,
		'above the reserve: more than declared'
	);
	like(query($node, $first_item), qr/ 1 exhausted or above/, 'the checklist has it, too');
};

subtest 'a budget below the ceiling is no reserve' => sub {
	pools($node, row('tight', pool_size => 4, max_overflow => 0, budget => 2));
	replay($node, ['tight', 60, @busy, max_connections => 6]);
	like(
		query($node, $declaration),
		qr/^tight\|6 connections .*\(4 \+ 0\)$/,
		'a budget below the ceiling'
	);
};

subtest 'without a ceiling nothing was declared that could be exceeded' => sub {
	pools($node, row('open', pool_size => 4, max_overflow => -1, budget => 6));
	replay($node, ['open', 60, @busy, max_connections => 9]);
	is(query($node, $declaration),
		'', 'without a ceiling nothing was declared that could be exceeded');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
