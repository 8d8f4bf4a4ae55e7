# The background worker: how it is seen, what it keeps and logs, how it takes
# settings, and that it comes back. Only TAP can signal it and read the log.
use strict;
use warnings FATAL => 'all';
use PoolMonitor           qw(:DEFAULT query holder app_holder worker_pid);
use PoolMonitorHistory    qw(watch);
use PoolMonitorRetirement qw(setting);
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = new_server('worker');
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'";

subtest 'it is seen, and not counted as a session' => sub {
	wait_for(
		$node,
		"SELECT wait_event_type = 'Extension' AND datname IS NULL FROM pg_stat_activity WHERE backend_type = 'pool_monitor'",
		'the worker is in pg_stat_activity, waits under a wait event of its own class, and is in no database'
	);
  SKIP:
	{
		skip 'custom wait events need PostgreSQL 17', 1
		  if query($node, 'SHOW server_version_num') < 170000;
		wait_for(
			$node,
			"SELECT wait_event = 'PoolMonitorMain' FROM pg_stat_activity WHERE backend_type = 'pool_monitor'",
			'its wait event has its name'
		);
	}
	is(query($node, 'SELECT count(*) FROM pool_monitor.sessions WHERE pid = (' . $worker . ')'),
		'0', 'the worker is no client session');
	is(query($node, 'SELECT connections FROM pool_monitor.server'),
		'1', 'only the asking session is a connection');
};

declare(
	$node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, priority)
	 VALUES ('app', 'app', 2, 2, 1), ('tight', 'tight', 5, 0, 2)"
);
my $status = "SELECT status FROM pool_monitor.budgets WHERE pool = 'app'";
my $app    = holder($node, 'app', sessions => 2);

subtest 'a pool that is exhausted has one line in the log, and one when it is back' => sub {
	my $offset = -s $node->logfile;
	is(query($node, $status), 'ok', 'two connections are the base');
	$app->do('open 2');
	is(query($node, $status), 'overflow', 'four are overflow');
	$app->do('busy 4');
	is(query($node, $status), 'exhausted', 'all four busy: exhausted, at once');
	wait_for_log(
		$node,
		qr/pool "app" is exhausted: busy 4, ceiling 4/,
		'logged as exhausted', $offset
	);
	wait_for(
		$node,
		"SELECT status_since < clock_timestamp() - interval '0.3 s' FROM pool_monitor.budgets WHERE pool = 'app'",
		'the status has a beginning that stays'
	);
	$app->do('free');
	wait_for_log(
		$node,
		qr/pool "app" is no longer exhausted: connections 4, busy [0-3]/,
		'logged as back', $offset
	);
	is(log_count($node, 'pool "app" is exhausted', $offset), 1,
		'one line for six samples and more');
};

subtest 'so has one that is over its budget, and its peak is remembered' => sub {
	my $offset = -s $node->logfile;
	$app->do('open 3');
	is(
		query(
			$node,
			"SELECT status, connections, over_budget, overflow, percent_of_budget FROM pool_monitor.budgets WHERE pool = 'app'"
		),
		'over|7|3|5|175.0',
		'seven of four are over, by three'
	);
	wait_for_log(
		$node,
		qr/pool "app" is over its budget: connections [5-7], budget 4/,
		'logged as over', $offset
	);
	watch($node, 'app', 0.3, 'the sampler has seen it several times');
	$app->do('close 6');
	wait_for(
		$node,
		"SELECT status = 'ok' AND connections = 1 AND peak_connections = 7 AND peak_at < clock_timestamp() FROM pool_monitor.budgets WHERE pool = 'app'",
		'back to one, and the peak is remembered'
	);
	wait_for_log(
		$node,
		qr/pool "app" is no longer over its budget: connections [1-4], busy 0/,
		'logged as back', $offset
	);
	is(log_count($node, 'pool "app" is over', $offset), 1, 'one line for being over');
	is(query($node, 'SELECT peak_connections >= 7 FROM pool_monitor.server'),
		't', 'the server has a peak too');
	is(
		query(
			$node,
			"SELECT peak_connections, peak_at IS NULL FROM pool_monitor.budgets WHERE pool = 'tight'"
		),
		'0|t',
		'a pool without sessions has none'
	);
};

