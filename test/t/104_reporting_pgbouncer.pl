# A real PgBouncer that is reported, with clients/pgbouncer: its figures, and that this
# disturbs neither its clients nor the books. Needs PgBouncer itself, and clients of it that
# have to wait.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorReporting;
use PostgreSQL::Test::Utils;
use Test::More;

my $pgbouncer = installed('PgBouncer', 'pgbouncer', '/usr/sbin', '/usr/bin');

my $node = reporting_server('reporting_pgbouncer', log_statements => 1);
declare(
	$node,
	insert_pool(
		'bouncer',
		application_name => 'NULL',
		usename          => "'app'",
		pool_size        => 2,
		max_overflow     => 0
	)
);

my $dir  = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
append_to_file("$dir/pgbouncer.ini", <<EOC);
[databases]
shared = host=@{[$node->host]} port=@{[$node->port]} dbname=postgres user=app
[pgbouncer]
listen_port = $port
unix_socket_dir = $dir
auth_type = any
logfile = $PostgreSQL::Test::Utils::log_path/reporting_pgbouncer.log
pool_mode = transaction
default_pool_size = 2
query_wait_timeout = 2
EOC
my @running = IPC::Run::start([$pgbouncer, '-q', "$dir/pgbouncer.ini"], '<' => \undef);

END
{
	local $?;
	$_->kill_kill foreach grep { defined } @running;
}
wait_until(sub { -S "$dir/.s.PGSQL.$port" }, 'PgBouncer listens');

# A client of PgBouncer's, that waits for as long as it has to.
sub begin_client
{
	my ($out, $err) = ('', '');
	my $client = IPC::Run::start(
		['psql', '-XAtw', '-h', $dir, '-p', $port, '-U', 'any', '-d', 'shared', '-c', 'SELECT 42'],
		'<'  => \undef,
		'>'  => \$out,
		'2>' => \$err
	);
	return sub { $client->finish; return $out . $err; };
}

# What the console says of the pool.
sub console
{
	my ($column) = @_;
	my ($out)    = run_command(
		[
			'psql', '-XAw', '-h', $dir,        '-p', $port,
			'-U',   'any',  '-d', 'pgbouncer', '-c', 'SHOW POOLS'
		]
	);
	my ($names, $row) = (grep { /^(?:database|shared)\|/ } split /\n/, $out);
	my %pool;
	@pool{split /\|/, $names} = split /\|/, $row // '';
	return $pool{$column} // 0;
}

my $application = PoolMonitor::Holder->new(
	$node,
	dsn      => "host=$dir port=$port dbname=shared user=any",
	sessions => 2
);
$application->do('sql 0 SELECT 1');
my $said = '';
push @running,
  IPC::Run::start(
	[
		python(), "$FindBin::RealBin/../../clients/pgbouncer/pool_monitor_pgbouncer",
		'-h',     $dir, '-p', $port, '-U', 'any', '-i', '0.2'
	],
	'<'  => \undef,
	'>'  => \$said,
	'2>' => \$said
  );

# Both connections are out. One more client waits, and nobody else does.
sub fill
{
	$application->do("sql $_ BEGIN") foreach 0, 1;
	my $client = begin_client();
	wait_until(sub { console('maxwait_us') > 500_000 }, 'its client waits');
	return $client;
}

sub free
{
	$application->do("sql $_ COMMIT") foreach 0, 1;
	return;
}

subtest 'only clients wait for a pool that is full, not its reports' => sub {
	wait_for_shown($node, 'bouncer', 'size, max_overflow, open, checked_out, waiting',
		'2|0|1|0|0', 'its pool is reported');
	my $client = fill();

	# a report that was on its way when the pool filled may be there for a moment
	wait_until(sub { console('cl_waiting') == 1 }, 'only the client waits');
	is(console('cl_waiting'), 1, 'when it is full only the client waits, not the report');
	free();
	is($client->(), "42\n", 'it gets its turn');
	$client = fill();
	like($client->(), qr/query_wait_timeout/, 'one waits for too long');
	free();
};

# Four transactions, one that waited, and perhaps the SET of a connection that PgBouncer opened.
subtest 'its pool says what was' => sub {
	wait_for_shown($node, 'bouncer',
		'size, max_overflow, open, checked_out, waiting, checkouts BETWEEN 5 AND 6',
		'2|0|2|0|0|t', 'its pool says what was');
	wait_for_counted($node, 'bouncer', 'checkouts BETWEEN 5 AND 6, waited_seconds >= 0.5',
		't|t', 'and so say the sums of the pool');
};

my $checkouts = counted($node, 'bouncer', 'checkouts');

subtest 'reports are no transactions, no clients, and no use' => sub {
	my $before = counted($node, 'bouncer', 'transactions');
	wait_for_idle($node, 'bouncer');
	is(counted($node, 'bouncer', 'transactions'), $before,    'reports are no transactions');
	is(counted($node, 'bouncer', 'checkouts'),    $checkouts, 'nor clients');
};

subtest "what goes wrong is not the clients' concern" => sub {
	my $offset = -s $node->logfile;
	refuse_reports($node);
	wait_for_refused($node, 'a report fails', $offset);
	my $client = fill();
	free();
	is($client->(), "42\n", 'meanwhile a client has to wait');
	$offset = -s $node->logfile;
	wait_for_refused($node, 'one more fails', $offset);
	told_later($node, qr/longest_wait => (?:0\.[3-9]|[1-9])/);
	wait_for_shown($node, 'bouncer', "checkouts - $checkouts, open, checked_out",
		'3|2|0', 'what failed is not counted');
};

$application->close;
done_testing();
