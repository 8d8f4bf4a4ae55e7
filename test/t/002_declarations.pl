# Declarations: when they are loaded, from which database, how many, and that they are
# dumped. The conditions are the whole server's (settings, restarts, other databases), so
# only TAP can make them.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node =
  new_server('declarations',
	"pool_monitor.max_pools = 5\nmax_prepared_transactions = 2\nlog_min_messages = debug1\n");
my $pools = "SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.budgets";

subtest 'at commit' => sub {
	my $before = time;
	$node->safe_psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('one')");
	wait_for($node, $pools, 'loaded after the commit, without reload()', 'one');
	note(sprintf 'seen %.0f ms after the INSERT began', 1000 * (time - $before));
	$node->safe_psql('postgres', "UPDATE pool_monitor.pools SET workers = 7");
	wait_for($node, 'SELECT base FROM pool_monitor.budgets', 'an UPDATE', '35');
	$node->safe_psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('two')");
	wait_for($node, $pools, 'another INSERT', 'one,two');
	$node->safe_psql('postgres', "DELETE FROM pool_monitor.pools WHERE name = 'one'");
	wait_for($node, $pools, 'a DELETE', 'two');
	$node->safe_psql('postgres',
		"SET session_replication_role = replica; INSERT INTO pool_monitor.pools (name) VALUES ('replicated')"
	);
	wait_for($node, $pools, 'also where ordinary triggers do not fire', 'replicated,two');
	$node->safe_psql('postgres', 'TRUNCATE pool_monitor.pools');
	wait_for($node, "SELECT count(*) FROM pool_monitor.budgets", 'a TRUNCATE', '0');
};

# Each load is logged at debug1; the commit that follows makes one.
subtest 'rolled back: no load is even asked for' => sub {
	my $offset = -s $node->logfile;
	my $starts = 'pool_monitor errand: loading the declared pools';
	$node->safe_psql('postgres',
		"BEGIN; INSERT INTO pool_monitor.pools (name) VALUES ('never'); ROLLBACK")
	  for 1 .. 3;
	$node->safe_psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('once')");
	wait_for($node, $pools, 'the commit that follows is loaded', 'once');
	is(log_count($node, $starts, $offset),
		1, 'by the first load since: a change that is rolled back asks for none');
	$node->safe_psql('postgres', 'DELETE FROM pool_monitor.pools');
	wait_for($node, "SELECT count(*) FROM pool_monitor.budgets", 'as before', '0');
};

subtest 'a transaction that is prepared' => sub {
	my ($rc, $out, $err) = $node->psql('postgres',
		"BEGIN; INSERT INTO pool_monitor.pools (name) VALUES ('prepared'); PREPARE TRANSACTION 'p'"
	);
	like(
		$err,
		qr/cannot PREPARE a transaction that has changed pool_monitor.pools/,
		'PREPARE TRANSACTION is refused'
	);
	$node->safe_psql('postgres', "BEGIN; SELECT 1; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'");

	($rc, $out, $err) = $node->psql('postgres',
		"BEGIN; CREATE EXTENSION pageinspect; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'");
	unlike($err, qr/pool_monitor/, 'of pool_monitor.pools only: another extension can be prepared');
};

subtest 'at start-up' => sub {
	$node->safe_psql('postgres',
		"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('kept', 'kept')");
	wait_for($node, $pools, 'one more', 'kept');
	$node->restart;
	wait_for($node, $pools, 'loaded at start-up', 'kept');
};

subtest 'more than there is room for' => sub {
	my ($rc, $out, $err);
	($rc, $out, $err) = $node->psql('postgres',
		"INSERT INTO pool_monitor.pools (name, priority) SELECT 'pool ' || i, 200 + i FROM generate_series(1, 5) i"
	);
	is($rc, 0, 'a sixth pool is accepted');
	like(
		$err,
		qr/WARNING:  6 pools are declared, but there is room for 5.*HINT:  Raise "pool_monitor.max_pools"/s,
		'with a warning that says what to change'
	);
	wait_for(
		$node, $pools,
		'the first five in matching order are in force',
		'kept,pool 1,pool 2,pool 3,pool 4'
	);
	wait_for_log($node, qr/6 pools are declared, but there is room for 5/, 'and the log says so');
	is($node->safe_psql('postgres', 'SELECT pool_monitor.reload()'),
		'5', 'reload() counts what is in force');
	$node->safe_psql('postgres', "DELETE FROM pool_monitor.pools WHERE name LIKE 'pool %'");
	wait_for($node, $pools, 'room again', 'kept');
};

