# What a clean-up does when things change in the middle of it: declarations that
# cannot be loaded, roles, settings, paces, pools, its own worker. Needs several real
# sessions, and a worker that acts by the clock.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('changes',
	"pool_monitor.recycle_interval = 200ms\nmax_connections = 250\nlog_min_messages = warning\nlisten_addresses = '127.0.0.1'\n"
);
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; GRANT TEMPORARY ON DATABASE postgres TO app');

sub holder
{
	my ($name, $sessions, %more) = @_;
	return PoolMonitor::Holder->new(
		$node,
		application_name => $name,
		user             => 'app',
		sessions         => $sessions,
		%more
	);
}

sub row
{
	my ($name, %columns) = @_;
	my %all = (
		application_name => "'$name'",
		pool_recycle     => "'1 s'",
		recycle_grace    => "'0'",
		recycle_mode     => "'terminate'",
		pool_size        => 1,
		max_overflow     => 0,
		%columns
	);
	return
		'INSERT INTO pool_monitor.pools (name, '
	  . join(', ', sort keys %all)
	  . ") VALUES ('$name', "
	  . join(', ', map { $all{$_} } sort keys %all) . ');';
}

sub pools
{
	declare($node, join '', "DELETE FROM pool_monitor.pools WHERE name <> 'steady';", @_);
	return;
}

sub value { return $node->safe_psql('postgres', $_[0]) }

sub setting
{
	my ($line) = @_;
	$node->append_conf('postgresql.conf', "$line\n");
	$node->reload;
	return;
}

sub retired { return "SELECT retired FROM pool_monitor.pool_stats WHERE pool = '$_[0]'" }

# Its first session is gone. It has enough of them for a machine that is slow, and
# fewer than a storm is made of.
sub has_begun
{
	my ($pool) = @_;
	wait_for($node, "SELECT retired >= 1 FROM pool_monitor.pool_stats WHERE pool = '$pool'",
		'it has begun');
	return;
}

# Time passes in which several of a pool's sessions would have had their turn.
sub time_passes
{
	my ($pool) = @_;
	my $now = value(
		"SELECT EXTRACT(EPOCH FROM max(idle_for)) FROM pool_monitor.sessions WHERE pool = '$pool'");
	wait_for(
		$node,
		"SELECT EXTRACT(EPOCH FROM max(idle_for)) > $now + 3.5 FROM pool_monitor.sessions WHERE pool = '$pool'",
		'time passes'
	);
	return;
}

# Nobody of the pool goes any more.
sub stands_still
{
	my ($pool, $what) = @_;
	my $before = value(retired($pool));
	time_passes($pool);
	is(value(retired($pool)), $before, $what);
	return;
}

# For later: pools that are declared when their sessions are stale. The application of
# one has two servers.
my %holder = map { $_ => holder($_, 30) } 'fair', 'busy';
my @herd   = map { holder('herd', 15, host => $_) } $node->host, '127.0.0.1';
my $script = $node->basedir . '/one.sql';
append_to_file($script, "SELECT 1;\n");

sub churn
{
	my ($name, $rate) = @_;
	local $ENV{PGAPPNAME} = $name;
	return IPC::Run::start(
		[
			'pgbench', '-n', '-C', '-R', $rate, '-T',
			10 * $PostgreSQL::Test::Utils::timeout_default,
			'-U', 'app', '-h', $node->host, '-p', $node->port, '-f', $script, 'postgres'
		],
		'>',
		\my $out,
		'2>',
		\my $err
	);
}
my $churn  = churn('busy',   2);
my $steady = churn('steady', 5);
declare($node, row('steady', recycle_mode => "'report'"));
wait_for(
	$node,
	"SELECT count(*) > 0 FROM pool_monitor.events WHERE event = 'storm' AND pool = 'steady'",
	'connects all the time, of which nothing is known yet, are a storm'
);

