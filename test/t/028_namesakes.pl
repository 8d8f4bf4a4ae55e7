# shrink_idle where others bear the pool's name, and where sessions cannot go: nobody's
# sessions go below base for somebody else's. Needs real sessions that LISTEN or own
# something, of several roles, and a worker that acts.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool holder app_holder);
use Test::More;

my $node = new_server('namesakes',
	"pool_monitor.recycle_interval = 100ms\npool_monitor.sample_interval = 20ms\n");
query($node,
	'CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN; GRANT TEMPORARY ON DATABASE postgres TO app'
);

sub row
{
	my ($name, $size, %columns) = @_;
	return insert_pool(
		$name,
		pool_size    => $size,
		pool_recycle => 'NULL',
		idle_limit   => "'1 s'",
		shrink_idle  => 'true',
		recycle_mode => "'terminate'",
		%columns
	);
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
	my $canary = app_holder($node, 'canary', 4);
	wait_for($node, connections('canary', 'app'), 'clean-ups pass', 1);
	$canary->close;
	return;
}

declare($node,
	row('named', 5) . row('canary', 1) . row('own', 3) . row('pinned', 3, usename => "'app'"));
my $owner    = app_holder($node, 'named', 5);
my $stranger = holder($node, 'named', user => 'stranger', sessions => 4);

subtest "nobody goes for a stranger's sessions, which LISTEN" => sub {
	$stranger->do("sql $_ LISTEN c") foreach 0 .. 3;
	time_passes();
	is(query($node, connections('named', 'app')), 5, "a stranger's: nobody of the owner goes");
	is(query($node, connections('named', 'stranger')),
		4, 'nor of the stranger, who has less than base');
	is(
		query(
			$node,
			"SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'named' AND idle_over_limit"
		),
		'pool_recycle is not set',
		'and sessions says no other thing'
	);
};

subtest "the owner's own above base go, and only these" => sub {
	my $more = app_holder($node, 'named', 3);
	wait_for($node, connections('named', 'app'), "the owner's own go", 5);
	time_passes();
	is(query($node, connections('named', 'app')), 5, 'down to base and no further');
	$_->close foreach $owner, $stranger, $more;
};

subtest 'what LISTENs does not count above base, from the beginning' => sub {
	my $free   = app_holder($node, 'own',       3);
	my $listen = app_holder($node, 'elsewhere', 4);
	$listen->do("sql $_ LISTEN c") foreach 0 .. 3;
	$listen->do("all SET application_name = 'own'");
	time_passes();
	is(query($node, connections('own', 'app')), 7, 'nobody goes for those that stay');
	$listen->do("sql $_ UNLISTEN *") foreach 0 .. 3;
	wait_for($node, connections('own', 'app'), 'those that stay no longer are sent away', 3);
	$_->close foreach $free, $listen;
};

subtest 'nor does what has declined, until it could go after all' => sub {
	my $locked = app_holder($node, 'pinned', 4);
	$locked->do("sql $_ SELECT pg_advisory_lock($_)") foreach 0 .. 3;
	wait_for(
		$node,
		"SELECT declined >= 4 FROM pool_monitor.pool_stats WHERE pool = 'pinned'",
		'all have declined'
	);
	my $free = app_holder($node, 'pinned', 5);
	wait_for($node, connections('pinned', 'app'), 'three stay besides those that cannot go', 7);
	time_passes();
	is(query($node, connections('pinned', 'app')), 7, 'and no fewer');
	$locked->do("sql $_ SELECT pg_advisory_unlock($_)") foreach 0 .. 3;
	wait_for($node, connections('pinned', 'app'), 'when they can they do', 3);
	$_->close foreach $locked, $free;
};

subtest 'advice and the checklist say where anybody belongs to a pool' => sub {
	is(
		query(
			$node,
			"SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.advice WHERE topic = 'identity'"
		),
		'canary,named,own',
		'where anybody belongs to it, advice says so'
	);
	is(
		query($node, 'SELECT status, evidence FROM pool_monitor.checklist WHERE item = 12'),
		'warn|missing in 3 of 4 pools with recycle_mode terminate: canary, named, own',
		'and the checklist'
	);
	declare($node, <<'EOS');
UPDATE pool_monitor.pools SET client_addr = '10.0.0.0/8' WHERE name = 'named';
UPDATE pool_monitor.pools SET usename = '%' WHERE name = 'own';
UPDATE pool_monitor.pools SET recycle_mode = 'report' WHERE name = 'canary';
EOS
	is(
		query(
			$node,
			"SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.advice WHERE topic = 'identity'"
		),
		'own',
		'an address will do, every role will not, and report harms nobody'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
