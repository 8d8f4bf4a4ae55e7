# What keeps declarations from being loaded, and how that is said: no such database, no
# extension, no worker slot, a lock, a loader that dies. What was loaded stays in force,
# and nobody is retired. The conditions are the whole server's, so only TAP can make them.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PoolMonitor;
use Test::More;

my $node  = new_server('loading', "log_min_messages = debug1\n");
my $pools = "SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.budgets";
declare($node, "INSERT INTO pool_monitor.pools (name, application_name) VALUES ('kept', 'kept')");
$node->safe_psql('postgres',  'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', 'CREATE EXTENSION pool_monitor');
$node->safe_psql('elsewhere',
	"INSERT INTO pool_monitor.pools (name) SELECT 'there ' || i FROM generate_series(1, 3) i");
$node->append_conf('postgresql.conf', "pool_monitor.database = 'elsewhere'\n");
$node->reload;
wait_for($node, $pools, 'three pools are in force', 'there 1,there 2,there 3');

subtest 'a database that does not exist' => sub {
	my ($rc, $out, $err);
	my $offset = -s $node->logfile;
	$node->append_conf('postgresql.conf', "pool_monitor.database = 'nowhere'\n");
	$node->reload;
	wait_for_log(
		$node,
		qr/could not load the declared pools: there is no database "nowhere" that accepts connections.*HINT:  Set "pool_monitor.database"/s,
		'a missing database is logged',
		$offset
	);
	($rc, $out, $err) = $node->psql('postgres', 'SELECT pool_monitor.reload()');
	like(
		$err,
		qr/ERROR:  could not load the declared pools: there is no database "nowhere"/,
		'reload() says it too'
	);
	$node->psql('postgres', 'SELECT pool_monitor.reload()') for 1 .. 3;
	is(log_count($node, 'LOG:  pool_monitor could not load', $offset),
		1, 'once, however often it is tried');
	is(
		$node->safe_psql('postgres', $pools),
		'there 1,there 2,there 3',
		'what was loaded stays in force'
	);
};

subtest 'a database without the extension' => sub {
	my ($rc, $out, $err);
	my $offset = -s $node->logfile;
	$node->safe_psql('postgres', 'CREATE DATABASE nowhere');
	($rc, $out, $err) = $node->psql('postgres', 'SELECT pool_monitor.reload()');
	like(
		$err,
		qr/database "nowhere" has no extension pool_monitor.*HINT:  Run CREATE EXTENSION/s,
		'a database without the extension'
	);
	wait_for_log($node, qr/database "nowhere" has no extension pool_monitor/, 'is logged', $offset);
	is(
		$node->safe_psql('postgres', $pools),
		'there 1,there 2,there 3',
		'what was loaded stays in force'
	);
	$node->safe_psql('nowhere', 'CREATE EXTENSION pool_monitor');
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.budgets",
		'creating it there loads at once', '0'
	);
	$node->append_conf('postgresql.conf', "pool_monitor.database = 'elsewhere'\n");
	$node->reload;
	wait_for($node, $pools, 'and back', 'there 1,there 2,there 3');
	$node->safe_psql('elsewhere', 'DROP EXTENSION pool_monitor');
};

subtest 'and back' => sub {
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.budgets",
		'dropping the extension drops its declarations', '0'
	);
	wait_for_log(
		$node,
		qr/"elsewhere" has no extension pool_monitor\n.*DETAIL:  No pool is in force until a load succeeds/,
		'which the log says'
	);
	$node->append_conf('postgresql.conf', "pool_monitor.database = 'postgres'\n");
	$node->reload;
	wait_for($node, $pools, 'the first ones again', 'kept');
};

subtest 'no free worker slot' => sub {
	my ($rc, $out, $err);
	$node->append_conf('postgresql.conf',
		"max_worker_processes = 2\nmax_logical_replication_workers = 1\n");
	my $offset = -s $node->logfile;
	$node->restart;
	wait_for_log(
		$node,
		qr/could not load the declared pools: its process "pool_monitor errands" is not running.*HINT:  Raise "max_worker_processes"/s,
		'no free worker slot is logged',
		$offset
	);
	($rc, $out, $err) = $node->psql('postgres', 'SELECT pool_monitor.reload()');
	like($err, qr/its process "pool_monitor errands" is not running/, 'and said by reload()');
	is($node->safe_psql('postgres', 'SELECT connections, undeclared FROM pool_monitor.server'),
		'1|1', 'sampling goes on');

	# side by side, as each of them waits for ten seconds
	my @reloads = map {
		IPC::Run::start(
			[
				'psql', '-XAt', '-d', $node->connstr('postgres'), '-c',
				'SELECT pool_monitor.reload()'
			],
			'>',
			\my $ignored,
			'2>&1'
		)
	} 1 .. 3;
	$_->finish foreach @reloads;
	is(log_count($node, 'LOG:  pool_monitor could not load', $offset),
		1, 'logged once by the worker');
	$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");
	$node->restart;
	wait_for($node, $pools, 'with one, they load', 'kept');
};

my $offset;
subtest 'a loader that dies, and one that must wait' => sub {
	my ($rc, $out, $err);
	$offset = -s $node->logfile;
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('BEGIN; LOCK TABLE pool_monitor.pools IN ACCESS EXCLUSIVE MODE');
	$node->reload;
	my $loader =
	  "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor errands' AND wait_event_type = 'Lock'";
	wait_for($node, "SELECT count(*) FROM ($loader) l", 'a loader waits for the table', '1');
	is($node->safe_psql('postgres', $pools), 'kept', 'the views do not');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(($loader))");
	wait_for_log(
		$node,
		qr/could not load the declared pools: the loader ended before it was done/,
		'it is ended: logged', $offset
	);
	($rc, $out, $err) = $node->psql('postgres', 'SELECT * FROM pool_monitor.recycle()');
	like(
		$err,
		qr/could not load the declared pools|were not loaded within/,
		'nothing is retired by rules that may be out of date'
	);
	$locker->query_safe("INSERT INTO pool_monitor.pools (name) VALUES ('later'); COMMIT");
	wait_for($node, $pools, 'tried again when the lock is gone, and the change is seen',
		'kept,later');
	$locker->quit;
	$node->safe_psql('postgres', "DELETE FROM pool_monitor.pools WHERE name = 'later'");
	wait_for($node, $pools, 'as before', 'kept');
};

subtest 'a failed load stops the clean-up, not the views' => sub {
	my ($rc, $out, $err);
	$node->safe_psql('postgres', "ALTER SYSTEM SET pool_monitor.database = 'gone'");
	$node->reload;
	wait_for_log(
		$node,
		qr/no database "gone".*DETAIL:  What was loaded before stays in force; no session is retired until a load succeeds/s,
		'a failed load',
		$offset
	);
	($rc, $out, $err) =
	  $node->psql('postgres', 'SELECT * FROM pool_monitor.recycle(dry_run => false)');
	like(
		$err,
		qr/ERROR:  could not load the declared pools: there is no database "gone"/,
		'recycle() refuses'
	);
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET pool_monitor.database');
	$node->reload;
	wait_for($node, "SELECT pool_monitor.reload()", 'and back', '1');
};

done_testing();
