# Advice and checklist on a real server: each finding appears where it should, with
# its numbers, and stays silent where it should not. Pasts of hours and days are
# replayed into the history by a library of the tests (test/modules); what can be
# done by real sessions within seconds is.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('advice',
	"max_connections = 82\nsuperuser_reserved_connections = 3\npool_monitor.connection_budget = 65\npool_monitor.recycle_interval = 1h\nlisten_addresses = '127.0.0.1,::1'\n"
);
$node->safe_psql('postgres',
	'CREATE ROLE app LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats');
create_replay($node);

# One pool and nothing else; columns that are not given are such that nothing is to be said of it.
sub row
{
	my ($name, %columns) = @_;
	my %all = (application_name => "'$name'", pool_recycle => "'30 min'", %columns);
	return
		"INSERT INTO pool_monitor.pools (name, "
	  . join(', ', sort keys %all)
	  . ") VALUES ('$name', "
	  . join(', ', map { $all{$_} } sort keys %all) . ');';
}

sub pools
{
	declare($node, join '', 'DELETE FROM pool_monitor.pools;', @_);
	return;
}

# Minutes of the past, all alike; several calls come to be of the same minutes. The
# worker goes on with the last one of them, so averages are a little less exact.
my @past =
  qw(connections max_connections busy max_busy connects disconnects refused transactions overflow exhausted);

