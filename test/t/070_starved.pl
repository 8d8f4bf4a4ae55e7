# The incident of a full server, with real clients: a pool below its budget whose logins
# are refused, because others hold the slots and do not use them, is starved; the log, the
# event and the advice say who holds what is not busy. Needs a server that is full.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query app_holder insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

# 20 slots for ordinary roles; a budget that nobody can exceed
my $node = new_server('starved', <<'EOC');
max_connections = 23
superuser_reserved_connections = 3
max_wal_senders = 0
pool_monitor.recycle_interval = 1h
pool_monitor.connection_budget = 23
EOC
query($node, 'CREATE ROLE app LOGIN');
declare(
	$node,
	join '',
	insert_pool('hub',  pool_size => 6, max_overflow => 0),
	insert_pool('java', pool_size => 5, max_overflow => 0),
	insert_pool('late', pool_size => 4, max_overflow => 0),
	insert_pool('open', pool_size => 1, max_overflow => -1),
	insert_pool('ems',  workers   => 3, pool_size    => 2, max_overflow => 2)
);

# With -c, because psql may be gone before a test could write to its input.
sub refused
{
	my ($name) = @_;
	local $ENV{PGAPPNAME} = $name;
	my ($out, $err) =
	  run_command(['psql', '-X', '-d', $node->connstr('postgres') . ' user=app', '-c', 'SELECT 1']);
	return $err;
}

sub status
{
	my ($pool) = @_;
	return query($node, "SELECT status FROM pool_monitor.budgets WHERE pool = '$pool'");
}

# Those of ems are busy from the first sample on, or nearly so.
my $offset = -s $node->logfile;
my $ems    = app_holder($node, 'ems', 5);
$ems->do('busy 5');
wait_for(
	$node,
	"SELECT sum(avg_busy * seen) > 15 FROM pool_monitor.history WHERE pool = 'ems' AND resolution = '1 minute'",
	'they have been busy for three seconds'
);
my @idle =
  (app_holder($node, 'hub', 6), app_holder($node, 'batch', 5), app_holder($node, 'java', 4));
wait_for($node, 'SELECT available FROM pool_monitor.server', 'no slot is left', '0');
is(status('ems'), 'ok', 'a server that has refused nobody starves nobody');
is(query($node, 'SELECT status FROM pool_monitor.server'), 'overcommitted', 'nor is it full');

subtest 'a pool at its budget is not starved' => sub {
	like(refused('hub'), qr/connection slots are reserved/, 'its login is refused');
	is(status('hub'),                                          'ok',   'its status is what it was');
	is(query($node, 'SELECT status FROM pool_monitor.server'), 'full', 'but the server is full');
	is(status('ems'), 'ok', 'and a pool of which nobody was refused is not starved');
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'server_full'",
		'an event says so', '1'
	);
};

subtest 'a pool below its budget is' => sub {
	like(refused('ems'), qr/connection slots are reserved/, 'its login is refused');
	is(
		query(
			$node,
			"SELECT status, connections, busy, budget FROM pool_monitor.budgets WHERE pool = 'ems'"
		),
		'starved|5|5|12',
		'starved, at once'
	);
	wait_for_log(
		$node,
		qr/LOG:  pool "ems" is starved: the server is full and refuses its logins, connections 5, budget 12\n/,
		'the log has it',
		$offset
	);
	wait_for_log(
		$node,
		qr/LOG:  the server is full: connections \d+, authenticating \d+, usable 20; most that is not busy is held by: pool "hub" 6 connections, 0\.0 busy; application "batch" of role "app" 5 connections, 0\.0 busy; pool "java" 4 connections, 0\.0 busy\n/,
		'and who holds what is not busy',
		$offset
	);
	is(
		query($node, "SELECT pool, detail FROM pool_monitor.events WHERE event = 'starved'"),
		'ems|{"budget": 12, "connections": 5}',
		'an event of the pool'
	);
	is(
		query(
			$node,
			"SELECT pool IS NULL, detail -> 'usable', detail -> 'holders' FROM pool_monitor.events WHERE event = 'server_full'"
		),
		't|20|[{"busy": 0.0, "pool": "hub", "connections": 6}, {"busy": 0.0, "usename": "app", "application": "batch", "connections": 5}, {"busy": 0.0, "pool": "java", "connections": 4}]',
		'and one of the server, with the same'
	);
	like(
		query(
			$node,
			"SELECT pool, status, conns, busy, idle FROM pool_monitor.overview WHERE conns > 3 OR pool = '(server)'"
		),
		qr/^\(server\)\|full\|2\d\|[5-7]\|1\d\nems\|starved\|5\|5\|0\nbatch\|undeclared\|5\|0\|5\nhub\|ok\|6\|0\|6\njava\|ok\|4\|0\|4$/,
		'overview alone says who starves whom'
	);
	like(query($node, "SELECT since FROM pool_monitor.overview WHERE pool = '(server)'"),
		qr/^\d+ s$/, 'and since when it is full');
};

