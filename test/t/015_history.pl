# History: averages, maxima and sums against what real clients did; and what
# becomes of it when the worker stands still, the server restarts, the clock is
# set, or on a standby. Needs clients, two servers, signals, and a clock of its
# own (libfaketime).
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $timeout = $PostgreSQL::Test::Utils::timeout_default;
my $stopped;    # a worker that must not be left so
END { kill 'CONT', $stopped if $stopped }

sub now   { return clock_gettime(CLOCK_MONOTONIC) }
sub query { my ($on, $sql) = @_; return $on->safe_psql('postgres', $sql) }

# What the minutes of a pool add up to, in seconds and numbers.
my @sums = qw(seen connections busy connects disconnects refused retired
  overflow exhausted over max_connections max_busy);

sub sums_query
{
	my ($pool) = @_;
	return
	  "SELECT coalesce(sum(seen), 0), coalesce(sum(avg_connections * seen), 0), coalesce(sum(avg_busy * seen), 0),
		coalesce(sum(connects), 0), coalesce(sum(disconnects), 0), coalesce(sum(refused), 0), coalesce(sum(retired), 0),
		coalesce(sum(overflow_seconds), 0), coalesce(sum(exhausted_seconds), 0), coalesce(sum(over_seconds), 0),
		coalesce(max(max_connections), 0), coalesce(max(max_busy), 0)
		FROM pool_monitor.history WHERE pool = '$pool' AND resolution = '1 minute'";
}

sub sums
{
	my ($on, $pool) = @_;
	my %sum;
	@sum{@sums} = split /\|/, query($on, sums_query($pool));
	return \%sum;
}

sub since
{
	my ($on, $pool, $before) = @_;
	my $after = sums($on, $pool);
	return {map { $_ => $after->{$_} - $before->{$_} } @sums};
}

# Waits until the worker has watched the pool for some more seconds.
sub watch
{
	my ($on, $pool, $seconds, $what) = @_;
	my $seen = sums($on, $pool)->{seen};
	return wait_for(
		$on,
		"SELECT coalesce(sum(seen), 0) >= $seen + $seconds FROM pool_monitor.history WHERE pool = '$pool' AND resolution = '1 minute'",
		$what
	);
}

sub between
{
	my ($value, $least, $most, $what) = @_;
	return ok($value >= $least && $value <= $most, $what)
	  || diag("$value is not between $least and $most");
}

sub holder
{
	my ($on, $name, %param) = @_;
	return PoolMonitor::Holder->new(
		$on,
		application_name => $name,
		user             => 'client',
		%param
	);
}

sub gone
{
	my ($on, $name) = @_;
	return wait_for(
		$on,
		"SELECT connections FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) = '$name'",
		"$name: no connection is left",
		'0'
	);
}

# debug1 has a line for each background worker that is started. The worker has
# new settings when it loads the declarations again, as it does after a reload.
my $node = new_server(
	'history',
	"max_connections = 60\npool_monitor.recycle_interval = 1h\npool_monitor.recycle_margin = 0\nlog_min_messages = debug1\n",
	init => {allows_streaming => 1}
);

sub set
{
	my ($name, $value) = @_;
	my $offset = -s $node->logfile;
	$node->append_conf('postgresql.conf', "pool_monitor.$name = $value\n");
	$node->reload;
	return wait_for_log(
		$node,
		qr/pool_monitor errand: loading the declared pools/,
		"$name is $value", $offset
	);
}

query($node, 'CREATE ROLE client LOGIN');
declare(
	$node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace) VALUES
		('three', 'three', 10, 0, '1 s', '0'), ('burst', 'burst', 10, 0, '1 h', '0'),
		('above', 'above', 1, 5, '1 h', '0'), ('full', 'full', 1, 0, '1 h', '0'), ('over', 'over', 1, 1, '1 h', '0'),
		('open', 'open', 5, 0, '1 h', '0'), ('failed', 'failed', 5, 0, '1 h', '0'), ('retried', 'retried', 5, 0, '1 h', '0'),
		('savepoint', 'savepoint', 5, 0, '1 h', '0'), ('sleep', 'sleep', 5, 0, '1 h', '0'), ('vacuum', 'vacuum', 5, 0, '1 h', '0')"
);
watch($node, 'vacuum', 0.2, 'the declared pools have a history');

