# The declarations are read with the server's own rights: whatever a careless
# superuser does to their table, and a tenant to what is around it, must end in a
# clear load error, with the old declarations in force, nobody retired, and the
# server up after a restart. Only TAP can restart a server that might not come up,
# take all its worker slots, and drop its databases.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../lib";
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('trust', <<'EOC');
log_min_messages = debug1
max_worker_processes = 8
max_parallel_workers = 8
pool_monitor.recycle_interval = 100ms
EOC
my $offset;

sub query { my ($sql, $db) = @_; return $node->safe_psql($db // 'postgres', $sql); }

# The error of a statement, or what it returned.
sub try
{
	my ($sql, $db) = @_;
	my ($rc, $out, $err) = $node->psql($db // 'postgres', $sql);
	return $rc == 0 ? $out : $err;
}

# A process that waits has no entry in pg_stat_activity: it is the postmaster's child
# of that title.
sub errands_pid
{
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	my @pids = grep { -r "/proc/$_/stat" && slurp_file("/proc/$_/stat") =~ /\) \S+ $postmaster / }
	  map { m{/proc/(\d+)$} } glob '/proc/[0-9]*';
	my ($pid) = grep { slurp_file("/proc/$_/cmdline") =~ /pool_monitor errands/ } @pids;
	return $pid;
}

query(<<'EOS');
CREATE ROLE owner LOGIN; CREATE ROLE tenant LOGIN; CREATE ROLE declarer LOGIN; CREATE ROLE signaller LOGIN;
GRANT pg_signal_backend TO signaller;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON pool_monitor.pools TO declarer, signaller;
EOS
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace) VALUES ('good', 'good%', '1 s', '0')"
);

# ---- whatever the table has become ----

# Breaks the table, and has it mended again: [what, how, the error, how it is mended].
my $constraints = <<'EOS';
DO $$ DECLARE c name; BEGIN
	FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'pool_monitor.pools'::regclass LOOP
		EXECUTE format('ALTER TABLE pool_monitor.pools DROP CONSTRAINT %I', c);
	END LOOP;
	FOR c IN SELECT attname FROM pg_attribute WHERE attrelid = 'pool_monitor.pools'::regclass AND attnum > 0 AND attnotnull LOOP
		EXECUTE format('ALTER TABLE pool_monitor.pools ALTER COLUMN %I DROP NOT NULL', c);
	END LOOP;
END $$;
EOS

# The server is up, what was loaded before is in force, and nobody is retired.
sub holds
{
	my ($what, $error) = @_;
	like(try('SELECT pool_monitor.reload()'), $error, "$what: a load error");
	is(query('SELECT pool, base FROM pool_monitor.budgets'), 'good|5', "$what: the old ones stay");
	like(
		try('SELECT * FROM pool_monitor.recycle(dry_run => false)'),
		qr/could not load the declared pools/,
		"$what: nobody is retired"
	);
	return;
}

sub broken
{
	my ($what, $break, $error, $mend) = @_;
	query($break);
	holds($what, $error);
	query($mend);
	is(query('SELECT pool_monitor.reload()'), '1', "$what: mended");
	return;
}

query($constraints);
query("INSERT INTO pool_monitor.pools (name, application_name) VALUES (NULL, NULL)");
holds('a NULL name', qr/a row of pool_monitor.pools: column "name" must not be NULL/);
$offset = -s $node->logfile;
$node->restart;
is(query('SELECT 1'), '1', 'and a restart comes up with it');
like(
	try('SELECT pool_monitor.reload()'),
	qr/column "name" must not be NULL/,
	'with the same load error'
);
unlike(try('SELECT * FROM pool_monitor.budgets'),
	qr/ERROR/, 'the views go on, without declarations');
like(
	($node->psql('postgres', 'SELECT * FROM pool_monitor.budgets'))[2],
	qr/WARNING:  the declared pools could not be loaded: a row of pool_monitor.pools/,
	'and say why there are none'
);
is(query('SELECT status FROM pool_monitor.checklist WHERE item = 1'),
	'unknown', 'the checklist does not say that none is declared');
is(log_count($node, 'terminated by signal', $offset), 0, 'no process has crashed');
query('DELETE FROM pool_monitor.pools WHERE name IS NULL');
is(query('SELECT pool_monitor.reload()'), '1', 'mended');

