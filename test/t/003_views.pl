# The live views against sessions in every state, and without the library in
# shared_preload_libraries. Only TAP has several real sessions and servers.
use strict;
use warnings FATAL => 'all';
use PoolMonitor           qw(:DEFAULT query holder app_holder);
use PoolMonitorRetirement qw(setting);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('views', "pool_monitor.sample_interval = 1min\n");
query($node,
	'CREATE ROLE app LOGIN; CREATE ROLE other LOGIN; CREATE ROLE stats LOGIN IN ROLE pg_read_all_stats'
);

# one session in each state, all in one pool
declare(
	$node,
	"INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow, idle_limit, leak_threshold, pool_recycle)
	VALUES ('app', 'app', 2, 2, 1, '1 s', '1 s', '1 s')"
);
my $app = app_holder($node, 'app', 5);
$app->do('sql 1 BEGIN');
$app->do('sql 2 BEGIN');
like($app->do('sql 2 SELECT 1/0'), qr/22012/, 'an error in a transaction');
$app->do('sql 3 BEGIN');
$app->do('sql 3 SELECT 1');
$app->do('busy 1');

sub budget { return query($node, "SELECT $_[0] FROM pool_monitor.budgets") }

sub server { return query($node, "SELECT $_[0] FROM pool_monitor.server") }

subtest 'every state is counted in its own column' => sub {
	is(
		budget(
			'base, ceiling, budget, connections, active, idle, idle_in_transaction, idle_in_transaction_aborted, busy'
		),
		'4|6|6|5|1|1|2|1|4',
		'of budgets'
	);
	is(budget('overflow, over_budget, percent_of_budget, status'),
		'1|0|83.3|overflow', 'overflow above base');
	is(
		budget('peak_connections, peak_at <= clock_timestamp(), status_since <= clock_timestamp()'),
		'5|t|t', 'the peak is never below what is there, though the sampler sleeps'
	);
	is(
		query(
			$node,
			"SELECT state, count(*) FROM pool_monitor.sessions WHERE pool = 'app' GROUP BY 1 ORDER BY 1"
		),
		"active|1\nidle|1\nidle in transaction|2\nidle in transaction (aborted)|1",
		'the same in sessions'
	);
	is(
		query(
			$node,
			"SELECT application_name, datname, usename, pool, connections, active, idle, idle_in_transaction, idle_in_transaction_aborted, busy, client_hosts FROM pool_monitor.applications WHERE pool IS NOT NULL"
		),
		'app|postgres|app|app|5|1|1|2|1|4|1',
		'the same in applications'
	);
	is(
		query(
			$node,
			"SELECT bool_and(s.state = a.state AND s.backend_start = a.backend_start AND s.usename = a.usename AND s.datname = a.datname AND s.application_name = a.application_name) FROM pool_monitor.sessions s JOIN pg_stat_activity a USING (pid) WHERE s.pool = 'app'"
		),
		't',
		'sessions agrees with pg_stat_activity'
	);
};

subtest 'a peak that only a query saw, while the sampler slept, stays' => sub {
	$app->do('open 3');
	is(budget('connections, peak_connections'), '8|8', 'three more');
	$app->do('close 3');
	wait_for(
		$node,
		'SELECT connections, peak_connections FROM pool_monitor.budgets',
		'gone again, and the peak remembered', '5|8'
	);
};

subtest 'flags come to hold with time, and sessions says why each is kept' => sub {
	wait_for(
		$node,
		'SELECT idle_over_limit = 1 AND leak_suspects = 4 FROM pool_monitor.budgets',
		'idle over the limit, and leak suspects'
	);
	wait_for($node, "SELECT count(*) = 5 FROM pool_monitor.sessions WHERE over_age",
		'all over age');
	is(query($node, "SELECT count(*) FROM pool_monitor.sessions WHERE stale"),
		'0', 'none stale: recycle_grace is a minute');
	declare($node, "UPDATE pool_monitor.pools SET recycle_grace = '1 s'");
	wait_for($node, 'SELECT stale = 1 FROM pool_monitor.budgets', 'the idle one is stale');
	is(
		query(
			$node,
			"SELECT state, stale, keep_reason FROM pool_monitor.sessions WHERE pool = 'app' ORDER BY pid"
		),
		"active|f|busy\nidle in transaction|f|in a transaction\nidle in transaction (aborted)|f|in a transaction\nidle in transaction|f|in a transaction\nidle|t|recycle_mode is report",
		'why each of them is kept'
	);
	is(budget("oldest > longest_idle, longest_idle > '1 s'"), 't|t', 'oldest and longest idle');
};

subtest 'exhausted counts busy, not open' => sub {
	$app->do('sql 4 BEGIN');
	is(budget('busy, status'), '5|overflow', 'five busy of six');
	$app->do('open 1');
	is(budget('connections, busy, status'), '6|5|overflow', 'all six open is not exhausted');
	$app->do('sql 5 BEGIN');
	is(budget('connections, busy, status'), '6|6|exhausted', 'all six busy is');
};

subtest 'a budget that is declared goes before the ceiling' => sub {
	declare($node, 'UPDATE pool_monitor.pools SET budget = 5');
	is(budget('budget, over_budget, percent_of_budget, status'),
		'5|1|120.0|over', 'an explicit budget below the ceiling: over is worse');
	declare($node, 'UPDATE pool_monitor.pools SET budget = 50, max_overflow = -1');
	is(budget('coalesce(ceiling, -1), budget, overflow, status'),
		'-1|50|2|ok', 'an unbounded pool is ok');
	declare($node, 'UPDATE pool_monitor.pools SET budget = 5');
	is(budget('over_budget, status'), '1|over', 'or over, with an explicit budget');
	declare($node, 'UPDATE pool_monitor.pools SET budget = NULL, pool_size = 0, max_overflow = 10');
	is(
		budget(
			'coalesce(ceiling, -1), coalesce(budget, -1), overflow, over_budget, coalesce(percent_of_budget, -1), status'
		),
		'-1|-1|0|0|-1|ok',
		'pool_size 0'
	);
};