sub replay
{
	my (@calls) = @_;
	my $sql     = join ";\n", map {
		my ($pool, $minutes, %figures) = @$_;
		"SELECT replay_history('$pool', $minutes, "
		  . join(', ', map { $figures{$_} // 0 } @past) . ')'
	} @calls;
	my $minute = 'SELECT EXTRACT(minute FROM clock_timestamp())';
	foreach (1 .. 3)
	{
		my $before = $node->safe_psql('postgres', $minute);
		$node->safe_psql('postgres', $sql);
		return if $before eq $node->safe_psql('postgres', $minute);
	}
	die "a replay takes longer than a minute\n";
}

sub advice
{
	my ($columns, $where) = @_;
	return $node->safe_psql('postgres',
		"SELECT $columns FROM pool_monitor.advice WHERE topic = '$where'" =~
		  s/topic = '(\w+) of (\w+)'/topic = '$1' AND pool = '$2'/r);
}

my $numbers = 'severity, setting, current, proposed, quality';

# the declared table against a server of 79 with a budget of 65
foreach (
	[3, 6,  8,  42, 'ok'],
	[3, 8,  10, 54, 'ok'],
	[3, 10, 15, 75, 'overcommitted'],
	[2, 6,  8,  28, 'ok'],
	[4, 5,  8,  52, 'ok']
  )
{
	my ($workers, $size, $overflow, $ceiling, $status) = @$_;
	pools(row('t', workers => $workers, pool_size => $size, max_overflow => $overflow));
	is(
		$node->safe_psql(
			'postgres',
			'SELECT usable, connection_budget, declared_ceiling, status FROM pool_monitor.server'
		),
		"79|65|$ceiling|$status",
		"$workers x ($size + $overflow)"
	);
}

# exhausted: one step up, never past the budget of the server
my @sat =
  (busy => 36, max_busy => 42, connections => 42, max_connections => 42, transactions => 50000);
pools(row('sat', workers => 3, pool_size => 6, max_overflow => 8));
replay(['sat', 60, @sat, overflow => 0.4, exhausted => 0.3]);
is(
	advice($numbers, 'exhausted of sat'),
	'critical|max_overflow|8|15|good',
	'exhausted for 30 % of an hour: half as much again'
);

# the average sinks with each second since the replay, and what Erlang says with it
my ($share, $busy, $one, $each) =
  advice('evidence', 'exhausted of sat') =~
  qr/ceiling of 42 for (\d+) % of the last hour; busy (\d+\.\d\d) on average, 42 at most; Erlang C says (\d+) % \(one queue\) to (\d+) % \(one for each process\) of the checkouts wait, up to 0\.00 % for longer than pool_timeout 00:00:30/
  or die "no evidence\n";
ok($share >= 25 && $share <= 30 && $busy >= 30 && $busy <= 36, 'with what was measured')
  or diag("$share %, busy $busy");
is(
	$node->safe_psql(
		'postgres',
		"SELECT abs(100 * pool_monitor.erlang_c(42, $busy) - $one) <= 1, abs(100 * pool_monitor.erlang_c(14, $busy / 3) - $each) <= 1"
	),
	't|t',
	'beside what Erlang says of it'
);
is(
	advice(
		"seen BETWEEN interval '55 min' AND interval '62 min', effective_samples BETWEEN 55 AND 62",
		'exhausted of sat'
	),
	't|t',
	'and how much was seen'
);
replay(['sat', 60, @sat, overflow => 0.9, exhausted => 0.3]);
is(
	advice($numbers, 'exhausted of sat'),
	'critical|pool_size|6|13|good',
	'above base for most of the time: pool_size'
);
replay(['sat', 1000, @sat, overflow => 0.4, exhausted => 0.05],
	['sat', 60, connections => 18, max_connections => 18, transactions => 100]);
is(
	advice($numbers, 'exhausted of sat'),
	'warning|max_overflow|8|11|good',
	'exhausted for 5 % of a day, not in the last hour: a smaller step'
);
like(advice('evidence', 'exhausted of sat'), qr/of the last day/, 'and says of which time');
pools(
	row('sat',   workers   => 3,  pool_size    => 6, max_overflow => 8),
	row('other', pool_size => 20, max_overflow => 0)
);
replay(['sat', 60, @sat, exhausted => 0.3]);
is(
	advice($numbers, 'exhausted of sat'),
	'critical|max_overflow|8|9|good',
	'as far as there is room'
);
pools(
	row('sat',   workers   => 3,  pool_size    => 6, max_overflow => 8),
	row('other', pool_size => 23, max_overflow => 0)
);
replay(['sat', 60, @sat, exhausted => 0.3]);
is(advice($numbers, 'exhausted of sat'), 'critical||||good', 'no number where there is no room');
like(advice('recommendation', 'exhausted of sat'), qr/no room/, 'which it says');
pools(row('sat', workers => 3, pool_size => 6, max_overflow => 8, budget => 42 + 3));
replay(['sat', 60, @sat, exhausted => 0.3]);
is(
	advice($numbers, 'exhausted of sat'),
	'critical|max_overflow|8|9|good',
	'nor past the pool\'s own budget'
);
pools(map { row($_, workers => 3, pool_size => 6, max_overflow => 8, budget => 1000) } 'brief',
	'single', 'odd', 'rare');
replay(['brief', 20, @sat, exhausted => 0.3]);
is(
	advice($numbers, 'exhausted of brief'),
	'info||||not enough data',
	'twenty minutes are not enough'
);
replay(['single', 60, @sat, transactions => 0, exhausted => 0.3]);
is(
	advice($numbers, 'exhausted of single'),
	'info||||not enough data',
	'nor is an hour without the end of a transaction'
);
replay(['odd', 60, @sat, busy => 2, exhausted => 0.3]);
like(
	advice('evidence', 'exhausted of odd'),
	qr/(?:2\d|30) % of the last hour.*model is withheld/,
	'where the model is far from what was measured, it is withheld'
);
replay(['rare', 60, @sat, exhausted => 0.005]);
is(advice('count(*)', 'exhausted of rare'), 0, 'half a percent of the time: silent');

# overflow that comes and goes
my @churn =
  (connections => 4, max_connections => 8, busy => 2, max_busy => 6, transactions => 5000);
pools(row('churn', pool_size => 2, max_overflow => 10));
replay(['churn', 600, @churn, connects => 40, disconnects => 40, overflow => 0.3]);
is(advice($numbers, 'overflow of churn'), 'warning|pool_size|2|3|good',
	'churn: a larger pool_size');
like(
	advice('recommendation', 'overflow of churn'),
	qr/pool_size to 3 and lower max_overflow to 9/,
	'with the same ceiling'
);
replay(['churn', 600, @churn, overflow => 0.3]);
is(advice('count(*)', 'overflow of churn'), 0, 'overflow that stays open: silent');
replay(['churn', 600, @churn, connects => 40, disconnects => 40, overflow => 0.01]);
is(advice('count(*)', 'overflow of churn'), 0, 'rare overflow: silent');

# idle
my @idle =
  (connections => 60, max_connections => 60, busy => 2, max_busy => 5, transactions => 5000);
pools(row('idle', pool_size => 60, max_overflow => 0));
replay(['idle', 600, @idle]);
is(
	advice($numbers, 'idle of idle'),
	'info|pool_size|60|7|good',
	'a quarter above the 95th percentile'
);
replay(['idle', 600, @idle, max_busy => 45]);
is(advice('count(*)', 'idle of idle'), 0, 'a pool that is used now and then: silent');
replay(['idle', 40, @idle]);
is(advice('count(*)', 'idle of idle'), 0, 'too little seen: silent');

# flat at its base for days, with a low busy peak: nothing at all to say
my @flat =
  (connections => 18, max_connections => 18, busy => 0.3, max_busy => 3, transactions => 500);
pools(row('flat', workers => 3, pool_size => 6, max_overflow => 8));
replay(['flat', 1440, @flat]);
is($node->safe_psql('postgres', "SELECT count(*) FROM pool_monitor.advice WHERE pool = 'flat'"),
	0, 'a pool at rest: silent');
replay(['flat', 1440, @flat], ['(server)', 1440, @flat, refused => 1]);
is(advice($numbers, 'idle of flat'), 'info|pool_size|6|2|good', 'but not when logins are refused');
replay(['flat', 1440, @flat], ['(server)', 1440, @flat]);

# declared and observed
pools(row('above', workers => 2, pool_size => 5, max_overflow => 0));
replay(['above', 60, max_connections => 15]);
is(advice($numbers, 'declaration of above'), 'warning|workers|2|3|exact', 'a third worker');
replay(['above', 60, max_connections => 10]);
is(advice('count(*)', 'declaration of above'), 0, 'as declared: silent');

pools(row('open', pool_size => 5, max_overflow => -1));
is(advice($numbers, 'unbounded of open'), 'warning||||not enough data', 'unbounded');
replay(['open', 60, max_connections => 20, busy => 1, transactions => 1000]);
is(
	advice($numbers, 'unbounded of open'),
	'warning|max_overflow|-1|19|good',
	'a bound for what was seen'
);
pools(row('open', pool_size => 5, max_overflow => 19));
is(advice('count(*)', 'unbounded of open'), 0, 'bounded: silent');

# overcommitted, and which pool to lower
pools(row('big', workers => 3, pool_size => 10, max_overflow => 15),
	row('small', pool_size => 5, max_overflow => 5));
replay(
	[
		'big', 60,
		connections     => 30,
		max_connections => 36,
		busy            => 5,
		max_busy        => 8,
		transactions    => 1000
	],
	['small', 60, connections => 5, max_connections => 10, busy => 5, transactions => 1000]
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT pool, severity, setting, current, proposed FROM pool_monitor.advice WHERE topic = 'overcommitted'"
	),
	"|warning|max_connections|82|102\nbig|info|max_overflow|15|2",
	'overcommitted: what would be needed, and which pool has slack'
);
pools(row('big', workers => 3, pool_size => 6, max_overflow => 8));
is(
	$node->safe_psql(
		'postgres', "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'overcommitted'"
	),
	0,
	'it fits: silent'
);

# what the declaration alone says
pools(
	row('old',   pool_recycle => "'31 min'",    pre_ping => 'false', recycle_mode => "'terminate'"),
	row('never', pool_recycle => 'NULL',        pre_ping => 'false'),
	row('good',  recycle_mode => "'terminate'", usename  => "'app'")
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT pool, setting, current, proposed FROM pool_monitor.advice WHERE topic = 'pool_recycle' ORDER BY 1"
	),
	"never|pool_recycle||1800\nold|pool_recycle|1860|1800",
	'pool_recycle above 30 minutes, or none'
);
is($node->safe_psql('postgres', "SELECT pool FROM pool_monitor.advice WHERE topic = 'pre_ping'"),
	'old', 'retirement without pre_ping, and only that');