# declarations that cannot be loaded
pools(row('load'));
my $load = holder('load', 18);
has_begun('load');
my $offset = -s $node->logfile;
setting("pool_monitor.database = 'nonexistent'");
wait_for_log(
	$node,
	qr/could not load the declared pools: there is no database "nonexistent"/,
	'a load has failed', $offset
);
stands_still('load', 'nobody is retired until a load succeeds');
setting("pool_monitor.database = 'postgres'");
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
my $before = value(retired('load'));
wait_for(
	$node,
	"SELECT retired > $before FROM pool_monitor.pool_stats WHERE pool = 'load'",
	'then it goes on'
);

# a change that has committed, and that the loader cannot read yet
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
$owner->do('sql 0 COMMIT');
is($locker->answer, 'ok', 'and comes before the loader');
stands_still('load', 'nobody is retired by what was declared before');
$locker->do('sql 0 COMMIT');
$_->close foreach $owner, $locker, $load;

# roles
pools(row('roles'));
my $roles = holder('roles', 18);
has_begun('roles');
setting("pool_monitor.protected_roles = 'app'");
wait_for($node,
	"SELECT count(*) = 0 FROM pool_monitor.sessions WHERE pool = 'roles' AND keep_reason IS NULL",
	'protected');
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
stands_still('roles', 'a role that becomes protected');
setting("pool_monitor.protected_roles = ''");
$before = value(retired('roles'));
wait_for($node, "SELECT retired > $before FROM pool_monitor.pool_stats WHERE pool = 'roles'",
	'and goes on');
$node->safe_psql('postgres', 'ALTER ROLE app SUPERUSER');
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
stands_still('roles', 'a role that becomes a superuser');
$node->safe_psql('postgres', 'ALTER ROLE app NOSUPERUSER');
$roles->close;

# a pace that is corrected counts from the last retirement, as does one that is not
my $gap =
  "SELECT EXTRACT(EPOCH FROM max(at) - min(at)) FROM pool_monitor.events WHERE event = 'retired' AND pool =";
pools(row('pace', pool_recycle => "'5 s'"));
my $pace = holder('pace', 3);
wait_for($node, retired('pace'), 'the first', 1);
declare($node, "UPDATE pool_monitor.pools SET pool_size = 20 WHERE name = 'pace'");
wait_for($node, retired('pace'), 'and the others', 3);
cmp_ok(value("$gap 'pace'"), '<', 4.5, 'a shorter gap is in force at once');
$pace->close;
pools(row('again', pool_recycle => "'3 s'"));
my $again = holder('again', 2);
wait_for($node, retired('again'), 'the first', 1);
declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'again'");
declare($node, row('again', pool_recycle => "'3 s'"));
wait_for($node, retired('again'), 'the second', 2);
cmp_ok(value("$gap 'again'"), '>=', 2.999, 'declared anew, a pool keeps its pace');
$again->close;

# a pool without any bound goes by what it has
pools(row('open', pool_recycle => "'2 s'", pool_size => 0));
my $open = holder('open', 10);
wait_for($node, retired('open'), 'all in the end', 10);
cmp_ok(value("$gap 'open'"), '<', 15, 'faster than one in a pool_recycle');
$open->close;

# the oldest first, whatever the order of the pools
setting('pool_monitor.recycle_interval = 1h');
pools(row('first', priority => 1, pool_size => 100),
	row('second', priority => 2, pool_size => 100));
my $second = holder('second', 2);
my $first  = holder('first',  3);
wait_for(
	$node,
	'SELECT sum(stale) FROM pool_monitor.budgets WHERE pool IN ($$first$$, $$second$$)',
	'all are stale', 5
);
setting("pool_monitor.recycle_limit = 1\npool_monitor.recycle_interval = 300ms");
wait_for(
	$node,
	'SELECT sum(retired) FROM pool_monitor.pool_stats WHERE pool IN ($$first$$, $$second$$)',
	'all are retired', 5
);
is(
	value(
		"SELECT string_agg(pool, ' ' ORDER BY seq) FROM pool_monitor.events WHERE event = 'retired' AND pool IN ('first', 'second')"
	),
	'second second first first first',
	'the oldest first, of all pools'
);
$_->close foreach $first, $second;
setting("pool_monitor.recycle_limit = 100\npool_monitor.recycle_interval = 100ms");

