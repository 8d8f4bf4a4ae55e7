# History when the clock is set: forward, a little back, far into the future and far back.
# Needs a server with a clock of its own (libfaketime), which only TAP can start.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorClock;
use PoolMonitorHistory;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = PoolMonitorClock::library();
plan skip_all => 'libfaketime is not installed' unless $library;

my $file    = "$PostgreSQL::Test::Utils::tmp_check/clock";
my $offset  = 0;
my $begun   = now();
my $minutes = "FROM pool_monitor.history WHERE pool = 'c' AND resolution = '1 minute'";
my ($clock, $client);

# The minute of the beginning, and one that is in the future.
my ($before, $last);

# The file that says by how much the clock is wrong is replaced as a whole.
sub set_clock
{
	my ($by) = @_;
	$offset += 60 * $by;
	my $at = time + $offset;
	unlink "$file.new";
	append_to_file("$file.new", sprintf("%+d\n", $offset));
	rename "$file.new", $file or die "rename: $!\n";
	return unless $clock;
	return wait_for(
		$clock,
		"SELECT abs(extract(epoch FROM clock_timestamp()) - $at) < 60",
		"the clock is set by $by minutes"
	);
}

# What must hold whatever the clock does.
sub sane
{
	my ($when)  = @_;
	my $elapsed = now() - $begun + 1;    # both are cut to seconds
	my %none    = (
		'no bucket is there twice' =>
		  'SELECT 1 FROM pool_monitor.history GROUP BY pool, resolution, bucket_start HAVING count(*) > 1',
		'each begins with a minute or hour' =>
		  q{SELECT 1 FROM pool_monitor.history WHERE bucket_start <> date_trunc(CASE resolution WHEN '1 hour' THEN 'hour' WHEN '1 minute' THEN 'minute' END, bucket_start)},
		'averages are no more than two sessions can have' =>
		  q{SELECT 1 FROM pool_monitor.history WHERE pool = 'c' AND NOT (coalesce(avg_connections, 0) BETWEEN 0 AND 2.05 AND coalesce(avg_busy, 0) BETWEEN 0 AND 2.05 AND max_connections <= 2 AND max_busy <= 2)},
		'no more was seen than time went by' =>
		  "SELECT 1 FROM pool_monitor.history GROUP BY pool, resolution HAVING sum(seen) > $elapsed",
		'nor is the pool above its base for longer' =>
		  "SELECT 1 FROM pool_monitor.pool_stats WHERE pool = 'c' AND NOT (overflow_seconds > 0 AND overflow_seconds < $elapsed)"
	);
	is(query($clock, "SELECT count(*) FROM ($none{$_}) x"), '0', "$when: $_")
	  foreach sort keys %none;
	return;
}

subtest 'a worker that goes by that clock' => sub {

	# Up to PostgreSQL 15 the postmaster starts the first worker in a signal
	# handler. If that has interrupted libfaketime, the worker has the real clock
	# for ever, a day behind all others; one that is started again has not.
	set_clock(24 * 60);
	{
		local $ENV{LD_PRELOAD}              = $library;
		local $ENV{FAKETIME_TIMESTAMP_FILE} = $file;
		local $ENV{FAKETIME_NO_CACHE}       = 1;
		local $ENV{DONT_FAKE_MONOTONIC}     = 1;
		$clock = new_server('clock');
	}
	query($clock, 'CREATE ROLE client LOGIN');
	declare($clock,
		"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle) VALUES ('c', 'c', 1, 1, NULL)"
	);
	watch($clock, 'c', 0.1, 'a pool on a server with a clock of its own');
	foreach (1 .. 10)
	{
		last
		  if query($clock, "SELECT max(bucket_start) > now() - interval '1 h' $minutes") eq 't';
		my $old = query($clock,
			"SELECT pg_terminate_backend(pid), pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'"
		) =~ s/t\|//r;
		wait_for(
			$clock,
			"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool_monitor' AND pid <> $old",
			'a worker that is started again',
			'1'
		);
		watch($clock, 'c', 0.1, 'and watches');
	}
	is(query($clock, "SELECT max(bucket_start) > now() - interval '1 h' $minutes"),
		't', 'the worker goes by that clock');
	$client = holder($clock, 'c', sessions => 2);
	$client->do('sql 0 BEGIN');
	watch($clock, 'c', 0.3, 'two sessions, one in a transaction');
	$before = query($clock, "SELECT max(bucket_start) $minutes");
	sane('at first');
};

