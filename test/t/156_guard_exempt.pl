# Who is never refused by a guard, and what keeps it from refusing anybody: the settings, the
# worker that is gone, nothing that is declared, roles that cannot be looked up. Needs logins
# of many kinds, replication, and a worker that stands still.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder worker_pid logs_in);
use PoolMonitorGuard;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = guard_server('guard_exempt', '', init => {allows_streaming => 1});
query($node, <<'EOS');
CREATE ROLE boss LOGIN SUPERUSER;
CREATE ROLE keeper;
CREATE ROLE kin LOGIN IN ROLE keeper;
CREATE ROLE sender LOGIN REPLICATION;
EOS

my $places = q{SELECT places FROM pool_monitor.guards WHERE pool = 'ems'};

# A pool of one place, which the role "app" has.
sub full
{
	my (@columns) = @_;
	pools($node, guard('ems', 1, @columns));
	my $app = logins($node, 'ems');
	is($app->do('open 1'), 'admitted=1 refused=0', 'the place is taken');
	is($app->do('open 1'), 'admitted=0 refused=1', 'another one is refused');
	return $app;
}

# This role gets in, is counted, and stands above; nobody else is admitted before the pool is
# below its limit again.
sub is_exempt
{
	my ($role) = @_;
	my $app    = full();
	my $exempt = logins($node, 'ems', $role);

	is($exempt->do('open 2'), 'admitted=2 refused=0', 'is admitted');
	is(query($node, $places), 3,                      'and counted, above the limit');
	is($app->do('open 1'),    'admitted=0 refused=1', 'nobody else is admitted');
	$app->do('close 1');
	$exempt->do('close 1');
	is(query($node, $places), 1,                      'one of these is left');
	is($app->do('open 1'),    'admitted=0 refused=1', 'and has the place');
	$exempt->do('close 1');
	is($app->do('open 1'), 'admitted=1 refused=0', 'below it somebody is');
	is_counted($node, 'ems', 'guarded, would_be_guarded', '3|0', 'the exempt are in neither count');
	$_->close foreach $exempt, $app;
	return;
}

subtest 'a superuser' => sub { is_exempt('boss') };

subtest 'but not where the pool is one of superusers' => sub {
	my $app  = full(guard_superusers => 'true');
	my $boss = logins($node, 'ems', 'boss');
	is($boss->do('open 1'), 'admitted=0 refused=1', 'is refused');
	like($boss->do('said'), qr/^too many connections for pool "ems"\|/, 'and told so');
	$app->do('close 1');
	is($boss->do('open 2'), 'admitted=1 refused=1', 'the place is anybody\'s');
	my $other = logins($node, 'other', 'boss');
	is($other->do('open 1'), 'admitted=1 refused=0', 'under another name a superuser gets in');
	$_->close foreach $app, $boss, $other;
};

subtest 'members of protected_roles' => sub {
	setting($node, 'pool_monitor.protected_roles', 'keeper');
	is_exempt('kin');

	subtest 'also where they are superusers, in a pool of superusers' => sub {
		query($node, 'CREATE ROLE chief LOGIN SUPERUSER IN ROLE keeper');
		my $app   = full(guard_superusers => 'true');
		my $chief = logins($node, 'ems', 'chief');
		is($chief->do('open 1'), 'admitted=1 refused=0', 'is admitted');
		$_->close foreach $app, $chief;
	};
};

subtest 'members of pg_use_reserved_connections' => sub {
	plan skip_all => 'this is of PostgreSQL 16' if $node->pg_version < 16;
	query($node, 'CREATE ROLE keys LOGIN; GRANT pg_use_reserved_connections TO keys');
	is_exempt('keys');
};

subtest 'superuser_reserved_connections stay, whatever is reserved' => sub {
	pools($node, guard('ems', 20, reserved => 20, guard_superusers => 'true'));
	my $usable = query($node, 'SELECT usable FROM pool_monitor.server');
	my $rest   = logins($node, 'rest');
	my $ems    = logins($node, 'ems');
	my $boss   = logins($node, 'other', 'boss');
	is(
		$rest->do('storm 60'),
		'admitted=' . ($usable - 20) . ' refused=' . (60 - $usable + 20),
		'others have what is anybody\'s'
	);
	is($ems->do('storm 20'), 'admitted=20 refused=0', 'the pool has its reserve');
	is($boss->do('open 3'),  'admitted=3 refused=0',  'a superuser gets in yet');
	$_->close foreach $boss, $ems, $rest;
};

# They have slots of their own.
subtest 'replication' => sub {
	my $app = full();
	my $dsn = 'host=' . $node->host . ' port=' . $node->port . ' user=sender application_name=ems';
	command_ok(['psql', '-XAtw', '-d', "$dsn replication=true", '-c', 'IDENTIFY_SYSTEM'],
		'a walsender of that name is admitted');
	command_ok(
		['pg_basebackup', '-w', '-d', $dsn, '-D', $node->backup_dir . '/whole', '-c', 'fast'],
		'so is pg_basebackup');
	is(query($node, $places), 1, 'neither is counted');
	is_counted($node, 'ems', 'guarded', '1', 'nor refused');
	$app->close;
};

