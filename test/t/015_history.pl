# History: averages, maxima and sums of connections, statuses and refusals, against what
# real clients did by their own clock. Only TAP has clients that hold connections, and
# fill the server.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorHistory;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = history_server('history');
declare(
	$node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace) VALUES
		('three', 'three', 10, 0, '1 s', '0'), ('burst', 'burst', 10, 0, '1 h', '0'),
		('above', 'above', 1, 5, '1 h', '0'), ('full', 'full', 1, 0, '1 h', '0'), ('over', 'over', 1, 1, '1 h', '0')"
);
watch($node, 'over', 0.2, 'the declared pools have a history');

# What a client held is at least the time between its last connect and its first
# disconnect, and at most that between the first and the last.
subtest 'connections' => sub {
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
};

# However often it samples: sums and seen come from the same moments, so nothing but
# rounding stands between the average and 3.
subtest 'an average is exact' => sub {
	my $three = holder($node, 'three', sessions => 3);
	set($node, 'sample_interval', '10ms');
	watch($node, 'three', 0.2, 'three sessions are there all the time');
	my $before = sums($node, 'three');
	watch($node, 'three', 2, 'sampled every 10 ms');
	my $news = since($node, 'three', $before);
	between($news->{connections} / $news->{seen},
		2.99, 3.01, 'three sessions all the time are 3 on average');
	$three->close;
	gone($node, 'three');
};

subtest 'a burst between two samples, and a pool that is declared between two samples' => sub {
	set($node, 'sample_interval', '60s');
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
	set($node, 'sample_interval', '50ms');
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
};

# Their seconds are those that were seen while they held.
subtest 'statuses' => sub {
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
};

# No connection is available, and it is above its budget. Logins are refused; sessions
# are retired.
subtest 'the whole server, full' => sub {
	my $filler = fill_up($node);
	watch($node, '(server)', 0.2, 'seen full');
	my $before = sums($node, '(server)');
	watch($node, '(server)', 1, 'for a second');
	my $news = since($node, '(server)', $before);
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
	retire_two($node);
};

subtest 'sums' => sub {
	my $asker = holder($node, 'asker', user => $ENV{PGUSER} // getpwuid($<));
	agrees_with_stats($asker);
	is(query($node, "SELECT $stats FROM pool_monitor.pool_stats s WHERE pool = 'three'"),
		'8,8,1,2', 'and those are what was done');
	my $undeclared =
	  "(SELECT sum(connects - taken_over) - (SELECT sum(connects) FROM pool_monitor.history WHERE pool = '(undeclared)' AND resolution = '1 minute') FROM pool_monitor.pool_stats WHERE pool IS NULL OR pool = '(other)')";
	query($node, 'SELECT 1') for 1 .. 5;
	my $other = holder($node, 'other', sessions => 5);
	$other->close;
	gone($node, 'other');
	ask_until($asker, "SELECT $undeclared",
		0, '(undeclared): connects are those of all applications');
	ask_until(
		$asker,
		"SELECT count(*) FROM pool_monitor.history s JOIN pool_monitor.history u USING (bucket_start, resolution) WHERE s.pool = '(server)' AND u.pool = '(undeclared)' AND s.connects < u.connects",
		0,
		'(server) has never less than (undeclared)'
	);
	ask_until(
		$asker,
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
	$asker->close;
};

subtest 'a pool that is not declared for a while' => sub {
	declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'burst'");
	watch($node, 'three', 0.2, 'burst is not declared any more');
	is(sums($node, 'burst')->{connects}, 7, 'its history stays');
	my $seen = sums($node, 'burst')->{seen};
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
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
