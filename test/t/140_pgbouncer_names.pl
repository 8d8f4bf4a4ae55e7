# Names in PgBouncer's console are anybody's: it lists a pool as soon as somebody asks for it,
# before he has authenticated. What clients/pgbouncer makes of names that are commands, forged
# rows, or nothing. Needs PgBouncer itself, and start-up packets that no client library sends.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IO::Socket::UNIX;
use IPC::Run;
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorReporting;
use PostgreSQL::Test::Utils;
use Test::More;

my $pgbouncer = installed('PgBouncer', 'pgbouncer', '/usr/sbin', '/usr/bin');

my $dir      = PostgreSQL::Test::Utils::tempdir_short();
my $port     = PostgreSQL::Test::Cluster::get_free_port();
my $touched  = "$dir/F";
my $odd_base = "host=/nowhere dbname=x[\$(touch $touched)]";
my $odd_role = "-U \$(touch $touched) 'a";

my @commands = (
	"\$(touch $touched)",
	"x[\$(touch $touched)]",
	"`touch $touched`",
	"a';touch $touched;#",
	"x]}+a[\$(touch $touched)",
	"\\! touch $touched",
	"|touch $touched",
	"\$((x[\$(touch $touched)]))"
);
my $forged = join "\x1f", 'shared', 'app', (9) x 16;
my @others = (
	$forged,            "y\nshared|app|9|9|9|9|9|9",
	"z\n$forged",       "end\n",
	"version",          "",
	'x' x 63,           '-c',
	'--command=\q',     '@',
	'*',                ']',
	'"',                "'",
	'\\',               "\xff\xfe",
	'dbname=pgbouncer', 'pgbouncer ',
	' ',                "\e[2J",
	'postgresql://x/y'
);

my $node = reporting_server('pgbouncer_names');
query($node, q{CREATE ROLE "} . $odd_role . q{" LOGIN});
$node->safe_psql('postgres', qq{CREATE DATABASE "$odd_base"});
$node->safe_psql($odd_base,  'CREATE EXTENSION pool_monitor');
declare(
	$node,
	join '',
	map {
		insert_pool(
			$_->[0],
			application_name => 'NULL',
			usename          => $_->[1],
			pool_size        => 2,
			max_overflow     => 0
		)
	} ['bouncer', "'app'"],
	['odd', '$$' . $odd_role . '$$']
);

# PgBouncer lists no user that it does not know
my @users = grep {
	length
	  && !/
/
} @commands, @others, $odd_role, qw(app stats);
append_to_file(
	"$dir/users",
	join '',
	map {
		sprintf qq{"%s" "secret"
}, s/"/""/gr
	} @users
);
append_to_file("$dir/pgpass", "*:*:*:*:secret\n");
chmod 0600, "$dir/pgpass" or die;
append_to_file("$dir/pgbouncer.ini", <<EOC);
[databases]
shared = host=@{[$node->host]} port=@{[$node->port]} dbname=postgres
* = host=@{[$node->host]} port=@{[$node->port]}
[pgbouncer]
listen_port = $port
unix_socket_dir = $dir
auth_type = md5
max_client_conn = 400
auth_file = $dir/users
stats_users = stats
logfile = $PostgreSQL::Test::Utils::log_path/pgbouncer_names.log
pool_mode = transaction
default_pool_size = 2
EOC
$ENV{PGPASSFILE} = "$dir/pgpass";
my @running = IPC::Run::start([$pgbouncer, '-q', "$dir/pgbouncer.ini"], '<' => \undef);

END
{
	local $?;
	$_->kill_kill foreach grep { defined } @running;
}
foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if -S "$dir/.s.PGSQL.$port";
	select undef, undef, undef, 0.1;
}

# Asks for a database as a user, and says nothing more.
my @asking;

sub ask_for
{
	my ($database, $user) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => "$dir/.s.PGSQL.$port") or die "no socket: $!";
	my $packet = pack 'N Z* Z* Z* Z* x', 0x30000, 'user', $user, 'database', $database;
	$socket->syswrite(pack('N', 4 + length $packet) . $packet);
	push @asking, $socket;
	return;
}

# The console lists a pool so.
sub is_listed
{
	my ($row) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @console = (
		'psql', '-XAtw', '-h', $dir,        '-p', $port,
		'-U',   'stats', '-d', 'pgbouncer', '-c', 'SHOW POOLS'
	);
	my $out = '';
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		($out) = run_command(\@console);
		last if $out =~ /^\Q$row\E\|/m;
		select undef, undef, undef, 0.1;
	}
	return like($out, qr/^\Q$row\E\|/m, 'it is listed');
}

sub application
{
	my ($database, $user) = map { s/([\\'])/\\$1/gr } @_;
	my $client = PoolMonitor::Holder->new($node,
		dsn => "host=$dir port=$port dbname='$database' user='$user'");
	$client->do('sql 0 SELECT 1');
	return $client;
}

sub begin_reporter
{
	my ($said) = @_;
	my $reporter = IPC::Run::start(
		[
			"$FindBin::RealBin/../../clients/pgbouncer/pool_monitor_pgbouncer",
			'-h', $dir, '-p', $port, '-U', 'stats', '-i', '0.2'
		],
		'<'  => \undef,
		'>'  => $said,
		'2>' => $said
	);
	push @running, $reporter;
	return $reporter;
}

my $app = application('shared',  'app');
my $odd = application($odd_base, $odd_role);

# Some shells evaluate once more what an older one would. First commands alone: after the
# other names a script that falls for those may not get that far.
foreach my $compatible ('50', '51', undef)
{
	my $what = 'BASH_COMPAT ' . ($compatible // 'not set');
	local $ENV{BASH_COMPAT} = $compatible // '';
	delete local $ENV{BASH_COMPAT} unless defined $compatible;

	subtest "names are never run, nor anything but names: $what" => sub {
		query($node, 'SELECT pool_monitor.reset()');
		foreach my $name (@commands, $compatible ? () : @others)
		{
			ask_for($name,    'app');
			ask_for('shared', $name) if grep { $_ eq $name } @users;
		}
		is_listed($_)
		  foreach "$commands[1]|app", "shared|$commands[1]",
		  $compatible ? () : ("z\n$forged|app", "|app");

		my $said     = '';
		my $reporter = begin_reporter(\$said);
		my $mine     = "process LIKE '%:$reporter->{KIDS}[0]{PID}:%'";

		# a report that meets a statement opens the second connection, which then stays
		my $is =
		  "bool_or((size, checked_out, waiting) = (2, 0, 0) AND open IN (1, 2)) FILTER (WHERE $mine)";
		wait_for_shown($node, 'bouncer', $is, 't', 'the others are reported');
		wait_for_shown($node, 'odd',     $is, 't', 'so is one of such a name');
		ask_for("\$(touch $touched)$_", 'app') foreach 1 .. 5;
		$app->do('sql 0 SELECT 1') foreach 1 .. 5;
		wait_for_shown($node, 'bouncer', "bool_or(checkouts BETWEEN 5 AND 8) FILTER (WHERE $mine)",
			't', 'with what they did, whoever asks for their database');
		ok(!-e $touched, 'nothing was run');
		unlink $touched;
		ok($reporter->pumpable, 'it goes on');
		is($said, '', 'and has nothing to say');
		$reporter->kill_kill;
		@asking = ();
	};
}

$_->close foreach $app, $odd;
done_testing();
