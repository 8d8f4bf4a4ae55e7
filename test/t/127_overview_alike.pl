# The view overview where it could mislead: names that are cut alike, a budget that is nearly
# reached, since when the server is in its status. Needs hundreds of real sessions.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use Test::More;

my $node = new_server('overview_alike',
	"max_connections = 240\npool_monitor.sample_interval = 50ms\npool_monitor.connection_budget = 220\n"
);
query($node, 'CREATE ROLE app LOGIN');

subtest 'names that are cut alike are told apart' => sub {
	declare(
		$node,
		join '',
		map { insert_pool($_, pool_size => 1) } (
			'checkout-eu-west-1-worker', 'checkout-eu-west-2-worker',
			'checkout-eu-east-1-worker', 'billing-is-1-service',
			'billing-is-2-service',      'a pool of another name'
		)
	);
	is(
		query(
			$node,
			q{SELECT string_agg(pool, '|' ORDER BY pool COLLATE "C") FROM pool_monitor.overview WHERE status = 'ok' AND pool <> '(server)'}
		),
		'a pool o~er name|bill~1-service|bill~2-service|chec~east-1-work|chec~west-1-work|chec~west-2-work',
		'by what they differ in'
	);
	my $same = 'billing-one-and-the-same-name-';
	declare(
		$node,
		"DELETE FROM pool_monitor.pools; " . join '',
		map { insert_pool("$same$_", pool_size => 1) } 'a-long-way-1-here',
		'a-long-way-2-e-1-here', 'b-long-way-1-here'
	);
	is(
		query(
			$node,
			q{SELECT string_agg(pool, '|' ORDER BY pool COLLATE "C") FROM pool_monitor.overview WHERE status = 'ok' AND pool <> '(server)'}
		),
		'bill~a-long-~1|bill~a-long-~2|bill~b-long-way-',
		'or by a number'
	);
};

subtest 'nearly full is not full' => sub {
	declare($node,
		"DELETE FROM pool_monitor.pools; "
		  . insert_pool('web', pool_size => 200, max_overflow => 0));
	my $used = "SELECT used FROM pool_monitor.overview WHERE pool = 'web'";
	my $web  = app_holder($node, 'web', 199);
	wait_for($node, $used, '199 of 200', '99 %');
	$web->do('open 1');
	wait_for($node, $used, '200 of 200', '100 %');
	$web->do('open 1');
	wait_for($node, $used, '201 of 200', '101 %');
	$node->append_conf('postgresql.conf', "pool_monitor.connection_budget = 150\n");
	$node->reload;
	wait_for(
		$node,
		q{SELECT status || ' ' || (since ~ '^\d+ s$')::text FROM pool_monitor.overview WHERE pool = '(server)'},
		'over its budget, and since when',
		'over true'
	);
	is(
		query(
			$node,
			"SELECT e.at - s.status_since BETWEEN interval '-1 s' AND interval '1 s' FROM pool_monitor.server AS s, pool_monitor.events AS e WHERE e.event = 'server_over_budget'"
		),
		't',
		'as the event has it'
	);
	$web->close;
};

sub set
{
	my ($setting, $value) = @_;
	$node->append_conf('postgresql.conf', "pool_monitor.$setting = $value\n");
	$node->reload;
	return;
}

sub server
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.server");
}

# Waits until it has had that status for a while, as the sampler saw it.
sub settles
{
	my ($status) = @_;
	wait_for(
		$node,
		"SELECT status = '$status' AND status_since < clock_timestamp() - interval '0.5 s' FROM pool_monitor.server",
		"$status for a while"
	);
	return server('status_since');
}

# What is told of by overview and the view server is the sampler's, as of pools.
subtest 'since when the server is in its status' => sub {
	my $web = app_holder($node, 'web', 5);
	set('status_hold',       '1h');
	set('connection_budget', 4);
	my $over = settles('over');
	set('connection_budget', 220);
	wait_for($node, 'SELECT status FROM pool_monitor.server', 'well again', 'ok');
	is(server('status_since'), $over, 'but that waits');
	set('status_hold', '100ms');
	wait_for($node, "SELECT status_since > '$over' FROM pool_monitor.server", 'until it is over');

	my $ok = settles('ok');
	declare($node, "UPDATE pool_monitor.pools SET description = 'the same'");
	is(server('status, status_since'), "ok|$ok", 'since then, also when pools are declared anew');
	like(
		query(
			$node,
			"SELECT status || ' ' || since FROM pool_monitor.overview WHERE pool = '(server)'"
		),
		qr/^ok \d+ (s|min)$/,
		'so says the overview'
	);

	declare($node, 'UPDATE pool_monitor.pools SET max_overflow = 100');
	is(server("status, status_since > '$ok'"), 'overcommitted|t', 'a worse one begins anew');
	my $overcommitted = settles('overcommitted');
	set('status_hold',       '1h');
	set('connection_budget', 4);
	my $again = settles('over');
	is(query($node, "SELECT '$again' > '$overcommitted'::timestamptz"),
		't', 'and one that is worse');
	$web->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
