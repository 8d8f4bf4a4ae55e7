# Rows that act: who may declare pools may not, without the privileges of
# pg_signal_backend, declare, change or uncover one that retires sessions. Needs two
# transactions side by side; the single ones are here with them, to be seen together.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorTrust;
use Test::More;

my $node = trust_server('acting_rows');

my $denied = qr/ERROR:  permission denied to/;
my @denied = (
	"INSERT INTO pool_monitor.pools (name, recycle_mode) VALUES ('acts', 'terminate')",
	"INSERT INTO pool_monitor.pools (name, shrink_idle) VALUES ('acts', true)",
	"UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET recycle_mode = 'report' WHERE name = 'acting'",
	"UPDATE pool_monitor.pools SET pool_recycle = '1 s' WHERE name = 'acting'",
	"UPDATE pool_monitor.pools SET application_name = '%' WHERE name = 'acting'",
	"UPDATE pool_monitor.pools SET shrink_idle = true WHERE name = 'after'",
	"DELETE FROM pool_monitor.pools WHERE name = 'acting'",
	"DELETE FROM pool_monitor.pools WHERE name = 'before'",
	"DELETE FROM pool_monitor.pools",
	"TRUNCATE pool_monitor.pools",
	"UPDATE pool_monitor.pools SET priority = 900 WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET application_name = 'narrow' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET datname = 'nowhere' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET usename = 'nobody' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET client_addr = '10.0.0.0/8' WHERE name = 'before'",
	"UPDATE pool_monitor.pools SET name = 'zz' WHERE name = 'before'",
	"MERGE INTO pool_monitor.pools p USING (SELECT 1) s ON p.name = 'before' WHEN MATCHED THEN DELETE",
	"INSERT INTO pool_monitor.pools (name) VALUES ('before') ON CONFLICT (name) DO UPDATE SET application_name = 'x'",
);
my @allowed = (
	"UPDATE pool_monitor.pools SET workers = 3 WHERE name = 'before'",
	"INSERT INTO pool_monitor.pools (name, priority) VALUES ('first', 0)",
	"UPDATE pool_monitor.pools SET application_name = 'y' WHERE name = 'after'",
	"DELETE FROM pool_monitor.pools WHERE name = 'after'",
);

subtest 'nor may others be pushed out of force' => sub {
	my $many = 'SELECT i::text FROM generate_series(1, 100) i';
	like(
		try($node, "BEGIN; SET ROLE declarer; INSERT INTO pool_monitor.pools (name) $many"),
		qr/ERROR:  \d+ pools are declared, but there is room for 64/,
		'nor may she push others out of force'
	);
	like(
		(
			$node->psql(
				'postgres',
				"BEGIN; SET ROLE signaller; INSERT INTO pool_monitor.pools (name) $many; ROLLBACK"
			)
		)[2],
		qr/WARNING:  \d+ pools are declared/,
		'which is a warning for who may end sessions'
	);
};

subtest 'one transaction' => sub {
	my $rows =
	  "('before', 50, 'app%', 'report'), ('acting', 100, 'app%', 'terminate'), ('after', 200, 'else', 'report')";
	query($node,
		"INSERT INTO pool_monitor.pools (name, priority, application_name, recycle_mode) VALUES $rows"
	);
	like(try($node, "BEGIN; SET ROLE declarer; $_; ROLLBACK"), $denied, "denied: $_")
	  foreach @denied;
	unlike(try($node, "BEGIN; SET ROLE declarer; $_; ROLLBACK"), qr/ERROR/, "allowed: $_")
	  foreach @allowed;
	unlike(try($node, "BEGIN; SET ROLE signaller; $_; ROLLBACK"),
		qr/ERROR/, "with pg_signal_backend: $_")
	  foreach @denied, @allowed;
	like(
		try(
			$node, "BEGIN; SET ROLE declarer; DELETE FROM pool_monitor.pools WHERE name = 'before'"
		),
		qr/pool "before".*DETAIL:  Pool "acting" retires sessions by its recycle_mode\..*HINT:  This needs the privileges of the role pg_signal_backend/s,
		'the message names both, and what it needs'
	);
};

subtest 'two transactions that are right alone: the second one waits, and sees the first' => sub {
	query($node, "DELETE FROM pool_monitor.pools WHERE name = 'acting'");
	my $first = $node->background_psql('postgres');
	$first->query_safe(
		"SET client_min_messages = error; BEGIN; INSERT INTO pool_monitor.pools (name, priority, application_name, recycle_mode) VALUES ('acting', 100, 'app%', 'terminate')"
	);
	my $second = $node->background_psql('postgres', on_error_stop => 0);
	$second->query('SET ROLE declarer');
	$second->query_until(qr/begun/,
		"\\echo begun\nDELETE FROM pool_monitor.pools WHERE name = 'before';\n\\echo done\n");
	wait_for(
		$node,
		"SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_class'::regclass AND NOT granted",
		'a row is deleted while one that acts is being declared: it waits',
		'1'
	);
	$first->query_safe('COMMIT');
	$first->quit;
	$second->query_until(qr/done/, '');
	is(query($node, "SELECT count(*) FROM pool_monitor.pools WHERE name = 'before'"),
		'1', 'and is denied');
	$second->quit;
};

# "zz" comes before "acting", and "aa" after it: names are the last thing to decide.
subtest 'of equal priorities the more specific row comes first' => sub {
	query($node, "DELETE FROM pool_monitor.pools WHERE name <> 'good'");
	query($node,
		"INSERT INTO pool_monitor.pools (name, application_name, recycle_mode) VALUES ('zz', 'app-web%', 'report'), ('acting', 'app%', 'terminate'), ('aa', NULL, 'report')"
	);
	my $widened = "UPDATE pool_monitor.pools SET application_name = '%' WHERE name = 'zz'";
	my $deleted = "DELETE FROM pool_monitor.pools WHERE name =";
	my $moved =
	  "UPDATE pool_monitor.pools SET application_name = 'app-x%', usename = 'u' WHERE name = 'aa'";
	like(try($node, "BEGIN; SET ROLE declarer; $_; ROLLBACK"), $denied, "denied: $_")
	  foreach $widened, "$deleted 'zz'", "$moved; $deleted 'aa'";
	unlike(try($node, "BEGIN; SET ROLE declarer; $_; ROLLBACK"), qr/ERROR/, "allowed: $_")
	  foreach "$deleted 'aa'", $moved;
	is(
		query(
			$node,
			"SELECT pool_monitor.reload(); SELECT pool, others FROM pool_monitor.which_pool('app-web-1', 'd', 'u')"
		),
		"4\nzz|{acting,aa}",
		'as they are matched'
	);
	query($node, "DELETE FROM pool_monitor.pools WHERE name <> 'good'");
};

$node->stop('fast');
done_testing();
