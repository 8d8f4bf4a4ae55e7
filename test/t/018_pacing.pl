# How scheduled retirement paces itself: the gap between two retirements, the cap
# of a cycle, windows, pauses, shrinking, and what it tells. Needs real sessions
# and a worker that acts by the clock.
use strict;
use warnings FATAL => 'all';
use PoolMonitor           qw(:DEFAULT query insert_pool app_holder);
use PoolMonitorRetirement qw(setting retired has_begun);
use PoolMonitorStatfile   qw(worker_works);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('pacing',
	"pool_monitor.recycle_interval = 100ms\npool_monitor.sample_interval = 20ms\nmax_connections = 30\n"
);
query($node, 'CREATE ROLE app LOGIN');

sub holder { return app_holder($node, @_) }

# Which retirement pauses, as metrics have it.
sub paused
{
	return query($node,
		"SELECT string_agg(pool || '=' || retirement_paused, ' ' ORDER BY pool) FROM pool_monitor.metrics_pool"
	);
}

# Declares one pool and nothing else.
sub pool
{
	my ($name, %columns) = @_;
	declare(
		$node,
		'DELETE FROM pool_monitor.pools;'
		  . insert_pool(
			$name,
			pool_recycle  => "'1 s'",
			recycle_grace => "'0'",
			recycle_mode  => "'terminate'",
			max_overflow  => 0,
			%columns
		  )
	);
	return;
}

sub connections { return "SELECT connections FROM pool_monitor.budgets WHERE pool = '$_[0]'" }

# Sessions of the pool are stale, and then the worker has time for several clean-ups, or to
# retire the next one.
sub let_cycles_pass
{
	my ($name) = @_;
	wait_for(
		$node,
		"SELECT count(*) >= 2 FROM pool_monitor.sessions WHERE pool = '$name' AND stale",
		'some are stale'
	);
	worker_works($node, 2);
	return;
}

# n of them take at least (n - 1) * pool_recycle / ceiling.
subtest 'one after the other, the oldest first, though all were opened at once' => sub {
	pool('spaced', pool_size => 5);
	my $spaced = holder('spaced', 6);
	my @pids   = map { $spaced->do("pid $_") } 0 .. 5;
	wait_for($node, retired('spaced'), 'all are retired in the end', 6);
	$spaced->close;
	my $times =
	  "SELECT pid, at, lag(at) OVER (ORDER BY at) AS before FROM pool_monitor.events WHERE event = 'retired' AND pool = 'spaced'";
	is(query($node, "SELECT string_agg(pid::text, ' ' ORDER BY at) FROM ($times) t"),
		"@pids", 'the oldest first');
	is(query($node, "SELECT count(*) FROM ($times) t WHERE at - before < interval '199 ms'"),
		0, 'never sooner after each other than a fifth of pool_recycle');
	is(query($node, "SELECT max(at) - min(at) >= interval '999 ms' FROM ($times) t"),
		't', 'six took five gaps');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.events WHERE event = 'retired' AND pool = 'spaced' AND detail->>'rule' = 'stale' AND detail->>'by' = 'schedule'
		AND (detail->>'age')::float > 1.1 AND (detail->>'idle')::float > 0 AND detail->>'application_name' = 'spaced'"
		),
		6,
		'each is on record with its rule'
	);
	is(
		log_count(
			$node,
			"pool \"spaced\": session retired: PID ($pids[0]|$pids[5]), application \"spaced\", begun"
		),
		2,
		'and in the log'
	);
};

subtest 'a gap is kept over a worker that begins anew' => sub {
	pool('slow', pool_recycle => "'2 s'", pool_size => 1);
	my $slow = holder('slow', 3);
	wait_for($node, retired('slow'), 'the first is retired', 1);
	query($node,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pool_monitor'"
	);
	wait_for($node, retired('slow'), 'and the others', 3);
	is(
		query(
			$node,
			"SELECT count(*) FROM (SELECT at - lag(at) OVER (ORDER BY at) AS gap FROM pool_monitor.events WHERE event = 'retired' AND pool = 'slow') t WHERE gap < interval '1.999 s'"
		),
		0,
		'not sooner because the worker began anew'
	);
	$slow->close;
};

subtest 'a cap for each cycle' => sub {
	setting($node, "pool_monitor.recycle_limit = 2\npool_monitor.recycle_interval = 3s");
	pool('capped', pool_size => 1000);
	my $capped = holder('capped', 8);
	wait_for($node, retired('capped'), 'all are retired in the end', 8);
	is(
		query(
			$node,
			"SELECT count(*), max(at) - min(at) > interval '5.9 s' FROM (SELECT at, at - lag(at, 4) OVER (ORDER BY at) AS five FROM pool_monitor.events WHERE event = 'retired' AND pool = 'capped') t WHERE five IS NULL OR five > interval '2.9 s'"
		),
		'8|t',
		'two in each interval: five need a whole one between them, eight two'
	);
	$capped->close;
	setting($node, "pool_monitor.recycle_limit = 100\npool_monitor.recycle_interval = 100ms");
};

