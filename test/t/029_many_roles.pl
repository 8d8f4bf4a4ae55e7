# Roles that are members of thousands of others, memberships that change all the
# time, and a catalog that is locked: the worker goes on sampling, and who is
# protected stays so. Needs a worker, and somebody who makes roles beside it.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use POSIX                 ();
use PoolMonitor           qw(:DEFAULT query insert_pool holder pgbench worker_pid);
use PoolMonitorRetirement qw(setting);
use PostgreSQL::Test::Utils;
use Test::More;

my $roles = 4000;                                # that each of two login roles is a member of
my $node  = new_server('many_roles', <<'EOC');
max_connections = 40
pool_monitor.recycle_interval = 100ms
pool_monitor.protected_roles = 'guards'
max_locks_per_transaction = 512
EOC
query($node, 'CREATE ROLE guards; CREATE ROLE plain LOGIN; CREATE ROLE maker LOGIN CREATEROLE');
$node->safe_psql('postgres', <<"EOS", extra_params => ['-U', 'maker']);
CREATE ROLE many_a LOGIN;
CREATE ROLE many_b LOGIN;
CREATE ROLE flip;
CREATE ROLE flop;
DO \$\$
BEGIN
	FOR i IN 1..$roles LOOP
		EXECUTE format('CREATE ROLE a%s ROLE many_a', i);
		EXECUTE format('CREATE ROLE b%s ROLE many_b', i);
	END LOOP;
END \$\$;
EOS
query($node, "GRANT guards TO b$roles");

sub connections
{
	my ($user) = @_;
	return
	  "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'many' AND usename = '$user'";
}

my $worker = worker_pid($node);

