# What is odd about declarations that are valid: as a WARNING of INSERT and of reload(), in
# lint() and in the advice. Needs declarations in force, and the warnings that clients get.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder);
use Test::More;

my $node = new_server('lint',
	"max_connections = 403\nsuperuser_reserved_connections = 3\npool_monitor.max_pools = 150\n");
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE "my_app" LOGIN; CREATE ROLE inserter LOGIN');
query($node, 'GRANT INSERT ON pool_monitor.pools TO inserter');
is(query($node, 'SELECT usable FROM pool_monitor.server'), '400', 'connections are usable');

# Declares these and no others; what psql was told.
sub insert
{
	my ($values, $columns) = @_;
	$columns //= 'name, priority, application_name, datname, usename';
	my ($rc, $out, $err) = $node->psql('postgres',
		"DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools ($columns) VALUES $values");
	is($rc, 0, 'the INSERT is done');
	query($node, 'SELECT pool_monitor.reload()');    # lint() is of what is in force
	return $err;
}

# Declares more.
sub insert_more
{
	my ($values) = @_;
	my ($rc, $out, $err) = $node->psql('postgres',
		"INSERT INTO pool_monitor.pools (name, priority, application_name) VALUES $values");
	return $err;
}

sub findings
{
	return query($node,
		"SELECT rule, pool, evidence FROM pool_monitor.lint() ORDER BY rule COLLATE \"C\", pool COLLATE \"C\""
	);
}

sub reload
{
	my ($rc, $out, $err) = $node->psql('postgres', 'SELECT pool_monitor.reload()');
	return $err;
}

sub warnings
{
	my ($text) = @_;
	my $n = () = $text =~ /WARNING/g;
	return $n;
}

subtest 'nothing to say' => sub {
	my $good =
	  "('wide', 100, 'web%', NULL, NULL), ('narrow', 100, 'web-1%', NULL, NULL), ('rest', 100, NULL, NULL, NULL), ('here', 100, NULL, 'post%', 'app'), ('exact', 100, 'x', 'postgres', 'my\\_app')";
	is(insert("$good", 'name, priority, application_name, datname, usename'), '', 'no warning')
	  or diag findings();
	query($node, 'UPDATE pool_monitor.pools SET pool_size = 1, max_overflow = 0');
	is(reload(),   '', 'nor of reload()');
	is(findings(), '', 'nor a finding');
};

subtest 'shadowed by an earlier one, and the same twice' => sub {
	my $warning =
	  insert(
		"('narrow', 100, 'web-1%', 'postgres', 'app'), ('wide', 50, 'web%', NULL, 'app'), ('beside', 100, 'web%', 'postgres', NULL), ('other', 100, 'web%', NULL, 'app')"
	  );
	like(
		$warning,
		qr/WARNING:  pool "narrow" gets no session: pool "wide" comes before it, and takes all that it could\nDETAIL:  pool "wide" takes application_name 'web%', usename 'app'; pool "narrow" application_name 'web-1%', datname 'postgres', usename 'app'\.\nHINT:  Give it a lower priority/,
		'shadowed, field by field'
	);
	like(
		$warning,
		qr/WARNING:  pool "other" gets no session: pool "wide" comes before it, and asks for the same/,
		'the same twice'
	);
	is(warnings($warning), 2, 'and no more: one that overlaps is not shadowed');
	is(warnings(reload()), 2, 'so says reload()');
	is(
		query(
			$node,
			"SELECT severity, pool, topic, finding FROM pool_monitor.advice WHERE topic = 'lint' ORDER BY pool"
		),
		"warning|narrow|lint|pool \"narrow\" gets no session: pool \"wide\" comes before it, and takes all that it could\nwarning|other|lint|pool \"other\" gets no session: pool \"wide\" comes before it, and asks for the same",
		'and the advice'
	);
	query($node, 'UPDATE pool_monitor.pools SET priority = 100');
	unlike(reload(), qr/pool "narrow"/, 'with equal priorities it is not');
};

