# What the views look at grows with the pools that there are, not with their square: no part
# of their plans looks at each pool for each. Nor do they seem so dear that the server would
# compile them, which takes a thousand times as long as they do. Only TAP can declare so many
# pools, and reads plans.
use strict;
use warnings FATAL => 'all';
use JSON::PP;
use PoolMonitor qw(:DEFAULT query);
use Test::More;

use constant {POOLS => 150, SESSIONS => 60};

# The most rows that one part of the plan has looked at, and which one it is.
sub most
{
	my ($node) = @_;
	my $rows =
	  $node->{'Actual Loops'} *
	  ($node->{'Actual Rows'} +
		  ($node->{'Rows Removed by Filter'}      // 0) +
		  ($node->{'Rows Removed by Join Filter'} // 0));
	my @most = ($rows, $node->{'Node Type'} . ' ' . ($node->{'CTE Name'} // ''));
	foreach my $part (@{$node->{Plans} // []})
	{
		my @of = most($part);
		@most = @of if $of[0] > $most[0];
	}
	return @most;
}

my $node = new_server('growth', 'pool_monitor.max_pools = ' . POOLS . "\nmax_connections = 100\n");
declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, guard)"
	  . " SELECT 'pool ' || i, 'application ' || i, 1, 1, 'report' FROM generate_series(1, "
	  . POOLS
	  . ") AS i");
wait_for(
	$node,
	'SELECT count(*) >= ' . POOLS . ' FROM pool_monitor.workload()',
	'each pool has a past'
);

# Each has a process that reports, and one of them many sessions.
my $holder =
  PoolMonitor::Holder->new($node, application_name => 'application 1', sessions => SESSIONS);
query(
	$node,
	join ';',
	map { "SET application_name = 'application $_'; SELECT pool_monitor.client_report('p')" }
	  1 .. POOLS
);
is(query($node, 'SELECT count(DISTINCT pool) FROM pool_monitor.client_pools'),
	POOLS, 'all pools report');

my $dear = $node->safe_psql('postgres', 'SHOW jit_above_cost');
foreach
  my $view (qw(advice checklist client_pools overview budgets workload guards pool_stats server))
{
	my $plan = decode_json(
		$node->safe_psql(
			'postgres',
			"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT * FROM pool_monitor.$view"
		)
	);
	my ($rows, $part) = most($plan->[0]{Plan});
	cmp_ok($rows, '<=', 20 * POOLS, "$view: no more than twenty times the pools, in $part");
	cmp_ok($plan->[0]{Plan}{'Total Cost'}, '<', $dear / 2, "$view: far from jit_above_cost");
}

$node->stop;
done_testing();
