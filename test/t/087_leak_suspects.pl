# leak_suspects: who, from where, since when, with what statement, waiting for what, for
# those who may see it; and sessions of one pool. Only TAP has sessions of several roles,
# by TCP too, and one that waits for another.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder_of insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('leak_suspects', "listen_addresses = '127.0.0.1'\n");
query($node,
	'CREATE ROLE app LOGIN; CREATE ROLE other LOGIN; CREATE ROLE plain LOGIN; CREATE ROLE stats LOGIN IN ROLE pg_read_all_stats'
);
declare($node,
		insert_pool('leaky', leak_threshold => "'1 s'")
	  . insert_pool('patient', leak_threshold => "'1 h'"));
sub by { return $node->safe_psql('postgres', $_[1], extra_params => ['-U', $_[0]]) }

my $tcp = holder_of('app', $node, 'leaky', host => '127.0.0.1');
$tcp->do("sql 0 $_") foreach 'BEGIN', 'SELECT pg_advisory_xact_lock(1)', 'SELECT 42 AS answer';
my $local = holder_of('other', $node, 'leaky', sessions => 2);
$local->do("sql 0 $_") foreach 'BEGIN', "SELECT 'with a secret'";
my $patient = holder_of('app', $node, 'patient');
$patient->do('sql 0 BEGIN');
my $waiter = IPC::Run::start(
	[
		'psql', '-X', '-d', $node->connstr('postgres') . ' application_name=leaky user=app',
		'-c',   'SELECT pg_advisory_xact_lock(1)'
	],
	'>',
	\my $out,
	'2>',
	\my $err
);