#
# Connections. What a client held is at least the time between its last connect
# and its first disconnect, and at most that between the first and the last.
#
my $before = sums($node, 'three');
my @time   = (now());
my $three  = holder($node, 'three', sessions => 3);
push @time, now();
watch($node, 'three', 1, 'three sessions are held');
push @time, now();
$three->close;
gone($node, 'three');
push @time, now();
watch($node, 'three', 0.2, 'and counted');
my $news = since($node, 'three', $before);
between(
	$news->{connections},
	3 * ($time[2] - $time[1]),
	3 * ($time[3] - $time[0]),
	'avg_connections times seen is what was held, by the client\'s clock'
);
is($news->{$_},       3, "three: $_") foreach qw(connects disconnects max_connections);
is($news->{max_busy}, 0, 'three: none was busy');

# However often it samples: sums and seen come from the same moments, so nothing
# but rounding stands between the average and 3.
$three = holder($node, 'three', sessions => 3);
set('sample_interval', '10ms');
watch($node, 'three', 0.2, 'three sessions are there all the time');
$before = sums($node, 'three');
watch($node, 'three', 2, 'sampled every 10 ms');
$news = since($node, 'three', $before);
between($news->{connections} / $news->{seen},
	2.99, 3.01, 'three sessions all the time are 3 on average');

# A burst between two samples; and a pool that is declared between two samples
$three->close;
gone($node, 'three');
set('sample_interval', '60s');
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle) VALUES ('fresh', 'fresh', '1 h')"
);
my $seen = sums($node, 'burst')->{seen};
foreach my $name ('burst', 'fresh')
{
	my $burst = holder($node, $name, sessions => 7);
	$burst->close;
	gone($node, $name);
}
is(sums($node, 'burst')->{seen}, $seen, 'no sample was taken meanwhile');
set('sample_interval', '50ms');
watch($node, 'burst', 0.2, 'now it is');
watch($node, 'fresh', 0.2, 'also of the new pool');
is(
	query(
		$node,
		"SELECT max(max_connections), sum(connects), sum(disconnects) FROM pool_monitor.history WHERE pool = 'burst' AND resolution = '$_'"
	),
	'7|7|7',
	"a burst between two samples is there with its exact maximum, $_"
) foreach ('1 minute', '1 hour');
my $fresh = sums($node, 'fresh');
is("$fresh->{max_connections}|$fresh->{connects}|$fresh->{disconnects}",
	'7|7|7', 'so is that of a pool that had just been declared');

#
# Statuses: their seconds are those that were seen while they held.
#
my %status = (above => 'overflow', full => 'exhausted', over => 'over');
my %client = (
	above => holder($node, 'above', sessions => 3),
	full  => holder($node, 'full'),
	over  => holder($node, 'over', sessions => 3)
);
$client{full}->do('busy 1');
foreach my $name (sort keys %status)
{
	wait_for(
		$node,
		"SELECT status FROM pool_monitor.budgets WHERE pool = '$name' AND status_since < clock_timestamp()",
		"$name: $status{$name}",
		$status{$name}
	);
	watch($node, $name, 0.2, "$name: seen so");
}
my %before = map { $_ => sums($node, $_) } keys %status;
watch($node, 'above', 1, 'a second goes by');
foreach my $name (sort keys %status)
{
	my $news  = since($node, $name, $before{$name});
	my %grows = (
		overflow  => $name ne 'full',
		exhausted => $name eq 'full',
		over      => $name eq 'over'
	);
	foreach my $column (sort keys %grows)
	{
		if ($grows{$column})
		{
			between(
				$news->{$column},
				$news->{seen} - 0.001,
				$news->{seen} + 0.001,
				"$name: ${column}_seconds grows as seen does"
			);
		}
		else
		{
			is($news->{$column} + 0, 0, "$name: ${column}_seconds stands still");
		}
	}
}
$client{full}->do('free');
$_->close foreach values %client;
gone($node, $_) foreach sort keys %status;
watch($node, 'above', 0.2, 'it is over');
%before = map { $_ => sums($node, $_) } keys %status;
watch($node, 'above', 0.5, 'and stays so');
foreach my $name (sort keys %status)
{
	my $news = since($node, $name, $before{$name});
	is($news->{$status{$name}} + 0, 0, "$name: $status{$name}_seconds grows no more");
}

