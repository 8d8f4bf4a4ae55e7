# The counters of pool_stats: every end and move of a session in its own column, under the
# right name, and in no other; and what becomes of them when pools come and go. Needs
# clients that vanish, and sessions that move.
use strict;
use warnings FATAL => 'all';
use IO::Socket::UNIX;
use PoolMonitor;
use PoolMonitorAccounts;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = accounts_server('accounts_ends');

sub web { return PoolMonitor::Holder->new($node, application_name => 'web', user => 'app', @_) }

# A session of the pool whose client sends a message of no kind: FATAL.
sub talk_nonsense
{
	my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port)
	  or die "cannot connect: $!\n";
	my $start = pack 'N Z* Z* Z* Z* Z* Z* x', 196_608,
	  user             => 'app',
	  database         => 'postgres',
	  application_name => 'web';
	my $answer = '';
	$socket->syswrite(pack('N', 4 + length $start) . $start);
	until ($answer =~ /Z\0\0\0\x05I\z/)
	{
		$socket->sysread($answer, 8192, length $answer) or die "no session: $answer\n";
	}
	$socket->syswrite("\x01\0\0\0\x04");
	1 while $socket->sysread($answer, 8192);
	return;
}

subtest 'ends' => sub {
	check(
		$node,
		'pg_terminate_backend',
		sub {
			my $web = web();
			$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $web->do('pid 0') . ')');
		},
		{web => {connects => 1, disconnects => 1, ended_killed => 1}}
	);
	check(
		$node,
		'a client that vanishes while idle',
		sub { my $web = web(); kill 'KILL', $web->{pid}; $web->close },
		{web => {connects => 1, disconnects => 1, ended_abandoned => 1}}
	);
	check(
		$node,
		'a client that vanishes in a transaction',
		sub { my $web = web(); $web->do('sql 0 BEGIN'); kill 'KILL', $web->{pid}; $web->close },
		{web => {connects => 1, disconnects => 1, ended_abandoned => 1}}
	);
	check(
		$node,
		'a client that vanishes during its statement',
		sub {
			my $web = web();
			$web->do("sql 0 SET client_connection_check_interval = '20ms'");
			my $pid = $web->do('pid 0');
			print {$web->{in}} "sql 0 SELECT pg_sleep(3600)\n";
			$web->{in}->flush;
			wait_for($node, "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid",
				'under way');
			kill 'KILL', $web->{pid};
			$web->close;
		},
		{web => {connects => 1, disconnects => 1, ended_abandoned => 1}}
	);
	foreach my $late (
		['a session that is idle for longer than it may', 'idle_session_timeout', undef],
		['a transaction that is', 'idle_in_transaction_session_timeout',          'BEGIN']
	  )
	{
		my ($what, $setting, $statement) = @$late;
		check(
			$node, $what,
			sub {
				my $web = web();
				$web->do("sql 0 SET $setting = '10ms'");
				$web->do("sql 0 $statement") if $statement;
				wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'",
					'gone', 0);
			},
			{web => {connects => 1, disconnects => 1, ended_timeout => 1}}
		);
	}
	check(
		$node,
		'a session that ends by another fatal error',
		sub {
			talk_nonsense();
			wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'",
				'gone', 0);
		},
		{web => {connects => 1, disconnects => 1, ended_fatal => 1}}
	);
};

subtest 'one is retired and one declines' => sub {
	my $web = web(sessions => 2);
	$web->do('sql 1 SELECT pg_advisory_lock(1)');
	my $before = stats($node)->{web};
	wait_for($node, 'SELECT count(*) FROM pool_monitor.sessions WHERE stale', 'stale', 2);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT string_agg(action || coalesce(' ' || reason, ''), ', ' ORDER BY action) FROM pool_monitor.recycle(dry_run => false)"
		),
		'declined session-level lock, retired',
		'one is retired and one declines'
	);
	is_deeply(
		changes({web => $before}, {web => stats($node)->{web}}),
		{web => {disconnects => 1, retired => 1, declined => 1}},
		'each is counted as what it was'
	);
	$web->close;
};

subtest 'a session that changes its name' => sub {
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'", 'no web', 0);
	check(
		$node,
		'a session that changes its name',
		sub {
			my $roaming =
			  PoolMonitor::Holder->new($node, application_name => 'roaming', user => 'app');
			$roaming->do("sql 0 SET application_name = 'web 2'");
			wait_for(
				$node,
				"SELECT connections = 1 AND taken_over = 1 FROM pool_monitor.pool_stats WHERE pool = 'web'",
				'it moves'
			);
			$roaming->do("sql 0 SET application_name = 'elsewhere'");
			$roaming->close;
		},
		{
			roaming   => {connects   => 1, disconnects => 1, given_over  => 1},
			web       => {connects   => 1, taken_over  => 1, disconnects => 1, given_over   => 1},
			elsewhere => {taken_over => 1, connects    => 1, disconnects => 1, ended_client => 1}
		}
	);
};