subtest 'it says who, from where, since when, with what statement, waiting for what' => sub {
	wait_for($node, 'SELECT count(*) FROM pool_monitor.leak_suspects', 'three become suspects',
		'3');
	is(
		query(
			$node,
			'SELECT pool, pid, application_name, datname, usename, client_addr, state, wait_event_type, wait_event, query FROM pool_monitor.leak_suspects'
		),
		join("\n",
			'leaky|'
			  . $tcp->do('pid 0')
			  . '|leaky|postgres|app|127.0.0.1|idle in transaction|Client|ClientRead|SELECT 42 AS answer',
			'leaky|'
			  . $local->do('pid 0')
			  . q{|leaky|postgres|other||idle in transaction|Client|ClientRead|SELECT 'with a secret'},
			'leaky|'
			  . query($node, q{SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'})
			  . '|leaky|postgres|app||active|Lock|advisory|SELECT pg_advisory_xact_lock(1)'),
		'the longest first, with all that there is to know'
	);
	is(
		query(
			$node,
			q{SELECT bool_and(l.since = a.xact_start AND l.backend_start = a.backend_start AND l.xact_age BETWEEN '1 s' AND now() - l.since
			+ interval '1 s') FROM pool_monitor.leak_suspects AS l JOIN pg_stat_activity AS a USING (pid)}
		),
		't',
		'since when'
	);
};

subtest 'a role sees its own, pg_read_all_stats all' => sub {
	is(by('app', 'SELECT count(*), min(usename), max(usename) FROM pool_monitor.leak_suspects'),
		'2|app|app', 'a role sees its own');
	is(by('plain', 'SELECT count(*) FROM pool_monitor.leak_suspects'), '0', 'another one nothing');
	is(by('stats', 'SELECT count(query), count(wait_event) FROM pool_monitor.leak_suspects'),
		'3|3', 'pg_read_all_stats all');
};

subtest 'bytes that a client cannot read are shown by their number' => sub {
	my $umlaut = "SELECT '\xc3\xb6\xe2\x82\xac' AS zufall";
	$local->do("sql 0 $umlaut");
	{
		local $ENV{PGCLIENTENCODING} = 'LATIN1';
		is(
			query($node, "SELECT query FROM pool_monitor.leak_suspects WHERE usename = 'other'"),
			q{SELECT '\xc3\xb6\xe2\x82\xac' AS zufall},
			'bytes that a client cannot read are shown by their number'
		);
	}
	is(query($node, "SELECT query FROM pool_monitor.leak_suspects WHERE usename = 'other'"),
		$umlaut, 'the others have them as they are');
};

subtest 'it is live, also within a transaction' => sub {
	is(
		query(
			$node,
			q{BEGIN; SELECT count(*) FROM pool_monitor.leak_suspects;
		SELECT pg_terminate_backend(pid, 60000) FROM pool_monitor.leak_suspects WHERE client_addr IS NOT NULL;
		SELECT count(*) FROM pool_monitor.leak_suspects WHERE client_addr IS NOT NULL}
		),
		"3\nt\n0",
		'at the moment of each query'
	);
};

$waiter->finish;

subtest 'sessions() of one pool has those of the view' => sub {
	is(
		query(
			$node,
			"SELECT string_agg(DISTINCT pool, ',') || count(*) FROM pool_monitor.sessions('leaky')"
		),
		'leaky2',
		'sessions of one pool'
	);
	is(query($node, "SELECT count(*) FROM pool_monitor.sessions('nobody')"),
		'0', 'of none of this name');
	is(query($node, "SELECT count(*), count(pool) FROM pool_monitor.sessions('(undeclared)')"),
		'1|0', 'those in no pool');
	is(query($node, 'SELECT count(*) FROM pool_monitor.sessions(NULL)'),
		query($node, 'SELECT count(*) FROM pool_monitor.sessions'), 'all');
	is(
		by(
			'plain',
			"SELECT count(*), count(state), count(xact_age) FROM pool_monitor.sessions('leaky')"
		),
		'2|0|0',
		'of others as in the view'
	);
};

# Of the idle ones with one name, the one with the higher pid has been so for longer; and
# of one the server does not say what it does, which is known of the superuser's alone.
subtest 'first come pools as they match, then names; the longest first' => sub {
	my $own    = holder_of('app',      $node, 'alpha', sessions => 2);
	my $silent = holder_of('postgres', $node, 'alpha');
	my $zeta   = holder_of('app',      $node, 'zeta', sessions => 2);
	my @alpha  = sort { $own->do("pid $b") <=> $own->do("pid $a") } 0, 1;
	$silent->do("sql 0 $_") foreach 'SET track_activities = off', 'SELECT 1';
	$own->do("sql $_ SELECT 1") foreach @alpha;
	$zeta->do('sql 1 BEGIN');
	$zeta->do('sql 0 SELECT 1');
	my @in_order = (
		$patient->do('pid 0'),
		(map { $local->do("pid $_") } 0, 1),
		(map { $own->do("pid $_") } @alpha),
		$silent->do('pid 0'),
		(map { $zeta->do("pid $_") } 1, 0)
	);
	my $all = 'SELECT pid FROM pool_monitor.sessions WHERE pid <> pg_backend_pid()';
	is(query($node, $all), join("\n", @in_order), 'in a transaction, idle, and the rest');
	my $named = join ',', @in_order[3 .. 5];
	is(
		by('app', "SELECT pid FROM pool_monitor.sessions WHERE pid IN ($named)"),
		join("\n", @in_order[3 .. 5]),
		'to another: its own first'
	);
	$_->close foreach $own, $silent, $zeta;
};

# What is not shown is in the order of pids.
subtest 'the order says nothing of what is not shown' => sub {
	$local->do('sql 1 BEGIN');
	$local->do('sql 0 ROLLBACK');
	my @pids = sort { $a <=> $b } map { $local->do("pid $_") } 0, 1;
	$local->do('sql 0 BEGIN')    if $local->do('pid 1') == $pids[0];
	$local->do('sql 1 ROLLBACK') if $local->do('pid 1') == $pids[0];
	is(
		by('other', "SELECT string_agg(pid::text, ' ') FROM pool_monitor.sessions('leaky')"),
		join(' ', reverse @pids),
		'its own: the one in a transaction first'
	);
	is(
		by('plain', "SELECT string_agg(pid::text, ' ') FROM pool_monitor.sessions('leaky')"),
		join(' ', @pids),
		'to others: by pid'
	);
};

subtest 'a client address that chooses the pool is not told by asking for that pool' => sub {
	declare($node,
		"UPDATE pool_monitor.pools SET client_addr = '127.0.0.1' WHERE name = 'patient'");
	is(by('plain', "SELECT count(*) FROM pool_monitor.sessions('leaky')"),
		'0', 'a pool that may be chosen by an address: not of others');
	is(by('stats', "SELECT count(*) FROM pool_monitor.sessions('leaky')"),
		'2', 'but to who may see them');
};

$_->close foreach $local, $patient;
done_testing();
