# Retirement by hand: who is stale, who is kept and why. Needs several real sessions that
# hold what pins them. On schedule: 039.
use strict;
use warnings FATAL => 'all';
use PoolMonitor           qw(:DEFAULT query insert_pool holder_of);
use PoolMonitorRetirement qw(setting);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('recycle',
	"pool_monitor.recycle_interval = 1h\nmax_connections = 60\nwal_level = replica\nmax_wal_senders = 2\nlog_error_verbosity = verbose\n"
);
query($node, <<'EOS');
CREATE ROLE app LOGIN; CREATE ROLE guarded LOGIN; CREATE ROLE boss LOGIN SUPERUSER;
CREATE ROLE cleaner LOGIN IN ROLE pg_signal_backend;
CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats;
GRANT CREATE, TEMPORARY ON DATABASE postgres TO app;
CREATE ROLE hat; GRANT hat TO app;
ALTER ROLE app REPLICATION;
GRANT EXECUTE ON FUNCTION pg_backup_start, pg_backup_stop TO app;
GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup, pg_replication_origin_session_reset TO app;
SELECT pg_replication_origin_create('o');
EOS
declare(
	$node,
	insert_pool(
		'app',
		pool_size     => 20,
		max_overflow  => 0,
		pool_recycle  => "'1 s'",
		recycle_grace => "'100 ms'"
	)
);

sub holder { return holder_of('app', $node, 'app', @_) }

sub stale
{
	my ($n) = @_;
	wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'app'", "$n stale", $n);
}

sub actions
{
	return query($node,
		"SELECT action || coalesce(': ' || reason, ''), count(*) FROM pool_monitor.recycle($_[0]) GROUP BY 1 ORDER BY 1"
	);
}

# Why the pool's sessions are kept, as sessions says it.
sub keep_reason
{
	return query($node, "SELECT keep_reason FROM pool_monitor.sessions WHERE pool = 'app'");
}

is(actions(''), '', 'nobody to list');
my $plain = holder(sessions => 3);

subtest 'a dry run touches nothing' => sub {
	stale(3);
	is(actions(''),                'would_retire|3', 'a dry run');
	is(actions("'app'"),           'would_retire|3', 'of one pool');
	is($plain->do('all SELECT 1'), 'ok',             'touched nothing');
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT * FROM pool_monitor.recycle('no such')");
	like($err, qr/ERROR:  there is no declared pool "no such"/, 'a pool that is not declared');
};

subtest 'who is retired by hand is gone, and it is in the log' => sub {
	stale(3);
	my $offset = -s $node->logfile;
	is(actions('dry_run => false'), 'retired|3', 'retired by hand');
	is(query($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'app'"),
		'0', 'and gone');
	like($plain->do('all SELECT 1'), qr/^error/, 'the client notices');
	is(log_count($node, 'FATAL: +57P01: +terminating connection', $offset),
		3, 'what it was sent is 57P01, thrice');
	wait_for_log(
		$node,
		qr/pool_monitor.recycle\(\) called by role "\w+": stale sessions retired: 3, declined: 0/,
		'it is in the log', $offset
	);
	$plain->close;
};

# What the backend alone can know.
my %pin = (
	'session-level lock' => ['SELECT pg_advisory_lock(1)',          'SELECT pg_advisory_unlock(1)'],
	'temporary schema'   => ['CREATE TEMP TABLE t (i int)',         undef],
	'backup in progress' => ['SELECT pg_backup_start($$b$$, true)', 'SELECT pg_backup_stop(false)'],
	'temporary replication slot' => [
		'SELECT pg_create_physical_replication_slot($$s$$, true, true)',
		'SELECT pg_drop_replication_slot($$s$$)'
	],
	'replication origin' => [
		'SELECT pg_replication_origin_session_setup($$o$$)',
		'SELECT pg_replication_origin_session_reset()'
	],
	'listening'            => ['LISTEN c',                                'UNLISTEN *'],
	'WITH HOLD cursor'     => ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'CLOSE c'],
	'its role was changed' => ['SET ROLE hat',                            'RESET ROLE']
);
foreach my $reason (sort keys %pin)
{
	subtest "declined: $reason" => sub {
		my ($take, $release) = @{$pin{$reason}};
		my $pinned = holder();
		$pinned->do("sql 0 $take");
		stale(1);
		is(actions(''),                    'would_retire|1',      'cannot be seen from outside');
		is(actions('dry_run => false'),    "declined: $reason|1", 'declined');
		is($pinned->do('sql 0 SELECT 42'), '42',                  'the session goes on');
		if ($release)
		{
			$pinned->do("sql 0 $release");
			stale(1);
			is(actions('dry_run => false'), 'retired|1', 'released, and retired');
		}
		$pinned->close;
		wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'app'",
			'none left', '0');
	};
}

