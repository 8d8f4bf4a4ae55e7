# docs/reference.md is what the server says today: test/reference.sql, which writes it,
# is run again and compared. And docs/retirement.md has the reasons that there are. Only TAP
# reads documents and sources beside a server with the library preloaded, without which not
# all settings are defined.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $root    = "$FindBin::RealBin/../..";
my $node    = new_server('reference');
my $written = slurp_file("$root/docs/reference.md");
my $writer  = slurp_file("$root/test/reference.sql");

# What would be written if this had been done before.
sub generated
{
	my ($change) = @_;
	return $node->safe_psql('postgres', "BEGIN; $change; $writer; ROLLBACK;") . "\n";
}

# The lines of one text that the other does not have.
sub lines_missing
{
	my ($from, $in) = @_;
	my %there = map { $_ => 1 } split /\n/, $in;
	return join("\n", grep { !$there{$_} } split /\n/, $from);
}

my $now = generated('SELECT WHERE false');

subtest 'docs/reference.md is what the server says' => sub {
	is(lines_missing($now,     $written), '', 'docs/reference.md has all that the server says');
	is(lines_missing($written, $now),     '', 'docs/reference.md has nothing else');
	ok($now eq $written, 'in the same order; if not, run test/reference');
};

# Each kind of object is in it with its comment, and what there is of it.
subtest 'a change of any kind of object is noticed' => sub {
	foreach my $change (
		"COMMENT ON VIEW pool_monitor.budgets IS 'changed'",
		"COMMENT ON COLUMN pool_monitor.budgets.ceiling IS 'changed'",
		"COMMENT ON TABLE pool_monitor.pools IS 'changed'",
		"COMMENT ON COLUMN pool_monitor.pools.pool_recycle IS 'changed'",
		"COMMENT ON FUNCTION pool_monitor.recycle(text, bool) IS 'changed'",
		"ALTER TABLE pool_monitor.pools ALTER workers SET DEFAULT 2",
		"ALTER TABLE pool_monitor.pools ADD CONSTRAINT changed CHECK (true)",
		"CREATE VIEW pool_monitor.changed AS SELECT 1 AS one",
		"CREATE FUNCTION pool_monitor.changed(int DEFAULT 1) RETURNS int LANGUAGE sql RETURN 1",
		"CREATE OR REPLACE FUNCTION pool_monitor.in_window(recycle_window text, at timestamptz DEFAULT '-infinity') RETURNS bool LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'pool_monitor', 'pm_in_window'"
	  )
	{
		my $then = generated($change);
		isnt(lines_missing($then, $now), '', "a change that is noticed: $change");
	}
};

subtest 'nothing is without a comment' => sub {
	is(
		$node->safe_psql(
			'postgres', q{
SELECT string_agg(o.name, ' ') FROM (
	SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class AS c
	WHERE c.relnamespace = 'pool_monitor'::regnamespace AND c.relkind NOT IN ('i', 'c')
	UNION ALL
	SELECT c.relname || '.' || a.attname, col_description(c.oid, a.attnum)
	FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace = 'pool_monitor'::regnamespace AND c.relkind NOT IN ('i', 'c')
	UNION ALL
	SELECT p.oid::regprocedure::text, obj_description(p.oid, 'pg_proc') FROM pg_proc AS p
	WHERE p.pronamespace = 'pool_monitor'::regnamespace
	UNION ALL
	SELECT name, short_desc FROM pg_settings WHERE name LIKE 'pool\_monitor.%') AS o(name, comment)
WHERE coalesce(o.comment, '') = ''}
		),
		'',
		'every object has a comment'
	);
};

subtest 'each name is in docs/reference.md' => sub {
	my $names = $node->safe_psql(
		'postgres', q{
SELECT E'\n### ' || relname || E'\n' FROM pg_class WHERE relnamespace = 'pool_monitor'::regnamespace AND relkind IN ('r', 'v')
UNION ALL
SELECT E'\n| `' || proname || '(' FROM pg_proc WHERE pronamespace = 'pool_monitor'::regnamespace
UNION ALL
SELECT E'\n| `' || name || '`' FROM pg_settings WHERE name LIKE 'pool\_monitor.%'}
	);
	my @names = $names =~ /^(\S.+)$/gm;
	cmp_ok(scalar @names, '>', 40, 'names are found');
	is(join(' ', grep { index($written, "\n$_") < 0 } @names),
		'', 'and each is in docs/reference.md');
};

subtest 'docs/retirement.md tells of each reason in src/base/reasons.h, and of no other' => sub {
	my @reasons = slurp_file("$root/src/base/reasons.h") =~ /^PM_REASON\(\w+, "([^"]+)"/gm;
	my ($table) =
	  slurp_file("$root/docs/retirement.md") =~ /^\| reason \|.*?\n\|[-|]+\n(.*?)\n\n/ms;
	my @told = map { /`([^`]+)`/g } map { (split /\|/)[1] } split /\n/, $table;
	cmp_ok(scalar @reasons, '>', 30, 'reasons are found');
	is(
		join("\n", sort @told),
		join("\n", sort @reasons),
		'docs/retirement.md has each of them, once'
	);
};

done_testing();
