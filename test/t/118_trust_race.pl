# A tenant who owns the database of the declarations has a schema that takes the place of
# ours, by name, again and again, while declarations are loaded: nothing of hers is read or
# run. And with nothing but INSERT on the table: nothing of hers is run for the trigger.
# Only TAP can rename schemas in a loop beside loads that the worker makes.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorClients qw(pgbench);
use PoolMonitorTrust;
use PostgreSQL::Test::Utils;
use Test::More;

my $node      = trust_server('trust_race');
my $superuser = query($node, 'SELECT current_user');

# What is ours goes by another name at times, which these do not mind.
query($node, <<'EOS');
CREATE SCHEMA seen;
CREATE VIEW seen.pools AS SELECT string_agg(pool, ' ' ORDER BY pool) AS names FROM pool_monitor.budgets;
CREATE FUNCTION seen.reload() RETURNS text LANGUAGE sql RETURN pool_monitor.reload()::text;
ALTER DATABASE postgres OWNER TO tenant;
GRANT INSERT ON pool_monitor.pools TO tenant;
EOS

# Her function writes into the server log who ran it, which no rollback takes away.
my $trap = <<'EOS';
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE FUNCTION trap.sprung() RETURNS bool LANGUAGE plpgsql AS
	$$ BEGIN RAISE LOG 'the trap was run by %', current_user; RETURN true; END $$;
CREATE FUNCTION trap.compares(int, int) RETURNS bool LANGUAGE sql AS 'SELECT trap.sprung()';
CREATE FUNCTION trap.compares(text, text) RETURNS bool LANGUAGE sql AS 'SELECT trap.sprung()';
CREATE FUNCTION trap.counts(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT trap.sprung()::int::bigint';
CREATE AGGREGATE trap.count(*) (SFUNC = counts, STYPE = bigint, INITCOND = '0');
CREATE OPERATOR trap.= (LEFTARG = int, RIGHTARG = int, FUNCTION = trap.compares);
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.compares);
CREATE OPERATOR trap.> (LEFTARG = int, RIGHTARG = int, FUNCTION = trap.compares);
CREATE SCHEMA hers_table;
CREATE SCHEMA hers_view;
EOS
$trap =~ s/SFUNC = counts/SFUNC = trap.counts/;
query($node, "SET ROLE tenant; $trap");
query($node, <<'EOS');
CREATE TABLE hers_table.pools (LIKE pool_monitor.pools INCLUDING ALL);
INSERT INTO hers_table.pools (name) VALUES ('hers');
ALTER TABLE hers_table.pools OWNER TO tenant;
ALTER TABLE hers_table.pools ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY trap ON hers_table.pools USING (trap.sprung());
CREATE VIEW hers_view.pools AS SELECT * FROM hers_table.pools WHERE trap.sprung();
ALTER VIEW hers_view.pools OWNER TO tenant;
EOS

sub trapped { return log_count($node, 'the trap was run by') }

sub swap
{
	my ($hers) = @_;
	return "ALTER SCHEMA pool_monitor RENAME TO ours;\n"
	  . "SET ROLE tenant;\nALTER SCHEMA $hers RENAME TO pool_monitor;\n";
}

sub swap_back
{
	my ($hers) = @_;
	return "ALTER SCHEMA pool_monitor RENAME TO $hers;\n"
	  . "RESET ROLE;\nALTER SCHEMA ours RENAME TO pool_monitor;\n";
}

subtest 'the trap is set' => sub {
	query($node, 'SELECT count(*) FROM hers_view.pools');
	cmp_ok(log_count($node, "the trap was run by $superuser"),
		'>', 0, 'her view runs it as who reads it');
};
my $set = trapped();

foreach my $hers ('hers_table', 'hers_view')
{
	subtest "$hers.pools stands where ours did" => sub {
		my $offset = -s $node->logfile;
		query($node, swap($hers));
		is(try($node, 'SELECT seen.reload()'),           '1',    'ours is loaded');
		is(query($node, 'SELECT names FROM seen.pools'), 'good', 'and in force');
		query($node, 'SET ROLE tenant; ' . swap_back($hers));
		is(log_count($node, 'could not load', $offset), 0, 'without an error');
	};

	subtest "schemas are renamed in a loop, with $hers" => sub {
		my $script = $node->basedir . "/$hers.sql";
		append_to_file($script, swap($hers) . swap_back($hers));
		my $offset = -s $node->logfile;
		my $loop   = pgbench($node, $superuser, $script, '-c', 1);
		my %seen;
		foreach (1 .. 50)
		{
			$seen{try($node, 'SELECT seen.reload()')} = 1;
			$seen{query($node, 'SELECT names FROM seen.pools')} = 1;
		}
		ok($loop->pumpable, 'the loop runs all the time');
		query($node,
			"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE query LIKE 'ALTER SCHEMA%' OR application_name = 'pgbench'"
		);
		$loop->kill_kill;
		is_deeply([sort keys %seen], ['1', 'good'], 'what is in force was never hers');
		is(log_count($node, 'could not load', $offset), 0, 'nor was a load without ours');

		# wherever it was interrupted
		query($node,
			"DO \$\$ BEGIN IF to_regnamespace('ours') IS NOT NULL THEN IF to_regnamespace('$hers') IS NULL THEN ALTER SCHEMA pool_monitor RENAME TO $hers; END IF; ALTER SCHEMA ours RENAME TO pool_monitor; END IF; END \$\$"
		);
	};
}
is(trapped(), $set, 'nothing of hers was run');

subtest 'who may only INSERT' => sub {
	my $path = 'SET search_path = trap, public, pg_catalog';
	is($node->psql('postgres', "$path; SELECT 1 = 1", extra_params => ['-U', 'tenant']),
		0, 'her operators are what her queries meet');
	cmp_ok(trapped(), '>', $set, 'and tell');
	my $before = trapped();
	is(
		$node->psql(
			'postgres',
			"$path; INSERT INTO pool_monitor.pools (name, application_name) VALUES ('hers', 'hers'), ('two', 'hers%')",
			extra_params => ['-U', 'tenant']
		),
		0,
		'she adds rows'
	);
	is(query($node, 'SELECT pool_monitor.reload()'), '3', 'which are in force');
	is(trapped(), $before, 'and nothing of hers was run, as her or as anybody');
};

is(log_count($node, 'PANIC|TRAP:'), 0, 'nothing broke');
done_testing();