subtest 'two hours forward' => sub {
	set_clock(120);
	wait_for(
		$clock,
		"SELECT count(*) > 0 $minutes AND bucket_start BETWEEN timestamptz '$before' + interval '119 min' AND now() AND seen > 0.5 AND avg_connections BETWEEN 1.95 AND 2.05 AND avg_busy > 0.9",
		'two hours later there is a new bucket, with two sessions on average'
	);
	is(
		query(
			$clock,
			"SELECT count(*) $minutes AND bucket_start BETWEEN timestamptz '$before' + interval '2 min' AND timestamptz '$before' + interval '119 min'"
		),
		'0',
		'and none in between'
	);
	sane('two hours forward');
};

subtest 'ten minutes back: the current bucket stays open' => sub {
	set_clock(-10);
	$last = query($clock, "SELECT max(bucket_start) $minutes");
	my $rows = query($clock, "SELECT count(*) $minutes");
	is(query($clock, "SELECT timestamptz '$last' > now() + interval '5 min'"),
		't', 'the bucket is in the future');
	my $sums = sums($clock, 'c');
	my $seen = "SELECT seen $minutes AND bucket_start = '$last'";
	my $had  = query($clock, $seen);
	$client->do('sql 1 SELECT pg_sleep(1)');
	wait_for($clock, "SELECT ($seen) > $had + 1", 'it stays open');
	is(query($clock, "SELECT count(*), max(bucket_start) = '$last' $minutes"),
		"$rows|t", 'there is no other');
	my $news = since($clock, 'c', $sums);
	between($news->{connections} / $news->{seen}, 1.95, 2.05, 'two sessions on average');
	between(
		$news->{busy}, 0.9,
		2.05 * $news->{seen},
		'a transaction that began after the clock was set back is busy time'
	);
	is(query($clock, "SELECT count(*) FROM pool_monitor.events WHERE event = 'clock_set_back'"),
		'0', 'and no event');
	sane('ten minutes back');
};

subtest 'once more into the future, and so far back that what is there cannot stay' => sub {
	set_clock(120);
	wait_for(
		$clock,
		"SELECT max(seen) > 0.2 $minutes AND bucket_start > '$last'",
		'almost four hours later'
	);
	my $later = query($clock,
		"SELECT count(*) FROM (SELECT DISTINCT bucket_start, resolution FROM pool_monitor.history WHERE bucket_start > now() - interval '3 h') x"
	);

	# a minute and an hour may begin between this count and the next step
	sane('almost four hours forward');
	set_clock(-180);
	wait_for(
		$clock,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'clock_set_back'",
		'three hours back is an event', '1'
	);
	is(
		query(
			$clock,
			"SELECT (detail->>'history_dropped')::int BETWEEN $later AND $later + 2, pool IS NULL FROM pool_monitor.events WHERE event = 'clock_set_back'"
		),
		't|t',
		'it says how much of the history was dropped: what is later than now'
	);
	is(query($clock, "SELECT count(*) FROM pool_monitor.history WHERE bucket_start > now()"),
		'0', 'there is nothing of the future');
	is(query($clock, "SELECT count(*) $minutes AND bucket_start = '$before'"),
		'1', 'what was before is still there');
	wait_for(
		$clock,
		"SELECT count(*) > 0 $minutes AND bucket_start BETWEEN now() - interval '2 min' AND now() AND seen > 0.5 AND avg_connections BETWEEN 1.95 AND 2.05",
		'and it goes on in the present'
	);
	sane('three hours back');
	is(query($clock, "SELECT count(*) FROM pool_monitor.events WHERE event = 'clock_set_back'"),
		'1', 'one event');
};

is(log_count($clock, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
