# The background worker: how it is seen, what it keeps and logs, how it takes
# settings, and that it comes back. Only TAP can signal it and read the log.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = new_server('worker');
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'";

# seen, and not counted
wait_for(
	$node,
	"SELECT wait_event_type = 'Extension' AND datname IS NULL FROM pg_stat_activity WHERE backend_type = 'pool_monitor'",
	'the worker is in pg_stat_activity, waits under a wait event of its own class, and is in no database'
);
SKIP:
{
	skip 'custom wait events need PostgreSQL 17', 1
	  if $node->safe_psql('postgres', 'SHOW server_version_num') < 170000;
	wait_for(
		$node,
		"SELECT wait_event = 'PoolMonitorMain' FROM pg_stat_activity WHERE backend_type = 'pool_monitor'",
		'its wait event has its name'
	);
}
is(
	$node->safe_psql(
		'postgres', 'SELECT count(*) FROM pool_monitor.sessions WHERE pid = (' . $worker . ')'
	),
	'0',
	'the worker is no client session'
);
is($node->safe_psql('postgres', 'SELECT connections FROM pool_monitor.server'),
	'1', 'only the asking session is a connection');

# peaks and statuses; one log line when a pool turns bad and one when it is back
declare(
	$node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, priority)
	 VALUES ('app', 'app', 2, 2, 1), ('tight', 'tight', 5, 0, 2)"
);
my $status = "SELECT status FROM pool_monitor.budgets WHERE pool = 'app'";
my $offset = -s $node->logfile;

my $app = PoolMonitor::Holder->new($node, application_name => 'app', sessions => 2);
is($node->safe_psql('postgres', $status), 'ok', 'two connections are the base');
$app->do('open 2');
is($node->safe_psql('postgres', $status), 'overflow', 'four are overflow');
$app->do('busy 4');
is($node->safe_psql('postgres', $status), 'exhausted', 'all four busy: exhausted, at once');
wait_for_log($node, qr/pool "app" is exhausted: busy 4, ceiling 4/, 'logged as exhausted', $offset);
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
is(log_count($node, 'pool "app" is exhausted', $offset), 1, 'one line for six samples and more');

$app->do('open 3');
is(
	$node->safe_psql(
		'postgres',
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
wait_for(
	$node,
	"SELECT status_since < clock_timestamp() - interval '0.3 s' FROM pool_monitor.budgets WHERE pool = 'app'",
	'the sampler has seen it several times'
);
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
is($node->safe_psql('postgres', 'SELECT peak_connections >= 7 FROM pool_monitor.server'),
	't', 'the server has a peak too');
is(
	$node->safe_psql(
		'postgres',
		"SELECT peak_connections, peak_at IS NULL FROM pool_monitor.budgets WHERE pool = 'tight'"
	),
	'0|t',
	'a pool without sessions has none'
);

# settings on SIGHUP
$node->append_conf('postgresql.conf', "pool_monitor.connection_budget = 7\n");
$node->reload;
wait_for(
	$node,
	'SELECT connection_budget = 7 FROM pool_monitor.server',
	'a session has the new setting'
);
$node->append_conf('postgresql.conf',
	"pool_monitor.sample_interval = 1min\npool_monitor.recycle_interval = 1h\n");
$node->reload;
wait_for(
	$node,
	"SELECT setting = '60000' FROM pg_settings WHERE name = 'pool_monitor.sample_interval'",
	'slow sampling is set'
);

# A peak between two samples is missed by the slow sampler; a fast one sees it.
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 20ms\n");
$node->reload;
$app->do('open 8');
wait_for(
	$node,
	"SELECT status = 'over' AND status_since < clock_timestamp() - interval '0.1 s' FROM pool_monitor.budgets WHERE pool = 'app'",
	'a shorter interval takes effect without waiting for the end of the longer one'
);
$app->do('close 8');

# bad settings are refused with what is right
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
	($rc, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET pool_monitor.$name = '$value'");
	like($err, qr/$message/, "$name = '$value' is refused");
}
($rc, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET pool_monitor.no_such_thing = 1");
like($err, qr/pool_monitor.no_such_thing/, 'a setting that does not exist is refused');

# it comes back, with what it knew
my $old = $node->safe_psql('postgres', $worker);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
wait_for(
	$node,
	"SELECT count(*) = 1 FROM ($worker) w WHERE pid <> $old",
	'a worker that was terminated comes back'
);
is(
	$node->safe_psql(
		'postgres', "SELECT peak_connections FROM pool_monitor.budgets WHERE pool = 'app'"
	),
	'9',
	'and the peaks are still there'
);
$offset = -s $node->logfile;
$app->do('open 6');
wait_for_log($node, qr/pool "app" is over its budget/, 'and it samples', $offset);
$app->close;

# Its memory does not grow, however often it loads, samples and cleans up.
sub worker_memory
{
	my $from = -s $node->logfile;
	$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts(pid) FROM ($worker) w");
	$node->wait_for_log(qr/Grand total: .* \d+ used/, $from);
	my ($all) = PoolMonitor::log_text($node, $from) =~ /Grand total: .* (\d+) used/;
	return $all;
}
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
$node->reload;
declare($node,
	"CREATE ROLE app LOGIN; INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace, recycle_mode) VALUES ('many', 'many%', '1 s', '0', 'off')"
);
my $many =
  PoolMonitor::Holder->new($node, application_name => 'many', user => 'app', sessions => 20);
$many->do("sql $_ SET application_name = 'many $_'") foreach 0 .. 19;
$many->do("sql $_ CREATE TEMP TABLE t (i int)")      foreach 0 .. 19;

# not before all have what keeps them
declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'many'");
wait_for_log(
	$node,
	qr/pool "many": sessions retired: 0, declined: \d+ temporary schema/,
	'it asks, and is told no'
);
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()') for 1 .. 10;
my $before = worker_memory();
$node->safe_psql('postgres', 'SELECT pool_monitor.reload() FROM generate_series(1, 100)');
cmp_ok(worker_memory() - $before, '<', 16384, 'a hundred loads and samples leave nothing behind');
$many->close;

# it stops with the server, and the server does not wait for it
$node->stop('fast');
is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
