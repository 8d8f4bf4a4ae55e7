# The view health in each state of the monitor, the WARNING at CREATE EXTENSION, and the line
# in the server log. Only TAP starts servers with and without the library, stops the worker
# and makes saving fail.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query worker_pid);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server(
	'health',
	"pool_monitor.max_pools = 2\npool_monitor.max_events = 200\npool_monitor.save_interval = 1s\n",
	no_extension => 1
);
sub health { return query($node, "SELECT $_[0] FROM pool_monitor.health") }

subtest 'preloaded, CREATE EXTENSION says nothing, and the log one line' => sub {
	my (undef, undef, $err) = $node->psql('postgres', 'CREATE EXTENSION pool_monitor');
	is($err, '', 'preloaded: CREATE EXTENSION has nothing to say');
	is(
		log_count(
			$node,
			qr/LOG:  pool_monitor 1\.0 watches: every 50 ms, up to 2 pools and \d+ undeclared applications, declared in database "postgres"/
		),
		1,
		'one line at start'
	);
};

declare($node, "INSERT INTO pool_monitor.pools (name, application_name) VALUES ('one', 'one')");

subtest 'health has what a monitor that is well does' => sub {
	wait_for(
		$node,
		q{SELECT status = 'ok' AND last_save > now() - interval '1 minute' FROM pool_monitor.health},
		'well, and saved'
	);
	is(health('worker'), worker_pid($node), 'the worker');
	wait_for(
		$node,
		"SELECT last_sample > '"
		  . query($node, 'SELECT clock_timestamp()')
		  . "' FROM pool_monitor.health",
		'the last sample moves on'
	);
	is(
		health(
			q{last_load BETWEEN pg_postmaster_start_time() AND clock_timestamp(), load_error IS NULL, save_error IS NULL}
		),
		't|t|t',
		'the last load'
	);
	is(
		health(
			'declared, in_force, max_pools, max_events, file_format > 0, library_version, sql_version'
		),
		'1|1|2|200|t|1.0|1.0',
		'declarations, room and versions'
	);
	is(health('slots'), '1', 'one slot: that of this session');
	is(
		health(
			'applications = (SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name IS NOT NULL)'
		),
		't',
		'places of applications'
	);
	is(health('events = (SELECT count(*) FROM pool_monitor.events)'), 't', 'events');
};

subtest 'more pools than there is room for are told of' => sub {
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('two', 'two'), ('three', 'three')"
	);
	is(
		health('status, declared, in_force'),
		'too many pools|3|2',
		'more pools than there is room for'
	);
	declare($node, "DELETE FROM pool_monitor.pools WHERE name <> 'one'");
	is(health('status, declared, in_force'), 'ok|1|1', 'no more');
};

subtest 'a load that fails is told of, and why' => sub {
	query($node, 'ALTER TABLE pool_monitor.pools ADD COLUMN more int');
	query($node, 'ALTER TABLE pool_monitor.pools RENAME COLUMN workers TO hands');
	$node->psql('postgres', 'SELECT pool_monitor.reload()');
	like(
		health('status, load_error, in_force'),
		qr/^declarations not loaded\|.*workers.*\|1$/,
		'a load that failed, and why'
	);
	query($node, 'ALTER TABLE pool_monitor.pools RENAME COLUMN hands TO workers');
	query($node, 'ALTER TABLE pool_monitor.pools DROP COLUMN more');
	query($node, 'SELECT pool_monitor.reload()');
	is(health('status, load_error IS NULL'), 'ok|t', 'and well again');
};

# A folder is in the file's way.
subtest 'statistics that cannot be saved are told of, and why' => sub {
	my $file = $node->data_dir . '/pg_stat/pool_monitor.stat.tmp';
	mkdir $file or die "mkdir $file: $!";
	wait_for(
		$node,
		q{SELECT status || ': ' || save_error FROM pool_monitor.health},
		'statistics that are not saved',
		'statistics not saved: Is a directory'
	);
	rmdir $file;
	wait_for($node, 'SELECT status, save_error IS NULL FROM pool_monitor.health',
		'saved again', 'ok|t');
};

subtest 'a library that is newer than the objects is told of' => sub {
	query($node, q{UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'pool_monitor'});
	is(
		health('status, library_version, sql_version'),
		'versions differ|1.0|0.9',
		'versions that differ'
	);
	query($node, q{UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'pool_monitor'});
};

subtest 'a worker that stands still is told of, and one that is gone' => sub {
	my $worker = worker_pid($node);
	kill 'STOP', $worker;
	wait_for(
		$node,
		'SELECT status, worker FROM pool_monitor.health',
		'a worker that does not sample',
		"no samples|$worker"
	);
	kill 'CONT', $worker;
	wait_for($node, 'SELECT status FROM pool_monitor.health', 'it goes on', 'ok');
	query($node, "SELECT pg_terminate_backend($worker)");
	wait_for(
		$node,
		'SELECT status, worker IS NULL FROM pool_monitor.health',
		'no worker, for a moment',
		'no worker|t'
	);
	wait_for($node, "SELECT status, worker <> $worker FROM pool_monitor.health",
		'the next one', 'ok|t');
};

subtest 'without the library health and CREATE EXTENSION say so' => sub {
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
	$node->restart;
	is(
		health(
			'status, worker IS NULL, in_force IS NULL, max_slots IS NULL, library_version, sql_version'
		),
		'not preloaded|t|t|t|1.0|1.0',
		'not preloaded'
	);
	my (undef, undef, $err) =
	  $node->psql('postgres', 'DROP EXTENSION pool_monitor; CREATE EXTENSION pool_monitor');
	like(
		$err,
		qr/WARNING:  pool_monitor is not loaded via "shared_preload_libraries".*\nHINT:  Add pool_monitor to/,
		'CREATE EXTENSION says so'
	);
	is(query($node, q{SELECT count(*) FROM pg_proc WHERE proname = 'tell_of_preload'}),
		'0', 'and leaves nothing behind');
};

done_testing();