subtest 'LISTEN that is undone only in part, or in a subtransaction, still counts' => sub {
	my $listener = holder();
	$listener->do('sql 0 LISTEN a');
	$listener->do('sql 0 LISTEN b');
	$listener->do('sql 0 UNLISTEN a');
	stale(1);
	is(actions('dry_run => false'), 'declined: listening|1', 'one channel of two');
	$listener->do('sql 0 BEGIN');
	$listener->do('sql 0 SAVEPOINT s');
	$listener->do('sql 0 UNLISTEN *');
	$listener->do('sql 0 ROLLBACK TO s');
	$listener->do('sql 0 COMMIT');
	stale(1);
	is(actions('dry_run => false'), 'declined: listening|1', 'UNLISTEN rolled back to a savepoint');
	$listener->do('sql 0 BEGIN');
	$listener->do('sql 0 UNLISTEN *');
	$listener->do('sql 0 ROLLBACK');
	stale(1);
	is(actions('dry_run => false'), 'declined: listening|1', 'UNLISTEN rolled back');
	$listener->do('sql 0 DISCARD ALL');
	stale(1);
	is(actions('dry_run => false'), 'retired|1', 'DISCARD ALL');
	$listener->close;
};

subtest 'what can be seen from outside is not asked, and sessions says the same' => sub {
	my $mixed = holder(sessions => 4);
	$mixed->do('sql 1 BEGIN');
	$mixed->do('sql 2 BEGIN');
	$mixed->do('sql 2 SELECT 1/0');
	my $boss    = holder(user => 'boss');
	my $guarded = holder(user => 'guarded');
	setting($node, "pool_monitor.protected_roles = 'nobody, guarded'");
	wait_for(
		$node,
		"SELECT current_setting('pool_monitor.protected_roles') = 'nobody, guarded'",
		'protected_roles is set'
	);
	$mixed->do('busy 1');
	stale(3);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE over_age AND age > '1.2 s'",
		'all are old enough', '6'
	);
	is(
		actions(''),
		"kept: busy|1\nkept: in a transaction|2\nkept: protected role|1\nkept: superuser|1\nwould_retire|1",
		'each with its reason'
	);
	is(
		actions('dry_run => false'),
		"kept: busy|1\nkept: in a transaction|2\nkept: protected role|1\nkept: superuser|1\nretired|1",
		'and so they are treated'
	);
	is(
		query(
			$node,
			"SELECT string_agg(keep_reason, ',' ORDER BY keep_reason) FROM pool_monitor.sessions WHERE pool = 'app'"
		),
		'busy,in a transaction,in a transaction,protected role,superuser',
		'sessions says the same'
	);
	$mixed->do('free');
	$mixed->close;
	$boss->close;
	$guarded->close;
};

subtest 'nobody retires himself' => sub {
	is(
		query(
			$node,
			"SET application_name = 'app'; DO \$\$ BEGIN WHILE (SELECT keep_reason <> 'the calling session' FROM pool_monitor.sessions WHERE pid = pg_backend_pid()) LOOP PERFORM pg_sleep(0.05); END LOOP; END \$\$; SELECT action, reason FROM pool_monitor.recycle(dry_run => false) WHERE pid = pg_backend_pid()"
		),
		'kept|the calling session',
		'the caller is kept'
	);
};

my $young = holder();

subtest 'who is not over age by the margin, or idle for the grace, is kept' => sub {
	declare($node, "UPDATE pool_monitor.pools SET pool_recycle = '1 h'");
	is(keep_reason(), 'not over age', 'not over age');
	is(actions(''),   '',             'recycle() lists those that are over age');
	declare($node, "UPDATE pool_monitor.pools SET pool_recycle = NULL");
	is(keep_reason(), 'pool_recycle is not set', 'never');
	setting($node, "pool_monitor.recycle_margin = 1000");
	declare($node, "UPDATE pool_monitor.pools SET pool_recycle = '1 s'");
	wait_for($node, "SELECT over_age FROM pool_monitor.sessions WHERE pool = 'app'", 'over age');
	is(actions(''), 'kept: over age by less than recycle_margin|1', 'but not by the margin');
	setting($node, "pool_monitor.recycle_margin = 0");
	declare($node, "UPDATE pool_monitor.pools SET recycle_grace = '1 h'");
	wait_for(
		$node,
		"SELECT keep_reason FROM pool_monitor.sessions WHERE pool = 'app'",
		'not idle for long enough',
		'idle for less than recycle_grace'
	);
};

subtest 'a pool is left alone by its recycle_mode' => sub {
	declare($node, "UPDATE pool_monitor.pools SET recycle_grace = '0', recycle_mode = 'off'");
	is(actions('dry_run => false'), 'kept: recycle_mode is off|1', 'a pool that is left alone');
	is(keep_reason(),               'recycle_mode is off',         'and why');
	declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'report'");
	is(keep_reason(), 'recycle_mode is report', 'report: not on schedule');
};

