# A real pool of SQLAlchemy that reports, with clients/sqlalchemy: its figures, and that
# it disturbs neither its application nor the books. Needs the library itself, in Python.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('reporting', "log_min_messages = error\n");
query($node, 'CREATE ROLE app LOGIN');
declare($node, insert_pool('ems', pool_size => 2, max_overflow => 1));

# Reports are refused at first; then all of it is in the next.
my $gone = qr/client_report\(.* does not exist/;
query($node,
	'ALTER EXTENSION pool_monitor DROP FUNCTION pool_monitor.client_report; ALTER FUNCTION pool_monitor.client_report RENAME TO gone'
);

my $dsn  = sprintf 'host=%s&port=%s&dbname=postgres&user=app', $node->host, $node->port;
my $pool = client('reporting.py', $dsn, 'ems', 0.2);
is($pool->answer, 'gave up', 'one checkout has to wait, another one gives up');

my $view = 'FROM pool_monitor.client_pools WHERE pool = $$ems$$';
my $stats =
  "SELECT checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.3 AND 0.9 FROM pool_monitor.pool_stats WHERE pool = 'ems'";
is($pool->do('return'), 'idle', 'all come back');
wait_for_log($node, $gone, 'a report is refused');
query($node, 'ALTER FUNCTION pool_monitor.gone RENAME TO client_report');
wait_for(
	$node,
	"SELECT size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations $view",
	'its pool says what was',
	'2|1|2|0|0|4|1|1|3'
);
is(query($node, $stats), '4|1|1|t', 'and so say the sums of the pool');
is(
	query($node, "SELECT connections, connections_reported, array_to_string(findings, '; ') $view"),
	'2|2|1 checkouts timed out',
	'declared, observed and reported agree'
);

# It goes on, and is idle all the time.
my $before = query($node, "SELECT transactions FROM pool_monitor.pool_stats WHERE pool = 'ems'");
my $first  = query($node, "SELECT reported_at FROM pool_monitor.client_reports()");
wait_for(
	$node,
	"SELECT reported_at > '$first'::timestamptz + interval '1 s' FROM pool_monitor.client_reports()",
	'reports come in'
);
is(query($node, "SELECT transactions FROM pool_monitor.pool_stats WHERE pool = 'ems'"),
	$before, 'they are no transactions');
is(
	query(
		$node,
		"SELECT bool_and(idle_for > interval '1 s') FROM pool_monitor.sessions WHERE pool = 'ems'"
	),
	't',
	'its sessions are idle'
);

# A child that inherits the pool, and with it the sockets of its parent, says nothing on them.
my $child = $pool->do('fork');
is(
	query($node, "SELECT count(*) FROM pool_monitor.client_pools WHERE process LIKE '%:$child:%'"),
	0,
	'a child that inherits it does not report'
);
$first = query($node, 'SELECT reported_at FROM pool_monitor.client_reports()');
wait_for(
	$node,
	"SELECT reported_at > '$first' FROM pool_monitor.client_reports()",
	'and disturbs nobody'
);

# Reports between checkouts: no place of the pool gets lost.
is($pool->do('hurry'), 0, 'in a hurry');
is($pool->do('hurry'), 0, 'once more');
wait_for(
	$node,
	"SELECT checkouts, checked_out, checkouts - waits > 0 $view",
	'every checkout is counted', '1604|0|t'
);

# What goes wrong is not the application's concern.
query($node, 'ALTER FUNCTION pool_monitor.client_report RENAME TO gone');
wait_for_log($node, $gone, 'a report fails', -s $node->logfile);
is(
	query(
		$node, "SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'ems' AND state <> 'idle'"
	),
	0,
	'no session is left in a transaction'
);
$pool->close;
done_testing();
