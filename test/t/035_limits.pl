# At the edges of the settings: sizes of gigabytes on a machine that does not have
# them, a result of a million rows, one connection, and a worker that is canceled.
# Needs servers of its own, one of which must not start.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

subtest 'where memory is short, it is said which setting asks for how much' => sub {
	my $huge = PostgreSQL::Test::Cluster->new('huge');
	$huge->init;
	$huge->append_conf('postgresql.conf', <<'EOC');
shared_preload_libraries = 'pool_monitor'
pool_monitor.max_pools = 1000
pool_monitor.history_minutes = 44640
pool_monitor.history_hours = 17568
pool_monitor.max_events = 1000000
pool_monitor.max_applications = 10000
EOC
	my $started = system('bash', '-c', 'ulimit -v 1500000; exec "$@"',
		'bash', 'pg_ctl', '-w', '-D', $huge->data_dir, '-l', $huge->logfile, 'start');
	isnt($started, 0, 'gigabytes of shared memory where there are none: the server does not start');
	my $log = slurp_file($huge->logfile);
	like($log, qr/could not map anonymous shared memory/, 'the server says what it could not get');
	like(
		$log,
		qr/LOG:  pool_monitor asks for \d{4,} MB of shared memory.*could not map anonymous/s,
		'and before that pool_monitor what it asks for'
	);
	my %parts = (
		'History by the minute \("pool_monitor.max_pools" 1000, "pool_monitor.history_minutes" 44640\)'
		  => [2000, 8000],
		'History by the hour \("pool_monitor.max_pools", "pool_monitor.history_hours" 17568\)' =>
		  [800, 3200],
		'Events \("pool_monitor.max_events" 1000000\)'           => [100, 2000],
		'Applications \("pool_monitor.max_applications" 10000\)' => [40,  400],
		'Sessions \("max_connections" \d+ and other processes\)' => [0,   100],
		'Pools \("pool_monitor.max_pools"\) and the rest'        => [1,   100]
	);
	my ($all) = $log =~ /pool_monitor asks for (\d+) MB/;
	my $sum = 0;

	foreach my $part (sort keys %parts)
	{
		my ($mb) = $log =~ /$part: (\d+) MB\./;
		ok(defined $mb && $mb >= $parts{$part}[0] && $mb <= $parts{$part}[1],
			"its share: $part: " . ($mb // 'nothing'));
		$sum += $mb // 0;
	}
	ok(abs($sum - $all) <= keys %parts, "the shares are all of it: $sum of $all MB");
	like($log,
		qr/HINT:  If the server cannot start for want of shared memory, lower these settings/,
		'with a hint');
};

my $node = new_server('limits',
	"pool_monitor.max_pools = 20\npool_monitor.history_minutes = 30000\nwork_mem = 1MB");

subtest 'a server of the usual size logs nothing of it' => sub {
	is(log_count($node, qr/pool_monitor asks for/), 0, 'sizes as usual are not worth a line');
};

create_replay($node);
declare($node,
	q{INSERT INTO pool_monitor.pools (name, application_name) SELECT 'p' || i, 'none' FROM generate_series(1, 20) AS i}
);
$node->safe_psql('postgres',
	"SELECT replay_history('p' || i, 30000, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0) FROM generate_series(1, 20) AS i"
);

subtest 'very many rows of history take little more memory than one' => sub {
	my $peak = q{SELECT substring(pg_read_file('/proc/self/status') FROM 'VmPeak:\s+(\d+)')};
	my ($before, $rows, $after) = split /\n/,
	  $node->safe_psql('postgres', "$peak; SELECT count(*) FROM pool_monitor.history(); $peak");
	cmp_ok($rows,            '>=', 20 * 30000, 'a history of many rows');
	cmp_ok($after - $before, '<',  20_000, 'is read within 20 MB: ' . ($after - $before) . ' kB');
};

# -1 is as many as there is room for: one more, and they do not begin again at 0. A minute
# may end meanwhile, and the next one get it.
subtest 'a minute that has as many transactions as there is room for stays so' => sub {
	my ($stretch, $more);
	for (my $tries = 0 ; $tries < 5 && !$more ; $tries++)
	{
		$stretch = $node->safe_psql('postgres',
			"SELECT replay_history('p1', 1, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0); SELECT bucket_start FROM pool_monitor.history('p1', '1 minute') WHERE transactions = 4294967295 ORDER BY 1 DESC LIMIT 1"
		) =~ s/^\s+//r;
		my $session = PoolMonitor::Holder->new($node, application_name => 'none');
		$session->do('all SELECT 1') foreach 1 .. 3;
		$session->close;
		wait_for(
			$node,
			"SELECT sum(disconnects) > 0 FROM pool_monitor.history('p1', '1 minute', '$stretch')",
			'a session more'
		);
		$more = $node->safe_psql('postgres',
			"SELECT disconnects FROM pool_monitor.history('p1', '1 minute', '$stretch') WHERE bucket_start = '$stretch'"
		);
	}
	ok($more, 'in a minute of very many transactions');
	is(
		$node->safe_psql(
			'postgres',
			"SELECT transactions FROM pool_monitor.history('p1', '1 minute', '$stretch') WHERE bucket_start = '$stretch'"
		),
		'4294967295',
		'there are as many as there is room for'
	);
};

subtest 'the worker goes on when somebody cancels it' => sub {
	my $worker = q{SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type = 'pool_monitor'};
	my $pid    = $node->safe_psql('postgres', $worker);
	is($node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"),
		't', 'the worker is canceled');
	is($node->safe_psql('postgres', 'SELECT pool_monitor.reload()'), 20,   'and still serves');
	is($node->safe_psql('postgres', $worker),                        $pid, 'the same process');
	is(log_count($node, qr/canceling statement|"pool_monitor" \(PID $pid\) exited/),
		0, 'that did not end meanwhile');
};

$node->stop;

subtest 'of one connection the budget is that, not nothing' => sub {
	my $one = new_server(
		'one',
		"max_connections = 1\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0",
		no_extension => 1
	);
	my $answer = $one->safe_psql('postgres', <<'EOS');
SET client_min_messages = warning;
CREATE EXTENSION pool_monitor;
INSERT INTO pool_monitor.pools (name, application_name) VALUES ('p', '%');
DO $$ BEGIN PERFORM pool_monitor.reload(); END $$;
SELECT usable, connection_budget, available, status FROM pool_monitor.server;
SELECT evidence FROM pool_monitor.checklist WHERE item = 5;
SELECT count(*) >= 0 FROM pool_monitor.advice;
EOS
	is(
		$answer,
		"1|1|0|overcommitted\ndeclared budgets 15 of 1 usable: 14 too many\nt",
		'max_connections 1: a budget of 1'
	);
};

done_testing();
