# PgBouncer's pools whose checkouts are not known: two users in one database, and session
# pooling. What clients/pgbouncer reports of them goes on, and is not less than before. Needs
# PgBouncer itself.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorReporting;
use PostgreSQL::Test::Utils;
use Test::More;

my $pgbouncer = installed('PgBouncer', 'pgbouncer', '/usr/sbin', '/usr/bin');
my @users     = qw(app other lasting);

my $node = reporting_server('pgbouncer_uncounted');
query($node, "CREATE ROLE $_ LOGIN") foreach grep { $_ ne 'app' } @users;
declare(
	$node,
	join '',
	map {
		insert_pool(
			$_,
			application_name => 'NULL',
			usename          => "'$_'",
			pool_size        => 2,
			max_overflow     => 0
		)
	} @users
);

my $dir  = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
append_to_file("$dir/users", join '', map { qq{"$_" ""\n} } @users, 'stats');
append_to_file("$dir/pgbouncer.ini", <<EOC);
[databases]
shared = host=@{[$node->host]} port=@{[$node->port]} dbname=postgres
held = host=@{[$node->host]} port=@{[$node->port]} dbname=postgres pool_mode=session
[pgbouncer]
listen_port = $port
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users
stats_users = stats
logfile = $PostgreSQL::Test::Utils::log_path/pgbouncer_uncounted.log
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

sub application
{
	my ($database, $user, $sessions) = @_;
	return PoolMonitor::Holder->new(
		$node,
		dsn      => "host=$dir port=$port dbname=$database user=$user",
		sessions => $sessions
	);
}

my $app      = application('shared', 'app', 1);
my $said     = '';
my $reporter = IPC::Run::start(
	[
		python(), "$FindBin::RealBin/../../clients/pgbouncer/pool_monitor_pgbouncer",
		'-h',     $dir, '-p', $port, '-U', 'stats', '-i', '0.2'
	],
	'<'  => \undef,
	'>'  => \$said,
	'2>' => \$said
);
push @running, $reporter;

# Several reports of it come in, and none of any pool is refused.
sub goes_on
{
	my ($pool) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for_reports($node, $pool, 0, 'a report comes in') foreach 1 .. 4;
	$reporter->pump_nb;
	is($said, '', 'none fails');
	return;
}

subtest 'of two users in one database each goes on, with what was counted before' => sub {
	wait_for_shown($node, 'app', 'open', 1, 'the first is reported');
	$app->do('sql 0 SELECT 1') foreach 1 .. 3;
	wait_for_shown($node, 'app', 'checkouts', 3, 'with what it did');

	my $other = application('shared', 'other', 1);
	wait_for_shown($node, 'other', 'open', 1, 'so is the second');
	$_->do('sql 0 SELECT 1') foreach $app, $other;
	goes_on($_) foreach 'app', 'other';
	is_shown($node, 'app',   'checkouts',        3,    'what the first did before is still there');
	is_shown($node, 'other', 'checkouts, waits', '0|', 'nothing is taken for what the second did');
	is(counted($node, 'app', 'checkouts'), 3, 'the sums of the pool say the same');
	$other->close;
};

# A session has its connection until it ends: another one is idle then.
subtest 'a pool for sessions goes on' => sub {
	my $lasting = application('held', 'lasting', 2);
	$lasting->do("sql $_ SELECT 1") foreach 0, 1;
	$lasting->do('close 1');
	wait_for_shown($node, 'lasting', 'open, checked_out', '2|1', 'it is reported');
	goes_on('lasting');

	is_shown(
		$node, 'lasting', 'checkouts',
		assigns($pgbouncer) ? 2 : 0,
		'no report is among its checkouts, where these are known'
	);
	$lasting->close;
};

$app->close;
done_testing();