subtest 'the server is overcommitted by ceilings, and over by connections' => sub {
	$app->do('free');
	declare(
		$node, "UPDATE pool_monitor.pools SET pool_size = 2, max_overflow = 1, workers = 2;
	INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow, priority) VALUES ('big', 'big', 2, 6, 8, 200)"
	);
	is(server('max_connections, reserved, usable, headroom_percent, connection_budget'),
		'40|3|37|20|29', 'capacity');

	# those that have just asked may still be on their way out
	wait_for(
		$node,
		'SELECT declared_base, declared_ceiling, connections, undeclared, available FROM pool_monitor.server',
		'declared and observed',
		'16|34|7|1|30'
	);
	is(server('status'), 'overcommitted', 'ceilings of 34 exceed a budget of 29');
	declare($node, "UPDATE pool_monitor.pools SET max_overflow = 1 WHERE name = 'big'");
	is(server('declared_ceiling, status'), '20|ok', 'ceilings of 20 do not');
	declare($node, "UPDATE pool_monitor.pools SET max_overflow = -1 WHERE name = 'big'");
	is(server('coalesce(declared_ceiling, -1), status'),
		'-1|overcommitted', 'a pool without a bound always does');
	declare($node, "UPDATE pool_monitor.pools SET budget = 10 WHERE name = 'big'");
	is(server('declared_ceiling, status'), '16|ok', 'unless it has a budget');
	setting($node, "pool_monitor.connection_budget = 6");
	wait_for($node, 'SELECT connection_budget = 6 FROM pool_monitor.server', 'an explicit budget');
	is(server('coalesce(headroom_percent, -1), status'),
		'-1|over', 'live connections above it: over');
};

subtest 'who sees what goes by the rules of pg_stat_activity' => sub {
	my $mine = holder($node, 'mine', user => 'other');
	my $hidden =
	  "SELECT count(*), count(state), count(age), count(client_addr), count(keep_reason) FROM pool_monitor.sessions WHERE application_name = 'app'";
	is($node->safe_psql('postgres', $hidden, extra_params => ['-U', 'other']),
		'6|0|0|0|0', 'sessions of another role: no details');
	is(
		$node->safe_psql(
			'postgres',
			"SELECT count(*), count(state) FROM pool_monitor.sessions WHERE application_name = 'mine'",
			extra_params => ['-U', 'other']
		),
		'1|1',
		'its own: all'
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT connections, active, busy FROM pool_monitor.applications WHERE application_name = 'app'",
			extra_params => ['-U', 'other']
		),
		'6||',
		'the same in applications'
	);
	is($node->safe_psql('postgres', $hidden, extra_params => ['-U', 'stats']),
		'6|6|6|0|6', 'pg_read_all_stats sees all');
	is(
		$node->safe_psql(
			'postgres',
			'SELECT connections FROM pool_monitor.budgets WHERE pool = \'app\'',
			extra_params => ['-U', 'stats']
		),
		'6',
		'and budgets'
	);
	$mine->close;
};

subtest 'a session whose state is unknown is in none' => sub {
	query($node, 'ALTER ROLE other SET track_activities = off');
	query($node, "ALTER ROLE other SUPERUSER");
	my $untracked = holder($node, 'big', user => 'other');
	is(
		query(
			$node,
			"SELECT connections, active + idle + busy FROM pool_monitor.budgets WHERE pool = 'big'"
		),
		'1|0',
		'is a connection, in no state'
	);
	is(query($node, "SELECT state IS NULL FROM pool_monitor.sessions WHERE pool = 'big'"),
		't', 'and says so');
	$untracked->close;
};

$app->close;

subtest 'without shared_preload_libraries what needs it says so' => sub {
	$node->adjust_conf('postgresql.conf', 'shared_preload_libraries',       "''");
	$node->adjust_conf('postgresql.conf', 'pool_monitor.connection_budget', undef);
	$node->restart;
	my $plain = app_holder($node, 'app', 3);
	is(
		query(
			$node,
			"SELECT connections, idle, pool IS NULL FROM pool_monitor.applications WHERE application_name = 'app'"
		),
		'3|3|t',
		'applications works'
	);
	is(
		query(
			$node,
			"SELECT count(*), count(pool), min(keep_reason) FROM pool_monitor.sessions WHERE application_name = 'app'"
		),
		'3|0|in no declared pool',
		'sessions works'
	);
	foreach my $query (
		'SELECT * FROM pool_monitor.budgets',
		'SELECT * FROM pool_monitor.server',
		'SELECT * FROM pool_monitor.recycle()',
		'SELECT pool_monitor.reload()'
	  )
	{
		my ($rc, $out, $err) = $node->psql('postgres', $query);
		like(
			$err,
			qr/must be loaded via "shared_preload_libraries".*HINT:  Add pool_monitor to "shared_preload_libraries" in postgresql.conf and restart/s,
			"$query says what it needs"
		);
	}
	my ($rc, $out, $err) =
	  $node->psql('postgres', "UPDATE pool_monitor.pools SET description = 'later'");
	is($rc, 0, 'declarations can be written');
	like(
		$err,
		qr/WARNING:  declared pools have no effect before pool_monitor is loaded via "shared_preload_libraries"/,
		'with a warning'
	);
	$plain->close;
};

done_testing();
