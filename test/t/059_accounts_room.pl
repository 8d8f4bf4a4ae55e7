# More applications than there is room for: no session is lost, and there is room again
# when they have gone. Needs 200 sessions.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use Test::More;

my $node  = new_server('many', "max_connections = 250\npool_monitor.max_applications = 100\n");
my $crowd = PoolMonitor::Holder->new($node, application_name => 'app 0', sessions => 200);
foreach my $i (0 .. 199)
{
	$crowd->do("sql $i SET application_name = 'app $i'");
}

subtest 'more applications than there is room for' => sub {
	is($node->safe_psql('postgres', 'SELECT sum(connections) FROM pool_monitor.pool_stats'),
		201, 'none of 200 sessions is lost');
	is(
		$node->safe_psql(
			'postgres',
			'SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name IS NOT NULL'
		),
		100,
		'100 applications have a row'
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT sum(connections) FILTER (WHERE pool = '(other)') + count(*) FILTER (WHERE application_name LIKE 'app %') + count(*) FILTER (WHERE application_name = current_setting('application_name')) FROM pool_monitor.pool_stats"
		),
		201,
		'the rest is in (other), perhaps with the one that asks'
	);
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'applications_full'",
		'an event says so', 1
	);
	is(log_count($node, 'more than 100 undeclared applications'), 1, 'and the log, once');
	my @fresh = map { PoolMonitor::Holder->new($node, application_name => "fresh $_") } 1 .. 3;
	is(
		$node->safe_psql(
			'postgres',
			'SELECT sum(connections), sum(connects) - sum(disconnects) FROM pool_monitor.pool_stats'
		),
		'204|204',
		'new ones likewise'
	);
	$_->close foreach @fresh;
	$crowd->close;
	wait_for($node, 'SELECT sum(connections) FROM pool_monitor.pool_stats', 'all are gone', 1);
	is(
		$node->safe_psql(
			'postgres',
			'SELECT count(*) FROM pool_monitor.pool_stats WHERE connects <> disconnects + connections'
		),
		0,
		'each row adds up'
	);
};

# But only when nobody can still be counting there.
subtest 'reset() makes room' => sub {
	$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
	wait_for(
		$node,
		"SELECT count(*) < 3 FROM pool_monitor.pool_stats WHERE application_name IS NOT NULL",
		'they are forgotten'
	);
	my $again = PoolMonitor::Holder->new($node, application_name => 'again', sessions => 2);
	wait_for(
		$node,
		"SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'again'",
		'and there is room for others, in a while', 2
	);
	is($node->safe_psql('postgres', 'SELECT sum(connections) FROM pool_monitor.pool_stats'),
		3, 'all are somewhere');
	$again->close;
};

# He makes up as many names as he likes, and all that they push out are his own.
subtest 'whoever makes up names loses his own' => sub {
	$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
	$node->safe_psql('postgres', 'CREATE ROLE flood LOGIN; CREATE ROLE nightly LOGIN');
	PoolMonitor::Holder->new($node, application_name => "job $_", user => 'nightly')->close
	  foreach 1 .. 5;
	my $jobs =
	  "SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name LIKE 'job %' AND usename = 'nightly'";
	wait_for($node, $jobs, 'jobs of the night, unused for longest', 5);
	my $flood = PoolMonitor::Holder->new($node, application_name => 'made up', user => 'flood');
	foreach my $i (1 .. 160)
	{
		$flood->do("sql 0 SET application_name = 'x$i'");

		# every look moves the session, and makes a place
		$flood->do('sql 0 SELECT count(*) FROM pool_monitor.sessions');
		$node->safe_psql('postgres', 'SELECT count(*) FROM pool_monitor.pool_stats');
	}
	wait_for(
		$node,
		"SELECT connects > 50 FROM pool_monitor.pool_stats WHERE pool = '(other)'",
		'his names have pushed out more than fifty', 't'
	);
	is($node->safe_psql('postgres', $jobs), 5, 'and none of these');
	$flood->close;
};

done_testing();
