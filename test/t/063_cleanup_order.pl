# Whom a clean-up retires, in which order and how fast, and whom it does not: paces, the
# oldest first, those that decline, grace, windows, protected roles. Needs several real
# sessions, and a worker that acts by the clock.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorRetirement;
use Test::More;

my $node = retirement_server('order');

my $gap =
  "SELECT EXTRACT(EPOCH FROM max(at) - min(at)) FROM pool_monitor.events WHERE event = 'retired' AND pool =";

subtest 'a pace that is corrected counts from the last retirement' => sub {
	pools($node, row('pace', pool_recycle => "'5 s'"));
	my $pace = app_holder($node, 'pace', 3);
	wait_for($node, retired('pace'), 'the first', 1);
	declare($node, "UPDATE pool_monitor.pools SET pool_size = 20 WHERE name = 'pace'");
	wait_for($node, retired('pace'), 'and the others', 3);
	cmp_ok(query($node, "$gap 'pace'"), '<', 4.5, 'a shorter gap is in force at once');
	$pace->close;
};

subtest 'as does one that is not' => sub {
	pools($node, row('again', pool_recycle => "'3 s'"));
	my $again = app_holder($node, 'again', 2);
	wait_for($node, retired('again'), 'the first', 1);
	declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'again'");
	declare($node, row('again', pool_recycle => "'3 s'"));
	wait_for($node, retired('again'), 'the second', 2);
	cmp_ok(query($node, "$gap 'again'"), '>=', 2.999, 'declared anew, a pool keeps its pace');
	$again->close;
};

subtest 'a pool without any bound goes by what it has' => sub {
	pools($node, row('open', pool_recycle => "'2 s'", pool_size => 0));
	my $open = app_holder($node, 'open', 10);
	wait_for($node, retired('open'), 'all in the end', 10);
	cmp_ok(query($node, "$gap 'open'"), '<', 15, 'faster than one in a pool_recycle');
	$open->close;
};

subtest 'the oldest first, whatever the order of the pools' => sub {
	setting($node, 'pool_monitor.recycle_interval = 1h');
	pools(
		$node,
		row('first',  priority => 1, pool_size => 100),
		row('second', priority => 2, pool_size => 100)
	);
	my $second = app_holder($node, 'second', 2);
	my $first  = app_holder($node, 'first',  3);
	wait_for(
		$node,
		'SELECT sum(stale) FROM pool_monitor.budgets WHERE pool IN ($$first$$, $$second$$)',
		'all are stale', 5
	);
	setting($node, "pool_monitor.recycle_limit = 1\npool_monitor.recycle_interval = 300ms");
	wait_for(
		$node,
		'SELECT sum(retired) FROM pool_monitor.pool_stats WHERE pool IN ($$first$$, $$second$$)',
		'all are retired', 5
	);
	is(
		query(
			$node,
			"SELECT string_agg(pool, ' ' ORDER BY seq) FROM pool_monitor.events WHERE event = 'retired' AND pool IN ('first', 'second')"
		),
		'second second first first first',
		'the oldest first, of all pools'
	);
	$_->close foreach $first, $second;
	setting($node, "pool_monitor.recycle_limit = 100\npool_monitor.recycle_interval = 100ms");
};

subtest 'many that decline do not keep the one behind them' => sub {

	# declared when they have what keeps them, however long that takes
	my $many = app_holder($node, 'many', 15);
	$many->do("sql $_ CREATE TEMP TABLE t (i int)") foreach 0 .. 13;
	pools($node, row('many', pool_size => 1000));
	wait_for($node, retired('many'), 'the youngest is retired though all others stay', 1);

	# a decline is told of once, and once more when it is another session's
	my $told =
	  "SELECT count(*) FROM pool_monitor.events WHERE event = 'declined' AND pool = 'many' AND detail->>'reason' = 'temporary schema'";
	wait_for(
		$node,
		"SELECT declined > 3 * 14 FROM pool_monitor.pool_stats WHERE pool = 'many'",
		'each has declined several times'
	);
	is(query($node, $told), 14, 'and was told of once');
	$many->close;
	my $other = app_holder($node, 'another', 1);
	$other->do('sql 0 CREATE TEMP TABLE t (i int)');
	$other->do("sql 0 SET application_name = 'many'");
	wait_for($node, $told, 'another session that declines is told of', 15);
	$other->close;
};

subtest 'what is over age and idle for too long shrinks, though its grace is longer still' => sub {
	pools($node,
		row('grace', recycle_grace => "'1 h'", idle_limit => "'1 s'", shrink_idle => 'true'));
	my $grace = app_holder($node, 'grace', 4);
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'grace'",
		'down to base', 1);
	$grace->close;
};

