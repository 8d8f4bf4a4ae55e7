# Processes that die without a word: the server restarts itself, and pool_monitor
# with it. Needs kill -9.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder worker_pid);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('crash', "restart_after_crash = on\n");
query($node, 'CREATE ROLE app LOGIN');
declare($node, insert_pool('app', pool_recycle => "'1 s'", recycle_grace => "'0'"));

# All of it works again.
sub check
{
	ok($node->poll_query_until('postgres', "SELECT pool FROM pool_monitor.budgets", 'app'),
		'declarations are loaded again');
	is(query($node, 'SELECT connections FROM pool_monitor.budgets'),
		'0', 'no ghost session is counted');
	my $app = app_holder($node, 'app', 3);
	is(query($node, 'SELECT connections FROM pool_monitor.budgets'), '3', 'new ones are');
	wait_for(
		$node,
		"SELECT stale FROM pool_monitor.budgets WHERE pool = 'app'",
		'they get stale', 3
	);
	is(
		query(
			$node,
			"SELECT action, reason, count(*) FROM pool_monitor.recycle(dry_run => false) GROUP BY 1, 2"
		),
		'retired||3',
		'and can be retired'
	);
	$app->close;
	return;
}

# The server restarts when the process is killed.
sub kill_hard
{
	my ($pid) = @_;
	my $offset = -s $node->logfile;
	kill 'KILL', $pid;
	wait_for_log(
		$node,
		qr/all server processes terminated; reinitializing.*ready to accept connections/s,
		'the server restarts', $offset
	);
	return;
}

subtest 'a client backend that is killed' => sub {
	my $app = app_holder($node, 'app', 5);
	kill_hard($app->do('pid 2'));
	$app->close;
	check();
};

subtest 'the worker that is killed' => sub {
	kill_hard(worker_pid($node));
	check();
};

subtest 'an immediate shutdown' => sub {
	$node->stop('immediate');
	$node->start;
	check();
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
