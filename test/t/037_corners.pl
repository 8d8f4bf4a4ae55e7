# Corners where declarations and notifications come from, or do not: rows that
# arrive by logical replication, a queue of notifications that is full, a server
# without a worker slot. Only TAP has two servers, and settings that need a restart.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../lib";
use PoolMonitor qw(:DEFAULT logs_in);
use PostgreSQL::Test::Utils;
use Test::More;

my $node;
my $pools = "SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.budgets";

# The worker's process, without a login.
sub worker_pid { return child_pid($node, qr/pool_monitor \0*$/) }

# How often the worker has woken up to do something.
sub samples
{
	my $text = slurp_file('/proc/' . worker_pid() . '/status');
	return ($text =~ /^voluntary_ctxt_switches:\s+(\d+)/m)[0];
}

sub eventually
{
	my ($what) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $what->();
		select(undef, undef, undef, 0.1);
	}
	return 0;
}

my $publisher =
  new_server('publisher', "wal_level = logical\n", init => {allows_streaming => 'logical'});
$node = new_server('subscriber', <<'EOC');
max_worker_processes = 12
EOC

subtest 'rows that logical replication brings are in force' => sub {
	$publisher->safe_psql('postgres', 'CREATE PUBLICATION p FOR TABLE pool_monitor.pools');
	$publisher->safe_psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('copied')");
	$node->safe_psql(
		'postgres',
		sprintf(
			"CREATE SUBSCRIPTION s CONNECTION 'host=%s port=%s dbname=postgres' PUBLICATION p",
			$publisher->host, $publisher->port
		)
	);
	wait_for($node, $pools, 'rows that the first copy brings are in force', 'copied');
	$publisher->safe_psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('streamed')");
	wait_for($node, $pools, 'and those that come later', 'copied,streamed');
	$publisher->safe_psql('postgres',
		"UPDATE pool_monitor.pools SET name = 'renamed', workers = 3 WHERE name = 'streamed'; DELETE FROM pool_monitor.pools WHERE name = 'copied'"
	);
	wait_for($node, $pools, 'and changed ones', 'renamed');
	$publisher->safe_psql('postgres', 'TRUNCATE pool_monitor.pools');
	wait_for($node, 'SELECT count(*) FROM pool_monitor.budgets', 'and when they are gone', '0');
	$node->safe_psql('postgres', 'DROP SUBSCRIPTION s');
};

$publisher->stop;

subtest 'a queue of notifications that is full keeps nobody from the declarations' => sub {
  SKIP:
	{
		skip 'a queue that is soon full needs PostgreSQL 17', 3 if $node->pg_version < 17;
		$node->append_conf('postgresql.conf', "max_notify_queue_pages = 64\n");
		$node->restart;

		my $listener = $node->background_psql('postgres');
		$listener->query_safe('LISTEN pool_monitor; BEGIN; SELECT 1');
		my ($rc, $out, $err) = $node->psql('postgres',
			"DO \$\$ BEGIN FOR i IN 1..200 LOOP PERFORM pg_notify('fill', repeat('x', 7000) || i); END LOOP; END \$\$"
		);
		like($err, qr/too many notifications/, 'somebody fills the queue');
		$node->psql('postgres',
			"DO \$\$ BEGIN FOR i IN 1..60 LOOP PERFORM pg_notify('fill', repeat('x', 7000) || i); END LOOP; END \$\$"
		);
		my $from = -s $node->logfile;
		$node->safe_psql('postgres', 'SELECT pool_monitor.reset()') for 1 .. 40;
		wait_for($node, 'SELECT pool_monitor.reload() = 0', 'declarations are loaded meanwhile');
		$listener->query('COMMIT');
		$listener->quit;
		cmp_ok(log_count($node, 'could not tell those who LISTEN', $from),
			'<=', 1, 'said once at most');
	}
};

my $holder = $node->background_psql('postgres');

# Logins wait, too.
subtest 'the worker does not wait for a lock on pg_database' => sub {
	$holder->query_safe('BEGIN; LOCK TABLE pg_database IN ACCESS EXCLUSIVE MODE');
	my $offset = -s $node->logfile;
	$node->reload;
	wait_for_log(
		$node,
		qr/could not load the declared pools: somebody holds a lock on pg_database/,
		'a lock on pg_database is an outcome', $offset
	);
	is(
		$holder->query_safe(
			"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool_monitor' AND wait_event_type = 'Lock'"
		),
		'0',
		'the worker does not wait for it'
	);
	$holder->query_safe('COMMIT');
	wait_for($node, 'SELECT pool_monitor.reload() = 0', 'afterwards it loads');
};

subtest 'it does not wait for one on pg_authid, while there are roles to look for' => sub {
	$node->append_conf('postgresql.conf', "pool_monitor.protected_roles = 'somebody'\n");
	$holder->query_safe('BEGIN; LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE');
	my $offset = -s $node->logfile;
	$node->reload;
	wait_for_log(
		$node,
		qr/parameter "pool_monitor.protected_roles" changed/,
		'a role to look for', $offset
	);
	my $samples = samples();
	ok(
		eventually(sub { samples() > $samples + 20 }),
		'the worker does not wait for pg_authid either'
	);
	is(log_count($node, 'role "somebody" in', $offset), 0, 'and knows nothing of the role yet');
	$holder->query_safe('COMMIT');
	wait_for_log(
		$node,
		qr/role "somebody" in "pool_monitor.protected_roles" does not exist/,
		'afterwards it looks', $offset
	);
};

