# The table of the declarations is read with the server's own rights: whatever a careless
# superuser does to it must end in a clear load error, with the old declarations in
# force, nobody retired, and the server up after a restart. Only TAP can restart a server
# that might not come up, and break what regress would go on with.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorTrust;
use Test::More;

my $node = trust_server('trust');

my $constraints = <<'EOS';
DO $$ DECLARE c name; BEGIN
	FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'pool_monitor.pools'::regclass ORDER BY contype <> 'p' LOOP
		EXECUTE format('ALTER TABLE pool_monitor.pools DROP CONSTRAINT %I', c);
	END LOOP;
	FOR c IN SELECT attname FROM pg_attribute WHERE attrelid = 'pool_monitor.pools'::regclass AND attnum > 0 AND attnotnull LOOP
		EXECUTE format('ALTER TABLE pool_monitor.pools ALTER COLUMN %I DROP NOT NULL', c);
	END LOOP;
END $$;
EOS

# The server is up, what was loaded before is in force, and nobody is retired.
sub holds
{
	my ($what, $error) = @_;
	like(try($node, 'SELECT pool_monitor.reload()'), $error, "$what: a load error");
	is(query($node, 'SELECT pool, base FROM pool_monitor.budgets'),
		'good|5', "$what: the old ones stay");
	like(
		try($node, 'SELECT * FROM pool_monitor.recycle(dry_run => false)'),
		qr/could not load the declared pools/,
		"$what: nobody is retired"
	);
	return;
}

# Breaks the table, and has it mended again.
sub broken
{
	my ($what, $break, $error, $mend) = @_;
	query($node, $break);
	holds($what, $error);
	query($node, $mend);
	is(query($node, 'SELECT pool_monitor.reload()'), '1', "$what: mended");
	return;
}

subtest 'a NULL name' => sub {
	query($node, $constraints);
	query($node, "INSERT INTO pool_monitor.pools (name, application_name) VALUES (NULL, NULL)");
	holds('a NULL name', qr/a row of pool_monitor.pools: column "name" must not be NULL/);
	my $offset = -s $node->logfile;
	$node->restart;
	is(query($node, 'SELECT 1'), '1', 'and a restart comes up with it');
	like(
		try($node, 'SELECT pool_monitor.reload()'),
		qr/column "name" must not be NULL/,
		'with the same load error'
	);
	unlike(try($node, 'SELECT * FROM pool_monitor.budgets'),
		qr/ERROR/, 'the views go on, without declarations');
	like(
		($node->psql('postgres', 'SELECT * FROM pool_monitor.budgets'))[2],
		qr/WARNING:  the declared pools could not be loaded: a row of pool_monitor.pools/,
		'and say why there are none'
	);
	is(query($node, 'SELECT status FROM pool_monitor.checklist WHERE item = 1'),
		'unknown', 'the checklist does not say that none is declared');
	is(log_count($node, 'terminated by signal', $offset), 0, 'no process has crashed');
	query($node, 'DELETE FROM pool_monitor.pools WHERE name IS NULL');
	is(query($node, 'SELECT pool_monitor.reload()'), '1', 'mended');
};

