# The page of report() after an incident, with real clients: a full server, a pool that is
# starved, who held what, logins that came to nothing, retirement. Needs a server that is full.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query app_holder insert_pool);
use PoolMonitorReport;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('report_incident', <<'EOC');
max_connections = 13
superuser_reserved_connections = 3
max_wal_senders = 0
pool_monitor.connection_budget = 13
pool_monitor.recycle_interval = 1h
EOC
query($node, 'CREATE ROLE app LOGIN');
declare($node,
		insert_pool('hub', pool_size => 8, max_overflow => 0)
	  . insert_pool('ems', pool_size => 4, max_overflow => 0));

sub try_login
{
	my ($name, $dbname) = @_;
	local $ENV{PGAPPNAME} = $name;
	run_command(
		['psql', '-X', '-d', $node->connstr($dbname // 'postgres') . ' user=app', '-c', 'SELECT 1']
	);
	return;
}

sub page
{
	return query($node, "SELECT pool_monitor.report('1 hour')");
}

sub part
{
	my ($page, $id) = @_;
	my ($part) = $page =~ /<section id="$id">(.*?)<\/section>\n(?=<section|<footer)/s;
	return $part;
}

my @holders = (app_holder($node, 'hub', 8), app_holder($node, 'batch', 2));
wait_for($node, 'SELECT available FROM pool_monitor.server', 'no slot is left', '0');
try_login('ems');
wait_for(
	$node,
	"SELECT count(*) FROM pool_monitor.events WHERE event = 'starved' AND pool = 'ems'",
	'ems is starved', '1'
);
wait_for(
	$node,
	"SELECT sum(starved_seconds) > 0 FROM pool_monitor.history('ems')",
	'its history says so'
);

subtest 'while it lasts' => sub {
	my $page = page();
	is(well_formed($page), '', 'a page');
	ok(
		$page =~
		  /<ul class="stands is-bad"><li><b class="bad">!<\/b>The server is full: \d+ of 10 usable slots are taken/,
		'the server is full: first of all'
	);
	ok($page =~ /<b class="bad">!<\/b>1 login was refused because the server was full/,
		'a login was refused');
	ok($page =~ /<bdi>ems<\/bdi><\/a> was starved \(logins refused below its budget\) for/,
		'ems was starved');
	my $part = part($page, 'incidents');
	ok(
		$part =~
		  /<bdi>ems<\/bdi>.*?0 of 4.*?not over.*?<bdi>hub<\/bdi> 8, 0\.?\d* busy; <bdi>batch<\/bdi> of role <bdi>app<\/bdi> 2,/s,
		'who starved whom'
	);
	ok($part =~ /Who was turned away.*?<bdi>ems<\/bdi>.*?>1</s, 'who was turned away');
	ok($page =~ /class="b6"[^>]*><title>full: /,                'so has that of the server');
	ok($page =~ /class="b6"[^>]*><title>starved: /,             'the band has it');
	ok($page =~ /<use href="#m-limit"[^>]*><title>starved at /, 'and a mark');
	ok(
		part($page, 'events') =~ /server_full.*holders <bdi>hub<\/bdi> 8/s
		  || part($page, 'events') =~ /holders <bdi>hub<\/bdi> 8.*server_full/s,
		'an event with its detail'
	);
};

$_->close foreach @holders;
wait_for($node, "SELECT count(*) FROM pool_monitor.events WHERE event = 'no_longer_starved'",
	'it is over', '1');
try_login('ems', 'nowhere') foreach 1 .. 5;
wait_for(
	$node,
	"SELECT count(*) FROM pool_monitor.events WHERE event = 'rejected'",
	'logins were rejected', '1'
);
my $stale = app_holder($node, 'hub', 1);
query($node,
	"UPDATE pool_monitor.pools SET pool_recycle = '1 s', recycle_grace = '0' WHERE name = 'hub'");
query($node, 'SELECT pool_monitor.reload()');
wait_for(
	$node,
	q{SELECT coalesce(bool_or(action = 'retired'), false) FROM pool_monitor.recycle('hub', dry_run => false)},
	'a session is retired'
);

subtest 'afterwards' => sub {
	my $page = page();
	is(well_formed($page), '', 'a page');
	my $part = part($page, 'incidents');
	ok($part =~ /<bdi>ems<\/bdi>.*?0 of 4<\/span><\/td><td[^>]*><span>[\d.]+ m?s</s,
		'how long it was starved');
	ok($part =~ /Retirements.*?<bdi>hub<\/bdi>.*?data-of="retired"[^>]*><span>1</s,
		'who was retired');
	ok($page =~ /retired 1<\/li>/, 'as an end of a session');
	my $json = query($node,
		"SELECT jsonb_path_query_first(pool_monitor.report('1 hour', format => 'json')::jsonb, '\$.events.starved[0].holders[0].pool') #>> '{}'"
	);
	is($json, 'hub', 'the same as data');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
$node->stop;
done_testing();
