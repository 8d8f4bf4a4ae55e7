# What a clean-up does when things change in the middle of it: declarations that cannot be
# loaded, roles, what pools do when they lose sessions, the worker itself. Needs several
# real sessions, and a worker that acts by the clock.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT pgbench);
use PoolMonitorRetirement;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = retirement_server('changes');

# For later: pools that are declared when their sessions are stale. The application of
# one has two servers.
my %holder = map { $_ => app_holder($node, $_, 30) } 'fair', 'busy';
my @herd   = map { app_holder($node, 'herd', 15, host => $_) } $node->host, '127.0.0.1';
my $script = $node->basedir . '/one.sql';
append_to_file($script, "SELECT 1;\n");

sub churn
{
	my ($name, $rate) = @_;
	local $ENV{PGAPPNAME} = $name;
	return pgbench($node, 'app', $script, '-C', '-c', 2, '-R', $rate);
}
my $churn  = churn('busy',   2);
my $steady = churn('steady', 5);
declare($node, row('steady', recycle_mode => "'report'"));
wait_for(
	$node,
	"SELECT count(*) > 0 FROM pool_monitor.events WHERE event = 'storm' AND pool = 'steady'",
	'connects all the time, of which nothing is known yet, are a storm'
);

my $load;
subtest 'declarations that cannot be loaded' => sub {
	pools($node, row('load'));
	$load = app_holder($node, 'load', 18);
	has_begun($node, 'load');
	my $offset = -s $node->logfile;
	setting($node, "pool_monitor.database = 'nonexistent'");
	wait_for_log(
		$node,
		qr/could not load the declared pools: there is no database "nonexistent"/,
		'a load has failed', $offset
	);
	stands_still($node, 'load', 'nobody is retired until a load succeeds');
	setting($node, "pool_monitor.database = 'postgres'");
	$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
	my $before = query($node, retired('load'));
	wait_for(
		$node,
		"SELECT retired > $before FROM pool_monitor.pool_stats WHERE pool = 'load'",
		'then it goes on'
	);
};

subtest 'a change that has committed, and that the loader cannot read yet' => sub {
	my $owner = PoolMonitor::Holder->new($node, application_name => 'owner', sessions => 2);
	$owner->do('sql 0 BEGIN');
	$owner->do("sql 0 UPDATE pool_monitor.pools SET recycle_mode = 'off'");
	my $locker = PoolMonitor::Holder->new($node, application_name => 'locker', sessions => 1);
	$locker->do('sql 0 BEGIN');
	print {$locker->{in}} "sql 0 LOCK pool_monitor.pools\n";
	$locker->{in}->flush;
	wait_for(
		$node,
		"SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'",
		'a lock waits for the change', 1
	);

	# where this took long, all of them may be gone
	my $more = app_holder($node, 'load', 6);
	$owner->do('sql 0 COMMIT');
	is($locker->answer, 'ok', 'and comes before the loader');
	stands_still($node, 'load', 'nobody is retired by what was declared before');
	$locker->do('sql 0 COMMIT');
	$_->close foreach $owner, $locker, $load, $more;
};

subtest 'roles' => sub {
	pools($node, row('roles'));
	my $roles = app_holder($node, 'roles', 18);
	has_begun($node, 'roles');
	setting($node, "pool_monitor.protected_roles = 'app'");
	wait_for(
		$node,
		"SELECT count(*) = 0 FROM pool_monitor.sessions WHERE pool = 'roles' AND keep_reason IS NULL",
		'protected'
	);
	$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
	stands_still($node, 'roles', 'a role that becomes protected');
	setting($node, "pool_monitor.protected_roles = ''");
	my $before = query($node, retired('roles'));
	wait_for($node, "SELECT retired > $before FROM pool_monitor.pool_stats WHERE pool = 'roles'",
		'and goes on');
	$node->safe_psql('postgres', 'ALTER ROLE app SUPERUSER');
	$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
	stands_still($node, 'roles', 'a role that becomes a superuser');
	$node->safe_psql('postgres', 'ALTER ROLE app NOSUPERUSER');
	$roles->close;
};

