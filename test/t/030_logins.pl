# Logins under way hold connection slots, and the view server says so; those that fail before
# they are authenticated are counted, whatever makes them fail. Needs clients that
# stop when they are asked for a password, and a server that is restarted meanwhile.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = $PostgreSQL::Test::Utils::timeout_default;
my $node    = new_server('logins', "max_connections = 20\nautovacuum = off\n");

$node->safe_psql('postgres', "CREATE ROLE asked LOGIN PASSWORD 'secret'");
unlink $node->data_dir . '/pg_hba.conf';
$node->append_conf('pg_hba.conf', "local all asked scram-sha-256\nlocal all all trust\n");
$node->reload;
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('halted', 'halted', 5, 5)"
);

my ($in, $out, $clients);

# So many clients that are asked for a password.
sub begin
{
	my ($n) = @_;
	($in, $out) = ('', '');
	$clients = IPC::Run::start(
		[
			PoolMonitor::python(), "$FindBin::RealBin/../clients/halted.py",
			$node->host, $node->port, 'asked', $n
		],
		'<',
		\$in,
		'>',
		\$out,
		IPC::Run::timeout(3 * $timeout)
	);
	is(answer(), 'ready', "$n clients are asked for a password");
	return;
}

sub answer
{
	$clients->pump until $out =~ s/^(.*)\n//;
	return $1;
}

sub command { my ($command) = @_; $in .= "$command\n"; return answer() }

my $failures = "SELECT auth_failures FROM pool_monitor.pool_stats WHERE pool = 'halted'";

subtest 'logins under way hold slots, and are no sessions' => sub {
	begin(12);
	wait_for(
		$node,
		'SELECT max_connections, usable, connections, authenticating, available FROM pool_monitor.server',
		'their slots are in use, though they are no connections',
		'20|17|1|12|4'
	);
	is($node->safe_psql('postgres', 'SELECT sum(connections) FROM pool_monitor.applications'),
		'1', 'nobody sees a session in them');
};

subtest 'a wrong answer is a failure, a client that leaves is none' => sub {
	is($node->safe_psql('postgres', $failures), '0', 'none has failed');
	is(command('nonsense 0'), '08P01', 'a message that is not the one that was asked for');
	wait_for($node, $failures, 'is a failure', '1');
	is(command('leave 1'), 'left', 'a client that goes away');
	wait_for($node, 'SELECT authenticating FROM pool_monitor.server', 'gives its slot back', '10');
	is($node->safe_psql('postgres', $failures), '1', 'and is none: psql does so to ask its user');
};

# The time is taken from the setting when a login begins: new clients.
subtest 'no answer in time is a failure' => sub {
	$clients->kill_kill;
	wait_for($node, 'SELECT authenticating FROM pool_monitor.server', 'all have gone', '0');
	$node->append_conf('postgresql.conf', 'authentication_timeout = 1s');
	$node->reload;
	begin(3);
	command("end $_") foreach 0 .. 2;
	wait_for($node, $failures, 'no answer within authentication_timeout is a failure', '4');
	$clients->kill_kill;
	is(log_count($node, 'canceling authentication due to timeout'), 3, 'each of the three');
};

subtest "a shutdown is nobody's failure" => sub {
	$node->append_conf('postgresql.conf', 'authentication_timeout = 10min');
	$node->reload;

	# somebody is asked while the server stops
	begin(2);
	$node->restart;
	$clients->kill_kill;
	wait_for($node, $failures, 'a shutdown is no failure of those it meets', '4');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
$node->stop;
done_testing();
