# Who may declare a guard: who may declare pools may not, without the privileges of
# pg_signal_backend, have logins refused, hand sessions to a pool that does, nor take any
# away from its limit. Needs two transactions side by side, and settings that are changed.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorTrust;
use Test::More;

my $node   = trust_server('guard_rights', "pool_monitor.max_pools = 8\n");
my $table  = 'pool_monitor.pools';
my $denied = qr/ERROR:  permission denied to/;

sub rows
{
	my (@rows) = @_;
	query($node, "DELETE FROM $table WHERE name <> 'good'");
	query(
		$node,
		"INSERT INTO $table (name, priority, application_name, guard, recycle_mode) VALUES "
		  . join ', ',
		@rows
	);
	return;
}

sub insert
{
	my ($name, $priority, $application_name, $more, $value) = @_;
	$more  = defined $more  ? ", $more"  : '';
	$value = defined $value ? ", $value" : '';
	return
	  "INSERT INTO $table (name, priority, application_name$more) VALUES ('$name', $priority, $application_name$value)";
}

sub as_role
{
	my ($role, $sql) = @_;
	return try($node, "BEGIN; SET ROLE $role; $sql; ROLLBACK");
}

sub denied
{
	my (@statements) = @_;
	foreach (@statements)
	{
		like(as_role('declarer', $_), $denied, "denied: $_");
		unlike(as_role('signaller', $_), qr/ERROR/, "with pg_signal_backend: $_");
	}
	return;
}

sub allowed
{
	my (@statements) = @_;
	unlike(as_role('declarer', $_), qr/ERROR/, "allowed: $_") foreach @statements;
	return;
}

rows(
	"('before', 50, 'app%', 'off', 'report')",
	"('held', 100, 'app%', 'enforce', 'report')",
	"('after', 200, 'else', 'off', 'report')"
);

subtest 'a row that refuses logins' => sub {
	denied(
		insert('new', 300, "'new'", 'guard', "'enforce'"),
		"UPDATE $table SET guard = 'enforce' WHERE name = 'after'",
		map { "UPDATE $table SET $_ WHERE name = 'held'" } (
			"guard = 'off'",
			"guard = 'report'",
			'servers = 2',
			'workers = 2',
			'pool_size = 6',
			'max_overflow = 20',
			'surge = 50',
			'budget = 30',
			'reserved = 1',
			'connect_rate = 5',
			'connect_burst = 5',
			'guard_superusers = true',
			'priority = 101',
			"application_name = 'app-1%'",
			"usename = 'u'",
			"description = 'mine'"
		)
	);
	denied("DELETE FROM $table WHERE name = 'held'", "DELETE FROM $table", "TRUNCATE $table");
	allowed(insert('new', 300, "'new'", 'guard', "'report'"),
		"UPDATE $table SET guard = 'report', connect_rate = 5 WHERE name = 'after'");
};

subtest 'what hands it sessions' => sub {
	denied(
		"DELETE FROM $table WHERE name = 'before'",
		"UPDATE $table SET application_name = 'app-1%' WHERE name = 'before'",
		"UPDATE $table SET priority = 150 WHERE name = 'before'"
	);
	allowed("UPDATE $table SET workers = 3 WHERE name = 'before'",
		"DELETE FROM $table WHERE name = 'after'");
};

subtest 'what takes sessions away from it' => sub {
	denied(
		insert('new', 1,   "'app-1'"),
		insert('new', 1,   'NULL'),
		insert('new', 100, "'app-1%'"),
		insert('new', 1,   "'%x'"),
		insert('new', 1,   'NULL', 'usename',     "'u'"),
		insert('new', 1,   'NULL', 'client_addr', "'10.0.0.0/8'"),
		"UPDATE $table SET priority = 1, application_name = 'app-1' WHERE name = 'after'",
		"UPDATE $table SET application_name = '%', priority = 99 WHERE name = 'after'",
		insert('before', 1, "'x'") . ' ON CONFLICT (name) DO UPDATE SET priority = 40',
		"MERGE INTO $table p USING (SELECT 1) s ON p.name = 'new' WHEN NOT MATCHED THEN INSERT (name, priority, application_name) VALUES ('new', 1, 'app')"
	);
	allowed(
		insert('new', 1,   "'web%'"),
		insert('new', 1,   "'ap'"),
		insert('new', 101, "'app-1'"),
		insert('new', 100, 'NULL'),
		"UPDATE $table SET priority = 1 WHERE name = 'after'",
		"UPDATE $table SET application_name = 'app-1' WHERE name = 'after'"
	);
	query($node,
		"UPDATE $table SET usename = 'u%', client_addr = '10.0.0.0/8' WHERE name = 'held'");
	denied(insert('new', 1, "'app-1'", 'client_addr', "'10.1.0.0/16'"),
		insert('new', 1, "'app-1'", 'usename', "'ux'"));
	allowed(
		insert('new', 1, "'app-1'", 'client_addr', "'11.0.0.0/8'"),
		insert('new', 1, "'app-1'", 'client_addr', "'::/0'"),
		insert('new', 1, "'app-1'", 'usename',     "'v%'")
	);
	query($node, "UPDATE $table SET usename = NULL, client_addr = NULL WHERE name = 'held'");
};

