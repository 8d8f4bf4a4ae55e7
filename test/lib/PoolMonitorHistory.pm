# What the history says of a pool, against what real clients did.
package PoolMonitorHistory;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query holder_of worker_pid);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT =
  qw(now query worker_pid history_server set sums since watch between holder gone fill_up
  retire_two ask_until agrees_with_stats $stats);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# What the minutes of a pool add up to, in seconds and numbers.
my @sums = qw(seen connections busy connects disconnects refused retired
  overflow exhausted over max_connections max_busy);

sub sums_query
{
	my ($pool) = @_;
	return
	  "SELECT coalesce(sum(seen), 0), coalesce(sum(avg_connections * seen), 0), coalesce(sum(avg_busy * seen), 0),
		coalesce(sum(connects), 0), coalesce(sum(disconnects), 0), coalesce(sum(refused), 0), coalesce(sum(retired), 0),
		coalesce(sum(overflow_seconds), 0), coalesce(sum(exhausted_seconds), 0), coalesce(sum(over_seconds), 0),
		coalesce(max(max_connections), 0), coalesce(max(max_busy), 0)
		FROM pool_monitor.history WHERE pool = '$pool' AND resolution = '1 minute'";
}

sub sums
{
	my ($on, $pool) = @_;
	my %sum;
	@sum{@sums} = split /\|/, query($on, sums_query($pool));
	return \%sum;
}

sub since
{
	my ($on, $pool, $before) = @_;
	my $after = sums($on, $pool);
	return {map { $_ => $after->{$_} - $before->{$_} } @sums};
}

# Waits until the worker has watched the pool for some more seconds.
sub watch
{
	my ($on, $pool, $seconds, $what) = @_;
	my $seen = sums($on, $pool)->{seen};
	return wait_for(
		$on,
		"SELECT coalesce(sum(seen), 0) >= $seen + $seconds FROM pool_monitor.history WHERE pool = '$pool' AND resolution = '1 minute'",
		$what
	);
}

sub between
{
	my ($value, $least, $most, $what) = @_;
	return ok($value >= $least && $value <= $most, $what)
	  || diag("$value is not between $least and $most");
}

sub holder { return holder_of('client', @_) }

sub gone
{
	my ($on, $name) = @_;
	return wait_for(
		$on,
		"SELECT connections FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) = '$name'",
		"$name: no connection is left",
		'0'
	);
}

# With a role "client", for which it has 57 slots. debug1 has a line for each load of the
# declarations.
sub history_server
{
	my ($name) = @_;
	my $node = new_server(
		$name,
		"max_connections = 60\npool_monitor.recycle_interval = 1h\npool_monitor.recycle_margin = 0\nlog_min_messages = debug1\n",
		init => {allows_streaming => 1}
	);
	query($node, 'CREATE ROLE client LOGIN');
	return $node;
}

# Takes all slots, and has a login of application "three" refused. Returns who has them.
sub fill_up
{
	my ($node) = @_;
	my $filler = holder($node, 'filler', sessions => 57);
	local $ENV{PGAPPNAME} = 'three';
	my ($out, $err) = run_command(
		['psql', '-X', '-d', $node->connstr('postgres') . ' user=client', '-c', 'SELECT 1']);
	like($err, qr/remaining connection slots are reserved/, 'a full server');
	return $filler;
}

# Two sessions of pool "three" are retired.
sub retire_two
{
	my ($node) = @_;
	my $three = holder($node, 'three', sessions => 2);
	wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'three'", 'two stale',
		'2');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.recycle('three', dry_run => false) WHERE action = 'retired'"
		),
		'2',
		'two retired'
	);
	$three->close;
	return;
}

# The worker has new settings when it loads the declarations again, as it does after
# a reload.
sub set
{
	my ($node, $name, $value) = @_;
	my $offset = -s $node->logfile;
	$node->append_conf('postgresql.conf', "pool_monitor.$name = $value\n");
	$node->reload;
	return wait_for_log(
		$node,
		qr/pool_monitor errand: loading the declared pools/,
		"$name is $value", $offset
	);
}

# ---- sums: a session that stays asks, so that asking changes nothing ----

sub ask_until
{
	my ($asker, $sql, $expected, $what) = @_;
	my $end = now() + $PostgreSQL::Test::Utils::timeout_default;
	my $answer;
	do
	{
		$answer = $asker->do("sql 0 $sql");
		select(undef, undef, undef, 0.05) if $answer ne $expected;
	} while ($answer ne $expected && now() < $end);
	return is($answer, $expected, $what);
}
our $stats = "concat_ws(',', connects - taken_over, disconnects - given_over, refused, retired)";

# All pools but these two, of which not all is known.
sub agrees_with_stats
{
	my ($asker) = @_;
	my $history =
	  "(SELECT concat_ws(',', coalesce(sum(connects), 0), coalesce(sum(disconnects), 0), coalesce(sum(refused), 0), coalesce(sum(retired), 0)) FROM pool_monitor.history h WHERE h.pool = s.pool AND resolution = '1 minute')";
	return ask_until(
		$asker,
		"SELECT string_agg(pool || ': ' || $stats || ' counted, ' || $history || ' in history', '; ' ORDER BY pool) FROM pool_monitor.pool_stats s WHERE pool NOT IN ('(other)', 'fresh') AND $stats <> $history",
		'None',
		'connects, disconnects, refused and retired are those of pool_stats'
	);
}

1;
