# How scheduled retirement paces itself: the gap between two retirements, the cap
# of a cycle, windows, pauses, shrinking, and what it tells. Needs real sessions
# and a worker that acts by the clock.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT app_holder);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('pacing',
	"pool_monitor.recycle_interval = 100ms\npool_monitor.sample_interval = 20ms\nmax_connections = 30\n"
);
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');

sub holder { return app_holder($node, @_) }

# Declares one pool and nothing else.
sub pool
{
	my ($name, %columns) = @_;
	my %all = (
		pool_recycle  => "'1 s'",
		recycle_grace => "'0'",
		recycle_mode  => "'terminate'",
		max_overflow  => 0,
		%columns
	);
	declare($node,
		'DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name, '
		  . join(', ', sort keys %all)
		  . ") VALUES ('$name', '$name', "
		  . join(', ', map { $all{$_} } sort keys %all)
		  . ')');
	return;
}

sub connections { return "SELECT connections FROM pool_monitor.budgets WHERE pool = '$_[0]'" }

sub retired { return "SELECT retired FROM pool_monitor.pool_stats WHERE pool = '$_[0]'" }

# Two clean-ups at least: a session that is stale all by itself comes and goes.
sub let_cycles_pass
{
	my ($name) = @_;
	wait_for(
		$node,
		"SELECT count(*) >= 2 FROM pool_monitor.sessions WHERE pool = '$name' AND stale AND idle_for > interval '1.5 s'",
		'stale for several cycles'
	);
	return;
}

# n of them take at least (n - 1) * pool_recycle / ceiling, the oldest first,
# though all were opened at once
pool('spaced', pool_size => 5);
my $spaced = holder('spaced', 6);
my @pids   = map { $spaced->do("pid $_") } 0 .. 5;
wait_for($node, retired('spaced'), 'all are retired in the end', 6);
$spaced->close;
my $times =
  "SELECT pid, at, lag(at) OVER (ORDER BY at) AS before FROM pool_monitor.events WHERE event = 'retired' AND pool = 'spaced'";
is($node->safe_psql('postgres', "SELECT string_agg(pid::text, ' ' ORDER BY at) FROM ($times) t"),
	"@pids", 'the oldest first');

is(
	$node->safe_psql(
		'postgres', "SELECT count(*) FROM ($times) t WHERE at - before < interval '199 ms'"
	),
	0,
	'never sooner after each other than a fifth of pool_recycle'
);
is($node->safe_psql('postgres', "SELECT max(at) - min(at) >= interval '999 ms' FROM ($times) t"),
	't', 'six took five gaps');
