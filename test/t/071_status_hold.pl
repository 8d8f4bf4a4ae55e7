# A status that comes and goes is told once: its end waits until it has been away for
# status_hold, each for itself, and says how much of the time it held. What is seen live,
# and the seconds in history, are what really is and was. Needs real clients and settings.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT worker_pid);
use PoolMonitorEvents;
use Test::More;

# longer than this test takes, until it is changed
my $node = new_server('held', "pool_monitor.status_hold = 1h\n");
query($node, 'CREATE ROLE client LOGIN');
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('app', 'app', 2, 0)"
);

sub set
{
	my ($what, $value) = @_;
	$node->append_conf('postgresql.conf', "pool_monitor.$what = $value\n");
	$node->reload;
	return;
}

# What the minutes of the pool add up to, of that expression.
sub minutes
{
	my ($what) = @_;
	return
	  "(SELECT coalesce(sum($what), 0) FROM pool_monitor.history WHERE pool = 'app' AND resolution = '1 minute')";
}

# Waits until the worker has seen more of it.
sub see_more
{
	my ($of, $what) = @_;
	my $was = query($node, 'SELECT ' . minutes($of));
	return wait_for($node, 'SELECT ' . minutes($of) . " > $was + 0.2", $what);
}

sub budget
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.budgets WHERE pool = 'app'");
}

my $offset = -s $node->logfile;
my $app    = holder($node, 'app', sessions => 2);
my $since;

subtest 'exhausted, and not, four times' => sub {
	foreach my $round (1 .. 4)
	{
		$app->do('busy 2');
		see_more('exhausted_seconds', "exhausted, $round");
		is(budget('status'), 'exhausted', 'it is seen live');
		$since //= budget('status_since');
		is(budget('status_since'), $since, 'since the first time');
		$app->do('free');
		see_more('seen - exhausted_seconds', "and not, $round");
		is(budget('status'),       'ok',   'that is seen live, too');
		is(budget('status_since'), $since, 'but the time waits');
	}
	is(
		events($node, 'event, detail', "pool = 'app'"),
		'exhausted|{"busy": 2, "ceiling": 2}',
		'it was told once, and no end'
	);
	is(log_count($node, 'pool "app" is (no longer )?exhausted', $offset), 1,
		'so was it in the log');
};

subtest 'each for itself' => sub {
	$app->do('open 1');
	see_more('over_seconds', 'over');
	is(budget('status'), 'over', 'over its budget besides');
	my $over = budget('status_since');
	is(budget("status_since > '$since'"), 't',   'since later: this is the worst now');
	is(budget('status_since'),            $over, 'and goes on');
	$app->do('close 1');
	see_more('seen - over_seconds', 'and not');
	is(budget('status_since'), $over, 'its time waits, too');
	is(
		events($node, 'event', "pool = 'app'"),
		"exhausted\nover_budget",
		'that began, too, and neither has ended'
	);
};

# history counts the time without one, if it is short: the end, below, must have it, too
subtest 'a worker that is started anew goes on' => sub {
	my $worker = worker_pid($node);
	$app->do('busy 2');
	see_more('exhausted_seconds', 'exhausted');
	query($node, "SELECT pg_terminate_backend($worker)");
	wait_for($node, "SELECT worker <> $worker FROM pool_monitor.health", 'another worker');
	see_more('exhausted_seconds', 'it sees the same');
	is(number_of($node, "pool = 'app'"), '2', 'nothing ends, nothing begins');
	$app->do('free');
	see_more('seen - exhausted_seconds', 'and not');
};

subtest 'a pool that is declared anew goes on' => sub {
	declare($node, "UPDATE pool_monitor.pools SET description = 'the same'");
	see_more('seen', 'it is seen');
	is(number_of($node, "pool = 'app'"), '2', 'nothing ends, nothing begins');
};

subtest 'the end, when the setting says so' => sub {
	my $seen      = query($node, 'SELECT ' . minutes('exhausted_seconds'));
	my $exhausted = query($node,
		"SELECT extract(epoch FROM at) FROM pool_monitor.events WHERE event = 'exhausted'");
	set('status_hold', '300ms');
	wait_for_events($node, "pool = 'app' AND event IN ('no_longer_exhausted', 'back_in_budget')",
		2, 'both are over');
	my ($seconds, $share, $at) = split /\|/,
	  events(
		$node,
		"detail -> 'seconds', detail -> 'share', extract(epoch FROM at)",
		"event = 'no_longer_exhausted'"
	  );
	ok($share > 0 && $share < 1,             'it held for a part of the time') or diag($share);
	ok(abs($seconds * $share - $seen) < 0.3, 'as long as history says')
	  or diag("$share of $seconds s, $seen");
	ok($seconds < $at - $exhausted, 'the time goes to when it was last seen')
	  or diag("$seconds of " . ($at - $exhausted));
	wait_for_log(
		$node,
		qr/pool "app" is no longer exhausted: connections \d, busy 0; it was for \d+ % of $seconds s\n/,
		'so says the log',
		$offset
	);
	is(budget("status, status_since > '$since'"), 'ok|t', 'now it has been ok since then');
};

