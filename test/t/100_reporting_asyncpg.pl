# A real pool of asyncpg that reports, with clients/asyncpg: its figures, and that it
# disturbs neither its application nor the books.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('reporting_asyncpg', "log_min_messages = error\n");
query($node, 'CREATE ROLE app LOGIN');
declare($node, insert_pool('ems', pool_size => 2, max_overflow => 1));

my $dsn  = sprintf 'host=%s port=%s dbname=postgres user=app', $node->host, $node->port;
my $pool = client('reporting_asyncpg.py', $dsn, 'ems', 0.2);
my ($said, $waited) = split /(?<=p) /, $pool->answer, 2;
plan(skip_all => "asyncpg: $said") if $said =~ /unavailable/;
is($said, 'gave up', 'one checkout has to wait, two others give up');

my $view   = 'FROM pool_monitor.client_pools WHERE pool = $$ems$$';
my $newest = 'SELECT reported_at FROM pool_monitor.client_reports()';

sub counted
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = 'ems'");
}

is($pool->do('return'), 'idle', 'all come back');
wait_for(
	$node,
	"SELECT size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations $view",
	'its pool says what was',
	'2|1|3|0|0|4|1|2|3'
);
is(
	counted("checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.3 AND $waited"),
	'4|1|2|t', 'and so say the sums of the pool'
);
is(
	query($node, "SELECT connections, connections_reported, array_to_string(findings, '; ') $view"),
	'3|3|2 checkouts timed out',
	'declared, observed and reported agree'
);

# It goes on, and is idle all the time.
my $before = counted('transactions');
my $first  = query($node, $newest);
wait_for($node, "SELECT ($newest) > '$first'::timestamptz + interval '0.5 s'", 'reports come in');
is(counted('transactions'), $before, 'they are no transactions');
is(
	query(
		$node,
		"SELECT bool_and(idle_for > interval '0.5 s' AND state = 'idle') FROM pool_monitor.sessions WHERE pool = 'ems'"
	),
	't',
	'its sessions are idle'
);

# Reports between checkouts, and one of a pool that has lost a connection: no place gets lost.
is($pool->do('hurry'), 0, 'in a hurry');
wait_for($node, "SELECT checkouts, checked_out $view", 'every checkout is counted', '404|0');
query($node, 'SELECT pg_terminate_backend(pid) FROM pool_monitor.client_reports()');
wait_for($node, "SELECT open, creations $view", 'without a connection that is lost', '2|3');
is($pool->do('places'), 3, 'the pool has all its places');
wait_for($node, "SELECT open, creations $view", 'and one more connection', '3|4');

# What goes wrong is not the application's concern.
my $signature = 'pool_monitor.client_report';
query($node,
	"ALTER EXTENSION pool_monitor DROP FUNCTION $signature; ALTER FUNCTION $signature RENAME TO gone"
);
is($pool->do('wait'), 'waited', 'one waits while reports fail');
wait_for_log($node, qr/client_report\(.* does not exist/, 'a report fails', -s $node->logfile);
is(
	query(
		$node, "SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'ems' AND state <> 'idle'"
	),
	0,
	'no session is left in a transaction'
);
is($pool->do('places'), 3,         'the pool still has all its places');
is($pool->do('stop'),   'stopped', 'for a while');
query($node,
	"ALTER FUNCTION pool_monitor.gone RENAME TO client_report; ALTER EXTENSION pool_monitor ADD FUNCTION $signature"
);
is($pool->do('once'), 'once', 'again');
wait_for(
	$node,
	"SELECT checkouts, creations, longest_wait >= 0.3 $view",
	'what was to be told then is told now, on the same connections', '414|4|t'
);
is(
	counted('checkouts, checkout_waits, checkout_timeouts'),
	query($node, "SELECT checkouts, waits, timeouts $view"),
	'and once'
);
is($pool->do('full'), 'full', 'none is idle when a report is due');
is(query($node, "SELECT open, checked_out, waiting, checkouts $view"),
	'3|2|0|418', 'it comes with the next that nobody waits for');
$pool->close;
done_testing();
