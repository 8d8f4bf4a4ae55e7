# What pool_monitor advises of pools with a past, replayed into the history by a library
# of the tests (test/modules), or with sessions that are real.
package PoolMonitorAdvice;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use PostgreSQL::Test::Utils;

our @EXPORT =
  qw(query advice_server row pools replay forget no_past in_one_minute advice app_holder);

# It has 79 slots for ordinary roles, and a budget of 65.
sub advice_server
{
	my ($name) = @_;
	my $node = new_server($name,
		"max_connections = 82\nsuperuser_reserved_connections = 3\npool_monitor.connection_budget = 65\npool_monitor.recycle_interval = 1h\nlisten_addresses = '127.0.0.1,::1'\n"
	);
	query($node, 'CREATE ROLE app LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats');
	create_replay($node);
	return $node;
}

# Columns that are not given are such that nothing is to be said of the pool.
sub row
{
	my ($name, %columns) = @_;
	return insert_pool($name, pool_recycle => "'30 min'", %columns);
}

# These and no others.
sub pools
{
	my ($node, @rows) = @_;
	declare($node, join '', 'DELETE FROM pool_monitor.pools;', @rows);
	return;
}

# Minutes of the past, all alike; several calls come to be of the same minutes. The
# worker goes on with the last one of them, so averages are a little less exact. When a minute
# begins meanwhile, all that was laid of these pools is laid anew.
my @past =
  qw(connections max_connections busy max_busy connects disconnects refused transactions overflow exhausted);

sub replay
{
	my ($node, @calls) = @_;
	my @pools  = map { $_->[0] } @calls;
	my @before = map { calls_of($node, $_) } @pools;

	# or its first minute would be one too many
	in_one_minute(
		$node,
		sub {
			my ($try) = @_;
			forget($node, @pools) if $try > 1;
			lay_again($node, @before) if $try > 1;
			lay_again($node, @calls);
		}
	);
	return;
}

# Those that a pool's past is made of: what is laid over it leaves the rest of it.
my %laid;

sub calls_of
{
	my ($node, $pool) = @_;
	return @{$laid{$node->name}{$pool} // []};
}

sub lay_again
{
	my ($node, @calls) = @_;
	my $sql = join ";\n", map {
		my ($pool, $minutes, %figures) = @$_;
		"SELECT replay_history('$pool', $minutes, "
		  . join(', ', map { $figures{$_} // 0 } @past) . ')'
	} @calls;
	$node->safe_psql('postgres', $sql) if @calls;
	foreach my $call (@calls)
	{
		my ($pool, $minutes) = @$call;
		$laid{$node->name}{$pool} =
		  [(grep { $_->[1] > $minutes } calls_of($node, $pool)), $call];
	}
	return;
}

# What $do answers when no minute has begun meanwhile, which the worker would have added to a
# past that it lays; given which try it is. With PM_MINUTE_BEGINS=1 one always has, at first.
our $minute_begins = $ENV{PM_MINUTE_BEGINS};

sub in_one_minute
{
	my ($node, $do) = @_;
	my $begins = $minute_begins;
	local $minute_begins = 0;    # in another one
	my $minute = q{SELECT date_trunc('minute', clock_timestamp())};
	foreach my $try (1 .. 5)
	{
		my $before = $node->safe_psql('postgres', $minute);
		my @answer = $do->($try);
		wait_for($node, "SELECT date_trunc('minute', clock_timestamp()) > '$before'", 'a minute')
		  if $try == 1 && $begins;
		return wantarray ? @answer : $answer[-1]
		  if $before eq $node->safe_psql('postgres', $minute);
	}
	die "this takes longer than a minute\n";
}

# They have no past any more.
sub forget
{
	my ($node, @pools) = @_;
	foreach (@pools)
	{
		$node->safe_psql('postgres', "SELECT replay_history('$_', 0" . ', 0' x @past . ')');
		delete $laid{$node->name}{$_};
	}
	return;
}

# Nor has any other, nor the server.
sub no_past
{
	my ($node) = @_;
	$node->safe_psql('postgres',
		"SELECT replay_rings(ARRAY[date_trunc('minute', now())], ARRAY[date_trunc('hour', now())])"
	);
	delete $laid{$node->name};
	return;
}

sub advice
{
	my ($node, $columns, $where) = @_;
	return $node->safe_psql('postgres',
		"SELECT $columns FROM pool_monitor.advice WHERE topic = '$where'" =~
		  s/topic = '(\w+) of (\w+)'/topic = '$1' AND pool = '$2'/r);
}

1;