subtest 'in another database' => sub {
	my ($rc, $out, $err);
	$node->safe_psql('postgres',  'CREATE DATABASE elsewhere');
	$node->safe_psql('elsewhere', 'CREATE EXTENSION pool_monitor');
	($rc, $out, $err) = $node->psql('elsewhere',
		"INSERT INTO pool_monitor.pools (name) SELECT 'there ' || i FROM generate_series(1, 3) i");
	like(
		$err,
		qr/WARNING:  changes of pools in database "elsewhere" have no effect.*DETAIL:  Declarations are read from database "postgres" only/s,
		'a declaration elsewhere is warned of'
	);
	my $warnings = () = $err =~ /WARNING/g;
	is($warnings, 1, 'once, not for every row');
	is($node->safe_psql('elsewhere', $pools),
		'kept', 'but the views show the whole server from there');
	$node->append_conf('postgresql.conf', "pool_monitor.database = 'elsewhere'\n");
	$node->reload;
	wait_for($node, $pools, 'until the setting points there', 'there 1,there 2,there 3');
};

$node->append_conf('postgresql.conf', "pool_monitor.database = 'postgres'\n");
$node->reload;
wait_for($node, $pools, 'the first ones again', 'kept');

subtest 'the loader pins no database' => sub {
	my ($rc, $out, $err);
	$node->safe_psql('postgres', 'CREATE DATABASE pinned');
	$node->safe_psql('postgres', "ALTER SYSTEM SET pool_monitor.database = 'pinned'");
	$node->reload;
	$node->psql('postgres', 'SELECT pool_monitor.reload()');
	($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE pinned');
	is($rc, 0, 'pool_monitor.database can be dropped while the worker runs');
	$node->safe_psql('postgres', "ALTER SYSTEM RESET pool_monitor.database");
	$node->reload;
	wait_for($node, $pools, 'and the first ones again', 'kept');
};

subtest 'a schema that somebody else has made, empty or not' => sub {
	my ($rc, $out, $err);
	$node->safe_psql('postgres',
		'CREATE ROLE squatter; CREATE DATABASE squatted; GRANT CREATE ON DATABASE squatted TO squatter'
	);
	$node->safe_psql('squatted', 'SET ROLE squatter; CREATE SCHEMA pool_monitor');
	($rc, $out, $err) = $node->psql('squatted', 'CREATE EXTENSION pool_monitor');
	like($err, qr/schema "pool_monitor" already exists/,
		'a schema that is there before is refused');
	$node->safe_psql('squatted',
		'DROP SCHEMA pool_monitor; CREATE EXTENSION pool_monitor; DROP EXTENSION pool_monitor');
	is(
		$node->safe_psql(
			'squatted', "SELECT count(*) FROM pg_namespace WHERE nspname = 'pool_monitor'"
		),
		'0',
		'the schema goes with the extension'
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT count(*) FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) o
			WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
				AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor')
				AND (o.schema = 'pg_catalog' OR o.identity LIKE 'pg_catalog.%')"
		),
		'0',
		'nothing of the extension is in pg_catalog'
	);
};

my $dump = $node->basedir . '/dump.sql';

subtest 'dump and restore' => sub {
	command_ok(['pg_dump', '-f', $dump, '-d', $node->connstr('postgres')], 'pg_dump');
	$node->safe_psql('postgres', 'CREATE DATABASE restored');

	$node->command_ok(
		['psql', '-v', 'ON_ERROR_STOP=1', '-q', '-f', $dump, '-d', $node->connstr('restored')],
		'restore');
	is($node->safe_psql('restored', 'SELECT name, base FROM pool_monitor.pools'),
		'kept|5', 'the declarations are in the dump');
};

subtest 'the owner of a database may not read the table that her dump wants to save' => sub {
	$node->safe_psql('postgres', 'CREATE ROLE dumper LOGIN; CREATE DATABASE dumped OWNER dumper');
	$node->safe_psql('dumped',   'CREATE EXTENSION pool_monitor');
	my @her_dump = ('pg_dump', '-U', 'dumper', '-f', $dump, '-d', $node->connstr('dumped'));
	command_fails_like(
		\@her_dump,
		qr/permission denied for table (pools|muted)/,
		'pg_dump by an owner'
	);
	$node->safe_psql('dumped', 'GRANT SELECT ON pool_monitor.pools, pool_monitor.muted TO dumper');
	command_ok(\@her_dump, 'with the GRANT that the documents name');
	$node->safe_psql('postgres', 'DROP DATABASE dumped');
};

subtest 'a table that only has the name of the one that declares' => sub {
	my ($rc, $out, $err);
	$node->safe_psql('postgres', 'ALTER EXTENSION pool_monitor DROP TABLE pool_monitor.pools');
	($rc, $out, $err) = $node->psql('postgres', 'SELECT pool_monitor.reload()');
	like(
		$err,
		qr/in database "postgres" no table pool_monitor.pools belongs to the extension/,
		'a table that is not of the extension is not read'
	);
	$node->safe_psql('postgres', 'ALTER EXTENSION pool_monitor ADD TABLE pool_monitor.pools');
	is($node->safe_psql('postgres', 'SELECT pool_monitor.reload()'), '1', 'and one that is, is');
};

done_testing();
