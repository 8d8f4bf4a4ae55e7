# Which session belongs to which pool: patterns, networks, renames and moves. Needs
# sessions of other roles, databases, hosts and names.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use Test::More;

my $node = new_server('matching');

sub pool_of
{
	my (%param) = @_;
	my $holder  = PoolMonitor::Holder->new($node, %param);
	my $pid     = $holder->do('pid 0');
	return $node->safe_psql('postgres',
		"SELECT coalesce(pool, '-') FROM pool_monitor.sessions WHERE pid = $pid");
}

subtest 'patterns' => sub {
	declare($node, <<'EOS');
DELETE FROM pool_monitor.pools;
INSERT INTO pool_monitor.pools (name, priority, application_name, datname, usename, client_addr) VALUES
	('a network', 1, '%', NULL, NULL, '127.0.0.0/8'),
	('b percent', 10, '100\%', NULL, NULL, NULL),
	('c ems', 10, 'ems_worker%', NULL, NULL, NULL),
	('d role', 20, NULL, 'postgres', 'app_r%', NULL),
	('e rest', 30, 'rest', 'else%', NULL, NULL);
CREATE ROLE app_reader LOGIN; CREATE DATABASE elsewhere2;
EOS

	is(pool_of(application_name => '100%'),         'b percent', 'an escaped % is itself');
	is(pool_of(application_name => '1000'),         '-',         'and nothing else');
	is(pool_of(application_name => 'ems_worker 3'), 'c ems',     'a prefix');
	is(pool_of(application_name => 'emsXworker'),   'c ems',     '_ is any character');
	is(pool_of(application_name => 'ems_worker', user => 'app_reader'),
		'c ems', 'the lower priority wins');
	is(pool_of(application_name => 'other', user => 'app_reader'),
		'd role', 'a role and a database');
	is(pool_of(application_name => '', user => 'app_reader'), 'd role',
		'an empty application_name');
	is(pool_of(application_name => 'rest'),                         '-',      'another database');
	is(pool_of(application_name => 'rest', dbname => 'elsewhere2'), 'e rest', 'a database pattern');
};

subtest 'a session that moves' => sub {
	my $mover = PoolMonitor::Holder->new($node, application_name => 'rest', dbname => 'elsewhere2');
	my $mover_pid  = $mover->do('pid 0');
	my $mover_pool = "SELECT coalesce(pool, '-') FROM pool_monitor.sessions WHERE pid = $mover_pid";
	is($node->safe_psql('postgres', $mover_pool), 'e rest', 'a session in its pool');
	$mover->do("sql 0 SET application_name = 'ems-worker'");
	is($node->safe_psql('postgres', $mover_pool),
		'c ems', 'moves when it changes its application_name');
	is(
		$node->safe_psql(
			'postgres', "SELECT connections FROM pool_monitor.budgets WHERE pool = 'e rest'"
		),
		'0',
		'and is counted there only'
	);
	declare($node,
		"UPDATE pool_monitor.pools SET application_name = 'ems-%', priority = 5 WHERE name = 'e rest'"
	);
	is($node->safe_psql('postgres', $mover_pool), 'e rest', 'and when the declarations change');
	$mover->close;
};