is(
	$node->safe_psql(
		'postgres', "SELECT pool, severity FROM pool_monitor.advice WHERE topic = 'identity'"
	),
	'old|warning',
	'retirement under a name that anybody can bear'
);

# ---- real sessions ----

sub holder
{
	my ($name, $sessions, %more) = @_;
	return PoolMonitor::Holder->new(
		$node,
		application_name => $name,
		user             => 'app',
		sessions         => $sessions,
		%more
	);
}

# an application that nobody has declared, with what to do about it
pools(row('known'));
my $stranger = holder('strange_%', 3);
my $solo     = holder('solo',      1);
my $mine     = holder('known',     3);
my $strange  = "topic = 'undeclared' AND finding LIKE '%strange%'";
wait_for(
	$node,
	"SELECT count(*) FROM pool_monitor.advice WHERE $strange",
	'an undeclared application', 1
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT count(*) FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding ~ 'solo|known'"
	),
	0,
	'a single session, or a declared one: silent'
);
my $insert =
  $node->safe_psql('postgres', "SELECT recommendation FROM pool_monitor.advice WHERE $strange");
like($insert, qr/^INSERT INTO/, 'a ready INSERT');
declare($node, $insert);
wait_for(
	$node,
	"SELECT connections FROM pool_monitor.budgets WHERE pool = 'strange_%'",
	'which takes its sessions', 3
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT application_name, ceiling FROM pool_monitor.pools WHERE name = 'strange_%'"
	),
	'strange\\_\\%|3',
	'and no others'
);
$_->close foreach $stranger, $solo, $mine;