subtest 'settings take effect at a reload' => sub {
	setting($node, "pool_monitor.connection_budget = 7");
	wait_for(
		$node,
		'SELECT connection_budget = 7 FROM pool_monitor.server',
		'a session has the new setting'
	);
	setting($node, "pool_monitor.sample_interval = 1min\npool_monitor.recycle_interval = 1h");
	wait_for(
		$node,
		"SELECT setting = '60000' FROM pg_settings WHERE name = 'pool_monitor.sample_interval'",
		'slow sampling is set'
	);

	# A peak between two samples is missed by the slow sampler; a fast one sees it.
	setting($node, "pool_monitor.sample_interval = 20ms");
	$app->do('open 8');
	wait_for(
		$node,
		"SELECT status = 'over' AND status_since < clock_timestamp() - interval '0.1 s' FROM pool_monitor.budgets WHERE pool = 'app'",
		'a shorter interval takes effect without waiting for the end of the longer one'
	);
	$app->do('close 8');
};

subtest 'bad settings are refused, with what is right' => sub {
	my ($rc, $out, $err);
	foreach my $bad (
		['connection_budget', '0',      'must be 1 or more, or -1'],
		['sample_interval',   '1ms',    'outside the valid range'],
		['recycle_margin',    '-1',     'outside the valid range'],
		['database',          '',       'must be the name of a database'],
		['database',          'x' x 64, 'must be the name of a database'],
		['protected_roles',   'a,,b',   'must be a list of role names']
	  )
	{
		my ($name, $value, $message) = @$bad;
		($rc, $out, $err) =
		  $node->psql('postgres', "ALTER SYSTEM SET pool_monitor.$name = '$value'");
		like($err, qr/$message/, "$name = '$value' is refused");
	}
	($rc, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET pool_monitor.no_such_thing = 1");
	like($err, qr/pool_monitor.no_such_thing/, 'a setting that does not exist is refused');
};

subtest 'it comes back, with what it knew' => sub {
	my $old = worker_pid($node);
	query($node, "SELECT pg_terminate_backend($old)");
	wait_for(
		$node,
		"SELECT count(*) = 1 FROM ($worker) w WHERE pid <> $old",
		'a worker that was terminated comes back'
	);
	is(query($node, "SELECT peak_connections FROM pool_monitor.budgets WHERE pool = 'app'"),
		'9', 'and the peaks are still there');
	my $offset = -s $node->logfile;
	$app->do('open 6');
	wait_for_log($node, qr/pool "app" is over its budget/, 'and it samples', $offset);
	$app->close;
};

# All that it has, in bytes.
sub worker_memory
{
	my $from = -s $node->logfile;
	query($node, "SELECT pg_log_backend_memory_contexts(pid) FROM ($worker) w");
	$node->wait_for_log(qr/Grand total: .* \d+ used/, $from);
	my ($all) = PoolMonitor::log_text($node, $from) =~ /Grand total: .* (\d+) used/;
	return $all;
}

subtest 'its memory does not grow, however often it loads, samples and cleans up' => sub {
	setting($node, "pool_monitor.recycle_interval = 100ms");
	declare($node,
		"CREATE ROLE app LOGIN; INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace, recycle_mode) VALUES ('many', 'many%', '1 s', '0', 'off')"
	);
	my $many = app_holder($node, 'many', 20);
	$many->do("sql $_ SET application_name = 'many $_'") foreach 0 .. 19;
	$many->do("sql $_ CREATE TEMP TABLE t (i int)")      foreach 0 .. 19;

	# not before all have what keeps them
	declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'many'");
	wait_for_log(
		$node,
		qr/pool "many": sessions retired: 0, declined: \d+ temporary schema/,
		'it asks, and is told no'
	);
	query($node, 'SELECT pool_monitor.reload()') for 1 .. 10;
	my $before = worker_memory();
	query($node, 'SELECT pool_monitor.reload() FROM generate_series(1, 100)');
	cmp_ok(worker_memory() - $before,
		'<', 16384, 'a hundred loads and samples leave nothing behind');
	$many->close;
};

# The server does not wait for it.
$node->stop('fast');
is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