# each column: NULL where it must not be, of another type, dropped, renamed
my @columns = map { [split /\|/] } split /\n/, query(
	"SELECT attname, format_type(atttypid, -1) FROM pg_attribute
	WHERE attrelid = 'pool_monitor.pools'::regclass AND attnum > 0 AND NOT attisdropped
		AND attname NOT IN ('description', 'base', 'ceiling') ORDER BY attnum"
);
my %nullable = map { $_ => 1 }
  qw(application_name datname usename client_addr pool_recycle budget recycle_window);
cmp_ok(scalar(@columns), '>=', 21, 'columns are read');
query('ALTER TABLE pool_monitor.pools DROP COLUMN base, DROP COLUMN ceiling');
is(query('SELECT pool_monitor.reload()'), '1', 'base and ceiling are computed, not read');

foreach my $column (@columns)
{
	my ($name, $type) = @$column;

	query(
		"INSERT INTO pool_monitor.pools (name) VALUES ('bad'); UPDATE pool_monitor.pools SET $name = NULL WHERE name = 'bad'"
	);
	my $outcome = try('SELECT pool_monitor.reload()');
	if ($nullable{$name}) { is($outcome, '2', "$name: may be NULL"); }
	else
	{
		like(
			$outcome,
			$name eq 'name'
			? qr/a row of .*"name" must not be NULL/
			: qr/pool "bad": column "$name" must not be NULL/,
			"$name: must not be NULL"
		);
	}
	query("DELETE FROM pool_monitor.pools WHERE coalesce(name, '') <> 'good'");

	query("ALTER TABLE pool_monitor.pools RENAME COLUMN $name TO other");
	like(
		try('SELECT pool_monitor.reload()'),
		qr/column "$name" of pool_monitor.pools is missing/,
		"$name: renamed"
	);
	query(
		"ALTER TABLE pool_monitor.pools ADD COLUMN $name " . ($type eq 'bytea' ? 'int' : 'bytea'));
	like(
		try('SELECT pool_monitor.reload()'),
		qr/column "$name" of pool_monitor.pools is not of type $type/,
		"$name: of another type"
	);
	query(
		"ALTER TABLE pool_monitor.pools DROP COLUMN $name; ALTER TABLE pool_monitor.pools RENAME COLUMN other TO $name"
	);
}
is(query('SELECT pool_monitor.reload()'), '1', 'all are back');

# each value out of its range
foreach my $bad (
	["name",             "''"],
	["name",             "repeat('x', 64)"],
	["name",             "'(other)'"],
	["name",             "E'new\\nline'"],
	["name",             "repeat('long', 1000000)"],
	["priority",         "-1"],
	["priority",         "2147483647"],
	["application_name", "repeat('x', 256)"],
	["application_name", "U&'\\00e4'"],
	["application_name", "'x\\'"],
	["application_name", "repeat('random()', 2000000)"],
	["datname",          "repeat('x', 256)"],
	["datname",          "'x\\\\\\'"],
	["usename",          "repeat('x', 100000)"],
	["usename",          "'\\'"],
	["servers",          "0"],
	["servers",          "-2147483648"],
	["workers",          "10001"],
	["pool_size",        "-1"],
	["pool_size",        "100001"],
	["max_overflow",     "-2"],
	["max_overflow",     "2147483647"],
	["pool_timeout",     "'-1 s'"],
	["pool_timeout",     "'25 h'"],
	["pool_recycle",     "'0'"],
	["pool_recycle",     "'178000000 years'"],
	["pool_recycle",     "'-178000000 years'"],
	["pool_recycle",     "'-12 months 361 days'"],
	["idle_limit",       "'366 days'"],
	["leak_threshold",   "'1 ms'"],
	["recycle_grace",    "'-1 day 23 h'"],
	["budget",           "0"],
	["budget",           "262144"],
	["recycle_mode",     "'Terminate'"],
	["recycle_mode",     "repeat('off', 100000)"],
	["recycle_window",   "'now'"],
	["recycle_window",   "repeat('x', 1000000)"]
  )
{
	my ($name, $value) = @$bad;
	my $bad_one = $name eq 'name' ? 'a row of pool_monitor.pools' : 'pool "bad"';
	query(
		"INSERT INTO pool_monitor.pools (name) VALUES ('bad'); UPDATE pool_monitor.pools SET $name = $value WHERE name = 'bad'"
	);
	like(
		try('SELECT pool_monitor.reload()'),
		qr/$bad_one: column "$name" must/,
		"$name = " . substr($value, 0, 30)
	);
	query("DELETE FROM pool_monitor.pools WHERE name <> 'good'");
}
query(
	"INSERT INTO pool_monitor.pools (name, servers, workers, pool_size) VALUES ('bad', 10000, 10000, 100000)"
);
like(try('SELECT pool_monitor.reload()'), qr/pool "bad": column "pool_size" times/, 'a large base');
query("UPDATE pool_monitor.pools SET pool_size = 1, max_overflow = 100000 WHERE name = 'bad'");
like(
	try('SELECT pool_monitor.reload()'),
	qr/pool "bad": column "pool_size" times|column "max_overflow" and/,
	'a large ceiling'
);
query("DELETE FROM pool_monitor.pools WHERE name <> 'good'");
broken(
	'a name twice',
	"INSERT INTO pool_monitor.pools (name, priority) VALUES ('good', 200)",
	qr/pool "good" is declared twice/,
	"DELETE FROM pool_monitor.pools WHERE priority = 200"
);

