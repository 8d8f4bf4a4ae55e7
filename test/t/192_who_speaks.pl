# Whose client_report() counts in a pool that several login roles share. Needs sessions of these
# that come and go, and report.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool holder);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('who_speaks', "pool_monitor.max_client_processes = 1000\n");
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE guest LOGIN');
declare($node, insert_pool('web'));

sub sessions
{
	my ($user, $sessions, $name) = @_;
	return holder($node, $name // 'web', user => $user, sessions => $sessions);
}

sub checkouts
{
	my ($whose) = @_;
	return query($node,
		'SELECT coalesce(sum(checkouts), 0) FROM pool_monitor.pool_stats WHERE '
		  . ($whose // "pool = 'web'"));
}

# How many checkouts count of a report of ten more.
my %sent;

sub came
{
	my ($who, $process, $whose) = @_;
	my $before = checkouts($whose);
	my $number = $sent{$process}++ // 0;
	my $sum    = 10 * $sent{$process};
	is(
		$who->do(
			"sql 0 SELECT pool_monitor.client_report('$process', checkouts => $sum, reports_before => $number)"
		),
		'True',
		"$process reports"
	);
	return checkouts($whose) - $before;
}

sub left
{
	my ($user, $sessions) = @_;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE usename = '$user'",
		"$sessions of $user are there", $sessions
	);
	return;
}

sub waiting
{
	return query($node, q{SELECT waiting FROM pool_monitor.budgets WHERE pool = 'web'});
}

my $app   = sessions('app',   2);
my $guest = sessions('guest', 1);

subtest 'who has half of the sessions, and who has less' => sub {
	is(came($app,   'a'), 10, 'most');
	is(came($guest, 'g'), 0,  'one of three');
	is(
		query(
			$node, q{SELECT process, counted FROM pool_monitor.client_reports() ORDER BY process}
		),
		"a|t\ng|f",
		'as is shown'
	);
	is(
		query($node, q{SELECT findings[1] FROM pool_monitor.client_pools WHERE process = 'g'}),
		'not counted: guest has less than half of the sessions, and the pool has no usename',
		'and said'
	);
	$guest->do(q{sql 0 SELECT pool_monitor.client_report('w', size => 2, waiting => 7)});
	is(waiting(), '', 'who waits in it is none of the pool');
	$app->do(q{sql 0 SELECT pool_monitor.client_report('b', size => 2, waiting => 1)});
	is(waiting(), 1, 'as others are');
	my $declared = '%processes report, 1 are declared%';
	is(
		query(
			$node,
			"SELECT DISTINCT f FROM pool_monitor.client_pools, unnest(findings) AS f WHERE f LIKE '$declared'"
		),
		'2 processes report, 1 are declared',
		'nor is it one of its processes'
	);
	my (undef, undef, $told) = $node->psql(
		'postgres',
		q{SELECT pool_monitor.client_report('one')},
		connstr => $node->connstr('postgres') . ' application_name=web user=guest'
	);
	is($told, '', 'nothing to him who has half');
	left('guest', 1);
	my $more = sessions('app', 1);
	(undef, undef, $told) = $node->psql(
		'postgres',
		q{SELECT pool_monitor.client_report('one')},
		connstr => $node->connstr('postgres') . ' application_name=web user=guest'
	);
	like(
		$told,
		qr/NOTICE:  the report is shown, but not counted: less than half of its pool's sessions/,
		'else a notice'
	);
	$more->close;
	left('app',   2);
	left('guest', 1);
};

subtest 'when he has more' => sub {
	my $more = sessions('guest', 1);
	$sent{g} = 0;
	is(came($guest, 'g'), 0,  'what came meanwhile is not counted, nor what a new pool says');
	is(came($guest, 'g'), 10, 'what comes then is');
	is(came($app,   'a'), 10, 'the other one has half, too');
	$more->close;
	left('guest', 1);
	is(came($guest, 'g'), 0, 'and has not');
};

subtest 'sessions that are not of the pool' => sub {
	my $else = sessions('guest', 5, 'else');
	is(came($guest, 'g'), 0, 'are nothing in it') foreach 1, 2;
	is(came($else, 'e', "application_name = 'else'"),
		10, 'an application is of one role, whoever it is');
	my $others = sessions('app', 9, 'others');
	is(came($app, 'a'), 10, 'nor do they take anything away') foreach 1, 2;
	$_->close foreach $else, $others;
};

subtest 'a role that gets another name' => sub {
	query($node, 'ALTER ROLE app RENAME TO application');
	my @more = (sessions('application', 1), sessions('guest', 2));
	is(came($app,     'a'), 10, 'is the same, on its old sessions') foreach 1, 2;
	is(came($more[0], 'a'), 10, 'and new ones')                     foreach 1, 2;
	$_->close foreach @more;
	left('guest',       1);
	left('application', 2);
};

subtest 'a pool that names its roles' => sub {
	declare($node, "UPDATE pool_monitor.pools SET usename = '%'");
	is(came($guest, 'g'), 0, 'not if it names all that there are') foreach 1, 2;
	declare($node, "UPDATE pool_monitor.pools SET usename = '_%'");
	is(came($guest, 'g'), 0,  'what came until then is not counted');
	is(came($guest, 'g'), 10, 'it lets them speak');
};

subtest 'who is named no more' => sub {
	my $whose =
	  q{SELECT counted, substring(findings[1] FROM '^not counted.*') FROM pool_monitor.client_pools AS p JOIN pool_monitor.client_reports() AS r USING (process) WHERE process = 'late'};
	$app->do(q{sql 0 SELECT pool_monitor.client_report('b', size => 2, waiting => 1)});
	$guest->do(q{sql 0 SELECT pool_monitor.client_report('late', size => 2, waiting => 5)});
	is(query($node, $whose), 't|', 'counts, while he is');
	my $waiting = waiting();
	declare($node, "UPDATE pool_monitor.pools SET usename = 'application'");
	is(
		query($node, $whose),
		'f|not counted: the usename of the pool does not name guest, or did not when it reported',
		'nor does what he said before'
	);
	is(waiting(), $waiting - 5, 'in the sum of those that wait, too');
	$guest->close;
	left('guest', 0);
};

# Until his session is moved out of the pool he is in it, and it names roles already. It is a
# race, which he would win now and then.
subtest 'whom a declaration shuts out' => sub {
	my $file    = $node->basedir . '/reports.sql';
	my $connstr = $node->connstr('postgres') . ' application_name=web user=guest';
	declare($node, 'UPDATE pool_monitor.pools SET usename = NULL');
	my $before = checkouts();
	append_to_file($file,
		"SELECT pool_monitor.client_report('late $_', checkouts => 1000, reports_before => 0);\nSELECT pg_sleep(0.002);\n"
	) foreach 1 .. 950;
	chmod 0644, $file;
	my $out;
	my $reports = IPC::Run::start(['psql', '-XqAt', '-d', $connstr, '-f', $file],
		'>', \$out, '2>', '/dev/null');
	query(
		$node,
		join ' ',
		map {
			"UPDATE pool_monitor.pools SET usename = $_ WHERE name = 'web'; SELECT pool_monitor.reload();"
		} ("'app'", 'NULL') x 60
	);
	$reports->finish;
	is(scalar(() = $out =~ /^t$/mg), 950,     'he reports all the time');
	is(checkouts(),                  $before, 'and it counts at no moment');
};

$app->close;
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
