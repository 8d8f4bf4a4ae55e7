# Who may do what, really tried: each table, column, function and setting that the
# catalogs know, by each kind of role, against the tables in docs/rights.md; what is
# new there, or in the catalogs, fails until it is in both. Then what a role sees
# through others' views and functions, and that nobody's operators and functions
# are run in place of the server's. Needs real logins, and databases of its own.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node      = new_server('rights', 'pool_monitor.recycle_interval = 1h', no_extension => 1);
my $root      = "$FindBin::RealBin/../..";
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# In docs/rights.md each kind of role is a column.
my @kinds = (
	'everybody',         'CREATEROLE', 'database owner',  'pg_signal_backend',
	'pg_read_all_stats', 'pg_monitor', 'extension owner', 'superuser'
);
my %role = (
	'everybody'         => 'plain',
	'CREATEROLE'        => 'creator',
	'database owner'    => 'dbowner',
	'pg_signal_backend' => 'signaller',
	'pg_read_all_stats' => 'reader',
	'pg_monitor'        => 'monitor',
	'extension owner'   => 'extowner',
	'superuser'         => $superuser
);

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE plain LOGIN;
CREATE ROLE creator LOGIN CREATEROLE;
CREATE ROLE dbowner LOGIN;
CREATE ROLE signaller LOGIN IN ROLE pg_signal_backend;
CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE extowner LOGIN SUPERUSER;
CREATE ROLE other LOGIN;
CREATE ROLE joe LOGIN NOINHERIT IN ROLE monitor;
ALTER DATABASE postgres OWNER TO dbowner;
GRANT CREATE ON DATABASE postgres TO monitor, signaller;
EOS
$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor', extra_params => ['-U', 'extowner']);
my $other = PoolMonitor::Holder->new($node, user => 'other', application_name => 'other');

# ---- what there is to try ----

# probe.try() says what came of a statement, and undoes it: "ok" with a result, or
# the SQLSTATE.
$node->safe_psql('postgres', <<'EOS');
CREATE SCHEMA probe;
GRANT USAGE ON SCHEMA probe TO PUBLIC;
CREATE TABLE probe.attempts (kind text, object text, what text, sql text);
GRANT SELECT ON probe.attempts TO PUBLIC;
CREATE FUNCTION probe.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION probe.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	IF sql ~ '^SELECT' THEN
		EXECUTE sql INTO result;
	ELSE
		EXECUTE sql;
	END IF;
	RAISE EXCEPTION USING errcode = 'PM000', message = coalesce(nullif(result, ''), 'ok');
EXCEPTION
	WHEN sqlstate 'PM000' THEN RETURN sqlerrm;
	WHEN OTHERS THEN RETURN sqlstate;
END $$;

-- every relation: reading, each column of it, writing, changing what it is
INSERT INTO probe.attempts
SELECT 'relation', c.relname, w.what, format(w.sql, c.oid::regclass, first.attname)
FROM pg_class AS c
CROSS JOIN LATERAL (SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = 1) AS first
CROSS JOIN (VALUES
	('read', 'SELECT ''ok'' FROM (SELECT count(*) FROM (SELECT * FROM %s) AS r) AS n'),
	('insert', 'INSERT INTO %s (%I) VALUES (NULL)'), ('update', 'UPDATE %s SET %2$I = %2$I'),
	('delete', 'DELETE FROM %s'), ('truncate', 'TRUNCATE %s'), ('lock', 'LOCK TABLE %s IN SHARE MODE'),
	('trigger', 'CREATE TRIGGER t AFTER INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION probe.nothing()'),
	('define', 'COMMENT ON COLUMN %s.%I IS NULL'), ('own', 'ALTER TABLE %s RENAME TO renamed')) AS w(what, sql)
WHERE c.relnamespace = 'pool_monitor'::regnamespace AND c.relkind NOT IN ('i', 'c')
	AND (c.relkind = 'r' OR w.what NOT IN ('truncate', 'lock', 'trigger'));