broken(
	'a child',
	'CREATE TABLE child () INHERITS (pool_monitor.pools)',
	qr/cannot be trusted: another table inherits from it/,
	'DROP TABLE child'
);
broken(
	'a parent',
	'CREATE TABLE parent (); ALTER TABLE pool_monitor.pools INHERIT parent',
	qr/cannot be trusted: it inherits from another table/,
	'ALTER TABLE pool_monitor.pools NO INHERIT parent; DROP TABLE parent'
);
broken(
	'unlogged',
	'ALTER TABLE pool_monitor.pools SET UNLOGGED',
	qr/cannot be trusted: it is not a permanent table/,
	'ALTER TABLE pool_monitor.pools SET LOGGED'
);
broken(
	'a dropped trigger',
	'DROP TRIGGER pools_changed ON pool_monitor.pools',
	qr/its trigger "pools_changed" is missing/,
	'CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed'
);
my $view_mended =
  'ALTER EXTENSION pool_monitor DROP VIEW pool_monitor.pools; DROP VIEW pool_monitor.pools; ALTER TABLE pool_monitor.aside RENAME TO pools';
broken(
	'a view in its place',
	'ALTER TABLE pool_monitor.pools RENAME TO aside; CREATE VIEW pool_monitor.pools AS SELECT * FROM pool_monitor.aside; ALTER EXTENSION pool_monitor ADD VIEW pool_monitor.pools',
	qr/cannot be trusted: it is not an ordinary table/,
	$view_mended
);
broken(
	'a partitioned table in its place',
	'ALTER TABLE pool_monitor.pools RENAME TO aside; CREATE TABLE pool_monitor.pools (name text) PARTITION BY LIST (name); ALTER EXTENSION pool_monitor ADD TABLE pool_monitor.pools',
	qr/cannot be trusted: it is not an ordinary table/,
	'ALTER EXTENSION pool_monitor DROP TABLE pool_monitor.pools; DROP TABLE pool_monitor.pools; ALTER TABLE pool_monitor.aside RENAME TO pools'
);

# owners
my $superuser = query('SELECT current_user');
broken(
	'owned by somebody else',
	'ALTER TABLE pool_monitor.pools OWNER TO owner',
	qr/cannot be trusted: it is not owned by "$superuser", as the extension is/,
	"ALTER TABLE pool_monitor.pools OWNER TO \"$superuser\""
);
broken(
	'in a schema of somebody else',
	'ALTER SCHEMA pool_monitor OWNER TO owner',
	qr/cannot be trusted: its schema is not owned by/,
	"ALTER SCHEMA pool_monitor OWNER TO \"$superuser\""
);
query('CREATE ROLE second SUPERUSER');
query(
	"UPDATE pg_extension SET extowner = 'second'::regrole WHERE extname = 'pool_monitor'; ALTER TABLE pool_monitor.pools OWNER TO second; ALTER SCHEMA pool_monitor OWNER TO second"
);
is(query('SELECT pool_monitor.reload()'), '1', 'another superuser may own it');
broken(
	'an owner that is no superuser any more',
	'ALTER ROLE second NOSUPERUSER',
	qr/cannot be trusted: role "second", which owns the extension, is not a superuser/,
	'ALTER ROLE second SUPERUSER'
);

