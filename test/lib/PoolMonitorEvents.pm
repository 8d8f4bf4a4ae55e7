# Servers with pools of every kind, and the events that they have.
package PoolMonitorEvents;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query holder_of);
use PostgreSQL::Test::Utils;

our @EXPORT = qw(query events_server events number_of wait_for_events holder psql_as
  $quoted $quoted_sql $other_client);

# The name of one of the pools.
our $quoted     = q{a 'quoted' {name}, [1]: // %s};
our $quoted_sql = $quoted =~ s/'/''/gr;

# A test's own psql runs often enough to be a storm, too.
our $other_client = "application_name IS DISTINCT FROM '$ENV{PGAPPNAME}'";

# debug1 has a line for each load of the declarations.
sub events_server
{
	my ($name) = @_;
	my $node = new_server($name,
		"max_connections = 120\npool_monitor.recycle_interval = 1h\npool_monitor.recycle_margin = 0\nlog_min_messages = debug1\n"
	);
	query($node, 'CREATE ROLE client LOGIN');
	declare(
		$node, qq{
	BEGIN;
	INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES
		('app', 'app', 2, 2), ('storm', 'storm', 5, 5), ('burst', 'burst', 20, 10),
		('$quoted_sql', 'quoted', 1, 0);
	INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, echo_pool) VALUES
		('many', 'many%', 40, 0, '1 s', '0', false),
		('echo', 'echo', 5, 0, '1 s', '0', true), ('silent', 'silent', 5, 0, '1 s', '0', false);
	COMMIT}
	);
	return $node;
}

# The given columns of the events for which the condition holds, the oldest first.
sub events
{
	my ($on, $columns, $where) = @_;
	return query($on, "SELECT $columns FROM pool_monitor.events WHERE $where ORDER BY seq");
}

# How many events fulfil the condition.
sub number_of
{
	my ($on, $where) = @_;
	return query($on, "SELECT count(*) FROM pool_monitor.events WHERE $where");
}

# Waits until so many events fulfil the condition.
sub wait_for_events
{
	my ($on, $where, $n, $what) = @_;
	return wait_for($on, "SELECT count(*) FROM pool_monitor.events WHERE $where", $what, $n);
}

sub holder { return holder_of('client', @_) }

# With -c, because psql may be gone before a test could write to its input.
sub psql_as
{
	my ($on, $name, @statements) = @_;
	local $ENV{PGAPPNAME} = $name;
	my ($out, $err) = run_command(
		[
			'psql', '-XAt', '-d',
			$on->connstr('postgres') . ' user=client',
			map { ('-c', $_) } @statements
		]
	);
	return $err;
}

1;