INSERT INTO probe.attempts
SELECT 'column', c.relname, a.attname, format('SELECT %I FROM %s LIMIT 0', a.attname, c.oid::regclass)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'pool_monitor'::regnamespace AND c.relkind NOT IN ('i', 'c') AND a.attnum > 0 AND NOT a.attisdropped;
INSERT INTO probe.attempts VALUES
	('relation', 'sessions', 'details', 'SELECT bool_or(backend_start IS NOT NULL OR client_addr IS NOT NULL OR state IS NOT NULL OR age IS NOT NULL OR keep_reason IS NOT NULL) FROM pool_monitor.sessions WHERE usename <> current_user'),
	('relation', 'applications', 'details', 'SELECT bool_or(active IS NOT NULL OR client_hosts IS NOT NULL OR oldest IS NOT NULL OR stale IS NOT NULL) FROM pool_monitor.applications WHERE usename <> current_user'),
	('relation', '(schema)', 'read', 'SELECT ''ok'' WHERE pg_catalog.has_schema_privilege(''pool_monitor'', ''USAGE'')'),
	('relation', '(schema)', 'define', 'CREATE TABLE pool_monitor.mine ()'),
	('relation', '(extension)', 'define', 'DROP EXTENSION pool_monitor CASCADE');

-- every function, with values that it takes
CREATE FUNCTION probe.value(type oid, name text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		WHEN name = 'recycle_window' THEN quote_literal('22:00-06:00 UTC')
		WHEN name = 'pool' THEN 'NULL'
		ELSE (SELECT v.value FROM (VALUES ('int', '5'), ('float8', '0.5'), ('numeric', '20'), ('bool', 'true'),
			('interval', quote_literal('1 hour')), ('timestamptz', quote_literal('2026-01-01 00:00 UTC')), ('text', quote_literal('x')))
			AS v(type, value) WHERE v.type::regtype = $1) END
$$;
INSERT INTO probe.attempts
SELECT 'function', replace(p.oid::regprocedure::text, 'pool_monitor.', ''), 'call',
	format('SELECT ''ok'' FROM (SELECT count(*) FROM %s(%s)) AS n', p.oid::regproc,
		(SELECT string_agg(coalesce(probe.value(t.type, (array_remove(CASE WHEN p.proargmodes IS NULL THEN p.proargnames
			ELSE ARRAY(SELECT p.proargnames[i] FROM generate_subscripts(p.proargmodes, 1) AS i WHERE p.proargmodes[i] IN ('i', 'b')) END, NULL))[t.n]),
			'unknown type ' || t.type::regtype), ', ' ORDER BY t.n)
		FROM unnest(p.proargtypes) WITH ORDINALITY AS t(type, n)))
FROM pg_proc AS p WHERE p.pronamespace = 'pool_monitor'::regnamespace AND p.prorettype <> 'trigger'::regtype;
INSERT INTO probe.attempts
SELECT 'function', replace(p.oid::regprocedure::text, 'pool_monitor.', ''), 'call',
	format('CREATE TRIGGER t AFTER INSERT ON pg_temp.mine FOR EACH ROW EXECUTE FUNCTION %s()', p.oid::regproc)
FROM pg_proc AS p WHERE p.pronamespace = 'pool_monitor'::regnamespace AND p.prorettype = 'trigger'::regtype;
INSERT INTO probe.attempts VALUES
	('function', 'recycle(text,boolean) to act', 'call', 'SELECT ''ok'' FROM (SELECT count(*) FROM pool_monitor.recycle(dry_run => false)) AS n');
EOS

# The extension has nothing but what is tried here.
is(
	$node->safe_psql(
		'postgres', q{
	SELECT DISTINCT d.classid::regclass::text FROM pg_depend AS d
	WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool_monitor') AND d.deptype = 'e'
		AND d.classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass)}
	),
	'',
	'the extension has relations, functions and their types only'
);
is(
	$node->safe_psql(
		'postgres',
		q{SELECT count(*) FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid::regclass::text LIKE 'pool_monitor.%'}
	),
	'0',
	'no column has rights of its own'
);

