# Pools whose sessions are retired one after the other, as soon as they are a second
# old, where nothing else is said.
package PoolMonitorRetirement;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(query retirement_server app_holder row pools setting retired has_begun time_passes
  stands_still pauses goes_on);

sub retirement_server
{
	my ($name) = @_;
	my $node = new_server($name,
		"pool_monitor.recycle_interval = 200ms\nmax_connections = 250\nlog_min_messages = warning\nlisten_addresses = '127.0.0.1'\n"
	);
	query($node, 'CREATE ROLE app LOGIN; GRANT TEMPORARY ON DATABASE postgres TO app');
	return $node;
}

sub row
{
	my ($name, %columns) = @_;
	return insert_pool(
		$name,
		pool_recycle  => "'1 s'",
		recycle_grace => "'0'",
		recycle_mode  => "'terminate'",
		pool_size     => 1,
		max_overflow  => 0,
		%columns
	);
}

# These, and one that is there for all the time.
sub pools
{
	my ($node, @rows) = @_;
	declare($node, join '', "DELETE FROM pool_monitor.pools WHERE name <> 'steady';", @rows);
	return;
}

sub setting
{
	my ($node, $line) = @_;
	$node->append_conf('postgresql.conf', "$line\n");
	$node->reload;
	return;
}

sub retired { return "SELECT retired FROM pool_monitor.pool_stats WHERE pool = '$_[0]'" }

# Its first session is gone. It has enough of them for a machine that is slow, and
# fewer than a storm is made of.
sub has_begun
{
	my ($node, $pool) = @_;
	wait_for($node, "SELECT retired >= 1 FROM pool_monitor.pool_stats WHERE pool = '$pool'",
		'it has begun');
	return;
}

# Time passes in which several of a pool's sessions would have had their turn.
sub time_passes
{
	my ($node, $pool) = @_;
	my $now = query($node,
		"SELECT EXTRACT(EPOCH FROM max(idle_for)) FROM pool_monitor.sessions WHERE pool = '$pool'");
	wait_for(
		$node,
		"SELECT EXTRACT(EPOCH FROM max(idle_for)) > $now + 3.5 FROM pool_monitor.sessions WHERE pool = '$pool'",
		'time passes'
	);
	return;
}

# Nobody of the pool goes any more.
sub stands_still
{
	my ($node, $pool, $what) = @_;
	my $before = query($node, retired($pool));
	time_passes($node, $pool);
	is(query($node, retired($pool)), $before, $what);
	return;
}

# How many there were, of those that the condition picks.
sub pauses
{
	my ($node, $where) = @_;
	return query($node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND $where");
}

# Retirement of the pool goes on from here.
sub goes_on
{
	my ($node, $pool, $more, $what) = @_;
	my $stats = "FROM pool_monitor.pool_stats WHERE pool = '$pool'";
	my $now   = query($node, "SELECT retired $stats");
	wait_for($node, "SELECT retired >= $now + $more $stats", $what);
	return;
}

1;
