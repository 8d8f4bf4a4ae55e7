# What is odd about guards that are valid: as a WARNING of INSERT, in lint() and in the
# advice; and who does what is recommended has no finding more. Needs a server of known
# size, and settings that are changed.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool);
use Test::More;

my $node = new_server('guard_lint', "max_connections = 108\nsuperuser_reserved_connections = 3\n");
query($node, 'CREATE ROLE app LOGIN');
is(query($node, 'SELECT usable FROM pool_monitor.server'),
	'105', 'connections are usable, of which 100 can be reserved');

# What psql is told by these rows, and no others; all of a role that there is.
sub insert
{
	my (@rows) = @_;
	query($node, 'DELETE FROM pool_monitor.pools');
	return insert_more(@rows);
}

sub insert_more
{
	my (@rows) = @_;
	my $sql = join ' ',
	  map { my ($name, %with) = @$_; insert_pool($name, usename => "'app'", %with) } @rows;
	my ($rc, $out, $err) = $node->psql('postgres', $sql);
	is($rc, 0, 'the rows are written') or diag $err;
	query($node, 'SELECT pool_monitor.reload()');
	return $err;
}

sub update
{
	my ($set) = @_;
	query($node, "UPDATE pool_monitor.pools SET $set");
	query($node, 'SELECT pool_monitor.reload()');
	return findings();
}

sub findings
{
	return query($node,
		"SELECT string_agg(concat_ws(' ', rule, pool), ', ' ORDER BY rule COLLATE \"C\", pool COLLATE \"C\") FROM pool_monitor.lint()"
	);
}

my $enforce = "'enforce'";
my $report  = "'report'";

subtest 'nothing to say' => sub {
	is(
		insert(
			['a', guard => $enforce, reserved     => 5],
			['b', guard => $report,  connect_rate => 10, connect_burst => 50],
			['c', guard => $enforce, pool_size    => 0,  reserved      => 7],
			['d', guard => $enforce, max_overflow => -1, budget => 20, guard_superusers => 'true']
		),
		'',
		'no warning'
	);
	is(findings(), '', 'nor a finding');
};

# Each: what, the row, the rule, what is said of it, and each way to mend it.
my @odd = (
	[
		'a guard without a limit',
		{guard => $report, max_overflow => -1},
		'guard_without_limit',
		qr/WARNING:  the guard of pool "x" has no limit to keep\nDETAIL:  no ceiling and no budget, nothing reserved, no connect_rate\.\nHINT:  Declare a budget/,
		['budget = 10', "guard = 'off'"]
	],
	[
		'a reserve and a rate without a guard',
		{reserved => 3, connect_rate => 4, guard_superusers => 'true'},
		'guard_off',
		qr/WARNING:  pool "x" asks for a guard, but its guard is off\nDETAIL:  reserved 3, connect_rate 4, guard_superusers, without effect\.\nHINT:  Set guard to report/,
		["guard = 'report'", 'reserved = 0, connect_rate = NULL, guard_superusers = false']
	],
	[
		'a reserve of what is not needed at rest',
		{guard => $enforce, reserved => 6},
		'guard_reserve',
		qr/WARNING:  pool "x" has more reserved than it keeps open at rest\nDETAIL:  reserved 6, base 5: .*\.\nHINT:  Lower reserved to base/,
		['reserved = 5', 'pool_size = 6']
	],
	[
		'a name alone',
		{guard => $enforce, usename => 'NULL'},
		'guard_by_name',
		qr/WARNING:  whose logins the guard of pool "x" refuses is what clients call themselves\n.*HINT:  Ask for usename as well/s,
		["usename = 'app'", "client_addr = '127.0.0.0/8'", "datname = 'postgres'"]
	],
	[
		'also where the others ask for nothing',
		{guard => $enforce, usename => "'_%'", client_addr => "'0.0.0.0/0'"},
		'guard_by_name',
		qr/whose logins the guard of pool "x"/,
		["guard = 'report'"]
	],
	[
		'a burst without a rate',
		{connect_burst => 21},
		'guard_burst',
		qr/WARNING:  connect_burst of pool "x" has no effect without connect_rate\nDETAIL:  connect_burst 21\.\nHINT:  Declare a connect_rate, or set connect_burst to its default of 20/,
		["connect_rate = 5, guard = 'report'", 'connect_burst = DEFAULT']
	]
);