# Every function of the library that SQL can name is one that the script declares:
# there is nothing else in it for a superuser to declare by mistake.
my $library = slurp_file(`$ENV{PG_CONFIG} --pkglibdir` =~ s/\n//r . '/pool_monitor.so');
my $script =
  slurp_file(`$ENV{PG_CONFIG} --sharedir` =~ s/\n//r . '/extension/pool_monitor--1.0.sql');
my %entry = map { $_ => 1 } $library =~ /pg_finfo_(\w+)/g;
cmp_ok(scalar keys %entry, '>', 20, 'functions of the library are found');
is(join(' ', grep { $script !~ /'$_'/ } sort keys %entry), '',
	'and each is declared by the script');

my @calls = split /\n/,
  $node->safe_psql('postgres',
	q{SELECT sql FROM probe.attempts WHERE kind = 'function' AND sql LIKE 'SELECT%' ORDER BY 1});

# ---- what is documented ----

my $document = slurp_file("$root/docs/rights.md");

# The table below the mark: row and column to cell.
sub documented
{
	my ($mark)  = @_;
	my ($table) = $document =~ /<!-- matrix: $mark -->\n((?:\|.*\n)*)/;
	my @rows =
	  map {
		[map { s/^\s+|\s+$|`//gr } split /\|/, s/^\||\|$//gr]
	  } split /\n/, $table // '';
	my ($head, undef) = splice @rows, 0, 2;
	my %cells;
	foreach my $row (@rows)
	{
		$cells{$row->[0]}{$head->[$_]} = $row->[$_] foreach 1 .. $#$head;
	}
	return %cells;
}

# Compares; if the document is wrong, shows the table that would be right.
sub compare
{
	my ($mark, $columns, %got) = @_;
	my %want = documented($mark);
	my $ok =
	  is(join(', ', sort keys %got), join(', ', sort keys %want), "$mark: all are documented");
	foreach my $object (sort keys %got)
	{
		my ($is, $should) =
		  map {
			my $row = $_;
			join ' | ', map { "$_: " . ($row->{$_} // 'nothing') } @$columns
		  } $got{$object}, $want{$object};
		$ok = 0 unless is($is, $should, "$mark: $object");
	}
	diag join "\n", 'as it is:', map {
		my $object = $_;
		join ' | ', "| `$object`", map { "$got{$object}{$_}" } @$columns
	} sort keys %got unless $ok;
	return;
}

sub as
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => ['-U', $role]);
}

# What a role gets: cells by kind and object. $before is run first.
sub attempt
{
	my ($role, $before) = @_;
	my (%done, %cells, @columns);
	my $sql = ($before // '')
	  . q{CREATE TEMP TABLE mine (); SELECT kind, object, what, probe.try(sql) FROM probe.attempts ORDER BY kind DESC};
	foreach my $line (split /\n/, as($role, $sql))
	{
		my ($kind, $object, $what, $result) = split /\|/, $line, 4;
		$done{$kind}{$object}{$what} = $result;
	}
	foreach my $object (keys %{$done{relation}})
	{
		my %tried = %{$done{relation}{$object}};
		my @may   = ();
		my $read  = $tried{read} // '42501';
		push @may, 'read'       if $read eq 'ok';
		push @may, "read $read" if $read !~ /^(ok|42501)$/;
		$may[0] .= $tried{details} eq 'true' ? ' all' : ' own' if exists $tried{details};

		# a value that the constraints refuse (23502) was for it to write
		my @writes = grep { exists $tried{$_} && $tried{$_} =~ /^(ok|23502)$/ }
		  qw(insert update delete truncate lock);
		push @may, @writes == 5 ? 'write' : @writes;
		my @defines = grep { exists $tried{$_} && $tried{$_} eq 'ok' } qw(trigger define own);
		push @may, 'define' if @defines;
		foreach (sort keys %tried)
		{
			push @may, "$_ $tried{$_}"
			  if $tried{$_} !~ /^(ok|t|f|42501|23502|55000|428C9)$/ && $_ ne 'details';
		}
		$cells{relation}{$object} = @may ? join(', ', @may) : '-';
		my %by_column =
		  map { $_ eq 'ok' ? ('yes', 1) : ($_, 1) } values %{$done{column}{$object} // {}};
		@columns = (@columns, "$object " . join ' ', sort keys %by_column)
		  if %by_column && join(' ', keys %by_column) ne ($read eq 'ok' ? 'yes' : '42501');
	}

	# 55000: it may, but the declarations of an owner like this are not loaded
	foreach my $object (keys %{$done{function}})
	{
		my $result = $done{function}{$object}{call};
		$cells{function}{$object} =
			$result =~ /^(ok|55000)$/ ? 'yes'
		  : $result eq '42501'        ? '-'
		  :                             $result;
	}
	is(join(', ', @columns), '', "$role: each column is as its relation");
	return %cells;
}

my (%relation, %function, %cells);
foreach my $column (@kinds)
{
	$node->safe_psql('postgres', 'ALTER ROLE extowner NOSUPERUSER') if $column eq 'extension owner';
	$cells{$column} = {attempt($role{$column})};
	$node->safe_psql('postgres', 'ALTER ROLE extowner SUPERUSER') if $column eq 'extension owner';
	$relation{$_}{$column} = $cells{$column}{relation}{$_}
	  foreach keys %{$cells{$column}{relation}};
	$function{$_}{$column} = $cells{$column}{function}{$_}
	  foreach keys %{$cells{$column}{function}};
}
compare('relations', [@kinds], %relation);
compare('functions', [@kinds], %function);

# rights go by the role that is set, both ways
is_deeply({attempt('joe')}, $cells{everybody}, 'a member that does not inherit');
is_deeply({attempt('joe', 'SET ROLE monitor;')}, $cells{pg_monitor}, 'the same one after SET ROLE');
is_deeply({attempt($superuser, 'SET ROLE plain;')},
	$cells{everybody}, 'a superuser after SET ROLE');

# On 15 CREATEROLE may give itself such a role; that is the server's rule.
my $major =
  $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");
is(
	as('creator', "SELECT probe.try('GRANT pg_monitor, pg_signal_backend TO creator')"),
	$major < 16 ? 'ok' : '42501',
	'CREATEROLE gives itself roles only on 15'
);

# ---- settings ----

my %setting;
my @settings = split /\n/,
  $node->safe_psql('postgres', "SELECT name FROM pg_settings WHERE name LIKE 'pool_monitor.%'");
cmp_ok(scalar @settings, '>=', 16, 'the settings are found');
foreach my $column (@kinds)
{
	my $sql = '';
	foreach my $name (@settings)
	{
		$sql .= "SELECT current_setting('$name') AS value \\gset\n\\echo $name show :SQLSTATE\n";
		foreach my $how (
			['set',      "SET $name = :'value'"],
			['role',     "ALTER ROLE CURRENT_USER SET $name = :'value'"],
			['database', "ALTER DATABASE postgres SET $name = :'value'"],
			['system',   "ALTER SYSTEM SET $name = :'value'"]
		  )
		{
			$sql .= "$how->[1];\n\\echo $name $how->[0] :SQLSTATE\n";
		}
	}
	$node->safe_psql('postgres', 'ALTER ROLE extowner NOSUPERUSER') if $column eq 'extension owner';
	my (undef, $out) = $node->psql(
		'postgres', $sql,
		on_error_stop => 0,
		extra_params  => ['-U', $role{$column}]
	);
	$node->safe_psql('postgres', 'ALTER ROLE extowner SUPERUSER') if $column eq 'extension owner';
	my %may;
	while ($out =~ /^pool_monitor\.(\w+) (\w+) (\w+)$/mg)
	{
		push @{$may{$1}}, $2 if $3 eq '00000';
	}
	$setting{$_}{$column} = join(', ', @{$may{$_}}) =~ s/system/alter system/r foreach keys %may;
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
compare('settings', [@kinds], %setting);
my ($rc) = $node->psql('postgres', 'SELECT 1',
	connstr => $node->connstr('postgres') . " options='-c pool_monitor.recycle_enabled=off'");
isnt($rc, 0, 'no setting comes with a login');

# ---- declarations, where somebody was granted to write them ----

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE writer LOGIN;
CREATE ROLE ender LOGIN IN ROLE pg_signal_backend;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON pool_monitor.pools TO writer, ender;
SET client_min_messages = error;
INSERT INTO pool_monitor.pools (name, priority, application_name, recycle_mode, shrink_idle) VALUES
	('before', 10, 'a%', 'report', false), ('ends', 20, 'a%', 'terminate', true), ('after', 30, 'a%', 'report', false);
EOS
my %statement = (
	'INSERT, recycle_mode report' =>
	  q{INSERT INTO pool_monitor.pools (name, priority) VALUES ('new', 90)},
	'INSERT, recycle_mode terminate' =>
	  q{INSERT INTO pool_monitor.pools (name, priority, recycle_mode) VALUES ('new', 90, 'terminate')},
	'INSERT, shrink_idle' =>
	  q{INSERT INTO pool_monitor.pools (name, priority, shrink_idle) VALUES ('new', 90, true)},
	'UPDATE to recycle_mode terminate' =>
	  q{UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'after'},
	'UPDATE to shrink_idle' =>
	  q{UPDATE pool_monitor.pools SET shrink_idle = true WHERE name = 'after'},
	'UPDATE of the size of a report row' =>
	  q{UPDATE pool_monitor.pools SET pool_size = 6 WHERE name = 'after'},
	'UPDATE of the patterns of a row before one with terminate' =>
	  q{UPDATE pool_monitor.pools SET application_name = 'ab%' WHERE name = 'before'},
	'DELETE of a row before one with terminate' =>
	  q{DELETE FROM pool_monitor.pools WHERE name = 'before'},
	'DELETE of a row after all with terminate' =>
	  q{DELETE FROM pool_monitor.pools WHERE name = 'after'},
	'UPDATE of anything in a row with terminate' =>
	  q{UPDATE pool_monitor.pools SET description = 'x' WHERE name = 'ends'},
	'DELETE of a row with terminate' => q{DELETE FROM pool_monitor.pools WHERE name = 'ends'},
	'TRUNCATE, with a row with terminate in it' => 'TRUNCATE pool_monitor.pools'
);
my %writer = ('granted' => 'writer', 'granted, and pg_signal_backend' => 'ender');
my %write;
foreach my $what (keys %statement)
{
	foreach my $column (keys %writer)
	{
		my $result =
		  as($writer{$column},
			"SET client_min_messages = error; SELECT probe.try(\$\$$statement{$what}\$\$)");
		$write{$what}{$column} = $result eq 'ok' ? 'yes' : $result eq '42501' ? '-' : $result;
	}
}
compare('declarations', [sort keys %writer], %write);
$node->safe_psql('postgres', 'SET client_min_messages = error; DELETE FROM pool_monitor.pools');

# ---- through others' views and functions ----

as('monitor', <<'EOS');
CREATE SCHEMA shared;
GRANT USAGE ON SCHEMA shared TO PUBLIC;
CREATE VIEW shared.budgets AS SELECT * FROM pool_monitor.budgets;
CREATE VIEW shared.calls AS SELECT * FROM pool_monitor.budgets();
CREATE VIEW shared.advice AS SELECT * FROM pool_monitor.advice;
CREATE VIEW shared.sessions AS SELECT * FROM pool_monitor.sessions;
CREATE VIEW shared.pools AS SELECT * FROM pool_monitor.pools;
CREATE VIEW shared.invoker WITH (security_invoker) AS SELECT * FROM pool_monitor.pools;
GRANT SELECT ON ALL TABLES IN SCHEMA shared TO PUBLIC;
CREATE FUNCTION shared.count_budgets() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS 'SELECT count(*) FROM pool_monitor.budgets';
CREATE FUNCTION shared.others() RETURNS bool LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS 'SELECT bool_or(state IS NOT NULL) FROM pool_monitor.sessions WHERE usename = ''other''';
CREATE FUNCTION shared.act() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS 'SELECT count(*) FROM pool_monitor.recycle(dry_run => false)';
CREATE FUNCTION shared.invoker() RETURNS bigint LANGUAGE sql
	AS 'SELECT count(*) FROM pool_monitor.budgets';
EOS
foreach (
	[
		'budgets', 'SELECT count(*)::text FROM shared.budgets',
		'42501',   'a view over a view: what it calls goes by who asks'
	],
	['calls',  'SELECT count(*)::text FROM shared.calls',  '42501', 'a view over a function, too'],
	['advice', 'SELECT count(*)::text FROM shared.advice', '42501', 'and a view over many'],
	[
		'sessions',
		q{SELECT bool_or(state IS NOT NULL) FROM shared.sessions WHERE usename = 'other'},
		'false', 'sessions show what the one who asks may see'
	],
	[
		'pools', 'SELECT count(*)::text FROM shared.pools',
		'0',     'a table is shown by a view, as every table is'
	],
	[
		'invoker', 'SELECT count(*)::text FROM shared.invoker',
		'42501',   'but not by one with security_invoker'
	],
	[
		'definer', 'SELECT shared.count_budgets()::text',
		'0',       'a SECURITY DEFINER function shows what its owner may see'
	],
	['others', 'SELECT shared.others()::text', 'true',  'of sessions, too'],
	['act',    'SELECT shared.act()::text',    '42501', 'and may do no more than its owner'],
	[
		'function', 'SELECT shared.invoker()::text',
		'42501',    'any other function shows what its caller may see'
	]
  )
{
	my (undef, $sql, $expected, $what) = @$_;
	is(as('plain', 'SELECT probe.try($x$' . $sql . '$x$)'), $expected, $what);
}
is(
	as(
		'other',
		q{SELECT probe.try('SELECT bool_and(state IS NOT NULL) FROM shared.sessions WHERE usename = ''other''')}
	),
	'true',
	'everybody sees his own sessions'
);
as('signaller', <<'EOS');
CREATE SCHEMA acting;
GRANT USAGE ON SCHEMA acting TO PUBLIC;
CREATE FUNCTION acting.act() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS 'SELECT count(*) FROM pool_monitor.recycle(dry_run => false)';
EOS
is(as('plain', 'SELECT acting.act()'),
	'0', 'who hands pg_signal_backend on by a SECURITY DEFINER function has done so');
$other->close;
$node->stop;

# ---- hostile objects ----

# A tenant owns the database of the declarations, so schema public and the database's
# search_path. Before the extension is there, and whatever the server has it uses,
# by name and, for operators, between all common types, there is another one in
# front of it: each says in the server log that it was run.
my $hostile = new_server('hostile', 'pool_monitor.recycle_interval = 100ms', no_extension => 1);
my $safe    = 'SET search_path = pg_catalog; ';
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

$hostile->safe_psql('postgres', 'SELECT 1 = 1');
is(sprung(), 'comparison', 'the trap is set: the tenant\'s operator is what a query meets');
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
my @read = map { "SELECT * FROM pool_monitor.$_" } split /\n/,
  $hostile->safe_psql('postgres',
	$safe
	  . "SELECT relname FROM pg_class WHERE relnamespace = 'pool_monitor'::regnamespace AND relkind IN ('r', 'v')"
  );
my @call = map { s/^SELECT 'ok' FROM \(SELECT count\(\*\) (FROM .*)\) AS n$/SELECT * $1/r } @calls;
cmp_ok(scalar @read, '>=', 12, 'all relations');
cmp_ok(scalar @call, '>=', 25, 'and functions');

foreach my $role ($superuser, 'monitor')
{
	untouched($role, "reading as $role", @read);
	untouched($role, "calling as $role", grep { $role eq $superuser || !/re(set|load)\(/ } @call);
}
untouched(
	$superuser,
	'deleting declarations',
	'DELETE FROM pool_monitor.pools',
	'TRUNCATE pool_monitor.pools',
	'SELECT pool_monitor.reload()'
);
untouched($superuser, 'DROP EXTENSION', 'DROP EXTENSION pool_monitor');

done_testing();
