# The counters of pool_stats: every login in its own column, under the right name, and in
# no other. Needs logins that fail in all the ways there are, and a server that is full.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAccounts;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = accounts_server('accounts', "listen_addresses = '127.0.0.1'\n");
my $data = $node->data_dir;
make_certificate($node);
my $rest = slurp_file("$data/pg_hba.conf");
open my $hba, '>', "$data/pg_hba.conf" or die;
print $hba "local all scram scram-sha-256\nlocal all unwanted reject\n";
print $hba "hostssl all plain 127.0.0.1/32 reject\n";
print $hba "host all all 127.0.0.1/32 trust\n$rest";
close $hba;
$node->restart;
$node->safe_psql('postgres', <<EOS);
CREATE ROLE unwanted LOGIN;
CREATE ROLE plain LOGIN;
CREATE ROLE limited LOGIN CONNECTION LIMIT 0;
CREATE ROLE nologin;
CREATE DATABASE closed;
REVOKE CONNECT ON DATABASE closed FROM PUBLIC;
CREATE DATABASE small CONNECTION LIMIT 0;
EOS

sub login
{
	my ($options, $sql) = @_;
	my $dsn = 'port=' . $node->port . " dbname=postgres user=app application_name=web $options";
	$dsn = 'host=' . $node->host . " $dsn" unless $options =~ /host=/;
	my ($out, $err) = run_command(['psql', '-X', '-w', '-d', $dsn, '-c', $sql // 'SELECT 1']);
	return $err;
}

subtest 'logins' => sub {
	check(
		$node, 'a session',
		sub { is(login(''), '', 'it works') },
		{web => {connects => 1, disconnects => 1, ended_client => 1}}
	);
	check(
		$node,
		'a missing database',
		sub { like(login('dbname=nowhere'), qr/does not exist/, 'refused') },
		{web => {rejected => 1}}
	);
	check(
		$node,
		'a missing role',
		sub { like(login('user=nobody'), qr/does not exist/, 'refused') },
		{web => {rejected => 1}}
	);
	check(
		$node,
		'a role without LOGIN',
		sub { like(login('user=nologin'), qr/not permitted to log in/, 'refused') },
		{web => {rejected => 1}}
	);
	check(
		$node,
		'no CONNECT privilege',
		sub { like(login('dbname=closed'), qr/permission denied/, 'refused') },
		{web => {rejected => 1}}
	);
	check(
		$node,
		'a role over its limit',
		sub { like(login('user=limited'), qr/too many connections for role/, 'refused') },
		{web => {rejected => 1}}
	);
	check(
		$node,
		'a database over its limit',
		sub { like(login('dbname=small'), qr/too many connections for database/, 'refused') },
		{web => {rejected => 1}}
	);
	check(
		$node,
		'a wrong password, in a pool that goes by role',
		sub {
			like(login('user=scram password=wrong'), qr/password authentication failed/, 'refused');
		},
		{'by role' => {auth_failures => 1}}
	);
	check(
		$node,
		'the right one',
		sub { is(login('user=scram password=right'), '', 'it works') },
		{'by role' => {connects => 1, disconnects => 1, ended_client => 1}}
	);
	check(
		$node,
		'a client that goes away when it is asked for its password',
		sub { like(login('user=scram'), qr/no password supplied/, 'gone') }, {}
	);
	check(
		$node,
		'a line in pg_hba.conf that rejects',
		sub { like(login('user=unwanted'), qr/pg_hba.conf rejects/, 'refused') },
		{web => {auth_failures => 1}}
	);
	check(
		$node,
		'sslmode=prefer: one login with SSL',
		sub { is(login('host=127.0.0.1 sslmode=prefer'), '', 'it works') },
		{web => {connects => 1, disconnects => 1, ended_client => 1}}
	);
	check(
		$node,
		'sslmode=prefer: rejected with SSL, tried again without',
		sub { is(login('host=127.0.0.1 sslmode=prefer user=plain'), '', 'it works') },
		{web => {auth_failures => 1, connects => 1, disconnects => 1, ended_client => 1}}
	);
	check(
		$node,
		'a discovered application',
		sub { like(login('application_name=stray dbname=nowhere'), qr/does not exist/, 'refused') },
		{stray => {rejected => 1}}
	);
	check(
		$node,
		'a longer name than the server keeps',
		sub {
			like(
				login('application_name=' . 'x' x 80),
				qr/^NOTICE: .* will be truncated/,
				'it works'
			);
		},
		{'x' x 63 => {connects => 1, disconnects => 1, ended_client => 1}}
	);
	check(
		$node,
		'a name that is not ASCII',
		sub { is(login("application_name=caf\xc3\xa9"), '', 'it works') },
		{
			(
				$node->safe_psql('postgres', 'SHOW server_version_num') < 160000
				? 'caf??'
				: 'caf\xc3\xa9'
			) => {connects => 1, disconnects => 1, ended_client => 1}
		}
	);
	$node->safe_psql('postgres', "ALTER ROLE app SET application_name = 'web by role'");
	check(
		$node,
		'application_name by ALTER ROLE',
		sub { is(login('dbname=postgres'), '', 'it works') },
		{web => {connects => 1, disconnects => 1, ended_client => 1}}
	);
	$node->safe_psql('postgres', "ALTER ROLE app RESET application_name");
};

# With a PGPROC, then without, also for a superuser.
subtest 'a server that is full' => sub {
	my $hold =
	  PoolMonitor::Holder->new($node, application_name => 'hold', user => 'app', sessions => 17);
	check(
		$node,
		'reserved slots',
		sub { like(login(''), qr/remaining connection slots are reserved/, 'refused') },
		{web => {refused => 1}}
	);
	my $boss = PoolMonitor::Holder->new($node, application_name => 'boss', sessions => 2);
	my $full = PoolMonitor::Holder->new($node, application_name => 'full', sessions => 1);
	like(login(''),              qr/too many clients already/, 'no slot is left');
	like(login('user=postgres'), qr/too many clients already/, 'not for a superuser either');
	like(
		login('application_name=stray2'),
		qr/too many clients already/,
		'nor an unknown application'
	);
	is($full->do("sql 0 SELECT refused FROM pool_monitor.pool_stats WHERE pool = 'web'"),
		3, 'each is counted');
	is(
		$full->do(
			"sql 0 SELECT refused || ' ' || connects || ' ' || rejected || ' ' || auth_failures FROM pool_monitor.pool_stats WHERE application_name = 'stray2'"
		),
		'1 0 0 0',
		'also for an application that was never seen before'
	);
	is($full->do('sql 0 SELECT refused FROM pool_monitor.server'), 4, 'and for the server');
	$_->close foreach ($hold, $boss, $full);
	wait_for($node, 'SELECT connections FROM pool_monitor.server', 'all are gone', 1);
};

is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'nothing broke');
done_testing();