#
# The whole server, full: no connection is available, and it is above its budget.
# Logins are refused; sessions are retired.
#
my $filler = holder($node, 'filler', sessions => 57);
{
	local $ENV{PGAPPNAME} = 'three';
	my ($out, $err) =
	  run_command(
		['psql', '-X', '-d', $node->connstr('postgres') . ' user=client', '-c', 'SELECT 1']);
	like($err, qr/remaining connection slots are reserved/, 'a full server');
}
watch($node, '(server)', 0.2, 'seen full');
$before = sums($node, '(server)');
watch($node, '(server)', 1, 'for a second');
$news = since($node, '(server)', $before);
between(
	$news->{exhausted},
	$news->{seen} - 0.001,
	$news->{seen} + 0.001,
	'(server): exhausted_seconds is the time with no connection available'
);
between(
	$news->{over},
	$news->{seen} - 0.001,
	$news->{seen} + 0.001,
	'(server): over_seconds is the time above connection_budget, also of a full server'
);
is($news->{overflow} + 0, 0, '(server): a sum has no overflow');
cmp_ok(sums($node, '(server)')->{max_connections}, '>=', 58, '(server): most connections');
between(sums($node, '(undeclared)')->{max_connections},
	57, 60, '(undeclared): most connections, those that no declaration matches');
$filler->close;
gone($node, 'filler');
$three = holder($node, 'three', sessions => 2);
wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'three'", 'two stale', '2');
is(
	query(
		$node,
		"SELECT count(*) FROM pool_monitor.recycle('three', dry_run => false) WHERE action = 'retired'"
	),
	'2',
	'two retired'
);
$three->close;

#
# Busy. Each pool has four sessions, of which one is busy: time that was counted
# twice would show. Like connections, by the client's clock; what a sample that
# comes late may not see, and what the four do before and after, is within 5 %
# and 0.1 s.
#
my @busy = qw(open failed retried savepoint sleep vacuum);
my %at;
%client = map { $_ => holder($node, $_, sessions => 4) } @busy;
query(
	$node,
	join(
		';',
		map {
			"CREATE TABLE v$_ AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 300) n; ALTER TABLE v$_ OWNER TO client"
		} 1 .. 6
	)
);
$client{vacuum}->do("sql 0 SET vacuum_cost_$_") foreach ('delay = 20', 'limit = 1');
%before = map { $_ => sums($node, $_) } @busy;

# Runs statements, and notes when the time in the transaction began at the
# earliest and at the latest.
sub begin
{
	my ($name, @statements) = @_;
	my @answers;
	$at{$name} = [now()];
	push @answers,      $client{$name}->do("sql 0 $_") foreach @statements;
	push @{$at{$name}}, now();
	return $answers[-1];
}

sub finish
{
	my ($name, @statements) = @_;
	push @{$at{$name}}, now();
	$client{$name}->do("sql 0 $_") foreach @statements;
	push @{$at{$name}}, now();
	return;
}
begin('open', 'BEGIN');
is(begin('failed',  'BEGIN', 'SELECT 1/0'), 'error 22012', 'a transaction that failed');
is(begin('retried', 'BEGIN', 'SELECT 1/0'), 'error 22012', 'and one that will be used again');
begin('savepoint', 'BEGIN', 'SAVEPOINT s');
$at{vacuum} = [now(), now()];
print {$client{vacuum}->{in}} 'sql 0 VACUUM ' . join(', ', map { "v$_" } 1 .. 6) . "\n";
$client{vacuum}->{in}->flush;
$at{sleep} = [now(), now()];
$client{sleep}->do("sql 0 $_")
  foreach (
	'SELECT pg_sleep(0.3)',
	'BEGIN',
	'SELECT pg_sleep(0.4)',
	'SELECT pg_sleep(0.3)', 'COMMIT'
  );
push @{$at{sleep}}, now(), now();
watch($node, 'retried', 0.5, 'for one and a half seconds');
is($client{retried}->do('sql 0 SELECT 1'),     'error 25P02', 'a further statement, in vain');
is($client{savepoint}->do('sql 0 SELECT 1/0'), 'error 22012', 'a subtransaction that failed');
is($client{vacuum}->answer,                    'ok',          'VACUUM of six tables');
push @{$at{vacuum}}, now(), now();
watch($node, 'retried', 1, 'and some more');
finish('failed',    'ROLLBACK');
finish('retried',   'ROLLBACK');
finish('savepoint', 'ROLLBACK TO s', 'COMMIT');
watch($node, 'vacuum', 0.3, 'all of it was sampled');

