# Roles of every kind, and what they can try: each relation, column and function that the
# catalogs know.
package PoolMonitorRights;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use FindBin;
use PoolMonitor;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(rights_server create_probe as $root $script);

our $root = "$FindBin::RealBin/../..";
our $script =
  slurp_file(`$ENV{PG_CONFIG} --sharedir` =~ s/\n//r . '/extension/pool_monitor--1.0.sql');

# One role of each kind; the extension is owned by one of them.
sub rights_server
{
	my ($name) = @_;
	my $node = new_server($name, 'pool_monitor.recycle_interval = 1h', no_extension => 1);
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
	$node->safe_psql(
		'postgres',
		'CREATE EXTENSION pool_monitor',
		extra_params => ['-U', 'extowner']
	);
	return $node;
}

# probe.try() says what came of a statement, and undoes it: "ok" with a result, or
# the SQLSTATE.
sub create_probe
{
	my ($node, $dbname) = @_;
	$node->safe_psql($dbname, <<'EOS');
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
		WHEN name = 'format' THEN quote_literal('html')
		WHEN name = 'width' THEN '100'
		WHEN name = 'until' THEN quote_literal('2026-01-02 00:00 UTC')
		ELSE (SELECT v.value FROM (VALUES ('int', '5'), ('bigint', '5'), ('text[]', quote_literal('{x}')),
			('float8', '0.5'), ('numeric', '20'), ('bool', 'true'), ('inet', quote_literal('10.0.0.1')),
			('interval', quote_literal('1 hour') || '::interval'), ('timestamptz', quote_literal('2026-01-01 00:00 UTC')), ('text', quote_literal('x')), ('jsonb', quote_literal('{}')),
			('tstzrange', quote_literal('[2026-01-01 00:00 UTC,2026-01-02 00:00 UTC)')))
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
	return;
}

sub as
{
	my ($node, $role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => ['-U', $role]);
}

1;