$holder->quit;

# A plain role fills it. The worker needs it for look-ups.
subtest 'the worker goes on sampling when the lock table is full' => sub {
	$node->append_conf('postgresql.conf',
		"max_locks_per_transaction = 10\nwal_level = replica\nmax_wal_senders = 2\npool_monitor.protected_roles = 'nobody'\n"
	);
	$node->restart;
	$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN');
	my $filler =
	  $node->background_psql('postgres', extra_params => ['-U', 'plain'], on_error_stop => 0);
	$filler->query('SELECT pg_advisory_lock(i) FROM generate_series(1, 1000000) i');
	my $before = worker_pid();
	my $offset = -s $node->logfile;
	$node->reload;
	wait_for_log(
		$node,
		qr/pool_monitor puts off .* for 10 seconds: out of shared memory/,
		'a lock table that is full', $offset
	);
	my $samples = samples();
	ok(eventually(sub { samples() > $samples + 20 }), 'the sampling goes on');
	is(worker_pid(), $before, 'in the same process');
	$filler->quit;
	wait_for($node, 'SELECT pool_monitor.reload() = 0', 'and when there is room, it loads');
	is(log_count($node, 'pool_monitor puts off', $offset) <= 5, 1, 'said once for each task');
};

# Each alone has room for its rows; together they would push some out of force.
subtest 'rows of two transactions do not push each other out of force' => sub {
	$node->safe_psql('postgres',
		'CREATE ROLE declarer LOGIN; GRANT USAGE ON SCHEMA pool_monitor TO declarer; GRANT INSERT ON pool_monitor.pools TO declarer'
	);
	my $forty =
	  'INSERT INTO pool_monitor.pools (name) SELECT %s || i FROM generate_series(1, 40) i';
	my $one = $node->background_psql('postgres');
	$one->query_safe(
		'SET client_min_messages = error; SET ROLE declarer; BEGIN; ' . sprintf($forty, "'one '"));
	my $other = $node->background_psql('postgres', on_error_stop => 0);
	$other->query('SET ROLE declarer');
	$other->query_until(qr/begun/,
		"\\echo begun\n" . sprintf($forty, "'two '") . ";\n\\echo done\n");
	wait_for(
		$node,
		"SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_class'::regclass AND NOT granted",
		'the second one waits for the first',
		'1'
	);
	$one->query_safe('COMMIT');
	$other->query_until(qr/done/, '');
	$other->quit;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pool_monitor.pools'),
		'40', 'and is told that there is no room');
	$node->safe_psql('postgres',
		'DELETE FROM pool_monitor.pools; DROP OWNED BY declarer; DROP ROLE declarer');
	$one->quit;
};

$node->safe_psql('postgres', "CREATE ROLE secret LOGIN PASSWORD 'right'");
my $hba = slurp_file($node->data_dir . '/pg_hba.conf');
open my $file, '>', $node->data_dir . '/pg_hba.conf' or die;
print $file "local all secret scram-sha-256\n$hba";
close $file;
$node->reload;
my $failures = "SELECT sum(auth_failures) FROM pool_monitor.pool_stats";

subtest 'passwords guessed by the way of replication are failures' => sub {
	$ENV{PGPASSWORD} = 'wrong';
	ok(eventually(sub { !logs_in($node, 'user=secret') }), 'passwords are asked for');
	my $guessed = $node->safe_psql('postgres', $failures);
	logs_in($node, "user=secret replication=$_") foreach ('false', 'database');
	delete $ENV{PGPASSWORD};
	is($node->safe_psql('postgres', "$failures") - $guessed, 2, 'are failures, too');
};

subtest 'a walsender that loses its client has been let in' => sub {
	my $guessed = $node->safe_psql('postgres', $failures);
	my $offset  = -s $node->logfile;
	my $leaver  = IPC::Run::start(
		[
			PoolMonitor::python(),
			"$FindBin::RealBin/../clients/leaver.py",
			$node->connstr('postgres') . ' replication=database'
		]
	);
	wait_for_log(
		$node,
		qr/FATAL:  connection to client lost/,
		'a walsender loses its client', $offset
	);
	$leaver->finish;
	is($node->safe_psql('postgres', $failures), $guessed, 'that is no failure of a login');
};

subtest 'without a worker the views answer, and say why they know of no pool' => sub {
	$node->append_conf('postgresql.conf',
		"max_worker_processes = 0\nmax_logical_replication_workers = 0\n");
	$node->restart;
	$node->safe_psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('unseen')");
	my ($rc, $out, $err) = $node->psql('postgres', 'SELECT * FROM pool_monitor.budgets');
	is($rc,  0,  'without a worker the views answer');
	is($out, '', 'and know of no pool');
	like($err, qr/WARNING:  the declared pools have not been loaded.*HINT:.*max_worker_processes/s,
		'but say why');
	is($node->safe_psql('postgres', 'SELECT status FROM pool_monitor.checklist WHERE item = 1'),
		'unknown', 'the checklist does not say that none is declared');
	like(
		$node->safe_psql('postgres', 'SELECT evidence FROM pool_monitor.checklist WHERE item = 1'),
		qr/have not been loaded/,
		'but what is the matter'
	);
};

$node->stop('fast');
done_testing();
