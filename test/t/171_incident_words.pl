# Incidents as they are told where nothing was declared for them: who held the slots of a
# server on which applications are undeclared, a deployment that overlapped; and that 100 %
# is all, where people read it. Needs a server that is full, and real clients.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query app_holder insert_pool holder_of logs_in);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# 20 slots for ordinary roles
my $node = new_server('words', <<'EOC');
max_connections = 23
superuser_reserved_connections = 3
max_wal_senders = 0
pool_monitor.sample_interval = 10ms
pool_monitor.status_hold = 500ms
EOC
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE other LOGIN');

sub refused
{
	my ($name) = @_;
	my ($out)  = run_command(
		[
			python(),    "$FindBin::RealBin/../clients/refused.py",
			$node->host, $node->port, 'app', $name, 1, 1
		]
	);
	return $out;
}

sub advice
{
	my ($topic, $column, $where) = @_;
	return query($node,
		"SELECT $column FROM pool_monitor.advice WHERE topic = '$topic' AND " . ($where // 'true'));
}

# So many clients, and none of before.
sub clients
{
	my ($number) = @_;
	wait_for(
		$node,
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
		"$number clients",
		$number
	);
	return;
}

subtest 'who held the slots is told where nothing is declared, also when they have gone' => sub {
	clients(0);
	my @holders = (holder_of('other', $node, 'hub', sessions => 12), app_holder($node, 'java', 7));
	clients(19);
	push @holders, app_holder($node, 'one', 1);
	cmp_ok(refused('shop'), '>', 0, 'logins are refused');
	wait_for($node, "SELECT count(*) > 0 FROM pool_monitor.events WHERE event = 'server_full'",
		'it is full');
	$_->close foreach @holders;
	like(
		advice('refused', 'evidence'),
		qr/ 20 usable; at \d{4}-\S+ \S+, most that was not busy was held by: "hub" \(role "other"\) 12 connections, 0\.0 busy; "java" \(role "app"\) 7 connections, 0\.0 busy; "one" \(role "app"\) 1 connections, /,
		'who they were'
	);
};

subtest 'so are those of a pool at its budget' => sub {
	clients(0);
	declare($node, insert_pool('late', pool_size => 2, max_overflow => 0));
	clients(0);
	my @holders = (holder_of('other', $node, 'hub', sessions => 11), app_holder($node, 'java', 6));
	push @holders, app_holder($node, 'late', 2);
	clients(19);
	push @holders, app_holder($node, 'one', 1);
	ok(!logs_in($node, 'application_name=late user=app'), 'its login is refused');
	wait_for(
		$node,
		"SELECT sum(refused) > 0 FROM pool_monitor.history WHERE pool = 'late'",
		'which the history has'
	);
	like(
		advice('refused', 'evidence', "pool = 'late'"),
		qr/^1 in .* 20 usable; at .*"hub" \(role "other"\) 1[12] connections/,
		'who held them'
	);
	$_->close foreach @holders;
};

subtest 'a name for each connection hides nobody' => sub {
	wait_for(
		$node,
		"SELECT event FROM pool_monitor.events WHERE event LIKE 'server%full' ORDER BY seq DESC LIMIT 1",
		'it is full no more',
		'server_no_longer_full'
	);
	clients(0);
	my $many = app_holder($node, 'x', 15);
	$many->do("sql $_ SET application_name = 'host-$_'") foreach 0 .. 14;
	my $hub = holder_of('other', $node, 'hub', sessions => 4);
	clients(19);
	my $offset = -s $node->logfile;
	my $one    = holder_of('other', $node, 'one', sessions => 1);
	ok(!logs_in($node, 'user=app'), 'a login is refused');
	wait_for_log(
		$node,
		qr/the server is full: .* held by: application "\(15 names\)" of role "app" 15 connections, 0\.0 busy; application "hub" of role "other" 4 connections, 0\.0 busy; application "one" of role "other" 1 connections, /,
		'they are told of together',
		$offset
	);
	like(
		advice('refused', 'evidence'),
		qr/held by: "\(15 names\)" \(role "app"\) 15 connections, /,
		'in the advice, too'
	);
	$_->close foreach $many, $hub, $one;
};

subtest 'a deployment that overlaps is no pool that was declared too small' => sub {
	clients(0);
	declare($node,
		"DELETE FROM pool_monitor.pools; "
		  . insert_pool('shop', workers => 2, pool_size => 2, max_overflow => 0));
	my @releases = map { app_holder($node, 'shop', 4) } 1 .. 2;
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'shop'", 'two', 8);
	wait_for(
		$node,
		"SELECT recommendation ~ ' Or two deployments overlapped: then surge is what is missing\\. ' FROM pool_monitor.advice WHERE topic = 'declaration' AND pool = 'shop'",
		'it may be a surge'
	);
	query($node, "UPDATE pool_monitor.pools SET surge = 100; SELECT pool_monitor.reload()");
	is(advice('declaration', 'count(*)'), 0, 'and when it is declared there is nothing to correct');
	$_->close foreach @releases;
};

# So short that its share is less than half of a hundredth.
subtest 'what was not all of the time is not 100 %' => sub {
	declare($node,
		"DELETE FROM pool_monitor.pools; " . insert_pool('db', pool_size => 1, max_overflow => 0));
	my $db = app_holder($node, 'db', 1);
	my ($share, $said);
	foreach my $try (1 .. 5)
	{
		my $offset = -s $node->logfile;
		$db->do('sql 0 BEGIN');
		usleep(5_000_000);
		$db->do('sql 0 COMMIT');
		usleep(20_000);
		$db->do('sql 0 BEGIN');
		usleep(5_000_000);
		$db->do('sql 0 COMMIT');
		wait_for_log(
			$node,
			qr/pool "db" is no longer exhausted/,
			"it was at its ceiling, $try", $offset
		);
		($said) = substr(slurp_file($node->logfile), $offset) =~
		  /"db" is no longer exhausted: .*; it was for (\d+) % of \d+\.\d s\n/;
		$share = query($node,
			"SELECT detail::jsonb ->> 'share' FROM pool_monitor.events WHERE event = 'no_longer_exhausted' ORDER BY seq DESC LIMIT 1"
		);
		last if $share > 0.995 && $share < 1;
	}
	ok($share > 0.995 && $share < 1, "for most of it: $share");
	is($said, 99, 'the log says so');
	$db->close;

	my $busy = app_holder($node, 'busy', 10);
	my $where =
	  "FROM pool_monitor.holders(now() - interval '1 hour') AS h WHERE h.application_name = 'busy'";
	wait_for($node, "SELECT count(*) $where", 'an application has a history', 1);
	$busy->do('sql 0 BEGIN');
	wait_for($node, "SELECT wait_client > 0 $where", 'one has waited for its client');
	$busy->do('sql 0 COMMIT');
	$busy->do('busy 10');
	wait_for(
		$node,
		"SELECT wait_client > 0 AND wait_client < 0.004 * avg_busy $where",
		'for a small part of the time'
	);
	is(
		query(
			$node,
			"SELECT waited_for FROM pool_monitor.who(now() - interval '5 min', '10 min') WHERE application_name = 'busy'"
		),
		'other 99 %',
		'so has who()'
	);
	$busy->close;
};

subtest 'nothing has changed in no time' => sub {
	my $changes =
	  "SELECT count(*) > 0 FROM pool_monitor.changes(%s, tstzrange(date_trunc('minute', now()), NULL))";
	foreach my $empty ("'empty'", 'tstzrange(now(), now())')
	{
		is(query($node, sprintf $changes, $empty), 'f', "$empty is not all of the time");
		is(
			query(
				$node,
				"SELECT count(*) FROM pool_monitor.changes(tstzrange(now() - interval '1 hour', NULL), $empty)"
			),
			0,
			'nor as the second one'
		);
	}
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
