# On a hot standby: the worker runs, declarations arrive by replication, the
# views are live, sessions can be retired; and promotion. Needs two servers.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_server('primary', '', init => {allows_streaming => 1});
declare(
	$primary,
	insert_pool(
		'app',
		pool_size     => 2,
		max_overflow  => 0,
		pool_recycle  => "'1 s'",
		recycle_grace => "'0'"
	  )
	  . 'CREATE ROLE app LOGIN'
);
$primary->backup('backup');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my $app;

subtest 'declarations are those of the primary, sessions are its own' => sub {
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
	$app = app_holder($standby, 'app', 3);
	is(query($standby, 'SELECT connections, status FROM pool_monitor.budgets'), '3|over', 'live');
	is(query($primary, 'SELECT connections, status FROM pool_monitor.budgets'),
		'0|ok', 'and not of the primary');
	wait_for_log($standby, qr/pool "app" is over its budget/, 'the worker samples');
};

subtest 'a change of the primary arrives, and none is made here' => sub {
	query($primary, "UPDATE pool_monitor.pools SET max_overflow = 5");
	wait_for(
		$standby,
		"SELECT ceiling FROM pool_monitor.budgets",
		'a change arrives by replication', '7'
	);
	is(query($standby, 'SELECT pool_monitor.reload()'), '1', 'reload() works');
	my ($rc, $out, $err) =
	  $standby->psql('postgres', "INSERT INTO pool_monitor.pools (name) VALUES ('x')");
	like($err, qr/read-only transaction/, 'declarations are of the primary');
};

subtest 'its sessions can be retired' => sub {
	wait_for($standby, "SELECT count(*) FROM pool_monitor.recycle() WHERE action = 'would_retire'",
		'stale', '3');
	is(
		query(
			$standby,
			"SELECT action, count(*) FROM pool_monitor.recycle(dry_run => false) GROUP BY 1"
		),
		'retired|3',
		'sessions of a standby can be retired'
	);
	$app->close;
};

subtest 'after promotion it loads by itself' => sub {
	$primary->stop;
	$standby->promote;
	query($standby, "INSERT INTO pool_monitor.pools (name) VALUES ('new')");
	wait_for(
		$standby,
		'SELECT count(*) FROM pool_monitor.budgets',
		'after promotion a change is loaded at commit', '2'
	);
};

is(log_count($standby, 'PANIC|TRAP|could not load'), 0, 'nothing went wrong on the way');
done_testing();
