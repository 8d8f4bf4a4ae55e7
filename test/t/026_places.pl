# Places for applications: made-up names fill them for a moment only, nothing is
# lost or counted twice when one makes room for another, and nobody who was stopped
# on the way counts under a name that is not his. Needs many logins, restarts, a
# crash, and for the last a program that stops itself at the worst moments.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use PoolMonitor qw(:DEFAULT query insert_pool holder);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $timeout = $PostgreSQL::Test::Utils::timeout_default;
my ($node, $observer);

# One value, asked by a session that is always there.
sub value { my ($sql) = @_; return $observer->do("sql 0 $sql") }

sub observe
{
	($node) = @_;
	$observer = holder($node, 'observer');
	return;
}

# Waits until the observer's answer is the one expected.
sub wait_value
{
	my ($sql, $expected, $what) = @_;
	my $end = time + $timeout;
	my $got;

	while (($got = value($sql)) ne $expected && time < $end)
	{
		Time::HiRes::sleep(0.05);
	}
	return is($got, $expected, $what);
}

# One login under each of the names; how many are let in.
sub logins
{
	my ($user, $prefix, $first, $last) = @_;
	my $dsn = sprintf("host=%s port=%s dbname=postgres user=%s", $node->host, $node->port, $user);
	my ($out, $err) = run_command(
		[
			PoolMonitor::python(), "$FindBin::RealBin/../clients/names.py",
			$dsn, $prefix, $first, $last
		]
	);
	die $err if $err;
	return $out;
}

my $rows = "FROM pool_monitor.pool_stats WHERE application_name";

sub has_row
{
	my ($name, $what) = @_;
	return is(value("SELECT count(*) $rows = '$name'"), '1', $what);
}

# Logs in under a new name until that has a row; a full house makes room at the
# worker's next tick.
sub found_soon
{
	my ($user, $name, $what) = @_;
	my $end = time + $timeout;
	my $n   = 0;

	while (time < $end)
	{
		logins($user, $name, 1, 1);
		$n++;
		last if value("SELECT count(*) $rows = '$name 1'") == 1;
		Time::HiRes::sleep(0.1);
	}
	has_row("$name 1", $what);
	return $n;
}

# All rows together are what the server counted, as its history has it.
sub sums_agree
{
	my ($what) = @_;
	my $sql =
	  "SELECT concat_ws(' ', sum(connects - taken_over), sum(disconnects - given_over), sum(refused)) || '/' || (SELECT concat_ws(' ', sum(connects), sum(disconnects), sum(refused)) FROM pool_monitor.history WHERE pool = '(server)' AND resolution = '1 hour') FROM pool_monitor.pool_stats";
	my $end = time + $timeout;
	my ($of_rows, $of_server) = (0, 1);

	while ($of_rows ne $of_server && time < $end)
	{
		($of_rows, $of_server) = split '/', value($sql);
		Time::HiRes::sleep(0.05);
	}
	is($of_rows, $of_server, "$what: the rows add up to what the server counted");
	is(
		value(
			'SELECT count(*) FROM pool_monitor.pool_stats WHERE connects - disconnects <> connections'
		),
		'0',
		"$what: each row adds up"
	);
	return;
}

# Transactions of all but the observer.
sub transactions
{
	return value(
		"SELECT sum(transactions) FROM pool_monitor.pool_stats WHERE application_name IS DISTINCT FROM 'observer'"
	);
}

# ---- made-up names ----

my $server = new_server('places', "pool_monitor.save_interval = 1s\n");
query($server, 'CREATE ROLE client LOGIN');
declare($server, insert_pool('web', application_name => "'web%'"));
observe($server);

my $web = holder($node, 'web-1', user => 'client');

sub rename_web
{
	my ($name, $column, $row) = @_;
	$web->do("sql 0 SET application_name = '$name'");
	my $connections = "SELECT connections FROM pool_monitor.pool_stats WHERE $column = '$row'";
	my $end         = time + $timeout;
	Time::HiRes::sleep(0.01) while value($connections) ne '1' && time < $end;
	return value($connections);
}

subtest 'a session changes from a declared pool to an application, and back' => sub {
	is(rename_web('side',  'application_name', 'side'), 1, 'a session goes to an application');
	is(rename_web('web-1', 'pool',             'web'),  1, 'and back');
};

