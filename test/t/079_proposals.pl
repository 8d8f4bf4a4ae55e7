# The declarations that the advice proposes for discovered applications: each takes exactly the
# sessions that it was made from. Needs real sessions under names that could be taken for
# patterns, for SQL, for nobody's, or for each other's.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder app_holder);
use Test::More;

my $node  = new_server('proposals', "max_connections = 200\n");
my @names = (
	'',    'PostgreSQL JDBC Driver',
	'web', 'WEB', 'w_b', 'w%', '%', q{it's; "so"}, 'a\\_b', '(odd)', 'web-1', 'x' x 63,
	'a rather long name 1',
	'a rather long name 2'
);
my @roles = ('app',  'a_p', 'a%');
my @bases = ('shop', 'sh_p');

query($node, "CREATE ROLE \"$_\" LOGIN") foreach @roles;
query($node, "CREATE DATABASE \"$_\"")   foreach @bases;

# Each name is used under some of the roles and databases, and under no others.
my (@used, %is_used);
foreach my $i (0 .. $#names)
{
	foreach my $j (0 .. 2)
	{
		my ($role, $base) = ($roles[($i + $j) % 3], $bases[($i + int($j / 2)) % 2]);
		push @used, holder($node, $names[$i], user => $role, dbname => $base, sessions => 2);
		$is_used{"$names[$i] $base $role"} = 1;
	}
}

subtest 'each takes its own sessions, and nothing else under any of these names' => sub {
	my $undeclared =
	  "FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding !~ 'proposals'";
	my $n = keys %is_used;
	wait_for(
		$node,
		"SELECT count(*), count(DISTINCT recommendation) $undeclared",
		'there is one for each', "$n|$n"
	);
	my $inserts = query($node, "SELECT string_agg(recommendation, ' ') $undeclared");
	query($node, $inserts);
	query($node, 'SELECT pool_monitor.reload()');

	my ($names, $roles, $bases) =
	  map {
		'ARRAY['
		  . join(',', map { q{'} . s/'/''/gr . q{'} } @$_) . ']'
	  } \@names, \@roles, \@bases;
	my @taken = split /\n/,
	  query($node,
		"SELECT a || ' ' || d || ' ' || u, w.pool FROM unnest($names) a, unnest($bases) d, unnest($roles) u, pool_monitor.which_pool(a, d, u) w WHERE w.pool IS NOT NULL"
	  );
	my %pools = map { (split /\|/)[1] => 1 } @taken;
	is_deeply(
		[sort map { (split /\|/)[0] } @taken],
		[sort keys %is_used],
		'all that were used, and no others'
	);
	is(scalar keys %pools, $n, 'each by a pool of its own');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.sessions s, pool_monitor.which_pool(s.application_name, s.datname, s.usename, s.client_addr) w WHERE s.pool IS DISTINCT FROM w.pool OR s.pool IS NULL AND s.usename IN ('app', 'a_p', 'a%')"
		),
		0,
		'and so it is with the sessions'
	);
	is(query($node, "SELECT count(*) $undeclared"), 0, 'and nothing more is proposed');
	is(query($node, 'SELECT count(*) FROM pool_monitor.budgets WHERE connections <> 2'),
		0, 'two each');
	query($node, 'DELETE FROM pool_monitor.pools');
	query($node, 'SELECT pool_monitor.reload()');
};

subtest 'a name for each connection' => sub {
	my $scattered = app_holder($node, 'n', 6);
	my $finding =
	  "SELECT finding || ': ' || evidence FROM pool_monitor.advice WHERE finding LIKE 'sessions of role \"app\" %'";
	is(query($node, $finding), '', 'six under one name are an application');
	my $named = "SELECT count(*) FROM pool_monitor.applications WHERE application_name LIKE 'n_'";
	$scattered->do("sql $_ SET application_name = 'n$_'") foreach 0 .. 5;
	wait_for($node, $named, 'they take six', 6);
	is(
		query($node, $finding),
		'sessions of role "app" in database "postgres", under many names, are in no declared pool: 6 connections now, under 6 names',
		'are told of by their role'
	);
	like(
		query($node, 'SELECT status, evidence FROM pool_monitor.checklist WHERE item = 11'),
		qr/^warn\|.*: .*6 names \(app in postgres\)/,
		'and in the checklist'
	);
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name, usename) VALUES ('numbered', 'n_', 'app')"
	);
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'numbered'",
		'declared', 6);
	is(query($node, $finding), '', 'nothing is left to say');
	$scattered->close;
	declare($node, 'DELETE FROM pool_monitor.pools');
};

subtest 'what is missing, where the name is nobody\'s' => sub {
	my $evidence = sub {
		my ($name) = @_;
		return query($node,
			"SELECT evidence FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding LIKE 'application \"$name\" %' LIMIT 1"
		);
	};
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding LIKE 'application \"web\" %'",
		'they are back',
		3
	);
	like(
		$evidence->(''),
		qr/; it gives no name, so all are meant that log in so under this role: set application_name in the client, to tell them apart$/,
		'none'
	);
	like(
		$evidence->('PostgreSQL JDBC Driver'),
		qr/; the name is its driver's, so all are meant/,
		'that of a driver'
	);
	like($evidence->('web'), qr/connects since [-0-9: +]+$/, 'a name');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.advice WHERE topic = 'undeclared' AND recommendation LIKE '%(''PostgreSQL JDBC Driver'',%'"
		),
		0,
		'no pool is called like a driver'
	);
};

subtest 'a role whose name cannot be written everywhere' => sub {
	query($node, "CREATE ROLE \"caf\xc3\xa9\" LOGIN");
	push @used, holder($node, 'web', user => "caf\xc3\xa9", dbname => 'shop', sessions => 2);
	my $of_role = "topic = 'undeclared' AND finding LIKE 'application \"web\" of role \"caf%'";
	wait_for($node, "SELECT count(*) FROM pool_monitor.advice WHERE $of_role", 'it is seen', 1);
	like(
		query($node, "SELECT recommendation FROM pool_monitor.advice WHERE $of_role"),
		qr/^Declare it by hand, with _ in its patterns/,
		'is for who declares it to write'
	);
};

$_->close foreach @used;
done_testing();
