# Events: each kind is recorded when it happens and once, with what it should say. Needs
# real clients that are busy, too many, stale and pinned, and a worker that looks at them,
# which regress has not.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorEvents;
use Test::More;

my $node = events_server('events');

subtest 'started, and declarations that are loaded' => sub {
	is(
		events(
			$node, "seq, pool IS NULL, application_name IS NULL, pid IS NULL, detail", "seq = 1"
		),
		'1|t|t|t|{"version": "' . query($node, 'SELECT pool_monitor.version()') . '"}',
		'the first event has number 1, is about no pool, and says the version'
	);
	is(events($node, 'event', 'seq = 1'),     'started', 'it is the start');
	is(number_of($node, "event = 'started'"), '1',       'there is one');
	is(
		events($node, 'pool IS NULL, detail', "event = 'declarations_loaded'"),
		't|{"declared": 7, "in_force": 7}',
		'one load of seven pools'
	);
	query($node, 'SELECT pool_monitor.reload()');
	is(number_of($node, "event = 'declarations_loaded'"),
		'1', 'a load that changes nothing is no event');
};

# Once each, however often they are sampled.
subtest 'statuses' => sub {
	my $app = holder($node, 'app', sessions => 4);
	$app->do('busy 4');
	wait_for_events($node, "event = 'exhausted' AND pool = 'app'", 1, 'exhausted');
	is(
		events($node, 'detail, pid IS NULL, application_name IS NULL', "event = 'exhausted'"),
		'{"busy": 4, "ceiling": 4}|t|t',
		'with its figures'
	);
	wait_for(
		$node,
		"SELECT status = 'exhausted' AND status_since < clock_timestamp() - interval '0.5 s' FROM pool_monitor.budgets WHERE pool = 'app'",
		'it is seen for ten samples'
	);
	$app->do('free');
	wait_for_events($node, "event = 'no_longer_exhausted' AND pool = 'app'",
		1, 'no longer exhausted');
	$app->do('open 3');
	wait_for_events($node, "event = 'over_budget' AND pool = 'app'", 1, 'over its budget');
	wait_for(
		$node,
		"SELECT status = 'over' AND status_since < clock_timestamp() - interval '0.5 s' FROM pool_monitor.budgets WHERE pool = 'app'",
		'it is seen for ten samples'
	);
	$app->do('close 5');
	wait_for_events($node, "event = 'back_in_budget' AND pool = 'app'", 1, 'back in its budget');
	is(
		events($node, 'event', "pool = 'app'"),
		"exhausted\nno_longer_exhausted\nover_budget\nback_in_budget",
		'each of them once, in this order'
	);
	is(
		events(
			$node,
			"(detail->>'connections')::int BETWEEN 5 AND 7, detail->'budget'",
			"event = 'over_budget' AND pool = 'app'"
		),
		't|4',
		'how much it was over'
	);
	is(
		events(
			$node,
			"(detail->>'connections')::int BETWEEN 2 AND 4, detail->'budget'",
			"event = 'back_in_budget' AND pool = 'app'"
		),
		't|4',
		'and how much it has when it is back'
	);
	is(
		events(
			$node,
			"(detail->>'busy')::int BETWEEN 0 AND 3, detail->'ceiling'",
			"event = 'no_longer_exhausted' AND pool = 'app'"
		),
		't|4',
		'how many were busy when it was no longer exhausted'
	);
	$app->close;
};

my $pinned = "application_name LIKE 'many%'";
my ($many, $was_last, $declined);
my $right = "e.pool = 'many' AND e.application_name IS NULL
	AND (e.detail->>'backend_start')::timestamptz = s.backend_start
	AND e.detail->>'application_name' = s.application_name
	AND abs(extract(epoch FROM e.at - s.backend_start) - (e.detail->>'age')::numeric) < 1
	AND (e.detail->>'age')::numeric > 1
	AND (e.detail->>'idle')::numeric BETWEEN 0 AND (e.detail->>'age')::numeric";

