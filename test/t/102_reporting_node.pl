# A real pg.Pool of node-postgres that reports, with clients/node-postgres: its figures, that
# it disturbs neither its application nor the books, and that it outlives the end of an idle
# session.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query insert_pool client_command);
use PostgreSQL::Test::Utils;
use Test::More;

# Debian's own, or the one that is there with npm; see test/setup.
my ($nodejs) = grep { -x } map { "$_/node" } '/usr/bin', split /:/, $ENV{PATH};
plan skip_all => 'there is no Node.js' unless $nodejs;
$ENV{NODE_PATH} = join ':', '/usr/share/nodejs', '/usr/lib/node_modules',
  '/usr/local/lib/node_modules', $ENV{NODE_PATH} // ();

my $node = new_server('reporting_node', "log_min_messages = error\n");
query($node, q{CREATE ROLE app LOGIN; ALTER ROLE app SET log_statement = 'all'});
declare($node, insert_pool('ems', pool_size => 3, max_overflow => 0));

my $pool = client_command($nodejs, "$FindBin::RealBin/../clients/pgpool.cjs",
	$node->host, $node->port, 'ems', 200);
my $greeting = $pool->answer;
plan skip_all => $greeting if $greeting =~ /^unavailable/;
is($greeting, 'gave up', 'one checkout has to wait, another one gives up');
note('pg ' . $pool->do('version'));

my $view = 'FROM pool_monitor.client_pools WHERE pool = $$ems$$';

sub stats
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = 'ems'");
}

sub wait_for_reports
{
	my ($what) = @_;
	my $last = query($node, 'SELECT now()');
	return wait_for(
		$node,
		"SELECT reported_at > '$last'::timestamptz + interval '1 s' FROM pool_monitor.client_reports()",
		$what
	);
}

# Waits until it knows that sessions have ended.
sub notices
{
	my ($number) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $pool->do('open') <= 3 - $number;
		select undef, undef, undef, 0.1;
	}
	die "it does not notice that sessions have ended\n";
}

# The first report is refused: then all of it is in the next.
my $gone = qr/client_report\(.* does not exist/;
query($node,
	'ALTER EXTENSION pool_monitor DROP FUNCTION pool_monitor.client_report; ALTER FUNCTION pool_monitor.client_report RENAME TO gone'
);
is($pool->do('return'), 'idle', 'all come back');
wait_for_log($node, $gone, 'the first report is refused');
query($node, 'ALTER FUNCTION pool_monitor.gone RENAME TO client_report');
wait_for(
	$node,
	"SELECT size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations, invalidations $view",
	'its pool says what was',
	'3|0|3|0|0|4|1|1|3|0'
);
wait_for(
	$node,
	"SELECT checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.4 AND 1.4 FROM pool_monitor.pool_stats WHERE pool = 'ems'",
	'and so say the sums of the pool',
	'4|1|1|t'
);
is(
	query($node, "SELECT connections, connections_reported, array_to_string(findings, '; ') $view"),
	'3|3|1 checkouts timed out',
	'declared, observed and reported agree'
);

# It goes on, and is idle all the time.
my $before = stats('transactions');
wait_for_reports('reports come in');
is(stats('transactions'), $before, 'they are no transactions');
is(
	query(
		$node,
		"SELECT bool_and(idle_for > interval '1 s') FROM pool_monitor.sessions WHERE pool = 'ems'"
	),
	't',
	'its sessions are idle'
);

# What the application left in a transaction is none of a report's business.
is($pool->do('begin'), 'begun', 'its clients come back in transactions');
is(
	query(
		$node,
		"SELECT bool_and(query = 'BEGIN') AND count(*) = 3 FROM pg_stat_activity WHERE application_name = 'ems'"
	),
	't',
	'in which nothing is reported'
);
is($pool->do('rollback'), 'idle', 'they end');
wait_for_reports('then it goes on');

# Reports between checkouts: no place of the pool gets lost.
is($pool->do('hurry'), 0, 'in a hurry');
is($pool->do('hurry'), 0, 'once more');
wait_for(
	$node,
	"SELECT checkouts, checked_out, checkouts - waits > 0 $view",
	'every checkout is counted', '1610|0|t'
);

# Sessions that end while they are idle.
my $ended = query($node,
	q{SELECT count(pg_terminate_backend(pid)) FROM pool_monitor.sessions WHERE pool = 'ems' AND state = 'idle'}
);
notices($ended);
is($pool->do('hurry'), 0, 'its process outlives the end of idle sessions');
wait_for(
	$node,
	"SELECT checkouts, creations - 3 = $ended AND invalidations = $ended $view",
	'which are replaced', '2410|t'
);

# What goes wrong is not the application's concern.
my $clients = "SELECT pid FROM pool_monitor.sessions WHERE pool = 'ems' ORDER BY pid";
my $offset  = -s $node->logfile;
my $same    = query($node, $clients);
query($node, 'ALTER FUNCTION pool_monitor.client_report RENAME TO gone');
wait_for_log($node, $gone, 'a report fails', $offset);
$offset = -s $node->logfile;
is($pool->do('wait'), 'idle', 'meanwhile a checkout has to wait');
wait_for_log($node, $gone, 'one more fails', $offset);
is(
	query(
		$node, "SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'ems' AND state <> 'idle'"
	),
	0,
	'no session is left in a transaction'
);
$offset = -s $node->logfile;
query($node, 'ALTER FUNCTION pool_monitor.gone RENAME TO client_report');
wait_for_log(
	$node,
	qr/client_report\(\$1.*\n.*DETAIL:  [Pp]arameters: .*\$13 = '0\.[4-9]/,
	'what could not be told is told later', $offset
);
wait_for($node, "SELECT checkouts, checked_out $view", 'nothing is lost', '2414|0');
is(query($node, $clients), $same, 'nor a connection');

# Not even the end of the session that it goes out on.
query($node, 'ALTER FUNCTION pool_monitor.client_report RENAME TO gone');
query($node, <<'EOS');
CREATE FUNCTION pool_monitor.client_report(text, int, int, int, int, int, bigint, bigint, float8, bigint, bigint, bigint, float8, bigint)
	RETURNS bool LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_terminate_backend(pg_backend_pid())'
EOS
wait_for_log(
	$node,
	qr/terminating connection.*\n(?:.*DETAIL:.*\n)?.*STATEMENT:  SELECT pool_monitor/,
	'a session ends in a report', $offset
);
notices(1);
is($pool->do('hurry'), 0, 'and its process goes on');
$pool->close;
done_testing();
