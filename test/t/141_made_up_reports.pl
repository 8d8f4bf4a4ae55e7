# What client_report() counts is bounded by what a process can have done, so that nobody who
# may log in stops a sum of all, or has it jump. Needs sessions of two roles that report.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder holder);
use PostgreSQL::Test::Utils;
use Test::More;

my $places = 16;
my $node   = new_server('made_up_reports', "pool_monitor.max_client_processes = $places\n");
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE other LOGIN');
declare($node, insert_pool('web') . insert_pool('mark'));

my $report = 'SELECT pool_monitor.client_report';

# Of a place: that of an hour, and of the time that the test takes, for which another is enough.
my $hours     = 2 * $places;
my $most      = $hours * 3600 * 100_000;
my $most_wait = $hours * 3600 * 1000;
my $most_out  = 10 * $most_wait;
my $sums      = 'checkouts, checkout_waits, checkout_timeouts, waited_seconds, checked_out_seconds';

# The same of all sums.
sub said
{
	my ($process, $sum, $number) = @_;
	return
	  "$report('$process', 5, 0, 1, 1, 0, $sum, $sum, $sum, $sum, reports_before => $number, checked_out_seconds => $sum)";
}

# By psql, under a name; what the server says besides.
sub run_as
{
	my ($name, @statements) = @_;
	my $path = $node->basedir . "/$name.sql";
	append_to_file($path, join '', map { "$_;\n" } @statements);
	my (undef, $err) = run_command(
		[
			'psql', '-X', '-q', '-d',
			$node->connstr('postgres') . " application_name=$name user=app",
			'-f', $path
		]
	);
	unlink $path;
	return $err;
}

sub counted
{
	my ($columns, $whose) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE $whose");
}

# In the history, which has the sums of all.
sub waited_of_all
{
	my ($sum) = @_;
	return
	  "SELECT round(sum(waited_seconds)::numeric, 3) FROM pool_monitor.history WHERE resolution = '1 hour' AND pool = '$sum'";
}

my $own  = holder($node, 'own', user => 'other');
my $web  = app_holder($node, 'web',  1);
my $mark = app_holder($node, 'mark', 1);

subtest 'who is honest' => sub {
	$mark->do("sql 0 $report('a', reports_before => 0)");
	is($own->do('sql 0 ' . said('a', 7000, 0)),
		'True', 'says first what was since it started, before its session');
	is(counted($sums, "application_name = 'own'"), '7000|7000|7000|7000|7000', 'and it is counted');
	is(run_as('web', said('b', 100_000, 0), said('b', 250_000, 1)),
		'', 'of very much nothing is cut either');
	is(counted($sums, "pool = 'web'"), join('|', (250_000) x 5), 'it is counted');
};

# What another pool says then comes into the history with it, or later.
sub own_goes_on
{
	my ($seconds, $number) = @_;
	is($own->do('sql 0 ' . said('a', $seconds, $number)), 'True', 'another one reports');
	$mark->do("sql 0 $report('a', checkouts => $number, reports_before => $number)");
	wait_for(
		$node,
		"SELECT sum(checkouts) FROM pool_monitor.history WHERE resolution = '1 hour' AND pool = 'mark'",
		'it is in the history',
		$number
	);
	return;
}

subtest 'what nobody can have done' => sub {
	like(
		run_as('liar', said('a', 999_999_999, 0)),
		qr/NOTICE:  the report says more than a process can have done since its last one/,
		'is told to who says it'
	);
	run_as('liar', map { said('p' . $_ % 40, 1_000_000_000, 0) } 1 .. 5000);
	is(
		counted(
			"checkouts BETWEEN 1 AND $most, checkout_waits BETWEEN 1 AND $most, checkout_timeouts BETWEEN 1 AND $most, waited_seconds BETWEEN 1 AND $most_wait, checked_out_seconds BETWEEN 1 AND $most_out, reported_open_seconds BETWEEN 1 AND $most_out",
			"application_name = 'liar'"
		),
		't|t|t|t|t|t',
		'is cut to what its places can have done, under however many names'
	);
	own_goes_on(7001, 1);
	my %before = map { $_ => query($node, waited_of_all($_)) } '(undeclared)', '(server)';
	own_goes_on(7003, 2);
	is(query($node, waited_of_all($_)) - $before{$_}, 2, "$_ goes on") foreach sort keys %before;
};

subtest 'what was cut does not come later' => sub {
	$web->do('sql 0 ' . said('b', 999_000_000, 0));
	select undef, undef, undef, 0.1;
	my $before = counted('waited_seconds', "pool = 'web'");
	$web->do('sql 0 ' . said('b', 999_000_003, 1));
	is(counted("waited_seconds - $before", "pool = 'web'"),
		3, 'and what it says then is what comes');
};

$_->close foreach $own, $web, $mark;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
