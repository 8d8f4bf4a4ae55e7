# shrink_idle where others bear the pool's name, and where sessions cannot go: nobody's
# sessions go below base for somebody else's. Needs real sessions that LISTEN or own
# something, of several roles, and a worker that acts.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT holder);
use Test::More;

my $node = new_server('namesakes',
	"pool_monitor.recycle_interval = 100ms\npool_monitor.sample_interval = 20ms\n");
$node->safe_psql('postgres',
	'CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN; GRANT TEMPORARY ON DATABASE postgres TO app'
);

sub row
{
	my ($name, $size, $more) = @_;
	my ($columns, $values) = $more ? (', usename', ", '$more'") : ('', '');
	return
	  "INSERT INTO pool_monitor.pools (name, application_name, pool_size, pool_recycle, idle_limit, shrink_idle, recycle_mode$columns)
		VALUES ('$name', '$name', $size, NULL, '1 s', true, 'terminate'$values);";
}

sub connections
{
	my ($pool, $user) = @_;
	return "SELECT count(*) FROM pool_monitor.sessions WHERE pool = '$pool' AND usename = '$user'";
}

# Clean-ups pass, and find what is idle for long: a session of the canary above its
# base comes and goes.
sub time_passes
{
	my $canary = holder($node, 'canary', user => 'app', sessions => 4);
	wait_for($node, connections('canary', 'app'), 'clean-ups pass', 1);
	$canary->close;
	return;
}

declare(
	$node, join '',
	map { row(@$_) } ['named', 5],
	['canary', 1],
	['own',    3],
	['pinned', 3, 'app']
);

# a stranger's sessions, which LISTEN, are above a base that is the owner's
my $owner    = holder($node, 'named', user => 'app',      sessions => 5);
my $stranger = holder($node, 'named', user => 'stranger', sessions => 4);
$stranger->do("sql $_ LISTEN c") foreach 0 .. 3;
time_passes();
is($node->safe_psql('postgres', connections('named', 'app')),
	5, "a stranger's: nobody of the owner goes");
is($node->safe_psql('postgres', connections('named', 'stranger')),
	4, 'nor of the stranger, who has less than base');
is(
	$node->safe_psql(
		'postgres',
		"SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'named' AND idle_over_limit"
	),
	'pool_recycle is not set',
	'and sessions says no other thing'
);

# the owner's own above base go, and only these
my $more = holder($node, 'named', user => 'app', sessions => 3);
wait_for($node, connections('named', 'app'), "the owner's own go", 5);
time_passes();
is($node->safe_psql('postgres', connections('named', 'app')), 5, 'down to base and no further');
$_->close foreach $owner, $stranger, $more;

# what LISTENs does not count above base, from the beginning
my $free   = holder($node, 'own',       user => 'app', sessions => 3);
my $listen = holder($node, 'elsewhere', user => 'app', sessions => 4);
$listen->do("sql $_ LISTEN c") foreach 0 .. 3;
$listen->do("all SET application_name = 'own'");
time_passes();
is($node->safe_psql('postgres', connections('own', 'app')), 7, 'nobody goes for those that stay');
$listen->do("sql $_ UNLISTEN *") foreach 0 .. 3;
wait_for($node, connections('own', 'app'), 'those that stay no longer are sent away', 3);
$_->close foreach $free, $listen;

# nor does what has declined; and it is found out when it could go after all
my $locked = holder($node, 'pinned', user => 'app', sessions => 4);
$locked->do("sql $_ SELECT pg_advisory_lock($_)") foreach 0 .. 3;
wait_for(
	$node,
	"SELECT declined >= 4 FROM pool_monitor.pool_stats WHERE pool = 'pinned'",
	'all have declined'
);
$free = holder($node, 'pinned', user => 'app', sessions => 5);
wait_for($node, connections('pinned', 'app'), 'three stay besides those that cannot go', 7);
time_passes();
is($node->safe_psql('postgres', connections('pinned', 'app')), 7, 'and no fewer');
$locked->do("sql $_ SELECT pg_advisory_unlock($_)") foreach 0 .. 3;
wait_for($node, connections('pinned', 'app'), 'when they can they do', 3);
$_->close foreach $locked, $free;

# the lint
is(
	$node->safe_psql(
		'postgres',
		"SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.advice WHERE topic = 'identity'"
	),
	'canary,named,own',
	'where anybody belongs to it, advice says so'
);
is(
	$node->safe_psql(
		'postgres', 'SELECT status, evidence FROM pool_monitor.checklist WHERE item = 12'
	),
	'warn|missing in 3 of 4 pools with recycle_mode terminate: canary, named, own',
	'and the checklist'
);
declare($node, <<'EOS');
UPDATE pool_monitor.pools SET client_addr = '10.0.0.0/8' WHERE name = 'named';
UPDATE pool_monitor.pools SET usename = '%' WHERE name = 'own';
UPDATE pool_monitor.pools SET recycle_mode = 'report' WHERE name = 'canary';
EOS
is(
	$node->safe_psql(
		'postgres',
		"SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.advice WHERE topic = 'identity'"
	),
	'own',
	'an address will do, every role will not, and report harms nobody'
);

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
