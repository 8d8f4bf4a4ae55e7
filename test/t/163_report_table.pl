# report() and the table pools, whose writers need not be those who read the report: what they
# write has any length, and they can lock it. The report is as large as it is, and does not
# wait; nor does it show what a table says that is not in force. Needs real locks, other
# roles and another database.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder);
use PoolMonitorReport;
use Test::More;

my $node = new_server('report_table');
query($node, <<'EOS');
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE writer LOGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON pool_monitor.pools TO writer;
EOS
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, usename, description) VALUES ('web', 'web-%', 'monitor', 'The shop')"
);

# What the page says of a pool's sessions, and why it is so; as its readers see it.
sub decisions
{
	my ($dbname, $pool) = @_;
	my ($rc, $page, $err) = $node->psql(
		$dbname,
		"SET statement_timeout = '60s'; SELECT pool_monitor.report('1 hour')",
		extra_params => ['-U', 'monitor', '--quiet']
	);
	is($err,               '', "a report in database $dbname");
	is(well_formed($page), '', 'well formed');
	my ($row) = $page =~ /<section id="decisions">.*?(<tr><[^>]*>(?:<[^>]*>)*$pool<.*?<\/tr>)/s;
	return ($row // '', $page);
}

sub as_writer
{
	my ($sql) = @_;
	$node->psql('postgres', $sql, on_error_die => 1, extra_params => ['-U', 'writer']);
	return;
}

subtest 'a description of any length' => sub {
	as_writer(
		"INSERT INTO pool_monitor.pools (name, application_name, description) VALUES ('long', 'long', 'Begins' || repeat('<', 300000000))"
	);
	query($node, 'SELECT pool_monitor.reload()');
	my ($row, $page) = decisions('postgres', 'long');
	like($row, qr/Begins(?:&lt;){1994} \[\.\.\.\]</, 'its beginning');
	cmp_ok(length $page, '<', 200000, 'the page is as large as pages are');
	as_writer("DELETE FROM pool_monitor.pools WHERE name = 'long'");
	query($node, 'SELECT pool_monitor.reload()');
	($row) = decisions('postgres', 'web');
	like($row, qr/>The shop</, 'a short one is whole');
};

subtest 'who locks the table' => sub {
	my $locker = holder($node, 'locker', user => 'writer');
	$locker->do('sql 0 BEGIN');
	$locker->do('sql 0 LOCK TABLE pool_monitor.pools IN ACCESS EXCLUSIVE MODE');
	my ($row) = decisions('postgres', 'web');
	like($row, qr/not known: somebody had a lock on the table pools/, 'does not hold it up');
	unlike($row, qr/The shop|web-%/, 'what is in the table is not there');
	$locker->do('sql 0 COMMIT');
	($row) = decisions('postgres', 'web');
	like($row, qr/The shop.*web-%/, 'until the lock has gone');
	$locker->close;
};

subtest 'a table that is not in force' => sub {
	query($node, 'CREATE DATABASE other');
	query($node, 'CREATE EXTENSION pool_monitor', 'other');
	query(
		$node,
		"INSERT INTO pool_monitor.pools (name, application_name, description) VALUES ('web', 'another-%', 'Another')",
		'other'
	);
	my ($row) = decisions('other', 'web');
	like($row, qr/not in this database's pools/, 'is not shown');
	unlike($row, qr/nother/, 'nor what is in it');
};

subtest 'a pool that takes all' => sub {
	declare($node,
		"INSERT INTO pool_monitor.pools (name, priority, application_name) VALUES ('rest', 9999, NULL)"
	);
	my ($row) = decisions('postgres', 'rest');
	like($row, qr/>any session</, 'has any session');
};

done_testing();
