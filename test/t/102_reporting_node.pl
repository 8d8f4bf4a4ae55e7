# A real pg.Pool of node-postgres that reports, with clients/node-postgres: its figures, that
# it disturbs neither its application nor the books, and that it outlives the end of an idle
# session. Needs the library itself, in Node.js.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorReporting;
use Test::More;

# Debian's own, or the one that is there with npm; see test/setup.
my ($nodejs) = grep { -x } map { "$_/node" } '/usr/bin', split /:/, $ENV{PATH};
plan skip_all => 'there is no Node.js' unless $nodejs;
$ENV{NODE_PATH} = join ':', '/usr/share/nodejs', '/usr/lib/node_modules',
  '/usr/local/lib/node_modules', $ENV{NODE_PATH} // ();

my $node = reporting_server('reporting_node', log_statements => 1);
declare($node, insert_pool('ems', pool_size => 3, max_overflow => 0));
my ($pool, $said) = reporting_client('pg', $nodejs, "$FindBin::RealBin/../clients/pgpool.cjs",
	$node->host, $node->port, 'ems', 200);

# Waits until it knows that sessions have ended.
sub notices
{
	my ($number) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $pool->do('open') <= 3 - $number;
		select undef, undef, undef, 0.1;
	}
	die "it does not notice that sessions have ended\n";
}

# All of it is in the next, then.
subtest 'its pool says what was, also when the first report was refused' => sub {
	is($said, 'gave up', 'one checkout has to wait, another one gives up');
	note('pg ' . $pool->do('version'));
	refuse_reports($node);
	is($pool->do('return'), 'idle', 'all come back');
	wait_for_refused($node, 'the first report is refused');
	take_reports($node);
	wait_for_shown(
		$node,
		'ems',
		'size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations, invalidations',
		'3|0|3|0|0|4|1|1|3|0',
		'its pool says what was'
	);
	wait_for(
		$node,
		"SELECT checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.4 AND 1.4 FROM pool_monitor.pool_stats WHERE pool = 'ems'",
		'and so say the sums of the pool',
		'4|1|1|t'
	);
	agree($node, 'ems', 3, '1 checkouts timed out');
};

subtest 'reports are no transactions, and no use' => sub {
	undisturbed($node, 'ems', 1, "idle_for > interval '1 s'");
};

subtest 'nothing is reported in a transaction that the application left open' => sub {
	is($pool->do('begin'), 'begun', 'its clients come back in transactions');
	is(
		query(
			$node,
			"SELECT bool_and(query = 'BEGIN') AND count(*) = 3 FROM pg_stat_activity WHERE application_name = 'ems'"
		),
		't',
		'in which nothing is reported'
	);
	is($pool->do('rollback'), 'idle', 'they end');
	wait_for_reports($node, 'ems', 1, 'then it goes on');
};

subtest 'no place of the pool gets lost by reports between checkouts' => sub {
	is($pool->do('hurry'), 0, 'in a hurry');
	is($pool->do('hurry'), 0, 'once more');
	wait_for_shown($node, 'ems', 'checkouts, checked_out, checkouts - waits > 0',
		'1610|0|t', 'every checkout is counted');
};

subtest 'sessions that end while they are idle are replaced' => sub {
	my $ended = query($node,
		q{SELECT count(pg_terminate_backend(pid)) FROM pool_monitor.sessions WHERE pool = 'ems' AND state = 'idle'}
	);
	notices($ended);
	is($pool->do('hurry'), 0, 'its process outlives the end of idle sessions');
	wait_for_shown($node, 'ems', "checkouts, creations - 3 = $ended AND invalidations = $ended",
		'2410|t', 'which are replaced');
};

my $offset;

subtest "what goes wrong is not the application's concern" => sub {
	my $clients = "SELECT pid FROM pool_monitor.sessions WHERE pool = 'ems' ORDER BY pid";
	my $same    = query($node, $clients);
	$offset = -s $node->logfile;
	refuse_reports($node);
	wait_for_refused($node, 'a report fails', $offset);
	$offset = -s $node->logfile;
	is($pool->do('wait'), 'idle', 'meanwhile a checkout has to wait');
	wait_for_refused($node, 'one more fails', $offset);
	none_in_transaction($node, 'ems');
	$offset = -s $node->logfile;
	take_reports($node);
	wait_for_log(
		$node,
		qr/client_report\(\$1.*\n.*DETAIL:  [Pp]arameters: .*\$13 = '0\.[4-9]/,
		'what could not be told is told later', $offset
	);
	wait_for_shown($node, 'ems', 'checkouts, checked_out', '2414|0', 'nothing is lost');
	is(query($node, $clients), $same, 'nor a connection');
};

subtest 'its process outlives the end of the session that a report goes out on' => sub {
	refuse_reports($node);
	query($node, <<'EOS');
CREATE FUNCTION pool_monitor.client_report(text, int, int, int, int, int, bigint, bigint, float8, bigint, bigint, bigint, float8, bigint)
	RETURNS bool LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_terminate_backend(pg_backend_pid())'
EOS
	wait_for_log(
		$node,
		qr/terminating connection.*\n(?:.*DETAIL:.*\n)?.*STATEMENT:  SELECT pool_monitor/,
		'a session ends in a report', $offset
	);
	notices(1);
	is($pool->do('hurry'), 0, 'and its process goes on');
};

$pool->close;
done_testing();
