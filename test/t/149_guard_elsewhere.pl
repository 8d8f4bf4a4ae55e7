# The guard where the server is another one than that on which it was declared: a standby, which
# has places of its own, before and after its promotion; a server that can no longer keep what is
# reserved; one without any pool; a pool without a bound. Needs a standby, and restarts.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder insert_pool logs_in);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary =
  new_server('guard_primary', "max_connections = 40\n", init => {allows_streaming => 1});
my $web = 'user=app application_name=web';

sub guard
{
	my ($node, $what, $pool) = @_;
	return query($node,
		"SELECT $what FROM pool_monitor.guards WHERE pool = '" . ($pool // 'web') . "'");
}

sub wait_armed
{
	my ($node, $what) = @_;
	return wait_for($node, "SELECT armed FROM pool_monitor.guards WHERE pool = 'web'", $what);
}

query($primary, 'CREATE ROLE app LOGIN');
ok(logs_in($primary, $web), 'without any pool everybody is admitted');
declare(
	$primary,
	insert_pool(
		'web',
		usename      => "'app'",
		pool_size    => 2,
		max_overflow => 0,
		guard        => "'enforce'",
		reserved     => 2
	  )
	  . insert_pool(
		'free',
		usename      => "'app'",
		pool_size    => 1,
		max_overflow => -1,
		guard        => "'enforce'",
		reserved     => 18
	  )
);
wait_armed($primary, 'it is in force on the primary');
is(guard($primary, 'connection_limit IS NULL, armed', 'free'),
	't|t', 'a pool without a bound has no limit');
ok(logs_in($primary, 'user=app application_name=free'), 'and is admitted');

subtest 'a standby has places of its own' => sub {
	$primary->backup('backup');
	my $standby = PostgreSQL::Test::Cluster->new('guard_standby');
	$standby->init_from_backup($primary, 'backup', has_streaming => 1);
	$standby->start;
	wait_armed($standby, 'it is in force there');
	my $there = holder($primary, 'web', user => 'app', sessions => 2);
	ok(!logs_in($primary, $web), 'the primary has no place left');
	my $here = holder($standby, 'web', user => 'app', sessions => 2);
	ok(!logs_in($standby, $web), 'the standby had as many');
	is(guard($standby, 'places, places_peak, guarded'), '2|2|1', 'and counts its own');
	$there->close;
	$standby->promote;
	wait_for($standby, 'SELECT NOT pg_is_in_recovery()', 'it is promoted');
	ok(!logs_in($standby, $web), 'and is as full as before');
	$here->close;
	wait_for(
		$standby,
		"SELECT places FROM pool_monitor.guards WHERE pool = 'web'",
		'all have gone', 0
	);
	ok(logs_in($standby, $web), 'and then it has room');
	$standby->stop;
};

subtest 'reserves that no longer fit are not kept' => sub {
	my $events =
	  "SELECT string_agg(event || ' ' || (detail ->> 'usable_connections'), ' ' ORDER BY seq) FROM pool_monitor.events WHERE event ~ '^guard_' AND detail ? 'reserved'";
	like(guard($primary, 'shared_free, reserved'), qr/^\d+\|2$/, 'they are kept');
	$primary->append_conf('postgresql.conf', 'max_connections = 20');
	$primary->restart;
	wait_armed($primary, 'with fewer connections the limit is still in force');
	is(guard($primary, 'shared_free, reserved, connection_limit'),
		'|0|2', 'and nothing is reserved');
	wait_for($primary, $events, 'which is told', 'guard_disarmed 17');
	is(
		log_count(
			$primary, qr/keeps no connections reserved: 20 are to be, of 17 that can be used here/
		),
		1,
		'in the log, too'
	);
	my $held = holder($primary, 'web', user => 'app', sessions => 2);
	ok(!logs_in($primary, $web), 'the limit holds');
	$held->close;
	$primary->append_conf('postgresql.conf', 'max_connections = 40');
	$primary->restart;
	wait_armed($primary, 'with more');
	wait_for(
		$primary,
		"SELECT reserved FROM pool_monitor.guards WHERE pool = 'web'",
		'they are kept again', 2
	);
};

$primary->stop;
done_testing();
