# A real pool of HikariCP that reports, with clients/hikaricp: its figures, and that it
# disturbs neither its application nor the books, by JDBC's way of sending a statement.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query insert_pool client_command);
use PostgreSQL::Test::Utils;
use Test::More;

my @jars    = map  { "/usr/share/java/$_.jar" } qw(HikariCP postgresql slf4j-api slf4j-nop);
my ($javac) = grep { -x } map { "$_/javac" } '/usr/bin', split /:/, $ENV{PATH};
my @missing = grep { !-e } @jars;
plan skip_all => 'there is no Java compiler' unless $javac;
plan skip_all => "there is no @missing" if @missing;

my $classes = PostgreSQL::Test::Utils::tempdir();
my $root    = "$FindBin::RealBin/../..";
my $path    = join ':', @jars, $classes;
must_run(
	$javac, '-Xlint:all,-processing', '-Werror', '-d', $classes, '-cp', $path,
	"$root/clients/hikaricp/PoolMonitorReporter.java",
	"$root/test/clients/HikariPoolClient.java"
);
(my $java = $javac) =~ s/javac$/java/;

my $node =
  new_server('reporting_hikari', "log_min_messages = error\nlisten_addresses = '127.0.0.1'\n");
query($node, q{CREATE ROLE app LOGIN; ALTER ROLE app SET log_statement = 'all'});
append_to_file($node->data_dir . '/pg_hba.conf', "host all app 127.0.0.1/32 trust\n");
$node->reload;
declare($node, insert_pool('ems', pool_size => 3, max_overflow => 0));

# Without the half second for which HikariCP trusts a connection: each checkout asks whether
# it is alive, which is a transaction.
my $pool = client_command(
	$java,
	'-XX:TieredStopAtLevel=1',
	'-Dcom.zaxxer.hikari.aliveBypassWindowMs=0',
	'-cp',
	$path,
	'HikariPoolClient',
	'jdbc:postgresql://127.0.0.1:' . $node->port . '/postgres?user=app',
	'ems',
	100
);
is($pool->answer, 'gave up', 'one checkout has to wait, another one gives up');

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
		"SELECT reported_at > '$last'::timestamptz + interval '1 s' FROM pool_monitor.client_reports() WHERE pool = 'ems'",
		$what
	);
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
	"SELECT size, max_overflow, open, checked_out, waiting, checkouts, waits BETWEEN 1 AND 3, timeouts, creations $view",
	'its pool says what was',
	'3|0|3|0|0|4|t|1|3'
);
wait_for(
	$node,
	"SELECT checkouts, checkout_waits BETWEEN 1 AND 3, checkout_timeouts, waited_seconds BETWEEN 0.4 AND 1.4 FROM pool_monitor.pool_stats WHERE pool = 'ems'",
	'and so say the sums of the pool',
	'4|t|1|t'
);
is(
	query($node, "SELECT connections, connections_reported, array_to_string(findings, '; ') $view"),
	'3|3|1 checkouts timed out',
	'declared, observed and reported agree'
);

# It goes on, and is idle all the time, also when the driver has prepared the statement and
# the server has made a plan for all values.
my $before  = stats('transactions');
my $reports = qr/execute S_\d+: SELECT pool_monitor.client_report/;
wait_for_log($node, $reports,                'the statement gets prepared');
wait_for_log($node, qr/(?:$reports.*?){8}/s, 'and used often');
is(stats('transactions'), $before, 'reports are no transactions');
wait_for(
	$node,
	"SELECT bool_and(idle_for > interval '1 s') FROM pool_monitor.sessions WHERE pool = 'ems'",
	'its sessions are idle'
);

# What the application left in a transaction is none of a report's business.
is($pool->do('begin'), 'begun', 'its connections come back in transactions');
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
wait_for($node, "SELECT checkouts, checked_out $view", 'every checkout is counted', '1610|0');

# Without autocommit.
is($pool->do('second'), 'opened', 'a pool without autocommit');
my $second = q{FROM pool_monitor.pool_stats WHERE application_name = 'ems2'};
wait_for($node,
	"SELECT count(*) FROM pool_monitor.client_pools WHERE application_name = 'ems2' AND size = 1",
	'reports too', 1);
$before = query($node, "SELECT transactions $second");
wait_for_reports('and again');
is(query($node, "SELECT transactions $second"), $before, 'likewise');

# What goes wrong is not the application's concern.
my $clients = q{SELECT pid FROM pool_monitor.sessions WHERE usename = 'app' ORDER BY pid};
my $offset  = -s $node->logfile;
my $same    = query($node, $clients);
query($node, 'ALTER FUNCTION pool_monitor.client_report RENAME TO gone');
wait_for_log($node, qr/$gone.*$gone/s, 'reports fail', $offset);
$offset = -s $node->logfile;
is($pool->do('wait'), 'idle', 'meanwhile a checkout has to wait');
wait_for_log($node, qr/$gone.*$gone/s, 'more fail', $offset);
is(
	query(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE usename = 'app' AND state NOT IN ('idle', 'active')"
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
wait_for($node, "SELECT checkouts, checked_out $view", 'nothing is lost', '1614|0');
is(query($node, $clients), $same, 'nor a connection');
$pool->close;
done_testing();
