# History across gaps: a worker that stands still, a restart, a standby. Only TAP can stop
# and restart processes, and has two servers.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorHistory;
use PostgreSQL::Test::Utils;
use Test::More;

my $stopped;    # a worker that must not be left so
END { kill 'CONT', $stopped if $stopped }

my $node = history_server('history_gaps');
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace) VALUES ('three', 'three', 10, 0, '1 s', '0')"
);
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('held', 'held', 1, 0)"
);
watch($node, $_, 0.2, "$_, which is declared, has a history") foreach 'three', 'held';

subtest 'a past' => sub {
	holder($node, 'three', sessions => 6)->close;
	gone($node, 'three');
	my $filler = fill_up($node);
	$filler->close;
	gone($node, 'filler');
	retire_two($node);
	gone($node, 'three');
};

my $standby;
subtest 'a standby has a history of its own, and readable' => sub {
	$node->backup('backup');
	$standby = PostgreSQL::Test::Cluster->new('standby');
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
};

my $exhausted_seconds = "SELECT exhausted_seconds FROM pool_monitor.pool_stats WHERE pool = 'held'";

# The worker is stopped for more than ten seconds.
subtest 'a worker that stands still' => sub {
	my $three = holder($node, 'three', sessions => 2);
	watch($node, 'three', 0.2, 'two sessions that stay');
	my $held = holder($node, 'held', sessions => 1);
	$held->do('busy 1');
	$stopped = worker_pid($node);
	my $before    = sums($node, 'three');
	my $since     = now();
	my $exhausted = query($node, $exhausted_seconds);
	kill 'STOP', $stopped;
	my $stopped_at = now();
	my $meanwhile  = holder($node, 'three', sessions => 4);
	$meanwhile->close;
	wait_for(
		$node,
		"SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'three'",
		'four more came and went', '2'
	);

	# What was in between was not seen, and is not part of the averages; but the connects
	# are counted.
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
	my $news = since($node, 'three', $before);
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
	wait_for(
		$node,
		"SELECT ($exhausted_seconds) > $exhausted",
		'a pool is at its ceiling all the time'
	);
	between(
		query($node, $exhausted_seconds) - $exhausted,
		0.0001,
		now() - $since - $stood + 0.2,
		'of which pool_stats leaves out the same'
	);
	$held->do('free');
	$held->close;
	$three->close;
	gone($node, 'three');
	watch($node, 'three', 0.2, 'all is sampled');
};

subtest 'after a restart all of it is there' => sub {
	my $since = now();
	my $kept =
	  "SELECT bucket_start, resolution, pool, max_connections, connects, disconnects, refused, retired FROM pool_monitor.history WHERE pool NOT LIKE '(%' AND connects > 0 ORDER BY 1, 2, 3";
	my $old     = query($node, $kept);
	my $old_sum = sums($node, 'three');
	$node->restart;
	watch($node, 'three', 0.2, 'after a restart');
	is(query($node, $kept), $old, 'the history is as it was');
	my $news = since($node, 'three', $old_sum);
	between($news->{seen}, 0.2, now() - $since, 'and goes on');
	is(sprintf('%d|%.3f', $news->{connects}, abs $news->{connections}),
		'0|0.000', 'without anything that did not happen');
};

is(log_count($_, 'PANIC|TRAP'), 0, 'no PANIC') foreach ($node, $standby);
done_testing();
