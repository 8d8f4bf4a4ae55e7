# The declarations are read with the server's own rights, from a database that may be a
# tenant's, by a process that may hang: whatever is done to what is around the table ends
# in a clear load error, and a tenant cannot ask for loads, or keep them from happening.
# Only TAP can drop databases, take all worker slots, and stop and crash processes.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorTrust;
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = trust_server('trust_around', "restart_after_crash = on\n");
my $failed = qr/ERROR:  could not load the declared pools/;

# A process that waits has no entry in pg_stat_activity.
sub errands_pid { return child_pid($node, qr/pool_monitor errands/) }

# Nobody asks for a load.
subtest 'a disabled trigger is noticed at once' => sub {
	my $offset = -s $node->logfile;
	query($node, 'ALTER TABLE pool_monitor.pools DISABLE TRIGGER pools_changed');
	wait_for_log(
		$node,
		qr/could not load the declared pools: .*trigger "pools_changed" is not enabled/,
		'a disabled trigger is noticed', $offset
	);
	query($node, 'ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed');
};

subtest 'declarations in another database, which goes away' => sub {
	query($node, 'CREATE DATABASE declared OWNER owner');
	query($node, 'CREATE EXTENSION pool_monitor', 'declared');
	$node->append_conf('postgresql.conf', "pool_monitor.database = 'declared'\n");
	$node->reload;
	query($node, "INSERT INTO pool_monitor.pools (name) VALUES ('elsewhere')", 'declared');
	wait_for(
		$node,
		'SELECT string_agg(pool, NULL) FROM pool_monitor.budgets',
		'declared elsewhere', 'elsewhere'
	);

	foreach (
		['ALTER DATABASE declared RENAME TO renamed', 'ALTER DATABASE renamed RENAME TO declared'],
		[
			'ALTER DATABASE declared ALLOW_CONNECTIONS false',
			'ALTER DATABASE declared ALLOW_CONNECTIONS true'
		],
		['DROP DATABASE declared']
	  )
	{
		my ($how, $back) = @$_;
		wait_for($node, 'SELECT pool_monitor.reload()', "before $how", '1');
		my $offset = -s $node->logfile;
		query($node, $how);
		wait_for_log(
			$node,
			qr/could not load the declared pools: there is no database "declared" that accepts/,
			"$how is noticed", $offset
		);
		is(query($node, 'SELECT pool FROM pool_monitor.budgets'), 'elsewhere', 'the views go on');
		like(try($node, 'SELECT * FROM pool_monitor.recycle()'), $failed, 'and nobody is retired');
		query($node, $back) if $back;
	}
	$node->append_conf('postgresql.conf', "pool_monitor.database = 'postgres'\n");
	$node->reload;
	wait_for($node, 'SELECT string_agg(pool, NULL) FROM pool_monitor.budgets', 'back', 'good');
};

subtest 'a tenant with a database of her own cannot ask for loads' => sub {
	query($node, 'CREATE DATABASE tenants OWNER tenant; ALTER DATABASE postgres OWNER TO owner');
	query($node,
		'CREATE EXTENSION pool_monitor; GRANT INSERT, DELETE ON pool_monitor.pools TO tenant',
		'tenants');
	query($node, 'SELECT pool_monitor.reload()');
	my $offset = -s $node->logfile;
	query(
		$node,
		'SET ROLE tenant; CREATE EXTENSION pgcrypto; DROP EXTENSION pgcrypto; CREATE EXTENSION hstore; DROP EXTENSION hstore; ALTER DATABASE tenants CONNECTION LIMIT 50',
		'tenants'
	);
	$node->psql('tenants',
		"SET ROLE tenant; INSERT INTO pool_monitor.pools (name) VALUES ('hers'); DELETE FROM pool_monitor.pools"
	);
	query($node,
		'SET ROLE owner; CREATE EXTENSION pgcrypto; DROP EXTENSION pgcrypto; ALTER DATABASE postgres CONNECTION LIMIT 50; CREATE TABLE mine (); DROP TABLE mine'
	);
	query($node,
		"UPDATE pool_monitor.pools SET description = 'x'; UPDATE pool_monitor.pools SET workers = workers"
	);
	query($node, 'SELECT pool_monitor.reload()');
	is(log_count($node, 'pool_monitor errand: loading', $offset),
		1, 'extensions, tables and settings of tenants make no load, nor does a change of nothing');
};