# the one that is still open has been so in all that was seen since
my $open = sums($node, 'open');
watch($node, 'open', 0.5, 'one transaction goes on');
$news = since($node, 'open', $open);
between($news->{busy} / $news->{seen},
	0.95, 1.05, 'open: a transaction that is open all the time is 1 on average');
finish('open', 'COMMIT');
watch($node, 'open', 0.3, 'it is over');
foreach my $name (@busy)
{
	my $news = since($node, $name, $before{$name});
	my ($first, $begun, $end, $last) = @{$at{$name}};
	my $tolerance = 0.05 * ($last - $first) + 0.1;
	between(
		$news->{busy},
		$end - $begun - $tolerance,
		$last - $first + $tolerance,
		"$name: avg_busy times seen is the time in transactions"
	);
	is($news->{max_busy}, 1, "$name: one was busy at a time");
	note(
		sprintf '%s: %.3f s busy, %.3f to %.3f s held',
		$name, $news->{busy},
		$end - $begun,
		$last - $first
	);
}
is(
	query($node, "SELECT transactions - 2 >= 6 FROM pool_monitor.pool_stats WHERE pool = 'vacuum'"),
	't',
	'the VACUUM was a transaction for each table at least'
);
$_->close foreach values %client;
gone($node, $_) foreach @busy;

#
# Sums. A session that stays asks, so that asking changes nothing.
#
my $asker = holder($node, 'asker', user => $ENV{PGUSER} // getpwuid($<));

sub ask_until
{
	my ($sql, $expected, $what) = @_;
	my $end = now() + $timeout;
	my $answer;
	do
	{
		$answer = $asker->do("sql 0 $sql");
		select(undef, undef, undef, 0.05) if $answer ne $expected;
	} while ($answer ne $expected && now() < $end);
	return is($answer, $expected, $what);
}
my $history =
  "(SELECT concat_ws(',', coalesce(sum(connects), 0), coalesce(sum(disconnects), 0), coalesce(sum(refused), 0), coalesce(sum(retired), 0)) FROM pool_monitor.history h WHERE h.pool = s.pool AND resolution = '1 minute')";
my $stats = "concat_ws(',', connects - taken_over, disconnects - given_over, refused, retired)";
ask_until(
	"SELECT string_agg(pool || ': ' || $stats || ' counted, ' || $history || ' in history', '; ' ORDER BY pool) FROM pool_monitor.pool_stats s WHERE pool NOT IN ('(other)', 'fresh') AND $stats <> $history",
	'None',
	'connects, disconnects, refused and retired are those of pool_stats'
);
is(query($node, "SELECT $stats FROM pool_monitor.pool_stats s WHERE pool = 'three'"),
	'8,8,1,2', 'and those are what was done');
my $undeclared =
  "(SELECT sum(connects - taken_over) - (SELECT sum(connects) FROM pool_monitor.history WHERE pool = '(undeclared)' AND resolution = '1 minute') FROM pool_monitor.pool_stats WHERE pool IS NULL OR pool = '(other)')";
query($node, 'SELECT 1') for 1 .. 5;
my $other = holder($node, 'other', sessions => 5);
$other->close;
gone($node, 'other');
ask_until("SELECT $undeclared", 0, '(undeclared): connects are those of all applications');
ask_until(
	"SELECT count(*) FROM pool_monitor.history s JOIN pool_monitor.history u USING (bucket_start, resolution) WHERE s.pool = '(server)' AND u.pool = '(undeclared)' AND s.connects < u.connects",
	0,
	'(server) has never less than (undeclared)'
);
ask_until(
	"SELECT (SELECT connects FROM pool_monitor.pool_stats WHERE pool = 'fresh') + sum(CASE pool WHEN '(server)' THEN -connects ELSE connects END) FROM pool_monitor.history WHERE resolution = '1 minute' AND pool <> 'fresh'",
	0,
	'(server) is the sum of all'
);
is(
	query(
		$node,
		"SELECT count(*) FROM (SELECT pool FROM pool_monitor.history GROUP BY pool, resolution, bucket_start HAVING count(*) > 1) x"
	),
	'0',
	'no bucket is there twice'
);
is(
	query(
		$node,
		"SELECT count(*) FROM (SELECT pool, sum(connects) FILTER (WHERE resolution = '1 minute') AS m, sum(connects) FILTER (WHERE resolution = '1 hour') AS h FROM pool_monitor.history WHERE pool NOT LIKE '(%' GROUP BY pool) x WHERE m <> h"
	),
	'0',
	'hours have what minutes have'
);

#
# A pool that is not declared for a while
#
declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'burst'");
watch($node, 'three', 0.2, 'burst is not declared any more');
is(sums($node, 'burst')->{connects}, 7, 'its history stays');
$seen = sums($node, 'burst')->{seen};
watch($node, 'three', 0.2, 'time goes by');
is(sums($node, 'burst')->{seen}, $seen, 'and ends');
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle) VALUES ('burst', 'burst', '1 h')"
);
watch($node, 'burst', 0.2, 'declared again');
my $burst = holder($node, 'burst');
wait_for(
	$node,
	"SELECT sum(connects) FROM pool_monitor.history WHERE pool = 'burst' AND resolution = '1 minute'",
	'it goes on in the same history',
	'8'
);
$burst->close;