subtest 'a row that shadows what is there' => sub {
	insert("('narrow', 100, 'web-1%', NULL, NULL)");
	my $warning = insert_more("('wide', 50, 'web%')");
	like(
		$warning,
		qr/WARNING:  pool "narrow" gets no session: pool "wide" comes before it/,
		'is warned of that'
	);
	is(warnings($warning), 1, 'once');
};

subtest 'an UPDATE' => sub {
	insert(
		"('narrow', 100, 'web-1%', NULL, NULL), ('wide', 100, 'web%', NULL, NULL), ('x', 100, 'x', NULL, NULL)"
	);
	my $update = sub {
		my ($set) = @_;
		return ($node->psql('postgres', "UPDATE pool_monitor.pools SET $set"))[2];
	};
	is($update->("description = 'for people' WHERE name = 'wide'"),
		'', 'that changes nothing of it');
	is($update->("priority = 50 WHERE name = 'x'"), '', 'that is all right');
	my $warning = $update->("priority = 50 WHERE name = 'wide'");
	like(
		$warning,
		qr/WARNING:  pool "narrow" gets no session: pool "wide" comes before it/,
		'that shadows another one'
	);
	is(warnings($warning),                                        1,  'once');
	is($update->("description = 'likewise' WHERE name = 'wide'"), '', 'nor once more');
};

subtest 'by network' => sub {
	my $columns = 'name, priority, client_addr';
	like(
		insert("('a', 1, '10.0.0.0/8'), ('b', 2, '10.1.0.0/16')", $columns),
		qr/DETAIL:  pool "a" takes client_addr 10\.0\.0\.0\/8; pool "b" client_addr 10\.1\.0\.0\/16\./,
		'a part of it'
	);
	is(
		insert(
			"('a', 1, '10.0.0.0/8'), ('b', 2, '11.0.0.0/8'), ('c', 3, '::/0'), ('d', 4, '10.0.0.0/7'), ('e', 5, NULL)",
			$columns
		),
		'',
		'others, also one that it is itself a part of'
	);
};

subtest 'a catch-all before others' => sub {
	my $warning =
	  insert(
		"('all', 1, '%', NULL, NULL), ('a', 100, 'a', NULL, NULL), ('b', 100, 'b', NULL, NULL), ('c', 100, 'c', NULL, NULL), ('d', 100, 'd', NULL, NULL)"
	  );
	like(
		$warning,
		qr/WARNING:  pool "all" takes every session, and comes before others, which get none\nDETAIL:  after it: "a", "b", "c" and 1 more\./,
		'who gets none'
	);
	is(warnings($warning), 1, 'is said once');
	my $more = insert_more("('e', 100, 'e')");
	like(
		$more,
		qr/WARNING:  pool "e" gets no session: pool "all" comes before it/,
		'a row that comes later is warned of itself'
	);
	is(warnings($more), 1, 'and the others are not, once more');
	query($node, "UPDATE pool_monitor.pools SET priority = 100 WHERE name = 'all'");
	is(reload(), '', 'after all others it is none');
};

subtest 'a glob' => sub {
	my $warning =
	  insert(
		"('a', 100, 'web-*', NULL, NULL), ('b', 100, 'web*%', NULL, NULL), ('c', 100, 'what_?', NULL, NULL), ('d', 100, 'worker?', NULL, NULL)"
	  );
	like(
		$warning,
		qr/WARNING:  the application_name of pool "a" looks like a glob, but it is a LIKE pattern\nDETAIL:  application_name 'web-\*': \* and \? stand for themselves\.\nHINT:  Write % for any text/,
		'in place of LIKE'
	);
	like($warning, qr/application_name of pool "d" looks like a glob/, 'a question mark');
	is(warnings($warning), 2, 'and not where it may be meant');
	$warning = insert("('a', 100, NULL, '*', NULL), ('b', 100, NULL, NULL, 'app?')");
	like($warning, qr/the $_ looks like a glob/, $_)
	  foreach 'datname of pool "a"', 'usename of pool "b"';
};