subtest 'logins that fail take half of the places, and crowd nobody else out' => sub {
	is(logins('client', 'nightly', 1, 1),   1, 'a job that comes once a day');
	is(logins('nobody', 'ghost',   1, 110), 0, '110 logins with made-up names are not let in');
	is(value('SELECT sum(rejected) FROM pool_monitor.pool_stats'), '110', 'all are counted');
	cmp_ok(value("SELECT count(*) $rows LIKE 'ghost %'"), '<=', 50, 'they have half of the places');
	found_soon('nobody', 'broken', 'another application that is not let in is found');
	is(value('SELECT sum(rejected) FROM pool_monitor.pool_stats') > 110,
		1, 'that one is counted too');
	is(value("SELECT count(*) FROM pool_monitor.events WHERE event = 'applications_full'"),
		'0', 'they crowd nobody else out');
};

subtest 'a flood of names pushes out what was not used for longest, and nothing is lost' => sub {

	# How many of the ghosts are still there depends on the worker's ticks.
	my $before = transactions();
	my $flood  = 110 - value("SELECT count(*) $rows IS NOT NULL");
	is(logins('client', 'flood', 1, $flood),
		$flood, 'more with made-up names than there is room for');
	wait_value("SELECT count(*) <= 88 $rows IS NOT NULL",
		'True', 'an eighth of the places gets free');
	is(transactions() - $before, $flood, 'no transaction is lost, none counted twice');
	has_row('nightly 1', 'those that never had a session went first');
	is(logins('client', 'fresh', 1, 1), 1, 'a new application comes');
	is(value("SELECT connects || ' ' || taken_over $rows = 'fresh 1'"),
		'1 0', 'and is found at its first login');
	is(logins('client', 'flood again', 1, 300), 300, '300 more');
	wait_value("SELECT count(*) <= 88 $rows IS NOT NULL", 'True', 'again an eighth gets free');
	is(value("SELECT count(*) $rows LIKE 'ghost %' OR application_name = 'nightly 1'"),
		'0', 'what was not used for longest has gone');
	has_row('side', 'but not what exchanged a session with a declared pool');
	is(transactions() - $before, $flood + 301, 'no transaction is lost, none counted twice');
	is(
		value(
			"SELECT count(*) FROM pool_monitor.pool_stats WHERE pool = 'web' AND connections = 1"),
		'1',
		'the declared pool is where it was'
	);
	is(
		value(
			"SELECT count(*) || ' ' || min(detail->>'max_applications') FROM pool_monitor.events WHERE event = 'applications_full'"
		),
		'1 100',
		'one event says so'
	);
	is(log_count($node, 'more than 100 undeclared applications'), 1, 'and the log, once');
	sums_agree('after the flood');
};

subtest 'one session with many names has a quarter of the places' => sub {
	foreach my $n (1 .. 30)
	{
		rename_web("made up $n", 'application_name', "made up $n");
		rename_web('web-1',      'pool',             'web');
	}

	# what is older goes first: how many more it takes depends on how often the worker looks
	my $kept   = "SELECT count(*) $rows LIKE 'made up %' OR application_name = 'side'";
	my $floods = 0;
	do
	{
		$floods++;
		is(logins('client', "flood $floods", 1, 300), 300, '300 more');
		wait_value("SELECT count(*) <= 88 $rows IS NOT NULL", 'True', 'again an eighth gets free');
	} while ($floods < 20 && value($kept) > 25);
	is(value($kept), '25', 'a quarter of the places is kept for such, not more');
	sums_agree('after a session with many names');
};

my $rejected = value('SELECT sum(rejected) FROM pool_monitor.pool_stats');
$web->close;
$observer->close;

subtest 'after a restart with fewer places all is counted' => sub {
	$node->append_conf('postgresql.conf', "pool_monitor.max_applications = 40\n");
	$node->restart;
	observe($node);
	wait_value(
		"SELECT count(*) > 0 FROM pool_monitor.events WHERE event = 'started' AND at > pg_postmaster_start_time() - interval '1 s'",
		'True', 'restarted'
	);
	wait_value('SELECT sum(rejected) FROM pool_monitor.pool_stats',
		$rejected, 'restart: failed logins are all there');
	sums_agree('restart');
	cmp_ok(value("SELECT count(*) $rows IS NOT NULL"), '>=', 39, 'restart: the house is full');
	cmp_ok(found_soon('client', 'newcomer', 'restart: and makes room'), '<=', 20, 'soon');
	sums_agree('restart, with a newcomer');
};

