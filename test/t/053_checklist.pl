# The checklist: each item passes, warns and fails where it should. Needs settings that
# are the whole server's, sessions, and a past that is replayed, which regress has not.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('checklist');

sub item
{
	my ($n) = @_;
	return "SELECT status FROM pool_monitor.checklist WHERE item = $n";
}

sub items
{
	my ($node, @items) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(item || ' ' || status, ', ' ORDER BY item) FROM pool_monitor.checklist WHERE item IN ("
		  . join(',', @items)
		  . ')');
}

subtest 'what is declared' => sub {
	pools($node);
	is(
		items($node, 1 .. 5, 7),
		'1 fail, 2 unknown, 3 unknown, 4 unknown, 5 unknown, 7 unknown',
		'nothing is declared'
	);
	pools(
		$node,
		row(
			'p',
			pool_size    => 10,
			max_overflow => 10,
			pool_recycle => "'1 h'",
			pre_ping     => 'false',
			echo_pool    => 'true'
		)
	);
	is(
		items($node, 2, 3, 4, 5),
		'2 warn, 3 warn, 4 warn, 5 pass',
		'pool_recycle, pre_ping, echo_pool'
	);
	pools($node, row('p', pool_size => 10, max_overflow => 10));
	is(items($node, 2, 3, 4, 5), '2 pass, 3 pass, 4 pass, 5 pass', 'all in order');
	pools($node, row('p', pool_size => 70, max_overflow => 0));
	is(items($node, 5), '5 warn', 'less than a fifth of headroom');
	pools($node, row('p', pool_size => 80, max_overflow => 0));
	is(items($node, 5), '5 fail', 'more than there is');
	pools($node, row('p', pool_size => 10, max_overflow => -1));
	is(items($node, 5), '5 fail', 'unbounded');
};

subtest 'what was seen' => sub {
	pools($node, row('p', pool_size => 10, max_overflow => 10));
	is(items($node, 1), '1 unknown', 'no data yet');
	replay($node,
		['p', 60, connections => 10, max_connections => 15, busy => 1, transactions => 1000]);
	is(items($node, 1, 7), '1 pass, 7 warn', 'sizes fit; no load near the ceiling was seen');
	replay($node,
		['p', 60, connections => 10, max_connections => 16, busy => 1, transactions => 1000]);
	is(items($node, 1, 7), '1 pass, 7 pass', '80 % of the ceiling was seen');
	replay($node,
		['p', 60, connections => 10, max_connections => 22, busy => 1, transactions => 1000]);
	is(items($node, 1), '1 warn', 'above the ceiling');
	query($node, <<"EOS");
SELECT replay_rings(ARRAY[date_trunc('minute', now())], ARRAY(SELECT date_trunc('hour', now()) - h * interval '1 hour' FROM generate_series(99, 0, -1) AS h));
SELECT replay_stretch('p', '1 hour', date_trunc('hour', now()) - interval '70 hours', 3600, 16, 18, 9, 9, 0, 0, 0, 0, 5000, 0, 0, 0);
EOS
	is(items($node, 7), '7 pass', 'a load test three days ago was one');
	replay(
		$node,
		[
			'p', 60,
			connections     => 20,
			max_connections => 20,
			busy            => 1,
			transactions    => 1000,
			exhausted       => 0.1,
			max_busy        => 20
		]
	);
	is(items($node, 1), '1 warn', 'exhausted');
};

subtest 'settings' => sub {
	wait_for($node, item(6), 'worker and history', 'pass');
	is(items($node, 8, 9), '8 fail, 9 warn', 'settings of a new server');

	# from 16 on a server has reserved_connections, 0 at first
	is(
		items($node, 10),
		$node->pg_version >= 16 ? '10 warn' : '10 pass',
		'nothing is reserved for monitoring'
	);
	{
		local $ENV{PGOPTIONS} =
		  '-c idle_in_transaction_session_timeout=1s -c tcp_keepalives_idle=5';
		is(items($node, 8, 9), '8 unknown, 9 unknown', 'where the session has settings of its own');
	}
	$node->safe_psql('postgres', 'ALTER ROLE app SET idle_in_transaction_session_timeout = 60000');
	is(items($node, 8), '8 warn', 'for one role only');
	$node->append_conf('postgresql.conf',
		"idle_in_transaction_session_timeout = 1min\nclient_connection_check_interval = 10s\n");
	$node->reload;
	wait_for($node, item(8), 'item 8 is set', 'pass');
	is(items($node, 9), '9 warn', 'client_connection_check_interval does not find idle ones');

	foreach (['tcp_keepalives_idle', '60 s'], ['tcp_user_timeout', '60000 ms'])
	{
		my ($setting, $value) = @$_;
		$node->append_conf('postgresql.conf', "$setting = 60s\n");
		$node->reload;
		wait_for(
			$node,
			"SELECT status || ' ' || evidence LIKE 'pass%$setting $value%' FROM pool_monitor.checklist WHERE item = 9",
			"$setting will do"
		);
		$node->append_conf('postgresql.conf', "$setting = 0\n");
		$node->reload;
		wait_for($node, item(9), 'and 0 is not set', 'warn');
	}
};

subtest 'applications that are in no pool' => sub {
	$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
	wait_for($node, item(11), 'no application is unknown', 'pass');
	my $unknown = app_holder($node, "it's new", 2);
	wait_for(
		$node,
		"SELECT status || ' ' || evidence FROM pool_monitor.checklist WHERE item = 11",
		'one is',
		q(warn 1 applications with two connections or more are in no pool, now or within the hour: 'it''s new' (app in postgres))
	);
	$unknown->close;
	wait_for($node,
		"SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'it''s new'",
		'it goes', 0);
	is(query($node, item(11)), 'warn', 'and does not blink');
	my @many =
	  map { app_holder($node, "a name of many letters that is cut nowhere, of number $_", 2) }
	  1 .. 6;
	like(
		query($node, "SELECT evidence FROM pool_monitor.checklist WHERE item = 11"),
		qr/^7 applications .*: 'a name .* \(app in postgres\) and 2 more$/,
		'no name is cut'
	);
	$_->close foreach @many;
};

subtest 'connections that are reserved' => sub {
	$node->append_conf('postgresql.conf', "superuser_reserved_connections = 0\n");
	$node->restart;
	is(items($node, 10), '10 fail', 'nothing is reserved');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