subtest 'workers of parallel query' => sub {
	query($node,
		'CREATE TABLE many AS SELECT g FROM generate_series(1, 20000) AS g; GRANT SELECT ON many TO app; ANALYZE many'
	);
	pools($node, guard('ems', 1));
	my $app = holder($node, 'ems', user => 'app');
	$app->do(
		'sql 0 SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0'
	);
	$app->do(
		q{sql 0 CREATE FUNCTION pg_temp.plan() RETURNS SETOF text LANGUAGE plpgsql AS 'BEGIN RETURN QUERY EXECUTE $x$EXPLAIN (ANALYZE) SELECT count(*) FROM many$x$; END'}
	);
	is(
		$app->do(
			q{sql 0 SELECT substring(string_agg(plan, ' ') FROM 'Workers Launched: \d') FROM pg_temp.plan() AS plan}
		),
		'Workers Launched: 2',
		'are started in a pool that is full'
	);
	is_counted($node, 'ems', 'guarded', 0, 'and not counted');
	$app->close;
};

subtest 'the kill switch' => sub {
	my $app = full();
	setting($node, 'pool_monitor.guard_enabled', 'off');
	is(query($node, guards('ems', 'guard, armed')), 'enforce|f', 'the guard is not armed');
	is($app->do('open 3'),                          'admitted=3 refused=0', 'all are admitted');
	is_counted($node, 'ems', 'guarded, would_be_guarded', '1|0', 'and none is counted');
	setting($node, 'pool_monitor.guard_enabled', 'on');
	is($app->do('open 1'), 'admitted=0 refused=1', 'it is in force again at once');
	$app->close;
};

subtest 'all that is undeclared has one limit' => sub {
	pools($node, guard('ems', 1));
	my $others = logins($node, 'a stranger');
	my $twin   = logins($node, 'another');
	is($others->do('open 4'), 'admitted=4 refused=0', 'none, as it is');
	setting($node, 'pool_monitor.undeclared_budget', '5');
	setting($node, 'pool_monitor.undeclared_guard',  'report');
	armed($node);
	is($others->do('open 3'), 'admitted=3 refused=0', 'with report all are admitted');
	ok(query($node, guards(undef, 'would_be_guarded')) >= 2, 'and counted');
	setting($node, 'pool_monitor.undeclared_guard', 'enforce');
	armed($node);
	is($twin->do('open 1'), 'admitted=0 refused=1', 'with enforce none, also of another name');
	like(
		$twin->do('said'),
		qr/^too many connections for undeclared applications\|The limit is 5 connections, and \d+ are taken\.\|.*"pool_monitor.undeclared_budget"\.$/,
		'which is told'
	);
	ok(logs_in($node, 'user=boss'), 'a superuser is');
	$others->do('close 7');
	is($twin->do('open 1'), 'admitted=1 refused=0', 'below it somebody is again');
	$_->close foreach $others, $twin;
	query($node, "ALTER SYSTEM RESET $_")
	  foreach 'pool_monitor.undeclared_guard', 'pool_monitor.undeclared_budget';
	$node->reload;
};

# It is found out by the login itself: the worker has not looked for 10 s.
subtest 'a worker that stands still' => sub {
	my $app    = full();
	my $worker = worker_pid($node);
	kill 'STOP', $worker;
	my $began = time;
	is($app->do('open 1'), 'admitted=0 refused=1', 'for some seconds all is as before');
	select undef, undef, undef, 0.2
	  until $app->do('open 1') eq 'admitted=1 refused=0' || time - $began > 60;
	my $after = time - $began;
	ok($after >= 9 && $after <= 30, "then logins are admitted (after $after s)");
	is(query($node, guards('ems', 'guard, armed')), 'enforce|f',
		'and it says that it is not armed');
	kill 'CONT', $worker;
	armed($node);
	is($app->do('open 1'), 'admitted=0 refused=1', 'when it works again they are not');
	$app->close;
};

# Memberships are locked, for longer than anybody waits for a lock. Nothing else in a login
# asks for them.
subtest 'a role that cannot be looked up' => sub {
	my $app  = full();
	my $lock = holder($node, 'lock');
	setting($node, 'lock_timeout', '500ms');
	$lock->do('sql 0 BEGIN');
	is($lock->do('sql 0 LOCK TABLE pg_auth_members IN ACCESS EXCLUSIVE MODE'), 'ok', 'a lock');
	is($app->do('open 1'), 'admitted=1 refused=0', 'a login that is about to be refused is not');
	is_counted($node, 'ems', 'guarded, would_be_guarded', '1|0', 'nor counted');
	$lock->do('sql 0 ROLLBACK');
	is($app->do('open 1'), 'admitted=0 refused=1', 'when it can be looked up, the next one is');
	setting($node, 'lock_timeout', '0');
	$_->close foreach $lock, $app;
};

subtest 'nothing that is declared' => sub {
	my $app = full();
	declare($node, 'DELETE FROM pool_monitor.pools');
	is($app->do('open 3'), 'admitted=3 refused=0', 'refuses nobody');
	$app->close;
};

subtest 'no worker at all' => sub {
	declare($node, guard('ems', 1));
	$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
	$node->restart;
	my $app = logins($node, 'ems');
	is($app->do('open 3'), 'admitted=3 refused=0',                           'refuses nobody');
	is(query($node, q{SELECT bool_or(armed) FROM pool_monitor.guards}), 'f', 'and says so');
	$app->close;
};

done_testing();