my $late;
subtest 'a pool that is declared later takes over those that are alive' => sub {
	$late =
	  PoolMonitor::Holder->new($node, application_name => 'late', user => 'app', sessions => 5);
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name, priority) VALUES ('declared', 'late', 1)"
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT pool, connections, connects, disconnects, taken_over, given_over FROM pool_monitor.pool_stats
		WHERE pool = 'declared' OR application_name = 'late' ORDER BY pool"
		),
		"declared|5|5|0|5|0\n|0|5|5|0|5",
		'a pool that is declared later takes over those that are alive'
	);
	is(
		$node->safe_psql(
			'postgres', "SELECT peak_connections FROM pool_monitor.budgets WHERE pool = 'declared'"
		),
		'5',
		'and has them in its peak'
	);
	$late->do('close 2');
	wait_for(
		$node,
		"SELECT connections, connects, disconnects, ended_client FROM pool_monitor.pool_stats WHERE pool = 'declared'",
		'they end there',
		'3|5|2|2'
	);
};

subtest 'reset() of one, with sessions' => sub {
	$node->safe_psql('postgres', "SELECT pool_monitor.reset('declared')");
	is(
		$node->safe_psql(
			'postgres',
			"SELECT connections, connects, disconnects, taken_over, transactions, hold_max IS NULL, stats_reset > now() - interval '1 min' FROM pool_monitor.pool_stats WHERE pool = 'declared'"
		),
		'3|3|0|3|0|t|t',
		'after reset() the sessions that are there count as taken over'
	);
	is(
		$node->safe_psql(
			'postgres', "SELECT peak_connections FROM pool_monitor.budgets WHERE pool = 'declared'"
		),
		'3',
		'the peak begins anew too'
	);
	cmp_ok(stats($node)->{web}{connects}, '>', 5, 'others are left alone');
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT pool_monitor.reset('nothing')");
	like(
		$err,
		qr/there is no pool or application "nothing" in pool_stats/,
		'a name that is not there'
	);
};

subtest 'declarations deleted and made again: the account is found again' => sub {
	$node->safe_psql('postgres',
		"BEGIN; DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name) VALUES ('web', 'web%'), ('declared', 'late'); COMMIT; SELECT pool_monitor.reload()"
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT connections, connects, taken_over FROM pool_monitor.pool_stats WHERE pool = 'declared'"
		),
		'3|3|3',
		'a pool declared again has its account'
	);
	$node->safe_psql('postgres', "DELETE FROM pool_monitor.pools WHERE name = 'declared'");
	$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
	is(
		$node->safe_psql(
			'postgres',
			"SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'late'"
		),
		'3',
		'without it the sessions are with the application'
	);
	$late->close;
};

subtest 'peaks between two samples' => sub {
	$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 1min\n");
	$node->reload;
	wait_for(
		$node,
		"SELECT setting = '60000' FROM pg_settings WHERE name = 'pool_monitor.sample_interval'",
		'slow sampling'
	);
	run_command(
		[
			'psql', '-X', '-d', $node->connstr('nowhere') . ' user=app application_name=stray',
			'-c',   'SELECT 1'
		]
	);
	$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
	my $burst = web(sessions => 7);
	$burst->do('open 4');
	$burst->close;
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'",
		'it was short', 0);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT peak_connections, peak_at BETWEEN now() - interval '1 min' AND now() FROM pool_monitor.budgets WHERE pool = 'web'"
		),
		'11|t',
		'a peak that no sample has seen'
	);
	is($node->safe_psql('postgres', 'SELECT peak_connections FROM pool_monitor.server'),
		'11', 'also the server\'s');
	is(
		$node->safe_psql(
			'postgres',
			"SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name IN ('stray', 'roaming', 'late')"
		),
		'0',
		'reset() of everything forgets the applications that are gone'
	);
};

subtest 'a storm' => sub {
	my ($out, $err);
	must_run('pgbench', '-i', '-q', '-h', $node->host, '-p', $node->port, 'postgres');
	$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('bench', 'pgbench')");
	{
		local $ENV{PGAPPNAME} = 'pgbench';
		($out, $err) = run_command(
			[
				'pgbench', '-n',        '-S', '-C', '-c', '10',
				'-j',      '2',         '-t', '50', '-h', $node->host,
				'-p',      $node->port, 'postgres'
			]
		);
	}
	like($out, qr{actually processed: 500/500}, 'pgbench -C -c 10');
	wait_for(
		$node,
		"SELECT connections, connects, disconnects, ended_client FROM pool_monitor.pool_stats WHERE pool = 'bench'",
		'as many connects as transactions, and one of pgbench itself',
		'0|501|501|501'
	);
	cmp_ok(
		$node->safe_psql(
			'postgres', "SELECT transactions FROM pool_monitor.pool_stats WHERE pool = 'bench'"
		),
		'>=', 500,
		'and the transactions'
	);
};

# What is not above, and where it is: a new counter is in one of these places.
is_deeply(
	[never_changed($node)],
	[
		'retired_late',                                                   # 083
		'ended_lost',                                                     # 040
		qw(rejected refused),                                             # 013
		qw(guarded would_be_guarded),                                     # 145
		qw(guarded_by_reserves guarded_by_rate),                          # 157
		'auth_failures',                                                  # 013
		'long_holds',                                                     # 052
		qw(checkouts checkout_waits waited_seconds checkout_timeouts),    # 092
		qw(timed_checkouts checked_out_seconds reported_open_seconds),    # 191
		qw(overflow_seconds exhausted_seconds over_seconds),              # 110
		'starved_seconds',                                                # 070
		qw(retirement_paused_seconds storms),                             # 124
	],
	'each counter is counted somewhere'
);

is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'nothing broke');
done_testing();
