# Applications are told apart by name, database and role: counters, events, what is
# proposed for them, and after a restart. Only TAP has sessions in several databases under
# several roles, logins that fail, and restarts.
use strict;
use warnings FATAL => 'all';
use PoolMonitor         qw(:DEFAULT query holder);
use PoolMonitorStatfile qw(parsed contents file_of);
use Test::More;

my $node = new_server('keys', "max_connections = 24\nsuperuser_reserved_connections = 3\n");
query($node, $_)
  foreach 'CREATE ROLE shop LOGIN', 'CREATE ROLE stock LOGIN', 'CREATE DATABASE shop',
  'CREATE DATABASE stock';

# Each row as database/role connections connects.
sub rows
{
	my ($name, $columns) = @_;
	$columns //= 'connections || \' \' || (connects - taken_over)';
	return
	  "SELECT string_agg(datname || '/' || usename || ' ' || $columns, ', ' ORDER BY datname, usename) FROM pool_monitor.pool_stats WHERE application_name = '$name'";
}

# The name that a driver gives to whoever does not choose one.
my $driver = 'PostgreSQL JDBC Driver';
my %held   = (
	'shop/shop'  => holder($node, $driver, dbname => 'shop',  user => 'shop',  sessions => 3),
	'shop/stock' => holder($node, $driver, dbname => 'shop',  user => 'stock', sessions => 2),
	'stock/shop' => holder($node, $driver, dbname => 'stock', user => 'shop',  sessions => 4)
);

subtest 'one name, three applications' => sub {
	wait_for(
		$node, rows($driver),
		'each has its row',
		'shop/shop 3 3, shop/stock 2 2, stock/shop 4 4'
	);
	$held{'shop/stock'}->do('all SELECT 1');
	$held{'stock/shop'}->do('sql 0 SELECT 1');
	is(
		query($node, rows($driver, 'transactions')),
		'shop/shop 0, shop/stock 2, stock/shop 1',
		'and counts its own transactions'
	);
	is(query($node, 'SELECT sum(connections) FROM pool_monitor.pool_stats'),
		10, 'the rows add up to the sessions');
};

subtest 'another application_name is in the same database and role' => sub {
	$held{'shop/stock'}->do("sql 1 SET application_name = 'renamed'");
	wait_for($node, rows('renamed'), 'it has its row', 'shop/stock 1 0');
	is(
		query($node, rows($driver)),
		'shop/shop 3 3, shop/stock 1 2, stock/shop 4 4',
		'and has left the other'
	);
	$held{'shop/stock'}->do("sql 1 SET application_name = '$driver'");
	wait_for($node, rows($driver), 'it comes back',
		'shop/shop 3 3, shop/stock 2 2, stock/shop 4 4');
};

# The names are those of the login, as the patterns of pools see them.
subtest 'a role that is renamed' => sub {
	query($node, 'ALTER ROLE stock RENAME TO stocks');
	my $after = holder($node, $driver, dbname => 'shop', user => 'stocks');
	wait_for(
		$node, rows($driver),
		'sessions of before stay where they are',
		'shop/shop 3 3, shop/stock 2 2, shop/stocks 1 1, stock/shop 4 4'
	);
	$after->close;
	query($node, 'ALTER ROLE stocks RENAME TO stock');
};

subtest 'logins that fail, under names that are made up' => sub {
	foreach my $who (
		"dbname=shop user=nobody",
		"dbname=nowhere user=shop",
		"dbname='r\xC3\xB6mer' user=shop",
		"dbname='r\xFFmer' user=shop"
	  )
	{
		my ($rc, $out, $err) = $node->psql('postgres', 'SELECT 1',
			connstr => $node->connstr . " $who application_name=tries");
		isnt($rc, 0, "not admitted: $who");
	}
	wait_for(
		$node,
		rows('tries', 'rejected'),
		'each has its row, shown as this encoding can',
		"nowhere/shop 1, r\\xffmer/shop 1, r\xC3\xB6mer/shop 1, shop/nobody 1"
	);
};

