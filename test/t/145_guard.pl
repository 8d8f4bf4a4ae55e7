# A budget that holds: who is refused, what he is told, and that nobody else is. Needs
# sessions that stay, and logins that fail.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('guard');
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE other LOGIN');
declare(
	$node,
	insert_pool(
		'web',
		usename          => "'app'",
		pool_size        => 1,
		max_overflow     => 1,
		application_name => "'web%'",
		guard            => "'enforce'"
	)
);

# One login's outcome: empty when it succeeded, else what the client got.
sub attempt
{
	my ($user, $name) = @_;
	my ($out, $err);
	IPC::Run::run(
		[
			'psql', '-XAtw', '-v', 'VERBOSITY=verbose', '-c', 'SELECT 1', '-d',
			$node->connstr('postgres') . " user=$user application_name=$name"
		],
		'<',
		'/dev/null',
		'>',
		\$out,
		'2>',
		\$err
	);
	return $err;
}

sub guard
{
	my ($what) = @_;
	return query($node, "SELECT $what FROM pool_monitor.guards WHERE pool = 'web'");
}

my $armed = "SELECT armed FROM pool_monitor.guards WHERE pool = 'web'";
wait_for($node, $armed, 'the guard is in force');

subtest 'at its limit' => sub {
	is(attempt('app', 'web1'), '', 'the first fits');
	my @web = map { holder($node, "web$_", user => 'app') } 1 .. 2;
	my $log = -s $node->logfile;
	like(
		attempt('app', 'web3'),
		qr/FATAL:.*too many connections for pool "web"\nDETAIL:.*limit is 2 connections, and 2 are taken.\nHINT:.*raise the pool's budget/s,
		'the third is refused, and told why and what to do'
	);
	is(attempt('app',   'hub'), '', 'another application of the role is none of it');
	is(attempt('other', 'web'), '', 'nor another role under the name');
	is(guard('places, places_peak, connection_limit, guarded'), '2|2|2|1', 'as the view says');
	is(
		query(
			$node,
			"SELECT guarded, refused, rejected, would_be_guarded FROM pool_monitor.pool_stats WHERE pool = 'web'"
		),
		'1|0|0|0',
		'counted as guarded and nothing else'
	);
	my $text = slurp_file($node->logfile, $log);
	like($text, qr/FATAL:  too many connections for pool "web"/, 'and in the log');
	is(query($node, "SELECT status <> 'starved' FROM pool_monitor.budgets WHERE pool = 'web'"),
		't', 'the pool is not starved for it');
	$web[0]->close;
	wait_for($node, "SELECT places FROM pool_monitor.guards WHERE pool = 'web'", 'one has gone', 1);
	is(attempt('app', 'web3'), '', 'so there is a place again');
	$_->close foreach @web;
};

subtest 'its events' => sub {
	wait_for(
		$node,
		"SELECT string_agg(event, ' ' ORDER BY seq) FROM pool_monitor.events WHERE event ~ 'guarded'",
		'begin and end of the refusals',
		'guarded guarded_over'
	);
	is(
		query(
			$node,
			"SELECT pool, detail ->> 'guarded' FROM pool_monitor.events WHERE event = 'guarded_over'"
		),
		'web|1',
		'with the pool, and how many'
	);
};

subtest 'a limit that changes' => sub {
	my @web = map { holder($node, 'web', user => 'app') } 1 .. 2;
	declare($node, "UPDATE pool_monitor.pools SET max_overflow = 2 WHERE name = 'web'");
	wait_for($node, $armed, 'the new one is in force');
	is(attempt('app', 'web'), '', 'one more fits');
	push @web, holder($node, 'web', user => 'app');
	declare($node,
		"UPDATE pool_monitor.pools SET max_overflow = 0, pool_size = 1 WHERE name = 'web'");
	wait_for(
		$node,
		"SELECT connection_limit FROM pool_monitor.guards WHERE pool = 'web' AND armed",
		'a lower one is', 1
	);
	is(guard('places'), 3, 'nobody is thrown out');
	like(attempt('app', 'web'), qr/limit is 1 connection, and 3 are taken/, 'but nobody comes in');
	$web[0]->close;
	$web[1]->close;
	wait_for($node, "SELECT places FROM pool_monitor.guards WHERE pool = 'web'", 'two have gone',
		1);
	like(attempt('app', 'web'), qr/too many connections/, 'nor at the limit');
	$web[2]->close;
	wait_for($node, "SELECT places FROM pool_monitor.guards WHERE pool = 'web'", 'all have', 0);
	is(attempt('app', 'web'), '', 'below it');
};

