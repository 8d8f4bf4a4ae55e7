# Declarations: when they are loaded, what keeps them from being loaded and how
# that is said, and which session belongs to which pool. The conditions are the
# whole server's (settings, worker slots, restarts), so only TAP can make them.
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

# at commit
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

# rolled back: no load is even asked for. Each is logged at debug1; the commit that
# follows makes one.
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

# cannot be prepared
my ($rc, $out, $err) = $node->psql('postgres',
	"BEGIN; INSERT INTO pool_monitor.pools (name) VALUES ('prepared'); PREPARE TRANSACTION 'p'");
like(
	$err,
	qr/cannot PREPARE a transaction that has changed pool_monitor.pools/,
	'PREPARE TRANSACTION is refused'
);
$node->safe_psql('postgres', "BEGIN; SELECT 1; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'");

($rc, $out, $err) = $node->psql('postgres',
	"BEGIN; CREATE EXTENSION pageinspect; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'");
unlike($err, qr/pool_monitor/, 'of pool_monitor.pools only: another extension can be prepared');

# at start-up
$node->safe_psql('postgres',
	"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('kept', 'kept')");
wait_for($node, $pools, 'one more', 'kept');
$node->restart;
wait_for($node, $pools, 'loaded at start-up', 'kept');

# more than there is room for
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

# in another database
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
is($warnings,                             1,      'once, not for every row');
is($node->safe_psql('elsewhere', $pools), 'kept', 'but the views show the whole server from there');
$node->append_conf('postgresql.conf', "pool_monitor.database = 'elsewhere'\n");
$node->reload;
wait_for($node, $pools, 'until the setting points there', 'there 1,there 2,there 3');

# to a database that does not exist, or has no extension
$offset = -s $node->logfile;
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

$offset = -s $node->logfile;
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
wait_for($node, "SELECT count(*) FROM pool_monitor.budgets", 'creating it there loads at once',
	'0');
$node->append_conf('postgresql.conf', "pool_monitor.database = 'elsewhere'\n");
$node->reload;
wait_for($node, $pools, 'and back', 'there 1,there 2,there 3');
$node->safe_psql('elsewhere', 'DROP EXTENSION pool_monitor');
wait_for(
	$node,
	"SELECT count(*) FROM pool_monitor.budgets",
	'dropping the extension drops its declarations', '0'
);
$node->append_conf('postgresql.conf', "pool_monitor.database = 'postgres'\n");
$node->reload;
wait_for($node, $pools, 'the first ones again', 'kept');

# the loader pins no database
$node->safe_psql('postgres', 'CREATE DATABASE pinned');
$node->safe_psql('postgres', "ALTER SYSTEM SET pool_monitor.database = 'pinned'");
$node->reload;
$node->psql('postgres', 'SELECT pool_monitor.reload()');
($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE pinned');
is($rc, 0, 'pool_monitor.database can be dropped while the worker runs');
$node->safe_psql('postgres', "ALTER SYSTEM RESET pool_monitor.database");
$node->reload;
wait_for($node, $pools, 'and the first ones again', 'kept');

# no free worker slot
$node->append_conf('postgresql.conf',
	"max_worker_processes = 2\nmax_logical_replication_workers = 1\n");
$offset = -s $node->logfile;
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
($rc, $out, $err) = $node->psql('postgres', 'SELECT pool_monitor.reload()') for 1 .. 3;
is(log_count($node, 'LOG:  pool_monitor could not load', $offset), 1, 'logged once by the worker');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$node->restart;
wait_for($node, $pools, 'with one, they load', 'kept');

# a loader that dies, and one that must wait
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
wait_for($node, $pools, 'tried again when the lock is gone, and the change is seen', 'kept,later');
$locker->quit;
$node->safe_psql('postgres', "DELETE FROM pool_monitor.pools WHERE name = 'later'");
wait_for($node, $pools, 'as before', 'kept');

# a failed load stops the clean-up, not the views
$node->safe_psql('postgres', "ALTER SYSTEM SET pool_monitor.database = 'gone'");
$node->reload;
wait_for_log(
	$node,
	qr/no database "gone".*DETAIL:  What was loaded before stays in force; no session is retired until a load succeeds/s,
	'a failed load',
	$offset
);
($rc, $out, $err) = $node->psql('postgres', 'SELECT * FROM pool_monitor.recycle(dry_run => false)');
like(
	$err,
	qr/ERROR:  could not load the declared pools: there is no database "gone"/,
	'recycle() refuses'
);
$node->safe_psql('postgres', 'ALTER SYSTEM RESET pool_monitor.database');
$node->reload;
wait_for($node, "SELECT pool_monitor.reload()", 'and back', '1');

# a schema that somebody else has made, empty or not
$node->safe_psql('postgres',
	'CREATE ROLE squatter; CREATE DATABASE squatted; GRANT CREATE ON DATABASE squatted TO squatter'
);
$node->safe_psql('squatted', 'SET ROLE squatter; CREATE SCHEMA pool_monitor');
($rc, $out, $err) = $node->psql('squatted', 'CREATE EXTENSION pool_monitor');
like($err, qr/schema "pool_monitor" already exists/, 'a schema that is there before is refused');
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
		'postgres', "SELECT count(*) FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) o
			WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
				AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor')
				AND (o.schema = 'pg_catalog' OR o.identity LIKE 'pg_catalog.%')"
	),
	'0',
	'nothing of the extension is in pg_catalog'
);

