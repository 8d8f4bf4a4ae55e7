# Corners where declarations and notifications come from, or do not: rows that
# arrive by logical replication, a queue of notifications that is full, a server
# without a worker slot. Only TAP has two servers, and settings that need a restart.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../lib";
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $pools = "SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.budgets";

# ---- logical replication ----

my $publisher =
  new_server('publisher', "wal_level = logical\n", init => {allows_streaming => 'logical'});
my $node = new_server('subscriber', <<'EOC');
max_worker_processes = 12
EOC

$publisher->safe_psql('postgres', 'CREATE PUBLICATION p FOR TABLE pool_monitor.pools');
$publisher->safe_psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('copied')");
$node->safe_psql('postgres',
	sprintf("CREATE SUBSCRIPTION s CONNECTION '%s' PUBLICATION p", $publisher->connstr('postgres'))
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
$publisher->stop;

# ---- the queue of notifications ----

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
	my $offset = -s $node->logfile;
	$node->safe_psql('postgres', 'SELECT pool_monitor.reset()') for 1 .. 40;
	wait_for($node, 'SELECT pool_monitor.reload() = 0', 'declarations are loaded meanwhile');
	$listener->query('COMMIT');
	$listener->quit;
	cmp_ok(log_count($node, 'could not tell those who LISTEN', $offset),
		'<=', 1, 'said once at most');
}

# ---- no worker slot ----

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

$node->stop('fast');
done_testing();
