# Nobody's operators and functions are run in place of the server's: a tenant owns the
# database of the declarations, so schema public and the database's search_path. Before
# the extension is there, and whatever the server has it uses, by name and, for operators,
# between all common types, there is another one in front of it: each says in the server
# log that it was run. Only TAP has such a database, and the log.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorRights;
use PostgreSQL::Test::Utils;
use Test::More;

my $hostile   = new_server('hostile', 'pool_monitor.recycle_interval = 100ms', no_extension => 1);
my $superuser = $hostile->safe_psql('postgres', 'SELECT current_user');
my $safe      = 'SET search_path = pg_catalog; ';
$hostile->safe_psql('postgres',
	'CREATE ROLE tenant LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor, pg_signal_backend; ALTER DATABASE postgres OWNER TO tenant'
);

# Names of functions that are called in SQL, and of what the extension makes.
my $code   = join ' ', $script, map { slurp_file($_) } glob "$root/src/*/*.c";
my $called = join ', ',
  map { "'$_'" } sort keys %{{map { $_ => 1 } $code =~ /\b([a-z_]\w*)\s*\(/g}};
my @ours =
  sort keys %{{map { $_ => 1 } $script =~ /^CREATE (?:FUNCTION|VIEW|TABLE) pool_monitor\.(\w+)/mg}};
cmp_ok(scalar @ours, '>', 30, 'names of the extension are found');
my $ours = join ', ', map { "'$_'" } @ours;

my $trap = <<'EOS' =~ s/CALLED/$called/gr =~ s/OURS/$ours/gr;
SET client_min_messages = error;
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE FUNCTION trap.alarm(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS
	'BEGIN RAISE LOG ''the trap was run: %'', what; RETURN true; END';
DO $do$
DECLARE
	place text;
	body text := 'LANGUAGE plpgsql AS $f$ BEGIN PERFORM trap.alarm(''@''); RETURN NULL; END $f$';
	types regtype[] := ARRAY['int', 'bigint', 'float8', 'numeric', 'text', 'name', 'interval', 'timestamptz', 'bool', 'inet', 'jsonb', 'oid'];
	f record;
BEGIN
	FOREACH place IN ARRAY ARRAY['trap', 'public'] LOOP
		-- the server's functions that are called anywhere, with their own arguments
		FOR f IN SELECT p.proname, oidvectortypes(p.proargtypes) AS args, format_type(p.prorettype, NULL) AS result
			FROM pg_proc AS p
			WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN (CALLED) AND p.prokind = 'f' AND NOT p.proretset
				AND NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[] || p.prorettype) AS a JOIN pg_type AS t ON t.oid = a WHERE t.typtype = 'p')
		LOOP
			EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s %s', place, f.proname, f.args, f.result, replace(body, '@', f.proname));
		END LOOP;
		-- the same for each type, which fits better than a conversion
		FOR f IN SELECT DISTINCT p.proname, t.type
			FROM pg_proc AS p CROSS JOIN unnest(types) AS t(type)
			WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN (CALLED) AND p.prokind = 'f' AND p.pronargs = 1
		LOOP
			BEGIN
				EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %3$s %4$s', place, f.proname, f.type, replace(body, '@', f.proname));
			EXCEPTION WHEN duplicate_function THEN NULL;
			END;
		END LOOP;
		-- operators between all types
		FOR f IN SELECT l.type AS l, r.type AS r FROM unnest(types) AS l(type), unnest(types) AS r(type) LOOP
			EXECUTE format('CREATE FUNCTION %I.compares(%s, %s) RETURNS bool %s', place, f.l, f.r, replace(body, '@', 'comparison'));
			EXECUTE format('CREATE FUNCTION %I.computes(%s, %s) RETURNS %2$s %4$s', place, f.l, f.r, replace(body, '@', 'arithmetic'));
			EXECUTE (SELECT string_agg(format('CREATE OPERATOR %I.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %1$I.%5$s)', place, o.name, f.l, f.r, o.function), ';')
				FROM (VALUES ('=', 'compares'), ('<>', 'compares'), ('<', 'compares'), ('<=', 'compares'), ('>', 'compares'), ('>=', 'compares'), ('~~', 'compares'), ('~', 'compares'),
					('+', 'computes'), ('-', 'computes'), ('*', 'computes'), ('/', 'computes'), ('||', 'computes')) AS o(name, function));
		END LOOP;
		FOR f IN SELECT t.type, a.name FROM unnest(types) AS t(type), unnest(ARRAY['sum', 'max', 'min', 'count', 'string_agg']) AS a(name) LOOP
			EXECUTE format('CREATE AGGREGATE %I.%I(%s) (SFUNC = %1$I.computes, STYPE = %3$s)', place, f.name, f.type);
		END LOOP;
		-- what is named as ours is, and as catalogs are
		FOR f IN SELECT n.name FROM unnest(ARRAY[OURS, 'pg_stat_activity', 'pg_settings', 'pg_db_role_setting', 'pg_extension', 'pg_depend']) AS n(name) LOOP
			EXECUTE format('CREATE VIEW %I.%I AS SELECT trap.alarm(%L) AS name, NULL::text AS pool', place, f.name, f.name);
			BEGIN
				EXECUTE format('CREATE FUNCTION %I.%I() RETURNS text %s', place, f.name, replace(body, '@', f.name));
			EXCEPTION WHEN duplicate_function THEN NULL;
			END;
		END LOOP;
		-- and types as the server's are
		FOR f IN SELECT t.type FROM unnest(ARRAY['text', 'name', 'jsonb', 'inet', 'cidr', 'float8', 'timestamptz']) AS t(type) LOOP
			EXECUTE format('CREATE DOMAIN %I.%I AS pg_catalog.%2$I CHECK (trap.alarm(%2$L))', place, f.type);
		END LOOP;
	END LOOP;
