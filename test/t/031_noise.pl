# One session that is noisy leaves the others' events where they are, and the server
# log readable. Needs a client that changes its application_name faster than the
# worker samples, the log, and a restart.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

my $node =
  new_server('noise', "pool_monitor.sample_interval = 10ms\npool_monitor.max_events = 40\n");

sub flap
{
	my ($name, $seconds) = @_;
	my ($out,  $err)     = run_command(
		[
			PoolMonitor::python(), "$FindBin::RealBin/../clients/flapper.py",
			$node->host, $node->port, $name, $seconds
		]
	);
	return $out;
}

declare(
	$node, q{
	INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, budget, leak_threshold) VALUES
		('quiet', 'quiet', 1, 2, 1, '1 h'), ('noisy', 'noisy', 1, 1, 1, '1 h'), ('other', 'other', 1, 1, 1, '1 h')}
);

# what one more of each is too many for
my @steady = map { PoolMonitor::Holder->new($node, application_name => $_) } ('noisy', 'other');

# what happens to the quiet one, before the noise
my $quiet = PoolMonitor::Holder->new($node, application_name => 'quiet', sessions => 2);
wait_for($node, "SELECT count(*) FROM pool_monitor.events WHERE pool = 'quiet'", 'an event', '1');
$quiet->close;
wait_for($node, "SELECT count(*) FROM pool_monitor.events WHERE pool = 'quiet'", 'and another',
	'2');

# and one of another kind to the noisy one
query($node, "SELECT pool_monitor.reset('noisy')");
my $reset =
  "SELECT count(*) FROM pool_monitor.events WHERE pool = 'noisy' AND event = 'statistics_reset'";
wait_for($node, $reset, 'it is reset', '1');
my $before = query($node,
	"SELECT string_agg(seq || event, ' ' ORDER BY seq) FROM pool_monitor.events WHERE pool IS DISTINCT FROM 'noisy' AND application_name IS NULL"
);

my $offset = -s $node->logfile;
my $noise =
  "FROM pool_monitor.events WHERE pool = 'noisy' AND event IN ('over_budget', 'back_in_budget')";

# More status changes than the ring has places, in a minute.
subtest "noise takes no place of others' events, and few lines of the log" => sub {
	my $changes = flap('noisy', 20);
	cmp_ok($changes, '>', 200, "the session changed its name $changes times");
	is(
		query(
			$node,
			"SELECT string_agg(seq || event, ' ' ORDER BY seq) FROM pool_monitor.events WHERE pool IS DISTINCT FROM 'noisy' AND application_name IS NULL"
		),
		$before,
		'all the others\' events are still there'
	);
	is(query($node, "SELECT count(*) <= 40, max(times) $noise"),
		't|1', 'the first ones came singly');
	is(query($node, 'SELECT count(*) FROM pool_monitor.events'), '40', 'the ring is full');
	is(query($node, $reset), '1', 'its own of another kind is there, too');
	my $lines = log_count($node, 'LOG:  pool "noisy" is (?:no longer )?over its budget', $offset);
	is($lines, 40, 'and so did their lines in the log: 20 of each');
};

subtest 'what was held back is told together, in the order in which it came' => sub {
	wait_for(
		$node,
		"SELECT count(*) $noise AND times > 1",
		'after a minute the rest is told, together', '2'
	);
	is(
		query($node, "SELECT string_agg(event, ' ' ORDER BY seq) $noise AND times > 1"),
		'over_budget back_in_budget',
		'in the order in which they came last'
	);
	is(query($node, "SELECT max(times) - min(times) <= 1, sum(times) > 60 $noise AND times > 1"),
		't|t', 'with their numbers');
	wait_for_log(
		$node,
		qr/LOG:  pool "noisy": "$_" \d+ more times, the last at /,
		"$_: the log says how many it did not have", $offset
	) foreach ('over_budget', 'back_in_budget');
};

# What is held back of the pool comes before what happens next, and not after it.
subtest 'a pool takes its share of a full ring from the one that has most' => sub {
	flap('other', 2);
	my $then = query($node, 'SELECT clock_timestamp()');
	$steady[1]->do('open 1');
	wait_for(
		$node,
		"SELECT status_since > '$then' FROM pool_monitor.budgets WHERE pool = 'other' AND status = 'over'",
		'it is seen over its budget, before it is exhausted'
	);
	$steady[1]->do('busy 2');
	wait_for(
		$node,
		q{SELECT string_agg(event || (times > 1), ' ' ORDER BY seq) FROM
		(SELECT * FROM pool_monitor.events WHERE pool = 'other' ORDER BY seq DESC LIMIT 3) AS e},
		'what was held back is told before another event of the pool',
		'back_in_budgettrue over_budgettrue exhaustedfalse'
	);
	wait_for_log(
		$node,
		qr/LOG:  pool "other": "back_in_budget" \d+ more times, the last at /,
		'the log has it, too', $offset
	);
	$steady[1]->do('free');
	wait_for(
		$node,
		q{SELECT event FROM pool_monitor.events WHERE pool = 'other' ORDER BY seq DESC LIMIT 1},
		'the last event tells how things stand',
		'no_longer_exhausted'
	);
	cmp_ok(query($node, "SELECT count(*) FROM pool_monitor.events WHERE pool = 'other'"),
		'>=', 10, 'another pool has its events');
	is(
		query(
			$node,
			"SELECT string_agg(seq || event, ' ' ORDER BY seq) FROM pool_monitor.events WHERE pool NOT IN ('noisy', 'other') OR (pool IS NULL AND application_name IS NULL)"
		),
		$before,
		'which are none of the others\''
	);
};

subtest 'a restart keeps the events as they were' => sub {
	$node->safe_psql('postgres',
		"CREATE TABLE was AS SELECT * FROM pool_monitor.events WHERE pool = 'quiet' OR times > 1");
	$_->close foreach @steady;
	$node->restart;
	is(
		query(
			$node,
			'SELECT count(*), (SELECT count(*) FROM was) FROM was JOIN pool_monitor.events AS e USING (seq, at, pool, event, detail, times)'
		),
		'6|6',
		'after a restart they are as they were'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
$node->stop;
done_testing();
