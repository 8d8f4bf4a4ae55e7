# On a hot standby: the worker runs, declarations arrive by replication, the
# views are live, sessions can be retired; and promotion. Needs two servers.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_server('primary', '', init => {allows_streaming => 1});
declare($primary,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace) VALUES ('app', 'app', 2, 0, '1 s', '0'); CREATE ROLE app LOGIN"
);
$primary->backup('backup');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

wait_for(
	$standby,
	"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool_monitor'",
	'the worker runs on the standby', '1'
);
wait_for(
	$standby,
	"SELECT pool, ceiling FROM pool_monitor.budgets",
	'the declarations are loaded', 'app|2'
);
my $app =
  PoolMonitor::Holder->new($standby, application_name => 'app', user => 'app', sessions => 3);
is($standby->safe_psql('postgres', 'SELECT connections, status FROM pool_monitor.budgets'),
	'3|over', 'live');
is($primary->safe_psql('postgres', 'SELECT connections, status FROM pool_monitor.budgets'),
	'0|ok', 'and not of the primary');
wait_for_log($standby, qr/pool "app" is over its budget/, 'the worker samples');

$primary->safe_psql('postgres', "UPDATE pool_monitor.pools SET max_overflow = 5");
wait_for(
	$standby,
	"SELECT ceiling FROM pool_monitor.budgets",
	'a change arrives by replication', '7'
);
is($standby->safe_psql('postgres', 'SELECT pool_monitor.reload()'), '1', 'reload() works');
wait_for($standby, "SELECT count(*) FROM pool_monitor.recycle() WHERE action = 'would_retire'",
	'stale', '3');
is(
	$standby->safe_psql(
		'postgres',
		"SELECT action, count(*) FROM pool_monitor.recycle(dry_run => false) GROUP BY 1"
	),
	'retired|3',
	'sessions of a standby can be retired'
);
$app->close;
my ($rc, $out, $err) =
  $standby->psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('x')");
like($err, qr/read-only transaction/, 'declarations are of the primary');

$primary->stop;
$standby->promote;
$standby->safe_psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('new')");
wait_for(
	$standby,
	'SELECT count(*) FROM pool_monitor.budgets',
	'after promotion a change is loaded at commit', '2'
);
is(log_count($standby, 'PANIC|TRAP|could not load'), 0, 'nothing went wrong on the way');
done_testing();