subtest 'a window that is shut, by twelve hours, and one that is open' => sub {
	my ($open, $shut) = split /\|/, query($node, <<'EOS');
SELECT to_char(now() AT TIME ZONE 'UTC' - interval '2 h', 'HH24:MI') || '-' || to_char(now() AT TIME ZONE 'UTC' + interval '2 h', 'HH24:MI') || ' UTC',
	to_char(now() AT TIME ZONE 'UTC' + interval '10 h', 'HH24:MI') || '-' || to_char(now() AT TIME ZONE 'UTC' + interval '14 h', 'HH24:MI') || ' UTC'
EOS
	pool('hours', pool_size => 10, recycle_window => "'$shut'");
	my $hours = holder('hours', 3);
	let_cycles_pass('hours');
	is(query($node, connections('hours')), 3, 'outside the window nobody is retired');
	is(
		query($node, "SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'hours'"),
		'outside recycle_window',
		'and sessions says why'
	);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.recycle('hours', dry_run => false) WHERE action = 'retired' AND pid = "
			  . $hours->do('pid 0')
		),
		1,
		'by hand they are, at any time'
	);
	$hours->close;
	pool('hours', pool_size => 10, recycle_window => "'$open'");
	$hours = holder('hours', 2);
	wait_for($node, connections('hours'), 'inside the window they are', 0);
	$hours->close;
};

subtest 'the kill switch, in the middle of it' => sub {

	# one in three seconds, until it is switched off; and any number from then on
	setting($node, "pool_monitor.recycle_limit = 1\npool_monitor.recycle_interval = 3s");
	pool('switch', pool_size => 1000);
	my $switch = holder('switch', 16);
	has_begun($node, 'switch');
	setting($node,
		"pool_monitor.recycle_enabled = off\npool_monitor.recycle_limit = 100\npool_monitor.recycle_interval = 100ms"
	);
	wait_for($node,
		"SELECT setting = 'off' FROM pg_settings WHERE name = 'pool_monitor.recycle_enabled'",
		'off');
	query($node, 'SELECT pool_monitor.reload()');
	my $left = query($node, connections('switch'));
	cmp_ok($left, '>', 1, 'some are left');
	let_cycles_pass('switch');
	is(query($node, connections('switch')), $left, 'switched off: nobody else');
	setting($node, "pool_monitor.recycle_enabled = on");
	$switch->close;
};

subtest 'a session that declines is asked once in a cycle, and counted by its reason' => sub {
	setting($node, "pool_monitor.recycle_interval = 1h");
	pool('pinned', pool_size => 100);
	my $pinned = holder('pinned', 4);
	$pinned->do('sql 0 SELECT pg_advisory_lock(1)');
	$pinned->do('sql 1 CREATE TEMP TABLE t (i int)');
	wait_for(
		$node,
		"SELECT stale FROM pool_monitor.budgets WHERE pool = 'pinned'",
		'all are stale', 4
	);

	# Whoever changes the declarations has all looked at, once.
	declare($node, 'UPDATE pool_monitor.pools SET workers = 2');
	wait_for($node, connections('pinned'), 'those that can are retired', 2);
	my $later = holder('pinned', 1);
	wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'pinned'",
		'another one', 3);
	declare($node, 'UPDATE pool_monitor.pools SET workers = 3');
	wait_for($node, retired('pinned'), 'and that, when all are looked at again', 3);
	$later->close;
	is(query($node, "SELECT declined FROM pool_monitor.pool_stats WHERE pool = 'pinned'"),
		2, 'those that cannot were asked once');
	is(
		query(
			$node,
			"SELECT declined_reasons::text FROM pool_monitor.pool_stats WHERE pool = 'pinned'"
		),
		'{"temporary schema": 1, "session-level lock": 1}',
		'and counted by their reasons'
	);
	$pinned->close;
	setting($node, "pool_monitor.recycle_interval = 100ms");
};

subtest 'one that goes to work while it waits for its turn is not asked' => sub {
	setting($node, "pool_monitor.recycle_interval = 1h");
	pool('worker', pool_size => 1, pool_recycle => "'3 s'");
	my $worker = holder('worker', 3);
	wait_for(
		$node,
		"SELECT stale FROM pool_monitor.budgets WHERE pool = 'worker'",
		'all are stale', 3
	);
	setting($node, "pool_monitor.recycle_interval = 30s");
	wait_for($node, retired('worker'), 'the first is retired', 1);
	$worker->do('sql 1 BEGIN');
	wait_for($node, retired('worker'), 'so is the third', 2);
	is($worker->do('sql 1 SELECT 42'), 42, 'the second is at work');
	is(query($node, "SELECT declined FROM pool_monitor.pool_stats WHERE pool = 'worker'"),
		0, 'and was not asked');
	$worker->close;
	setting($node, "pool_monitor.recycle_interval = 100ms");
};

