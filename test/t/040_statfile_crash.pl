# The statistics survive a crash but for what was not saved yet, and the sessions that
# were there are booked as lost. Only TAP can kill processes, and stop a server at once.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use Test::More;

my $node = statfile_server('statfile_crash');
my $file = file_of($node);

sub ask { my ($sql) = @_; return query($node, $sql) }

# Rows of those that have ended before, and of those that are alive.
my @ended  = ('app',   'batch');
my @living = ('alive', 'alive too');
my $offset;

subtest 'a past' => sub {
	come_and_go($node);
	is(ask("SELECT connects, ended_client FROM pool_monitor.pool_stats WHERE pool = 'app'"),
		'6|6', 'six sessions of it');
};

set($node, "save_interval = '1s'");
$node->reload;
my @lost = qw(connections disconnects ended_lost);
my $rows = stats([@ended, @living], @lost);
my %how  = (
	'a client is killed'   => sub { kill 'KILL', $_[0] },
	'the worker is killed' => sub { kill 'KILL', $_[1] },
	'immediate shutdown'   => sub {
		$node->stop('immediate');
		is(field(contents($file), 'complete'),
			0, 'immediate shutdown: the file does not say that it was in good order');
		$node->start;
	}
);

foreach my $how (sort keys %how)
{
	subtest "$how" => sub {

		# Who asks is an application of its own; nobody else comes.
		my $asker = PoolMonitor::Holder->new($node, application_name => 'asker');
		my $alive = PoolMonitor::Holder->new($node, application_name => 'alive', sessions => 3);
		my $alive_too =
		  PoolMonitor::Holder->new($node, application_name => 'alive too', sessions => 2);
		ok(
			until_true(
				sub {
					$asker->do(
						"sql 0 SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
					) eq '6';
				}
			),
			"$how: six sessions are there"
		);
		my $count =
		  "SELECT string_agg(format('%s %s', coalesce(pool, application_name), ended_lost + CASE WHEN \$1 THEN connections ELSE 0 END), ', ' ORDER BY 1) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) IN ('alive', 'alive too', 'asker', 'app', 'batch')";
		my $old    = $asker->do("sql 0 $rows");
		my $sum    = $asker->do('sql 0 ' . $count =~ s/\$1/true/r);
		my $victim = $alive->do('pid 1');
		my $pid    = $asker->do("sql 0 $worker");
		wait_for_save($node, "$how: it is saved");
		my $data = contents($file);
		$offset = -s $node->logfile;
		$how{$how}->($victim, $pid);
		wait_for_log(
			$node,
			qr/database system was (?:not properly shut down|interrupted).*ready to accept connections/s,
			"$how: the server is back",
			$offset
		);
		wait_for(
			$node,
			"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool_monitor'",
			"$how: the worker is there", '1'
		);
		wait_for(
			$node,
			'SELECT count(*) FROM pool_monitor.budgets',
			"$how: the pools are in force", '2'
		);
		is(ask($events), "started, statistics_lost: $disorder", "$how: an event says so");
		is(
			ask(
				"SELECT detail ->> 'sessions_lost' FROM pool_monitor.events WHERE event = 'statistics_lost' AND $since_start"
			),
			'6',
			"$how: and how many sessions are lost"
		);
		is(
			ask(
				"SELECT (detail ->> 'saved')::timestamptz >= '2000-01-01 00:00:00+00'::timestamptz + interval '"
				  . field($data, 'saved_at')
				  . " us' FROM pool_monitor.events WHERE event = 'statistics_lost' AND $since_start"
			),
			't',
			"$how: and when it was saved"
		);
		is(ask($rows),                   $old, "$how: what was saved is back");
		is(ask($count =~ s/\$1/false/r), $sum, "$how: who was there is lost");
		is(
			ask(
				"SELECT sum(connections) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) IN ('alive', 'alive too', 'asker')"
			),
			'0',
			"$how: and is there no longer"
		);
		wait_for($node, $balanced, "$how: connects less disconnects are connections");
		is(
			ask(
					'SELECT min(seq) > '
				  . field($data, 'last_event')
				  . " FROM pool_monitor.events WHERE $since_start"
			),
			't',
			"$how: the numbers of the events go on"
		);
		is(log_count($node, $not_used, $offset), 0, "$how: no complaint about the file");
		wait_for_save($node, "$how: saving goes on");
		wait_for_save($node, "$how: and on");
		$_->close foreach $alive, $alive_too, $asker;
	};
}

# What a session has done is saved as often, however seldom the worker samples.
subtest 'sampling seldom' => sub {
	set($node, "sample_interval = '1min'");
	$node->reload;
	wait_for_save($node, 'sampling seldom: it is saved') foreach 1 .. 2;
	my $batch = PoolMonitor::Holder->new($node, application_name => 'seldom', sessions => 1);
	$batch->do("sql 0 SELECT $_") foreach 1 .. 10;
	my $pid_of_worker = $batch->do("sql 0 $worker");
	wait_for_save($node, 'sampling seldom: it is saved once more');
	set($node, "sample_interval = '50ms'");

	# what an earlier crash has left says the same
	my $starts = "SELECT max(seq) FROM pool_monitor.events WHERE event = 'started'";
	my $before = ask($starts);
	kill 'KILL', $pid_of_worker;
	wait_for($node, "SELECT ($starts) > $before", 'sampling seldom: it has crashed');
	wait_for(
		$node, $events,
		'sampling seldom: the server is back',
		"started, statistics_lost: $disorder"
	);
	is(
		ask(
			"SELECT connects, disconnects, ended_lost, transactions >= 10 FROM pool_monitor.pool_stats WHERE application_name = 'seldom'"
		),
		'1|1|1|t',
		'sampling seldom: what was saved is all that had been done'
	);
	$batch->close;
};

subtest 'before the first periodic save after a clean start' => sub {
	set($node, "save_interval = '1d'");
	$node->restart;
	ok(wait_until_running($node), 'before the first save: the file is no longer complete');
	wait_for($node, $events, 'before the first save: nothing is lost yet', 'started');
	is(ask("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"),
		'1', 'before the first save: batch is back');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
