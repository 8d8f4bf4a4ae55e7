# A real process of Django that reports, with clients/django: its figures, and that it
# disturbs neither its application nor the books. With a connection for each thread, and
# with the pool that Django has from 5.1 on.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query insert_pool client);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('reporting_django', "log_min_messages = error\n");
query($node, 'CREATE ROLE app LOGIN');
declare($node,
		insert_pool('threads', pool_size => 3, max_overflow => 0)
	  . insert_pool('pool', pool_size => 1, max_overflow => 1));
my $dsn = sprintf 'host=%s port=%s dbname=postgres user=app', $node->host, $node->port;

sub shown
{
	my ($columns, $name) = @_;
	$name //= 'threads';
	return "SELECT $columns FROM pool_monitor.client_pools WHERE pool = '$name'";
}

sub counted
{
	my ($columns, $name) = @_;
	$name //= 'threads';
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = '$name'");
}

my $application = client('reporting_django.py', $dsn, 'threads', 0.05, 'threads');
my $greeting    = $application->answer;
plan(skip_all => "Django: $greeting") if $greeting ne 'ready';

# Each thread has its connection; two are at work when the third has done its.
$application->do("hold $_") for 0 .. 2;
is($application->do('let 0'),     '200 OK', 'one of three requests ends');
is($application->do('request 0'), '200 OK', 'and there is another one');
is(query($node, shown('size, max_overflow, open, checked_out, waiting, checkouts, creations')),
	'3|0|3|2||4|3', 'the process says what it has');
is($application->do("let $_"), '200 OK', "request $_ ends") for 1, 2;
is($application->do('request 0'), '200 OK', 'one more');
is(query($node, shown('open, checked_out, checkouts, creations')),
	'3|0|5|3', 'all of them are idle');
is(counted('checkouts, checkout_waits, checkout_timeouts'),
	'5|0|0', 'and so say the sums of the pool');
is(query($node, shown("connections, connections_reported, array_to_string(findings, '; ')")),
	'3|3|', 'declared, observed and reported agree');

# Each request is one transaction, a report is none.
my $before = counted('transactions');
is($application->do("request $_"), '200 OK',    "request with a report, $_") for 0 .. 2;
is(counted('transactions'),        $before + 3, 'reports are no transactions');
is($application->do('hurry 100'),  'done',      'in a hurry');
is($application->do('request 1'),  '200 OK',    'and once more');
is(query($node, shown('open, checked_out, checkouts')), '3|0|309', 'every use is counted');
is(
	query(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'threads' AND state <> 'idle'"
	),
	0,
	'all sessions are idle'
);

# What is lost while nobody looks: Django looks before it goes on.
my $pid = "pid FROM pool_monitor.client_reports() WHERE pool = 'threads'";
is($application->do('hold 1'), 'holding', 'a request has used its connection');
query($node, "SELECT pg_terminate_backend(pid, 10000) FROM (SELECT $pid) AS its");
is($application->do('let 1'),     '200 OK', 'which is lost before it ends');
is($application->do('request 1'), '200 OK', 'the next one has a new connection');
is(query($node, shown('open, creations, checkouts')), '3|4|311', 'and it says so');

# What goes wrong is not the application's concern.
my $signature = 'pool_monitor.client_report';
my $from      = -s $node->logfile;
query($node,
	"ALTER EXTENSION pool_monitor DROP FUNCTION $signature; ALTER FUNCTION $signature RENAME TO gone"
);
is($application->do('request 2'), '200 OK', 'a request while reports fail');
wait_for_log($node, qr/client_report\(.* does not exist/, 'a report fails', $from);
is(
	query(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'threads' AND state <> 'idle'"
	),
	0,
	'no session is left in a transaction'
);
my $child = $application->do('fork');
wait_for_log($node, qr/client_report\('[^']*:$child:/, 'a child cannot report either', $from);
query($node,
	"ALTER FUNCTION pool_monitor.gone RENAME TO client_report; ALTER EXTENSION pool_monitor ADD FUNCTION $signature"
);
is($application->do('request 2'), '200 OK', 'a request when they can again');
is(query($node, shown('open, creations, checkouts') . " AND process NOT LIKE '%:$child:%'"),
	'3|4|313', 'what was to be told is told');
my $of_child = query($node,
	"SELECT coalesce(sum(checkouts), 0) FROM pool_monitor.client_reports() WHERE process LIKE '%:$child:%'"
);
is(counted('checkouts') - $of_child, 313, 'and once');

wait_for(
	$node,
	"SELECT open, creations FROM pool_monitor.client_pools WHERE process LIKE '%:$child:%'",
	'a child reports of its own connection', '1|1'
);
$application->do('reap');
wait_for(
	$node,
	"SELECT checkouts = (SELECT sum(checkouts) FROM pool_monitor.client_pools WHERE pool = 'threads') FROM pool_monitor.pool_stats WHERE pool = 'threads'",
	'of which all is counted, though its first reports have failed'
);
$application->close;

# With the pool it is psycopg_pool which waits and gives up.
SKIP:
{
	$application = client('reporting_django.py', $dsn, 'pool', 0.1, 'pool');
	$greeting    = $application->answer;
	skip "Django's pool: $greeting", 5 if $greeting ne 'ready';

	$application->do("hold $_") for 0, 1;
	is(
		$application->do('request 2'),
		'500 Internal Server Error',
		'the pool is full: a request gives up'
	);
	is($application->do("let $_"), '200 OK', "request $_ ends") for 0, 1;
	wait_for(
		$node,
		shown('size, max_overflow, open, checked_out, checkouts, timeouts, creations', 'pool'),
		'its pool says what was',
		'1|1|2|0|2|1|2'
	);
	is(counted('checkouts, checkout_timeouts', 'pool'), '2|1', 'and so say the sums of the pool');
	$application->close;
}
done_testing();
