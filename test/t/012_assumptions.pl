# What pool_monitor takes for granted of the server, one test for each, so that
# a change in a new major fails here. docs/new-major.md explains them. Needs real
# sessions, and a look at their signal masks.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool holder app_holder has_usr2);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('assumptions', "pool_monitor.recycle_interval = 1h\n",
	init => {allows_streaming => 1});
query($node,
	"CREATE ROLE app LOGIN; CREATE ROLE limited LOGIN CONNECTION LIMIT 0; CREATE ROLE untracked LOGIN; ALTER ROLE untracked SET track_activities = off; GRANT CREATE ON DATABASE postgres TO app"
);
declare($node, insert_pool('app', pool_recycle => "'1 s'", recycle_grace => "'0'"));

my $recycle =
  "SELECT action || coalesce(': ' || reason, '') FROM pool_monitor.recycle(dry_run => false)";

my @apps =
  map { app_holder($node, 'app', 3) } 1 .. 4;

subtest 'the array of status entries begins where MyBEEntry says' => sub {
	is(
		query(
			$node,
			"SELECT count(*), count(*) FILTER (WHERE a.pid IS NULL OR s.pid IS NULL) FROM pool_monitor.sessions s FULL JOIN (SELECT * FROM pg_stat_activity WHERE backend_type = 'client backend') a ON a.pid = s.pid AND a.backend_start = s.backend_start AND a.application_name = s.application_name"
		),
		'13|0',
		'the same sessions as in pg_stat_activity'
	);
};

subtest 'SIGUSR2 is free in client backends, and our handler stays' => sub {
	my $pid = $apps[0]->do('pid 0');
	is(has_usr2($pid, 'SigCgt'), 1, 'a client backend catches SIGUSR2: the handler has stayed');
	is($apps[0]->do('sql 0 SELECT 42'), '42', 'a signal that asks nothing') if kill 'USR2', $pid;
};

# It is retired, after these commands.
sub rested
{
	my ($what, @commands) = @_;
	my $holder = app_holder($node, 'app', 1);
	$holder->do("sql 0 $_") foreach @commands;
	wait_for($node, $recycle, "$what: retired", 'retired');
	$holder->close;
	return;
}

subtest 'what is at rest is taken for it, whatever the session has done before' => sub {
	$_->close foreach @apps;
	wait_for($node, 'SELECT connections FROM pool_monitor.budgets', 'nobody there', '0');
	rested('a new session');
	rested('after a long statement',     "SELECT length('" . ('x' x 200_000) . "')");
	rested('after an error',             'SELECT 1/0');
	rested('after a failed transaction', 'BEGIN',                 'SELECT 1/0', 'ROLLBACK');
	rested('after prepared statements',  'PREPARE p AS SELECT 1', 'EXECUTE p',  'DEALLOCATE p');
	rested(
		'after DDL',
		'CREATE SCHEMA s',
		'CREATE TABLE s.t AS SELECT generate_series(1, 10000)',
		'DROP SCHEMA s CASCADE'
	);
	rested(
		'after a transaction advisory lock', 'BEGIN',
		'SELECT pg_advisory_xact_lock(1)',   'COMMIT'
	);
	rested('after NOTIFY', 'NOTIFY c');
	rested('after SET', "SET statement_timeout = '1 min'", "SET idle_session_timeout = '1 h'");
};

subtest 'nobody but client backends is a session' => sub {
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$node->backup('backup');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->append_conf('postgresql.conf',
		"primary_conninfo = '" . $node->connstr . " application_name=app'\n");
	$standby->start;
	wait_for(
		$node,
		"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
		'a standby streams, as application app', '1'
	);
	is(query($node, 'SELECT connections FROM pool_monitor.budgets'),
		'0', 'a walsender is no session');
	is(query($node, $recycle), '', 'and is not asked');
	$standby->stop;
};

subtest 'a login that fails after authentication leaves nothing behind' => sub {
	foreach my $bad (
		'dbname=nowhere user=app',
		'dbname=postgres user=limited',
		'dbname=postgres user=nobody'
	  )
	{
		run_command(
			['psql', '-X', '-d', $node->connstr . " application_name=app $bad", '-c', 'SELECT 1']);
	}
	is(query($node, 'SELECT connections FROM pool_monitor.budgets'),
		'0', 'failed logins are no sessions');
	rested('after failed logins');
};

subtest 'a state that is not tracked is not taken for idle' => sub {
	my $untracked = holder($node, 'app', user => 'untracked');
	wait_for($node, "$recycle -- untracked", 'state unknown: kept', 'kept: state unknown');
	$untracked->close;
};

# How the server counts a session that was retired.
wait_for(
	$node,
	"SELECT sessions_killed >= 10 FROM pg_stat_database WHERE datname = 'postgres'",
	'retired sessions count as killed'
);

subtest 'without the library client backends ignore SIGUSR2' => sub {
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
	$node->restart;
	my $plain = PoolMonitor::Holder->new($node, user => 'app');
	is(has_usr2($plain->do('pid 0'), 'SigIgn'), 1, 'without pool_monitor SIGUSR2 is ignored');
	$plain->close;
};

done_testing();