# many that decline do not keep the one behind them
pools(row('many', pool_size => 1000));
my $many = holder('many', 15);
$many->do("sql $_ CREATE TEMP TABLE t (i int)") foreach 0 .. 13;
wait_for($node, retired('many'), 'the youngest is retired though all others stay', 1);

# a decline is told of once, and once more when it is another session's
my $told =
  "SELECT count(*) FROM pool_monitor.events WHERE event = 'declined' AND pool = 'many' AND detail->>'reason' = 'temporary schema'";
wait_for(
	$node,
	"SELECT declined > 3 * 14 FROM pool_monitor.pool_stats WHERE pool = 'many'",
	'each has declined several times'
);
is(value($told), 14, 'and was told of once');
$many->close;
my $other = holder('many', 1);
$other->do('sql 0 CREATE TEMP TABLE t (i int)');
wait_for($node, $told, 'another session that declines is told of', 15);
$other->close;

# what is over age and idle for too long shrinks, though its grace is longer still
pools(row('grace', recycle_grace => "'1 h'", idle_limit => "'1 s'", shrink_idle => 'true'));
my $grace = holder('grace', 4);
wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'grace'",
	'down to base', 1);
$grace->close;

# many leaks at one moment are twenty events, and one a minute later, and nobody's secret is told
pools(row('leaks', recycle_mode => "'report'"));
my $leaks = holder('leaks', 25);
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

# a window whose time zone is not there any more is shut; all else is in force
$node->safe_psql('postgres',
	'ALTER TABLE pool_monitor.pools DROP CONSTRAINT "recycle_window must be NULL, or as 22:00-06:00 Europe/Berlin"'
);
$offset = -s $node->logfile;
pools(row('zone', recycle_window => "'00:00-24:00 Nowhere/Atall'"), row('sound'));
wait_for_log($node,
	qr/the recycle_window of pool "zone" stays shut: there is no time zone "Nowhere\/Atall"/,
	'a warning', $offset);
my $zone  = holder('zone',  2);
my $sound = holder('sound', 2);
wait_for($node, retired('sound'), 'other pools go on', 2);
is(
	value("SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'zone'"),
	'outside recycle_window',
	'its window is shut'
);
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()') for 1 .. 3;
is(log_count($node, 'stays shut', $offset), 1, 'warned of once');
$_->close foreach $zone, $sound;

# Three pools of which nothing is known when the first session goes, which is at once.
# One answers each retirement with four connects, two from each server; one with the
# one that replaces it, and one has connects all the time.
my %answering = (pool_size => 40, pool_recycle => "'80 s'");
pools(map { row($_, %answering) } 'herd', 'fair', 'busy');
my %seen = (herd => 0, fair => 0);
my $paused =
  "SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool =";
for (my $tries = 0 ; $tries < 6000 && $seen{herd} < 30 && value("$paused 'herd'") == 0 ; $tries++)
{
	foreach my $name ('herd', 'fair')
	{
		my $lost = value(retired($name)) - $seen{$name};
		next if $lost == 0;
		$seen{$name} += $lost;

		# each of them, however many there were since the last look
		if ($name eq 'fair')
		{
			holder($name, $lost)->close;
			next;
		}
		holder($name, 2 * $lost, host => $_)->close foreach $node->host, '127.0.0.1';
	}
	select undef, undef, undef, 0.1;
}
is(value("$paused 'herd' AND detail->>'reason' = 'reconnects'"),
	1, 'a pool that answers each retirement with a herd is left alone');
