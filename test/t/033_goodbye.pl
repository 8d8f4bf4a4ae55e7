# What pool_monitor logs in a client's process does not go to the client: it could
# raise an error where none may be, and wait for ever where no signal ends the
# process. And a session whose SIGUSR2 was taken over by a library is not ended by it.
# Needs a client that fills its socket up to one message, a server that is stopped,
# and a library that does what it should not.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $to_client = '-c client_min_messages=log';
my $node      = new_server('goodbye', 'pool_monitor.recycle_margin = 0');

# Runs as a client that wants to see log lines; its messages and result.
sub nosy
{
	my ($database, $encoding, $sql) = @_;
	local $ENV{PGAPPNAME}        = 'nosy';
	local $ENV{PGOPTIONS}        = $to_client;
	local $ENV{PGCLIENTENCODING} = $encoding;
	my ($out, $err) =
	  run_command(['psql', '-XAt', '-d', $node->connstr($database), '-c', $sql]);
	return "$out/$err";
}

$node->safe_psql('postgres', 'CREATE DATABASE "r→l"');
declare(
	$node, q{
	INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, echo_pool) VALUES
		('nosy', 'nosy', 2, 0, true), ('deaf', 'deaf', 2, 0, true)}
);

subtest 'a client sees no line of echo_pool' => sub {
	is(nosy('postgres', 'UTF8',   'SELECT 1'), '1/', 'a client sees no line of echo_pool');
	is(nosy('r→l',      'LATIN1', 'SELECT 1'),
		'1/', 'a name that the client\'s encoding does not have is no error in the commit');
	wait_for_log($node, qr/LOG:  pool "nosy": session $_/, "the log has it: session $_")
	  foreach ('began: .* database "r→l"', 'ended: by the client');
	is(log_count($node, 'PANIC|TRAP|has no equivalent'), 0, 'no error');
};

# A library that a session has loaded takes the signal by which it is asked.
my $library = $node->basedir . '/taker.so';
chomp(my $include = `pg_config --includedir-server`);
system('cc', '-shared', '-fPIC', '-pthread', "-I$include", '-o', $library,
	"$FindBin::RealBin/../clients/taker.c") == 0
  or die "cc failed\n";
$node->safe_psql('postgres', "CREATE FUNCTION $_() RETURNS void LANGUAGE c AS '$library', '$_'")
  foreach ('unhandle', 'take', 'to_a_thread');
declare(
	$node, q{
	CREATE ROLE client LOGIN;
	INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace) VALUES
		('taken', 'taken', 2, 0, '1 s', '0')}
);

sub asked
{
	my ($function) = @_;
	my $session = PoolMonitor::Holder->new($node, application_name => 'taken', user => 'client');
	$session->do("sql 0 SELECT $function()") if $function;
	wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'taken'",
		'it is stale', '1');
	my $answer = $node->safe_psql('postgres',
		"SELECT concat_ws(': ', action, reason) FROM pool_monitor.recycle('taken', dry_run => false)"
	);
	$session->close;
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'taken'",
		'it has gone', '0');
	return $answer;
}

subtest 'a session whose SIGUSR2 was taken over is not ended by it' => sub {
	is(asked(''), 'retired', 'a session with its own handler');
	is(
		asked('unhandle'),
		'declined: SIGUSR2 was taken over',
		'one with none is not sent the signal, which would kill it'
	);
	is(asked('take'),        'declined: no answer', 'one with another\'s does not answer');
	is(asked('to_a_thread'), 'declined: no answer', 'another thread does not answer for the first');
	is(log_count($node, 'terminated by signal'), 0, 'nobody was killed');
};

# A client that does not read, and has room for one more message: that it is
# terminated.
sub deaf_client
{
	my ($out, $in) = ('', '');
	my $run = IPC::Run::start(
		[
			PoolMonitor::python(), "$FindBin::RealBin/../clients/deaf.py",
			$node->host,           $node->port,
			$to_client
		],
		'<',
		\$in,
		'>',
		\$out,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default)
	);
	$run->pump until $out =~ /\n/;
	return {run => $run, pid => $out + 0};
}

my @deaf;

subtest 'a session ends though its client reads nothing' => sub {
	push @deaf, deaf_client();
	is($node->safe_psql('postgres', "SELECT pg_terminate_backend($deaf[0]{pid})"),
		't', 'terminated');
	wait_for(
		$node,
		"SELECT count(*) FROM pg_stat_activity WHERE pid = $deaf[0]{pid}",
		'a session ends though its client reads nothing', '0'
	);
	wait_for_log($node, qr/LOG:  pool "deaf": session ended: terminated/, 'and is logged');
};

subtest 'the server stops though a client reads nothing' => sub {
	push @deaf, deaf_client();
	ok($node->stop('fast', fail_ok => 1), 'the server stops');
	like(PoolMonitor::log_text($node), qr/database system is shut down/, 'in good order');
};

$_->{run}->kill_kill foreach @deaf;
done_testing();
