# The log lines of echo_pool: one for each begin, and one for each kind of end. Needs
# clients that end in every way, and the server log.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorEvents;
use Test::More;

my $node = events_server('echo');
foreach my $name ('echo', 'silent')
{
	subtest $name => sub {
		my $n     = 0;
		my $ended = sub {
			my ($how) = @_;
			$n++;
			wait_for(
				$node,
				"SELECT disconnects FROM pool_monitor.pool_stats WHERE pool = '$name'",
				"$name: session $n has ended", $n
			);
			return unless $name eq 'echo';
			return wait_for_log(
				$node,
				qr/LOG:  pool "echo": session ended: $how, after \d+\.\d{3} s and \d+ transactions\n/,
				"logged as ended $how"
			);
		};
		my $client;

		is(psql_as($node, $name, 'SELECT 1', 'SELECT 2'),
			'', "$name: a session of two transactions");
		$ended->('by the client');
		$client = holder($node, $name);
		kill 'KILL', $client->{pid};
		$client->close;
		$ended->('abandoned by the client');
		$client = holder($node, $name);
		$client->do('sql 0 SET idle_session_timeout = 1');
		$ended->('by a time-out');
		$client->close;
		$client = holder($node, $name);
		query($node, 'SELECT pg_terminate_backend(' . $client->do('pid 0') . ')');
		$ended->('terminated');
		$client->close;
		$client = holder($node, $name);
		wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = '$name'",
			"$name: stale", '1');
		is(query($node, "SELECT action FROM pool_monitor.recycle('$name', dry_run => false)"),
			'retired', "$name: retired");
		$ended->('retired');
		$client->close;
		wait_for(
			$node,
			"SELECT connects, disconnects, ended_client, ended_abandoned, ended_timeout, ended_killed, retired FROM pool_monitor.pool_stats WHERE pool = '$name'",
			"$name: five sessions, each with another end",
			'5|5|1|1|1|1|1'
		);
	};
}

subtest 'the log' => sub {
	is(psql_as($node, 'storm', 'SELECT 1'), '', 'a session of another pool');
	is(
		log_count(
			$node,
			'LOG:  pool "echo": session began: application "echo", database "postgres", role "client"\n'
		),
		5,
		'five sessions began, by the log'
	);
	is(
		log_count(
			$node,
			'LOG:  pool "echo": session ended: by the client, after \d+\.\d{3} s and 2 transactions\n'
		),
		1,
		'the first had two transactions'
	);
	is(log_count($node, 'session began'), 5, 'none of another pool, and no storm');
	is(log_count($node, 'session ended'), 5, 'nor of their ends');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
