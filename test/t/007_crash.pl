# Processes that die without a word: the server restarts itself, and pool_monitor
# with it. Needs kill -9.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT worker_pid);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('crash', "restart_after_crash = on\n");
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace) VALUES ('app', 'app', '1 s', '0')"
);

sub check
{
	my ($what) = @_;
	ok($node->poll_query_until('postgres', "SELECT pool FROM pool_monitor.budgets", 'app'),
		"$what: declarations are loaded again");
	is($node->safe_psql('postgres', 'SELECT connections FROM pool_monitor.budgets'),
		'0', "$what: no ghost session is counted");
	my $app =
	  PoolMonitor::Holder->new($node, application_name => 'app', user => 'app', sessions => 3);
	is($node->safe_psql('postgres', 'SELECT connections FROM pool_monitor.budgets'),
		'3', "$what: new ones are");
	wait_for(
		$node,
		"SELECT stale FROM pool_monitor.budgets WHERE pool = 'app'",
		"$what: they get stale", 3
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT action, reason, count(*) FROM pool_monitor.recycle(dry_run => false) GROUP BY 1, 2"
		),
		'retired||3',
		"$what: and can be retired"
	);
	$app->close;
	return;
}

my $app = PoolMonitor::Holder->new($node, application_name => 'app', user => 'app', sessions => 5);
my $offset = -s $node->logfile;
kill 'KILL', $app->do('pid 2');
wait_for_log(
	$node,
	qr/all server processes terminated; reinitializing.*ready to accept connections/s,
	'a client backend is killed: the server restarts', $offset
);
$app->close;
check('after a killed client');

$offset = -s $node->logfile;
kill 'KILL', worker_pid($node);
wait_for_log(
	$node,
	qr/all server processes terminated; reinitializing.*ready to accept connections/s,
	'the worker is killed: the server restarts', $offset
);
check('after a killed worker');

# immediate shutdown
$node->stop('immediate');
$node->start;
check('after an immediate shutdown');
is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