# And nobody's secret is told.
subtest 'many leaks at one moment are twenty events, and one a minute later' => sub {
	pools($node, row('leaks', recycle_mode => "'report'"));
	my $leaks = app_holder($node, 'leaks', 25);
	$leaks->do("sql $_ BEGIN") foreach 0 .. 24;
	wait_for(
		$node,
		"SELECT count(*) = 25 FROM pool_monitor.sessions WHERE pool = 'leaks' AND xact_age > interval '1.5 s'",
		'all are old enough'
	);
	my $listener = PoolMonitor::Holder->new($node, application_name => 'listener', user => 'app');
	$listener->do('sql 0 LISTEN pool_monitor');
	declare($node, "UPDATE pool_monitor.pools SET leak_threshold = '1 s' WHERE name = 'leaks'");
	my $told_of =
	  "SELECT count(*), sum(times) FROM pool_monitor.events WHERE event = 'leak_suspect' AND pool = 'leaks'";
	wait_for($node, $told_of, 'twenty', '20|20');
	$_->close foreach $leaks, $listener;
};

subtest 'a window whose time zone is not there any more is shut; all else is in force' => sub {
	$node->safe_psql('postgres',
		'ALTER TABLE pool_monitor.pools DROP CONSTRAINT "recycle_window must be NULL, or as 22:00-06:00 Europe/Berlin"'
	);
	my $offset = -s $node->logfile;
	pools($node, row('zone', recycle_window => "'00:00-24:00 Nowhere/Atall'"), row('sound'));
	wait_for_log($node,
		qr/the recycle_window of pool "zone" stays shut: there is no time zone "Nowhere\/Atall"/,
		'a warning', $offset);
	my $zone  = app_holder($node, 'zone',  2);
	my $sound = app_holder($node, 'sound', 2);
	wait_for($node, retired('sound'), 'other pools go on', 2);
	is(
		query($node, "SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'zone'"),
		'outside recycle_window',
		'its window is shut'
	);
	$node->safe_psql('postgres', 'SELECT pool_monitor.reload()') for 1 .. 3;
	is(log_count($node, 'stays shut', $offset), 1, 'warned of once');
	$_->close foreach $zone, $sound;
};

subtest 'protected roles: members too; one that does not exist is told of' => sub {
	$node->safe_psql('postgres', 'CREATE ROLE guards; CREATE ROLE member LOGIN IN ROLE guards');
	my $offset = -s $node->logfile;
	setting($node, "pool_monitor.protected_roles = 'guards, Nobody'");
	wait_for_log(
		$node,
		qr/role "nobody" in "pool_monitor.protected_roles" does not exist/,
		'a role that does not exist', $offset
	);
	pools($node, row('member', pool_size => 100));
	my $member = app_holder($node, 'member', 2);
	my $safe   = PoolMonitor::Holder->new(
		$node,
		application_name => 'member',
		user             => 'member',
		sessions         => 2
	);
	wait_for(
		$node,
		"SELECT string_agg(keep_reason, ',') FROM pool_monitor.sessions WHERE pool = 'member'",
		'members of a protected role are kept, the others not',
		'protected role,protected role'
	);
	$_->close foreach $member, $safe;
};

subtest 'a role that becomes a member while others of it are retired' => sub {
	pools($node, row('granted'));
	my $granted = app_holder($node, 'granted', 18);
	has_begun($node, 'granted');
	$node->safe_psql('postgres', 'GRANT guards TO app');
	$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
	stands_still($node, 'granted', 'a grant is heard of');
	$node->safe_psql('postgres', 'REVOKE guards FROM app');
	$granted->close;
};

subtest 'without a base there is nothing that shrinking could leave' => sub {
	pools(
		$node,
		row(
			'baseless',
			pool_size    => 0,
			pool_recycle => 'NULL',
			idle_limit   => "'1 s'",
			shrink_idle  => 'true'
		),
		row('canary', pool_size => 100)
	);
	my $baseless = app_holder($node, 'baseless', 3);
	wait_for(
		$node,
		"SELECT min(idle_for) > interval '2.5 s' FROM pool_monitor.sessions WHERE pool = 'baseless'",
		'idle for long'
	);
	my $canary = app_holder($node, 'canary', 1);
	wait_for($node, retired('canary'), 'a clean-up has been', 1);
	is(query($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'baseless'"),
		3, 'a pool without pool_size does not shrink');
	$_->close foreach $baseless, $canary;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