# leaks
pools(row('leak', leak_threshold => "'1 s'"), row('tight', leak_threshold => "'1 s'"));
my $leak  = holder('leak',  2);
my $tight = holder('tight', 2);
$tight->do('sql 0 SELECT 1');
$leak->do('sql 0 BEGIN');
wait_for(
	$node,
	"SELECT severity || ' ' || evidence FROM pool_monitor.advice WHERE topic = 'leak' AND pool = 'leak'",
	'a leak suspect',
	'warning 1 now, 1 in the last day; leak_threshold 00:00:01'
);
like(
	advice('recommendation', 'leak of leak'),
	qr/idle_in_transaction_session_timeout.*transaction_timeout/,
	'with what the server has for it'
);
is(advice('count(*)', 'leak of tight'), 0, 'a pool without: silent');
$leak->do('sql 0 COMMIT');
wait_for($node, "SELECT severity FROM pool_monitor.advice WHERE topic = 'leak' AND pool = 'leak'",
	'it is over', 'info');
$_->close foreach $leak, $tight;

# sessions that are used though they are over age
pools(row('aged', pool_recycle => "'1 s'", recycle_mode => "'report'"));
my $aged = holder('aged', 2);
wait_for($node, "SELECT min(age) > interval '1.6 s' FROM pool_monitor.sessions WHERE pool = 'aged'",
	'over age');
is(advice('count(*)', 'over_age of aged'), 0, 'over age but unused: silent');
$aged->do('sql 0 SELECT 1');
like(
	advice('evidence', 'over_age of aged'),
	qr/^1 sessions were used/,
	'one is used: the client does not recycle'
);
$aged->close;

# long holds
pools(
	row('slow',  pool_size => 4, max_overflow => 0),
	row('quick', pool_size => 4, max_overflow => 0)
);
my $sleep = "$node->{_basedir}/sleep.sql";
my $nap   = "$node->{_basedir}/nap.sql";
append_to_file($sleep, "SELECT pg_sleep(1.05);\n");
append_to_file($nap,   "SELECT pg_sleep(0.1);\n");
foreach (['slow', $sleep], ['quick', $nap])
{
	my ($name, $file) = @$_;
	local $ENV{PGAPPNAME} = $name;
	$node->command_ok(
		['pgbench', '-n', '-U', 'app', '-c', '4', '-j', '4', '-t', '8', '-f', $file, 'postgres'],
		"$name holds");
}
wait_for(
	$node,
	"SELECT severity || ' ' || quality FROM pool_monitor.advice WHERE topic = 'slow_holds' AND pool = 'slow'",
	'slow holds',
	'warning good'
);
like(
	advice('evidence', 'slow_holds of slow'),
	qr/a hold takes 1\.\d+ s \(median\).* 4 of 4 busy/,
	'with their times'
);
is(advice('count(*)', 'slow_holds of quick'), 0, 'quick ones: silent');