foreach (@odd)
{
	my ($what, $with, $rule, $warning, $mended) = @$_;
	subtest $what => sub {
		foreach my $set (@$mended)
		{
			like(insert(['x', %$with]), $warning, 'a warning');
			is(findings(), "$rule x", 'a finding, and that alone');
			is(query($node, "SELECT pool FROM pool_monitor.advice WHERE topic = 'lint'"),
				'x', 'and the advice');
			is(update($set), '', "none any more: $set");
		}
	};
}

subtest 'all reserves together' => sub {
	my %large = (guard => $enforce, pool_size => 40);
	is(insert(['a', %large, reserved => 40], ['b', %large, reserved => 40]), '', '80 of 100');
	like(
		insert_more(['c', %large, reserved => 1]),
		qr/WARNING:  the pools reserve nearly all that can be reserved\nDETAIL:  81 reserved, of 100 that can be: 105 connections are usable, and 5 of them stay anybody's\.\nHINT:  Lower reserved of some pools, to 80 together/,
		'81'
	);
	update("guard = 'report' WHERE name = 'c'");
	like(
		query($node, "SELECT evidence FROM pool_monitor.lint() WHERE rule = 'guard_reserves'"),
		qr/^81 reserved \(1 of them with guard report\), of 100/,
		'also where it is tried out'
	);
	query($node, "UPDATE pool_monitor.pools SET guard = 'enforce' WHERE name = 'c'");
	unlike(insert_more(['d']), qr/the pools reserve/, 'of which a pool without one is not told');
	like(findings(), qr/guard_reserves/, 'a finding');
	query($node, 'ALTER SYSTEM SET max_connections = 80');
	$node->restart;
	wait_for($node, 'SELECT count(*) FROM pool_monitor.declared()', 'a smaller server', '4');
	like(
		query(
			$node,
			"SELECT finding, evidence FROM pool_monitor.lint() WHERE rule = 'guard_reserves'"
		),
		qr/^the pools reserve more connections than the server can keep for them\|81 reserved, of 72 that can be/,
		'which cannot keep that'
	);
	query($node, 'ALTER SYSTEM RESET max_connections');
	$node->restart;
	is(update("reserved = reserved - 1 WHERE name = 'c'") =~ s/ceilings, //r =~ s/ceilings//r,
		'', 'one less');
};

subtest 'what is undeclared' => sub {
	insert(['x']);
	foreach my $mode ('report', 'enforce')
	{
		query($node, "ALTER SYSTEM SET pool_monitor.undeclared_guard = $mode");
		$node->reload;
		wait_for(
			$node,
			'SELECT rule, pool, evidence FROM pool_monitor.lint()',
			"$mode, without a limit",
			"guard_undeclared||undeclared_guard $mode, undeclared_budget -1"
		);
		is(insert(['x']), '', 'is no concern of who writes a row');
	}
	query($node, 'ALTER SYSTEM SET pool_monitor.undeclared_budget = 20');
	$node->reload;
	wait_for($node, 'SELECT count(*) FROM pool_monitor.lint()', 'with one it is all right', '0');
};

subtest 'the switch' => sub {
	my $told = "SELECT rule, pool, evidence FROM pool_monitor.lint() WHERE rule = 'guard_disabled'";

	insert(['x', usename => "'app'", guard => "'report'"], ['y']);
	query($node, 'ALTER SYSTEM SET pool_monitor.guard_enabled = off');
	$node->reload;
	wait_for(
		$node, $told,
		'off, and guards',
		'guard_disabled||guard_enabled is off, with 2 to report or to enforce'
	);
	query($node, 'ALTER SYSTEM RESET pool_monitor.undeclared_guard');
	$node->reload;
	wait_for(
		$node, $told,
		'of undeclared, too',
		'guard_disabled||guard_enabled is off, with 1 to report or to enforce'
	);
	query($node, "UPDATE pool_monitor.pools SET guard = 'off'; SELECT pool_monitor.reload()");
	is(query($node, $told), '', 'no guard, no switch');
	query($node,
		"UPDATE pool_monitor.pools SET guard = 'report' WHERE name = 'y'; SELECT pool_monitor.reload()"
	);
	isnt(query($node, $told), '', 'one again');
	query($node, 'ALTER SYSTEM RESET pool_monitor.guard_enabled');
	$node->reload;
	wait_for($node, $told, 'on', '');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
