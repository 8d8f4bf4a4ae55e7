# A clock that is set makes no session old: neither on schedule nor by hand is one
# retired that is young by the monotonic clock, and one that is old by both is.
# Needs real sessions and a clock of its own (libfaketime).
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT holder_of query worker_pid);
use PoolMonitorClock;
use PoolMonitorHistory    qw(now);
use PoolMonitorRetirement qw(setting);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'libfaketime is not installed' unless PoolMonitorClock::library();

my $clock = PoolMonitorClock->new('clock', <<EOC);
pool_monitor.recycle_interval = 100ms
pool_monitor.recycle_margin = 0
pool_monitor.recycle_enabled = off
EOC
my $node = $clock->node;

sub client_holder
{
	my ($name, $sessions) = @_;
	return holder_of('client', $node, $name, sessions => $sessions);
}

# Moves the clock and waits for what the worker says of it; from then on it looks
# at the sessions with the new time.
sub step
{
	my ($seconds) = @_;
	my $seq       = query($node, 'SELECT coalesce(max(seq), 0) FROM pool_monitor.events');
	my $log       = -s $node->logfile;
	$clock->step($seconds);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE seq > $seq AND event = 'clock_step' AND pool IS NULL AND abs((detail->>'seconds')::float8 - $seconds) < 1",
		"a step of $seconds s is an event",
		'1'
	);
	my ($words, $by) = $seconds > 0 ? ('went forward', $seconds) : ('was set back', -$seconds);
	my $whole = sprintf '(%d|%d)', $by - 1, $by;
	wait_for_log($node, qr/the clock $words by $whole\.\d{3} s/, 'and a log line', $log);
	return;
}

# What the view says of the pool's sessions; all the same.
sub sessions
{
	my ($pool, $columns) = @_;
	return query($node, "SELECT DISTINCT $columns FROM pool_monitor.sessions WHERE pool = '$pool'");
}

query($node, 'CREATE ROLE client LOGIN');
declare($node, <<EOS);
INSERT INTO pool_monitor.pools
	(name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, idle_limit, shrink_idle, recycle_mode) VALUES
	('hour', 'hour', 1, 10, '1 hour', '0', '10 minutes', true, 'terminate'),
	('hand', 'hand', 1, 10, '1 hour', '0', '10 minutes', true, 'report'),
	('second', 'second', 5, 0, '1 second', '0', '10 minutes', true, 'terminate'),
	('grace', 'grace', 5, 0, '1 second', '30 minutes', '1 day', true, 'terminate'),
	('idle', 'idle', 1, 10, NULL, '0', '1 second', true, 'terminate');
EOS

my $begun = now();
my %held  = map { $_ => client_holder($_, 3) } qw(hour hand second grace idle);
$held{$_}->do('all SELECT 1') foreach keys %held;
my $open = client_holder('hour', 1);
$open->do('sql 0 BEGIN');
is(sessions('hour', 'over_age, stale, idle_over_limit, leak_suspect'), 'f|f|f|f', 'young sessions');

# Those that are to be old by the clock of the machine are.
$node->poll_query_until('postgres',
	"SELECT bool_and(CASE pool WHEN 'second' THEN stale WHEN 'grace' THEN over_age ELSE idle_over_limit END) FROM pool_monitor.sessions WHERE pool IN ('second', 'grace', 'idle')"
) or die "sessions do not get old\n";

# What is asked for may take its time.
my $elapsed = sub { return sprintf('%d', now() - $begun + 300) . ' s' };
my $real;
my $seq = query($node, 'SELECT max(seq) FROM pool_monitor.events');
my $log = -s $node->logfile;

subtest 'two hours forward make no session old' => sub {
	step(7200);
	cmp_ok(
		query(
			$node,
			"SELECT extract(epoch FROM min(clock_timestamp() - backend_start)) FROM pool_monitor.sessions WHERE pool = 'hour'"
		),
		'>', 7200,
		'by the wall clock they are two hours old'
	);

	foreach my $pool ('hour', 'hand')
	{
		is(sessions($pool, 'over_age, stale, idle_over_limit, leak_suspect'),
			'f|f|f|f', "$pool: a clock that is set makes no session old");
		is(
			sessions(
				$pool,
				"age < '@{[$elapsed->()]}', coalesce(idle_for, xact_age) < '@{[$elapsed->()]}'"
			),
			't|t',
			"$pool: the view has the younger figures"
		);
		is(sessions($pool, 'keep_reason'), 'not over age', "$pool: and says why they stay");
		is(
			query(
				$node,
				"SELECT oldest < '@{[$elapsed->()]}', longest_idle < '@{[$elapsed->()]}', stale, idle_over_limit, leak_suspects FROM pool_monitor.budgets WHERE pool = '$pool'"
			),
			't|t|0|0|0',
			"$pool: so does budgets"
		);
	}
	is(
		query(
			$node,
			"SELECT bool_and(oldest < '@{[$elapsed->()]}') FROM pool_monitor.applications WHERE pool = 'hour'"
		),
		't',
		'and applications'
	);
	is(sessions('second', 'over_age, stale'), 't|t', 'who is old by both clocks is');
	is(
		sessions('grace', 'over_age, stale, keep_reason'),
		't|f|idle for less than recycle_grace',
		'idle times are by both clocks, too'
	);
	is(sessions('idle', 'idle_over_limit'), 't', 'idle over the limit by both clocks');
};

