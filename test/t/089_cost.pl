# What connections cost: set-up times for each account, and the memory of sessions. Only TAP
# has logins that take long, processes to compare with, and more than a hundred sessions.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder holder_of insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_server('cost', "max_connections = 170\npool_monitor.save_interval = 1h\n");
query($node,
	'CREATE ROLE app LOGIN; CREATE ROLE plain LOGIN; CREATE ROLE stats LOGIN IN ROLE pg_read_all_stats'
);
declare($node, insert_pool('web') . insert_pool('other'));
sub by { return $node->safe_psql('postgres', $_[1], extra_params => ['-U', $_[0]]) }
my $web;

subtest 'set-up takes time, and no more than the client saw' => sub {
	is(
		query(
			$node,
			"SELECT setup_p50 IS NULL, setup_max IS NULL FROM pool_monitor.pool_stats WHERE pool = 'web'"
		),
		't|t',
		'nobody yet'
	);
	my $begin = time;
	$web = holder($node, 'web', sessions => 3);
	my $took = time - $begin;
	my ($p50, $p99, $max) = split /\|/,
	  query($node,
		"SELECT extract(epoch FROM setup_p50), extract(epoch FROM setup_p99), extract(epoch FROM setup_max) FROM pool_monitor.pool_stats WHERE pool = 'web'"
	  );
	cmp_ok($p50, '>',  0,     'a set-up takes time');
	cmp_ok($p50, '<=', $p99,  'in order');
	cmp_ok($p99, '<=', $max,  'in order');
	cmp_ok($max, '<',  $took, 'less than what the client took for all of it');
};

# A client that needs a second for its password.
query($node, "CREATE ROLE slow LOGIN PASSWORD 'x'");
my $hba = slurp_file($node->data_dir . '/pg_hba.conf');
append_to_file($node->data_dir . '/pg_hba.new', "local all slow scram-sha-256\n$hba");
rename $node->data_dir . '/pg_hba.new', $node->data_dir . '/pg_hba.conf';
$node->reload;
my $slow = qq{
import socket, sys, time, hashlib
import psycopg2, psycopg2.extensions
conn = psycopg2.connect(sys.argv[1], async_=1)
begun = time.monotonic()
while True:
    state = conn.poll()
    if state == psycopg2.extensions.POLL_OK:
        break
    time.sleep(0.5)
print(time.monotonic() - begun)
};
my $script = $node->basedir . '/slow.py';
append_to_file($script, $slow);
my $setup;

subtest 'the time that the client took to answer is in it' => sub {
	my ($slept) = run_command(
		[
			python(), $script,
			$node->connstr('postgres') . ' user=slow password=x application_name=other'
		]
	);
	wait_for(
		$node,
		"SELECT connects FROM pool_monitor.pool_stats WHERE pool = 'other'",
		'it has logged in', '1'
	);
	$setup = query($node,
		"SELECT extract(epoch FROM setup_max) FROM pool_monitor.pool_stats WHERE pool = 'other'");
	cmp_ok($setup, '>=', 0.5,          'the time that the client took to answer is in it');
	cmp_ok($setup, '<=', $slept + 0.1, 'and no more');
};

subtest 'a restart keeps set-up times, reset() does not' => sub {
	my $stats =
	  "SELECT setup_p50, setup_p95, setup_p99, setup_max FROM pool_monitor.pool_stats WHERE pool = 'other'";
	my $was = query($node, $stats);
	$web->close;
	$node->restart;
	wait_for($node, "$stats AND connects = 1", 'a restart keeps them', $was);
	query($node, "SELECT pool_monitor.reset('other')");
	is(query($node, $stats), '|||', 'reset() does not');
	my $quick   = holder($node, 'other');
	my $longest = query($node,
		"SELECT extract(epoch FROM setup_max) FROM pool_monitor.pool_stats WHERE pool = 'other'");
	cmp_ok($longest, '<', $setup, 'nor does the longest come back');
	$quick->close;
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'other'",
		'it has gone', 0);
};