subtest 'what it says' => sub {
	my $hint =
	  qr/\nHINT:  This needs the privileges of the role pg_signal_backend, also for a pool that comes before one that retires sessions or refuses logins\./;
	like(
		as_role('declarer', insert('new', 1, "'app-1'")),
		qr/permission denied to declare pool "new"\nDETAIL:  Pool "held" refuses logins by its guard\.$hint/,
		'of one that refuses logins'
	);
	query($node, "UPDATE $table SET recycle_mode = 'terminate' WHERE name = 'held'");
	like(
		as_role('declarer', "DELETE FROM $table WHERE name = 'held'"),
		qr/permission denied to delete pool "held"\nDETAIL:  Pool "held" retires sessions and refuses logins by its recycle_mode and guard\.$hint/,
		'of one that does both'
	);
	query($node, "UPDATE $table SET guard = 'off' WHERE name = 'held'");
	like(
		as_role('declarer', "DELETE FROM $table WHERE name = 'before'"),
		qr/DETAIL:  Pool "held" retires sessions by its recycle_mode\.$hint/,
		'of one that retires'
	);
	allowed(insert('new', 1, "'app-1'"));
	query($node,
		"UPDATE $table SET guard = 'enforce', recycle_mode = 'report' WHERE name = 'held'");
};

# Eight have room: then whatever comes before it can push it out of force.
subtest 'rows that are too many' => sub {
	query($node,
		"INSERT INTO $table (name, priority, application_name) SELECT 'p' || i, 300, 'p' || i FROM generate_series(1, 3) i"
	);
	like(
		as_role(
			'declarer',
			"INSERT INTO $table (name, priority, application_name) SELECT 'n' || i, 400, 'n' || i FROM generate_series(1, 2) i"
		),
		qr/ERROR:  9 pools are declared, but there is room for 8/,
		'one more pushes others out of force'
	);
	allowed("UPDATE $table SET priority = 1 WHERE name = 'p1'");
	query($node,
		"INSERT INTO $table (name, priority, application_name) SELECT 'm' || i, 300, 'm' || i FROM generate_series(1, 2) i"
	);
	denied("UPDATE $table SET priority = 1 WHERE name = 'p1'");
	query($node, "DELETE FROM $table WHERE name ~ '^[mp]'");
};

subtest 'two transactions that are right alone' => sub {
	query($node, "DELETE FROM $table WHERE name = 'held'");
	my $first = $node->background_psql('postgres');
	$first->query_safe('SET client_min_messages = error; BEGIN; '
		  . insert('held', 100, "'app%'", 'guard', "'enforce'"));
	my $second = $node->background_psql('postgres', on_error_stop => 0);
	$second->query('SET ROLE declarer');
	$second->query_until(qr/begun/,
		"\\echo begun\n" . insert('new', 1, "'app-1'") . ";\n\\echo done\n");
	wait_for(
		$node,
		"SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_class'::regclass AND NOT granted",
		'a row is added while one that refuses logins is being declared after it: it waits',
		'1'
	);
	$first->query_safe('COMMIT');
	$first->quit;
	$second->query_until(qr/done/, '');
	$second->quit;
	is(
		query($node, "SELECT string_agg(name, ' ' ORDER BY name) FROM $table"),
		'after before good held',
		'and is denied'
	);
};

subtest 'where what is undeclared has a limit, which stands after all rows' => sub {
	my @moves = (
		insert('new', 300, "'web'"),
		"DELETE FROM $table WHERE name = 'after'",
		"UPDATE $table SET application_name = 'other' WHERE name = 'after'"
	);
	query($node, "DELETE FROM $table WHERE name = 'held'");
	allowed(@moves, "TRUNCATE $table");
	query($node, 'ALTER SYSTEM SET pool_monitor.undeclared_guard = enforce');
	$node->reload;
	wait_for($node, 'SHOW pool_monitor.undeclared_guard', 'no budget yet', 'enforce');
	allowed(@moves);
	query($node, 'ALTER SYSTEM SET pool_monitor.undeclared_budget = 20');
	$node->reload;
	wait_for($node, 'SHOW pool_monitor.undeclared_budget', 'a budget', '20');
	denied(@moves, "TRUNCATE $table");
	like(
		as_role('declarer', $moves[0]),
		qr/permission denied to declare pool "new"\nDETAIL:  "pool_monitor.undeclared_guard" refuses logins/,
		'and says why'
	);
	allowed("UPDATE $table SET workers = 3 WHERE name = 'after'");
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