subtest q{the same as SQL's LIKE, for every pattern and every name} => sub {
	my @names = (
		'',    'a',   'b', 'ab', 'aab', 'abc', 'aXbXc', 'ems-1', 'ems-12', 'EMS-1', '%', '_', '\\',
		'a%b', 'a_b', 'a\\b', ' ', 'aaaaaaaaab'
	);
	my @patterns = (
		'',      '%',     '%%',        '_',     '__',    'a',
		'a%',    '%a',    '%a%',       'a%b',   'a_b',   'a%b%c',
		'%b%c',  'a_%',   '_%_',       '%_',    'ems-_', 'ems-%',
		'\\%',   '\\_',   '\\\\',      'a\\%b', 'a\\_b', 'a\\\\b',
		'%\\%%', '%\\_%', 'a%a%a%a%b', '%aab',  '%ab%ab'
	);
	my $like =
	  PoolMonitor::Holder->new($node, application_name => 'like', sessions => scalar @names);
	foreach my $i (0 .. $#names)
	{
		$like->do("sql $i SET application_name = '$names[$i]'");
	}
	my $pids = join ',', map { $like->do("pid $_") } 0 .. $#names;
	my @different;
	foreach my $pattern (@patterns)
	{
		declare($node,
			"DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name) VALUES ('like', '$pattern')"
		);
		push @different, "\"$pattern\": $_"
		  foreach split /\n/,
		  $node->safe_psql('postgres',
			"SELECT '\"' || application_name || '\"' FROM pool_monitor.sessions WHERE pid IN ($pids) AND (pool IS NOT NULL) <> (application_name LIKE '$pattern')"
		  );
	}
	is("@different", '', 'LIKE and pool_monitor agree on ' . @names * @patterns . ' pairs');
	$like->close;
};

# Eight pools are compared at once by their first byte: more than eight, all of which
# have one, some the same, and one in each eight that begins with a wildcard.
subtest 'many pools' => sub {
	my $wild = 0;
	foreach
	  my $any (q{chr(96 + i)}, q{CASE WHEN i % 8 = 3 THEN '_' ELSE chr(96 + (i - 1) % 20 + 1) END})
	{
		declare($node, <<"EOS");
DELETE FROM pool_monitor.pools;
INSERT INTO pool_monitor.pools (name, priority, application_name)
	SELECT format('pool %s', i), i, $any || '-app' FROM generate_series(1, 26) AS i;
EOS
		my $asker = PoolMonitor::Holder->new($node, application_name => 'asker');
		my $pid   = $asker->do('pid 0');
		my @wrong;
		foreach my $i (1 .. 26)
		{
			my $name = chr(96 + $i) . '-app';
			$asker->do("sql 0 SET application_name = '$name'");
			my ($got, $expected) = split /\|/, $node->safe_psql('postgres', <<"EOS");
SELECT (SELECT coalesce(pool, '-') FROM pool_monitor.sessions WHERE pid = $pid),
	coalesce((SELECT p.name FROM pool_monitor.pools AS p WHERE '$name' LIKE p.application_name
		ORDER BY p.priority LIMIT 1), '-')
EOS
			push @wrong, "$name: $got, not $expected" if $got ne $expected;
		}
		is("@wrong", '', $wild++ ? 'some begin with a wildcard' : 'none begins with a wildcard');
		$asker->close;
	}
};

subtest '"_" is one character, also where that is two bytes' => sub {
	$node->safe_psql('postgres', "CREATE ROLE \"caf\xc3\xa9\" LOGIN");
	declare($node,
		"DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name, usename) VALUES ('one', NULL, 'caf_'), ('d role', NULL, 'app_r%')"
	);
	is(pool_of(application_name => 'x', user => "caf\xc3\xa9"), 'one',
		'one character of two bytes');
};

subtest 'a role that is renamed while it is logged in keeps its pool' => sub {
	my $renamed =
	  PoolMonitor::Holder->new($node, application_name => 'other', user => 'app_reader');
	my $renamed_pid = $renamed->do('pid 0');
	$node->safe_psql('postgres', 'ALTER ROLE app_reader RENAME TO zoe');
	is(
		$node->safe_psql(
			'postgres', "SELECT pool, usename FROM pool_monitor.sessions WHERE pid = $renamed_pid"
		),
		'd role|zoe',
		'matched by the name it logged in with, shown by the one it has'
	);
	$renamed->close;
};

subtest 'TCP clients and networks' => sub {
	my $tcp = new_server('tcp', "listen_addresses = '127.0.0.1'\n");
	$tcp->append_conf('pg_hba.conf', "host all all 127.0.0.0/8 trust\n");
	$tcp->reload;
	declare(
		$tcp, "INSERT INTO pool_monitor.pools (name, priority, client_addr) VALUES
	('host', 1, '127.0.0.1'), ('network', 2, '127.0.0.0/9'), ('other', 3, '10.0.0.0/8'), ('v6', 4, '::/0')"
	);
	my $near   = PoolMonitor::Holder->new($tcp, host => '127.0.0.1', application_name => 'near');
	my $socket = PoolMonitor::Holder->new($tcp, application_name => 'socket');
	is(
		$tcp->safe_psql(
			'postgres',
			"SELECT pool, client_addr FROM pool_monitor.sessions WHERE application_name = 'near'"
		),
		'host|127.0.0.1',
		'a host'
	);
	is(
		$tcp->safe_psql(
			'postgres',
			"SELECT pool IS NULL, client_addr IS NULL FROM pool_monitor.sessions WHERE application_name = 'socket'"
		),
		't|t',
		'a Unix-domain socket is in no network'
	);
	declare($tcp, "DELETE FROM pool_monitor.pools WHERE name = 'host'");
	is(
		$tcp->safe_psql(
			'postgres', "SELECT pool FROM pool_monitor.sessions WHERE application_name = 'near'"
		),
		'network',
		'a network that is no whole number of bytes'
	);
	$tcp->safe_psql('postgres', 'CREATE ROLE curious LOGIN');
	is(
		$tcp->safe_psql(
			'postgres', "SET ROLE curious; SELECT count(pool) FROM pool_monitor.sessions"
		),
		'0',
		'a pool that was chosen by address is hidden with the address'
	);
	is(
		$tcp->safe_psql(
			'postgres',
			"SET ROLE curious; SELECT count(*), count(pool) FROM pool_monitor.applications WHERE application_name = 'near'"
		),
		'1|0',
		'also where sessions are grouped'
	);
	$near->close;
	$socket->close;
};

done_testing();
