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
admin_users = any
logfile = $PostgreSQL::Test::Utils::log_path/reporting_pgbouncer.log
pool_mode = transaction
default_pool_size = 2
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

sub ask_console
{
	my ($command) = @_;
	my ($out)     = run_command(
		['psql', '-XAw', '-h', $dir, '-p', $port, '-U', 'any', '-d', 'pgbouncer', '-c', $command]);
	return $out;
}

# What the console says of the pool.
sub console
{
	my ($column) = @_;
	my ($names, $row) =
	  (grep { /^(?:database|shared)\|/ } split /\n/, ask_console('SHOW POOLS'));
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
my $said     = '';
my $reporter = IPC::Run::start(
	[
		python(), "$FindBin::RealBin/../../clients/pgbouncer/pool_monitor_pgbouncer",
		'-h',     $dir, '-p', $port, '-U', 'any', '-i', '0.2'
	],
	'<'  => \undef,
	'>'  => \$said,
	'2>' => \$said
);
push @running, $reporter;

# Of the clients: PgBouncer counts one when it begins, also if it waits in vain; or, of those
# versions that do, when it gets a connection.
my $transactions = 0;

sub free
{
	$application->do("sql $_ COMMIT") foreach 0, 1;
	return;
}

# Both connections are out. One more client waits, and nobody else does: it is tried again
# when a report was on its way just then, which waits, too.
sub fill
{
	foreach (1 .. 20)
	{
		$application->do("sql $_ BEGIN") foreach 0, 1;
		my $client = begin_client();
		$transactions += 3;
		wait_until(sub { console('maxwait') > 0 }, 'its client waits');
		return $client if console('cl_waiting') == 1;
		free();
		$client->();
	}
	die "whenever it is full somebody waits besides the client\n";
}

subtest 'only clients wait for a pool that is full, not its reports' => sub {
	wait_for_shown($node, 'bouncer', 'size, max_overflow, open, checked_out, waiting',
		'2|0|1|0|0', 'its pool is reported');
	my $client = fill();
	pass('when it is full only the client waits, not the report');
	free();
	is($client->(), "42\n", 'it gets its turn');
	$client = fill();
	like(ask_console('SET query_wait_timeout = 1'), qr{^SET}, 'from now on nobody waits for long');
	like($client->(), qr/query_wait_timeout/,                 'one waits for too long');
	ask_console('SET query_wait_timeout = 120');
	free();
	$transactions-- if assigns($pgbouncer);
};

subtest 'its pool says what was' => sub {
	wait_for_shown($node, 'bouncer', 'size, max_overflow, open, checked_out, waiting, checkouts',
		"2|0|2|0|0|$transactions", 'its pool says what was');
	wait_for_counted($node, 'bouncer', 'checkouts, waited_seconds >= 0.5',
		"$transactions|t", 'and so say the sums of the pool');
};

subtest 'reports are no transactions, no clients, and no use' => sub {
	my $before = counted($node, 'bouncer', 'transactions');
	wait_for_idle($node, 'bouncer');
	is(counted($node, 'bouncer', 'transactions'), $before,       'reports are no transactions');
	is(counted($node, 'bouncer', 'checkouts'),    $transactions, 'nor clients');
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
	wait_for_shown($node, 'bouncer', 'checkouts, open, checked_out',
		"$transactions|2|0", 'what failed is not counted');
};

# In its place there is one that ends its session.
subtest 'nor are reports whose connection is lost' => sub {
	my $offset = -s $node->logfile;
	refuse_reports($node);
	query($node, <<'EOS');
CREATE FUNCTION pool_monitor.client_report(text, size int, max_overflow int, open int,
	checked_out int, waiting int, checkouts int, waits int, waited_seconds float8, longest_wait float8,
	reports_before int) RETURNS bool
	LANGUAGE sql VOLATILE AS 'SELECT pg_terminate_backend(pg_backend_pid())'
EOS
	wait_for_log($node, qr/FATAL: .*terminating connection/, 'one is lost', $offset);
	wait_until(sub { $reporter->pump_nb; $said =~ /connection to server was lost/ }, 'it is told');
	query($node,
		'DROP FUNCTION pool_monitor.client_report(text, int, int, int, int, int, int, int, float8, float8, int)'
	);
	take_reports($node);
	$application->do('sql 0 SELECT 1');
	$transactions++;
	wait_for_reports($node, 'bouncer', 0, 'they are taken again');
	wait_for_shown($node, 'bouncer', 'checkouts', $transactions, 'none of them is counted');
};

$application->close;
done_testing();
