# Connect storms as events: those of a declared pool and of an application that is not,
# when they begin and when they are over, and no others. Needs clients that connect
# anew all the time.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT pgbench);
use PoolMonitorEvents;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = events_server('storms');

# Clients that connect anew for each transaction, one declared and one not; and two that
# open all they have once. Three of a client's threads keep to their rate where one would
# have to wait for its turn, and no faster.
my $storm_script = $node->basedir . '/storm.sql';
append_to_file($storm_script, "SELECT 1;\n");

sub connect_anew
{
	my ($name, $rate) = @_;
	local $ENV{PGAPPNAME} = $name;
	return pgbench($node, 'client', $storm_script, '-C', '-c', 3, '-j', 3, '-R', $rate);
}

# Of an application that is not declared a hundred connects in ten seconds are a storm for
# a minute; then they are what it always does. A machine that is busy for that long gets
# another one.
sub undeclared_storm
{
	foreach my $try (1 .. 5)
	{
		my $client = connect_anew("stampede$try", 60);
		my $end    = time + 70;
		my $found  = 0;
		while (!$found && time < $end)
		{
			$found = number_of($node,
				"event = 'storm' AND pool IS NULL AND application_name = 'stampede$try'");
			select undef, undef, undef, 0.3;
		}
		$client->kill_kill;
		return $found if $found;
		diag("stampede$try was too slow to be a storm");
	}
	return 0;
}
my $burst = holder($node, 'burst', sessions => 30);
my $crowd = holder($node, 'crowd', sessions => 30);

my $name = "regexp_replace(coalesce(e.pool, e.application_name), '[0-9]', '')";
my $connects =
  "(SELECT s.connects FROM pool_monitor.pool_stats s WHERE coalesce(s.pool, s.application_name) = coalesce(e.pool, e.application_name))";

subtest 'storms have been noticed' => sub {
	my $storm = connect_anew('storm', 40);
	wait_for_events($node, "event = 'storm' AND pool = 'storm' AND application_name IS NULL",
		1, 'a storm in a declared pool');
	$storm->kill_kill;
	is(undeclared_storm(), 1, 'a storm of an application that is not declared');
	is(
		query(
			$node,
			"SELECT $name, (e.detail->>'connects_per_second')::numeric * 10 > 20,
			(e.detail->>'connects')::numeric <= $connects, coalesce((e.detail->>'normal')::numeric, 0) < (e.detail->>'connects_per_second')::numeric / 5
		FROM pool_monitor.events e WHERE event = 'storm' AND $other_client ORDER BY 1"
		),
		"stampede|t|t|t\nstorm|t|t|t",
		'no storm where an application opened all it may have, once; the others with their figures'
	);
};

# Nothing else was one, but perhaps this test itself.
subtest 'the storms are over' => sub {
	wait_for_events($node, "event = 'storm_over' AND $other_client", 2, 'the storms are over');
	is(
		query(
			$node, "SELECT $name,
			(e.detail->>'connects')::numeric >= (SELECT (b.detail->>'connects')::numeric FROM pool_monitor.events b WHERE b.event = 'storm' AND coalesce(b.pool, b.application_name) = coalesce(e.pool, e.application_name)),
			(e.detail->>'connects')::numeric <= $connects,
			(e.detail->>'seconds')::numeric BETWEEN 0 AND extract(epoch FROM clock_timestamp() - (SELECT min(at) FROM pool_monitor.events))
		FROM pool_monitor.events e WHERE event = 'storm_over' AND $other_client ORDER BY 1"
		),
		"stampede|t|t|t\nstorm|t|t|t",
		'how many connects they were, in how long'
	);
	is(number_of($node, "event = 'storm' AND $other_client"), '2', 'each storm was told of once');
};

$_->close foreach ($burst, $crowd);

# Ticks are three times as far apart as a storm is looked at: one connect a second is
# thirty in a tick, ten in ten seconds.
subtest 'a worker that looks seldom' => sub {
	my $last = query($node, 'SELECT max(seq) FROM pool_monitor.events');
	my $news = "seq > $last AND $other_client AND";
	query($node, "ALTER SYSTEM SET pool_monitor.sample_interval = '30s'");
	$node->reload;
	my $few  = connect_anew('echo', 1);
	my $many = connect_anew('app',  40);
	wait_for_events($node, "$news event = 'storm' AND pool = 'app'",
		1, 'a storm is one all the same');
	is(
		query(
			$node,
			"SELECT (e.detail->>'connects_per_second')::numeric * 20 < $connects FROM pool_monitor.events e WHERE $news event = 'storm' AND e.pool = 'app'"
		),
		't',
		'a second is not taken to have had all connects of a tick'
	);
	$many->kill_kill;
	wait_for_events($node, "$news event = 'storm_over' AND pool = 'app'", 1, 'and comes to an end');
	is(number_of($node, "$news event = 'storm' AND pool = 'echo'"),
		0, 'what is no storm in ten seconds is none in half a minute');
	$few->kill_kill;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