sub anonymous
{
	my ($pid) = @_;
	my ($kb)  = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return $kb * 1024;
}

$web = holder_of('app', $node, 'web', sessions => 2);
$web->do("all $_")
  foreach "SET temp_buffers = '64MB'",
  "CREATE TEMP TABLE t AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 60000)";
$web->do('sql 1 BEGIN');
my @web = map { anonymous($web->do("pid $_")) } 0, 1;

subtest 'memory is what the kernel says' => sub {
	is(
		query(
			$node, q{SELECT sessions, idle, measured FROM pool_monitor.memory() WHERE pool = 'web'}
		),
		'2|1|2',
		'both are measured'
	);
	my ($bytes, $idle) = split /\|/,
	  query($node, q{SELECT bytes, idle_bytes FROM pool_monitor.memory() WHERE pool = 'web'});
	cmp_ok(abs($bytes - $web[0] - $web[1]), '<', 1 << 20, 'what the kernel says');
	cmp_ok(abs($idle - $web[0]),            '<', 1 << 20, 'of the idle one');
};

subtest 'a role sees its own sessions, pg_read_all_stats all' => sub {
	is(by('plain', 'SELECT count(*), string_agg(usename, $$ $$) FROM pool_monitor.memory()'),
		'1|plain', 'a role sees its own sessions, and no more');
	is(by('app', q{SELECT sessions FROM pool_monitor.memory() WHERE pool = 'web'}),
		'2', 'those of its pool, too');
	is(by('stats', q{SELECT sessions FROM pool_monitor.memory() WHERE pool = 'web'}),
		'2', 'pg_read_all_stats sees all');
};

# By what was measured within the last minute.
subtest 'the advice tells of idle ones that hold much' => sub {
	is(query($node, "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'memory'"),
		'0', 'one idle session is not worth a word');
	$web->do('sql 1 COMMIT');
	is(query($node, q{SELECT idle FROM pool_monitor.idle_memory() WHERE pool = 'web'}),
		'1', 'for a minute it is what it was');
	declare($node, "UPDATE pool_monitor.pools SET workers = 2 WHERE name = 'web'");
	is(
		query(
			$node,
			q{SELECT i.idle, i.measured, abs(i.bytes - m.idle_bytes) < 1 << 20, i.measured_at > now() - interval '1 minute'
		FROM pool_monitor.idle_memory() AS i JOIN pool_monitor.memory() AS m USING (pool) WHERE i.pool = 'web'}
		),
		'2|2|t|t',
		'other declarations: measured anew'
	);
	like(
		query(
			$node,
			q{SELECT severity, pool, evidence, quality FROM pool_monitor.advice WHERE topic = 'memory'}
		),
		qr/^info\|web\|2 idle connections hold 1\d\d MB\|exact$/,
		'and in the advice'
	);
};

$web->close;

subtest 'of more than a hundred some are measured, and stand for all' => sub {
	my $many = holder($node, 'other', sessions => 120);
	declare($node, "UPDATE pool_monitor.pools SET workers = 3 WHERE name = 'web'");
	is(
		query(
			$node,
			q{SELECT sessions, measured, bytes > 110 * (SELECT min(bytes / sessions) FROM pool_monitor.memory() WHERE sessions = 1 AND pool IS NULL) / 2
		FROM pool_monitor.memory() WHERE pool = 'other'}
		),
		'120|100|t',
		'a hundred are measured'
	);
	my $sum = 0;
	$sum += anonymous($many->do("pid $_")) foreach 0 .. 119;
	my $all = query($node, q{SELECT bytes FROM pool_monitor.memory() WHERE pool = 'other'});
	cmp_ok(abs($all / $sum - 1), '<', 0.2, 'and what they hold is what all hold');
	like(
		query(
			$node,
			q{SELECT evidence, quality FROM pool_monitor.advice WHERE topic = 'memory' AND pool = 'other'}
		),
		qr/^120 idle connections hold \d+ MB, extrapolated from 100 of them\|good$/,
		'which the advice says'
	);
	$many->close;
};

done_testing();