# A trigger that has the name, and nothing else.
broken(
	'a trigger that does nothing',
	'DROP TRIGGER pools_changed ON pool_monitor.pools; CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW EXECUTE FUNCTION nothing(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed',
	qr/its trigger "pools_changed" is not the one that the extension made/,
	'DROP TRIGGER pools_changed ON pool_monitor.pools; DROP FUNCTION nothing(); CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed'
);
broken(
	'a trigger that looks away',
	'DROP TRIGGER pools_changed ON pool_monitor.pools; CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW WHEN (false) EXECUTE FUNCTION pool_monitor.pools_changed(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed',
	qr/its trigger "pools_changed" is not the one that the extension made/,
	'DROP TRIGGER pools_changed ON pool_monitor.pools; CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed'
);
broken(
	'a generated column',
	"ALTER TABLE pool_monitor.pools RENAME COLUMN usename TO aside; ALTER TABLE pool_monitor.pools ADD COLUMN usename text GENERATED ALWAYS AS (NULL) STORED",
	qr/column "usename" of pool_monitor.pools is a generated column/,
	'ALTER TABLE pool_monitor.pools DROP COLUMN usename; ALTER TABLE pool_monitor.pools RENAME COLUMN aside TO usename'
);

# The schedule leaves everybody alone as long as it lasts, and goes on afterwards. A
# clean-up every 100 ms, so a second of age is more than enough of them.
query("UPDATE pool_monitor.pools SET servers = 2 WHERE name = 'good'");
query(
	"INSERT INTO pool_monitor.pools (name, priority, application_name, pool_recycle, recycle_grace, recycle_mode) VALUES ('scheduled', 200, 'scheduled', '1 s', '0', 'terminate')"
);
is(query('SELECT pool_monitor.reload()'), '2', 'a pool that acts');
query("UPDATE pool_monitor.pools SET workers = NULL WHERE name = 'good'");
like(try('SELECT pool_monitor.reload()'), qr/"workers" must not be NULL/, 'and a bad row');
my $stale = PoolMonitor::Holder->new($node, application_name => 'scheduled', user => 'declarer');
wait_for(
	$node,
	"SELECT age > '3 s' FROM pool_monitor.sessions WHERE application_name = 'scheduled' AND stale",
	'a stale session is let live'
);
is(
	query("SELECT keep_reason FROM pool_monitor.sessions WHERE application_name = 'scheduled'"),
	'changed declarations are not loaded',
	'and the views say why'
);
query("UPDATE pool_monitor.pools SET workers = 1, servers = 1 WHERE name = 'good'");
wait_for(
	$node,
	"SELECT retired FROM pool_monitor.pool_stats WHERE pool = 'scheduled'",
	'and retired when the row is mended', '1'
);
$stale->close;
query("DELETE FROM pool_monitor.pools WHERE name = 'scheduled'");

# ---- what is around it ----

# noticed at once: nobody asks for a load
my $failed = qr/ERROR:  could not load the declared pools/;
$offset = -s $node->logfile;
query('ALTER TABLE pool_monitor.pools DISABLE TRIGGER pools_changed');
wait_for_log(
	$node,
	qr/could not load the declared pools: .*trigger "pools_changed" is not enabled/,
	'a disabled trigger is noticed', $offset
);
query('ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed');

query('CREATE DATABASE declared OWNER owner');
query('CREATE EXTENSION pool_monitor', 'declared');
$node->append_conf('postgresql.conf', "pool_monitor.database = 'declared'\n");
$node->reload;
query("INSERT INTO pool_monitor.pools (name) VALUES ('elsewhere')", 'declared');
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
	$offset = -s $node->logfile;
	query($how);
	wait_for_log(
		$node,
		qr/could not load the declared pools: there is no database "declared" that accepts/,
		"$how is noticed", $offset
	);
	is(query('SELECT pool FROM pool_monitor.budgets'), 'elsewhere', 'the views go on');
	like(try('SELECT * FROM pool_monitor.recycle()'), $failed, 'and nobody is retired');
	query($back) if $back;
}
$node->append_conf('postgresql.conf', "pool_monitor.database = 'postgres'\n");
$node->reload;
wait_for($node, 'SELECT string_agg(pool, NULL) FROM pool_monitor.budgets', 'back', 'good');

