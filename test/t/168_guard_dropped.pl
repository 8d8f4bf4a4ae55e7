# A pool is dropped while logins to it are under way, and stay so: what is declared later must
# not find their places taken. Needs logins that wait, and little room for pools.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT holder logs_in);
use PoolMonitorGuard;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = guard_server('guard_dropped',
	"pool_monitor.max_pools = 2\npool_monitor.sample_interval = 100ms\n");

query($node, 'CREATE DATABASE elsewhere');
declare($node, insert_pool('former'));

# Nobody gets in there until it has the name or has it not.
my $owner = holder($node, 'owner');
$owner->do('sql 0 BEGIN');
$owner->do('sql 0 ALTER DATABASE elsewhere RENAME TO nowhere');
my @waiting = map {
	IPC::Run::start(
		[
			'psql', '-X', '-w', '-c', 'SELECT 1', '-d',
			$node->connstr('elsewhere') . ' user=app application_name=former'
		],
		'<',
		'/dev/null',
		'>',
		\my $out,
		'2>',
		\my $err
	)
} 1 .. 3;
wait_for_guards($node, 'former', 'places', 3, 'logins are under way');

my @names = map { "later$_" } 1 .. 8;
pools($node, guard('one', 1), guard($names[0], 3));
foreach my $i (1 .. $#names)
{
	pools($node, guard('one', 1), guard($names[$i], 3));
	is(query($node, guards($names[$i], 'places')), 0, "$names[$i] begins with all its places");
	ok(logs_in($node, "user=app application_name=$names[$i]"), 'so a login fits');
}
is(query($node, "SELECT count(*) FROM pool_monitor.events WHERE event = 'guard_disarmed'"),
	0, 'nothing was counted wrong');

$owner->do('sql 0 ROLLBACK');
$owner->close;
ok($_->finish, 'who has waited is admitted') foreach @waiting;
wait_for_guards($node, undef, 'places < 3', 't', 'and gone');
pools($node, guard('two', 1), guard('three', 1));
is(query($node, guards($_, 'places, connection_limit')), '0|1', "$_ has a place, too")
  foreach 'two', 'three';

$node->stop;
done_testing();
