# The guard refuses by what it has counted itself, so an error of its own would lock clients
# out for good. It sees one, admits all meanwhile, and counts anew. There is no such error but
# for a defect, so a module of the tests makes one. And what a crash, a process that is killed
# or one that ends on its way leaves behind: nothing.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder logs_in insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('guard_check', "restart_after_crash = on\n");
create_forge($node);
query($node, 'CREATE ROLE app LOGIN');
my $declaration = insert_pool(
	'web',
	pool_size    => 2,
	max_overflow => 1,
	guard        => "'enforce'",
	usename      => "'app'"
);
declare($node, $declaration);

my $armed  = "SELECT armed FROM pool_monitor.guards WHERE pool = 'web'";
my $places = "SELECT places FROM pool_monitor.guards WHERE pool = 'web'";
my $events =
  "SELECT string_agg(event, ' ' ORDER BY seq) FROM pool_monitor.events WHERE event ~ '^guard_'";

sub fits { return logs_in($node, 'user=app application_name=web') }

wait_for($node, $armed, 'the guard is in force');

subtest 'what is counted too much is seen, and taken off' => sub {
	my $web = holder($node, 'web', user => 'app');
	query($node, "SELECT forge_places('web', 2)");
	wait_for($node, $events, 'it is seen and mended', 'guard_disarmed guard_armed');
	is(
		query(
			$node,
			"SELECT pool, detail ->> 'places', detail ->> 'too_many' FROM pool_monitor.events WHERE event = 'guard_disarmed'"
		),
		'web|3|2',
		'of that pool, which seemed to be full, and how many'
	);
	is(query($node, $places), 1, 'they are taken off');
	is(log_count($node, qr/counted 2 connections too many for the guard of pool "web"/),
		1, 'and in the log');
	wait_for($node, $armed, 'it is in force again');
	my @more = map { holder($node, 'web', user => 'app') } 1 .. 2;
	ok(!fits(), 'at its limit');
	is(query($node, $places), 3, 'which is what it was');
	$_->close foreach $web, @more;
};

subtest 'likewise of the part that is anybody\'s' => sub {
	my $kept = "SELECT shared_free FROM pool_monitor.guards WHERE pool = 'web'";

	wait_for($node, $places, 'nobody is there', 0);
	declare($node, "UPDATE pool_monitor.pools SET reserved = 1 WHERE name = 'web'");
	wait_for($node, $armed, 'with a reserve');
	my $hub  = holder($node, 'hub', sessions => 3);
	my $free = query($node, $kept);
	my $told =
	  "SELECT string_agg(detail ->> 'too_many', ' ' ORDER BY seq) FROM pool_monitor.events WHERE event = 'guard_disarmed' AND pool IS NULL";
	query($node, "SELECT forge_places('', 3)");
	wait_for($node, $told, 'three more than there are', '3');
	wait_for($node, $kept, 'they are taken off',        $free);
	query($node, "SELECT forge_places('', -1)");
	wait_for($node, $told, 'and one less',    '3 -1');
	wait_for($node, $kept, 'is counted anew', $free);
	$hub->close;
};

subtest 'a login that ends on its way gives its place back' => sub {
	wait_for($node, $places, 'nobody is there', 0);
	ok(!logs_in($node, 'user=app application_name=web dbname=nowhere'), 'there is no such database')
	  foreach 1 .. 5;
	wait_for($node, $places, 'nobody is', 0);
	query($node, 'ALTER ROLE app CONNECTION LIMIT 0');
	ok(!fits(), 'the role may have no connection') foreach 1 .. 5;
	wait_for($node, $places, 'nobody is', 0);
	query($node, 'ALTER ROLE app CONNECTION LIMIT -1');
	is(query($node, "SELECT guarded, rejected FROM pool_monitor.pool_stats WHERE pool = 'web'"),
		'1|10', 'none of them was refused by the guard');
};

subtest 'a session that is terminated, or whose process is killed' => sub {
	my @web  = map { holder($node, 'web', user => 'app') } 1 .. 3;
	my @pids = map { $_->do('pid 0') } @web;
	ok(!fits(), 'at its limit');
	query($node, "SELECT pg_terminate_backend($pids[0])");
	wait_for($node, $places, 'one is gone', 2);
	ok(fits(), 'so another fits');
	kill 'KILL', $pids[1];
	wait_for(
		$node,
		"SELECT places = 0 FROM pool_monitor.guards WHERE pool = 'web'",
		'after a crash the count begins anew'
	);
	wait_for($node, $armed, 'and the guard is in force again');
	$_->close foreach @web;
	@web = map { holder($node, 'web', user => 'app') } 1 .. 3;
	ok(!fits(), 'at the same limit');
	$_->close foreach @web;
};

subtest 'a clean restart' => sub {
	my $seen = query($node, "SELECT guarded FROM pool_monitor.pool_stats WHERE pool = 'web'");
	$node->restart;
	wait_for($node, $armed, 'the guard is in force');
	is(query($node, "SELECT guarded FROM pool_monitor.pool_stats WHERE pool = 'web'"),
		$seen, 'what was counted is kept');
	my @web = map { holder($node, 'web', user => 'app') } 1 .. 3;
	ok(!fits(), 'at the same limit');
	$_->close foreach @web;
};

$node->stop;
done_testing();
