# Who can make scheduled retirement of one pool pause: the retired session's own client can,
# strangers under the pool's name cannot. Needs storms, and a worker that acts. Pauses for
# refused logins: 027_pauses.pl.
use strict;
use warnings FATAL => 'all';
use PoolMonitor           qw(:DEFAULT query holder pgbench);
use PoolMonitorRetirement qw(pauses goes_on);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('pauses_names', <<'EOC');
max_connections = 60
pool_monitor.recycle_interval = 100ms
EOC
my @strangers = ('stranger', map { "stranger$_" } 1 .. 4);
$node->safe_psql('postgres', join ' ', map { "CREATE ROLE $_ LOGIN;" } 'app', @strangers);

my $script = $node->basedir . '/one.sql';
append_to_file($script, "SELECT 1;\n");

sub connect_anew
{
	my ($name, $user, @rate) = @_;
	local $ENV{PGAPPNAME} = $name;
	return pgbench($node, $user, $script, '-C', @rate);
}

# Matched by its name alone: anybody can bear it.
declare(
	$node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, recycle_mode)
	VALUES ('named', 'named', 20, 0, '20 s', '0', 'terminate')"
);
my $named = holder($node, 'named', user => 'app', sessions => 30);

subtest "a stranger's storm under the pool's name pauses nothing" => sub {
	goes_on($node, 'named', 1, 'retirement begins');
	my $strange = connect_anew('named', 'stranger', '-c', 3, '-j', 3);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'storm' AND pool = 'named'",
		"a stranger's storm under the pool's name", 1
	);
	goes_on($node, 'named', 8, 'retirement of the owner goes on in the midst of it');
	is(pauses($node, "pool = 'named'"), 0, 'without a pause');
	$strange->kill_kill;
};

subtest "a storm of the owner's own role does, and others do not wait with it" => sub {
	my $own = connect_anew('named', 'app', '-c', 3, '-j', 3);
	wait_for(
		$node,
		"SELECT detail->>'reason' FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool = 'named'",
		"the owner's storm: a pause",
		'reconnects'
	);
	$own->kill_kill;

	# where this took long all of the owner's may be gone: some more, that get stale in its pause
	my $fresh = holder($node, 'named', user => 'app', sessions => 3);

	# more roles than there are places to remember one
	my @others = map { holder($node, 'named', user => $_, sessions => 1) } @strangers;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'named' AND usename LIKE 'stranger%'",
		"strangers' sessions are retired meanwhile",
		0
	);
	wait_for(
		$node,
		"SELECT string_agg(DISTINCT keep_reason, ', ') FROM pool_monitor.sessions WHERE pool = 'named' AND usename = 'app' AND stale",
		"the owner's are not: its pause is not forgotten",
		'scheduled retirement pauses'
	);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_resumed' AND pool = 'named'"
		),
		0,
		'nor over'
	);
	$_->close foreach $named, $fresh, @others;
};

# One role has sessions that begin all the time: an answer says nothing before it is known
# how many these are. After its first session those of more roles have their turn than
# there are places, then its second; then one that has more to be retired than are
# retired while the first one is learnt.
subtest 'what is normal is learnt of one role beside others' => sub {
	my $steady = connect_anew('both', 'stranger', '-R', 2);
	my @both = map { holder($node, 'both', user => $_->[0], sessions => $_->[1]) } ['stranger', 1],
	  (map { [$_, 1] } @strangers[1 .. 4]), ['stranger', 3], ['app', 30];
	my $pids = join ', ', $both[0]->do('pid 0'), map { $both[5]->do("pid $_") } 0 .. 2;
	wait_for(
		$node,
		"SELECT sum(connects) > 60 FROM pool_monitor.pool_stats WHERE application_name = 'both'",
		'sessions begin all the time'
	);
	declare(
		$node,
		"DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, budget, pool_recycle, recycle_grace, recycle_mode)
	VALUES ('both', 'both', 5, 0, 1000, '25 s', '0', 'terminate')"
	);
	wait_for(
		$node,
		"SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pid IN ($pids)",
		'the role waits while it is learnt',
		'scheduled retirement pauses'
	);
	my $seq  = query($node, 'SELECT max(seq) FROM pool_monitor.events');
	my $gone = "FROM pool_monitor.events WHERE event = 'retired' AND pool = 'both' AND pid";
	cmp_ok(query($node, "SELECT count(*) $gone IN ($pids)"),
		'<=', 2, 'from its second answer on: who is watched is not forgotten for others');
	my $next = "SELECT min(seq) $gone IN ($pids) AND seq > $seq";
	wait_for($node, "SELECT ($next) > 0", 'and goes on when it is known');
	is(
		query(
			$node,
			"SELECT count(*) FILTER (WHERE seq > $seq) >= 5, count(*) < 34 $gone NOT IN ($pids) AND seq < ($next)"
		),
		't|t',
		'others were retired from all the time'
	);
	is(pauses($node, "pool = 'both'"), 0, 'without a pause');
	$steady->kill_kill;
	$_->close foreach @both;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
