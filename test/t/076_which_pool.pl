# which_pool(): says of names what becomes of sessions that have them, and in which order
# pools are asked. Needs real sessions to compare with, of several names, roles and addresses.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use Test::More;

my $node = new_server('which_pool', "listen_addresses = '127.0.0.1'\n");
$node->append_conf('pg_hba.conf', "host all all 127.0.0.0/8 trust\n");
$node->reload;
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE "app_2" LOGIN; CREATE DATABASE shop');

sub which
{
	my ($names) = @_;
	return query($node, "SELECT pool, others FROM pool_monitor.which_pool($names)");
}

# All of one priority, and named so that their names would have it the other way round.
subtest 'the more specific one comes first' => sub {
	declare($node, <<'EOS');
INSERT INTO pool_monitor.pools (name, application_name, datname, usename, client_addr) VALUES
	('a all', NULL, NULL, NULL, NULL), ('b percents', '%%', NULL, NULL, NULL),
	('c two percents', '%e%', NULL, NULL, NULL), ('d one percent', 'w%', NULL, NULL, NULL),
	('e underscore', 'w_%', NULL, NULL, NULL), ('f longer', 'web%', NULL, NULL, NULL),
	('g whole', 'web-1', NULL, NULL, NULL), ('h network', NULL, NULL, NULL, '10.0.0.0/8'),
	('i smaller network', NULL, NULL, NULL, '10.1.0.0/16'), ('j host', NULL, NULL, NULL, '10.1.1.1'),
	('k two fields', 'web%', 'shop', NULL, NULL), ('l two fields', 'w%', 'sho%', NULL, NULL),
	('m three fields', '_%', '%_', 'a%', NULL);
EOS
	is(
		which("'web-1', 'shop', 'app', '10.1.1.1'"),
		'm three fields|{"k two fields","l two fields","g whole","j host","f longer","e underscore","d one percent","c two percents","i smaller network","h network","a all","b percents"}',
		'fields, fields without a wildcard, literal characters, bits, percents, underscores, names'
	);
	is(
		which("'web-1', 'shop', 'app'"),
		'm three fields|{"k two fields","l two fields","g whole","f longer","e underscore","d one percent","c two percents","a all","b percents"}',
		'no network has a Unix-domain socket in it'
	);
	is(which("'', NULL, NULL, '::1'"), 'a all|{"b percents"}', 'a name that is not known');
	query($node, "UPDATE pool_monitor.pools SET priority = 0 WHERE name = 'b percents'");
	query($node, 'SELECT pool_monitor.reload()');
	like(
		which("'web-1', 'shop', 'app'"),
		qr/^b percents\|\{"m three fields",/,
		'but priority is before all that'
	);
	declare($node, "DELETE FROM pool_monitor.pools WHERE name <> 'g whole'");
	is(which("'web-2', 'shop', 'app'"),          '|{}', 'nobody');
	is(which("repeat('x', 100), 'shop', 'app'"), '|{}', 'a long name');
};

subtest 'the pool that a session is really in' => sub {
	declare($node, <<'EOS');
DELETE FROM pool_monitor.pools;
INSERT INTO pool_monitor.pools (name, application_name, datname, usename, client_addr, priority) VALUES
	('long', repeat('x', 63), NULL, NULL, NULL, 100), ('empty', '', NULL, NULL, NULL, 100),
	('role', NULL, NULL, 'app\_%', NULL, 100), ('database', NULL, 'shop', 'app', NULL, 100),
	('cut', NULL, NULL, repeat('y', 62), NULL, 100), ('near', NULL, NULL, NULL, '127.0.0.0/8', 50), ('defaults', '%', NULL, NULL, NULL, 100);
EOS
	my @sessions = (
		{application_name => 'web', user => 'app', dbname => 'shop'},
		{application_name => '',    user => 'app'},
		{application_name => 'x' x 70},
		{application_name => 'web', user => 'app_2'},
		{application_name => 'web', user => 'app_2', host => '127.0.0.1'},
		{application_name => 'web', user => 'app'}
	);
	my @holders = map { PoolMonitor::Holder->new($node, %$_) } @sessions;
	my @pids    = map { $_->do('pid 0') } @holders;
	my $pids    = join ',', @pids;
	is(
		query(
			$node,
			"SELECT string_agg(s.pool, ',' ORDER BY array_position(ARRAY[$pids], s.pid)), bool_and(s.pool = w.pool AND s.pool <> ALL (w.others))
			FROM pool_monitor.sessions s, pool_monitor.which_pool(s.application_name, s.datname, s.usename, s.client_addr) w
			WHERE s.pid IN ($pids)"
		),
		'database,empty,long,role,near,defaults|t',
		'is the one that is said'
	);
	is(which("repeat('x', 70), 'postgres', 'app'"),
		'long|{defaults}', 'a long name is cut as the server cuts it');
	is(which("'web', 'postgres', repeat('y', 62) || U&'\\00e9'"),
		'cut|{defaults}', 'between two characters');
	$_->close foreach @holders;
};

subtest 'in every database, for who may read the statistics' => sub {
	query($node, 'CREATE EXTENSION pool_monitor', 'shop');
	is(query($node, "SELECT pool FROM pool_monitor.which_pool('web', 'shop', 'app')", 'shop'),
		'database', 'another database');
	my ($rc, $out, $err) = $node->psql(
		'postgres',
		"SELECT pool_monitor.which_pool('web', 'shop', 'app')",
		extra_params => ['-U', 'app']
	);
	like($err, qr/permission denied for function which_pool/, 'not for everybody');
};

done_testing();
