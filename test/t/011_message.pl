# A session whose client's next message has begun to come in is not at rest,
# though the server shows it as idle: in the socket, in part of a message, in
# part of a TLS record. Needs a client that sends in pieces.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool client has_usr2);
use PostgreSQL::Test::Utils;
use Test::More;

my $node =
  new_server('message', "pool_monitor.recycle_interval = 1h\nlisten_addresses = '127.0.0.1'\n");
$node->append_conf('pg_hba.conf', "host all all 127.0.0.0/8 trust\n");
make_certificate($node);
$node->restart;
query($node, 'CREATE ROLE app LOGIN');
declare($node, insert_pool('pieces', pool_recycle => "'1 s'", recycle_grace => "'0'"));

sub start_client
{
	my ($host, @how) = @_;
	my $client = client('pieces.py', $host, $node->port, 'app', @how);
	my $line   = $client->answer;
	($client->{backend}) = $line =~ /^pid (\d+)/ or die "no session: $line\n";
	return $client;
}

sub leave
{
	my ($client) = @_;
	$client->close;
	wait_for($node, 'SELECT connections FROM pool_monitor.budgets', 'it is gone', '0');
	return;
}

my $recycle =
  "SELECT action || coalesce(': ' || reason, '') FROM pool_monitor.recycle(dry_run => false)";

# Waits until the backend has read all that was sent, and waits for more.
sub wait_until_read
{
	my ($client) = @_;
	wait_for(
		$node,
		"SELECT state = 'idle' AND wait_event = 'ClientRead' FROM pg_stat_activity WHERE pid = $client->{backend}",
		'the server shows it as idle'
	);
	foreach (1 .. 100 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my $queued = 0;
		if (open my $file, '-|', 'ss', '-H', '-x', '-t', '-n', '-p')
		{
			while (<$file>) { $queued = 1 if /pid=$client->{backend},/ && (split)[2] > 0 }
			close $file;
		}
		return unless $queued;
		select undef, undef, undef, 0.01;
	}
	die "the backend does not read what was sent\n";
}

foreach my $case (
	['a message over 1 kB in part',                        $node->host, 'plain', 100,   4000],
	['a message over 1 kB in part, but for its last byte', $node->host, 'plain', 1,     2000],
	['a message over 8 kB in part',                        $node->host, 'plain', 10000, 30000],
	['a message over 1 kB in part, by TCP',                '127.0.0.1', 'plain', 100,   4000],
	['a part of a TLS record',                             '127.0.0.1', 'tls',   20,    100],
	['the first bytes of a TLS record',                    '127.0.0.1', 'tls',   130,   100]
  )
{
	my ($what, @how) = @$case;
	subtest "declined: $what" => sub {
		my $client = start_client(@how);
		wait_for($node, 'SELECT stale FROM pool_monitor.budgets', 'stale', '1');
		is($client->do('first'), 'sent', 'sent');
		wait_until_read($client);
		is(query($node, $recycle), 'declined: message from the client waiting', 'declined');
		is($client->do('rest'),    '42', 'the statement runs');
		wait_for($node, $recycle, 'retired when it is at rest again', 'retired');
		leave($client);
	};
}

# Has the stopped backend been asked?
sub is_asked
{
	my ($client) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if has_usr2($client->{backend}, 'ShdPnd');
		select undef, undef, undef, 0.01;
	}
	return 0;
}

# In the socket: the backend is stopped, so that it cannot read what comes.
foreach my $how (['127.0.0.1', 'plain'], [$node->host, 'plain'], ['127.0.0.1', 'tls'])
{
	subtest "declined: what is in the socket, @$how" => sub {
		my $client = start_client(@$how, 0, 10);
		wait_for($node, 'SELECT stale FROM pool_monitor.budgets', 'stale', '1');
		kill 'STOP', $client->{backend};
		is($client->do('first'), 'sent', 'sent to a stopped backend');
		my $asking = $node->background_psql('postgres');
		$asking->query_until(qr/asking/, "\\echo asking\n$recycle;\n");
		ok(is_asked($client), 'it is asked');
		kill 'CONT', $client->{backend};
		like($asking->query('SELECT 1'), qr/declined: message from the client waiting/, 'declined');
		$asking->quit;
		is($client->do('rest'), '42', 'the statement runs');
		leave($client);
	};
}

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