subtest 'who moves in stands above' => sub {
	my $web   = holder($node, 'web', user => 'app');
	my $moved = holder($node, 'hub', user => 'app');
	$moved->do("sql 0 SET application_name = 'web9'");
	wait_for(
		$node,
		"SELECT places FROM pool_monitor.guards WHERE pool = 'web'",
		'a session moved in', 2
	);
	like(attempt('app', 'web'), qr/limit is 1 connection, and 2 are taken/, 'it is counted');
	$moved->do("sql 0 SET application_name = 'hub'");
	wait_for($node, "SELECT places FROM pool_monitor.guards WHERE pool = 'web'", 'and out again',
		1);
	$_->close foreach $web, $moved;
	wait_for($node, "SELECT places FROM pool_monitor.guards WHERE pool = 'web'", 'all have gone',
		0);
};

subtest 'the dry run' => sub {
	declare($node, "UPDATE pool_monitor.pools SET guard = 'report' WHERE name = 'web'");
	wait_for($node, $armed, 'it is in force');
	my $before = guard('guarded');
	my $web    = holder($node, 'web', user => 'app');
	is(attempt('app', 'web'),                        '',    'who is too many is admitted');
	is(guard("guarded - $before, would_be_guarded"), '0|1', 'and counted');
	$web->close;
	wait_for($node, "SELECT places FROM pool_monitor.guards WHERE pool = 'web'", 'all have gone',
		0);
};

subtest 'all that is undeclared' => sub {
	$node->append_conf('postgresql.conf',
		"pool_monitor.undeclared_guard = enforce\npool_monitor.undeclared_budget = 5");
	$node->reload;
	wait_for(
		$node,
		"SELECT armed FROM pool_monitor.guards WHERE pool IS NULL",
		'its guard is in force'
	);
	my @others = map { holder($node, "app$_", user => 'other') } 1 .. 5;
	like(
		attempt('other', 'app6'),
		qr/too many connections for undeclared applications\nDETAIL.*limit is 5 connections, and \d+ are taken/s,
		'is limited together'
	);
	is(attempt('app',      'web'),  '', 'a declared pool is not');
	is(attempt('postgres', 'app6'), '', 'nor a superuser');
	$_->close foreach @others;
	$node->append_conf('postgresql.conf',
		"pool_monitor.undeclared_budget = -1\npool_monitor.undeclared_connect_rate = 1");
	$node->reload;
	wait_for(
		$node,
		"SELECT armed, connection_limit IS NULL, connect_rate FROM pool_monitor.guards WHERE pool IS NULL",
		'and has a rate instead',
		't|t|1'
	);
	my ($admitted, $told) = (0, '');
	$admitted++ until ($told = attempt('other', 'app')) || $admitted == 300;
	like(
		$told,
		qr/too many logins at a time for undeclared applications\nDETAIL.*1 a second is admitted, and 20 at once/s,
		"refused after $admitted"
	);
	is(attempt('postgres', 'app'), '', 'a superuser is not');
	@others = ();
	$node->append_conf('postgresql.conf', 'pool_monitor.guard_enabled = off');
	$node->reload;
	wait_for(
		$node,
		"SELECT NOT armed FROM pool_monitor.guards WHERE pool IS NULL",
		'the switch is off'
	);
	is(attempt('other', 'app6'), '', 'and everybody is admitted');
	$_->close foreach @others;
};

$node->stop;
done_testing();