subtest 'without a process entry of its own' => sub {
	my $boss = PoolMonitor::Holder->new($node, sessions => 3);
	like(refused('late'), qr/too many clients already/, 'no slot is left at all');
	is($boss->do("sql 0 SELECT status FROM pool_monitor.budgets WHERE pool = 'late'"),
		'starved', 'its pool is starved, with no connection');
	$boss->close;
};

subtest 'without a budget' => sub {
	like(refused('open'), qr/connection slots are reserved/, 'a login is refused');
	wait_for_log(
		$node,
		qr/LOG:  pool "open" is starved: the server is full and refuses its logins, connections 0, budget none\n/,
		'any pool can be starved',
		$offset
	);
	is(
		query(
			$node,
			"SELECT detail FROM pool_monitor.events WHERE event = 'starved' AND pool = 'open'"
		),
		'{"budget": null, "connections": 0}',
		'the event, too'
	);
};

subtest 'how long' => sub {
	my $is = "(SELECT starved_seconds FROM pool_monitor.pool_stats WHERE pool = 'ems')";
	wait_for($node, "SELECT $is > 0.5", 'pool_stats has it');
	wait_for(
		$node,
		"SELECT abs(sum(starved_seconds) - $is) < 0.5 FROM pool_monitor.history WHERE pool = 'ems' AND resolution = '1 minute'",
		'history has the same'
	);
	wait_for(
		$node,
		"SELECT abs(starved_share * extract(epoch FROM seen) - $is) < 0.5 FROM pool_monitor.workload WHERE pool = 'ems' AND span = 'hour'",
		'and workload its share'
	);
	wait_for(
		$node,
		"SELECT string_agg(pool, ' ' ORDER BY pool) FROM (SELECT pool FROM pool_monitor.history WHERE starved_seconds > 0 GROUP BY pool) p",
		'of those that were, and of the server',
		'(server) ems late open'
	);
};

subtest 'advice says who starves whom' => sub {
	is(
		query(
			$node,
			"SELECT severity, pool FROM pool_monitor.advice WHERE topic = 'starved' ORDER BY pool"
		),
		"critical|ems\ncritical|late\ncritical|open",
		'each pool that is'
	);
	like(
		query(
			$node,
			"SELECT evidence FROM pool_monitor.advice WHERE topic = 'starved' AND pool = 'ems'"
		),
		qr/^starved for \d+ s of (\S+ seen of )?the last day, 1 logins refused; 5 connections at most, budget 12; at .*, most that was not busy was held by: hub 6 connections, 0\.0 busy; "batch" \(role "app"\) 5 connections, 0\.0 busy; java 4 connections, 0\.0 busy$/,
		'by whom'
	);
	is(
		query(
			$node, "SELECT string_agg(pool, ' ') FROM pool_monitor.advice WHERE topic = 'refused'"
		),
		'hub',
		'of the refusals of these nothing else is said'
	);
};

