# Retirement on schedule: what recycle_mode says, who declines, and who is never asked.
# Needs real sessions, one of which holds what pins it, a schedule, and the log. By hand: 004.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('scheduled',
	"pool_monitor.recycle_interval = 1h\npool_monitor.protected_roles = 'guarded'\n");
$node->safe_psql('postgres',
	'CREATE ROLE app LOGIN; CREATE ROLE guarded LOGIN; CREATE ROLE boss LOGIN SUPERUSER; GRANT TEMPORARY ON DATABASE postgres TO app'
);

# Pool app, whose oldest session is pinned, and pool other, which shows that cycles have
# gone by.
declare(
	$node,
	insert_pool(
		'app',
		pool_size     => 4,
		max_overflow  => 0,
		pool_recycle  => "'1 s'",
		recycle_grace => "'100 ms'",
		recycle_mode  => "'report'"
	  )
	  . insert_pool(
		'other',
		pool_recycle  => "'1 s'",
		recycle_grace => "'0'",
		recycle_mode  => "'terminate'"
	  )
);

sub holder { return PoolMonitor::Holder->new($node, application_name => 'app', user => 'app', @_) }

sub let_cycles_pass
{
	my $canary = holder(application_name => 'other');
	wait_for($node, "SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'other'",
		'cycles go by', '0');
	$canary->close;
	return;
}
my $app_stale = "SELECT stale FROM pool_monitor.budgets WHERE pool = 'app'";
my $pinned    = holder();
$pinned->do('sql 0 CREATE TEMP TABLE t (i int)');
my $scheduled = holder(sessions => 3);
wait_for($node, $app_stale, 'stale', '4');
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
$node->reload;
my $offset = -s $node->logfile;

subtest 'recycle_mode report retires none' => sub {
	let_cycles_pass();
	is($node->safe_psql('postgres', $app_stale), '4', 'recycle_mode report: none retired');
};

subtest 'recycle_mode terminate retires all but the pinned one' => sub {
	declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'terminate'");
	wait_for(
		$node,
		"SELECT connections FROM pool_monitor.budgets WHERE pool = 'app'",
		'recycle_mode terminate: all but the pinned one retired', '1'
	);
	is($pinned->do('sql 0 SELECT 42'), '42', 'the one with a temporary table goes on');
	wait_for_log(
		$node,
		qr/pool "app": sessions retired: \d+, declined: 1 temporary schema/,
		'the pinned one, though the oldest, does not stand in the way', $offset
	);
	is(log_count($node, 'pool "app": session retired: PID', $offset), 3, 'a line for each');
};

# Once it is at rest again after that statement.
subtest 'a decline that was in the log already is not repeated' => sub {
	let_cycles_pass();
	$offset = -s $node->logfile;
	let_cycles_pass() for 1 .. 3;
	is(log_count($node, 'pool "app": sessions retired: 0', $offset),
		0, 'a decline that was in the log already is not repeated in every cycle');
};

$scheduled->close;
$pinned->close;

# They are looked up by a worker that has no database.
subtest 'superusers and protected roles are not retired' => sub {
	my $boss    = holder(user => 'boss');
	my $guarded = holder(user => 'guarded');
	my $other   = holder();
	wait_for(
		$node,
		"SELECT string_agg(keep_reason, ',' ORDER BY keep_reason) FROM pool_monitor.sessions WHERE pool = 'app'",
		'retired all but the superuser and the protected role',
		'protected role,superuser'
	);
	is($boss->do('sql 0 SELECT 42'),    '42', 'the superuser goes on');
	is($guarded->do('sql 0 SELECT 42'), '42', 'the protected role goes on');
	$_->close foreach ($boss, $guarded, $other);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
is(
	$node->safe_psql(
		'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool_monitor'"
	),
	'1',
	'the worker is there'
);
$node->stop;
done_testing();
