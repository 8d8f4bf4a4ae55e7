# Refused logins make scheduled retirement pause where sessions fill the server, not where
# logins without a password do. Needs hanging logins, and a worker that acts. Pauses for
# what clients do under a pool's name: 121_pauses_names.pl.
use strict;
use warnings FATAL => 'all';
use IO::Socket::UNIX;
use PoolMonitor           qw(:DEFAULT query holder);
use PoolMonitorRetirement qw(pauses goes_on);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('pauses', <<'EOC');
max_connections = 60
pool_monitor.recycle_interval = 100ms
authentication_timeout = 10min
EOC
$node->safe_psql('postgres', "CREATE ROLE app LOGIN; CREATE ROLE locked LOGIN PASSWORD 'x'");
my $hba = slurp_file($node->data_dir . '/pg_hba.conf');
unlink $node->data_dir . '/pg_hba.conf';
$node->append_conf('pg_hba.conf', "local all locked scram-sha-256\n$hba");
$node->reload;

# Matched by its name alone: anybody can bear it. The canary's is for clean_ups_pass().
sub pool
{
	my ($name, $recycle) = @_;
	declare(
		$node,
		"DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, recycle_mode)
		VALUES ('$name', '$name', 20, 0, '$recycle', '0', 'terminate'), ('canary', 'canary', 20, 0, '1 s', '0', 'terminate')"
	);
	return;
}

# Clean-ups that could have paused retire what begins now.
sub clean_ups_pass
{
	my ($what)  = @_;
	my $retired = "SELECT retired FROM pool_monitor.pool_stats WHERE pool = 'canary'";
	my $now     = query($node, $retired);
	my $canary  = holder($node, 'canary', user => 'app', sessions => 1);
	wait_for($node, $retired, $what, $now + 1);
	$canary->close;
	return;
}

# A connection that is asked for a password and never gives one; what the server
# answers: R, or E when there is no slot.
sub knock
{
	my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port)
	  or die "no connection: $!\n";
	my $body = pack('N', 196608)
	  . join("\0", user => 'locked', database => 'postgres', application_name => 'owner') . "\0\0";
	print {$socket} pack('N', 4 + length $body) . $body;
	$socket->flush;
	sysread($socket, my $answer, 1) or die "no answer: $!\n";
	return ($socket, $answer);
}

my @hanging;

sub knock_until_refused
{
	foreach (1 .. 100)
	{
		my ($socket, $answer) = knock();
		return if $answer eq 'E';
		push @hanging, $socket;
	}
	die "nobody is refused\n";
}

sub leave
{
	close $_ foreach splice @hanging;
	wait_for(
		$node,
		"SELECT count(*) < 10 FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename IS DISTINCT FROM 'app'",
		'they are gone'
	);
	return;
}

my $refused = "SELECT refused FROM pool_monitor.pool_stats WHERE pool = 'owner'";
my $pauses  = 'pool_monitor pauses scheduled retirement: the server refuses connections';
my $resumed = "SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_resumed'";

# psql's own connections are a few; half of what is usable is 28
subtest 'logins without a password, of a server with few sessions, pause nothing' => sub {
	pool('owner', '10 s');
	my $owner = holder($node, 'owner', user => 'app', sessions => 20);
	goes_on($node, 'owner', 1, 'retirement begins');
	my $before = query($node, $refused);
	knock_until_refused();
	pop @hanging foreach 1 .. 8;    # room for this test
	wait_for(
		$node,
		"SELECT refused > $before FROM pool_monitor.pool_stats WHERE pool = 'owner'",
		'logins fill the server, and one is refused'
	);

	# the others may be gone by now
	my $later = holder($node, 'owner', user => 'app', sessions => 3);
	goes_on($node, 'owner', 3, 'retirement goes on all the same');
	is(pauses($node, 'true'), 0, 'without a pause');
	leave();
	$_->close foreach $owner, $later;
};

# Logins are refused second after second until the log says so.
sub refused_until
{
	my ($log, $what, $offset) = @_;
	foreach (1 .. 30)
	{
		last if log_count($node, $log, $offset);
		knock_until_refused();
		select undef, undef, undef, 1.2;
	}
	wait_for_log($node, qr/$log/, $what, $offset);
	return;
}

# The rest may be logins that hang.
subtest 'of one with many, one refusal is not enough, refusals that last are' => sub {
	pool('owner', '1 day');
	my $many = holder($node, 'owner', user => 'app', sessions => 32);
	knock_until_refused();
	pop @hanging foreach 1 .. 5;
	clean_ups_pass('clean-ups that have seen it');
	is(pauses($node, 'true'), 0, 'one refusal, half of the slots being sessions: no pause');
	refused_until($pauses, 'refusals second after second: a pause', 0);
	leave();
	$many->close;
	wait_for($node, $resumed, 'which is over a minute later', 1);
};

subtest 'for logins that hang it never pauses for more than ten minutes of an hour' => sub {
	my $offset = -s $node->logfile;
	create_forge($node);
	my $many   = holder($node, 'owner', user => 'app', sessions => 32);
	my $inside = holder($node, 'inside');    # has its slot already
	refused_until($pauses, 'refusals again: another pause', $offset);

	# a pause for refusals that are nearly a minute old is over soon: some more
	foreach (1 .. 4)
	{
		knock_until_refused();
		select undef, undef, undef, 1.2;
	}
	my $resumes = $inside->do("sql 0 $resumed");
	$offset = -s $node->logfile;
	$inside->do('sql 0 SELECT forge_hour_paused(600000)');
	refused_until(
		'pool_monitor resumes scheduled retirement: logins that hang may be what fills the server, and pauses for them have taken their share of an hour',
		'when pauses have taken ten minutes of the hour it goes on',
		$offset
	);
	is($inside->do("sql 0 $resumed"), $resumes + 1, 'an event says so, too');
	my $before = $inside->do("sql 0 $refused");
	knock_until_refused();
	cmp_ok($inside->do("sql 0 $refused"), '>', $before, 'although logins are refused all the time');
	close $_ foreach splice @hanging, -8;
	my $left = @hanging;
	wait_for($node, "SELECT authenticating <= $left FROM pool_monitor.server",
		'room for this test');
	clean_ups_pass('sessions are retired');
	is(log_count($node, $pauses, $offset), 0, 'and there is no other pause');
	leave();
	$_->close foreach $many, $inside;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
