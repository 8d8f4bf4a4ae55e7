# Reports that are made up, in the history: what is more than there is room for is not paid
# out later, and reset() ends it. And a row at its limits, of which a client reports. Needs a
# history that is emptied, and more processes than an hour has room for.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('reports_past');
query($node, 'CREATE ROLE app LOGIN');
create_replay($node);
declare($node, join '', map { insert_pool($_, pool_size => 5, max_overflow => 0) } 'web', 'mark');

my $report = 'SELECT pool_monitor.client_report';
my $past   = "FROM pool_monitor.history WHERE resolution = '1 hour' AND pool";
my %holder = map { $_ => app_holder($node, $_, 1) } 'web', 'mark';
my %sent   = (web => 0, mark => 0);

sub report
{
	my ($name, $checkouts) = @_;
	is(
		$holder{$name}
		  ->do("sql 0 $report('a', 5, 0, 5, 5, 0, $checkouts, reports_before => $sent{$name})"),
		'True', "$name: $checkouts"
	);
	$sent{$name}++;
	return;
}

# Of all hours there are: the one that is may just end.
sub wait_for_past
{
	my ($name, $checkouts, $what) = @_;
	wait_for($node, "SELECT sum(checkouts) $past = '$name'", $what, $checkouts);
	return;
}

report($_, 0) foreach 'web', 'mark';

subtest 'what there is no room for' => sub {
	my $path = $node->basedir . '/reports.sql';
	append_to_file($path, join '',
		map { "$report('p$_', checkouts => 1000000000000, reports_before => 0);\n" } 1 .. 250);
	$node->command_ok(
		[
			'psql', '-X', '-q', '-o', '/dev/null', '-f', $path,
			'-d',   $node->connstr('postgres') . ' application_name=web user=app'
		],
		'is said'
	);
	foreach (1, 2)
	{
		report('mark', $_);
		wait_for_past('mark', $_, 'all of it was seen');
	}
	query($node,
		"SELECT replay_rings(ARRAY[date_trunc('minute', now())], ARRAY[date_trunc('hour', now())])"
	);
	report('web', 7);
	wait_for($node, "SELECT sum(checkouts) > 0 $past = 'web'", 'what comes then', 't');
	is(query($node, "SELECT sum(checkouts) $past = 'web'"), 7, 'is that alone');
};

subtest 'reset()' => sub {
	query($node, "ALTER SYSTEM SET pool_monitor.sample_interval = '1min'");
	$node->reload;
	query($node,
		"SET application_name = 'web'; $report('b', checkouts => 993, reports_before => 0); SELECT pool_monitor.reset('web')"
	);
	query($node, 'ALTER SYSTEM RESET pool_monitor.sample_interval');
	$node->reload;
	report('web', 12);
	wait_for($node, "SELECT sum(checkouts) > 7 $past = 'web'", 'what comes after it', 't');
	is(query($node, "SELECT sum(checkouts) $past = 'web'"), 12, 'has nothing from before it');
};

subtest 'rows as large as can be' => sub {
	declare(
		$node,
		insert_pool(
			'most',
			servers      => 10_000,
			workers      => 10_000,
			pool_size    => 0,
			max_overflow => -1,
			surge        => 1000
		  )
		  . insert_pool(
			'wide',
			servers      => 1,
			workers      => 1,
			pool_size    => 100_000,
			max_overflow => 100_000,
			surge        => 1000
		  )
	);
	my @large = map { app_holder($node, $_, 1) } 'most', 'wide';
	is($_->do("sql 0 $report('a', 1000000, 1000000, 1000000, 1000000, 1000000, 5, 5, 5, 5)"),
		'True', 'a report')
	  foreach @large;
	my @views = split /\n/,
	  query($node, "SELECT viewname FROM pg_views WHERE schemaname = 'pool_monitor' ORDER BY 1");
	foreach my $view (@views)
	{
		my ($rc, undef, $err) =
		  $node->psql('postgres', "SELECT string_agg(v::text, '') FROM pool_monitor.$view AS v");
		is($rc, 0, $view) or diag $err;
	}
	$_->close foreach @large;
};

$_->close foreach values %holder;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