# s of processor time that the worker has used
sub worker_time
{
	my @stat = split / /, slurp_file("/proc/$worker/stat") =~ s/^.*\) //r;
	return ($stat[11] + $stat[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

my $script = $node->basedir . '/churn.sql';
append_to_file($script, "GRANT flip TO flop;\nREVOKE flip FROM flop;\n");
my $churn = pgbench($node, 'maker', $script, '-R', 30);
my %holder;
declare($node, <<'EOS');
INSERT INTO pool_monitor.pools (name, application_name, pool_size, pool_recycle, recycle_grace, recycle_mode)
VALUES ('many', 'many', 10, '1 s', '0', 'terminate');
INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('tick', 'tick', 1, 0);
EOS

subtest 'memberships that change all the time' => sub {
	%holder = map { $_ => holder($node, 'many', user => $_, sessions => 3) } 'many_a', 'many_b';
	my $begin = time;
	my $used  = worker_time();
	$holder{plain} = holder($node, 'many', user => 'plain', sessions => 2);
	wait_for($node, connections('plain'), 'who is a member of little is retired beside them', 0);

	foreach (1 .. 3)
	{
		my $canary = holder($node, 'many', user => 'plain', sessions => 1);
		wait_for($node, connections('plain'), 'again and again', 0);
		$canary->close;
	}

	# at the most 40 ms for roles in each 100, however slow the machine is
	note('processor time, s: ', worker_time() - $used, ' of ', time - $begin);
	cmp_ok(worker_time() - $used, '<', 0.6 * (time - $begin), 'the worker is not busy with roles');
	is(query($node, connections('many_b')), 3, 'who is protected by one in thousands stays');
	$churn->kill_kill;
};

subtest 'when they change no more, who is a member of thousands is retired' => sub {
	wait_for($node, connections('many_a'), 'who is a member of thousands is retired in the end', 0);
	is(query($node, connections('many_b')), 3, 'who is protected by one of them is not');
	is(
		query(
			$node,
			"SELECT DISTINCT keep_reason FROM pool_monitor.sessions WHERE pool = 'many' AND usename = 'many_b'"
		),
		'protected role',
		'which sessions knows, too'
	);
	query($node, "REVOKE guards FROM b$roles");
	wait_for($node, connections('many_b'), 'until it is no longer', 0);
};

my $locker = holder($node, 'locker', sessions => 1);

sub count_of
{
	my ($event) = @_;
	return "SELECT count(*) FROM pool_monitor.events WHERE event = '$event' AND pool = 'tick'";
}

subtest 'a catalog that is locked' => sub {
	$holder{plain}->close;
	my $tick = holder($node, 'tick', user => 'plain', sessions => 1);
	$locker->do('sql 0 BEGIN');
	$locker->do('sql 0 LOCK pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE');

	# the worker knows nobody any more
	setting($node, "pool_monitor.protected_roles = 'guards, maker'");
	$holder{plain} = holder($node, 'many', user => 'plain', sessions => 1);

	# each is a look at all sessions later, and there is one at roles between two of them
	foreach my $n (1 .. 2)
	{
		my $second = holder($node, 'tick', user => 'plain', sessions => 1);
		wait_for($node, count_of('over_budget'), 'it goes on sampling', $n);
		is(query($node, "SELECT count(*) FROM pg_locks WHERE pid = $worker AND NOT granted"),
			0, 'and waits for nobody');
		$second->close;
		wait_for($node, count_of('back_in_budget'), 'for as long as it lasts', $n);
	}
	is(query($node, connections('plain')), 1, 'but retires nobody whom it cannot look up');
	$locker->do('sql 0 ROLLBACK');
	wait_for($node, connections('plain'), 'which it does then', 0);
};

subtest 'a role that is protected while recycle() looks at others' => sub {
	query($node, 'CREATE ROLE late LOGIN; CREATE ROLE other LOGIN; CREATE TABLE steps (step int)');
	declare($node,
		insert_pool('hand', pool_size => 10, pool_recycle => "'1 s'", recycle_grace => "'0'"));
	my $stale = "SELECT stale FROM pool_monitor.budgets WHERE pool = 'hand'";
	my $late  = holder($node, 'hand', user => 'late', sessions => 2);
	wait_for($node, $stale, 'two are stale', 2);
	my $by_hand = $node->basedir . '/by_hand.sql';
	append_to_file($by_hand, <<'EOS');
SELECT count(*) FROM pool_monitor.recycle('hand') WHERE action = 'would_retire';
INSERT INTO steps VALUES (1);
DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM steps WHERE step = 2) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$;
SELECT action, reason, count(*) FROM pool_monitor.recycle('hand', dry_run => false) GROUP BY 1, 2 ORDER BY 1;
EOS
	my $recycler = IPC::Run::start(
		['psql', '-XqAt', '-h', $node->host, '-p', $node->port, '-f', $by_hand, 'postgres'],
		'>', \my $recycled, '2>&1');
	wait_for($node, 'SELECT count(*) FROM steps', 'it knows the one role', 1);
	my $other = holder($node, 'hand', user => 'other', sessions => 2);
	wait_for($node, $stale, 'four are stale', 4);
	$locker->do('sql 0 BEGIN');
	$locker->do('sql 0 LOCK pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE');
	query($node, 'INSERT INTO steps VALUES (2)');
	wait_for(
		$node,
		"SELECT count(*) FROM pg_locks WHERE relation = 'pg_auth_members'::regclass AND NOT granted",
		'it waits for what it can know of the other',
		1
	);
	$locker->do('sql 0 GRANT guards TO late');
	$locker->do('sql 0 COMMIT');
	$recycler->finish;
	is(
		$recycled,
		"2\nkept|protected role|2\nretired||2\n",
		'who is protected meanwhile is not asked'
	);
};

subtest 'the attack in size: tens of thousands of roles, and as many memberships again' => sub {

	# as many roles as 15 s allow
	$node->safe_psql('postgres', <<"EOS", extra_params => ['-U', 'maker']);
DO \$\$
DECLARE began timestamptz := clock_timestamp();
BEGIN
	FOR i IN $roles + 1..10000 LOOP
		EXECUTE format('CREATE ROLE a%s ROLE many_a', i);
		EXECUTE format('CREATE ROLE b%s ROLE many_b', i);
		CONTINUE WHEN i % 500 <> 0;
		COMMIT;
		EXIT WHEN clock_timestamp() > began + interval '15 s';
	END LOOP;
END \$\$;
EOS
	note(query($node, 'SELECT count(*) FROM pg_roles'), ' roles');

	# memberships of nobody, more than one look reads
	my ($more, $values) =
	  $node->pg_version >= 16
	  ? ('oid, inherit_option, set_option,', '(3200000000 + i)::oid, true, true,')
	  : ('', '');
	query($node, <<"EOS");
SET allow_system_table_mods = on;
INSERT INTO pg_auth_members ($more roleid, member, grantor, admin_option)
SELECT $values (3000000000 + i)::oid, (3100000000 + i)::oid, 10, false FROM generate_series(1, 200000) AS i;
EOS
	query($node, "ALTER SYSTEM SET log_min_messages = debug1");
	$node->reload;
	$_->close foreach values %holder;
	$churn  = pgbench($node, 'maker', $script);
	%holder = map { $_ => holder($node, 'many', user => $_) } 'many_a', 'many_b', 'late', 'plain';

	# s: what history has seen, and the server's own clock, since the churn began
	my $times =
	  "SELECT sum(seen), extract(epoch FROM clock_timestamp()) FROM pool_monitor.history WHERE pool = 'many' AND resolution = '1 minute'";
	my ($seen, $clock) = split /\|/, query($node, $times);
	wait_for(
		$node,
		"SELECT now() > to_timestamp($clock) + interval '12 s'",
		'it churns for a while'
	);
	my ($seen_since, $clock_since) = split /\|/, query($node, $times);
	cmp_ok(
		$seen_since - $seen,
		'>',
		0.8 * ($clock_since - $clock),
		'and what happens meanwhile is seen, all of it'
	);
	is(query($node, connections('late')), 1, 'who is protected stays');

	my $offset = -s $node->logfile;
	$churn->kill_kill;
	wait_for($node, connections($_), "then $_ is retired", 0) foreach 'plain', 'many_a', 'many_b';
	is(query($node, connections('late')), 1, 'and who is protected is not');
	my ($read, $slices) =
	  slurp_file($node->logfile, $offset) =~
	  /pool_monitor has read (\d+) memberships in (\d+) slices/;
  SKIP:
	{
		skip('the worker has an index, which it mostly has not', 2) if !defined $read;
		cmp_ok($read,   '>',  200000, 'all memberships were read');
		cmp_ok($slices, '>=', 3,      'but never all in one look');
	}
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