#
# A standby has a history of its own, and readable.
#
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
wait_for(
	$standby,
	"SELECT pool FROM pool_monitor.budgets WHERE pool = 'three'",
	'a standby, with the declarations', 'three'
);
watch($standby, 'three', 0.2, 'it has a history');
is(sums($standby, 'three')->{connects}, 0, 'which is not that of the primary');
my $there = holder($standby, 'three', sessions => 2);
wait_for(
	$standby,
	"SELECT sum(connects), max(max_connections) FROM pool_monitor.history WHERE pool = 'three' AND resolution = '1 minute'",
	'but of what happens there',
	'2|2'
);
is(sums($node, 'three')->{connects}, 8, 'which the primary does not count');
$there->close;
$standby->stop;

#
# The worker stands still. The time is passed below, with another server.
#
$three = holder($node, 'three', sessions => 2);
watch($node, 'three', 0.2, 'two sessions that stay');
$stopped = query($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'");
$before  = sums($node, 'three');
my $since = now();
kill 'STOP', $stopped;
my $stopped_at = now();
my $meanwhile  = holder($node, 'three', sessions => 4);
$meanwhile->close;
wait_for(
	$node,
	"SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'three'",
	'four more came and went', '2'
);

#
# The clock is set.
#
sub test_clock
{
	my ($library) = @_;
	my $file      = "$PostgreSQL::Test::Utils::tmp_check/clock";
	my $offset    = 0;
	my $begun     = now();
	my $minutes   = "FROM pool_monitor.history WHERE pool = 'c' AND resolution = '1 minute'";
	my $clock;

	# The file that says by how much the clock is wrong is replaced as a whole.
	my $set_clock = sub {
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
	};

	# What must hold whatever the clock does.
	my $sane = sub {
		my ($when)  = @_;
		my $elapsed = now() - $begun;
		my %none    = (
			'no bucket is there twice' =>
			  'SELECT 1 FROM pool_monitor.history GROUP BY pool, resolution, bucket_start HAVING count(*) > 1',
			'each begins with a minute or hour' =>
			  q{SELECT 1 FROM pool_monitor.history WHERE bucket_start <> date_trunc(CASE resolution WHEN '1 hour' THEN 'hour' WHEN '1 minute' THEN 'minute' END, bucket_start)},
			'averages are no more than two sessions can have' =>
			  q{SELECT 1 FROM pool_monitor.history WHERE pool = 'c' AND NOT (coalesce(avg_connections, 0) BETWEEN 0 AND 2.05 AND coalesce(avg_busy, 0) BETWEEN 0 AND 2.05 AND max_connections <= 2 AND max_busy <= 2)},
			'no more was seen than time went by' =>
			  "SELECT 1 FROM pool_monitor.history GROUP BY pool, resolution HAVING sum(seen) > $elapsed"
		);
		is(query($clock, "SELECT count(*) FROM ($none{$_}) x"), '0', "$when: $_")
		  foreach sort keys %none;
		return;
	};

	# Up to PostgreSQL 15 the postmaster starts the first worker in a signal
	# handler. If that has interrupted libfaketime, the worker has the real clock
	# for ever, a day behind all others; one that is started again has not.
	$set_clock->(24 * 60);
	{
		local $ENV{LD_PRELOAD}              = $library;
		local $ENV{FAKETIME_TIMESTAMP_FILE} = $file;
		local $ENV{FAKETIME_NO_CACHE}       = 1;
		local $ENV{DONT_FAKE_MONOTONIC}     = 1;
		$clock = new_server('clock');
	}
	query($clock, 'CREATE ROLE client LOGIN');
	declare($clock,
		"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle) VALUES ('c', 'c', NULL)"
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
	my $client = holder($clock, 'c', sessions => 2);
	$client->do('sql 0 BEGIN');
	watch($clock, 'c', 0.3, 'two sessions, one in a transaction');
	my $before = query($clock, "SELECT max(bucket_start) $minutes");
	$sane->('at first');

	$set_clock->(120);
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
	$sane->('two hours forward');

	# a step back that is small: the current bucket stays open
	$set_clock->(-10);
	my $last = query($clock, "SELECT max(bucket_start) $minutes");
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
	$sane->('ten minutes back');

	# once more into the future, and so far back that what is there cannot stay
	$set_clock->(120);
	wait_for(
		$clock,
		"SELECT max(seen) > 0.2 $minutes AND bucket_start > '$last'",
		'almost four hours later'
	);
	my $later = query($clock,
		"SELECT count(*) FROM (SELECT DISTINCT bucket_start, resolution FROM pool_monitor.history WHERE bucket_start > now() - interval '3 h') x"
	);

	# a minute and an hour may begin between this count and the next step
	$sane->('almost four hours forward');
	$set_clock->(-180);
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
	$sane->('three hours back');
	is(query($clock, "SELECT count(*) FROM pool_monitor.events WHERE event = 'clock_set_back'"),
		'1', 'one event');
	is(log_count($clock, 'PANIC|TRAP'), 0, 'no PANIC');
	$client->close;
	$clock->stop;
	return;
}

SKIP:
{
	my ($library) =
	  grep { -e } glob '/usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1';
	skip 'libfaketime is not installed', 1 unless $library;
	test_clock($library);
}

#
# The worker goes on after more than ten seconds: what was in between was not
# seen, and is not part of the averages; but the connects are counted.
#
select(undef, undef, undef, 0.1) while now() < $stopped_at + 11;
my $stood = now() - $stopped_at;
kill 'CONT', $stopped;
undef $stopped;
watch($node, 'three', 0.5, 'the worker goes on');
wait_for(
	$node,
	"SELECT sum(connects) - $before->{connects} FROM pool_monitor.history WHERE pool = 'three' AND resolution = '1 minute'",
	'what connected meanwhile is counted',
	'4'
);
$news = since($node, 'three', $before);
is("$news->{connects}|$news->{disconnects}", '4|4', 'and what disconnected');
cmp_ok(sums($node, 'three')->{max_connections}, '>=', 6, 'and how many there were');

# A sample may lie between the first reading and the stop, so "less" by what
# that could be.
my $all = now() - $since;
between(
	$news->{seen}, 0.5,
	$all - $stood + 0.2,
	'seen leaves out the time that the worker stood still'
);
between($news->{connections} / $news->{seen},
	1.95, 2.05, 'two sessions all the time are still 2 on average');
$three->close;
gone($node, 'three');
watch($node, 'three', 0.2, 'all is sampled');

#
# After a restart all of it is there.
#
my $kept =
  "SELECT bucket_start, resolution, pool, max_connections, connects, disconnects, refused, retired FROM pool_monitor.history WHERE pool NOT LIKE '(%' AND connects > 0 ORDER BY 1, 2, 3";
my $old     = query($node, $kept);
my $old_sum = sums($node, 'three');
$asker->close;
$node->restart;
watch($node, 'three', 0.2, 'after a restart');
is(query($node, $kept), $old, 'the history is as it was');
$news = since($node, 'three', $old_sum);
between($news->{seen}, 0.2, now() - $since, 'and goes on');
is(sprintf('%d|%.3f', $news->{connects}, abs $news->{connections}),
	'0|0.000', 'without anything that did not happen');
is(log_count($_, 'PANIC|TRAP'), 0, 'no PANIC') foreach ($node, $standby);
$node->stop;
done_testing();
