# A server that is full: refusals are counted exactly, with and without a
# PGPROC, and nothing else is counted as one. Needs a server to fill up, and its log.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('refusals',
	"max_connections = 12\nsuperuser_reserved_connections = 3\nmax_wal_senders = 0\nautovacuum_max_workers = 1\nmax_worker_processes = 2\nmax_logical_replication_workers = 0\nlog_error_verbosity = verbose\n"
);
query($node,
	'CREATE ROLE app LOGIN; CREATE ROLE limited LOGIN CONNECTION LIMIT 1; CREATE DATABASE small CONNECTION LIMIT 1'
);

sub refused { return query($node, 'SELECT refused FROM pool_monitor.server') }

# With -c, because psql may be gone before a test could write to its input.
sub try_login
{
	my ($user, $db) = @_;
	my $dsn = $node->connstr($db // 'postgres') . " user=$user";
	my ($out, $err) = run_command(['psql', '-X', '-d', $dsn, '-c', 'SELECT 1']);
	return $err;
}

subtest 'a limit of a role or of a database refuses nobody, nor does another failure' => sub {
	is(refused(), '0', 'none at first');
	my $one = PoolMonitor::Holder->new($node, user => 'limited');
	like(try_login('limited'), qr/too many connections for role/, 'a role over its limit');
	my $two = PoolMonitor::Holder->new($node, user => 'app', dbname => 'small');
	like(
		try_login('app', 'small'),
		qr/too many connections for database/,
		'a database over its limit'
	);
	like(try_login('nobody'),         qr/does not exist/, 'a role that does not exist');
	like(try_login('app', 'nowhere'), qr/does not exist/, 'a database that does not exist');
	is(refused(), '0', 'none of them is a refusal');
	$_->close foreach ($one, $two);
};

my $app;
subtest 'the last slots are reserved: refused with a PGPROC' => sub {
	wait_for($node, 'SELECT connections FROM pool_monitor.server', 'alone', '1');
	$app = PoolMonitor::Holder->new($node, user => 'app', sessions => 9);
	like(try_login('app'), qr/remaining connection slots are reserved/, 'the reserved slots');
	is(refused(), '1', 'counted');
	wait_for(
		$node,
		'SELECT max_connections, reserved, usable, connections, available FROM pool_monitor.server',
		'what server says of it, once the sessions of this test itself have gone',
		'12|3|9|10|0'
	);
};

subtest 'none is left at all: refused before there is a PGPROC' => sub {
	my $boss = PoolMonitor::Holder->new($node, sessions => 3);
	like(try_login('app'), qr/too many clients already/, 'no slot is left') for 1 .. 5;
	is($boss->do('sql 0 SELECT refused FROM pool_monitor.server'), '6', 'each is counted');
	is(log_count($node, 'FATAL: +53300: +(sorry, too many clients|remaining connection slots)'),
		6, 'as often as the log says');
	is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'and nothing broke');
	$_->close foreach ($app, $boss);
	wait_for($node, 'SELECT connections FROM pool_monitor.server', 'all gone', '1');
	is(query($node, 'SELECT peak_connections FROM pool_monitor.server') >= 12,
		1, 'the peak was the whole server');
};

done_testing();