subtest 'after a crash what was saved is counted' => sub {
	is(logins('client', 'flood', 1, 110), 110, 'one more flood');
	wait_value("SELECT count(*) <= 35 $rows IS NOT NULL", 'True', 'an eighth gets free');
	my $now = value('SELECT now()');
	wait_value(
		"SELECT modification > '$now'::timestamptz FROM pg_stat_file('pg_stat/pool_monitor.stat')",
		'True', 'saved'
	);
	$observer->close;
	$node->stop('immediate');
	$node->start;
	observe($node);
	wait_value("SELECT count(*) > 0 FROM pool_monitor.events WHERE event = 'statistics_lost'",
		'True', 'crash');
	wait_value('SELECT sum(rejected) FROM pool_monitor.pool_stats',
		$rejected, 'crash: failed logins are all there');
	found_soon('client', 'survivor', 'crash: a new application is found');
	sums_agree('crash');
};
is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'nothing broke');
$observer->close;
$server->stop;

# ---- all places have sessions ----

$server = new_server('held', "pool_monitor.max_applications = 8\n");
query($server, 'CREATE ROLE client LOGIN');
observe($server);
my @holders;

subtest 'when all places have sessions, what comes later is (other)' => sub {
	@holders = map { holder($node, "held $_") } 1 .. 7;
	wait_value("SELECT count(*) $rows LIKE 'held %' AND connections = 1",
		'7', 'seven and the observer');
	push @holders, map { holder($node, "more $_") } 1 .. 3;
	wait_value("SELECT count(*) FROM pool_monitor.events WHERE event = 'applications_full'",
		'1', 'an event says that there is no more room');
	wait_value("SELECT connections FROM pool_monitor.pool_stats WHERE pool = '(other)'",
		'3', 'what comes later is (other)');
	is(logins('nobody', 'ghost', 1, 20), 0, 'others are not let in');
	is(value("SELECT rejected FROM pool_monitor.pool_stats WHERE pool = '(other)'"),
		'20', 'and are (other) too');
	is(value("SELECT count(*) $rows LIKE 'held %' AND connections = 1"),
		'7', 'those that have sessions stay');
	sums_agree('all held');
};

subtest 'when they end there is room' => sub {
	$_->close foreach splice(@holders, 0, 7);
	wait_value("SELECT count(*) $rows LIKE 'more %' AND connections = 1 AND taken_over = 1",
		'3', 'when they end there is room');
	sums_agree('some held');
};
is(log_count($node, 'more than 8 undeclared applications'), 1, 'one line in the log');
is(log_count($node, 'PANIC|TRAP|terminated by signal'),     0, 'nothing broke');
$_->close foreach (@holders, $observer);
$server->stop;

# ---- stopped at the worst moment ----

my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
my ($cc)      = run_command([$pg_config, '--cc']);
my ($include) = run_command([$pg_config, '--includedir-server']);
my $source    = "$FindBin::RealBin/../../src";
my $program   = PostgreSQL::Test::Utils::tempdir_short() . '/places';

# Also with one way in a line of the index, where nearly all places are outside.
foreach my $ways (15, 1)
{
	subtest "a process that was stopped counts where it belongs, lines of $ways" => sub {
		must_run(
			split(' ', $cc),
			'-O2',
			'-D_GNU_SOURCE',
			'-Wl,--wrap=pm_owner_equal',
			"-DPM_WAYS=$ways",
			"-I$include",
			"-I$source",
			'-o',
			$program,
			(map { "$FindBin::RealBin/../clients/$_.c" } qw(places places_server assertion)),
			"$source/base/identity.c",
			map { "$source/accounts/$_.c" }
			  qw(account counters failed figures freeing index opening places room search section sizes times)
		);
		my $seconds = 5;
		my $output;
		my $ok = IPC::Run::run([$program, $seconds], '>', \$output);
		ok($ok, 'every count is where it belongs');
		note($output);
		my %seen = $output =~ /(stops|given up|lost|late) (\d+)/g;
		cmp_ok($seen{$_}, '>', 0, "it happened: $_") foreach ('stops', 'given up', 'lost', 'late');
	};
}
done_testing();
