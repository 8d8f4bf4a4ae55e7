# The statistics survive a restart: what is back is what was there, nothing is lost and
# nothing is made up. Only TAP can restart a server, and have sessions at its end.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use Test::More;

my $node = statfile_server('statfile');
my $file = file_of($node);

sub ask { my ($sql) = @_; return query($node, $sql) }

# As an ordinary role of application "app".
sub log_in
{
	my (%param) = @_;
	my $dbname = $param{dbname} // 'postgres';
	my ($rc, $out, $err) = $node->psql(
		'postgres',
		'SELECT 1',
		connstr => sprintf(
			"host=%s port=%s dbname=%s user=app application_name=app",
			$node->host, $node->port, $dbname
		)
	);
	return $err;
}

# What is asked for before and after.
my @ended  = ('app',   'batch');
my @living = ('alive', 'alive too');
my $ended  = stats(\@ended);
my @changes =
  qw(connections disconnects ended_killed ended_lost lifetime_p50 lifetime_p95 lifetime_max);
my $living = stats(\@living, @changes);
my $peaks =
  "SELECT string_agg(format('%s %s %s', pool, peak_connections, peak_at), ', ' ORDER BY pool) FROM pool_monitor.budgets";
my $server = 'SELECT refused, peak_connections, peak_at FROM pool_monitor.server';
my $history =
  "SELECT pool, resolution, sum(connects), sum(refused), sum(retired), max(max_connections), max(max_busy), round(sum(avg_busy * seen)) FROM pool_monitor.history WHERE pool IN ('app', 'alive') GROUP BY 1, 2 ORDER BY 1, 2";
my $disconnects =
  "SELECT sum(connects) - sum(disconnects) FROM pool_monitor.history WHERE pool = 'alive' AND resolution = '1 minute'";
my $seen =
  "SELECT sum(seen) FROM pool_monitor.history WHERE pool = '(server)' AND resolution = '1 hour'";
my $busy      = "SELECT average_busy FROM pool_monitor.pool_stats WHERE pool = 'app'";
my @all_of_it = ($ended, $living, $peaks, $server, $history);

# What was there before the latest restart, the log since then, and the first moment.
my (%before, $offset, $began);

# What must be the same after each restart that loses nothing.
sub nothing_lost
{
	my ($what) = @_;
	wait_for(
		$node,
		'SELECT count(*) FROM pool_monitor.budgets',
		"$what: the pools are in force", '2'
	);
	is(ask($_->[0]), $before{$_->[0]}, "$what: $_->[1] as before")
	  foreach [$ended, 'counters, percentiles, stats_reset'],
	  [$living, 'those of pools that had sessions'], [$peaks,   'peaks and their times'],
	  [$server, 'refused and peak of the server'],   [$history, 'history'];
	wait_for($node, $balanced, "$what: connects less disconnects are connections");
	is(log_count($node, $not_used, $offset), 0,         "$what: no complaint");
	is(ask($events),                         'started', "$what: nothing is lost");
	return;
}

