# SQLAlchemy's QueuePool as its own tests use it, and an application that goes
# on while its stale sessions are retired. Needs a real client library.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('sqlalchemy', "pool_monitor.recycle_interval = 100ms\n");
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN IN ROLE pg_read_all_stats');

sub client
{
	my ($script, @args) = @_;
	my ($out,    $err)  = run_command(
		[
			python(),                                 "$FindBin::RealBin/../clients/$script",
			$node->connstr('postgres') . ' user=app', @args
		]
	);
	is($err, '', "$script @args: no error output");
	return $out;
}

# test_overflow_no_gc
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('queue', 'queue', 2, 2)"
);
my $out      = client('queuepool.py', 'overflow_no_gc');
my $expected = join '', map {
	"round $_ out: client 4, server 4, over 0, status overflow\nround $_ in: client 2, server 2, over 0, status ok\n"
} 0 .. 4;
is(
	"$out\n",
	$expected . "peak 4\n",
	'test_overflow_no_gc: at the end 2 connections, peak 4, never over'
);

# QueuePool(3, max_overflow=-1)
declare($node, "UPDATE pool_monitor.pools SET pool_size = 3, max_overflow = -1");
$out      = client('queuepool.py', 'unbounded');
$expected = join '', map { "out $_: client $_, server $_, over 0, status ok\n" } 1 .. 6;
is(
	"$out\n",
	$expected . "in: client 3, server 3, over 0, status ok\nceiling None\n",
	'unbounded: 1 to 6 connections, then 3, never over'
);

# test_recycle: over age while it is checked in, replaced at the next checkout
declare($node,
	"UPDATE pool_monitor.pools SET pool_size = 1, max_overflow = 0, pool_recycle = '1 s', recycle_mode = 'report'; SELECT pool_monitor.reset()"
);
wait_for($node, "SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'queue'",
	'none left', 0);
$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
is(
	client('queuepool.py', 'recycle'),
	"before 1 1 0 0\nover age, leak False, idle True\nanother 1 2 1 1",
	'test_recycle: one connect and one disconnect more, as many connections'
);

# Retired at pool_recycle and a margin, without one error: an over-age session
# would have been replaced at its next checkout anyway.
declare(
	$node,
	"DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, recycle_mode)
	VALUES ('recycling', 'recycling', 5, 0, '1 s', '200 ms', 'terminate')"
);
foreach my $pre_ping ('off', 'on')
{
	my $offset = -s $node->logfile;
	$out = client('recycling.py', 1, 5, $pre_ping);
	note($out);
	my %result = $out =~ /(\w+)=(\d+)/g;
	is($result{errors}, 0, "pre_ping $pre_ping: no error in the application");
	cmp_ok($result{statements}, '>=', 10, "pre_ping $pre_ping: it did its work");
	my $retired = log_count($node, 'pool "recycling": session retired: PID', $offset);
	cmp_ok($retired, '>=', 5, "pre_ping $pre_ping: sessions were retired ($retired)");
}
done_testing();