subtest 'each column: NULL where it must not be, of another type, dropped, renamed' => sub {
	my @columns = map { [split /\|/] } split /\n/, query(
		$node,
		"SELECT attname, format_type(atttypid, -1) FROM pg_attribute
	WHERE attrelid = 'pool_monitor.pools'::regclass AND attnum > 0 AND NOT attisdropped
		AND attname NOT IN ('description', 'base', 'ceiling') ORDER BY attnum"
	);
	my %nullable = map { $_ => 1 }
	  qw(application_name datname usename client_addr pool_recycle budget recycle_window
	  connect_rate);
	cmp_ok(scalar(@columns), '>=', 22, 'columns are read');
	query($node, 'ALTER TABLE pool_monitor.pools DROP COLUMN base, DROP COLUMN ceiling');
	is(query($node, 'SELECT pool_monitor.reload()'), '1',
		'base and ceiling are computed, not read');

	foreach my $column (@columns)
	{
		my ($name, $type) = @$column;

		query($node,
			"INSERT INTO pool_monitor.pools (name) VALUES ('bad'); UPDATE pool_monitor.pools SET $name = NULL WHERE name = 'bad'"
		);
		my $outcome = try($node, 'SELECT pool_monitor.reload()');
		if ($nullable{$name}) { is($outcome, '2', "$name: may be NULL"); }
		else
		{
			like(
				$outcome,
				$name eq 'name'
				? qr/a row of .*"name" must not be NULL/
				: qr/pool "bad": column "$name" must not be NULL/,
				"$name: must not be NULL"
			);
		}
		query($node, "DELETE FROM pool_monitor.pools WHERE coalesce(name, '') <> 'good'");

		query($node, "ALTER TABLE pool_monitor.pools RENAME COLUMN $name TO other");
		like(
			try($node, 'SELECT pool_monitor.reload()'),
			qr/column "$name" of pool_monitor.pools is missing/,
			"$name: renamed"
		);
		query($node,
			"ALTER TABLE pool_monitor.pools ADD COLUMN $name "
			  . ($type eq 'bytea' ? 'int' : 'bytea'));
		like(
			try($node, 'SELECT pool_monitor.reload()'),
			qr/column "$name" of pool_monitor.pools is not of type $type/,
			"$name: of another type"
		);
		query($node,
			"ALTER TABLE pool_monitor.pools DROP COLUMN $name; ALTER TABLE pool_monitor.pools RENAME COLUMN other TO $name"
		);
	}
	is(query($node, 'SELECT pool_monitor.reload()'), '1', 'all are back');
};

subtest 'each value out of its range' => sub {
	my @bad_ones = (
		["name",             "''"],
		["name",             "repeat('x', 64)"],
		["name",             "'(other)'"],
		["name",             "E'new\\nline'"],
		["name",             "repeat('long', 1000000)"],
		["priority",         "-1"],
		["priority",         "2147483647"],
		["application_name", "repeat('x', 256)"],
		["application_name", "U&'\\00e4'"],
		["application_name", "'x\\'"],
		["application_name", "repeat('random()', 2000000)"],
		["datname",          "repeat('x', 256)"],
		["datname",          "'x\\\\\\'"],
		["usename",          "repeat('x', 100000)"],
		["usename",          "'\\'"],
		["servers",          "0"],
		["servers",          "-2147483648"],
		["workers",          "10001"],
		["pool_size",        "-1"],
		["pool_size",        "100001"],
		["max_overflow",     "-2"],
		["max_overflow",     "2147483647"],
		["surge",            "-1"],
		["surge",            "1001"],
		["pool_timeout",     "'-1 s'"],
		["pool_timeout",     "'25 h'"],
		["pool_recycle",     "'0'"],
		["pool_recycle",     "'178000000 years'"],
		["pool_recycle",     "'-178000000 years'"],
		["pool_recycle",     "'-12 months 361 days'"],
		["idle_limit",       "'366 days'"],
		["leak_threshold",   "'1 ms'"],
		["recycle_grace",    "'-1 day 23 h'"],
		["budget",           "0"],
		["budget",           "262144"],
		["recycle_mode",     "'Terminate'"],
		["recycle_mode",     "repeat('off', 100000)"],
		["recycle_window",   "'now'"],
		["recycle_window",   "repeat('x', 1000000)"],
		["guard",            "'Enforce'"],
		["guard",            "repeat('off', 100000)"],
		["reserved",         "-1"],
		["reserved",         "262144"],
		["connect_rate",     "0"],
		["connect_rate",     "100001"],
		["connect_burst",    "0"]
	);
	my %tried = map { $_->[0] => 1 } @bad_ones;
	is_deeply(
		[
			grep { !$tried{$_} } split /\n/,
			query(
				$node,
				"SELECT attname FROM pg_attribute
	WHERE attrelid = 'pool_monitor.pools'::regclass AND attnum > 0 AND NOT attisdropped
		AND attname <> 'description' AND atttypid NOT IN ('bool'::regtype, 'cidr'::regtype)"
			)
		],
		[],
		'each column, but those whose type has no bad value, is tried'
	);
	foreach my $bad (@bad_ones)
	{
		my ($name, $value) = @$bad;
		my $bad_one = $name eq 'name' ? 'a row of pool_monitor.pools' : 'pool "bad"';
		query($node,
			"INSERT INTO pool_monitor.pools (name) VALUES ('bad'); UPDATE pool_monitor.pools SET $name = $value WHERE name = 'bad'"
		);
		like(
			try($node, 'SELECT pool_monitor.reload()'),
			qr/$bad_one: column "$name" must/,
			"$name = " . substr($value, 0, 30)
		);
		query($node, "DELETE FROM pool_monitor.pools WHERE name <> 'good'");
	}
	query($node,
		"INSERT INTO pool_monitor.pools (name, servers, workers, pool_size) VALUES ('bad', 10000, 10000, 100000)"
	);
	like(
		try($node, 'SELECT pool_monitor.reload()'),
		qr/pool "bad": column "pool_size" times/,
		'a large base'
	);
	query($node,
		"UPDATE pool_monitor.pools SET pool_size = 1, max_overflow = 100000 WHERE name = 'bad'");
	like(
		try($node, 'SELECT pool_monitor.reload()'),
		qr/pool "bad": column "pool_size" times|column "max_overflow" and/,
		'a large ceiling'
	);
	query($node, "DELETE FROM pool_monitor.pools WHERE name <> 'good'");
	broken(
		'a name twice',
		"INSERT INTO pool_monitor.pools (name, priority) VALUES ('good', 200)",
		qr/pool "good" is declared twice/,
		"DELETE FROM pool_monitor.pools WHERE priority = 200"
	);
};