subtest 'a client that has no such characters' => sub {
	query($node,
		q(CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C')
	);
	query($node, 'CREATE EXTENSION pool_monitor', 'plain');
	my $shown =
	  "SELECT string_agg(datname, ', ' ORDER BY datname COLLATE \"C\") FROM pool_monitor.pool_stats WHERE application_name = 'tries' AND datname LIKE 'r%'";
	foreach my $client (
		['postgres', 'LATIN1'],
		['postgres', 'SQL_ASCII'],
		['plain',    'UTF8'],
		['plain',    'SQL_ASCII']
	  )
	{
		my ($dbname, $encoding) = @$client;
		is(
			query($node, "SET client_encoding = '$encoding'; $shown", $dbname),
			'r\\xc3\\xb6mer, r\\xffmer',
			"$encoding, in $dbname"
		);
	}
};

subtest 'what is proposed for each matches it and no other' => sub {
	my $advice = "FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding LIKE '%$driver%'";
	is(query($node, "SELECT count(*), count(DISTINCT recommendation) $advice"),
		'3|3', 'there is a proposal for each');
	my @inserts = split /\n/,
	  query($node, "SELECT recommendation $advice ORDER BY finding COLLATE \"C\"");
	query($node, $_) foreach @inserts;
	query($node, 'SELECT pool_monitor.reload()');
	wait_for(
		$node,
		"SELECT string_agg(datname || '/' || usename || ' ' || connections, ', ' ORDER BY datname, usename) FROM pool_monitor.pools p JOIN pool_monitor.budgets b ON b.pool = p.name",
		'each pool has the sessions that it was made from',
		'shop/shop 3, shop/stock 2, stock/shop 4'
	);
	is(query($node, "SELECT count(*) $advice"), 0, 'and nothing is proposed any more');
	query($node, 'DELETE FROM pool_monitor.pools');
	query($node, 'SELECT pool_monitor.reload()');
	wait_for(
		$node,
		rows($driver, 'connections'),
		'without pools they are back',
		'shop/shop 3, shop/stock 2, shop/stocks 0, stock/shop 4'
	);
};

subtest 'names that LIKE could take for patterns' => sub {
	query($node, 'CREATE ROLE "a_b%" LOGIN');
	query($node, 'CREATE ROLE "axbc" LOGIN');
	my @both = map { holder($node, 'x', user => $_, sessions => 2) } 'a_b%', 'axbc';
	my $action =
	  "SELECT recommendation FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding LIKE '%\"a\\_b\\%\"%'";
	wait_for($node, "SELECT count(*) FROM ($action) a", 'one is proposed', 1);
	query($node, query($node, $action));
	query($node, 'SELECT pool_monitor.reload()');
	wait_for(
		$node,
		'SELECT string_agg(connections::text, \',\') FROM pool_monitor.budgets',
		'it has its own two and no other', 2
	);
	$_->close foreach @both;
	query($node, 'DELETE FROM pool_monitor.pools');
	query($node, 'SELECT pool_monitor.reload()');
};

subtest 'a name that a pattern cannot say' => sub {
	query($node, qq(CREATE ROLE "gr\xC3\xB6\xC3\x9Fe" LOGIN));
	my $sessions = holder($node, 'umlaut', user => "gr\xC3\xB6\xC3\x9Fe", sessions => 2);
	my $advice =
	  "SELECT recommendation FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding LIKE '%umlaut%'";
	wait_for($node, "SELECT count(*) FROM ($advice) a", 'it is found', 1);
	unlike(query($node, $advice), qr/INSERT/, 'and nothing is proposed that would match nobody');
	query($node, "INSERT INTO pool_monitor.pools (name, usename) VALUES ('umlaut', 'gr__e')");
	query($node, 'SELECT pool_monitor.reload()');
	wait_for($node, 'SELECT connections FROM pool_monitor.budgets', 'what is said instead does', 2);
	$sessions->close;
	query($node, 'DELETE FROM pool_monitor.pools');
	query($node, 'SELECT pool_monitor.reload()');
};

subtest 'reset() of a name' => sub {
	query($node, "SELECT pool_monitor.reset('$driver')");
	is(
		query($node, rows($driver, 'connects || \' \' || taken_over')),
		'shop/shop 3 3, shop/stock 2 2, shop/stocks 0 0, stock/shop 4 4',
		'begins all of it anew'
	);
	is(
		query(
			$node,
			"SELECT application_name, datname = '', usename = '', count(*) FROM pool_monitor.events WHERE event = 'statistics_reset' GROUP BY 1, 2, 3"
		),
		"$driver|t|t|1",
		'one event says so, of all of them'
	);
};

subtest 'events have database and role' => sub {
	$_->close foreach values %held;
	wait_for($node, 'SELECT sum(connections) FROM pool_monitor.pool_stats', 'all have gone', 1);
	my $full = holder($node, 'full', sessions => 21);
	my ($rc, $out, $err) = $node->psql('postgres', 'SELECT 1',
		connstr => $node->connstr . ' dbname=stock user=stock application_name=knocking');
	like($err, qr/remaining connection slots|too many clients/, 'a login finds no slot');
	wait_for(
		$node,
		"SELECT application_name, datname, usename FROM pool_monitor.events WHERE event = 'refused'",
		'the event says whose it was',
		'knocking|stock|stock'
	);
	$full->close;
};

# Where there is no room for all when they are read, those that come first have it.
subtest 'in the file those come last whose names anybody can make up' => sub {
	$node->stop;
	my @names = map { $_->{rows}[0] }
	  grep { $_->{layout} eq 'account' } @{parsed(contents(file_of($node)))->{records}};
	my @applications = map { $_->{name} =~ /^(tries|knocking)\0/ ? 'never' : 'some' }
	  grep { $_->{discovered} } @names;
	like("@applications", qr/^(some )+(never ){4}never$/, 'those that never had a session');
	$node->start;
};

subtest 'a restart' => sub {
	my $before = query($node, rows('tries', 'rejected'));
	$node->restart;
	wait_for($node, rows('tries', 'rejected'), 'keeps them apart', $before);
	wait_for(
		$node,
		rows($driver, 'disconnects'),
		'each with its own',
		'shop/shop 3, shop/stock 2, shop/stocks 0, stock/shop 4'
	);
	is(
		query(
			$node,
			"SELECT DISTINCT application_name, datname, usename FROM pool_monitor.events WHERE event = 'refused'"
		),
		'knocking|stock|stock',
		'and the events'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