my ($alive, $alive_too);
subtest 'a past with something of everything' => sub {
	my $missing = join ', ',
	  map { "CASE WHEN ($_->[0]) IS NOT TRUE THEN '$_->[1]' END" } map { [$_, $_ =~ s/'/''/gr] } (
		'ended_abandoned = 2',
		'average_busy > 0',
		"lifetime_p50 > '0'",
		"hold_max >= '0.05 s'",
		map { "$_ > 0" }
		  qw(ended_client ended_timeout ended_killed retired declined rejected refused transactions)
	  );

	# every kind of end
	my $app =
	  PoolMonitor::Holder->new($node, application_name => 'app', user => 'app', sessions => 4);
	$app->do("sql $_ SELECT pg_sleep(0.05)") foreach 0 .. 3;
	$app->do("sql 0 SELECT $_")              foreach 1 .. 10;
	$app->do('sql 1 CREATE TEMP TABLE t (i int)');
	$app->do("sql 2 SET idle_session_timeout = '1 ms'");
	ask('SELECT pg_terminate_backend(' . $app->do('pid 3') . ')');
	wait_for(
		$node,
		"SELECT retired > 0 AND declined > 0 FROM pool_monitor.pool_stats, (SELECT count(*) FROM pool_monitor.recycle('app', dry_run => false)) r WHERE pool = 'app'",
		'one session is retired, and one declines'
	);
	$app->close;
	my $gone =
	  PoolMonitor::Holder->new($node, application_name => 'app', user => 'app', sessions => 2);
	kill 'KILL', $gone->{pid};
	$gone->close;
	like(log_in(dbname => 'nosuch'), qr/does not exist/, 'a login is rejected');

	# A session that has just ended may still have its slot: then once more.
	my $usable = ask('SELECT usable FROM pool_monitor.server');
	my $full;
	ok(
		until_true(
			sub {
				$full = eval {
					PoolMonitor::Holder->new(
						$node,
						application_name => 'app',
						user             => 'app',
						sessions         => $usable
					);
				};
				return defined $full;
			}
		),
		'all slots are taken'
	);
	like(log_in(), qr/too many clients|remaining connection slots/, 'a login is refused');
	$full->close;

	my $batch = PoolMonitor::Holder->new($node, application_name => 'batch', sessions => 2);
	$batch->do('sql 0 SELECT pg_sleep(0.02)');
	$batch->close;
	$alive     = PoolMonitor::Holder->new($node, application_name => 'alive',     sessions => 3);
	$alive_too = PoolMonitor::Holder->new($node, application_name => 'alive too', sessions => 2);
	$alive->do('all SELECT pg_sleep(0.01)');
	wait_for(
		$node,
		"SELECT sum(connections) FROM pool_monitor.pool_stats WHERE pool = 'app' OR application_name = 'batch'",
		'nobody of app and batch is left',
		'0'
	);
	wait_for(
		$node,
		"SELECT concat_ws(', ', $missing) FROM pool_monitor.pool_stats WHERE pool = 'app'",
		'there is something of everything', ''
	);
	wait_for(
		$node,
		"SELECT status FROM pool_monitor.budgets WHERE pool = 'app'",
		'it is starved no longer', 'ok'
	);
	worker_works($node, 0.5);
};

subtest 'a clean restart' => sub {
	%before = map { $_ => ask($_) } @all_of_it, $seen, $busy;
	$began  = ask("SELECT stats_reset FROM pool_monitor.pool_stats WHERE pool = 'app'");
	like($before{$server}, qr/^[1-9]\d*\|1\d\|20/, 'the server has refused, and has a peak');
	like(
		$before{$ended},
		qr/"pool": "app".*"application_name": "batch"|"application_name": "batch".*"pool": "app"/,
		'both rows are there'
	);
	is(ask($disconnects), '3', 'the history has those that are alive');
	is(
		ask(
			"SELECT sum(connections) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) LIKE 'alive%'"
		),
		'5',
		'five sessions will be alive at the shutdown'
	);

	$offset = -s $node->logfile;
	$node->stop('fast');
	$alive->close;
	$alive_too->close;
	my $saved = contents($file);
	is(field($saved, 'complete'), 1, 'the file says that the server has shut down');
	ok(!-e "$file.tmp", 'no temporary file is left');
	is(
		HEADER_SIZE + field($saved, 'body_length'),
		length $saved,
		'the header is as long as we think'
	);
	is(
		sprintf('%#x', crc32c(body_of($saved))),
		sprintf('%#x', field($saved, 'body_crc')),
		'and has the CRC of the body'
	);
	ok($saved eq sealed($saved), 'and its own');
	$node->start;
	ok(wait_until_running($node), 'the file says that the server is running again');
	ok(!-e "$file.tmp",           'no temporary file is left by the worker either');

	nothing_lost('restart');
	is(
		ask(
			"SELECT string_agg(concat_ws(' ', coalesce(pool, application_name), connections, connects, disconnects, ended_killed, ended_lost, lifetime_max > '0'), ', ' ORDER BY 1) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) LIKE 'alive%' GROUP BY pool IS NULL ORDER BY pool IS NULL"
		),
		"alive 0 3 3 3 0 t\nalive too 0 2 2 2 0 t",
		'restart: sessions that were alive were killed'
	);
	is(ask($disconnects), '0', 'restart: and the history says so');
	is(
		ask("SELECT min(seq) FROM pool_monitor.events WHERE $since_start"),
		field($saved, 'last_event') + 1,
		'restart: the numbers of the events go on'
	);
	cmp_ok(field($saved, 'last_event'), '>', 1, 'restart: there were events before');
	is(
		ask("SELECT count(*) FROM pool_monitor.events WHERE NOT $since_start"),
		field($saved, 'last_event'),
		'restart: and they are still there'
	);
	cmp_ok(ask($seen), '>=', $before{$seen}, 'restart: the hour goes on');
	my $average = ask($busy);
	cmp_ok($average, '>', 0,              'restart: the average is of all the time');
	cmp_ok($average, '<', $before{$busy}, 'restart: in which nobody was busy meanwhile');

	$alive = PoolMonitor::Holder->new($node, application_name => 'alive', sessions => 2);
	is(
		ask(
			"SELECT connections, connects, disconnects FROM pool_monitor.pool_stats WHERE pool = 'alive'"
		),
		'2|5|3',
		'restart: connections are exact again'
	);
	is(ask("SELECT connections FROM pool_monitor.budgets WHERE pool = 'alive'"),
		'2', 'restart: and those that are there are the same');
	$alive->close;
	wait_for(
		$node,
		"SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'alive'",
		'they are gone', '0'
	);
	worker_works($node, 0.2);
	%before = map { $_ => ask($_) } @all_of_it;
};

subtest 'another one, with nobody there' => sub {
	$offset = -s $node->logfile;
	$node->stop('fast');
	ok(!-e "$file.tmp", 'second restart: no temporary file is left');
	$node->start;
	nothing_lost('second restart');
};

subtest 'a worker that is only terminated' => sub {
	$alive = PoolMonitor::Holder->new($node, application_name => 'alive', sessions => 1);
	worker_works($node, 0.2);
	%before = map { $_ => ask($_) } @all_of_it;
	my $pid = ask($worker);
	ask("SELECT pg_terminate_backend($pid)");
	wait_for(
		$node,
		"SELECT count(*) = 1 FROM ($worker) w WHERE pid <> $pid",
		'the worker comes back'
	);
	worker_works($node, 0.2);
	nothing_lost('another worker');
	is(ask("SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'alive'"),
		'1', 'another worker: the session is still counted');
};

subtest 'reset()' => sub {
	ask('SELECT pool_monitor.reset()');
	my $reset = ask("SELECT stats_reset FROM pool_monitor.pool_stats WHERE pool = 'app'");
	cmp_ok($reset, 'gt', $began, 'reset() begins anew');
	come_and_go($node);
	is(
		ask(
			"SELECT connects, ended_client, refused, ended_abandoned FROM pool_monitor.pool_stats WHERE pool = 'app'"
		),
		'6|6|0|0',
		'since the reset'
	);
	%before = map { $_ => ask($_) } @all_of_it;
	$offset = -s $node->logfile;
	$node->restart;
	$alive->close;
	nothing_lost('restart after reset()');
	is(ask("SELECT stats_reset FROM pool_monitor.pool_stats WHERE pool = 'app'"),
		$reset, 'restart after reset(): stats_reset is its moment');
	is(
		ask(
			"SELECT connections, connects, taken_over, ended_killed FROM pool_monitor.pool_stats WHERE pool = 'alive'"
		),
		'0|1|1|1',
		'restart after reset(): the session that was there was taken over, then killed'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
