# Real pools of psycopg_pool that report, with clients/psycopg_pool: their figures, and that
# it disturbs neither the application nor the books.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('reporting_psycopg', "log_min_messages = error\n");
query($node, 'CREATE ROLE app LOGIN');
declare($node, join '', map { insert_pool($_, pool_size => 2, max_overflow => 1) } 'sync', 'async');
my $dsn = sprintf 'host=%s port=%s dbname=postgres user=app', $node->host, $node->port;

sub shown
{
	my ($name, $columns) = @_;
	return "SELECT $columns FROM pool_monitor.client_pools WHERE pool = '$name'";
}

sub counted
{
	my ($name, $columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = '$name'");
}

sub newest
{
	my ($name) = @_;
	return "SELECT reported_at FROM pool_monitor.client_reports() WHERE pool = '$name'";
}

# The checkout for which the pool opens its third connection has to wait, too.
sub figures
{
	my ($name, $pool, $waited) = @_;

	is($pool->do('return'), 'idle', "$name: all come back");
	wait_for(
		$node,
		shown(
			$name,
			'size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations, invalidations'
		),
		"$name: its pool says what was",
		'2|1|3|0|0|4|2|1|3|0'
	);
	is(
		counted(
			$name,
			"checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.3 AND $waited"
		),
		'4|2|1|t',
		"$name: and so say the sums of the pool"
	);
	is(
		query(
			$node,
			shown($name, "connections, connections_reported, array_to_string(findings, '; ')")
		),
		'3|3|1 checkouts timed out',
		"$name: declared, observed and reported agree"
	);
	return;
}

# It goes on, and is idle all the time.
sub undisturbed
{
	my ($name) = @_;
	my $before = counted($name, 'transactions');
	my $first  = query($node, newest($name));

	wait_for(
		$node,
		"SELECT (" . newest($name) . ") > '$first'::timestamptz + interval '0.5 s'",
		"$name: reports come in"
	);
	is(counted($name, 'transactions'), $before, "$name: they are no transactions");
	is(
		query(
			$node,
			"SELECT bool_and(idle_for > interval '0.5 s' AND state = 'idle') FROM pool_monitor.sessions WHERE pool = '$name'"
		),
		't',
		"$name: its sessions are idle"
	);
	return;
}

# Reports between checkouts, and on a connection that is lost: no place gets lost.
sub places
{
	my ($name, $pool) = @_;

	is($pool->do('hurry'), 0, "$name: in a hurry");
	wait_for(
		$node,
		shown($name, 'checkouts, checked_out'),
		"$name: every checkout is counted", '404|0'
	);
	query($node,
		"SELECT pg_terminate_backend(pid) FROM pool_monitor.client_reports() WHERE pool = '$name'");
	wait_for(
		$node,
		shown($name, 'open, creations, invalidations'),
		"$name: a report on a lost connection", '3|4|1'
	);
	is($pool->do('places'), 3, "$name: the pool has all its places");
	return;
}

# What goes wrong is not the application's concern.
sub failing
{
	my ($name, $pool) = @_;
	my $signature = 'pool_monitor.client_report';

	query($node,
		"ALTER EXTENSION pool_monitor DROP FUNCTION $signature; ALTER FUNCTION $signature RENAME TO gone"
	);
	is($pool->do('wait'), 'waited', "$name: one waits while reports fail");
	my $from = -s $node->logfile;
	wait_for_log($node, qr/client_report\(.* does not exist/, "$name: a report fails", $from);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.sessions WHERE pool = '$name' AND state <> 'idle'"
		),
		0,
		"$name: no session is left in a transaction"
	);
	is($pool->do('places'), 3,         "$name: the pool still has all its places");
	is($pool->do('stop'),   'stopped', "$name: for a while");
	query($node,
		"ALTER FUNCTION pool_monitor.gone RENAME TO client_report; ALTER EXTENSION pool_monitor ADD FUNCTION $signature"
	);
	is($pool->do('once'), 'once', "$name: again");
	wait_for(
		$node,
		shown($name, 'checkouts, longest_wait >= 0.3'),
		"$name: what was to be told then is told now", '414|t'
	);
	is(
		counted($name, 'checkouts, checkout_waits, checkout_timeouts'),
		query($node, shown($name, 'checkouts, waits, timeouts')),
		"$name: and once"
	);
	is($pool->do('full'), 'full', "$name: none is idle when a report is due");
	is(query($node, shown($name, 'open, checked_out, waiting, checkouts')),
		'3|2|0|418', "$name: it comes with the next that nobody waits for");
	return;
}

foreach my $name ('sync', 'async')
{
	my $pool = client('reporting_psycopg_pool.py', $dsn, $name, 0.2, $name);
	my ($said, $waited) = split /(?<=p) /, $pool->answer, 2;
	plan(skip_all => "psycopg_pool: $said") if $said =~ /unavailable/;

	is($said, 'gave up', "$name: some checkouts have to wait, another one gives up");
	figures($name, $pool, $waited);
	undisturbed($name);
	places($name, $pool);
	failing($name, $pool);
	if ($name eq 'sync')
	{
		my $child = $pool->do('fork');
		wait_for(
			$node,
			"SELECT count(*) FROM pool_monitor.client_pools WHERE process LIKE '%:$child:%'",
			'a child that opens its own pool reports under a name of its own', 1
		);
		$pool->do('reap');
	}
	$pool->close;
}
done_testing();