is(value("SELECT count(*) FROM pool_monitor.events WHERE event = 'storm' AND pool = 'herd'"),
	0, 'though it was no storm');
cmp_ok($seen{herd}, '>=', 3, 'after three retirements at least');
is(
	value("SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'herd'"),
	'scheduled retirement pauses',
	'and sessions says so'
);
cmp_ok($seen{fair},            '>=', 3, 'the others are retired from');
cmp_ok(value(retired('busy')), '>=', 3, 'as they should');
is(value("$paused 'fair'"), 0, 'a pool that replaces what is gone does not pause');
is(value("$paused 'busy'"), 0, 'nor one that connects all the time');
my $before_known = value(retired('busy'));
wait_for(
	$node,
	"SELECT retired > $before_known FROM pool_monitor.pool_stats WHERE pool = 'busy'",
	'which goes on when that is known'
);
wait_for(
	$node,
	"SELECT count(*) > 0 FROM pool_monitor.events WHERE event = 'storm_over' AND pool = 'steady'",
	'and a storm that does not end becomes normal'
);
$_->kill_kill foreach $churn, $steady;
$holder{$_}->close foreach 'fair', 'busy';

# a worker that begins anew keeps the pause; the kill switch ends it
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'";
my $old    = value($worker);
value("SELECT pg_terminate_backend($old)");
wait_for($node, "SELECT count(*) = 1 FROM ($worker) w WHERE pid <> $old", 'another worker');
stands_still('herd', 'it retires none either');
setting('pool_monitor.recycle_enabled = off');
wait_for(
	$node,
	"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_resumed' AND pool = 'herd'",
	'the kill switch ends the pause',
	1
);
$before = value(retired('herd'));
setting('pool_monitor.recycle_enabled = on');
wait_for(
	$node,
	"SELECT retired > $before FROM pool_monitor.pool_stats WHERE pool = 'herd'",
	'and all begins anew'
);
$_->close foreach @herd;

# protected roles: members too; one that does not exist is told of
$node->safe_psql('postgres', 'CREATE ROLE guards; CREATE ROLE member LOGIN IN ROLE guards');
$offset = -s $node->logfile;
setting("pool_monitor.protected_roles = 'guards, Nobody'");
wait_for_log(
	$node,
	qr/role "nobody" in "pool_monitor.protected_roles" does not exist/,
	'a role that does not exist', $offset
);
pools(row('member', pool_size => 100));
my $member = holder('member', 2);
my $safe =
  PoolMonitor::Holder->new($node, application_name => 'member', user => 'member', sessions => 2);
wait_for(
	$node,
	"SELECT string_agg(keep_reason, ',') FROM pool_monitor.sessions WHERE pool = 'member'",
	'members of a protected role are kept, the others not',
	'protected role,protected role'
);
$_->close foreach $member, $safe;

# a role that becomes a member while others of it are retired
pools(row('granted'));
my $granted = holder('granted', 18);
has_begun('granted');
$node->safe_psql('postgres', 'GRANT guards TO app');
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
stands_still('granted', 'a grant is heard of');
$node->safe_psql('postgres', 'REVOKE guards FROM app');
$granted->close;

# without a base there is nothing that shrinking could leave
pools(
	row(
		'baseless',
		pool_size    => 0,
		pool_recycle => 'NULL',
		idle_limit   => "'1 s'",
		shrink_idle  => 'true'
	),
	row('canary', pool_size => 100)
);
my $baseless = holder('baseless', 3);
wait_for(
	$node,
	"SELECT min(idle_for) > interval '2.5 s' FROM pool_monitor.sessions WHERE pool = 'baseless'",
	'idle for long'
);
my $canary = holder('canary', 1);
wait_for($node, retired('canary'), 'a clean-up has been', 1);
is(value("SELECT connections FROM pool_monitor.budgets WHERE pool = 'baseless'"),
	3, 'a pool without pool_size does not shrink');
$_->close foreach $baseless, $canary;

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