subtest 'not before it has been away for so long' => sub {
	set('status_hold', '1500ms');
	my $was = number_of($node, "event = 'no_longer_exhausted'");
	$app->do('open 1');
	$app->do('busy 2');
	wait_for_events($node, "event = 'exhausted'", 2, 'it begins anew');
	$app->do('free');
	wait_for_events($node, "event = 'no_longer_exhausted'", $was + 1, 'and ends');

	# by the events' own times: however slow this test is
	my $away = query($node,
		"SELECT extract(epoch FROM e.at - b.at) - (e.detail ->> 'seconds')::numeric FROM pool_monitor.events b, pool_monitor.events e WHERE b.event = 'exhausted' AND e.event = 'no_longer_exhausted' ORDER BY b.seq DESC, e.seq DESC LIMIT 1"
	);
	cmp_ok($away, '>', 0.9, 'not before');
};

# Whoever follows the events finds an end for each begin.
subtest 'a pool that is gone for a moment, renamed, declared no more' => sub {
	my $both = "event IN ('exhausted', 'over_budget')";
	my $ends = "event IN ('no_longer_exhausted', 'back_in_budget')";
	my $insert =
	  "INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('old', 'short', 1, 0)";
	set('status_hold', '1h');
	declare($node, $insert);
	my $short = holder($node, 'short', sessions => 2);
	$short->do('busy 1');
	wait_for_events($node, "pool = 'old' AND $both", 2, 'it is both');

	# which no sample sees
	set('sample_interval', '1h');
	declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'old'");
	declare($node, $insert);
	set('sample_interval', '50ms');
	wait_for_events($node, "pool = 'old' AND $both", 4, 'when it is there again, it begins anew');
	is(number_of($node, "pool = 'old' AND $ends"), '2', 'what was before is over');

	declare($node, "UPDATE pool_monitor.pools SET name = 'new' WHERE name = 'old'");
	wait_for_events($node, "pool = 'new' AND $both", 2, 'under its new name, too');
	is(number_of($node, "pool = 'old' AND $ends"), '4', 'under the former one it is over');

	declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'new'");
	wait_for_events($node, "pool = 'new' AND $ends", 2, 'and then under that');
	is(
		query(
			$node,
			"SELECT bool_and(detail ->> 'undeclared' = 'true' AND (detail ->> 'seconds')::float8 >= 0 AND (detail ->> 'share')::float8 > 0) FROM pool_monitor.events WHERE pool IN ('old', 'new') AND $ends"
		),
		't',
		'each says why, and how long it was'
	);
	see_more('seen', 'the log is written');

	foreach my $is ('exhausted', 'over its budget')
	{
		is(
			log_count(
				$node,
				qr/pool "(?:old|new)" is no longer $is: its declaration is no longer in force; it was for \d+ % of \d+\.\d s\n/,
				$offset
			),
			3,
			"the log has it: $is"
		);
	}
	is(number_of($node, "pool IN ('old', 'new')"), '12', 'nothing else was told of them');
	$short->close;
};

$app->close;

# The worker has the setting from its start on, and sees both at once.
subtest 'what ends is told before what begins' => sub {
	set('status_hold', '0');
	$node->restart;
	my ($ended, $begun) = map { number_of($node, "event = '$_'") } 'back_in_budget', 'exhausted';
	my $over = number_of($node, "event = 'over_budget'");
	$app = holder($node, 'app', sessions => 3);
	wait_for_events($node, "event = 'over_budget'", $over + 1, 'over its budget');
	my $worker = worker_pid($node);
	kill 'STOP', $worker;
	$app->do('close 1');
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'app'",
		'one has gone', 2);
	$app->do('busy 2');
	kill 'CONT', $worker;
	wait_for_events($node, "event = 'exhausted'",      $begun + 1, 'exhausted');
	wait_for_events($node, "event = 'back_in_budget'", $ended + 1, 'and no longer over it');
	is(events($node, 'event', "pool = 'app'") =~ s/.*\n(?=.*\n)//sr,
		"back_in_budget\nexhausted", 'in this order');
	$app->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