# storms
pools(
	row('storm', pool_size => 1, max_overflow => 0),
	row('calm',  pool_size => 1, max_overflow => 0)
);
foreach (['storm', 200], ['calm', 5])
{
	my ($name, $times) = @$_;
	local $ENV{PGAPPNAME} = $name;
	$node->command_ok(
		[
			'pgbench', '-n', '-C', '-U', 'app', '-c', '1', '-t', $times, '-f',
			"$node->{_basedir}/one.sql", 'postgres'
		],
		"$name connects"
	) if append_to_file("$node->{_basedir}/one.sql", "SELECT 1;\n") || 1;
}
wait_for(
	$node,
	"SELECT evidence LIKE '1 storms in the last day%' FROM pool_monitor.advice WHERE topic = 'storm' AND pool = 'storm'",
	'a storm'
);
is(advice('count(*)', 'storm of calm'), 0, 'a few connects: silent');

# retirement that makes a herd pauses, and advice says why
pools(
	row(
		'herd',
		pool_size     => 1,
		max_overflow  => 0,
		pool_recycle  => "'1 s'",
		recycle_grace => "'0'",
		recycle_mode  => "'terminate'"
	)
);
is(
	$node->safe_psql(
		'postgres', "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'retirement'"
	),
	0,
	'no pause: silent'
);
my $herd = holder('herd', 12);
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
$node->reload;
wait_for(
	$node,
	"SELECT retired >= 1 FROM pool_monitor.pool_stats WHERE pool = 'herd'",
	'retirement begins'
);
foreach (1 .. 30)
{
	last if log_count($node, 'pool "herd": scheduled retirement pauses');
	my $more = holder('herd', 10);
	$more->close;
}
wait_for(
	$node,
	"SELECT pool FROM pool_monitor.advice WHERE topic = 'retirement'",
	'it has paused', 'herd'
);
$herd->close;
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 1h\n");
$node->reload;

# refusals, for real
pools(row('full', pool_size => 90, max_overflow => 0), row('lucky'));
is(advice('count(*)', 'refused of full'), 0, 'nobody was refused: silent');
my $full = holder('full', 79);
my ($rc, $out, $err) = $node->psql('postgres', 'SELECT 1',
	connstr => $node->connstr('postgres') . ' user=app application_name=full');
isnt($rc, 0, 'the server is full');
wait_for(
	$node,
	"SELECT severity || ' ' || evidence LIKE 'critical 1 in the last day, 1 of them in the last hour; %, 79 usable' FROM pool_monitor.advice WHERE topic = 'refused' AND pool = 'full'",
	'a refusal'
);
is(advice('count(*)', 'refused of lucky'), 0, 'the other pool was not');
$full->close;

# connections from more hosts than declared: a socket is no host, two loopback addresses are two
pools(row('hosts'));
my @hosts = ($node->host, '127.0.0.1', '::1');
SKIP:
{
	my @open = map {
		eval { holder('hosts', 1, host => $_) }
		  || ()
	} @hosts;
	my $seen = $node->safe_psql('postgres',
		"SELECT count(DISTINCT client_addr) FROM pool_monitor.sessions WHERE pool = 'hosts'");
	skip 'this machine has no two addresses', 2 unless $seen == 2;
	is(
		$node->safe_psql(
			'postgres',
			"SELECT setting, current, proposed, quality FROM pool_monitor.advice WHERE topic = 'declaration' AND pool = 'hosts'"
		),
		'servers|1|2|exact',
		'two hosts, one server declared'
	);
	declare($node, "UPDATE pool_monitor.pools SET servers = 2");
	is(advice('count(*)', 'declaration of hosts'), 0, 'two servers: silent');
	$_->close foreach @open;
}

# ---- rights ----

foreach my $view ('advice', 'checklist', 'workload')
{
	my $sql = "SELECT count(*) FROM pool_monitor.$view";
	($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => ['-U', 'app']);
	like($err, qr/permission denied/, "$view is not for everybody");
	($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => ['-U', 'watcher']);
	is($err, '', "$view is for pg_read_all_stats");
}
($rc, $out, $err) = $node->psql(
	'postgres',
	'SELECT count(*) FROM pool_monitor.presets',
	extra_params => ['-U', 'app']
);
is($out, 4, 'presets are for everybody');
$node->safe_psql('postgres', 'CREATE DATABASE another');
$node->safe_psql('another',  'CREATE EXTENSION pool_monitor');
is(
	$node->safe_psql(
		'another', "SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.declared()"
	),
	'hosts',
	'advice goes by the declarations in force, in every database'
);