subtest 'it is over ten seconds after the last refusal' => sub {
	$_->close foreach @idle;
	wait_for_log(
		$node,
		qr/LOG:  pool "ems" is no longer starved: connections 5, busy 5; it was for 100 % of \d+\.\d s\n/,
		'the log has it',
		$offset
	);
	wait_for_log(
		$node,
		qr/LOG:  the server is no longer full: connections \d+, usable 20; it was for 100 % of \d+\.\d s\n/,
		'and of the server',
		$offset
	);
	is(status('ems'), 'ok', 'its status');
	is(
		query(
			$node,
			"SELECT o.at - b.at BETWEEN interval '9.8 s' AND interval '30 s', (o.detail ->> 'seconds')::float8 BETWEEN 9.8 AND 30 FROM pool_monitor.events b JOIN pool_monitor.events o USING (pool) WHERE b.event = 'starved' AND o.event = 'no_longer_starved' AND pool = 'ems'"
		),
		't|t',
		'not before, and not much later'
	);
	is(query($node, 'SELECT status FROM pool_monitor.server'),
		'overcommitted', 'the status of the server');
};

# Idle for long, and then all busy: an average alone would say for a minute that it is idle.
subtest 'the server over its budget' => sub {
	my $hub  = app_holder($node, 'hub',  3);
	my $late = app_holder($node, 'late', 2);
	wait_for(
		$node,
		"SELECT sum(avg_connections * seen) > 4 FROM pool_monitor.history WHERE pool = 'late' AND resolution = '1 minute'",
		'a pool is idle for two seconds'
	);
	$late->do('open 2');
	$late->do('busy 4');
	$node->append_conf('postgresql.conf', "pool_monitor.connection_budget = 5\n");
	$node->reload;
	wait_for_log(
		$node,
		qr/LOG:  the server is over its budget: connections \d+, budget 5; most that is not busy is held by: pool "hub" 3 connections, 0\.0 busy/,
		'the log has it, and who holds what is not busy',
		$offset
	);
	is(log_count($node, qr/over its budget: [^\n]*"late"/, $offset),
		0, 'of what is busy now nobody is named, whatever it was before');
	$late->do('free');
	$_->close foreach ($hub, $late);
	$node->append_conf('postgresql.conf', "pool_monitor.connection_budget = 15\n");
	$node->reload;
	wait_for_log(
		$node,
		qr/LOG:  the server is no longer over its budget: connections \d+, budget \d+; it was for \d+ % of \d+\.\d s\n/,
		'and that it is back',
		$offset
	);
	is(
		query(
			$node,
			"SELECT string_agg(event, ' ' ORDER BY seq) FROM pool_monitor.events WHERE event LIKE 'server%'"
		),
		'server_full server_no_longer_full server_over_budget server_back_in_budget',
		'and all of it is events, once each'
	);
};

subtest 'full once more' => sub {
	wait_for(
		$node,
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'",
		'the others are gone', 5
	);
	my $other = app_holder($node, 'other', 15);
	wait_for($node, 'SELECT available FROM pool_monitor.server', 'no slot is left', '0');
	like(refused('ems'), qr/connection slots are reserved/, 'a login is refused');
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'server_full'",
		'it is told again', '2'
	);
	like(
		query(
			$node,
			"SELECT evidence FROM pool_monitor.advice WHERE topic = 'starved' AND pool = 'ems'"
		),
		qr/held by: "other" \(role "app"\) 15 connections, 0\.0 busy/,
		'advice names who held it the last time'
	);
	like(
		query(
			$node,
			"SELECT evidence FROM pool_monitor.advice WHERE topic = 'starved' AND pool = 'late'"
		),
		qr/held by: hub 6 connections, 0\.0 busy; "batch" /,
		'and of a pool that was starved before, who held it then'
	);
	$other->close;
};

subtest 'after a restart' => sub {
	wait_for(
		$node,
		"SELECT status <> 'starved' FROM pool_monitor.budgets WHERE pool = 'ems'",
		'it is over again'
	);
	$ems->close;
	my $was =
	  query($node, "SELECT starved_seconds FROM pool_monitor.pool_stats WHERE pool = 'ems'");
	$node->restart;
	wait_for(
		$node,
		"SELECT starved_seconds FROM pool_monitor.pool_stats WHERE pool = 'ems'",
		'starved_seconds is what it was', $was
	);
	query($node, "SELECT pool_monitor.reset('ems')");
	is(query($node, "SELECT starved_seconds FROM pool_monitor.pool_stats WHERE pool = 'ems'"),
		'0', 'reset() begins it anew');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
