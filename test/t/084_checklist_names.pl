# The checklist says which pools it means, and looks where a worker without declarations, an
# application that is a superuser, and reserved connections are. Needs restarts, sessions
# and a replayed past.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('checklist_names');

sub item
{
	my ($n) = @_;
	return query($node,
		"SELECT status || ' ' || evidence FROM pool_monitor.checklist WHERE item = $n");
}

subtest 'pools have names' => sub {
	pools(
		$node,
		row('fit'),
		row('old',   pool_recycle => "'1 h'", pre_ping     => 'false', echo_pool => 'true'),
		row('open',  max_overflow => -1,      recycle_mode => "'terminate'"),
		row('above', pool_size    => 2,       max_overflow => 0)
	);
	replay($node, ['above', 60, max_connections => 5], ['fit', 60, max_connections => 15]);
	like(item(1), qr/^warn .* 1 exhausted or above what they can open in it: above$/, 'too small');
	like(item(2), qr/^warn 1 of 4 pools longer or never; longest 01:00:00: old$/,     'recycle');
	is(item(3), 'warn declared off for 1 of 4 pools: old',       'pre_ping');
	is(item(4), 'warn on for 1 of 4 pools: old',                 'echo_pool');
	is(item(5), 'fail 1 pools without ceiling and budget: open', 'unbounded');
	like(
		item(7),
		qr/^warn 2 of 4 pools .* of the last eight days, with the sizes that they have; not: old, open$/,
		'load test'
	);
	is(item(12), 'warn missing in 1 of 1 pools with recycle_mode terminate: open', 'identity');
	pools($node, map { row("p$_", echo_pool => 'true') } 1 .. 7);
	is(item(4), 'warn on for 7 of 7 pools: p1, p2, p3, p4, p5 and 2 more', 'a few of many');
};

subtest 'one connection above the ceiling is a successor' => sub {
	pools($node, row('p', pool_size => 2, max_overflow => 0));
	replay($node, ['p', 60, max_connections => 3, busy => 1, transactions => 100]);
	like(item(1), qr/^pass /, 'no pool that is too small');
	is(advice($node, 'count(*)', 'declaration of p'), 0, 'nor a false declaration');
	my $over = sub {
		my ($seconds) = @_;
		query($node,
			"SELECT replay_stretch('p', '1 min', date_trunc('minute', now()) - interval '9 min', 60, 2, 3, 1, 1, 0, 0, 0, 0, 100, 0, 0, $seconds)"
		);
		return item(1) =~ s/ .*//r;
	};
	is($over->(9),                                    'pass', 'as long as it goes soon');
	is($over->(11),                                   'warn', 'one that stays is one more');
	is(advice($node, 'count(*)', 'declaration of p'), 1,      'and more than declared');
};

subtest 'superusers' => sub {
	my ($superuser) = query($node, 'SELECT current_user');
	pools($node, row('web'));
	is(item(13), 'pass 0 do now', 'nobody is');
	my @all = (
		app_holder($node, 'web', 2),
		PoolMonitor::Holder->new($node, application_name => 'batch', sessions => 1)
	);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.applications WHERE application_name IN ('web', 'batch')",
		'both are there',
		2
	);
	is(item(13), 'pass 0 do now', 'nor is a single session of no pool an application');
	push @all, PoolMonitor::Holder->new($node, application_name => 'batch', sessions => 1),
	  PoolMonitor::Holder->new($node, application_name => 'web', sessions => 1);
	wait_for(
		$node,
		"SELECT status || ' ' || evidence FROM pool_monitor.checklist WHERE item = 13",
		'two of them are, and one of a pool',
		"fail 2 do now: 'batch' ($superuser), web ($superuser)"
	);
	$all[3]->close;
	wait_for(
		$node,
		"SELECT status || ' ' || evidence FROM pool_monitor.checklist WHERE item = 13",
		'outside of pools they may be administrators',
		"warn 1 do now: 'batch' ($superuser)"
	);
	$_->close foreach @all[0 .. 2];
};

# Any role may: PUBLIC has UPDATE of that view.
subtest 'a lock on pg_settings' => sub {
	my $holder = app_holder($node, 'web', 1);
	$holder->do("sql 0 $_")
	  foreach 'BEGIN', 'LOCK TABLE pg_catalog.pg_settings IN ACCESS EXCLUSIVE MODE';
	foreach my $view ('checklist', 'advice', 'overview', 'health')
	{
		is(query($node, "SET lock_timeout = '1ms'; SELECT count(*) > 0 FROM pool_monitor.$view"),
			't', "$view does not wait for it");
	}
	$holder->close;
};

subtest 'reserved connections' => sub {
	like(
		item(10),
		qr/^pass superuser_reserved_connections 3$/,
		'before 16 there are those of superusers only'
	);
  }
  if query($node, "SELECT current_setting('server_version_num')::int") < 160_000;

subtest 'reserved connections' => sub {
	like(
		item(10),
		qr/^warn .*; reserved_connections 0; pg_use_reserved_connections granted to nobody$/,
		'none for monitoring'
	);
	$node->append_conf('postgresql.conf', "reserved_connections = 2\n");
	$node->restart;
	like(
		item(10),
		qr/^warn .*; reserved_connections 2; .* granted to nobody$/,
		'nobody can have them'
	);
	query($node, 'GRANT pg_use_reserved_connections TO watcher');
	is(
		item(10),
		'pass superuser_reserved_connections 3; reserved_connections 2; pg_use_reserved_connections granted',
		'a way in'
	);
  }
  if query($node, "SELECT current_setting('server_version_num')::int") >= 160_000;

subtest 'a worker without declarations' => sub {
	wait_for($node, 'SELECT status FROM pool_monitor.checklist WHERE item = 6',
		'all is well', 'pass');
	$node->append_conf('postgresql.conf', "pool_monitor.database = 'elsewhere'\n");
	$node->reload;
	wait_for(
		$node,
		"SET client_min_messages = error; SELECT status || ' ' || (evidence LIKE '1 worker; % declarations could not be loaded anew: there is no database \"elsewhere\"%') FROM pool_monitor.checklist WHERE item = 6",
		'those of before are in force',
		'fail true'
	);
	is(
		query(
			$node,
			"SELECT severity, evidence FROM pool_monitor.advice WHERE topic = 'declarations'"
		),
		'critical|there is no database "elsewhere" that accepts connections',
		'advice says so, too'
	);
	$node->restart;
	wait_for(
		$node,
		"SET client_min_messages = error; SELECT status || ' ' || (evidence LIKE '1 worker; % it has no declarations: there is no database \"elsewhere\"%') FROM pool_monitor.checklist WHERE item = 6",
		'none are',
		'fail true'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