subtest 'who may retire, and who may look' => sub {
	foreach my $role ('watcher', 'app')
	{
		my ($rc, $out, $err) = $node->psql(
			'postgres',
			'SELECT * FROM pool_monitor.recycle(dry_run => false)',
			extra_params => ['-U', $role]
		);
		like($err, qr/permission denied/, "$role may not retire");
	}
	is(
		$node->safe_psql(
			'postgres',
			'SELECT count(*) FROM pool_monitor.recycle()',
			extra_params => ['-U', 'cleaner']
		),
		'0',
		'without pg_read_all_stats it does not even say whose session is over age'
	);
	is(
		$node->safe_psql(
			'postgres',
			'SELECT action, age IS NULL FROM pool_monitor.recycle()',
			extra_params => ['-U', 'watcher']
		),
		'would_retire|f',
		'pg_read_all_stats may look'
	);
};

subtest 'the kill switch stops all of it' => sub {
	setting($node, "pool_monitor.recycle_enabled = off");
	wait_for(
		$node,
		"SELECT action || reason FROM pool_monitor.recycle(dry_run => false)",
		'the kill switch',
		'keptpool_monitor.recycle_enabled is off'
	);
	setting($node, "pool_monitor.recycle_enabled = on");
	wait_for($node, "SELECT action FROM pool_monitor.recycle()", 'back on', 'would_retire');
	is(
		$node->safe_psql(
			'postgres',
			'SELECT action, pool, age IS NULL, backend_start IS NULL FROM pool_monitor.recycle(dry_run => false)',
			extra_params => ['-U', 'cleaner']
		),
		'retired|app|t|t',
		'pg_signal_backend is enough to act'
	);
	$young->close;
};

subtest 'a backend that does not answer holds nobody up, and is not retired later' => sub {
	my $stopped = holder();
	my $pid     = $stopped->do('pid 0');
	stale(1);
	kill 'STOP', $pid;
	is(actions('dry_run => false'), 'declined: no answer|1', 'a stopped process: no answer');
	kill 'CONT', $pid;
	is($stopped->do('sql 0 SELECT 42'), '42', 'when it goes on, it goes on');
	$stopped->close;
};

# A call that is canceled or terminated in the middle: what was answered is on record, as
# is who did not, and he is not asked any more.
sub wait_until_ended
{
	my (@pids) = @_;
	foreach (1 .. 100 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return unless grep { kill 0, $_ } @pids;
		select undef, undef, undef, 0.01;
	}
	die "sessions that were asked are still there\n";
}

# The answer of a call to which one session does not answer, and that gets the signal when
# all others have. It may come to its end before.
sub interrupted_call
{
	my ($signal, $sessions, $silent) = @_;
	my $caller = holder(user => 'cleaner', application_name => 'caller');
	my $pid    = $caller->do('pid 0');
	my @others = map { $sessions->do("pid $_") } 0, 1;
	kill 'STOP', $silent;
	print {$caller->{in}} "sql 0 SELECT count(*) FROM pool_monitor.recycle(dry_run => false)\n";
	$caller->{in}->flush;
	wait_until_ended(@others);
	kill $signal, $pid;
	my $answer = $caller->answer;
	kill 'CONT', $silent;
	$caller->close;
	return $answer;
}

my %interrupted =
  (INT => ['canceled', qr/^error 57014$/], TERM => ['terminated', qr/^error (?!57014)/]);
my $no_answer =
  "SELECT (declined_reasons->>'no answer')::int FROM pool_monitor.pool_stats WHERE pool = 'app'";
foreach my $signal (sort keys %interrupted)
{
	my ($what, $error) = @{$interrupted{$signal}};
	subtest "a call that is $what" => sub {
		my ($seq, $declined, $offset, $silent, $answer);
		foreach (1 .. 10)    # on a slow machine the call may be over before the signal comes
		{
			my $sessions = holder(sessions => 2);
			$silent = holder();
			stale(3);
			$seq      = query($node, 'SELECT max(seq) FROM pool_monitor.events');
			$declined = query($node, $no_answer);
			$offset   = -s $node->logfile;
			$answer   = interrupted_call($signal, $sessions, $silent->do('pid 0'));
			$sessions->close;
			last if $answer =~ $error;
			$silent->close;
		}
		like($answer, $error, $what);
		wait_for(
			$node,
			"SELECT string_agg(event || coalesce(': ' || (detail->>'reason'), ''), ', ' ORDER BY event, detail->>'reason') FROM pool_monitor.events WHERE seq > $seq AND detail->>'by' = 'recycle()'",
			'the answers are events',
			'declined: no answer, retired, retired'
		);
		wait_for($node, $no_answer, 'who did not answer is counted', $declined + 1);
		wait_for_log(
			$node,
			qr/pool_monitor.recycle\(\) called by role "cleaner": stale sessions retired: 2, declined: 1/,
			'the log has the call',
			$offset
		);
		is($silent->do('sql 0 SELECT 42'), '42', 'who did not answer goes on');
		$silent->close;
	};
}

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
is(query($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool_monitor'"),
	'1', 'the worker is there');
$node->stop;
done_testing();