subtest 'a database, a role that does not exist' => sub {
	my $warning =
	  insert(
		"('a', 100, 'a', 'shop', NULL), ('b', 100, 'b', 'sh%', NULL), ('c', 100, 'c', 'post%', 'my_app'), ('d', 100, 'd', NULL, 'your\\_app'), ('e', 100, 'e', NULL, 'your%')"
	  );
	like(
		$warning,
		qr/pool "$_->[0]" asks for a $_->[1] that does not exist\nDETAIL:  $_->[2]\./,
		"$_->[0]: $_->[2]"
	  )
	  foreach ['a', 'database', q{datname 'shop'}], ['b', 'database', q{datname 'sh%'}],
	  ['d', 'role', q{usename 'your\\\\_app'}], ['e', 'role', q{usename 'your%'}];
	is(warnings($warning), 4, 'and no more');
	is(query($node, "SELECT count(*) FROM pool_monitor.lint('0') WHERE rule = 'unmatched'"),
		1, 'only of the other one it is said that it has no sessions');
	query($node, 'CREATE DATABASE shop');
	query($node, 'CREATE ROLE your_app');
	is(findings(), '', 'until there is one');
	like(
		insert("('a', 100, 'a', 'sch\xc3\xb6n', NULL)"),
		qr/DETAIL:  datname 'sch\?\?n'\./,
		'names are shown as every database can show them'
	);
};

subtest 'larger than the server' => sub {
	my $columns = 'name, application_name, pool_size, max_overflow, budget, surge';
	like(
		insert("('a', 'a', 1, 0, 401, 0), ('b', 'b', 1, 0, 400, 0)", $columns),
		qr/WARNING:  the budget of pool "a" is larger than the server\nDETAIL:  budget 401, 400 connections usable/,
		'a budget'
	);
	is(findings(), 'budget|a|budget 401, 400 connections usable', 'and that alone');
	like(
		insert("('a', 'a', 201, 0, NULL, 100), ('b', 'b', 10, 0, NULL, 0)", $columns),
		qr/the budget of pool "a" is larger.*budget 402/s,
		'with a surge'
	);
	like(
		insert(
			"('a', 'a', 100, 0, NULL, 100), ('b', 'b', 100, 0, NULL, 100), ('c', 'c', 101, 0, NULL, 0)",
			$columns
		),
		qr/WARNING:  the declared pools can open more connections than the server has\nDETAIL:  budgets with the largest surge 401, 400 connections usable/,
		'all ceilings, with the largest surge'
	);
	is(query($node, "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'lint'"),
		0, 'of which the advice has a topic of its own');
	is(
		insert(
			"('a', 'a', 100, 0, NULL, 100), ('b', 'b', 100, 0, NULL, 100), ('c', 'c', 100, 0, NULL, 0)",
			$columns
		),
		'',
		'one less'
	);
};

subtest 'never matched' => sub {
	insert(
		"('never', 100, 'never', NULL, NULL), ('once', 100, 'once', NULL, NULL), ('later', 200, 'never', NULL, NULL), ('there', 100, 'there', NULL, NULL)"
	);
	reload();
	my $there = holder($node, 'there');
	wait_for(
		$node,
		"SELECT connects FROM pool_monitor.pool_stats WHERE pool = 'there'",
		'a session that stays', '1'
	);
	query($node, "SELECT pool_monitor.reset('there')");
	holder($node, 'once')->close;
	wait_for($node, "SELECT connects FROM pool_monitor.pool_stats WHERE pool = 'once'",
		'a session', '1');
	is(query($node, "SELECT pool FROM pool_monitor.lint() WHERE rule = 'unmatched'"),
		'', 'not in the first hour');
	is(
		query(
			$node,
			"SELECT pool, finding, evidence ~ '^none for \\d+ (seconds|minutes), since its counters began' FROM pool_monitor.lint('0') WHERE rule = 'unmatched'"
		),
		'never|pool "never" has never had a session|t',
		'said of the one that had none, if that is not known to be so'
	);
	$there->close;

	# one whose sessions take its name after they have begun had some
	my $renamed = holder($node, 'another');
	$renamed->do("sql 0 SET application_name = 'never'");
	wait_for(
		$node,
		"SELECT taken_over FROM pool_monitor.pool_stats WHERE pool = 'never'",
		'a session that takes its name later', '1'
	);
	$renamed->close;
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'never'",
		'and ends', '0');
	is(query($node, "SELECT count(*) FROM pool_monitor.lint('0') WHERE rule = 'unmatched'"),
		0, 'is not said to have had none');
};

