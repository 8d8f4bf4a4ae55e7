# Logins that are authenticated, and then have no business in the database of a pool, do not
# use up what its connect_rate admits. Needs a database, and logins that are denied.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT holder);
use PoolMonitorGuard;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = guard_server('guard_outsiders', "pool_monitor.sample_interval = 100ms\n");

query($node, 'CREATE ROLE outsider LOGIN');
query($node, 'CREATE DATABASE inside OWNER app');
query($node, 'REVOKE CONNECT ON DATABASE inside FROM PUBLIC');

# What becomes of a login there.
sub attempt
{
	my ($role) = @_;
	my $err;
	IPC::Run::run(
		['psql', '-X', '-w', '-c', 'SELECT 1', '-d', $node->connstr('inside') . " user=$role"],
		'<', '/dev/null', '>', '/dev/null', '2>', \$err);
	return $err;
}

pools(
	$node,
	guard(
		'inside', 1,
		application_name => 'NULL',
		datname          => "'inside'",
		max_overflow     => 9,
		connect_rate     => 1,
		connect_burst    => 3
	)
);
my $base = holder($node, 'base', user => 'app', dbname => 'inside');

my %errors;
$errors{attempt('outsider') =~ /FATAL:  (.*?)(?: for|$)/m ? $1 : 'none'}++ foreach 1 .. 12;
is_deeply(\%errors, {'permission denied' => 12}, 'outsiders are told that they may not come in');
is_counted($node, 'inside', 'guarded, rejected', '0|12', 'which is all that they are');
is(attempt('app'), '', 'who may come in fits above base');
wait_for_guards($node, 'inside', 'places', 1, 'and none of them has a place');

# those that were admitted do count, though they are gone
my $held_off = 0;
$held_off += attempt('app') =~ /too many logins at a time for pool "inside"/ foreach 1 .. 12;
cmp_ok($held_off, '>', 0, 'logins that are admitted still go by the rate');

$base->close;
$node->stop;
done_testing();