# One event for a session, and one for each pool for retired ones that are more than 20.
subtest 'retired and declined by hand' => sub {
	$many = holder($node, 'many', sessions => 25);
	$many->do("sql $_ CREATE TEMP TABLE t (i int)") foreach 22 .. 24;
	$many->do(q{sql 24 SET application_name = 'many "\\'});
	wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'many'", '25 stale', '25');
	query($node,
		"CREATE TABLE sessions AS SELECT pid, backend_start, application_name FROM pg_stat_activity WHERE $pinned"
	);
	my $asked = "pool = 'many' AND event IN ('retired', 'declined')";
	is(
		query(
			$node,
			"SELECT action, count(*) FROM pool_monitor.recycle('many', dry_run => false) GROUP BY 1 ORDER BY 1"
		),
		"declined|3\nretired|22",
		'22 retired, three pinned'
	);
	is(
		query(
			$node, "SELECT event, pid IS NULL, count(*), sum((detail->>'further_sessions')::int)
		FROM pool_monitor.events WHERE $asked GROUP BY 1, 2 ORDER BY 1, 2"
		),
		"declined|f|3|\nretired|f|20|\nretired|t|1|2",
		'one event for each that declined, twenty for retired ones, and one for two more'
	);
	is(
		query(
			$node,
			"SELECT count(*), count(DISTINCT e.pid) FROM pool_monitor.events e JOIN sessions s USING (pid)
		WHERE e.event = 'retired' AND $right AND e.detail->>'by' = 'recycle()' AND NOT e.detail ? 'reason'"
		),
		'20|20',
		'each says which session, how old and how long idle, and who asked'
	);
	is(
		events($node, "detail", "$asked AND pid IS NULL"),
		q({"by": "recycle()", "further_sessions": 2}),
		'so does the summary'
	);
};

# Three that are pinned, the name of one needs quoting: by hand each call says so.
subtest 'who declined, and why' => sub {
	$was_last = query($node, 'SELECT max(seq) FROM pool_monitor.events');
	$declined = "event = 'declined' AND pool = 'many' AND seq > $was_last";
	wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'many'",
		'three stale', '3');
	query($node,
		"DELETE FROM sessions; INSERT INTO sessions SELECT pid, backend_start, application_name FROM pg_stat_activity WHERE $pinned"
	);
	query($node, "SELECT count(*) FROM pool_monitor.recycle('many', dry_run => false)");
	is(
		query(
			$node,
			"SELECT count(*), count(DISTINCT e.pid) FROM pool_monitor.events e JOIN sessions s USING (pid)
		WHERE e.event = 'declined' AND e.seq > $was_last AND $right AND e.detail->>'by' = 'recycle()' AND e.detail->>'reason' = 'temporary schema'"
		),
		'3|3',
		'those that declined say why'
	);
	is(
		events(
			$node, q(detail->>'application_name'),
			"$declined AND detail->>'application_name' <> 'many'"
		),
		q(many "\\),
		'an application_name that needs quoting'
	);
};

# Said once, though asked again and again.
subtest 'declined on schedule' => sub {
	my $answers = "SELECT declined FROM pool_monitor.pool_stats WHERE pool = 'many'";
	my $before  = query($node, $answers);
	is($before, '6', 'six times somebody declined');
	$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
	$node->reload;
	declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'many'");
	wait_for_events(
		$node, "$declined AND detail->>'by' = 'schedule'",
		3,     'the schedule asks, and is told no'
	);
	wait_for($node, "SELECT ($answers) >= $before + 15", 'it asks again and again');
	my $more = holder($node, 'many');
	my $pid  = $more->do('pid 0');
	wait_for_events($node,
		"event = 'retired' AND pool = 'many' AND detail->>'by' = 'schedule' AND pid = $pid",
		1, 'a session that the schedule retires is an event');
	$before = query($node, $answers);
	wait_for($node, "SELECT ($answers) >= $before + 15", 'and it goes on');
	is(number_of($node, "$declined AND detail->>'by' = 'schedule'"),
		'3', 'but the same answer is recorded once');
	declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'report' WHERE name = 'many'");
	$_->close foreach ($many, $more);
};

subtest 'applications that are not declared, and those that are counted together' => sub {
	my $crowd = holder($node, 'crowd', sessions => 2);
	query($node, "SELECT pool_monitor.reset('crowd'), pool_monitor.reset('app')");
	is(
		events($node, 'pool, application_name, pid > 0', "event = 'statistics_reset'"),
		"|crowd|t\napp||t",
		'a discovered application has its name and no pool, a declared pool the other way round'
	);
	query($node, "SELECT pool_monitor.reset('(other)')");
	is(
		events(
			$node,
			'pool, application_name',
			"event = 'statistics_reset' AND '(other)' IN (pool, application_name)"
		),
		'(other)|',
		'(other) is no application: it is in the column pool'
	);
	$crowd->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