subtest 'the interval' => sub {
	foreach my $wrong ('NULL', q{'-1 s'})
	{
		my (undef, undef, $err) =
		  $node->psql('postgres', "SELECT * FROM pool_monitor.lint($wrong)");
		like($err, qr/unmatched_after must not be NULL, negative, or infinite/, $wrong);
	}
};

subtest 'reload() by a role that it is granted to' => sub {
	insert("('narrow', 100, 'web-1%', NULL, NULL), ('wide', 50, 'web%', NULL, NULL)");
	query($node, 'CREATE ROLE loader LOGIN; CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats');
	query($node, 'GRANT EXECUTE ON FUNCTION pool_monitor.reload() TO loader, reader');
	my %told;
	foreach my $role ('loader', 'reader')
	{
		my ($rc, $out, $err) =
		  $node->psql('postgres', 'SELECT pool_monitor.reload()', extra_params => ['-U', $role]);
		is($out, '2', "$role: it loads");
		$told{$role} = $err;
	}
	like($told{reader}, qr/WARNING:  pool "narrow" gets no session/, 'who may see all is warned');
	is($told{loader}, '', 'nobody else is told what pools ask for');
};

subtest 'warnings are few, and refuse nothing' => sub {
	my $err =
	  insert(join(', ', map { "('p$_', 1, '%', NULL, NULL)" } 10 .. 30));
	is(warnings($err), 11, 'ten, and one for the others');
	like(
		$err,
		qr/WARNING:  10 more findings about the declared pools\nHINT:  See pool_monitor.lint\(\)/,
		'with their number'
	);
	$err = (
		$node->psql(
			'postgres',
			"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('mine', 'a'), ('mine too', 'a')",
			extra_params => ['-U', 'inserter']
		)
	)[2];
	like(
		$err,
		qr/^psql:[^\n]*WARNING:  pool "mine too" gets no session: pool "mine" comes before it/,
		'who may not read the table hears of his own rows'
	);
	unlike($err, qr/"p\d+"/, 'and of no others');
	insert("('wide', 1, 'web%', NULL, NULL)");
	$err = insert_more(join(', ', map { "('p$_', 2, 'p$_')" } 1 .. 100) . ", ('last', 2, 'web-1')");
	like($err, qr/WARNING:  pool "last" gets no session/, 'the last one of more than a hundred');
	insert("('wide', 1, 'web%', NULL, NULL), ('narrow', 2, 'web-1', NULL, NULL)");
	query($node, 'GRANT SELECT, UPDATE ON pool_monitor.pools TO inserter');
	$node->psql(
		'postgres',
		<<'EOS', stderr => \$err, on_error_stop => 0, extra_params => ['-U', 'inserter']);
INSERT INTO pool_monitor.pools (name) SELECT 'p' || i FROM generate_series(1, 200) i;
INSERT INTO pool_monitor.pools (name, priority, application_name) VALUES ('next', 2, 'next');
EOS
	like(
		$err,
		qr/ERROR:  202 pools are declared, but there is room for 150/,
		'rows that are too many'
	);
	is(warnings($err), 0, 'are forgotten by the next INSERT');
	query($node,
		'DELETE FROM pool_monitor.pools; ALTER TABLE pool_monitor.pools DROP CONSTRAINT "servers must be between 1 and 10000"'
	);
	my ($rc, $out, $warned) = $node->psql('postgres',
		"INSERT INTO pool_monitor.pools (name, servers) VALUES ('bad', -1), ('all', 1)");
	is("$rc $warned", '0 ', 'a row that cannot be read');
	($rc, $out, $warned) = $node->psql('postgres',
		"ALTER TABLE pool_monitor.pools RENAME usename TO other; INSERT INTO pool_monitor.pools (name, servers) VALUES ('more', 1)"
	);
	is("$rc $warned", '0 ', 'a table that cannot be');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
