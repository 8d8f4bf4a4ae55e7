# Names that anybody can log in with, or try to, are in the details of events, in the log
# and in the advice: of any bytes and of any length they stay valid, and a part of them is
# there. Needs clients with such names, and a server that is full.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder);
use PostgreSQL::Test::Utils;
use Test::More;

# 20 slots for ordinary roles
my $node = new_server('hostile', <<'EOC');
max_connections = 23
superuser_reserved_connections = 3
max_wal_senders = 0
pool_monitor.recycle_interval = 1h
EOC

my $quotes = '"' x 63;
my $slash  = '\\' x 63;
query($node, 'CREATE ROLE "' . ('""' x 63) . '" LOGIN; CREATE ROLE app LOGIN');

sub event
{
	my ($columns, $event) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.events WHERE event = '$event'");
}

# As libpq has it in a connection string.
sub quoted
{
	my ($value) = @_;
	return "'" . $value =~ s/([\\'])/\\$1/gr . "'";
}

sub try_login
{
	my ($user, $dbname, $name) = @_;
	my ($out, $err) = run_command(
		[
			'psql',
			'-X',
			'-c',
			'SELECT 1',
			'-d',
			join ' ',
			'host=' . $node->host,
			'port=' . $node->port,
			'user=' . quoted($user),
			'dbname=' . quoted($dbname),
			'application_name=' . quoted($name)
		]
	);
	return $err;
}

subtest 'names that take all the room of a detail' => sub {
	my $offset = -s $node->logfile;
	my @all    = map {
		PoolMonitor::Holder->new(
			$node,
			application_name => $_->[0],
			sessions         => $_->[1],
			dsn              => 'user=' . quoted($_->[2])
		)
	} [$quotes, 9, $quotes], [$slash, 6, $quotes], ['a', 5, 'app'];
	wait_for($node, 'SELECT available FROM pool_monitor.server', 'no slot is left', '0');
	like(try_login($quotes, 'postgres', 'b'), qr/connection slots are reserved/, 'a full server');
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'server_full'",
		'an event says so', '1'
	);
	is(
		event(
			"jsonb_array_length(detail -> 'holders'), detail -> 'holders' -> 0 ->> 'application', detail -> 'holders' -> 0 ->> 'usename', detail -> 'holders' -> 0 -> 'connections', detail -> 'holders' -> 1 ->> 'application'",
			'server_full'
		),
		"2|$quotes|$quotes|9|a",
		'the first, which leaves no room for the second, and the third'
	);
	wait_for_log(
		$node,
		qr/application "(?:\\"){63}" of role "(?:\\"){63}" 9 connections, [\d.]+ busy; application "\\{126}" of role "(?:\\"){63}" 6 connections, [\d.]+ busy; application "a" of role/,
		'the log has all three',
		$offset
	);
	$_->close foreach @all;
};

subtest 'names of any bytes' => sub {
	my $bytes = "\x01\x7f\xff\xc3\"\\\n";
	foreach (1 .. 5)
	{
		like(try_login("$bytes$quotes", $bytes . 'x' x 70, $quotes),
			qr/FATAL/, 'a login that fails');
	}
	wait_for(
		$node,
		"SELECT count(*) > 0 FROM pool_monitor.events WHERE event IN ('rejected', 'auth_failures')",
		'an event says so'
	);
	my $shown = '????"\\?';
	is(
		query(
			$node,
			"SELECT detail ->> 'usename', detail ->> 'datname' FROM pool_monitor.events WHERE event IN ('rejected', 'auth_failures')"
		),
		$shown . '"' x 56 . '|' . $shown . 'x' x 56,
		'with what can be read of them, as much as the server keeps'
	);
	my ($rc, $out, $err) =
	  $node->psql('postgres', "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'logins'");
	is("$out$err", '1', 'advice reads it');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