subtest 'what is no ordinary table any more' => sub {
	broken(
		'a child',
		'CREATE TABLE child () INHERITS (pool_monitor.pools)',
		qr/cannot be trusted: another table inherits from it/,
		'DROP TABLE child'
	);
	broken(
		'a parent',
		'CREATE TABLE parent (); ALTER TABLE pool_monitor.pools INHERIT parent',
		qr/cannot be trusted: it inherits from another table/,
		'ALTER TABLE pool_monitor.pools NO INHERIT parent; DROP TABLE parent'
	);
	broken(
		'unlogged',
		'ALTER TABLE pool_monitor.pools SET UNLOGGED',
		qr/cannot be trusted: it is not a permanent table/,
		'ALTER TABLE pool_monitor.pools SET LOGGED'
	);
	broken(
		'a dropped trigger',
		'DROP TRIGGER pools_changed ON pool_monitor.pools',
		qr/its trigger "pools_changed" is missing/,
		'CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed'
	);
	my $view_mended =
	  'ALTER EXTENSION pool_monitor DROP VIEW pool_monitor.pools; DROP VIEW pool_monitor.pools; ALTER TABLE pool_monitor.aside RENAME TO pools';
	broken(
		'a view in its place',
		'ALTER TABLE pool_monitor.pools RENAME TO aside; CREATE VIEW pool_monitor.pools AS SELECT * FROM pool_monitor.aside; ALTER EXTENSION pool_monitor ADD VIEW pool_monitor.pools',
		qr/cannot be trusted: it is not an ordinary table/,
		$view_mended
	);
	broken(
		'a partitioned table in its place',
		'ALTER TABLE pool_monitor.pools RENAME TO aside; CREATE TABLE pool_monitor.pools (name text) PARTITION BY LIST (name); ALTER EXTENSION pool_monitor ADD TABLE pool_monitor.pools',
		qr/cannot be trusted: it is not an ordinary table/,
		'ALTER EXTENSION pool_monitor DROP TABLE pool_monitor.pools; DROP TABLE pool_monitor.pools; ALTER TABLE pool_monitor.aside RENAME TO pools'
	);
};

subtest 'owners' => sub {
	my $superuser = query($node, 'SELECT current_user');
	broken(
		'owned by somebody else',
		'ALTER TABLE pool_monitor.pools OWNER TO owner',
		qr/cannot be trusted: it is not owned by "$superuser", as the extension is/,
		"ALTER TABLE pool_monitor.pools OWNER TO \"$superuser\""
	);
	broken(
		'in a schema of somebody else',
		'ALTER SCHEMA pool_monitor OWNER TO owner',
		qr/cannot be trusted: its schema is not owned by/,
		"ALTER SCHEMA pool_monitor OWNER TO \"$superuser\""
	);
	query($node, 'ALTER TABLE pool_monitor.pools OWNER TO owner');
	my $hint = qr/HINT:  One superuser must own all three: ALTER TABLE, .*REASSIGN OWNED/;
	like(try($node, 'SELECT pool_monitor.reload()'), $hint, 'with what to do about it');
	query($node, "ALTER TABLE pool_monitor.pools OWNER TO \"$superuser\"");
	query($node, 'CREATE ROLE second SUPERUSER');
	query($node,
		"UPDATE pg_extension SET extowner = 'second'::regrole WHERE extname = 'pool_monitor'; ALTER TABLE pool_monitor.pools OWNER TO second; ALTER SCHEMA pool_monitor OWNER TO second"
	);
	is(query($node, 'SELECT pool_monitor.reload()'), '1', 'another superuser may own it');
	broken(
		'an owner that is no superuser any more',
		'ALTER ROLE second NOSUPERUSER',
		qr/cannot be trusted: role "second", which owns the extension, is not a superuser/,
		'ALTER ROLE second SUPERUSER'
	);
};

