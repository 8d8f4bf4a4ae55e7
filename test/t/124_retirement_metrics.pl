# What is measured of scheduled retirement, of its pauses and of storms, and since when: the
# metrics that are 0 where retirement is off although a pause is remembered, and counters
# that go on over a restart. Needs a storm, a worker that stands still, restarts and a crash.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder worker_pid);
use Test::More;

my $node = new_server('retirement_metrics', <<'EOC');
max_connections = 120
pool_monitor.recycle_interval = 100ms
restart_after_crash = on
EOC
query($node, 'CREATE ROLE app LOGIN');
declare(
	$node,
	join '',
	map {
		insert_pool(
			$_->[0],
			usename       => "'app'",
			pool_size     => 1,
			max_overflow  => 0,
			pool_recycle  => "'1 s'",
			recycle_grace => "'0'",
			recycle_mode  => "'$_->[1]'"
		)
	} ['herd', 'terminate'],
	['shown', 'report'],
	['left',  'off']
);

sub metric
{
	my ($columns, $pool) = @_;
	return query($node,
		"SELECT $columns FROM pool_monitor.metrics_pool WHERE pool = '" . ($pool // 'herd') . "'");
}

sub events
{
	my ($event) = @_;
	return query($node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = '$event' AND pool = 'herd'");
}

# The server's clock, and when the worker last looked, by the same.
sub clock { return query($node, 'SELECT extract(epoch FROM clock_timestamp())') }

sub looked
{
	return query($node, 'SELECT last_sample_timestamp_seconds FROM pool_monitor.metrics_server');
}

sub looks
{
	my ($what) = @_;
	my $now = clock();
	return wait_for($node,
		"SELECT last_sample_timestamp_seconds > $now FROM pool_monitor.metrics_server", $what);
}

my $paused = 'retirement_paused_seconds_total';

subtest 'who is retired on schedule' => sub {
	is(
		query(
			$node,
			"SELECT string_agg(pool || ' ' || retires || retirement_paused || storms_total, ', ' ORDER BY pool) FROM pool_monitor.metrics_pool"
		),
		'(undeclared) 000, herd 100, left 000, shown 000',
		'only where it is declared, and nothing has happened'
	);
	is(metric($paused), 0, 'no pause');
};

# A storm that answers a retirement: a pause of ten minutes.
my $one = app_holder($node, 'herd', 1);
wait_for(
	$node,
	"SELECT retired FROM pool_monitor.pool_stats WHERE pool = 'herd'",
	'one is retired', 1
);
my $answer = app_holder($node, 'herd', 60);
wait_for(
	$node,
	"SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool = 'herd'",
	'many come for it, and retirement pauses',
	1
);

subtest 'a storm and a pause' => sub {
	is(metric('retires, retirement_paused'), '1|1', 'it is to be retired, and that pauses');
	is(metric('storms_total'),               events('storm'), 'as many storms as events');
	cmp_ok(metric('storms_total'), '>=', 1, 'which are some');
	is(metric("retirement_paused, storms_total, $paused", 'shown'), '0|0|0', 'the other has none');
	is(query($node, "SELECT storms FROM pool_monitor.pool_stats WHERE pool = 'herd'"),
		metric('storms_total'), 'pool_stats has the same');

	looks('it is paused all the time from now on');
	my $looked = looked();
	my $first  = metric($paused);
	my $clock  = clock();
	wait_for(
		$node,
		"SELECT $paused > $first + 1 FROM pool_monitor.metrics_pool WHERE pool = 'herd'",
		'more than a second of it'
	);
	my $least  = looked() - $clock;
	my $passed = metric($paused) - $first;
	cmp_ok($passed, '>=', $least - 0.01,            'all of the time is counted');
	cmp_ok($passed, '<=', clock() - $looked + 0.01, 'and no more');
};

sub mode
{
	my ($mode) = @_;
	declare($node, "UPDATE pool_monitor.pools SET recycle_mode = '$mode' WHERE name = 'herd'");
	return;
}

subtest 'it is not to be retired any more' => sub {
	mode('report');
	is(metric('retires, retirement_paused'), '0|0', 'then nothing pauses');
	looks('what was counted before');
	my $before = metric($paused);
	looks('time passes');
	is(metric($paused), $before, 'of which nothing is counted');
	mode('terminate');
	is(metric('retires, retirement_paused'), '1|1', 'to be retired again: the same pause');
	is(events('retirement_resumed'),         0,     'which was there all the time');
};

# The worker holds no lock while it waits for its latch.
sub stop_worker
{
	my $pid = worker_pid($node);
	foreach (1 .. 1000)
	{
		kill 'STOP', $pid;
		return $pid
		  if query($node, "SELECT wait_event IS NOT NULL FROM pg_stat_activity WHERE pid = $pid")
		  eq 't';
		kill 'CONT', $pid;
	}
	die "the worker does not wait\n";
}

sub enabled
{
	my ($value) = @_;
	$node->append_conf('postgresql.conf', "pool_monitor.recycle_enabled = $value\n");
	$node->reload;
	wait_for($node, 'SHOW pool_monitor.recycle_enabled', "the kill switch: $value", $value);
	return;
}

# Before the worker ends the pauses for that.
subtest 'the kill switch' => sub {
	my $pid = stop_worker();
	enabled('off');
	is(metric('retires, retirement_paused'), '0|0', 'nothing is retired, nothing pauses');
	enabled('on');
	is(metric('retires, retirement_paused'), '1|1', 'although the pause is remembered');
	kill 'CONT', $pid;
};
$_->close foreach $answer, $one;

sub started
{
	return query($node, 'SELECT start_timestamp_seconds FROM pool_monitor.metrics_server');
}

subtest 'a restart' => sub {
	my $started = started();
	my $storms  = metric('storms_total');
	my $before  = metric($paused);
	$node->restart;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.metrics_pool WHERE pool = 'herd'",
		'the declarations are there', 1
	);
	is(metric('storms_total'), $storms, 'storms are what they were');
	cmp_ok(metric($paused), '>=', $before,  'so is the time of pauses');
	cmp_ok(started(),       '>',  $started, 'the server was started later');
	is(
		query(
			$node,
			'SELECT start_timestamp_seconds = extract(epoch FROM pg_postmaster_start_time())::float8 FROM pool_monitor.metrics_server'
		),
		't',
		'when the server says'
	);
};

subtest 'a crash' => sub {
	my $started = started();
	my $pid     = worker_pid($node);
	kill 'KILL', $pid;
	$node->poll_query_until(
		'postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool_monitor' AND pid <> $pid",
		1
	) or die "it does not come back\n";
	is(started(), $started, 'is no start');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