# a tenant with a database of her own cannot ask for loads
query('CREATE DATABASE tenants OWNER tenant; ALTER DATABASE postgres OWNER TO owner');
query('CREATE EXTENSION pool_monitor; GRANT INSERT, DELETE ON pool_monitor.pools TO tenant',
	'tenants');
query('SELECT pool_monitor.reload()');
$offset = -s $node->logfile;
query(
	'SET ROLE tenant; CREATE EXTENSION pgcrypto; DROP EXTENSION pgcrypto; CREATE EXTENSION hstore; DROP EXTENSION hstore; ALTER DATABASE tenants CONNECTION LIMIT 50',
	'tenants'
);
$node->psql('tenants',
	"SET ROLE tenant; INSERT INTO pool_monitor.pools (name) VALUES ('hers'); DELETE FROM pool_monitor.pools"
);
query(
	'SET ROLE owner; CREATE EXTENSION pgcrypto; DROP EXTENSION pgcrypto; ALTER DATABASE postgres CONNECTION LIMIT 50; CREATE TABLE mine (); DROP TABLE mine'
);
query(
	"UPDATE pool_monitor.pools SET description = 'x'; UPDATE pool_monitor.pools SET workers = workers"
);
query('SELECT pool_monitor.reload()');
is(log_count($node, 'pool_monitor errand: loading', $offset),
	1, 'extensions, tables and settings of tenants make no load, nor does a change of nothing');

# what the owner of the database sets does not reach the process that loads
query('CREATE TABLE busy (n int); GRANT ALL ON busy TO PUBLIC');
my $writer = $node->background_psql('postgres');
$writer->query_safe(
	'BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO busy VALUES (1); SELECT count(*) FROM busy');
query(<<'EOS');
SET ROLE owner;
ALTER DATABASE postgres SET default_transaction_isolation = 'serializable';
ALTER DATABASE postgres SET default_transaction_read_only = on;
ALTER DATABASE postgres SET default_transaction_deferrable = on;
ALTER DATABASE postgres SET lock_timeout = '1ms';
ALTER DATABASE postgres SET exit_on_error = on;
ALTER DATABASE postgres SET search_path = 'nowhere';
ALTER DATABASE postgres SET synchronous_commit = 'remote_apply';
EOS
is(try('SELECT pool_monitor.reload()', 'tenants'), '1', 'nor does it hang for them');
my $listener = $node->background_psql('postgres');
$listener->query('LISTEN pool_monitor');
$offset = -s $node->logfile;
$node->psql('postgres',
	"BEGIN READ WRITE ISOLATION LEVEL READ COMMITTED; SELECT pool_monitor.reset('good'); COMMIT");
wait_for_log(
	$node,
	qr/pool_monitor errand: telling those who LISTEN/,
	'and it tells of events', $offset
);
$listener->quit;
$writer->query_safe('ROLLBACK');
$writer->quit;
$node->psql('template1', 'ALTER DATABASE postgres RESET ALL');

# ---- loads that hang ----

my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE pool_monitor.pools IN ACCESS EXCLUSIVE MODE');
$offset = -s $node->logfile;
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
my $pid = query($errands);
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

# ---- worker slots ----

