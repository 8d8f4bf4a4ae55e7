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
my $nodejs = installed('Node.js', 'node', '/usr/bin');
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
	return wait_until(sub { $pool->do('open') <= 3 - $number },
		'it notices that sessions have ended');
}

# All of it is in the next, then.
subtest 'its pool says what was, also when the first report was refused' => sub {
	is($said, 'gave up', 'one checkout has to wait, another one gives up');
	note('pg ' . $pool->do('version'));
	idle_while_refused($node, $pool);
	wait_for_shown(
		$node,
		'ems',
		'size, max_overflow, open, checked_out, waiting, checkouts, waits, timeouts, creations, invalidations',
		'3|0|3|0|0|4|1|1|3|0',
		'its pool says what was'
	);
	wait_for_counted($node, 'ems',
		'checkouts, checkout_waits, checkout_timeouts, waited_seconds BETWEEN 0.4 AND 1.4',
		'4|1|1|t', 'and so say the sums of the pool');
	agree($node, 'ems', 3, '1 checkouts timed out');
};

subtest 'for how long clients are out' => sub {
	holds_are_told($node, 'ems', $pool, 1);
	my ($before) = held($node, 'ems');
	is($pool->do('ways'), 'idle', 'got in other ways');
	my ($after) = held($node, 'ems');
	cmp_ok($after - $before, '>=', 1, 'too');
};

subtest 'reports are no transactions, and no use' => sub {
	undisturbed($node, 'ems', 1, "idle_for > interval '1 s'");
};

subtest 'nothing is reported in a transaction that the application left open' => sub {
	none_in_open_transaction($node, 'ems', $pool);
};

subtest 'no place of the pool gets lost by reports between checkouts' => sub {
	is($pool->do('hurry'), 0, 'in a hurry');
	is($pool->do('hurry'), 0, 'once more');
	wait_for_shown($node, 'ems', 'checkouts, checked_out, checkouts - waits > 0',
		'1613|0|t', 'every checkout is counted');
};

subtest 'sessions that end while they are idle are replaced' => sub {
	my $ended = query($node,
		q{SELECT count(pg_terminate_backend(pid)) FROM pool_monitor.sessions WHERE pool = 'ems' AND state = 'idle'}
	);
	notices($ended);
	is($pool->do('hurry'), 0, 'its process outlives the end of idle sessions');
	wait_for_shown($node, 'ems', "checkouts, creations - 3 = $ended AND invalidations = $ended",
		'2413|t', 'which are replaced');
};

subtest "what goes wrong is not the application's concern" => sub {
	my $clients = "SELECT pid FROM pool_monitor.sessions WHERE pool = 'ems' ORDER BY pid";
	my $same    = query($node, $clients);
	my $offset  = -s $node->logfile;
	refuse_reports($node);
	wait_for_refused($node, 'a report fails', $offset);
	$offset = -s $node->logfile;
	is($pool->do('wait'), 'idle', 'meanwhile a checkout has to wait');
	wait_for_refused($node, 'one more fails', $offset);
	none_in_transaction($node, 'ems');
	told_later($node);
	wait_for_shown($node, 'ems', 'checkouts, checked_out', '2417|0', 'nothing is lost');
	is(query($node, $clients), $same, 'nor a connection');
};

subtest 'its process outlives the end of the session that a report goes out on' => sub {
	my $offset = -s $node->logfile;
	refuse_reports($node);
	query($node, <<'EOS');
CREATE FUNCTION pool_monitor.client_report(text, int, int, int, int, int, bigint, bigint, float8, bigint, bigint, bigint, float8, bigint, float8)
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