subtest 'triggers, and a column that is computed' => sub {

	# A trigger that has the name, and nothing else.
	broken(
		'a trigger that does nothing',
		'DROP TRIGGER pools_changed ON pool_monitor.pools; CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW EXECUTE FUNCTION nothing(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed',
		qr/its trigger "pools_changed" is not the one that the extension made/,
		'DROP TRIGGER pools_changed ON pool_monitor.pools; DROP FUNCTION nothing(); CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed'
	);
	broken(
		'a trigger that looks away',
		'DROP TRIGGER pools_changed ON pool_monitor.pools; CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW WHEN (false) EXECUTE FUNCTION pool_monitor.pools_changed(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed',
		qr/its trigger "pools_changed" is not the one that the extension made/,
		'DROP TRIGGER pools_changed ON pool_monitor.pools; CREATE TRIGGER pools_changed AFTER INSERT OR UPDATE OR DELETE ON pool_monitor.pools FOR EACH ROW EXECUTE FUNCTION pool_monitor.pools_changed(); ALTER TABLE pool_monitor.pools ENABLE ALWAYS TRIGGER pools_changed'
	);
	broken(
		'a generated column',
		"ALTER TABLE pool_monitor.pools RENAME COLUMN usename TO aside; ALTER TABLE pool_monitor.pools ADD COLUMN usename text GENERATED ALWAYS AS (NULL) STORED",
		qr/column "usename" of pool_monitor.pools is a generated column/,
		'ALTER TABLE pool_monitor.pools DROP COLUMN usename; ALTER TABLE pool_monitor.pools RENAME COLUMN aside TO usename'
	);
};

# A clean-up every 100 ms, so a second of age is more than enough of them.
subtest 'the schedule leaves everybody alone as long as it lasts, and goes on afterwards' => sub {
	query($node, "UPDATE pool_monitor.pools SET servers = 2 WHERE name = 'good'");
	query($node,
		"INSERT INTO pool_monitor.pools (name, priority, application_name, pool_recycle, recycle_grace, recycle_mode) VALUES ('scheduled', 200, 'scheduled', '1 s', '0', 'terminate')"
	);
	is(query($node, 'SELECT pool_monitor.reload()'), '2', 'a pool that acts');
	query($node, "UPDATE pool_monitor.pools SET workers = NULL WHERE name = 'good'");
	like(
		try($node, 'SELECT pool_monitor.reload()'),
		qr/"workers" must not be NULL/,
		'and a bad row'
	);
	my $stale =
	  PoolMonitor::Holder->new($node, application_name => 'scheduled', user => 'declarer');
	wait_for(
		$node,
		"SELECT age > '3 s' FROM pool_monitor.sessions WHERE application_name = 'scheduled' AND stale",
		'a stale session is let live'
	);
	is(
		query(
			$node,
			"SELECT keep_reason FROM pool_monitor.sessions WHERE application_name = 'scheduled'"
		),
		'changed declarations are not loaded',
		'and the views say why'
	);
	query($node, "UPDATE pool_monitor.pools SET workers = 1, servers = 1 WHERE name = 'good'");
	wait_for(
		$node,
		"SELECT retired FROM pool_monitor.pool_stats WHERE pool = 'scheduled'",
		'and retired when the row is mended', '1'
	);
	$stale->close;
	query($node, "DELETE FROM pool_monitor.pools WHERE name = 'scheduled'");
};

is(log_count($node, '"pool_monitor errands" .* exited with exit code'),
	0, 'the exits that follow errands are not in the log');
is(log_count($node, 'is not running'), 0, 'at no start was it taken for missing');
$node->stop('fast');
done_testing();
