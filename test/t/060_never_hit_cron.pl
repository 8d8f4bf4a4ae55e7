# Jobs of pg_cron are never retired, and may retire others: as its background workers or
# as its connections, loaded before or after us. Needs pg_cron, and restarts with other
# libraries.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorNeverHit;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'pg_cron is not installed'
  unless -e `$ENV{PG_CONFIG} --sharedir` =~ s/\n//r . '/extension/pg_cron.control';

# One job that takes its time, and one that calls recycle().
sub jobs_go_on
{
	my ($server, $libraries, $workers) = @_;
	my $runs = 'SELECT count(*) FROM cron.job_run_details WHERE status =';

	$server->append_conf('postgresql.conf',
		"shared_preload_libraries = '$libraries'\ncron.use_background_workers = $workers\n");
	$server->safe_psql('postgres',
		'DELETE FROM cron.job_run_details; INSERT INTO gate VALUES (true)');
	$server->restart;
	my $birds = client('canaries.py', $server->host, $server->port, 4, 0);
	wait_for($server, "$runs 'running'", "$libraries: jobs that take long", 2);
	my $pids = $server->safe_psql('postgres',
		'SELECT string_agg(job_pid::text, $$,$$) FROM cron.job_run_details');
	my $jobs =
	  "SELECT pid, backend_type, backend_start FROM pg_stat_activity WHERE pid IN ($pids) OR backend_type = 'pg_cron launcher' ORDER BY pid";
	my $before = $server->safe_psql('postgres', $jobs);
	note($before);
	let_cycles_pass($server);
	is($server->safe_psql('postgres', $jobs), $before, 'they are still there');
	$server->safe_psql('postgres', 'DELETE FROM gate');
	wait_for($server, "$runs 'succeeded'", 'and succeed', 2);
	is($server->safe_psql('postgres', "$runs 'failed'"),      0, 'none failed');
	is(log_count($server, 'PANIC|TRAP|terminated by signal'), 0, 'nothing broke');
	$birds->close;
	return;
}

sub job
{
	my ($server, $role, $command) = @_;
	$server->safe_psql(
		'postgres',
		"SELECT cron.schedule('\@reboot', \$job\$ $command \$job\$)",
		extra_params => ['-U', $role]
	);
	return;
}

my $cron = PostgreSQL::Test::Cluster->new('cron');
$cron->init;
$cron->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'pg_cron,pool_monitor'
cron.host = '${\ $cron->host}'
pool_monitor.sample_interval = 50ms
pool_monitor.recycle_interval = 100ms
pool_monitor.recycle_margin = 0
log_min_messages = log
EOC
$cron->start;
$cron->safe_psql('postgres', <<'EOS');
CREATE EXTENSION pool_monitor; CREATE EXTENSION pg_cron;
CREATE ROLE app LOGIN; CREATE ROLE cleaner LOGIN IN ROLE pg_signal_backend;
GRANT USAGE ON SCHEMA cron TO app, cleaner;
EOS
$cron->safe_psql('postgres', $gate);
declare_all($cron);
recycle_mode($cron, 'terminate');
job($cron, 'app', 'SELECT pass_gate(1)');
job($cron, 'cleaner',
	'DO $$ BEGIN WHILE EXISTS (SELECT FROM gate) LOOP PERFORM pool_monitor.recycle(dry_run => false); PERFORM pg_sleep(0.2); END LOOP; END $$'
);
subtest 'background workers, and pg_cron loaded first' => sub {
	jobs_go_on($cron, 'pg_cron,pool_monitor', 'on');
};

subtest 'connections, and pg_cron loaded last' => sub {
	jobs_go_on($cron, 'pool_monitor,pg_cron', 'off');
};

# pg_cron 1.5 and later.
subtest 'a job each second' => sub {
  SKIP:
	{
		my $version =
		  $cron->safe_psql('postgres',
			q{SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'});
		skip 'pg_cron has no jobs by the second before 1.5', 1
		  unless $version =~ /^1\.([5-9]|\d\d)/;

		$cron->safe_psql('postgres', 'DELETE FROM cron.job_run_details');
		$cron->safe_psql(
			'postgres',
			q{SELECT cron.schedule('1 second', 'SELECT count(*) FROM pool_monitor.recycle(dry_run => false)')},
			extra_params => ['-U', 'cleaner']
		);
		wait_for(
			$cron,
			q{SELECT count(*) > 2 FROM cron.job_run_details WHERE status = 'succeeded'},
			'a job each second that retires sessions'
		);
	}
};

$cron->stop;
done_testing();