END $do$;
ALTER DATABASE postgres SET search_path = trap, public, pg_catalog;
EOS
$hostile->safe_psql('postgres', $trap, extra_params => ['-U', 'tenant']);

my $run  = qr/the trap was run: .*/;
my $mark = 0;

sub sprung
{
	my $text = substr slurp_file($hostile->logfile), $mark;
	$mark += length $text;
	return join ' ', sort keys %{{map { $_ => 1 } $text =~ /the trap was run: (.*)/g}};
}

# What runs in the session of $role, with the search_path that the tenant chose.
sub untouched
{
	my ($role, $what, @statements) = @_;
	my $ok = 1;
	foreach my $statement (@statements)
	{
		my ($rc, undef, $err) = $hostile->psql(
			'postgres',
			"SET client_min_messages = error; $statement",
			extra_params => ['-U', $role]
		);
		$ok = 0, diag("$statement: $err") if $rc != 0;
	}
	ok($ok, "$what works");
	is(sprung(), '', "$what, and runs nothing of the tenant's");
	return;
}

subtest 'the trap is set' => sub {
	$hostile->safe_psql('postgres', 'SELECT 1 = 1');
	is(sprung(), 'comparison', 'the trap is set: the tenant\'s operator is what a query meets');
};

subtest 'CREATE EXTENSION' => sub {
	$hostile->safe_psql(
		'postgres',
		'CREATE SCHEMA pool_monitor; CREATE VIEW pool_monitor.budgets AS SELECT 1',
		extra_params => ['-U', 'tenant']
	);
	isnt($hostile->psql('postgres', 'CREATE EXTENSION pool_monitor'),
		0, 'a schema that the tenant has made is not taken');
	$hostile->safe_psql(
		'postgres',
		'DROP SCHEMA pool_monitor CASCADE',
		extra_params => ['-U', 'tenant']
	);
	untouched($superuser, 'CREATE EXTENSION', 'CREATE EXTENSION pool_monitor');
};

subtest 'declarations' => sub {
	untouched(
		$superuser,
		'changing declarations and loading them',
		q{INSERT INTO pool_monitor.pools (name, application_name, recycle_window) VALUES ('p', 'x%', '22:00-06:00 Europe/Berlin')},
		q{INSERT INTO pool_monitor.pools (name, client_addr, recycle_mode, recycle_grace) VALUES ('q', '10.0.0.0/8', 'terminate', '0')},
		'UPDATE pool_monitor.pools SET pool_size = 6, description = NULL',
		'SELECT pool_monitor.reload()'
	);
	is(
		$hostile->safe_psql(
			'template1',
			$safe . "CREATE EXTENSION pool_monitor; SELECT count(*) FROM pool_monitor.budgets"
		),
		2,
		'and they are in force'
	);
};

subtest 'reading and calling' => sub {
	my @read = map { "SELECT * FROM pool_monitor.$_" } split /\n/,
	  $hostile->safe_psql('postgres',
		$safe
		  . "SELECT relname FROM pg_class WHERE relnamespace = 'pool_monitor'::regnamespace AND relkind IN ('r', 'v')"
	  );
	create_probe($hostile, 'template1');
	my @calls = split /\n/,
	  $hostile->safe_psql('template1',
		q{SELECT sql FROM probe.attempts WHERE kind = 'function' AND sql LIKE 'SELECT%' ORDER BY 1}
	  );
	my @call =
	  map { s/^SELECT 'ok' FROM \(SELECT count\(\*\) (FROM .*)\) AS n$/SELECT * $1/r } @calls;
	cmp_ok(scalar @read, '>=', 12, 'all relations');
	cmp_ok(scalar @call, '>=', 25, 'and functions');

	foreach my $role ($superuser, 'monitor')
	{
		untouched($role, "reading as $role", @read);
		untouched(
			$role,
			"calling as $role",
			grep { $role eq $superuser || !/re(set|load)\(/ } @call
		);
	}
};

subtest 'deleting declarations' => sub {
	untouched(
		$superuser,
		'deleting declarations',
		'DELETE FROM pool_monitor.pools',
		'TRUNCATE pool_monitor.pools',
		'SELECT pool_monitor.reload()'
	);
};

subtest 'DROP EXTENSION' => sub {
	untouched($superuser, 'DROP EXTENSION', 'DROP EXTENSION pool_monitor');
};

done_testing();