subtest 'shrink_idle: idle ones go, never below base' => sub {
	pool(
		'shrink',
		pool_size    => 3,
		max_overflow => 10,
		pool_recycle => 'NULL',
		idle_limit   => "'1 s'",
		shrink_idle  => 'true'
	);
	my $shrink = holder('shrink', 8);
	wait_for($node, connections('shrink'), 'down to base', 3);
	wait_for(
		$node,
		"SELECT count(*) = 3 FROM pool_monitor.sessions WHERE pool = 'shrink' AND idle_over_limit",
		'the last are idle for long'
	);
	worker_works($node, 2);
	is(query($node, connections('shrink')), 3, 'and stay');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.events WHERE event = 'retired' AND pool = 'shrink' AND detail->>'rule' = 'idle' AND (detail->>'idle')::float >= 1"
		),
		5,
		'each is on record with its rule'
	);
	is(query($node, "SELECT count(*) FROM pool_monitor.recycle('shrink')"),
		0, 'recycle() is about age alone');
	$shrink->close;
};

subtest 'without it nobody goes' => sub {
	pool('keep', pool_size => 3, pool_recycle => 'NULL', idle_limit => "'1 s'", max_overflow => 10);
	my $keep = holder('keep', 5);
	wait_for(
		$node,
		"SELECT count(*) = 5 FROM pool_monitor.sessions WHERE pool = 'keep' AND idle_over_limit",
		'idle over limit without shrink_idle'
	);
	worker_works($node, 2);
	is(query($node, connections('keep')), 5, 'nobody goes');
	$keep->close;
};

# Who makes the connects is there before, because a process may take long to start. What
# the pool opened at once in the beginning may be what is normal for it so far: so many
# more than that.
subtest 'a pool that answers each retirement with many connects is left alone' => sub {
	pool('herd', pool_size => 1);
	my $burst  = holder('herd', 0);
	my $offset = -s $node->logfile;
	my $herd   = holder('herd', 12);
	wait_for($node, "SELECT retired >= 1 FROM pool_monitor.pool_stats WHERE pool = 'herd'",
		'it begins');
	for (1 .. 40)
	{
		$burst->do('open 10');
		$burst->do('close 10');
		last if log_count($node, 'pool "herd": scheduled retirement pauses');
	}
	$burst->close;
	wait_for_log($node, qr/pool "herd": scheduled retirement pauses for 600 seconds/, 'it pauses')
	  if query($node, connections('herd')) > 0;
	wait_for(
		$node,
		"SELECT detail->>'reason' FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool = 'herd'",
		'an event says so',
		'reconnects'
	);
	is(paused(), '(undeclared)=0 herd=1', 'and so does its metric, while it lasts');
	$herd->close;
};

my $scarce;

subtest 'while the server refuses connections nobody is retired anywhere' => sub {
	setting($node, "pool_monitor.recycle_interval = 1h");
	pool('scarce', pool_size => 50);
	$scarce = holder('scarce', 3);
	my @fill;
	my $err = '';
	while ($err !~ /remaining connection slots|too many clients/)
	{
		my $dsn = $node->connstr('postgres') . ' user=app application_name=fill';
		my $out;
		($out, $err) = run_command(['psql', '-X', '-d', $dsn, '-c', 'SELECT 1']);
		push @fill, holder('fill', 1) if $err eq '';
	}
	$_->close foreach @fill;
	setting($node, "pool_monitor.recycle_interval = 100ms");
	wait_for_log(
		$node,
		qr/pool_monitor pauses scheduled retirement: the server refuses connections/,
		'refusals pause it all'
	);
	let_cycles_pass('scarce');
	is(query($node, connections('scarce')), 3, 'nobody is retired meanwhile');
	is(paused(),                            '(undeclared)=0 scarce=1', 'its metric says so');
	pool('scarce', pool_size => 50, recycle_mode => "'report'");
	is(paused(), '(undeclared)=0 scarce=0', 'of what is retired on schedule');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool IS NULL AND detail->>'reason' = 'refusals'"
		),
		1,
		'an event says so, once'
	);
};

subtest 'the log says why that is over' => sub {
	setting($node, "pool_monitor.recycle_enabled = off");
	wait_for_log(
		$node,
		qr/pool_monitor resumes scheduled retirement: no pool retires on schedule any more/,
		'not because of time, if all is switched off'
	);
	$scarce->close;
};

subtest 'leak suspects are told of once for each transaction, and never touched' => sub {
	pool('leak', leak_threshold => "'1 s'");
	my $leak = holder('leak', 2);
	$leak->do("sql $_ BEGIN") foreach 0, 1;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'leak_suspect' AND pool = 'leak'",
		'two leak suspects', 2
	);
	$leak->do('sql 0 COMMIT');
	wait_for(
		$node,
		"SELECT xact_age > interval '2 s' FROM pool_monitor.sessions WHERE pid = "
		  . $leak->do('pid 1'),
		'some time later'
	);
	worker_works($node, 1);
	is(
		query(
			$node,
			"SELECT count(*), count(DISTINCT pid), bool_and((detail->>'xact_age')::float >= 1) FROM pool_monitor.events WHERE event = 'leak_suspect'"
		),
		'2|2|t',
		'each was told of once'
	);
	is($leak->do('sql 1 SELECT 42'), 42, 'and goes on');
	$leak->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