# That these are gone shows that it has looked again and again.
subtest 'on schedule only those go that are old by both clocks' => sub {
	setting($node, 'pool_monitor.recycle_enabled = on');
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'second'",
		'old sessions are retired on schedule', '0'
	);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'idle'",
		'and idle ones above base', '1'
	);
	is(
		query(
			$node,
			"SELECT pool, count(*) FROM pool_monitor.sessions WHERE pool IN ('hour', 'hand', 'grace') GROUP BY 1 ORDER BY 1"
		),
		"grace|3\nhand|3\nhour|4",
		'the young ones are not'
	);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.events WHERE seq > $seq AND (event IN ('declined', 'leak_suspect') OR pool IN ('hour', 'hand', 'grace'))"
		),
		'0',
		'nor asked'
	);
	$real = now() - $begun + 1;
	is(
		query(
			$node,
			"SELECT count(*), bool_and((detail->>'age')::float8 BETWEEN 1 AND $real AND (detail->>'idle')::float8 BETWEEN 0 AND $real) FROM pool_monitor.events WHERE seq > $seq AND event = 'retired'"
		),
		'5|t',
		'their events tell the younger age'
	);
	is(log_count($node, qr/Age \d{1,3}\.\d{3} s, idle \d{1,3}\.\d{3} s/, $log),
		5, 'and so does the log');
};

subtest 'by hand, too' => sub {
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.recycle(NULL, dry_run => false) WHERE pool <> 'grace'"
		),
		'0',
		'by hand none of them is over age'
	);
	is(
		query(
			$node,
			"SELECT DISTINCT age < interval '$real s', idle_for < interval '$real s', action, reason FROM pool_monitor.recycle('grace', dry_run => false)"
		),
		't|t|kept|idle for less than recycle_grace',
		'or none is stale'
	);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.sessions WHERE pool IN ('hour', 'hand', 'grace')"
		),
		'10',
		'all are still there'
	);
	is($held{hour}->do('all SELECT 1'), 'ok', 'and work');

	query($node,
		"UPDATE pool_monitor.pools SET pool_recycle = '1 second' WHERE name = 'hand'; SELECT pool_monitor.reload()"
	);
	is(
		query(
			$node,
			"SELECT action, age < interval '@{[$elapsed->()]}', count(*) FROM pool_monitor.recycle('hand', dry_run => false) GROUP BY 1, 2"
		),
		'retired|t|3',
		'by hand, old by both clocks'
	);
};

subtest 'a transaction is no leak because of the clock, but a real one is' => sub {
	is(query($node, "SELECT count(*) FROM pool_monitor.events WHERE event = 'leak_suspect'"),
		'0', 'no leak');
	query($node,
		"UPDATE pool_monitor.pools SET leak_threshold = '1 second' WHERE name = 'hour'; SELECT pool_monitor.reload()"
	);
	wait_for(
		$node,
		"SELECT (detail->>'xact_age')::float8 < extract(epoch FROM interval '@{[$elapsed->()]}') + 60 FROM pool_monitor.events WHERE event = 'leak_suspect'",
		'one that is open for so long by both clocks'
	);
	$open->close;
};

subtest 'three hours back all are young, and no age is negative' => sub {
	step(-10800);
	is(
		sessions(
			'hour',
			"age >= '0', age < '@{[$elapsed->()]}', idle_for >= '0', over_age, stale, idle_over_limit"
		),
		't|t|t|f|f|f',
		'a clock that is set back makes nobody old'
	);
	is(query($node, "SELECT count(*) FROM pool_monitor.recycle(NULL, dry_run => false)"),
		'0', 'nor stale');
};

my $stopped;
END { kill 'CONT', $stopped if $stopped }

subtest 'a worker that stands still is no step of the clock' => sub {
	my $seq = query($node, 'SELECT max(seq) FROM pool_monitor.events');
	$stopped = worker_pid($node);
	kill 'STOP', $stopped;
	sleep 2.5;    # more than the difference of the clocks that is a step
	kill 'CONT', $stopped;
	undef $stopped;
	my $seen = query($node, "SELECT sum(seen) FROM pool_monitor.history WHERE pool = '(server)'");
	wait_for(
		$node,
		"SELECT sum(seen) > $seen + 1 FROM pool_monitor.history WHERE pool = '(server)'",
		'the worker goes on'
	);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.events WHERE seq > $seq AND event = 'clock_step'"
		),
		'0',
		'no step is told of'
	);
};

$_->close foreach values %held;
is(
	query(
		$node,
		"SELECT lifetime_max < interval '@{[$elapsed->()]}' FROM pool_monitor.pool_stats WHERE pool = 'hour'"
	),
	't',
	'lifetimes are real ones'
);
is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
$node->stop;
done_testing();