# ---- checklist ----

sub item
{
	my ($n) = @_;
	return "SELECT status FROM pool_monitor.checklist WHERE item = $n";
}

sub items
{
	return $node->safe_psql('postgres',
		"SELECT string_agg(item || ' ' || status, ', ' ORDER BY item) FROM pool_monitor.checklist WHERE item IN ("
		  . join(',', @_)
		  . ')');
}
pools();
is(
	items(1 .. 5, 7),
	'1 fail, 2 unknown, 3 unknown, 4 unknown, 5 unknown, 7 unknown',
	'nothing is declared'
);
pools(
	row(
		'p',
		pool_size    => 10,
		max_overflow => 10,
		pool_recycle => "'1 h'",
		pre_ping     => 'false',
		echo_pool    => 'true'
	)
);
is(items(2, 3, 4, 5), '2 warn, 3 warn, 4 warn, 5 pass', 'pool_recycle, pre_ping, echo_pool');
pools(row('p', pool_size => 10, max_overflow => 10));
is(items(2, 3, 4, 5), '2 pass, 3 pass, 4 pass, 5 pass', 'all in order');
pools(row('p', pool_size => 70, max_overflow => 0));
is(items(5), '5 warn', 'less than a fifth of headroom');
pools(row('p', pool_size => 80, max_overflow => 0));
is(items(5), '5 fail', 'more than there is');
pools(row('p', pool_size => 10, max_overflow => -1));
is(items(5), '5 fail', 'unbounded');

pools(row('p', pool_size => 10, max_overflow => 10));
is(items(1), '1 unknown', 'no data yet');
replay(['p', 60, connections => 10, max_connections => 15, busy => 1, transactions => 1000]);
is(items(1, 7), '1 pass, 7 warn', 'sizes fit; no load near the ceiling was seen');
replay(['p', 60, connections => 10, max_connections => 16, busy => 1, transactions => 1000]);
is(items(1, 7), '1 pass, 7 pass', '80 % of the ceiling was seen');
replay(['p', 60, connections => 10, max_connections => 21, busy => 1, transactions => 1000]);
is(items(1), '1 warn', 'above the ceiling');
replay(
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
is(items(1), '1 warn', 'exhausted');

wait_for($node, item(6), 'worker and history', 'pass');
is(items(8, 9, 10), '8 fail, 9 warn, 10 pass', 'settings of a new server');
$node->safe_psql('postgres', 'ALTER ROLE app SET idle_in_transaction_session_timeout = 60000');
is(items(8), '8 warn', 'for one role only');
$node->append_conf('postgresql.conf',
	"idle_in_transaction_session_timeout = 1min\nclient_connection_check_interval = 10s\n");
$node->reload;
wait_for($node, item($_), "item $_ is set", 'pass') foreach 8, 9;
$node->append_conf('postgresql.conf',
	"client_connection_check_interval = 0\ntcp_keepalives_idle = 60\n");
$node->reload;
wait_for(
	$node,
	"SELECT status || ' ' || evidence FROM pool_monitor.checklist WHERE item = 9",
	'keepalives will do',
	'pass client_connection_check_interval 0 ms; tcp_keepalives_idle set'
);

$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
wait_for($node, item(11), 'no application is unknown', 'pass');
my $unknown = holder("it's new", 2);
wait_for($node, "SELECT status || ' ' || evidence FROM pool_monitor.checklist WHERE item = 11",
	'one is', q(warn 1 applications with two connections or more are in no pool: 'it''s new'));
$unknown->close;

# without its worker
$node->append_conf('postgresql.conf', "superuser_reserved_connections = 0\n");
$node->restart;
is(items(10),                      '10 fail', 'nothing is reserved');
is(log_count($node, 'PANIC|TRAP'), 0,         'nothing broke');
done_testing();
