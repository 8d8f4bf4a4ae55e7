# What the tests of clients that report share (093, 099 to 104): their server, starting
# them, what is shown and counted of a pool, waiting for reports, and making them fail.
package PoolMonitorReporting;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FindBin;
use PoolMonitor             qw(:DEFAULT query client_command);
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(reporting_server dsn reporting_client python_client shown counted is_shown
  wait_for_shown wait_for_counted agree held holds_are_told wait_for_reports wait_for_idle undisturbed
  none_in_transaction none_in_open_transaction refuse_reports take_reports wait_for_refused
  idle_while_refused told_once told_later installed assigns wait_until);

# A server for the clients' role "app". It logs what fails, and with log_statements all that
# they say.
sub reporting_server
{
	my ($name, %param) = @_;
	my $node = new_server($name, "log_min_messages = error\n" . ($param{conf} // ''));
	query($node, 'CREATE ROLE app LOGIN');
	query($node, q{ALTER ROLE app SET log_statement = 'all'}) if $param{log_statements};
	return $node;
}

# Where a program is, in one of the folders or in those of PATH. Where it is nowhere, the file
# is skipped.
sub installed
{
	my ($what, $program, @folders) = @_;
	my ($path) = grep { -x } map { "$_/$program" } @folders, split /:/, $ENV{PATH};
	plan(skip_all => "there is no $what") unless $path;
	return $path;
}

# Does this PgBouncer count to how many clients it gave a connection, as from 1.23 on? Else
# what transactions have begun is all there is.
sub assigns
{
	my ($program) = @_;
	my ($minor)   = `$program --version` =~ /PgBouncer 1\.(\d+)/ or die "which PgBouncer is it?\n";
	return $minor >= 23;
}

# Waits until it is so, of what no query and no log says.
sub wait_until
{
	my ($is_so, $what) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $is_so->();
		select undef, undef, undef, 0.1;
	}
	die "timed out waiting: $what\n";
}

# How a client gets there; a URL has "&" between the parts.
sub dsn
{
	my ($node, $between) = @_;
	return join $between // ' ', 'host=' . $node->host, 'port=' . $node->port, 'dbname=postgres',
	  'user=app';
}

# Starts a client that reports, and returns it and the line that it says first. Where what it
# needs is not installed, it says so, and the file is skipped.
sub reporting_client
{
	my ($what, @command) = @_;
	my $client = client_command(@command);
	my $said   = $client->answer;
	plan(skip_all => "$what: $said") if $said =~ /^unavailable/;
	return ($client, $said);
}

# The same of one in Python (test/clients), with the arguments that all of them take: how to
# get to the server, the application_name, how often to report, in seconds; and more.
sub python_client
{
	my ($what, $program, @arguments) = @_;
	return reporting_client($what, python(), "$FindBin::RealBin/../clients/$program", @arguments);
}

# The statement for what is shown of a pool's clients.
sub shown
{
	my ($pool, $columns) = @_;
	return "SELECT $columns FROM pool_monitor.client_pools WHERE pool = '$pool'";
}

# The sums of a pool.
sub counted
{
	my ($node, $pool, $columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = '$pool'");
}

# What the last report of its client said.
sub is_shown
{
	my ($node, $pool, $columns, $expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(query($node, shown($pool, $columns)), $expected, $what);
}

# Waits until a report of its client says this.
sub wait_for_shown
{
	my ($node, $pool, $columns, $expected, $what) = @_;
	return wait_for($node, shown($pool, $columns), $what, $expected);
}

# Waits until the sums of the pool say this.
sub wait_for_counted
{
	my ($node, $pool, $columns, $expected, $what) = @_;
	return wait_for($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = '$pool'",
		$what, $expected);
}

# The server has as many connections of it as its client says, and finds nothing but this.
sub agree
{
	my ($node, $pool, $connections, $findings) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_shown(
		$node,
		$pool,
		q{connections, connections_reported, regexp_replace(array_to_string(findings, '; '), ' of \d+ checkouts', ' checkouts')},
		"$connections|$connections|$findings",
		'declared, observed and reported agree'
	);
}

# Waits for a report that comes in so many seconds, or later.
sub wait_for_reports
{
	my ($node, $pool, $seconds, $what) = @_;
	my $now = query($node, 'SELECT clock_timestamp()');
	return wait_for(
		$node,
		"SELECT max(reported_at) > '$now'::timestamptz + interval '$seconds s' FROM pool_monitor.client_reports() WHERE pool = '$pool'",
		$what
	);
}

# For how long its connections were checked out, as its clients said so many seconds from now
# or later, and as is counted of that.
sub held
{
	my ($node, $pool, $seconds) = @_;
	wait_for_reports($node, $pool, $seconds // 0.1, 'what was is told');
	return split /\|/,
	  query($node,
		"SELECT (SELECT sum(checked_out_seconds) FROM pool_monitor.client_reports() WHERE pool = '$pool'), checked_out_seconds FROM pool_monitor.pool_stats WHERE pool = '$pool'"
	  );
}

# One connection is checked out for a while, of a client that has none out before: for so long
# it is told, no longer, and once; of a client that knows it, also while it is out. (There may
# be a library that says whole milliseconds.)
sub holds_are_told
{
	my ($node, $pool, $client, $while_out) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @before = held($node, $pool);
	my $began  = Time::HiRes::time();
	is($client->do('keep'), 'kept', 'one connection is out');
	my $kept      = Time::HiRes::time();
	my @meanwhile = held($node, $pool, 0.7);
	my $least     = Time::HiRes::time() - $kept;
	is($client->do('return'), 'idle', 'it comes back');
	my $most  = Time::HiRes::time() - $began;
	my @after = held($node, $pool);

	foreach my $which (0, 1)
	{
		my $how = ('told', 'counted')[$which];
		my ($part, $all) = map { $_->[$which] - $before[$which] } \@meanwhile, \@after;
		cmp_ok($part, '>=', 0.6,            "it is $how while it is out") if $while_out;
		cmp_ok($all,  '>=', $least - 0.002, "for how long it was is $how");
		cmp_ok($all,  '<=', $most,          "no longer is $how");
	}
	return;
}

# Waits until none of its sessions has done anything for a second.
sub wait_for_idle
{
	my ($node, $pool) = @_;
	return wait_for(
		$node,
		"SELECT bool_and(idle_for > interval '1 s') FROM pool_monitor.sessions WHERE pool = '$pool'",
		'its sessions are idle'
	);
}

# For so many seconds it reports and does nothing else: no transaction is counted, and what
# must be true of each session that is idle still is.
sub undisturbed
{
	my ($node, $pool, $seconds, $idle) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = counted($node, $pool, 'transactions');

	wait_for_reports($node, $pool, $seconds, 'reports come in');
	is(counted($node, $pool, 'transactions'), $before, 'they are no transactions');
	is(query($node, "SELECT bool_and($idle) FROM pool_monitor.sessions WHERE pool = '$pool'"),
		't', 'its sessions are idle');
	return;
}

sub none_in_transaction
{
	my ($node, $pool) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = '$pool' AND state <> 'idle'",
		'no session is left in a transaction', 0
	);
}

# Its three connections come back in transactions: then none of them reports.
sub none_in_open_transaction
{
	my ($node, $pool, $client) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($client->do('begin'), 'begun', 'its connections come back in transactions');
	is(
		query(
			$node,
			"SELECT bool_and(query = 'BEGIN') AND count(*) = 3 FROM pg_stat_activity WHERE application_name = '$pool'"
		),
		't',
		'in which nothing is reported'
	);
	is($client->do('rollback'), 'idle', 'they end');
	wait_for_reports($node, $pool, 1, 'then it goes on');
	return;
}

# Reports fail, for want of the function, until they are taken again.
sub refuse_reports
{
	my ($node) = @_;
	query($node,
		'ALTER EXTENSION pool_monitor DROP FUNCTION pool_monitor.client_report; ALTER FUNCTION pool_monitor.client_report RENAME TO gone'
	);
	return;
}

sub take_reports
{
	my ($node) = @_;
	query($node,
		'ALTER FUNCTION pool_monitor.gone RENAME TO client_report; ALTER EXTENSION pool_monitor ADD FUNCTION pool_monitor.client_report'
	);
	return;
}

# Waits until so many reports have failed, one where nothing is said, in the log from an
# offset on.
sub wait_for_refused
{
	my ($node, $what, $from, $times) = @_;
	my $refused = qr/client_report\(.* does not exist/;
	my $pattern = join '.*', ($refused) x ($times // 1);
	return wait_for_log($node, qr/$pattern/s, $what, $from);
}

# All connections come back, and the first report of it fails.
sub idle_while_refused
{
	my ($node, $client) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	refuse_reports($node);
	is($client->do('return'), 'idle', 'all come back');
	wait_for_refused($node, 'the first report is refused');
	take_reports($node);
	return;
}

# A checkout of a pool of three has to wait while reports fail. When they are taken again, all
# of it is told (the columns), and once.
sub told_once
{
	my ($node, $pool, $client, $columns, $expected, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	refuse_reports($node);
	is($client->do('wait'), 'waited', 'one waits while reports fail');
	wait_for_refused($node, 'a report fails', -s $node->logfile);
	none_in_transaction($node, $pool);
	is($client->do('places'), 3,         'the pool still has all its places');
	is($client->do('stop'),   'stopped', 'for a while');
	take_reports($node);
	is($client->do('once'), 'once', 'again');
	wait_for_shown($node, $pool, $columns, $expected, $what);
	is(
		counted($node, $pool, 'checkouts, checkout_waits, checkout_timeouts'),
		query($node, shown($pool, 'checkouts, waits, timeouts')),
		'and once'
	);
	return;
}

# Reports are taken again, and one of them says in the log how long somebody has waited.
sub told_later
{
	my ($node, $pattern) = @_;
	my $offset = -s $node->logfile;
	take_reports($node);
	return wait_for_log(
		$node,
		$pattern // qr/client_report\(\$1.*\n.*DETAIL:  [Pp]arameters: .*\$13 = '0\.[4-9]/,
		'what could not be told is told later', $offset
	);
}

1;