subtest 'what the owner of the database sets does not reach the process that loads' => sub {
	query($node, 'CREATE TABLE busy (n int); GRANT ALL ON busy TO PUBLIC');
	my $writer = $node->background_psql('postgres');
	$writer->query_safe(
		'BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO busy VALUES (1); SELECT count(*) FROM busy'
	);
	my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
	query($node, <<"EOS");
SET ROLE owner;
ALTER DATABASE postgres SET default_transaction_isolation = 'serializable';
ALTER DATABASE postgres SET default_transaction_read_only = on;
ALTER DATABASE postgres SET default_transaction_deferrable = on;
ALTER DATABASE postgres SET lock_timeout = '1ms';
ALTER DATABASE postgres SET exit_on_error = on;
ALTER DATABASE postgres SET search_path = 'nowhere';
ALTER DATABASE postgres SET synchronous_commit = 'remote_apply';
ALTER DATABASE postgres SET debug_print_plan = on;
ALTER DATABASE postgres SET $parallel = on;
ALTER DATABASE postgres SET session_authorization = 'owner';
EOS
	is(try($node, 'SELECT pool_monitor.reload()', 'tenants'), '1', 'nor does it hang for them');
	my $listener = $node->background_psql('postgres');
	$listener->query('LISTEN pool_monitor');
	my $offset = -s $node->logfile;
	$node->psql('postgres',
		"BEGIN READ WRITE ISOLATION LEVEL READ COMMITTED; SELECT pool_monitor.reset('good'); COMMIT"
	);
	wait_for_log(
		$node,
		qr/pool_monitor errand: telling those who LISTEN/,
		'and it tells of events', $offset
	);
	$listener->quit;
	$writer->query_safe('ROLLBACK');
	$writer->quit;
	$node->psql('template1', 'ALTER DATABASE postgres RESET ALL');
};

subtest 'loads that hang' => sub {
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('BEGIN; LOCK TABLE pool_monitor.pools IN ACCESS EXCLUSIVE MODE');
	my $offset = -s $node->logfile;
	$node->reload;
	wait_for_log(
		$node,
		qr/could not load the declared pools: canceling statement due to lock timeout/,
		'a lock on the table: the load gives up', $offset
	);
	my $errands = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor errands'";
	wait_for(
		$node,
		"SELECT count(*) FROM ($errands AND wait_event_type = 'Lock') l",
		'and tries again', '1'
	);

	# stopped: neither its own time-out nor anything else reaches it, until it goes on
	my $pid = query($node, $errands);
	kill 'STOP', $pid;
	wait_for_log(
		$node,
		qr/pool_monitor ends its process "pool_monitor errands": loading the declared pools has taken longer/,
		'one that does not even time out is ended',
		$offset
	);
	kill 'CONT', $pid;
	$locker->query_safe('COMMIT');
	$locker->quit;
	wait_for($node, 'SELECT pool_monitor.reload()', 'after which it loads again', '1');
	is(log_count($node, 'has taken longer', $offset), 1, 'said once');
};

subtest 'a plain login takes all worker slots' => sub {
	query($node,
		'CREATE TABLE wide AS SELECT i FROM generate_series(1, 100000) i; ANALYZE wide; GRANT SELECT ON wide TO tenant'
	);
	my @takers;
	foreach (1 .. 4)
	{
		my $taker = $node->background_psql('postgres', extra_params => ['-U', 'tenant']);
		$taker->query(
			'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 8;'
		);
		$taker->query_until(qr/started/,
			"\\echo started\nSELECT count(*) FROM wide WHERE pg_sleep(100) IS NULL;\n");
		push @takers, $taker;
	}
	wait_for(
		$node,
		"SELECT count(*) >= 5 FROM pg_stat_activity WHERE backend_type = 'parallel worker'",
		'a plain login has taken the worker slots'
	);
	like(
		query(
			$node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'"
		),
		qr/^[5-8]$/,
		'all that there are'
	);
	query($node,
		"INSERT INTO pool_monitor.pools (name, priority, application_name) VALUES ('late', 500, 'late')"
	);
	is(query($node, 'SELECT pool_monitor.reload()'), '2', 'declarations are loaded all the same');
	query($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenant'");
	$_->{run}->finish foreach @takers;
	query($node, "DELETE FROM pool_monitor.pools WHERE name = 'late'");
};

is(log_count($node, '"pool_monitor errands" .* exited with exit code'),
	0, 'the exits that follow errands are not in the log');

subtest 'a crash of that process is in the log' => sub {
	my $offset = -s $node->logfile;
	my $crash  = '"pool_monitor errands" \(PID \d+\) exited with exit code 2';
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		# one that is on its way out anyway does not count
		kill 'QUIT', grep { defined } errands_pid();
		last if log_count($node, $crash, $offset);
		select(undef, undef, undef, 0.1);
	}
	cmp_ok(log_count($node, $crash, $offset), '>', 0, 'a crash of it is');
	ok($node->poll_query_until('postgres', 'SELECT pool_monitor.reload() = 1'),
		'after which it loads again');
};

is(log_count($node, 'is not running'), 0, 'at no start was it taken for missing');
$node->stop('fast');
done_testing();