# Three pools of which nothing is known when the first session goes, which is at once.
# One answers each retirement with four connects, two from each server; one with the
# one that replaces it, and one has connects all the time.
subtest 'herds' => sub {
	setting($node, 'pool_monitor.recycle_interval = 100ms');
	wait_for(
		$node,
		"SELECT min(age) > interval '80 s' FROM pool_monitor.sessions WHERE application_name IN ('herd', 'fair')",
		'all are over age'
	);
	my %answering = (pool_size => 40, pool_recycle => "'80 s'");
	pools($node, map { row($_, %answering) } 'herd', 'fair', 'busy');
	my %seen = (herd => 0, fair => 0);
	my $paused =
	  "SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool =";
	for (
		my $tries = 0 ;
		$tries < 6000 && $seen{herd} < 30 && query($node, "$paused 'herd'") == 0 ;
		$tries++
	  )
	{
		foreach my $name ('herd', 'fair')
		{
			my $lost = query($node, retired($name)) - $seen{$name};
			next if $lost == 0;
			$seen{$name} += $lost;

			# each of them, however many there were since the last look
			if ($name eq 'fair')
			{
				app_holder($node, $name, $lost)->close;
				next;
			}
			app_holder($node, $name, 2 * $lost, host => $_)->close foreach $node->host, '127.0.0.1';
		}
		select undef, undef, undef, 0.1;
	}
	is(query($node, "$paused 'herd' AND detail->>'reason' = 'reconnects'"),
		1, 'a pool that answers each retirement with a herd is left alone');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.events WHERE event = 'storm' AND pool = 'herd'"
		),
		0,
		'though it was no storm'
	);
	cmp_ok($seen{herd}, '>=', 3, 'after three retirements at least');
	is(
		query($node, "SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'herd'"),
		'scheduled retirement pauses',
		'and sessions says so'
	);
	cmp_ok($seen{fair},                   '>=', 3, 'the others are retired from');
	cmp_ok(query($node, retired('busy')), '>=', 3, 'as they should');
	is(query($node, "$paused 'fair'"), 0, 'a pool that replaces what is gone does not pause');
	is(query($node, "$paused 'busy'"), 0, 'nor one that connects all the time');

	# where this took long, all 30 of them may be gone already
	my $before_known = query($node, retired('busy'));
	wait_for(
		$node,
		"SELECT retired > $before_known OR retired >= 30 FROM pool_monitor.pool_stats WHERE pool = 'busy'",
		'which goes on when that is known'
	);
	wait_for(
		$node,
		"SELECT count(*) > 0 FROM pool_monitor.events WHERE event = 'storm_over' AND pool = 'steady'",
		'and a storm that does not end becomes normal'
	);
	is(
		query(
			$node,
			"SELECT bool_and((detail->>'seconds')::numeric >= 60) FROM pool_monitor.events WHERE event = 'storm_over' AND pool = 'steady'"
		),
		't',
		'not before it has lasted for a minute'
	);
	$_->kill_kill foreach $churn, $steady;
	$holder{$_}->close foreach 'fair', 'busy';
};

subtest 'a worker that begins anew keeps the pause; the kill switch ends it' => sub {
	my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'";
	my $old    = query($node, $worker);
	query($node, "SELECT pg_terminate_backend($old)");
	wait_for($node, "SELECT count(*) = 1 FROM ($worker) w WHERE pid <> $old", 'another worker');
	stands_still($node, 'herd', 'it retires none either');
	setting($node, 'pool_monitor.recycle_enabled = off');
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_resumed' AND pool = 'herd'",
		'the kill switch ends the pause',
		1
	);
	my $before = query($node, retired('herd'));
	setting($node, 'pool_monitor.recycle_enabled = on');
	wait_for(
		$node,
		"SELECT retired > $before FROM pool_monitor.pool_stats WHERE pool = 'herd'",
		'and all begins anew'
	);
	$_->close foreach @herd;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