is(
	$node->safe_psql(
		'postgres',
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

# a gap is kept over a worker that begins anew
pool('slow', pool_recycle => "'2 s'", pool_size => 1);
my $slow = holder('slow', 3);
wait_for($node, retired('slow'), 'the first is retired', 1);
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pool_monitor'");
wait_for($node, retired('slow'), 'and the others', 3);
is(
	$node->safe_psql(
		'postgres',
		"SELECT count(*) FROM (SELECT at - lag(at) OVER (ORDER BY at) AS gap FROM pool_monitor.events WHERE event = 'retired' AND pool = 'slow') t WHERE gap < interval '1.999 s'"
	),
	0,
	'not sooner because the worker began anew'
);
$slow->close;

# a cap for each cycle
$node->append_conf('postgresql.conf',
	"pool_monitor.recycle_limit = 2\npool_monitor.recycle_interval = 3s\n");
$node->reload;
pool('capped', pool_size => 1000);
my $capped = holder('capped', 8);
wait_for($node, retired('capped'), 'all are retired in the end', 8);
is(
	$node->safe_psql(
		'postgres',
		"SELECT count(*), max(at) - min(at) > interval '5.9 s' FROM (SELECT at, at - lag(at, 4) OVER (ORDER BY at) AS five FROM pool_monitor.events WHERE event = 'retired' AND pool = 'capped') t WHERE five IS NULL OR five > interval '2.9 s'"
	),
	'8|t',
	'two in each interval: five need a whole one between them, eight two'
);
$capped->close;
$node->append_conf('postgresql.conf',
	"pool_monitor.recycle_limit = 100\npool_monitor.recycle_interval = 100ms\n");
$node->reload;

# a window that is shut, by twelve hours
my ($open, $shut) = split /\|/, $node->safe_psql('postgres', <<'EOS');
SELECT to_char(now() AT TIME ZONE 'UTC' - interval '2 h', 'HH24:MI') || '-' || to_char(now() AT TIME ZONE 'UTC' + interval '2 h', 'HH24:MI') || ' UTC',
	to_char(now() AT TIME ZONE 'UTC' + interval '10 h', 'HH24:MI') || '-' || to_char(now() AT TIME ZONE 'UTC' + interval '14 h', 'HH24:MI') || ' UTC'
EOS
pool('hours', pool_size => 10, recycle_window => "'$shut'");
my $hours = holder('hours', 3);
let_cycles_pass('hours');
is($node->safe_psql('postgres', connections('hours')), 3, 'outside the window nobody is retired');
is(
	$node->safe_psql(
		'postgres', "SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'hours'"
	),
	'outside recycle_window',
	'and sessions says why'
);
is(
	$node->safe_psql(
		'postgres',
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

# the kill switch, in the middle of it
pool('switch', pool_size => 1, pool_recycle => "'1 s'");
my $switch = holder('switch', 4);
wait_for($node, "SELECT retired >= 1 FROM pool_monitor.pool_stats WHERE pool = 'switch'",
	'it has begun');
$node->append_conf('postgresql.conf', "pool_monitor.recycle_enabled = off\n");
$node->reload;
wait_for($node,
	"SELECT setting = 'off' FROM pg_settings WHERE name = 'pool_monitor.recycle_enabled'", 'off');
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
my $left = $node->safe_psql('postgres', connections('switch'));
cmp_ok($left, '>', 1, 'some are left');
let_cycles_pass('switch');
is($node->safe_psql('postgres', connections('switch')), $left, 'switched off: nobody else');
$node->append_conf('postgresql.conf', "pool_monitor.recycle_enabled = on\n");
$node->reload;
$switch->close;

# a session that declines is asked once in a cycle, and counted by its reason
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 1h\n");
$node->reload;
pool('pinned', pool_size => 100);
my $pinned = holder('pinned', 4);
$pinned->do('sql 0 SELECT pg_advisory_lock(1)');
$pinned->do('sql 1 CREATE TEMP TABLE t (i int)');
wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'pinned'", 'all are stale', 4);

# whoever changes the declarations has all looked at, once
declare($node, 'UPDATE pool_monitor.pools SET workers = 2');
wait_for($node, connections('pinned'), 'those that can are retired', 2);
my $later = holder('pinned', 1);
wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'pinned'", 'another one', 3);
declare($node, 'UPDATE pool_monitor.pools SET workers = 3');
wait_for($node, retired('pinned'), 'and that, when all are looked at again', 3);
$later->close;
is(
	$node->safe_psql(
		'postgres', "SELECT declined FROM pool_monitor.pool_stats WHERE pool = 'pinned'"
	),
	2,
	'those that cannot were asked once'
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT declined_reasons::text FROM pool_monitor.pool_stats WHERE pool = 'pinned'"
	),
	'{"temporary schema": 1, "session-level lock": 1}',
	'and counted by their reasons'
);
$pinned->close;
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
$node->reload;

# one that goes to work while it waits for its turn is not asked
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 1h\n");
$node->reload;
pool('worker', pool_size => 1, pool_recycle => "'3 s'");
my $worker = holder('worker', 3);
wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'worker'", 'all are stale', 3);
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 30s\n");
$node->reload;
wait_for($node, retired('worker'), 'the first is retired', 1);
$worker->do('sql 1 BEGIN');
wait_for($node, retired('worker'), 'so is the third', 2);
is($worker->do('sql 1 SELECT 42'), 42, 'the second is at work');
is(
	$node->safe_psql(
		'postgres', "SELECT declined FROM pool_monitor.pool_stats WHERE pool = 'worker'"
	),
	0,
	'and was not asked'
);
$worker->close;
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
$node->reload;

# shrinking: idle ones go, never below base
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
	"SELECT count(*) = 3 FROM pool_monitor.sessions WHERE pool = 'shrink' AND idle_over_limit AND idle_for > interval '3 s'",
	'the last are idle for long'
);
is($node->safe_psql('postgres', connections('shrink')), 3, 'and stay');
is(
	$node->safe_psql(
		'postgres',
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'retired' AND pool = 'shrink' AND detail->>'rule' = 'idle' AND (detail->>'idle')::float >= 1"
	),
	5,
	'each is on record with its rule'
);
is($node->safe_psql('postgres', "SELECT count(*) FROM pool_monitor.recycle('shrink')"),
	0, 'recycle() is about age alone');
$shrink->close;
pool('keep', pool_size => 3, pool_recycle => 'NULL', idle_limit => "'1 s'", max_overflow => 10);
my $keep = holder('keep', 5);
wait_for(
	$node,
	"SELECT count(*) = 5 FROM pool_monitor.sessions WHERE pool = 'keep' AND idle_for > interval '2.5 s'",
	'idle over limit without shrink_idle'
);
is($node->safe_psql('postgres', connections('keep')), 5, 'nobody goes');
$keep->close;

# a pool that answers each retirement with many connects is left alone; who makes them
# is there before, because a process may take long to start. What the pool opened at
# once in the beginning may be what is normal for it so far: so many more than that.
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
  if $node->safe_psql('postgres', connections('herd')) > 0;
wait_for(
	$node,
	"SELECT detail->>'reason' FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool = 'herd'",
	'an event says so',
	'reconnects'
);
$herd->close;

# while the server refuses connections nobody is retired anywhere
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 1h\n");
$node->reload;
pool('scarce', pool_size => 50);
my $scarce = holder('scarce', 3);
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
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
$node->reload;
wait_for_log(
	$node,
	qr/pool_monitor pauses scheduled retirement: the server refuses connections/,
	'refusals pause it all'
);
let_cycles_pass('scarce');
is($node->safe_psql('postgres', connections('scarce')), 3, 'nobody is retired meanwhile');
is(
	$node->safe_psql(
		'postgres',
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool IS NULL AND detail->>'reason' = 'refusals'"
	),
	1,
	'an event says so, once'
);

# the log says why it is over
$node->append_conf('postgresql.conf', "pool_monitor.recycle_enabled = off\n");
$node->reload;
wait_for_log(
	$node,
	qr/pool_monitor resumes scheduled retirement: no pool retires on schedule any more/,
	'not because of time, if all is switched off'
);
$scarce->close;

# leak suspects: told once for each transaction, never touched
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
	"SELECT xact_age > interval '2 s' FROM pool_monitor.sessions WHERE pid = " . $leak->do('pid 1'),
	'some time later'
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT count(*), count(DISTINCT pid), bool_and((detail->>'xact_age')::float >= 1) FROM pool_monitor.events WHERE event = 'leak_suspect'"
	),
	'2|2|t',
	'each was told of once'
);
is($leak->do('sql 1 SELECT 42'), 42, 'and goes on');
$leak->close;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