query(
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
like(query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'"),
	qr/^[5-8]$/, 'all that there are');
query(
	"INSERT INTO pool_monitor.pools (name, priority, application_name) VALUES ('late', 500, 'late')"
);
is(query('SELECT pool_monitor.reload()'), '2', 'declarations are loaded all the same');
query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenant'");
$_->{run}->finish foreach @takers;
query("DELETE FROM pool_monitor.pools WHERE name = 'late'");

is(log_count($node, '"pool_monitor errands" .* exited with exit code'),
	0, 'the exits that follow errands are not in the log');

# ... but a crash of that process is
$offset = -s $node->logfile;
my $crash = '"pool_monitor errands" \(PID \d+\) exited with exit code 2';
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
is(log_count($node, 'is not running'), 0, 'at no start was it taken for missing');

# ---- rows that act ----

my $denied = qr/ERROR:  permission denied to/;
my @denied = (
	"INSERT INTO pool_monitor.pools (name, recycle_mode) VALUES ('acts', 'terminate')",
	"INSERT INTO pool_monitor.pools (name, shrink_idle) VALUES ('acts', true)",
	"UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET recycle_mode = 'report' WHERE name = 'acting'",
	"UPDATE pool_monitor.pools SET pool_recycle = '1 s' WHERE name = 'acting'",
	"UPDATE pool_monitor.pools SET application_name = '%' WHERE name = 'acting'",
	"UPDATE pool_monitor.pools SET shrink_idle = true WHERE name = 'after'",
	"DELETE FROM pool_monitor.pools WHERE name = 'acting'",
	"DELETE FROM pool_monitor.pools WHERE name = 'before'",
	"DELETE FROM pool_monitor.pools",
	"TRUNCATE pool_monitor.pools",
	"UPDATE pool_monitor.pools SET priority = 900 WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET application_name = 'narrow' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET datname = 'nowhere' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET usename = 'nobody' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET client_addr = '10.0.0.0/8' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET name = 'zz' WHERE name = 'before'",
	"MERGE INTO pool_monitor.pools p USING (SELECT 1) s ON p.name = 'before' WHEN MATCHED THEN DELETE",
	"INSERT INTO pool_monitor.pools (name) VALUES ('before') ON CONFLICT (name) DO UPDATE SET application_name = 'x'",
);
my $many = 'SELECT i::text FROM generate_series(1, 100) i';
like(
	try("BEGIN; SET ROLE declarer; INSERT INTO pool_monitor.pools (name) $many"),
	qr/ERROR:  \d+ pools are declared, but there is room for 64/,
	'nor may she push others out of force'
);
like(
	(
		$node->psql(
			'postgres',
			"BEGIN; SET ROLE signaller; INSERT INTO pool_monitor.pools (name) $many; ROLLBACK"
		)
	)[2],
	qr/WARNING:  \d+ pools are declared/,
	'which is a warning for who may end sessions'
);
my @allowed = (
	"UPDATE pool_monitor.pools SET workers = 3 WHERE name = 'before'",
	"INSERT INTO pool_monitor.pools (name, priority) VALUES ('first', 0)",
	"UPDATE pool_monitor.pools SET application_name = 'y' WHERE name = 'after'",
	"DELETE FROM pool_monitor.pools WHERE name = 'after'",
);
query("ALTER TABLE pool_monitor.pools ADD PRIMARY KEY (name)");
my $rows =
  "('before', 50, 'app%', 'report'), ('acting', 100, 'app%', 'terminate'), ('after', 200, 'else', 'report')";
query(
	"INSERT INTO pool_monitor.pools (name, priority, application_name, recycle_mode) VALUES $rows");
like(try("BEGIN; SET ROLE declarer; $_; ROLLBACK"), $denied, "denied: $_") foreach @denied;
unlike(try("BEGIN; SET ROLE declarer; $_; ROLLBACK"), qr/ERROR/, "allowed: $_") foreach @allowed;
unlike(try("BEGIN; SET ROLE signaller; $_; ROLLBACK"), qr/ERROR/, "with pg_signal_backend: $_")
  foreach @denied, @allowed;
like(
	try("BEGIN; SET ROLE declarer; DELETE FROM pool_monitor.pools WHERE name = 'before'"),
	qr/pool "before".*DETAIL:  Pool "acting" retires sessions.*HINT:  This needs the privileges of the role pg_signal_backend/s,
	'the message names both, and what it needs'
);

# two transactions that are right alone: the second one waits, and sees the first
query("DELETE FROM pool_monitor.pools WHERE name = 'acting'");
my $first = $node->background_psql('postgres');
$first->query_safe(
	"BEGIN; INSERT INTO pool_monitor.pools (name, priority, application_name, recycle_mode) VALUES ('acting', 100, 'app%', 'terminate')"
);
my $second = $node->background_psql('postgres', on_error_stop => 0);
$second->query('SET ROLE declarer');
$second->query_until(qr/begun/,
	"\\echo begun\nDELETE FROM pool_monitor.pools WHERE name = 'before';\n\\echo done\n");
wait_for(
	$node,
	"SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_class'::regclass AND NOT granted",
	'a row is deleted while one that acts is being declared: it waits',
	'1'
);
$first->query_safe('COMMIT');
$first->quit;
$second->query_until(qr/done/, '');
is(query("SELECT count(*) FROM pool_monitor.pools WHERE name = 'before'"), '1', 'and is denied');
$second->quit;

$node->stop('fast');
done_testing();
