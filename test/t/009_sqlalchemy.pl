# SQLAlchemy's QueuePool as its own tests use it, and an application that goes
# on while its stale sessions are retired. Needs a real client library.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('sqlalchemy', "pool_monitor.recycle_interval = 100ms\n");
query($node, 'CREATE ROLE app LOGIN IN ROLE pg_read_all_stats');

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

# The pools of SQLAlchemy's own tests.
declare($node, insert_pool('queue', pool_size => 2, max_overflow => 2));

subtest 'test_overflow_no_gc' => sub {
	my $out      = client('queuepool.py', 'overflow_no_gc');
	my $expected = join '', map {
		"round $_ out: client 4, server 4, over 0, status overflow\nround $_ in: client 2, server 2, over 0, status ok\n"
	} 0 .. 4;
	is("$out\n", $expected . "peak 4\n", 'at the end 2 connections, peak 4, never over');
};

subtest 'unbounded: QueuePool(3, max_overflow=-1)' => sub {
	declare($node, "UPDATE pool_monitor.pools SET pool_size = 3, max_overflow = -1");
	my $out      = client('queuepool.py', 'unbounded');
	my $expected = join '', map { "out $_: client $_, server $_, over 0, status ok\n" } 1 .. 6;
	is(
		"$out\n",
		$expected . "in: client 3, server 3, over 0, status ok\nceiling None\n",
		'1 to 6 connections, then 3, never over'
	);
};

subtest 'test_recycle: over age while it is checked in, replaced at the next checkout' => sub {
	declare($node,
		"UPDATE pool_monitor.pools SET pool_size = 1, max_overflow = 0, pool_recycle = '1 s', recycle_mode = 'report'; SELECT pool_monitor.reset()"
	);
	wait_for($node, "SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'queue'",
		'none left', 0);
	query($node, 'SELECT pool_monitor.reset()');
	is(
		client('queuepool.py', 'recycle'),
		"before 1 1 0 0\nover age, leak False, idle True\nanother 1 2 1 1",
		'one connect and one disconnect more, as many connections'
	);
};

# Retired at pool_recycle and a margin, without one error: an over-age session
# would have been replaced at its next checkout anyway.
declare(
	$node,
	'DELETE FROM pool_monitor.pools;'
	  . insert_pool(
		'recycling',
		pool_size     => 5,
		max_overflow  => 0,
		pool_recycle  => "'1 s'",
		recycle_grace => "'200 ms'",
		recycle_mode  => "'terminate'"
	  )
);
foreach my $pre_ping ('off', 'on')
{
	subtest "retired without an error, pre_ping $pre_ping" => sub {
		my $offset = -s $node->logfile;
		my $out    = client('recycling.py', 1, 5, $pre_ping);
		note($out);
		my %result = $out =~ /(\w+)=(\d+)/g;
		is($result{errors}, 0, 'no error in the application');
		cmp_ok($result{statements}, '>=', 10, 'it did its work');
		my $retired = log_count($node, 'pool "recycling": session retired: PID', $offset);
		cmp_ok($retired, '>=', 5, "sessions were retired ($retired)");
	};
}

done_testing();
