# A pool that gets the account of one that is no longer declared has nothing of what the guard
# has told of that one, nor its peak. There are two accounts here, so the third pool has that of the first.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query logs_in insert_pool holder);
use Test::More;

my $node = new_server('guard_heirs', "pool_monitor.max_pools = 1\n");
query($node, 'CREATE ROLE app LOGIN');

foreach my $pool (map { "pool-$_" } 1 .. 4)
{
	declare(
		$node,
		'DELETE FROM pool_monitor.pools;'
		  . insert_pool(
			$pool,
			pool_size    => 1,
			max_overflow => 0,
			usename      => "'app'",
			guard        => "'enforce'"
		  )
	);
	my $guard = "FROM pool_monitor.guards WHERE pool = '$pool'";
	wait_for($node, "SELECT armed $guard", "$pool is in force");
	is(query($node, "SELECT guarded, last_guarded $guard"), '0|', 'and has refused nobody');
	my $client = holder($node, $pool, user => 'app');
	ok(!logs_in($node, "user=app application_name=$pool"), 'until now');
	is(query($node, "SELECT guarded, last_guarded IS NOT NULL $guard"), '1|t', 'which is told');
	$client->close;
}

# Without a guard both go by the same.
my @peaks;
foreach my $pool (map { "free-$_" } 1 .. 4)
{
	declare($node,
		'DELETE FROM pool_monitor.pools;'
		  . insert_pool($pool, pool_size => 1, max_overflow => 0, usename => "'app'"));
	my $peak = "SELECT places_peak FROM pool_monitor.guards WHERE pool = '$pool'";
	push @peaks, query($node, $peak);
	my $client = holder($node, $pool, user => 'app');
	is(query($node, $peak), 1, "$pool has one");
	$client->close;
}
is("@peaks", '0 0 0 0', 'nor its peak');

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
