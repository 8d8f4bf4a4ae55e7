# A guard that would lock somebody out is refused when it is written: a row for itself, and
# what all rows reserve together, in one transaction and in two. Needs a server of known
# size, its constraints dropped, and transactions side by side.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorTrust;
use Test::More;

my $node = trust_server('guard_rows',
	"max_connections = 53\nsuperuser_reserved_connections = 3\nautovacuum = off\n");
is(query($node, 'SELECT usable FROM pool_monitor.server'), '50', 'connections are usable');

my $columns =
  'name, application_name, datname, usename, client_addr, pool_size, max_overflow, surge, budget, guard, reserved';

# A row that asks for this, all else as given.
sub row
{
	my (%with) = @_;
	my %row = (
		name             => "'x'",
		application_name => "'x%'",
		pool_size        => 5,
		max_overflow     => 5,
		surge            => 0,
		guard            => "'enforce'",
		reserved         => 0,
		%with
	);
	return '(' . join(', ', map { $row{$_} // 'NULL' } split /, /, $columns) . ')';
}

sub insert { return "INSERT INTO pool_monitor.pools ($columns) VALUES " . join ', ', @_ }

# Each: what, the row, the constraint, the column and what a load says of it.
my $pattern = qr/column "guard" must not be enforce for a pool that takes every session: it needs/;
my @refused = (
	['any session',                {application_name => 'NULL'},  'guard enforce needs', $pattern],
	['a pattern that is any text', {application_name => "'%'"},   'guard enforce needs', $pattern],
	['or nothing but wildcards',   {application_name => "'_%_'"}, 'guard enforce needs', $pattern],
	[
		'of none of the columns',
		{
			application_name => "'%%'",
			datname          => "'%'",
			usename          => "'___'",
			client_addr      => "'0.0.0.0/0'"
		},
		'guard enforce needs',
		$pattern
	],
	[
		'a budget below base',
		{budget => 4},
		'budget must be',
		qr/column "budget" must be at least base, which is 5, unless guard is off/
	],
	[
		'also when it only reports',
		{budget => 4, guard => "'report'"},
		'budget must be',
		qr/column "budget" must be at least base, which is 5, unless guard is off/
	],
	[
		'more reserved than the ceiling',
		{reserved => 11},
		'reserved must be',
		qr/column "reserved" must be at most the budget at rest, which is 10, unless guard is off/
	],
	[
		'which a surge does not raise',
		{reserved => 11, surge => 100},
		'reserved must be',
		qr/column "reserved" must be at most the budget at rest, which is 10, unless/
	],
	[
		'more reserved than an explicit budget',
		{reserved => 8, budget => 7, guard => "'report'"},
		'reserved must be',
		qr/column "reserved" must be at most the budget at rest, which is 7, unless/
	]
);
my @accepted = (
	['one name',         {}],
	['no name at all',   {application_name => "''"}],
	['a role',           {application_name => 'NULL', usename => q{'app\_x'}}],
	['an escaped "%"',   {application_name => q{'\%'}}],
	['a database',       {application_name => "'%'",  datname     => "'post%'"}],
	['a network',        {application_name => "'%'",  client_addr => "'10.0.0.0/8'"}],
	['report, of all',   {application_name => 'NULL', guard       => "'report'"}],
	['a budget of base', {budget           => 5,      reserved    => 5}],
	['no budget',        {max_overflow     => -1,     reserved    => 20}],
	[
		'off, and all wrong',
		{application_name => 'NULL', guard => "'off'", budget => 1, reserved => 90}
	]
);

subtest 'one row, by constraints that speak' => sub {
	foreach (@refused)
	{
		my ($what, $with, $constraint) = @$_;
		like(try($node, insert(row(%$with))),
			qr/ERROR:  new row .* violates check constraint "$constraint/, $what);
	}
	foreach (@accepted)
	{
		my ($what, $with) = @$_;
		unlike(try($node, 'BEGIN; ' . insert(row(%$with)) . '; ROLLBACK'), qr/ERROR/, $what);
	}
	query($node, insert(row(guard => "'off'", application_name => 'NULL', budget => 4)));
	like(
		try($node, "UPDATE pool_monitor.pools SET guard = 'report' WHERE name = 'x'"),
		qr/"budget must be/,
		'as it is changed, too'
	);
	query($node, "DELETE FROM pool_monitor.pools WHERE name = 'x'");
};

# Each statement is refused or not; the sum may be 45.
sub sums
{
	my ($sql, $error, $what) = @_;
	my $outcome = try($node, $sql);
	if (defined $error) { like($outcome, $error, $what) }
	else                { unlike($outcome, qr/ERROR/, $what) }
	return;
}

sub reserving
{
	my ($name, $reserved, %with) = @_;
	return row(
		name             => "'$name'",
		application_name => "'$name%'",
		max_overflow     => -1,
		reserved         => $reserved,
		%with
	);
}

my $set = 'UPDATE pool_monitor.pools SET reserved';
subtest 'what all reserve together' => sub {
	sums(
		insert(reserving('a', 46)),
		qr/ERROR:  the pools with guard enforce reserve 46 connections, but at most 45 of the 50 usable ones can be reserved\nDETAIL:  5 connections are left to those who have none reserved.*\nHINT:  Lower "reserved" of these pools by 1 together, set their guard to report, or raise "max_connections"/,
		'one that is too large, and what to lower'
	);
	sums(insert(reserving('a', 45)),   undef, 'one that leaves as many as it must');
	sums("$set = 20 WHERE name = 'a'", undef, 'is lowered');
	sums(
		insert(reserving('b', 20), reserving('c', 6)),
		qr/reserve 46 connections/,
		'two more, in one statement'
	);
	sums(insert(reserving('b', 20)),                      undef,                      'one more');
	sums("$set = 26 WHERE name = 'b'",                    qr/reserve 46 connections/, 'an UPDATE');
	sums(insert(reserving('c', 30, guard => "'report'")), undef, 'one that only reports is none');
	sums(
		"UPDATE pool_monitor.pools SET guard = 'enforce' WHERE name = 'c'",
		qr/reserve 70 connections/,
		'until it is enforced'
	);
	sums("BEGIN; $set = 10 WHERE name = 'b'; $set = 35 WHERE name = 'a'; COMMIT",
		undef, 'what was lowered before in the same transaction is free');
	sums(
		"BEGIN; DELETE FROM pool_monitor.pools WHERE name = 'b'; $set = 46 WHERE name = 'a'; COMMIT",
		qr/reserve 46/,
		'what was deleted, too, and no more'
	);
	sums(
		"COPY pool_monitor.pools (name, application_name, max_overflow, guard, reserved) FROM STDIN;\nd\td\t-1\tenforce\t1\n\\.\n",
		qr/reserve 46 connections/,
		'COPY'
	);
};

# What is above the sum already, as it may be after max_connections was lowered.
subtest 'where it is too much already' => sub {
	query($node, "ALTER SYSTEM SET max_connections = 43");
	$node->restart;
	is(query($node, 'SELECT usable FROM pool_monitor.server'), '40', 'a smaller server');
	sums("$set = 34 WHERE name = 'a'", undef, 'each step down is welcome');
	sums("UPDATE pool_monitor.pools SET pool_size = 4, description = 'x' WHERE name = 'a'",
		undef, 'so is what has nothing to do with it');
	sums(insert(row(name => "'plain'", guard => "'off'")), undef, 'and a pool without a guard');
	sums(
		"$set = 11 WHERE name = 'b'",
		qr/reserve 45 connections, but at most 35 of the 40/,
		'but no step up'
	);
	query($node, "DELETE FROM pool_monitor.pools WHERE name <> 'good'");
	query($node, "ALTER SYSTEM RESET max_connections");
	$node->restart;
};

# A session that begins a transaction with this.
sub begin
{
	my ($sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query("SET client_min_messages = error; BEGIN; $sql");
	return $session;
}

# 0x7002 is the lock of reserves.c.
my $waiting = 'SELECT count(*) FROM pg_locks WHERE objsubid = 28674 AND NOT granted';

subtest 'two transactions that are right alone' => sub {
	query($node, insert(reserving('a', 10), reserving('b', 10), reserving('c', 0)));
	my $first = begin("$set = 30 WHERE name = 'a'");
	my $now   = "SET lock_timeout = '10 s'; BEGIN";
	sums("$now; $set = 5 WHERE name = 'b'; ROLLBACK", undef, 'who lowers one does not wait');
	sums("$now; UPDATE pool_monitor.pools SET budget = 40 WHERE name = 'b'; ROLLBACK",
		undef, 'nor who changes something else of a guard');
	sums("$now; " . insert(row(name => "'plain'", guard => "'off'")) . '; ROLLBACK',
		undef, 'nor who adds a pool without one');

	my $second = begin('SELECT 1');
	$second->query_until(qr/begun/,
		"\\echo begun\n$set = 20 WHERE name = 'b';\n\\echo done\nCOMMIT;\n");
	wait_for($node, $waiting, 'who raises another one waits', '1');
	$first->query_safe('COMMIT');
	$second->query_until(qr/done/, '');
	$second->quit;
	$first->quit;
	my $reserves =
	  "SELECT string_agg(name || ' ' || reserved, ' ' ORDER BY name) FROM pool_monitor.pools WHERE guard = 'enforce'";
	is(query($node, $reserves), 'a 30 b 10 c 0', 'and is refused: both together are too much');

	my $lowers = begin("$set = 10 WHERE name = 'a'");
	sums(
		"$now; $set = 16 WHERE name = 'b'; COMMIT",
		qr/reserve 46 connections/,
		'what is lowered and not committed counts as it was'
	);
	$lowers->query_safe('ROLLBACK');
	$lowers->quit;

	my $raises = begin("$set = 15 WHERE name = 'b'");
	my $third  = begin('SELECT 1');
	$third->query_until(qr/begun/,
		"\\echo begun\n$set = 5 WHERE name = 'c';\n\\echo done\nCOMMIT;\n");
	wait_for($node, $waiting, 'once more: who raises waits', '1');
	$raises->query_safe('ROLLBACK');
	$third->query_until(qr/done/, '');
	$third->quit;
	$raises->quit;
	is(query($node, $reserves), 'a 30 b 10 c 5', 'and has it when the other one gives up');
	query($node, "DELETE FROM pool_monitor.pools WHERE name <> 'good'");
};

subtest 'without the constraints: a load fails, with words' => sub {
	query($node, <<'EOS');
DO $$ DECLARE c name; BEGIN
	FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'pool_monitor.pools'::regclass AND contype = 'c' LOOP
		EXECUTE format('ALTER TABLE pool_monitor.pools DROP CONSTRAINT %I', c);
	END LOOP;
END $$;
EOS
	foreach (@refused)
	{
		my ($what, $with, undef, $error) = @$_;
		query($node, insert(row(%$with)));
		like(try($node, 'SELECT pool_monitor.reload()'), qr/ERROR: .*pool "x": $error/, $what);
		is(query($node, 'SELECT string_agg(pool, $$ $$) FROM pool_monitor.declared()'),
			'good', 'what was in force stays');
		query($node, "DELETE FROM pool_monitor.pools WHERE name = 'x'");
	}
	foreach (@accepted)
	{
		my ($what, $with) = @$_;
		query($node, insert(row(%$with)));
		is(try($node, 'SELECT pool_monitor.reload()'), '2', $what);
		query($node, "DELETE FROM pool_monitor.pools WHERE name = 'x'");
	}
	like(
		try($node, 'SET ROLE declarer; ' . insert(row(budget => 4, guard => "'report'"))),
		qr/ERROR:  pool "x": column "budget" must be at least base/,
		'who may not end sessions hears of it when he writes it'
	);
};

subtest 'the limit of what is undeclared' => sub {
	foreach my $bad (0, 4)
	{
		like(
			try($node, "ALTER SYSTEM SET pool_monitor.undeclared_budget = $bad"),
			qr/ERROR:  invalid value for parameter.*DETAIL:  "pool_monitor.undeclared_budget" must be 5 or more, so that nobody is locked out, or -1 for no limit/s,
			"$bad locks administrators out"
		);
	}
	unlike(try($node, "ALTER SYSTEM SET pool_monitor.undeclared_budget = $_"), qr/ERROR/, $_)
	  foreach 5, -1;
};

is(log_count($node, 'PANIC|TRAP|deadlock'), 0, 'no PANIC, and no deadlock');
done_testing();
