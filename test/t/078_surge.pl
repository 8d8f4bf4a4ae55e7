# Surge: the processes that run beside the others while a deployment overlaps. What they add
# to a pool's budget, to the server's sum, and to what is advised. Needs declarations in force.
use strict;
use warnings FATAL => 'all';
use PoolMonitorAdvice;
use PoolMonitor;
use Test::More;

# 79 connections are usable, 65 the budget.
my $node = advice_server('surge');
my $server =
  'SELECT declared_base, declared_ceiling, declared_budget, declared_surged, status FROM pool_monitor.server';

sub declared
{
	my (%columns) = @_;
	pools($node, row('p', %columns));
	return query($node,
		'SELECT d.base, d.ceiling, d.surge_ceiling, d.budget, b.budget FROM pool_monitor.declared() d JOIN pool_monitor.budgets b USING (pool)'
	);
}

subtest 'a pool: whole processes more, in the budget and not in the ceiling' => sub {
	my @three = (workers => 3, pool_size => 2, max_overflow => 3);
	is(declared(@three),                            '6|15|15|15|15',  'none by default');
	is(declared(@three, surge => 25),               '6|15|20|20|20',  '25 % of three are one more');
	is(declared(@three, surge => 33),               '6|15|20|20|20',  'so are 33 %');
	is(declared(@three, surge => 34),               '6|15|25|25|25',  '34 % are two');
	is(declared(@three, surge => 100),              '6|15|30|30|30',  'all twice');
	is(declared(@three, servers => 2, surge => 50), '12|30|45|45|45', 'half of all servers');
	is(declared(@three, surge => 100, budget => 20), '6|15|30|20|20', 'a declared budget stays');
	is(declared(pool_size => 2, max_overflow => -1, surge => 100), '2||||', 'without a bound');
	is(
		declared(servers => 100, workers => 100, pool_size => 20, max_overflow => 0, surge => 1000),
		'200000|200000|262143|262143|262143',
		'no more than any server can have'
	);
};

subtest 'the server: the largest one, and beside it all at once' => sub {
	my @ten = (workers => 10, pool_size => 1, max_overflow => 0);
	pools(
		$node,
		row('a', @ten, surge  => 100),
		row('b', @ten, surge  => 50),
		row('c', @ten, budget => 30, surge => 100),
		row('d', workers => 5, pool_size => 1, max_overflow => 0)
	);
	is(query($node, $server),
		'35|35|65|70|ok', '10 + 10 + 30 + 5 at rest, 10 for the largest surge');
	pools(
		$node,
		row('a', @ten, surge  => 100),
		row('b', @ten, surge  => 60),
		row('c', @ten, budget => 31, surge => 100),
		row('d', workers => 5, pool_size => 1, max_overflow => 0)
	);
	is(query($node, $server), '35|35|66|72|overcommitted', 'one more is too many');
	is(
		query(
			$node,
			"SELECT evidence, current, proposed FROM pool_monitor.advice WHERE topic = 'overcommitted' AND pool IS NULL"
		),
		'declared budgets 66 with the largest surge (72 with all at once), connection budget 65 of 79 usable|65|66',
		'and the advice says so'
	);
	is(
		query($node, 'SELECT status, evidence FROM pool_monitor.checklist WHERE item = 5'),
		'warn|declared budgets 66 of 79 usable: 16 % headroom with the largest surge; 72 with all at once',
		'and the checklist'
	);
	pools($node, row('a', @ten, surge => 100), row('b', pool_size => 5, max_overflow => -1));
	is(query($node, $server), '15||||overcommitted', 'without a bound');
};

subtest 'status and advice' => sub {
	my @small = (workers => 2, pool_size => 1, max_overflow => 0);
	pools($node, row('deployed', @small, surge => 50));
	my $held = app_holder($node, 'deployed', 3);
	is(query($node, 'SELECT status, over_budget, overflow FROM pool_monitor.budgets'),
		'overflow|0|1', 'what a surge brings is not over the budget');
	my $more = app_holder($node, 'deployed', 1);
	is(query($node, 'SELECT status, over_budget FROM pool_monitor.budgets'),
		'over|1', 'one more is');
	$_->close foreach $held, $more;
	my $declaration =
	  "SELECT count(*), max(evidence) FROM pool_monitor.advice WHERE topic = 'declaration' AND pool = 'past'";
	pools($node, row('past', @small, surge => 50));
	replay($node, ['past', 60, connections => 3, max_connections => 3]);
	is(query($node, $declaration), '0|', 'nor is the declaration wrong');

	# five may be three, and a successor of each of two
	replay($node, ['past', 60, connections => 6, max_connections => 6]);
	like(
		query($node, $declaration),
		qr/^1\|6 connections at one moment of .*the last day, ceiling 2 = 1 servers \* 2 workers \* \(1 \+ 0\), 3 with a surge of 50 %$/,
		'unless there were more'
	);
};

# 20 and 19 are declared, and 20 of the surge: 6 of 65 are left. The two processes could have
# three more each, and the two of their surge nothing.
subtest 'a step up leaves room for the surge' => sub {
	pools(
		$node,
		row('sat',   workers   => 2,  pool_size    => 10, max_overflow => 0, surge => 100),
		row('other', pool_size => 19, max_overflow => 0)
	);
	replay(
		$node,
		[
			'sat', 60,
			busy            => 18,
			max_busy        => 20,
			connections     => 20,
			max_connections => 20,
			transactions    => 50000,
			exhausted       => 0.3
		]
	);
	is(
		query(
			$node,
			"SELECT setting, current, proposed FROM pool_monitor.advice WHERE topic = 'exhausted' AND pool = 'sat'"
		),
		'pool_size|10|11',
		'6 connections are left: one more for each of four processes'
	);
};

subtest 'plan() has the surge of one instance in its buffer' => sub {
	my $plan = 'SELECT base, ceiling, buffer, required_max_connections FROM pool_monitor.plan';
	is(query($node, "$plan(2, 4, 1, 10, 5)"), '80|120|24|144', 'none');
	is(query($node, "$plan(2, 4, 1, 10, 5, surge => 25)"),
		'80|120|60|180', 'two processes of 15, and 20 % of 150');
	is(query($node, "$plan(1, 3, 4, 6, 8, 0, 100)"), '72|168|42|210', 'one of four instances');
	is(query($node, "$plan(1, 3, 4, 0, 8, 0, 100)"), '0|||',          'without a bound');
	my ($rc, $out, $err) = $node->psql('postgres', "$plan(1, 3, 4, 6, 8, 0, 1001)");
	like($err, qr/surge must be between 0 and 1000, not 1001/, 'a bad one');
};

done_testing();
