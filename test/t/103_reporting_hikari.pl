# A real pool of HikariCP that reports, with clients/hikaricp: its figures, and that it
# disturbs neither its application nor the books, by JDBC's way of sending a statement. Needs
# the library itself, in Java.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorReporting;
use PostgreSQL::Test::Utils;
use Test::More;

my @jars    = map  { "/usr/share/java/$_.jar" } qw(HikariCP postgresql slf4j-api slf4j-nop);
my @missing = grep { !-e } @jars;
my $javac   = installed('Java compiler', 'javac', '/usr/bin');
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

my $node = reporting_server(
	'reporting_hikari',
	conf           => "listen_addresses = '127.0.0.1'\n",
	log_statements => 1
);
append_to_file($node->data_dir . '/pg_hba.conf', "host all app 127.0.0.1/32 trust\n");
$node->reload;
declare($node, insert_pool('ems', pool_size => 3, max_overflow => 0));

# Without the half second for which HikariCP trusts a connection: each checkout asks whether
# it is alive, which is a transaction.
my ($pool, $said) = reporting_client(
	'HikariCP', $java, '-XX:TieredStopAtLevel=1', '-Dcom.zaxxer.hikari.aliveBypassWindowMs=0',
	'-cp',      $path, 'HikariPoolClient',
	'jdbc:postgresql://127.0.0.1:' . $node->port . '/postgres?user=app',
	'ems', 100
);

# All of it is in the next, then.
subtest 'its pool says what was, also when the first report was refused' => sub {
	is($said, 'gave up', 'one checkout has to wait, another one gives up');
	idle_while_refused($node, $pool);
	wait_for_shown(
		$node,
		'ems',
		'size, max_overflow, open, checked_out, waiting, checkouts, waits BETWEEN 1 AND 3, timeouts, creations',
		'3|0|3|0|0|4|t|1|3',
		'its pool says what was'
	);
	wait_for_counted(
		$node,
		'ems',
		'checkouts, checkout_waits BETWEEN 1 AND 3, checkout_timeouts, waited_seconds BETWEEN 0.4 AND 1.4',
		'4|t|1|t',
		'and so say the sums of the pool'
	);
	agree($node, 'ems', 3, '1 checkouts timed out');
};

subtest 'for how long connections are out' => sub {
	holds_are_told($node, 'ems', $pool);
	my ($before) = held($node, 'ems');
	my $short    = $pool->do('short');
	my ($after)  = held($node, 'ems');
	cmp_ok($after - $before, '>=', 0.9 * $short, 'the library says 0 ms of each, but it is told');
};

# Also when the driver has prepared the statement and the server has made a plan for all
# values.
subtest 'reports are no transactions, and no use' => sub {
	my $before  = counted($node, 'ems', 'transactions');
	my $reports = qr/execute S_\d+: SELECT pool_monitor.client_report/;
	wait_for_log($node, $reports,                'the statement gets prepared');
	wait_for_log($node, qr/(?:$reports.*?){8}/s, 'and used often');
	is(counted($node, 'ems', 'transactions'), $before, 'reports are no transactions');
	wait_for_idle($node, 'ems');
};

subtest 'nothing is reported in a transaction that the application left open' => sub {
	none_in_open_transaction($node, 'ems', $pool);
};

subtest 'no place of the pool gets lost by reports between checkouts' => sub {
	is($pool->do('hurry'), 0, 'in a hurry');
	is($pool->do('hurry'), 0, 'once more');
	wait_for_shown($node, 'ems', 'checkouts, checked_out', '1711|0', 'every checkout is counted');
};

subtest 'without autocommit a report is no transaction either' => sub {
	my $creations = query($node, shown('ems', 'creations'));
	is($pool->do('second'), 'opened', 'a pool without autocommit');
	my $transactions =
	  q{SELECT transactions FROM pool_monitor.pool_stats WHERE application_name = 'ems2'};
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.client_pools WHERE application_name = 'ems2' AND size = 1",
		'reports too',
		1
	);
	my $before = query($node, $transactions);
	wait_for_reports($node, 'ems', 1, 'and again');
	is(query($node, $transactions), $before, 'likewise');
	is_shown($node, 'ems', 'creations', $creations,
		'and the first, of the same config, says nothing of it');
};

subtest "what goes wrong is not the application's concern" => sub {
	my $clients = q{SELECT pid FROM pool_monitor.sessions WHERE usename = 'app' ORDER BY pid};
	my $offset  = -s $node->logfile;
	my $same    = query($node, $clients);
	refuse_reports($node);
	wait_for_refused($node, 'reports fail', $offset, 2);
	$offset = -s $node->logfile;
	is($pool->do('wait'), 'idle', 'meanwhile a checkout has to wait');
	wait_for_refused($node, 'more fail', $offset, 2);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.sessions WHERE usename = 'app' AND state NOT IN ('idle', 'active')"
		),
		0,
		'no session is left in a transaction'
	);
	told_later($node);
	wait_for_shown($node, 'ems', 'checkouts, checked_out', '1715|0', 'nothing is lost');
	is(query($node, $clients), $same, 'nor a connection');
};

$pool->close;
done_testing();
