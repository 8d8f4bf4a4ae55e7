# A session without a slot has no stamps of the monotonic clock, so nobody can tell how old
# it is when a clock is set: it is never retired, by schedule or by hand. No session is
# without one but for a defect or a moment, so a module of the tests takes its slot away.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('no_slot', 'pool_monitor.recycle_interval = 100ms');
create_forge($node);
query($node, 'CREATE ROLE app LOGIN');
declare($node, <<'EOS');
INSERT INTO pool_monitor.pools (name, application_name, pool_size, pool_recycle, recycle_grace, recycle_mode)
VALUES ('bare', 'bare', 10, '1 s', '0', 'report');
EOS

my $bare = holder($node, 'bare', user => 'app');
my $pid  = $bare->do('pid 0');
is(query($node, "SELECT forge_slot($pid, -1)"), 't', 'a session loses its slot');
my $other = holder($node, 'bare', user => 'app', sessions => 2);
my $count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bare'";

subtest 'recycle() does not take it' => sub {
	wait_for(
		$node,
		"SELECT stale FROM pool_monitor.budgets WHERE pool = 'bare'",
		'others are stale', 2
	);
	wait_for(
		$node,
		"SELECT keep_reason FROM pool_monitor.sessions WHERE pid = $pid",
		'it is not, and this is why',
		'beginning or ending'
	);
	is(
		query(
			$node,
			"SELECT action, reason, count(*) FROM pool_monitor.recycle('bare', dry_run => false) GROUP BY 1, 2 ORDER BY 1"
		),
		'retired||2',
		'recycle() takes them alone'
	);
	wait_for($node, $count, 'it alone is there', 1);
};

# Chosen while it had one, it loses it before the question is put.
subtest 'nor when it has lost its slot just before it would be asked' => sub {
	is(query($node, "SELECT forge_slot(-1, $pid)"), 't', 'it has its slot again');
	wait_for($node, "SELECT stale FROM pool_monitor.sessions WHERE pid = $pid", 'and is stale');
	my $asker  = holder($node, 'asker');
	my $forger = holder($node, 'forger');
	my $asks   = $asker->do('pid 0');
	print {$forger->{in}} "sql 0 SELECT forge_slot_asked($asks, $pid, -1)\n";
	$forger->{in}->flush;
	wait_for(
		$node,
		"SELECT wait_event FROM pg_stat_activity WHERE application_name = 'forger'",
		'the lock is held under which sessions are asked', 'Extension'
	);
	is(
		$asker->do(
			"sql 0 SELECT string_agg(concat_ws(' ', pid, action, reason), ', ') FROM pool_monitor.recycle('bare', dry_run => false)"
		),
		"$pid declined ended meanwhile",
		'whose slot this is is asked under that lock'
	);
	is($forger->answer,                       'True', 'it has lost it meanwhile');
	is(query($node, "$count AND pid = $pid"), 1,      'and it is there');
	$_->close foreach $asker, $forger;
};

# Also as one that is idle and above base.
subtest 'the schedule does not take it either' => sub {
	declare($node,
		"UPDATE pool_monitor.pools SET recycle_mode = 'terminate', pool_size = 1, shrink_idle = true, idle_limit = '1 s'"
	);
	foreach (1 .. 3)
	{
		my $canary = holder($node, 'bare', user => 'app');
		wait_for($node, $count, 'the schedule retires another', 1);
		is(query($node, "$count AND pid = $pid"), 1, 'but never this one');
		$canary->close;
	}
};

subtest 'it was nothing else that kept it' => sub {
	is(query($node, "SELECT forge_slot(-1, $pid)"), 't', 'it has its slot again');
	wait_for($node, $count, 'and is retired', 0);
};

$other->close;
$bare->close;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
