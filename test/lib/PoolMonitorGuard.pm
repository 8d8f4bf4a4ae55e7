# Pools whose guard is on: their server, who logs in, and what was counted.
package PoolMonitorGuard;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use FindBin;
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(query insert_pool guard_server guard pools armed setting logins counted is_counted
  guards wait_for_guards);

# A server for the clients' role "app".
sub guard_server
{
	my ($name, $conf, %param) = @_;
	my $node = new_server($name, "max_connections = 60\n" . ($conf // ''), %param);
	query($node, 'CREATE ROLE app LOGIN');
	return $node;
}

# The declaration of a pool that may hold so many, whose guard is to enforce it where nothing
# else is said.
sub guard
{
	my ($name, $limit, %columns) = @_;
	return insert_pool(
		$name,
		pool_size    => $limit,
		max_overflow => 0,
		guard        => "'enforce'",
		%columns
	);
}

# The view guards, of a pool; undef is what is undeclared.
sub guards
{
	my ($pool, $columns) = @_;
	return "SELECT $columns FROM pool_monitor.guards WHERE pool "
	  . (defined $pool ? "= '$pool'" : 'IS NULL');
}

sub wait_for_guards
{
	my ($node, $pool, $columns, $expected, $what) = @_;
	return wait_for($node, guards($pool, $columns), $what, $expected);
}

# Waits until all that is declared is held against logins.
sub armed
{
	my ($node) = @_;
	return wait_for(
		$node,
		q{SELECT bool_and(armed) FROM pool_monitor.guards WHERE guard <> 'off'},
		'the guards are armed'
	);
}

# These, and no others, with nothing counted.
sub pools
{
	my ($node, @rows) = @_;
	declare($node, join '', 'DELETE FROM pool_monitor.pools;', @rows);
	query($node, 'SELECT pool_monitor.reset()');
	return armed($node);
}

# A setting that is in force at once, also for the worker's next tick.
sub setting
{
	my ($node, $name, $value) = @_;
	query($node, "ALTER SYSTEM SET $name = '$value'");
	$node->reload;
	wait_for($node, "SELECT current_setting('$name') = '$value'", "$name is $value");
	return;
}

# A client of test/clients/logins.py.
sub logins
{
	my ($node, $name, $user) = @_;
	my $client = client('logins.py', $node->host, $node->port, $user // 'app', $name);
	$client->answer;
	return $client;
}

# The sums of a pool.
sub counted
{
	my ($node, $pool, $columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = '$pool'");
}

sub is_counted
{
	my ($node, $pool, $columns, $expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(counted($node, $pool, $columns), $expected, $what);
}

1;