# dump and restore
my $dump = $node->basedir . '/dump.sql';
command_ok(['pg_dump', '-f', $dump, '-d', $node->connstr('postgres')], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');

$node->command_ok(
	['psql', '-v', 'ON_ERROR_STOP=1', '-q', '-f', $dump, '-d', $node->connstr('restored')],
	'restore');
is($node->safe_psql('restored', 'SELECT name, base FROM pool_monitor.pools'),
	'kept|5', 'the declarations are in the dump');

# the owner of a database may not read the table that her dump wants to save
$node->safe_psql('postgres', 'CREATE ROLE dumper LOGIN; CREATE DATABASE dumped OWNER dumper');
$node->safe_psql('dumped',   'CREATE EXTENSION pool_monitor');
my @her_dump = ('pg_dump', '-U', 'dumper', '-f', $dump, '-d', $node->connstr('dumped'));
command_fails_like(\@her_dump, qr/permission denied for table pools/, 'pg_dump by an owner');
$node->safe_psql('dumped', 'GRANT SELECT ON pool_monitor.pools TO dumper');
command_ok(\@her_dump, 'with the GRANT that the documents name');
$node->safe_psql('postgres', 'DROP DATABASE dumped');

# a table that only has the name of the one that declares
$node->safe_psql('postgres', 'ALTER EXTENSION pool_monitor DROP TABLE pool_monitor.pools');
($rc, $out, $err) = $node->psql('postgres', 'SELECT pool_monitor.reload()');
like(
	$err,
	qr/in database "postgres" no table pool_monitor.pools belongs to the extension/,
	'a table that is not of the extension is not read'
);
$node->safe_psql('postgres', 'ALTER EXTENSION pool_monitor ADD TABLE pool_monitor.pools');
is($node->safe_psql('postgres', 'SELECT pool_monitor.reload()'), '1', 'and one that is, is');

# matching
declare($node, <<'EOS');
DELETE FROM pool_monitor.pools;
INSERT INTO pool_monitor.pools (name, priority, application_name, datname, usename, client_addr) VALUES
	('a network', 1, '%', NULL, NULL, '127.0.0.0/8'),
	('b percent', 10, '100\%', NULL, NULL, NULL),
	('c ems', 10, 'ems_worker%', NULL, NULL, NULL),
	('d role', 20, NULL, 'postgres', 'app_r%', NULL),
	('e rest', 30, 'rest', 'else%', NULL, NULL);
CREATE ROLE app_reader LOGIN; CREATE DATABASE elsewhere2;
EOS

sub pool_of
{
	my (%param) = @_;
	my $holder  = PoolMonitor::Holder->new($node, %param);
	my $pid     = $holder->do('pid 0');
	return $node->safe_psql('postgres',
		"SELECT coalesce(pool, '-') FROM pool_monitor.sessions WHERE pid = $pid");
}
is(pool_of(application_name => '100%'),         'b percent', 'an escaped % is itself');
is(pool_of(application_name => '1000'),         '-',         'and nothing else');
is(pool_of(application_name => 'ems_worker 3'), 'c ems',     'a prefix');
is(pool_of(application_name => 'emsXworker'),   'c ems',     '_ is any character');
is(pool_of(application_name => 'ems_worker', user => 'app_reader'),
	'c ems', 'the lower priority wins');
is(pool_of(application_name => 'other', user => 'app_reader'), 'd role', 'a role and a database');
is(pool_of(application_name => '', user => 'app_reader'), 'd role', 'an empty application_name');
is(pool_of(application_name => 'rest'),                   '-',      'another database');
is(pool_of(application_name => 'rest', dbname => 'elsewhere2'), 'e rest', 'a database pattern');

my $mover     = PoolMonitor::Holder->new($node, application_name => 'rest', dbname => 'elsewhere2');
my $mover_pid = $mover->do('pid 0');
my $mover_pool = "SELECT coalesce(pool, '-') FROM pool_monitor.sessions WHERE pid = $mover_pid";
is($node->safe_psql('postgres', $mover_pool), 'e rest', 'a session in its pool');
$mover->do("sql 0 SET application_name = 'ems-worker'");
is($node->safe_psql('postgres', $mover_pool), 'c ems',
	'moves when it changes its application_name');
is(
	$node->safe_psql(
		'postgres', "SELECT connections FROM pool_monitor.budgets WHERE pool = 'e rest'"
	),
	'0',
	'and is counted there only'
);
declare($node,
	"UPDATE pool_monitor.pools SET application_name = 'ems-%', priority = 5 WHERE name = 'e rest'");
is($node->safe_psql('postgres', $mover_pool), 'e rest', 'and when the declarations change');
$mover->close;

# the same as SQL's LIKE, for every pattern and every name
my @names = (
	'',    'a', 'b', 'ab', 'aab', 'abc', 'aXbXc', 'ems-1', 'ems-12', 'EMS-1', '%', '_', '\\', 'a%b',
	'a_b', 'a\\b', ' ', 'aaaaaaaaab'
);
my @patterns = (
	'',      '%',     '%%',        '_',     '__',   'a',     'a%',    '%a',
	'%a%',   'a%b',   'a_b',       'a%b%c', '%b%c', 'a_%',   '_%_',   '%_',
	'ems-_', 'ems-%', '\\%',       '\\_',   '\\\\', 'a\\%b', 'a\\_b', 'a\\\\b',
	'%\\%%', '%\\_%', 'a%a%a%a%b', '%aab',  '%ab%ab'
);
my $like = PoolMonitor::Holder->new($node, application_name => 'like', sessions => scalar @names);
foreach my $i (0 .. $#names)
{
	$like->do("sql $i SET application_name = '$names[$i]'");
}
my $pids = join ',', map { $like->do("pid $_") } 0 .. $#names;
my @different;
foreach my $pattern (@patterns)
{
	declare($node,
		"DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name) VALUES ('like', '$pattern')"
	);
	push @different, "\"$pattern\": $_"
	  foreach split /\n/,
	  $node->safe_psql('postgres',
		"SELECT '\"' || application_name || '\"' FROM pool_monitor.sessions WHERE pid IN ($pids) AND (pool IS NOT NULL) <> (application_name LIKE '$pattern')"
	  );
}
is("@different", '', 'LIKE and pool_monitor agree on ' . @names * @patterns . ' pairs');
$like->close;

# "_" is one character, also where that is two bytes
$node->safe_psql('postgres', "CREATE ROLE \"caf\xc3\xa9\" LOGIN");
declare($node,
	"DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name, usename) VALUES ('one', NULL, 'caf_'), ('d role', NULL, 'app_r%')"
);
is(pool_of(application_name => 'x', user => "caf\xc3\xa9"), 'one', 'one character of two bytes');

# a role that is renamed while it is logged in keeps its pool
my $renamed = PoolMonitor::Holder->new($node, application_name => 'other', user => 'app_reader');
my $renamed_pid = $renamed->do('pid 0');
$node->safe_psql('postgres', 'ALTER ROLE app_reader RENAME TO zoe');
is(
	$node->safe_psql(
		'postgres', "SELECT pool, usename FROM pool_monitor.sessions WHERE pid = $renamed_pid"
	),
	'd role|zoe',
	'matched by the name it logged in with, shown by the one it has'
);
$renamed->close;

# TCP clients and networks
my $tcp = new_server('tcp', "listen_addresses = '127.0.0.1'\n");
$tcp->append_conf('pg_hba.conf', "host all all 127.0.0.0/8 trust\n");
$tcp->reload;
declare(
	$tcp, "INSERT INTO pool_monitor.pools (name, priority, client_addr) VALUES
	('host', 1, '127.0.0.1'), ('network', 2, '127.0.0.0/9'), ('other', 3, '10.0.0.0/8'), ('v6', 4, '::/0')"
);
my $near   = PoolMonitor::Holder->new($tcp, host => '127.0.0.1', application_name => 'near');
my $socket = PoolMonitor::Holder->new($tcp, application_name => 'socket');
is(
	$tcp->safe_psql(
		'postgres',
		"SELECT pool, client_addr FROM pool_monitor.sessions WHERE application_name = 'near'"
	),
	'host|127.0.0.1',
	'a host'
);
is(
	$tcp->safe_psql(
		'postgres',
		"SELECT pool IS NULL, client_addr IS NULL FROM pool_monitor.sessions WHERE application_name = 'socket'"
	),
	't|t',
	'a Unix-domain socket is in no network'
);
declare($tcp, "DELETE FROM pool_monitor.pools WHERE name = 'host'");
is(
	$tcp->safe_psql(
		'postgres', "SELECT pool FROM pool_monitor.sessions WHERE application_name = 'near'"
	),
	'network',
	'a network that is no whole number of bytes'
);
$tcp->safe_psql('postgres', 'CREATE ROLE curious LOGIN');
is(
	$tcp->safe_psql('postgres', "SET ROLE curious; SELECT count(pool) FROM pool_monitor.sessions"),
	'0',
	'a pool that was chosen by address is hidden with the address'
);
is(
	$tcp->safe_psql(
		'postgres',
		"SET ROLE curious; SELECT count(*), count(pool) FROM pool_monitor.applications WHERE application_name = 'near'"
	),
	'1|0',
	'also where sessions are grouped'
);
$near->close;
$socket->close;

done_testing();
